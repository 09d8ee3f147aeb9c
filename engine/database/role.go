package database

import (
	"cmp"
	"context"
	"time"

	"strongroom/engine"
	"strongroom/internal/storage"
)

const rolePrefix = "role/"

// role is the stored record of a role: what users are made for it. Durations are in
// seconds; 0 means the mount's own.
type role struct {
	name string

	Connection string   `json:"connection"`
	Creation   []string `json:"creation"`
	Revocation []string `json:"revocation,omitempty"`
	Rollback   []string `json:"rollback,omitempty"`
	Renewal    []string `json:"renewal,omitempty"`
	DefaultTTL int64    `json:"default_ttl,omitempty"`
	MaxTTL     int64    `json:"max_ttl,omitempty"`
}

func (b *backend) roleRoutes() []engine.Route {
	named := name("Name of the role.")
	fields := append([]engine.Field{named,
		{Name: "db_name", Help: "Connection in which users are made."},
		{Name: "creation_statements", Type: engine.Any, Help: "Statements that make a user, with {{name}}, {{password}} and {{expiration}}."},
		{Name: "revocation_statements", Type: engine.Any, Help: "Statements that take a user away, with {{name}}; without any, its privileges are revoked and it is dropped."},
		{Name: "rollback_statements", Type: engine.Any, Help: "Statements that clear up when a user could not be made, with {{name}}."},
		{Name: "renew_statements", Type: engine.Any, Help: "Statements that have a user live longer, with {{name}} and {{expiration}}."},
		{Name: "default_ttl", Type: engine.Duration, Help: "Life of a user; 0: the mount's."},
		{Name: "max_ttl", Type: engine.Duration, Help: "Longest life of a user, with renewals; 0: the mount's."},
	}, credentialFields()...)
	return []engine.Route{
		{Path: "roles", Help: "The names of all roles.", Fields: listFields(), Answers: lists(), List: list(rolePrefix)},
		{Path: "roles/{name}", Help: "What users are made for a role.", Fields: fields, Answers: one(Role{}), Exists: exists(rolePrefix), Read: readRole, Write: writeRole, Delete: deleteRole},
		{Path: "creds/{name}", Help: "Make a user of the database, for as long as its lease.", Fields: []engine.Field{named}, Answers: engine.Answers{engine.Read: Credentials{}}, Read: b.creds},
	}
}

func credentialFields() []engine.Field {
	return []engine.Field{{Name: "credential_type", Help: "password."}, {Name: "credential_config", Type: engine.StringMap, Help: "Nothing can be set for passwords here: the connection's password_policy makes them."}}
}

// checkCredential refuses credentials that are no passwords.
func checkCredential(d engine.Data) error {
	if t := cmp.Or(d.String("credential_type"), "password"); t != "password" {
		return engine.Invalidf("credential_type %q is not supported: only password is", t)
	}
	if len(d.Map("credential_config")) > 0 {
		return engine.Invalidf("credential_config is not supported: set the connection's password_policy")
	}
	return nil
}

func loadRole(ctx context.Context, v storage.View, name string) (*role, error) {
	r := &role{name: name}
	if found, err := storage.GetJSON(ctx, v, rolePrefix+name, r); err != nil || !found {
		return nil, err
	}
	return r, nil
}

func readRole(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	r, err := loadRole(ctx, req.Storage, req.Data.String("name"))
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: Role{r.Connection, texts(r.Creation), texts(r.Revocation), texts(r.Rollback), texts(r.Renewal), r.DefaultTTL, r.MaxTTL, "password"}}, nil
}

func writeRole(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	d := req.Data
	r, err := loadRole(ctx, req.Storage, d.String("name"))
	if err != nil {
		return nil, err
	}
	if r == nil {
		r = &role{name: d.String("name")}
	}
	if err := checkCredential(d); err != nil {
		return nil, err
	}
	if d.Has("db_name") {
		r.Connection = d.String("db_name")
	}
	for name, list := range map[string]*[]string{"creation_statements": &r.Creation, "revocation_statements": &r.Revocation, "rollback_statements": &r.Rollback, "renew_statements": &r.Renewal} {
		if *list, err = statements(d, name, *list); err != nil {
			return nil, err
		}
	}
	for name, seconds := range map[string]*int64{"default_ttl": &r.DefaultTTL, "max_ttl": &r.MaxTTL} {
		if d.Has(name) {
			*seconds = int64(d.Duration(name).Seconds())
		}
	}
	switch {
	case r.Connection == "":
		return nil, engine.Invalidf("database name (db_name) is missing: name a connection")
	case len(r.Creation) == 0:
		return nil, engine.Invalidf("creation_statements are missing: give statements such as CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'")
	case r.MaxTTL > 0 && r.DefaultTTL > r.MaxTTL:
		return nil, engine.Invalidf("default_ttl cannot be greater than max_ttl")
	}
	return nil, storage.PutJSON(req.Storage, rolePrefix+r.name, r)
}

func deleteRole(_ context.Context, req *engine.Request) (*engine.Response, error) {
	req.Storage.Delete(rolePrefix + req.Data.String("name"))
	return nil, nil
}

// lives are how long a user lives at first, and at most.
func (r *role) lives(m engine.Mount) (ttl, limit time.Duration) {
	ttl, limit = m.DefaultTTL, m.MaxTTL
	if r.MaxTTL > 0 {
		limit = min(limit, time.Duration(r.MaxTTL)*time.Second)
	}
	if r.DefaultTTL > 0 {
		ttl = time.Duration(r.DefaultTTL) * time.Second
	}
	return min(ttl, limit), limit
}
