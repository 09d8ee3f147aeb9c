package shard

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// replica is a Set under way.
type replica struct {
	*Set
	stop   func()
	ended  chan error
	mu     sync.Mutex
	gained []int
}

func start(client *fake.Clientset, name string) *replica {
	r := &replica{ended: make(chan error, 1)}
	r.Set = New(Options{
		Leases: client.CoordinationV1().Leases("ns"), Name: "op", Identity: name, Count: 2, Replicas: 2, Lease: 8 * time.Second,
		Gained: func(shard int) { r.mu.Lock(); defer r.mu.Unlock(); r.gained = append(r.gained, shard) }, Logger: logr.Discard(),
	})
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	go func() { r.ended <- r.Start(ctx) }()
	return r
}

// holds are the shards that a replica works on.
func (r *replica) holds() (held []int) {
	for _, namespace := range []string{"kube-system", "shop"} { // shards 0 and 1 of 2
		if done, ours := r.Begin(namespace); ours {
			held = append(held, Of(namespace, 2))
			done()
		}
	}
	slices.Sort(held)
	return held
}

func after(d time.Duration) { time.Sleep(d); synctest.Wait() }

// Replicas share the shards, hand over at once when they end, and give back what they took over.
func TestReplicasShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		a := start(client, "a")
		after(time.Second)
		if held := a.holds(); len(held) != 1 {
			t.Fatalf("alone at first, a holds %v: the rest is for those to come", held)
		}
		after(20 * time.Second)
		if held := a.holds(); len(held) != 2 {
			t.Fatalf("alone for long, a holds %v", held)
		}
		b := start(client, "b")
		after(5 * time.Second)
		if one, two := a.holds(), b.holds(); len(one) != 1 || len(two) != 1 || one[0] == two[0] {
			t.Fatalf("together, a holds %v and b %v", one, two)
		}
		a.stop()
		if err := <-a.ended; err != nil {
			t.Fatal(err)
		}
		if held := a.holds(); len(held) != 0 {
			t.Errorf("after its end a holds %v", held)
		}
		after(18 * time.Second)
		if held := b.holds(); len(held) != 2 {
			t.Errorf("b alone holds %v", held)
		}
		b.stop()
		<-b.ended
	})
}

// A shard is not given up while something is under way in it, and nothing begins meanwhile.
func TestWhatIsUnderWayEndsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		a := start(client, "a")
		after(20 * time.Second)
		done0, ours0 := a.Begin("kube-system")
		done1, ours1 := a.Begin("shop")
		if !ours0 || !ours1 {
			t.Fatal("a does not hold both shards")
		}
		b := start(client, "b")
		after(10 * time.Second)
		if held := b.holds(); len(held) != 0 {
			t.Errorf("b holds %v, in which a works", held)
		}
		done0()
		done1()
		after(6 * time.Second)
		if one, two := a.holds(), b.holds(); len(one) != 1 || len(two) != 1 {
			t.Errorf("then a holds %v and b %v", one, two)
		}
		a.stop()
		b.stop()
		<-a.ended
		<-b.ended
	})
}

// Who finds another's name on a Lease of its own ends.
func TestWhoLosesAShardEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		a := start(client, "a")
		after(20 * time.Second)
		leases := client.CoordinationV1().Leases("ns")
		lease, err := leases.Get(t.Context(), "op-shard-0", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		thief := "thief"
		lease.Spec.HolderIdentity = &thief
		if _, err := leases.Update(t.Context(), lease, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := <-a.ended; err == nil || !strings.Contains(err.Error(), "thief") {
			t.Errorf("it ends with %v", err)
		}
		a.stop()
	})
}
