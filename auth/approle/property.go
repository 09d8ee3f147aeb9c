package approle

import (
	"context"
	"slices"

	"strongroom/engine"
)

// property is a part of a role with a path of its own.
type property struct {
	path  string
	names []string // of the parameters it takes, in the order in which they count, and shows
	reset func(*role)
}

func properties() []property {
	return []property{
		{"policies", []string{"token_policies", "policies"}, func(r *role) { r.Token.Policies = nil }},
		{"secret-id-num-uses", []string{"secret_id_num_uses"}, func(r *role) { r.SecretIDNumUses = 0 }},
		{"secret-id-ttl", []string{"secret_id_ttl"}, func(r *role) { r.SecretIDTTL = 0 }},
		{"token-num-uses", []string{"token_num_uses"}, func(r *role) { r.Token.NumUses = 0 }},
		{"token-ttl", []string{"token_ttl"}, func(r *role) { r.Token.TTL = 0 }},
		{"token-max-ttl", []string{"token_max_ttl"}, func(r *role) { r.Token.MaxTTL = 0 }},
		{"period", []string{"token_period", "period"}, func(r *role) { r.Token.Period = 0 }},
		{"bind-secret-id", []string{"bind_secret_id"}, func(r *role) { r.BindSecretID = true }},
		{"secret-id-bound-cidrs", []string{"secret_id_bound_cidrs"}, func(r *role) { r.SecretIDCIDRs = nil }},
		{"bound-cidr-list", []string{"bound_cidr_list"}, func(r *role) { r.SecretIDCIDRs = nil }},
		{"token-bound-cidrs", []string{"token_bound_cidrs"}, func(r *role) { r.Token.BoundCIDRs = nil }},
		{"local-secret-ids", []string{"local_secret_ids"}, nil},
	}
}

// propertyRoutes serve what a role has one by one.
func (m *Method) propertyRoutes() []engine.Route {
	all := roleFields()
	pick := func(names ...string) []engine.Field {
		fields := []engine.Field{nameField()}
		for _, f := range all {
			if slices.Contains(names, f.Name) {
				fields = append(fields, f)
			}
		}
		return fields
	}
	routes := []engine.Route{{
		Path: "role/{role_name}/role-id", Help: "The role's id.", Fields: pick("role_id"),
		Answers: engine.Answers{engine.Read: roleIDInfo{}, engine.Update: engine.Nothing{}}, Read: m.readRoleID, Write: m.writeRoleID,
	}}
	for _, p := range properties() {
		r := engine.Route{Path: "role/{role_name}/" + p.path, Help: "The role's " + p.names[0] + ".", Fields: pick(p.names...), Read: m.readProperty(p),
			Answers: engine.Answers{engine.Read: propertyInfo{}}}
		if p.reset != nil {
			r.Write, r.Delete = m.writeProperty(p), m.resetProperty(p)
			r.Answers[engine.Update], r.Answers[engine.Delete] = engine.Nothing{}, engine.Nothing{}
		}
		routes = append(routes, r)
	}
	return routes
}

func (m *Method) readProperty(p property) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		r, err := m.loadRole(ctx, req, req.Data.String("role_name"))
		if err != nil {
			return nil, err
		}
		if r == nil {
			return nil, engine.ErrNotFound
		}
		shown := r.show()
		shown["bound_cidr_list"] = shown["secret_id_bound_cidrs"]
		data := map[string]any{}
		for _, name := range p.names {
			if v, ok := shown[name]; ok {
				data[name] = v
			}
		}
		return &engine.Response{Data: data}, nil
	}
}

// change saves what edit makes of the role in the path.
func (m *Method) change(ctx context.Context, req *engine.Request, edit func(*role) error) (*engine.Response, error) {
	old, err := m.needRole(ctx, req)
	if err != nil {
		return nil, err
	}
	r := *old
	if err := edit(&r); err != nil {
		return nil, err
	}
	if err := m.saveRole(ctx, req, req.Data.String("role_name"), old, &r); err != nil {
		return nil, err
	}
	return r.warn(m.mount), nil
}

func (m *Method) writeProperty(p property) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		if !slices.ContainsFunc(p.names, req.Data.Has) {
			return nil, engine.Invalidf("missing %s", p.names[0])
		}
		return m.change(ctx, req, func(r *role) error { return r.update(req.Data) })
	}
}

func (m *Method) resetProperty(p property) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		_, err := m.change(ctx, req, func(r *role) error {
			p.reset(r)
			return r.validate()
		})
		return nil, err
	}
}

func (m *Method) readRoleID(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	r, err := m.loadRole(ctx, req, req.Data.String("role_name"))
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: map[string]any{"role_id": r.RoleID}}, nil
}

func (m *Method) writeRoleID(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	if req.Data.String("role_id") == "" {
		return nil, engine.Invalidf("missing role_id")
	}
	return m.change(ctx, req, func(r *role) error { return r.update(req.Data) })
}
