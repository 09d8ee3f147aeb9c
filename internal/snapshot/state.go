package snapshot

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"

	"strongroom/internal/storage"
)

// The state stream of docs/format/raft-entry.md.
const (
	streamMagic = "SRSTATE\x01"
	versionSize = 8 // of the version before every value
	recordPair  = 1
	recordEnd   = 0
)

// checkStream reads a state stream to its end and checks it; visit sees every
// key and its value's size.
func checkStream(r io.Reader, visit func(key string, size int) error) error {
	s := &stream{from: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}
	head := make([]byte, len(streamMagic)+8)
	if err := s.fill(head); err != nil {
		return err
	}
	if string(head[:len(streamMagic)]) != streamMagic {
		return damaged("the state does not begin as those of release 1 do")
	}
	var last, key, value []byte
	for count := uint64(0); ; count++ {
		var kind [1]byte
		if err := s.fill(kind[:]); err != nil {
			return err
		}
		if kind[0] == recordEnd {
			return s.end(count)
		}
		if kind[0] != recordPair {
			return damaged("the state holds an unknown record")
		}
		last, key = key, last
		var err error
		if key, err = s.field(key); err != nil {
			return err
		}
		if value, err = s.field(value); err != nil {
			return err
		}
		if len(key) == 0 || len(value) < versionSize || count > 0 && bytes.Compare(key, last) <= 0 {
			return damaged("the state's pairs are out of order")
		}
		if err := visit(string(key), len(value)-versionSize); err != nil {
			return err
		}
	}
}

type stream struct {
	from *bufio.Reader
	sum  hash.Hash
}

func (s *stream) fill(b []byte) error {
	if _, err := io.ReadFull(s.from, b); err != nil {
		return err
	}
	s.sum.Write(b)
	return nil
}

// field reads a length and as many bytes, into the memory of into if it is enough.
func (s *stream) field(into []byte) ([]byte, error) {
	n, err := binary.ReadUvarint(s.from)
	if err != nil {
		return nil, err
	}
	if n > storage.MaxBatch+versionSize {
		return nil, damaged("the state holds an impossible length")
	}
	s.sum.Write(binary.AppendUvarint(nil, n))
	if uint64(cap(into)) < n {
		into = make([]byte, n)
	}
	into = into[:n]
	return into, s.fill(into)
}

// end checks what follows the last pair.
func (s *stream) end(count uint64) error {
	var foot [8 + sha256.Size]byte
	if err := s.fill(foot[:8]); err != nil {
		return err
	}
	want := s.sum.Sum(nil)
	if err := s.fill(foot[8:]); err != nil {
		return err
	}
	if binary.BigEndian.Uint64(foot[:8]) != count || !bytes.Equal(want, foot[8:]) {
		return damaged("the state's checksum is wrong")
	}
	if _, err := s.from.ReadByte(); err != io.EOF {
		if err == nil {
			err = damaged("bytes follow the state")
		}
		return err
	}
	return nil
}
