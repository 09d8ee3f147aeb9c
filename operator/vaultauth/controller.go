// Package vaultauth owns the kind VaultAuth: it resolves one to a login for the resources that refer to it, and checks
// each so that its status says whether the login works.
package vaultauth

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/instant"
	"strongroom/operator/vaultclient"
)

// checkEvery is how often a login that works is checked again.
const checkEvery = time.Minute

// Reconciler checks VaultAuths.
type Reconciler struct {
	Resolver
	Reporter condition.Reporter
	Pool     *vaultclient.Pool
	Watcher  *instant.Watcher
}

// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultauths,verbs=get;list;watch
// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultauths/status,verbs=get;patch;update
// +kubebuilder:rbac:groups="",resources=serviceaccounts/token,verbs=create

// Register adds the controller to the manager. A change of a VaultConnection, of its status or of a VaultAuthGlobal
// makes the VaultAuths that use it look again.
func (r *Reconciler) Register(mgr ctrl.Manager, concurrency int) error {
	return ctrl.NewControllerManagedBy(mgr).Named("vaultauth").
		For(&v1beta1.VaultAuth{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1beta1.VaultConnection{}, handler.EnqueueRequestsFromMapFunc(r.users)).
		Watches(&v1beta1.VaultAuthGlobal{}, handler.EnqueueRequestsFromMapFunc(r.users), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(r.Watcher.Source()).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency}).
		Complete(r.Watcher.Guard(r))
}

// users lists the VaultAuths that use a VaultConnection or inherit from a VaultAuthGlobal.
func (r *Reconciler) users(ctx context.Context, used client.Object) []reconcile.Request {
	auths := &v1beta1.VaultAuthList{}
	if err := r.Connections.Cache.List(ctx, auths); err != nil {
		log.FromContext(ctx).Error(err, "list the VaultAuths that may use another resource", "name", used.GetName())
		return nil
	}
	_, isGlobal := used.(*v1beta1.VaultAuthGlobal)
	var users []reconcile.Request
	for i := range auths.Items {
		auth := &auths.Items[i]
		all, err := r.settle(ctx, auth)
		uses := all.connection
		if isGlobal {
			uses = all.global
		}
		// One whose references fail looks again as well: what failed may be cured by this very change.
		if err != nil || uses == client.ObjectKeyFromObject(used) {
			users = append(users, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(auth)})
		}
	}
	return users
}

// Reconcile checks one VaultAuth and reports.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	auth := &v1beta1.VaultAuth{}
	if err := r.Connections.Cache.Get(ctx, request.NamespacedName, auth); err != nil {
		r.Watcher.Forget(request)
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	before := auth.DeepCopy()
	valid, err := r.check(ctx, auth)
	problem, known := condition.As(err)
	if err != nil && !known {
		return reconcile.Result{}, err
	}
	if err := r.Reporter.Report(ctx, before, auth, "Login", problem, valid); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: r.Watcher.Next(request, problem, checkEvery)}, nil
}

// check says what is valid about auth, or its Problem. It logs in, unless the VaultAuth is offered to other
// namespaces: then its users log in, and its own namespace may have no business with the role.
func (r *Reconciler) check(ctx context.Context, auth *v1beta1.VaultAuth) (string, error) {
	login, err := r.login(ctx, auth, auth.Namespace, "")
	if err != nil {
		return "", err
	}
	all, err := r.settle(ctx, auth)
	if err != nil {
		return "", err
	}
	connection, err := r.connection(ctx, all.connection, auth.Namespace)
	if err != nil {
		return "", err
	}
	ready := meta.FindStatusCondition(connection.Status.Conditions, v1beta1.ConditionReady)
	if ready != nil && ready.Reason != v1beta1.ReasonValid && ready.ObservedGeneration == connection.Generation {
		return "", condition.Problemf(ready.Reason, "VaultConnection %s: %s", connection.Name, ready.Message)
	}
	if len(auth.Spec.AllowedNamespaces) > 0 {
		return "offered to other namespaces, whose resources log in themselves", nil
	}
	if err := r.Pool.Check(ctx, login); err != nil {
		return "", err
	}
	return login.Who() + " logs in with role " + login.Role, nil
}
