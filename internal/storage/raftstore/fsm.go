package raftstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"strongroom/internal/storage"
)

// chunk is about the most one Pebble batch holds: a Raft batch over it is
// committed in several, each with its own applied index.
const chunk = 4 << 20

// fsm applies committed entries to the state, on Raft's one FSM goroutine.
type fsm struct {
	home   *home
	logger hclog.Logger

	applied  atomic.Uint64 // index of the last entry in the state
	staging  atomic.Uint64 // index of the entry that began the restore under way; 0: none
	replaced atomic.Uint64 // how often the state was replaced as a whole
	// overlay holds the versions that the uncommitted Pebble batch gives its keys.
	overlay map[string]uint64

	mu      sync.Mutex
	waiting chan struct{} // closed and replaced when applied grows; nil if nobody waits
	failure error
	failed  chan struct{} // closed when failure is set
}

func newFSM(h *home, logger hclog.Logger) (*fsm, error) {
	s, err := h.acquire()
	if err != nil {
		return nil, err
	}
	defer s.release()
	applied, err := s.applied()
	if err != nil {
		return nil, err
	}
	f := &fsm{home: h, logger: logger, overlay: map[string]uint64{}, failed: make(chan struct{})}
	f.applied.Store(applied)
	now, err := readStaging(s.db)
	if err != nil {
		return nil, err
	}
	f.staging.Store(now.id)
	return f, nil
}

// Apply implements raft.FSM.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch implements raft.BatchingFSM: the answer to an entry is nil or an
// error of storage.
//
// An entry that cannot be decoded or applied stops this node for good: going on
// without it would make its state differ from its peers'.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	out := make([]any, len(logs))
	err := f.err()
	if err == nil {
		err = f.apply(logs, out)
	}
	if err != nil {
		f.fail(err)
		for i := range out {
			out[i] = fmt.Errorf("%w: %w", storage.ErrUnknownOutcome, err)
		}
	}
	return out
}

func (f *fsm) apply(logs []*raft.Log, out []any) error {
	s, err := f.home.acquire()
	if err != nil {
		return err
	}
	defer s.release()
	batch := s.db.NewBatch()
	defer func() { _ = batch.Close() }() // frees memory; Commit has reported
	clear(f.overlay)
	last := f.applied.Load()
	commit := func() error {
		if batch.Empty() { // entries whose checks did not hold; replayed, they do not again
			if last > f.applied.Load() {
				f.advance(last)
			}
			return nil
		}
		if err := batch.Set(appliedKey, binary.BigEndian.AppendUint64(nil, last), nil); err != nil {
			return err
		}
		if err := batch.Commit(pebble.NoSync); err != nil {
			return fmt.Errorf("raftstore: apply entry %d: %w", last, err)
		}
		s.known.note(f.overlay)
		clear(f.overlay)
		f.advance(last)
		return nil
	}
	for i, l := range logs {
		if l.Type != raft.LogCommand || l.Index <= last { // already in the state: a replay
			continue
		}
		if len(l.Data) > 0 && l.Data[0] == restoreVersion {
			if err := commit(); err != nil {
				return err
			}
			answer, err := f.restore(s, l.Data, l.Index)
			if err != nil {
				return fmt.Errorf("raftstore: restore at entry %d: %w", l.Index, err)
			}
			if answer != nil {
				out[i] = answer
			}
			_ = batch.Close()
			batch = s.db.NewBatch()
			last = l.Index
			continue
		}
		entry, err := decodeEntry(l.Data)
		if err != nil {
			return fmt.Errorf("raftstore: entry %d: %w", l.Index, err)
		}
		switch err := f.check(s, entry.Checks); {
		case errors.Is(err, storage.ErrConflict):
			out[i] = err
		case err != nil:
			return fmt.Errorf("raftstore: check entry %d: %w", l.Index, err)
		default:
			if err := f.write(batch, s.place.Load().prefix, entry.Writes, l.Index); err != nil {
				return fmt.Errorf("raftstore: apply entry %d: %w", l.Index, err)
			}
		}
		last = l.Index
		if batch.Len() > chunk {
			if err := commit(); err != nil {
				return err
			}
			_ = batch.Close()
			batch = s.db.NewBatch()
		}
	}
	return commit()
}

// check compares checks with the state and what the batch has done to it.
func (f *fsm) check(s *state, checks []storage.Check) error {
	for _, c := range checks {
		version, ok := f.overlay[c.Key]
		if !ok {
			var err error
			if version, err = s.version(c.Key); err != nil {
				return err
			}
		}
		if version != c.Version {
			return storage.ErrConflict
		}
	}
	return nil
}

func (f *fsm) write(batch *pebble.Batch, at byte, writes []storage.Write, index uint64) error {
	version := binary.BigEndian.AppendUint64(nil, index)
	for _, w := range writes {
		if w.Delete {
			op := batch.DeleteDeferred(1 + len(w.Key))
			op.Key[0] = at
			copy(op.Key[1:], w.Key)
			if err := op.Finish(); err != nil {
				return err
			}
			f.overlay[w.Key] = 0
			continue
		}
		if err := setDeferred(batch, at, w.Key, version, w.Value); err != nil {
			return err
		}
		f.overlay[w.Key] = index
	}
	return nil
}

// Snapshot implements raft.FSM.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	if f.home.sending.needsLog() {
		return nil, raft.ErrNothingNewToSnapshot // Raft tries again soon, and says nothing
	}
	s, err := f.home.acquire()
	if err != nil {
		return nil, err
	}
	return point{s}, nil
}

// point is the state at the moment of a snapshot, or later: see snapshots.
type point struct{ state *state }

// Persist makes the state durable, after which the log before it may go.
func (p point) Persist(to raft.SnapshotSink) error {
	if err := p.state.db.Flush(); err != nil {
		return fmt.Errorf("raftstore: flush the state: %w", err)
	}
	to.(*sink).flushed = p.state
	return nil
}

// Release implements raft.FSMSnapshot.
func (p point) Release() { p.state.release() }

// Restore implements raft.FSM: it switches to the state a leader has sent.
func (f *fsm) Restore(from io.ReadCloser) error {
	for {
		w, ok := from.(raft.ReadCloserWrapper)
		if !ok {
			break
		}
		from = w.WrappedReadCloser()
	}
	received, ok := from.(*staged)
	if !ok || !f.home.takeStaged(received) {
		return errors.New("raftstore: restore without a received state")
	}
	if err := f.home.switchTo(received.state, received.applied, received.meta); err != nil {
		received.state.release()
		f.fail(err)
		return err
	}
	f.staging.Store(0)
	f.replaced.Add(1)
	f.advance(received.applied)
	return nil
}

// advance makes index known as applied and wakes who waits for it.
func (f *fsm) advance(index uint64) {
	f.applied.Store(index)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting != nil {
		close(f.waiting)
		f.waiting = nil
	}
}

// next is closed when applied has grown.
func (f *fsm) next() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting == nil {
		f.waiting = make(chan struct{})
	}
	return f.waiting
}

// fail stops the state machine for good.
func (f *fsm) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failure != nil {
		return
	}
	f.failure = err
	f.logger.Error("the state machine has stopped; this node can apply nothing more", "error", err)
	close(f.failed)
}

func (f *fsm) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failure
}
