package raftstore

import (
	"bytes"
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

// The stream that carries a whole state to another node; see
// docs/format/raft-entry.md. It is written from a Pebble snapshot: no second
// copy of the data is ever made.
const (
	streamMagic  = "SRSTATE\x01" // the last byte is the version
	streamHeader = len(streamMagic) + 8
	streamFooter = 1 + 8 + sha256.Size

	recordPair = 1
	recordEnd  = 0

	// streamLimit bounds one key and one value of a stream.
	streamLimit = storage.MaxBatch + versionSize
)

// errStream: a state stream is torn or altered.
var errStream = errors.New("raftstore: damaged state stream")

// stateReader is the stream of one Pebble snapshot.
type stateReader struct {
	state *state
	snap  *pebble.Snapshot
	iter  *pebble.Iterator
	sum   hash.Hash
	buf   bytes.Buffer
	count uint64
	valid bool // iter stands on a pair
	ended bool
	err   error
	stop  *atomic.Bool // ends it early
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
	applied, err := snapshotApplied(r.snap)
	if err != nil {
		return nil, 0, err
	}
	if r.iter, err = newDataIter(r.snap); err != nil {
		return nil, 0, err
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
	r.emit(binary.BigEndian.AppendUint64([]byte(streamMagic), applied))
	return r, size, nil
}

func snapshotApplied(snap *pebble.Snapshot) (uint64, error) {
	v, closer, err := snap.Get(appliedKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("raftstore: read the applied index: %w", err)
	}
	defer closer.Close()
	if len(v) != 8 {
		return 0, fmt.Errorf("raftstore: the applied index has %d bytes: %w", len(v), errCorrupt)
	}
	return binary.BigEndian.Uint64(v), nil
}

func newDataIter(r pebble.Reader) (*pebble.Iterator, error) {
	lower, upper := bounds("", "")
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, fmt.Errorf("raftstore: iterate: %w", err)
	}
	return it, nil
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
		v, err := r.iter.ValueAndErr()
		if err != nil {
			r.err = fmt.Errorf("raftstore: stream the state: %w", err)
			return
		}
		k := r.iter.Key()[1:]
		head = binary.AppendUvarint(append(head[:0], recordPair), uint64(len(k)))
		head = binary.AppendUvarint(append(head, k...), uint64(len(v)))
		r.emit(head)
		r.emit(v)
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
	return err
}

// stateWriter is an io.Writer that fills an empty state from a stream. Nothing
// it wrote counts until finish returns without error.
type stateWriter struct {
	state   *state
	batch   *pebble.Batch
	sum     hash.Hash
	buf     []byte // received, not yet understood
	last    []byte // the last key: they ascend
	applied uint64
	count   uint64
	started bool
	ended   bool
	err     error
}

func newStateWriter(s *state) *stateWriter {
	return &stateWriter{state: s, batch: s.db.NewBatch(), sum: sha256.New()}
}

// Write implements io.Writer; its error is final.
func (w *stateWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	w.buf = append(w.buf, p...)
	rest := w.buf
	for {
		n, err := w.take(rest)
		if err != nil {
			w.err = err
			return 0, err
		}
		if n == 0 {
			break
		}
		rest = rest[n:]
	}
	w.buf = w.buf[:copy(w.buf, rest)]
	return len(p), nil
}

// take consumes one element at the front of b, and none if b does not hold it
// whole.
func (w *stateWriter) take(b []byte) (int, error) {
	switch {
	case !w.started:
		if len(b) < streamHeader {
			return 0, nil
		}
		if string(b[:len(streamMagic)]) != streamMagic {
			return 0, fmt.Errorf("%w: it does not begin as release 1 streams do; run the same release on all nodes", errStream)
		}
		w.started = true
		w.applied = binary.BigEndian.Uint64(b[len(streamMagic):])
		w.sum.Write(b[:streamHeader])
		return streamHeader, nil
	case w.ended:
		if len(b) > 0 {
			return 0, fmt.Errorf("%w: trailing bytes", errStream)
		}
		return 0, nil
	case len(b) == 0:
		return 0, nil
	case b[0] == recordEnd:
		return w.takeEnd(b)
	case b[0] == recordPair:
		return w.takePair(b)
	}
	return 0, fmt.Errorf("%w: unknown record", errStream)
}

func (w *stateWriter) takeEnd(b []byte) (int, error) {
	if len(b) < streamFooter {
		return 0, nil
	}
	w.sum.Write(b[:9])
	if binary.BigEndian.Uint64(b[1:]) != w.count || !bytes.Equal(w.sum.Sum(nil), b[9:streamFooter]) {
		return 0, fmt.Errorf("%w: the checksum is wrong", errStream)
	}
	w.ended = true
	return streamFooter, nil
}

func (w *stateWriter) takePair(b []byte) (int, error) {
	key, n, err := takeField(b, 1)
	if n == 0 || err != nil {
		return 0, err
	}
	value, n, err := takeField(b, n)
	if n == 0 || err != nil {
		return 0, err
	}
	if len(value) < versionSize || bytes.Compare(key, w.last) <= 0 {
		return 0, fmt.Errorf("%w: pairs out of order", errStream)
	}
	w.last = append(w.last[:0], key...)
	w.sum.Write(b[:n])
	w.count++
	op := w.batch.SetDeferred(1+len(key), len(value))
	op.Key[0] = dataPrefix
	copy(op.Key[1:], key)
	copy(op.Value, value)
	if err := op.Finish(); err != nil {
		return 0, fmt.Errorf("raftstore: store a received state: %w", err)
	}
	if w.batch.Len() > 1<<20 {
		if err := w.commit(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// takeField reads a length and as many bytes at b[at:] and returns where they
// end, or 0 if b is too short.
func takeField(b []byte, at int) ([]byte, int, error) {
	n, size := binary.Uvarint(b[at:])
	switch {
	case size < 0 || n > streamLimit || size > 1 && b[at+size-1] == 0:
		return nil, 0, fmt.Errorf("%w: impossible length", errStream)
	case size == 0 || uint64(len(b)-at-size) < n:
		return nil, 0, nil
	}
	at += size
	end := at + int(n)
	return b[at:end], end, nil
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
	switch {
	case w.err != nil:
		return w.err
	case !w.ended:
		return fmt.Errorf("%w: it is cut short", errStream)
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

func uvarintLen(n int) int {
	size := 1
	for n >= 0x80 {
		n >>= 7
		size++
	}
	return size
}
