package raftstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"strongroom/internal/storage"
)

// Confirm returns nil if this node led at some moment of the call, with a state that held everything acknowledged until then: a majority has
// accepted an entry of its term that did not exist before. Raft's own VerifyLeader would also count answers that were under way before the call,
// such as those that wait in the sockets of a process that was stopped. Otherwise the error is storage.ErrNotLeader or storage.ErrClosed.
func (s *Store) Confirm(ctx context.Context) error {
	if err := s.writable(); err != nil {
		return err
	}
	if s.alone() {
		return nil
	}
	err := s.await(ctx, func() error { return s.raft.Barrier(0).Error() })
	switch {
	case err == nil:
		return nil
	case errors.Is(err, storage.ErrClosed), errors.Is(err, raft.ErrRaftShutdown):
		return storage.ErrClosed
	}
	return fmt.Errorf("raftstore: confirm leadership: %w: %w", storage.ErrNotLeader, err)
}

// Settled waits until this node's state holds everything that any node's state
// can hold by its word, and returns the index up to which: that of the last
// batch committed when it was called, or a later one. A leader commits an entry,
// tells its followers and applies it, and a follower can be the first to have it
// in its state; who has read there must not read less here. Call it on a node
// that leads (Confirm).
func (s *Store) Settled(ctx context.Context) (uint64, error) {
	commit := s.raft.CommitIndex()
	applied := s.fsm.applied.Load()
	if applied >= commit || s.settled.Load() >= commit {
		return applied, nil
	}
	// The last of the entries that changes the state is what to wait for.
	last := commit
	for ; last > applied; last-- {
		var l raft.Log
		err := s.log.GetLog(last, &l)
		if errors.Is(err, raft.ErrLogNotFound) { // cut off, so it is long since in the state
			last = applied
			break
		}
		if err != nil {
			return 0, fmt.Errorf("raftstore: read what was committed: %w", err)
		}
		if l.Type == raft.LogCommand {
			break
		}
	}
	if err := s.WaitApplied(ctx, last); err != nil {
		return 0, err
	}
	for was := s.settled.Load(); was < commit && !s.settled.CompareAndSwap(was, commit); was = s.settled.Load() {
	}
	return s.fsm.applied.Load(), nil
}

// alone is whether no other node has a vote, so that none can be elected.
func (s *Store) alone() bool {
	for _, m := range s.configuration().Servers {
		if m.Suffrage == raft.Voter && m.ID != s.id {
			return false
		}
	}
	return true
}
