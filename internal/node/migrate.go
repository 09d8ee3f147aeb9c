package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"strongroom/internal/barrier"
	"strongroom/internal/seal"
	"strongroom/internal/secret"
	"strongroom/internal/storage"
)

// migrate waits until this node is active and makes the configured seal the
// cluster's; or until another node has, or this one is sealed. held is what the
// old seal's people hold: it becomes the recovery key, or the unseal key. It owns held.
func (n *Node) migrate(ctx context.Context, m *member, held seal.Key) {
	defer secret.Bytes(held).Zero()
	tick := time.NewTicker(lookAlone)
	defer tick.Stop()
	for failed := false; ; {
		c, ok, err := n.sealConfig(m)
		switch {
		case m.barrier.Sealed():
			n.logger.Warn("sealed before the seal could be migrated: unseal with -migrate again")
			return
		case err == nil && ok && !n.migrating(c):
			n.logger.Info("seal migration is complete", "seal", c.Type)
			return
		case err == nil && n.session.Load() != nil:
			if err = n.migrateNow(ctx, m, held); err == nil {
				continue
			}
		}
		switch {
		case errors.Is(err, secret.ErrOpen):
			n.logger.Error("the seal is not migrated: its keys were changed after this node was given them; restart it and unseal with -migrate again", "error", err)
			return
		case err != nil && ctx.Err() == nil && !failed:
			n.logger.Error("the seal cannot be migrated yet; trying again", "error", err)
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (n *Node) migrateNow(ctx context.Context, m *member, held seal.Key) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return rewriteSeal(ctx, m.store, m.barrier, n.config.Seal, held)
}

// rewriteSeal makes to (nil: Shamir) the seal of the cluster in store, in one
// batch. The root key and everything under it stay; held was the old seal's unseal
// or recovery key and becomes the new one's.
func rewriteSeal(ctx context.Context, store storage.Store, b *barrier.Barrier, to seal.Auto, held seal.Key) error {
	tx := storage.Begin(store) // a rekey meanwhile writes core/seal too, so that the commit fails
	var c seal.Config
	if _, err := storage.GetJSON(ctx, tx, sealPath, &c); err != nil {
		return err
	}
	if err := stillHeld(ctx, b, c, held); err != nil {
		return err
	}
	root, err := b.RootKey(ctx)
	if err != nil {
		return err
	}
	defer root.Zero()
	key := held
	if to == nil {
		c.Type, c.Sealed = seal.Shamir, nil
		tx.Delete(recoveryPath)
	} else {
		key = seal.Key(secret.NewKey())
		defer secret.Bytes(key).Zero()
		c.Type = to.Type()
		if c.Sealed, err = to.Wrap(ctx, key); err != nil {
			return err
		}
		if err := putInside(tx, b, recoveryPath, held.Verifier()); err != nil {
			return err
		}
	}
	if c.Wrapped, err = key.Wrap(ctx, root); err != nil {
		return err
	}
	if err := errors.Join(putInside(tx, b, joinPath, key.JoinKey()), storage.PutJSON(tx, sealPath, c)); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("node: migrate the seal: %w", err)
	}
	return nil
}

// putInside writes what belongs inside the barrier with a batch that goes below it,
// and zeroes value.
func putInside(tx *storage.Tx, b *barrier.Barrier, path string, value []byte) error {
	box, err := b.Encrypt(path, value)
	clear(value)
	if err == nil {
		tx.Put(path, box)
	}
	return err
}

// stillHeld checks that held is the unseal key of c, or its recovery key; secret.ErrOpen if not.
func stillHeld(ctx context.Context, b *barrier.Barrier, c seal.Config, held seal.Key) error {
	if !c.Auto() {
		root, err := held.Unwrap(ctx, c.Wrapped)
		clear(root)
		return err
	}
	e, err := b.Get(ctx, recoveryPath)
	if err != nil {
		return err
	}
	if !held.Verify(e.Value) {
		return secret.ErrOpen
	}
	return nil
}
