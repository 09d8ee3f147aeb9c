package shard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
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
	return startWith(client.CoordinationV1().Leases("ns"), name, 2)
}

func startWith(leases coordination.LeaseInterface, name string, count int) *replica {
	r := &replica{ended: make(chan error, 1)}
	r.Set = New(Options{
		Leases: leases, Name: "op", Identity: name, Count: count, Replicas: 2, Lease: 8 * time.Second,
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

// slow are Leases whose API server takes its time, or is away, and refuses what was written meanwhile.
type slow struct {
	coordination.LeaseInterface
	takes  time.Duration
	mu     sync.Mutex
	away   chan struct{} // until it is closed; nil: it is there
	leases map[string]*coordinationv1.Lease
}

func newSlow(takes time.Duration) *slow {
	return &slow{takes: takes, leases: make(map[string]*coordinationv1.Lease)}
}

func (s *slow) goes() (back func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	away := make(chan struct{})
	s.away = away
	return func() { s.mu.Lock(); defer s.mu.Unlock(); s.away = nil; close(away) }
}

func (s *slow) wait(ctx context.Context) error {
	s.mu.Lock()
	away := s.away
	s.mu.Unlock()
	if away != nil {
		select {
		case <-away:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	time.Sleep(s.takes)
	return ctx.Err()
}

func (s *slow) Get(ctx context.Context, name string, _ metav1.GetOptions) (*coordinationv1.Lease, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leases[name] == nil {
		return nil, apierrors.NewNotFound(coordinationv1.Resource("leases"), name)
	}
	return s.leases[name].DeepCopy(), nil
}

func (s *slow) Create(ctx context.Context, lease *coordinationv1.Lease, _ metav1.CreateOptions) (*coordinationv1.Lease, error) {
	return s.write(ctx, lease, true)
}

func (s *slow) Update(ctx context.Context, lease *coordinationv1.Lease, _ metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	return s.write(ctx, lease, false)
}

func (s *slow) write(ctx context.Context, lease *coordinationv1.Lease, create bool) (*coordinationv1.Lease, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.leases[lease.Name]
	if create == (now != nil) || now != nil && now.Generation != lease.Generation {
		return nil, apierrors.NewConflict(coordinationv1.Resource("leases"), lease.Name, errors.New("it was written meanwhile"))
	}
	lease = lease.DeepCopy()
	lease.Generation++
	s.leases[lease.Name] = lease
	return lease.DeepCopy(), nil
}

// However many shards there are, and though the API server is slow, no Lease runs out while its holder works.
func TestManyShardsOfASlowAPIServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 64
		leases := newSlow(300 * time.Millisecond)
		replicas := []*replica{startWith(leases, "a", count), startWith(leases, "b", count)}
		defer func() {
			for _, r := range replicas {
				r.stop()
				if err := <-r.ended; err != nil {
					t.Error(err)
				}
			}
		}()
		namespaces := make(map[int]string)
		for i := 0; len(namespaces) < count; i++ {
			namespaces[Of(fmt.Sprint(i), count)] = fmt.Sprint(i)
		}
		held := 0
		for range 1200 {
			after(100 * time.Millisecond)
			held = 0
			for shard, namespace := range namespaces {
				owners := 0
				for _, r := range replicas {
					if done, ours := r.Begin(namespace); ours {
						owners++
						done()
					}
				}
				leases.mu.Lock()
				lease := leases.leases[fmt.Sprintf("op-shard-%d", shard)]
				leases.mu.Unlock()
				if held += owners; owners > 1 {
					t.Fatalf("two replicas work on shard %d", shard)
				} else if owners > 0 && time.Since(lease.Spec.RenewTime.Time) >= 8*time.Second {
					t.Fatalf("shard %d is worked on, though its Lease ran out", shard)
				}
			}
		}
		if held != count {
			t.Errorf("only %d of %d shards are worked on", held, count)
		}
	})
}

// What was not renewed in time may be another's soon: nothing begins in it, and if that lasts the process ends. What was
// refused meanwhile is looked at when the Lease is renewed after all.
func TestNothingBeginsUnderAnOldLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leases := newSlow(0)
		a := startWith(leases, "a", 2)
		gained := func() int { a.mu.Lock(); defer a.mu.Unlock(); return len(a.gained) }
		after(20*time.Second + 500*time.Millisecond) // renewed half a second ago
		if held := a.holds(); len(held) != 2 || gained() != 2 {
			t.Fatalf("alone, a holds %v", held)
		}
		back := leases.goes()
		after(4700 * time.Millisecond)
		if held := a.holds(); len(held) != 2 {
			t.Errorf("5.2 seconds after it renewed all, a holds %v", held)
		}
		after(200 * time.Millisecond)
		if held := a.holds(); len(held) != 0 {
			t.Errorf("5.4 seconds after it renewed any, a works on %v", held)
		}
		back()
		after(10 * time.Millisecond)
		if held := a.holds(); len(held) != 2 || gained() != 4 {
			t.Errorf("a works on %v; %d times one was gained, want each again", held, gained())
		}
		after(time.Second)
		back = leases.goes()
		after(a.times.renew + a.times.look)
		if held := a.holds(); len(held) != 0 {
			t.Errorf("without an API server, a works on %v", held)
		}
		select {
		case err := <-a.ended:
			if err == nil || !strings.Contains(err.Error(), "could not be renewed") {
				t.Error(err)
			}
		default:
			t.Error("it goes on")
		}
		back()
		a.stop()
	})
}
