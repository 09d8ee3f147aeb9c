package httpapi_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// leave ends the peer as a server does that is scaled away.
func (p *peer) leave() error {
	p.t.Helper()
	p.node.PrepareToLeave()
	p.node.HandOver()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := p.node.Leave(ctx)
	p.stop()
	return err
}

// has says whether a file is in the peer's data folder.
func (p *peer) has(name string) bool {
	_, err := os.Stat(filepath.Join(p.config.Dir, name))
	return err == nil
}

// A node that is scaled away is no member any more; scaled back, it joins anew, by its old name, with what it knew set aside. Twice.
func TestLeaveAndComeBack(t *testing.T) {
	peers, shares, root := three(t)
	gone := peers[2]
	for round := range 2 {
		peers[0].want(200, "", "POST", "secret/data/k", root, `{"data":{"v":1}}`)
		if round == 1 { // a sealed node leaves as well
			if err := gone.node.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := gone.leave(); err != nil {
			t.Fatal(err)
		}
		if answer := peers[0].want(200, "", "GET", "sys/storage/raft/configuration", root, ""); strings.Contains(answer, `"n2"`) || voters(peers[0], root) != 2 {
			t.Fatalf("round %d: the members are %s", round, answer)
		}
		gone.start()
		if gone.has("leaving-cluster") || gone.has("raft") || gone.has("node-identity.pem") || !gone.has("left-cluster/raft") || !gone.has("left-cluster/node-identity.pem") {
			t.Fatalf("round %d: the state was not set aside", round)
		}
		eventually(t, "the invitation", func() bool { return gone.node.State().Initialized })
		gone.unseal(shares)
		eventually(t, "three voters", func() bool { return voters(peers[0], root) == 3 })
		gone.want(200, `"v":1`, "GET", "secret/data/k", root, "")
		if gone.node.Removed() {
			t.Error("the node that came back takes itself for removed")
		}
	}
}

// Whom somebody has removed does not come back by being scaled away.
func TestARemovedNodeDoesNotLeave(t *testing.T) {
	peers, _, root := three(t)
	p := peers[2]
	peers[0].want(204, "", "POST", "sys/storage/raft/remove-peer", root, `{"server_id":"n2"}`)
	eventually(t, "the removed node notices", p.node.Removed)
	if err := p.leave(); err != nil {
		t.Fatal(err)
	}
	p.start()
	if p.has("leaving-cluster") || p.has("left-cluster") || !p.node.Removed() {
		t.Error("a removed node has set its state aside")
	}
}

// From three to one, whoever leads, both at once: one voter is left, and it serves.
func TestTwoOfThreeLeaveAtOnce(t *testing.T) {
	for leader := range 3 {
		peers, _, root := three(t)
		if leader > 0 {
			peers[0].want(200, "", "POST", "secret/data/k", root, `{"data":{"v":1}}`)
			for peers[leader] != active(peers) {
				active(peers).want(204, "", "PUT", "sys/step-down", root, "")
				eventually(t, "a leader", func() bool { return active(peers) != nil })
			}
		}
		var both sync.WaitGroup
		for _, p := range peers[1:] {
			both.Go(func() {
				if err := p.leave(); err != nil {
					t.Errorf("with %s leading, %s: %v", peers[leader].config.NodeID, p.config.NodeID, err)
				}
			})
		}
		both.Wait()
		eventually(t, "the last node serves", func() bool { return peers[0].node.State().Active })
		peers[0].want(200, "", "POST", "secret/data/k", root, `{"data":{"v":2}}`)
		if n := voters(peers[0], root); n != 1 {
			t.Errorf("with %s leading, %d voters are left", peers[leader].config.NodeID, n)
		}
		if err := peers[0].leave(); err == nil || !strings.Contains(err.Error(), "the last one cannot leave") {
			t.Errorf("the last one: %v", err)
		}
		if peers[0].has("leaving-cluster") {
			t.Error("the last one has written that it leaves")
		}
	}
}

// The one that stays may be sealed, say after a restart: it serves as soon as it is unsealed.
func TestASealedNodeIsLeftBehind(t *testing.T) {
	peers, shares, root := three(t)
	peers[0].want(200, "", "POST", "secret/data/k", root, `{"data":{"v":1}}`)
	peers[0].stop()
	peers[0].start()
	eventually(t, "a leader", func() bool { return active(peers) != nil })
	for _, p := range peers[1:] {
		if err := p.leave(); err != nil {
			t.Fatalf("%s: %v", p.config.NodeID, err)
		}
	}
	peers[0].unseal(shares)
	eventually(t, "the last node serves", func() bool { return peers[0].node.State().Active })
	peers[0].want(200, `"v":1`, "GET", "secret/data/k", root, "")
	if n := voters(peers[0], root); n != 1 {
		t.Errorf("%d voters are left", n)
	}
}

// Where the rest is no majority nobody leaves: the cluster would be lost until the dead come back, and with them the one that left.
func TestNobodyLeavesAMinorityBehind(t *testing.T) {
	peers, shares, root := three(t)
	peers[0].want(200, "", "POST", "secret/data/k", root, `{"data":{"v":1}}`)
	peers[1].stop()
	p := peers[2]
	p.node.PrepareToLeave()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := p.node.Leave(ctx); err == nil || !strings.Contains(err.Error(), "only 1 answer, which is no majority") {
		t.Fatalf("%v", err)
	}
	p.stop()
	p.start()
	p.unseal(shares)
	eventually(t, "a leader", func() bool { return active(peers) != nil })
	p.want(200, `"v":1`, "GET", "secret/data/k", root, "")
	if n := voters(p, root); n != 3 {
		t.Errorf("%d voters", n)
	}
	eventually(t, "the question is forgotten", func() bool { return !p.has("leaving-cluster") })
	if p.has("left-cluster") {
		t.Error("the state of a member was set aside")
	}
}

// interrupted has p ask to leave and not hear the answer.
func (p *peer) interrupted() {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	p.node.PrepareToLeave()
	if err := p.node.Leave(ctx); err == nil {
		p.t.Fatal("left without an answer")
	}
}

// A node that was stopped before it had its answer finds out what became of its question: it was removed, so it ends for a restart, and joins anew.
func TestTheAnswerIsLost(t *testing.T) {
	peers, shares, root := three(t)
	p := peers[2]
	p.interrupted()
	peers[0].want(204, "", "POST", "sys/storage/raft/remove-peer", root, `{"server_id":"n2"}`)
	p.stop()
	p.start()
	if p.has("left-cluster") || !p.has("raft") {
		t.Fatal("the state was set aside on a guess")
	}
	select {
	case err := <-p.node.Failed():
		if !strings.Contains(err.Error(), "restart it to join anew") {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the node does not find out that it was removed")
	}
	p.stop()
	p.start()
	eventually(t, "the invitation", func() bool { return p.node.State().Initialized })
	p.unseal(shares)
	eventually(t, "three voters", func() bool { return voters(peers[0], root) == 3 })
}

// A node that does not know what became of its question keeps its state as long as nobody tells: it may be needed.
func TestAQuestionIsNoRemoval(t *testing.T) {
	peers, shares, root := three(t)
	peers[0].want(200, "", "POST", "secret/data/k", root, `{"data":{"v":1}}`)
	p := peers[2]
	p.interrupted()
	for _, other := range peers {
		other.stop()
	}
	p.start()
	peers[1].start()
	peers[1].unseal(shares)
	p.unseal(shares)
	eventually(t, "a leader", func() bool { return active(peers) != nil })
	p.want(200, `"v":1`, "GET", "secret/data/k", root, "") // of two old voters, one was p
	if p.has("left-cluster") || p.node.Removed() {
		t.Error("the state was set aside without a word of the cluster")
	}
}

// A node that cannot join by itself, and one that somebody wants to make a cluster of, keep what they have.
func TestStateThatIsNotSetAside(t *testing.T) {
	for name, change := range map[string]func(p *peer){
		"no retry_join": func(p *peer) { p.config.RetryJoin = nil },
		"peers.json": func(p *peer) {
			text := `[{"id":"n2","address":"` + p.config.ClusterAddr + `","non_voter":false}]`
			if err := os.WriteFile(filepath.Join(p.config.Dir, "raft", "peers.json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		peers, _, _ := three(t)
		p := peers[2]
		if err := p.leave(); err != nil {
			t.Fatal(err)
		}
		change(p)
		p.start()
		if p.has("left-cluster") || !p.has("raft") {
			t.Errorf("%s: the state was set aside", name)
		}
	}
}
