package syncer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/consumers"
	"strongroom/operator/instant"
	"strongroom/operator/restart"
	"strongroom/operator/target"
	"strongroom/operator/vaultauth"
	"strongroom/operator/vaultclient"
)

const (
	authIndex = "vaultAuthRef"       // finds the resources that refer to a VaultAuth
	refIndex  = "transformationRefs" // and to a SecretTransformation
	fillIndex = "fills"              // and those that fill a Secret which they do not make
	// syncedEvery is how old status.lastSyncTime may grow while nothing changes.
	syncedEvery = 5 * time.Minute
)

// Engine keeps the targets of one kind.
type Engine struct {
	Kind       Kind
	Name       string   // VaultSecret
	Kinds      []string // all that fill targets, by Name
	Targets    target.Store
	Workloads  restart.Workloads
	Auths      vaultauth.Resolver
	Reporter   condition.Reporter
	Watcher    *instant.Watcher
	Consumers  *consumers.Reporter // nil: servers are told nothing
	Namespaces []string            // that the operator serves; none: all

	memory *memory
}

// Register adds the controller to the manager: it looks again at a resource when its spec, its target, its VaultAuth or
// a SecretTransformation that it uses changes.
func (e *Engine) Register(ctx context.Context, mgr ctrl.Manager, concurrency int) error {
	e.memory = newMemory()
	indices := map[string]client.IndexerFunc{authIndex: e.auths, refIndex: e.refs, fillIndex: e.fills}
	for name, index := range indices {
		if err := mgr.GetFieldIndexer().IndexField(ctx, e.Kind.New(), name, index); err != nil {
			return fmt.Errorf("index %s of %s: %w", name, e.Name, err)
		}
	}
	edited := predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, predicate.LabelChangedPredicate{}, deleted())
	control := ctrl.NewControllerManagedBy(mgr).Named(strings.ToLower(e.Name)).
		For(e.Kind.New(), builder.WithPredicates(edited)).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(e.owner), builder.OnlyMetadata).
		Watches(&v1beta1.VaultAuth{}, handler.EnqueueRequestsFromMapFunc(e.users(authIndex)), builder.WithPredicates(authChanged())).
		Watches(&v1beta1.SecretTransformation{}, handler.EnqueueRequestsFromMapFunc(e.users(refIndex)), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(e.Watcher.Source()).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency})
	if e.Name == "VaultSecret" {
		control = control.Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(e.owner), builder.OnlyMetadata)
		if len(e.Namespaces) == 0 {
			control = control.Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(e.copiers), builder.OnlyMetadata,
				builder.WithPredicates(predicate.Or(predicate.AnnotationChangedPredicate{}, predicate.LabelChangedPredicate{})))
		}
	}
	return control.Complete(e.Watcher.Guard(e))
}

// deleted passes the moment at which a deletion begins, which is a change of metadata only.
func deleted() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false }, DeleteFunc: func(event.DeleteEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			return e.ObjectOld.GetDeletionTimestamp().IsZero() && !e.ObjectNew.GetDeletionTimestamp().IsZero()
		},
	}
}

// authChanged passes changes of a VaultAuth that its users care about: its spec, and whether it works. Of a server's
// outage, and of its end, they hear by the Watcher, at a pace that thousands of them bear.
func authChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1beta1.VaultAuth)
		after, ok2 := e.ObjectNew.(*v1beta1.VaultAuth)
		if !ok || !ok2 {
			return false
		}
		was, is := before.Status.Status.Status, after.Status.Status.Status
		return before.Generation != after.Generation || was != is && !condition.Outage(is, was)
	}}
}

func (e *Engine) auths(object client.Object) []string {
	spec, ok := e.specOf(object)
	if !ok || spec.AuthRef == NoAuth {
		return nil
	}
	return []string{e.Auths.AuthName(object.GetNamespace(), spec.AuthRef).String()}
}

func (e *Engine) refs(object client.Object) []string {
	spec, _ := e.specOf(object)
	names := make([]string, len(spec.Refs))
	for i, name := range spec.Refs {
		names[i] = name.String()
	}
	return names
}

// specOf is the spec of what may be broken, as far as it can be read.
func (e *Engine) specOf(object client.Object) (Spec, bool) {
	resource, ok := object.(Object)
	if !ok {
		return Spec{}, false
	}
	spec, err := e.Kind.Spec(resource)
	return spec, err == nil
}

// owner is the resource whose target changed.
func (e *Engine) owner(ctx context.Context, object client.Object) []reconcile.Request {
	if owner := metav1.GetControllerOf(object); owner != nil && owner.Kind == e.Name && strings.HasPrefix(owner.APIVersion, v1beta1.Group+"/") {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: owner.Name}}}
	}
	parts := strings.Split(object.GetAnnotations()[v1beta1.SourceAnnotation], "/")
	if len(parts) != 3 || parts[0] != e.Name {
		return nil
	}
	name := types.NamespacedName{Namespace: parts[1], Name: parts[2]}
	if name.Namespace != object.GetNamespace() && !e.copied(ctx, name, object.GetNamespace()) {
		return nil // anybody can write an annotation, and must not keep another's resource busy
	}
	return []reconcile.Request{{NamespacedName: name}}
}

// copied tells whether the status of a resource records copies in a namespace.
func (e *Engine) copied(ctx context.Context, name types.NamespacedName, namespace string) bool {
	resource := e.Kind.New()
	return e.Targets.Client.Get(ctx, name, resource) == nil && slices.Contains(copiedTo(resource), namespace)
}

// users lists the resources that refer to something, and wakes them.
func (e *Engine) users(index string) handler.MapFunc {
	return func(ctx context.Context, used client.Object) []reconcile.Request {
		return e.list(ctx, func(Object) bool { return true }, client.MatchingFields{index: client.ObjectKeyFromObject(used).String()})
	}
}

// copiers lists the resources that make copies in namespaces.
func (e *Engine) copiers(ctx context.Context, _ client.Object) []reconcile.Request {
	return e.list(ctx, func(resource Object) bool {
		spec, ok := e.specOf(resource)
		return ok && spec.Copies != nil
	})
}

// list wakes those of the resources that are wanted.
func (e *Engine) list(ctx context.Context, wanted func(Object) bool, options ...client.ListOption) []reconcile.Request {
	resources, err := e.all(ctx, e.Name, options...)
	if err != nil {
		log.FromContext(ctx).Error(err, "list the resources of a change")
		return nil
	}
	var chosen []reconcile.Request
	for _, resource := range resources {
		if !wanted(resource) {
			continue
		}
		name := client.ObjectKeyFromObject(resource)
		e.memory.wake(name)
		chosen = append(chosen, reconcile.Request{NamespacedName: name})
	}
	return chosen
}

// Reconcile syncs one resource and reports.
func (e *Engine) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	resource := e.Kind.New()
	if err := e.Targets.Client.Get(ctx, request.NamespacedName, resource); err != nil {
		e.Watcher.Forget(request)
		e.memory.forget(request.NamespacedName)
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !resource.GetDeletionTimestamp().IsZero() {
		return e.finalize(ctx, request, resource)
	}
	before, ok := resource.DeepCopyObject().(Object)
	if !ok {
		return reconcile.Result{}, fmt.Errorf("%s copies to something else", e.Name)
	}
	at, woken := e.Watcher.Woken(request)
	if woken {
		e.memory.wake(request.NamespacedName)
		ctx = vaultclient.Since(ctx, at)
	}
	course := &course{Engine: e, request: request, resource: resource, before: before, started: time.Now(), woken: woken}
	course.spec, course.err = e.Kind.Spec(resource)
	if course.err == nil {
		if wait, resting := course.rest(ctx); resting {
			return reconcile.Result{RequeueAfter: wait}, nil
		}
		course.sync(ctx)
	}
	problem, known := condition.As(course.err)
	if course.err != nil && !known {
		return reconcile.Result{}, course.err
	}
	if problem != nil && !course.written {
		problem = &condition.Problem{Reason: problem.Reason, Message: problem.Message + course.kept(), Cause: problem.Cause}
	}
	resource.SyncStatus().LastSyncRequest = resource.GetAnnotations()[v1beta1.SyncNowAnnotation]
	if err := e.Reporter.Report(ctx, course.before, resource, "Sync", problem, course.says); err != nil {
		return reconcile.Result{}, err
	}
	e.Consumers.Tell(consumers.Resource{Kind: e.Name, Namespace: request.Namespace, Name: request.Name}, course.use, consumers.StateOf(resource.SyncStatus()))
	wait := e.Watcher.Next(request, problem, course.next)
	if problem == nil {
		e.Watcher.Took(time.Since(course.started))
		if course.exact {
			wait = course.next
		}
		e.memory.synced(before, wait, course.key) // as it was read: what was edited since is a change
	}
	return reconcile.Result{RequeueAfter: wait}, nil
}
