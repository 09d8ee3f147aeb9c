package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/kube"
	"strongroom/internal/node"
)

// reviews stands for the Kubernetes API: it knows whose each token is.
type reviews struct {
	mu    sync.Mutex
	users map[string]kube.Review
	down  bool
}

func (r *reviews) ReviewToken(_ context.Context, _, token string, audiences ...string) (kube.Review, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return kube.Review{}, errors.New("no answer")
	}
	got, ok := r.users[token]
	if !ok {
		return kube.Review{Error: "expired"}, nil
	}
	got.Audiences = audiences
	return got, nil
}

func (r *reviews) set(token, namespace, account, pod string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var v kube.Review
	v.Authenticated = true
	v.User.Username = "system:serviceaccount:" + namespace + ":" + account
	v.User.Extra = map[string][]string{}
	if pod != "" {
		v.User.Extra[kube.ExtraPodName], v.User.Extra[kube.ExtraPodUID] = []string{pod}, []string{"uid-" + pod}
	}
	r.users[token] = v
}

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// peerCluster is an unsealed cluster of the pods vault-0, -1 and -2 that unseal each other; all log to log.
func peerCluster(t *testing.T) (peers []*peer, shares []string, root string, api *reviews, log *syncBuffer) {
	t.Helper()
	api, log = &reviews{users: map[string]kube.Review{}}, &syncBuffer{}
	i := 0
	peers = cluster(t, 3, func(c *node.Config) {
		c.NodeID = "vault-" + string(rune('0'+i))
		token := "token-of-" + c.NodeID
		api.set(token, "vault", "vault", c.NodeID)
		c.PeerUnseal = &node.PeerUnseal{Reviewer: api, Audience: "strongroom-peer-unseal", Token: func() (string, error) { return token, nil }}
		c.Logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Info, Output: log})
		i++
	})
	shares, root = peers[0].initialize()
	for _, p := range peers {
		p.unseal(shares)
	}
	eventually(t, "three voters", func() bool { return voters(peers[0], root) == 3 })
	return peers, shares, root, api, log
}

func sealed(p *peer) bool { return p.node.State().Sealed }

// TestPeerUnseal: a member that restarts is unsealed by the others; when all have restarted, people are needed, and one suffices for all.
func TestPeerUnseal(t *testing.T) {
	peers, shares, root, _, log := peerCluster(t)
	for _, p := range peers {
		p.stop()
		p.start()
		eventually(t, p.config.NodeID+" is unsealed by its peers", func() bool { return !sealed(p) })
	}
	if text := log.String(); strings.Count(text, "handing the root key to a peer") < 3 || !strings.Contains(text, "unsealed by a peer") {
		t.Errorf("the log does not tell:\n%s", text)
	}
	for _, p := range peers {
		p.stop()
	}
	for _, p := range peers {
		p.start()
	}
	time.Sleep(3 * time.Second) // long enough for every node to have asked the others twice
	for _, p := range peers {
		if !sealed(p) {
			t.Fatalf("%s is unsealed though everybody was down", p.config.NodeID)
		}
	}
	peers[1].unseal(shares)
	eventually(t, "all are unsealed after one", func() bool { return !sealed(peers[0]) && !sealed(peers[1]) && !sealed(peers[2]) })
	eventually(t, "the root token works", func() bool { code, _ := peers[2].call("GET", "auth/token/lookup-self", root, ""); return code == 200 })
	for _, s := range shares {
		if strings.Contains(log.String(), s) {
			t.Error("a share is in the log")
		}
	}
}

// TestPeerUnsealRefused: whoever is not the member's own pod gets nothing, and the log of the peers says why.
func TestPeerUnsealRefused(t *testing.T) {
	peers, _, _, api, log := peerCluster(t)
	victim := peers[2]
	other := func(t *testing.T) *node.PeerUnseal { c := *victim.config.PeerUnseal; return &c }
	for _, tc := range []struct {
		name, reason string
		prepare      func(p *node.PeerUnseal)
	}{
		{"another service account", "service account", func(*node.PeerUnseal) { api.set("token-of-vault-2", "vault", "default", "vault-2") }},
		{"another namespace", "namespace", func(*node.PeerUnseal) { api.set("token-of-vault-2", "else", "vault", "vault-2") }},
		{"no pod", "not bound to a pod", func(*node.PeerUnseal) { api.set("token-of-vault-2", "vault", "vault", "") }},
		{"another pod of the set", "is not the one of the node", func(*node.PeerUnseal) { api.set("token-of-vault-2", "vault", "vault", "vault-7") }},
		{"another set", "is none of the StatefulSet", func(*node.PeerUnseal) { api.set("token-of-vault-2", "vault", "vault", "web-2") }},
		{"expired", "does not accept the token", func(p *node.PeerUnseal) { p.Token = func() (string, error) { return "unknown", nil } }},
		{"no token", "spaces or control", func(p *node.PeerUnseal) { p.Token = func() (string, error) { return "a b", nil } }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := other(t)
			good := victim.config.PeerUnseal
			tc.prepare(p)
			victim.stop()
			victim.config.PeerUnseal = p
			before := strings.Count(log.String(), "not unsealing a peer")
			victim.start()
			eventually(t, "it is refused with the reason", func() bool {
				text := log.String()
				return strings.Count(text, "not unsealing a peer") > before && strings.Contains(text, tc.reason)
			})
			if !sealed(victim) {
				t.Error("it is unsealed")
			}
			api.set("token-of-vault-2", "vault", "vault", "vault-2")
			victim.stop()
			victim.config.PeerUnseal = good
		})
	}
	victim.start()
	eventually(t, "the right pod is unsealed", func() bool { return !sealed(victim) })
}

// TestPeerUnsealOptIn: a peer without the stanza hands nothing over, and a node that somebody sealed stays sealed.
func TestPeerUnsealOptIn(t *testing.T) {
	peers, shares, root, _, log := peerCluster(t)
	victim := peers[2]
	victim.want(204, "", "PUT", "sys/seal", root, "")
	eventually(t, "the node says that it does not ask", func() bool { return strings.Contains(log.String(), "this node was sealed on purpose") })
	if !sealed(victim) {
		t.Fatal("a node that was sealed on purpose is unsealed by its peers")
	}
	victim.unseal(shares)
	for _, p := range peers[:2] {
		p.stop()
		p.config.PeerUnseal = nil
		p.start()
		p.unseal(shares)
	}
	victim.stop()
	victim.start()
	eventually(t, "peers without the stanza refuse", func() bool {
		return strings.Contains(log.String(), `has no seal \"peer\" stanza`) || strings.Contains(log.String(), `has no seal "peer" stanza`)
	})
	if !sealed(victim) {
		t.Error("it is unsealed")
	}
	victim.unseal(shares)
	var out struct{ Sealed bool }
	if err := json.Unmarshal([]byte(victim.want(200, "", "GET", "sys/seal-status", "", "")), &out); err != nil || out.Sealed {
		t.Errorf("%+v, %v", out, err)
	}
}

// TestPeerUnsealRemoved: a removed member is not unsealed, though its pod and its disk are what they were; and nobody is while Kubernetes
// does not answer.
func TestPeerUnsealRemoved(t *testing.T) {
	peers, _, root, api, log := peerCluster(t)
	victim := peers[2]
	victim.stop()
	down := func(down bool) {
		api.mu.Lock()
		defer api.mu.Unlock()
		api.down = down
	}
	down(true)
	victim.start()
	eventually(t, "peers say that they cannot find out", func() bool { return strings.Contains(log.String(), "cannot find out whether to unseal a peer") })
	if !sealed(victim) {
		t.Error("it is unsealed without an answer of Kubernetes")
	}
	victim.stop()
	down(false)
	peers[0].want(204, "", "POST", "sys/storage/raft/remove-peer", root, `{"server_id":"vault-2"}`)
	handed := strings.Count(log.String(), "handing the root key")
	victim.start()
	eventually(t, "it knows that it was removed", victim.node.Removed)
	if !sealed(victim) || strings.Count(log.String(), "handing the root key") != handed {
		t.Error("a removed member was given the root key")
	}
}
