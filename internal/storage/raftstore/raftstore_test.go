package raftstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
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

func TestLeadershipNews(t *testing.T) {
	s := lead(t, Config{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if term, open := <-s.Leadership(); term != 0 || !open {
		t.Errorf("after the end: term %d, open: %v", term, open)
	}
	if _, open := <-s.Leadership(); open {
		t.Error("the channel stays open")
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	for name, err := range map[string]error{
		"apply":    s.Apply(t.Context(), put("a", "1")),
		"barrier":  s.Barrier(t.Context()),
		"wait":     s.WaitApplied(t.Context(), 1<<60),
		"snapshot": s.Snapshot(t.Context()),
		"flush":    s.Flush(),
		"add":      s.AddVoter(t.Context(), "x", "y"),
		"transfer": s.Transfer(t.Context(), ""),
	} {
		if !errors.Is(err, storage.ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

func TestBootstrapOnce(t *testing.T) {
	s := lead(t, Config{})
	if err := s.Bootstrap(""); err == nil {
		t.Error("a cluster was founded twice")
	}
	if err := s.Transfer(t.Context(), ""); err == nil {
		t.Error("leadership went nowhere")
	}
}

func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	lead(t, Config{Dir: dir})
	if _, err := Open(Config{Dir: dir, NodeID: "n1"}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("opened twice: %v", err)
	}
}

// An entry that cannot be applied ends leadership and is told to all who ask.
func TestFailedStateMachine(t *testing.T) {
	s := lead(t, Config{})
	if err := s.raft.Apply([]byte{9}, 0).Error(); err != nil {
		t.Fatal(err)
	}
	<-s.Failed()
	if s.Err() == nil {
		t.Error("no reason")
	}
	if term := <-s.Leadership(); term != 0 {
		t.Errorf("it leads in term %d", term)
	}
	if err := s.Apply(t.Context(), put("a", "1")); err == nil {
		t.Error("it writes")
	}
	if err := s.WaitApplied(t.Context(), 1<<60); err == nil {
		t.Error("a wait ended well")
	}
}

// A write whose caller gives up is of unknown outcome, and none is lost by that.
func TestApplyGivesUp(t *testing.T) {
	s := lead(t, Config{})
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		err := s.Apply(ctx, put("a", "1"))
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if err := s.Apply(t.Context(), put("a", "2")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.inflight.Acquire(ctx, maxInflight); err != nil {
		t.Fatal("given-up writes hold their share of the queue")
	}
	s.inflight.Release(maxInflight)
}

// After Close nothing of the Store runs.
func TestNothingRunsAfterClose(t *testing.T) {
	before := ours(nil) // of nodes that other tests let die
	s := lead(t, Config{Dir: t.TempDir()})
	for i := range 50 {
		if err := s.Apply(t.Context(), put(fmt.Sprint(i), "v")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		left := ours(before)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still running:\n%s", left)
		}
		runtime.Gosched()
	}
}

// ours are the stacks, by the goroutine's name, of those within this package or
// Raft, but for tests and known ones.
func ours(known map[string]string) map[string]string {
	buf := make([]byte, 4<<20)
	left := map[string]string{}
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		name, _, _ := strings.Cut(g, " [") // goroutine 7
		if _, ok := known[name]; ok || strings.Contains(g, "testing.tRunner") {
			continue
		}
		if strings.Contains(g, "raftstore.") || strings.Contains(g, "hashicorp/raft") {
			left[name] = g
		}
	}
	return left
}
