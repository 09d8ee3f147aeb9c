package httpapi_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/engine/kv"
	"strongroom/internal/httpapi"
	"strongroom/internal/mount"
	"strongroom/internal/node"
)

// peer is one node in this process, on disk and on loopback, with its API.
type peer struct {
	t      *testing.T
	config node.Config
	node   *node.Node
	api    *httptest.Server
	serve  atomic.Pointer[httpapi.Handler]

	forwarded atomic.Int64 // requests that other nodes had it serve
	cut       atomic.Bool  // it serves the next of them, and breaks the connection before it answers
}

// cluster starts n nodes that look for each other.
func cluster(t *testing.T, n int, options ...func(*node.Config)) []*peer {
	t.Helper()
	var peers []*peer
	var targets []node.JoinTarget
	dir := t.TempDir()
	for i := range n {
		p := &peer{t: t}
		p.api = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if h := p.serve.Load(); h != nil {
				h.ServeHTTP(w, r)
				return
			}
			http.Error(w, "down", http.StatusBadGateway)
		}))
		t.Cleanup(p.api.Close)
		port := freePort(t)
		p.config = node.Config{NodeID: fmt.Sprintf("n%d", i), Dir: filepath.Join(dir, fmt.Sprint(i)), StorageType: "raft", ClusterBind: port, ClusterAddr: port,
			APIAddr: p.api.URL, Types: map[string]mount.Type{"kv": {Factory: kv.Factory}}, Limits: mount.Limits{Default: time.Hour, Max: time.Hour},
			Version: "test", Logger: testLogger(t)}
		targets = append(targets, node.JoinTarget{LeaderAPIAddr: p.api.URL})
		peers = append(peers, p)
	}
	for _, p := range peers {
		p.config.RetryJoin = targets
		for _, option := range options {
			option(&p.config)
		}
		p.start()
		t.Cleanup(p.stop)
	}
	return peers
}

func testLogger(t *testing.T) hclog.Logger {
	if os.Getenv("TEST_LOG") == "" {
		return hclog.NewNullLogger()
	}
	return hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: t.Output()})
}

// freePort is a loopback address that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func (p *peer) start() {
	p.t.Helper()
	p.node = node.New(p.config)
	h := httpapi.New(p.node, httpapi.Config{MaxBody: 1 << 20, MaxDuration: 30 * time.Second, EventWait: 2 * time.Second,
		Public: httpapi.Public{Rekey: true, GenerateRoot: true}}, p.config.Logger)
	forwarded := h.Forwarded()
	if err := p.node.Start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.forwarded.Add(1)
		if p.cut.CompareAndSwap(true, false) { // as if it died before it could answer
			forwarded.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		forwarded.ServeHTTP(w, r)
	})); err != nil {
		p.t.Fatal(err)
	}
	p.serve.Store(h)
}

func (p *peer) stop() {
	if p.serve.Swap(nil) != nil {
		if err := p.node.Close(); err != nil {
			p.t.Error(err)
		}
	}
}

// send sends one request, with headers by name and value in turn, and returns the whole answer.
func (p *peer) send(method, path, token string, body io.Reader, headers ...string) (int, http.Header, []byte) {
	p.t.Helper()
	req, err := http.NewRequest(method, p.api.URL+"/v1/"+path, body)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", token)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	described.check(p.t, method, path, resp.StatusCode, resp.Header, b)
	return resp.StatusCode, resp.Header, b
}

// call is send with a body of text; "" is none.
func (p *peer) call(method, path, token, body string) (int, string) {
	p.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	code, _, answer := p.send(method, path, token, in)
	return code, string(answer)
}

func (p *peer) want(code int, text, method, path, token, body string) string {
	p.t.Helper()
	got, answer := p.call(method, path, token, body)
	if got != code || !strings.Contains(answer, text) {
		p.t.Fatalf("%s: %s %s: %d %s; want %d with %q", p.config.NodeID, method, path, got, answer, code, text)
	}
	return answer
}

// initialize founds the cluster on p and returns its shares and root token.
func (p *peer) initialize() (shares []string, root string) {
	p.t.Helper()
	var out struct {
		Keys []string `json:"keys"`
		Root string   `json:"root_token"`
	}
	if err := json.Unmarshal([]byte(p.want(200, "root_token", "PUT", "sys/init", "", `{"secret_shares":5,"secret_threshold":3}`)), &out); err != nil {
		p.t.Fatal(err)
	}
	return out.Keys, out.Root
}

func (p *peer) unseal(shares []string) {
	p.t.Helper()
	for i, s := range shares[:3] {
		want := fmt.Sprintf(`"progress":%d`, i+1)
		if i == 2 {
			want = `"sealed":false`
		}
		p.want(200, want, "PUT", "sys/unseal", "", `{"key":"`+s+`"}`)
	}
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if f() {
			return
		}
		if time.Now().After(end) {
			t.Fatal("in 20 s not: " + what)
		}
	}
}

func voters(p *peer, root string) int {
	_, answer := p.call("GET", "sys/storage/raft/configuration", root, "")
	return strings.Count(answer, `"voter":true`)
}

func active(peers []*peer) *peer {
	for _, p := range peers {
		if p.serve.Load() != nil && p.node.State().Active {
			return p
		}
	}
	return nil
}

// three is an unsealed cluster of three voters, with KV at secret/.
func three(t *testing.T, options ...func(*node.Config)) (peers []*peer, shares []string, root string) {
	t.Helper()
	peers = cluster(t, 3, options...)
	shares, root = peers[0].initialize()
	for _, p := range peers {
		p.unseal(shares)
	}
	eventually(t, "three voters", func() bool { return voters(peers[0], root) == 3 })
	peers[0].want(204, "", "POST", "sys/mounts/secret", root, `{"type":"kv","options":{"version":"2"}}`)
	return peers, shares, root
}

func TestStates(t *testing.T) {
	p := cluster(t, 1)[0]
	p.want(200, `"initialized":false`, "GET", "sys/seal-status", "", "")
	p.want(501, "", "GET", "sys/health", "", "")
	p.want(405, "unsupported operation", "POST", "sys/health", "", "{}")
	p.want(299, "", "GET", "sys/health?uninitcode=299", "", "")
	p.want(503, "not initialized", "GET", "secret/x", "", "")
	p.want(400, "Vault is not initialized", "PUT", "sys/unseal", "", `{"key":"`+strings.Repeat("ab", 33)+`"}`)
	p.want(400, "threshold cannot be larger", "PUT", "sys/init", "", `{"secret_shares":1,"secret_threshold":3}`)
	p.want(400, "PGP key 1", "PUT", "sys/init", "", `{"secret_shares":1,"secret_threshold":1,"pgp_keys":["x"]}`)
	p.want(400, "2 given for 1 shares", "PUT", "sys/init", "", `{"secret_shares":1,"secret_threshold":1,"pgp_keys":["x","x"]}`)
	p.want(400, "root_token_pgp_key", "PUT", "sys/init", "", `{"secret_shares":1,"secret_threshold":1,"root_token_pgp_key":"x"}`)
	p.want(400, "recovery_pgp_keys not applicable to seal type shamir", "PUT", "sys/init", "", `{"secret_shares":1,"secret_threshold":1,"recovery_pgp_keys":["x"]}`)
	shares, root := p.initialize()
	p.want(400, "already initialized", "PUT", "sys/init", "", `{"secret_shares":1,"secret_threshold":1}`)
	p.want(503, "Vault is sealed", "GET", "secret/x", root, "")
	p.want(503, "", "GET", "sys/health", "", "")
	p.want(204, "", "GET", "sys/health?sealedcode=204", "", "")
	p.want(400, "valid hex or base64", "PUT", "sys/unseal", "", `{"key":"not a key!"}`)
	p.want(400, "33 bytes", "PUT", "sys/unseal", "", `{"key":"abcd"}`)
	p.want(200, `"progress":1`, "PUT", "sys/unseal", "", `{"key":"`+shares[0]+`"}`)
	p.want(200, `"progress":0`, "PUT", "sys/unseal", "", `{"reset":true}`)
	wrong, _ := hex.DecodeString(shares[2])
	wrong[3] ^= 1
	p.want(200, `"progress":1`, "PUT", "sys/unseal", "", `{"key":"`+shares[0]+`"}`)
	p.want(200, `"progress":2`, "PUT", "sys/unseal", "", `{"key":"`+shares[1]+`"}`)
	p.want(400, "unseal failed", "PUT", "sys/unseal", "", `{"key":"`+hex.EncodeToString(wrong)+`"}`)
	p.want(200, `"progress":0`, "GET", "sys/seal-status", "", "")
	p.unseal(shares)
	p.want(200, "", "GET", "sys/health", "", "")
	p.want(403, "permission denied", "PUT", "sys/seal", "", "")
	p.want(403, "invalid token", "PUT", "sys/seal", "hvs.wrong", "")
	p.want(204, "", "PUT", "sys/seal", root, "")
	p.want(200, `"sealed":true`, "GET", "sys/seal-status", "", "")
	p.unseal(shares)
	p.want(200, `"id":"`+root, "GET", "auth/token/lookup-self", root, "")
}

func TestRefused(t *testing.T) {
	p := cluster(t, 1)[0]
	shares, root := p.initialize()
	p.unseal(shares)
	p.want(400, "segment", "GET", "secret/../sys/seal", root, "")
	p.want(400, "segment", "GET", "secret//x", root, "")
	p.want(400, "printable", "GET", "secret/%00", root, "")
	p.want(400, "JSON", "POST", "sys/policy/x", root, `{"policy":`)
	p.want(400, "300 levels", "POST", "sys/policy/x", root, strings.Repeat("[", 400))
	p.want(413, "max_request_size", "POST", "sys/policy/x", root, `{"policy":"`+strings.Repeat("x", 2<<20)+`"}`)
	p.want(405, "", "BREW", "sys/mounts", root, "")
	for header, want := range map[string]struct {
		code int
		text string
	}{"X-Vault-Wrap-TTL": {400, "a duration"}, "X-Vault-Namespace": {404, `no handler for route \"sixty/sys/mounts\"`}} {
		req, _ := http.NewRequest("GET", p.api.URL+"/v1/sys/mounts", nil)
		req.Header.Set("X-Vault-Token", root)
		req.Header.Set(header, "sixty")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want.code || !strings.Contains(string(b), want.text) {
			t.Errorf("%s: %d %s", header, resp.StatusCode, b)
		}
	}
}

func TestThreeNodes(t *testing.T) {
	peers, shares, root := three(t)
	// Every node serves, whoever leads.
	for i, p := range peers {
		p.want(200, `"version":1`, "POST", fmt.Sprintf("secret/data/k%d", i), root, `{"data":{"v":1}}`)
		for j := range i + 1 {
			p.want(200, `"v":1`, "GET", fmt.Sprintf("secret/data/k%d", j), root, "")
		}
	}
	peers[1].want(429, "", "GET", "sys/health", "", "")
	peers[1].want(200, "", "GET", "sys/health?standbyok=true", "", "")
	peers[1].want(200, peers[0].api.URL, "GET", "sys/leader", "", "")
	peers[1].want(403, "permission denied", "GET", "secret/data/k0", "", "")

	// A standby seals itself for whom the policy lets, and nobody else notices.
	peers[2].want(403, "invalid token", "PUT", "sys/seal", "hvs.wrong", "")
	peers[2].want(204, "", "PUT", "sys/seal", root, "")
	peers[2].want(503, "Vault is sealed", "GET", "secret/data/k0", root, "")
	peers[0].want(200, "", "GET", "secret/data/k0", root, "")
	peers[2].unseal(shares)
	peers[2].want(200, `"v":1`, "GET", "secret/data/k0", root, "")

	// The leader stops: another serves, with everything.
	peers[0].stop()
	eventually(t, "a new active node", func() bool { return active(peers) != nil })
	peers[1].want(200, `"v":1`, "GET", "secret/data/k1", root, "")
	peers[2].want(200, `"version":2`, "POST", "secret/data/k1", root, `{"data":{"v":2}}`)

	// It comes back sealed, catches up while it is, and serves when unsealed.
	peers[0].start()
	peers[0].want(503, "Vault is sealed", "GET", "secret/data/k1", root, "")
	want := active(peers).node.State().AppliedIndex
	eventually(t, "the sealed node to catch up", func() bool { return peers[0].node.State().AppliedIndex >= want })
	peers[0].unseal(shares)
	peers[0].want(200, `"v":2`, "GET", "secret/data/k1", root, "")

	// Leadership can be given away.
	leader := active(peers)
	leader.want(204, "", "PUT", "sys/step-down", root, "")
	eventually(t, "another node to be active", func() bool { a := active(peers); return a != nil && a != leader })
	leader.want(200, `"v":2`, "GET", "secret/data/k1", root, "")
}

// After a restart of all, one unsealed node is enough to serve.
func TestOneUnsealedServes(t *testing.T) {
	peers, shares, root := three(t)
	peers[0].want(200, "", "POST", "secret/data/k", root, `{"data":{"v":1}}`)
	for _, p := range peers {
		p.stop()
	}
	for _, p := range peers {
		p.start()
	}
	for _, p := range peers {
		p.want(200, `"initialized":true`, "GET", "sys/seal-status", "", "")
		p.want(400, "already initialized", "PUT", "sys/init", "", `{"secret_shares":1,"secret_threshold":1}`)
	}
	peers[2].unseal(shares)
	peers[2].want(200, `"v":1`, "GET", "secret/data/k", root, "")
	if !peers[2].node.State().Active {
		t.Error("the only unsealed node is not active")
	}
	// Sealing it hands nothing to anyone: all are sealed, none lies about it.
	peers[2].want(204, "", "PUT", "sys/seal", root, "")
	peers[2].want(503, "Vault is sealed", "GET", "secret/data/k", root, "")
	peers[0].unseal(shares)
	peers[0].want(200, `"v":1`, "GET", "secret/data/k", root, "")
}

// A node that gets wrong shares does not join, and neither does one that only
// guesses.
func TestJoinNeedsTheKey(t *testing.T) {
	peers := cluster(t, 2)
	shares, root := peers[0].initialize()
	peers[0].unseal(shares)
	eventually(t, "the invitation", func() bool { return peers[1].node.State().Initialized })
	peers[1].want(400, "already initialized", "PUT", "sys/init", "", `{"secret_shares":1,"secret_threshold":1}`)
	for i, s := range shares[:3] {
		b, _ := hex.DecodeString(s)
		b[0] ^= 1
		code, text := 200, "progress"
		if i == 2 {
			code, text = 400, "unseal failed"
		}
		peers[1].want(code, text, "PUT", "sys/unseal", "", `{"key":"`+hex.EncodeToString(b)+`"}`)
	}
	peers[0].want(403, "not answered correctly", "PUT", "sys/storage/raft/bootstrap/answer", "", `{"nonce":"AAAA","node_id":"x","cluster_addr":"127.0.0.1:1","csr":"AAAA","mac":"AAAA"}`)
	if answer := peers[0].want(200, "servers", "GET", "sys/storage/raft/configuration", root, ""); strings.Contains(answer, `"n1"`) {
		t.Fatal("a node with wrong shares was admitted")
	}
	peers[1].unseal(shares)
	eventually(t, "two voters", func() bool { return voters(peers[0], root) == 2 })
}
