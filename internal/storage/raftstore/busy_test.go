package raftstore

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	"strongroom/internal/storage"
)

// Beyond a bounded crowd of waiting writes, by number and by bytes, the answer
// is ErrBusy at once; who waits is served when there is room.
func TestBusy(t *testing.T) {
	for name, c := range map[string]struct{ size, fit int }{
		"number": {1, maxWaiters},
		"bytes":  {4 << 20, maxWaiting / (4<<20 + 100)},
	} {
		t.Run(name, func(t *testing.T) {
			s := lead(t, Config{})
			if err := s.inflight.Acquire(t.Context(), maxInflight); err != nil {
				t.Fatal(err)
			}
			value := strings.Repeat("x", c.size)
			var group sync.WaitGroup
			for range c.fit {
				group.Go(func() {
					if err := s.Apply(t.Context(), put("fits", value)); err != nil {
						t.Error(err)
					}
				})
			}
			for s.waiters.Load() < int64(c.fit) {
				runtime.Gosched()
			}
			if err := s.Apply(t.Context(), put("late", value)); !errors.Is(err, storage.ErrBusy) {
				t.Errorf("one more write: %v", err)
			}
			s.inflight.Release(maxInflight)
			group.Wait()
			if v, err := s.Version(t.Context(), "late"); v != 0 || err != nil {
				t.Errorf("a refused write happened: version %d, %v", v, err)
			}
			if s.waiters.Load() != 0 || s.waiting.Load() != 0 {
				t.Errorf("%d writes of %d bytes wait for ever", s.waiters.Load(), s.waiting.Load())
			}
			must(t, s, "then", "on")
		})
	}
}
