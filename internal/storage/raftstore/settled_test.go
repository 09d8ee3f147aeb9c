package raftstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"strongroom/internal/storage"
)

// A follower can apply an entry before the leader does. Whoever has read it there
// must not find less at the leader, nor at a follower that asks the leader how
// far to go.
func TestFollowerAheadOfTheLeader(t *testing.T) {
	var stores []*Store
	var links []*raft.InmemTransport
	for i := range 2 {
		id := fmt.Sprint("n", i)
		_, trans := raft.NewInmemTransport(raft.ServerAddress(id))
		s, err := open(Config{Dir: "/mem", NodeID: id, Transport: trans, Heartbeat: 200 * time.Millisecond}, vfs.NewMem(),
			func(context.Context, hclog.Logger) (logStore, io.Closer, error) {
				l := memLog{raft.NewInmemStore()}
				return l, l, nil
			})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		stores, links = append(stores, s), append(links, trans)
	}
	links[0].Connect("n1", links[1])
	links[1].Connect("n0", links[0])
	leader, follower := stores[0], stores[1]
	if err := leader.Bootstrap(""); err != nil {
		t.Fatal(err)
	}
	awaitTerm(t, leader)
	if err := leader.AddVoter(t.Context(), "n1", "n1"); err != nil {
		t.Fatal(err)
	}
	must(t, leader, "a", "1")
	before := leader.Applied()

	leader.fsm.mu.Lock() // its state machine stands still
	written := make(chan error, 1)
	go func() { written <- leader.Apply(t.Context(), put("a", "2")) }()
	if err := follower.WaitApplied(t.Context(), before+1); err != nil {
		t.Fatal(err)
	}
	settled := make(chan uint64, 1)
	go func() {
		index, err := leader.Settled(t.Context())
		if err != nil {
			t.Error(err)
		}
		settled <- index
	}()
	select {
	case index := <-settled:
		t.Errorf("settled at %d while the follower is at %d", index, follower.Applied())
	case <-time.After(100 * time.Millisecond):
	}
	leader.fsm.mu.Unlock()
	if index := <-settled; index < follower.Applied() {
		t.Errorf("settled at %d, the follower is at %d", index, follower.Applied())
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
}

// Entries that change nothing are not waited for: a membership's, a barrier's,
// and those whose checks do not hold.
func TestSettledAfterWhatChangesNothing(t *testing.T) {
	s := lead(t, Config{})
	must(t, s, "a", "1")
	for range 3 {
		if err := s.raft.Barrier(0).Error(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Settled(t.Context()); err != nil {
			t.Fatal(err)
		}
		b := put("a", "2")
		b.Checks = []storage.Check{{Key: "a", Version: 1 << 40}}
		if err := s.Apply(t.Context(), b); !errors.Is(err, storage.ErrConflict) {
			t.Fatal(err)
		}
		if index, err := s.Settled(t.Context()); err != nil || index < s.raft.CommitIndex() {
			t.Fatalf("settled at %d of %d, %v", index, s.raft.CommitIndex(), err)
		}
	}
}
