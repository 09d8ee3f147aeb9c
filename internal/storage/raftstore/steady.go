package raftstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

// mendPause is how long a change that must not fail waits before it is tried
// again: a full disk is emptied by people.
const mendPause = time.Second

// steadyLog is the log as Raft takes it to be: a change of it has happened or
// has not. raft-wal alone is not: after a file that could not be begun it takes
// nothing more, and after an fsync that failed nobody knows what is on the disk,
// not even a second fsync that succeeds.
//
// So after a change that failed the files are opened again, what was never said
// to be stored is cut off (which begins a new file), and the change is made once
// more. Most faults end there; the others reach Raft, and the next change tries
// the same. Until it succeeds, reads go on from the files as they were.
//
// A change whose failure Raft does not survive is tried until it succeeds, or
// until the Store closes: saving the term and the vote; cutting off the end of
// the log; and storing what takes the place of an end that was cut off. The node
// is like a paused one meanwhile.
type steadyLog struct {
	reopen func() (*wal.WAL, error) // opens the files beside the one that is open
	size   func() (int64, error)    // of all files, in bytes
	meta   io.Closer                // outlives every opening
	logger hclog.Logger
	done   <-chan struct{} // the Store closes

	now atomic.Pointer[wal.WAL]

	mu     sync.Mutex // held by the one change
	broken bool       // now takes nothing more
	cut    bool       // Raft still counts entries that were cut off
	ended  error      // a term was not saved, at the end: nothing may be stored on it
}

// newSteadyLog opens the log; ctx ends the changes that wait.
func newSteadyLog(ctx context.Context, reopen func() (*wal.WAL, error), size func() (int64, error), meta io.Closer, logger hclog.Logger) (*steadyLog, error) {
	w, err := reopen()
	if err != nil {
		return nil, err
	}
	l := &steadyLog{reopen: reopen, size: size, meta: meta, logger: logger, done: ctx.Done()}
	l.now.Store(w)
	return l, nil
}

// Close implements io.Closer.
func (l *steadyLog) Close() error { return errors.Join(l.now.Load().Close(), l.meta.Close()) }

// change makes a change, twice if need be, or until it succeeds if it must.
func (l *steadyLog) change(must bool, do func(checkedLog) error) error {
	if l.ended != nil {
		return l.ended
	}
	for try := 0; ; try++ {
		err := l.attempt(do)
		switch {
		case err == nil && try > 0:
			l.logger.Info("the log is written again")
			return nil
		case err == nil, try > 0 && !must:
			return err
		case try == 0:
			l.logger.Error("the log could not be written; what it was to take is written again to a new file", "error", err)
			continue
		case try%60 == 1:
			l.logger.Error("the log cannot be written; this node waits until it can", "error", err)
		}
		select {
		case <-time.After(mendPause):
		case <-l.done:
			return err
		}
	}
}

func (l *steadyLog) attempt(do func(checkedLog) error) error {
	if l.broken {
		if err := l.mend(); err != nil {
			return err
		}
	}
	if err := do(checkedLog{l.now.Load()}); err != nil {
		l.broken = true
		return err
	}
	return nil
}

// mend opens the files again and makes them say what Raft was told.
func (l *steadyLog) mend() error {
	old := l.now.Load()
	told, err := old.LastIndex()
	if err != nil {
		return err
	}
	fresh, err := l.reopen()
	if err != nil {
		return fmt.Errorf("raftstore: open the log again: %w", err)
	}
	last, err := fresh.LastIndex()
	if err == nil && last > told {
		err = fresh.DeleteRange(told+1, last)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("raftstore: cut off what was not stored: %w", err), fresh.Close())
	}
	// A log that is shorter now is one whose end was cut off although the cut was
	// reported as failed: then change is about to cut it off again.
	l.now.Store(fresh)
	l.broken = false
	if err := old.Close(); err != nil {
		l.logger.Warn("closing the log's old files", "error", err)
	}
	return nil
}

// read reads from the files as they are.
func (l *steadyLog) read(do func(checkedLog) error) error {
	for {
		w := l.now.Load()
		if err := do(checkedLog{w}); !errors.Is(err, wal.ErrClosed) || l.now.Load() == w {
			return err
		}
	}
}

// StoreLog implements raft.LogStore.
func (l *steadyLog) StoreLog(entry *raft.Log) error { return l.StoreLogs([]*raft.Log{entry}) }

// StoreLogs implements raft.LogStore.
func (l *steadyLog) StoreLogs(entries []*raft.Log) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.change(l.cut, func(w checkedLog) error { return w.StoreLogs(entries) })
	l.cut = l.cut && err != nil
	return err
}

// DeleteRange implements raft.LogStore.
func (l *steadyLog) DeleteRange(from, to uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, err := l.now.Load().LastIndex()
	if err != nil {
		return err
	}
	end := to >= last && from <= last
	l.cut = l.cut || end
	return l.change(end, func(w checkedLog) error { return w.DeleteRange(from, to) })
}

// Set implements raft.StableStore.
func (l *steadyLog) Set(key, value []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.change(true, func(w checkedLog) error { return w.Set(key, value) })
}

// SetUint64 implements raft.StableStore. Raft panics when it cannot save the
// term it is in. Where that is because the Store closes it is spared: this node
// votes for nobody and takes no entry in that term, so nothing depends on its
// having known it.
func (l *steadyLog) SetUint64(key []byte, value uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.change(true, func(w checkedLog) error { return w.SetUint64(key, value) })
	if err != nil && string(key) == "CurrentTerm" {
		l.ended = err
		return nil
	}
	return err
}

// Get implements raft.StableStore.
func (l *steadyLog) Get(key []byte) (value []byte, err error) {
	err = l.read(func(w checkedLog) error { value, err = w.Get(key); return err })
	return value, err
}

// GetUint64 implements raft.StableStore.
func (l *steadyLog) GetUint64(key []byte) (value uint64, err error) {
	err = l.read(func(w checkedLog) error { value, err = w.GetUint64(key); return err })
	return value, err
}

// FirstIndex implements raft.LogStore.
func (l *steadyLog) FirstIndex() (index uint64, err error) {
	err = l.read(func(w checkedLog) error { index, err = w.FirstIndex(); return err })
	return index, err
}

// LastIndex implements raft.LogStore.
func (l *steadyLog) LastIndex() (index uint64, err error) {
	err = l.read(func(w checkedLog) error { index, err = w.LastIndex(); return err })
	return index, err
}

// GetLog implements raft.LogStore.
func (l *steadyLog) GetLog(index uint64, entry *raft.Log) error {
	return l.read(func(w checkedLog) error { return w.GetLog(index, entry) })
}

// Size is what the log takes of the disk, in bytes.
func (l *steadyLog) Size() (int64, error) { return l.size() }

// IsMonotonic implements raft.MonotonicLogStore.
func (l *steadyLog) IsMonotonic() bool { return true }
