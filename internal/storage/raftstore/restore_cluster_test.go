package raftstore_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"strongroom/internal/storage"
)

// A restore reaches every node, also one that was down, by the log and by the
// state's stream, and a follower refuses it.
func TestRestoreOnThree(t *testing.T) {
	for name, trailing := range map[string]uint64{"by the log": 0, "by the stream": 16} {
		t.Run(name, func(t *testing.T) {
			nodes := startCluster(t, 3, trailing)
			fill(t, nodes, "old", 100, 100)
			first := leader(t, nodes)
			b, err := first.Backup(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			saved, err := io.ReadAll(b)
			if err = errors.Join(err, b.Close()); err != nil {
				t.Fatal(err)
			}
			same(t, first, nodes)
			away := others(nodes, first)[0]
			if err := away.Restore(t.Context(), func() (io.Reader, error) { return bytes.NewReader(saved), nil }, nil); !errors.Is(err, storage.ErrNotLeader) {
				t.Errorf("a follower restores: %v", err)
			}
			away.stop()
			rest := others(nodes, nil)
			fill(t, rest, "new", 400, 60_000)
			fill(t, rest, "keep", 3, 10)
			keep := func(k string) bool { return strings.HasPrefix(k, "keep/") }
			onLeader(t, rest, func(n *node) error {
				return n.Restore(t.Context(), func() (io.Reader, error) { return bytes.NewReader(saved), nil }, keep)
			})
			now := leader(t, rest)
			held := dump(t, now)
			if len(held) != 103 {
				t.Fatalf("%d keys, want 100 restored and 3 kept", len(held))
			}
			restored := held["old/0000"].Version
			for k, e := range held {
				if strings.HasPrefix(k, "old/") && e.Version != restored {
					t.Fatalf("%s is of version %d, others of %d", k, e.Version, restored)
				}
			}
			same(t, now, rest)
			fill(t, rest, "later", 20, 10)
			if trailing != 0 {
				fill(t, rest, "more", 400, 60_000) // raft-wal drops only whole files
				for _, n := range rest {
					if err := n.Snapshot(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			away.start()
			same(t, leader(t, nodes), nodes)
			if away.Replaced() == 0 {
				t.Error("the node that was down does not know that its state was replaced")
			}
		})
	}
}

// gated stops in the middle until the gate opens.
type gated struct {
	from io.Reader
	left int
	at   chan<- struct{}
	gate <-chan struct{}
}

func (g *gated) Read(b []byte) (int, error) {
	if g.left <= 0 {
		close(g.at)
		<-g.gate
		return 0, io.ErrUnexpectedEOF
	}
	n, err := g.from.Read(b[:min(len(b), g.left)])
	g.left -= n
	return n, err
}

// The leader ends in the middle of a restore: what was before stays, on all nodes,
// and the next leader takes writes and another restore.
func TestLeaderEndsWhileRestoring(t *testing.T) {
	nodes := startCluster(t, 3, 0)
	fill(t, nodes, "old", 100, 60_000)
	first := leader(t, nodes)
	b, err := first.Backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	saved, err := io.ReadAll(b)
	if err = errors.Join(err, b.Close()); err != nil {
		t.Fatal(err)
	}
	fill(t, nodes, "new", 50, 100)
	same(t, first, nodes)
	rest := others(nodes, first)
	before := rest[0].Applied()

	at, gate, restored := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	opened := 0
	go func() {
		restored <- first.Restore(t.Context(), func() (io.Reader, error) {
			if opened++; opened == 1 { // looked through first
				return bytes.NewReader(saved), nil
			}
			return &gated{bytes.NewReader(saved), len(saved) * 2 / 3, at, gate}, nil
		}, nil)
	}()
	<-at
	for _, n := range rest {
		if err := n.WaitApplied(t.Context(), before+2); err != nil { // it has begun there
			t.Fatal(err)
		}
	}
	stopped := make(chan struct{})
	go func() { defer close(stopped); first.stop() }()
	now := leader(t, rest)
	close(gate)
	if err := <-restored; err == nil {
		t.Error("a restore that was cut short succeeded")
	}
	<-stopped
	fill(t, rest, "later", 20, 100)
	if held := dump(t, now); len(held) != 170 || held["old/0000"].Version > before {
		t.Errorf("%d keys, want 170 as before and after", len(held))
	}
	first.start()
	same(t, leader(t, nodes), nodes)
	onLeader(t, nodes, func(n *node) error {
		return n.Restore(t.Context(), func() (io.Reader, error) { return bytes.NewReader(saved), nil }, nil)
	})
	if held := dump(t, leader(t, nodes)); len(held) != 100 {
		t.Errorf("%d keys after another restore, want 100", len(held))
	}
	same(t, leader(t, nodes), nodes)
}
