// Package vaultpushsecret owns the kind VaultPushSecret: it writes a Kubernetes Secret to a server, and keeps it there. It
// overwrites nothing that is not its own unless it is told to (plan.go), and in KV v2 nothing that somebody wrote since it
// looked (server.go).
package vaultpushsecret

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
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
	_ = r.Watcher.Woken(request) // every look is a real one
	before, started := push.DeepCopy(), time.Now()
	interval, err := syncer.Duration("refreshAfter", push.Spec.RefreshAfter, 0)
	valid := ""
	var use *consumers.Use
	if err == nil {
		valid, err = r.push(ctx, push, func(login vaultclient.Login, path string) {
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
	return reconcile.Result{RequeueAfter: r.Watcher.Next(request, problem, instant.Poll(interval, defaultInterval, false))}, nil
}

// push makes the server hold what the Secret does, and says so. Errors are Problems, or of the API server.
func (r *Reconciler) push(ctx context.Context, push *v1beta1.VaultPushSecret, follow func(vaultclient.Login, string)) (string, error) {
	where, err := at(push.Spec)
	if err != nil {
		return "", err
	}
	login, err := r.Auths.Login(ctx, push.Namespace, push.Spec.VaultAuthRef, push.Spec.ServiceAccount)
	if err != nil {
		return "", err
	}
	secret := &corev1.Secret{}
	err = r.Live.Get(ctx, types.NamespacedName{Namespace: push.Namespace, Name: push.Spec.SecretRef.Name}, secret)
	switch {
	case apierrors.IsNotFound(err):
		return "", condition.Problemf(v1beta1.ReasonSourceNotFound, "there is no Secret %s in namespace %s: create it, or correct secretRef; the server keeps what it holds", push.Spec.SecretRef.Name, push.Namespace)
	case err != nil:
		return "", fmt.Errorf("read Secret %s: %w", push.Spec.SecretRef.Name, err)
	}
	want, err := shape(push.Spec, secret.Data)
	if err != nil {
		return "", err
	}
	who := r.self(push, where)
	who.unchanged = unchanged(push, secret)
	var done step
	version := 0
	where.login = login
	err = r.Pool.Do(ctx, login, func(ctx context.Context, client *vaultclient.Client) (err error) {
		where.client = client.In(push.Spec.Namespace)
		done, version, err = where.make(ctx, want, who, push.Annotations[v1beta1.DryRunAnnotation] == "true")
		return err
	})
	if err == nil || condition.Is(err, v1beta1.ReasonDrift, v1beta1.ReasonTargetConflict) {
		follow(login, where.data)
	}
	if err != nil {
		return "", err
	}
	r.note(push, secret, where, version, done)
	if where.meta == "" {
		return fmt.Sprintf("%s holds Secret %s", where.path, secret.Name), nil
	}
	return fmt.Sprintf("version %d of %s holds Secret %s", version, where.path, secret.Name), nil
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

// make looks, decides, writes and marks. It returns what it did and the version that the server holds.
func (p place) make(ctx context.Context, want map[string]string, who self, dry bool) (step, int, error) {
	now, err := p.look(ctx)
	if err != nil {
		return "", 0, err
	}
	do, err := next(now, want, who)
	if err != nil {
		return "", 0, err
	}
	if dry && do != keep {
		return "", 0, condition.Problemf(v1beta1.ReasonDryRun, "dry run: would %s %s with the keys %s; nothing is written", do, p.path, strings.Join(slices.Sorted(maps.Keys(want)), ", "))
	}
	version := now.version
	if do == write || do == restore {
		if version, err = p.write(ctx, now, want); err != nil {
			return "", 0, err
		}
	}
	// The mark comes last: before the data it would claim what another may have written meanwhile.
	if now.custom[ownerMark] != who.owner || now.custom[uidMark] != who.uid {
		if err := p.mark(ctx, now, who); err != nil {
			return "", 0, err
		}
	}
	return do, version, nil
}

// note writes what the server holds to the status, and records that someone else's change was undone.
func (r *Reconciler) note(push *v1beta1.VaultPushSecret, secret *corev1.Secret, where place, version int, done step) {
	status := &push.Status
	now := time.Now()
	if done != keep || status.Status.Status != v1beta1.ReasonValid || status.LastSyncTime == nil || now.Sub(status.LastSyncTime.Time) >= syncedEvery {
		status.LastSyncTime = &metav1.Time{Time: now}
	}
	status.SyncedGeneration = push.Generation
	status.SourcePath, status.SourceResourceVersion, status.SecretVersion = where.data, secret.ResourceVersion, ""
	if where.meta != "" {
		status.SecretVersion = strconv.Itoa(version)
	}
	if done == restore {
		r.Reporter.Events.Eventf(push, nil, corev1.EventTypeNormal, "Repaired", "Push", "someone else wrote %s: the Secret's values are there again", where.path)
	}
}

// finalize takes back what a resource pushed, or its mark, and lets the resource go.
func (r *Reconciler) finalize(ctx context.Context, request reconcile.Request, push *v1beta1.VaultPushSecret) (reconcile.Result, error) {
	if !controllerutil.ContainsFinalizer(push, syncer.Finalizer) {
		return reconcile.Result{}, nil
	}
	before := push.DeepCopy()
	err := r.release(ctx, push)
	problem, known := condition.As(err)
	switch {
	case err != nil && !known:
		return reconcile.Result{}, err
	case known && push.Spec.DeletionPolicy == v1beta1.DeletionDelete && time.Since(push.DeletionTimestamp.Time) < releaseFor &&
		condition.Is(err, v1beta1.ReasonServerSealed, v1beta1.ReasonServerUnreachable):
		problem = &condition.Problem{Reason: problem.Reason, Message: "waits until what it pushed is deleted: " + problem.Message, Cause: problem.Cause}
		if err := r.Reporter.Report(ctx, before, push, "Release", problem, ""); err != nil {
			return reconcile.Result{}, err
		}
		return reconcile.Result{RequeueAfter: r.Watcher.Next(request, problem, time.Minute)}, nil
	case known: // whoever took the login away as well must not be stuck with the resource
		r.Reporter.Events.Eventf(push, nil, corev1.EventTypeWarning, "ReleaseFailed", "Release", "left on the server as it is: %s", problem.Message)
	}
	controllerutil.RemoveFinalizer(push, syncer.Finalizer)
	return reconcile.Result{}, client.IgnoreNotFound(r.Client.Patch(ctx, push, client.MergeFrom(before)))
}

// release deletes on the server what is the resource's own, or takes its mark off.
func (r *Reconciler) release(ctx context.Context, push *v1beta1.VaultPushSecret) error {
	if push.Status.SourcePath == "" {
		return nil // it never pushed
	}
	where, err := at(push.Spec)
	if err != nil {
		return err
	}
	if where.data != push.Status.SourcePath {
		return condition.Problemf(v1beta1.ReasonInvalidSpec, "%s was pushed under a former spec", push.Status.SourcePath)
	}
	login, err := r.Auths.Login(ctx, push.Namespace, push.Spec.VaultAuthRef, push.Spec.ServiceAccount)
	if err != nil {
		return err
	}
	who := r.self(push, where)
	where.login = login
	return r.Pool.Do(ctx, login, func(ctx context.Context, client *vaultclient.Client) error {
		where.client = client.In(push.Spec.Namespace)
		now, err := where.look(ctx)
		if err != nil {
			return err
		}
		if where.meta != "" && (now.custom[ownerMark] != who.owner || now.custom[uidMark] != who.uid) {
			return nil // somebody took it over
		}
		if push.Spec.DeletionPolicy == v1beta1.DeletionDelete {
			if err := where.remove(ctx); err != nil {
				return err
			}
		}
		return where.mark(ctx, now, self{})
	})
}
