package gateway

import "context"

// Authorize does all that Serve does before and beside a handler, for a request
// whose body is a stream that httpapi gives to the node itself: it admits req,
// asks the caller's rules for its path, and spends a use of the token. The path
// is one of a route of sys; req.Body is empty. An error is the answer to the
// client; after storage.ErrNotLeader nothing has happened.
func (g *Gateway) Authorize(ctx context.Context, req *Request) error {
	rec := &recording{g: g}
	err := again(ctx, func() error { return g.begin(ctx, req, rec) })
	// The stream that follows is not recorded: that it begins is, before it does.
	_, err = rec.response(ctx, &Response{Empty: true}, err)
	return err
}

// begin admits req, records it, and spends a use of its token.
func (g *Gateway) begin(ctx context.Context, req *Request, rec *recording) error {
	v, err := g.admit(ctx, req)
	if err := rec.request(ctx, v, err); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	if err := v.spend(v.Tx, v.Token); err != nil {
		return err
	}
	return v.Tx.Commit(ctx)
}
