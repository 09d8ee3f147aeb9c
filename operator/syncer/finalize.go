package syncer

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
)

const (
	// Finalizer keeps a resource until what it holds on the server, or in other namespaces, is given back.
	Finalizer = v1beta1.Group + "/finalizer"
	// releaseFor bounds how long a deletion waits for a server that is away; what is left ends with its own time.
	releaseFor = 24 * time.Hour
)

// addFinalizer stores the finalizer before there is anything to give back.
func (c *course) addFinalizer(ctx context.Context) error {
	if controllerutil.ContainsFinalizer(c.resource, Finalizer) {
		return nil
	}
	stored, ok := c.resource.DeepCopyObject().(Object)
	if !ok {
		return nil
	}
	controllerutil.AddFinalizer(c.resource, Finalizer)
	if err := c.Targets.Client.Patch(ctx, c.resource, client.MergeFromWithOptions(stored, client.MergeFromWithOptimisticLock{})); err != nil {
		return err
	}
	if stored, ok = c.resource.DeepCopyObject().(Object); ok {
		c.before = stored
	}
	return nil
}

// finalize gives back what a resource holds, and lets it go. What that is the API server tells, once a deletion: a cache
// may still show a resource that is gone already, and would have all of it given back twice.
func (e *Engine) finalize(ctx context.Context, request reconcile.Request, resource Object) (reconcile.Result, error) {
	e.memory.forget(request.NamespacedName)
	if !controllerutil.ContainsFinalizer(resource, Finalizer) {
		return reconcile.Result{}, nil // the garbage collector takes the target with it
	}
	cached := resource.GetUID()
	if err := e.Targets.Live.Get(ctx, request.NamespacedName, resource); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if resource.GetUID() != cached || !controllerutil.ContainsFinalizer(resource, Finalizer) {
		return reconcile.Result{}, nil // another of its name: the cache will show it
	}
	before, ok := resource.DeepCopyObject().(Object)
	if !ok {
		return reconcile.Result{}, nil
	}
	err := e.release(ctx, resource)
	problem, known := condition.As(err)
	switch {
	case err != nil && !known:
		return reconcile.Result{}, err
	case known && condition.Is(err, v1beta1.ReasonServerSealed, v1beta1.ReasonServerUnreachable) &&
		time.Since(resource.GetDeletionTimestamp().Time) < releaseFor:
		problem = &condition.Problem{Reason: problem.Reason, Message: "waits to be deleted until what it holds is revoked: " + problem.Message, Cause: problem.Cause}
		if err := e.Reporter.Report(ctx, before, resource, "Release", problem, ""); err != nil {
			return reconcile.Result{}, err
		}
		return reconcile.Result{RequeueAfter: e.Watcher.Next(request, problem, time.Minute)}, nil
	case known:
		// Whoever took the login away as well, as in a namespace that is deleted, must not be stuck with the resource.
		e.Reporter.Events.Eventf(resource, nil, corev1.EventTypeWarning, "RevokeFailed", "Release", "not revoked, and left to its own end: %s", problem.Message)
	}
	controllerutil.RemoveFinalizer(resource, Finalizer)
	return reconcile.Result{}, client.IgnoreNotFound(e.Targets.Client.Patch(ctx, resource, client.MergeFrom(before)))
}

// release gives back what the status records, also where the spec can be read no longer: all that can be, whatever fails.
func (e *Engine) release(ctx context.Context, resource Object) error {
	spec, err := e.Kind.Spec(resource)
	if _, known := condition.As(err); err != nil && !known {
		return err
	}
	var worst error
	for _, step := range []func() error{
		func() error { return e.dropCopies(ctx, resource, spec) },
		func() error { return e.clear(ctx, resource, spec) },
		func() error { return e.Kind.Release(ctx, resource) },
	} {
		if err := step(); weight(err) > weight(worst) {
			worst = err
		}
	}
	return worst
}

// weight orders what may go wrong with a release: what is left as it is, what is waited for, what is tried again.
func weight(err error) int {
	_, known := condition.As(err)
	switch {
	case err == nil:
		return 0
	case !known:
		return 3
	case condition.Is(err, v1beta1.ReasonServerSealed, v1beta1.ReasonServerUnreachable):
		return 2
	}
	return 1
}

func (e *Engine) dropCopies(ctx context.Context, resource Object, spec Spec) error {
	if spec.Want.Retain {
		return nil
	}
	return e.drop(ctx, spec.Want, recorded(resource, spec.Want), copiedTo(resource))
}

// clear empties what was filled and stays. What the spec names and was never filled holds nothing of the resource's.
func (e *Engine) clear(ctx context.Context, resource Object, spec Spec) error {
	if !spec.Clear || !spec.Want.DataOnly && !spec.Want.Retain {
		return nil
	}
	for _, ref := range recorded(resource, spec.Want) {
		if err := e.Targets.Clear(ctx, spec.Want.At(spec.Want.Namespace, ref)); err != nil {
			return err
		}
	}
	return nil
}
