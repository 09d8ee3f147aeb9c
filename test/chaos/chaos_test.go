// Package chaos kills servers while clients write, and checks that no client was told a lie: whatever was acknowledged is there, in an order
// that all of them could have seen. The servers are real processes on real disks, and die of SIGKILL.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/hashicorp/vault/api"

	"strongroom/test/cluster"
)

const (
	defaultRounds = 3
	// serveLimit is how long after the death of a leader a write must have succeeded. It takes about two seconds; this is for slow machines.
	serveLimit = 10 * time.Second
	writers    = 6
	pause      = 5 * time.Millisecond // between the operations of a writer: this tests faults, not speed
)

// keys are few, so that writers meet.
var keys = []string{"a", "b", "c"}

// world is a cluster with writers at work on it.
type world struct {
	*cluster.Cluster
	history history
	stop    context.CancelFunc
	done    sync.WaitGroup
	writes  atomic.Int64 // acknowledged so far
	serial  atomic.Int64 // makes every value unique
}

// begin starts three servers with KV at secret/, and writers on all of them.
func begin(t *testing.T) *world {
	w := &world{Cluster: cluster.NewReady(t, 3), history: history{begin: time.Now()}}
	root := w.client(t, 0)
	if err := root.Sys().MountWithContext(t.Context(), "secret", &api.MountInput{Type: "kv-v2"}); err != nil {
		t.Fatal(err)
	}
	if _, err := root.Logical().WriteWithContext(t.Context(), "secret/config", map[string]any{"max_versions": 10000}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	w.stop = stop
	t.Cleanup(func() { stop(); w.done.Wait() })
	for i := range writers {
		client := w.client(t, i%len(w.Nodes))
		w.done.Go(func() { w.write(ctx, i, client) })
	}
	return w
}

func (w *world) client(t *testing.T, node int) *api.Client {
	t.Helper()
	client, err := w.Nodes[node].Client(w.Keys.Root)
	if err != nil {
		t.Fatal(err)
	}
	client.SetClientTimeout(15 * time.Second)
	return client
}

// write reads a key and writes it with cas, over and over: most of the time it wins.
func (w *world) write(ctx context.Context, id int, client *api.Client) {
	for i := 0; ctx.Err() == nil; i++ {
		key := keys[(id+i)%len(keys)]
		seen := w.history.do(id, action{key: key}, func() outcome { return readKey(context.Background(), client, key) })
		if !seen.unknown {
			a := action{key: key, write: true, cas: seen.version, value: fmt.Sprintf("w%d-%d", id, w.serial.Add(1))}
			if out := w.history.do(id, a, func() outcome { return writeKey(client, a) }); out.version > 0 {
				w.writes.Add(1)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func readKey(ctx context.Context, client *api.Client, key string) outcome {
	s, err := client.KVv2("secret").Get(ctx, key)
	switch {
	case errors.Is(err, api.ErrSecretNotFound):
		return outcome{}
	case err != nil:
		return outcome{unknown: true}
	}
	value, _ := s.Data["value"].(string)
	return outcome{version: s.VersionMetadata.Version, value: value}
}

func writeKey(client *api.Client, a action) outcome {
	s, err := client.KVv2("secret").Put(context.Background(), a.key, map[string]any{"value": a.value}, api.WithCheckAndSet(a.cas))
	var re *api.ResponseError
	switch {
	case err == nil:
		return outcome{version: s.VersionMetadata.Version}
	case errors.As(err, &re) && re.StatusCode == http.StatusBadRequest && strings.Contains(re.Error(), "check-and-set parameter did not match"):
		return outcome{refused: true}
	case errors.As(err, &re) && re.StatusCode == http.StatusServiceUnavailable: // sealed, without a leader, ending: it promises that nothing was done
		return outcome{undone: true}
	}
	return outcome{unknown: true}
}

// awaitWrites waits until n more writes are acknowledged than there are now, and returns how long that took.
func (w *world) awaitWrites(t *testing.T, n int64, limit time.Duration) time.Duration {
	t.Helper()
	begin, want := time.Now(), w.writes.Load()+n
	for w.writes.Load() < want {
		if time.Since(begin) > limit {
			t.Fatalf("no write succeeded for %s\n%s", limit, w.Tails())
		}
		<-time.After(time.Millisecond)
	}
	return time.Since(begin)
}

// end stops the writers and checks everything they were told.
func (w *world) end(t *testing.T) {
	t.Helper()
	w.stop()
	w.done.Wait()
	for node := range w.Nodes {
		client := w.client(t, node)
		for _, key := range keys {
			for _, lie := range w.history.settle(key, versionsOf(t, client, key)) {
				t.Errorf("asked at %s: %s", w.Nodes[node].Name, lie)
			}
			w.history.do(writers+node, action{key: key}, func() outcome { return readKey(context.Background(), client, key) })
		}
	}
	result, info := porcupine.CheckOperationsVerbose(model, w.history.ops, 30*time.Second)
	if result != porcupine.Ok {
		if file := os.Getenv("CHAOS_REPORT"); file != "" {
			if err := porcupine.VisualizePath(model, info, file); err != nil {
				t.Error(err)
			}
		}
		t.Errorf("is there an order of %d operations that all clients could have seen? %v; set CHAOS_REPORT=FILE.html for a picture", len(w.history.ops), result)
	}
	t.Logf("%d operations, %d writes acknowledged or found", len(w.history.ops), w.history.acknowledged())
}

// versionsOf reads every version of a key, one by one.
func versionsOf(t *testing.T, client *api.Client, key string) map[int]string {
	t.Helper()
	kv := client.KVv2("secret")
	last, err := kv.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("read %s at %s: %v", key, client.Address(), err)
	}
	versions := map[int]string{}
	for v := 1; v <= last.VersionMetadata.Version; v++ {
		s, err := kv.GetVersion(t.Context(), key, v)
		if err != nil {
			t.Fatalf("read %s version %d at %s: %v", key, v, client.Address(), err)
		}
		versions[v], _ = s.Data["value"].(string)
	}
	return versions
}

func rounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("CHAOS_ROUNDS")
	if text == "" {
		return defaultRounds
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("CHAOS_ROUNDS=%q: it must be a number of rounds, 1 or more", text)
	}
	return n
}

// The leader dies again and again while everybody writes. A survivor serves, and the dead node comes back: sealed, catching up all the same.
func TestLeaderKilled(t *testing.T) {
	w := begin(t)
	for round := range rounds(t) {
		w.awaitWrites(t, 30, serveLimit)
		leader, err := w.Leader(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		leader.Kill()
		took := w.awaitWrites(t, 1, serveLimit)
		t.Logf("round %d: %s killed, first acknowledged write after %d ms", round+1, leader.Name, took.Milliseconds())
		w.awaitWrites(t, 30, serveLimit)
		w.comeBack(t, leader)
	}
	w.end(t)
}

// comeBack restarts n and checks its way back: sealed, catching up while sealed, unsealed by three shares, serving what only the leader has.
func (w *world) comeBack(t *testing.T, n *cluster.Node) {
	t.Helper()
	ctx := t.Context()
	active, err := w.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	client, err := n.Client(w.Keys.Root)
	if err != nil {
		t.Fatal(err)
	}
	status, err := client.Sys().SealStatusWithContext(ctx)
	if err != nil || !status.Sealed || !status.Initialized {
		t.Fatalf("a restarted node must be initialized and sealed: %+v, %v", status, err)
	}
	target := applied(t, active)
	eventually(t, serveLimit, func() error {
		if got := applied(t, n); got < target {
			return fmt.Errorf("%s has applied %d of %d", n.Name, got, target)
		}
		return nil
	})
	if _, err := client.KVv2("secret").Get(ctx, keys[0]); !isStatus(err, http.StatusServiceUnavailable) {
		t.Errorf("a sealed node answered a read with %v, want 503", err)
	}
	if err := w.Unseal(ctx, n); err != nil {
		t.Fatal(err)
	}
	if _, err := client.KVv2("secret").Get(ctx, keys[0]); err != nil {
		t.Errorf("read through %s just after its unseal: %v", n.Name, err)
	}
}

// applied is the Raft index a node has applied, by its own word; a sealed one says it too.
func applied(t *testing.T, n *cluster.Node) uint64 {
	t.Helper()
	client, err := n.Client("")
	if err != nil {
		t.Fatal(err)
	}
	status, err := client.Sys().LeaderWithContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return status.RaftAppliedIndex
}

func isStatus(err error, code int) bool {
	var re *api.ResponseError
	return errors.As(err, &re) && re.StatusCode == code
}

// eventually asks until ok says nil, and fails with its last word after limit.
func eventually(t *testing.T, limit time.Duration, ok func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s: %v", limit, err)
		}
		<-time.After(10 * time.Millisecond)
	}
}
