package sys

import (
	"context"

	"strongroom/auth"
	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/identity"
)

// groupRoutes serve identity/group
// (https://developer.hashicorp.com/vault/api-docs/secret/identity/group).
func (d *Deps) groupRoutes() []engine.Route {
	rest := []engine.Field{
		{Name: "type", Help: "internal, or external for one whose members an auth method tells; it stays what it is."}, metadataField, policiesField,
		{Name: "member_group_ids", Type: engine.StringList, Help: "IDs of the groups that are members."},
		{Name: "member_entity_ids", Type: engine.StringList, Help: "IDs of the entities that are members; of an internal group."},
	}
	byID, byName := append([]engine.Field{idField, nameField}, rest...), append([]engine.Field{foldedField}, rest...)
	made := engine.Answers{engine.Update: engine.Maybe{Data: groupMade{}}}
	one := engine.Answers{engine.Read: groupInfo{}, engine.Update: engine.Maybe{Data: groupMade{}}, engine.Delete: engine.Nothing{}}
	return []engine.Route{
		{Path: "group", Help: "Make a group, or change the one with an ID or a name.", Fields: byID, Answers: made, Write: d.writeGroup},
		{Path: "group/id", Help: "List the groups by ID.", AnyNode: true, Answers: listed(groupListed{}), Read: d.listGroups, List: d.listGroups},
		{Path: "group/id/{id}", Help: "A group.", Fields: byID, Answers: one, AnyNode: true, Read: d.readGroup(d.groupByID), Write: d.writeGroup, Delete: d.deleteGroup(d.groupByID)},
		{Path: "group/name", Help: "List the groups by name.", AnyNode: true, Answers: names(), Read: d.listGroupNames, List: d.listGroupNames},
		{Path: "group/name/{name}", Help: "A group.", Fields: byName, Answers: one, AnyNode: true, Read: d.readGroup(d.groupByName), Write: d.writeGroupByName, Delete: d.deleteGroup(d.groupByName)},
	}
}

type groupFinder = func(context.Context, *engine.Request) (*identity.Group, error)

func (d *Deps) groupByID(ctx context.Context, req *engine.Request) (*identity.Group, error) {
	return call.From(ctx).Realm.Identities.Group(ctx, call.From(ctx).Tx, req.Data.String("id"))
}

func (d *Deps) groupByName(ctx context.Context, req *engine.Request) (*identity.Group, error) {
	if _, err := pathName(req, "group/name/"); err != nil {
		return nil, err
	}
	return call.From(ctx).Realm.Identities.GroupByName(ctx, call.From(ctx).Tx, req.Data.String("name"))
}

func (d *Deps) writeGroup(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	var g *identity.Group
	var err error
	id, name := req.Data.String("id"), req.Data.String("name")
	switch {
	case id != "":
		if g, err = d.groupByID(ctx, req); err == nil && g == nil {
			err = engine.Invalidf("invalid group ID")
		}
	case name != "":
		g, err = call.From(ctx).Realm.Identities.GroupByName(ctx, call.From(ctx).Tx, name)
	}
	if err != nil {
		return nil, err
	}
	return d.putGroup(ctx, req, g, name)
}

func (d *Deps) writeGroupByName(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	name, err := pathName(req, "group/name/")
	if err != nil {
		return nil, err
	}
	g, err := d.groupByName(ctx, req)
	if err != nil {
		return nil, err
	}
	return d.putGroup(ctx, req, g, name)
}

func (d *Deps) putGroup(ctx context.Context, req *engine.Request, old *identity.Group, name string) (*engine.Response, error) {
	kind := req.Data.String("type")
	var g *identity.Group
	switch {
	case kind != "" && kind != "internal" && kind != "external":
		return nil, engine.Invalidf("group type %q is neither internal nor external", kind)
	case old == nil:
		g = identity.NewGroup(name, kind == "external")
	case kind != "" && (kind == "external") != old.External:
		return nil, engine.Invalidf("group type cannot be changed")
	default:
		g = old.Clone()
	}
	if g.External && len(req.Data.Strings("member_entity_ids")) > 0 {
		return nil, engine.Invalidf("member entities can't be set manually for external groups")
	}
	display := g.Name
	if err := change(req.Data, &display, &g.Metadata, &g.Policies); err != nil {
		return nil, err
	}
	if identity.Fold(display) != identity.Fold(g.Name) || old != nil && name != "" {
		g.Name = display
	}
	if req.Data.Has("member_group_ids") {
		g.Children = req.Data.Strings("member_group_ids")
	}
	tx := call.From(ctx).Tx
	if err := call.From(ctx).Realm.Identities.PutGroup(ctx, tx, old, g); err != nil {
		return nil, err
	}
	if req.Data.Has("member_entity_ids") && !g.External {
		if err := call.From(ctx).Realm.Identities.SetMembers(ctx, tx, g, req.Data.Strings("member_entity_ids")); err != nil {
			return nil, err
		}
	}
	if old != nil {
		return nil, nil
	}
	return &engine.Response{Data: map[string]any{"id": g.ID, "name": g.Name}}, nil
}

func (d *Deps) readGroup(find groupFinder) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		g, err := find(ctx, req)
		if err != nil {
			return nil, err
		}
		if g == nil {
			return nil, engine.ErrNotFound
		}
		return d.showGroup(ctx, g)
	}
}

// showGroup is a group as reads and look-ups answer it.
func (d *Deps) showGroup(ctx context.Context, g *identity.Group) (*engine.Response, error) {
	c := call.From(ctx)
	members, err := call.From(ctx).Realm.Identities.Members(ctx, c.Tx, g.ID)
	if err != nil {
		return nil, err
	}
	alias := map[string]any{}
	if g.Alias != nil {
		alias = describeAlias(c.Routing, g.ID, *g.Alias)
	}
	return &engine.Response{Data: map[string]any{
		"alias": alias, "creation_time": instant(g.Created), "id": g.ID, "last_update_time": instant(g.Updated), "member_entity_ids": members,
		"member_group_ids": auth.Shown(g.Children), "metadata": nullable(g.Metadata), "modify_index": 1, "name": g.Name, "namespace_id": c.Namespace,
		"parent_group_ids": auth.Shown(g.Parents), "policies": auth.Shown(g.Policies), "type": groupType(g),
	}}, nil
}

func groupType(g *identity.Group) string {
	if g.External {
		return "external"
	}
	return "internal"
}

func (d *Deps) deleteGroup(find groupFinder) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		g, err := find(ctx, req)
		if err != nil || g == nil {
			return nil, err
		}
		return nil, call.From(ctx).Realm.Identities.DeleteGroup(ctx, call.From(ctx).Tx, g)
	}
}

func (d *Deps) listGroups(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	tx := call.From(ctx).Tx
	ids, err := call.From(ctx).Realm.Identities.GroupIDs(ctx, tx)
	return keysResponse(ids, err, func(id string) (map[string]any, error) {
		g, err := call.From(ctx).Realm.Identities.Group(ctx, tx, id)
		if err != nil || g == nil {
			return nil, err
		}
		members, err := call.From(ctx).Realm.Identities.Members(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		return map[string]any{"name": g.Name, "num_member_entities": len(members), "num_parent_groups": len(g.Parents)}, nil
	})
}

func (d *Deps) listGroupNames(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	names, err := call.From(ctx).Realm.Identities.GroupNames(ctx, call.From(ctx).Tx)
	return keysResponse(names, err, nil)
}

// lookupRoutes serve identity/lookup
// (https://developer.hashicorp.com/vault/api-docs/secret/identity/lookup).
func (d *Deps) lookupRoutes() []engine.Route {
	fields := []engine.Field{idField, {Name: "name", Help: "Name."}, {Name: "alias_id", Help: "ID of an alias."},
		{Name: "alias_name", Help: "Name in an auth method."}, {Name: "alias_mount_accessor", Help: "Accessor of that method."}}
	return []engine.Route{
		{Path: "lookup/entity", Help: "Find an entity by its ID or name, or by an alias.", Fields: fields, Answers: engine.Answers{engine.Update: engine.Maybe{Data: entityInfo{}}}, Write: d.lookupEntity},
		{Path: "lookup/group", Help: "Find a group by its ID or name, or by its alias.", Fields: fields, Answers: engine.Answers{engine.Update: engine.Maybe{Data: groupInfo{}}}, Write: d.lookupGroup},
	}
}

// sought is by what a look-up asks: exactly one of them is given.
func sought(data engine.Data) (by, value string, err error) {
	for _, name := range []string{"id", "name", "alias_id", "alias_name"} {
		if v := data.String(name); v != "" {
			if by != "" {
				return "", "", engine.Invalidf("specify exactly one of id, name, alias_id and alias_name")
			}
			by, value = name, v
		}
	}
	switch {
	case by == "":
		return "", "", engine.Invalidf("specify one of id, name, alias_id, and alias_name with alias_mount_accessor")
	case by == "alias_name" && data.String("alias_mount_accessor") == "":
		return "", "", engine.Invalidf("alias_name needs alias_mount_accessor")
	}
	return by, value, nil
}

func (d *Deps) lookupEntity(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	by, value, err := sought(req.Data)
	if err != nil {
		return nil, err
	}
	tx := call.From(ctx).Tx
	var e *identity.Entity
	switch by {
	case "id":
		e, err = call.From(ctx).Realm.Identities.Entity(ctx, tx, value)
	case "name":
		e, err = call.From(ctx).Realm.Identities.EntityByName(ctx, tx, value)
	case "alias_id":
		e, err = call.From(ctx).Realm.Identities.EntityByAlias(ctx, tx, value)
	default:
		e, err = call.From(ctx).Realm.Identities.EntityByLogin(ctx, tx, req.Data.String("alias_mount_accessor"), value)
	}
	if err != nil || e == nil {
		return nil, err // 204: nothing was found
	}
	return d.showEntity(ctx, e)
}

func (d *Deps) lookupGroup(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	by, value, err := sought(req.Data)
	if err != nil {
		return nil, err
	}
	tx := call.From(ctx).Tx
	var g *identity.Group
	switch by {
	case "id":
		g, err = call.From(ctx).Realm.Identities.Group(ctx, tx, value)
	case "name":
		g, err = call.From(ctx).Realm.Identities.GroupByName(ctx, tx, value)
	case "alias_id":
		g, err = call.From(ctx).Realm.Identities.GroupByAlias(ctx, tx, value)
	default:
		g, err = call.From(ctx).Realm.Identities.GroupByLogin(ctx, tx, req.Data.String("alias_mount_accessor"), value)
	}
	if err != nil || g == nil {
		return nil, err
	}
	return d.showGroup(ctx, g)
}
