package node

import (
	"context"
	"errors"
	"sync"
	"time"
)

// How a standby answers reads linearizably: it asks the leader for a read index,
// waits until its own state holds that much, and answers from it (Ongaro,
// "Consensus: Bridging Theory and Practice", 2014, §6.4). Whatever was
// acknowledged anywhere before the question is in the leader's state when it
// answers, because the leader first makes sure that it still leads (lease) and
// then waits for what it has committed: a standby can have that in its state
// first, and nobody may read less after who has read it there.

// lagLimit is how long a read waits for this node to catch up before it is
// forwarded instead. Under load the next entry brings the news; at rest Raft
// tells a follower only after its CommitTimeout, and forwarding is faster.
const lagLimit = time.Millisecond

// errBehind: this node could not make sure that its state is current.
var errBehind = errors.New("node: this node's state may not be current")

// readIndex asks one question for all reads that wait: those that come while
// one is under way share the next.
type readIndex struct {
	mu    sync.Mutex
	next  *question // not asked yet; nil: nobody waits for one
	asker bool      // a goroutine asks until nobody waits
}

type question struct {
	answered chan struct{}
	index    uint64
	err      error
}

// join returns the question that is asked next, after this call.
func (r *readIndex) join(ask func() (uint64, error)) *question {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		r.next = &question{answered: make(chan struct{})}
	}
	q := r.next
	if !r.asker {
		r.asker = true
		go r.run(ask) // ends when nobody waits; every question is bounded
	}
	return q
}

func (r *readIndex) run(ask func() (uint64, error)) {
	for {
		r.mu.Lock()
		q := r.next
		r.next = nil
		r.asker = q != nil
		r.mu.Unlock()
		if q == nil {
			return
		}
		q.index, q.err = ask()
		close(q.answered)
	}
}

// CatchUp returns nil when this standby's state holds everything that was
// acknowledged anywhere before the call. After an error nothing is known; the
// leader may be asked instead.
func (n *Node) CatchUp(ctx context.Context) error {
	m := n.member.Load()
	if m == nil || m.port == nil {
		return errBehind
	}
	q := n.reads.join(func() (uint64, error) { return n.askReadIndex(m) })
	select {
	case <-q.answered:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if q.err != nil {
		return q.err
	}
	if m.store.Applied() >= q.index {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lagLimit)
	defer cancel()
	return m.store.WaitApplied(ctx, q.index)
}

// caughtUp waits, a few seconds at most, until this node holds what the leader
// held at the call.
func (n *Node) caughtUp(m *member) bool {
	index, err := n.askReadIndex(m)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(n.ctx, 5*time.Second)
	defer cancel()
	return m.store.WaitApplied(ctx, index) == nil
}

// askReadIndex asks the leader.
func (n *Node) askReadIndex(m *member) (uint64, error) {
	id, addr, ok := m.store.Leader()
	if !ok || id == n.config.NodeID {
		return 0, errBehind
	}
	return m.port.ReadIndex(n.ctx, addr)
}

// answerReadIndex says up to where a reader's state must go to hold everything
// acknowledged until now, or read anywhere; only the leader can.
func (n *Node) answerReadIndex(ctx context.Context) (uint64, error) { return n.current(ctx) }
