// Package consumers owns what servers are told of the resources that use what they keep: which, what, and how they are (ADR 28).
// It tells nothing unless the operator was given a name of its cluster, and never a value. Each login tells of its own resources
// alone, all of them in one request: soon after a change, and every few minutes that they are still there. A server that takes
// no reports is left alone.
package consumers

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"strongroom/api/v1beta1"
	"strongroom/operator/vaultclient"
)

// Resource names one in the cluster.
type Resource struct{ Kind, Namespace, Name string }

// Use says as whom and where a resource uses a server.
type Use struct {
	Login     vaultclient.Login
	Namespace string   // of the server; "": the login's own
	Paths     []string // of the API; one that ends in a slash is all below it
	Part      bool     // there may be more paths: the sync failed at this one
}

// State is how a resource is.
type State struct {
	Reason  string // Valid, or the problem's
	Version string // that it holds; "": the engine has none
	Synced  time.Time
}

// StateOf is the state that a status tells of.
func StateOf(status *v1beta1.SyncStatus) State {
	state := State{Reason: status.Status.Status, Version: status.SecretVersion}
	if status.LastSyncTime != nil {
		state.Synced = status.LastSyncTime.Time
	}
	return state
}

// Reporter tells. Its nil tells nothing. Start it; until then it only remembers.
type Reporter struct {
	pool     *vaultclient.Pool
	cluster  string
	instance string // of this process
	logger   logr.Logger

	mu      sync.Mutex
	life    context.Context //nolint:containedctx // of Start: books live as long
	running sync.WaitGroup
	books   map[bookKey]*book
	in      map[Resource]*book
	deaf    map[vaultclient.ServerKey]time.Time // servers that take no reports, and when to try again
}

type bookKey struct {
	login     vaultclient.LoginKey
	namespace string
}

// New returns a Reporter that calls the Kubernetes cluster by that name; nil without one.
func New(pool *vaultclient.Pool, cluster string, logger logr.Logger) *Reporter {
	if cluster == "" {
		return nil
	}
	return &Reporter{
		pool: pool, cluster: cluster, instance: rand.Text()[:16], logger: logger, books: make(map[bookKey]*book),
		in: make(map[Resource]*book), deaf: make(map[vaultclient.ServerKey]time.Time),
	}
}

// Start tells until ctx ends. It satisfies the manager's Runnable.
func (r *Reporter) Start(ctx context.Context) error {
	r.mu.Lock()
	r.life = ctx
	for _, b := range r.books {
		r.begin(b)
	}
	r.mu.Unlock()
	<-ctx.Done()
	r.mu.Lock() // whoever begins a book now sees that ctx is done
	r.life = ctx
	r.mu.Unlock()
	r.running.Wait()
	return nil
}

// begin runs a book; the mutex is held.
func (r *Reporter) begin(b *book) {
	if ctx := r.life; ctx != nil && ctx.Err() == nil {
		r.running.Go(func() { b.run(ctx) })
	}
}

// Tell notes what a resource uses and how it is. nil is a use that could not be told this time: the one before counts.
func (r *Reporter) Tell(resource Resource, use *Use, state State) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.in[resource]
	b := before
	if use != nil && len(use.Paths) > 0 {
		b = r.book(use)
	}
	if b == nil {
		return // it never came so far as to use anything
	}
	if before != nil && before != b {
		before.forget(resource)
	}
	now := &entry{state: state}
	was := b.entries[resource]
	switch {
	case was != nil && (use == nil || len(use.Paths) == 0 || use.Part && slices.Contains(was.paths, use.Paths[0])):
		now.paths = was.paths
	case use != nil:
		now.paths = slices.Clone(use.Paths)
	}
	r.in[resource] = b
	b.set(resource, was, now)
}

// Forget has the servers told that a resource is gone.
func (r *Reporter) Forget(resource Resource) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.in[resource]; b != nil {
		b.forget(resource)
		delete(r.in, resource)
	}
}

// book finds or begins the book of a use; the mutex is held.
func (r *Reporter) book(use *Use) *book {
	key := bookKey{use.Login.Key(), use.Namespace}
	if key.namespace == "" {
		key.namespace = use.Login.Namespace
	}
	b := r.books[key]
	if b == nil {
		b = &book{
			reporter: r, key: key, login: use.Login, entries: make(map[Resource]*entry), gone: make(map[Resource]bool), wake: make(chan struct{}, 1),
			// Two logins may be one and the same to the server, which then tells their reports apart by this.
			instance: r.instance + "-" + hex.EncodeToString(key.login[:4]),
		}
		r.books[key] = b
		r.begin(b)
	}
	return b
}

// closed drops a book of which there is nothing more to tell. The mutex is held.
func (r *Reporter) closed(b *book) bool {
	if len(b.entries) > 0 || len(b.gone) > 0 {
		return false
	}
	delete(r.books, b.key)
	return true
}

// silence leaves a server alone for a while. The first time it is logged.
func (r *Reporter) silence(server vaultclient.Server, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, known := r.deaf[server.Key()]
	r.deaf[server.Key()] = time.Now().Add(deafFor)
	if !known {
		r.logger.Info("the server takes no reports of the resources that use its secrets: it is told nothing, and asked again once an hour", "server", server.Address, "status", status)
	}
}

// hears tells how long a server is to be left alone; 0: it may be told.
func (r *Reporter) hears(server vaultclient.ServerKey) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(0, time.Until(r.deaf[server]))
}
