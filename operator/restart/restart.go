// Package restart owns how workloads are told that a Secret changed: as `kubectl rollout restart` does it. When to, it
// decides by pure functions of what the status remembers, so that an operator that ends at any step neither forgets a
// restart nor makes one twice for the same data.
package restart

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
)

// +kubebuilder:rbac:groups=apps,resources=deployments;daemonsets;statefulsets,verbs=get;list;patch
// +kubebuilder:rbac:groups=argoproj.io,resources=rollouts,verbs=get;list;patch

// Mark says which data a restart was for.
type Mark struct {
	MAC     string // of the watched keys; "" where there is no telling
	Version string // of the source
}

// Due is pure: whether data marked now needs a restart, given what the status remembers. comparable tells whether both
// MACs are of one key. The first data that a Secret ever had needs none: nothing ran on other data.
func Due(status *v1beta1.SyncStatus, now Mark, comparable bool) bool {
	switch {
	case now.MAC == "" || status.RestartedMAC == "":
		return false
	case comparable:
		return status.RestartedMAC != now.MAC
	}
	// The Secret was deleted, and the key of its MAC with it: the version tells, where the source has one.
	return status.RestartedVersion == "" || status.RestartedVersion != now.Version
}

// Wait is pure: how long a restart that is due must wait, so that two are apart by the policy's least time. Errors are
// Problems: InvalidSpec.
func Wait(status *v1beta1.SyncStatus, policy *v1beta1.RestartPolicy, now time.Time) (time.Duration, error) {
	if policy == nil || policy.MinInterval == "" {
		return 0, nil
	}
	least, err := time.ParseDuration(policy.MinInterval)
	if err != nil || least < 0 {
		return 0, condition.Problemf(v1beta1.ReasonInvalidSpec, "restartPolicy.minInterval %q is not a duration such as 5m", policy.MinInterval)
	}
	if status.LastRestartTime == nil {
		return 0, nil
	}
	return max(0, least-now.Sub(status.LastRestartTime.Time)), nil
}

// Workloads restarts workloads.
type Workloads struct {
	Client client.Client
	Live   client.Reader          // workloads are not cached
	Count  *prometheus.CounterVec // restarts by kind of workload and result; see NewCounter
}

// NewCounter counts restarts of workloads.
func NewCounter() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "strongroom_operator_restarts_total", Help: "Workloads restarted because a Secret changed, by kind and result (done, failed).",
	}, []string{"kind", "result"})
}

func kindOf(name string) (schema.GroupVersionKind, bool) {
	switch name {
	case "Deployment", "DaemonSet", "StatefulSet":
		return appsv1.SchemeGroupVersion.WithKind(name), true
	case "argo.Rollout":
		return schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout"}, true
	}
	return schema.GroupVersionKind{}, false
}

// Restart restarts all targets in a namespace, each once, and returns how many. It goes on after one that fails. Errors
// are Problems: RestartFailed, which names the first.
func (w Workloads) Restart(ctx context.Context, namespace string, targets []v1beta1.RolloutRestartTarget, at time.Time) (int, error) {
	var first error
	done := make(map[string]bool)
	for _, target := range targets {
		gvk, ok := kindOf(target.Kind)
		if !ok {
			return 0, condition.Problemf(v1beta1.ReasonInvalidSpec, "rolloutRestartTargets: kind %q is not Deployment, DaemonSet, StatefulSet or argo.Rollout", target.Kind)
		}
		names, err := w.names(ctx, gvk, namespace, target)
		if condition.Is(err, v1beta1.ReasonInvalidSpec) && first == nil {
			first = err
		}
		for _, name := range names {
			if key := target.Kind + "/" + name; !done[key] {
				err = w.one(ctx, gvk, types.NamespacedName{Namespace: namespace, Name: name}, at)
				result := "failed"
				if err == nil {
					done[key], result = true, "done"
				}
				w.Count.WithLabelValues(target.Kind, result).Inc()
			}
			if err != nil && first == nil {
				first = failed(target.Kind, name, err)
			}
		}
		if err != nil && first == nil {
			first = failed(target.Kind, target.Name, err)
		}
	}
	return len(done), first
}

func (w Workloads) names(ctx context.Context, gvk schema.GroupVersionKind, namespace string, target v1beta1.RolloutRestartTarget) ([]string, error) {
	if target.Selector == nil {
		// The client that patches by metadata puts a name into its URL as it is: ../../NAMESPACE/KIND/NAME is another's.
		if wrong := path.IsValidPathSegmentName(target.Name); len(wrong) > 0 {
			return nil, condition.Problemf(v1beta1.ReasonInvalidSpec, "rolloutRestartTargets: %q is not the name of a workload of this namespace: %s", target.Name, wrong[0])
		}
		return []string{target.Name}, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(target.Selector)
	if err != nil {
		return nil, err
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
	if err := w.Live.List(ctx, list, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return nil, err
	}
	names := make([]string, len(list.Items))
	for i := range list.Items {
		names[i] = list.Items[i].Name
	}
	slices.Sort(names)
	return names, nil
}

func (w Workloads) one(ctx context.Context, gvk schema.GroupVersionKind, name types.NamespacedName, at time.Time) error {
	patch, err := json.Marshal(change(gvk, at))
	if err != nil {
		return err
	}
	object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}}
	object.SetGroupVersionKind(gvk)
	return w.Client.Patch(ctx, object, client.RawPatch(types.MergePatchType, patch), client.FieldOwner("strongroom-operator"), client.DisableReadYourWritesConsistency)
}

// change is what restarts a workload whose Secret changed by the time at.
func change(gvk schema.GroupVersionKind, at time.Time) map[string]any {
	if gvk.Group == "argoproj.io" {
		// As Argo documents it. An annotation of the pods' template would be an update, which goes through the steps of the
		// Rollout's strategy. It replaces pods made before that second: the next one, for pods of this second may be too old.
		return map[string]any{"spec": map[string]any{"restartAt": at.Add(time.Second - 1).Truncate(time.Second).UTC().Format(time.RFC3339)}}
	}
	return map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{
		"annotations": map[string]any{v1beta1.RestartedAtAnnotation: at.UTC().Format(time.RFC3339)},
	}}}}
}

func failed(kind, name string, err error) error {
	why, cure := string(apierrors.ReasonForError(err)), "see that the operator may patch it"
	switch {
	case meta.IsNoMatchError(err):
		why, cure = "the cluster has no workloads of this kind", "correct rolloutRestartTargets, or install what brings it"
	case apierrors.IsNotFound(err):
		cure = "correct rolloutRestartTargets, or create it"
	}
	return condition.Problemf(v1beta1.ReasonRestartFailed, "cannot restart %s %s: %s (%s)", kind, name, why, cure)
}

// Describe says what was restarted.
func Describe(n int) string {
	if n == 1 {
		return "restarted 1 workload"
	}
	return fmt.Sprintf("restarted %d workloads", n)
}
