package kv

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"strongroom/engine"
	"strongroom/engine/enginetest"
	"strongroom/internal/storage"
)

// TestV2Storage: what is forgotten, destroyed or removed leaves nothing behind,
// and a read of the current version is one Get.
func TestV2Storage(t *testing.T) {
	m, s := mountV2(t)
	for range 15 {
		do(m, "PUT data/a/b", `{"data":{"x":"y"}}`)
	}
	do(m, "PUT destroy/a/b", `{"versions":[6,10,15]}`)
	if n := len(s.keys()); n != 8 { // the record and versions 7 8 9 11 12 13 14
		t.Errorf("%d keys after destroy: %q", n, s.keys())
	}
	do(m, "PUT metadata/a/b", `{"max_versions":2}`)
	do(m, "PUT data/a/b", `{"data":{"x":"y"}}`)
	if n := len(s.keys()); n != 1 { // version 15 is destroyed
		t.Errorf("%d keys after pruning: %q", n, s.keys())
	}
	s.gets = 0
	do(m, "GET data/a/b", "")
	if s.gets != 1 {
		t.Errorf("reading the current version took %d Gets", s.gets)
	}
	do(m, "PUT data/a/b", `{"data":{"x":"y"}}`)
	do(m, "DELETE metadata/a/b", "")
	if keys := s.keys(); len(keys) != 0 {
		t.Errorf("left after removal: %q", keys)
	}
}

// TestV2Times: versions of one instant have times in order.
func TestV2Times(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := mountV2(t)
		do(m, "PUT data/a", `{"data":{}}`)
		if got := do(m, "PUT data/a", `{"data":{}}`); !strings.Contains(got, `"created_time":"2000-01-01T00:00:00.000000001Z"`) {
			t.Error(got)
		}
	})
}

// TestV2ClockSetBack: no time of a secret goes back with the clock.
func TestV2ClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := mountV2(t)
		future := int64(946684800+3600) * 1e9
		r := record{created: future, updated: future, current: 1, history: version{created: future}.append(nil), data: []byte("{}")}
		s.plant("mount/test/s/a", r.encode())
		do(m, "PUT metadata/a", `{"max_versions":1}`)
		if got := do(m, "GET metadata/a", ""); !strings.Contains(got, `"updated_time":"`+clock(3600)+`"`) {
			t.Error(got)
		}
		if got := do(m, "PUT data/a", `{"data":{}}`); !strings.Contains(got, `"created_time":"2000-01-01T01:00:00.000000001Z"`) {
			t.Error(got)
		}
		if s.writes != 1 { // nothing is moved out, nor deleted in vain
			t.Errorf("a write that keeps one version made %d writes", s.writes)
		}
	})
}

// TestV2Vanishing: a version destroyed between a read's two Gets is a conflict,
// which runs the read again; a version that is lost is an error.
func TestV2Vanishing(t *testing.T) {
	m, s := mountV2(t)
	do(m, "PUT data/a", `{"data":{"v":1}}`)
	do(m, "PUT data/a", `{"data":{"v":2}}`)
	store := &meddler{counted: s, key: "mount/test/v/a/1", meddle: func() { do(m, "PUT destroy/a", `{"versions":[1]}`) }}
	reader := enginetest.New(t, store, "secret/", Factory, map[string]string{"version": "2"})
	if got := do(reader, "GET data/a?version=1", ""); !strings.HasPrefix(got, `404 {"data":null`) || !strings.Contains(got, `"destroyed":true`) {
		t.Error(got)
	}
	do(m, "PUT data/b", `{"data":{"v":1}}`)
	do(m, "PUT data/b", `{"data":{"v":2}}`)
	s.plant("mount/test/v/b/1", nil)
	if got, want := do(m, "GET data/b?version=1", ""), "error 0: "+errCorrupt.Error(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, call := range []string{"GET data/b", "PUT data/b", "PATCH data/b", "DELETE data/b", "PUT delete/b", "GET metadata/b", "PUT metadata/b", "PATCH metadata/b", "DELETE metadata/b", "GET subkeys/b"} {
		s.plant("mount/test/s/b", []byte{formatV2, 0, 0})
		if got, want := do(m, call, `{"data":{},"versions":[1]}`), "error 0: "+errCorrupt.Error(); got != want {
			t.Errorf("%s: got %s, want %s", call, got, want)
		}
	}
}

// meddler runs meddle once, before a Get of key.
type meddler struct {
	*counted
	key    string
	meddle func()
	once   sync.Once
}

func (m *meddler) Get(ctx context.Context, key string) (storage.Entry, error) {
	if key == m.key {
		m.once.Do(m.meddle)
	}
	return m.counted.Get(ctx, key)
}

func TestExists(t *testing.T) {
	for _, version := range []string{"1", "2"} {
		m := enginetest.New(t, newStore(), "secret/", Factory, map[string]string{"version": version})
		prefix := map[string]string{"1": "", "2": "data/"}[version]
		do(m, "PUT "+prefix+"a", `{"data":{"x":"y"}}`)
		r, err := engine.NewRouter(m.Engine.Routes())
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]bool{"a": true, "b": false, "a/b": false} {
			route, params, _ := r.Match(engine.Update, prefix+path)
			d, _, _ := engine.Decode(route.Fields, nil, nil, params)
			got, err := route.Exists(t.Context(), &engine.Request{Data: d, Storage: storage.Begin(m.Store).View("mount/test/")})
			if got != want || err != nil {
				t.Errorf("version %s, %s: %v %v", version, path, got, err)
			}
		}
	}
}

// TestV2CheckAndSet: of many writers that each add one by check-and-set, none is lost.
func TestV2CheckAndSet(t *testing.T) {
	m, _ := mountV2(t)
	do(m, "PUT data/n", `{"data":{"n":0}}`)
	const writers, each = 8, 25
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				var now struct {
					Data     struct{ N int }
					Metadata struct{ Version int }
				}
				if err := json.Unmarshal([]byte(do(m, "GET data/n", "")), &now); err != nil {
					t.Error(err)
					return
				}
				got := do(m, "PUT data/n", fmt.Sprintf(`{"data":{"n":%d},"options":{"cas":%d}}`, now.Data.N+1, now.Metadata.Version))
				switch {
				case strings.HasPrefix(got, "{"):
					done++
				case !strings.Contains(got, "did not match"):
					t.Error(got)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := do(m, "GET data/n", ""); !strings.HasPrefix(got, fmt.Sprintf(`{"data":{"n":%d},`, writers*each)) {
		t.Errorf("after %d additions: %s", writers*each, got)
	}
}

func TestFactory(t *testing.T) {
	for v, ok := range map[string]bool{"": true, "1": true, "2": true, "3": false, "v2": false} {
		_, err := Factory(engine.Env{Mount: engine.Mount{Options: map[string]string{"version": v}}})
		if (err == nil) != ok {
			t.Errorf("version %q: %v", v, err)
		}
	}
	for _, e := range []engine.Engine{plain{}, versioned{}} {
		for _, r := range e.Routes() {
			for _, f := range r.Fields {
				if f.Help == "" {
					t.Errorf("%s: field %s has no help", r.Path, f.Name)
				}
			}
			if r.Help == "" {
				t.Errorf("%s has no help", r.Path)
			}
		}
	}
}
