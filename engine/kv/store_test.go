package kv

import (
	"context"
	"sync"

	"strongroom/internal/storage"
)

// counted is a storage.Mem that counts what it is asked.
type counted struct {
	*storage.Mem
	mu   sync.Mutex
	gets int
	// writes is how many the last batch made.
	writes int
}

func newStore() *counted { return &counted{Mem: storage.NewMem()} }

// Get implements storage.Store.
func (s *counted) Get(ctx context.Context, key string) (storage.Entry, error) {
	s.mu.Lock()
	s.gets++
	s.mu.Unlock()
	return s.Mem.Get(ctx, key)
}

// Apply implements storage.Store.
func (s *counted) Apply(ctx context.Context, b storage.Batch) error {
	s.mu.Lock()
	s.writes = len(b.Writes)
	s.mu.Unlock()
	return s.Mem.Apply(ctx, b)
}

// keys are all keys, in order.
func (s *counted) keys() (keys []string) {
	for k := range s.Keys(context.Background(), "", "") {
		keys = append(keys, k)
	}
	return keys
}

// plant puts value at key, behind the engine's back; nil deletes it.
func (s *counted) plant(key string, value []byte) {
	err := s.Mem.Apply(context.Background(), storage.Batch{Writes: []storage.Write{{Key: key, Value: value, Delete: value == nil}}})
	if err != nil {
		panic(err)
	}
}
