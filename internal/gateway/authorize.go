package gateway

import (
	"context"
	"errors"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// Authorize does all that Serve does before and beside a handler, for a request
// whose body is a stream that httpapi gives to the node itself: it admits req,
// asks the caller's rules for its path, and spends a use of the token. The path
// is one of a route of sys; req.Body is empty. An error is the answer to the
// client; after storage.ErrNotLeader nothing has happened.
func (g *Gateway) Authorize(ctx context.Context, req *Request) error {
	for range attempts {
		err := g.authorizeOnce(ctx, req)
		if !errors.Is(err, storage.ErrConflict) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return engine.Errorf(engine.Unavailable, "too many clients write the same data; nothing was done: try again")
}

func (g *Gateway) authorizeOnce(ctx context.Context, req *Request) error {
	v, err := g.admit(ctx, req)
	if err != nil {
		return err
	}
	if err := g.spend(v.Tx, v.Token); err != nil {
		return err
	}
	return v.Tx.Commit(ctx)
}
