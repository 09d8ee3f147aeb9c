// Package postgres is PostgreSQL for the database engine: it connects, and runs
// statements in a transaction. What it says of failures holds neither a secret nor
// anything of the connection's settings.
//
// https://developer.hashicorp.com/vault/api-docs/secret/databases/postgresql
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"strongroom/engine/database/dbms"
)

// The statements where a role, or a connection, has none of its own.
const (
	Rotation = `ALTER ROLE "{{name}}" WITH PASSWORD '{{password}}'`
	Renewal  = `ALTER ROLE "{{name}}" VALID UNTIL '{{expiration}}'`
)

// idle is after how long an unused connection is closed.
const idle = time.Minute

// Server is a pool of connections. Safe for concurrent use.
type Server struct {
	db   *sql.DB
	hash bool
}

// Open makes the pool of settings, or says what is wrong with them; it connects to
// nothing.
func Open(s dbms.Settings) (*Server, error) {
	config, err := configure(s)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector{config})
	db.SetMaxOpenConns(s.MaxOpen)
	db.SetMaxIdleConns(s.MaxIdle)
	db.SetConnMaxLifetime(s.MaxLifetime)
	db.SetConnMaxIdleTime(idle)
	return &Server{db: db, hash: s.Hash}, nil
}

// Close closes the connections that are unused, and each other one after its use.
func (s *Server) Close() { s.db.Close() }

// Run connects, and runs statements in one transaction; none of them: it only
// connects. A statement may be several, separated as PostgreSQL separates them.
func (s *Server) Run(ctx context.Context, statements []string, v dbms.Values) error {
	sent := string(v.Password)
	if s.hash && sent != "" {
		var err error
		if sent, err = verifier(sent); err != nil {
			return err
		}
	}
	// In a statement the name stands between quotes of either kind, so it may hold
	// neither: the engine sees to that. A quote of the password is doubled.
	fill := strings.NewReplacer("{{name}}", v.Name, "{{username}}", v.Name, "{{password}}", strings.ReplaceAll(sent, "'", "''"),
		"{{expiration}}", v.Expiration.UTC().Format("2006-01-02 15:04:05-0700"))
	return s.within(ctx, []string{string(v.Password), sent}, func(c *pgconn.PgConn) error {
		if len(statements) == 0 {
			return nil
		}
		return transaction(ctx, c, func() error {
			for _, statement := range statements {
				if err := exec(ctx, c, fill.Replace(statement)); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// within calls do with a connection of the pool, which is closed if do fails: what
// it had begun is rolled back. No text holds a part of the secrets.
func (s *Server) within(ctx context.Context, secrets []string, do func(*pgconn.PgConn) error) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return connecting(err)
	}
	defer conn.Close()
	err = conn.Raw(func(c any) error {
		err := do(c.(session).PgConn)
		if err != nil {
			c.(session).Close()
		}
		return err
	})
	if err != nil {
		return running(err, secrets)
	}
	return nil
}

// errCommit: whether the transaction was committed is not known.
var errCommit = errors.New("no answer to COMMIT")

func transaction(ctx context.Context, c *pgconn.PgConn, do func() error) error {
	if err := exec(ctx, c, "BEGIN"); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	err := exec(ctx, c, "COMMIT")
	if _, refused := errors.AsType[*pgconn.PgError](err); err != nil && !refused {
		return errors.Join(errCommit, err)
	}
	return err
}

func exec(ctx context.Context, c *pgconn.PgConn, text string) error {
	return c.Exec(ctx, text).Close()
}
