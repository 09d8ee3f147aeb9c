package gateway

import (
	"context"
	"errors"

	"strongroom/engine"
	"strongroom/internal/mount"
	"strongroom/internal/storage"
)

// slice is the storage that the mount's handlers see: of a personal mount, the
// calling token's part.
func (v *visit) slice() storage.View {
	if v.Mount.Personal {
		return v.Tx.View(v.Mount.Prefix + v.Token.ID + "/")
	}
	return v.Tx.View(v.Mount.Prefix)
}

// keep has the calling token's end delete what was written to a personal mount.
func (g *Gateway) keep(ctx context.Context, v *visit) error {
	switch v.engReq.Operation {
	case engine.Create, engine.Update, engine.Patch:
		if v.Mount.Personal {
			elsewhere := ""
			if v.Home.Here != v.Here {
				elsewhere = v.Mount.Prefix
			}
			return v.Home.Tokens.Fill(ctx, v.Tx, v.Token.ID, elsewhere)
		}
	}
	return nil
}

// SweepPersonal deletes what ended tokens had on personal mounts, and says how
// many keys it deleted.
func (g *Gateway) SweepPersonal(ctx context.Context) (int, error) {
	return g.tokens.SweepCubbyholes(ctx, g.store, func(ns string) ([]string, error) {
		routing, err := g.mounts.Routing(ctx, storage.Begin(g.store), ns)
		if errors.Is(err, mount.ErrNoNamespace) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		var prefixes []string
		for _, m := range routing.All() {
			if m.Personal {
				prefixes = append(prefixes, m.Prefix)
			}
		}
		return prefixes, nil
	})
}
