// Package instant owns what makes resources be looked at again before their interval is over: events of a server, which
// one stream a login and namespace carries for all resources that use it, and the return of a server that was out. It
// reads no secret and knows no kind. An event is a hint, never the value: the resource reads.
//
// What it promises: while Follow says that a resource is live, each change on the server is told or the stream ends; and
// whenever a stream begins, all that follow it are looked at once, as something may have changed meanwhile.
package instant

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"strongroom/operator/vaultclient"
)

// wakePause lies between two resources that are woken together: a thousand a second.
const wakePause = time.Millisecond

// Hub keeps the streams. Start it; until then nothing is live.
type Hub struct {
	pool    *vaultclient.Pool
	metrics *metrics

	mu      sync.Mutex
	life    context.Context //nolint:containedctx // of Start: streams live as long
	running sync.WaitGroup
	streams map[streamKey]*stream
	follows map[target]*following
	holders map[vaultclient.LoginKey]map[target]bool
	waiting map[vaultclient.ServerKey]map[target]bool
	heeders map[vaultclient.ServerKey]map[target]bool
	heeds   map[target]vaultclient.ServerKey

	forgot func(kind string, name types.NamespacedName)    // nil: nobody wants to know
	begins func(namespace string) (done func(), ours bool) // nil: all are ours
	parked map[target]bool                                 // of other replicas; true: this one worked on it before
}

// following is what a resource follows.
type following struct {
	login  vaultclient.LoginKey
	stream *stream // nil without paths
	paths  []string
}

// NewHub returns a hub over pool, of whose outages and logins it wants to hear.
func NewHub(pool *vaultclient.Pool) *Hub {
	h := &Hub{
		pool: pool, metrics: newMetrics(),
		streams: make(map[streamKey]*stream), follows: make(map[target]*following),
		holders: make(map[vaultclient.LoginKey]map[target]bool),
		waiting: make(map[vaultclient.ServerKey]map[target]bool),
		heeders: make(map[vaultclient.ServerKey]map[target]bool), heeds: make(map[target]vaultclient.ServerKey),
		parked: make(map[target]bool),
	}
	pool.Watch(h.out, h.back)
	pool.OnReplaced(h.replaced)
	return h
}

// OnForget calls told when a resource is gone, or another replica's. It must return at once, and be set before any controller starts.
func (h *Hub) OnForget(told func(kind string, name types.NamespacedName)) { h.forgot = told }

// Start lets streams begin, until ctx ends; it returns when all have ended. It satisfies the manager's Runnable.
func (h *Hub) Start(ctx context.Context) error {
	h.mu.Lock()
	h.life = ctx
	for _, s := range h.streams {
		h.begin(s)
	}
	h.mu.Unlock()
	<-ctx.Done()
	h.mu.Lock() // whoever begins a stream now sees that ctx is done
	h.life = ctx
	h.mu.Unlock()
	h.running.Wait()
	return nil
}

// begin runs a stream; the hub's mutex is held.
func (h *Hub) begin(s *stream) {
	if h.life == nil || h.life.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(h.life)
	s.cancel = cancel
	h.running.Go(func() { defer cancel(); s.run(ctx) })
}

func (h *Hub) follow(t target, login vaultclient.Login, namespace string, started time.Time, paths []string) bool {
	if namespace == "" {
		namespace = login.Namespace
	}
	s := h.join(t, streamKey{login.Key(), namespace}, login, started, paths)
	if s == nil {
		return false
	}
	limit := time.NewTimer(rightsWait)
	defer limit.Stop()
	for {
		h.mu.Lock()
		heard, unheard := s.unheard(paths)
		live := s.covers(paths)
		h.mu.Unlock()
		if !unheard {
			return live
		}
		select {
		case <-heard:
		case <-limit.C:
			return false
		}
	}
}

// join makes t follow a stream; nil without paths. Whoever may have missed something is woken.
func (h *Hub) join(t target, key streamKey, login vaultclient.Login, started time.Time, paths []string) *stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	var s *stream
	if len(paths) > 0 {
		if s = h.streams[key]; s == nil {
			s = newStream(h, key, login)
			h.streams[key] = s
			h.begin(s)
		}
	}
	before := h.follows[t]
	now := &following{login: key.login, stream: s, paths: paths}
	if s != nil {
		s.add(t, paths) // before the former is dropped, so that a stream with one follower goes on
	}
	if before != nil {
		h.drop(t, before, now)
	}
	h.follows[t] = now
	put(h.holders, key.login, t)
	if s != nil && s.missed(started, paths) {
		t.wake(0, urgent)
	}
	return s
}

// drop ends what t followed, but for what it follows now; the hub's mutex is held.
func (h *Hub) drop(t target, before, now *following) {
	if now == nil || now.login != before.login {
		take(h.holders, before.login, t)
	}
	if before.stream == nil {
		return
	}
	kept := []string(nil)
	if now != nil && now.stream == before.stream {
		kept = now.paths
	}
	before.stream.remove(t, before.paths, kept)
	if len(before.stream.followers) == 0 {
		delete(h.streams, before.stream.key)
		if before.stream.cancel != nil {
			before.stream.cancel()
		}
	}
}

// missed marks what t follows as not told of, unless an event comes after all that the poll begun at started foreran.
func (h *Hub) missed(t target, started time.Time) {
	time.AfterFunc(missedGrace, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		f := h.follows[t]
		if f == nil || f.stream == nil || !f.stream.up || f.stream.since.After(started) ||
			slices.ContainsFunc(f.paths, func(path string) bool { return f.stream.toldOf(path, started.Add(-missedGrace)) }) {
			return
		}
		for _, path := range f.paths {
			f.stream.deaf[path] = true
			wakeAll(f.stream.followers[path], wakePause, normal)
		}
	})
}

func (h *Hub) forget(t target) {
	h.metrics.forget(t)
	if h.forgot != nil {
		h.forgot(t.watcher.kind, t.request.NamespacedName)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(t.watcher.woken, t.request)
	if before := h.follows[t]; before != nil {
		h.drop(t, before, nil)
		delete(h.follows, t)
	}
	for key := range h.waiting {
		take(h.waiting, key, t)
	}
	if server, ok := h.heeds[t]; ok {
		take(h.heeders, server, t)
		delete(h.heeds, t)
	}
}

// await notes that t wants to know when a server is back. One that came back in the meantime wakes it at once.
func (h *Hub) await(t target, server vaultclient.ServerKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	put(h.waiting, server, t)
	if !h.pool.Out(server) {
		take(h.waiting, server, t)
		t.wake(time.Second, normal)
	}
}

func (h *Hub) heed(t target, server vaultclient.ServerKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if before, ok := h.heeds[t]; ok && before != server {
		take(h.heeders, before, t)
	}
	h.heeds[t] = server
	put(h.heeders, server, t)
}

// out wakes those that heed a server.
func (h *Hub) out(server vaultclient.ServerKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	wakeAll(h.heeders[server], wakePause, normal)
}

// back wakes those that wait for a server, and its streams. Whoever follows a stream waits a little longer, until that is
// up: looked at before, it would have to poll, say so in its status, and be looked at again.
func (h *Hub) back(server vaultclient.ServerKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	waiting := h.waiting[server]
	delete(h.waiting, server)
	for t := range waiting {
		if f := h.follows[t]; f != nil && f.stream != nil && !f.stream.up {
			delete(waiting, t)
			f.stream.owe(t)
		}
	}
	wakeAll(waiting, wakePause, normal)
	wakeAll(h.heeders[server], wakePause, normal)
	for _, s := range h.streams {
		if s.login.Server.Key() == server {
			s.retryNow()
		}
	}
}

// replaced wakes those that hold a login: what it leased ends with it.
func (h *Hub) replaced(login vaultclient.LoginKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	some := make(map[target]bool)
	for t := range h.holders[login] {
		if f := h.follows[t]; f != nil && f.stream == nil {
			some[t] = true // those with a stream read nothing that is leased
		}
	}
	wakeAll(some, wakePause, normal)
}

// What is looked at first: what changed, then what is not well, then what may have changed.
const (
	urgent = 50
	normal = 0
	casual = handler.LowPriority
)

// wake has the controller look at the resource after a while; the hub's mutex is held.
func (t target) wake(after time.Duration, priority int) {
	switch queue := t.watcher.queue.(type) {
	case nil:
		return
	case priorityqueue.PriorityQueue[reconcile.Request]:
		queue.AddWithOpts(priorityqueue.AddOpts{After: max(0, after), Priority: &priority}, t.request)
	default:
		queue.AddAfter(t.request, after)
	}
	t.watcher.woken[t.request] = time.Now()
}

// wakeAll wakes targets one after the other, in no order.
func wakeAll(targets map[target]bool, pause time.Duration, priority int) {
	after := time.Duration(0)
	for t := range targets {
		after += time.Duration(float64(pause) * (0.5 + rand.Float64())) //nolint:gosec // no secret depends on it
		t.wake(after, priority)
	}
}

func put[K comparable](sets map[K]map[target]bool, key K, t target) {
	if sets[key] == nil {
		sets[key] = make(map[target]bool)
	}
	sets[key][t] = true
}

func take[K comparable](sets map[K]map[target]bool, key K, t target) {
	delete(sets[key], t)
	if len(sets[key]) == 0 {
		delete(sets, key)
	}
}
