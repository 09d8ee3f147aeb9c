package sys

import (
	"context"
	"strings"

	"strongroom/engine"
	"strongroom/internal/call"
)

// uiRoutes serve what clients ask before they know the mounts: `vault kv` and
// the operator find the version of a KV engine here. Any token may ask; it sees
// the mounts in which its policies grant it something.
func (d *Deps) uiRoutes() []engine.Route {
	return []engine.Route{
		{Path: "internal/ui/mounts", Help: "The mounts the calling token can use.", Self: true, AnyNode: true, Read: d.uiMounts},
		{Path: "internal/ui/mounts/{path...}", Help: "The mount that a path falls in.", Self: true, AnyNode: true, Read: d.uiMount},
	}
}

func (d *Deps) uiMounts(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	auth, secret := map[string]any{}, map[string]any{}
	for path, m := range c.Routing.All() {
		if !c.ACL.AllowsUnder(path) {
			continue
		}
		if name, ok := strings.CutPrefix(path, "auth/"); ok {
			auth[name] = describe(m)
		} else {
			secret[path] = describe(m)
		}
	}
	return &engine.Response{Data: map[string]any{"auth": auth, "secret": secret}}, nil
}

func (d *Deps) uiMount(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	path := req.Data.String("path")
	m, _, ok := c.Routing.Find(path)
	if !ok || !c.ACL.AllowsUnder(m.Entry.Path) { // the same answer for both: mounts are not told to strangers
		return nil, engine.Errorf(engine.Denied, "preflight capability check returned 403, please ensure client's policies grant access to path %q", strings.TrimSuffix(path, "/")+"/")
	}
	out := describe(m)
	out["path"] = m.Entry.Path
	return &engine.Response{Data: out}, nil
}
