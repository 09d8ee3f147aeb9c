package node

import (
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/barrier"
	"strongroom/internal/storage/raftstore"
)

func TestLeaseHolds(t *testing.T) {
	var l lease
	now := time.Now()
	const length = 300 * time.Millisecond
	holds := func(after time.Duration, want bool) {
		t.Helper()
		if got := l.holds(now.Add(after), length); got != want {
			t.Errorf("%s after the confirmation began: holds is %t, want %t", after, got, want)
		}
	}
	holds(0, false)
	l.begun.Store(&now)
	holds(0, true)
	holds(length-1, true)
	holds(length, false)
	holds(-time.Second, false) // a clock that was set back proves nothing
	restore := l.void()
	holds(0, false)
	restore(0)
	holds(0, false)
}

// A node that was told to lead, and took too long to hear it, may still be
// elected without waiting for a timeout: no lease for the rest of the term.
func TestNoLeaseAfterAFailedHandover(t *testing.T) {
	store, err := raftstore.Open(raftstore.Config{NodeID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	n := New(Config{NodeID: "a", Logger: hclog.NewNullLogger()})
	m := &member{store: store, barrier: barrier.New(store)}
	n.member.Store(m)
	t.Cleanup(func() { m.close() })
	if err := store.Bootstrap(""); err != nil {
		t.Fatal(err)
	}
	term := <-store.Leadership()
	m.term.Store(term)
	leads := func(want bool) {
		t.Helper()
		if err := n.Leads(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := m.lease.begun.Load() != nil; got != want {
			t.Errorf("there is a lease: %t, want %t", got, want)
		}
	}
	leads(true)
	if err := m.transfer(t.Context(), "nobody"); err == nil {
		t.Fatal("leadership went to a node that does not exist")
	}
	leads(false)
	leads(false)
	m.term.Store(term + 1)
	leads(true)
}
