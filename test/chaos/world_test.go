package chaos

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"golang.org/x/sys/unix"

	"strongroom/test/cluster"
)

const (
	nodes = 3
	// diskSize is what each node's folder of data may hold.
	diskSize = "512m"
	// serveLimit is how long there may be no acknowledged write while a majority can talk, and after a fault. It takes about two seconds; this is
	// for slow machines.
	serveLimit = 10 * time.Second
	// patience is how long a client waits for an answer: a little more than a standby tries on its behalf.
	patience = 12 * time.Second
)

// world is a cluster on a wire, each node on a disk of its own, with clients at work on it.
type world struct {
	*cluster.Cluster
	t       *testing.T
	wire    *wire
	rng     *rand.Rand // of the nemesis, and of the clocks of those it starts
	history *history
	stop    context.CancelFunc
	done    sync.WaitGroup
	faults  []struck
	serial  atomic.Int64 // of the writes of secrets
}

// newWorld starts three servers with KV at secret/, and clients on all of them.
func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, wire: newWire(t, nodes, seed), rng: rand.New(rand.NewPCG(seed, 2))}
	dir := t.TempDir()
	for i := range nodes {
		mountDisk(t, filepath.Join(dir, fmt.Sprintf("vault-%d", i), "data"))
	}
	var err error
	w.Cluster, err = cluster.Start(t.Context(), dir, cluster.Options{Nodes: nodes, Host: host, Wrap: w.command})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Cluster.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			w.keepLogs()
		}
	})
	if err := w.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.client(0).Sys().MountWithContext(t.Context(), "secret", &api.MountInput{Type: "kv-v2"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client(0).Logical().WriteWithContext(t.Context(), "secret/config", map[string]any{"max_versions": 10 * generation}); err != nil {
		t.Fatal(err)
	}
	for i := range nodes { // what fills the logs must not fill the disks with its versions
		if _, err := w.client(0).Logical().WriteWithContext(t.Context(), fmt.Sprintf("secret/metadata/bulk/%d", i), map[string]any{"max_versions": 1}); err != nil {
			t.Fatal(err)
		}
	}
	w.history = newHistory()
	w.work(seed)
	return w
}

// command runs node i's server at its end of the wire. Each start has clocks of its own: the monotonic and the boot clock of a process are
// days away from those of its last life. The clock of the day cannot be moved without moving the machine's.
func (w *world) command(i int, server []string) []string {
	clock := []string{"unshare", "--time", fmt.Sprintf("--monotonic=%d", w.rng.IntN(1e7)), fmt.Sprintf("--boottime=%d", w.rng.IntN(1e7)), "--"}
	return slices.Concat(w.wire.enter(i), clock, server)
}

// mountDisk puts a small disk of its own at path. It is in memory: it can be full as any other, and a process that dies leaves what it wrote.
func mountDisk(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("chaos", path, "tmpfs", 0, "mode=0700,size="+diskSize); err != nil {
		t.Fatal("mount a disk: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Error("unmount a disk: ", err)
		}
	})
}

// keepLogs shows the ends of the servers' logs, and copies all of them where $CHAOS_LOGS says.
func (w *world) keepLogs() {
	w.t.Log(w.Tails())
	if dir := os.Getenv("CHAOS_LOGS"); dir != "" {
		if err := os.CopyFS(dir, os.DirFS(w.Logs)); err != nil {
			w.t.Error(err)
		}
	}
}

// client is a new client of a node, with the root token.
func (w *world) client(node int) *api.Client {
	w.t.Helper()
	client, err := w.Nodes[node].Client(w.Keys.Root)
	if err != nil {
		w.t.Fatal(err)
	}
	client.SetClientTimeout(patience)
	return client
}

// awaitWrites waits until n more writes are acknowledged than there are now.
func (w *world) awaitWrites(n int, limit time.Duration) {
	w.t.Helper()
	begin, want := time.Now(), w.history.acknowledged()+n
	for w.history.acknowledged() < want {
		if time.Since(begin) > limit {
			w.t.Errorf("no %d writes were acknowledged within %s", n, limit)
			return
		}
		<-time.After(5 * time.Millisecond)
	}
}

// end stops the clients and checks everything they were told.
func (w *world) end() {
	w.t.Helper()
	w.stop()
	w.done.Wait()
	var all sync.WaitGroup
	keys := w.history.keys()
	for node := range w.Nodes { // all at once, as each of them serves
		client := w.client(node)
		all.Go(func() {
			versions := map[string]map[int]string{}
			for key := range keys {
				var err error
				if versions[key], err = versionsOf(client, key); err != nil {
					w.t.Errorf("at %s: %v", w.Nodes[node].Name, err)
				}
				w.history.do(-node, action{kind: read, key: key, node: node}, func() outcome { return readKey(client, key) })
			}
			for _, lie := range w.history.settle(versions) {
				w.t.Errorf("at %s: %s", w.Nodes[node].Name, lie)
			}
		})
	}
	all.Wait()
	began := time.Now()
	for _, wrong := range w.history.check(2 * time.Minute) {
		w.t.Error(wrong)
	}
	w.report(time.Since(began))
}

// report prints what was done, what struck, and for how long nothing was acknowledged.
func (w *world) report(checked time.Duration) {
	h := w.history
	var b strings.Builder
	fmt.Fprintf(&b, "%d operations on %d keys, %d changes acknowledged, checked in %.1f s; %d packets carried, %d lost\n",
		len(h.ops), len(h.keys()), len(h.acks), checked.Seconds(), w.wire.carried.Load(), w.wire.dropped.Load())
	for _, line := range slices.Sorted(maps.Keys(h.count)) {
		fmt.Fprintf(&b, "  %-28s %8d\n", line, h.count[line])
	}
	fmt.Fprintf(&b, "%9s %8s  %-62s %s\n", "at", "lasted", "fault", "longest time without an acknowledged write")
	worst := 0
	for i, f := range w.faults {
		if f.gap > w.faults[worst].gap {
			worst = i
		}
		fmt.Fprintf(&b, "%7.1f s %6.1f s  %-62s %6d ms\n", f.begin.Seconds(), (f.healed - f.begin).Seconds(), f.name, f.gap.Milliseconds())
	}
	if len(w.faults) > 0 {
		fmt.Fprintf(&b, "the longest: %d ms, %s\n", w.faults[worst].gap.Milliseconds(), w.faults[worst].name)
	}
	w.t.Log("\n" + b.String())
}
