package raftstore

import (
	"context"
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2"

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
			stopped, err = eachKey(ctx, it, yield)
			return err
		})
		if err != nil && !stopped {
			yield("", err)
		}
	}
}

// mostAhead is how many keys are made into one string: a key by itself costs an
// allocation, which is half of what a long list costs.
const mostAhead = 64

// eachKey yields all keys of it, and says whether yield has stopped it. It looks
// ahead the further the more keys were wanted: who wants one gets one.
func eachKey(ctx context.Context, it *pebble.Iterator, yield func(string, error) bool) (stopped bool, err error) {
	var keys []byte
	var ends []int
	ok := it.First()
	for ahead := 1; ok; ahead = min(2*ahead, mostAhead) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		keys, ends = keys[:0], ends[:0]
		for ; ok && len(ends) < ahead; ok = it.Next() {
			keys = append(keys, it.Key()[1:]...)
			ends = append(ends, len(keys))
		}
		text, from := string(keys), 0
		for _, end := range ends {
			if !yield(text[from:end], nil) {
				return true, nil
			}
			from = end
		}
	}
	return false, it.Error()
}
