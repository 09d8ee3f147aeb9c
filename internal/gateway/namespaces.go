package gateway

import (
	"context"
	"fmt"

	"strongroom/internal/lease"
	"strongroom/internal/mount"
	"strongroom/internal/namespace"
	"strongroom/internal/storage"
)

// SweepNamespaces goes on with the deletion of the namespaces that are doomed, and
// says how many are gone. Each step is a bounded batch that says in storage how far
// it is, so that the next active node goes on where one stopped: tokens and leases
// are told to end, mounts are disabled, and when their leases have ended outside too
// and their data is deleted, so is the rest.
func (l *Lessor) SweepNamespaces(ctx context.Context) (int, error) {
	gone := 0
	for id, err := range namespace.Doomed(ctx, l.store) {
		if err != nil {
			return gone, err
		}
		done, err := l.deleteNamespace(ctx, id)
		if err != nil {
			return gone, fmt.Errorf("gateway: delete a namespace: %w", err)
		}
		if done {
			gone++
		}
	}
	return gone, nil
}

func (l *Lessor) deleteNamespace(ctx context.Context, id string) (done bool, err error) {
	if err := l.endUnder(ctx, id, "", "", func(*storage.Tx) {}); err != nil {
		return false, err
	}
	if err := l.endTokens(ctx, id); err != nil {
		return false, err
	}
	if err := mount.RemoveAll(ctx, l.store, id); err != nil {
		return false, err
	}
	book := lease.Open(id)
	for stuck, err := range book.Irrevocables(ctx, storage.Begin(l.store)) {
		if err != nil {
			return false, err
		}
		// Nobody can ask for revoke-force there any more.
		l.logger.Warn("a lease of a deleted namespace is forgotten: it could not be ended, so what it gave may still work", "lease_id", stuck, "namespace_id", id)
		if _, err := l.take(ctx, id, stuck, 0, true); err != nil {
			return false, err
		}
	}
	if left, err := mount.Doomed(ctx, l.store, id); err != nil || left {
		return false, err
	}
	if err := deleteBelow(ctx, l.store, "ns/"+id+"/"); err != nil {
		return false, err
	}
	return true, again(ctx, func() error {
		tx := storage.Begin(l.store)
		if err := namespace.Forget(ctx, tx, id); err != nil {
			return err
		}
		return tx.Commit(ctx)
	})
}

// endTokens ends what is left of the tokens of namespace ns, a bounded batch a
// transaction: those that never expire have no lease, and may be noted as children
// of tokens outside.
func (l *Lessor) endTokens(ctx context.Context, ns string) error {
	tokens := l.tokens.At(ns)
	for {
		n := 0
		err := again(ctx, func() error {
			tx := storage.Begin(l.store)
			n = 0
			for id, err := range tokens.IDs(ctx, l.store) {
				if err == nil {
					_, err = tokens.End(ctx, tx, "", id, "")
				}
				if err != nil {
					return err
				}
				if n++; n == leaseBatch {
					break
				}
			}
			return tx.Commit(ctx)
		})
		if err != nil || n == 0 {
			return err
		}
	}
}

// deleteBelow deletes all keys below prefix, a bounded batch a transaction.
func deleteBelow(ctx context.Context, store storage.Store, prefix string) error {
	const batch = 500
	for {
		tx, n := storage.Begin(store), 0
		for k, err := range store.Keys(ctx, prefix, "") {
			if err != nil {
				return err
			}
			tx.Delete(k)
			if n++; n == batch {
				break
			}
		}
		if n == 0 {
			return nil
		}
		if err := tx.Commit(ctx); err != nil {
			return err
		}
	}
}
