package source

import (
	"net/url"
	"strings"
	"testing"
)

// A path that is taken reaches what it reads like: no part of it climbs, and the mount stays its beginning.
func FuzzCheckPath(f *testing.F) {
	for _, seed := range []string{"a/b", "../sys/raw", "a/./b", "a//b", "", "/", "a/..", "ä/ö", "a\nb", "a/%2e%2e/b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if CheckPath("spec.path", path) != nil {
			return
		}
		full := "secret/data/" + strings.Trim(path, "/")
		resolved := (&url.URL{Path: "/v1/"}).JoinPath(strings.Split(strings.ReplaceAll(full, "%", "%25"), "/")...)
		if strings.Trim(path, "/") == "" || !strings.HasPrefix(resolved.Path, "/v1/secret/data/") {
			t.Errorf("%q reaches %q", path, resolved.Path)
		}
	})
}
