package storage

import (
	"context"
	"sync"
	"sync/atomic"
)

// Cache keeps the decoded values of keys beside the versions they were decoded
// from. A hit is confirmed against the store's version, so nothing is ever
// invalidated by hand and a write elsewhere is seen at once. The zero Cache is
// not usable; see NewCache. Safe for concurrent use.
type Cache[T any] struct {
	limit int
	// Two generations: what is used is found in young or moved there; old is
	// dropped whole when young is full.
	young, old atomic.Pointer[generation]
	mu         sync.Mutex // turns generations
}

type generation struct {
	m sync.Map // key → cached[T]
	n atomic.Int64
}

type cached[T any] struct {
	version uint64
	value   T
}

// VersionReader is what a Cache reads through: a Tx or a View, which then
// remember the version as a condition of the commit.
type VersionReader interface {
	Reader
	Version(ctx context.Context, key string) (uint64, error)
}

// NewCache makes a cache of between limit and twice limit values.
func NewCache[T any](limit int) *Cache[T] {
	c := &Cache[T]{limit: limit}
	c.young.Store(&generation{})
	c.old.Store(&generation{})
	return c
}

// Get returns the value of key under r, decoded by decode if it is new to the
// cache. An absent key gives T's zero value and version 0. name is the key's
// full name in the store, unique in this cache.
func (c *Cache[T]) Get(ctx context.Context, r VersionReader, key, name string, decode func([]byte) (T, error)) (T, uint64, error) {
	var zero T
	version, err := r.Version(ctx, key)
	if err != nil || version == 0 {
		return zero, 0, err
	}
	if v, ok := c.lookup(name); ok && v.version == version {
		return v.value, version, nil
	}
	e, err := r.Get(ctx, key)
	if err != nil || !e.Exists() {
		return zero, 0, err
	}
	value, err := decode(e.Value)
	if err != nil {
		return zero, 0, err
	}
	if e.Version != pending {
		c.store(name, cached[T]{e.Version, value})
	}
	return value, e.Version, nil
}

func (c *Cache[T]) lookup(name string) (cached[T], bool) {
	if v, ok := c.young.Load().m.Load(name); ok {
		return v.(cached[T]), true
	}
	if v, ok := c.old.Load().m.Load(name); ok {
		hit := v.(cached[T])
		c.store(name, hit)
		return hit, true
	}
	return cached[T]{}, false
}

// Drop forgets what is kept of the key called name, to give its memory back: what
// a deleted key held would be kept, unseen, until others take its place.
func (c *Cache[T]) Drop(name string) {
	if g := c.young.Load(); forget(&g.m, name) {
		g.n.Add(-1)
	}
	forget(&c.old.Load().m, name)
}

func forget(m *sync.Map, name string) bool {
	_, had := m.LoadAndDelete(name)
	return had
}

func (c *Cache[T]) store(name string, v cached[T]) {
	g := c.young.Load()
	if _, had := g.m.Swap(name, v); had || g.n.Add(1) < int64(c.limit) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young.Load() == g {
		c.old.Store(g)
		c.young.Store(&generation{})
	}
}
