package target

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
)

// theirs is an API server that holds a Secret of nobody, or of these.
type theirs struct {
	client.Reader
	owners []metav1.OwnerReference
}

func (r theirs) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	secret := object.(*corev1.Secret) //nolint:forcetypeassert // a panic fails the test
	secret.Namespace, secret.Name, secret.Data = key.Namespace, key.Name, map[string][]byte{"precious": []byte("1")}
	secret.OwnerReferences = r.owners
	return nil
}

// noWrites fails whoever writes.
type noWrites struct {
	client.Client
	t *testing.T
}

func (n noWrites) Patch(context.Context, client.Object, client.Patch, ...client.PatchOption) error {
	n.t.Error("a Secret that is not the resource's is emptied")
	return nil
}

// A status is no more than what somebody may have written: a name in it that leads elsewhere is not followed.
func TestDropFollowsNoPath(t *testing.T) {
	for _, ref := range []string{"Secret/../../victim/secrets/app", "Secret/..", "ConfigMap/a%2fb"} {
		if err := (Store{}).Drop(t.Context(), wanted().At("ns", ref)); err != nil { // without a client: to ask is a panic
			t.Error(ref, err)
		}
	}
}

// A resource whose target was refused, because the Secret is somebody else's, does not empty that Secret when it goes.
func TestClearLeavesWhatIsNotOurs(t *testing.T) {
	want := wanted()
	want.Retain = true
	if err := (Store{Client: noWrites{t: t}, Live: theirs{}}).Clear(t.Context(), want); err != nil {
		t.Error(err)
	}
	// Nor does one that fills only data, where another resource came to own the Secret.
	yes := true
	want.Retain, want.DataOnly = false, true
	another := theirs{owners: []metav1.OwnerReference{{APIVersion: v1beta1.GroupVersion().String(), Kind: "VaultSecret", UID: "another", Controller: &yes}}}
	if err := (Store{Client: noWrites{t: t}, Live: another}).Clear(t.Context(), want); err != nil {
		t.Error(err)
	}
}
