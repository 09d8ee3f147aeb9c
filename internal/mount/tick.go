package mount

import (
	"context"
	"errors"
	"fmt"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// Tick has every engine of namespace ns that is an engine.Ticker do what is due,
// one transaction a piece of work, and says how many pieces were done. An engine
// that fails does not keep the others from theirs.
func (m *Manager) Tick(ctx context.Context, store storage.Store, ns string) (done int, err error) {
	routing, err := m.Routing(ctx, storage.Begin(store), ns)
	if err != nil {
		return 0, err
	}
	for _, mounted := range routing.byPath {
		ticker, ok := mounted.Engine.(engine.Ticker)
		if !ok {
			continue
		}
		n, terr := mounted.tick(ctx, store, ns, ticker)
		done += n
		if terr != nil {
			err = errors.Join(err, fmt.Errorf("mount %s: %w", mounted.Entry.Path, terr))
		}
	}
	return done, err
}

// tick calls ticker until nothing is due.
func (m *Mounted) tick(ctx context.Context, store storage.Store, ns string, ticker engine.Ticker) (done int, err error) {
	for {
		tx := storage.Begin(store)
		did, err := ticker.Tick(ctx, &engine.Request{Operation: engine.Update, Mount: m.Mount, Namespace: ns, Storage: tx.View(m.Prefix)})
		if err == nil && did {
			err = tx.Commit(ctx)
		}
		switch {
		case errors.Is(err, storage.ErrConflict) && ctx.Err() == nil:
			continue // others wrote first
		case err != nil || !did:
			return done, err
		}
		done++
	}
}
