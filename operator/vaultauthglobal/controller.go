// Package vaultauthglobal owns the kind VaultAuthGlobal: it checks each, so that its status says whether VaultAuths can
// inherit from it. It never logs in; what is inherited, vaultauth decides.
package vaultauthglobal

import (
	"context"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/instant"
	"strongroom/operator/vaultauth"
)

// checkEvery is how often one is looked at again, as what it refers to may come and go.
const checkEvery = time.Minute

// Reconciler checks VaultAuthGlobals.
type Reconciler struct {
	Auths    vaultauth.Resolver
	Reporter condition.Reporter
	Watcher  *instant.Watcher
}

// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultauthglobals,verbs=get;list;watch
// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultauthglobals/status,verbs=get;patch;update

// Register adds the controller to the manager.
func (r *Reconciler) Register(mgr ctrl.Manager, concurrency int) error {
	return ctrl.NewControllerManagedBy(mgr).Named("vaultauthglobal").
		For(&v1beta1.VaultAuthGlobal{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(r.Watcher.Source()).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency}).
		Complete(r.Watcher.Guard(r))
}

// Reconcile checks one VaultAuthGlobal and reports.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	global := &v1beta1.VaultAuthGlobal{}
	if err := r.Auths.Connections.Cache.Get(ctx, request.NamespacedName, global); err != nil {
		r.Watcher.Forget(request)
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	before := global.DeepCopy()
	err := r.Auths.CheckGlobal(ctx, global)
	problem, known := condition.As(err)
	if err != nil && !known {
		return reconcile.Result{}, err
	}
	if err := r.Reporter.Report(ctx, before, global, "Check", problem, "VaultAuths that it allows inherit from it"); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: r.Watcher.Next(request, problem, checkEvery)}, nil
}
