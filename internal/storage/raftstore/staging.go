package raftstore

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"strongroom/internal/storage"
)

// staging is how far a restore has come on this node: count pairs lie under the
// prefix that holds no data.
type staging struct{ id, count uint64 }

func (s staging) encode() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, s.id), s.count)
}

// readStaging returns zeros if no restore is under way.
func readStaging(r pebble.Reader) (staging, error) {
	v, err := readMeta(r, stagingKey, 16)
	if err != nil {
		return staging{}, fmt.Errorf("raftstore: read the restore under way: %w", err)
	}
	if v == nil {
		return staging{}, nil
	}
	return staging{binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])}, nil
}

// restore applies the entry of a restore at index, by itself; out is its answer:
// storage.ErrConflict if it belongs to a restore that has ended.
func (f *fsm) restore(s *state, data []byte, index uint64) (out, err error) {
	e, err := decodeRestore(data)
	if err != nil {
		return nil, err
	}
	now, err := readStaging(s.db)
	if err != nil {
		return nil, err
	}
	batch := s.db.NewBatch()
	defer func() { _ = batch.Close() }() // frees memory; Commit has reported
	if err := batch.Set(appliedKey, binary.BigEndian.AppendUint64(nil, index), nil); err != nil {
		return nil, err
	}
	at := *s.place.Load()
	moved := false
	switch {
	case e.kind == restoreBegin:
		now = staging{id: index}
		err = errors.Join(clearPrefix(batch, at.other()), batch.Set(stagingKey, now.encode(), nil))
	case e.id != now.id || e.kind == restoreEnd && e.count != now.count:
		out = fmt.Errorf("%w: the restore has been given up", storage.ErrConflict)
	case e.kind == restorePairs:
		now.count += uint64(len(e.pairs))
		err = stage(batch, at.other(), e.pairs)
		err = errors.Join(err, batch.Set(stagingKey, now.encode(), nil))
	case e.kind == restoreEnd:
		now = staging{}
		moved = true
		err = errors.Join(f.carry(s, batch, e.keep), batch.Delete(stagingKey, nil),
			batch.Set(placeKey, place{at.other(), index}.encode(), nil))
	case e.kind == restoreAbort:
		now = staging{}
		err = errors.Join(clearPrefix(batch, at.other()), batch.Delete(stagingKey, nil))
	}
	if err != nil {
		return nil, err
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		return nil, err
	}
	if moved {
		// Readers look twice where the data lies, so what lay there before goes
		// only after they can see that it does no more.
		s.place.Store(&place{at.other(), index})
		s.known.forget()
		f.replaced.Add(1)
		if err := clearPrefix(s.db, at.prefix); err != nil {
			return nil, err
		}
	}
	f.staging.Store(now.id)
	f.advance(index)
	return out, nil
}

// stage adds pairs under prefix; version 0 stands for the index of the entry
// that will end the restore.
func stage(batch *pebble.Batch, prefix byte, pairs []storage.Write) error {
	var unknown [versionSize]byte
	for _, p := range pairs {
		if err := setDeferred(batch, prefix, p.Key, unknown[:], p.Value); err != nil {
			return err
		}
	}
	return nil
}

// carry takes what is at keys over to the restored data, with their versions.
func (f *fsm) carry(s *state, batch *pebble.Batch, keys []string) error {
	other := s.place.Load().other()
	for _, key := range keys {
		var failed error
		err := s.get(key, func(version uint64, value []byte) {
			if version != 0 {
				failed = setDeferred(batch, other, key, binary.BigEndian.AppendUint64(nil, version), value)
			}
		})
		if err = errors.Join(err, failed); err != nil {
			return err
		}
	}
	return nil
}
