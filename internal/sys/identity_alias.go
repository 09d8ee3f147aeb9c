package sys

import (
	"context"
	"maps"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/identity"
)

// entityAliasRoutes serve identity/entity-alias
// (https://developer.hashicorp.com/vault/api-docs/secret/identity/entity-alias).
func (d *Deps) entityAliasRoutes() []engine.Route {
	fields := []engine.Field{idField, {Name: "name", Help: "The caller's name in the auth method."}, canonicalField, accessorField,
		{Name: "custom_metadata", Type: engine.StringMap, Help: "Keys and values, for templates of policies."}}
	return []engine.Route{
		{Path: "entity-alias", Help: "Give an entity an alias, or change one.", Fields: fields, Answers: engine.Answers{engine.Update: engine.Maybe{Data: aliasMade{}}}, Write: d.writeAlias},
		{Path: "entity-alias/id", Help: "List the aliases of entities.", AnyNode: true, Answers: listed(entityAliasListed{}), Read: d.listAliases, List: d.listAliases},
		{Path: "entity-alias/id/{id}", Help: "An alias of an entity.", Fields: fields, AnyNode: true,
			Answers: engine.Answers{engine.Read: entityAlias{}, engine.Update: engine.Maybe{Data: aliasMade{}}, engine.Delete: engine.Nothing{}}, Read: d.readAlias, Write: d.writeAlias, Delete: d.deleteAlias},
	}
}

func (d *Deps) writeAlias(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	owner, a, err := d.aliasToWrite(ctx, req)
	if err != nil {
		return nil, err
	}
	custom := req.Data.Map("custom_metadata")
	if err := identity.CheckMetadata(custom); err != nil {
		return nil, err
	}
	c := call.From(ctx)
	before := a
	if name := req.Data.String("name"); name != "" {
		a.Name = name
	}
	if accessor := req.Data.String("mount_accessor"); accessor != "" {
		a.Accessor = accessor
	}
	if req.Data.Has("custom_metadata") {
		if a.Custom = custom; len(custom) == 0 {
			a.Custom = nil
		}
	}
	if err := checkAccessor(c.Routing, a.Accessor); err != nil {
		return nil, err
	}
	into := req.Data.String("canonical_id")
	if into == "" && owner != nil {
		into = owner.ID
	}
	if owner != nil && into == owner.ID && a.Name == before.Name && a.Accessor == before.Accessor && maps.Equal(a.Custom, before.Custom) {
		return nil, nil // as it is
	}
	if into == "" {
		e := identity.NewEntity("")
		if err := call.From(ctx).Realm.Identities.PutEntity(ctx, c.Tx, nil, e); err != nil {
			return nil, err
		}
		into = e.ID
	}
	if err := call.From(ctx).Realm.Identities.PutAlias(ctx, c.Tx, into, a); err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]any{"id": a.ID, "canonical_id": into}}, nil
}

// aliasToWrite is the alias with the ID given, or with the name in the mount, and
// whose it is; else a new one, and nil.
func (d *Deps) aliasToWrite(ctx context.Context, req *engine.Request) (*identity.Entity, identity.Alias, error) {
	tx := call.From(ctx).Tx
	if id := req.Data.String("id"); id != "" {
		e, err := call.From(ctx).Realm.Identities.EntityByAlias(ctx, tx, id)
		if err != nil {
			return nil, identity.Alias{}, err
		}
		if e == nil {
			return nil, identity.Alias{}, engine.Invalidf("invalid alias ID")
		}
		a, _ := e.Find(id)
		return e, a, nil
	}
	name, accessor := req.Data.String("name"), req.Data.String("mount_accessor")
	switch {
	case name == "":
		return nil, identity.Alias{}, engine.Invalidf("missing alias name")
	case accessor == "":
		return nil, identity.Alias{}, engine.Invalidf("missing mount_accessor")
	}
	e, err := call.From(ctx).Realm.Identities.EntityByLogin(ctx, tx, accessor, name)
	if err != nil || e == nil {
		return nil, identity.NewAlias(accessor, name), err
	}
	a, _ := e.In(accessor)
	return e, a, nil
}

func (d *Deps) readAlias(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, id := call.From(ctx), req.Data.String("id")
	e, err := call.From(ctx).Realm.Identities.EntityByAlias(ctx, c.Tx, id)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, engine.ErrNotFound
	}
	a, _ := e.Find(id)
	out := describeAlias(c.Routing, e.ID, a)
	out["namespace_id"] = c.Namespace
	return &engine.Response{Data: out}, nil
}

func (d *Deps) deleteAlias(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return nil, call.From(ctx).Realm.Identities.DeleteAlias(ctx, call.From(ctx).Tx, req.Data.String("id"))
}

func (d *Deps) listAliases(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	ids, err := call.From(ctx).Realm.Identities.EntityAliasIDs(ctx, c.Tx)
	return keysResponse(ids, err, func(id string) (map[string]any, error) {
		e, err := call.From(ctx).Realm.Identities.EntityByAlias(ctx, c.Tx, id)
		if err != nil || e == nil {
			return nil, err
		}
		a, _ := e.Find(id)
		path, kind := aliasMount(c.Routing, a.Accessor)
		return map[string]any{"canonical_id": e.ID, "custom_metadata": nullable(a.Custom), "local": false, "mount_accessor": a.Accessor, "mount_path": path,
			"mount_type": kind, "name": a.Name}, nil
	})
}

// groupAliasRoutes serve identity/group-alias
// (https://developer.hashicorp.com/vault/api-docs/secret/identity/group-alias).
func (d *Deps) groupAliasRoutes() []engine.Route {
	fields := []engine.Field{idField, {Name: "name", Help: "The group's name in the auth method."}, canonicalField, accessorField}
	return []engine.Route{
		{Path: "group-alias", Help: "Give an external group its alias, or change one.", Fields: fields, Answers: engine.Answers{engine.Update: aliasMade{}}, Write: d.writeGroupAlias},
		{Path: "group-alias/id", Help: "List the aliases of groups.", AnyNode: true, Answers: listed(groupAliasListed{}), Read: d.listGroupAliases, List: d.listGroupAliases},
		{Path: "group-alias/id/{id}", Help: "An alias of a group.", Fields: fields, AnyNode: true,
			Answers: engine.Answers{engine.Read: aliasInfo{}, engine.Update: aliasMade{}, engine.Delete: engine.Nothing{}}, Read: d.readGroupAlias, Write: d.writeGroupAlias, Delete: d.deleteGroupAlias},
	}
}

func (d *Deps) writeGroupAlias(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	id, name, accessor, into := req.Data.String("id"), req.Data.String("name"), req.Data.String("mount_accessor"), req.Data.String("canonical_id")
	var g *identity.Group
	var err error
	switch {
	case id != "":
		if g, err = call.From(ctx).Realm.Identities.GroupByAlias(ctx, c.Tx, id); err == nil && g == nil {
			err = engine.Invalidf("invalid group alias ID")
		}
	case name == "":
		err = engine.Invalidf("missing alias name")
	case accessor != "":
		g, err = call.From(ctx).Realm.Identities.GroupByLogin(ctx, c.Tx, accessor, name)
	}
	if err != nil {
		return nil, err
	}
	a := identity.NewAlias(accessor, name)
	if g != nil {
		a = *g.Alias
		if into == "" {
			into = g.ID
		}
	}
	if name != "" {
		a.Name = name
	}
	if accessor != "" {
		a.Accessor = accessor
	}
	if err := checkAccessor(c.Routing, a.Accessor); err != nil {
		return nil, err
	}
	if into == "" {
		return nil, engine.Invalidf("missing canonical_id: the ID of the external group")
	}
	if err := call.From(ctx).Realm.Identities.PutGroupAlias(ctx, c.Tx, into, a); err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]any{"id": a.ID, "canonical_id": into}}, nil
}

func (d *Deps) readGroupAlias(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	g, err := call.From(ctx).Realm.Identities.GroupByAlias(ctx, c.Tx, req.Data.String("id"))
	if err != nil {
		return nil, err
	}
	if g == nil {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: describeAlias(c.Routing, g.ID, *g.Alias)}, nil
}

func (d *Deps) deleteGroupAlias(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return nil, call.From(ctx).Realm.Identities.DeleteGroupAlias(ctx, call.From(ctx).Tx, req.Data.String("id"))
}

func (d *Deps) listGroupAliases(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	ids, err := call.From(ctx).Realm.Identities.GroupAliasIDs(ctx, c.Tx)
	return keysResponse(ids, err, func(id string) (map[string]any, error) {
		g, err := call.From(ctx).Realm.Identities.GroupByAlias(ctx, c.Tx, id)
		if err != nil || g == nil {
			return nil, err
		}
		path, kind := aliasMount(c.Routing, g.Alias.Accessor)
		return map[string]any{"canonical_id": g.ID, "mount_accessor": g.Alias.Accessor, "mount_path": path, "mount_type": kind, "name": g.Alias.Name}, nil
	})
}
