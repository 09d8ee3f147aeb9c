package raftstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/hashicorp/raft"
)

// threesome is the folder of a node that led, and then lost both its peers.
func threesome(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s := lead(t, Config{Dir: dir})
	for i := range 30 {
		must(t, s, fmt.Sprintf("k/%d", i), "v")
	}
	f := s.raft.AddVoter("n2", "n2", 0, 0)
	if err := f.Error(); err != nil { // one vote of one; from then on n2's is missing
		t.Fatal(err)
	}
	dir = image(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func lay(t *testing.T, dir, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, peersName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRecoverPeers(t *testing.T) {
	dir := threesome(t)
	lay(t, dir, `[{"id": "n1", "address": "n1", "non_voter": false}, {"id": "n3", "address": "n3:1", "non_voter": true}]`)
	for round := range 2 {
		s := lead(t, Config{Dir: dir})
		if got := len(s.Servers()); got != 2 || s.Servers()[0].ID != "n1" || s.Servers()[1].Voter {
			t.Fatalf("servers %+v", s.Servers())
		}
		if n := strings.Count(contents(t, s), "k/"); n != 30 {
			t.Fatalf("%d keys of 30", n)
		}
		must(t, s, "more", fmt.Sprint(round))
		if _, err := os.Stat(filepath.Join(dir, peersName)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("peers.json is still there: %v", err)
		}
		if _, err := os.Stat(filepath.Join(dir, peersDone)); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRecoverRefuses(t *testing.T) {
	good := threesome(t)
	for text, want := range map[string]string{
		``:                              "no list",
		`{}`:                            "no list",
		`[]`:                            "nobody in it has a vote",
		`[{"id":"n1"}]`:                 `"n1" has no address`,
		`[{"address":"n1"}]`:            "entry 1 has no id",
		`[{"id":"n1","address":"a"}] x`: "follows",
		`[{"id":"n1","address":"a","voter":true}]`:                    "voter",
		`[{"id":"n1","address":"a"},{"id":"n1","address":"b"}]`:       `"n1" is there twice`,
		`[{"id":"n1","address":"a"},{"id":"n2","address":"a"}]`:       `address "a" is there twice`,
		`[{"id":"n1","address":"a","non_voter":true}]`:                "nobody in it has a vote",
		`[{"id":"n2","address":"a"}]`:                                 `does not name this node, "n1"`,
		`[{"id":"n1","address":"a"},{"id":"n2","address":"b"}` + "\n": "no list",
	} {
		dir := image(t, good)
		lay(t, dir, text)
		_, err := Open(Config{Dir: dir, NodeID: "n1", Heartbeat: testHeartbeat})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), peersName) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if err := os.Remove(filepath.Join(dir, peersName)); err != nil {
			t.Errorf("%s: the file is gone: %v", text, err)
		}
		s, err := Open(Config{Dir: dir, NodeID: "n1", Heartbeat: testHeartbeat})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if len(s.Servers()) != 2 || s.Servers()[1].ID != "n2" {
			t.Errorf("%s: something changed: %+v", text, s.Servers())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	dir := t.TempDir()
	lay(t, dir, `[{"id":"n1","address":"a"}]`)
	if _, err := Open(Config{Dir: dir, NodeID: "n1"}); err == nil || !strings.Contains(err.Error(), "no data") {
		t.Errorf("an empty node: %v", err)
	}
}

// After a crash at any file operation of a recovery, the next start recovers.
func TestCrashWhileRecovering(t *testing.T) {
	w := newWorld(t, 1, 1)
	s := openOn(t, w.fs, 5)
	if err := s.Bootstrap(""); err != nil {
		t.Fatal(err)
	}
	awaitTerm(t, s)
	w.work(s, "a", 40)
	if err := s.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.work(s, "b", 40)
	f := s.raft.AddVoter("n2", "n2", 0, 0)
	if err := f.Error(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	h := home{fs: w.fs}
	if err := h.writeFile("/node/"+peersName, `[{"id":"n1","address":"n1"}]`); err != nil {
		t.Fatal(err)
	}
	if err := syncDir(w.fs, "/node"); err != nil {
		t.Fatal(err)
	}
	s = openOn(t, errorfs.Wrap(w.fs, w), 5)
	awaitTerm(t, s)
	w.mu.Lock()
	w.picture("the end")
	crashes := w.crashes
	w.mu.Unlock()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range crashes {
		c.check(t)
		if _, err := c.fs.Stat("/node/" + peersName); err == nil {
			t.Errorf("%s: not recovered", c.at)
		}
		s := openOn(t, c.fs, 5)
		if got := s.Servers(); len(got) != 1 || got[0].ID != "n1" {
			t.Errorf("%s: servers %+v", c.at, got)
		}
		var l raft.Log
		first, _ := s.log.FirstIndex()
		last, _ := s.log.LastIndex()
		for i := first; i <= last && i > 0; i++ { // whoever joins sees no old membership
			if err := s.log.GetLog(i, &l); err == nil && l.Type == raft.LogConfiguration {
				t.Errorf("%s: an old membership is in the log at %d", c.at, i)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d crashes", len(crashes))
}

func FuzzParsePeers(f *testing.F) {
	f.Add([]byte(`[{"id":"n1","address":"a:1"},{"id":"n2","address":"b:1","non_voter":true}]`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parsePeers(b)
		if err != nil {
			return
		}
		voters := 0
		for _, s := range c.Servers {
			if s.ID == "" || s.Address == "" {
				t.Fatalf("%+v", c)
			}
			if s.Suffrage == raft.Voter {
				voters++
			}
		}
		if voters == 0 {
			t.Fatalf("nobody has a vote: %+v", c)
		}
	})
}
