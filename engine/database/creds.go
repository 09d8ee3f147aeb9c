package database

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"strongroom/engine"
	"strongroom/engine/database/dbms"
	"strongroom/internal/password"
)

// grace is how much longer than its lease the database lets a user log in: the
// lease begins a moment after its end was put into the statements.
const grace = 5 * time.Second

// policy is what passwords are made by where a connection names no policy; it is
// Vault's default.
const policy = `length = 20
rule "charset" { charset = "abcdefghijklmnopqrstuvwxyz" min-chars = 1 }
rule "charset" { charset = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" min-chars = 1 }
rule "charset" { charset = "0123456789" min-chars = 1 }
rule "charset" { charset = "-" min-chars = 1 }`

// lent is what a lease keeps of a user, to end it (engine.Lease.Revoke).
type lent struct {
	Connection string   `json:"connection"`
	Role       string   `json:"role"`
	Name       string   `json:"name"`                 // of the user
	Revocation []string `json:"revocation,omitempty"` // the role's, for when it is gone
}

// password makes one by the policy of c.
func (c *connection) password(ctx context.Context, req *engine.Request) (string, error) {
	if c.PasswordPolicy != "" {
		return req.Passwords.Generate(ctx, c.PasswordPolicy)
	}
	p, err := password.Parse(policy)
	if err != nil {
		return "", err
	}
	return p.Generate()
}

// creds lends a user of the database. It is named, and its lease durable, before it
// is made.
func (b *backend) creds(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	r, err := loadRole(ctx, req.Storage, req.Data.String("name"))
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, engine.Invalidf("unknown role: %s", req.Data.String("name"))
	}
	c, err := needConnection(ctx, req.Storage, r.Connection)
	if err != nil {
		return nil, err
	}
	if !c.allows(r.name) {
		return nil, engine.Invalidf("%q is not an allowed role: add it to allowed_roles of the connection %q", r.name, c.name)
	}
	user, err := c.username(req.Caller.DisplayName, r.name)
	if err != nil {
		return nil, engine.Invalidf("%v", err)
	}
	secret, err := c.password(ctx, req)
	if err != nil {
		return nil, err
	}
	ttl, limit := r.lives(req.Mount)
	revoke, err := json.Marshal(lent{c.name, r.name, user, r.Revocation})
	if err != nil {
		return nil, err
	}
	values := dbms.Values{Name: user, Password: dbms.Secret(secret), Expiration: time.Now().Add(ttl + grace)}
	return &engine.Response{
		Data:  Credentials{user, secret},
		Lease: &engine.Lease{TTL: ttl, MaxTTL: limit, Renewable: true, Revoke: revoke, Act: func(ctx context.Context) error { return b.make(ctx, c, r, values) }},
	}, nil
}

// make makes a user. If that fails its lease ends, and so what of it there may be.
func (b *backend) make(ctx context.Context, c *connection, r *role, v dbms.Values) error {
	ctx, cancel := context.WithTimeout(ctx, operation)
	defer cancel()
	srv, _, err := b.server(ctx, c)
	if err == nil {
		err = srv.Run(ctx, r.Creation, v)
	}
	if err != nil && srv != nil && len(r.Rollback) > 0 {
		if rerr := srv.Run(ctx, r.Rollback, dbms.Values{Name: v.Name}); rerr != nil {
			b.logger.Warn("rollback_statements failed", "role", r.name, "error", rerr)
		}
	}
	return upstream(fmt.Sprintf("no user was made for the role %q", r.name), err)
}

// Revoke implements engine.Revoker.
func (b *backend) Revoke(ctx context.Context, req *engine.Request, revoke []byte) error {
	var l lent
	if err := json.Unmarshal(revoke, &l); err != nil {
		return fmt.Errorf("database: decode what a lease keeps: %w", err)
	}
	c, err := needConnection(ctx, req.Storage, l.Connection)
	if err != nil {
		return err
	}
	statements := l.Revocation
	if r, err := loadRole(ctx, req.Storage, l.Role); err != nil {
		return err
	} else if r != nil {
		statements = r.Revocation // as they are now: they may have been mended
	}
	ctx, cancel := context.WithTimeout(ctx, operation)
	defer cancel()
	srv, _, err := b.server(ctx, c)
	if err == nil {
		err = srv.Drop(ctx, statements, l.Name)
	}
	return upstream(fmt.Sprintf("the user %q stays", l.Name), err)
}

// RenewLease has the database let the user log in for longer. Implements
// engine.LeaseRenewer.
func (b *backend) RenewLease(ctx context.Context, req *engine.Request, lease engine.Lease) (engine.Lease, error) {
	var l lent
	if err := json.Unmarshal(lease.Revoke, &l); err != nil {
		return lease, fmt.Errorf("database: decode what a lease keeps: %w", err)
	}
	r, err := loadRole(ctx, req.Storage, l.Role)
	if err != nil {
		return lease, err
	}
	if r == nil {
		return lease, engine.Invalidf("error during renew: could not find role with name %q", l.Role)
	}
	c, err := needConnection(ctx, req.Storage, l.Connection)
	if err != nil {
		return lease, err
	}
	statements := r.Renewal
	if len(statements) == 0 {
		statements = []string{b.kinds[c.Plugin].renewal}
	}
	ctx, cancel := context.WithTimeout(ctx, operation)
	defer cancel()
	srv, _, err := b.server(ctx, c)
	if err == nil {
		err = srv.Run(ctx, statements, dbms.Values{Name: l.Name, Expiration: time.Now().Add(lease.TTL + grace)})
	}
	return lease, upstream("the user does not live longer", err)
}
