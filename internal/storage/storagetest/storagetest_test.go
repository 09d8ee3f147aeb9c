package storagetest

import (
	"errors"
	"testing"

	"strongroom/internal/storage"
)

func TestMem(t *testing.T) {
	TestStore(t, func(*testing.T) storage.Store { return storage.NewMem() })
}

func FuzzMem(f *testing.F) {
	f.Add(uint64(2))
	f.Fuzz(func(t *testing.T, seed uint64) { TestModel(t, storage.NewMem(), seed, 50) })
}

func TestFaults(t *testing.T) {
	f := NewFaults(storage.NewMem(), nil)
	TestStore(t, func(*testing.T) storage.Store { return NewFaults(storage.NewMem(), nil) })
	for _, test := range []struct {
		fault   Fault
		want    error
		written bool
	}{
		{None, nil, true},
		{NotPersisted, storage.ErrUnknownOutcome, false},
		{PersistedAnyway, storage.ErrUnknownOutcome, true},
		{Refused, storage.ErrNotLeader, false},
	} {
		f.FailNth(2, test.fault)
		apply(t, f, Delete("a"))
		err := f.Apply(t.Context(), storage.Batch{Writes: []storage.Write{Put("a", "1")}})
		if !errors.Is(err, test.want) || get(t, f, "a").Exists() != test.written {
			t.Errorf("fault %d: %v, written: %v", test.fault, err, get(t, f, "a").Exists())
		}
	}
	if n := f.Applies(); n != 8 {
		t.Errorf("counted %d applies, want 8", n)
	}
}

// A transaction over a Store that fails either way, repeated after reading
// again, ends with exactly one effect if its author checks the outcome.
func TestTxUnderFaults(t *testing.T) {
	for _, fault := range []Fault{NotPersisted, PersistedAnyway, Refused} {
		f := NewFaults(storage.NewMem(), nil)
		f.FailNth(1, fault)
		for try := 0; ; try++ {
			tx := storage.Begin(f)
			e, err := tx.Get(t.Context(), "done")
			if err != nil {
				t.Fatal(err)
			}
			if e.Exists() {
				break
			}
			tx.Put("done", []byte("x"))
			if err := tx.Commit(t.Context()); err == nil {
				break
			} else if try > 1 {
				t.Fatal(err)
			}
		}
		if !get(t, f, "done").Exists() {
			t.Errorf("fault %d: not written", fault)
		}
	}
}
