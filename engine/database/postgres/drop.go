package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// revocations are the statements that take from the role $1 what it was granted in
// this database, and then the role itself: none where it is gone. What the role owns
// they leave, so that its drop fails rather than that data is lost. Privileges
// are found by the catalog's own list of them, so few or many tables cost the same.
// https://www.postgresql.org/docs/current/catalog-pg-shdepend.html
const revocations = `
WITH r AS (SELECT oid, rolname FROM pg_roles WHERE rolname = $1),
granted AS (
  SELECT DISTINCT d.classid, d.objid FROM pg_shdepend d JOIN r ON d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid
  WHERE d.deptype = 'a' AND d.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())))
SELECT format('REVOKE ALL ON %s FROM %I', CASE g.classid
    WHEN 'pg_class'::regclass THEN (SELECT CASE WHEN c.relkind = 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || c.oid::regclass FROM pg_class c WHERE c.oid = g.objid)
    WHEN 'pg_namespace'::regclass THEN (SELECT format('SCHEMA %I', nspname) FROM pg_namespace WHERE oid = g.objid)
    WHEN 'pg_database'::regclass THEN (SELECT format('DATABASE %I', datname) FROM pg_database WHERE oid = g.objid)
    WHEN 'pg_proc'::regclass THEN 'ROUTINE ' || g.objid::regprocedure
    WHEN 'pg_type'::regclass THEN 'TYPE ' || g.objid::regtype
    WHEN 'pg_language'::regclass THEN (SELECT format('LANGUAGE %I', lanname) FROM pg_language WHERE oid = g.objid)
    WHEN 'pg_foreign_server'::regclass THEN (SELECT format('FOREIGN SERVER %I', srvname) FROM pg_foreign_server WHERE oid = g.objid)
  END, rolname)
FROM granted g, r
WHERE g.classid IN ('pg_class'::regclass, 'pg_namespace'::regclass, 'pg_database'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass,
  'pg_language'::regclass, 'pg_foreign_server'::regclass)
UNION ALL SELECT format('DROP ROLE %I', rolname) FROM r`

// Drop takes the role called name away by statements or, without any, revokes its
// privileges and drops it. If it is gone, that is no error, and nothing is run.
func (s *Server) Drop(ctx context.Context, statements []string, name string) error {
	fill := strings.NewReplacer("{{name}}", name, "{{username}}", name)
	return s.within(ctx, nil, func(c *pgconn.PgConn) error {
		return transaction(ctx, c, func() error {
			run, err := read(ctx, c, name)
			if err != nil || len(run) == 0 {
				return err
			}
			if len(statements) > 0 {
				run = nil
				for _, statement := range statements {
					run = append(run, fill.Replace(statement))
				}
			}
			for _, statement := range run {
				if err := exec(ctx, c, statement); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// maxRevocations bounds what is read of a server.
const maxRevocations = 100_000

// read returns the revocations of the role called name.
func read(ctx context.Context, c *pgconn.PgConn, name string) (statements []string, err error) {
	rows := c.ExecParams(ctx, revocations, [][]byte{[]byte(name)}, nil, nil, nil)
	for rows.NextRow() {
		if len(statements) == maxRevocations {
			break
		}
		statements = append(statements, string(rows.Values()[0]))
	}
	if len(statements) == maxRevocations {
		return nil, errors.New("more privileges than can be revoked one by one")
	}
	_, err = rows.Close()
	return statements, err
}
