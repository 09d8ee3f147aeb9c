package sys

import (
	"context"
	"strings"
	"time"

	"strongroom/auth"
	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/token"
)

var roleName = engine.Field{Name: "role_name", Help: "Name of the role."}

// tokenRoleRoutes serve auth/token/roles
// (https://developer.hashicorp.com/vault/api-docs/auth/token#create-update-token-role).
func (d *Deps) tokenRoleRoutes() []engine.Route {
	return []engine.Route{
		{Path: "roles", Help: "List the roles.", Fields: auth.ListFields(), Answers: engine.Answers{engine.List: engine.Keys{}}, AnyNode: true, List: d.listTokenRoles},
		{Path: "roles/{role_name}", Help: "What tokens made by a role may be.", Fields: tokenRoleFields(), AnyNode: true, Exists: d.tokenRoleExists,
			Answers: engine.Answers{engine.Read: tokenRole{}, engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}},
			Read:    d.readTokenRole, Write: d.writeTokenRole, Delete: d.deleteTokenRole},
	}
}

func tokenRoleFields() []engine.Field {
	return []engine.Field{
		roleName,
		{Name: "allowed_policies", Type: engine.StringList, Help: "Policies that tokens may have, instead of their maker's."},
		{Name: "allowed_policies_glob", Type: engine.StringList, Help: "The same, with '*' for any text."},
		{Name: "disallowed_policies", Type: engine.StringList, Help: "Policies that tokens may not have."},
		{Name: "disallowed_policies_glob", Type: engine.StringList, Help: "The same, with '*' for any text."},
		{Name: "allowed_entity_aliases", Type: engine.StringList, Help: "Entity aliases that tokens may be made for."},
		{Name: "orphan", Type: engine.Bool, Help: "Tokens have no parent."},
		{Name: "renewable", Type: engine.Bool, Default: true, Help: "Tokens can be renewed."},
		{Name: "path_suffix", Help: "Part of the path that tokens are made at, by which they can be revoked."},
		{Name: "token_bound_cidrs", Type: engine.StringList, Help: "Networks from which tokens can be used; none: their maker's."},
		{Name: "bound_cidrs", Type: engine.StringList, Help: "Old name of token_bound_cidrs."},
		{Name: "token_explicit_max_ttl", Type: engine.Duration, Help: "Hard limit of a token's life; 0: none."},
		{Name: "explicit_max_ttl", Type: engine.Duration, Help: "Old name of token_explicit_max_ttl."},
		{Name: "token_period", Type: engine.Duration, Help: "Makes tokens periodic: each lives so long after each renewal."},
		{Name: "period", Type: engine.Duration, Help: "Old name of token_period."},
		{Name: "token_no_default_policy", Type: engine.Bool, Help: "Do not add the policy \"default\"."},
		{Name: "token_num_uses", Type: engine.Int, Help: "Times that a token can be used; 0: no limit."},
		{Name: "token_type", Help: "\"service\" or \"batch\"; \"default-service\" or \"default-batch\" if the maker does not choose."},
	}
}

func (d *Deps) listTokenRoles(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	names, err := call.From(ctx).Realm.Tokens.Roles(ctx, call.From(ctx).Tx, req.Data.String("after"), int(req.Data.Int("limit")))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: map[string]any{"keys": names}}, nil
}

func (d *Deps) tokenRoleExists(ctx context.Context, req *engine.Request) (bool, error) {
	r, err := call.From(ctx).Realm.Tokens.Role(ctx, call.From(ctx).Tx, req.Data.String("role_name"))
	return r != nil, err
}

func (d *Deps) readTokenRole(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	name := req.Data.String("role_name")
	r, err := call.From(ctx).Realm.Tokens.Role(ctx, call.From(ctx).Tx, name)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: map[string]any{
		"name": name, "orphan": r.Orphan, "renewable": r.Renewable, "path_suffix": r.PathSuffix,
		"allowed_policies": auth.Shown(r.AllowedPolicies), "allowed_policies_glob": auth.Shown(r.AllowedPoliciesGlob),
		"disallowed_policies": auth.Shown(r.DisallowedPolicies), "disallowed_policies_glob": auth.Shown(r.DisallowedPoliciesGlob),
		"allowed_entity_aliases": auth.Shown(r.AllowedEntityAliases), "token_bound_cidrs": auth.Shown(r.BoundCIDRs),
		"explicit_max_ttl": r.ExplicitMaxTTL, "token_explicit_max_ttl": r.ExplicitMaxTTL, "period": r.Period, "token_period": r.Period,
		"token_no_default_policy": r.NoDefaultPolicy, "token_num_uses": r.NumUses, "token_type": r.Type,
	}}, nil
}

func (d *Deps) writeTokenRole(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, data, name := call.From(ctx), req.Data, req.Data.String("role_name")
	r := token.Role{Renewable: true, Type: "default-service"}
	if have, err := call.From(ctx).Realm.Tokens.Role(ctx, c.Tx, name); err != nil {
		return nil, err
	} else if have != nil {
		r = *have
	}
	for field, to := range map[string]*[]string{"allowed_policies": &r.AllowedPolicies, "allowed_policies_glob": &r.AllowedPoliciesGlob,
		"disallowed_policies": &r.DisallowedPolicies, "disallowed_policies_glob": &r.DisallowedPoliciesGlob, "allowed_entity_aliases": &r.AllowedEntityAliases} {
		if data.Has(field) {
			*to = data.Strings(field)
			for i, name := range *to { // as a token carries its policies, and an alias is compared
				(*to)[i] = strings.ToLower(name)
			}
		}
	}
	given := func(field string, set func(field string)) { // the new name before the old
		if data.Has(field) {
			set(field)
		} else if old := strings.TrimPrefix(field, "token_"); old != field && data.Has(old) {
			set(old)
		}
	}
	given("orphan", func(f string) { r.Orphan = data.Bool(f) })
	given("renewable", func(f string) { r.Renewable = data.Bool(f) })
	given("path_suffix", func(f string) { r.PathSuffix = data.String(f) })
	given("token_bound_cidrs", func(f string) { r.BoundCIDRs = data.Strings(f) })
	given("token_explicit_max_ttl", func(f string) { r.ExplicitMaxTTL = int64(data.Duration(f) / time.Second) })
	given("token_period", func(f string) { r.Period = int64(data.Duration(f) / time.Second) })
	given("token_no_default_policy", func(f string) { r.NoDefaultPolicy = data.Bool(f) })
	given("token_num_uses", func(f string) { r.NumUses = data.Int(f) })
	if kind := data.String("token_type"); kind == "default" {
		r.Type = "default-service"
	} else if kind != "" {
		r.Type = kind
	}
	if err := r.Validate(); err != nil {
		return nil, err
	}
	return nil, call.From(ctx).Realm.Tokens.PutRole(c.Tx, name, &r)
}

func (d *Deps) deleteTokenRole(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	call.From(ctx).Realm.Tokens.DeleteRole(call.From(ctx).Tx, req.Data.String("role_name"))
	return nil, nil
}
