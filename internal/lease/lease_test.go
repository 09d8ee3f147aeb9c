package lease

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/internal/storage"
)

func put(t *testing.T, store storage.Store, keys ...string) {
	t.Helper()
	tx := storage.Begin(store)
	for _, k := range keys {
		tx.Put(k, nil)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// What is due comes in the order of its time, and nothing that is not, nor of
// another kind.
func TestDue(t *testing.T) {
	store := storage.NewMem()
	put(t, store, DueKey(10, "a", "x"), DueKey(9, "a", "y/z"), DueKey(1, "b", "other"), DueKey(1, "ab", "other"), DueKey(100, "a", "later"), DueKey(11, "a", "now"))
	items, err := Due(t.Context(), store, "a", time.Unix(11, 0), 10)
	if err != nil {
		t.Fatal(err)
	}
	want := []Item{{9, "a", "y/z"}, {10, "a", "x"}, {11, "a", "now"}}
	if !slices.Equal(items, want) {
		t.Errorf("due are %v, want %v", items, want)
	}
	if items, _ := Due(t.Context(), store, "a", time.Unix(11, 0), 2); len(items) != 2 {
		t.Errorf("a limit of 2 gave %v", items)
	}
}

// Sweep ends each item once even if its key changes while it is being ended,
// and goes on where it stopped.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storage.NewMem()
		now := time.Now().Unix()
		for i := range int64(600) { // more than one batch
			put(t, store, DueKey(now-i, "k", strings.Repeat("i", int(i)+1)))
		}
		put(t, store, DueKey(now+5, "k", "later"), "guard")
		ended, conflicts := 0, 0
		expire := func(ctx context.Context, tx *storage.Tx, it Item) error {
			if _, err := tx.Get(ctx, "guard"); err != nil {
				return err
			}
			if conflicts++; conflicts == 3 {
				put(t, store, "guard") // somebody else writes what this relied on
			}
			tx.Delete(DueKey(it.At, it.Kind, it.ID))
			ended++
			return nil
		}
		if n, err := Sweep(t.Context(), store, map[string]Expirer{"k": expire}); err != nil || n != 600 || ended != 601 {
			t.Errorf("swept %d with %d attempts, %v", n, ended, err)
		}
		time.Sleep(5 * time.Second)
		boom := errors.New("boom")
		if _, err := Sweep(t.Context(), store, map[string]Expirer{"k": func(context.Context, *storage.Tx, Item) error { return boom }}); !errors.Is(err, boom) {
			t.Errorf("a failing expirer: %v", err)
		}
		if n, err := Sweep(t.Context(), store, map[string]Expirer{"other": expire}); err != nil || n != 0 {
			t.Errorf("another kind: %d, %v", n, err)
		}
		if n, err := Sweep(t.Context(), store, map[string]Expirer{"k": expire}); err != nil || n != 1 {
			t.Errorf("afterwards %d, %v", n, err)
		}
	})
}

func FuzzParseDue(f *testing.F) {
	f.Add(DueKey(1, "token", "a/b"))
	f.Fuzz(func(t *testing.T, key string) {
		if it, err := parseDue(key); err == nil && !strings.Contains(key, it.ID) {
			t.Errorf("%q is parsed as %+v", key, it)
		}
	})
}
