package raftstore

import (
	"encoding/binary"
	"errors"
	"fmt"

	"strongroom/internal/storage"
)

// entryVersion is the first byte of every Raft entry; docs/format/raft-entry.md
// specifies the rest.
const entryVersion = 1

const (
	opPut    = 0
	opDelete = 1
)

// errEntry: a Raft entry is not what encodeEntry writes.
var errEntry = errors.New("raftstore: malformed log entry")

// encodeEntry writes batch, which is valid, in the one form decodeEntry accepts.
func encodeEntry(batch storage.Batch) []byte {
	n := 1 + 2*binary.MaxVarintLen32
	for _, c := range batch.Checks {
		n += len(c.Key) + binary.MaxVarintLen32 + binary.MaxVarintLen64
	}
	for _, w := range batch.Writes {
		n += 1 + len(w.Key) + len(w.Value) + 2*binary.MaxVarintLen32
	}
	b := append(make([]byte, 0, n), entryVersion)
	b = binary.AppendUvarint(b, uint64(len(batch.Checks)))
	for _, c := range batch.Checks {
		b = binary.AppendUvarint(b, uint64(len(c.Key)))
		b = append(b, c.Key...)
		b = binary.AppendUvarint(b, c.Version)
	}
	b = binary.AppendUvarint(b, uint64(len(batch.Writes)))
	for _, w := range batch.Writes {
		op := byte(opPut)
		if w.Delete {
			op = opDelete
		}
		b = append(b, op)
		b = binary.AppendUvarint(b, uint64(len(w.Key)))
		b = append(b, w.Key...)
		if !w.Delete {
			b = binary.AppendUvarint(b, uint64(len(w.Value)))
			b = append(b, w.Value...)
		}
	}
	return b
}

// decodeEntry is the inverse of encodeEntry. The values of the batch alias data.
// It accepts exactly the canonical encoding of valid batches, so that every
// node agrees about every entry.
func decodeEntry(data []byte) (storage.Batch, error) {
	d := reader{buf: data}
	if v := d.byte(); d.err == nil && v != entryVersion {
		return storage.Batch{}, fmt.Errorf("%w: version %d, this release knows version %d; upgrade this node", errEntry, v, entryVersion)
	}
	var batch storage.Batch
	for range d.count(3) { // a check is at least 3 bytes: so a count cannot ask for more memory than it came with
		batch.Checks = append(batch.Checks, storage.Check{Key: string(d.bytes()), Version: d.uvarint()})
	}
	for range d.count(3) {
		var w storage.Write
		switch op := d.byte(); {
		case d.err != nil:
		case op == opPut:
			w = storage.Write{Key: string(d.bytes()), Value: d.bytes()}
		case op == opDelete:
			w = storage.Write{Key: string(d.bytes()), Delete: true}
		default:
			d.fail("unknown operation")
		}
		if d.err != nil {
			break
		}
		batch.Writes = append(batch.Writes, w)
	}
	if d.err == nil && len(d.buf) > 0 {
		d.fail("trailing bytes")
	}
	if d.err != nil {
		return storage.Batch{}, d.err
	}
	if err := batch.Validate(); err != nil {
		return storage.Batch{}, fmt.Errorf("%w: %w", errEntry, err)
	}
	return batch, nil
}

// reader takes fields off buf; after the first error it yields zeros.
type reader struct {
	buf []byte
	err error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", errEntry, what)
	}
	r.buf = nil
}

func (r *reader) byte() byte {
	if len(r.buf) == 0 {
		r.fail("cut short")
		return 0
	}
	b := r.buf[0]
	r.buf = r.buf[1:]
	return b
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.buf)
	switch {
	case n <= 0:
		r.fail("bad number")
		return 0
	case n > 1 && r.buf[n-1] == 0:
		r.fail("padded number")
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.buf)) {
		r.fail("cut short")
		return nil
	}
	b := r.buf[:n:n]
	r.buf = r.buf[n:]
	return b
}

// count reads a number of items of at least size bytes each.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.buf)/size) {
		r.fail("more items than bytes")
		return 0
	}
	return int(n)
}
