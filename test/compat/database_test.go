package compat

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"strongroom/test/cluster"
	"strongroom/test/pgtest"
)

// A day of a database by the Go client, against a real PostgreSQL.
func TestGoClientDatabase(t *testing.T) {
	pg := pgtest.New(t)
	pg.Query(t, `CREATE ROLE keeper WITH LOGIN CREATEROLE PASSWORD 'keeper-Password-1'; CREATE ROLE app WITH LOGIN PASSWORD 'first'; CREATE TABLE things (id int); GRANT SELECT ON things TO keeper WITH GRANT OPTION`)
	s := startDev(t)
	root := s.client(t, "root")
	if err := root.Sys().Mount("database", &api.MountInput{Type: "database"}); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(s.home, "audit.log")
	if err := root.Sys().EnableAuditWithOptions("file", &api.EnableAuditOptions{Type: "file", Options: map[string]string{"file_path": log}}); err != nil {
		t.Fatal(err)
	}
	write := func(path string, data map[string]any) {
		t.Helper()
		if _, err := root.Logical().Write(path, data); err != nil {
			t.Fatal(err)
		}
	}
	config := map[string]any{"plugin_name": "postgresql-database-plugin", "connection_url": pg.URL("postgres", ""), "username": "keeper", "password": "keeper-Password-1", "allowed_roles": []string{"reader", "app"}}
	_, err := root.Logical().Write("database/config/pg", map[string]any{"plugin_name": "mysql-database-plugin", "connection_url": "x"})
	refused(t, err, 400, "this server knows postgresql-database-plugin only")
	write("database/config/pg", config)
	write("database/roles/reader", map[string]any{"db_name": "pg", "default_ttl": "1h", "max_ttl": "24h",
		"creation_statements": []string{`CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`, `GRANT SELECT ON things TO "{{name}}"`}})
	for path, want := range map[string]string{"database/config": "[pg]", "database/roles": "[reader]"} {
		if got := must[*api.Secret](t)(root.Logical().List(path)); fmt.Sprint(got.Data["keys"]) != want {
			t.Errorf("%s: %v", path, got.Data)
		}
	}

	lent := must[*api.Secret](t)(root.Logical().Read("database/creds/reader"))
	name, password := lent.Data["username"].(string), lent.Data["password"].(string)
	if !strings.HasPrefix(lent.LeaseID, "database/creds/reader/") || lent.LeaseDuration != 3600 || !lent.Renewable || pg.Login(name, password) != nil {
		t.Errorf("lent %s for %d: %v", lent.LeaseID, lent.LeaseDuration, pg.Login(name, password))
	}
	renewed := must[*api.Secret](t)(root.Sys().Renew(lent.LeaseID, 7200))
	until := pg.Query(t, `SELECT rolvaliduntil > now() + interval '2 hours' AND rolvaliduntil < now() + interval '2 hours 10 seconds' FROM pg_roles WHERE rolname = '`+name+`'`)
	if renewed.LeaseDuration != 7200 || fmt.Sprint(until) != "[t]" {
		t.Errorf("renewed for %d, in the database %v", renewed.LeaseDuration, until)
	}
	if err := root.Sys().Revoke(lent.LeaseID); err != nil {
		t.Fatal(err)
	}
	gone(t, pg)

	write("database/static-roles/app", map[string]any{"db_name": "pg", "username": "app", "rotation_period": 3600})
	first := must[*api.Secret](t)(root.Logical().Read("database/static-creds/app")).Data
	write("database/rotate-role/app", nil)
	second := must[*api.Secret](t)(root.Logical().Read("database/static-creds/app")).Data
	if first["password"] == second["password"] || pg.Login("app", second["password"].(string)) != nil || second["rotation_period"] != json.Number("3600") || second["username"] != "app" {
		t.Error("the password of the static role was not changed to what is shown")
	}
	if _, err := time.Parse(time.RFC3339Nano, second["last_vault_rotation"].(string)); err != nil {
		t.Error(err)
	}
	write("database/rotate-root/pg", nil)
	if pg.Login("keeper", "keeper-Password-1") == nil {
		t.Error("the connection's own password was not changed")
	}
	write("database/reset/pg", nil)

	// What is lent goes with the mount, though its data must last so long.
	must[*api.Secret](t)(root.Logical().Read("database/creds/reader"))
	if err := root.Sys().Unmount("database"); err != nil {
		t.Fatal(err)
	}
	gone(t, pg)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"keeper-Password-1", password, second["password"].(string), "postgresql://", fmt.Sprint(pg.Port)} {
		if strings.Contains(string(text), secret) || strings.Contains(s.output(), secret) {
			t.Errorf("the audit log, or the server's, shows %q", secret)
		}
	}
}

// gone waits until no user is left that was lent.
func gone(t *testing.T, pg *pgtest.Cluster) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		if left := pg.Query(t, `SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%'`); len(left) > 0 {
			return fmt.Errorf("left are %v", left)
		}
		return nil
	})
}

// The commands of docs/database.md do what it says, and print what it shows.
func TestDatabaseGuide(t *testing.T) {
	text, err := os.ReadFile("../../docs/database.md")
	if err != nil {
		t.Fatal(err)
	}
	pg := pgtest.New(t)
	pg.Query(t, `CREATE TABLE things (id int)`)
	s := startDev(t)
	here := strings.NewReplacer("db.example.com:5432", fmt.Sprintf("%s:%d", pg.Host, pg.Port), "sslmode=verify-full", "sslmode=disable")
	blocks := regexp.MustCompile("(?ms)^```(sql|sh|text)\n(.*?)^```").FindAllStringSubmatch(string(text), -1)
	ran, out := map[string]int{}, ""
	for _, b := range blocks {
		switch ran[b[1]]++; b[1] {
		case "sql":
			pg.Query(t, b[2])
		case "sh":
			stdout, stderr, code := s.shell(t, "export VAULT_TOKEN=root\nset -e\n"+here.Replace(b[2]))
			if code != 0 {
				t.Fatalf("%s\ncode %d\n%s%s", b[2], code, stdout, stderr)
			}
			out = stdout
		case "text":
			shown := regexp.MustCompile(`…\n`).ReplaceAllString(regexp.QuoteMeta(b[2]), `\S.*`+"\n")
			if !regexp.MustCompile(shown).MatchString(out) {
				t.Errorf("the guide shows\n%s\nand it is\n%s", b[2], out)
			}
		}
	}
	if ran["sql"] != 1 || ran["sh"] != 4 || ran["text"] != 2 {
		t.Errorf("the guide has blocks %v", ran)
	}
	gone(t, pg)
	if pg.Login("billing", "from-before") == nil || pg.Login("strongroom", "change-me") == nil {
		t.Error("a password was not changed")
	}
}

// The active node is killed while passwords change: within seconds the next one shows
// those that work, changes them again at their time, and takes back what was lent.
func TestDatabaseFailover(t *testing.T) {
	const users = 8
	pg := pgtest.New(t)
	for i := range users {
		pg.Query(t, fmt.Sprintf(`CREATE ROLE app%d WITH LOGIN PASSWORD 'first'`, i))
	}
	c := cluster.NewReady(t, 3)
	leader := must[*cluster.Node](t)(c.Leader(t.Context()))
	client := must[*api.Client](t)(leader.Client(c.Keys.Root))
	if err := client.Sys().Mount("database", &api.MountInput{Type: "database"}); err != nil {
		t.Fatal(err)
	}
	write := func(path string, data map[string]any) {
		t.Helper()
		if _, err := client.Logical().Write(path, data); err != nil {
			t.Fatal(err)
		}
	}
	write("database/config/pg", map[string]any{"plugin_name": "postgresql-database-plugin", "connection_url": pg.URL("postgres", ""), "username": "postgres", "password": pg.Password, "allowed_roles": "*"})
	write("database/roles/short", map[string]any{"db_name": "pg", "default_ttl": "8s", "creation_statements": `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}'`})
	for i := range users {
		write(fmt.Sprintf("database/static-roles/app%d", i), map[string]any{"db_name": "pg", "username": fmt.Sprintf("app%d", i), "rotation_period": 5})
	}
	must[*api.Secret](t)(client.Logical().Read("database/creds/short"))
	var busy sync.WaitGroup
	var rotated atomic.Int64
	for i := range users {
		busy.Go(func() {
			for {
				if _, err := client.Logical().Write(fmt.Sprintf("database/rotate-role/app%d", i), nil); err != nil {
					return // the node is gone
				}
				rotated.Add(1)
			}
		})
	}
	eventually(t, 20*time.Second, func() error {
		if n := rotated.Load(); n < 10*users {
			return fmt.Errorf("%d passwords were changed", n)
		}
		return nil
	})
	leader.Kill()
	busy.Wait()
	next := must[*cluster.Node](t)(c.Leader(t.Context()))
	client = must[*api.Client](t)(next.Client(c.Keys.Root))
	shown := func(i int) (map[string]any, error) {
		got, err := client.Logical().Read(fmt.Sprintf("database/static-creds/app%d", i))
		if err != nil {
			return nil, err
		}
		return got.Data, pg.Login(fmt.Sprintf("app%d", i), got.Data["password"].(string))
	}
	first := make([]map[string]any, users)
	for i := range users {
		eventually(t, 10*time.Second, func() (err error) { first[i], err = shown(i); return err })
	}
	for i := range users {
		eventually(t, 20*time.Second, func() error {
			now, err := shown(i)
			if err == nil && now["last_vault_rotation"] == first[i]["last_vault_rotation"] {
				err = fmt.Errorf("the password of app%d is not changed any more", i)
			}
			return err
		})
	}
	gone(t, pg)
}
