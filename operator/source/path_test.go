package source

import (
	"encoding/json"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
)

func TestEngineVersion(t *testing.T) {
	for text, want := range map[string]int{"1": 1, "2": 2, "v1": 1, "v2": 2, "kv-v1": 1, "kv-v2": 2} {
		version := intstr.FromString(text)
		kv, err := ParseKV(v1beta1.KVSource{Path: "a/b", Version: &version})
		if err != nil || kv.Version != want {
			t.Errorf("version %q: %d, %v; want %d", text, kv.Version, err, want)
		}
	}
	for _, number := range []int32{1, 2} {
		version := intstr.FromInt32(number)
		kv, err := ParseKV(v1beta1.KVSource{Path: "a/b", Version: &version})
		if err != nil || kv.Version != int(number) {
			t.Errorf("version %d: %d, %v", number, kv.Version, err)
		}
	}
	for _, wrong := range []intstr.IntOrString{intstr.FromInt32(3), intstr.FromString("two"), intstr.FromString("")} {
		if _, err := ParseKV(v1beta1.KVSource{Path: "a/b", Version: &wrong}); !condition.Is(err, v1beta1.ReasonInvalidSpec) {
			t.Errorf("version %q: %v, want InvalidSpec", wrong.String(), err)
		}
	}
}

func TestParseKVRefusesOddPaths(t *testing.T) {
	for _, path := range []string{"secret", "/secret/", "", "a//b", "a/../b", "a/./b", "a/b\x00", "a/\nb"} {
		if kv, err := ParseKV(v1beta1.KVSource{Path: path}); !condition.Is(err, v1beta1.ReasonInvalidSpec) {
			t.Errorf("path %q gives %+v, %v; want InvalidSpec", path, kv, err)
		}
	}
}

func TestLocate(t *testing.T) {
	for _, test := range []struct {
		mount     mount
		path      string
		version   int
		api, name string
		err       string
	}{
		{mount{"secret/", 2}, "secret/longhorn-r2", 2, "secret/data/longhorn-r2", "secret/longhorn-r2", ""},
		{mount{"secret/", 2}, "/secret/longhorn-r2/", 0, "secret/data/longhorn-r2", "secret/longhorn-r2", ""},
		{mount{"secret/", 2}, "secret/data/longhorn-r2", 0, "secret/data/longhorn-r2", "secret/longhorn-r2", ""},
		{mount{"secret/", 2}, "secret/a/data/b", 0, "secret/data/a/data/b", "secret/a/data/b", ""},
		{mount{"secret/", 2}, "secret/data", 0, "secret/data/data", "secret/data", ""},
		{mount{"secret/", 2}, "secret/database", 0, "secret/data/database", "secret/database", ""},
		{mount{"team/kv/", 2}, "team/kv/a/b", 2, "team/kv/data/a/b", "team/kv/a/b", ""},
		{mount{"old/", 1}, "old/a/b", 1, "old/a/b", "old/a/b", ""},
		{mount{"old/", 1}, "old/data/b", 0, "old/data/b", "old/data/b", ""},
		{mount{"old/", 1}, "old/a", 2, "", "", "old/ on the server is a KV engine of version 1: write 1"},
		{mount{"secret/", 2}, "secret/a", 1, "", "", "version 2: write 2, or leave version out"},
	} {
		kv, err := ParseKV(v1beta1.KVSource{Path: test.path})
		if err != nil {
			t.Fatal(err)
		}
		kv.Version = test.version
		api, name, err := test.mount.locate(kv)
		if test.err != "" {
			if !condition.Is(err, v1beta1.ReasonInvalidSpec) || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s on %+v: %v, want %s", test.path, test.mount, err, test.err)
			}
			continue
		}
		if err != nil || api != test.api || name != test.name {
			t.Errorf("%s on %+v gives %q, %q, %v; want %q, %q", test.path, test.mount, api, name, err, test.api, test.name)
		}
	}
}

func TestParseMount(t *testing.T) {
	for _, test := range []struct{ body, reason string }{
		{`{"path":"secret/","type":"kv","options":{"version":"2"}}`, ""},
		{`{"path":"secret/","type":"kv","options":{"version":2}}`, ""},
		{`{"path":"secret/","type":"kv","options":null}`, ""},
		{`{"path":"secret/","type":"generic"}`, ""},
		{`{"path":"secret/","type":"pki"}`, v1beta1.ReasonInvalidSpec},
		{`{"path":"secret/a/","type":"kv"}`, v1beta1.ReasonMountNotFound},
		{`{"path":"","type":"kv"}`, v1beta1.ReasonMountNotFound},
		{`{}`, v1beta1.ReasonMountNotFound},
	} {
		var data map[string]any
		if err := json.Unmarshal([]byte(test.body), &data); err != nil {
			t.Fatal(err)
		}
		found, err := parseMount(KV{Path: "secret/a"}, data)
		if test.reason != "" {
			if !condition.Is(err, test.reason) {
				t.Errorf("%s: %v, want %s", test.body, err, test.reason)
			}
			continue
		}
		want := mount{"secret/", 1}
		if strings.Contains(test.body, "2") {
			want.version = 2
		}
		if err != nil || found != want {
			t.Errorf("%s gives %+v, %v; want %+v", test.body, found, err, want)
		}
	}
}

func FuzzLocate(f *testing.F) {
	f.Add("secret/data/x", "secret/", 2)
	f.Add("a/b/c", "a/b/", 1)
	f.Add("data/data/data", "data/", 2)
	f.Fuzz(func(t *testing.T, path, at string, version int) {
		kv, err := ParseKV(v1beta1.KVSource{Path: path})
		if err != nil {
			return
		}
		found, err := parseMount(kv, map[string]any{"path": at, "type": "kv", "options": map[string]any{"version": version}})
		if err != nil {
			return
		}
		api, name, err := found.locate(kv)
		switch {
		case err != nil:
			t.Errorf("path %q on %+v: %v", path, found, err)
		case !strings.HasPrefix(api, found.path) || !strings.HasPrefix(name, found.path):
			t.Errorf("path %q on %+v leaves the mount: %q, %q", path, found, api, name)
		case strings.Contains(api, "/../") || strings.HasSuffix(api, "/..") || strings.HasSuffix(api, "/"):
			t.Errorf("path %q on %+v gives %q", path, found, api)
		}
	})
}
