// Package lease owns the due index: everything that expires stands in storage
// as a key in the order of its time, so that nothing is loaded at unseal and no
// timer exists a lease. What is due it hands to the owner of its kind. It never
// knows what a lease is for.
package lease

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/storage"
)

const duePrefix = "lease/due/"

// DueKey is the index key of id of kind, due at the given time (seconds). Its
// value is empty.
func DueKey(at int64, kind, id string) string {
	return fmt.Sprintf("%s%020d/%s/%s", duePrefix, at, kind, id)
}

// Item is something that is due.
type Item struct {
	At       int64 // Unix time, seconds
	Kind, ID string
}

func parseDue(key string) (Item, error) {
	parts := strings.SplitN(strings.TrimPrefix(key, duePrefix), "/", 3)
	if len(parts) != 3 {
		return Item{}, fmt.Errorf("lease: malformed key %q in the due index", key)
	}
	at, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil {
		return Item{}, fmt.Errorf("lease: malformed key %q in the due index", key)
	}
	return Item{at, parts[1], parts[2]}, nil
}

// Due returns up to limit items that are due at now, the oldest first.
func Due(ctx context.Context, store storage.Store, now time.Time, limit int) ([]Item, error) {
	var items []Item
	for k, err := range store.Keys(ctx, duePrefix, "") {
		if err != nil {
			return nil, err
		}
		it, err := parseDue(k)
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

// Sweep ends what is due now, one transaction an item, and says how many it ended.
func Sweep(ctx context.Context, store storage.Store, expirers map[string]Expirer) (int, error) {
	const batch = 256
	for done := 0; ; {
		items, err := Due(ctx, store, time.Now(), batch)
		if err != nil {
			return done, err
		}
		for _, it := range items {
			expire := expirers[it.Kind]
			if expire == nil {
				return done, fmt.Errorf("lease: nothing can end a %q", it.Kind)
			}
			if err := attempt(ctx, store, it, expire); err != nil {
				return done, fmt.Errorf("lease: end a %s: %w", it.Kind, err)
			}
			done++
		}
		if len(items) < batch {
			return done, nil
		}
	}
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
