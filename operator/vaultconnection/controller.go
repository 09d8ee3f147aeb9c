// Package vaultconnection owns the kind VaultConnection: it resolves one to a server, and probes each so that its
// status says whether the server can serve. It never logs in.
package vaultconnection

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
	"strongroom/operator/vaultclient"
)

// probeEvery is how often a healthy server is probed.
const probeEvery = 30 * time.Second

// Reconciler probes VaultConnections.
type Reconciler struct {
	Resolver
	Reporter condition.Reporter
	Pool     *vaultclient.Pool
	Watcher  *instant.Watcher
}

// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultconnections,verbs=get;list;watch
// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultconnections/status,verbs=get;patch;update
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch;update
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch

// Register adds the controller to the manager.
func (r *Reconciler) Register(mgr ctrl.Manager, concurrency int) error {
	return ctrl.NewControllerManagedBy(mgr).Named("vaultconnection").
		For(&v1beta1.VaultConnection{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(r.Watcher.Source()).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency}).
		Complete(r.Watcher.Guard(r))
}

// Reconcile probes one VaultConnection and reports.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	connection := &v1beta1.VaultConnection{}
	if err := r.Cache.Get(ctx, request.NamespacedName, connection); err != nil {
		r.Watcher.Forget(request)
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	before := connection.DeepCopy()
	server, err := r.Server(ctx, connection)
	if err == nil {
		r.Watcher.Heed(request, server.Key())
		var health vaultclient.Health
		health, err = r.Pool.Probe(ctx, server)
		if health.Version != "" {
			connection.Status.ServerVersion = health.Version
		}
	}
	problem, known := condition.As(err)
	if err != nil && !known {
		return reconcile.Result{}, err
	}
	if err := r.Reporter.Report(ctx, before, connection, "Probe", problem, server.Address+" answers and is unsealed"); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: r.Watcher.Next(request, problem, probeEvery)}, nil
}
