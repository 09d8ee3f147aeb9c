package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// database/sql keeps the pool, and no more: statements go to the connection itself,
// as PostgreSQL alone knows where one of several in a text ends.

// connector opens the connections of a pool.
type connector struct{ config *pgconn.Config }

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	pg, err := pgconn.ConnectConfig(ctx, c.config)
	if err != nil {
		return nil, err
	}
	return session{pg}, nil
}

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return c }

// Open implements driver.Driver.
func (connector) Open(string) (driver.Conn, error) { return nil, errUnused }

// session is one connection.
type session struct{ *pgconn.PgConn }

// closeTimeout is how long a goodbye may take.
const closeTimeout = time.Second

var errUnused = errors.New("postgres: database/sql keeps connections here, and does not use them")

// Close implements driver.Conn.
func (s session) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return s.PgConn.Close(ctx)
}

// IsValid implements driver.Validator.
func (s session) IsValid() bool { return !s.IsClosed() }

// ResetSession implements driver.SessionResetter: before a connection is used again it
// must answer, or else another is opened.
func (s session) ResetSession(ctx context.Context) error {
	if err := s.Ping(ctx); err != nil {
		return driver.ErrBadConn
	}
	return nil
}

// Prepare implements driver.Conn.
func (session) Prepare(string) (driver.Stmt, error) { return nil, errUnused }

// Begin implements driver.Conn.
func (session) Begin() (driver.Tx, error) { return nil, errUnused }
