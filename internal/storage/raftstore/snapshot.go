package raftstore

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"
)

// snapshots is Raft's view of home: it records where the log may begin instead
// of keeping copies, because Pebble's flushed state is the snapshot.
//
// A stream made from it may hold entries later than meta.Index says: it is read
// from the state as it is when a follower needs it. That is right, because
//   - the state holds only committed entries, so every node that ever applies
//     those indices applies the same entries;
//   - the stream carries the applied index, and the receiver's state machine
//     skips entries up to it when Raft feeds it from meta.Index+1 on;
//   - configuration entries are not skipped: Raft itself reads them from the
//     log from meta.Index+1 on;
//   - the receiver cannot become leader and give an index in that range to an
//     entry of its own: the committed entries are on a quorum that denies its
//     vote until its log holds them.
type snapshots struct{ home *home }

// List implements raft.SnapshotStore.
func (s snapshots) List() ([]*raft.SnapshotMeta, error) {
	meta, st, err := s.home.snapshot()
	if err != nil {
		return nil, err
	}
	st.release()
	if meta == nil {
		return nil, nil
	}
	return []*raft.SnapshotMeta{meta}, nil
}

// Open implements raft.SnapshotStore: the staged state of that id, or else the
// current state as a stream (a later one than asked for serves as well).
func (s snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if staged := s.home.stagedAs(id); staged != nil {
		return staged.meta, staged, nil
	}
	recorded, st, err := s.home.snapshot()
	if err != nil {
		return nil, nil, err
	}
	if recorded == nil {
		st.release()
		return nil, nil, errors.New("raftstore: no snapshot")
	}
	r, size, err := newStateReader(st, &s.home.closing)
	if err != nil {
		return nil, nil, err
	}
	r.sent = s.home.sending.begin()
	if now, err := readStaging(r.snap); err != nil || now.id != 0 {
		// What a restore has gathered does not travel, so a follower that went on
		// from here could not follow its end. Raft tries again soon.
		return nil, nil, errors.Join(errors.New("raftstore: no state is sent while a restore is under way"), err, r.Close())
	}
	meta := *recorded
	meta.Size = size
	return &meta, r, nil
}

// Create implements raft.SnapshotStore.
func (s snapshots) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, _ raft.Transport,
) (raft.SnapshotSink, error) {
	return &sink{home: s.home, meta: &raft.SnapshotMeta{
		Version: version, ID: fmt.Sprintf("%d-%d", term, index), Index: index, Term: term,
		Configuration: configuration, ConfigurationIndex: configurationIndex,
	}}, nil
}

// sink takes either the word of the local state machine that its state is
// flushed (persisted), or a leader's stream (Write).
type sink struct {
	home      *home
	meta      *raft.SnapshotMeta
	flushed   *state // set by persisted
	writer    *stateWriter
	completed bool
}

// ID implements raft.SnapshotSink.
func (s *sink) ID() string { return s.meta.ID }

// Write implements io.Writer: a stream begins.
func (s *sink) Write(p []byte) (int, error) {
	if s.writer == nil {
		st, err := s.home.stage()
		if err != nil {
			return 0, err
		}
		s.writer = newStateWriter(st)
	}
	return s.writer.Write(p)
}

// Close implements raft.SnapshotSink. A stream is only staged by it: the state
// machine's Restore switches to it.
func (s *sink) Close() error {
	if s.completed {
		return nil
	}
	s.completed = true
	switch {
	case s.flushed != nil:
		return s.home.record(s.flushed, s.meta)
	case s.writer == nil:
		return fmt.Errorf("%w: it is empty", errStream)
	}
	if err := s.writer.finish(); err != nil {
		s.drop()
		return err
	}
	s.home.setStaged(&staged{state: s.writer.state, applied: s.writer.applied, meta: s.meta})
	return nil
}

// Cancel implements raft.SnapshotSink.
func (s *sink) Cancel() error {
	if !s.completed {
		s.completed = true
		s.drop()
	}
	return nil
}

func (s *sink) drop() {
	if s.writer != nil {
		s.writer.abandon()
		s.home.discard(s.writer.state)
		s.writer = nil
	}
}

// staged is a received state, complete and durable, that does not count yet. As
// a reader it is empty: Restore takes the state itself.
type staged struct {
	state   *state
	applied uint64
	meta    *raft.SnapshotMeta
}

func (*staged) Read([]byte) (int, error) { return 0, io.EOF }
func (*staged) Close() error             { return nil }

// setStaged keeps s until Restore takes it; one that was never taken is dropped.
func (h *home) setStaged(s *staged) {
	h.mu.Lock()
	old := h.staged
	h.staged = s
	h.mu.Unlock()
	if old != nil {
		h.discard(old.state)
	}
}

func (h *home) stagedAs(id string) *staged {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.staged != nil && h.staged.meta.ID == id {
		return h.staged
	}
	return nil
}

// takeStaged removes s from the home; false if it is there no more.
func (h *home) takeStaged(s *staged) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.staged != s {
		return false
	}
	h.staged = nil
	return true
}
