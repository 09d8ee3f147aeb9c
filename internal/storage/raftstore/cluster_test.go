package raftstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"strongroom/internal/cluster"
	"strongroom/internal/storage"
	"strongroom/internal/storage/raftstore"
	"strongroom/internal/storage/storagetest"
)

// limit bounds every wait for something that must happen.
const limit = 30 * time.Second

// node is one member in this process, with its files, on the real cluster port.
type node struct {
	t        *testing.T
	id, dir  string
	identity *cluster.Identity
	addr     string // fixed once bound
	trailing uint64
	port     *cluster.Listener
	*raftstore.Store
}

func newNode(t *testing.T, ca *cluster.CA, id string, trailing uint64) *node {
	t.Helper()
	identity, err := ca.Issue(id)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, id: id, dir: t.TempDir(), identity: identity, addr: "127.0.0.1:0", trailing: trailing}
	t.Cleanup(n.stop)
	n.start()
	return n
}

func (n *node) start() {
	n.t.Helper()
	var err error
	if n.port, err = cluster.Listen(cluster.Config{Listen: n.addr, Identity: n.identity}); err != nil {
		n.t.Fatal(err)
	}
	n.addr = n.port.Advertise()
	n.Store, err = raftstore.Open(raftstore.Config{
		Dir: n.dir, NodeID: n.id, Transport: n.port.Transport(nil),
		Heartbeat: 300 * time.Millisecond, TrailingLogs: n.trailing,
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

// stop ends the node; nothing is handed over.
func (n *node) stop() {
	n.t.Helper()
	if n.Store == nil {
		return
	}
	if err := errors.Join(n.Close(), n.port.Close()); err != nil {
		n.t.Errorf("stop %s: %v", n.id, err)
	}
	n.Store = nil
}

func startCluster(t *testing.T, size int, trailing uint64) []*node {
	t.Helper()
	ca, err := cluster.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	var nodes []*node
	for i := range size {
		nodes = append(nodes, newNode(t, ca, fmt.Sprintf("n%d", i+1), trailing))
	}
	if nodes[0].HasState() {
		t.Fatal("a new node has state")
	}
	if err := nodes[0].Bootstrap(nodes[0].addr); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes[1:] {
		onLeader(t, nodes, func(s *node) error { return s.AddNonvoter(t.Context(), n.id, n.addr) })
		onLeader(t, nodes, func(s *node) error { return s.AddVoter(t.Context(), n.id, n.addr) })
	}
	return nodes
}

// onLeader repeats do, which may be done twice, while leadership is lost: a busy
// machine may starve a leader of its peers for longer than its lease.
func onLeader(t *testing.T, nodes []*node, do func(*node) error) {
	t.Helper()
	for {
		err := do(leader(t, nodes))
		if err == nil {
			return
		}
		if !lost(err) {
			t.Fatal(err)
		}
	}
}

// lost says that err is about leadership.
func lost(err error) bool {
	return errors.Is(err, storage.ErrUnknownOutcome) || errors.Is(err, storage.ErrNotLeader)
}

// leader waits until one of nodes leads with everything in place.
func leader(t *testing.T, nodes []*node) *node {
	t.Helper()
	n, err := findLeader(t.Context(), nodes)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func findLeader(ctx context.Context, nodes []*node) (*node, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		for _, n := range nodes {
			if n.Store != nil && n.Barrier(ctx) == nil {
				return n, nil
			}
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return nil, errors.New("no leader")
		}
	}
}

// same waits until all nodes hold what one of them, the leader, does.
func same(t *testing.T, from *node, nodes []*node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	want := dump(t, from)
	applied := from.Stats().AppliedIndex
	for _, n := range nodes {
		if err := n.WaitApplied(ctx, applied); err != nil {
			t.Fatalf("%s: %v (%+v)", n.id, err, n.Stats())
		}
		got := dump(t, n)
		if len(got) != len(want) {
			t.Fatalf("%s holds %d keys, the leader %d", n.id, len(got), len(want))
		}
		for k, e := range want {
			if got[k].Version != e.Version || !bytes.Equal(got[k].Value, e.Value) {
				t.Fatalf("%s holds %q at version %d, the leader at %d", n.id, k, got[k].Version, e.Version)
			}
		}
	}
}

func dump(t *testing.T, s storage.Store) map[string]storage.Entry {
	t.Helper()
	out := map[string]storage.Entry{}
	for k, err := range s.Keys(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if out[k], err = s.Get(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func fill(t *testing.T, nodes []*node, prefix string, n, size int) {
	t.Helper()
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			s, err := findLeader(t.Context(), nodes)
			for i := w; i < n; i += 8 {
				b := storage.Batch{Writes: []storage.Write{storagetest.Put(fmt.Sprintf("%s/%04d", prefix, i), string(bytes.Repeat([]byte{byte(i)}, size)))}}
				for ok := false; !ok && err == nil; {
					if err = s.Apply(t.Context(), b); err == nil {
						ok = true
					} else if lost(err) {
						s, err = findLeader(t.Context(), nodes)
					}
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

func others(nodes []*node, not *node) (out []*node) {
	for _, n := range nodes {
		if n != not && n.Store != nil {
			out = append(out, n)
		}
	}
	return out
}

func TestReplicationAndFailover(t *testing.T) {
	nodes := startCluster(t, 3, 0)
	fill(t, nodes, "a", 200, 100)
	first := leader(t, nodes)
	same(t, first, nodes)
	for _, n := range others(nodes, first) {
		if err := n.Apply(t.Context(), storage.Batch{}); !errors.Is(err, storage.ErrNotLeader) {
			t.Errorf("a follower wrote: %v", err)
		}
		if id, addr, ok := n.Leader(); !ok || id != first.id || addr != first.addr {
			t.Errorf("%s thinks that %s at %s leads", n.id, id, addr)
		}
	}
	for _, s := range first.Servers() {
		if !s.Voter || s.Leader != (s.ID == first.id) {
			t.Errorf("server %+v", s)
		}
	}

	first.stop()
	rest := others(nodes, nil)
	fill(t, rest, "b", 50, 100)
	same(t, leader(t, rest), rest)

	first.start()
	if !first.HasState() {
		t.Error("a member has no state after a restart")
	}
	same(t, leader(t, nodes), nodes)
}

func TestTransfer(t *testing.T) {
	nodes := startCluster(t, 3, 0)
	first := leader(t, nodes)
	to := others(nodes, first)[1]
	if err := to.Transfer(t.Context(), ""); !errors.Is(err, storage.ErrNotLeader) {
		t.Errorf("a follower handed leadership over: %v", err)
	}
	if err := first.Transfer(t.Context(), "nobody"); err == nil {
		t.Error("leadership went to nobody")
	}
	if err := first.Transfer(t.Context(), to.id); err != nil {
		t.Fatal(err)
	}
	if now := leader(t, nodes); now != to {
		t.Fatalf("%s leads, not %s", now.id, to.id)
	}
	same(t, to, nodes)
}

func TestRemovedServer(t *testing.T) {
	nodes := startCluster(t, 3, 0)
	first := leader(t, nodes)
	gone := others(nodes, first)[0]
	if err := first.RemoveServer(t.Context(), gone.id); err != nil {
		t.Fatal(err)
	}
	fill(t, others(nodes, gone), "a", 20, 10)
	same(t, first, others(nodes, gone))
	if n := len(first.Servers()); n != 2 {
		t.Errorf("%d servers are left, want 2", n)
	}
	// The leader can remove itself, and another takes over.
	last := others(nodes, first)
	if err := first.RemoveServer(t.Context(), first.id); err != nil {
		t.Fatal(err)
	}
	var remaining []*node
	for _, n := range last {
		if n != gone {
			remaining = append(remaining, n)
		}
	}
	fill(t, remaining, "b", 5, 10)
}

// A follower that was away while the log was truncated gets the state itself,
// while writes go on and readers read.
func TestCatchUpFromSnapshot(t *testing.T) {
	nodes := startCluster(t, 3, 16)
	fill(t, nodes, "old", 100, 100)
	first := leader(t, nodes)
	same(t, first, nodes)
	away := others(nodes, first)[0]
	away.stop()

	rest := others(nodes, nil)
	fill(t, rest, "new", 400, 60_000) // more than a log file: raft-wal drops only whole ones
	var drop []storage.Write
	for i := range 50 {
		drop = append(drop, storagetest.Delete(fmt.Sprintf("old/%04d", i)))
	}
	onLeader(t, rest, func(n *node) error { return n.Apply(t.Context(), storage.Batch{Writes: drop}) })
	for _, n := range others(nodes, nil) {
		if err := n.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	away.start()
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() { // readers cross the switch
		for {
			select {
			case <-stop:
				return
			default:
			}
			n := 0
			for _, err := range away.Keys(t.Context(), "old/", "") {
				if err != nil {
					t.Error(err)
					return
				}
				n++
			}
			if n != 100 && n != 50 {
				t.Errorf("a reader saw %d keys: half a state", n)
				return
			}
		}
	})
	fill(t, nodes, "more", 200, 100) // the stream is of a later state than its meta
	same(t, leader(t, nodes), nodes)
	close(stop)
	group.Wait()

	// What it received survives a restart, and it can lead on it.
	away.stop()
	away.start()
	if _, err := os.Stat(filepath.Join(away.dir, "state-000001")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the follower caught up without receiving a state, or kept its old one: %v", err)
	}
	same(t, leader(t, nodes), nodes)
	now := leader(t, nodes)
	if now != away {
		if err := now.Transfer(t.Context(), away.id); err != nil {
			t.Fatal(err)
		}
	}
	if now = leader(t, nodes); now != away {
		t.Fatalf("%s leads, not %s", now.id, away.id)
	}
	fill(t, nodes, "last", 20, 10)
	same(t, leader(t, nodes), nodes)
}

// Compare-and-set increments through whoever leads, while leaders come and go:
// every acknowledged one counts, and one of unknown outcome at most once.
func TestIncrementsAcrossFailovers(t *testing.T) {
	nodes := startCluster(t, 3, 0)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var mu sync.Mutex // guards nodes' Stores against stop and start
	acked, unknown := 0, 0
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				mu.Lock()
				stores := make([]*raftstore.Store, 0, 3)
				for _, n := range nodes {
					if n.Store != nil {
						stores = append(stores, n.Store)
					}
				}
				mu.Unlock()
				for _, s := range stores {
					if s.Stats().State != raft.Leader.String() {
						continue
					}
					err := storagetest.Increment(ctx, s, "counter")
					mu.Lock()
					switch {
					case err == nil:
						acked++
					case errors.Is(err, storage.ErrUnknownOutcome):
						unknown++
					case !errors.Is(err, storage.ErrNotLeader) && !errors.Is(err, storage.ErrClosed):
						t.Error(err)
					}
					mu.Unlock()
				}
			}
		})
	}
	for range 3 {
		n := leader(t, nodes)
		mu.Lock()
		target := acked + 50
		mu.Unlock()
		for reached := false; !reached && ctx.Err() == nil; {
			mu.Lock()
			reached = acked >= target
			mu.Unlock()
			if err := n.Barrier(ctx); err != nil {
				break
			}
		}
		store := n.Store
		mu.Lock()
		n.Store = nil
		mu.Unlock()
		if err := errors.Join(store.Close(), n.port.Close()); err != nil {
			t.Error(err)
		}
		leader(t, others(nodes, nil))
		fresh := &node{t: t, id: n.id, dir: n.dir, identity: n.identity, addr: n.addr}
		fresh.start()
		mu.Lock()
		n.Store, n.port = fresh.Store, fresh.port
		mu.Unlock()
	}
	close(done)
	group.Wait()
	last := leader(t, nodes)
	same(t, last, nodes)
	e, err := last.Get(ctx, "counter")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	if _, err := fmt.Sscan(string(e.Value), &count); err != nil {
		t.Fatal(err)
	}
	if count < acked || count > acked+unknown {
		t.Fatalf("%d acknowledged, %d unknown, but the counter is %d", acked, unknown, count)
	}
	t.Logf("%d acknowledged, %d of unknown outcome, counted %d", acked, unknown, count)
}
