package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/engine"
	"strongroom/internal/lease"
	"strongroom/internal/mount"
	"strongroom/internal/password"
	"strongroom/internal/storage"
)

const (
	workTimeout = time.Minute // of one attempt
	workRetry   = time.Minute // after an error that the engine has not dealt with
)

// work is a visit as its engine's part of the queue of what it is to do elsewhere.
type work visit

// Add implements engine.Due.
func (w *work) Add(at int64, id string) { w.Tx.Put(w.key(at, id), nil) }

// Remove implements engine.Due.
func (w *work) Remove(at int64, id string) { w.Tx.Delete(w.key(at, id)) }

func (w *work) key(at int64, id string) string {
	return lease.DueKey(at, lease.WorkKind(w.Mount.Entry.UUID, w.Namespace), id)
}

// desk is the engine.Desk of one mount.
type desk struct {
	store    storage.Store
	mounts   *mount.Manager
	ns, uuid string
}

// errNoMount: the mount is disabled, or its namespace deleted.
var errNoMount = engine.Errorf(engine.NotFound, "the mount has been disabled: nothing was written")

// Commit implements engine.Desk. The mount table is a condition of the commit, so
// that nothing is written for a mount which is no more.
func (d desk) Commit(ctx context.Context, do func(ctx context.Context, req *engine.Request) error) error {
	return again(ctx, func() error {
		tx := storage.Begin(d.store)
		m, err := d.mount(ctx, tx)
		if err != nil {
			return err
		}
		if err := do(ctx, expiring(tx, d.ns, m)); err != nil {
			return err
		}
		return tx.Commit(ctx)
	})
}

// mount is the live mount as tx sees it, or errNoMount.
func (d desk) mount(ctx context.Context, tx *storage.Tx) (*mount.Mounted, error) {
	routing, err := d.mounts.Routing(ctx, tx, d.ns)
	if errors.Is(err, mount.ErrNoNamespace) {
		return nil, errNoMount
	}
	if err != nil {
		return nil, err
	}
	m := routing.ByUUID(d.uuid)
	if m == nil {
		return nil, errNoMount
	}
	return m, nil
}

// passwords is the engine.Passwords of a transaction.
type passwords struct {
	tx *storage.Tx
	ns string
}

// Generate implements engine.Passwords.
func (p passwords) Generate(ctx context.Context, policy string) (string, error) {
	e, err := p.tx.Get(ctx, password.Key(p.ns, policy))
	if err != nil {
		return "", err
	}
	if !e.Exists() {
		return "", engine.Invalidf("there is no password policy %q: write it at sys/policies/password/%s", policy, policy)
	}
	parsed, err := password.Parse(string(e.Value))
	if err != nil {
		return "", fmt.Errorf("password policy %q: %w", policy, err)
	}
	made, err := parsed.Generate()
	if err != nil {
		return "", engine.Invalidf("the password policy %q: %v", policy, err)
	}
	return made, nil
}

// Workers has engines do what they have to do elsewhere: each mount's items by a
// worker of its own, as Lessor ends leases. Safe for concurrent use.
type Workers struct {
	store  storage.Store
	mounts *mount.Manager
	logger hclog.Logger

	mu   sync.Mutex
	busy map[string]bool // mounts, by UUID, whose work is being done
	work sync.WaitGroup
}

func newWorkers(store storage.Store, mounts *mount.Manager, logger hclog.Logger) *Workers {
	return &Workers{store: store, mounts: mounts, logger: logger, busy: map[string]bool{}}
}

// Sweep starts to do what is due, and does not wait for it.
func (w *Workers) Sweep(ctx context.Context) (int, error) {
	queues, err := lease.WorkQueues(ctx, w.store)
	if err != nil {
		return 0, err
	}
	started := 0
	for _, q := range queues {
		d := desk{w.store, w.mounts, q[1], q[0]}
		items, err := w.due(ctx, d)
		if err != nil {
			return started, err
		}
		w.mu.Lock()
		if len(items) > 0 && !w.busy[d.uuid] {
			w.busy[d.uuid] = true
			w.work.Go(func() {
				defer w.idle(d.uuid)
				w.workOff(ctx, d, items)
			})
			started++
		}
		w.mu.Unlock()
	}
	return started, nil
}

func (w *Workers) due(ctx context.Context, d desk) ([]lease.Item, error) {
	return lease.Due(ctx, w.store, lease.WorkKind(d.uuid, d.ns), time.Now(), leaseBatch)
}

func (w *Workers) idle(uuid string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.busy, uuid)
}

// Wait waits for what Sweep has started; its context has ended.
func (w *Workers) Wait() { w.work.Wait() }

// workOff does the items, a few at a time. Each is settled whatever comes of it, so
// none holds up the others.
func (w *Workers) workOff(ctx context.Context, d desk, items []lease.Item) {
	err := each(items, func(it lease.Item) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return w.settle(ctx, it, w.do(ctx, d, it))
	})
	if err != nil && ctx.Err() == nil {
		w.logger.Warn("work of an engine could not be noted as done, and will be done again", "mount", d.uuid, "error", err)
	}
}

// do has the engine do it. What a disabled mount left is done.
func (w *Workers) do(ctx context.Context, d desk, it lease.Item) error {
	m, err := d.mount(ctx, storage.Begin(w.store))
	if err == errNoMount {
		return nil
	}
	if err != nil {
		return err
	}
	e, ok := m.Engine.(engine.Worker)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	if err = e.Work(ctx, d, it.At, it.ID); err != nil && ctx.Err() != context.Canceled {
		w.logger.Warn("work of an engine failed and will be tried again", "mount", m.Entry.Path, "after", workRetry, "error", err)
	}
	return err
}

// settle takes it from the queue, or puts it where it comes up again. What the node
// was stopped at stays where it is: the next active node finds it.
func (w *Workers) settle(ctx context.Context, it lease.Item, failed error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return again(ctx, func() error {
		tx := storage.Begin(w.store)
		tx.Delete(it.Key())
		if failed != nil {
			tx.Put(lease.Item{At: time.Now().Add(workRetry).Unix(), Kind: it.Kind, ID: it.ID}.Key(), nil)
		}
		return tx.Commit(ctx)
	})
}
