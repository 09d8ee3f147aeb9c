package gateway

import (
	"context"

	"strongroom/engine"
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
			return g.tokens.Fill(ctx, v.Tx, v.Token.ID)
		}
	}
	return nil
}

// SweepPersonal deletes what ended tokens had on personal mounts, and says how
// many keys it deleted.
func (g *Gateway) SweepPersonal(ctx context.Context) (int, error) {
	routing, err := g.mounts.Routing(ctx, storage.Begin(g.store), Namespace)
	if err != nil {
		return 0, err
	}
	var prefixes []string
	for _, m := range routing.All() {
		if m.Personal {
			prefixes = append(prefixes, m.Prefix)
		}
	}
	return g.tokens.SweepCubbyholes(ctx, g.store, prefixes)
}
