package active_test

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"strongroom/internal/storage"
)

// lazy is a storage.Store for very many keys: it sorts them only when they are
// asked for, so that writing one costs nothing that grows.
type lazy struct {
	mu      sync.Mutex
	entries map[string]storage.Entry
	sorted  []string // nil: to be made
	version uint64
}

func newLazy() *lazy { return &lazy{entries: map[string]storage.Entry{}} }

func (l *lazy) Get(_ context.Context, key string) (storage.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[key]
	e.Value = slices.Clone(e.Value)
	return e, nil
}

func (l *lazy) Version(_ context.Context, key string) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entries[key].Version, nil
}

func (l *lazy) Keys(_ context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		l.mu.Lock()
		if l.sorted == nil {
			l.sorted = slices.Sorted(maps.Keys(l.entries))
		}
		keys := l.sorted
		l.mu.Unlock()
		at, found := slices.BinarySearch(keys, max(prefix, after))
		if found && after >= prefix {
			at++
		}
		for _, k := range keys[at:] {
			if !strings.HasPrefix(k, prefix) || !yield(k, nil) {
				return
			}
		}
	}
}

func (l *lazy) Apply(_ context.Context, b storage.Batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range b.Checks {
		if l.entries[c.Key].Version != c.Version {
			return storage.ErrConflict
		}
	}
	l.version++
	for _, w := range b.Writes {
		if _, had := l.entries[w.Key]; had == w.Delete {
			l.sorted = nil
		}
		if w.Delete {
			delete(l.entries, w.Key)
		} else {
			l.entries[w.Key] = storage.Entry{Value: w.Value, Version: l.version}
		}
	}
	if b.Applied != nil {
		b.Applied(l.version)
	}
	return nil
}
