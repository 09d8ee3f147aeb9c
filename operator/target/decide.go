package target

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
)

// Live is a target as it is.
type Live struct {
	metav1.ObjectMeta
	Kind      string
	Type      corev1.SecretType
	Data      map[string][]byte
	Immutable bool
}

// GoString keeps %#v from printing the data.
func (l *Live) GoString() string { return l.Kind + " " + l.Namespace + "/" + l.Name }

// String keeps %v from printing the data.
func (l *Live) String() string { return l.GoString() }

// Step is what to do with a target.
type Step string

// The steps.
const (
	Keep    Step = "keep"    // it is as wanted
	Create  Step = "create"  // there is none
	Apply   Step = "apply"   // it differs
	Replace Step = "replace" // it differs in what cannot be edited
)

// Next is pure: it says what to do with live, nil if there is none, so that it becomes want. again asks for an apply
// although they look alike, because labels may have left the spec. Errors are Problems: TargetConflict, NotFound.
func Next(live *Live, want Want, again bool) (Step, error) {
	if live == nil {
		if want.DataOnly {
			return "", condition.Problemf(v1beta1.ReasonTargetConflict,
				"there is no Secret %s, and destination.create is false: create it, or set destination.create: true", want.Name)
		}
		return Create, nil
	}
	if err := Conflict(live, want); err != nil {
		return "", err
	}
	same := maps.EqualFunc(live.Data, want.Data, bytes.Equal)
	if want.DataOnly {
		switch {
		case same:
			return Keep, nil
		case live.Immutable:
			return "", condition.Problemf(v1beta1.ReasonTargetConflict,
				"Secret %s is immutable and not ours to replace: delete it, and set destination.create: true", want.Name)
		}
		return Apply, nil
	}
	switch {
	case want.kind() == Secret && live.Type != want.secretType(), live.Immutable && (!same || again && !want.Immutable):
		return Replace, nil
	case again, !same, want.Immutable && !live.Immutable, !contains(live.Labels, want.labels()),
		!contains(live.Annotations, want.annotations(nil)), want.Retain == owns(live, want.Owner.UID):
		return Apply, nil
	}
	return Keep, nil
}

// secretType is Opaque by default.
func (w Want) secretType() corev1.SecretType {
	if w.Type == "" {
		return corev1.SecretTypeOpaque
	}
	return w.Type
}

// Conflict tells whether live is somebody else's. Without a controller it is ours if it bears our label: the owner
// reference was edited away, or an earlier resource left it as an orphan. What need not be ours, as only its data is
// filled, must not be filled by another resource: the two would undo each other's work forever. Errors are Problems:
// TargetConflict.
func Conflict(live metav1.Object, want Want) error {
	if Owned(live, want.Owner.UID) {
		return nil
	}
	owner, managed := metav1.GetControllerOf(live), live.GetLabels()[ManagedByLabel] == ManagedBy
	from := live.GetAnnotations()[v1beta1.SourceAnnotation]
	orphan := managed && (from == "" || from == want.Owner.String())
	rival := managed && !orphan
	if owner != nil {
		rival = strings.HasPrefix(owner.APIVersion, v1beta1.Group+"/")
	}
	switch {
	case want.DataOnly && !rival:
		return nil
	case owner != nil:
		return condition.Problemf(v1beta1.ReasonTargetConflict,
			"%s %s is controlled by %s %s: choose another %s, or delete that first",
			want.kind(), want.Name, owner.Kind, owner.Name, want.spelled("name"))
	case orphan || want.Overwrite:
		return nil
	case managed:
		return condition.Problemf(v1beta1.ReasonTargetConflict, "%s %s is filled by %s: choose another %s, or %s",
			want.kind(), want.Name, from, want.spelled("name"), want.takeover(managed))
	}
	return condition.Problemf(v1beta1.ReasonTargetConflict, "%s %s exists and no %s made it: choose another %s, delete it, or %s",
		want.kind(), want.Name, want.Owner.Kind, want.spelled("name"), want.takeover(managed))
}

// takeover says how a target that nobody controls is taken over; managed: one that another resource fills or filled.
// Where copies go, only who may label it decides that.
func (w Want) takeover(managed bool) string {
	switch {
	case w.copied && managed:
		return "delete it there"
	case w.copied:
		return "have it taken over there by the label " + ManagedByLabel + "=" + ManagedBy
	case w.DataOnly:
		return fmt.Sprintf("set %s: true and %s: true to take it over", w.spelled("create"), w.spelled("overwrite"))
	}
	return fmt.Sprintf("set %s: true to take it over", w.spelled("overwrite"))
}

// Owned tells whether the target is of the resource with this UID, by its controller or, where an owner reference
// cannot be or is no longer, by its label.
func Owned(live metav1.Object, uid types.UID) bool {
	if owner := metav1.GetControllerOf(live); owner != nil {
		return owner.UID == uid
	}
	return uid != "" && (live.GetLabels()[v1beta1.OwnerLabel] == string(uid) || refers(live, uid))
}

// refers tells of an owner reference that does not control, as others who kept this resource's Secret set it.
func refers(live metav1.Object, uid types.UID) bool {
	return slices.ContainsFunc(live.GetOwnerReferences(), func(owner metav1.OwnerReference) bool { return owner.UID == uid })
}

func owns(live *Live, uid types.UID) bool {
	owner := metav1.GetControllerOf(live)
	return owner != nil && owner.UID == uid
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
