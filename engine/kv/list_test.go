package kv

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"strongroom/engine"
	"strongroom/engine/enginetest"
)

// naive is what a LIST, or a SCAN, of folder answers, said as simply as it can be.
func naive(paths []string, folder, after string, limit int, deep bool) []string {
	var names []string
	for _, p := range paths {
		name, below := strings.CutPrefix(p, folder)
		if i := strings.IndexByte(name, '/'); i >= 0 && !deep {
			name = name[:i+1]
		}
		if below && name > after {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if limit > 0 && len(names) > limit {
		names = names[:limit]
	}
	return names
}

// TestListModel compares LIST and SCAN of random secrets, whole and page by page, with naive.
func TestListModel(t *testing.T) {
	segments := []string{"a", "b", "ab", "a b", `q"`, `b\`, "<&>", "é", "\u2028", "0"}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		version := fmt.Sprint(1 + r.IntN(2))
		m := enginetest.New(t, newStore(), "kv/", Factory, map[string]string{"version": version})
		data, metadata := map[string]string{"1": "", "2": "data/"}[version], map[string]string{"1": "", "2": "metadata/"}[version]
		var paths []string
		for range r.IntN(60) {
			path := segments[r.IntN(len(segments)-1)]
			for range r.IntN(3) {
				path += "/" + segments[r.IntN(len(segments))]
			}
			if _, err := m.Do(engine.Update, data+path, json.RawMessage(`{"data":{"v":1}}`)); err == nil {
				paths = append(paths, path)
			}
		}
		for _, folder := range []string{"", "a/", "a/b/", "none/"} {
			for _, limit := range []int{0, 1, 3, 1000} {
				for _, op := range []engine.Operation{engine.List, engine.Scan} {
					for after, more := "", true; more; {
						got := listed(t, m, op, metadata+folder, after, limit)
						if want := naive(paths, folder, after, limit, op == engine.Scan); !slices.Equal(got, want) {
							t.Fatalf("seed %d, %s %q after %q limit %d: got %q, want %q", seed, op, folder, after, limit, got, want)
						}
						if more = limit > 0 && len(got) == limit; more {
							after = got[len(got)-1]
						}
					}
				}
			}
		}
	}
}

func listed(t *testing.T, m *enginetest.Mounted, op engine.Operation, path, after string, limit int) []string {
	t.Helper()
	query := map[string][]string{"limit": {fmt.Sprint(limit)}}
	if after != "" {
		query["after"] = []string{after}
	}
	resp, err := m.DoQuery(op, path, nil, query)
	if engine.KindOf(err) == engine.NotFound && err != nil {
		return nil
	} else if err != nil {
		t.Fatal(err)
	}
	var out struct{ Keys []string }
	if err := json.Unmarshal(resp.Data.(json.RawMessage), &out); err != nil {
		t.Fatal(err)
	}
	return out.Keys
}

// TestListBytes: the names of secrets are never HTML, whatever reads the answer.
func TestListBytes(t *testing.T) {
	m, _ := mountV2(t)
	do(m, "PUT data/<b>&", `{"data":{}}`)
	resp, err := m.Do(engine.List, "metadata/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(resp.Data.(json.RawMessage)), `{"keys":["\u003cb\u003e\u0026"]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
