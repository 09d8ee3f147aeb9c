package vaultsecret

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
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
	// lacking is the problem of templates that name keys which the source lacks; data is without their results. lacks are
	// their names.
	lacking *condition.Problem
	lacks   []string
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
	data, lacking, err := dataFor(shape, secret)
	if err != nil {
		return plan{}, err
	}
	if lacking != nil {
		want.lacking = lacking
		for _, key := range slices.Sorted(maps.Keys(shape.StringData)) {
			if _, ok := data[key]; !ok {
				want.lacks = append(want.lacks, key)
			}
		}
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

// dataFor renders the templates. lacking tells of those that name a key which the source lacks; the others' results are
// there all the same.
func dataFor(shape *v1beta1.SecretTemplate, secret *source.Secret) (data map[string][]byte, lacking *condition.Problem, err error) {
	data = make(map[string][]byte)
	if len(shape.StringData)+len(shape.Data) == 0 {
		for key, value := range secret.Data {
			data[key] = []byte(template.Text(value))
		}
		return data, nil, nil
	}
	rendered, err := template.Render(shape.StringData, secret.Data)
	if err != nil {
		problem := condition.Problemf(v1beta1.ReasonTemplateError, "%v", err)
		wrong := (*template.Error)(nil)
		if !errors.As(err, &wrong) || wrong.Missing == "" {
			return nil, nil, problem
		}
		problem.Message += fmt.Sprintf(" (`vault kv put` replaces all keys; `vault kv patch %s %s=VALUE` adds one)", secret.Name, wrong.Missing)
		lacking = problem
	}
	for key, value := range shape.Data {
		if _, ok := shape.StringData[key]; !ok { // as in a Secret, stringData wins
			data[key] = append([]byte{}, value...)
		}
	}
	maps.Copy(data, rendered)
	return data, lacking, nil
}

// complete fills what the plan lacks with the last good values, from the Secret that vs filled before, and says whether
// it could. It is for a source that lost a key, as `kv put` makes it; a Secret of other keys or another type is not
// touched, for then it is the template that changed and is wrong.
func (p *plan) complete(vs *v1beta1.VaultSecret, live *corev1.Secret) bool {
	if live == nil || !metav1.IsControlledBy(live, vs) || live.Type != p.kind || len(live.Data) != len(p.data)+len(p.lacks) {
		return false
	}
	for key := range p.data {
		if _, ok := live.Data[key]; !ok {
			return false
		}
	}
	for _, key := range p.lacks {
		value, ok := live.Data[key]
		if !ok {
			return false
		}
		p.data[key] = value
	}
	return true
}

// partialError is a Problem beside which the target was written all the same.
type partialError struct{ problem *condition.Problem }

func (e *partialError) Error() string { return e.problem.Error() }
func (e *partialError) Unwrap() error { return e.problem }

// partly says what was kept and what was not.
func partly(want plan, secret *source.Secret) error {
	return &partialError{&condition.Problem{Reason: want.lacking.Reason, Message: fmt.Sprintf("%s; %s in Secret %s keeps its last value, all else is of %s",
		want.lacking.Message, strings.Join(want.lacks, ", "), want.name, secret)}}
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
