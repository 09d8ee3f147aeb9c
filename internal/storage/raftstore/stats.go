package raftstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"strongroom/internal/storage"
)

// Stats is where this node stands.
type Stats struct {
	State        string // Leader, Follower, Candidate or Shutdown
	Term         uint64
	LastIndex    uint64 // the last entry in the log, committed or not
	CommitIndex  uint64 // the last entry known to be committed
	AppliedIndex uint64 // the last batch in the state; other entries are not counted
	// LastContact is when the leader was last heard of; zero on the leader or
	// if never.
	LastContact time.Time
}

// Stats reads the counters; they are not of one moment.
func (s *Store) Stats() Stats {
	st := Stats{
		State: s.raft.State().String(), Term: s.raft.CurrentTerm(), LastIndex: s.raft.LastIndex(),
		CommitIndex: s.raft.CommitIndex(), AppliedIndex: s.fsm.applied.Load(),
	}
	if s.raft.State() != raft.Leader {
		st.LastContact = s.raft.LastContact()
	}
	return st
}

// Applied is the index of the last batch in this node's state.
func (s *Store) Applied() uint64 { return s.fsm.applied.Load() }

// Replaced counts how often this node's state was replaced as a whole since
// Open: by a Restore, or because a leader had to send it. What was read before
// may have changed anywhere.
func (s *Store) Replaced() uint64 { return s.fsm.replaced.Load() }

// Raft is for autopilot, which needs more of it than this package offers; nothing
// else uses it.
func (s *Store) Raft() *raft.Raft { return s.raft }

// Barrier returns when every batch acknowledged before it is in this leader's
// state. Errors: storage.ErrNotLeader, storage.ErrUnknownOutcome.
func (s *Store) Barrier(ctx context.Context) error {
	if err := s.writable(); err != nil {
		return err
	}
	if err := s.await(ctx, func() error { return s.raft.Barrier(0).Error() }); err != nil {
		return fmt.Errorf("raftstore: barrier: %w", outcome(err))
	}
	if err := s.fsm.err(); err != nil {
		return fmt.Errorf("raftstore: barrier: %w: %w", storage.ErrUnknownOutcome, err)
	}
	return nil
}

// VerifyLeader asks a quorum whether this node still leads, so that what it
// reads afterwards is current. Errors: storage.ErrNotLeader.
func (s *Store) VerifyLeader(ctx context.Context) error {
	if err := s.writable(); err != nil {
		return err
	}
	if err := s.await(ctx, func() error { return s.raft.VerifyLeader().Error() }); err != nil {
		return fmt.Errorf("raftstore: verify leadership: %w: %w", storage.ErrNotLeader, err)
	}
	return nil
}

// WaitApplied returns when this node's state holds the batch that made version
// (an Entry.Version, or a Stats.AppliedIndex of another node).
func (s *Store) WaitApplied(ctx context.Context, version uint64) error {
	for {
		grown := s.fsm.next()
		if s.fsm.applied.Load() >= version {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return fmt.Errorf("raftstore: wait for version %d: %w", version, context.Cause(ctx))
		case <-s.fsm.failed:
			return s.fsm.err()
		case <-s.closed:
			return storage.ErrClosed
		}
	}
}

// Failed is closed when this node can apply nothing more (a disk error, an
// entry it cannot read). Err then says why. The process should end: a restart
// replays the log.
func (s *Store) Failed() <-chan struct{} { return s.fsm.failed }

// Err is why Failed is closed, or nil.
func (s *Store) Err() error { return s.fsm.err() }

// Snapshot makes the state durable and truncates the log behind it.
func (s *Store) Snapshot(ctx context.Context) error {
	if s.closing.Load() {
		return storage.ErrClosed
	}
	if err := s.await(ctx, func() error { return s.raft.Snapshot().Error() }); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return fmt.Errorf("raftstore: snapshot: %w", err)
	}
	return nil
}

// Flush makes the state durable, so that a restart has less to replay.
func (s *Store) Flush() error {
	st, err := s.home.acquire()
	if err != nil {
		return err
	}
	defer st.release()
	if err := st.db.Flush(); err != nil {
		return fmt.Errorf("raftstore: flush: %w", err)
	}
	return nil
}

// boundLog has the log cut shorter while it takes more than maxLog of the disk:
// entries that were kept for followers can be large.
func (s *Store) boundLog() error {
	sized, ok := s.log.(interface{ Size() (int64, error) })
	if !ok {
		return nil
	}
	size, err := sized.Size()
	if err != nil {
		return err
	}
	now := s.raft.ReloadableConfig()
	keep := s.trailing
	if size > s.maxLog {
		first, err := s.log.FirstIndex()
		if err != nil {
			return err
		}
		last, err := s.log.LastIndex()
		if err != nil {
			return err
		}
		keep = min(now.TrailingLogs, max(minTrailing, uint64(float64(last-first+1)*float64(s.maxLog)/float64(size))))
	} else if size > s.maxLog/2 {
		return nil
	}
	before := now.TrailingLogs
	if now.TrailingLogs = keep; keep != before {
		if err := s.raft.ReloadConfig(now); err != nil {
			return err
		}
	}
	applied := s.fsm.applied.Load()
	if size <= s.maxLog || keep == before && applied == s.bounded {
		return nil
	}
	switch err := s.raft.Snapshot().Error(); {
	case errors.Is(err, raft.ErrNothingNewToSnapshot), errors.Is(err, raft.ErrRaftShutdown): // a follower needs the log: tried again
		return nil
	case err != nil:
		return err
	}
	s.bounded = applied
	return nil
}

// flushes calls Flush and boundLog now and then until Close.
func (s *Store) flushes() {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	var done uint64
	for {
		select {
		case <-tick.C:
		case <-s.closed:
			return
		}
		if now := s.fsm.applied.Load(); now != done {
			if err := s.Flush(); err != nil {
				s.logger.Warn("cannot make the state durable; the log keeps everything until that works", "error", err)
				continue
			}
			done = now
		}
		if err := s.boundLog(); err != nil {
			s.logger.Warn("cannot cut the log, which takes more of the disk than it should", "error", err)
		}
	}
}
