package operator_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/operator"
	"strongroom/operator/shard"
)

// TestReplicas has two replicas share the namespaces, cuts one off, and then ends the other: what each worked on is taken
// over, late where a lease must run out and at once where it is given up.
func TestReplicas(t *testing.T) {
	w := newWorld(t)
	w.stop()
	w.kubectl(t, "", "create", "clusterrolebinding", "leases", "--clusterrole=cluster-admin", "--user=operator")
	namespaces := make([]string, 2) // of the two shards
	for i := 0; namespaces[0] == "" || namespaces[1] == ""; i++ {
		name := fmt.Sprintf("team-%d", i)
		namespaces[shard.Of(name, 2)] = name
	}
	for _, namespace := range namespaces {
		w.namespace(t, namespace, "secret/data/x")
		w.vault.Put("secret/x", map[string]any{"A": "1"})
		w.apply(t, manifest(namespace, "x", "secret/x", inline(namespace), ""))
	}
	var cut atomic.Bool
	shards := func(name string) func(*operator.Options) {
		return func(o *operator.Options) {
			o.Shards, o.Replicas, o.LeaseNamespace, o.Identity, o.LeaseDuration = 2, 2, "default", name, 3*time.Second
		}
	}
	stopA := w.replica(t, "operator", shards("a"), &cut)
	stopB := w.replica(t, "operator", shards("b"), nil)
	t.Cleanup(func() { stopA(); stopB() })
	holders := func() string {
		names := make([]string, 2)
		for i := range names {
			lease := &coordinationv1.Lease{}
			if err := w.kube.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: fmt.Sprintf("strongroom-operator-shard-%d", i)}, lease); err == nil && lease.Spec.HolderIdentity != nil {
				names[i] = *lease.Spec.HolderIdentity
			}
		}
		return strings.Join(names, " ")
	}
	eventually(t, limit, func() string {
		if got := holders(); got != "a b" && got != "b a" {
			return "the shards are of " + got
		}
		return ""
	})
	value := 1
	change := func(what string) {
		t.Helper()
		value++
		w.vault.Put("secret/x", map[string]any{"A": fmt.Sprint(value)})
		began := time.Now()
		for _, namespace := range namespaces {
			w.holds(t, namespace, "x", map[string]string{"A": fmt.Sprint(value)})
		}
		t.Logf("%s: all is as it should be after %s", what, time.Since(began).Round(time.Millisecond))
	}
	change("two replicas")
	cut.Store(true)
	change("one is cut off (leases of 3s)")
	if got := holders(); got != "b b" {
		t.Errorf("after a was cut off the shards are of %s", got)
	}
	stopA()
	cut.Store(false)
	stopC := w.replica(t, "operator", shards("c"), nil)
	t.Cleanup(stopC)
	eventually(t, limit, func() string {
		if got := holders(); got != "c b" && got != "b c" {
			return "a newcomer gets no share: " + got
		}
		return ""
	})
	change("a newcomer has its share")
	stopB()
	change("one ends by itself")
}
