package syncer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/target"
)

func synced() (*v1beta1.VaultStaticSecret, *metav1.PartialObjectMetadata) {
	resource := &v1beta1.VaultStaticSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "n", UID: "u", Generation: 2}}
	resource.Status.Status.Status, resource.Status.ObservedGeneration = v1beta1.ReasonValid, 2
	resource.Status.TargetResourceVersion, resource.Status.SecretMAC = "7", "mac"
	return resource, &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "7"}}
}

// A resource rests only while everything is as its last good sync left it.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec := Spec{Fallback: time.Minute}
		for name, test := range map[string]struct {
			change func(*v1beta1.VaultStaticSecret, *metav1.PartialObjectMetadata, *memory)
			want   bool
		}{
			"nothing":     {func(*v1beta1.VaultStaticSecret, *metav1.PartialObjectMetadata, *memory) {}, true},
			"spec edited": {func(r *v1beta1.VaultStaticSecret, _ *metav1.PartialObjectMetadata, _ *memory) { r.Generation = 3 }, false},
			"annotated": {func(r *v1beta1.VaultStaticSecret, _ *metav1.PartialObjectMetadata, _ *memory) {
				r.Annotations = map[string]string{"look": "now"}
			}, false},
			"target edited": {func(_ *v1beta1.VaultStaticSecret, h *metav1.PartialObjectMetadata, _ *memory) {
				h.ResourceVersion = "8"
			}, false},
			"not well": {func(r *v1beta1.VaultStaticSecret, _ *metav1.PartialObjectMetadata, _ *memory) {
				r.Status.Status.Status = "NotFound"
			}, false},
			"woken": {func(r *v1beta1.VaultStaticSecret, _ *metav1.PartialObjectMetadata, m *memory) {
				m.wake(client.ObjectKeyFromObject(r))
			}, false},
			"its time passed": {func(*v1beta1.VaultStaticSecret, *metav1.PartialObjectMetadata, *memory) { time.Sleep(time.Minute) }, false},
		} {
			memory := newMemory()
			resource, held := synced()
			memory.synced(resource, time.Minute, nil)
			test.change(resource, held, memory)
			if wait, got := memory.rest(resource, spec, held); got != test.want || got && wait != time.Minute {
				t.Errorf("%s: %v for %s", name, got, wait)
			}
		}
	})
}

// After a start the status and the target's metadata suffice, within one interval.
func TestWarmStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec := Spec{Fallback: time.Minute}
		memory := newMemory()
		resource, held := synced()
		wait, resting := memory.rest(resource, spec, held)
		if !resting || wait > time.Minute {
			t.Errorf("%v for %s", resting, wait)
		}
		time.Sleep(wait)
		if _, resting := memory.rest(resource, spec, held); resting {
			t.Error("the source is never looked at")
		}
		for name, change := range map[string]func(*v1beta1.VaultStaticSecret, *Spec){
			"no MAC":             func(r *v1beta1.VaultStaticSecret, _ *Spec) { r.Status.SecretMAC = "" },
			"bound to the login": func(_ *v1beta1.VaultStaticSecret, s *Spec) { s.Bound = true },
			"has copies":         func(_ *v1beta1.VaultStaticSecret, s *Spec) { s.Copies = &metav1.LabelSelector{} },
			"due by its own time": func(r *v1beta1.VaultStaticSecret, _ *Spec) {
				r.Status.NextSyncTime = &metav1.Time{Time: time.Now().Add(-time.Second)}
			},
		} {
			resource, held := synced()
			spec := spec
			change(resource, &spec)
			if _, resting := newMemory().rest(resource, spec, held); resting {
				t.Errorf("%s: rests", name)
			}
		}
	})
}

// A certificate of less than a minute has no time noted: after a start it is looked at, not left for a part of a day.
func TestStartLooksAtWhatWasAboutToEnd(t *testing.T) {
	resource, held := synced()
	if wait, rests := newMemory().rest(resource, Spec{Fallback: 24 * time.Hour}, held); rests {
		t.Errorf("it rests for %s, and nothing says that it may", wait)
	}
	resource.Status.NextSyncTime = &metav1.Time{Time: time.Now().Add(time.Hour)}
	if wait, rests := newMemory().rest(resource, Spec{Fallback: 24 * time.Hour}, held); !rests || wait > time.Hour {
		t.Errorf("rests %v for %s though its time is noted", rests, wait)
	}
}

// A spec that was edited while the server was away is still to be done when it is back: a status that tells of the
// outage is of the new generation, and the target of the old.
func TestAnEditOutlivesAFailedSync(t *testing.T) {
	resource, _ := synced()
	c := &course{resource: resource}
	c.note(&Content{Version: "1"}, "7", target.Apply)
	if edited(resource) {
		t.Fatal("edited right after a sync")
	}
	resource.Generation = 3
	condition.Set(resource, condition.Problemf(v1beta1.ReasonServerSealed, "sealed"), "")
	if !edited(resource) {
		t.Error("the edit is forgotten after a sync that failed")
	}
	c.note(&Content{Version: "1"}, "7", target.Apply)
	if edited(resource) {
		t.Error("still edited after a sync")
	}
}

// What a resource never filled is not emptied with it.
func TestReleaseEmptiesOnlyWhatWasFilled(t *testing.T) {
	resource, _ := synced()
	resource.Status.TargetResourceVersion = ""
	engine := &Engine{Kind: clearing{}} // without a client: to ask for the target is a panic
	if err := engine.release(t.Context(), resource); err != nil {
		t.Error(err)
	}
}

type clearing struct{ Kind }

func (clearing) Release(context.Context, Object) error { return nil }

func (clearing) Spec(Object) (Spec, error) {
	return Spec{Clear: true, Want: target.Want{Name: "theirs", DataOnly: true}}, nil
}

// Of two resources for one Secret exactly one is the elder, also if they are of the same second.
func TestElder(t *testing.T) {
	at := func(seconds int64, uid types.UID) Object {
		return &v1beta1.VaultStaticSecret{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.Unix(seconds, 0), UID: uid}}
	}
	if old, young := at(1, "b"), at(2, "a"); !elder(old, young) || elder(young, old) {
		t.Error("the younger is the elder")
	}
	if one, other := at(1, "a"), at(1, "b"); elder(one, other) == elder(other, one) || elder(one, one) {
		t.Error("of the same second, both have it or none")
	}
}
