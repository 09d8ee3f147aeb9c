package kv

import (
	"encoding/json"
	"reflect"
	"testing"
)

// RFC 7396, appendix A, as far as the target is an object or a patch applies to it.
var mergeVectors = []struct{ target, patch, want string }{
	{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
	{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
	{`{"a":"b"}`, `{"a":null}`, `{}`},
	{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
	{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
	{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
	{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
	{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
	{`["a","b"]`, `["c","d"]`, `["c","d"]`},
	{`{"a":"b"}`, `["c"]`, `["c"]`},
	{`{"a":"foo"}`, `null`, `null`},
	{`{"a":"foo"}`, `"bar"`, `"bar"`},
	{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
	{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
	{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	{`{"n":1.0,"big":123456789012345678901}`, `{"m":1e400}`, `{"big":123456789012345678901,"m":1e400,"n":1.0}`},
	{`{"a":"<"}`, `{"b":"&"}`, `{"a":"<","b":"&"}`},
}

func TestMergePatch(t *testing.T) {
	for _, c := range mergeVectors {
		got, err := mergePatch([]byte(c.target), []byte(c.patch))
		if err != nil || string(got) != c.want {
			t.Errorf("%s + %s: got %s %v, want %s", c.target, c.patch, got, err, c.want)
		}
	}
	if _, err := mergePatch([]byte(`{`), []byte(`{}`)); err == nil {
		t.Error("a corrupt target was accepted")
	}
	if _, err := mergePatch([]byte(`{}`), []byte(`{`)); err == nil {
		t.Error("a patch that is not JSON was accepted")
	}
}

// FuzzMergePatch: a merge is JSON, patching again changes nothing, and no
// member that the patch makes null is left.
func FuzzMergePatch(f *testing.F) {
	for _, c := range mergeVectors {
		f.Add([]byte(c.target), []byte(c.patch))
	}
	f.Fuzz(func(t *testing.T, target, patch []byte) {
		if !json.Valid(target) || !json.Valid(patch) {
			return
		}
		once, err := mergePatch(target, patch)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := mergePatch(once, patch)
		if err != nil || string(once) != string(twice) {
			t.Errorf("%s + %s: %s, and again %s (%v)", target, patch, once, twice, err)
		}
		var before, changes, after map[string]any
		if json.Unmarshal(patch, &changes) != nil || changes == nil || json.Unmarshal(once, &after) != nil {
			return
		}
		_ = json.Unmarshal(target, &before) // not an object: nil
		for k, v := range changes {
			if _, left := after[k]; v == nil && left {
				t.Errorf("%s + %s: %s keeps %q", target, patch, once, k)
			}
		}
		for k, v := range before {
			if _, changed := changes[k]; !changed && !reflect.DeepEqual(v, after[k]) {
				t.Errorf("%s + %s: %s changed %q", target, patch, once, k)
			}
		}
	})
}
