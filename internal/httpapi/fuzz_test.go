package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/engine/kv"
	"strongroom/internal/httpapi"
	"strongroom/internal/mount"
	"strongroom/internal/node"
)

// FuzzAPI sends anything to an open server, with the root token, so that
// nothing stops it early: every answer is JSON (or nothing), none is a 500, and
// the server is still there.
func FuzzAPI(f *testing.F) {
	n := node.New(node.Config{NodeID: "fuzz", StorageType: "inmem", Types: map[string]mount.Type{"kv": {Factory: kv.Factory}},
		Limits: mount.Limits{Default: time.Hour, Max: time.Hour}, Logger: hclog.NewNullLogger()})
	h := httpapi.New(n, httpapi.Config{MaxBody: 1 << 16, MaxDuration: 10 * time.Second}, hclog.NewNullLogger())
	if err := n.Start(h.Forwarded()); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { n.Close() })
	res, err := n.Init(f.Context(), node.InitRequest{Shares: 1, Threshold: 1})
	if err == nil {
		err = n.Unseal(f.Context(), res.Shares[0], false)
	}
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range [][3]string{{"POST", "sys/mounts/secret", `{"type":"kv-v2"}`}, {"POST", "secret/data/a/b", `{"data":{"k":"v"},"options":{"cas":0}}`},
		{"GET", "secret/data/a/b?version=1", ""}, {"LIST", "secret/metadata/a/", ""}, {"PATCH", "secret/data/a/b", `{"data":{"k":null}}`},
		{"PUT", "sys/policies/acl/p", `{"policy":"path \"a\" { capabilities = [\"read\"] }"}`}, {"POST", "auth/token/create", `{"policies":"p","ttl":"1h"}`},
		{"POST", "sys/capabilities-self", `{"paths":["a","b"]}`}, {"GET", "sys/internal/ui/mounts/secret/a", ""}, {"POST", "sys/mounts/secret/tune", `{"max_lease_ttl":"system"}`}} {
		f.Add(s[0], s[1], []byte(s[2]))
	}
	f.Fuzz(func(t *testing.T, method, path string, body []byte) {
		if strings.HasPrefix(path, "sys/seal") || strings.HasPrefix(path, "sys/step-down") || strings.Contains(path, "revoke") || strings.HasPrefix(path, "sys/init") || strings.HasPrefix(path, "sys/storage/raft/snapshot") {
			return // these end what the next run needs, or answer no JSON
		}
		u, err := url.Parse("http://localhost/v1/" + path)
		if err != nil {
			return
		}
		r := httptest.NewRequest("GET", "/", strings.NewReader(string(body)))
		r.Method, r.URL = method, u
		r.Header.Set("X-Vault-Token", string(res.RootToken))
		r.Header.Set("Content-Type", "application/merge-patch+json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code == http.StatusInternalServerError {
			t.Errorf("%s %q %q: %s", method, path, body, w.Body)
		}
		if w.Body.Len() > 0 && strings.HasPrefix(u.Path, "/v1/") && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %q: not JSON: %q", method, path, w.Body)
		}
	})
}
