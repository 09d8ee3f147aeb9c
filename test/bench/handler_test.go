package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/auth/kubernetes"
	"strongroom/engine"
	"strongroom/engine/kv"
	"strongroom/internal/gateway"
	"strongroom/internal/httpapi"
	"strongroom/internal/mount"
	"strongroom/internal/node"
	"strongroom/test/bench/tokenreview"
)

// handler is the whole server of one node in memory, below its sockets: what a profile of these benchmarks shows is the server's own.
//
//	go test ./test/bench -run '^$' -bench KVRead -cpuprofile cpu.out
func handler(b *testing.B) (h http.Handler, token, jwt string) {
	n := node.New(node.Config{NodeID: "bench", StorageType: "inmem", RootToken: "root", Logger: hclog.NewNullLogger(),
		Types:  map[string]mount.Type{"kv": {Factory: kv.Factory}, "kubernetes": {Factory: kubernetes.Factory, Auth: true}},
		Limits: mount.Limits{Default: time.Hour, Max: time.Hour}})
	api := httpapi.New(n, httpapi.Config{MaxBody: 1 << 20, MaxDuration: time.Minute}, hclog.NewNullLogger())
	if err := n.Start(api.Forwarded()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { n.Close() })
	made, err := n.Init(b.Context(), node.InitRequest{Shares: 1, Threshold: 1})
	if err != nil {
		b.Fatal(err)
	}
	if err := n.Unseal(b.Context(), made.Shares[0], false); err != nil {
		b.Fatal(err)
	}
	secret, _ := json.Marshal(map[string]any{"data": secretData}) // strings only
	review, err := tokenreview.Start()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(review.Close)
	if jwt, err = review.Issue(namespace, account); err != nil {
		b.Fatal(err)
	}
	config, _ := json.Marshal(map[string]string{"kubernetes_host": review.URL, "kubernetes_ca_cert": review.CA})
	for _, w := range []struct{ path, body string }{
		{"sys/auth/kubernetes", `{"type":"kubernetes"}`},
		{"auth/kubernetes/config", string(config)},
		{"auth/kubernetes/role/bench", `{"bound_service_account_names":"default","bound_service_account_namespaces":"bench","policies":"bench"}`},
		{"sys/mounts/secret", `{"type":"kv","options":{"version":"2"}}`},
		{"sys/policies/acl/bench", `{"policy":"path \"secret/data/*\" { capabilities = [\"create\", \"read\", \"update\"] } path \"secret/metadata/many/*\" { capabilities = [\"list\"] }"}`},
		{"secret/data/r/0", string(secret)},
		{"auth/token/create", `{"id":"bench-token","policies":["bench"],"ttl":"1h"}`},
	} {
		if _, err := n.Session().Serve(b.Context(), &gateway.Request{ID: "bench", Operation: engine.Update, Path: w.path, Token: "root", Body: []byte(w.body)}); err != nil {
			b.Fatalf("%s: %v", w.path, err)
		}
	}
	for i := range many {
		if _, err := n.Session().Serve(b.Context(), &gateway.Request{ID: "bench", Operation: engine.Update, Path: fmt.Sprintf("secret/data/many/customer-%05d", i), Token: "root", Body: []byte(`{"data":{}}`)}); err != nil {
			b.Fatal(err)
		}
	}
	return api, "bench-token", jwt
}

// namespaces makes a/b, with a secret in it, and a thousand beside a; it returns a token of a/b.
func namespaces(b *testing.B, h http.Handler) string {
	secret, _ := json.Marshal(map[string]any{"data": secretData})
	token := ""
	do := func(path, body string) {
		req, w := httptest.NewRequest(http.MethodPost, "/v1/"+path, strings.NewReader(body)), httptest.NewRecorder()
		req.Header.Set("X-Vault-Token", "root")
		if h.ServeHTTP(w, req); w.Code >= http.StatusBadRequest {
			b.Fatalf("%s: %s", path, w.Body)
		}
		var made struct {
			Auth struct {
				Token string `json:"client_token"`
			}
		}
		if json.Unmarshal(w.Body.Bytes(), &made) == nil && made.Auth.Token != "" {
			token = made.Auth.Token
		}
	}
	for i := range 1000 {
		do(fmt.Sprintf("sys/namespaces/n%d", i), "")
	}
	do("sys/namespaces/a", "")
	do("a/sys/namespaces/b", "")
	do("a/b/sys/mounts/secret", `{"type":"kv","options":{"version":"2"}}`)
	do("a/b/sys/policies/acl/bench", `{"policy":"path \"secret/data/*\" { capabilities = [\"read\"] }"}`)
	do("a/b/secret/data/r/0", string(secret))
	do("a/b/auth/token/create", `{"policies":["bench"],"ttl":"1h","no_parent":true}`)
	return token
}

// sink is a ResponseWriter that costs next to nothing.
type sink struct {
	header http.Header
	code   int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(code int)        { s.code = code }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

func benchmark(b *testing.B, method, path, body string) {
	h, token, jwt := handler(b)
	if strings.HasPrefix(path, "a/b/") {
		token = namespaces(b, h)
	}
	body = strings.Replace(body, "JWT", jwt, 1)
	template := httptest.NewRequest(method, "/v1/"+path, nil)
	template.Header.Set("X-Vault-Token", token)
	template.Header.Set("X-Vault-Request", "true")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		content := strings.NewReader(body)
		req, w := template.Clone(b.Context()), &sink{header: http.Header{}}
		for pb.Next() {
			content.Seek(0, io.SeekStart)
			req.Body = io.NopCloser(content)
			clear(w.header)
			w.code = http.StatusOK
			h.ServeHTTP(w, req)
			if w.code != http.StatusOK {
				b.Fatalf("status %d", w.code)
			}
		}
	})
}

func BenchmarkKVRead(b *testing.B)     { benchmark(b, http.MethodGet, "secret/data/r/0", "") }
func BenchmarkList(b *testing.B)       { benchmark(b, "LIST", "secret/metadata/many", "") }
func BenchmarkLookupSelf(b *testing.B) { benchmark(b, http.MethodGet, "auth/token/lookup-self", "") }

// BenchmarkKVReadNamespace is BenchmarkKVRead two namespaces below the root, beside a thousand others.
func BenchmarkKVReadNamespace(b *testing.B) { benchmark(b, http.MethodGet, "a/b/secret/data/r/0", "") }

func BenchmarkKVWrite(b *testing.B) {
	secret, _ := json.Marshal(map[string]any{"data": secretData})
	benchmark(b, http.MethodPost, "secret/data/w/0", string(bytes.TrimSpace(secret)))
}

// BenchmarkLogin includes the TokenReview server, which is in this process: look at the profile, not at the time.
func BenchmarkLogin(b *testing.B) {
	benchmark(b, http.MethodPost, "auth/kubernetes/login", `{"role":"bench","jwt":"JWT"}`)
}
