// Package vaultsecret owns the kind VaultSecret: it reads a secret from the server and keeps a Kubernetes Secret equal
// to it. What should be is planned by pure functions (plan.go) and written by Targets. It never deletes or empties a
// good Secret because of a problem.
package vaultsecret

import (
	"context"
	"errors"
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
	"strongroom/operator/pace"
	"strongroom/operator/source"
	"strongroom/operator/vaultauth"
	"strongroom/operator/vaultclient"
)

const (
	// authIndex finds the VaultSecrets that refer to a VaultAuth.
	authIndex = "spec.vaultAuthRef"
	// syncedEvery is how old status.lastSyncTime may grow while nothing changes.
	syncedEvery = 5 * time.Minute
)

// Reconciler keeps the targets of VaultSecrets.
type Reconciler struct {
	Targets
	Auths    vaultauth.Resolver
	Source   *source.Reader
	Reporter condition.Reporter
	Pace     *pace.Pace
}

// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultsecrets,verbs=get;list;watch
// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultsecrets/status,verbs=get;patch;update
// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultsecrets/finalizers,verbs=update

// Register adds the controller to the manager: it looks again at a VaultSecret when its spec, its target or its
// VaultAuth changes.
func (r *Reconciler) Register(ctx context.Context, mgr ctrl.Manager, concurrency int) error {
	err := mgr.GetFieldIndexer().IndexField(ctx, &v1beta1.VaultSecret{}, authIndex, func(object client.Object) []string {
		vs, ok := object.(*v1beta1.VaultSecret)
		if !ok || vs.Spec.VaultAuthRef == "" {
			return nil
		}
		return []string{vaultauth.Ref(vs.Namespace, vs.Spec.VaultAuthRef).String()}
	})
	if err != nil {
		return err
	}
	edited := predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{})
	return ctrl.NewControllerManagedBy(mgr).Named("vaultsecret").
		For(&v1beta1.VaultSecret{}, builder.WithPredicates(edited)).
		Owns(&corev1.Secret{}).
		Watches(&v1beta1.VaultAuth{}, handler.EnqueueRequestsFromMapFunc(r.users), builder.WithPredicates(authChanged())).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency}).
		Complete(r)
}

// authChanged passes changes of a VaultAuth that its users care about: its spec, and whether it works.
func authChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1beta1.VaultAuth)
		after, ok2 := e.ObjectNew.(*v1beta1.VaultAuth)
		return ok && ok2 && (before.Generation != after.Generation || before.Status.Status.Status != after.Status.Status.Status)
	}}
}

// users lists the VaultSecrets that refer to a VaultAuth.
func (r *Reconciler) users(ctx context.Context, auth client.Object) []reconcile.Request {
	list := &v1beta1.VaultSecretList{}
	name := client.ObjectKeyFromObject(auth).String()
	if err := r.Client.List(ctx, list, client.MatchingFields{authIndex: name}); err != nil {
		log.FromContext(ctx).Error(err, "list the VaultSecrets of a VaultAuth")
		return nil
	}
	users := make([]reconcile.Request, 0, len(list.Items))
	for i := range list.Items {
		users = append(users, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return users
}

// Reconcile syncs one VaultSecret and reports.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	vs := &v1beta1.VaultSecret{}
	if err := r.Client.Get(ctx, request.NamespacedName, vs); err != nil {
		r.Pace.Forget(request)
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !vs.DeletionTimestamp.IsZero() {
		return reconcile.Result{}, nil // the garbage collector takes the target with it
	}
	before := vs.DeepCopy()
	live, err := r.get(ctx, types.NamespacedName{Namespace: vs.Namespace, Name: vs.Spec.Target.Name})
	if err != nil {
		return reconcile.Result{}, err
	}
	every, err := interval(vs)
	var valid string
	if err == nil {
		valid, err = r.sync(ctx, vs, live)
	}
	problem, known := condition.As(err)
	if err != nil && !known {
		return reconcile.Result{}, err
	}
	if problem != nil && !errors.As(err, new(*partialError)) {
		problem = &condition.Problem{Reason: problem.Reason, Message: problem.Message + kept(vs, live)}
	}
	if err := r.Reporter.Report(ctx, before, vs, "Sync", problem, valid); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: r.Pace.Next(request, problem, every)}, nil
}

// sync makes the target equal to the source, notes in vs' status what it holds, and says so. Errors are Problems, or
// of the API server.
func (r *Reconciler) sync(ctx context.Context, vs *v1beta1.VaultSecret, live *corev1.Secret) (string, error) {
	login, err := r.login(ctx, vs)
	if err != nil {
		return "", err
	}
	if vs.Spec.Source == nil {
		return "", condition.Problemf(v1beta1.ReasonInvalidSpec, "give spec.source: what to read")
	}
	kv, err := source.ParseKV(vs.Spec.Source.KV)
	if err != nil {
		return "", err
	}
	secret, err := r.Source.Read(ctx, login, kv)
	if err != nil {
		return "", err
	}
	want, err := planFor(vs, secret)
	if err != nil {
		return "", err
	}
	if want.lacking != nil && !want.complete(vs, live) {
		return "", want.lacking
	}
	edited := vs.Status.ObservedGeneration != vs.Generation
	what, err := next(vs, live, want, edited)
	if err != nil {
		return "", err
	}
	version, err := r.do(ctx, what, vs, live, want)
	if err != nil {
		return "", err
	}
	if edited {
		if err := r.dropFormer(ctx, vs); err != nil {
			return "", err
		}
	}
	r.tellRepair(vs, live, what, edited)
	note(vs, secret, version, what)
	if want.lacking != nil {
		return "", partly(want, secret)
	}
	return "Secret " + want.name + " holds " + secret.String(), nil
}

func (r *Reconciler) login(ctx context.Context, vs *v1beta1.VaultSecret) (vaultclient.Login, error) {
	switch spec := vs.Spec; {
	case spec.VaultAuthRef != "":
		return r.Auths.Login(ctx, vs.Namespace, spec.VaultAuthRef, spec.ServiceAccount)
	case spec.Vault != nil:
		return vaultauth.Inline(vs.Namespace, spec.Vault, spec.ServiceAccount), nil
	}
	return vaultclient.Login{}, condition.Problemf(v1beta1.ReasonInvalidSpec,
		"give spec.vault (server and login inline) or spec.vaultAuthRef (the name of a VaultAuth)")
}

// tellRepair records that someone else's change of the target was undone.
func (r *Reconciler) tellRepair(vs *v1beta1.VaultSecret, live *corev1.Secret, what step, edited bool) {
	last := vs.Status.TargetResourceVersion
	if what == keep || edited || last == "" {
		return
	}
	switch {
	case live == nil:
		r.Reporter.Events.Eventf(vs, nil, corev1.EventTypeNormal, "Repaired", "Sync", "Secret %s was deleted, and is back", vs.Spec.Target.Name)
	case live.ResourceVersion != last:
		r.Reporter.Events.Eventf(vs, nil, corev1.EventTypeNormal, "Repaired", "Sync", "Secret %s was edited, and is restored", vs.Spec.Target.Name)
	}
}

// note writes what the target holds to vs' status.
func note(vs *v1beta1.VaultSecret, secret *source.Secret, resourceVersion string, what step) {
	status := &vs.Status
	last := status.LastSyncTime
	if what != keep || status.Status.Status != v1beta1.ReasonValid || status.SecretVersion != secret.Version ||
		last == nil || time.Since(last.Time) >= syncedEvery {
		now := metav1.Now()
		status.LastSyncTime = &now
	}
	status.SecretVersion = secret.Version
	status.SourcePath = secret.Path
	status.TargetResourceVersion = resourceVersion
}
