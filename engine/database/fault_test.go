package database

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
	"strongroom/engine/database/dbms"
	"strongroom/engine/enginetest"
	"strongroom/internal/storage"
)

// death ends everything at one of the steps of a request: before or after each thing
// that lasts, in the store or in the database.
type death struct {
	mu    sync.Mutex
	after int // steps; under 0: never
	dead  bool
}

var errDead = errors.New("the node is dead")

func (d *death) step() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead || d.after == 0 {
		d.dead = true
		return errDead
	}
	d.after--
	return nil
}

// fakeDB is a database in memory. Its statements are "create", "password" and "drop".
type fakeDB struct {
	mu     sync.Mutex
	users  map[string]string
	death  *death
	refuse string // statements of this text are refused
	lose   bool   // answers get lost on their way
	first  func() // comes before the next statements
	opened int
	closed int
}

func newFakeDB() *fakeDB {
	return &fakeDB{users: map[string]string{"admin": "first", "app": "first"}, death: &death{after: -1}}
}

func (db *fakeDB) kinds() map[string]kind {
	return map[string]kind{plugin: {rotation: "password", renewal: "renew", open: func(s dbms.Settings) (server, error) {
		db.mu.Lock()
		defer db.mu.Unlock()
		db.opened++
		return &fakeServer{db, s}, nil
	}}}
}

type fakeServer struct {
	db *fakeDB
	s  dbms.Settings
}

func (f *fakeServer) Close() { f.db.mu.Lock(); defer f.db.mu.Unlock(); f.db.closed++ }

func (f *fakeServer) Run(_ ctx, statements []string, v dbms.Values) error {
	if first := f.db.first; first != nil && len(statements) > 0 {
		f.db.first = nil
		first()
	}
	if f.db.death.step() != nil {
		return &dbms.Failure{Text: "no answer", Doubt: true}
	}
	f.db.mu.Lock()
	if f.db.users[f.s.Username] != string(f.s.Password) {
		f.db.mu.Unlock()
		return &dbms.Failure{Text: "login", Login: true}
	}
	for _, s := range statements {
		if s == f.db.refuse {
			f.db.mu.Unlock()
			return &dbms.Failure{Text: "refused"}
		}
		if s == "drop" {
			delete(f.db.users, v.Name)
		} else {
			f.db.users[v.Name] = string(v.Password)
		}
	}
	lose := f.db.lose && len(statements) > 0
	f.db.mu.Unlock()
	if f.db.death.step() != nil || lose {
		return &dbms.Failure{Text: "no answer", Doubt: true}
	}
	return nil
}

func (f *fakeServer) Drop(c ctx, _ []string, name string) error {
	return f.Run(c, []string{"drop"}, dbms.Values{Name: name})
}

// open is how many pools are.
func (db *fakeDB) open() int {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.opened - db.closed
}

func (db *fakeDB) names() []string {
	db.mu.Lock()
	defer db.mu.Unlock()
	return slices.Sorted(maps.Keys(db.users))
}

func (db *fakeDB) password(user string) string {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.users[user]
}

// mortal is a Desk of a node that dies.
type mortal struct {
	engine.Desk
	*death
}

func (m mortal) Commit(c ctx, do func(ctx, *engine.Request) error) error {
	if err := m.step(); err != nil {
		return err
	}
	if err := m.Desk.Commit(c, do); err != nil {
		return err
	}
	return m.step()
}

// node is an engine on store beside db, which dies with db.death.
func node(t *testing.T, store storage.Store, db *fakeDB) *mounted {
	factory := func(env engine.Env) (engine.Engine, error) { return newBackend(env, db.kinds()), nil }
	m := &mounted{enginetest.New(t, store, "database/", factory, nil), t}
	m.Before = func(req *engine.Request) {
		if req.Desk != nil {
			req.Desk = mortal{req.Desk, db.death}
		}
	}
	t.Cleanup(m.Engine.(engine.Closer).Close)
	return m
}

// configured has the connection "pg" and the role "reader".
func (m *mounted) configured() {
	m.must(engine.Update, "config/pg", object{"plugin_name": plugin, "connection_url": "{{username}}:{{password}}", "username": "admin", "password": "first", "allowed_roles": "*"})
	m.must(engine.Update, "roles/reader", object{"db_name": "pg", "creation_statements": "create"})
}

// recovered is the engine of the next node, which has done what stands in the queue:
// at once what a death left there, a minute later what failed.
func recovered(t *testing.T, store storage.Store, db *fakeDB, wait time.Duration) *mounted {
	t.Helper()
	db.death = &death{after: -1}
	m := node(t, store, db)
	m.backInTime(wait)
	if _, err := m.Work(time.Now()); err != nil {
		t.Fatal(err)
	}
	return m
}

// Wherever a node dies while a password is changed, the next node shows the one that
// works.
func TestDeathAtEveryStep(t *testing.T) {
	for what, ask := range map[string]func(m *mounted) error{
		"new static role": func(m *mounted) error {
			_, err := m.Do(engine.Update, "static-roles/new", object{"db_name": "pg", "username": "new", "rotation_period": "1h"})
			return err
		},
		"rotate-role": func(m *mounted) error { _, err := m.Do(engine.Update, "rotate-role/app", nil); return err },
		"rotate-root": func(m *mounted) error { _, err := m.Do(engine.Update, "rotate-root/pg", nil); return err },
	} {
		t.Run(what, func(t *testing.T) {
			steps, changed := 0, 0
			for ; ; steps++ {
				store, db := storage.NewMem(), newFakeDB()
				db.users["new"] = "first"
				m := node(t, store, db)
				m.configured()
				m.must(engine.Update, "static-roles/app", object{"db_name": "pg", "username": "app", "rotation_period": "1h"})
				before := maps.Clone(db.users)
				db.death = &death{after: steps}
				err := ask(m)
				died := db.death.dead
				if died == (err == nil) {
					t.Errorf("step %d: died is %v, and the answer %v", steps, died, err)
				}
				m = recovered(t, store, db, 0)
				if c := m.connection("pg"); c.Password != db.password("admin") || c.Root != (root{}) {
					t.Errorf("step %d: the connection keeps a password that does not work: %+v", steps, c.Root)
				}
				for _, name := range must(storage.Begin(store).View(prefix).List(t.Context(), staticPrefix, "", 0)) {
					if s := m.static(name); s.Password != db.password(s.Username) || s.Pending != "" || s.Doubt != 0 {
						t.Errorf("step %d: %s keeps a password that does not work: %+v", steps, name, s)
					}
				}
				if !maps.Equal(before, db.users) {
					changed++
				}
				if !died {
					break
				}
			}
			if steps < 6 || changed < steps/2 {
				t.Errorf("%d steps were looked at, in %d of which something changed", steps, changed)
			}
		})
	}
}

// A user that was made, or may have been, when the node died is gone with its lease.
func TestDeathInCreds(t *testing.T) {
	made := 0
	for steps := 0; ; steps++ {
		store, db := storage.NewMem(), newFakeDB()
		m := node(t, store, db)
		m.configured()
		db.death = &death{after: steps}
		resp, err := m.Do(engine.Read, "creds/reader", nil)
		died := db.death.dead
		if resp == nil || died == (err == nil) {
			t.Fatalf("step %d: %v", steps, err)
		}
		if len(db.names()) == 3 {
			made++
		}
		m = recovered(t, store, db, 0)
		if err := m.Revoke(resp.Lease.Revoke); err != nil {
			t.Fatal(err)
		}
		if left := db.names(); len(left) != 2 {
			t.Errorf("step %d: left are %v", steps, left)
		}
		if !died {
			break
		}
	}
	if made < 2 {
		t.Errorf("a user was made in %d cases", made)
	}
}

// Answers that get lost leave doubt, which is over as soon as one arrives.
func TestLostAnswers(t *testing.T) {
	store, db := storage.NewMem(), newFakeDB()
	m := node(t, store, db)
	m.configured()
	m.must(engine.Update, "static-roles/app", object{"db_name": "pg", "username": "app", "rotation_schedule": "0 0 1 1 *", "rotation_window": "1h"})
	db.lose = true
	m.fails(engine.Update, "rotate-role/app", nil, engine.Upstream, "could not be changed")
	m.fails(engine.Update, "rotate-root/pg", nil, engine.Upstream, "is not known")
	if db.password("app") != m.static("app").Pending || db.password("admin") != m.connection("pg").Root.Pending {
		t.Error("a password was set that is stored nowhere")
	}
	// What is in doubt is not put off until next year.
	s := m.static("app")
	if over := time.Unix(s.Planned+3601, 0); s.late(over) || s.Doubt != 1 {
		t.Errorf("late, with %d in doubt", s.Doubt)
	} else if s.Doubt = 0; !s.late(over) {
		t.Error("what is in no doubt is not late after its window")
	}
	db.refuse, db.lose = "password", false
	m.must(engine.Update, "rotate-role/app", nil) // as it is found to be set
	if db.password("app") != m.static("app").Password {
		t.Error("a password that may be set was forgotten for another one")
	}
	db.refuse, db.lose = "", true
	if _, err := m.Do(engine.Update, "static-roles/two", object{"db_name": "pg", "username": "two", "rotation_period": "1h"}); err == nil {
		t.Error("a static role whose password may not be set was made")
	}
	// The connection works with whichever password it has, before that is settled.
	db.lose = false
	if _, err := m.Do(engine.Read, "creds/reader", nil); err != nil {
		t.Error(err)
	}
	m = recovered(t, store, db, time.Hour)
	if s := m.static("app"); s.Password != db.password("app") || s.Pending != "" {
		t.Errorf("static role %+v", s)
	}
	if c := m.connection("pg"); c.Password != db.password("admin") || c.Root != (root{}) {
		t.Errorf("connection %+v", c.Root)
	}
}

// A database may refuse the password that it has already: that it has it is found out.
func TestNoPasswordTwice(t *testing.T) {
	store, db := storage.NewMem(), newFakeDB()
	m := node(t, store, db)
	m.configured()
	m.must(engine.Update, "static-roles/app", object{"db_name": "pg", "username": "app", "rotation_period": "1h"})
	db.lose = true
	m.fails(engine.Update, "rotate-role/app", nil, engine.Upstream, "")
	m.fails(engine.Update, "rotate-root/pg", nil, engine.Upstream, "")
	db.lose, db.refuse = false, "password"
	m = recovered(t, store, db, time.Hour)
	if s := m.static("app"); s.Password != db.password("app") || s.Pending != "" {
		t.Errorf("static role %+v", s)
	}
	if c := m.connection("pg"); c.Password != db.password("admin") || c.Root != (root{}) {
		t.Errorf("connection %+v", c.Root)
	}
}

// A node that was frozen just before it set a password, while another one went on and
// changed it twice, sets the one that is outdated: that is put right at once.
func TestFrozenNode(t *testing.T) {
	store, db := storage.NewMem(), newFakeDB()
	m, other := node(t, store, db), node(t, store, db)
	m.configured()
	m.must(engine.Update, "static-roles/app", object{"db_name": "pg", "username": "app", "rotation_period": "1h"})
	db.first = func() {
		other.must(engine.Update, "rotate-role/app", nil)
		other.must(engine.Update, "rotate-role/app", nil)
	}
	m.must(engine.Update, "rotate-role/app", nil)
	if n, err := other.Work(time.Now()); n != 1 || err != nil {
		t.Errorf("%d items, %v", n, err)
	}
	if s := m.static("app"); s.Password != db.password("app") || s.Pending != "" {
		t.Errorf("static role %+v", s)
	}
	db.first = func() {
		other.must(engine.Update, "rotate-root/pg", nil)
		other.must(engine.Update, "rotate-root/pg", nil)
	}
	if _, err := m.Do(engine.Update, "rotate-root/pg", nil); err == nil {
		t.Error("a password was set that the connection had before")
	}
	if _, err := other.Work(time.Now()); err != nil {
		t.Fatal(err)
	}
	if c := m.connection("pg"); c.Password != db.password("admin") || c.Root != (root{}) {
		t.Errorf("connection %+v", c.Root)
	}
}

// What a database refuses leaves no doubt: the old password stays, the statements can
// be mended, and attempts come ever more seldom, but do not end.
func TestRefusedRotation(t *testing.T) {
	store, db := storage.NewMem(), newFakeDB()
	m := node(t, store, db)
	m.configured()
	m.must(engine.Update, "static-roles/app", object{"db_name": "pg", "username": "app", "rotation_period": "1h"})
	old, admin := db.password("app"), db.password("admin")
	db.refuse = "password"
	m.fails(engine.Update, "rotate-role/app", nil, engine.Upstream, "refused")
	m.fails(engine.Update, "rotate-root/pg", nil, engine.Upstream, "stays as it is")
	if c := m.connection("pg"); c.Password != admin || c.Root != (root{}) {
		t.Errorf("connection %+v", c)
	}
	waits := ""
	for range 9 {
		s := m.static("app")
		if s.Password != old || s.Pending == "" || s.Doubt != 0 || s.Next <= time.Now().Unix() {
			t.Fatalf("static role %+v", s)
		}
		waits += (time.Duration(s.Next-time.Now().Unix()+1) * time.Second).Round(10*time.Second).String() + " "
		m.backInTime(time.Hour)
		if _, err := m.Work(time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if waits != "10s 20s 40s 1m20s 2m40s 5m20s 10m0s 10m0s 10m0s " {
		t.Errorf("waits of %s", waits)
	}
	db.refuse = ""
	m.backInTime(time.Hour)
	if _, err := m.Work(time.Now()); err != nil {
		t.Fatal(err)
	}
	if s := m.static("app"); s.Password == old || s.Password != db.password("app") || s.Tries != 0 {
		t.Errorf("static role %+v", s)
	}
}

// Pools are one a connection, made anew when its settings change, and closed with the
// engine; no other keeps one open.
func TestPools(t *testing.T) {
	db := newFakeDB()
	m := node(t, storage.NewMem(), db)
	m.configured()
	open := db.open
	if open() != 0 {
		t.Errorf("%d are open before they are needed", open())
	}
	for range 3 {
		m.must(engine.Read, "creds/reader", nil)
	}
	if open() != 1 {
		t.Errorf("%d are open", open())
	}
	for _, change := range []func(){
		func() { m.must(engine.Update, "config/pg", object{"max_open_connections": 9}) },
		func() { m.must(engine.Update, "rotate-root/pg", nil) },
		func() { m.must(engine.Delete, "config/pg", nil) },
		func() { m.configured2(db); m.Engine.(engine.Closer).Close() },
	} {
		change()
		if open() != 0 {
			t.Errorf("%d are open after a change", open())
		}
		if _, err := m.Do(engine.Read, "creds/reader", nil); err == nil && open() != 1 {
			t.Errorf("%d are open", open())
		}
	}
	m.Engine.(engine.Closer).Close()
	if open() != 0 {
		t.Errorf("%d are left open", open())
	}
	s := newServers()
	k := db.kinds()[plugin]
	one, two := must(s.get("a", k, dbms.Settings{MaxOpen: 1})), must(s.get("a", k, dbms.Settings{MaxOpen: 2}))
	if again := must(s.get("a", k, dbms.Settings{MaxOpen: 2})); one == two || again != two || open() != 1 {
		t.Errorf("%d are open, after settings changed", open())
	}
}

// Connections that nobody asks for are let go, also those of an engine that was
// closed and asked once more.
func TestUnusedPools(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := newFakeDB()
		m := node(t, storage.NewMem(), db)
		m.configured()
		m.Engine.(engine.Closer).Close()
		for range 3 {
			m.must(engine.Read, "creds/reader", nil)
			time.Sleep(unused - time.Second)
		}
		if n := db.open(); n != 1 {
			t.Errorf("%d are open while they are used", n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := db.open(); n != 0 {
			t.Errorf("%d are open that nobody uses", n)
		}
	})
}

// configured2 is configured with the password that is set now.
func (m *mounted) configured2(db *fakeDB) {
	m.must(engine.Update, "config/pg", object{"plugin_name": plugin, "connection_url": "{{username}}:{{password}}", "username": "admin", "password": db.password("admin"), "allowed_roles": "*"})
	m.must(engine.Read, "creds/reader", nil)
}

// Nothing that is answered, or said of a failure, holds a password.
func TestNothingTells(t *testing.T) {
	db := newFakeDB()
	m := node(t, storage.NewMem(), db)
	m.configured()
	m.must(engine.Update, "static-roles/app", object{"db_name": "pg", "username": "app", "rotation_period": "1h"})
	for _, path := range []string{"config/pg", "roles/reader", "static-roles/app"} {
		if got := enginetest.JSON(t, m.response(engine.Read, path)); strings.Contains(got, "first") || strings.Contains(got, db.password("app")) {
			t.Errorf("%s: %s", path, got)
		}
	}
}
