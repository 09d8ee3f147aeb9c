package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/vault/api"

	"strongroom/test/cluster"
)

// The service account that logs in.
const (
	namespace = "bench"
	account   = "default"
)

// secretData is a secret of three fields, as the guide's: about 150 bytes of JSON.
var secretData = map[string]any{
	"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	"AWS_ENDPOINTS": "https://0123456789abcdef.r2.example.com",
}

// keysPerConn is how many secrets each connection reads or writes in turn; manyPerConn
// the same of those in the long folder: 16 connections read all of them.
const (
	keysPerConn = 8
	many        = 10_000
	manyPerConn = many / 16
)

// workload is one kind of request.
type workload struct {
	name   string
	method string
	prefix string // of the path below /v1/; the limit knows its answers by it
	path   func(conn, i int) string
	body   func(conn int) []byte // nil: none
	count  int                   // paths of a connection; 0: keysPerConn
	anon   bool                  // sent without a token
	addr   string                // of the node that is asked; "": the active one
}

// on is w, asked of another node.
func (w workload) on(node, addr string) workload {
	w.name, w.addr = w.name+" on "+node, addr
	return w
}

func isWrite(w workload) bool { return w.name == kvWrite }

const kvWrite = "KV v2 write"

// oneEntry are the workloads each of whose requests is one entry of Raft's log.
var oneEntry = []string{kvWrite, "AppRole login", "Kubernetes login", "token create"}

// auditedSuffix marks servers that record what they do, in their name.
const auditedSuffix = ", one file audit device"

// requests are what connection conn sends to addr, over and over.
func (w workload) requests(addr, token string) func(conn int) [][]byte {
	if w.anon {
		token = ""
	}
	return func(conn int) [][]byte {
		var all [][]byte
		for i := range cmp.Or(w.count, keysPerConn) {
			var body []byte
			if w.body != nil {
				body = w.body(conn)
			}
			all = append(all, rawRequest(w.method, addr, w.path(conn, i), token, body))
		}
		return all
	}
}

// workloads are what a cluster's day is made of. Reads come first: what writes leave to do in the background is not theirs.
func workloads(r *reviewer, approle string) []workload {
	fixed := func(path string) func(int, int) string { return func(int, int) string { return path } }
	secretBody, _ := json.Marshal(map[string]any{"data": secretData})                         // strings only
	plaintext, _ := json.Marshal(map[string]any{"plaintext": bytes.Repeat([]byte{'x'}, 128)}) // bytes become base64
	return []workload{
		{name: "KV v2 read", method: http.MethodGet, prefix: "secret/data/r", path: func(c, i int) string { return fmt.Sprintf("secret/data/r/%d", (c+i)%keysPerConn) }},
		{name: "KV v2 read over 10,000", method: http.MethodGet, prefix: "secret/data/many", count: manyPerConn,
			path: func(c, i int) string { return fmt.Sprintf("secret/data/many/customer-%05d", (c*manyPerConn+i)%many) }},
		{name: "token lookup-self", method: http.MethodGet, prefix: "auth/token/lookup-self", path: fixed("auth/token/lookup-self")},
		{name: "LIST of 10,000 keys", method: "LIST", prefix: "secret/metadata/many", path: fixed("secret/metadata/many")},
		{name: "transit encrypt 128 B", method: http.MethodPost, prefix: "transit/encrypt/bench", path: fixed("transit/encrypt/bench"), body: func(int) []byte { return plaintext }},
		{name: kvWrite, method: http.MethodPost, prefix: "secret/data/w", path: func(c, i int) string { return fmt.Sprintf("secret/data/w/%d/%d", c, i) },
			body: func(int) []byte { return secretBody }},
		{name: "token create", method: http.MethodPost, prefix: "auth/token/create", path: fixed("auth/token/create"), body: func(int) []byte { return []byte(`{"policies":["bench"],"ttl":"1h"}`) }},
		{name: "AppRole login", method: http.MethodPost, prefix: "auth/approle/login", path: fixed("auth/approle/login"), anon: true, body: func(int) []byte { return []byte(approle) }},
		{name: "Kubernetes login", method: http.MethodPost, prefix: "auth/kubernetes/login", path: fixed("auth/kubernetes/login"), anon: true,
			body: func(conn int) []byte {
				return fmt.Appendf(nil, `{"role":"bench","jwt":%q}`, r.Tokens[conn%len(r.Tokens)]) // a token for each connection: no two share a review
			}},
	}
}

// target is a cluster that is ready for all workloads.
type target struct {
	name    string
	addr    string // host:port of the active node
	standby string // of another; "" if there is none
	token   string // of a client, with a policy
	pids    []int
	approle string // body of a login
	*cluster.Cluster
}

// startTarget starts servers on disk and gives them what the workloads need.
func startTarget(ctx context.Context, dir string, s setting, log io.Writer, r *reviewer) (*target, error) {
	o := cluster.Options{Nodes: s.nodes, Log: "warn", Stderr: log}
	t := &target{name: fmt.Sprintf("%d nodes", s.nodes)}
	if s.nodes == 1 {
		t.name = "1 node"
	}
	if s.audited {
		t.name += auditedSuffix
		o.Node = func(i int) string {
			return fmt.Sprintf("audit \"file\" \"bench\" {\n  file_path = %q\n}\n", filepath.Join(dir, fmt.Sprintf("audit-%d.log", i)))
		}
	}
	c, err := cluster.Start(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	t.Cluster = c
	if err := t.prepare(ctx, r); err != nil {
		c.Stop()
		return nil, err
	}
	return t, nil
}

func (t *target) prepare(ctx context.Context, r *reviewer) error {
	if err := t.Ready(ctx); err != nil {
		return err
	}
	leader, err := t.Leader(ctx)
	if err != nil {
		return err
	}
	for _, n := range t.Nodes {
		t.pids = append(t.pids, n.PID())
		if n != leader {
			t.standby = strings.TrimPrefix(n.Addr, "http://")
		}
	}
	t.addr = strings.TrimPrefix(leader.Addr, "http://")
	client, err := leader.Client(t.Keys.Root)
	if err != nil {
		return err
	}
	if err := client.Sys().MountWithContext(ctx, "secret", &api.MountInput{Type: "kv-v2"}); err != nil {
		return err
	}
	if err := client.Sys().MountWithContext(ctx, "transit", &api.MountInput{Type: "transit"}); err != nil {
		return err
	}
	if err := client.Sys().EnableAuthWithOptionsWithContext(ctx, "kubernetes", &api.EnableAuthOptions{Type: "kubernetes"}); err != nil {
		return err
	}
	if err := client.Sys().EnableAuthWithOptionsWithContext(ctx, "approle", &api.EnableAuthOptions{Type: "approle"}); err != nil {
		return err
	}
	if err := client.Sys().PutPolicyWithContext(ctx, "bench", `path "secret/data/*" { capabilities = ["create", "read", "update"] }
		path "secret/metadata/many/*" { capabilities = ["list"] }
		path "auth/token/create" { capabilities = ["update"] }
		path "transit/encrypt/*" { capabilities = ["update"] }`); err != nil {
		return err
	}
	writes := []struct {
		path string
		data map[string]any
	}{
		{"auth/kubernetes/config", map[string]any{"kubernetes_host": r.URL, "kubernetes_ca_cert": r.CA, "token_reviewer_jwt": r.Tokens[0]}},
		{"transit/keys/bench", nil},
		{"auth/approle/role/bench", map[string]any{"policies": "bench", "ttl": "1h"}},
		{"auth/approle/role/bench/role-id", map[string]any{"role_id": "bench"}},
		{"auth/approle/role/bench/custom-secret-id", map[string]any{"secret_id": "bench-secret"}},
		{"auth/kubernetes/role/bench", map[string]any{"bound_service_account_names": account, "bound_service_account_namespaces": namespace, "policies": "bench", "ttl": "1h"}},
	}
	for i := range keysPerConn {
		writes = append(writes, struct {
			path string
			data map[string]any
		}{fmt.Sprintf("secret/data/r/%d", i), map[string]any{"data": secretData}})
	}
	for _, w := range writes {
		if _, err := client.Logical().WriteWithContext(ctx, w.path, w.data); err != nil {
			return err
		}
	}
	t.approle = `{"role_id":"bench","secret_id":"bench-secret"}`
	if err := fill(ctx, client, many); err != nil {
		return err
	}
	made, err := client.Auth().Token().CreateWithContext(ctx, &api.TokenCreateRequest{Policies: []string{"bench"}, TTL: "1h"})
	if err != nil {
		return err
	}
	t.token = made.Auth.ClientToken
	return nil
}

// fill writes n secrets into one folder, many at a time.
func fill(ctx context.Context, client *api.Client, n int) error {
	const writers = 32
	failed := make(chan error, writers)
	for w := range writers {
		go func() {
			for i := w; i < n; i += writers {
				if _, err := client.Logical().WriteWithContext(ctx, fmt.Sprintf("secret/data/many/customer-%05d", i), map[string]any{"data": secretData}); err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	var err error
	for range writers {
		err = errors.Join(err, <-failed)
	}
	return err
}

// entries is how many entries Raft's log has had.
func (t *target) entries(ctx context.Context) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.addr+"/v1/sys/leader", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var leader struct {
		Index int64 `json:"raft_committed_index"`
	}
	return leader.Index, json.NewDecoder(resp.Body).Decode(&leader)
}

// writeOne sends one KV write.
func (t *target) writeOne(ctx context.Context, all []workload) error {
	i := slices.IndexFunc(all, isWrite)
	_, err := t.answers(ctx, all[i:i+1])
	return err
}

// answers are what the server says to each workload, for the limit to say the same.
func (t *target) answers(ctx context.Context, all []workload) ([]canned, error) {
	var out []canned
	for _, w := range all {
		var body io.Reader
		if w.body != nil {
			body = bytes.NewReader(w.body(0))
		}
		req, err := http.NewRequestWithContext(ctx, w.method, "http://"+t.addr+"/v1/"+w.path(0, 0), body)
		if err != nil {
			return nil, err
		}
		if !w.anon {
			req.Header.Set("X-Vault-Token", t.token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, err
		}
		answer, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s: %s: %s", w.name, resp.Status, answer)
		}
		out = append(out, canned{"/v1/" + w.prefix, answer})
	}
	return out, nil
}
