package gateway

import (
	"context"

	"strongroom/engine"
	"strongroom/internal/lockout"
)

// LockOut has g count failed logins in guard, by the defaults where a mount says
// nothing else.
func (g *Gateway) LockOut(guard *lockout.Guard, defaults lockout.Defaults) {
	g.lockouts, g.lockoutDefaults = guard, defaults
}

// attempt runs the handler. Of a login it refuses whoever is locked out, and
// counts failures; the answer tells nobody whether the name exists, or whether
// it is the lock that refuses.
func (g *Gateway) attempt(ctx context.Context, v *visit) (*engine.Response, error) {
	if v.route.Login == nil || g.lockouts == nil {
		return v.handler(v.inside(ctx), v.engReq)
	}
	name := lockout.Name{Namespace: v.Namespace, Accessor: v.Mount.Entry.Accessor, Alias: v.route.Login(v.engReq)}
	config := g.lockoutDefaults.For(v.Mount.Entry.Type, v.Mount.Entry.Config.UserLockout.Config())
	if g.lockouts.Locked(name, config) {
		return nil, engine.ErrDenied
	}
	resp, err := v.handler(v.inside(ctx), v.engReq)
	switch {
	case engine.IsBadLogin(err):
		if g.lockouts.Failed(name, config) {
			g.logger.Warn("a user is locked out after too many failed logins", "mount", v.Mount.Entry.Path, "request_id", v.req.ID)
		}
	case err == nil && resp != nil && resp.Grant != nil && !g.lockouts.Passed(name, config):
		return nil, engine.ErrDenied
	}
	return resp, err
}
