package sys

import (
	"context"

	"strongroom/auth"
	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/identity"
)

// entityRoutes serve identity/entity
// (https://developer.hashicorp.com/vault/api-docs/secret/identity/entity).
func (d *Deps) entityRoutes() []engine.Route {
	disabled := engine.Field{Name: "disabled", Type: engine.Bool, Help: "Refuse its tokens, without ending them."}
	rest := []engine.Field{metadataField, policiesField, disabled}
	byID, byName := append([]engine.Field{idField, nameField}, rest...), append([]engine.Field{foldedField}, rest...)
	made := engine.Answers{engine.Update: engine.Maybe{Data: entityMade{}}}
	one := engine.Answers{engine.Read: entityInfo{}, engine.Update: engine.Maybe{Data: entityMade{}}, engine.Delete: engine.Nothing{}}
	return []engine.Route{
		{Path: "entity", Help: "Make an entity, or change the one with an ID or a name.", Fields: byID, Answers: made, Write: d.writeEntity},
		{Path: "entity/id", Help: "List the entities by ID.", AnyNode: true, Answers: listed(entityListed{}), Read: d.listEntities, List: d.listEntities},
		{Path: "entity/id/{id}", Help: "An entity.", Fields: byID, Answers: one, AnyNode: true, Read: d.readEntity(d.entityByID), Write: d.writeEntity, Delete: d.deleteEntity(d.entityByID)},
		{Path: "entity/name", Help: "List the entities by name.", AnyNode: true, Answers: names(), Read: d.listEntityNames, List: d.listEntityNames},
		{Path: "entity/name/{name}", Help: "An entity.", Fields: byName, Answers: one, AnyNode: true, Read: d.readEntity(d.entityByName), Write: d.writeEntityByName, Delete: d.deleteEntity(d.entityByName)},
		{Path: "entity/batch-delete", Help: "Delete entities.", Answers: engine.Answers{engine.Update: engine.Nothing{}}, Fields: []engine.Field{{Name: "entity_ids", Type: engine.StringList, Help: "Their IDs."}}, Write: d.deleteEntities},
		{Path: "entity/merge", Help: "Make one entity of several.", Answers: engine.Answers{engine.Update: engine.Nothing{}}, Write: d.mergeEntities, Fields: []engine.Field{
			{Name: "from_entity_ids", Type: engine.StringList, Help: "Those that are to be part of another."},
			{Name: "to_entity_id", Help: "That other."},
			{Name: "force", Type: engine.Bool, Help: "Kept for compatibility: there are no MFA secrets that could conflict."},
			{Name: "conflicting_alias_ids_to_keep", Type: engine.StringList, Help: "Which of two aliases in one mount to keep."},
		}},
	}
}

type entityFinder = func(context.Context, *engine.Request) (*identity.Entity, error)

func (d *Deps) entityByID(ctx context.Context, req *engine.Request) (*identity.Entity, error) {
	return call.From(ctx).Realm.Identities.Entity(ctx, call.From(ctx).Tx, req.Data.String("id"))
}

func (d *Deps) entityByName(ctx context.Context, req *engine.Request) (*identity.Entity, error) {
	if _, err := pathName(req, "entity/name/"); err != nil {
		return nil, err
	}
	return call.From(ctx).Realm.Identities.EntityByName(ctx, call.From(ctx).Tx, req.Data.String("name"))
}

func (d *Deps) writeEntity(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	var e *identity.Entity
	var err error
	id, name := req.Data.String("id"), req.Data.String("name")
	switch {
	case id != "":
		if e, err = d.entityByID(ctx, req); err == nil && e == nil {
			err = engine.Invalidf("entity not found from id")
		}
	case name != "":
		e, err = call.From(ctx).Realm.Identities.EntityByName(ctx, call.From(ctx).Tx, name)
	}
	if err != nil {
		return nil, err
	}
	return d.putEntity(ctx, req, e, name)
}

func (d *Deps) writeEntityByName(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	name, err := pathName(req, "entity/name/")
	if err != nil {
		return nil, err
	}
	e, err := d.entityByName(ctx, req)
	if err != nil {
		return nil, err
	}
	return d.putEntity(ctx, req, e, name)
}

// putEntity makes an entity, or changes old. As in Vault only making one answers
// anything.
func (d *Deps) putEntity(ctx context.Context, req *engine.Request, old *identity.Entity, name string) (*engine.Response, error) {
	var e *identity.Entity
	if old == nil {
		e = identity.NewEntity(name)
	} else {
		e = old.Clone()
	}
	display := e.Name
	if err := change(req.Data, &display, &e.Metadata, &e.Policies); err != nil {
		return nil, err
	}
	if identity.Fold(display) != identity.Fold(e.Name) || old != nil && name != "" {
		e.Name = display
	}
	if req.Data.Has("disabled") {
		e.Disabled = req.Data.Bool("disabled")
	}
	if err := call.From(ctx).Realm.Identities.PutEntity(ctx, call.From(ctx).Tx, old, e); err != nil || old != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]any{"id": e.ID, "name": e.Name, "aliases": nil}}, nil
}

func (d *Deps) readEntity(find entityFinder) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		e, err := find(ctx, req)
		if err != nil {
			return nil, err
		}
		if e == nil {
			return nil, engine.ErrNotFound
		}
		return d.showEntity(ctx, e)
	}
}

// showEntity is an entity as reads and look-ups answer it.
func (d *Deps) showEntity(ctx context.Context, e *identity.Entity) (*engine.Response, error) {
	c := call.From(ctx)
	all, err := call.From(ctx).Realm.Identities.GroupsOf(ctx, c.Tx, e)
	if err != nil {
		return nil, err
	}
	direct, inherited, ids := []string{}, []string{}, []string{}
	for _, g := range all {
		ids = append(ids, g.ID)
		if e.MemberOf(g.ID) {
			direct = append(direct, g.ID)
		} else {
			inherited = append(inherited, g.ID)
		}
	}
	aliases := []map[string]any{}
	for _, a := range e.Aliases {
		aliases = append(aliases, describeAlias(c.Routing, e.ID, a))
	}
	return &engine.Response{Data: map[string]any{
		"aliases": aliases, "creation_time": instant(e.Created), "direct_group_ids": direct, "disabled": e.Disabled, "group_ids": ids, "id": e.ID,
		"inherited_group_ids": inherited, "last_update_time": instant(e.Updated), "merged_entity_ids": e.Merged, "metadata": nullable(e.Metadata),
		"name": e.Name, "namespace_id": c.Namespace, "policies": auth.Shown(e.Policies),
	}}, nil
}

func (d *Deps) deleteEntity(find entityFinder) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		e, err := find(ctx, req)
		if err != nil || e == nil {
			return nil, err
		}
		call.From(ctx).Realm.Identities.DeleteEntity(call.From(ctx).Tx, e)
		return nil, nil
	}
}

func (d *Deps) deleteEntities(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	ids := req.Data.Strings("entity_ids")
	if len(ids) == 0 {
		return nil, engine.Invalidf("missing entity ids to delete")
	}
	tx := call.From(ctx).Tx
	for _, id := range ids {
		e, err := call.From(ctx).Realm.Identities.Entity(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if e != nil {
			call.From(ctx).Realm.Identities.DeleteEntity(tx, e)
		}
	}
	return nil, nil
}

func (d *Deps) mergeEntities(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	from, into := req.Data.Strings("from_entity_ids"), req.Data.String("to_entity_id")
	switch {
	case len(from) == 0:
		return nil, engine.Invalidf("missing entity ids to merge from")
	case into == "":
		return nil, engine.Invalidf("missing entity id to merge to")
	}
	tx := call.From(ctx).Tx
	to, err := call.From(ctx).Realm.Identities.Entity(ctx, tx, into)
	if err != nil {
		return nil, err
	}
	if to == nil {
		return nil, engine.Invalidf("entity id to merge to is invalid")
	}
	return nil, call.From(ctx).Realm.Identities.Merge(ctx, tx, to, from, req.Data.Strings("conflicting_alias_ids_to_keep"))
}

func (d *Deps) listEntities(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	ids, err := call.From(ctx).Realm.Identities.EntityIDs(ctx, c.Tx)
	return keysResponse(ids, err, func(id string) (map[string]any, error) {
		e, err := call.From(ctx).Realm.Identities.Entity(ctx, c.Tx, id)
		if err != nil || e == nil {
			return nil, err
		}
		aliases := []map[string]any{}
		for _, a := range e.Aliases {
			path, kind := aliasMount(c.Routing, a.Accessor)
			aliases = append(aliases, map[string]any{"canonical_id": e.ID, "id": a.ID, "mount_accessor": a.Accessor, "mount_path": path, "mount_type": kind, "name": a.Name})
		}
		return map[string]any{"name": e.Name, "aliases": aliases}, nil
	})
}

func (d *Deps) listEntityNames(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	names, err := call.From(ctx).Realm.Identities.EntityNames(ctx, call.From(ctx).Tx)
	return keysResponse(names, err, nil)
}
