package node

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/cluster"
)

// departed is the folder of a node that has left, as far as setting aside goes, and the node.
func departed(t *testing.T, left bool) *Node {
	t.Helper()
	n := New(Config{NodeID: "n0", Dir: t.TempDir(), ClusterBind: "127.0.0.1:0", RetryJoin: []JoinTarget{{}}, Logger: hclog.NewNullLogger()})
	key, csr, err := cluster.NewCSR("n0")
	if err != nil {
		t.Fatal(err)
	}
	ca, err := cluster.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.SignFor("n0", csr)
	if err != nil {
		t.Fatal(err)
	}
	id, err := cluster.NewIdentity(key, cert, cluster.Only(ca).PEM())
	if err != nil {
		t.Fatal(err)
	}
	if err := n.saveIdentity(id); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(n.raftDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(n.raftDir(), "log"), "entries")
	put(t, n.markerFile(), "{}")
	if err := n.saveIntention(intention{NodeID: "n0", Serial: id.Serial(), Time: time.Now(), Left: left}); err != nil {
		t.Fatal(err)
	}
	return n
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func there(n *Node, names ...string) bool {
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(n.config.Dir, name)); err != nil {
			return false
		}
	}
	return true
}

// However far setting aside had come when the power went, the next start finishes it, and never begins a membership on an old log.
func TestSetAsideIsFinished(t *testing.T) {
	aside := func(n *Node, name string) string { return filepath.Join(n.config.Dir, asideFolder, name) }
	identity, raft, marker := "node-identity.pem", "raft", "removed-from-cluster"
	for done := range 4 { // of the three moves
		n := departed(t, true)
		if done > 0 {
			if err := os.Mkdir(filepath.Join(n.config.Dir, asideFolder), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{identity, raft, marker}[:done] {
			if err := os.Rename(filepath.Join(n.config.Dir, name), aside(n, name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := n.resumeLeaving(); err != nil {
			t.Fatalf("after %d moves: %v", done, err)
		}
		if there(n, identity) || there(n, raft) || there(n, marker) || there(n, leavingFile) || !there(n, "left-cluster/raft/log", "left-cluster/"+identity) {
			t.Errorf("after %d moves it is not finished", done)
		}
		if id, err := n.loadIdentity(); id != nil || err != nil {
			t.Errorf("after %d moves the node is a member still: %v", done, err)
		}
	}
}

// A folder that was emptied of all but the word that the node has left is an empty one.
func TestSetAsideOfNothing(t *testing.T) {
	n := departed(t, true)
	if err := os.RemoveAll(n.raftDir()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(n.identityFile()); err != nil {
		t.Fatal(err)
	}
	if err := n.resumeLeaving(); err != nil || there(n, leavingFile) {
		t.Error(err)
	}
}

// What an earlier departure has set aside makes room.
func TestSetAsideKeepsTheLast(t *testing.T) {
	n := departed(t, true)
	if err := os.MkdirAll(filepath.Join(n.config.Dir, asideFolder, "raft", "older"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := n.resumeLeaving(); err != nil {
		t.Fatal(err)
	}
	if !there(n, "left-cluster/raft/log") || there(n, "left-cluster/raft/older") {
		t.Error("the former state was not replaced")
	}
}

func TestIntentionsThatCountForNothing(t *testing.T) {
	n := departed(t, false)
	if err := n.resumeLeaving(); err != nil || !there(n, "raft/log", "node-identity.pem", leavingFile) || n.intent.Load() == nil {
		t.Errorf("an unanswered question: %v", err)
	}
	n.stays()
	if there(n, leavingFile) || n.endToRejoin() {
		t.Error("the question of a member is not forgotten")
	}

	n = departed(t, true)
	in, err := n.loadIntention()
	if err != nil {
		t.Fatal(err)
	}
	in.Serial = "another"
	if err := n.saveIntention(*in); err != nil {
		t.Fatal(err)
	}
	if err := n.resumeLeaving(); err != nil || !there(n, "raft/log", "node-identity.pem") || there(n, leavingFile) {
		t.Errorf("of an earlier membership: %v", err)
	}

	n = departed(t, true)
	put(t, filepath.Join(n.config.Dir, leavingFile), "{")
	if err := n.resumeLeaving(); err == nil || !there(n, "raft/log", "node-identity.pem") {
		t.Errorf("damaged: %v", err)
	}

	alone := New(Config{NodeID: "n0", Logger: hclog.NewNullLogger()})
	if err := alone.Leave(context.Background()); err != nil {
		t.Errorf("a node of no cluster: %v", err)
	}
}

// Whatever the file holds, it names a node and a certificate or counts for nothing.
func FuzzIntention(f *testing.F) {
	f.Add([]byte(`{"node_id":"n0","serial":"1f","time":"2026-11-24T12:00:00Z","left":true}`))
	f.Add([]byte(`{"node_id":"","left":1}`))
	f.Add([]byte("{}\n{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		in, err := parseIntention(text)
		if (err == nil) != (in != nil) || in != nil && (in.NodeID == "" || in.Serial == "") {
			t.Errorf("%+v, %v", in, err)
		}
	})
}
