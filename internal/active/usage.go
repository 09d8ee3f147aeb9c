package active

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/gateway"
	"strongroom/internal/lease"
	"strongroom/internal/metrics"
	"strongroom/internal/mount"
	"strongroom/internal/namespace"
	"strongroom/internal/storage"
	"strongroom/internal/token"
)

// usage counts what only a look at all of it tells. It looks when somebody
// asks, seldom, and behind the answer; nothing is counted that nobody asks for.
type usage struct {
	store  storage.Store
	mounts *mount.Manager
	every  time.Duration
	logger hclog.Logger
	ctx    context.Context // of the Session

	mu      sync.Mutex
	last    *counts // nil: not counted yet
	running chan struct{}
}

type counts struct {
	at             time.Time
	leases, tokens int
	byMount        []mountLeases
}

// mountLeases is how many leases and tokens a mount has given that have not ended.
type mountLeases struct {
	namespace, mount string // "root", or its path; "auth/kubernetes/"
	leases           int
}

// maxLabelled is how many mounts are told of one by one, those with the most leases: each is a series in whatever scrapes.
const maxLabelled = 500

// Usage emits what the events' bus tells of itself, and how many leases and tokens there are, as of at most the
// configuration's usage_gauge_period ago. The first time it waits for the count
// until ctx ends.
func (s *Session) Usage(ctx context.Context, emit metrics.Emit) {
	if s.bus != nil {
		st := s.bus.Stats()
		emit("events.subscribers", float64(st.Subscribers))
		emit("events.published", float64(st.Published))
		emit("events.cut_off", float64(st.Cut))
	}
	if c := s.usage.get(ctx); c != nil {
		emit("expire.num_leases", float64(c.leases))
		emit("token.count", float64(c.tokens))
		for _, m := range c.byMount {
			emit("expire.leases.by_mount", float64(m.leases), metrics.Label{Name: "namespace", Value: m.namespace}, metrics.Label{Name: "mount_point", Value: m.mount})
		}
	}
}

func (u *usage) get(ctx context.Context) *counts {
	u.mu.Lock()
	if u.running == nil && u.ctx.Err() == nil && (u.last == nil || time.Since(u.last.at) >= u.every) {
		u.running = make(chan struct{})
		go u.count(u.ctx) // it only reads, and ends with the Session
	}
	last, running := u.last, u.running
	u.mu.Unlock()
	if last != nil {
		return last
	}
	select {
	case <-running:
	case <-ctx.Done():
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last
}

// count walks the due index, and the ids of leases and tokens: two million keys take some seconds. They are counted here, and not
// as they come and go: a counter that is written with each lease is one more key that all who lend at once conflict over, and one that
// is not has to be made anew by this very walk after each failover.
func (u *usage) count(ctx context.Context) {
	c := &counts{at: time.Now()}
	var err error
	c.leases, c.tokens, err = lease.Count(ctx, u.store, token.LeaseKind, gateway.DueKind)
	if err == nil {
		c.byMount, err = u.countByMount(ctx)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if err == nil {
		u.last = c
	} else {
		u.logger.Warn("cannot count the leases for the metrics", "error", err)
	}
	close(u.running)
	u.running = nil
}

// countByMount walks the ids of all leases and tokens, each of which begins with its mount's path. Those of a mount that was disabled, and that
// are being ended, are nobody's.
func (u *usage) countByMount(ctx context.Context) ([]mountLeases, error) {
	tx := storage.Begin(u.store)
	tree, err := namespace.Load(ctx, tx)
	if err != nil {
		return nil, err
	}
	var all []mountLeases
	for _, n := range append(tree.Below(tree.Root(), false), tree.Root()) {
		routing, err := u.mounts.Routing(ctx, tx, n.ID)
		if errors.Is(err, mount.ErrNoNamespace) {
			continue // it is being deleted
		}
		if err != nil {
			return nil, err
		}
		found := map[string]int{}
		for id, err := range lease.Open(n.ID).Under(ctx, u.store, "", "") {
			if err != nil {
				return nil, err
			}
			if m, _, ok := routing.Find(id); ok {
				found[m.Entry.Path]++
			}
		}
		for path, leases := range found {
			all = append(all, mountLeases{cmp.Or(strings.TrimSuffix(n.Path, "/"), "root"), path, leases})
		}
	}
	return mostLeases(all, maxLabelled), nil
}

// mostLeases are the mounts with the most leases; those beyond are one together.
func mostLeases(all []mountLeases, most int) []mountLeases {
	slices.SortFunc(all, func(a, b mountLeases) int {
		return cmp.Or(cmp.Compare(b.leases, a.leases), cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.mount, b.mount))
	})
	if len(all) <= most {
		return all
	}
	rest := mountLeases{"other", "other", 0}
	for _, m := range all[most:] {
		rest.leases += m.leases
	}
	return append(all[:most:most], rest)
}
