package vaultsecret

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/source"
	"strongroom/operator/template"
)

const (
	// ManagedByLabel marks the Secrets that the operator keeps; it watches only these.
	ManagedByLabel = "app.kubernetes.io/managed-by"
	// ManagedBy is the label's value, and the field manager of the operator's changes.
	ManagedBy = "strongroom-operator"

	defaultInterval = 30 * time.Second
	minInterval     = time.Second
)

// plan is the Secret that a VaultSecret wants. It must not be logged.
type plan struct {
	name, namespace     string
	kind                corev1.SecretType
	data                map[string][]byte
	labels, annotations map[string]string
}

// GoString keeps %#v from printing the data.
func (p plan) GoString() string { return "plan of " + p.namespace + "/" + p.name }

// String keeps %v from printing the data.
func (p plan) String() string { return p.GoString() }

// planFor is pure: it says what spec makes of a secret. Errors are Problems: TemplateError, InvalidSpec.
func planFor(vs *v1beta1.VaultSecret, secret *source.Secret) (plan, error) {
	target := vs.Spec.Target
	want := plan{
		name: target.Name, namespace: vs.Namespace, kind: corev1.SecretTypeOpaque,
		labels: map[string]string{}, annotations: map[string]string{},
	}
	shape := target.Template
	if shape == nil {
		shape = &v1beta1.SecretTemplate{}
	}
	if shape.Type != "" {
		want.kind = corev1.SecretType(shape.Type)
	}
	for _, some := range []map[string]string{shape.Labels, shape.Metadata.Labels, {ManagedByLabel: ManagedBy}} {
		maps.Copy(want.labels, some)
	}
	for _, some := range []map[string]string{shape.Annotations, shape.Metadata.Annotations} {
		maps.Copy(want.annotations, some)
	}
	data, err := dataFor(shape, secret)
	if err != nil {
		return plan{}, err
	}
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if wrong := validation.IsConfigMapKey(key); len(wrong) > 0 {
			return plan{}, condition.Problemf(v1beta1.ReasonTemplateError,
				"key %q cannot be a key of a Secret (letters, digits, -, _ and . only): name it anew in target.template.stringData", key)
		}
	}
	want.data = data
	return want, nil
}

func dataFor(shape *v1beta1.SecretTemplate, secret *source.Secret) (map[string][]byte, error) {
	data := make(map[string][]byte)
	if len(shape.StringData)+len(shape.Data) == 0 {
		for key, value := range secret.Data {
			data[key] = []byte(template.Text(value))
		}
		return data, nil
	}
	rendered, err := template.Render(shape.StringData, secret.Data)
	if err != nil {
		problem := condition.Problemf(v1beta1.ReasonTemplateError, "%v", err)
		if wrong := (*template.Error)(nil); errors.As(err, &wrong) && wrong.Missing != "" {
			problem.Message += fmt.Sprintf(" (`vault kv put` replaces all keys; `vault kv patch %s %s=VALUE` adds one)", secret.Name, wrong.Missing)
		}
		return nil, problem
	}
	for key, value := range shape.Data {
		data[key] = append([]byte{}, value...)
	}
	maps.Copy(data, rendered) // as in a Secret, stringData wins
	return data, nil
}

// step is what to do with the target.
type step string

const (
	keep    step = "keep"    // it is as wanted
	create  step = "create"  // there is none
	apply   step = "apply"   // it differs
	replace step = "replace" // it differs in what cannot be edited
)

// next is pure: it says what to do with live, nil if there is none, so that it becomes want. again asks for an apply
// although they look alike, because labels may have left the template. Errors are Problems: TargetConflict.
func next(vs *v1beta1.VaultSecret, live *corev1.Secret, want plan, again bool) (step, error) {
	if live == nil {
		return create, nil
	}
	if err := conflict(vs, live); err != nil {
		return "", err
	}
	same := maps.EqualFunc(live.Data, want.data, bytes.Equal)
	frozen := live.Immutable != nil && *live.Immutable
	switch {
	case live.Type != want.kind, frozen && !same:
		return replace, nil
	case again, !same, !metav1.IsControlledBy(live, vs),
		!contains(live.Labels, want.labels), !contains(live.Annotations, want.annotations):
		return apply, nil
	}
	return keep, nil
}

// conflict tells whether live is somebody else's. A Secret without a controller is ours if it bears our label: the
// owner reference was edited away, or an earlier VaultSecret left it as an orphan.
func conflict(vs *v1beta1.VaultSecret, live *corev1.Secret) error {
	if owner := metav1.GetControllerOf(live); owner != nil {
		if owner.UID == vs.UID {
			return nil
		}
		return condition.Problemf(v1beta1.ReasonTargetConflict,
			"Secret %s is controlled by %s %s: choose another target.name, or delete that first", live.Name, owner.Kind, owner.Name)
	}
	if live.Labels[ManagedByLabel] == ManagedBy || vs.Spec.Target.Overwrite {
		return nil
	}
	return condition.Problemf(v1beta1.ReasonTargetConflict,
		"Secret %s exists and no VaultSecret made it: choose another target.name, delete it, or set target.overwrite: true to take it over",
		live.Name)
}

// contains tells whether all has every pair of some.
func contains(all, some map[string]string) bool {
	for key, value := range some {
		if got, ok := all[key]; !ok || got != value {
			return false
		}
	}
	return true
}

// interval parses refreshAfter. Errors are Problems: InvalidSpec.
func interval(vs *v1beta1.VaultSecret) (time.Duration, error) {
	text := vs.Spec.RefreshAfter
	if text == "" {
		return defaultInterval, nil
	}
	every, err := time.ParseDuration(text)
	if err != nil || every < minInterval {
		return defaultInterval, condition.Problemf(v1beta1.ReasonInvalidSpec, "refreshAfter %q is not a duration of %s or more", text, minInterval)
	}
	return every, nil
}

// kept says what a problem leaves in place, for its message. The Secret is never emptied or deleted because of one.
func kept(vs *v1beta1.VaultSecret, live *corev1.Secret) string {
	status := vs.Status
	switch {
	case status.TargetResourceVersion == "":
		return ""
	case live == nil:
		return fmt.Sprintf("; Secret %s is gone and comes back when this is cured", vs.Spec.Target.Name)
	case !metav1.IsControlledBy(live, vs):
		return ""
	case live.ResourceVersion != status.TargetResourceVersion:
		return fmt.Sprintf("; Secret %s was edited meanwhile and is restored when this is cured", live.Name)
	case status.SecretVersion != "":
		return fmt.Sprintf("; Secret %s keeps version %s", live.Name, status.SecretVersion)
	}
	return fmt.Sprintf("; Secret %s keeps what it holds", live.Name)
}
