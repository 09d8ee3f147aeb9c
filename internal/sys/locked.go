package sys

import (
	"cmp"
	"context"
	"slices"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/lockout"
	"strongroom/internal/namespace"
)

// lockedRoutes serve sys/locked-users
// (https://developer.hashicorp.com/vault/api-docs/system/user-lockout).
func (d *Deps) lockedRoutes() []engine.Route {
	return []engine.Route{
		{Path: "locked-users", Help: "Who is locked out after too many failed logins.", Read: d.listLocked, Answers: engine.Answers{engine.Read: lockedUsers{}},
			Fields: []engine.Field{{Name: "mount_accessor", Help: "Only those of the auth method with this accessor."}}},
		{Path: "locked-users/{mount_accessor}/unlock/{alias_identifier...}", Help: "Let a user who is locked out try again.", Write: d.unlock, Answers: engine.Answers{engine.Update: engine.Nothing{}},
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

// listLocked answers for the request's namespace and those below; the mounts with the most names come first.
func (d *Deps) listLocked(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, only, total := call.From(ctx), req.Data.String("mount_accessor"), 0
	in := []*namespace.Namespace{c.Here}
	if only == "" {
		in = append(in, c.Tree.Below(c.Here, false)...)
	}
	names, namespaces := d.Lockouts.List(), []map[string]any{}
	for _, n := range in {
		mounts, count := lockedIn(names, n.ID, only)
		if total += count; count > 0 {
			namespaces = append(namespaces, map[string]any{"namespace_id": n.ID, "namespace_path": n.Path, "counts": count, "mount_accessors": mounts})
		}
	}
	slices.SortStableFunc(namespaces, func(a, b map[string]any) int { return cmp.Compare(b["counts"].(int), a["counts"].(int)) })
	return &engine.Response{Data: map[string]any{"by_namespace": namespaces, "total": total}}, nil
}

// lockedIn are the locked names of the namespace ns, in the order of the accessors; only is
// the accessor that is asked for, or "".
func lockedIn(names []lockout.Name, ns, only string) (mounts []*lockedMount, total int) {
	for _, n := range names {
		if n.Namespace != ns || (only != "" && n.Accessor != only) {
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
	slices.SortStableFunc(mounts, func(a, b *lockedMount) int { return cmp.Compare(b.Count, a.Count) })
	return mounts, total
}

func (d *Deps) unlock(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	d.Lockouts.Clear(lockout.Name{
		Namespace: call.From(ctx).Namespace, Accessor: req.Data.String("mount_accessor"), Alias: req.Data.String("alias_identifier"),
	})
	return nil, nil
}
