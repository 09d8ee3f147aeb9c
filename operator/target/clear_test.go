package target

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// theirs is an API server that holds a Secret of nobody.
type theirs struct{ client.Reader }

func (theirs) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	secret := object.(*corev1.Secret) //nolint:forcetypeassert // a panic fails the test
	secret.Namespace, secret.Name, secret.Data = key.Namespace, key.Name, map[string][]byte{"precious": []byte("1")}
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

// A resource whose target was refused, because the Secret is somebody else's, does not empty that Secret when it goes.
func TestClearLeavesWhatIsNotOurs(t *testing.T) {
	want := wanted()
	want.Retain = true
	if err := (Store{Client: noWrites{t: t}, Live: theirs{}}).Clear(t.Context(), want); err != nil {
		t.Error(err)
	}
}
