package kv

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
	"strongroom/engine/enginetest"
	"strongroom/internal/storage"
)

// The bubble of testing/synctest begins at midnight, 2000-01-01.
const t0 = "2000-01-01T00:00:00Z"

func mountV2(tb testing.TB) (*enginetest.Mounted, *mapStore) {
	s := newStore()
	return enginetest.New(tb, s, "secret/", Factory, map[string]string{"version": "2"}), s
}

// step is one call: "PUT data/a?version=1", its body, and what it answers: the
// JSON, "204", or "error <kind>: <text>". "404 " before JSON is Missing.
type step struct {
	call string
	body string
	want string
	wait time.Duration // before the call
}

var operations = map[string]engine.Operation{
	"GET": engine.Read, "PUT": engine.Update, "DELETE": engine.Delete, "LIST": engine.List, "PATCH": engine.Patch,
}

func do(m *enginetest.Mounted, call, body string) string {
	method, path, _ := strings.Cut(call, " ")
	path, rawQuery, _ := strings.Cut(path, "?")
	query := map[string][]string{}
	for pair := range strings.SplitSeq(rawQuery, "&") {
		if k, v, ok := strings.Cut(pair, "="); ok {
			query[k] = []string{v}
		}
	}
	var in any
	if body != "" {
		in = json.RawMessage(body)
	}
	resp, err := m.DoQuery(operations[method], path, in, query)
	return show(resp, err)
}

func show(resp *engine.Response, err error) string {
	if err != nil {
		return fmt.Sprintf("error %d: %v", engine.KindOf(err), err)
	}
	if resp == nil {
		return "204"
	}
	b, err := json.Marshal(resp.Data) // fails if a RawMessage is not JSON
	if err != nil {
		return err.Error()
	}
	out := string(b)
	if resp.Missing {
		out = "404 " + out
	}
	for _, w := range resp.Warnings {
		out += " ! " + w
	}
	return out
}

// canon sorts the members of JSON in a step's text.
func canon(s string) string {
	i, j := strings.IndexByte(s, '{'), strings.LastIndexByte(s, '}')
	if i < 0 || strings.HasPrefix(s, "error") {
		return s
	}
	var v any
	if json.Unmarshal([]byte(s[i:j+1]), &v) != nil {
		return s
	}
	b, _ := json.Marshal(v)
	return s[:i] + string(b) + s[j+1:]
}

func run(t *testing.T, m *enginetest.Mounted, steps []step) {
	t.Helper()
	for i, s := range steps {
		time.Sleep(s.wait)
		if got := do(m, s.call, s.body); canon(got) != canon(s.want) {
			t.Errorf("step %d, %s %s\n got %s\nwant %s", i, s.call, s.body, got, s.want)
		}
	}
}

// meta is the metadata of a version; at is the second of its creation.
func meta(version, at int, deletion string, destroyed bool, custom string) string {
	return fmt.Sprintf(`{"created_time":%q,"custom_metadata":%s,"deletion_time":%q,"destroyed":%t,"version":%d}`,
		clock(at), custom, deletion, destroyed, version)
}

func clock(second int) string {
	return time.Date(2000, 1, 1, 0, 0, second, 0, time.UTC).Format(time.RFC3339Nano)
}

func data(d, meta string) string { return fmt.Sprintf(`{"data":%s,"metadata":%s}`, d, meta) }

func TestV2(t *testing.T) {
	const sec = time.Second
	notFound := "error 3: not found"
	noCAS := "error 1: check-and-set parameter required for this call"
	badCAS := "error 1: check-and-set parameter did not match the current version"
	for name, steps := range map[string][]step{
		"write and read": {
			{"GET data/a", "", notFound, 0},
			{"PUT data/a", `{"data": {"b": 1.50, "a": "<&>"}}`, meta(1, 0, "", false, "null"), 0},
			{"GET data/a", "", data(`{"b":1.50,"a":"<&>"}`, meta(1, 0, "", false, "null")), sec},
			{"PUT data/a", `{"data":{}}`, meta(2, 1, "", false, "null"), 0},
			{"GET data/a", "", data(`{}`, meta(2, 1, "", false, "null")), 0},
			{"GET data/a?version=0", "", data(`{}`, meta(2, 1, "", false, "null")), 0},
			{"GET data/a?version=1", "", data(`{"b":1.50,"a":"<&>"}`, meta(1, 0, "", false, "null")), 0},
			{"GET data/a?version=3", "", notFound, 0},
			{"GET data/a?version=-1", "", "error 1: version must not be negative", 0},
			{"GET data/a?version=x", "", `error 1: Field validation failed: error converting input for field "version": a whole number is needed`, 0},
			{"GET data/b", "", notFound, 0},
			{"LIST data/a", "", "error 4: unsupported operation", 0},
		},
		"bad writes": {
			{"PUT data/a", "", "error 1: no data provided", 0},
			{"PUT data/a", `{"foo":"bar"}`, "error 1: no data provided", 0},
			{"PUT data/a", `{"data":null}`, "error 1: no data provided", 0},
			{"PUT data/a", `{"data":"x"}`, `error 1: Field validation failed: error converting input for field "data": an object is needed`, 0},
			{"PUT data/a", `{"data":{},"options":{"cas":"x"}}`, "error 1: error parsing check-and-set parameter: options.cas must be a whole number", 0},
			{"PUT data/a", `{"data":{},"options":{"cas":1.5}}`, "error 1: error parsing check-and-set parameter: options.cas must be a whole number", 0},
			{"PUT data/a/", `{"data":{}}`, "error 1: cannot write to a path ending in '/'", 0},
			{"PUT data/a//b", `{"data":{}}`, "error 1: the path must not have empty segments", 0},
			{"PUT data//b", `{"data":{}}`, "error 1: the path must not have empty segments", 0},
			{"PUT data/a/../b", `{"data":{}}`, `error 1: the path must not have the segment ".."`, 0},
			{"PUT data/a\xff", `{"data":{}}`, "error 1: the path must be valid UTF-8", 0},
			{"PUT data/a\n", `{"data":{}}`, "error 1: the path must consist of printable characters", 0},
			{"PUT metadata/a/", `{}`, "error 1: cannot write to a path ending in '/'", 0},
			{"PUT data/a", `{"data":{"a":"` + strings.Repeat("x", maxData) + `"}}`, "error 7: the secret is 1048584 bytes of JSON, at most 1048576 are allowed", 0},
			{"LIST metadata", "", notFound, 0},
		},
		"check and set": {
			{"PUT data/a", `{"data":{},"options":{"cas":1}}`, badCAS, 0},
			{"PUT data/a", `{"data":{},"options":{"cas":-1}}`, badCAS, 0},
			{"PUT data/a", `{"data":{},"options":{"cas":0}}`, meta(1, 0, "", false, "null"), 0},
			{"PUT data/a", `{"data":{},"options":{"cas":0}}`, badCAS, 0},
			{"PUT data/a", `{"data":{},"options":{"cas":"1"}}`, meta(2, 1, "", false, "null"), sec},
			{"PUT data/a", `{"data":{},"options":{"cas":null}}`, meta(3, 2, "", false, "null"), sec},
			{"PUT metadata/a", `{"cas_required":true}`, "204", 0},
			{"PUT data/a", `{"data":{}}`, noCAS, 0},
			{"PUT data/a", `{"data":{},"options":{}}`, noCAS, 0},
			{"PATCH data/a", `{"data":{"a":1}}`, noCAS, 0},
			{"PATCH data/a", `{"data":{"a":1},"options":{"cas":2}}`, badCAS, 0},
			{"PATCH data/a", `{"data":{"a":1},"options":{"cas":3}}`, meta(4, 3, "", false, "null"), sec},
			{"DELETE data/a", "", "204", 0},
			{"PUT data/a", `{"data":{},"options":{"cas":0}}`, badCAS, 0},
			{"PUT config", `{"cas_required":"true"}`, "204", 0},
			{"PUT data/b", `{"data":{}}`, noCAS, 0},
			{"PUT metadata/a", `{"cas_required":false}`, `null ! "cas_required" is set to false, but the mount's configuration requires it; the mount's applies`, 0},
			{"PUT data/a", `{"data":{}}`, noCAS, 0},
		},
		"patch": {
			{"PATCH data/a", `{"data":{"a":1}}`, notFound, 0},
			{"PUT data/a", `{"data":{"a":{"b":1,"c":[1]},"n":12345678901234567890.10}}`, meta(1, 0, "", false, "null"), 0},
			{"PATCH data/a", `{}`, "error 1: no data provided", 0},
			{"PATCH data/a", `{"data":{"a":{"b":null,"d":"<"},"x":null,"y":{"z":null}}}`, meta(2, 1, "", false, "null"), sec},
			{"GET data/a", "", data(`{"a":{"c":[1],"d":"<"},"n":12345678901234567890.10,"y":{}}`, meta(2, 1, "", false, "null")), 0},
			{"DELETE data/a", "", "204", sec},
			{"PATCH data/a", `{"data":{"a":1}}`, "404 " + data("null", meta(2, 1, clock(2), false, "null")), 0},
			{"PUT destroy/a", `{"versions":[2]}`, "204", 0},
			{"PATCH data/a", `{"data":{"a":1}}`, "404 " + data("null", meta(2, 1, clock(2), true, "null")), 0},
			{"PUT metadata/m", `{}`, "204", 0},
			{"PATCH data/m", `{"data":{"a":1}}`, notFound, 0},
		},
		"delete, undelete, destroy": {
			{"DELETE data/a", "", "204", 0},
			{"PUT delete/a", `{"versions":[1]}`, "204", 0},
			{"PUT destroy/a", `{"versions":[1]}`, "204", 0},
			{"PUT data/a", `{"data":{"v":1}}`, meta(1, 0, "", false, "null"), 0},
			{"PUT data/a", `{"data":{"v":2}}`, meta(2, 1, "", false, "null"), sec},
			{"PUT data/a", `{"data":{"v":3}}`, meta(3, 2, "", false, "null"), sec},
			{"DELETE data/a", "", "204", sec},
			{"DELETE data/a", "", "204", sec}, // is deleted: keeps its time
			{"GET data/a", "", "404 " + data("null", meta(3, 2, clock(3), false, "null")), 0},
			{"GET subkeys/a", "", `404 {"subkeys":null,"metadata":` + meta(3, 2, clock(3), false, "null") + "}", 0},
			{"PUT delete/a", `{"versions":["1", 9]}`, "204", 0},
			{"GET data/a?version=1", "", "404 " + data("null", meta(1, 0, clock(4), false, "null")), 0},
			{"GET data/a?version=2", "", data(`{"v":2}`, meta(2, 1, "", false, "null")), 0},
			{"PUT undelete/a", `{"versions":"1,3"}`, "204", 0},
			{"GET data/a?version=1", "", data(`{"v":1}`, meta(1, 0, "", false, "null")), 0},
			{"GET data/a", "", data(`{"v":3}`, meta(3, 2, "", false, "null")), 0},
			{"PUT destroy/a", `{"versions":[1,3]}`, "204", 0},
			{"PUT undelete/a", `{"versions":[1,3]}`, "204", 0},
			{"GET data/a?version=1", "", "404 " + data("null", meta(1, 0, "", true, "null")), 0},
			{"GET data/a", "", "404 " + data("null", meta(3, 2, "", true, "null")), 0},
			{"PUT data/a", `{"data":{"v":4}}`, meta(4, 5, "", false, "null"), sec},
			{"GET data/a?version=3", "", "404 " + data("null", meta(3, 2, "", true, "null")), 0},
			{"PUT delete/a", `{}`, "error 1: No version number provided", 0},
			{"PUT undelete/a", `{"versions":[]}`, "error 1: No version number provided", 0},
			{"PUT destroy/a", `{"versions":["x"]}`, "error 1: versions must be a list of version numbers, from 1", 0},
			{"PUT destroy/a", `{"versions":[0]}`, "error 1: versions must be a list of version numbers, from 1", 0},
		},
		"max_versions": {
			{"PUT config", `{"max_versions":3}`, "204", 0},
			{"PUT data/a", `{"data":{"v":1}}`, meta(1, 0, "", false, "null"), 0},
			{"PUT data/a", `{"data":{"v":2}}`, meta(2, 1, "", false, "null"), sec},
			{"PUT data/a", `{"data":{"v":3}}`, meta(3, 2, "", false, "null"), sec},
			{"PUT data/a", `{"data":{"v":4}}`, meta(4, 3, "", false, "null"), sec},
			{"GET data/a?version=1", "", notFound, 0},
			{"GET data/a?version=2", "", data(`{"v":2}`, meta(2, 1, "", false, "null")), 0},
			{"PUT metadata/a", `{"max_versions":1}`, "204", 0},
			{"GET data/a?version=2", "", data(`{"v":2}`, meta(2, 1, "", false, "null")), 0},
			{"PUT data/a", `{"data":{"v":5}}`, meta(5, 4, "", false, "null"), sec},
			{"GET metadata/a", "", `{"cas_required":false,"created_time":"` + clock(0) + `","current_version":5,"custom_metadata":null,
				"delete_version_after":"0s","max_versions":1,"oldest_version":5,"updated_time":"` + clock(4) + `",
				"versions":{"5":{"created_time":"` + clock(4) + `","deletion_time":"","destroyed":false}}}`, 0},
			{"PUT config", `{"max_versions":-1}`, "error 1: max_versions must be between 0 and 10000", 0},
			{"PUT metadata/a", `{"max_versions":10001}`, "error 1: max_versions must be between 0 and 10000", 0},
		},
		"delete_version_after": {
			{"PUT config", `{"delete_version_after":"1m"}`, "204", 0},
			{"GET config", "", `{"cas_required":false,"delete_version_after":"1m0s","max_versions":0}`, 0},
			{"PUT data/a", `{"data":{"v":1}}`, meta(1, 0, clock(60), false, "null"), 0},
			{"PUT metadata/a", `{"delete_version_after":"2h"}`, `null ! "delete_version_after" is set to 2h0m0s, but the mount's configuration says 1m0s; the mount's applies`, 0},
			{"PUT data/a", `{"data":{"v":2}}`, meta(2, 59, clock(119), false, "null"), 59 * sec},
			{"GET data/a?version=1", "", data(`{"v":1}`, meta(1, 0, clock(60), false, "null")), 0},
			{"GET data/a?version=1", "", "404 " + data("null", meta(1, 0, clock(60), false, "null")), sec},
			{"PUT undelete/a", `{"versions":[1]}`, "204", 0},
			{"GET data/a?version=1", "", data(`{"v":1}`, meta(1, 0, "", false, "null")), 0},
			{"DELETE data/a", "", "204", 0}, // sooner than it would be
			{"GET data/a", "", "404 " + data("null", meta(2, 59, clock(60), false, "null")), 0},
			{"PUT metadata/a", `{"delete_version_after":30}`, "204", 0},
			{"PUT data/a", `{"data":{"v":3}}`, meta(3, 60, clock(90), false, "null"), 0},
			{"PUT config", `{"delete_version_after":"-1s"}`, "204", 0},
			{"GET config", "", `{"cas_required":false,"delete_version_after":"-1s","max_versions":0}`, 0},
			{"PUT data/a", `{"data":{"v":4}}`, meta(4, 61, "", false, "null"), sec},
			{"PUT config", `{"delete_version_after":0}`, "204", 0},
			{"PUT data/a", `{"data":{"v":5}}`, meta(5, 62, clock(92), false, "null"), sec},
			{"PUT metadata/a", `{"delete_version_after":"2500000h"}`, "204", 0},
			{"PUT data/a", `{"data":{"v":6}}`, meta(6, 63, "2262-04-11T23:47:16.854775807Z", false, "null"), sec},
			{"PUT metadata/a", `{"delete_version_after":"-1s"}`, `error 1: Field validation failed: error converting input for field "delete_version_after": a duration cannot be negative`, 0},
			{"PUT config", `{"delete_version_after":"soon"}`, "error 1: delete_version_after: a duration such as 90, 30s, 24h or 7d is needed", 0},
		},
		"config": {
			{"GET config", "", `{"cas_required":false,"delete_version_after":"0s","max_versions":0}`, 0},
			{"PUT config", `{"cas_required":true,"max_versions":"5"}`, "204", 0},
			{"PUT config", `{"delete_version_after":"3h25m19s"}`, "204", 0},
			{"GET config", "", `{"cas_required":true,"delete_version_after":"3h25m19s","max_versions":5}`, 0},
			{"DELETE config", "", "error 4: unsupported operation", 0},
		},
		"metadata": {
			{"GET metadata/a", "", notFound, 0},
			{"PATCH metadata/a", `{"max_versions":1}`, notFound, 0},
			{"DELETE metadata/a", "", "204", 0},
			{"PUT metadata/a", `{"custom_metadata":{"b":"2","a":"<1>"},"max_versions":4,"cas_required":true,"delete_version_after":"1h"}`, "204", 0},
			{"GET metadata/a", "", `{"cas_required":true,"created_time":"` + t0 + `","current_version":0,"custom_metadata":{"a":"<1>","b":"2"},
				"delete_version_after":"1h0m0s","max_versions":4,"oldest_version":0,"updated_time":"` + t0 + `","versions":{}}`, 0},
			{"GET data/a", "", notFound, 0},
			{"PUT data/a", `{"data":{"v":1},"options":{"cas":0}}`, meta(1, 1, clock(3601), false, `{"a":"<1>","b":"2"}`), sec},
			{"PATCH metadata/a", `{"custom_metadata":{"a":null,"c":"3"},"max_versions":null,"cas_required":null,"delete_version_after":null}`, "204", sec},
			{"GET metadata/a", "", `{"cas_required":false,"created_time":"` + t0 + `","current_version":1,"custom_metadata":{"b":"2","c":"3"},
				"delete_version_after":"0s","max_versions":0,"oldest_version":0,"updated_time":"` + clock(2) + `",
				"versions":{"1":{"created_time":"` + clock(1) + `","deletion_time":"` + clock(3601) + `","destroyed":false}}}`, 0},
			{"PATCH metadata/a", `{"cas_required":true,"max_versions":2}`, "204", 0},
			{"PATCH metadata/a", `{"custom_metadata":null}`, "204", 0},
			{"PUT metadata/a", `{}`, "204", 0},
			{"GET metadata/a", "", `{"cas_required":true,"created_time":"` + t0 + `","current_version":1,"custom_metadata":null,
				"delete_version_after":"0s","max_versions":2,"oldest_version":0,"updated_time":"` + clock(2) + `",
				"versions":{"1":{"created_time":"` + clock(1) + `","deletion_time":"` + clock(3601) + `","destroyed":false}}}`, 0},
			{"DELETE metadata/a", "", "204", 0},
			{"GET metadata/a", "", notFound, 0},
			{"PUT data/a", `{"data":{}}`, meta(1, 2, "", false, "null"), 0},
		},
		"custom_metadata limits": {
			{"PUT metadata/a", `{"custom_metadata":{"":"x"}}`, `error 1: custom_metadata validation failed: length of key "" is 0 but must be between 1 and 128`, 0},
			{"PUT metadata/a", `{"custom_metadata":{"a":"\u0007"}}`, `error 1: custom_metadata validation failed: value for key "a" contains unprintable characters`, 0},
			{"PUT metadata/a", `{"custom_metadata":{"\u0007":"a"}}`, `error 1: custom_metadata validation failed: key "\a" contains unprintable characters`, 0},
			{"PUT metadata/a", `{"custom_metadata":{"a":"` + strings.Repeat("x", 513) + `"}}`, `error 1: custom_metadata validation failed: length of value for key "a" is 513 but max allowed is 512`, 0},
			{"PUT metadata/a", `{"custom_metadata":{"` + strings.Repeat("x", 129) + `":"a"}}`, `error 1: custom_metadata validation failed: length of key "` + strings.Repeat("x", 129) + `" is 129 but must be between 1 and 128`, 0},
			{"PUT metadata/a", `{"custom_metadata":` + many(65) + `}`, `error 1: custom_metadata validation failed: payload must contain at most 64 keys, provided 65`, 0},
			{"PUT metadata/a", `{"custom_metadata":` + many(64) + `}`, "204", 0},
			{"PATCH metadata/a", `{"custom_metadata":{"more":"x"}}`, `error 1: custom_metadata validation failed: payload must contain at most 64 keys, provided 65`, 0},
			{"PATCH metadata/a", `{"custom_metadata":{"more":"x","k1":null}}`, "204", 0},
			{"PUT metadata/a", `{"custom_metadata":{"a":{"b":1}}}`, `error 1: Field validation failed: error converting input for field "custom_metadata": "a": a single value is needed`, 0},
		},
		"subkeys": {
			{"GET subkeys/a", "", notFound, 0},
			{"PUT data/a", `{"data":{"s":"x","o":{"p":{"q":1},"r":[{"no":1}]},"e":{}}}`, meta(1, 0, "", false, "null"), 0},
			{"PUT data/a", `{"data":{}}`, meta(2, 1, "", false, "null"), sec},
			{"GET subkeys/a?version=1", "", `{"subkeys":{"s":null,"o":{"p":{"q":null},"r":null},"e":null},"metadata":` + meta(1, 0, "", false, "null") + "}", 0},
			{"GET subkeys/a?version=1&depth=1", "", `{"subkeys":{"s":null,"o":null,"e":null},"metadata":` + meta(1, 0, "", false, "null") + "}", 0},
			{"GET subkeys/a?version=1&depth=2", "", `{"subkeys":{"s":null,"o":{"p":null,"r":null},"e":null},"metadata":` + meta(1, 0, "", false, "null") + "}", 0},
			{"GET subkeys/a", "", `{"subkeys":{},"metadata":` + meta(2, 1, "", false, "null") + "}", 0},
			{"GET subkeys/a?depth=-1", "", "error 1: depth must not be negative", 0},
			{"GET subkeys/a?version=7", "", notFound, 0},
		},
		"list": {
			{"LIST metadata", "", notFound, 0},
			{"PUT data/a", `{"data":{}}`, meta(1, 0, "", false, "null"), 0},
			{"PUT data/a", `{"data":{}}`, meta(2, 1, "", false, "null"), sec},
			{"PUT data/a/1", `{"data":{}}`, meta(1, 1, "", false, "null"), 0}, // beside version 1 of a
			{"PUT data/a/2/x", `{"data":{}}`, meta(1, 1, "", false, "null"), 0},
			{"PUT data/b", `{"data":{}}`, meta(1, 1, "", false, "null"), 0},
			{"PUT metadata/é x", `{}`, "204", 0},
			{"LIST metadata", "", `{"keys":["a","a/","b","é x"]}`, 0},
			{"LIST metadata/", "", `{"keys":["a","a/","b","é x"]}`, 0},
			{"LIST metadata?after=a&limit=2", "", `{"keys":["a/","b"]}`, 0},
			{"LIST metadata?after=a/", "", `{"keys":["b","é x"]}`, 0},
			{"LIST metadata?limit=-1", "", `{"keys":["a","a/","b","é x"]}`, 0},
			{"LIST metadata/a", "", `{"keys":["1","2/"]}`, 0},
			{"LIST metadata/a/", "", `{"keys":["1","2/"]}`, 0},
			{"LIST metadata/b/", "", notFound, 0},
			{"LIST metadata?after=é x", "", notFound, 0},
			{"DELETE metadata/a", "", "204", 0},
			{"GET data/a/1", "", data("{}", meta(1, 1, "", false, "null")), 0},
		},
		"not a path of version 2": {
			{"GET a", "", "404 null ! Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. If using the Vault CLI, use 'vault kv get' for this operation.", 0},
			{"PUT a", `{"x":"y"}`, "404 null ! Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. If using the Vault CLI, use 'vault kv get' for this operation.", 0},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, _ := mountV2(t)
				run(t, m, steps)
			})
		})
	}
}

func many(n int) string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprint("k", i)] = "v"
	}
	b, _ := json.Marshal(m)
	return string(b)
}

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

// TestV2Vanishing: a version destroyed between a read's two Gets is a conflict,
// which runs the read again; a version that is lost is an error.
func TestV2Vanishing(t *testing.T) {
	m, s := mountV2(t)
	do(m, "PUT data/a", `{"data":{"v":1}}`)
	do(m, "PUT data/a", `{"data":{"v":2}}`)
	store := &meddler{mapStore: s, key: "mount/test/v/a/1", meddle: func() { do(m, "PUT destroy/a", `{"versions":[1]}`) }}
	reader := enginetest.New(t, store, "secret/", Factory, map[string]string{"version": "2"})
	if got := do(reader, "GET data/a?version=1", ""); !strings.HasPrefix(got, `404 {"data":null`) || !strings.Contains(got, `"destroyed":true`) {
		t.Error(got)
	}
	do(m, "PUT data/b", `{"data":{"v":1}}`)
	do(m, "PUT data/b", `{"data":{"v":2}}`)
	delete(s.m, "mount/test/v/b/1")
	if got, want := do(m, "GET data/b?version=1", ""), "error 0: "+errCorrupt.Error(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, call := range []string{"GET data/b", "PUT data/b", "PATCH data/b", "DELETE data/b", "PUT delete/b", "GET metadata/b", "PUT metadata/b", "PATCH metadata/b", "DELETE metadata/b", "GET subkeys/b"} {
		s.m["mount/test/s/b"] = storage.Entry{Value: []byte{formatV2, 0, 0}, Version: 1}
		if got, want := do(m, call, `{"data":{},"versions":[1]}`), "error 0: "+errCorrupt.Error(); got != want {
			t.Errorf("%s: got %s, want %s", call, got, want)
		}
	}
}

// meddler runs meddle once, before a Get of key.
type meddler struct {
	*mapStore
	key    string
	meddle func()
	once   sync.Once
}

func (m *meddler) Get(ctx context.Context, key string) (storage.Entry, error) {
	if key == m.key {
		m.once.Do(m.meddle)
	}
	return m.mapStore.Get(ctx, key)
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
