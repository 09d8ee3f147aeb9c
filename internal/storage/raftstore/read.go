package raftstore

import (
	"context"
	"fmt"
	"iter"

	"strongroom/internal/storage"
)

// Get implements storage.Store from this node's own state.
func (s *Store) Get(ctx context.Context, key string) (e storage.Entry, err error) {
	err = s.read(ctx, func(st *state) error {
		return st.get(key, func(version uint64, value []byte) {
			if version != 0 {
				e = storage.Entry{Value: append(make([]byte, 0, len(value)), value...), Version: version}
			}
		})
	})
	return e, err
}

// Version implements storage.Store from this node's own state.
func (s *Store) Version(ctx context.Context, key string) (version uint64, err error) {
	err = s.read(ctx, func(st *state) (err error) {
		version, err = st.version(key)
		return err
	})
	return version, err
}

func (s *Store) read(ctx context.Context, use func(*state) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("raftstore: read: %w", err)
	}
	st, err := s.home.acquire()
	if err != nil {
		return err
	}
	defer st.release()
	if err := use(st); err != nil {
		return fmt.Errorf("raftstore: read: %w", err)
	}
	return nil
}

// Keys implements storage.Store from this node's own state. The moment is that
// of the first step; an iteration holds that moment's files until it ends.
func (s *Store) Keys(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		stopped := false
		err := s.read(ctx, func(st *state) error {
			it, err := st.iterate(ctx, prefix, after)
			if err != nil {
				return err
			}
			defer func() { _ = it.Close() }() // repeats it.Error
			for ok := it.First(); ok; ok = it.Next() {
				if err := ctx.Err(); err != nil {
					return err
				}
				if stopped = !yield(string(it.Key()[1:]), nil); stopped {
					return nil
				}
			}
			return it.Error()
		})
		if err != nil && !stopped {
			yield("", err)
		}
	}
}
