package raftstore_test

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"strongroom/internal/cluster"
	"strongroom/internal/storage"
	"strongroom/internal/storage/raftstore"
)

// link is a transport whose states travel as the test says.
type link struct {
	raft.Transport
	sent   atomic.Int32
	pace   func(io.Reader) io.Reader // nil: a peer that takes nothing
	closed chan struct{}
	once   sync.Once
}

func (l *link) InstallSnapshot(id raft.ServerID, to raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	l.sent.Add(1)
	if l.pace == nil {
		<-l.closed
		return io.ErrClosedPipe
	}
	return l.Transport.InstallSnapshot(id, to, args, resp, l.pace(data))
}

func (l *link) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Transport.(raft.WithClose).Close()
}

// slowly passes a little, and the rest once there is enough.
type slowly struct {
	from   io.Reader
	enough <-chan struct{}
	begun  *atomic.Bool
}

func (s slowly) Read(b []byte) (int, error) {
	if s.begun.Swap(true) {
		<-s.enough
	}
	return s.from.Read(b)
}

const (
	logFile = 16 << 20
	blob    = 200 << 10
)

// overwrite makes the log longer and the state not.
func overwrite(t *testing.T, n *node, i int) {
	t.Helper()
	if err := n.Apply(t.Context(), storage.Batch{Writes: []storage.Write{{Key: fmt.Sprint("blob/", i%10), Value: make([]byte, blob)}}}); err != nil {
		t.Fatal(err)
	}
}

// pair is a leader with much state and a log of ten entries, and a new member.
func pair(t *testing.T, l *link) (leader, follower *node) {
	t.Helper()
	ca, err := cluster.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	identity, err := ca.Issue("n1")
	if err != nil {
		t.Fatal(err)
	}
	leader = &node{t: t, id: "n1", dir: t.TempDir(), identity: identity, addr: "127.0.0.1:0"}
	t.Cleanup(leader.stop)
	if leader.port, err = cluster.Listen(cluster.Config{Listen: leader.addr, Identity: identity}); err != nil {
		t.Fatal(err)
	}
	l.Transport, l.closed = leader.port.Transport(nil), make(chan struct{})
	if leader.Store, err = raftstore.Open(raftstore.Config{
		Dir: leader.dir, NodeID: leader.id, Transport: l, Heartbeat: 300 * time.Millisecond, TrailingLogs: 10,
	}); err != nil {
		t.Fatal(err)
	}
	if err := leader.Bootstrap(""); err != nil {
		t.Fatal(err)
	}
	for term := range leader.Leadership() {
		if term != 0 {
			break
		}
	}
	for i := range 2 * logFile / blob { // raft-wal drops only whole files
		overwrite(t, leader, i)
	}
	if err := leader.Snapshot(t.Context()); err != nil { // from here on the log is not enough
		t.Fatal(err)
	}
	follower = newNode(t, ca, "n2", 10)
	if err := leader.AddNonvoter(t.Context(), "n2", follower.addr); err != nil {
		t.Fatal(err)
	}
	return leader, follower
}

// A follower that receives a state slowly, while clients write and the log is
// cut as it always is, needs it once; and nobody waits for it meanwhile.
func TestSlowFollowerNeedsOneState(t *testing.T) {
	var begun atomic.Bool
	enough := make(chan struct{})
	l := &link{pace: func(r io.Reader) io.Reader { return slowly{r, enough, &begun} }}
	leader, follower := pair(t, l)
	for end := time.Now().Add(limit); l.sent.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no state is sent")
		}
	}
	const writes = 4 * logFile / blob // raft-wal drops only whole files
	for i := range writes {
		overwrite(t, leader, i)
		if i%20 == 0 {
			if err := leader.Snapshot(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if l.sent.Load() != 1 || follower.Applied() != 0 {
		t.Fatalf("after %d writes the state was sent %d times, and the follower has applied %d", writes, l.sent.Load(), follower.Applied())
	}
	close(enough)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := follower.WaitApplied(ctx, leader.Applied()); err != nil {
		t.Fatal(err)
	}
	if n := l.sent.Load(); n != 1 {
		t.Errorf("the state was sent %d times", n)
	}
}

// A leader that sends a state to a peer which takes nothing can be closed.
func TestCloseWhileSending(t *testing.T) {
	l := &link{}
	leader, _ := pair(t, l)
	for end := time.Now().Add(limit); l.sent.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no state is sent")
		}
	}
	done := make(chan error, 1)
	go func() { done <- leader.Close() }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(limit):
		t.Fatal("Close waits for the peer")
	}
	leader.Store = nil
}
