package kv

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
	"strongroom/engine/enginetest"
)

func TestV1(t *testing.T) {
	notFound := "error 3: not found"
	for name, steps := range map[string][]step{
		"write, read, delete": {
			{"GET a", "", notFound, 0},
			{"PUT a", `{"b": 1.50, "a":"<&>"}`, "204", 0},
			{"GET a", "", `{"b":1.50,"a":"<&>"}`, 0},
			{"PUT a", `{"c":null}`, "204", 0},
			{"GET a", "", `{"c":null}`, 0},
			{"DELETE a", "", "204", 0},
			{"DELETE a", "", "204", 0},
			{"GET a", "", notFound, 0},
			{"PATCH a", `{"a":1}`, "error 4: unsupported operation", 0},
		},
		"any name and value": {
			{"PUT a", `{"path":{"x":1},"after":[1],"limit":"z","version":-1,"data":1}`, "204", 0},
			{"GET a", "", `{"path":{"x":1},"after":[1],"limit":"z","version":-1,"data":1}`, 0},
			{"GET data/a", "", notFound, 0},
		},
		"bad writes": {
			{"PUT a", "", "error 1: missing data fields", 0},
			{"PUT a", "{}", "error 1: missing data fields", 0},
			{"PUT a", "null", "error 1: missing data fields", 0},
			{"PUT a/", `{"a":1}`, "error 1: cannot write to a path ending in '/'", 0},
			{"PUT a//b", `{"a":1}`, "error 1: the path must not have empty segments", 0},
			{"PUT a", `{"a":"` + strings.Repeat("x", maxData) + `"}`, "error 7: the secret is 1048584 bytes of JSON, at most 1048576 are allowed", 0},
		},
		"list": {
			{"LIST ", "", notFound, 0},
			{"PUT b", `{"a":1}`, "204", 0},
			{"PUT a/b/c", `{"a":1}`, "204", 0},
			{"PUT a/d", `{"a":1}`, "204", 0},
			{"PUT a", `{"a":1}`, "204", 0},
			{"LIST ", "", `{"keys":["a","a/","b"]}`, 0},
			{"LIST ?after=a&limit=1", "", `{"keys":["a/"]}`, 0},
			{"LIST ?after=5", "", `{"keys":["a","a/","b"]}`, 0},
			{"LIST ?limit=x", "", "error 1: limit must be a whole number", 0},
			{"LIST a", "", `{"keys":["b/","d"]}`, 0},
			{"LIST a/b/", "", `{"keys":["c"]}`, 0},
			{"LIST b/", "", notFound, 0},
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, enginetest.New(t, newStore(), "kv/", Factory, nil), steps)
		})
	}
}

func TestV1Lease(t *testing.T) {
	m := enginetest.New(t, newStore(), "kv/", Factory, nil)
	def := m.Mount.DefaultTTL
	for body, want := range map[string]time.Duration{
		`{"a":"b"}`:                 def,
		`{"ttl":"30m"}`:             30 * time.Minute,
		`{"ttl":90}`:                90 * time.Second,
		`{"lease":"1h"}`:            time.Hour,
		`{"ttl":"1h","lease":"2h"}`: time.Hour,
		`{"ttl":null,"lease":"2h"}`: 2 * time.Hour,
		`{"ttl":"soon"}`:            def,
		`{"ttl":{"a":1}}`:           def,
		`{"a":{"ttl":"5m"}}`:        def,
	} {
		do(m, "PUT a", body)
		resp, err := m.Do(engine.Read, "a", nil)
		if err != nil {
			t.Fatal(err)
		}
		if l := resp.Lease; l.TTL != want || l.Renewable || l.Revoke != nil {
			t.Errorf("%s: lease %+v, want %s", body, *l, want)
		}
	}
}

// TestUpgrade: a version 1 mount tuned to version 2 keeps its secrets, as first
// versions; version 1 says what is wrong with a version 2 record.
func TestUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		v1 := enginetest.New(t, s, "kv/", Factory, nil)
		do(v1, "PUT a", `{"v":1}`)
		do(v1, "PUT b", `{"v":1}`)
		v2 := enginetest.New(t, s, "kv/", Factory, map[string]string{"version": "2"})
		first := `{"created_time":"1970-01-01T00:00:00Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":1}`
		run(t, v2, []step{
			{"LIST metadata", "", `{"keys":["a","b"]}`, 0},
			{"GET data/a", "", data(`{"v":1}`, first), 0},
			{"PUT data/a", `{"data":{"v":2},"options":{"cas":1}}`, meta(2, 1, "", false, "null"), time.Second},
			{"GET data/a?version=1", "", data(`{"v":1}`, first), 0},
			{"PATCH data/b", `{"data":{"w":2}}`, meta(2, 1, "", false, "null"), 0},
			{"GET data/b", "", data(`{"v":1,"w":2}`, meta(2, 1, "", false, "null")), 0},
		})
		if got := do(v1, "GET a", ""); !strings.Contains(got, "tune the mount to version=2") {
			t.Error(got)
		}
	})
}
