package node

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/internal/autopilot"
	"strongroom/internal/storage/raftstore"
)

const (
	// tendEvery is how often a node looks after its membership.
	tendEvery = time.Second
	// followEvery is the least time between two looks at what changed in the
	// state: under load it changes all the time.
	followEvery = 100 * time.Millisecond
)

// membership is what a node works with to look after members.
type membership struct {
	mu       sync.Mutex // one admission, removal or step of a CA's replacement at a time
	identity sync.Mutex // one change of this node's identity at a time

	challenger atomic.Pointer[challenger]      // while active
	pilot      atomic.Pointer[autopilot.Pilot] // while active
	echoes     echoes                          // what the others last said of themselves
	order      atomic.Pointer[JoinOrder]       // what sys/storage/raft/join has asked for
	poked      chan struct{}                   // look at once
}

// tendMembership starts what a member does beside serving.
func (n *Node) tendMembership() {
	n.loadRemoved()
	n.done.Go(func() { n.follow(n.ctx) })
	n.done.Go(func() { n.tend(n.ctx) })
}

// follow has the cluster port do what the state says: trust the CAs that are in
// it, and shut out whose certificate was revoked.
func (n *Node) follow(ctx context.Context) {
	for pause(ctx, followEvery, nil) {
		m := n.member.Load()
		if m == nil || m.port == nil {
			continue
		}
		applied := m.store.Applied()
		m.port.Recheck()
		if err := n.followTrust(ctx, m); err != nil {
			n.logger.Error("cannot follow a change of the CA of the cluster port", "error", err)
		}
		wait, cancel := context.WithTimeout(ctx, tendEvery)
		_ = m.store.WaitApplied(wait, applied+1) // or a second is over
		cancel()
	}
}

// tend does what takes the network.
func (n *Node) tend(ctx context.Context) {
	defer n.stopPilot()
	var idle caState
	for pause(ctx, tendEvery, n.membership.poked) {
		m := n.member.Load()
		if m == nil || m.port == nil {
			continue
		}
		n.noticeRemoval(ctx, m)
		if err := n.renew(ctx, m); err != nil {
			n.logger.Debug("cannot renew this node's certificate yet", "error", err)
		}
		if _, err := n.leads(); err != nil {
			n.stopPilot()
			continue
		}
		n.startPilot(m)
		if err := n.dropStrays(ctx, m); err != nil {
			n.logger.Warn("cannot revoke the certificate of a node that was removed", "error", err)
		}
		if err := n.tendCA(ctx, m, &idle); err != nil {
			n.logger.Warn("cannot go on replacing the CA of the cluster port", "error", err)
		}
	}
}

// pause waits for d or a poke; false when ctx has ended.
func pause(ctx context.Context, d time.Duration, poke <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-poke:
	}
	return true
}

// pokeTend has tend look at once.
func (n *Node) pokeTend() {
	select {
	case n.membership.poked <- struct{}{}:
	default:
	}
}

func isServer(id string) func(raftstore.Server) bool {
	return func(s raftstore.Server) bool { return s.ID == id }
}
