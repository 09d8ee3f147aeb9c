package httpapi_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func standby(t *testing.T, peers []*peer) (leader, other *peer) {
	t.Helper()
	eventually(t, "an active node, and standbys that read", func() bool {
		leader = active(peers)
		for _, p := range peers {
			if p != leader {
				if p.node.Reader() == nil {
					return false
				}
				other = p
			}
		}
		return leader != nil
	})
	return leader, other
}

// TestStandbyReads: what a standby answers by itself is what was acknowledged last, wherever that was.
func TestStandbyReads(t *testing.T) {
	peers, _, root := three(t)
	leader, other := standby(t, peers)
	for i := range 200 {
		leader.want(200, "", "POST", "secret/data/x", root, fmt.Sprintf(`{"data":{"n":"%d"}}`, i))
		other.want(200, fmt.Sprintf(`"n":"%d"`, i), "GET", "secret/data/x", root, "")
	}
	eventually(t, "the standby has heard of the last write", func() bool { return other.node.CatchUp(t.Context()) == nil })
	before := leader.forwarded.Load()
	for range 20 {
		other.want(200, `"keys":["x"]`, "LIST", "secret/metadata/", root, "")
		other.want(200, root, "GET", "auth/token/lookup-self", root, "")
		other.want(200, `"path":"secret/"`, "GET", "sys/internal/ui/mounts/secret/x", root, "")
		other.want(404, "", "GET", "secret/data/absent", root, "")
		other.want(403, "permission denied", "GET", "secret/data/x", "", "")
	}
	if n := leader.forwarded.Load() - before; n != 0 {
		t.Errorf("%d reads at rest were forwarded", n)
	}
	other.want(200, `"servers"`, "GET", "sys/storage/raft/configuration", root, "")
	other.send("GET", "secret/data/x", root, nil, "X-Vault-Forward", "active-node")
	if n := leader.forwarded.Load() - before; n != 2 {
		t.Errorf("%d requests were forwarded, want the two that only the active node can answer", n)
	}
}

// TestStandbyTokens: a revocation counts on every node at once, and a use that is counted is spent on the leader.
func TestStandbyTokens(t *testing.T) {
	peers, _, root := three(t)
	leader, other := standby(t, peers)
	create := func(body string) string {
		var out struct {
			Auth struct {
				Token string `json:"client_token"`
			} `json:"auth"`
		}
		if err := json.Unmarshal([]byte(leader.want(200, "client_token", "POST", "auth/token/create", root, body)), &out); err != nil {
			t.Fatal(err)
		}
		return out.Auth.Token
	}
	for range 20 {
		token := create(`{}`)
		other.want(200, "", "GET", "auth/token/lookup-self", token, "")
		leader.want(204, "", "POST", "auth/token/revoke", root, `{"token":"`+token+`"}`)
		other.want(403, "", "GET", "auth/token/lookup-self", token, "")
	}
	token := create(`{"num_uses":3,"policies":["root"]}`)
	other.want(200, token, "GET", "auth/token/lookup-self", token, "")
	leader.want(200, token, "GET", "auth/token/lookup-self", token, "")
	other.want(404, "", "GET", "secret/data/x", token, "")
	other.want(403, "", "GET", "secret/data/x", token, "")
}

// TestIndexHeaders: a write names the state it made; a read may demand one.
func TestIndexHeaders(t *testing.T) {
	peers, _, root := three(t)
	leader, other := standby(t, peers)
	write := func(p *peer) string {
		_, header, _ := p.send("POST", "secret/data/x", root, strings.NewReader(`{"data":{"a":"b"}}`))
		return header.Get("X-Vault-Index")
	}
	state := write(leader)
	text, err := base64.StdEncoding.DecodeString(state)
	if err != nil || !strings.HasPrefix(string(text), "v1:") {
		t.Fatalf("X-Vault-Index %q", state)
	}
	if write(other) == "" {
		t.Error("a forwarded write names no state")
	}
	cluster := strings.Split(string(text), ":")[1]
	future := base64.StdEncoding.EncodeToString([]byte("v1:" + cluster + ":99999999:0:"))
	foreign := base64.StdEncoding.EncodeToString([]byte("v1:another:99999999:0:"))
	for _, p := range []*peer{leader, other} {
		for _, c := range []struct {
			state, inconsistent string
			code                int
			text                string
		}{
			{state, "", 200, `"a":"b"`}, {state, "forward-active-node", 200, `"a":"b"`}, {foreign, "", 200, `"a":"b"`},
			{future, "", 412, "required index state not present"}, {future, "forward-active-node", 412, "required index state not present"},
			{"!", "", 400, "X-Vault-Index"},
		} {
			code, _, body := p.send("GET", "secret/data/x", root, nil, "X-Vault-Index", c.state, "X-Vault-Inconsistent", c.inconsistent)
			if code != c.code || !strings.Contains(string(body), c.text) {
				t.Errorf("%s: index %s, %q: %d %s", p.config.NodeID, c.state, c.inconsistent, code, body)
			}
		}
	}
}

// A leader is lost before it answers: a read is asked again, unless it may have
// spent a use of its token, which would be a second one.
func TestLostAnswerOfACountedRead(t *testing.T) {
	peers := cluster(t, 2)
	shares, root := peers[0].initialize()
	for _, p := range peers {
		p.unseal(shares)
	}
	eventually(t, "two voters", func() bool { return voters(peers[0], root) == 2 })
	create := func(body string) string {
		var made struct {
			Auth struct {
				Token string `json:"client_token"`
			} `json:"auth"`
		}
		if err := json.Unmarshal([]byte(peers[0].want(200, "", "POST", "auth/token/create", root, body)), &made); err != nil {
			t.Fatal(err)
		}
		return made.Auth.Token
	}
	uses := func(token string) string {
		_, answer := peers[0].call("POST", "auth/token/lookup", root, `{"token":"`+token+`"}`)
		_, after, _ := strings.Cut(answer, `"num_uses":`)
		n, _, _ := strings.Cut(after, ",")
		return n
	}
	lookup := func(token string) (int, string) {
		peers[0].cut.Store(true)
		return peers[1].call("GET", "auth/token/lookup-self", token, "")
	}
	three := create(`{"policies":"default","num_uses":3}`)
	if code, answer := lookup(three); code != 502 || !strings.Contains(answer, "may or may not have taken effect") {
		t.Errorf("a counted read: %d %s", code, answer)
	}
	if n := uses(three); n != "2" {
		t.Errorf("%s uses are left of 3", n)
	}
	if code, answer := lookup(create(`{"policies":"default","num_uses":1}`)); code != 502 {
		t.Errorf("the last use: %d %s", code, answer)
	}
	// What only the leader answers is asked again with a token that is not counted.
	peers[0].cut.Store(true)
	before := peers[0].forwarded.Load()
	peers[1].want(200, "servers", "GET", "sys/storage/raft/configuration", root, "")
	if n := peers[0].forwarded.Load() - before; n != 2 {
		t.Errorf("asked %d times", n)
	}
}
