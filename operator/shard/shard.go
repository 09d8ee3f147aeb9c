// Package shard shares the namespaces of a cluster among the replicas of the operator: each namespace is of one shard, by
// a hash of its name, and each shard of one replica at a time, which holds the shard's Lease. What a replica does not hold
// it leaves alone, and takes over when the holder is gone. The package knows nothing of what is done in a namespace.
package shard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
)

// wishAnnotation on a Lease names the replica that asks for it.
const wishAnnotation = "secrets.hashicorp.com/wanted-by"

// atOnce is how many of its Leases a replica renews at a time.
const atOnce = 16

// Of gives the shard of a namespace among count shards: FNV-1a of its name, modulo count.
func Of(namespace string, count int) int {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(namespace))
	return int(hash.Sum32() % uint32(count)) //nolint:gosec // count is small and positive
}

// Options are what a Set is made of.
type Options struct {
	Leases   coordination.LeaseInterface // of the namespace that holds the Leases
	Name     string                      // of the Leases: NAME-shard-0 and on
	Identity string                      // of this replica; unique
	Count    int                         // of shards
	Replicas int                         // that there should be: each holds Count/Replicas, rounded up
	Lease    time.Duration               // how long a Lease lasts unrenewed
	Gained   func(shard int)             // called when a shard is this replica's
	Logger   logr.Logger
}

// Set is the shards of which this replica holds some. Its Start must run.
type Set struct {
	Options
	times times
	held  prometheus.Gauge

	mu     sync.Mutex
	shards []state
}

// state is a shard as this replica knows it.
type state struct {
	owned   bool
	leaving bool          // being given up: neither owned nor to be taken
	working int           // what Begin began and is not done
	idle    chan struct{} // closed when working is 0, while somebody waits for that
	version string        // of the Lease as it was last seen
	seen    time.Time     // when it was seen to be so first
	renewed time.Time     // when this replica last renewed it
	refused bool          // Begin was, since then
	problem error         // that the last try to renew it had
	holder  string
}

// New makes a Set that holds nothing.
func New(options Options) *Set {
	return &Set{
		Options: options, times: timesOf(options.Lease), shards: make([]state, options.Count),
		held: prometheus.NewGauge(prometheus.GaugeOpts{Name: "strongroom_operator_shards_held", Help: "Shards of namespaces that this replica works on."}),
	}
}

// Collector is the Set's metric.
func (s *Set) Collector() prometheus.Collector { return s.held }

// Begin tells whether a namespace is this replica's to work on. If so, it stays that until done is called, which must be
// soon. A shard that was not renewed for too long may be another's any moment, so nothing begins in it; when it is renewed
// after all, Gained is called again.
func (s *Set) Begin(namespace string) (done func(), ours bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shard := &s.shards[Of(namespace, s.Count)]
	if !shard.owned || time.Since(shard.renewed) >= s.times.renew {
		shard.refused = true
		return nil, false
	}
	shard.working++
	return func() { s.end(shard) }, true
}

func (s *Set) end(shard *state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if shard.working--; shard.working == 0 && shard.idle != nil {
		close(shard.idle)
		shard.idle = nil
	}
}

// Start takes and renews shards until ctx ends, and then gives them up. An error means that a shard was lost while this
// replica may have worked on it: the process must end. What is held is renewed apart from the rest, and in parallel, so
// that however many shards there are, and however slow the API server, no Lease runs out while its holder waits its turn.
func (s *Set) Start(ctx context.Context) error {
	group, work := errgroup.WithContext(ctx)
	group.Go(func() error { return s.every(work, func() error { return s.each(work, true, atOnce) }) })
	group.Go(func() error { return s.every(work, func() error { return s.each(work, false, 1) }) })
	group.Go(func() error { return s.every(work, s.overdue) })
	if err := group.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	s.release(context.WithoutCancel(ctx))
	return nil
}

// every calls look again and again, until it fails or ctx ends.
func (s *Set) every(ctx context.Context, look func() error) error {
	ticker := time.NewTicker(s.times.look)
	defer ticker.Stop()
	for {
		if err := look(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// each looks once at the shards that this replica holds, or at the others: these one after the other, as how many it
// holds decides whether it takes one more.
func (s *Set) each(ctx context.Context, owned bool, limit int) error {
	var looks errgroup.Group
	looks.SetLimit(limit)
	for i := range s.shards {
		s.mu.Lock()
		skip := s.shards[i].owned != owned || s.shards[i].leaving
		s.mu.Unlock()
		if !skip && ctx.Err() == nil {
			looks.Go(func() error { return s.one(ctx, i) })
		}
	}
	return looks.Wait()
}

// overdue fails when a shard was not renewed for so long that it may soon be another's.
func (s *Set) overdue() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.shards {
		if shard := &s.shards[i]; shard.owned && time.Since(shard.renewed) >= s.times.renew {
			return fmt.Errorf("shard %d could not be renewed for %s: %w", i, s.times.renew, cmp.Or(shard.problem, errSlow))
		}
	}
	return nil
}

var errSlow = errors.New("the API server is too slow")

func (s *Set) one(ctx context.Context, i int) error {
	bounded, cancel := context.WithTimeout(ctx, s.times.renew/2)
	defer cancel()
	lease, err := s.Leases.Get(bounded, s.name(i), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		lease, err = s.Leases.Create(bounded, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: s.name(i)}}, metav1.CreateOptions{})
	}
	if err != nil {
		s.failed(i, err)
		return nil
	}
	view, held, most := s.observe(i, lease)
	fair := (s.Count + s.Replicas - 1) / max(s.Replicas, 1)
	switch decide(view, s.Identity, held, fair, most, s.times) {
	case lost:
		s.lose(i)
		return fmt.Errorf("shard %d was taken by %s", i, view.holder)
	case take, renew:
		err = s.keep(bounded, i, lease)
	case ask:
		lease.Annotations = map[string]string{wishAnnotation: s.Identity}
		_, err = s.Leases.Update(bounded, lease, metav1.UpdateOptions{})
	case giveUp:
		s.Logger.Info("a shard goes to another replica", "shard", i, "to", view.wish)
		if s.drop(ctx, i, fair, s.times.look) {
			return nil
		}
		err = s.keep(bounded, i, lease) // what is under way holds it
	case wait:
		return nil
	}
	s.failed(i, err)
	return nil
}

// failed notes what kept a shard from being renewed; nil: nothing did.
func (s *Set) failed(i int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shards[i].problem = err
}

// lose notes that a shard is another's.
func (s *Set) lose(i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shards[i].owned = false
	s.held.Dec()
}

func (s *Set) name(i int) string { return fmt.Sprintf("%s-shard-%d", s.Name, i) }

// observe notes what a Lease says. It tells also how many shards this replica holds, and the most that another does.
func (s *Set) observe(i int, lease *coordinationv1.Lease) (view seen, held, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shard := &s.shards[i]
	shard.holder = ""
	if lease.Spec.HolderIdentity != nil {
		shard.holder = *lease.Spec.HolderIdentity
	}
	// A wish is no renewal, so that asking for a dead replica's shard does not keep it alive.
	renewed := shard.holder + "@"
	if lease.Spec.RenewTime != nil {
		renewed += lease.Spec.RenewTime.String()
	}
	if shard.version != renewed {
		shard.version, shard.seen = renewed, time.Now()
	}
	others := make(map[string]int)
	for j := range s.shards {
		if s.shards[j].owned {
			held++
		} else if s.shards[j].holder != "" {
			others[s.shards[j].holder]++
			most = max(most, others[s.shards[j].holder])
		}
	}
	return seen{holder: shard.holder, wish: lease.Annotations[wishAnnotation], still: time.Since(shard.seen), holding: shard.owned}, held, most
}

// keep writes this replica's name and the time to a Lease. A conflict means that somebody else was faster.
func (s *Set) keep(ctx context.Context, i int, lease *coordinationv1.Lease) error {
	s.mu.Lock()
	owned := s.shards[i].owned
	s.mu.Unlock()
	began, seconds := time.Now(), int32(max(s.times.lease/time.Second, 1)) //nolint:gosec // seconds of a lease
	now := metav1.NewMicroTime(began)
	lease.Spec.HolderIdentity, lease.Spec.RenewTime, lease.Spec.LeaseDurationSeconds = &s.Identity, &now, &seconds
	if !owned {
		lease.Spec.AcquireTime = &now
		delete(lease.Annotations, wishAnnotation)
	}
	if _, err := s.Leases.Update(ctx, lease, metav1.UpdateOptions{}); err != nil {
		if !owned {
			return nil
		}
		return err
	}
	s.mu.Lock()
	shard := &s.shards[i]
	gained := !owned || shard.refused
	shard.owned, shard.renewed, shard.refused, shard.holder = true, began, false, s.Identity
	s.mu.Unlock()
	if !owned {
		s.held.Inc()
		s.Logger.Info("works on a shard", "shard", i, "of", s.Count)
	}
	if gained {
		s.Gained(i)
	}
	return nil
}

// drop ends the work on a shard, and then lets go of it, if the replica holds more than least. It waits for what is under
// way, and if that takes too long the shard stays this replica's, which it tells.
func (s *Set) drop(ctx context.Context, i, least int, patience time.Duration) bool {
	s.mu.Lock()
	shard := &s.shards[i]
	if !shard.owned {
		s.mu.Unlock()
		return true
	}
	held := 0
	for j := range s.shards {
		if s.shards[j].owned {
			held++
		}
	}
	if held <= least {
		s.mu.Unlock()
		return false
	}
	shard.owned, shard.leaving = false, true
	idle := make(chan struct{})
	if shard.working == 0 {
		close(idle)
	} else {
		shard.idle = idle
	}
	s.mu.Unlock()
	select {
	case <-idle:
	case <-time.After(patience):
		s.mu.Lock()
		defer s.mu.Unlock()
		shard.owned, shard.leaving, shard.idle = true, false, nil
		return false
	}
	s.held.Dec()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		shard.leaving = false
	}()
	lease, err := s.Leases.Get(ctx, s.name(i), metav1.GetOptions{})
	if err == nil && lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity == s.Identity {
		nobody := ""
		lease.Spec.HolderIdentity = &nobody
		_, err = s.Leases.Update(ctx, lease, metav1.UpdateOptions{})
	}
	if err != nil {
		s.Logger.Info("a shard's Lease is not given up, and runs out", "shard", i, "why", err.Error())
	}
	return true
}

// release gives all shards up, so that others need not wait.
func (s *Set) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.times.lease)
	defer cancel()
	var all sync.WaitGroup
	for i := range s.shards {
		all.Go(func() { s.drop(ctx, i, 0, s.times.renew) })
	}
	all.Wait()
}
