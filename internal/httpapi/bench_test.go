package httpapi_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/engine/kv"
	"strongroom/internal/httpapi"
	"strongroom/internal/mount"
	"strongroom/internal/node"
)

// open is an unsealed node in memory with KV version 2 at secret/.
func open(b testing.TB) (*httpapi.Handler, string) {
	b.Helper()
	n := node.New(node.Config{NodeID: "bench", StorageType: "inmem", Types: map[string]mount.Type{"kv": {Factory: kv.Factory}},
		Limits: mount.Limits{Default: time.Hour, Max: time.Hour}, Logger: hclog.NewNullLogger()})
	h := httpapi.New(n, httpapi.Config{MaxBody: 1 << 16, MaxDuration: 10 * time.Second}, hclog.NewNullLogger())
	if err := n.Start(h.Forwarded()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { n.Close() })
	res, err := n.Init(b.Context(), 1, 1)
	if err == nil {
		err = n.Unseal(b.Context(), res.Shares[0])
	}
	if err != nil {
		b.Fatal(err)
	}
	token := string(res.RootToken)
	for path, body := range map[string]string{"sys/mounts/secret": `{"type":"kv-v2"}`, "sys/policies/acl/p": `{"policy":"path \"secret/data/*\" { capabilities = [\"read\",\"create\",\"update\"] }"}`} {
		ask(b, h, token, "POST", path, body)
	}
	ask(b, h, token, "POST", "secret/data/app", `{"data":{"user":"u","password":"0123456789abcdef0123456789abcdef"}}`)
	answer := ask(b, h, token, "POST", "auth/token/create", `{"policies":["p"]}`)
	_, rest, _ := strings.Cut(answer, `"client_token":"`)
	token, _, _ = strings.Cut(rest, `"`)
	return h, token
}

func ask(b testing.TB, h *httpapi.Handler, token, method, path, body string) string {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, "/v1/"+path, strings.NewReader(body))
	r.Header.Set("X-Vault-Token", token)
	h.ServeHTTP(w, r)
	if w.Code >= 300 {
		b.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	return w.Body.String()
}

// BenchmarkRead is a KV read from the HTTP handler down, without a network.
func BenchmarkRead(b *testing.B) {
	h, token := open(b)
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		ask(b, h, token, "GET", "secret/data/app", "")
	}
}

// BenchmarkWrite is a KV write, without a network or a disk.
func BenchmarkWrite(b *testing.B) {
	h, token := open(b)
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		ask(b, h, token, "POST", "secret/data/app", `{"data":{"user":"u","password":"0123456789abcdef0123456789abcdef"}}`)
	}
}
