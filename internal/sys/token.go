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

// token is auth/token/ (https://developer.hashicorp.com/vault/api-docs/auth/token).
// Roles and tidy are not in this release.
func (d *Deps) token() []engine.Route {
	tok := []engine.Field{{Name: "token", Help: "The token."}, {Name: "accessor", Help: "Its accessor."}}
	renew := append([]engine.Field{{Name: "increment", Type: engine.Duration, Help: "Life asked for, from now."}}, tok...)
	self := func(ctx context.Context, _ *engine.Request) (*token.Token, error) { return call.From(ctx).Token, nil }
	return []engine.Route{
		{Path: "create", Help: "Make a token.", Fields: createFields, Write: d.createToken(false)},
		{Path: "create-orphan", Help: "Make a token without a parent.", Fields: createFields, Sudo: true, Write: d.createToken(true)},
		{Path: "lookup-self", Help: "The calling token.", AnyNode: true, Read: d.lookup(self), Write: d.lookup(self)},
		{Path: "lookup", Help: "What a token is.", Fields: tok, Write: d.lookup(d.tokenInBody)},
		{Path: "lookup-accessor", Help: "What the token with an accessor is.", Fields: tok, Write: d.lookup(d.tokenByAccessor)},
		{Path: "renew-self", Help: "Renew the calling token.", Fields: renew, Write: d.renew(self)},
		{Path: "renew", Help: "Renew a token.", Fields: renew, Write: d.renew(d.tokenInBody)},
		{Path: "renew-accessor", Help: "Renew the token with an accessor.", Fields: renew, Write: d.renew(d.tokenByAccessor)},
		{Path: "revoke-self", Help: "End the calling token and all made with it.", Write: d.revoke(self)},
		{Path: "revoke", Help: "End a token and all made with it.", Fields: tok, Write: d.revoke(d.tokenInBody)},
		{Path: "revoke-accessor", Help: "End the token with an accessor and all made with it.", Fields: tok, Write: d.revoke(d.tokenByAccessor)},
		{Path: "revoke-orphan", Help: "End a token but not what was made with it.", Fields: tok, Sudo: true, Write: d.revokeOrphan},
		{Path: "accessors", Help: "List the accessors of all tokens.", Sudo: true, List: d.accessors},
	}
}

var createFields = []engine.Field{
	{Name: "id", Help: "The token itself; for root tokens to choose."},
	{Name: "policies", Type: engine.StringList, Help: "Policies; the caller's own if none is given."},
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
	{Name: "type", Help: "service."},
	{Name: "entity_alias", Help: "Not in this release."},
}

func (d *Deps) createToken(orphan bool) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		c, data := call.From(ctx), req.Data
		sudo := c.ACL.Decide(engine.Update, "auth/token/create", nil).Sudo
		spec := token.Spec{Parent: c.Token, Path: "auth/token/create", Mount: req.Mount, NotRenewable: !data.Bool("renewable"), Raw: data.String("id")}
		ttl := data.Duration("ttl")
		if ttl == 0 {
			ttl = data.Duration("lease")
		}
		spec.Grant = engine.Grant{Policies: data.Strings("policies"), NoDefaultPolicy: data.Bool("no_default_policy"), Metadata: data.Map("meta"),
			TTL: ttl, ExplicitMaxTTL: data.Duration("explicit_max_ttl"), Period: data.Duration("period"), NumUses: int(data.Int("num_uses")), Type: data.String("type")}
		if spec.DisplayName = "token"; data.String("display_name") != "" {
			spec.DisplayName = "token-" + strings.ReplaceAll(data.String("display_name"), " ", "-")
		}
		if orphan || data.Bool("no_parent") {
			spec.Parent = nil
		}
		if err := d.mayCreate(c, &spec, sudo, data); err != nil {
			return nil, err
		}
		t, raw, warnings, err := d.Tokens.Issue(ctx, c.Tx, spec)
		if err != nil {
			return nil, err
		}
		for _, p := range t.Policies {
			if _, ok, err := d.ACLs.Text(ctx, c.Tx, p); err != nil {
				return nil, err
			} else if !ok {
				warnings = append(warnings, "Policy \""+p+"\" does not exist")
			}
		}
		c.Auth = &call.Auth{ClientToken: raw, Token: t, LeaseDuration: t.Granted()}
		return &engine.Response{Warnings: warnings}, nil
	}
}

// mayCreate refuses what would give the new token more than its maker has, and
// completes spec.
func (d *Deps) mayCreate(c *call.Call, spec *token.Spec, sudo bool, data engine.Data) error {
	switch {
	case c.Token.MaxUses > 0:
		return engine.Invalidf("restricted use token cannot generate child tokens")
	case spec.Raw != "" && !c.Token.Root():
		return engine.Invalidf("root or sudo privileges required to specify token id")
	case strings.ContainsAny(spec.Raw, "\r\n\t ."):
		return engine.Invalidf("a token id must not hold blanks or '.'")
	case data.Bool("no_parent") && !sudo:
		return engine.Invalidf("root or sudo privileges required to create orphan token")
	case spec.Period > 0 && !sudo:
		return engine.Invalidf("root or sudo privileges required to create periodic token")
	case spec.NumUses < 0:
		return engine.Invalidf("number of uses cannot be negative")
	case data.String("entity_alias") != "": // the Go client always sends it
		return engine.Invalidf("entity_alias is not in this release")
	}
	if len(spec.Policies) == 0 {
		spec.Policies = c.Token.Policies
	}
	if !sudo && !slices.Contains(c.Token.Policies, "default") {
		spec.NoDefaultPolicy = true // a child has nothing that its maker lacks
	}
	want := token.Policies(spec.Policies, spec.NoDefaultPolicy)
	if slices.Contains(want, "root") {
		if !c.Token.Root() {
			return engine.Invalidf("root tokens may not be created without parent token being root")
		}
		spec.NeverExpires = c.Token.Expires == 0 && spec.TTL == 0 && spec.ExplicitMaxTTL == 0 && spec.Period == 0
		return nil
	}
	if sudo {
		return nil
	}
	for _, p := range want {
		if !slices.Contains(c.Token.Policies, p) {
			return engine.Invalidf("child policies must be subset of parent")
		}
	}
	return nil
}

func (d *Deps) tokenInBody(ctx context.Context, req *engine.Request) (*token.Token, error) {
	raw := req.Data.String("token")
	if raw == "" {
		return nil, engine.Invalidf("missing token ID")
	}
	c := call.From(ctx)
	t, err := d.Tokens.Lookup(ctx, c.Tx, raw, c.Routing)
	if err == token.ErrInvalid {
		return nil, engine.Errorf(engine.Denied, "bad token")
	}
	return t, err
}

func (d *Deps) tokenByAccessor(ctx context.Context, req *engine.Request) (*token.Token, error) {
	accessor := req.Data.String("accessor")
	if accessor == "" {
		return nil, engine.Invalidf("missing accessor")
	}
	c := call.From(ctx)
	t, err := d.Tokens.ByAccessor(ctx, c.Tx, accessor, c.Routing)
	if err == token.ErrInvalid {
		return nil, engine.Errorf(engine.Denied, "invalid accessor")
	}
	return t, err
}

type finder = func(context.Context, *engine.Request) (*token.Token, error)

func (d *Deps) lookup(find finder) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		t, err := find(ctx, req)
		if err != nil {
			return nil, err
		}
		raw := req.Data.String("token")
		if c := call.From(ctx); t == c.Token {
			raw = c.RawToken
		}
		return &engine.Response{Data: show(t, raw)}, nil
	}
}

// show is a token as lookups answer it.
func show(t *token.Token, raw string) map[string]any {
	var expire any
	if t.Expires != 0 {
		expire = time.Unix(t.Expires, 0).UTC().Format(time.RFC3339Nano)
	}
	var meta any
	if len(t.Meta) > 0 {
		meta = t.Meta
	}
	out := map[string]any{
		"accessor": t.Accessor, "creation_time": t.Created, "creation_ttl": t.TTL, "display_name": t.DisplayName, "entity_id": "",
		"expire_time": expire, "explicit_max_ttl": t.ExplicitMaxTTL, "id": raw, "meta": meta, "num_uses": t.Uses,
		"orphan": t.Parent == "", "path": t.Path, "policies": t.Policies, "renewable": t.Renewable,
		"ttl": int64(t.Left(time.Now()) / time.Second), "type": "service", "issue_time": time.Unix(t.Created, 0).UTC().Format(time.RFC3339Nano),
	}
	if t.Expires == 0 {
		delete(out, "issue_time")
		delete(out, "renewable")
	}
	if t.Period > 0 {
		out["period"] = t.Period
	}
	if t.Role != "" {
		out["role"] = t.Role
	}
	if t.Renewed > 0 {
		out["last_renewal"], out["last_renewal_time"] = time.Unix(t.Renewed, 0).UTC().Format(time.RFC3339Nano), t.Renewed
	}
	if len(t.BoundCIDRs) > 0 {
		out["bound_cidrs"] = t.BoundCIDRs
	}
	return out
}

func (d *Deps) renew(find finder) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		t, err := find(ctx, req)
		if err != nil {
			return nil, err
		}
		c := call.From(ctx)
		if t, err = d.Tokens.ByID(ctx, c.Tx, t.ID, c.Routing); err != nil { // its last use may just have been spent
			return nil, err
		}
		next, warnings, err := d.Tokens.Renew(c.Tx, t, req.Data.Duration("increment"))
		if err != nil {
			return nil, err
		}
		raw := req.Data.String("token")
		if t.ID == c.Token.ID {
			raw = c.RawToken
		}
		c.Auth = &call.Auth{ClientToken: raw, Token: next, LeaseDuration: next.Granted()}
		return &engine.Response{Warnings: warnings}, nil
	}
}

func (d *Deps) revoke(find finder) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		t, err := find(ctx, req)
		if err != nil {
			return nil, err
		}
		d.Tokens.Revoke(call.From(ctx).Tx, t)
		return nil, nil
	}
}

func (d *Deps) revokeOrphan(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	t, err := d.tokenInBody(ctx, req)
	if err != nil {
		return nil, err
	}
	return nil, d.Tokens.RevokeOrphan(ctx, call.From(ctx).Tx, t)
}

func (d *Deps) accessors(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	names, err := d.Tokens.Accessors(ctx, call.From(ctx).Tx)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: map[string]any{"keys": names}}, nil
}
