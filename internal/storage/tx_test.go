package storage_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/storage"
)

// recorder is a Store that keeps the batches it is given.
type recorder struct {
	storage.Store
	batches []storage.Batch
}

func (r *recorder) Apply(ctx context.Context, b storage.Batch) error {
	r.batches = append(r.batches, b)
	return r.Store.Apply(ctx, b)
}

func seed(t testing.TB, keys ...string) *recorder {
	t.Helper()
	m := storage.NewMem()
	var b storage.Batch
	for _, k := range keys {
		b.Writes = append(b.Writes, storage.Write{Key: k, Value: []byte(k)})
	}
	if err := m.Apply(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return &recorder{Store: m}
}

func collect(t testing.TB, seq iter.Seq2[string, error]) []string {
	t.Helper()
	out := []string{}
	for k, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, k)
	}
	return out
}

func TestTxReadsItsOwnWrites(t *testing.T) {
	s := seed(t, "a", "b")
	tx := storage.Begin(s)
	tx.Put("a", []byte("new"))
	tx.Delete("b")
	tx.Put("c", []byte("c"))
	for range 2 {
		e, err := tx.Get(t.Context(), "a")
		if err != nil || string(e.Value) != "new" || e.Version != ^uint64(0) {
			t.Errorf("a pending write: %+v, %v", e, err)
		}
		clear(e.Value) // the reader's own
	}
	if e, err := tx.Get(t.Context(), "b"); err != nil || e.Exists() {
		t.Errorf("a pending deletion: %+v, %v", e, err)
	}
	if v, err := tx.Version(t.Context(), "b"); err != nil || v != 0 {
		t.Errorf("the version of a pending deletion: %d, %v", v, err)
	}
	if got := collect(t, tx.Keys(t.Context(), "", "")); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("keys %q", got)
	}
	if e, err := s.Get(t.Context(), "a"); err != nil || string(e.Value) != "a" {
		t.Errorf("visible before Commit: %+v, %v", e, err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, s.Keys(t.Context(), "", "")); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("keys after Commit %q", got)
	}
	if n := len(s.batches[0].Checks); n != 0 {
		t.Errorf("%d checks for keys that were only written", n)
	}
}

// Every way to read a key makes its version a condition, absent ones too.
func TestTxChecksWhatItRead(t *testing.T) {
	for name, read := range map[string]func(*storage.Tx) error{
		"get":     func(tx *storage.Tx) error { _, err := tx.Get(t.Context(), "k"); return err },
		"version": func(tx *storage.Tx) error { _, err := tx.Version(t.Context(), "k"); return err },
		"view":    func(tx *storage.Tx) error { _, err := tx.View("").Get(t.Context(), "k"); return err },
		"json":    func(tx *storage.Tx) error { _, err := storage.GetJSON(t.Context(), tx, "absent", new(int)); return err },
		"cache": func(tx *storage.Tx) error {
			_, _, err := storage.NewCache[string](8).Get(t.Context(), tx, "k", "k", func(b []byte) (string, error) { return string(b), nil })
			return err
		},
	} {
		s := seed(t, "k")
		tx := storage.Begin(s)
		if err := read(tx); err != nil {
			t.Fatal(err)
		}
		other := storage.Begin(s)
		other.Put("k", []byte("other"))
		other.Put("absent", []byte("1"))
		if err := other.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		tx.Put("x", nil)
		if err := tx.Commit(t.Context()); !errors.Is(err, storage.ErrConflict) {
			t.Errorf("%s: %v, want ErrConflict", name, err)
		}
	}
}

func TestTxReadTwice(t *testing.T) {
	s := seed(t, "k")
	tx := storage.Begin(s)
	if _, err := tx.Get(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Get(t.Context(), "k"); err != nil {
		t.Errorf("read twice unchanged: %v", err)
	}
	if err := s.Store.Apply(t.Context(), storage.Batch{Writes: []storage.Write{{Key: "k"}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Get(t.Context(), "k"); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("read twice across a change: %v, want ErrConflict", err)
	}
}

func TestTxWithoutWrites(t *testing.T) {
	s := seed(t, "k")
	tx := storage.Begin(s)
	if _, err := tx.Get(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if tx.Dirty() {
		t.Error("a transaction that only reads is dirty")
	}
	if err := tx.Commit(t.Context()); err != nil || len(s.batches) != 0 {
		t.Errorf("it reached the Store: %v, %v", s.batches, err)
	}
}

func TestTxTooLarge(t *testing.T) {
	s := seed(t)
	tx := storage.Begin(s)
	tx.Put("k", make([]byte, storage.MaxBatch))
	if err := tx.Commit(t.Context()); !errors.Is(err, storage.ErrTooLarge) {
		t.Errorf("%v, want ErrTooLarge", err)
	}
}

func TestViewSeesNothingOutside(t *testing.T) {
	s := seed(t, "a/x", "b/x", "b/y", "bb", "c/x")
	v := storage.Begin(s).View("b/")
	if got := collect(t, v.Keys(t.Context(), "", "")); !slices.Equal(got, []string{"x", "y"}) {
		t.Errorf("keys %q", got)
	}
	if got := collect(t, v.Keys(t.Context(), "", "x")); !slices.Equal(got, []string{"y"}) {
		t.Errorf("keys after x %q", got)
	}
	if got := collect(t, v.View("y").Keys(t.Context(), "", "")); !slices.Equal(got, []string{""}) {
		t.Errorf("keys of a view within %q", got)
	}
	if e, err := v.Get(t.Context(), "../a/x"); err != nil || e.Exists() {
		t.Errorf("left the view: %+v, %v", e, err)
	}
}

// List and Tx.Keys against dumb models, over random keys and pending writes.
func TestListLikeTheModel(t *testing.T) {
	for n := range uint64(300) {
		r := rand.New(rand.NewPCG(n, 0))
		all := map[string]bool{}
		var stored []string
		for range r.IntN(12) {
			k := randomPath(r)
			if !all[k] {
				stored = append(stored, k)
			}
			all[k] = true
		}
		tx := storage.Begin(seed(t, stored...))
		for range r.IntN(6) {
			k := randomPath(r)
			if all[k] = r.IntN(2) == 0; all[k] {
				tx.Put(k, nil)
			} else {
				tx.Delete(k)
			}
		}
		prefix, after, limit := []string{"", "a/", "a/b/", "b/"}[r.IntN(4)], []string{"", "a", "a/", "b", "b/"}[r.IntN(5)], r.IntN(4)
		got, err := tx.View("m/").List(t.Context(), prefix, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		if want := dumbList(all, "m/"+prefix, after, limit); !slices.Equal(got, want) {
			t.Errorf("case %d: list of %q after %q, at most %d: %q, want %q", n, prefix, after, limit, got, want)
		}
		var keys []string
		for _, k := range slices.Sorted(maps.Keys(all)) {
			if all[k] && strings.HasPrefix(k, "m/"+prefix) {
				keys = append(keys, k)
			}
		}
		if got := collect(t, tx.Keys(t.Context(), "m/"+prefix, "")); !slices.Equal(got, keys) {
			t.Errorf("case %d: keys of %q: %q, want %q", n, prefix, got, keys)
		}
	}
}

func randomPath(r *rand.Rand) string {
	parts := []string{[]string{"m", "m", "m", "n"}[r.IntN(4)]}
	for range 1 + r.IntN(3) {
		parts = append(parts, []string{"a", "b", "a0"}[r.IntN(3)])
	}
	return strings.Join(parts, "/")
}

func dumbList(all map[string]bool, folder, after string, limit int) []string {
	set := map[string]bool{}
	for k, exists := range all {
		name, within := strings.CutPrefix(k, folder)
		if !exists || !within {
			continue
		}
		if i := strings.IndexByte(name, '/'); i >= 0 {
			name = name[:i+1]
		}
		if name > after {
			set[name] = true
		}
	}
	names := slices.Sorted(maps.Keys(set))
	if limit > 0 && len(names) > limit {
		names = names[:limit]
	}
	return append([]string{}, names...)
}

func TestCacheFollowsTheStore(t *testing.T) {
	s := seed(t, "k")
	c := storage.NewCache[string](2)
	decoded := 0
	get := func(tx *storage.Tx, key string) string {
		t.Helper()
		v, _, err := c.Get(t.Context(), tx, key, key, func(b []byte) (string, error) { decoded++; return string(b), nil })
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for range 3 {
		if got := get(storage.Begin(s), "k"); got != "k" {
			t.Fatalf("%q", got)
		}
	}
	if decoded != 1 {
		t.Errorf("decoded %d times, want once", decoded)
	}
	tx := storage.Begin(s)
	tx.Put("k", []byte("2"))
	if got := get(tx, "k"); got != "2" {
		t.Errorf("a pending value: %q", got)
	}
	if got := get(storage.Begin(s), "k"); got != "k" {
		t.Errorf("a pending value reached others: %q", got)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := get(storage.Begin(s), "k"); got != "2" {
		t.Errorf("after the commit: %q", got)
	}
	for i := range 20 { // more than it holds
		if got := get(storage.Begin(s), fmt.Sprint(i)); got != "" {
			t.Errorf("an absent key: %q", got)
		}
	}
	if got := get(storage.Begin(s), "k"); got != "2" {
		t.Errorf("after others: %q", got)
	}
}

// What is dropped is decoded anew, and makes room.
func TestCacheDrop(t *testing.T) {
	s := seed(t, "a", "b", "c")
	c := storage.NewCache[string](3)
	decoded := 0
	get := func(key string) {
		t.Helper()
		if _, _, err := c.Get(t.Context(), storage.Begin(s), key, key, func(b []byte) (string, error) { decoded++; return string(b), nil }); err != nil {
			t.Fatal(err)
		}
	}
	get("a")
	get("b")
	for range 10 { // with c it would be full, and begin anew, if what is dropped counted
		get("c")
		c.Drop("c")
		c.Drop("none")
	}
	if decoded != 12 {
		t.Errorf("decoded %d times, want 12", decoded)
	}
	get("a")
	get("b")
	if decoded != 12 {
		t.Error("what was not dropped is gone")
	}
}

// A transaction that only read is told when what it read never stood together.
func TestReadOnlyCommit(t *testing.T) {
	s := storage.NewMem()
	put := func(key string) {
		tx := storage.Begin(s)
		tx.Put(key, nil)
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	put("a")
	put("b")
	for changed, want := range map[string]error{"": nil, "a": storage.ErrConflict, "b": storage.ErrConflict, "c": nil} {
		tx := storage.Begin(s)
		for _, key := range []string{"a", "b"} {
			if _, err := tx.Get(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		if changed != "" {
			put(changed)
		}
		if err := tx.Commit(t.Context()); !errors.Is(err, want) {
			t.Errorf("with %q changed: %v, want %v", changed, err, want)
		}
	}
}
