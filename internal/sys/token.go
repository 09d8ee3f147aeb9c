package sys

import (
	"cmp"
	"context"
	"time"

	"strongroom/auth"
	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/lease"
	"strongroom/internal/namespace"
	"strongroom/internal/token"
)

// token is auth/token/ (https://developer.hashicorp.com/vault/api-docs/auth/token).
func (d *Deps) token() []engine.Route {
	tok := []engine.Field{{Name: "token", Help: "The token."}}
	acc := []engine.Field{{Name: "accessor", Help: "Accessor of the token."}}
	increment := engine.Field{Name: "increment", Type: engine.Duration, Help: "Life asked for, from now."}
	create := createFields()
	login, nothing := engine.Answers{engine.Update: engine.Envelope{}}, engine.Answers{engine.Update: engine.Nothing{}}
	info := engine.Answers{engine.Update: tokenInfo{}}
	routes := []engine.Route{
		{Path: "create", Help: "Make a token.", Fields: create, Answers: login, Write: d.createToken},
		{Path: "create/{role_name}", Help: "Make a token by a role.", Fields: append(create, roleName), Answers: login, Write: d.createByRole},
		{Path: "create-orphan", Help: "Make a token without a parent.", Fields: create, Answers: login, Sudo: true, Write: d.createOrphan},
		{Path: "lookup-self", Help: "The calling token.", Answers: engine.Answers{engine.Read: tokenInfo{}, engine.Update: tokenInfo{}}, AnyNode: true, Read: d.lookup(callingToken), Write: d.lookup(callingToken)},
		{Path: "lookup", Help: "What a token is.", Fields: tok, Answers: info, Write: d.lookup(d.tokenInBody)},
		{Path: "lookup-accessor", Help: "What the token with an accessor is.", Fields: acc, Answers: info, Write: d.lookup(d.tokenByAccessor)},
		{Path: "renew-self", Help: "Renew the calling token.", Fields: []engine.Field{increment}, Answers: login, Write: d.renew(callingToken)},
		{Path: "renew", Help: "Renew a token.", Fields: append(tok, increment), Answers: login, Write: d.renew(d.tokenInBody)},
		{Path: "renew-accessor", Help: "Renew the token with an accessor.", Fields: append(acc, increment), Answers: login, Write: d.renew(d.tokenByAccessor)},
		{Path: "revoke-self", Help: "End the calling token and all made with it.", Answers: nothing, Write: d.revoke(callingToken)},
		{Path: "revoke", Help: "End a token and all made with it.", Fields: tok, Answers: nothing, Write: d.revoke(d.tokenInBody)},
		{Path: "revoke-accessor", Help: "End the token with an accessor and all made with it.", Fields: acc, Answers: nothing, Write: d.revoke(d.tokenByAccessor)},
		{Path: "revoke-orphan", Help: "End a token but not what was made with it.", Fields: tok, Answers: nothing, Sudo: true, Write: d.revokeOrphan},
		{Path: "accessors", Help: "List the accessors of all tokens.", Sudo: true, Fields: auth.ListFields(), Answers: engine.Answers{engine.List: engine.Keys{}}, List: d.accessors},
		{Path: "tidy", Help: "Look for what stands for no token any more.", Sudo: true, Answers: engine.Answers{engine.Update: engine.Accepted{}}, Write: d.tidyTokens},
	}
	return append(routes, d.tokenRoleRoutes()...)
}

var errBadToken error = &engine.Error{Kind: engine.Denied, Text: "bad token"}

// finder finds the token that a request is about, and its namespace: that of the
// request or one below it, never another, whatever it calls the token by.
type finder = func(context.Context, *engine.Request) (*call.Place, *token.Token, error)

func callingToken(ctx context.Context, _ *engine.Request) (*call.Place, *token.Token, error) {
	c := call.From(ctx)
	return c.Home, c.Token, nil
}

func (d *Deps) tokenInBody(ctx context.Context, req *engine.Request) (*call.Place, *token.Token, error) {
	raw := req.Data.String("token")
	if raw == "" {
		return nil, nil, engine.Invalidf("missing token ID")
	}
	c := call.From(ctx)
	p, err := placeOf(ctx, raw)
	if err != nil || p == nil {
		return nil, nil, cmp.Or(err, errBadToken)
	}
	t, err := p.Tokens.Lookup(ctx, c.Tx, raw, p.Issuers)
	if err == token.ErrInvalid {
		return nil, nil, errBadToken
	}
	return p, t, err
}

// placeOf is the namespace that raw is of; nil for one that the request cannot name.
func placeOf(ctx context.Context, raw string) (*call.Place, error) {
	c := call.From(ctx)
	id := token.Namespace(raw)
	if c.Tree.ByID(id) == nil { // the token of a development server may be any text
		id = namespace.RootID
	}
	return c.Reach(ctx, id)
}

func (d *Deps) tokenByAccessor(ctx context.Context, req *engine.Request) (*call.Place, *token.Token, error) {
	accessor := req.Data.String("accessor")
	if accessor == "" {
		return nil, nil, engine.Invalidf("missing accessor")
	}
	c, unknown := call.From(ctx), engine.Errorf(engine.Denied, "invalid accessor")
	_, id := lease.Split(accessor)
	p, err := c.Reach(ctx, id)
	if err != nil || p == nil {
		return nil, nil, cmp.Or(err, unknown)
	}
	t, err := p.Tokens.ByAccessor(ctx, c.Tx, accessor, p.Issuers)
	if err == token.ErrInvalid {
		return nil, nil, unknown
	}
	return p, t, err
}

func (d *Deps) lookup(find finder) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		p, t, err := find(ctx, req)
		if err != nil {
			return nil, err
		}
		raw := req.Data.String("token")
		if c := call.From(ctx); t == c.Token {
			raw = c.RawToken
		}
		out := show(t, raw)
		out["namespace_path"] = p.Here.Path
		return &engine.Response{Data: out}, introduce(ctx, out, p, t)
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
		"accessor": t.Accessor, "creation_time": t.Created, "creation_ttl": t.TTL, "display_name": t.DisplayName,
		"expire_time": expire, "explicit_max_ttl": t.ExplicitMaxTTL, "id": raw, "meta": meta, "num_uses": t.Uses,
		"orphan": t.Parent == "", "path": t.Path, "policies": t.Policies, "renewable": t.Renewable,
		"ttl": int64(t.Left(time.Now()) / time.Second), "type": t.Kind(), "issue_time": time.Unix(t.Created, 0).UTC().Format(time.RFC3339Nano),
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
		p, t, err := find(ctx, req)
		if err != nil {
			return nil, err
		}
		if t.Type == token.Batch {
			return nil, engine.Invalidf("batch tokens cannot be renewed")
		}
		c := call.From(ctx)
		if t, err = p.Tokens.ByID(ctx, c.Tx, t.ID, p.Issuers); err != nil { // its last use may just have been spent
			return nil, err
		}
		t, life, err := d.judged(ctx, req, p, t)
		if err != nil {
			return nil, err
		}
		next, warnings, err := p.Tokens.Renew(c.Tx, t, cmp.Or(req.Data.Duration("increment"), life))
		if err != nil {
			return nil, err
		}
		raw := req.Data.String("token")
		if t.ID == c.Token.ID {
			raw = c.RawToken
		}
		c.Auth = &call.Auth{ClientToken: raw, Token: next, LeaseDuration: next.Granted(), Home: p}
		return &engine.Response{Warnings: warnings}, nil
	}
}

func (d *Deps) revoke(find finder) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		p, t, err := find(ctx, req)
		if err == errBadToken {
			return nil, nil // there is nothing to revoke
		}
		if err != nil {
			return nil, err
		}
		if t.Type == token.Batch {
			return nil, engine.Invalidf("batch tokens cannot be revoked: they end with their time, or with their parent")
		}
		p.Tokens.Revoke(call.From(ctx).Tx, t)
		return nil, nil
	}
}

func (d *Deps) revokeOrphan(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	p, t, err := d.tokenInBody(ctx, req)
	if err != nil {
		return nil, err
	}
	if t.Type == token.Batch {
		return nil, engine.Invalidf("batch tokens cannot be revoked: they end with their time, or with their parent")
	}
	return nil, p.Tokens.RevokeOrphan(ctx, call.From(ctx).Tx, t)
}

func (d *Deps) accessors(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	names, err := call.From(ctx).Realm.Tokens.Accessors(ctx, call.From(ctx).Tx, req.Data.String("after"), int(req.Data.Int("limit")))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: map[string]any{"keys": names}}, nil
}

// tidyTokens serves sys/leases/tidy too: tokens and their lease ids are tidied together.
func (d *Deps) tidyTokens(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	c.Realm.Tokens.AskTidy(c.Tx)
	return &engine.Response{Accepted: true, Warnings: []string{"Tidy operation successfully started. Any information from the operation will be printed to the server's logs."}}, nil
}
