package syncer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/restart"
	"strongroom/operator/target"
)

// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch

// restart restarts workloads if what they watch changed. The MAC that is remembered moves only after that.
func (c *course) restart(ctx context.Context, content *Content) error {
	status := c.resource.SyncStatus()
	if len(c.spec.Restarts) == 0 || c.spec.NoMAC {
		status.RestartedMAC, status.RestartedVersion = "", ""
		return nil
	}
	data := content.Data
	if data == nil {
		live, err := c.ours(ctx)
		if err != nil || live == nil {
			return err
		}
		data = live.Data
	}
	mark := restart.Mark{MAC: c.watched(data), Version: content.Version}
	// Another choice of keys is no change of data.
	former, _, _ := strings.Cut(status.RestartedMAC, ":")
	if chosen, _, _ := strings.Cut(mark.MAC, ":"); former != chosen || !restart.Due(status, mark, !c.drawn) {
		status.RestartedMAC, status.RestartedVersion = mark.MAC, mark.Version
		return nil
	}
	now := time.Now()
	wait, err := restart.Wait(status, c.spec.Restart, now)
	if err != nil {
		return err
	}
	if wait > 0 {
		c.next, c.exact = min(c.next, wait), true
		return nil
	}
	n, err := c.Workloads.Restart(ctx, c.resource.GetNamespace(), c.spec.Restarts, now)
	if err != nil {
		return err
	}
	status.RestartedMAC, status.RestartedVersion, status.LastRestartTime = mark.MAC, mark.Version, &metav1.Time{Time: now}
	c.Reporter.Events.Eventf(c.resource, nil, corev1.EventTypeNormal, "RolloutRestartTriggered", "Restart",
		"%s changed: %s", c.spec.Want.Called(), restart.Describe(n))
	return nil
}

// watched is the MAC of the keys whose change restarts, and which choice of keys that is.
func (c *course) watched(data map[string][]byte) string {
	var keys []string
	if c.spec.Restart != nil {
		keys = c.spec.Restart.Keys
	}
	chosen := strings.Join(slices.Sorted(slices.Values(keys)), "\n")
	if len(keys) == 0 && len(c.spec.Transient) > 0 {
		for _, key := range slices.Sorted(maps.Keys(data)) {
			if !slices.Contains(c.spec.Transient, key) {
				keys = append(keys, key)
			}
		}
	}
	sum := sha256.Sum256([]byte(chosen))
	return hex.EncodeToString(sum[:4]) + ":" + c.key.MAC(data, keys...)
}

// copies makes and keeps a copy of the target in each namespace that is chosen and accepts it, and deletes those in
// others. One that fails does not keep the others from being made, and is not forgotten: it may have been written.
func (c *course) copies(ctx context.Context) error {
	former := copiedTo(c.resource)
	copier, ok := c.resource.(Copier)
	if !ok || c.spec.Copies == nil && len(former) == 0 {
		return nil
	}
	var chosen []string
	if c.spec.Copies != nil {
		var err error
		if chosen, err = c.accepting(ctx); err != nil {
			return err
		}
	}
	if c.spec.Want.Data == nil { // only the primary was looked at by its metadata
		live, err := c.target(ctx)
		if err != nil || live == nil {
			return err
		}
		c.spec.Want.Data = live.Data
	}
	if err := c.intend(ctx, chosen...); err != nil {
		return err
	}
	var first error
	held := slices.Clone(chosen)
	for _, namespace := range chosen {
		if err := c.copy(ctx, namespace); err != nil {
			if _, known := condition.As(err); !known {
				return err
			}
			if first == nil {
				first = condition.Problemf(reason(err), "in namespace %s: %v", namespace, err)
			}
			if condition.Is(err, v1beta1.ReasonTargetConflict) && !slices.Contains(former, namespace) {
				held = slices.DeleteFunc(held, func(each string) bool { return each == namespace }) // somebody else's
			}
		}
	}
	if err := c.leave(ctx, chosen); err != nil {
		return err
	}
	*copier.CopiedTo() = held
	return first
}

func reason(err error) string {
	if problem, ok := condition.As(err); ok {
		return problem.Reason
	}
	return v1beta1.ReasonTargetRefused
}

func (c *course) copy(ctx context.Context, namespace string) error {
	want := c.spec.Want.In(namespace)
	live, err := c.Targets.Get(ctx, want)
	if err != nil {
		return err
	}
	step, err := target.Next(live, want, c.edited)
	if err != nil {
		return err
	}
	_, err = c.Targets.Do(ctx, step, live, want, c.key)
	return err
}

// accepting are the namespaces that the selector chooses and that accept copies from this one.
func (c *course) accepting(ctx context.Context) ([]string, error) {
	if len(c.Namespaces) > 0 {
		return nil, condition.Problemf(v1beta1.ReasonNamespaceNotAllowed,
			"target.namespaceSelector needs an operator that watches all namespaces, and this one watches some: remove it, or watchNamespaces")
	}
	selector, err := metav1.LabelSelectorAsSelector(c.spec.Copies)
	if err != nil {
		return nil, condition.Problemf(v1beta1.ReasonInvalidSpec, "target.namespaceSelector: %v", err)
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := c.Targets.Client.List(ctx, list, client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return nil, err
	}
	var names []string
	for i := range list.Items {
		namespace := &list.Items[i]
		if namespace.Name != c.resource.GetNamespace() && namespace.DeletionTimestamp.IsZero() && accepts(namespace, c.resource.GetNamespace()) {
			names = append(names, namespace.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// accepts tells whether a namespace takes copies from another. Nobody may write into it unasked.
func accepts(namespace metav1.Object, from string) bool {
	for each := range strings.SplitSeq(namespace.GetAnnotations()[v1beta1.AcceptAnnotation], ",") {
		if strings.TrimSpace(each) == from {
			return true
		}
	}
	return false
}
