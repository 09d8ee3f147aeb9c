package kv

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine/enginetest"
)

// model is version 2 of one secret as simply as it can be said.
type model struct {
	found                bool
	current              int
	versions             map[int]*modelVersion
	max, mountMax        int
	after, mountAfter    int // seconds
	required, mountNeeds bool
}

type modelVersion struct {
	data      string
	deletion  time.Time
	destroyed bool
}

func (v *modelVersion) readable() bool {
	return !v.destroyed && (v.deletion.IsZero() || v.deletion.After(time.Now()))
}

func (m *model) add(data string) {
	m.found = true
	m.current++
	v := &modelVersion{data: data}
	after := m.mountAfter
	if m.after > 0 && (after == 0 || m.after < after) {
		after = m.after
	}
	if after > 0 {
		v.deletion = time.Now().Add(time.Duration(after) * time.Second)
	}
	m.versions[m.current] = v
	keep := 10
	if m.mountMax > 0 {
		keep = m.mountMax
	}
	if m.max > 0 {
		keep = m.max
	}
	for n := range m.versions {
		if n <= m.current-keep {
			delete(m.versions, n)
		}
	}
}

// step makes one random call on m and tells the model; it returns the call and
// its answer when they disagree on whether it may be.
func (m *model) step(r *rand.Rand, e *enginetest.Mounted) string {
	time.Sleep(time.Duration(1+r.IntN(20)) * time.Second)
	some := []int{1 + r.IntN(m.current+2), 1 + r.IntN(m.current+2)}
	list, _ := json.Marshal(map[string][]int{"versions": some})
	call, body, want := "", "", "204"
	switch r.IntN(12) {
	default:
		cas := r.IntN(m.current + 2)
		data := fmt.Sprintf(`{"r":%d}`, r.IntN(1000))
		call, body = "PUT data/a", fmt.Sprintf(`{"data":%s,"options":{"cas":%d}}`, data, cas)
		if r.IntN(3) > 0 {
			cas = m.current
			body = fmt.Sprintf(`{"data":%s,"options":{"cas":%d}}`, data, cas)
		} else if r.IntN(3) == 0 {
			cas = -1
			body = fmt.Sprintf(`{"data":%s}`, data)
		}
		switch {
		case cas < 0 && (m.required || m.mountNeeds):
			want = "error 1: check-and-set parameter required"
		case cas >= 0 && cas != m.current:
			want = "error 1: check-and-set parameter did not match"
		default:
			m.add(data)
			want = "{"
		}
	case 0:
		call = "DELETE data/a"
		if v := m.versions[m.current]; v != nil && v.readable() {
			v.deletion = time.Now()
		}
	case 1, 2, 3:
		call, body = []string{"PUT delete/a", "PUT undelete/a", "PUT destroy/a"}[r.IntN(3)], string(list)
		for _, n := range some {
			v := m.versions[n]
			switch {
			case v == nil || v.destroyed:
			case strings.Contains(call, "undelete"):
				v.deletion = time.Time{}
			case strings.Contains(call, "destroy"):
				v.destroyed = true
			case v.readable():
				v.deletion = time.Now()
			}
		}
	case 4:
		m.found = true
		m.max, m.after, m.required = r.IntN(4), r.IntN(60), r.IntN(4) == 0
		call, body = "PUT metadata/a", settings(m.max, m.after, m.required)
		want = "" // with warnings at times
	case 5:
		m.mountMax, m.mountAfter, m.mountNeeds = r.IntN(5), r.IntN(60), r.IntN(4) == 0
		call, body = "PUT config", settings(m.mountMax, m.mountAfter, m.mountNeeds)
	case 6:
		if r.IntN(10) == 0 {
			call = "DELETE metadata/a"
			*m = model{versions: map[int]*modelVersion{}, mountMax: m.mountMax, mountAfter: m.mountAfter, mountNeeds: m.mountNeeds}
		} else {
			call, want = "GET config", "{"
		}
	}
	if got := do(e, call, body); !strings.HasPrefix(got, want) || (want == "" && strings.HasPrefix(got, "error")) {
		return fmt.Sprintf("%s %s: got %s, want %s", call, body, got, want)
	}
	return ""
}

func settings(maxVersions, after int, required bool) string {
	return fmt.Sprintf(`{"max_versions":%d,"delete_version_after":%d,"cas_required":%t}`, maxVersions, after, required)
}

// check compares everything that can be read, and the keys in storage.
func (m *model) check(t *testing.T, e *enginetest.Mounted, s *counted) {
	t.Helper()
	keys := []string{}
	if m.found {
		keys = append(keys, "mount/test/s/a")
	}
	for n := 0; n <= m.current+1; n++ {
		v, want := m.versions[n], "error 3: not found"
		if n == 0 {
			v = m.versions[m.current]
		}
		if v != nil && v.readable() {
			want = `{"data":` + v.data
		} else if v != nil {
			want = `404 {"data":null`
		}
		if v != nil && !v.destroyed && n > 0 && n < m.current {
			keys = append(keys, fmt.Sprint("mount/test/v/a/", n))
		}
		got := do(e, fmt.Sprint("GET data/a?version=", n), "")
		if !strings.HasPrefix(got, want) {
			t.Errorf("version %d of %d: got %s, want %s", n, m.current, got, want)
		}
		if v != nil && !strings.Contains(got, fmt.Sprintf(`"destroyed":%t`, v.destroyed)) {
			t.Errorf("version %d: got %s, want destroyed %t", n, got, v.destroyed)
		}
		if v != nil && !v.deletion.IsZero() && !strings.Contains(got, v.deletion.UTC().Format(time.RFC3339Nano)) {
			t.Errorf("version %d: got %s, want deletion at %s", n, got, v.deletion)
		}
	}
	slices.Sort(keys)
	stored := slices.DeleteFunc(s.keys(), func(k string) bool { return k == "mount/test/config" })
	if !slices.Equal(keys, stored) {
		t.Errorf("stored %q, want %q", stored, keys)
	}
	var md struct {
		Current  int            `json:"current_version"`
		Oldest   int            `json:"oldest_version"`
		Versions map[string]any `json:"versions"`
	}
	got := do(e, "GET metadata/a", "")
	if !m.found {
		if got != "error 3: not found" {
			t.Errorf("metadata of nothing: %s", got)
		}
		return
	}
	if err := json.Unmarshal([]byte(got), &md); err != nil {
		t.Fatal(err)
	}
	oldest := m.current - len(m.versions) + 1
	if oldest == 1 {
		oldest = 0
	}
	if md.Current != m.current || md.Oldest != oldest || len(md.Versions) != len(m.versions) {
		t.Errorf("metadata %s, want current %d, oldest %d, %d versions", got, m.current, oldest, len(m.versions))
	}
}

func TestV2Model(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, s := mountV2(t)
				m := &model{versions: map[int]*modelVersion{}}
				r := rand.New(rand.NewPCG(seed, 0))
				for i := 0; i < 150 && !t.Failed(); i++ {
					if msg := m.step(r, e); msg != "" {
						t.Fatalf("step %d: %s", i, msg)
					}
					m.check(t, e, s)
				}
			})
		})
	}
}
