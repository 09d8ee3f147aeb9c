// Package shard shares the namespaces of a cluster among the replicas of the operator: each namespace is of one shard, by
// a hash of its name, and each shard of one replica at a time, which holds the shard's Lease. What a replica does not hold
// it leaves alone, and takes over when the holder is gone. The package knows nothing of what is done in a namespace.
package shard

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
)

// wishAnnotation on a Lease names the replica that asks for it.
const wishAnnotation = "secrets.hashicorp.com/wanted-by"

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
	working int           // what Begin began and is not done
	idle    chan struct{} // closed when working is 0, while somebody waits for that
	version string        // of the Lease as it was last seen
	seen    time.Time     // when it was seen to be so first
	renewed time.Time     // when this replica last renewed it
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
// soon.
func (s *Set) Begin(namespace string) (done func(), ours bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shard := &s.shards[Of(namespace, s.Count)]
	if !shard.owned {
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
// replica may have worked on it: the process must end.
func (s *Set) Start(ctx context.Context) error {
	ticker := time.NewTicker(s.times.look)
	defer ticker.Stop()
	for {
		if err := s.round(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			s.release(context.WithoutCancel(ctx))
			return nil
		case <-ticker.C:
		}
	}
}

// round looks at each shard once.
func (s *Set) round(ctx context.Context) error {
	for i := range s.shards {
		if err := s.one(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (s *Set) one(ctx context.Context, i int) error {
	bounded, cancel := context.WithTimeout(ctx, s.times.renew/2)
	defer cancel()
	lease, err := s.Leases.Get(bounded, s.name(i), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		lease, err = s.Leases.Create(bounded, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: s.name(i)}}, metav1.CreateOptions{})
	}
	if err != nil {
		return s.overdue(i, err)
	}
	view, held, most := s.observe(i, lease)
	fair := (s.Count + s.Replicas - 1) / max(s.Replicas, 1)
	switch decide(view, s.Identity, held, fair, most, s.times) {
	case lost:
		return fmt.Errorf("shard %d was taken by %s", i, view.holder)
	case take, renew:
		err = s.keep(bounded, i, lease)
	case ask:
		lease.Annotations = map[string]string{wishAnnotation: s.Identity}
		_, err = s.Leases.Update(bounded, lease, metav1.UpdateOptions{})
	case giveUp:
		s.Logger.Info("a shard goes to another replica", "shard", i, "to", view.wish)
		if s.drop(ctx, i, s.times.look) {
			return nil
		}
		err = s.keep(bounded, i, lease) // what is under way holds it
	case wait:
		return nil
	}
	return s.overdue(i, err)
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
	s.shards[i].owned, s.shards[i].renewed, s.shards[i].holder = true, began, s.Identity
	s.mu.Unlock()
	if !owned {
		s.held.Inc()
		s.Logger.Info("works on a shard", "shard", i, "of", s.Count)
		s.Gained(i)
	}
	return nil
}

// overdue lets an error pass while the shard is surely still this replica's.
func (s *Set) overdue(i int, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if shard := &s.shards[i]; err != nil && shard.owned && time.Since(shard.renewed) >= s.times.renew {
		return fmt.Errorf("renew shard %d: %w", i, err)
	}
	return nil
}

// drop ends the work on a shard, and then lets go of it. It waits for what is under way, and if that takes too long the
// shard stays this replica's, which it tells.
func (s *Set) drop(ctx context.Context, i int, patience time.Duration) bool {
	s.mu.Lock()
	shard := &s.shards[i]
	if !shard.owned {
		s.mu.Unlock()
		return true
	}
	shard.owned = false
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
		shard.owned, shard.idle = true, nil
		return false
	}
	s.held.Dec()
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
		all.Go(func() { s.drop(ctx, i, s.times.renew) })
	}
	all.Wait()
}
