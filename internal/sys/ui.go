package sys

import (
	"context"
	"strings"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/mount"
)

// uiRoutes serve what clients ask before they know the mounts: `vault kv` and
// the operator find the version of a KV engine here. Any token may ask; it sees
// the mounts in which its policies grant it something.
func (d *Deps) uiRoutes() []engine.Route {
	return []engine.Route{
		{Path: "internal/ui/mounts", Help: "The mounts the calling token can use, and those that anyone may know of (listing_visibility).", Public: true, Self: true, AnyNode: true,
			Answers: engine.Answers{engine.Read: uiMounts{}}, Read: d.uiMounts},
		{Path: "internal/ui/mounts/{path...}", Help: "The mount that a path falls in.", Answers: engine.Answers{engine.Read: uiMount{}}, Self: true, AnyNode: true, Read: d.uiMount},
		{Path: "internal/ui/namespaces", Help: "The namespaces the calling token can use.", Answers: engine.Answers{engine.Read: engine.Keys{}}, Self: true, AnyNode: true, Read: uiNamespaces},
		{Path: "internal/ui/resultant-acl", Help: "What the calling token's policies grant together.", Answers: engine.Answers{engine.Read: resultantACL{}}, Self: true, AnyNode: true, Read: d.resultantACL},
		{Path: "internal/ui/feature-flags", Help: "Kept for compatibility.", Public: true, AnyNode: true, Answers: engine.Answers{engine.Read: uiFeatureFlags{}}, Read: uiFeatures},
		{Path: "replication/status", Help: "Kept for compatibility: there is no replication between clusters.", Public: true, AnyNode: true,
			Answers: engine.Answers{engine.Read: engine.TopLevel{Data: replicationStatus{}}}, Read: noReplication},
	}
}

// uiMounts lists the mounts in which the caller's policies grant something, and to everyone, so that a sign-in page knows
// what to offer, those tuned to listing_visibility=unauth: what they are, and nothing of how they are set up
// (https://developer.hashicorp.com/vault/api-docs/system/internal-ui-mounts).
func (d *Deps) uiMounts(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	auth, secret := map[string]any{}, map[string]any{}
	for path, m := range c.Routing.All() {
		about := describe(m)
		switch {
		case c.ACL != nil && c.ACL.AllowsUnder(c.Prefix+path):
		case m.Entry.Config.ListingVisibility == "unauth":
			about = map[string]any{"type": about["type"], "description": about["description"], "options": about["options"]}
		default:
			continue
		}
		if name, ok := strings.CutPrefix(path, "auth/"); ok {
			auth[name] = about
		} else {
			secret[path] = about
		}
	}
	return &engine.Response{Data: map[string]any{"auth": auth, "secret": secret}}, nil
}

func (d *Deps) uiMount(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	path := req.Data.String("path")
	n, rest := c.Tree.Resolve(strings.Trim(c.Here.Path, "/"), path) // the path may go further below
	p, err := c.Reach(ctx, n.ID)
	if err != nil {
		return nil, err
	}
	var m *mount.Mounted
	ok, below := false, n.Path[len(c.Here.Path):]
	if p != nil {
		m, _, ok = p.Routing.Find(rest)
	}
	if !ok || !c.ACL.AllowsUnder(c.Prefix+below+m.Entry.Path) { // the same answer for both: mounts are not told to strangers
		return nil, engine.Errorf(engine.Denied, "preflight capability check returned 403, please ensure client's policies grant access to path %q", strings.TrimSuffix(path, "/")+"/")
	}
	out := describe(m)
	out["path"] = below + m.Entry.Path
	return &engine.Response{Data: out}, nil
}

// uiNamespaces lists the namespaces below the request's in which the caller's
// policies grant something.
func uiNamespaces(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	c, keys := call.From(ctx), []string{}
	for _, n := range c.Tree.Below(c.Here, false) {
		path := n.Path[len(c.Here.Path):]
		if !n.Deleting && c.ACL.AllowsUnder(c.Prefix+path) {
			keys = append(keys, path)
		}
	}
	return &engine.Response{Data: map[string]any{"keys": keys}}, nil
}

func uiFeatures(context.Context, *engine.Request) (*engine.Response, error) {
	return &engine.Response{Data: map[string]any{"feature_flags": []string{}}}, nil
}

func noReplication(context.Context, *engine.Request) (*engine.Response, error) {
	disabled := map[string]string{"mode": "disabled"}
	return &engine.Response{TopLevel: true, Data: map[string]any{"dr": disabled, "performance": disabled}}, nil
}

// resultantACL is the caller's rules by path; a glob's without its star.
func (d *Deps) resultantACL(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	rules, root := c.ACL.Rules()
	exact, glob := map[string]any{}, map[string]any{}
	for _, r := range rules {
		entry := map[string]any{"capabilities": r.Capabilities.Names()}
		path, isGlob := strings.CutSuffix(r.Path, "*")
		below, ok := strings.CutPrefix(path, c.Prefix) // as paths are called here
		switch {
		case isGlob && strings.HasPrefix(c.Prefix, path):
			glob[""] = entry
		case isGlob && ok:
			glob[below] = entry
		case ok:
			exact[below] = entry
		}
	}
	return &engine.Response{Data: map[string]any{"root": root, "exact_paths": exact, "glob_paths": glob}}, nil
}
