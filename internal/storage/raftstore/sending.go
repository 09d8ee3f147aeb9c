package raftstore

import (
	"sync"
	"time"
)

// sending knows of the states that are on their way to a follower. The log from
// there on must stay until the follower has it too: were it cut meanwhile, the
// follower would be sent the whole state again, and again while clients write.
type sending struct {
	mu    sync.Mutex
	open  int
	until time.Time // the followers that were sent a state catch up
}

// minCatchUp is the least time a follower is given for the log after a state; it
// gets as long as the state took, as it takes entries faster than clients bring
// them.
const minCatchUp = 5 * time.Second

// begin notes a state on its way, until the func that it returns is called: with
// false for one that has not arrived whole, as its follower has nothing to catch
// up from.
func (s *sending) begin() (end func(arrived bool)) {
	from := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
	return func(arrived bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
		now := time.Now()
		if !arrived {
			return
		}
		if until := now.Add(max(minCatchUp, now.Sub(from))); until.After(s.until) {
			s.until = until
		}
	}
}

// needsLog is whether the log must not be cut.
func (s *sending) needsLog() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open > 0 || time.Now().Before(s.until)
}
