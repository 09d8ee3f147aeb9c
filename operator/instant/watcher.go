package instant

import (
	"context"
	"errors"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"strongroom/operator/condition"
	"strongroom/operator/pace"
	"strongroom/operator/vaultclient"
)

// confidentPoll is how often a source is asked again of which every change is told. It is for what no server promises.
const confidentPoll = time.Hour

// Poll gives the interval of a resource: what its spec says if it says so, else fallback, or an hour while all its
// changes are told.
func Poll(spec, fallback time.Duration, live bool) time.Duration {
	switch {
	case spec > 0:
		return spec
	case live:
		return confidentPoll
	}
	return fallback
}

// Watcher is one controller's part of a Hub: it decides when the controller looks at its resources again.
type Watcher struct {
	hub   *Hub
	kind  string
	pace  *pace.Pace
	queue queue                           // nil until the controller starts; the hub's mutex guards it
	woken map[reconcile.Request]time.Time // last, and not yet looked at; the hub's mutex guards it
}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// target is a resource of a controller.
type target struct {
	watcher *Watcher
	request reconcile.Request
}

// Watcher returns the part of the controller of a kind.
func (h *Hub) Watcher(kind string) *Watcher {
	return &Watcher{hub: h, kind: kind, pace: pace.New(), woken: make(map[reconcile.Request]time.Time)}
}

// Source is what the controller must watch (WatchesRawSource) for its resources to be woken.
func (w *Watcher) Source() source.Source {
	return source.Func(func(_ context.Context, queue queue) error {
		w.hub.mu.Lock()
		defer w.hub.mu.Unlock()
		w.queue = queue
		return nil
	})
}

// Follow makes request be looked at again as soon as something changes at one of the API paths, which it read with login
// in a namespace of the server ("": the login's), beginning at started. What changed since then counts. A path that ends
// in a slash means all below. It replaces what request followed before; without paths it only notes the login, whose
// replacement wakes request too. It tells whether every change will be told: the stream flows, and the login's policies
// have the capability subscribe on all the paths; for the answer to that it may wait a moment. If not, the caller must
// poll.
func (w *Watcher) Follow(request reconcile.Request, login vaultclient.Login, namespace string, started time.Time, paths ...string) bool {
	return w.hub.follow(target{w, request}, login, namespace, started, paths)
}

// Missed tells that a poll begun at started found request changed on the server, though it is live and was not woken. If
// no event tells of it within seconds, it is woken, and not live until its stream begins anew.
func (w *Watcher) Missed(request reconcile.Request, started time.Time) {
	w.hub.missed(target{w, request}, started)
}

// Heed makes request be looked at again when a server goes out.
func (w *Watcher) Heed(request reconcile.Request, server vaultclient.ServerKey) {
	w.hub.heed(target{w, request}, server)
}

// Next says when to look again at a resource that has the problem, or none. After one that an outage caused it is woken
// as soon as the server is back.
func (w *Watcher) Next(request reconcile.Request, problem *condition.Problem, interval time.Duration) time.Duration {
	w.hub.metrics.observe(target{w, request}, problem)
	next := w.pace.Next(request, problem, interval)
	var outage *vaultclient.Outage
	if problem != nil && errors.As(problem, &outage) {
		w.hub.await(target{w, request}, outage.Server)
	}
	return next
}

// Took counts a sync that went well, and how long it took.
func (w *Watcher) Took(d time.Duration) {
	w.hub.metrics.took.WithLabelValues(w.kind).Observe(d.Seconds())
}

// Woken tells, once, when request was last woken, if that is why it is looked at, and not a change of its own.
func (w *Watcher) Woken(request reconcile.Request) (time.Time, bool) {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	at, woken := w.woken[request]
	delete(w.woken, request)
	return at, woken
}

// Forget drops all that is known of a resource that is gone.
func (w *Watcher) Forget(request reconcile.Request) {
	w.pace.Forget(request)
	w.hub.forget(target{w, request})
}

// Guard lets r look at the resources of namespaces that are this replica's to work on. Others wait until they are.
func (w *Watcher) Guard(r reconcile.Reconciler) reconcile.Reconciler {
	return reconcile.Func(func(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
		begin := w.hub.begins
		if begin == nil {
			return r.Reconcile(ctx, request)
		}
		done, ours := begin(request.Namespace)
		if !ours {
			w.hub.park(target{w, request})
			// It may have become ours before it was parked, when nobody would have woken it.
			if done, ours = begin(request.Namespace); !ours {
				return reconcile.Result{}, nil
			}
			w.hub.unpark(target{w, request})
		}
		defer done()
		return r.Reconcile(ctx, request)
	})
}
