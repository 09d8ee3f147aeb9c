package storagetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"strongroom/internal/storage"
)

// appliedInOrder: Batch.Applied tells of every batch that was written and no
// other, one after another, in the order of their versions, and before Apply
// returns.
func appliedInOrder(t *testing.T, s storage.Store) {
	const writers, each = 8, 25
	var order []uint64 // without a lock: two calls at a time are a race
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			key := fmt.Sprint("own/", w)
			for range each {
				var version uint64
				b := storage.Batch{Writes: []storage.Write{Put(key, "x")}, Applied: func(v uint64) { version, order = v, append(order, v) }}
				if err := s.Apply(t.Context(), b); err != nil {
					t.Error(err)
					return
				}
				if got, err := s.Version(t.Context(), key); err != nil || got != version {
					t.Errorf("Applied told of version %d, the key is at %d, %v", version, got, err)
				}
			}
		})
	}
	all.Wait()
	if len(order) != writers*each {
		t.Fatalf("Applied was called %d times for %d writes", len(order), writers*each)
	}
	for i := range order[1:] {
		if order[i] >= order[i+1] {
			t.Fatalf("Applied told of version %d and then of %d", order[i], order[i+1])
		}
	}
	refused := storage.Batch{Checks: []storage.Check{{Key: "own/0", Version: 0}}, Writes: []storage.Write{Put("own/0", "y")},
		Applied: func(uint64) { t.Error("Applied was called for a batch that was not written") }}
	if err := s.Apply(t.Context(), refused); !errors.Is(err, storage.ErrConflict) {
		t.Fatalf("a batch whose check does not hold: %v", err)
	}
	tx := storage.Begin(s)
	tx.OnApplied(func(uint64) { t.Error("a transaction that writes nothing was applied") })
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	tx, told := storage.Begin(s), []int{}
	tx.Put("own/0", []byte("z"))
	tx.OnApplied(func(uint64) { told = append(told, 1) })
	tx.OnApplied(func(uint64) { told = append(told, 2) })
	if err := tx.Commit(t.Context()); err != nil || fmt.Sprint(told) != "[1 2]" {
		t.Fatalf("told %v, %v", told, err)
	}
}
