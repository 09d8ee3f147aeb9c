package server

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// allowance is how many bytes may be allocated between two collections at the
// least (docs/adr/0021-collecting-garbage.md). What lives in a server is a few MB,
// and Go's collector would run after as many were allocated: many times a second.
const allowance = 32 << 20

// collector keeps the percentage with which Go's garbage collector runs at what
// allows so many bytes, or as many as live, whichever is more.
type collector struct {
	allowance uint64
	percent   int // set last; the finalizer's goroutine's
	before    int // to be set again
	ended     atomic.Bool
}

// beat is garbage: that it is collected says that a collection has ended.
type beat struct{ c *collector }

// allow starts a collector; stop ends it.
func allow(bytes uint64) (stop func()) {
	c := &collector{allowance: bytes}
	c.percent = c.wanted()
	c.before = debug.SetGCPercent(c.percent)
	runtime.SetFinalizer(&beat{c}, (*beat).again)
	return func() {
		c.ended.Store(true)
		debug.SetGCPercent(c.before)
	}
}

// again runs after each collection.
func (b *beat) again() {
	if b.c.ended.Load() {
		return
	}
	runtime.SetFinalizer(b, (*beat).again)
	if p := b.c.wanted(); p < b.c.percent-b.c.percent/8 || p > b.c.percent+b.c.percent/8 { // each change stops the world for a moment
		b.c.percent = p
		debug.SetGCPercent(p)
	}
}

// wanted is the percentage for what lived after the last collection.
func (c *collector) wanted() int {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return percent(sample[0].Value.Uint64(), c.allowance)
}

func percent(live, allowance uint64) int {
	return int(min(max(allowance*100/max(live, 1), 100), 1600))
}
