package sys

import (
	"context"
	"errors"
	"time"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/identity"
	"strongroom/internal/mount"
	"strongroom/internal/token"
)

// identity is identity/ (https://developer.hashicorp.com/vault/api-docs/secret/identity).
// The OIDC provider and the MFA of logins are not in this release.
func (d *Deps) identity() []engine.Route {
	var all []engine.Route
	all = append(all, d.entityRoutes()...)
	all = append(all, d.entityAliasRoutes()...)
	all = append(all, d.groupRoutes()...)
	all = append(all, d.groupAliasRoutes()...)
	all = append(all, d.lookupRoutes()...)
	never := engine.Answers{engine.Read: engine.Never{}, engine.Update: engine.Never{}, engine.Delete: engine.Never{}, engine.List: engine.Never{}}
	for _, path := range []string{"oidc/{rest...}", "mfa/{rest...}"} {
		all = append(all, engine.Route{Path: path, Help: "Not in this release.", Answers: never, Fields: []engine.Field{{Name: "rest", Help: "Any path."}},
			Read: notYet, Write: notYet, Delete: notYet, List: notYet})
	}
	return all
}

func notYet(_ context.Context, req *engine.Request) (*engine.Response, error) {
	return nil, engine.Errorf(engine.NotFound, "identity/%s is not in this release: the OIDC provider and login MFA come later", req.Path)
}

// What the routes of entities, groups and their aliases have alike.
var (
	idField        = engine.Field{Name: "id", Help: "ID."}
	nameField      = engine.Field{Name: "name", Help: "Name, unique whatever its case; one is made up if there is none."}
	foldedField    = engine.Field{Name: "name", Type: engine.Name, Help: "Name, in any case."}
	metadataField  = engine.Field{Name: "metadata", Type: engine.StringMap, Help: "Keys and values, for templates of policies."}
	policiesField  = engine.Field{Name: "policies", Type: engine.StringList, Help: "Policies, besides those of the token."}
	accessorField  = engine.Field{Name: "mount_accessor", Help: "Accessor of the auth method that the alias is of."}
	canonicalField = engine.Field{Name: "canonical_id", Help: "ID of the entity or group that the alias is of."}
)

// pathName is the name in the last segment of the path as the caller wrote it;
// the routes know it folded, for policies.
func pathName(req *engine.Request, prefix string) (string, error) {
	name := req.Path[len(prefix):]
	if identity.Fold(name) != req.Data.String("name") {
		return "", engine.Invalidf("the name in the path must not begin or end with a blank")
	}
	return name, nil
}

func instant(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }

func nullable(m map[string]string) any {
	if len(m) == 0 {
		return nil
	}
	return m
}

// keysResponse answers a LIST; info describes a key, if it is given.
func keysResponse(keys []string, err error, info func(key string) (map[string]any, error)) (*engine.Response, error) {
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, engine.ErrNotFound
	}
	data := map[string]any{"keys": keys}
	if info != nil {
		infos := make(map[string]any, len(keys))
		for _, k := range keys {
			about, err := info(k)
			if err != nil {
				return nil, err
			}
			if about != nil {
				infos[k] = about
			}
		}
		data["key_info"] = infos
	}
	return &engine.Response{Data: data}, nil
}

// aliasMount describes the auth method with an accessor; it may be gone.
func aliasMount(r *mount.Routing, accessor string) (path, kind string) {
	if m := r.ByAccessor(accessor); m != nil {
		return m.Entry.Path, m.Entry.Type
	}
	return "", ""
}

// checkAccessor refuses what is no auth method's accessor.
func checkAccessor(r *mount.Routing, accessor string) error {
	if accessor == "" {
		return engine.Invalidf("missing mount_accessor")
	}
	if m := r.ByAccessor(accessor); m == nil || !m.Entry.Auth() {
		return engine.Invalidf("invalid mount accessor %q: \"auth list\" shows those of the auth methods", accessor)
	}
	return nil
}

func describeAlias(r *mount.Routing, owner string, a identity.Alias) map[string]any {
	path, kind := aliasMount(r, a.Accessor)
	return map[string]any{
		"canonical_id": owner, "creation_time": instant(a.Created), "custom_metadata": nullable(a.Custom), "id": a.ID, "last_update_time": instant(a.Updated),
		"local": false, "merged_from_canonical_ids": a.MergedFrom, "metadata": nullable(a.Metadata), "mount_accessor": a.Accessor, "mount_path": path,
		"mount_type": kind, "name": a.Name,
	}
}

// change takes from a request what entities and groups have alike.
func change(data engine.Data, name *string, metadata *map[string]string, policies *[]string) error {
	if given := data.String("name"); given != "" {
		*name = given
	}
	if data.Has("metadata") {
		if *metadata = data.Map("metadata"); len(*metadata) == 0 {
			*metadata = nil
		}
		if err := identity.CheckMetadata(*metadata); err != nil {
			return err
		}
	}
	if data.Has("policies") {
		var err error
		if *policies, err = identity.CheckPolicies(data.Strings("policies")); err != nil {
			return err
		}
	}
	return nil
}

// introduce adds to what a lookup answers of t whom t stands for.
func introduce(ctx context.Context, out map[string]any, p *call.Place, t *token.Token) error {
	out["entity_id"] = t.EntityID
	caller, err := p.Identities.Caller(ctx, call.From(ctx).Tx, t.EntityID)
	if err != nil && !errors.Is(err, identity.ErrGone) && !errors.Is(err, identity.ErrDisabled) {
		return err
	}
	if caller != nil {
		out["entity_id"] = caller.Entity.ID
		if len(caller.Policies) > 0 {
			out["identity_policies"] = caller.Policies
		}
	}
	return nil
}

// standFor is the entity that a token made by role stands for, by the alias that
// its maker asks for.
func (d *Deps) standFor(ctx context.Context, req *engine.Request, role *token.Role) (string, error) {
	name := req.Data.String("entity_alias")
	if name == "" {
		return "", nil
	}
	if role == nil || !role.AllowsAlias(name) {
		return "", engine.Invalidf("invalid 'entity_alias' value: the role must list it in allowed_entity_aliases")
	}
	e, err := call.From(ctx).Realm.Identities.Bind(ctx, call.From(ctx).Tx, identity.Login{Accessor: req.Mount.Accessor, Name: name})
	if err != nil {
		return "", err
	}
	return e.ID, nil
}
