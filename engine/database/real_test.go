package database

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"strongroom/engine"
	"strongroom/engine/enginetest"
	"strongroom/internal/storage"
	"strongroom/test/pgtest"
)

type (
	object = map[string]any
	ctx    = context.Context
)

const (
	plugin = "postgresql-database-plugin"
	create = `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}";`
)

// mounted is an engine beside a database.
type mounted struct {
	*enginetest.Mounted
	t *testing.T
}

func (m *mounted) must(op engine.Operation, path string, body any) object {
	m.t.Helper()
	resp, err := m.Do(op, path, body)
	if err != nil {
		m.t.Fatalf("%s %s: %v", op, path, err)
	}
	return m.data(resp)
}

func (m *mounted) data(resp *engine.Response) (out object) {
	m.t.Helper()
	if resp == nil || resp.Data == nil {
		return nil
	}
	if err := json.Unmarshal([]byte(enginetest.JSON(m.t, resp)), &out); err != nil {
		m.t.Fatal(err)
	}
	return out
}

// fails wants the operation refused, with that kind of error and these words in it.
func (m *mounted) fails(op engine.Operation, path string, body any, kind engine.Kind, words string) {
	m.t.Helper()
	_, err := m.Do(op, path, body)
	if err == nil || engine.KindOf(err) != kind || !strings.Contains(err.Error(), words) {
		m.t.Errorf("%s %s: %v (kind %d), want %q (kind %d)", op, path, err, engine.KindOf(err), words, kind)
	}
}

// real is an engine with a connection to a PostgreSQL that has an administrator, a
// table, and a user "app".
func real(t *testing.T) (*mounted, *pgtest.Cluster) {
	t.Helper()
	pg := pgtest.New(t)
	pg.Query(t, `CREATE ROLE admin WITH LOGIN SUPERUSER PASSWORD 'ad''min@/:%'; CREATE ROLE app WITH LOGIN PASSWORD 'first'; CREATE TABLE things (id int)`)
	m := &mounted{enginetest.New(t, storage.NewMem(), "database/", Factory, nil), t}
	t.Cleanup(m.Engine.(engine.Closer).Close)
	m.Before = func(req *engine.Request) { req.Caller.DisplayName = `token-"; DROP` }
	m.must(engine.Update, "config/pg", object{"plugin_name": plugin, "connection_url": pg.URL("postgres", ""), "username": "admin", "password": "ad'min@/:%", "allowed_roles": "*"})
	m.must(engine.Update, "roles/reader", object{"db_name": "pg", "creation_statements": create, "default_ttl": "1h", "max_ttl": "24h"})
	return m, pg
}

func roles(t *testing.T, pg *pgtest.Cluster) []string {
	return pg.Query(t, `SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%' ORDER BY 1`)
}

// A user is made, may read, lives longer when its lease is renewed, and is gone with it.
func TestCredsLife(t *testing.T) {
	m, pg := real(t)
	resp, err := m.Do(engine.Read, "creds/reader", nil)
	if err != nil {
		t.Fatal(err)
	}
	got := m.data(resp)
	name, password := fmt.Sprint(got["username"]), fmt.Sprint(got["password"])
	if !strings.HasPrefix(name, "v-token-__-reader-") || len(name) > 63 || len(password) != 20 {
		t.Errorf("made %q", name)
	}
	if l := resp.Lease; l.TTL != time.Hour || l.MaxTTL != 24*time.Hour || !l.Renewable || strings.Contains(string(l.Revoke), password) {
		t.Errorf("lease %+v", l)
	}
	if err := pg.Login(name, password); err != nil {
		t.Fatal(err)
	}
	until := func() time.Duration {
		var seconds float64
		row := pg.Query(t, `SELECT extract(epoch FROM rolvaliduntil - now()) FROM pg_roles WHERE rolname = '`+name+`'`)
		if _, err := fmt.Sscan(row[0], &seconds); err != nil {
			t.Fatal(err)
		}
		return time.Duration(seconds * float64(time.Second))
	}
	if d := until(); d < time.Hour || d > time.Hour+grace {
		t.Errorf("valid for %s", d)
	}
	lease := *resp.Lease
	lease.TTL = 3 * time.Hour
	if back, err := m.Renew(lease); err != nil || back.TTL != lease.TTL || until() < 3*time.Hour || until() > 3*time.Hour+grace {
		t.Errorf("renewed: %+v, %v, valid for %s", back, err, until())
	}
	for range 2 { // what is gone is no error
		if err := m.Revoke(lease.Revoke); err != nil {
			t.Fatal(err)
		}
	}
	if left := roles(t, pg); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := m.Renew(lease); err == nil {
		t.Error("the lease of a user that is gone was renewed")
	}
}

// Statements of a role take a user away, also after the role is deleted; one that
// never was made is none of theirs.
func TestRevocationStatements(t *testing.T) {
	m, pg := real(t)
	m.must(engine.Update, "roles/reader", object{"revocation_statements": []string{`REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "{{name}}"`, `DROP ROLE "{{name}}"`}})
	resp, err := m.Do(engine.Read, "creds/reader", nil)
	if err != nil {
		t.Fatal(err)
	}
	m.must(engine.Delete, "roles/reader", nil)
	for range 2 {
		if err := m.Revoke(resp.Lease.Revoke); err != nil {
			t.Fatal(err)
		}
	}
	if left := roles(t, pg); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// A user that owns data stays until somebody says what becomes of it.
func TestRevokeLeavesData(t *testing.T) {
	m, pg := real(t)
	resp, err := m.Do(engine.Read, "creds/reader", nil)
	if err != nil {
		t.Fatal(err)
	}
	name := m.data(resp)["username"].(string)
	pg.Query(t, `CREATE TABLE mine (id int); ALTER TABLE mine OWNER TO "`+name+`"; CREATE SCHEMA s; GRANT USAGE ON SCHEMA s TO "`+name+`"; CREATE SEQUENCE s.n; GRANT ALL ON SEQUENCE s.n TO "`+name+
		`"; GRANT CONNECT ON DATABASE postgres TO "`+name+`"; CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; GRANT EXECUTE ON FUNCTION f(int) TO "`+name+`"`)
	err = m.Revoke(resp.Lease.Revoke)
	if err == nil || engine.KindOf(err) != engine.Upstream || !strings.Contains(err.Error(), "2BP01") {
		t.Errorf("revoked the owner of a table: %v", err)
	}
	pg.Query(t, `ALTER TABLE mine OWNER TO postgres`)
	if err := m.Revoke(resp.Lease.Revoke); err != nil {
		t.Error(err)
	}
}

// The first password of a static role is set when it is written, others by its time
// and on request.
func TestStaticLife(t *testing.T) {
	m, pg := real(t)
	m.fails(engine.Update, "static-roles/app", object{"db_name": "pg", "username": "nobody", "rotation_period": "1h"}, engine.Upstream, "42704")
	m.fails(engine.Read, "static-roles/app", nil, engine.NotFound, "")
	if n, _ := m.Work(time.Now().Add(time.Hour)); n != 0 {
		t.Errorf("%d items of a static role that could not be made", n)
	}
	m.must(engine.Update, "static-roles/app", object{"db_name": "pg", "username": "app", "rotation_period": "1h"})
	last := ""
	rotated := func(how string) {
		t.Helper()
		got := m.must(engine.Read, "static-creds/app", nil)
		password := got["password"].(string)
		if err := pg.Login("app", password); err != nil || password == last || got["username"] != "app" || got["rotation_period"] != 3600.0 || got["ttl"].(float64) < 3590 {
			t.Errorf("%s: %v %v", how, got, err)
		}
		last = password
	}
	rotated("at first")
	m.must(engine.Update, "rotate-role/app", nil)
	rotated("on request")
	back := func() { // an hour passes
		s := m.static("app")
		s.Rotated -= 3_600_000
		m.put(s)
	}
	back()
	if n, err := m.Work(time.Now()); n != 1 || err != nil {
		t.Errorf("%d items, %v", n, err)
	}
	rotated("by its time")
	m.must(engine.Delete, "static-roles/app", nil)
	if n, err := m.Work(time.Now().Add(24 * time.Hour)); n != 0 || err != nil {
		t.Errorf("%d items of a static role that is no more, %v", n, err)
	}
	if err := pg.Login("app", last); err != nil {
		t.Errorf("the user lost its password: %v", err)
	}
}

// The connection's own password is changed to one that works, and nobody is shown.
func TestRotateRoot(t *testing.T) {
	m, pg := real(t)
	m.must(engine.Update, "rotate-root/pg", nil)
	if err := pg.Login("admin", "ad'min@/:%"); err == nil {
		t.Error("the old password works")
	}
	c := m.connection("pg")
	if c.Password == "ad'min@/:%" || c.Root != (root{}) || pg.Login("admin", c.Password) != nil {
		t.Errorf("stored %+v", c)
	}
	if _, err := m.Do(engine.Read, "creds/reader", nil); err != nil {
		t.Error(err)
	}
	if got := enginetest.JSON(t, m.response(engine.Read, "config/pg")); strings.Contains(got, c.Password) || !strings.Contains(got, `"username":"admin"`) {
		t.Errorf("read %s", got)
	}
	// Statements that change something else are found out, and nothing is lost.
	m.must(engine.Update, "config/pg", object{"root_rotation_statements": []string{`ALTER ROLE app PASSWORD '{{password}}'`}})
	m.fails(engine.Update, "rotate-root/pg", nil, engine.Upstream, "did not change the password")
	if now := m.connection("pg"); now.Password != c.Password || now.Root != (root{}) {
		t.Errorf("stored %+v", now)
	}
}

// Passwords may leave hashed: PostgreSQL then never sees them.
func TestScram(t *testing.T) {
	m, pg := real(t)
	m.must(engine.Update, "config/pg", object{"password_authentication": "scram-sha-256"})
	got := m.must(engine.Read, "creds/reader", nil)
	if err := pg.Login(got["username"].(string), got["password"].(string)); err != nil {
		t.Error(err)
	}
	m.must(engine.Update, "rotate-root/pg", nil)
	if err := pg.Login("admin", m.connection("pg").Password); err != nil {
		t.Error(err)
	}
}

// A database that is away gives a clear error, in time, and a lease that cannot be
// ended is not lost; when it is back all goes on.
func TestDeadDatabase(t *testing.T) {
	m, pg := real(t)
	resp, err := m.Do(engine.Read, "creds/reader", nil)
	if err != nil {
		t.Fatal(err)
	}
	m.must(engine.Update, "static-roles/app", object{"db_name": "pg", "username": "app", "rotation_period": "1h"})
	before := m.must(engine.Read, "static-creds/app", nil)["password"].(string)
	pg.Stop(t)
	m.fails(engine.Read, "creds/reader", nil, engine.Upstream, "cannot connect to the database: connection refused")
	m.fails(engine.Update, "rotate-role/app", nil, engine.Upstream, "connection refused")
	m.fails(engine.Update, "rotate-root/pg", nil, engine.Upstream, "connection refused")
	m.fails(engine.Update, "reset/pg", nil, engine.Upstream, "connection refused")
	if err := m.Revoke(resp.Lease.Revoke); engine.KindOf(err) != engine.Upstream {
		t.Errorf("revoked: %v", err)
	}
	if got := m.must(engine.Read, "static-creds/app", nil); got["password"] != before {
		t.Errorf("a password that was not set is shown: %v", got)
	}
	if n, err := m.Work(time.Now()); n != 0 || err != nil {
		t.Errorf("%d items at once, %v", n, err)
	}
	pg.Start(t)
	if err := m.Revoke(resp.Lease.Revoke); err != nil {
		t.Error(err)
	}
	m.backInTime(time.Minute)
	if n, err := m.Work(time.Now()); n != 2 || err != nil {
		t.Errorf("%d items, %v", n, err)
	}
	after := m.must(engine.Read, "static-creds/app", nil)["password"].(string)
	if after == before || pg.Login("app", after) != nil {
		t.Errorf("the password was not changed when the database came back")
	}
	if c := m.connection("pg"); c.Root != (root{}) || pg.Login("admin", c.Password) != nil {
		t.Errorf("the connection's password: %+v", c.Root)
	}
}

// response is what the operation answers.
func (m *mounted) response(op engine.Operation, path string) *engine.Response {
	m.t.Helper()
	resp, err := m.Do(op, path, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	return resp
}

const prefix = "mount/test/"

func (m *mounted) static(name string) *static {
	m.t.Helper()
	s, err := loadStatic(m.t.Context(), storage.Begin(m.Store).View(prefix), name)
	if err != nil || s == nil {
		m.t.Fatalf("static role %s: %v", name, err)
	}
	return s
}

func (m *mounted) connection(name string) *connection {
	m.t.Helper()
	c, err := loadConnection(m.t.Context(), storage.Begin(m.Store).View(prefix), name)
	if err != nil || c == nil {
		m.t.Fatalf("connection %s: %v", name, err)
	}
	return c
}

// put stores s as if it had been written an hour ago, due since then.
func (m *mounted) put(s *static) {
	m.t.Helper()
	err := m.Desk().Commit(m.t.Context(), func(_ ctx, req *engine.Request) error {
		s.Planned = s.Schedule.next(time.UnixMilli(s.Rotated))
		return s.save(req, s.Planned)
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

// backInTime has everything in the queue stand there for d longer.
func (m *mounted) backInTime(d time.Duration) {
	m.t.Helper()
	err := m.Desk().Commit(m.t.Context(), func(ctx ctx, req *engine.Request) error {
		for _, name := range must(req.Storage.List(ctx, staticPrefix, "", 0)) {
			s := must(loadStatic(ctx, req.Storage, name))
			if err := s.save(req, s.Next-int64(d.Seconds())); err != nil {
				return err
			}
		}
		for _, name := range must(req.Storage.List(ctx, connectionPrefix, "", 0)) {
			c := must(loadConnection(ctx, req.Storage, name))
			if c.Root.Pending == "" {
				continue
			}
			if err := c.later(req, time.Unix(c.Root.Next, 0).Add(-d)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
