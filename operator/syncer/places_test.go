package syncer

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/instant"
	"strongroom/operator/target"
	"strongroom/operator/vaultclient"
)

// lab is an engine over an API server that can be made to fail, with namespaces taker and other that accept copies of
// namespace giver's.
type lab struct {
	*testing.T
	client.Client
	engine *Engine
	source *giving
	// refuse is asked at each write of a Secret, before it and after it; nil: none fails.
	refuse func(namespace, name string, after bool) error
	dead   bool // nothing gets through any more
}

// giving is a source that gives one value.
type giving struct {
	reads, released int
	during          func() // a Read
}

func (*giving) Spec(vs *v1beta1.VaultSecret) (Spec, error) {
	every, err := Duration("refreshAfter", vs.Spec.RefreshAfter, 0)
	return Spec{
		Want: target.OfTarget(target.OwnerOf("VaultSecret", vs), vs.Spec.Target), AuthRef: NoAuth, Every: every, Fallback: time.Hour,
		Copies: vs.Spec.Target.NamespaceSelector, Finalize: vs.Spec.Target.NamespaceSelector != nil,
	}, err
}

func (g *giving) Read(context.Context, *v1beta1.VaultSecret, Held) (*Content, error) {
	g.reads++
	if g.during != nil {
		g.during()
	}
	return &Content{Data: map[string][]byte{"A": []byte("1")}, Version: "1"}, nil
}

func (g *giving) Release(context.Context, *v1beta1.VaultSecret) error { g.released++; return nil }

func newLab(t *testing.T) *lab {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1beta1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	l := &lab{T: t, source: &giving{}}
	guard := func(namespace, name string, write func() error) error {
		if l.refuse != nil {
			if err := l.refuse(namespace, name, false); err != nil {
				return err
			}
		}
		if l.dead {
			return errors.New("dead")
		}
		err := write()
		if l.refuse != nil && err == nil {
			err = l.refuse(namespace, name, true)
		}
		return err
	}
	built := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1beta1.VaultSecret{}).
		WithObjects(accepting("taker", "giver"), accepting("other", "giver"), &v1beta1.VaultSecret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "giver", Name: "vs", UID: "uid", Generation: 1},
			Spec:       v1beta1.VaultSecretSpec{Target: v1beta1.VaultSecretTarget{Name: "app", NamespaceSelector: &metav1.LabelSelector{}}},
		}).
		WithInterceptorFuncs(interceptor.Funcs{
			Apply: func(ctx context.Context, next client.WithWatch, object runtime.ApplyConfiguration, options ...client.ApplyOption) error {
				named, ok := object.(interface {
					GetNamespace() *string
					GetName() *string
				})
				if !ok {
					t.Fatalf("%T has no name", object)
				}
				return guard(*named.GetNamespace(), *named.GetName(), func() error { return next.Apply(ctx, object, options...) })
			},
			SubResourcePatch: func(ctx context.Context, next client.Client, sub string, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
				return guard("", sub, func() error { return next.SubResource(sub).Patch(ctx, object, patch, options...) })
			},
		}).Build()
	l.Client = built
	l.engine = &Engine{
		Kind: For(l.source), Name: "VaultSecret", Targets: target.Store{Client: built, Live: built},
		Reporter: condition.Reporter{Client: built, Events: events.NewFakeRecorder(100)},
		Watcher:  instant.NewHub(vaultclient.NewPool(nil, nil)).Watcher("VaultSecret"), memory: newMemory(),
	}
	return l
}

func accepting(name, from string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{v1beta1.AcceptAnnotation: from}}}
}

// sync lets the engine look at the resource once.
func (l *lab) sync() error {
	_, err := l.engine.Reconcile(l.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Namespace: "giver", Name: "vs"}})
	return err
}

// well is a sync that goes well, and the resource after it.
func (l *lab) well() *v1beta1.VaultSecret {
	l.Helper()
	if err := l.sync(); err != nil {
		l.Fatal(err)
	}
	return l.resource()
}

func (l *lab) resource() *v1beta1.VaultSecret {
	l.Helper()
	vs := &v1beta1.VaultSecret{}
	if err := l.Get(l.Context(), client.ObjectKey{Namespace: "giver", Name: "vs"}, vs); err != nil {
		l.Fatal(err)
	}
	return vs
}

// edit changes the resource as its user does.
func (l *lab) edit(change func(*v1beta1.VaultSecret)) {
	l.Helper()
	vs := l.resource()
	change(vs)
	vs.Generation++
	if err := l.Update(l.Context(), vs); err != nil {
		l.Fatal(err)
	}
}

// withdraw has a namespace accept no copies any more.
func (l *lab) withdraw(namespace string) {
	l.Helper()
	if err := l.Update(l.Context(), accepting(namespace, "nobody")); err != nil {
		l.Fatal(err)
	}
}

// has fails unless these Secrets are there and no others: NAMESPACE/NAME.
func (l *lab) has(want ...string) {
	l.Helper()
	list := &corev1.SecretList{}
	if err := l.List(l.Context(), list); err != nil {
		l.Fatal(err)
	}
	var got []string
	for i := range list.Items {
		got = append(got, list.Items[i].Namespace+"/"+list.Items[i].Name)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		l.Errorf("there are %v, want %v", got, want)
	}
}

// delete deletes the resource, and the garbage collector its Secret.
func (l *lab) delete() {
	l.Helper()
	if err := l.Delete(l.Context(), l.resource()); err != nil {
		l.Fatal(err)
	}
	if err := l.sync(); err != nil {
		l.Fatal(err)
	}
	if err := l.Get(l.Context(), client.ObjectKey{Namespace: "giver", Name: "vs"}, &v1beta1.VaultSecret{}); !apierrors.IsNotFound(err) {
		l.Errorf("the resource stays: %v", err)
	}
}

// An operator that ends right after it wrote a copy, before it could tell the status, leaves nothing that is not found
// again: by a namespace that takes its consent back, or by the resource's end.
func TestACopyIsRecordedBeforeItIsWritten(t *testing.T) {
	for name, end := range map[string]func(*lab){
		"consent withdrawn": func(l *lab) { l.withdraw("taker"); l.well(); l.has("giver/app", "other/app") },
		"source deleted":    func(l *lab) { l.delete(); l.has("giver/app") },
		"no copies wanted": func(l *lab) {
			l.edit(func(vs *v1beta1.VaultSecret) { vs.Spec.Target.NamespaceSelector = nil })
			l.well()
			l.has("giver/app")
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.refuse = func(namespace, _ string, after bool) error {
				if l.dead = l.dead || after && namespace == "taker"; l.dead {
					return errors.New("dead")
				}
				return nil
			}
			if err := l.sync(); err == nil {
				t.Fatal("it did not die")
			}
			l.has("giver/app", "other/app", "taker/app")
			l.refuse, l.dead = nil, false
			l.engine.memory = newMemory()
			end(l)
		})
	}
}

// A copy that could not be written once is not forgotten: what was there before is still ours to delete.
func TestACopyThatFailsOnceIsNotForgotten(t *testing.T) {
	for name, end := range map[string]func(*lab){
		"consent withdrawn": func(l *lab) { l.withdraw("taker"); l.well(); l.has("giver/app", "other/app") },
		"source deleted":    func(l *lab) { l.delete(); l.has("giver/app") },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.well()
			l.refuse = func(namespace, name string, _ bool) error {
				if namespace == "taker" {
					return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, name, errors.New("exceeded quota"))
				}
				return nil
			}
			l.edit(func(vs *v1beta1.VaultSecret) {
				vs.Spec.Target.Template = &v1beta1.SecretTemplate{Labels: map[string]string{"l": "1"}}
			})
			vs := l.well()
			if status := vs.Status; status.Status.Status != v1beta1.ReasonTargetRefused || !slices.Equal(status.Copies, []string{"other", "taker"}) || status.SyncedGeneration == vs.Generation {
				t.Errorf("status %+v", status)
			}
			l.refuse = nil
			end(l)
		})
	}
}

// What is somebody else's is no copy of ours, and does not keep the rest from being done.
func TestACopyThatIsSomebodyElses(t *testing.T) {
	l := newLab(t)
	if err := l.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "taker", Name: "app"}}); err != nil {
		t.Fatal(err)
	}
	l.edit(func(vs *v1beta1.VaultSecret) { vs.Spec.Target.Overwrite = true }) // of the giver, who has no say there
	status := l.well().Status
	if status.Status.Status != v1beta1.ReasonTargetConflict || !slices.Equal(status.Copies, []string{"other"}) || status.TargetResourceVersion == "" {
		t.Errorf("status %+v", status)
	}
	l.delete()
	l.has("giver/app", "taker/app")
}

// A new name takes the former targets away, here and where copies are, and nothing else: what somebody copied by hand has
// the same labels, annotations and owner.
func TestOnlyWhatIsRecordedIsDeleted(t *testing.T) {
	l := newLab(t)
	l.well()
	for _, namespace := range []string{"giver", "taker"} {
		made := &corev1.Secret{}
		if err := l.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "app"}, made); err != nil {
			t.Fatal(err)
		}
		made.Name, made.UID, made.ResourceVersion = "backup", "", ""
		if err := l.Create(t.Context(), made); err != nil {
			t.Fatal(err)
		}
	}
	l.edit(func(vs *v1beta1.VaultSecret) { vs.Spec.Target.Name = "renamed" })
	if status := l.well().Status; !slices.Equal(status.Targets, []string{"Secret/renamed"}) {
		t.Errorf("it records %v", status.Targets)
	}
	l.has("giver/backup", "giver/renamed", "other/renamed", "taker/backup", "taker/renamed")
	l.withdraw("taker")
	l.well()
	l.has("giver/backup", "giver/renamed", "other/renamed", "taker/backup")
	l.delete()
	l.has("giver/backup", "giver/renamed", "taker/backup")
}

// An operator that ends between the new target and the status still takes the former away.
func TestARenameOutlivesTheOperator(t *testing.T) {
	l := newLab(t)
	l.edit(func(vs *v1beta1.VaultSecret) { vs.Spec.Target.NamespaceSelector = nil })
	l.well()
	l.refuse = func(_, name string, after bool) error {
		if l.dead = l.dead || after && name == "second"; l.dead {
			return errors.New("dead")
		}
		return nil
	}
	l.edit(func(vs *v1beta1.VaultSecret) { vs.Spec.Target.Name = "second" })
	if err := l.sync(); err == nil {
		t.Fatal("it did not die")
	}
	l.has("giver/app", "giver/second")
	l.refuse, l.dead = nil, false
	l.edit(func(vs *v1beta1.VaultSecret) { vs.Spec.Target.Name = "third" })
	l.well()
	l.has("giver/third")
}

// A resource that is edited while it is synced, by its spec or an annotation, is synced again.
func TestAnEditDuringASyncIsSyncedAgain(t *testing.T) {
	for name, change := range map[string]func(*v1beta1.VaultSecret){
		"spec": func(vs *v1beta1.VaultSecret) {
			vs.Spec.Target.Template = &v1beta1.SecretTemplate{Labels: map[string]string{"l": "1"}}
		},
		"annotation": func(vs *v1beta1.VaultSecret) {
			vs.Annotations = map[string]string{"note": "of a template"}
			vs.Generation--
		},
		"sync-now": func(vs *v1beta1.VaultSecret) {
			vs.Annotations = map[string]string{v1beta1.SyncNowAnnotation: "now"}
			vs.Generation--
		},
	} {
		for what, selector := range map[string]*metav1.LabelSelector{"copies": {}, "one target": nil} {
			l := newLab(t)
			l.edit(func(vs *v1beta1.VaultSecret) { vs.Spec.Target.NamespaceSelector = selector })
			l.source.during = func() { l.source.during = nil; l.edit(change) }
			vs := l.well()
			if name == "spec" && vs.Status.SyncedGeneration == vs.Generation {
				t.Errorf("%s, %s: an edit that was not read counts as synced", name, what)
			}
			if vs.Status.LastSyncRequest != "" {
				t.Errorf("%s, %s: what was asked for meanwhile counts as done", name, what)
			}
			if vs = l.well(); l.source.reads != 2 || vs.Status.SyncedGeneration != vs.Generation {
				t.Errorf("%s, %s: %d reads, generation %d of %d", name, what, l.source.reads, vs.Status.SyncedGeneration, vs.Generation)
			}
		}
	}
}

// A Secret that says it is a copy is looked at only where the resource makes copies.
func TestOnlyItsOwnCopiesWakeAResource(t *testing.T) {
	l := newLab(t)
	l.well()
	for namespace, want := range map[string]int{"giver": 1, "taker": 1, "mallory": 0} {
		claims := &metav1.ObjectMeta{Namespace: namespace, Name: "app", Annotations: map[string]string{v1beta1.SourceAnnotation: "VaultSecret/giver/vs"}}
		if got := l.engine.owner(t.Context(), &corev1.Secret{ObjectMeta: *claims}); len(got) != want {
			t.Errorf("a Secret of namespace %s wakes %v", namespace, got)
		}
	}
}

// A Secret that Kubernetes fills itself is none to fill.
func TestNoServiceAccountToken(t *testing.T) {
	l := newLab(t)
	l.edit(func(vs *v1beta1.VaultSecret) {
		vs.Spec.Target.Template = &v1beta1.SecretTemplate{Type: string(corev1.SecretTypeServiceAccountToken)}
	})
	if status := l.well().Status; status.Status.Status != v1beta1.ReasonInvalidSpec || l.source.reads != 0 {
		t.Errorf("status %+v after %d reads", status, l.source.reads)
	}
	l.has()
}

// A spec that can be read no longer keeps nothing from being given back.
func TestReleaseOfWhatCannotBeRead(t *testing.T) {
	l := newLab(t)
	l.well()
	l.edit(func(vs *v1beta1.VaultSecret) { vs.Spec.RefreshAfter = "soon" })
	if vs := l.well(); vs.Status.Status.Status != v1beta1.ReasonInvalidSpec {
		t.Fatalf("status %+v", vs.Status)
	}
	l.delete()
	l.has("giver/app")
	if l.source.released != 1 {
		t.Errorf("released %d times", l.source.released)
	}
}

// behind is a cache that shows a resource as it was.
type behind struct {
	client.Client
	shown *v1beta1.VaultSecret
}

func (b behind) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if vs, ok := object.(*v1beta1.VaultSecret); ok {
		b.shown.DeepCopyInto(vs)
		return nil
	}
	return b.Client.Get(ctx, key, object, options...)
}

// A cache that still shows a resource after its deletion has nothing given back twice, and nothing of another of its name.
func TestADeletionIsSeenOnce(t *testing.T) {
	l := newLab(t)
	l.well()
	if err := l.Delete(l.Context(), l.resource()); err != nil {
		t.Fatal(err)
	}
	l.engine.Targets.Client = behind{l.Client, l.resource()}
	for range 2 {
		if err := l.sync(); err != nil {
			t.Fatal(err)
		}
	}
	again := &v1beta1.VaultSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "giver", Name: "vs", UID: "other", Finalizers: []string{Finalizer}}}
	if err := l.Create(l.Context(), again); err != nil {
		t.Fatal(err)
	}
	if err := l.sync(); err != nil {
		t.Fatal(err)
	}
	if l.source.released != 1 || !slices.Equal(l.resource().Finalizers, []string{Finalizer}) {
		t.Errorf("released %d times, finalizers %v of the next", l.source.released, l.resource().Finalizers)
	}
}

// What of a release is waited for, or tried again, counts more than what is left as it is.
func TestWeight(t *testing.T) {
	order := []error{
		nil, condition.Problemf(v1beta1.ReasonPermissionDenied, "no"), condition.Problemf(v1beta1.ReasonServerSealed, "sealed"), errors.New("of the API server"),
	}
	if !slices.IsSortedFunc(order, func(a, b error) int { return weight(a) - weight(b) }) || weight(order[3]) == weight(order[1]) {
		t.Error("a deletion does not wait for what it should")
	}
}
