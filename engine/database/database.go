// Package database is the engine that lends users of databases: it makes one for
// each who asks, with the rights that a role says, and drops it when its lease ends;
// or it keeps the password of a user that exists, and changes it at its time. It owns
// connections, roles and static roles (docs/format/database.md).
//
// Nothing it does elsewhere comes before what it intends is durable (ADR 27), and
// while it waits for a database it holds neither a lock nor a transaction of the
// store. A kind of database is a folder and a line in kinds.
//
// https://developer.hashicorp.com/vault/api-docs/secret/databases
package database

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/engine"
	"strongroom/engine/database/dbms"
	"strongroom/engine/database/postgres"
)

// operation is how long one thing may take that a database is asked for.
const operation = 30 * time.Second

// server is what the engine asks of a database: connections that are opened as they
// are needed. Its errors are *dbms.Failure where a database is to blame.
type server interface {
	// Run runs the statements in one transaction; none: it connects only.
	Run(ctx context.Context, statements []string, v dbms.Values) error
	// Drop takes the user called name away by the statements, or as the database has it
	// if there are none. A user that is gone is no error, and no reason to run them.
	Drop(ctx context.Context, statements []string, name string) error
	// Close closes the connections, each that is in use after its use.
	Close()
}

// kind is one kind of database.
type kind struct {
	open func(dbms.Settings) (server, error) // does no I/O; its errors are for the caller
	// The statements where roles and connections have none of their own.
	rotation, renewal string
}

// kinds are the databases there are, by the plugin_name that Vault has for them.
func kinds() map[string]kind {
	return map[string]kind{
		"postgresql-database-plugin": {
			open:     func(s dbms.Settings) (server, error) { return postgres.Open(s) },
			rotation: postgres.Rotation, renewal: postgres.Renewal,
		},
	}
}

// backend is one mounted engine.
type backend struct {
	logger  hclog.Logger
	kinds   map[string]kind
	servers *servers
	locks   *locks
}

// Factory makes the engine of a database mount.
func Factory(env engine.Env) (engine.Engine, error) { return newBackend(env, kinds()), nil }

func newBackend(env engine.Env, kinds map[string]kind) *backend {
	return &backend{logger: env.Logger, kinds: kinds, servers: newServers(), locks: newLocks()}
}

// Routes serves Vault's database API.
func (b *backend) Routes() []engine.Route {
	return slices.Concat(b.connectionRoutes(), b.roleRoutes(), b.staticRoutes())
}

// Close closes all connections. Implements engine.Closer.
func (b *backend) Close() { b.servers.closeAll() }

// name is the path parameter of everything that has a name.
func name(help string) engine.Field {
	return engine.Field{Name: "name", Required: true, Help: help}
}

func listFields() []engine.Field {
	return []engine.Field{{Name: "after", Help: "Begin after this name."}, {Name: "limit", Type: engine.Int, Help: "Answer at most so many names."}}
}

// list lists the names below prefix.
func list(prefix string) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		names, err := req.Storage.List(ctx, prefix, req.Data.String("after"), int(min(max(req.Data.Int("limit"), 0), 1<<30)))
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			return nil, engine.ErrNotFound
		}
		return &engine.Response{Data: engine.Keys{Keys: names}}, nil
	}
}

// exists says whether the name below prefix is taken.
func exists(prefix string) func(ctx context.Context, req *engine.Request) (bool, error) {
	return func(ctx context.Context, req *engine.Request) (bool, error) {
		v, err := req.Storage.Version(ctx, prefix+req.Data.String("name"))
		return v != 0, err
	}
}

// upstream is err as a caller may see it, of what is to be done.
func upstream(what string, err error) error {
	if f, ok := errors.AsType[*dbms.Failure](err); ok {
		return engine.Errorf(engine.Upstream, "%s: %s", what, f.Text)
	}
	return err
}

// doubtful says whether what failed with err may have happened all the same.
func doubtful(err error) bool {
	f, ok := errors.AsType[*dbms.Failure](err)
	return !ok || f.Doubt
}
