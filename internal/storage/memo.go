package storage

import "slices"

// Memo keeps values derived from several entries, each beside the versions it
// was derived from. Safe for concurrent use.
type Memo[T any] struct{ cache *Cache[derived[T]] }

type derived[T any] struct {
	from  []uint64
	value T
}

// NewMemo makes a memo of between limit and twice limit values.
func NewMemo[T any](limit int) *Memo[T] { return &Memo[T]{NewCache[derived[T]](limit)} }

// Get returns the value called name as derived from these versions, made by
// derive if it is new or one of the versions has changed. Uncommitted versions
// are never kept.
func (m *Memo[T]) Get(name string, versions []uint64, derive func() T) T {
	if hit, ok := m.cache.lookup(name); ok && slices.Equal(hit.value.from, versions) {
		return hit.value.value
	}
	v := derive()
	if !slices.Contains(versions, pending) {
		m.cache.store(name, cached[derived[T]]{value: derived[T]{versions, v}})
	}
	return v
}
