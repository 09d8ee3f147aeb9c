package storage

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
)

// Mem is a Store in memory: the model other Stores are compared with, and what
// tests of the layers above stand on. Nothing of it survives the process.
type Mem struct {
	mu      sync.RWMutex
	entries map[string]Entry
	// keys is sorted and never changed in place, so that an iteration under way
	// keeps the moment it began at.
	keys    []string
	version uint64
}

// NewMem makes an empty Mem.
func NewMem() *Mem { return &Mem{entries: map[string]Entry{}} }

// Get implements Store.
func (m *Mem) Get(ctx context.Context, key string) (Entry, error) {
	if err := ctx.Err(); err != nil {
		return Entry{}, fmt.Errorf("storage: get: %w", err)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	e := m.entries[key]
	if e.Exists() {
		e.Value = append(make([]byte, 0, len(e.Value)), e.Value...)
	}
	return e, nil
}

// Version implements Store.
func (m *Mem) Version(ctx context.Context, key string) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("storage: version: %w", err)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.entries[key].Version, nil
}

// Keys implements Store.
func (m *Mem) Keys(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		m.mu.RLock()
		keys := m.keys
		m.mu.RUnlock()
		from, found := slices.BinarySearch(keys, max(prefix, after))
		if found && keys[from] == after {
			from++
		}
		for _, k := range keys[from:] {
			if !strings.HasPrefix(k, prefix) {
				return
			}
			if err := ctx.Err(); err != nil {
				yield("", fmt.Errorf("storage: list: %w", err))
				return
			}
			if !yield(k, nil) {
				return
			}
		}
	}
}

// Apply implements Store.
func (m *Mem) Apply(ctx context.Context, batch Batch) error {
	if err := batch.Validate(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("storage: apply: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range batch.Checks {
		if m.entries[c.Key].Version != c.Version {
			return ErrConflict
		}
	}
	m.version++
	for _, w := range batch.Writes {
		at, had := slices.BinarySearch(m.keys, w.Key)
		switch {
		case w.Delete:
			delete(m.entries, w.Key)
			if had {
				m.keys = slices.Delete(slices.Clone(m.keys), at, at+1)
			}
		default:
			m.entries[w.Key] = Entry{slices.Clone(w.Value), m.version}
			if !had {
				m.keys = slices.Insert(slices.Clip(m.keys), at, w.Key)
			}
		}
	}
	if batch.Applied != nil {
		batch.Applied(m.version)
	}
	return nil
}
