package raftstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"strongroom/internal/storage"
)

// Server is a member of the cluster.
type Server struct {
	ID      string
	Address string // host:port of its cluster listener
	Voter   bool
	Leader  bool // as far as this node knows
}

// Bootstrap founds a cluster of this node alone, reachable at addr ("" is the
// transport's own address). It fails if the node has state already.
func (s *Store) Bootstrap(addr string) error {
	address := raft.ServerAddress(addr)
	if addr == "" {
		address = s.addr
	}
	f := s.raft.BootstrapCluster(raft.Configuration{Servers: []raft.Server{{ID: s.id, Address: address}}})
	if err := s.await(context.Background(), f.Error); err != nil {
		return fmt.Errorf("raftstore: found a cluster: %w", err)
	}
	return nil
}

// HasState says whether this node belongs, or has belonged, to a cluster.
func (s *Store) HasState() bool { return len(s.configuration().Servers) > 0 }

// configuration is the latest one this node knows. Raft keeps it at hand and
// cannot fail.
func (s *Store) configuration() raft.Configuration {
	return s.raft.GetConfiguration().Configuration()
}

// AddVoter makes id, reachable at addr, a voting member, or gives a member a
// new address. Only on the leader: else storage.ErrNotLeader.
func (s *Store) AddVoter(ctx context.Context, id, addr string) error {
	return s.change(ctx, "add "+id, func(timeout time.Duration) raft.Future {
		return s.raft.AddVoter(raft.ServerID(id), raft.ServerAddress(addr), 0, timeout)
	})
}

// AddNonvoter makes id, reachable at addr, a member that receives everything
// but does not count for a majority. Only on the leader: else
// storage.ErrNotLeader.
func (s *Store) AddNonvoter(ctx context.Context, id, addr string) error {
	return s.change(ctx, "add "+id, func(timeout time.Duration) raft.Future {
		return s.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(addr), 0, timeout)
	})
}

// DemoteVoter takes the vote of id, which stays a member that receives everything.
// Only on the leader: else storage.ErrNotLeader.
func (s *Store) DemoteVoter(ctx context.Context, id string) error {
	return s.change(ctx, "demote "+id, func(timeout time.Duration) raft.Future {
		return s.raft.DemoteVoter(raft.ServerID(id), 0, timeout)
	})
}

// RemoveServer ends the membership of id. Only on the leader: else
// storage.ErrNotLeader.
func (s *Store) RemoveServer(ctx context.Context, id string) error {
	return s.change(ctx, "remove "+id, func(timeout time.Duration) raft.Future {
		return s.raft.RemoveServer(raft.ServerID(id), 0, timeout)
	})
}

// change runs a change of membership. Raft takes one at a time, so it may have
// to wait for another one.
func (s *Store) change(ctx context.Context, what string, do func(time.Duration) raft.Future) error {
	if err := s.writable(); err != nil {
		return err
	}
	timeout := 10 * time.Second
	if d, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(d), time.Millisecond)
	}
	if err := s.await(ctx, func() error { return do(timeout).Error() }); err != nil {
		return fmt.Errorf("raftstore: %s: %w", what, outcome(err))
	}
	return nil
}

// Servers lists the members in the latest configuration this node knows.
func (s *Store) Servers() []Server {
	leader, _, _ := s.Leader()
	var out []Server
	for _, m := range s.configuration().Servers {
		out = append(out, Server{string(m.ID), string(m.Address), m.Suffrage == raft.Voter, string(m.ID) == leader})
	}
	return out
}

// Leader returns the leader as far as this node knows.
func (s *Store) Leader() (id, addr string, ok bool) {
	a, i := s.raft.LeaderWithID()
	return string(i), string(a), i != ""
}

// Leadership yields the term when this node has become leader and its state
// holds everything ever acknowledged, and 0 when it leads no more. Only the
// latest news waits to be read, so a reader compares the term with the one it
// serves. It is closed by Close. There is one channel, for one reader.
func (s *Store) Leadership() <-chan uint64 { return s.terms }

// watch turns Raft's notices into terms.
func (s *Store) watch(notify <-chan bool) {
	defer close(s.terms)
	for {
		select {
		case leads := <-notify:
			if !leads {
				s.announce(0)
			} else if term, ok := s.settle(); ok {
				s.abandonRestore()
				s.announce(term)
			}
		case <-s.fsm.failed:
			s.announce(0)
			// Another node must lead: this one can apply nothing. Raft's answer
			// can come only after Close does, so nobody waits for it.
			s.shutdown()
			<-s.closed
			return
		case <-s.closed:
			s.announce(0)
			return
		}
	}
}

// settle waits until this leader's state holds every entry of earlier terms.
func (s *Store) settle() (term uint64, ok bool) {
	for s.raft.State() == raft.Leader {
		term := s.raft.CurrentTerm()
		err := s.await(context.Background(), func() error { return s.raft.Barrier(0).Error() })
		if s.fsm.err() != nil { // a barrier passes by the state machine
			return 0, false
		}
		if err == nil {
			return term, true
		}
		if errors.Is(err, storage.ErrClosed) || errors.Is(err, raft.ErrRaftShutdown) {
			return 0, false
		}
	}
	return 0, false
}

// announce replaces what nobody has read yet. Only watch sends, so the room it
// makes is its own.
func (s *Store) announce(term uint64) {
	select {
	case <-s.terms:
	default:
	}
	s.terms <- term
}

// Transfer hands leadership to the member toID, or to the most current one if
// toID is "", and returns when this node leads no more.
// Errors: storage.ErrNotLeader; no peer to hand it to.
func (s *Store) Transfer(ctx context.Context, toID string) error {
	if err := s.writable(); err != nil {
		return err
	}
	var f raft.Future
	if toID == "" {
		f = s.raft.LeadershipTransfer()
	} else {
		addr, ok := s.address(toID)
		if !ok {
			return fmt.Errorf("raftstore: transfer leadership: %q is no member of the cluster", toID)
		}
		f = s.raft.LeadershipTransferToServer(raft.ServerID(toID), addr)
	}
	if err := s.await(ctx, f.Error); err != nil {
		return fmt.Errorf("raftstore: transfer leadership: %w", err)
	}
	return nil
}

func (s *Store) address(id string) (raft.ServerAddress, bool) {
	for _, m := range s.configuration().Servers {
		if string(m.ID) == id {
			return m.Address, true
		}
	}
	return "", false
}
