package syncer

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"strongroom/api/v1beta1"
	"strongroom/operator/target"
)

// memory knows when each resource is due, so that an event that changes nothing costs neither the server nor the API
// server a request. It holds no secret but the keys of MACs.
type memory struct {
	mu   sync.Mutex
	each map[types.NamespacedName]*remembered
}

type remembered struct {
	print uint64
	due   time.Time
	key   target.Key
}

func newMemory() *memory { return &memory{each: make(map[types.NamespacedName]*remembered)} }

// print is of all that a sync depends on in the resource itself.
func print(resource Object) uint64 {
	hash := fnv.New64a()
	_, _ = fmt.Fprintf(hash, "%s %d\n", resource.GetUID(), resource.GetGeneration())
	for _, some := range []map[string]string{resource.GetAnnotations(), resource.GetLabels()} {
		for _, key := range slices.Sorted(maps.Keys(some)) {
			_, _ = fmt.Fprintf(hash, "%q=%q\n", key, some[key])
		}
	}
	return hash.Sum64()
}

// rest tells how long a resource may rest: its last sync was good, nothing of it or its target changed since, and it is
// not due. After a start nothing is remembered; then the status and the target's metadata tell, and the next look at the
// source is somewhen within one interval, so that a start is no rush.
func (m *memory) rest(resource Object, spec Spec, held *metav1.PartialObjectMetadata) (time.Duration, bool) {
	status := resource.SyncStatus()
	if !good(resource, held) || spec.Copies != nil {
		return 0, false
	}
	name := types.NamespacedName{Namespace: resource.GetNamespace(), Name: resource.GetName()}
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.each[name]
	now := time.Now()
	if known == nil {
		// Where no time is noted the next look was less than a minute off, as at a certificate that is about to end.
		if status.SecretMAC == "" || spec.Bound || status.NextSyncTime == nil && spec.interval(false) > time.Minute {
			return 0, false
		}
		wait := time.Duration(rand.Int64N(int64(spec.interval(false)) + 1)) //nolint:gosec // no secret depends on it
		if status.NextSyncTime != nil {
			wait = min(wait, status.NextSyncTime.Sub(now))
		}
		if wait <= 0 {
			return 0, false
		}
		m.each[name] = &remembered{print: print(resource), due: now.Add(wait), key: target.KeyOf(held)}
		return wait, true
	}
	if known.print != print(resource) || !now.Before(known.due) {
		return 0, false
	}
	return known.due.Sub(now), true
}

// good tells whether the last sync went well, was of this spec, and left the target as it is.
func good(resource Object, held *metav1.PartialObjectMetadata) bool {
	status := resource.SyncStatus()
	return status.LastSyncRequest == resource.GetAnnotations()[v1beta1.SyncNowAnnotation] && status.Status.Status == v1beta1.ReasonValid && status.ObservedGeneration == resource.GetGeneration() &&
		held != nil && status.TargetResourceVersion != "" && held.ResourceVersion == status.TargetResourceVersion
}

// synced remembers a good sync.
func (m *memory) synced(resource Object, due time.Duration, key target.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := types.NamespacedName{Namespace: resource.GetNamespace(), Name: resource.GetName()}
	m.each[name] = &remembered{print: print(resource), due: time.Now().Add(due), key: key}
}

// wake makes the next look at a resource a real one.
func (m *memory) wake(name types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.each[name]; known != nil {
		known.due = time.Time{}
	}
}

// key is the key of the target's MAC when the target itself is gone.
func (m *memory) key(name types.NamespacedName) target.Key {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.each[name]; known != nil {
		return known.key
	}
	return nil
}

func (m *memory) forget(name types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.each, name)
}
