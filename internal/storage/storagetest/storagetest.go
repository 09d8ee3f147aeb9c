// Package storagetest checks that a storage.Store keeps the contract, and makes
// Stores fail on demand for the tests of the layers above.
package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"strongroom/internal/storage"
)

// TestStore runs every conformance test, each on a new, empty Store from open.
// open registers with t.Cleanup what the Store needs to end.
func TestStore(t *testing.T, open func(t *testing.T) storage.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, storage.Store)
	}{
		{"PutGetDelete", putGetDelete},
		{"TheCallerOwnsItsBytes", ownership},
		{"VersionsAreNeverReused", versions},
		{"Checks", checks},
		{"AllOrNothing", allOrNothing},
		{"Keys", keys},
		{"KeysAreOfOneMoment", oneMoment},
		{"MalformedBatches", malformed},
		{"SizeLimit", sizeLimit},
		{"CancelledContext", cancelled},
		{"ConcurrentIncrements", increments},
		{"ReadersSeeWholeBatches", wholeBatches},
		{"AppliedIsCalledInOrder", appliedInOrder},
		{"LikeTheModel", func(t *testing.T, s storage.Store) { model(t, s, 1, 400) }},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// Put is a write of value at key.
func Put(key, value string) storage.Write { return storage.Write{Key: key, Value: []byte(value)} }

// Delete is a deletion of key.
func Delete(key string) storage.Write { return storage.Write{Key: key, Delete: true} }

func apply(t testing.TB, s storage.Store, writes ...storage.Write) {
	t.Helper()
	if err := s.Apply(t.Context(), storage.Batch{Writes: writes}); err != nil {
		t.Fatalf("apply: %v", err)
	}
}

func get(t testing.TB, s storage.Store, key string) storage.Entry {
	t.Helper()
	e, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	v, err := s.Version(t.Context(), key)
	if err != nil || v != e.Version {
		t.Fatalf("version of %q: %d, %v; Get says %d", key, v, err, e.Version)
	}
	return e
}

func list(t testing.TB, s storage.Store, prefix, after string) []string {
	t.Helper()
	got := []string{}
	for k, err := range s.Keys(t.Context(), prefix, after) {
		if err != nil {
			t.Fatalf("keys of %q after %q: %v", prefix, after, err)
		}
		got = append(got, k)
	}
	return got
}

func putGetDelete(t *testing.T, s storage.Store) {
	if e := get(t, s, "a"); e.Exists() || e.Value != nil {
		t.Fatalf("an absent key: %+v", e)
	}
	apply(t, s, Put("a", "1"), Put("empty", ""))
	if e := get(t, s, "a"); string(e.Value) != "1" || !e.Exists() {
		t.Fatalf("after the first write: %+v", e)
	}
	if e := get(t, s, "empty"); len(e.Value) != 0 || !e.Exists() {
		t.Fatalf("an empty value: %+v", e)
	}
	apply(t, s, Put("a", "22"))
	if e := get(t, s, "a"); string(e.Value) != "22" {
		t.Fatalf("after the second write: %+v", e)
	}
	apply(t, s, Delete("a"), Delete("never"))
	if e := get(t, s, "a"); e.Exists() || e.Value != nil {
		t.Fatalf("after deletion: %+v", e)
	}
	binary := "k\xff\x00\x01"
	apply(t, s, Put(binary, "v"))
	if e := get(t, s, binary); string(e.Value) != "v" {
		t.Fatalf("a key of any bytes: %+v", e)
	}
}

func ownership(t *testing.T, s storage.Store) {
	in := []byte("value")
	if err := s.Apply(t.Context(), storage.Batch{Writes: []storage.Write{{Key: "a", Value: in}}}); err != nil {
		t.Fatal(err)
	}
	in[0] = 'X'
	out := get(t, s, "a").Value
	if string(out) != "value" {
		t.Fatalf("the Store kept the caller's slice: %q", out)
	}
	out[0] = 'Y'
	if got := get(t, s, "a").Value; string(got) != "value" {
		t.Fatalf("the Store gave its own slice away: %q", got)
	}
}

func versions(t *testing.T, s storage.Store) {
	var last uint64
	for i := range 5 {
		apply(t, s, Put("a", "same"), Put("b", fmt.Sprint(i)))
		a, b := get(t, s, "a").Version, get(t, s, "b").Version
		if a <= last || a != b {
			t.Fatalf("versions %d and %d of one batch after %d", a, b, last)
		}
		last = a
		apply(t, s, Delete("a"))
	}
	apply(t, s, Put("other", "x"))
	if v := get(t, s, "b").Version; v != last {
		t.Fatalf("a write elsewhere changed a version from %d to %d", last, v)
	}
}

func checks(t *testing.T, s storage.Store) {
	try := func(want error, checks []storage.Check, writes ...storage.Write) {
		t.Helper()
		if err := s.Apply(t.Context(), storage.Batch{Checks: checks, Writes: writes}); !errors.Is(err, want) {
			t.Fatalf("apply: %v, want %v", err, want)
		}
	}
	try(nil, []storage.Check{{Key: "a"}}, Put("a", "1"))
	try(storage.ErrConflict, []storage.Check{{Key: "a"}}, Put("a", "2"))
	v := get(t, s, "a").Version
	try(nil, []storage.Check{{Key: "a", Version: v}}, Put("b", "1"))
	try(storage.ErrConflict, []storage.Check{{Key: "a", Version: v + 1}}, Put("a", "2"))
	try(nil, []storage.Check{{Key: "a", Version: v}}, Delete("a"))
	try(storage.ErrConflict, []storage.Check{{Key: "a", Version: v}}, Put("a", "2"))
	try(nil, []storage.Check{{Key: "a"}})                              // checks alone
	try(storage.ErrConflict, []storage.Check{{Key: "a", Version: 99}}) // and failing alone
	try(nil, nil)                                                      // an empty batch
	if e := get(t, s, "a"); e.Exists() {
		t.Fatalf("a refused batch wrote %+v", e)
	}
}

func allOrNothing(t *testing.T, s storage.Store) {
	apply(t, s, Put("a", "1"), Put("b", "1"))
	err := s.Apply(t.Context(), storage.Batch{
		Checks: []storage.Check{{Key: "a", Version: get(t, s, "a").Version}, {Key: "c", Version: 7}},
		Writes: []storage.Write{Put("a", "2"), Delete("b"), Put("c", "2")},
	})
	if !errors.Is(err, storage.ErrConflict) {
		t.Fatalf("apply: %v, want ErrConflict", err)
	}
	if a, b, c := get(t, s, "a"), get(t, s, "b"), get(t, s, "c"); string(a.Value) != "1" || string(b.Value) != "1" || c.Exists() {
		t.Fatalf("a refused batch left traces: %+v %+v %+v", a, b, c)
	}
}

func keys(t *testing.T, s storage.Store) {
	all := []string{"a", "a/", "a/1", "a/1/x", "a/2", "a0", "b", "b/\xc3\xa9", "c\xff", "c\xff\xff", "c\xff\xff1", "d"}
	var writes []storage.Write
	for _, k := range all {
		writes = append(writes, Put(k, "v"))
	}
	slices.Reverse(writes)
	apply(t, s, writes...)
	apply(t, s, Put("a/3", "v"))
	apply(t, s, Delete("a/3"))
	for _, prefix := range []string{"", "a", "a/", "a/1", "b/", "c\xff", "c\xff\xff", "z", "\xff"} {
		for _, after := range append([]string{"", "0", "a/11", "zz"}, all...) {
			want := []string{}
			for _, k := range all {
				if strings.HasPrefix(k, prefix) && k > after {
					want = append(want, k)
				}
			}
			if got := list(t, s, prefix, after); !slices.Equal(got, want) {
				t.Errorf("keys of %q after %q: %q, want %q", prefix, after, got, want)
			}
		}
	}
	for range s.Keys(t.Context(), "", "") { // an iteration may be left
		break
	}
}

func oneMoment(t *testing.T, s storage.Store) {
	apply(t, s, Put("k/1", ""), Put("k/2", ""), Put("k/3", ""))
	seen := []string{}
	for k, err := range s.Keys(t.Context(), "k/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if len(seen) == 0 {
			apply(t, s, Delete("k/2"), Put("k/4", ""), Put("k/0", ""))
		}
		seen = append(seen, k)
	}
	if want := []string{"k/1", "k/2", "k/3"}; !slices.Equal(seen, want) {
		t.Fatalf("iteration saw %q, want %q", seen, want)
	}
	if got, want := list(t, s, "k/", ""), []string{"k/0", "k/1", "k/3", "k/4"}; !slices.Equal(got, want) {
		t.Fatalf("afterwards: %q, want %q", got, want)
	}
}

func malformed(t *testing.T, s storage.Store) {
	for name, b := range map[string]storage.Batch{
		"empty key":           {Writes: []storage.Write{Put("", "v")}},
		"empty key deleted":   {Writes: []storage.Write{Delete("")}},
		"empty key checked":   {Checks: []storage.Check{{}}},
		"key written twice":   {Writes: []storage.Write{Put("a", "1"), Put("b", "1"), Delete("a")}},
		"key checked twice":   {Checks: []storage.Check{{Key: "b"}, {Key: "a"}, {Key: "a"}}},
		"deletion with value": {Writes: []storage.Write{{Key: "a", Value: []byte("v"), Delete: true}}},
	} {
		if err := s.Apply(t.Context(), b); !errors.Is(err, storage.ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
	if got := list(t, s, "", ""); len(got) != 0 {
		t.Errorf("malformed batches wrote %q", got)
	}
}

func sizeLimit(t *testing.T, s storage.Store) {
	largest := make([]byte, storage.MaxBatch-2-2*storage.BatchOverhead)
	largest[len(largest)-1] = 7
	over := make([]byte, storage.MaxBatch-2+1)
	if err := s.Apply(t.Context(), storage.Batch{Writes: []storage.Write{{Key: "a", Value: over}, Delete("b")}}); !errors.Is(err, storage.ErrTooLarge) {
		t.Fatalf("one byte too many: %v, want ErrTooLarge", err)
	}
	if e := get(t, s, "a"); e.Exists() {
		t.Fatal("a batch that is too large was written")
	}
	if err := s.Apply(t.Context(), storage.Batch{Writes: []storage.Write{{Key: "a", Value: largest}, Delete("b")}}); err != nil {
		t.Fatalf("the largest batch: %v", err)
	}
	if e := get(t, s, "a"); len(e.Value) != len(largest) || e.Value[len(largest)-1] != 7 {
		t.Fatal("the largest batch came back changed")
	}
}

func cancelled(t *testing.T, s storage.Store) {
	apply(t, s, Put("a", "1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Get(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v", err)
	}
	if _, err := s.Version(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("version: %v", err)
	}
	for _, err := range s.Keys(ctx, "", "") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("keys: %v", err)
		}
	}
	err := s.Apply(ctx, storage.Batch{Writes: []storage.Write{Put("a", "2")}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("apply: %v", err)
	}
	apply(t, s, Put("b", "1")) // what may still happen of the cancelled one happens before
	if e := get(t, s, "a"); string(e.Value) != "1" && !errors.Is(err, storage.ErrUnknownOutcome) {
		t.Errorf("apply said %v and wrote", err)
	}
}

// increments: compare-and-set from many goroutines loses nothing, and conflicts
// are always reported.
func increments(t *testing.T, s storage.Store) {
	const workers, each = 8, 25
	var group sync.WaitGroup
	errs := make(chan error, workers)
	for range workers {
		group.Go(func() {
			for range each {
				if err := Increment(t.Context(), s, "counter"); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	if got := string(get(t, s, "counter").Value); got != fmt.Sprint(workers*each) {
		t.Errorf("%d increments count to %s", workers*each, got)
	}
}

// Increment adds one to the decimal number at key, by compare-and-set, trying
// again after ErrConflict only.
func Increment(ctx context.Context, s storage.Store, key string) error {
	for {
		e, err := s.Get(ctx, key)
		if err != nil {
			return err
		}
		n := 0
		if e.Exists() {
			if _, err := fmt.Sscan(string(e.Value), &n); err != nil {
				return fmt.Errorf("storagetest: %q is no number: %w", e.Value, err)
			}
		}
		err = s.Apply(ctx, storage.Batch{
			Checks: []storage.Check{{Key: key, Version: e.Version}},
			Writes: []storage.Write{Put(key, fmt.Sprint(n+1))},
		})
		if !errors.Is(err, storage.ErrConflict) {
			return err
		}
	}
}

// wholeBatches: a key list, which is of one moment, never shows half a batch.
func wholeBatches(t *testing.T, s storage.Store) {
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		defer close(done)
		for i := range 60 {
			writes := []storage.Write{Put("p/a", "x"), Put("p/b", "x"), Put("p/c", "x")}
			if i%2 == 1 {
				writes = []storage.Write{Delete("p/a"), Delete("p/b"), Delete("p/c")}
			}
			if err := s.Apply(t.Context(), storage.Batch{Writes: writes}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		if n := len(list(t, s, "p/", "")); n != 0 && n != 3 {
			t.Errorf("%d of 3 keys of a batch are visible", n)
			break
		}
	}
	group.Wait()
}
