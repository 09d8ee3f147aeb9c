// Package soak_test has the operator work for a while on a stage where everything fails that can: the server is killed,
// sealed, slow and cut off, the API server is killed, the operator itself is killed, and values change all along. Every
// revision of every Secret is looked at.
//
//	go test ./test/soak                          about a minute
//	SOAK_MINUTES=30 go test -timeout 0 ./test/soak
//	SOAK_SEED=N …                                repeats a run's choices
package soak_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/test/stage"
)

const (
	tenants   = 2
	perTenant = 15
	// healing bounds how long all may take to be right again at the end.
	healing = 90 * time.Second
)

// world is the stage, and what is done on it.
type world struct {
	*stage.Stage
	proxy   *proxy
	choices *rand.Rand
	faults  map[string]int
	bag     []int // faults still to come before any comes again
}

func TestSoak(t *testing.T) {
	length, seed := 45*time.Second, uint64(time.Now().UnixNano())
	if text := os.Getenv("SOAK_MINUTES"); text != "" {
		minutes, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatalf("SOAK_MINUTES: %v", err)
		}
		length = time.Duration(minutes * float64(time.Minute))
	}
	if text := os.Getenv("SOAK_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SOAK_SEED: %v", err)
		}
	}
	t.Logf("SOAK_SEED=%d", seed)
	w := newWorld(t, seed)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var work sync.WaitGroup
	var seen witness
	written := make(chan struct{})
	writing, stopWriting := context.WithCancel(ctx)
	defer stopWriting()
	work.Go(func() { defer close(written); w.write(writing, seed) })
	work.Go(func() { seen.watch(ctx, w) })
	for end := time.Now().Add(length); time.Now().Before(end) || len(w.bag) > 0; { // each at least once
		w.fault(t)
	}
	stopWriting()
	<-written
	w.healed(t)
	stop()
	work.Wait()
	if len(seen.wrong) > 0 {
		t.Errorf("%d wrong revisions, such as:\n%s", len(seen.wrong), seen.wrong[0])
	}
	if seen.err != nil {
		t.Error(seen.err)
	}
	t.Logf("%d revisions of %d Secrets, faults: %v", seen.revisions, len(seen.last), w.faults)
	if seen.gaps > 2*w.faults["API server killed"] {
		t.Errorf("the watch was interrupted %d times", seen.gaps)
	}
	if seen.revisions < 2*tenants*perTenant {
		t.Errorf("only %d revisions: nothing changed", seen.revisions)
	}
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	s, err := stage.Start(t.Context(), filepath.Join(t.TempDir(), "stage"), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() && s.Operator != nil {
			t.Logf("the end of the operator's log:\n%s", s.Operator.Tail())
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	w := &world{Stage: s, proxy: newProxy(t, s.Address), faults: make(map[string]int), choices: rand.New(rand.NewPCG(seed, 1))} //nolint:gosec // to be repeated
	s.Address = w.proxy.listener.Addr().String()
	for tenant := range tenants {
		namespace := namespaceOf(tenant)
		if err := w.Tenant(t.Context(), namespace); err != nil {
			t.Fatal(err)
		}
		for i := range perTenant {
			name := nameOf(i)
			if err := w.Put(t.Context(), namespace+"/"+name, value(1)); err != nil {
				t.Fatal(err)
			}
			if err := w.VaultSecret(t.Context(), namespace, name); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.startOperator(t)
	return w
}

func namespaceOf(tenant int) string { return fmt.Sprintf("tenant-%d", tenant) }
func nameOf(i int) string           { return fmt.Sprintf("app-%d", i) }

// value is one of a secret: both keys carry the same number, so that a mixture shows.
func value(n int) map[string]any {
	return map[string]any{"left": strconv.Itoa(n), "right": strconv.Itoa(n)}
}

func (w *world) startOperator(t *testing.T) {
	t.Helper()
	if err := w.StartOperator(); err != nil {
		t.Fatal(err)
	}
}

// write changes values until ctx ends. The numbers only grow, whatever becomes of a write.
func (w *world) write(ctx context.Context, seed uint64) {
	choices := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // to be repeated
	for n := 2; ctx.Err() == nil; n++ {
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		_ = w.Put(short, namespaceOf(choices.IntN(tenants))+"/"+nameOf(choices.IntN(perTenant)), value(n)) // it may be down
		cancel()
		pause(ctx, 30*time.Millisecond)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// fault has something fail for a while, and undoes it.
func (w *world) fault(t *testing.T) {
	t.Helper()
	node := w.Servers.Nodes[0]
	some := func(least, most time.Duration) {
		pause(t.Context(), least+time.Duration(w.choices.Int64N(int64(most-least))))
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	all := []struct {
		name string
		run  func()
	}{
		{"server killed", func() {
			node.Kill()
			some(0, 3*time.Second)
			do(node.Restart(t.Context()))
			do(w.Servers.Unseal(t.Context(), node))
		}},
		{"server sealed", func() {
			do(w.Root.Sys().SealWithContext(t.Context()))
			some(0, 3*time.Second)
			do(w.Servers.Unseal(t.Context(), node))
		}},
		{"server slow", func() { w.proxy.set(slow); some(time.Second, 3*time.Second) }},
		{"server cut off", func() { w.proxy.set(partitioned); some(time.Second, 4*time.Second) }},
		{"connections refused", func() { w.proxy.set(refuses); some(time.Second, 3*time.Second) }},
		{"API server killed", func() { do(w.Plane.RestartAPIServer(t.Context())) }},
		{"operator killed", func() {
			for range 3 {
				w.Operator.Kill()
				w.startOperator(t)
				some(200*time.Millisecond, 3*time.Second) // it begins to work after about half of that
			}
		}},
	}
	if len(w.bag) == 0 {
		w.bag = w.choices.Perm(len(all))
	}
	chosen := all[w.bag[0]]
	w.bag = w.bag[1:]
	w.faults[chosen.name]++
	chosen.run()
	w.proxy.set(passes)
	some(0, time.Second)
}

// healed waits until every Secret equals its source, which no longer changes.
func (w *world) healed(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), healing, fmt.Errorf("not well after %s", healing))
	defer cancel()
	began := time.Now()
	err := stage.Until(ctx, func(ctx context.Context) error {
		select {
		case <-w.Operator.Exited():
			return w.Operator.Failure()
		default:
		}
		for tenant := range tenants {
			for i := range perTenant {
				if err := w.equal(ctx, namespaceOf(tenant), nameOf(i)); err != nil {
					return err
				}
			}
		}
		counts, err := w.Statuses(ctx)
		if err == nil && counts["Valid"] != tenants*perTenant {
			err = fmt.Errorf("statuses are %v", counts)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("every Secret equals its source %s after the last fault", time.Since(began).Round(time.Millisecond))
}

// equal compares a Secret with its source.
func (w *world) equal(ctx context.Context, namespace, name string) error {
	answer, err := w.Root.Logical().ReadWithContext(ctx, "secret/data/"+namespace+"/"+name)
	if err != nil {
		return err
	}
	data, _ := answer.Data["data"].(map[string]any)
	secret := &corev1.Secret{}
	if err := w.Kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, secret); err != nil {
		return err
	}
	if len(secret.Data) != len(data) || string(secret.Data["left"]) != data["left"] || string(secret.Data["right"]) != data["right"] {
		return fmt.Errorf("Secret %s/%s holds %s, and its source %v", namespace, name, secret.Data["left"], data["left"])
	}
	return nil
}
