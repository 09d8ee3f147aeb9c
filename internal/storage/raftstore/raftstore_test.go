package raftstore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"strongroom/internal/storage"
)

// lead opens a node alone and waits until it leads.
func lead(t testing.TB, cfg Config) *Store {
	t.Helper()
	if cfg.NodeID == "" {
		cfg.NodeID = "n1"
	}
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = 50 * time.Millisecond
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if !s.HasState() {
		if err := s.Bootstrap(""); err != nil {
			t.Fatal(err)
		}
	}
	awaitTerm(t, s)
	return s
}

func awaitTerm(t testing.TB, s *Store) uint64 {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case term := <-s.Leadership():
			if term != 0 {
				return term
			}
		case <-limit:
			t.Fatal("no leadership within 20 s")
		}
	}
}

func put(key, value string) storage.Batch {
	return storage.Batch{Writes: []storage.Write{{Key: key, Value: []byte(value)}}}
}

func TestReopenKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	s := lead(t, Config{Dir: dir})
	for i := range 100 {
		if err := s.Apply(t.Context(), put(fmt.Sprintf("k/%d", i), "v")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "k/1"); !errors.Is(err, storage.ErrClosed) {
		t.Fatalf("get after close: %v", err)
	}
	s = lead(t, Config{Dir: dir})
	n := 0
	for _, err := range s.Keys(t.Context(), "k/", "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 100 {
		t.Fatalf("%d keys after reopening, want 100", n)
	}
}

func TestThreeInOneProcess(t *testing.T) {
	var stores []*Store
	var trans []*raft.InmemTransport
	for i := range 3 {
		_, tr := raft.NewInmemTransport(raft.ServerAddress(fmt.Sprintf("a%d", i)))
		for j, other := range trans {
			tr.Connect(other.LocalAddr(), other)
			other.Connect(tr.LocalAddr(), tr)
			_ = j
		}
		trans = append(trans, tr)
		s, err := Open(Config{NodeID: fmt.Sprintf("n%d", i), Transport: tr, Heartbeat: 100 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		stores = append(stores, s)
	}
	if err := stores[0].Bootstrap(""); err != nil {
		t.Fatal(err)
	}
	awaitTerm(t, stores[0])
	for i := 1; i < 3; i++ {
		if err := stores[0].AddVoter(t.Context(), fmt.Sprintf("n%d", i), fmt.Sprintf("a%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := stores[0].Apply(t.Context(), put("a", "1")); err != nil {
		t.Fatal(err)
	}
	e, err := stores[0].Get(t.Context(), "a")
	if err != nil || string(e.Value) != "1" {
		t.Fatal(e, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for _, s := range stores {
		if err := s.WaitApplied(ctx, e.Version); err != nil {
			t.Fatal(err)
		}
	}
	if err := stores[1].Apply(ctx, put("a", "2")); !errors.Is(err, storage.ErrNotLeader) {
		t.Fatal(err)
	}
	if err := stores[0].Close(); err != nil {
		t.Fatal(err)
	}
	var next *Store
	select {
	case term := <-stores[1].Leadership():
		if term != 0 {
			next = stores[1]
		}
	case term := <-stores[2].Leadership():
		if term != 0 {
			next = stores[2]
		}
	case <-ctx.Done():
		t.Fatal("no failover")
	}
	if err := next.Apply(ctx, put("a", "3")); err != nil {
		t.Fatal(err)
	}
}
