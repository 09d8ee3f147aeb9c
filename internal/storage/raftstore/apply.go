package raftstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"strongroom/internal/storage"
)

// Apply implements storage.Store: the batch is on the disks of a majority and
// in this node's state when it returns nil. Only the leader can; ctx ends the
// wait, not the write: storage.ErrUnknownOutcome, wrapping ctx's error.
func (s *Store) Apply(ctx context.Context, batch storage.Batch) error {
	if err := batch.Validate(); err != nil {
		return err
	}
	if err := s.writable(); err != nil {
		return err
	}
	entry := encodeEntry(batch)
	weight := max(int64(len(entry)), minWeight)
	if err := s.inflight.Acquire(ctx, weight); err != nil {
		return fmt.Errorf("raftstore: wait to write: %w", err)
	}
	if err := s.writable(); err != nil { // closed while waiting
		s.inflight.Release(weight)
		return err
	}
	f := s.raft.Apply(entry, 0)
	done := make(chan error, 1)
	go func() {
		err := f.Error()
		s.inflight.Release(weight)
		if err == nil {
			err, _ = f.Response().(error)
		}
		done <- err
	}()
	select {
	case err := <-done:
		return outcome(err)
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", storage.ErrUnknownOutcome, context.Cause(ctx))
	case <-s.closed:
		return fmt.Errorf("%w: %w", storage.ErrUnknownOutcome, storage.ErrClosed)
	}
}

// writable says at once what Raft would say after a queue.
func (s *Store) writable() error {
	switch {
	case s.closing.Load():
		return storage.ErrClosed
	case s.raft.State() != raft.Leader:
		return storage.ErrNotLeader
	}
	select {
	case <-s.fsm.failed: // Raft does not know yet
		return fmt.Errorf("%w: %w", storage.ErrNotLeader, s.fsm.err())
	default:
		return nil
	}
}

// outcome turns Raft's answer into storage's: ErrNotLeader only where the entry
// has certainly not entered the log.
func outcome(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, storage.ErrConflict), errors.Is(err, storage.ErrUnknownOutcome):
		return err
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress), errors.Is(err, raft.ErrEnqueueTimeout):
		return fmt.Errorf("%w: %w", storage.ErrNotLeader, err)
	}
	return fmt.Errorf("%w: %w", storage.ErrUnknownOutcome, err)
}

// await runs wait, which ends when its Raft future does, until ctx or Close. A
// future that outlives that is left to a goroutine that ends with it.
func (s *Store) await(ctx context.Context, wait func() error) error {
	done := make(chan error, 1)
	go func() { done <- wait() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.closed:
		return storage.ErrClosed
	}
}
