package syncer

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
)

// A Secret that its resources do not make bears no mark of theirs. So that two of them do not undo each other's work
// forever, the older one has it.

// fills indexes the Secret that a resource fills and does not make.
func (e *Engine) fills(object client.Object) []string {
	if spec, _ := e.specOf(object); spec.Want.DataOnly {
		return []string{spec.Want.Name}
	}
	return nil
}

// alone finds an older resource that fills the same Secret. Errors are Problems: TargetConflict, or of the API server.
func (c *course) alone(ctx context.Context) error {
	want := c.spec.Want
	if !want.DataOnly {
		return nil
	}
	for _, kind := range c.Kinds {
		others, err := c.all(ctx, kind, client.InNamespace(want.Namespace), client.MatchingFields{fillIndex: want.Name})
		if err != nil {
			return err
		}
		for _, other := range others {
			if elder(other, c.resource) {
				return condition.Problemf(v1beta1.ReasonTargetConflict,
					"Secret %s is filled by %s %s, which is older: choose another destination.name, or delete that", want.Name, kind, other.GetName())
			}
		}
	}
	return nil
}

// elder tells whether a resource was before another. Among those of one second the UID decides.
func elder(one, other Object) bool {
	a, b := one.GetCreationTimestamp(), other.GetCreationTimestamp()
	if a.Equal(&b) {
		return one.GetUID() < other.GetUID()
	}
	return a.Before(&b)
}

// all are the resources of a kind.
func (e *Engine) all(ctx context.Context, kind string, options ...client.ListOption) ([]Object, error) {
	made, err := e.Targets.Client.Scheme().New(v1beta1.GroupVersion().WithKind(kind + "List"))
	if err != nil {
		return nil, err
	}
	list, ok := made.(client.ObjectList)
	if !ok {
		return nil, fmt.Errorf("%T is no list", made)
	}
	if err := e.Targets.Client.List(ctx, list, options...); err != nil {
		return nil, err
	}
	var resources []Object
	err = meta.EachListItem(list, func(item runtime.Object) error {
		resource, err := of[Object](item)
		resources = append(resources, resource)
		return err
	})
	return resources, err
}
