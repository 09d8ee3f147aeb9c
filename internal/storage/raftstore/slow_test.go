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

// slowly passes a little at a time.
type slowly struct{ from io.Reader }

func (s slowly) Read(b []byte) (int, error) {
	time.Sleep(20 * time.Millisecond) // the speed of a bad line
	return s.from.Read(b[:min(len(b), 32<<10)])
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
	l := &link{pace: func(r io.Reader) io.Reader { return slowly{r} }}
	leader, follower := pair(t, l)
	longest, writes := time.Duration(0), 0
	for end := time.Now().Add(limit); follower.Applied() == 0; writes++ {
		from := time.Now()
		if from.After(end) {
			t.Fatal("the follower has received nothing")
		}
		overwrite(t, leader, writes)
		longest = max(longest, time.Since(from))
		if writes%20 == 0 {
			if err := leader.Snapshot(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := follower.WaitApplied(ctx, leader.Applied()); err != nil {
		t.Fatal(err)
	}
	if n := l.sent.Load(); n != 1 || writes < 3*logFile/blob {
		t.Errorf("the state was sent %d times while there were %d writes", n, writes)
	}
	t.Logf("%d writes meanwhile; the longest took %v", writes, longest)
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
