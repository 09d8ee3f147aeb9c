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
// storage.ErrBusy answers at once where too many writes wait already.
func (s *Store) Apply(ctx context.Context, batch storage.Batch) error {
	if err := batch.Validate(); err != nil {
		return err
	}
	if err := s.writable(); err != nil {
		return err
	}
	_, err := s.propose(ctx, encodeEntry(batch), batch.Applied)
	return err
}

// propose has entry replicated and applied, when it is its turn, and returns its
// index and what Apply does.
func (s *Store) propose(ctx context.Context, entry []byte, applied func(uint64)) (index uint64, err error) {
	weight := max(int64(len(entry)), minWeight)
	if err := s.admit(ctx, weight, int64(len(entry))); err != nil {
		return 0, err
	}
	return s.submit(ctx, entry, weight, applied)
}

// admit takes weight of what may be under way, or waits for it, with an entry of
// size bytes, among a bounded crowd.
func (s *Store) admit(ctx context.Context, weight, size int64) error {
	if s.inflight.TryAcquire(weight) {
		return nil
	}
	defer s.waiters.Add(-1)
	defer s.waiting.Add(-size)
	if n, sum := s.waiters.Add(1), s.waiting.Add(size); n > maxWaiters || sum > maxWaiting {
		return fmt.Errorf("%w: %d writes of %d MiB wait", storage.ErrBusy, n-1, (sum-size)>>20)
	}
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ending, cancel)() // Close takes all the room and gives none back
	if err := s.inflight.Acquire(wait, weight); err != nil {
		if ctx.Err() == nil {
			return storage.ErrClosed
		}
		return fmt.Errorf("raftstore: wait to write: %w", err)
	}
	return nil
}

// submit hands entry, admitted with weight, to Raft.
func (s *Store) submit(ctx context.Context, entry []byte, weight int64, applied func(uint64)) (index uint64, err error) {
	if err := s.writable(); err != nil { // closed while waiting
		s.inflight.Release(weight)
		return 0, err
	}
	p := &proposal{entry: entry, weight: weight, applied: applied, done: make(chan error, 1)}
	s.groups.propose(s, p)
	select {
	case err := <-p.done:
		if err != nil {
			return 0, outcome(err)
		}
		return p.index, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: %w", storage.ErrUnknownOutcome, context.Cause(ctx))
	case <-s.closed:
		return 0, fmt.Errorf("%w: %w", storage.ErrUnknownOutcome, storage.ErrClosed)
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
