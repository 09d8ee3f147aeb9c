package kv

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"

	"strongroom/internal/storage"
)

// mapStore is a storage.Store that is nothing but a map and a lock.
type mapStore struct {
	mu   sync.Mutex
	m    map[string]storage.Entry
	last uint64
	gets int
	// writes is how many the last batch made.
	writes int
}

func newStore() *mapStore { return &mapStore{m: map[string]storage.Entry{}} }

func (s *mapStore) Get(_ context.Context, key string) (storage.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets++
	e := s.m[key]
	return storage.Entry{Value: slices.Clone(e.Value), Version: e.Version}, nil
}

func (s *mapStore) Version(_ context.Context, key string) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[key].Version, nil
}

func (s *mapStore) Keys(_ context.Context, prefix, after string) iter.Seq2[string, error] {
	keys := s.keys()
	return func(yield func(string, error) bool) {
		for _, k := range keys {
			if strings.HasPrefix(k, prefix) && k > after && !yield(k, nil) {
				return
			}
		}
	}
}

func (s *mapStore) keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for k := range s.m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (s *mapStore) Apply(_ context.Context, b storage.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range b.Checks {
		if s.m[c.Key].Version != c.Version {
			return storage.ErrConflict
		}
	}
	s.last++
	s.writes = len(b.Writes)
	for _, w := range b.Writes {
		if w.Delete {
			delete(s.m, w.Key)
		} else {
			s.m[w.Key] = storage.Entry{Value: slices.Clone(w.Value), Version: s.last}
		}
	}
	return nil
}
