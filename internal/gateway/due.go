package gateway

import (
	"context"
	"errors"
	"strings"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/lease"
	"strongroom/internal/mount"
	"strongroom/internal/storage"
)

// DueKind is the kind of engines' own items in the due index.
const DueKind = "mount"

// due is a visit as its engine's part of the due index. Its items are called
// namespace/uuid/id, by the mount's UUID.
type due visit

// Add implements engine.Due.
func (d *due) Add(at int64, id string) { d.Tx.Put(d.key(at, id), nil) }

// Remove implements engine.Due.
func (d *due) Remove(at int64, id string) { d.Tx.Delete(d.key(at, id)) }

func (d *due) key(at int64, id string) string {
	return lease.DueKey(at, DueKind, d.Namespace+"/"+d.Mount.Entry.UUID+"/"+id)
}

// Expire is the lease.Expirer of DueKind: it has the engine end what it asked
// to. What a disabled mount left is forgotten.
func (g *Gateway) Expire(ctx context.Context, tx *storage.Tx, it lease.Item) error {
	tx.Delete(lease.DueKey(it.At, it.Kind, it.ID))
	parts := strings.SplitN(it.ID, "/", 3)
	if len(parts) != 3 {
		return nil
	}
	routing, err := g.mounts.Routing(ctx, tx, parts[0])
	if errors.Is(err, mount.ErrNoNamespace) {
		return nil
	}
	if err != nil {
		return err
	}
	m := routing.ByUUID(parts[1])
	if m == nil {
		return nil
	}
	e, ok := m.Engine.(engine.Expirer)
	if !ok {
		return nil
	}
	req := expiring(tx, parts[0], m)
	if err := e.Expire(ctx, req, it.At, parts[2]); err != nil {
		return err
	}
	tree, _, err := g.forest.Tree(ctx, g.store)
	if err != nil {
		return err
	}
	if n := tree.ByID(parts[0]); n != nil {
		g.announce(tx, n, m, req)
	}
	return nil
}

func expiring(tx *storage.Tx, ns string, m *mount.Mounted) *engine.Request {
	v := &visit{Call: call.Call{Tx: tx, Namespace: ns, Mount: m}}
	return &engine.Request{Namespace: ns, Mount: m.Mount, Storage: tx.View(m.Prefix), Due: (*due)(v), Work: (*work)(v), Passwords: passwords{tx, ns}}
}
