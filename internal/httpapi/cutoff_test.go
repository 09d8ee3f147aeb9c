package httpapi_test

import (
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	port "strongroom/internal/cluster"
	"strongroom/internal/kube"
	"strongroom/internal/node"
)

// gate is the way to one node's cluster port; while it is shut nobody gets through.
type gate struct {
	net.Listener
	to   string
	mu   sync.Mutex
	shut bool
	open map[net.Conn]struct{}
}

func newGate(t *testing.T, to string) *gate {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Listener: ln, to: to, open: map[net.Conn]struct{}{}}
	t.Cleanup(func() { g.set(true); ln.Close() })
	go func() { // ends with the listener
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go g.pass(c)
		}
	}()
	return g
}

func (g *gate) pass(in net.Conn) {
	defer in.Close()
	out, err := net.Dial("tcp", g.to)
	if err != nil {
		return
	}
	defer out.Close()
	g.mu.Lock()
	if g.shut {
		g.mu.Unlock()
		return
	}
	g.open[in] = struct{}{}
	g.mu.Unlock()
	go func() { io.Copy(out, in); out.Close() }()
	io.Copy(in, out)
	g.mu.Lock()
	delete(g.open, in)
	g.mu.Unlock()
}

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	for c := range g.open {
		if shut {
			c.Close()
		}
	}
}

// A peer that was cut off while a member was removed has not heard of it, and so hands that
// member nothing, though its certificate, its token and its pod were all good until then. A node that
// is removed itself while it is cut off finds out.
func TestCutOffDuringRemoval(t *testing.T) {
	api := &reviews{users: map[string]kube.Review{}}
	var door *gate
	i := 0
	peers := cluster(t, 4, func(c *node.Config) {
		c.NodeID = "vault-" + string(rune('0'+i))
		token := "token-of-" + c.NodeID
		api.set(token, "vault", "vault", c.NodeID)
		c.PeerUnseal = &node.PeerUnseal{Reviewer: api, Audience: "a", Token: func() (string, error) { return token, nil }}
		if i == 1 {
			door = newGate(t, c.ClusterBind)
			c.ClusterAddr = door.Addr().String()
		}
		i++
	})
	shares, root := peers[0].initialize()
	for _, p := range peers {
		p.unseal(shares)
	}
	eventually(t, "four voters", func() bool { return voters(peers[0], root) == 4 })
	cutOff, victim := peers[1], peers[2]
	victim.stop()
	identity, err := port.LoadIdentity(filepath.Join(victim.config.Dir, "node-identity.pem"))
	if err != nil {
		t.Fatal(err)
	}
	thief, err := port.Listen(port.Config{Listen: "127.0.0.1:0", Identity: identity})
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	ask := func() (status, size int) { // the cut-off peer, past the gate
		req, err := http.NewRequest(http.MethodPost, "http://peer/cluster/v1/unseal", strings.NewReader(`{"token":"token-of-vault-2"}`))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := thief.RoundTripper(cutOff.config.ClusterBind).RoundTrip(req)
		if err != nil {
			return 0, 0
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, len(b)
	}
	if code, size := ask(); code != 200 || size != 32 {
		t.Fatalf("a member is given %d bytes, %d", size, code)
	}
	door.set(true)
	peers[0].want(204, "", "POST", "sys/storage/raft/remove-peer", root, `{"server_id":"vault-2"}`)
	time.Sleep(1100 * time.Millisecond) // a peer answers one question a second
	if code, size := ask(); code == 200 {
		t.Fatalf("a removed member is given %d bytes by a peer that was cut off", size)
	} else if code != 503 {
		t.Errorf("it is answered with %d, not by a peer that cannot know", code)
	}
	door.set(false)
	eventually(t, "the peer to have heard", func() bool { code, _ := ask(); return code == 0 || code == 403 })

	door.set(true)
	peers[0].want(204, "", "POST", "sys/storage/raft/remove-peer", root, `{"server_id":"vault-1"}`)
	eventually(t, "the node to find out that it was removed", cutOff.node.Removed)
	cutOff.want(503, "was removed", "GET", "sys/mounts", root, "")
}

// A request waits as long as a failover takes; but once the quorum has been lost for
// longer, clients, which try three times, are told so soon.
func TestLostQuorumAnswersSoon(t *testing.T) {
	peers := cluster(t, 2)
	shares, root := peers[0].initialize()
	for _, p := range peers {
		p.unseal(shares)
	}
	eventually(t, "two voters", func() bool { return voters(peers[0], root) == 2 })
	peers[1].stop()
	eventually(t, "the leader to step down", func() bool { return peers[0].node.Leaderless() > 0 })
	begun := time.Now()
	peers[0].want(503, "active cluster node not found", "GET", "sys/mounts", root, "")
	if took := time.Since(begun); took < 9*time.Second {
		t.Errorf("it was not waited for a leader: %v", took)
	}
	eventually(t, "the leader to be missed for long", func() bool { return peers[0].node.Leaderless() > 10*time.Second })
	for _, method := range []string{"GET", "POST"} {
		begun = time.Now()
		peers[0].want(503, "active cluster node not found", method, "sys/mounts", root, "")
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("%s: it took %v to say that there is no leader", method, took)
		}
	}
}
