package target

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
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
)

// +kubebuilder:rbac:groups="",resources=secrets;configmaps,verbs=get;list;watch;create;patch;delete

// Store reads and writes targets.
type Store struct {
	Client client.Client // caches the metadata of what bears our label, and no data
	Live   client.Reader // caches nothing
}

// Metadata is what the cache knows of a target; nil if it does not know it, which is not the last word.
func (s Store) Metadata(ctx context.Context, want Want) (*metav1.PartialObjectMetadata, error) {
	found := &metav1.PartialObjectMetadata{}
	found.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(want.kind()))
	err := s.Client.Get(ctx, types.NamespacedName{Namespace: want.Namespace, Name: want.Name}, found)
	if err == nil {
		return found, nil
	}
	return nil, client.IgnoreNotFound(err)
}

// Get reads a target from the API server; nil if there is none.
func (s Store) Get(ctx context.Context, want Want) (*Live, error) {
	name := types.NamespacedName{Namespace: want.Namespace, Name: want.Name}
	live := &Live{Kind: want.kind()}
	var err error
	if live.Kind == ConfigMap {
		found := &corev1.ConfigMap{}
		if err = s.Live.Get(ctx, name, found); err == nil {
			live.ObjectMeta, live.Immutable = found.ObjectMeta, found.Immutable != nil && *found.Immutable
			live.Data = maps.Clone(found.BinaryData)
			if live.Data == nil {
				live.Data = make(map[string][]byte, len(found.Data))
			}
			for key, value := range found.Data {
				live.Data[key] = []byte(value)
			}
		}
	} else {
		found := &corev1.Secret{}
		if err = s.Live.Get(ctx, name, found); err == nil {
			live.ObjectMeta, live.Immutable = found.ObjectMeta, found.Immutable != nil && *found.Immutable
			live.Type, live.Data = found.Type, found.Data
		}
	}
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get %s %s: %w", live.Kind, name, err)
	}
	return live, nil
}

// Do makes one step, and returns the target's resourceVersion after it.
func (s Store) Do(ctx context.Context, step Step, live *Live, want Want, key Key) (string, error) {
	switch step {
	case Keep:
		return live.ResourceVersion, nil
	case Replace:
		if err := s.try(ctx, want); err != nil {
			return "", err
		}
		if err := s.delete(ctx, live); err != nil {
			return "", err
		}
		live = nil
	}
	if want.DataOnly {
		return s.fill(ctx, live, want)
	}
	if err := s.drop(ctx, live, want); err != nil {
		return "", err
	}
	return s.apply(ctx, live, want, key)
}

// try asks the API server whether it would take the target, before a good one is deleted for it.
func (s Store) try(ctx context.Context, want Want) error {
	object := want.object()
	object.SetName("")
	object.SetGenerateName("try-")
	object.SetLabels(want.labels())
	object.SetAnnotations(want.Annotations)
	return refused(want, s.Client.Create(ctx, object, client.DryRunAll, client.DisableReadYourWritesConsistency))
}

// object is the bare target with its data.
func (w Want) object() client.Object {
	meta := metav1.ObjectMeta{Namespace: w.Namespace, Name: w.Name}
	if w.kind() == ConfigMap {
		text, binary := split(w.Data)
		return &corev1.ConfigMap{ObjectMeta: meta, Data: text, BinaryData: binary}
	}
	return &corev1.Secret{ObjectMeta: meta, Type: w.Type, Data: w.Data}
}

// drop makes data of others go in the same write that brings the new, so that nobody reads a mixture.
func (s Store) drop(ctx context.Context, live *Live, want Want) error {
	if live == nil || !slices.ContainsFunc(slices.Collect(maps.Keys(live.Data)), func(key string) bool { _, ok := want.Data[key]; return !ok }) {
		return nil
	}
	_, err := s.fill(ctx, live, want)
	return err
}

// fill writes the data and nothing else, all of it at once.
func (s Store) fill(ctx context.Context, live *Live, want Want) (string, error) {
	body := map[string]any{"metadata": map[string]any{"uid": live.UID, "resourceVersion": live.ResourceVersion}}
	if want.kind() == ConfigMap {
		text, binary := split(want.Data)
		oldText, oldBinary := split(live.Data)
		body["data"], body["binaryData"] = changes(oldText, text), changes(oldBinary, binary)
	} else {
		body["data"] = changes(live.Data, want.Data)
	}
	patch, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	object := want.object()
	err = s.Client.Patch(ctx, object, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(ManagedBy), client.DisableReadYourWritesConsistency)
	if err != nil {
		return "", refused(want, err)
	}
	return object.GetResourceVersion(), nil
}

// changes is a merge patch from old to wanted.
func changes[T any](old, wanted map[string]T) map[string]any {
	patch := make(map[string]any, len(wanted))
	for key := range old {
		patch[key] = nil
	}
	for key, value := range wanted {
		patch[key] = value
	}
	return patch
}

// apply writes by server-side apply, so that labels and annotations of others stay.
func (s Store) apply(ctx context.Context, live *Live, want Want, key Key) (string, error) {
	var configuration runtime.ApplyConfiguration
	var version func() *string
	owner := metav1ac.OwnerReference().
		WithAPIVersion(v1beta1.GroupVersion().String()).WithKind(want.Owner.Kind).
		WithName(want.Owner.Name).WithUID(want.Owner.UID).WithController(true).WithBlockOwnerDeletion(true)
	if want.kind() == ConfigMap {
		text, binary := split(want.Data)
		object := corev1ac.ConfigMap(want.Name, want.Namespace).WithData(text).WithBinaryData(binary).
			WithLabels(want.labels()).WithAnnotations(want.annotations(key))
		if want.Immutable {
			object.WithImmutable(true)
		}
		if !want.Retain {
			object.WithOwnerReferences(owner)
		}
		if live != nil {
			object.WithUID(live.UID)
		}
		configuration, version = object, func() *string { return object.ResourceVersion }
	} else {
		object := corev1ac.Secret(want.Name, want.Namespace).WithType(want.secretType()).WithData(want.Data).
			WithLabels(want.labels()).WithAnnotations(want.annotations(key))
		if want.Immutable {
			object.WithImmutable(true)
		}
		if !want.Retain {
			object.WithOwnerReferences(owner)
		}
		if live != nil {
			object.WithUID(live.UID) // not another that took its name meanwhile
		}
		configuration, version = object, func() *string { return object.ResourceVersion }
	}
	err := s.Client.Apply(ctx, configuration, client.FieldOwner(ManagedBy), client.ForceOwnership, client.DisableReadYourWritesConsistency)
	if err != nil {
		return "", refused(want, err)
	}
	return *version(), nil // of the API server's answer, decoded over what was sent
}

// split tells text from what is none, as a ConfigMap holds them apart.
func split(data map[string][]byte) (text map[string]string, binary map[string][]byte) {
	text, binary = make(map[string]string), make(map[string][]byte)
	for key, value := range data {
		if strings.ToValidUTF8(string(value), "") == string(value) {
			text[key] = string(value)
		} else {
			binary[key] = value
		}
	}
	return text, binary
}

// Drop deletes a target if it is there and the owner's. Whoever calls it knows from the resource's status that the owner
// filled it: labels and owner references alone are also on what somebody copied by hand. Errors are Problems:
// TargetRefused, or of the API server.
func (s Store) Drop(ctx context.Context, want Want) error {
	if len(path.IsValidPathSegmentName(want.Name)) > 0 || len(path.IsValidPathSegmentName(want.Namespace)) > 0 {
		return nil // nothing that was filled has such a name; as part of a URL it would lead elsewhere
	}
	found := &metav1.PartialObjectMetadata{}
	found.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(want.kind()))
	err := s.Live.Get(ctx, types.NamespacedName{Namespace: want.Namespace, Name: want.Name}, found)
	if err == nil && Owned(found, want.Owner.UID) {
		err = s.delete(ctx, &Live{ObjectMeta: found.ObjectMeta, Kind: want.kind()})
	}
	if apierrors.IsForbidden(err) {
		return condition.Problemf(v1beta1.ReasonTargetRefused, "%s %s in namespace %s is to go, and the API server does not let the operator delete it: delete it there",
			want.kind(), want.Name, want.Namespace)
	}
	return client.IgnoreNotFound(err)
}

// Clear empties a target that is there. One that is somebody else's it leaves alone.
func (s Store) Clear(ctx context.Context, want Want) error {
	live, err := s.Get(ctx, want)
	if err != nil || live == nil || live.Immutable || Conflict(live, want) != nil || !want.DataOnly && !Owned(live, want.Owner.UID) {
		return err
	}
	want.Data = map[string][]byte{}
	_, err = s.fill(ctx, live, want)
	return err
}

// delete deletes this very target. It does not make later reads wait until the cache has seen that: one whose label was
// edited away has left the cache already, and its deletion is never seen.
func (s Store) delete(ctx context.Context, live *Live) error {
	meta := metav1.ObjectMeta{Namespace: live.Namespace, Name: live.Name}
	var object client.Object = &corev1.Secret{ObjectMeta: meta}
	if live.Kind == ConfigMap {
		object = &corev1.ConfigMap{ObjectMeta: meta}
	}
	err := s.Client.Delete(ctx, object, client.Preconditions{UID: &live.UID}, client.DisableReadYourWritesConsistency)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete %s %s: %w", live.Kind, live.Name, err)
	}
	return nil
}

// refused makes a Problem of the API server's no to a target. Of a validation error it quotes the fields only, as the
// rest may hold values.
func refused(want Want, err error) error {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return nil
	case apierrors.IsInvalid(err) && errors.As(err, &status) && status.Status().Details != nil:
		fields := make(map[string]bool)
		for _, cause := range status.Status().Details.Causes {
			fields[cause.Field+" ("+string(cause.Type)+")"] = true
		}
		return condition.Problemf(v1beta1.ReasonTargetRefused, "the API server does not take %s %s: see %s of %s",
			want.kind(), want.Name, strings.Join(slices.Sorted(maps.Keys(fields)), ", "), want.spelled("template"))
	case apierrors.IsForbidden(err), apierrors.IsRequestEntityTooLargeError(err):
		return condition.Problemf(v1beta1.ReasonTargetRefused, "the API server does not take %s %s: %v", want.kind(), want.Name, err)
	}
	return fmt.Errorf("write %s %s: %w", want.kind(), want.Name, err)
}
