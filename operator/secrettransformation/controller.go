// Package secrettransformation owns the kind SecretTransformation: it says in its status whether its templates and
// filters can be read. Those who refer to it use it by package transform.
package secrettransformation

import (
	"context"
	"errors"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/template"
	"strongroom/operator/transform"
)

// Reconciler checks SecretTransformations.
type Reconciler struct {
	Client   client.Client
	Reporter condition.Reporter
}

// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=secrettransformations,verbs=get;list;watch
// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=secrettransformations/status,verbs=get;patch;update

// Register adds the controller to the manager.
func (r *Reconciler) Register(mgr ctrl.Manager, concurrency int) error {
	return ctrl.NewControllerManagedBy(mgr).Named("secrettransformation").
		For(&v1beta1.SecretTransformation{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency}).
		Complete(r)
}

// Reconcile checks one and reports.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	shared := &v1beta1.SecretTransformation{}
	if err := r.Client.Get(ctx, request.NamespacedName, shared); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	before := shared.DeepCopy()
	err := transform.Check(&shared.Spec)
	problem, known := condition.As(err)
	if wrong := (*template.Error)(nil); errors.As(err, &wrong) {
		problem, known = condition.Problemf(v1beta1.ReasonTemplateError, "%v", wrong), true
	}
	if err != nil && !known {
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, r.Reporter.Report(ctx, before, shared, "Check", problem, "all templates and filters can be read")
}
