package active

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/gateway"
	"strongroom/internal/lease"
	"strongroom/internal/metrics"
	"strongroom/internal/storage"
	"strongroom/internal/token"
)

// usage counts what only a look at all of it tells. It looks when somebody
// asks, seldom, and behind the answer; nothing is counted that nobody asks for.
type usage struct {
	store  storage.Store
	every  time.Duration
	logger hclog.Logger
	ctx    context.Context // of the Session

	mu      sync.Mutex
	last    *counts // nil: not counted yet
	running chan struct{}
}

type counts struct {
	at             time.Time
	leases, tokens int
}

// Usage emits what the events' bus tells of itself, and how many leases and tokens there are, as of at most the
// configuration's usage_gauge_period ago. The first time it waits for the count
// until ctx ends.
func (s *Session) Usage(ctx context.Context, emit metrics.Emit) {
	if s.bus != nil {
		st := s.bus.Stats()
		emit("events.subscribers", float64(st.Subscribers))
		emit("events.published", float64(st.Published))
		emit("events.cut_off", float64(st.Cut))
	}
	if c := s.usage.get(ctx); c != nil {
		emit("expire.num_leases", float64(c.leases))
		emit("token.count", float64(c.tokens))
	}
}

func (u *usage) get(ctx context.Context) *counts {
	u.mu.Lock()
	if u.running == nil && u.ctx.Err() == nil && (u.last == nil || time.Since(u.last.at) >= u.every) {
		u.running = make(chan struct{})
		go u.count(u.ctx) // it only reads, and ends with the Session
	}
	last, running := u.last, u.running
	u.mu.Unlock()
	if last != nil {
		return last
	}
	select {
	case <-running:
	case <-ctx.Done():
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last
}

// count walks the due index: a million keys take a second.
func (u *usage) count(ctx context.Context) {
	c := &counts{at: time.Now()}
	var err error
	c.leases, c.tokens, err = lease.Count(ctx, u.store, token.LeaseKind, gateway.DueKind)
	u.mu.Lock()
	defer u.mu.Unlock()
	if err == nil {
		u.last = c
	} else {
		u.logger.Warn("cannot count the leases for the metrics", "error", err)
	}
	close(u.running)
	u.running = nil
}
