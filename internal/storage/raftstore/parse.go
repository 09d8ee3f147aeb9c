package raftstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"strongroom/internal/storage"
)

// The stream that carries a whole state: to another node, into a backup and
// back; docs/format/raft-entry.md specifies it.
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

// CheckStream reads a state stream (of Backup) to its end and calls visit, in
// ascending order, with every key and the bytes of its value. A stream that is
// torn, altered or something else is an error, and what was visited before it
// counts for nothing. visit may be nil; its error ends the reading.
func CheckStream(r io.Reader, visit func(key string, size int) error) error {
	p := newParser(func(key, stored []byte) error {
		if visit == nil {
			return nil
		}
		return visit(string(key), len(stored)-versionSize)
	})
	if _, err := io.Copy(p, r); err != nil {
		return err
	}
	return p.finish()
}

// parser is an io.Writer that understands a stream and hands on its pairs, which
// count for nothing until finish returns without error.
type parser struct {
	pair    func(key, stored []byte) error // what it is given is valid during the call
	sum     hash.Hash
	buf     []byte // received, not yet understood
	last    []byte // the last key: they ascend
	applied uint64
	count   uint64
	started bool
	ended   bool
	err     error
}

func newParser(pair func(key, stored []byte) error) *parser {
	return &parser{pair: pair, sum: sha256.New()}
}

// Write implements io.Writer; its error is final.
func (p *parser) Write(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	p.buf = append(p.buf, b...)
	rest := p.buf
	for {
		n, err := p.take(rest)
		if err != nil {
			p.err = err
			return 0, err
		}
		if n == 0 {
			break
		}
		rest = rest[n:]
	}
	p.buf = p.buf[:copy(p.buf, rest)]
	return len(b), nil
}

// finish says whether the stream was whole.
func (p *parser) finish() error {
	switch {
	case p.err != nil:
		return p.err
	case !p.ended:
		return fmt.Errorf("%w: it is cut short", errStream)
	}
	return nil
}

// take consumes one element at the front of b, and none if b does not hold it
// whole.
func (p *parser) take(b []byte) (int, error) {
	switch {
	case !p.started:
		if len(b) < streamHeader {
			return 0, nil
		}
		if string(b[:len(streamMagic)]) != streamMagic {
			return 0, fmt.Errorf("%w: it does not begin as the state streams of this release do; use the release that wrote it", errStream)
		}
		p.started = true
		p.applied = binary.BigEndian.Uint64(b[len(streamMagic):])
		p.sum.Write(b[:streamHeader])
		return streamHeader, nil
	case p.ended:
		if len(b) > 0 {
			return 0, fmt.Errorf("%w: trailing bytes", errStream)
		}
		return 0, nil
	case len(b) == 0:
		return 0, nil
	case b[0] == recordEnd:
		return p.takeEnd(b)
	case b[0] == recordPair:
		return p.takePair(b)
	}
	return 0, fmt.Errorf("%w: unknown record", errStream)
}

func (p *parser) takeEnd(b []byte) (int, error) {
	if len(b) < streamFooter {
		return 0, nil
	}
	p.sum.Write(b[:9])
	if binary.BigEndian.Uint64(b[1:]) != p.count || !bytes.Equal(p.sum.Sum(nil), b[9:streamFooter]) {
		return 0, fmt.Errorf("%w: the checksum is wrong", errStream)
	}
	p.ended = true
	return streamFooter, nil
}

func (p *parser) takePair(b []byte) (int, error) {
	key, n, err := takeField(b, 1)
	if n == 0 || err != nil {
		return 0, err
	}
	value, n, err := takeField(b, n)
	if n == 0 || err != nil {
		return 0, err
	}
	if len(value) < versionSize || bytes.Compare(key, p.last) <= 0 {
		return 0, fmt.Errorf("%w: pairs out of order", errStream)
	}
	p.last = append(p.last[:0], key...)
	p.sum.Write(b[:n])
	p.count++
	return n, p.pair(key, value)
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

func uvarintLen(n int) int {
	size := 1
	for n >= 0x80 {
		n >>= 7
		size++
	}
	return size
}
