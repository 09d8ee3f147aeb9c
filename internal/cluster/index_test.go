package cluster

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// TestReadIndex: the answer is the asked node's; one that does not lead says so; a connection that was lost is made again; a removed node is
// told nothing.
func TestReadIndex(t *testing.T) {
	ca, err := NewCA()
	if err != nil {
		t.Fatal(err)
	}
	var index atomic.Uint64
	var removed atomic.Bool
	listen := func(id string, admit func(string) error) *Listener {
		identity, err := ca.Issue(id)
		if err != nil {
			t.Fatal(err)
		}
		l, err := Listen(Config{Listen: "127.0.0.1:0", Identity: identity, Admit: admit, ReadIndex: func(context.Context) (uint64, error) {
			if i := index.Load(); i != 0 {
				return i, nil
			}
			return 0, errors.New("not leading")
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	leader := listen("leader", func(string) error { return refuses(removed.Load()) })
	other := listen("other", nil)
	ask := func() (uint64, error) { return other.ReadIndex(t.Context(), leader.Addr().String()) }
	if _, err := ask(); !errors.Is(err, ErrNotLeading) {
		t.Errorf("from a node that does not lead: %v", err)
	}
	for i := uint64(1); i < 100; i++ {
		index.Store(i << 40)
		if got, err := ask(); got != i<<40 || err != nil {
			t.Fatalf("%d, %v", got, err)
		}
	}
	other.index.peer.Conn.Close() // as a broken network does
	if _, err := ask(); err == nil {
		t.Error("a lost connection answers")
	}
	if _, err := ask(); err != nil {
		t.Errorf("after a lost connection: %v", err)
	}
	removed.Store(true)
	leader.Recheck()
	if _, err := ask(); err == nil {
		t.Error("a removed node is told the index")
	}
	if _, err := ask(); err == nil {
		t.Error("a removed node connects again")
	}
	start := time.Now()
	if err := leader.Close(); err != nil || time.Since(start) > 2*time.Second {
		t.Errorf("Close took %v: %v", time.Since(start), err)
	}
}
