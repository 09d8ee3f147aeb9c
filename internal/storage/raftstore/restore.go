package raftstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"strongroom/internal/storage"
)

// A restore is replicated as entries of the log: one that begins it, the pairs in
// pieces, one that ends it. Every node gathers the pairs beside its data and
// changes over when it applies the last entry. So a restore happens on all nodes
// at one index or on none, survives any crash as every write does, and is
// ordered with all of them. (Raft's own Restore changes the leader's state
// before anybody else has it: if that leader dies, the others go on without the
// restore, and hashicorp/raft never notices that its state is another.)

// restorePiece is about the most one entry of a restore holds.
const restorePiece = 1 << 20

// Restore makes what a stream of Backup holds the state of the whole cluster.
// Pairs whose key keep names (nil: none) stay as the running state has them, and
// are ignored in the stream. open returns the stream from its beginning, and is
// called twice: the stream is read to its end and verified before anything
// changes. Every restored pair gets the index of the restore as its version,
// whatever the stream says, so no version of the past reappears.
//
// Writes go on meanwhile; what is acknowledged before Restore returns may be
// replaced by it. Errors: storage.ErrNotLeader, storage.ErrConflict (another
// restore runs or leadership was lost between): nothing changed.
// storage.ErrUnknownOutcome, from the last entry only: it happened or will not.
func (s *Store) Restore(ctx context.Context, open func() (io.Reader, error), keep func(key string) bool) (err error) {
	if err := s.writable(); err != nil {
		return err
	}
	if !s.restoring.TryLock() {
		return fmt.Errorf("%w: another restore is under way", storage.ErrConflict)
	}
	defer s.restoring.Unlock()
	if keep == nil {
		keep = func(string) bool { return false }
	}
	err = s.readStream(open, func([]byte, []byte) error { return nil })
	if err != nil {
		return fmt.Errorf("raftstore: restore: %w", err)
	}
	id, err := s.propose(ctx, encodeBegin(), nil)
	if err != nil {
		return fmt.Errorf("raftstore: begin the restore: %w", err)
	}
	defer func() {
		if err != nil && s.fsm.staging.Load() == id { // give the space back; the next leader does it if this one cannot
			_, _ = s.propose(context.WithoutCancel(ctx), encodeAbort(id), nil)
		}
	}()
	count, err := s.sendPairs(ctx, open, id, keep)
	if err != nil {
		return notChanged(err)
	}
	return s.endRestore(ctx, id, count, keep)
}

// notChanged is err of an entry that changes nothing by itself.
func notChanged(err error) error {
	if errors.Is(err, storage.ErrUnknownOutcome) {
		return fmt.Errorf("raftstore: the restore was given up and changed nothing: %w: %v", storage.ErrNotLeader, err)
	}
	return fmt.Errorf("raftstore: the restore changed nothing: %w", err)
}

// readStream gives the pairs of a stream to pair; without an error it was whole.
func (s *Store) readStream(open func() (io.Reader, error), pair func(key, stored []byte) error) error {
	from, err := open()
	if err != nil {
		return err
	}
	p := newParser(func(key, stored []byte) error {
		if s.closing.Load() {
			return storage.ErrClosed
		}
		return pair(key, stored)
	})
	if _, err := io.Copy(p, from); err != nil {
		return err
	}
	return p.finish()
}

// sendPairs replicates the pairs of the stream but those that keep names, and
// returns how many.
func (s *Store) sendPairs(ctx context.Context, open func() (io.Reader, error), id uint64, keep func(string) bool) (count uint64, err error) {
	entry := encodePairs(id)
	send := func() error {
		_, err := s.propose(ctx, entry, nil)
		entry = encodePairs(id) // Raft may still hold the one before
		return err
	}
	err = s.readStream(open, func(key, stored []byte) error {
		if keep(string(key)) {
			return nil
		}
		count++
		entry = appendPair(entry, key, stored[versionSize:])
		if len(entry) < restorePiece {
			return nil
		}
		return send()
	})
	if err != nil {
		return 0, err
	}
	return count, send()
}

// endRestore sends the last entry while no write is under way, so that the keys
// it names are exactly those to keep.
func (s *Store) endRestore(ctx context.Context, id, count uint64, keep func(string) bool) error {
	if err := s.inflight.Acquire(ctx, maxInflight); err != nil {
		return notChanged(err)
	}
	entry, err := s.lastEntry(ctx, id, count, keep)
	if err != nil {
		s.inflight.Release(maxInflight)
		return notChanged(err)
	}
	if _, err := s.submit(ctx, entry, maxInflight, nil); err != nil {
		return fmt.Errorf("raftstore: end the restore: %w", err)
	}
	return nil
}

func (s *Store) lastEntry(ctx context.Context, id, count uint64, keep func(string) bool) ([]byte, error) {
	entry := encodeEnd(id, count)
	for key, err := range s.Keys(ctx, "", "") {
		if err != nil {
			return nil, err
		}
		if keep(key) {
			entry = appendField(entry, key)
		}
	}
	if len(entry) > storage.MaxBatch {
		return nil, fmt.Errorf("%w: the names of the keys to keep take %d bytes", storage.ErrTooLarge, len(entry))
	}
	return entry, nil
}

// abandonRestore ends what a leader before this one has left unfinished.
func (s *Store) abandonRestore() {
	if id := s.fsm.staging.Load(); id != 0 {
		if _, err := s.propose(context.Background(), encodeAbort(id), nil); err != nil && !s.closing.Load() {
			s.logger.Warn("cannot end the restore that another leader has left; the next leader will", "error", err)
		}
	}
}

// restoreVersion is the first byte of the entries of a restore.
const restoreVersion = 2

const (
	restoreBegin = 0
	restorePairs = 1
	restoreEnd   = 2
	restoreAbort = 3
)

// restoreEntry is an entry of a restore. ID is the index of the one that began it.
type restoreEntry struct {
	kind  byte
	id    uint64
	count uint64          // end: pairs in all
	pairs []storage.Write // pairs
	keep  []string        // end: keys that stay as they are
}

func encodeBegin() []byte { return []byte{restoreVersion, restoreBegin} }

func encodePairs(id uint64) []byte {
	return binary.AppendUvarint([]byte{restoreVersion, restorePairs}, id)
}

func encodeEnd(id, count uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint([]byte{restoreVersion, restoreEnd}, id), count)
}

func encodeAbort(id uint64) []byte {
	return binary.AppendUvarint([]byte{restoreVersion, restoreAbort}, id)
}

func appendPair(entry, key, value []byte) []byte {
	return appendField(appendField(entry, key), value)
}

func appendField[T string | []byte](b []byte, field T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(field))), field...)
}

// decodeRestore is the inverse of these, and accepts nothing else.
func decodeRestore(data []byte) (e restoreEntry, err error) {
	d := reader{buf: data}
	if d.byte() != restoreVersion {
		d.fail("no restore")
	}
	switch e.kind = d.byte(); e.kind {
	case restoreBegin:
	case restorePairs:
		e.id = d.uvarint()
		for d.err == nil && len(d.buf) > 0 {
			e.pairs = append(e.pairs, storage.Write{Key: string(d.bytes()), Value: d.bytes()})
		}
	case restoreEnd:
		e.id, e.count = d.uvarint(), d.uvarint()
		for d.err == nil && len(d.buf) > 0 {
			e.keep = append(e.keep, string(d.bytes()))
		}
	case restoreAbort:
		e.id = d.uvarint()
	default:
		d.fail("unknown step of a restore")
	}
	if d.err == nil && len(d.buf) > 0 {
		d.fail("trailing bytes")
	}
	return e, d.err
}
