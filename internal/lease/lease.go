// Package lease owns the due index and the records of leases: everything that
// expires stands in storage as a key in the order of its time, so that nothing is
// loaded at unseal and no timer exists a lease. What is due it hands to the owner
// of its kind. It never knows what a lease is for, and calls no engine.
package lease

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/storage"
)

const duePrefix = "lease/due/"

// DueKey is the index key of id of kind, due at the given time (Unix, in
// seconds). Its value is empty. Each kind, which has no '/', is a queue of its
// own: one that cannot be worked off holds no other up.
func DueKey(at int64, kind, id string) string {
	return fmt.Sprintf("%s%s/%020d/%s", duePrefix, kind, at, id)
}

// Item is something that is due.
type Item struct {
	At       int64 // Unix time, seconds
	Kind, ID string
}

// Key is the item's key in the index.
func (it Item) Key() string { return DueKey(it.At, it.Kind, it.ID) }

func parseDue(key string) (Item, error) {
	parts := strings.SplitN(strings.TrimPrefix(key, duePrefix), "/", 3)
	if len(parts) != 3 {
		return Item{}, fmt.Errorf("lease: malformed key %q in the due index", key)
	}
	at, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return Item{}, fmt.Errorf("lease: malformed key %q in the due index", key)
	}
	return Item{at, parts[0], parts[2]}, nil
}

// Queue yields the items of kind in the order of their time, due or not.
func Queue(ctx context.Context, store storage.Store, kind string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for k, err := range store.Keys(ctx, duePrefix+kind+"/", "") {
			var it Item
			if err == nil {
				it, err = parseDue(k)
			}
			if !yield(it, err) || err != nil {
				return
			}
		}
	}
}

// Due returns up to limit items of kind that are due at now, the oldest first.
func Due(ctx context.Context, store storage.Store, kind string, now time.Time, limit int) ([]Item, error) {
	var items []Item
	for it, err := range Queue(ctx, store, kind) {
		if err != nil {
			return nil, err
		}
		if it.At > now.Unix() || len(items) == limit {
			break
		}
		items = append(items, it)
	}
	return items, nil
}

// Expirer ends one due item in a transaction, the index key included; it is
// called again after a conflict, and must delete the key even if the item is gone.
type Expirer func(ctx context.Context, tx *storage.Tx, it Item) error

// Sweep ends what is due now of the kinds named, one transaction an item, and
// says how many it ended.
func Sweep(ctx context.Context, store storage.Store, expirers map[string]Expirer) (int, error) {
	const batch = 256
	done := 0
	for kind, expire := range expirers {
		for {
			items, err := Due(ctx, store, kind, time.Now(), batch)
			if err != nil {
				return done, err
			}
			for _, it := range items {
				if err := attempt(ctx, store, it, expire); err != nil {
					return done, fmt.Errorf("lease: end a %s: %w", it.Kind, err)
				}
				done++
			}
			if len(items) < batch {
				break
			}
		}
	}
	return done, nil
}

func attempt(ctx context.Context, store storage.Store, it Item, expire Expirer) error {
	for {
		tx := storage.Begin(store)
		if err := expire(ctx, tx, it); err != nil {
			return err
		}
		if err := tx.Commit(ctx); !errors.Is(err, storage.ErrConflict) {
			return err
		}
	}
}

// Job is periodic work on a store, such as Sweep.
type Job func(ctx context.Context) (int, error)

// Run does jobs every second until ctx ends, logging failures.
func Run(ctx context.Context, logger hclog.Logger, jobs map[string]Job) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for name, job := range jobs {
			if n, err := job(ctx); err != nil && ctx.Err() == nil {
				logger.Error("background work failed and will be tried again", "job", name, "error", err)
			} else if n > 0 {
				logger.Debug("background work done", "job", name, "items", n)
			}
		}
	}
}
