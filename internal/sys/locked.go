package sys

import (
	"cmp"
	"context"
	"slices"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/lockout"
)

// lockedRoutes serve sys/locked-users
// (https://developer.hashicorp.com/vault/api-docs/system/user-lockout).
func (d *Deps) lockedRoutes() []engine.Route {
	return []engine.Route{
		{Path: "locked-users", Help: "Who is locked out after too many failed logins.", Read: d.listLocked,
			Fields: []engine.Field{{Name: "mount_accessor", Help: "Only those of the auth method with this accessor."}}},
		{Path: "locked-users/{mount_accessor}/unlock/{alias_identifier...}", Help: "Let a user who is locked out try again.", Write: d.unlock,
			Fields: []engine.Field{
				{Name: "mount_accessor", Help: "Accessor of the auth method."},
				{Name: "alias_identifier", Help: "The user's name there, such as the username, or the role_id of an AppRole."},
			}},
	}
}

type lockedMount struct {
	Accessor string   `json:"mount_accessor"`
	Count    int      `json:"counts"`
	Aliases  []string `json:"alias_identifiers"`
}

// listLocked answers for the caller's namespace; the mounts with the most names come first.
func (d *Deps) listLocked(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, only, total := call.From(ctx), req.Data.String("mount_accessor"), 0
	mounts := []*lockedMount{}
	for _, n := range d.Lockouts.List() { // in the order of the accessors
		if n.Namespace != c.Namespace || (only != "" && n.Accessor != only) {
			continue
		}
		if len(mounts) == 0 || mounts[len(mounts)-1].Accessor != n.Accessor {
			mounts = append(mounts, &lockedMount{Accessor: n.Accessor})
		}
		m := mounts[len(mounts)-1]
		m.Count++
		m.Aliases = append(m.Aliases, n.Alias)
		total++
	}
	namespaces := []map[string]any{}
	if total > 0 {
		slices.SortStableFunc(mounts, func(a, b *lockedMount) int { return cmp.Compare(b.Count, a.Count) })
		namespaces = append(namespaces, map[string]any{"namespace_id": c.Namespace, "namespace_path": "", "counts": total, "mount_accessors": mounts})
	}
	return &engine.Response{Data: map[string]any{"by_namespace": namespaces, "total": total}}, nil
}

func (d *Deps) unlock(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	d.Lockouts.Clear(lockout.Name{
		Namespace: call.From(ctx).Namespace, Accessor: req.Data.String("mount_accessor"), Alias: req.Data.String("alias_identifier"),
	})
	return nil, nil
}
