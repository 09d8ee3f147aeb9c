package chaos

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"strongroom/test/cluster"
)

// The goals, for a machine that has little else to do.
const (
	medianGoal = 1500 * time.Millisecond
	p99Goal    = 3 * time.Second
)

// TestFailover kills the leader again and again with SIGKILL, and measures the time from the signal to the first acknowledged write that a
// client began after it. CHAOS_KILLS and CHAOS_LEASES make it a measurement, which has goals; else it is a look at whether it works.
func TestFailover(t *testing.T) {
	kills, leases := number(t, "CHAOS_KILLS", 0), number(t, "CHAOS_LEASES", 0)
	c := cluster.New(t, nodes)
	if _, err := c.Init(t.Context(), 5, 3); err != nil {
		t.Fatal(err)
	}
	w := &world{Cluster: c, t: t}
	if err := c.Unseal(t.Context(), c.Nodes[0]); err != nil {
		t.Fatal(err)
	}
	if err := w.client(0).Sys().MountWithContext(t.Context(), "secret", &api.MountInput{Type: "kv-v2"}); err != nil {
		t.Fatal(err)
	}
	lend(t, c.Nodes[0], c.Keys.Root, leases) // while one is alone: the others get them all at once, when they join
	t.Cleanup(func() {
		if t.Failed() {
			w.keepLogs()
		}
	})
	for _, n := range c.Nodes[1:] {
		w.join(n)
	}
	if err := c.AwaitVoters(t.Context(), nodes); err != nil {
		t.Fatal(err)
	}
	var took []time.Duration
	for range max(kills, 3) {
		leader := w.leader()
		took = append(took, w.failOver(leader))
		w.restart(leader)
		w.rejoin()
	}
	slices.Sort(took)
	at := func(share float64) time.Duration { return took[min(len(took)-1, int(share*float64(len(took))))] }
	t.Logf("%d leases, SIGKILL of the leader %d times, first acknowledged write after: median %d ms, p90 %d ms, p99 %d ms, longest %d ms",
		leases, len(took), at(0.5).Milliseconds(), at(0.9).Milliseconds(), at(0.99).Milliseconds(), took[len(took)-1].Milliseconds())
	if kills > 0 && (at(0.5) > medianGoal || at(0.99) > p99Goal) {
		t.Errorf("the goals are %s for the median and %s for p99", medianGoal, p99Goal)
	}
}

// join makes n a member, and waits until it has all that the first node has.
func (w *world) join(n *cluster.Node) {
	w.t.Helper()
	const limit = time.Minute // a state of a million leases is 660 MB
	w.eventually(limit, func() error { return w.Unseal(w.t.Context(), n) })
	target := w.applied(w.Nodes[0])
	w.eventually(limit, func() error {
		if got := w.applied(n); got < target {
			return fmt.Errorf("%s has applied %d of %d", n.Name, got, target)
		}
		return nil
	})
}

// failOver kills the leader, and returns how long it took until a write was acknowledged that began after that.
func (w *world) failOver(leader *cluster.Node) time.Duration {
	w.t.Helper()
	var survivors []int
	for i, n := range w.Nodes {
		if n != leader {
			survivors = append(survivors, i)
		}
	}
	ctx, stop := context.WithTimeout(w.t.Context(), serveLimit)
	defer stop()
	var killed atomic.Int64 // when, on begin's clock
	begin := time.Now()
	first := make(chan time.Duration, len(survivors))
	var busy, running sync.WaitGroup
	for _, node := range survivors {
		kv := w.client(node).KVv2("secret")
		running.Add(1)
		busy.Go(func() {
			run := sync.OnceFunc(running.Done)
			defer run()
			for n := 0; ctx.Err() == nil; n++ {
				since := killed.Load()
				_, err := kv.Put(ctx, fmt.Sprintf("failover/%d", node), map[string]any{"n": n})
				if since > 0 && err == nil {
					first <- time.Since(begin) - time.Duration(since)
					return
				}
				if n == 5 {
					run()
				}
				<-time.After(2 * time.Millisecond)
			}
		})
	}
	running.Wait() // so that the leader dies with writes under way
	at := time.Since(begin)
	leader.Kill()
	killed.Store(int64(at))
	defer busy.Wait()
	defer stop()
	select {
	case took := <-first:
		return took
	case <-ctx.Done():
		w.t.Fatalf("%s was killed, and no write was acknowledged within %s", leader.Name, serveLimit)
		return 0
	}
}

// lend makes tokens, each with a lease of its own, as fast as one node does.
func lend(t *testing.T, n *cluster.Node, root string, count int) {
	t.Helper()
	begin := time.Now()
	var left, failed atomic.Int64
	left.Store(int64(count))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for left.Add(-1) >= 0 && failed.Load() == 0 {
				if err := lendOne(t.Context(), client, n, root); err != nil {
					failed.Add(1)
					t.Error("make a token: ", err)
				}
			}
		})
	}
	all.Wait()
	client.CloseIdleConnections()
	if count > 0 {
		t.Logf("%d leases made in %.0f s", count, time.Since(begin).Seconds())
	}
}

func lendOne(ctx context.Context, client *http.Client, n *cluster.Node, root string) error {
	body := bytes.NewReader([]byte(`{"policies":["default"],"ttl":"700h","no_parent":true}`))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.Addr+"/v1/auth/token/create", body)
	if err != nil {
		return err
	}
	req.Header.Set("X-Vault-Token", root)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", resp.Status)
	}
	return nil
}
