package vaultsecret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
)

// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch;create;patch;delete

// Targets reads and writes target Secrets.
type Targets struct {
	Client client.Client // caches the Secrets with our label
	Live   client.Reader // caches nothing
}

// get finds the Secret, nil if there is none. The cache knows only those with our label, so its no is not the last
// word.
func (t Targets) get(ctx context.Context, name types.NamespacedName) (*corev1.Secret, error) {
	for _, reader := range []client.Reader{t.Client, t.Live} {
		secret := &corev1.Secret{}
		err := reader.Get(ctx, name, secret)
		if err == nil {
			return secret, nil
		}
		if !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("get Secret %s: %w", name, err)
		}
	}
	return nil, nil
}

// do makes one step, and returns the Secret's resourceVersion after it.
func (t Targets) do(ctx context.Context, what step, vs *v1beta1.VaultSecret, live *corev1.Secret, want plan) (string, error) {
	switch what {
	case keep:
		return live.ResourceVersion, nil
	case replace:
		if err := t.try(ctx, want); err != nil {
			return "", err
		}
		if err := t.delete(ctx, live); err != nil {
			return "", err
		}
		live = nil
	}
	return t.apply(ctx, vs, live, want)
}

// try asks the API server whether it would take the Secret, before a good one is deleted for it.
func (t Targets) try(ctx context.Context, want plan) error {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: want.namespace, GenerateName: "try-", Labels: want.labels, Annotations: want.annotations},
		Type:       want.kind, Data: want.data,
	}
	return refused(want.name, t.Client.Create(ctx, secret, client.DryRunAll, client.DisableReadYourWritesConsistency))
}

// apply writes by server-side apply, so that labels and annotations of others stay. Data of others goes: the Secret
// holds what the source says and nothing else.
func (t Targets) apply(ctx context.Context, vs *v1beta1.VaultSecret, live *corev1.Secret, want plan) (string, error) {
	secret := corev1ac.Secret(want.name, want.namespace).
		WithType(want.kind).WithData(want.data).WithLabels(want.labels).WithAnnotations(want.annotations).
		WithOwnerReferences(metav1ac.OwnerReference().
			WithAPIVersion(v1beta1.GroupVersion().String()).WithKind("VaultSecret").
			WithName(vs.Name).WithUID(vs.UID).WithController(true).WithBlockOwnerDeletion(true))
	if live != nil {
		secret.WithUID(live.UID) // not another that took its name meanwhile
	}
	if err := t.Client.Apply(ctx, secret, client.FieldOwner(ManagedBy), client.ForceOwnership); err != nil {
		return "", refused(want.name, err)
	}
	stray := make(map[string]any)
	for key := range secret.Data { // the API server's answer, decoded over what was sent
		if _, ok := want.data[key]; !ok {
			stray[key] = nil
		}
	}
	if len(stray) == 0 {
		return *secret.ResourceVersion, nil
	}
	patch, err := json.Marshal(map[string]any{"data": stray})
	if err != nil {
		return "", err
	}
	pruned := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: want.namespace, Name: want.name}}
	if err := t.Client.Patch(ctx, pruned, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(ManagedBy)); err != nil {
		return "", refused(want.name, err)
	}
	return pruned.ResourceVersion, nil
}

// dropFormer deletes the Secrets that vs filled under another target.name. It comes after the new one is there.
func (t Targets) dropFormer(ctx context.Context, vs *v1beta1.VaultSecret) error {
	secrets := &corev1.SecretList{}
	if err := t.Client.List(ctx, secrets, client.InNamespace(vs.Namespace)); err != nil {
		return fmt.Errorf("list former targets: %w", err)
	}
	for i := range secrets.Items {
		former := &secrets.Items[i]
		if former.Name == vs.Spec.Target.Name || !metav1.IsControlledBy(former, vs) {
			continue
		}
		if err := t.delete(ctx, former); err != nil {
			return err
		}
	}
	return nil
}

// delete deletes this very Secret. It does not make later reads wait until the cache has seen that: a Secret whose
// label was edited away has left the cache already, and its deletion is never seen.
func (t Targets) delete(ctx context.Context, secret *corev1.Secret) error {
	err := t.Client.Delete(ctx, secret, client.Preconditions{UID: &secret.UID}, client.DisableReadYourWritesConsistency)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete Secret %s: %w", secret.Name, err)
	}
	return nil
}

// refused makes a Problem of the API server's no to a Secret. Of a validation error it quotes the fields only, as the
// rest may hold values.
func refused(name string, err error) error {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return nil
	case apierrors.IsInvalid(err) && errors.As(err, &status) && status.Status().Details != nil:
		fields := make(map[string]bool)
		for _, cause := range status.Status().Details.Causes {
			fields[cause.Field+" ("+string(cause.Type)+")"] = true
		}
		return condition.Problemf(v1beta1.ReasonTargetRefused, "the API server does not take Secret %s: see %s of target.template",
			name, strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
	case apierrors.IsForbidden(err), apierrors.IsRequestEntityTooLargeError(err):
		return condition.Problemf(v1beta1.ReasonTargetRefused, "the API server does not take Secret %s: %v", name, err)
	}
	return fmt.Errorf("write Secret %s: %w", name, err)
}
