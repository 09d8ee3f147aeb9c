package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/lease"
	"strongroom/internal/mount"
	"strongroom/internal/quota"
	"strongroom/internal/storage"
	"strongroom/internal/token"
)

const (
	revokeTimeout = time.Minute // of one attempt to end a lease
	atOnce        = 8           // attempts of one mount at the same time
	leaseBatch    = 200         // leases that one transaction changes at the most
)

// Lessor takes back what engines have lent: each mount's leases by workers of
// its own, so that a system that is gone holds no other mount up. It keeps
// nothing in memory but which mounts are being worked on. Safe for concurrent use.
type Lessor struct {
	store  storage.Store
	mounts *mount.Manager
	tokens *token.Store
	logger hclog.Logger
	quotas *quota.Store // nil: none

	mu      sync.Mutex
	busy    map[string]bool // mounts, by UUID, whose leases are being ended
	settled map[string]bool // disabled mounts all of whose leases have been told to end
	acting  map[string]chan struct{}
	work    sync.WaitGroup
}

func newLessor(store storage.Store, mounts *mount.Manager, tokens *token.Store, logger hclog.Logger) *Lessor {
	return &Lessor{store: store, mounts: mounts, tokens: tokens, logger: logger, busy: map[string]bool{}, settled: map[string]bool{}, acting: map[string]chan struct{}{}}
}

// Sweep starts to end the leases that are due, and does not wait for it.
func (l *Lessor) Sweep(ctx context.Context) (int, error) {
	queues, err := lease.Queues(ctx, l.store)
	if err != nil {
		return 0, err
	}
	started := 0
	for _, q := range queues {
		items, err := lease.Open(q[1]).Due(ctx, l.store, q[0], 1)
		if err != nil {
			return started, err
		}
		l.mu.Lock()
		if len(items) > 0 && !l.busy[q[0]] {
			l.busy[q[0]] = true
			l.work.Go(func() { l.workOff(ctx, q[1], q[0]) })
			started++
		}
		l.mu.Unlock()
	}
	return started, nil
}

// Wait waits for what Sweep has started; its context has ended.
func (l *Lessor) Wait() { l.work.Wait() }

// workOff ends the due leases of one mount, until one cannot be ended.
func (l *Lessor) workOff(ctx context.Context, ns, uuid string) {
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.busy, uuid)
	}()
	book := lease.Open(ns)
	for ctx.Err() == nil {
		items, err := book.Due(ctx, l.store, uuid, leaseBatch)
		if err != nil {
			l.logger.Error("cannot find the leases to end; it will be tried again", "error", err)
		}
		if err != nil || len(items) == 0 {
			return
		}
		err = each(items, func(it lease.Item) error {
			rec, err := l.take(ctx, ns, it.ID, it.At, false)
			if err == nil && rec == nil {
				err = l.forget(ctx, ns, it)
			}
			return err
		})
		if err != nil {
			if ctx.Err() == nil {
				l.logger.Warn("leases could not be ended and will be tried again", "mount", uuid, "error", err)
			}
			return
		}
	}
}

// each calls do for all items, a few at a time, and returns one of the errors.
func each[T any](items []T, do func(T) error) error {
	next := make(chan T)
	errs := make(chan error, atOnce)
	for range min(atOnce, len(items)) {
		go func() {
			var failed error
			for it := range next {
				if err := do(it); err != nil {
					failed = err
				}
			}
			errs <- failed
		}()
	}
	for _, it := range items {
		next <- it
	}
	close(next)
	var failed error
	for range min(atOnce, len(items)) {
		if err := <-errs; err != nil {
			failed = err
		}
	}
	return failed
}

// begin notes that the effect of the lease id is under way, until done is called: it
// is not ended meanwhile, as its end would find nothing yet.
func (l *Lessor) begin(id string) (done func()) {
	over := make(chan struct{})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acting[id] = over
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.acting, id)
		close(over)
	}
}

// await waits until the effect of the lease id is there, or takes longer than it may.
func (l *Lessor) await(ctx context.Context, id string) {
	l.mu.Lock()
	over := l.acting[id]
	l.mu.Unlock()
	if over == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	select {
	case <-over:
	case <-ctx.Done():
	}
}

// forget drops an item of a queue if it stands for no lease.
func (l *Lessor) forget(ctx context.Context, ns string, it lease.Item) error {
	tx := storage.Begin(l.store)
	rec, _, err := lease.Open(ns).Get(ctx, tx, it.ID)
	if err != nil || rec != nil && rec.Due == it.At {
		return err
	}
	tx.Delete(it.Key())
	return tx.Commit(ctx)
}

// take ends the lease id and returns its record, nil if there is none, or none
// that is due at the time due (0: whenever). If the engine fails, that is noted
// and returned; force forgets the lease all the same.
func (l *Lessor) take(ctx context.Context, ns, id string, due int64, force bool) (*lease.Lease, error) {
	book := lease.Open(ns)
	l.await(ctx, id)
	for range attempts {
		tx := storage.Begin(l.store)
		rec, _, err := book.Get(ctx, tx, id)
		if err != nil || rec == nil || due != 0 && rec.Due != due {
			return nil, err
		}
		cause := l.revoke(ctx, tx, ns, rec)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case cause != nil: // what the engine has written is dropped
			tx = storage.Begin(l.store)
			if rec, _, err = book.Get(ctx, tx, id); err != nil || rec == nil {
				return nil, err
			}
		}
		if cause != nil && !force {
			err = book.Failed(tx, rec, cause)
		} else {
			book.Remove(tx, rec)
			l.free(tx, rec)
		}
		if err == nil {
			err = tx.Commit(ctx)
		}
		if errors.Is(err, storage.ErrConflict) {
			continue // the engine's Revoke can be repeated
		}
		if err == nil && cause != nil && !force {
			err = fmt.Errorf("failed to revoke %q: %w", id, cause)
		}
		return rec, err
	}
	return nil, engine.Errorf(engine.Unavailable, "too many clients change the lease %q; it has not ended: try again", id)
}

// free is told of the end of rec, which a quota may count.
func (l *Lessor) free(tx *storage.Tx, rec *lease.Lease) {
	if l.quotas != nil && rec.Quota != "" {
		l.quotas.Free(tx, rec.Quota, rec.ID)
	}
}

// revoke has the engine end rec, if its mount is still known.
func (l *Lessor) revoke(ctx context.Context, tx *storage.Tx, ns string, rec *lease.Lease) error {
	m, err := l.mounted(ctx, tx, ns, rec.Mount)
	if err != nil {
		return err
	}
	if m == nil {
		l.logger.Warn("a lease is forgotten: its mount is no more", "lease_id", rec.ID)
		return nil
	}
	r, ok := m.Engine.(engine.Revoker)
	if !ok {
		return fmt.Errorf("the engine at %s cannot end leases", m.Entry.Path)
	}
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	return r.Revoke(ctx, expiring(tx, ns, m), rec.Revoke)
}

// mounted is the mount, also if it has been disabled and its data not deleted yet.
func (l *Lessor) mounted(ctx context.Context, tx *storage.Tx, ns, uuid string) (*mount.Mounted, error) {
	routing, err := l.mounts.Routing(ctx, tx, ns)
	if errors.Is(err, mount.ErrNoNamespace) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if m := routing.ByUUID(uuid); m != nil {
		return m, nil
	}
	return l.mounts.Retired(ctx, tx, uuid)
}

// Renew gives rec, of the namespace in, the life asked for (0: its first one) in tx,
// as far as its limits and its engine allow, and returns what the caller should know
// about it.
func (l *Lessor) Renew(ctx context.Context, tx *storage.Tx, in *call.Place, rec *lease.Lease, increment time.Duration) ([]string, error) {
	now := time.Now()
	if !rec.Renewable {
		return nil, engine.Invalidf("lease is not renewable")
	}
	left := time.Duration(rec.Issued+rec.Max-now.Unix()) * time.Second
	ttl, warning := capped(increment, time.Duration(rec.TTL)*time.Second, left)
	m := in.Routing.ByUUID(rec.Mount)
	if m == nil {
		return nil, engine.Invalidf("lease not found")
	}
	if r, ok := m.Engine.(engine.LeaseRenewer); ok {
		got, err := r.RenewLease(ctx, expiring(tx, in.Here.ID, m), engine.Lease{TTL: ttl, MaxTTL: left, Renewable: true, Revoke: rec.Revoke})
		if err != nil {
			return nil, err
		}
		rec.Renewable = got.Renewable
		if got.MaxTTL > 0 {
			left = min(left, got.MaxTTL)
		}
		ttl = min(got.TTL, left)
	}
	var warnings []string
	if warning != "" {
		warnings = append(warnings, warning)
	}
	return warnings, lease.Open(in.Here.ID).Extend(tx, rec, now.Unix()+seconds(ttl))
}

// endSoon has the lease id ended by the next Sweep.
func (l *Lessor) endSoon(ctx context.Context, ns, id string) error {
	return again(ctx, func() error {
		tx := storage.Begin(l.store)
		rec, _, err := lease.Open(ns).Get(ctx, tx, id)
		if err != nil || rec == nil {
			return err
		}
		if err := lease.Open(ns).End(tx, rec); err != nil {
			return err
		}
		return tx.Commit(ctx)
	})
}

// folder is prefix as the beginning of ids: whole segments.
func folder(prefix string) string {
	if prefix == "" || strings.HasSuffix(prefix, "/") {
		return prefix
	}
	return prefix + "/"
}
