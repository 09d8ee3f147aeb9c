package raftstore

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"strongroom/internal/storage"
)

const testHeartbeat = 20 * time.Millisecond

// lead opens a node alone and waits until it leads.
func lead(t testing.TB, cfg Config) *Store {
	t.Helper()
	if cfg.NodeID == "" {
		cfg.NodeID = "n1"
	}
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = testHeartbeat
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
