package httpapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestNamespaceOnEveryNode: a standby answers reads of a namespace itself and forwards writes with their header, and is not sealed by who rules a
// namespace only.
func TestNamespaceOnEveryNode(t *testing.T) {
	peers, _, root := three(t)
	leader, other := standby(t, peers)
	const header = "X-Vault-Namespace"
	ask := func(p *peer, want int, text, method, path, token, body, ns string) []byte {
		t.Helper()
		code, _, got := p.send(method, path, token, strings.NewReader(body), header, ns)
		if code != want || !strings.Contains(string(got), text) {
			t.Errorf("%s %s in %q: %d %s, want %d with %q", method, path, ns, code, got, want, text)
		}
		return got
	}
	ask(other, 200, `"path":"team-a/"`, "POST", "sys/namespaces/team-a", root, "", "")
	ask(other, 200, `"path":"team-a/sub/"`, "POST", "sys/namespaces/sub", root, "", "/team-a/")
	ask(other, 204, "", "POST", "sys/mounts/secret", root, `{"type":"kv","options":{"version":"2"}}`, "team-a/sub")
	ask(other, 200, "", "POST", "secret/data/x", root, `{"data":{"n":"1"}}`, "team-a/sub")
	var made struct {
		Auth struct {
			Token string `json:"client_token"`
		}
	}
	if err := json.Unmarshal(ask(other, 200, "", "POST", "auth/token/create", root, `{"policies":["root"]}`, "team-a/sub"), &made); err != nil {
		t.Fatal(err)
	}
	token := made.Auth.Token
	ask(leader, 200, "", "GET", "auth/token/lookup-self", token, "", "team-a/sub")
	eventually(t, "the standby has heard of the last write", func() bool { return other.node.CatchUp(t.Context()) == nil })
	before := leader.forwarded.Load()
	ask(other, 200, `"n":"1"`, "GET", "secret/data/x", token, "", "team-a/sub")
	ask(other, 200, `"n":"1"`, "GET", "team-a/sub/secret/data/x", token, "", "")
	ask(other, 403, "permission denied", "GET", "secret/data/x", token, "", "team-a")
	ask(other, 404, "no handler for route", "GET", "secret/data/x", token, "", "team-b")
	if n := leader.forwarded.Load() - before; n != 0 {
		t.Errorf("%d reads were forwarded", n)
	}
	for _, p := range []*peer{leader, other} {
		for _, ns := range []string{"..", "team-a//sub", "team-a/./sub", "team-a/%73ub", "team-a/sub\\", "sys", "team a"} {
			ask(p, 400, "X-Vault-Namespace", "GET", "secret/data/x", token, "", ns)
		}
		for _, path := range []string{"sys/seal", "sys/step-down", "sys/rotate"} {
			ask(p, 404, "unsupported path", "PUT", path, token, "", "team-a/sub")
			ask(p, 404, "unsupported path", "PUT", "team-a/sub/"+path, token, "", "")
			ask(p, 403, "permission denied", "PUT", path, token, "", "")
		}
		for _, path := range []string{"sys/init", "sys/unseal", "sys/health", "sys/storage/raft/join", "sys/rekey/init", "sys/generate-root/attempt", "sys/storage/raft/bootstrap/challenge"} {
			ask(p, 404, "unsupported path", "PUT", path, token, `{}`, "team-a/sub")
		}
		ask(p, 404, "unsupported path", "GET", "sys/storage/raft/snapshot", token, "", "team-a/sub")
		if code, _, _ := p.send("GET", "sys/seal-status", "", http.NoBody, header, "team-a/sub"); code != 200 {
			t.Errorf("sys/seal-status: %d", code)
		}
		if p.node.State().Sealed {
			t.Fatal("a node was sealed from within a namespace")
		}
	}
}
