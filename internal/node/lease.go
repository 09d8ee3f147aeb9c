package node

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/internal/storage"
	"strongroom/internal/storage/raftstore"
)

// lease is for how long the active node answers from its own state without asking the others. A follower that has accepted an entry waits a whole
// heartbeat timeout before it stands for election, so until half of that has passed since a confirmation began, nobody else can have been elected
// and nothing newer acknowledged. Raft's own lease is not enough: it is kept by a timer, and a process that was stopped for a while answers the
// requests that wait in its sockets before the timer fires, from the past.
type lease struct {
	mu     sync.Mutex                // one confirmation at a time; the others wait for it
	begun  atomic.Pointer[time.Time] // of the last confirmation; nil: none holds
	voided bool                      // under mu: leadership is being handed over, which waits for no timeout
	// doubted, under mu, is a term in which a handover failed: the node that was to lead may be told so late, and stand for election at any time
	// without waiting. Every answer in that term is confirmed.
	doubted uint64
}

// holds is whether the confirmation is younger than length, by both clocks: the monotonic one stands still while a virtual machine does.
func (l *lease) holds(now time.Time, length time.Duration) bool {
	begun := l.begun.Load()
	if begun == nil {
		return false
	}
	wall := now.Round(0).Sub(begun.Round(0))
	return now.Sub(*begun) < length && wall >= 0 && wall < length
}

// void ends the lease until the returned func is called, with the term in which the handover failed, or 0.
func (l *lease) void() (restore func(failed uint64)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.voided = true
	l.begun.Store(nil)
	return func(failed uint64) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.voided = false
		if failed != 0 {
			l.doubted = failed
		}
	}
}

// transfer hands leadership to the node with that id.
func (m *member) transfer(ctx context.Context, id string) error {
	term := m.term.Load()
	restore := m.lease.void()
	err := m.store.Transfer(ctx, id)
	if err == nil {
		term = 0
	}
	restore(term)
	return err
}

// Leads returns nil if this node leads, as of the call: what it answers from its state is what was last acknowledged anywhere. That costs
// nothing while the lease holds, and an entry in the log when it does not. Otherwise the error is storage.ErrNotLeader or storage.ErrClosed.
func (n *Node) Leads(ctx context.Context) error {
	_, err := n.current(ctx)
	return err
}

// current is Leads, and the index up to which this node's state holds everything.
func (n *Node) current(ctx context.Context) (uint64, error) {
	m := n.member.Load()
	if m == nil {
		return 0, storage.ErrNotLeader
	}
	if err := n.confirm(ctx, m); err != nil {
		return 0, err
	}
	// What a standby has answered already may be on its way into this state only.
	return m.store.Settled(ctx)
}

// confirm renews the lease if it does not hold.
func (n *Node) confirm(ctx context.Context, m *member) error {
	heartbeat := n.config.Raft.Heartbeat
	if heartbeat == 0 {
		heartbeat = raftstore.DefaultHeartbeat
	}
	length := heartbeat / 2
	if m.lease.holds(time.Now(), length) {
		return nil
	}
	m.lease.mu.Lock()
	defer m.lease.mu.Unlock()
	begun, term := time.Now(), m.term.Load()
	switch {
	case m.lease.voided:
		return storage.ErrNotLeader
	case m.lease.holds(begun, length):
		return nil
	}
	if err := m.store.Confirm(ctx); err != nil {
		return err
	}
	if m.lease.doubted != term {
		m.lease.begun.Store(&begun)
	}
	return nil
}
