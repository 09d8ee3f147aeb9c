// Package vaultpushsecret owns the kind VaultPushSecret: it writes a Kubernetes Secret to a server, and keeps it there. It
// overwrites nothing that is not its own unless it is told to (plan.go), and in KV v2 nothing that somebody wrote since it
// looked (server.go).
package vaultpushsecret

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/consumers"
	"strongroom/operator/instant"
	"strongroom/operator/syncer"
	"strongroom/operator/vaultauth"
	"strongroom/operator/vaultclient"
)

// Name is the kind's.
const Name = "VaultPushSecret"

const (
	defaultInterval = time.Minute
	syncedEvery     = 5 * time.Minute  // how old status.lastSyncTime may grow while nothing changes
	releaseFor      = 24 * time.Hour   // how long a deletion waits for a server that is away
	claimAgain      = 15 * time.Second // when to look whether a place that was claimed is still ours
	secretIndex     = "secretRef.name" // finds the resources that push a Secret
)

// Reconciler keeps what VaultPushSecrets push.
type Reconciler struct {
	Client   client.Client
	Live     client.Reader
	Auths    vaultauth.Resolver
	Pool     *vaultclient.Pool
	Reporter condition.Reporter
	Watcher  *instant.Watcher
	// Consumers is nil where servers are told nothing.
	Consumers *consumers.Reporter
	// Secrets caches the metadata of all Secrets, from when there is the first VaultPushSecret: which Secret is pushed only
	// the resources say, so that no label can select them.
	Secrets cache.Cache

	controller controller.Controller
	watch      sync.Mutex
	watching   bool
}

// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultpushsecrets,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultpushsecrets/status,verbs=get;patch;update
// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultpushsecrets/finalizers,verbs=update

// Register adds the controller to the manager.
func (r *Reconciler) Register(ctx context.Context, mgr ctrl.Manager, concurrency int) error {
	err := mgr.GetFieldIndexer().IndexField(ctx, &v1beta1.VaultPushSecret{}, secretIndex, func(object client.Object) []string {
		push, ok := object.(*v1beta1.VaultPushSecret)
		if !ok {
			return nil
		}
		return []string{push.Spec.SecretRef.Name}
	})
	if err != nil {
		return fmt.Errorf("index the Secrets of %s: %w", Name, err)
	}
	begins := predicate.NewPredicateFuncs(func(object client.Object) bool { return !object.GetDeletionTimestamp().IsZero() })
	r.controller, err = ctrl.NewControllerManagedBy(mgr).Named(strings.ToLower(Name)).
		For(&v1beta1.VaultPushSecret{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, begins))).
		Watches(&v1beta1.VaultAuth{}, handler.EnqueueRequestsFromMapFunc(r.users), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(r.Watcher.Source()).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency}).
		Build(r.Watcher.Guard(r))
	return err
}

// users lists the resources that log in by a VaultAuth.
func (r *Reconciler) users(ctx context.Context, auth client.Object) []reconcile.Request {
	return r.list(ctx, func(push *v1beta1.VaultPushSecret) bool {
		return r.Auths.AuthName(push.Namespace, push.Spec.VaultAuthRef) == client.ObjectKeyFromObject(auth)
	})
}

// pushers lists the resources that push a Secret.
func (r *Reconciler) pushers(ctx context.Context, secret client.Object) []reconcile.Request {
	return r.list(ctx, func(*v1beta1.VaultPushSecret) bool { return true }, client.InNamespace(secret.GetNamespace()), client.MatchingFields{secretIndex: secret.GetName()})
}

func (r *Reconciler) list(ctx context.Context, wanted func(*v1beta1.VaultPushSecret) bool, options ...client.ListOption) []reconcile.Request {
	list := &v1beta1.VaultPushSecretList{}
	if err := r.Client.List(ctx, list, options...); err != nil {
		log.FromContext(ctx).Error(err, "list the VaultPushSecrets of a change")
		return nil
	}
	var requests []reconcile.Request
	for i := range list.Items {
		if wanted(&list.Items[i]) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return requests
}

// watchSecrets begins to watch Secrets, once.
func (r *Reconciler) watchSecrets() error {
	r.watch.Lock()
	defer r.watch.Unlock()
	if r.watching {
		return nil
	}
	secret := &metav1.PartialObjectMetadata{}
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	if err := r.controller.Watch(source.Kind[client.Object](r.Secrets, secret, handler.EnqueueRequestsFromMapFunc(r.pushers))); err != nil {
		return fmt.Errorf("watch Secrets: %w", err)
	}
	r.watching = true
	return nil
}

// Reconcile pushes for one resource and reports.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	push := &v1beta1.VaultPushSecret{}
	if err := r.Client.Get(ctx, request.NamespacedName, push); err != nil {
		r.Watcher.Forget(request)
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !push.DeletionTimestamp.IsZero() {
		return r.finalize(ctx, request, push)
	}
	if err := r.watchSecrets(); err != nil {
		return reconcile.Result{}, err
	}
	if !controllerutil.ContainsFinalizer(push, syncer.Finalizer) {
		stored := push.DeepCopy()
		controllerutil.AddFinalizer(push, syncer.Finalizer)
		if err := r.Client.Patch(ctx, push, client.MergeFromWithOptions(stored, client.MergeFromWithOptimisticLock{})); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(err)
		}
	}
	_, _ = r.Watcher.Woken(request) // every look is a real one
	before, started := push.DeepCopy(), time.Now()
	interval, err := syncer.Duration("refreshAfter", push.Spec.RefreshAfter, 0)
	valid, soon := "", false
	var use *consumers.Use
	if err == nil {
		valid, soon, err = r.push(ctx, push, before, func(login vaultclient.Login, path string) {
			use = &consumers.Use{Login: login, Namespace: push.Spec.Namespace, Paths: []string{path}}
			live := r.Watcher.Follow(request, login, push.Spec.Namespace, started, path)
			interval = instant.Poll(interval, defaultInterval, live)
			push.Status.Updates = v1beta1.UpdatesPolling
			if live {
				push.Status.Updates = v1beta1.UpdatesEvents
			}
		})
	}
	problem, known := condition.As(err)
	if err != nil && !known {
		return reconcile.Result{}, err
	}
	push.Status.LastSyncRequest = push.Annotations[v1beta1.SyncNowAnnotation]
	if err := r.Reporter.Report(ctx, before, push, "Push", problem, valid); err != nil {
		return reconcile.Result{}, err
	}
	r.Consumers.Tell(consumers.Resource{Kind: Name, Namespace: push.Namespace, Name: push.Name}, use, consumers.StateOf(&push.Status.SyncStatus))
	wait := r.Watcher.Next(request, problem, instant.Poll(interval, defaultInterval, false))
	if soon {
		wait = min(wait, claimAgain)
	}
	return reconcile.Result{RequeueAfter: wait}, nil
}

// push makes the server hold what the Secret does, and says so, and whether it must look again soon. Errors are Problems,
// or of the API server.
func (r *Reconciler) push(ctx context.Context, push, before *v1beta1.VaultPushSecret, follow func(vaultclient.Login, string)) (says string, soon bool, err error) {
	where, err := at(push.Spec)
	if err != nil {
		return "", false, err
	}
	login, err := r.Auths.Login(ctx, push.Namespace, push.Spec.VaultAuthRef, push.Spec.ServiceAccount)
	if err != nil {
		return "", false, err
	}
	secret := &corev1.Secret{}
	err = r.Live.Get(ctx, types.NamespacedName{Namespace: push.Namespace, Name: push.Spec.SecretRef.Name}, secret)
	switch {
	case apierrors.IsNotFound(err):
		return "", false, condition.Problemf(v1beta1.ReasonSourceNotFound, "there is no Secret %s in namespace %s: create it, or correct secretRef; the server keeps what it holds", push.Spec.SecretRef.Name, push.Namespace)
	case err != nil:
		return "", false, fmt.Errorf("read Secret %s: %w", push.Spec.SecretRef.Name, err)
	}
	want, err := shape(push.Spec, secret.Data)
	if err != nil {
		return "", false, err
	}
	if err := r.move(ctx, push, before, login.Address); err != nil {
		return "", false, err
	}
	who := r.self(push, where)
	who.unchanged, who.edited = unchanged(push, secret), push.Status.SyncedGeneration != push.Generation
	var done step
	version := 0
	where.login = login
	err = r.Pool.Do(ctx, login, func(ctx context.Context, client *vaultclient.Client) (err error) {
		where.client = client.In(push.Spec.Namespace)
		done, version, soon, err = where.make(ctx, want, who, dry(push))
		return err
	})
	if err == nil || condition.Is(err, v1beta1.ReasonDrift, v1beta1.ReasonTargetConflict) {
		follow(login, where.data)
	}
	if done == write || done == restore { // even if it could not be marked: it is ours
		push.Status.SourcePath, push.Status.SecretVersion = where.data, where.called(version)
	}
	if err != nil {
		return "", soon, err
	}
	r.note(push, secret, where, version, done)
	if err := r.clear(ctx, push); err != nil {
		return "", soon, err
	}
	says = fmt.Sprintf("%s holds Secret %s", where.path, secret.Name)
	if where.meta != "" {
		says = fmt.Sprintf("version %d of %s", version, says)
	}
	if former := push.Status.Former; len(former) > 0 {
		says += fmt.Sprintf("; %s/%s, where it was before, is given back when its server answers", former[0].Mount, former[0].Path)
	}
	return says, soon, nil
}

func dry(push *v1beta1.VaultPushSecret) bool {
	return push.Annotations[v1beta1.DryRunAnnotation] == "true"
}

// unchanged tells whether the last push that went well was of this Secret and this spec. The generation that the status
// observed is no sign of that: a push that failed observes one as well.
func unchanged(push *v1beta1.VaultPushSecret, secret *corev1.Secret) bool {
	return push.Status.SourceResourceVersion == secret.ResourceVersion && push.Status.SyncedGeneration == push.Generation
}

// self is the resource as its plan needs it.
func (r *Reconciler) self(push *v1beta1.VaultPushSecret, where place) self {
	who := self{
		owner: Name + "/" + push.Namespace + "/" + push.Name, uid: string(push.UID), path: where.path, v1: where.meta == "",
		overwrite: push.Spec.Overwrite, report: push.Spec.DriftPolicy == v1beta1.DriftReport,
	}
	if push.Status.SourcePath == where.data { // else it is of another place
		who.version = push.Status.SecretVersion
	}
	return who
}

// note writes what the server holds to the status, and records that someone else's change was undone.
func (r *Reconciler) note(push *v1beta1.VaultPushSecret, secret *corev1.Secret, where place, version int, done step) {
	status := &push.Status
	now := time.Now()
	if done != keep || status.Status.Status != v1beta1.ReasonValid || status.LastSyncTime == nil || now.Sub(status.LastSyncTime.Time) >= syncedEvery {
		status.LastSyncTime = &metav1.Time{Time: now}
	}
	status.SyncedGeneration = push.Generation
	status.SourcePath, status.SourceResourceVersion, status.SecretVersion = where.data, secret.ResourceVersion, where.called(version)
	if done == restore {
		r.Reporter.Events.Eventf(push, nil, corev1.EventTypeNormal, "Repaired", "Push", "someone else wrote %s: the Secret's values are there again", where.path)
	}
}
