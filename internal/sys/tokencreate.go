package sys

import (
	"context"
	"slices"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/token"
)

// createFields are the parameters of auth/token/create and its kin.
func createFields() []engine.Field {
	return []engine.Field{
		{Name: "id", Help: "The token itself; for root tokens to choose."},
		{Name: "policies", Type: engine.StringList, Help: "Policies; the caller's own, or the role's, if none is given."},
		{Name: "meta", Type: engine.StringMap, Help: "Metadata, shown with the token."},
		{Name: "no_parent", Type: engine.Bool, Help: "Make an orphan."},
		{Name: "no_default_policy", Type: engine.Bool, Help: "Leave the default policy out."},
		{Name: "renewable", Type: engine.Bool, Default: true, Help: "Whether it can be renewed."},
		{Name: "ttl", Type: engine.Duration, Help: "Its life."},
		{Name: "lease", Type: engine.Duration, Help: "The same, by its old name."},
		{Name: "explicit_max_ttl", Type: engine.Duration, Help: "A bound no renewal passes."},
		{Name: "period", Type: engine.Duration, Help: "Life that each renewal gives anew, without a maximum."},
		{Name: "display_name", Help: "Its name in listings."},
		{Name: "num_uses", Type: engine.Int, Help: "How often it can be used; 0 is no limit."},
		{Name: "type", Help: "\"service\", or \"batch\" for one that is not stored."},
		{Name: "entity_alias", Help: "Alias of the entity it stands for; with a role that lists it."},
	}
}

func (d *Deps) createToken(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return d.makeToken(ctx, req, asked(ctx, req), nil)
}

func (d *Deps) createOrphan(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	spec := asked(ctx, req)
	spec.Parent = nil
	return d.makeToken(ctx, req, spec, nil)
}

func (d *Deps) createByRole(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	name := req.Data.String("role_name")
	role, err := call.From(ctx).Realm.Tokens.Role(ctx, call.From(ctx).Tx, name)
	if err != nil {
		return nil, err
	}
	if role == nil {
		return nil, engine.Invalidf("unknown role %s", name)
	}
	spec := asked(ctx, req)
	spec.Role, spec.Path = name, role.Path(name)
	if role.Orphan {
		spec.Parent = nil
	}
	spec.NotRenewable = spec.NotRenewable || !role.Renewable
	spec.NoDefaultPolicy = spec.NoDefaultPolicy || !role.AddsDefault()
	spec.Period = lesser(spec.Period, time.Duration(role.Period)*time.Second)
	spec.ExplicitMaxTTL = lesser(spec.ExplicitMaxTTL, time.Duration(role.ExplicitMaxTTL)*time.Second)
	spec.NumUses = lesser(spec.NumUses, int(role.NumUses))
	if len(role.BoundCIDRs) > 0 {
		spec.BoundCIDRs = role.BoundCIDRs
	}
	return d.makeToken(ctx, req, spec, role)
}

// lesser is the tighter of two limits, of which 0 is none.
func lesser[T time.Duration | int](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// asked is the token that the request's parameters describe. It may be used from
// where its maker may be, so that a bound token cannot make itself a free one.
func asked(ctx context.Context, req *engine.Request) token.Spec {
	c, data := call.From(ctx), req.Data
	ttl := data.Duration("ttl")
	if ttl == 0 {
		ttl = data.Duration("lease")
	}
	spec := token.Spec{Parent: c.Token, Parents: c.Home.Tokens, Path: "auth/token/create", Mount: req.Mount, NotRenewable: !data.Bool("renewable"), Raw: data.String("id")}
	spec.Grant = engine.Grant{Policies: data.Strings("policies"), NoDefaultPolicy: data.Bool("no_default_policy"), Metadata: data.Map("meta"), TTL: ttl,
		ExplicitMaxTTL: data.Duration("explicit_max_ttl"), Period: data.Duration("period"), NumUses: int(data.Int("num_uses")), BoundCIDRs: c.Token.BoundCIDRs}
	if spec.DisplayName = "token"; data.String("display_name") != "" {
		spec.DisplayName = "token-" + strings.ReplaceAll(data.String("display_name"), " ", "-")
	}
	if data.Bool("no_parent") {
		spec.Parent = nil
	}
	return spec
}

// makeToken issues the token of spec, if its maker may; role is nil for none.
func (d *Deps) makeToken(ctx context.Context, req *engine.Request, spec token.Spec, role *token.Role) (*engine.Response, error) {
	c := call.From(ctx)
	tuned := ""
	if role != nil {
		tuned = role.Type
	}
	var err error
	if spec.Type, err = token.KindFor(tuned, req.Data.String("type")); err != nil {
		return nil, err
	}
	if err := mayCreate(c, &spec, role, req); err != nil {
		return nil, err
	}
	if spec.EntityID, err = d.standFor(ctx, req, role); err != nil {
		return nil, err
	}
	t, raw, warnings, err := call.From(ctx).Realm.Tokens.Issue(ctx, c.Tx, spec)
	if err != nil {
		return nil, err
	}
	for _, p := range t.Policies {
		if _, ok, err := call.From(ctx).Realm.ACLs.Text(ctx, c.Tx, p); err != nil {
			return nil, err
		} else if !ok {
			warnings = append(warnings, "Policy \""+p+"\" does not exist")
		}
	}
	c.Auth = &call.Auth{ClientToken: raw, Token: t, LeaseDuration: t.Granted()}
	return &engine.Response{Warnings: warnings}, nil
}

// mayCreate refuses what would give the new token more than its maker, or the
// role, has, and completes spec.
func mayCreate(c *call.Call, spec *token.Spec, role *token.Role, req *engine.Request) error {
	path := "auth/token/create"
	if role != nil {
		path = "auth/token/" + req.Path
	}
	data, sudo := req.Data, c.ACL.Decide(engine.Update, c.Prefix+path, nil).Sudo
	switch {
	case c.Token.Type == token.Batch:
		return engine.Invalidf("batch tokens cannot create more tokens")
	case c.Token.MaxUses > 0:
		return engine.Invalidf("restricted use token cannot generate child tokens")
	case spec.Raw != "" && !c.Token.Root():
		return engine.Invalidf("root or sudo privileges required to specify token id")
	case strings.ContainsAny(spec.Raw, "\r\n\t ."):
		return engine.Invalidf("a token id must not hold blanks or '.'")
	case data.Bool("no_parent") && !sudo:
		return engine.Invalidf("root or sudo privileges required to create orphan token")
	case data.Duration("period") > 0 && !sudo:
		return engine.Invalidf("root or sudo privileges required to create periodic token")
	case spec.NumUses < 0 || data.Int("num_uses") < 0:
		return engine.Invalidf("number of uses cannot be negative")
	case data.String("entity_alias") != "" && role == nil:
		return engine.Invalidf("'entity_alias' is only allowed in combination with token role")
	case spec.Type == token.Batch:
		for _, name := range []string{"explicit_max_ttl", "num_uses", "period", "id"} {
			if data.Has(name) && data.String(name) != "" || data.Duration(name) > 0 || data.Int(name) > 0 {
				return engine.Invalidf("batch tokens cannot have %q set", name)
			}
		}
	}
	return mayHave(c.Token, c.Home.Here == c.Here, spec, role, sudo)
}

// mayHave judges the policies: by the role's lists if it has any, else by the
// maker's own, which sudo alone may pass. Those of a maker of a namespace above
// (here is false) are others, whatever they are called: without sudo it can give no
// more than "default".
func mayHave(maker *token.Token, here bool, spec *token.Spec, role *token.Role, sudo bool) error {
	listed := role != nil && role.Listed()
	own := maker.Policies
	if !here && !maker.Root() {
		own = []string{"default"}
	}
	switch {
	case len(spec.Policies) > 0:
	case listed:
		spec.Policies = role.AllowedPolicies
	default:
		spec.Policies = own
	}
	if !listed && !sudo && !slices.Contains(own, "default") {
		spec.NoDefaultPolicy = true // a child has nothing that its maker lacks
	}
	want := token.Policies(spec.Policies, spec.NoDefaultPolicy)
	if role != nil {
		if err := role.Check(want); err != nil {
			return err
		}
	}
	if slices.Contains(want, "root") {
		if !maker.Root() {
			return engine.Invalidf("root tokens may not be created without parent token being root")
		}
		spec.NeverExpires = spec.Type != token.Batch && maker.Expires == 0 && spec.TTL == 0 && spec.ExplicitMaxTTL == 0 && spec.Period == 0
		return nil
	}
	if sudo || listed {
		return nil
	}
	for _, p := range want {
		if !slices.Contains(own, p) {
			return engine.Invalidf("child policies must be subset of parent")
		}
	}
	return nil
}
