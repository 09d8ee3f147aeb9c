package engine

import "context"

// Renewer is implemented by an auth method that has a say in the renewal of the
// tokens that its logins gave.
type Renewer interface {
	// Renew answers what such a login would give now: its times are those of the
	// renewal. Where it has Alias, its Groups (and Metadata, unless nil) are what the
	// caller's external groups and alias become. An error refuses the renewal, and ends nothing. g is what was
	// granted: Role, Policies (as the token has them), Metadata and Proof; req is
	// the request to renew, with the method's own Storage and Mount.
	Renew(ctx context.Context, req *Request, g *Grant) (*Grant, error)
}
