package storagetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"strongroom/internal/storage"
)

// TestModel applies steps random batches, made from seed, to s and to a dumb
// model, and compares everything observable after each.
func TestModel(t *testing.T, s storage.Store, seed uint64, steps int) { model(t, s, seed, steps) }

func model(t *testing.T, s storage.Store, seed uint64, steps int) {
	r := rand.New(rand.NewPCG(seed, 0))
	want := map[string]string{}
	versions := map[string]uint64{}
	highest := uint64(0)
	for step := range steps {
		b, conflict := randomBatch(r, versions)
		err := s.Apply(t.Context(), b)
		if conflict != errors.Is(err, storage.ErrConflict) || !conflict && err != nil {
			t.Fatalf("seed %d, step %d: %+v: %v, conflict expected: %v", seed, step, b, err, conflict)
		}
		before := highest
		if !conflict {
			for _, w := range b.Writes {
				delete(want, w.Key)
				delete(versions, w.Key)
				if !w.Delete {
					want[w.Key] = string(w.Value)
					v := get(t, s, w.Key).Version
					if v <= before {
						t.Fatalf("seed %d, step %d: version %d after %d", seed, step, v, before)
					}
					versions[w.Key], highest = v, max(highest, v)
				}
			}
		}
		compare(t, s, r, want, versions, fmt.Sprintf("seed %d, step %d", seed, step))
	}
}

// randomBatch says whether one of its checks is wrong.
func randomBatch(r *rand.Rand, versions map[string]uint64) (b storage.Batch, conflict bool) {
	for _, k := range randomKeys(r, 3) {
		v := versions[k]
		if r.IntN(8) == 0 {
			v += uint64(r.IntN(3))
		}
		conflict = conflict || v != versions[k]
		b.Checks = append(b.Checks, storage.Check{Key: k, Version: v})
	}
	for _, k := range randomKeys(r, 4) {
		if r.IntN(3) == 0 {
			b.Writes = append(b.Writes, Delete(k))
			continue
		}
		b.Writes = append(b.Writes, Put(k, strings.Repeat(string(rune('a'+r.IntN(26))), r.IntN(200))))
	}
	return b, conflict
}

// randomKeys draws up to most different keys from few, so that they meet.
func randomKeys(r *rand.Rand, most int) []string {
	var keys []string
	for range r.IntN(most + 1) {
		k := fmt.Sprintf("%c/%c/%d", 'a'+r.IntN(2), 'a'+r.IntN(2), r.IntN(4))
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

func compare(t *testing.T, s storage.Store, r *rand.Rand, want map[string]string, versions map[string]uint64, at string) {
	t.Helper()
	for _, k := range randomKeys(r, 5) {
		e := get(t, s, k)
		v, exists := want[k]
		if e.Exists() != exists || string(e.Value) != v || e.Version != versions[k] {
			t.Fatalf("%s: %s is %+v, want %q at %d", at, k, e, v, versions[k])
		}
	}
	prefix := []string{"", "a/", "a/b/", "b/a/1", "c"}[r.IntN(5)]
	after := []string{"", "a/a/2", "a/b", "b/b/3"}[r.IntN(4)]
	names := []string{}
	for k := range want {
		if strings.HasPrefix(k, prefix) && k > after {
			names = append(names, k)
		}
	}
	sort.Strings(names)
	if got := list(t, s, prefix, after); !slices.Equal(got, names) {
		t.Fatalf("%s: keys of %q after %q: %q, want %q", at, prefix, after, got, names)
	}
}
