package raftstore

import (
	"sync"

	"github.com/hashicorp/raft"
)

// groups hands entries to Raft. While one group is on its way to a majority the
// next ones wait and then go together (more groups at a time were not faster): Raft puts whatever it finds waiting into one write
// to the log and one message, so a crowd of writers costs few of the disk's
// syncs, and a lone writer waits for nobody. Without it, clients that come one
// by one are given a sync each, and the disk is the limit (test/bench).
type groups struct {
	mu     sync.Mutex
	queue  []*proposal
	flying bool // a group is on its way
}

// proposal is an entry that waits for its outcome.
type proposal struct {
	entry  []byte
	weight int64 // of inflight, given back when Raft has answered
	index  uint64
	done   chan error // gets the outcome, once
	// applied is Batch.Applied. One goroutine at a time asks Raft for outcomes, in
	// the order of the log, and calls it.
	applied func(version uint64)
}

// propose queues p.
func (g *groups) propose(s *Store, p *proposal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.queue = append(g.queue, p)
	if !g.flying {
		g.flying = true
		go g.fly(s) // ends when nothing waits; Raft answers every entry, at the latest when it stops
	}
}

func (g *groups) fly(s *Store) {
	for {
		g.mu.Lock()
		group := g.queue
		g.queue = nil
		g.flying = len(group) > 0
		g.mu.Unlock()
		if len(group) == 0 {
			return
		}
		s.commit(group)
	}
}

// commit has Raft commit a group and gives every proposal its outcome.
func (s *Store) commit(group []*proposal) {
	answers := make([]raft.ApplyFuture, len(group))
	for i, p := range group {
		answers[i] = s.raft.Apply(p.entry, 0)
	}
	for i, p := range group {
		err := answers[i].Error()
		s.inflight.Release(p.weight)
		if err == nil {
			err, _ = answers[i].Response().(error)
			p.index = answers[i].Index()
			if err == nil && p.applied != nil {
				p.applied(p.index)
			}
		}
		p.done <- err
	}
}
