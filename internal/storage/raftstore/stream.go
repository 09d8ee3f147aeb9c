package raftstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"strongroom/internal/storage"
)

// stateReader is the stream of one Pebble snapshot: no second copy of the data
// is ever made.
type stateReader struct {
	state   *state
	snap    *pebble.Snapshot
	place   place
	applied uint64
	iter    *pebble.Iterator
	sum     hash.Hash
	buf     bytes.Buffer
	count   uint64
	valid   bool // iter stands on a pair
	ended   bool
	err     error
	stop    *atomic.Bool // ends it early
	sent    func(bool)   // called by Close: whether all was read; nil for nothing
}

// newStateReader takes over the caller's hold on s. size is the stream's exact
// length, which Raft's transport announces beforehand: the data is walked twice.
func newStateReader(s *state, stop *atomic.Bool) (_ *stateReader, size int64, err error) {
	r := &stateReader{state: s, snap: s.db.NewSnapshot(), sum: sha256.New(), stop: stop}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if r.applied, err = readApplied(r.snap); err != nil {
		return nil, 0, err
	}
	if r.place, err = readPlace(r.snap); err != nil {
		return nil, 0, err
	}
	lower, upper := r.place.bounds("", "")
	if r.iter, err = r.snap.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper}); err != nil {
		return nil, 0, fmt.Errorf("raftstore: iterate: %w", err)
	}
	size = int64(streamHeader + streamFooter)
	for ok := r.iter.First(); ok; ok = r.iter.Next() {
		v, err := r.iter.ValueAndErr()
		if err != nil {
			return nil, 0, fmt.Errorf("raftstore: measure the state: %w", err)
		}
		if stop.Load() {
			return nil, 0, storage.ErrClosed
		}
		k := len(r.iter.Key()) - 1
		size += int64(1 + uvarintLen(k) + k + uvarintLen(len(v)) + len(v))
	}
	if err := r.iter.Error(); err != nil {
		return nil, 0, fmt.Errorf("raftstore: measure the state: %w", err)
	}
	r.valid = r.iter.First()
	r.emit(binary.BigEndian.AppendUint64([]byte(streamMagic), r.applied))
	return r, size, nil
}

func (r *stateReader) emit(b []byte) {
	r.sum.Write(b)
	r.buf.Write(b)
}

// Read implements io.Reader.
func (r *stateReader) Read(p []byte) (int, error) {
	for r.buf.Len() == 0 && r.err == nil {
		r.fill()
	}
	if r.buf.Len() == 0 {
		return 0, r.err
	}
	return r.buf.Read(p)
}

// fill emits the next 64 KiB or more.
func (r *stateReader) fill() {
	if r.ended {
		r.err = io.EOF
		return
	}
	if r.stop.Load() {
		r.err = storage.ErrClosed
		return
	}
	var head []byte
	for r.valid && r.buf.Len() < 64<<10 {
		k := r.iter.Key()[1:]
		v, err := r.iter.ValueAndErr()
		if err == nil && len(v) < versionSize {
			err = fmt.Errorf("a value of %d bytes: %w", len(v), errCorrupt)
		}
		if err != nil {
			r.err = fmt.Errorf("raftstore: stream the state: %w", err)
			return
		}
		head = binary.AppendUvarint(append(head[:0], recordPair), uint64(len(k)))
		head = binary.AppendUvarint(append(head, k...), uint64(len(v)))
		head = binary.BigEndian.AppendUint64(head, r.place.version(binary.BigEndian.Uint64(v)))
		r.emit(head)
		r.emit(v[versionSize:])
		r.count++
		r.valid = r.iter.Next()
	}
	if r.valid {
		return
	}
	if err := r.iter.Error(); err != nil {
		r.err = fmt.Errorf("raftstore: stream the state: %w", err)
		return
	}
	r.emit(binary.BigEndian.AppendUint64([]byte{recordEnd}, r.count))
	r.buf.Write(r.sum.Sum(nil))
	r.ended = true
}

// Close gives the Pebble snapshot and the state back.
func (r *stateReader) Close() error {
	if r.state == nil {
		return nil
	}
	var err error
	if r.iter != nil {
		err = r.iter.Close()
	}
	err = errors.Join(err, r.snap.Close())
	r.state.release()
	r.state = nil
	if r.sent != nil {
		r.sent(r.ended)
	}
	return err
}

// stateWriter is an io.Writer that fills an empty state from a stream. Nothing
// it wrote counts until finish returns without error.
type stateWriter struct {
	*parser
	state *state
	batch *pebble.Batch
}

func newStateWriter(s *state) *stateWriter {
	w := &stateWriter{state: s, batch: s.db.NewBatch()}
	w.parser = newParser(w.put)
	return w
}

func (w *stateWriter) put(key, stored []byte) error {
	if err := setDeferred(w.batch, firstPrefix, key, stored); err != nil {
		return fmt.Errorf("raftstore: store a received state: %w", err)
	}
	if w.batch.Len() > 1<<20 {
		return w.commit()
	}
	return nil
}

// setDeferred adds prefix+key = the values, one after the other, to b.
func setDeferred[K string | []byte](b *pebble.Batch, prefix byte, key K, values ...[]byte) error {
	n := 0
	for _, v := range values {
		n += len(v)
	}
	op := b.SetDeferred(1+len(key), n)
	op.Key[0] = prefix
	copy(op.Key[1:], key)
	at := 0
	for _, v := range values {
		at += copy(op.Value[at:], v)
	}
	return op.Finish()
}

func (w *stateWriter) commit() error {
	if err := w.batch.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("raftstore: store a received state: %w", err)
	}
	w.batch = w.state.db.NewBatch()
	return nil
}

// finish checks that the stream was whole and makes the state durable.
func (w *stateWriter) finish() error {
	if err := w.parser.finish(); err != nil {
		return err
	}
	if err := w.batch.Set(appliedKey, binary.BigEndian.AppendUint64(nil, w.applied), nil); err != nil {
		return fmt.Errorf("raftstore: store a received state: %w", err)
	}
	if err := w.commit(); err != nil {
		return err
	}
	w.abandon()
	if err := w.state.db.Flush(); err != nil {
		return fmt.Errorf("raftstore: flush a received state: %w", err)
	}
	return nil
}

// abandon frees the batch; the state stays the caller's.
func (w *stateWriter) abandon() {
	if w.batch != nil {
		_ = w.batch.Close() // uncommitted or empty: nothing to lose
		w.batch = nil
	}
}

// Backup is the stream of a node's state as of one moment, to be read to its end
// and closed; reading fails once ctx of its making has ended.
type Backup struct {
	Index uint64 // of the last batch in it
	Term  uint64 // Raft's, when it was made
	Size  int64  // its exact length in bytes

	ctx    context.Context
	stream *stateReader
}

// Backup begins a stream of this node's own state, which on the leader holds
// everything acknowledged. A state stays on the disk until its streams are closed.
func (s *Store) Backup(ctx context.Context) (*Backup, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("raftstore: back up: %w", err)
	}
	st, err := s.home.acquire()
	if err != nil {
		return nil, err
	}
	r, size, err := newStateReader(st, &s.home.closing)
	if err != nil {
		return nil, err
	}
	return &Backup{Index: r.applied, Term: s.raft.CurrentTerm(), Size: size, ctx: ctx, stream: r}, nil
}

// Read implements io.Reader. io.EOF means that the stream was whole.
func (b *Backup) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, fmt.Errorf("raftstore: back up: %w", err)
	}
	return b.stream.Read(p)
}

// Close implements io.Closer.
func (b *Backup) Close() error { return b.stream.Close() }
