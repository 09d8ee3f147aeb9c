package database

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// fresh is an engine with a connection "pg" to a database that is not real.
func fresh(t *testing.T) (*mounted, *fakeDB) {
	db := newFakeDB()
	m := node(t, storage.NewMem(), db)
	m.configured()
	return m, db
}

// What a connection may be made of, and what stays when it is written again.
func TestConnectionSettings(t *testing.T) {
	m, db := fresh(t)
	with := func(more object) object {
		all := object{"plugin_name": plugin, "connection_url": "{{username}}:{{password}}", "username": "admin", "password": "first"}
		for k, v := range more {
			all[k] = v
		}
		return all
	}
	for want, more := range map[string]object{
		"this server knows postgresql-database-plugin only": {"plugin_name": "mysql-database-plugin"},
		"plugin_name is missing":                            {"plugin_name": ""},
		"plugin_version must be empty":                      {"plugin_version": "v1.0.0"},
		"connection_url is missing":                         {"connection_url": ""},
		"auth_type and service_account_json":                {"auth_type": "gcp_iam"},
		"password_authentication must be":                   {"password_authentication": "md5"},
		"username: a name may hold no quote":                {"username": `a"b`},
		"username_template":                                 {"username_template": "{{ nothing }}"},
		"error verifying connection: login":                 {"password": "wrong"},
	} {
		m.fails(engine.Update, "config/other", with(more), engine.Invalid, want)
	}
	m.fails(engine.Read, "config/other", nil, engine.NotFound, "")
	m.must(engine.Update, "config/other", with(object{"password": "wrong", "verify_connection": false, "max_connection_lifetime": "1h", "allowed_roles": "a,b-*"}))
	m.must(engine.Update, "config/other", object{"password": "first", "verify_connection": true, "max_open_connections": 2})
	got := m.must(engine.Read, "config/other", nil)
	want := object{"connection_url": "{{username}}:{{password}}", "username": "admin", "max_open_connections": 2.0, "max_idle_connections": 2.0, "max_connection_lifetime": "1h0m0s", "disable_escaping": false, "password_authentication": "password"}
	if fmt.Sprint(got["connection_details"]) != fmt.Sprint(want) || fmt.Sprint(got["allowed_roles"]) != "[a b-*]" || got["verify_connection"] != true {
		t.Errorf("read %v", got)
	}
	m.must(engine.Update, "roles/c", object{"db_name": "other", "creation_statements": "create"})
	m.fails(engine.Read, "creds/c", nil, engine.Invalid, `"c" is not an allowed role`)
	m.fails(engine.Update, "static-roles/c", object{"db_name": "other", "username": "app", "rotation_period": 60}, engine.Invalid, `"c" is not an allowed role`)
	m.must(engine.Update, "roles/b-1", object{"db_name": "other", "creation_statements": "create"})
	m.must(engine.Read, "creds/b-1", nil)
	m.must(engine.Delete, "config/other", nil)
	m.fails(engine.Read, "creds/b-1", nil, engine.Invalid, "failed to find entry for connection")
	// A password that is given while another is being set counts.
	db.lose = true
	m.fails(engine.Update, "rotate-root/pg", nil, engine.Upstream, "")
	db.lose = false
	m.must(engine.Update, "config/pg", object{"password": db.password("admin")})
	if c := m.connection("pg"); c.Root != (root{}) {
		t.Errorf("kept %+v", c.Root)
	}
	if n, err := m.Work(time.Now().Add(24 * time.Hour)); n != 0 || err != nil {
		t.Errorf("%d items left, %v", n, err)
	}
	m.must(engine.Update, "config/literal", with(object{"connection_url": "admin:first", "verify_connection": false}))
	m.fails(engine.Update, "rotate-root/literal", nil, engine.Invalid, "must name {{username}} and {{password}}")
	m.must(engine.Update, "config/literal", object{"connection_url": "postgresql://admin:first@db"})
	m.must(engine.Update, "config/literal", object{"connection_url": "postgresql://admin:*****@db", "password": ""}) // as it is read
	if c := m.connection("literal"); c.URL != "postgresql://admin:first@db" {
		t.Errorf("kept %s", c.URL)
	}
	m.fails(engine.Update, "rotate-root/none", nil, engine.Invalid, "failed to find entry")
	m.fails(engine.Update, "reset/none", nil, engine.Invalid, "failed to find entry")
}

func TestRoleSettings(t *testing.T) {
	m, _ := fresh(t)
	for want, body := range map[string]object{
		"db_name":                           {"creation_statements": "x"},
		"creation_statements are missing":   {"db_name": "pg"},
		"default_ttl cannot be greater":     {"db_name": "pg", "creation_statements": "x", "default_ttl": "2h", "max_ttl": "1h"},
		`credential_type "rsa_private_key"`: {"db_name": "pg", "creation_statements": "x", "credential_type": "rsa_private_key"},
		"credential_config":                 {"db_name": "pg", "creation_statements": "x", "credential_config": object{"password_policy": "x"}},
		"must be a text, or a list of":      {"db_name": "pg", "creation_statements": object{}},
	} {
		m.fails(engine.Update, "roles/bad", body, engine.Invalid, want)
	}
	m.fails(engine.Read, "creds/none", nil, engine.Invalid, "unknown role: none")
	list := []string{"one; two", "three"}
	text := must(json.Marshal(list))
	for how, given := range map[string]any{"list": list, "JSON": string(text), "base64 of JSON": base64.StdEncoding.EncodeToString(text)} {
		m.must(engine.Update, "roles/r", object{"db_name": "pg", "creation_statements": given, "default_ttl": "1m"})
		if got := m.must(engine.Read, "roles/r", nil); fmt.Sprint(got["creation_statements"]) != "[one; two three]" || got["default_ttl"] != 60.0 || fmt.Sprint(got["renew_statements"]) != "[]" {
			t.Errorf("%s: %v", how, got)
		}
	}
	m.must(engine.Update, "roles/r", object{"creation_statements": base64.StdEncoding.EncodeToString([]byte("a; b, c"))})
	if got := m.must(engine.Read, "roles/r", nil); fmt.Sprint(got["creation_statements"]) != "[a; b, c]" || got["db_name"] != "pg" {
		t.Errorf("text: %v", got)
	}
	if got := m.must(engine.List, "roles", nil); fmt.Sprint(got["keys"]) != "[r reader]" {
		t.Errorf("listed %v", got)
	}
}

func TestStaticSettings(t *testing.T) {
	m, db := fresh(t)
	with := func(more object) object {
		all := object{"db_name": "pg", "username": "app"}
		for k, v := range more {
			all[k] = v
		}
		return all
	}
	for want, more := range map[string]object{
		"mutually exclusive":                      {"rotation_period": 60, "rotation_schedule": "* * * * *"},
		"one of rotation_schedule or":             {},
		"5 seconds or more":                       {"rotation_period": 4},
		"rotation_window is invalid":              {"rotation_period": 60, "rotation_window": 3600},
		"rotation_window must be at least":        {"rotation_schedule": "* * * * *", "rotation_window": 60},
		"five fields":                             {"rotation_schedule": "@daily"},
		"five fields in UTC":                      {"rotation_schedule": "TZ=Europe/Berlin 0 0 * * *"},
		"never comes":                             {"rotation_schedule": "0 0 30 2 *"},
		"username is a required":                  {"username": "", "rotation_period": 60},
		"username: a name may":                    {"username": "it's", "rotation_period": 60},
		"db_name is a required":                   {"db_name": "", "rotation_period": 60},
		"failed to find entry":                    {"db_name": "none", "rotation_period": 60},
		"the connection's own user":               {"username": "admin", "rotation_period": 60},
		`credential_type "client_certificate" is`: {"credential_type": "client_certificate", "rotation_period": 60},
	} {
		m.fails(engine.Update, "static-roles/app", with(more), engine.Invalid, want)
	}
	if db.password("app") != "first" {
		t.Error("a password was changed for settings that were refused")
	}
	m.must(engine.Update, "static-roles/app", with(object{"rotation_schedule": "0 0 1 1 *", "rotation_window": 3600}))
	got := m.must(engine.Read, "static-roles/app", nil)
	if got["rotation_schedule"] != "0 0 1 1 *" || got["rotation_window"] != 3600.0 || got["rotation_period"] != nil || got["password"] != nil || got["db_name"] != "pg" {
		t.Errorf("read %v", got)
	}
	old := db.password("app")
	m.fails(engine.Update, "static-roles/app", object{"username": "other"}, engine.Invalid, "cannot update static account username")
	m.must(engine.Update, "static-roles/app", object{"rotation_period": "1h", "rotation_schedule": ""})
	if s := m.static("app"); s.Planned != s.Rotated/1000+3600 || s.Next != s.Planned || db.password("app") != old {
		t.Errorf("changed to %+v", s)
	}
	m.fails(engine.Update, "rotate-role/none", nil, engine.Invalid, "no static role found")
	m.fails(engine.Read, "static-creds/none", nil, engine.Invalid, "unknown role: none")
	// A window that is over is waited for again.
	m.must(engine.Update, "static-roles/app", object{"rotation_schedule": "0 0 1 1 *", "rotation_window": 3600})
	s := m.static("app")
	s.Planned -= 400 * 24 * 3600
	err := m.Desk().Commit(t.Context(), func(_ ctx, req *engine.Request) error { return s.save(req, s.Planned) })
	if n, werr := m.Work(time.Now()); n != 1 || err != nil || werr != nil || db.password("app") != old || m.static("app").Planned <= time.Now().Unix() {
		t.Errorf("%d items, %v, %v: %+v", n, err, werr, m.static("app"))
	}
	// Its connection may go, and come back.
	m.must(engine.Update, "static-roles/app", object{"rotation_period": "5s"})
	m.must(engine.Delete, "config/pg", nil)
	m.backInTime(time.Hour)
	if n, err := m.Work(time.Now()); n != 1 || err != nil || m.static("app").Tries != 1 {
		t.Errorf("%d items, %v: %+v", n, err, m.static("app"))
	}
	m.configured()
	m.backInTime(time.Hour)
	if _, err := m.Work(time.Now()); err != nil || db.password("app") == old || m.static("app").Password != db.password("app") {
		t.Errorf("%v: %+v", err, m.static("app"))
	}
}

// Times of a schedule are UTC's.
func TestSchedule(t *testing.T) {
	at := time.Date(2026, 11, 24, 22, 15, 0, 0, time.FixedZone("", 7200)) // 20:15 in UTC, a Tuesday
	for cron, want := range map[string]string{"0 3 * * SAT": "2026-11-28T03:00:00Z", "30 20 * * *": "2026-11-24T20:30:00Z", "*/10 * * * *": "2026-11-24T20:20:00Z"} {
		if got := time.Unix(schedule{Cron: cron}.next(at), 0).UTC().Format(time.RFC3339); got != want {
			t.Errorf("%s: %s", cron, got)
		}
	}
	if got := (schedule{Period: 90}).next(at); got != at.Unix()+90 {
		t.Errorf("a period: %d", got)
	}
}

// A name is made by its template, and whoever asks cannot end a quote by what they are called
// (https://developer.hashicorp.com/vault/docs/concepts/username-templating).
func TestLessonNamesEndNoQuote(t *testing.T) {
	for template, want := range map[string]string{
		"": `^v-root_or_-my-role-[0-9A-Za-z]{20}-\d{10}$`,
		"{{.DisplayName}}.{{.RoleName | uppercase}}": `^root_or_so\.MY-ROLE$`,
		"{{ .RoleName | sha256 | truncate 7 }}":      `^[0-9a-f]{7}$`, "{{ truncate_sha256 12 .DisplayName }}": `^root_or_so$`,
		`{{ .RoleName | replace "-" "" | base64 | lowercase }}`:       `^bxlyb2xl$`,
		"x{{ unix_time_millis }}-{{ timestamp \"2006\" }}-{{ uuid }}": `^x\d{13}-20\d\d-[0-9a-f-]{36}$`,
		"{{ truncate_sha256 10 (random 40) }}":                        `^[0-9A-Za-z]{2}[0-9a-f]{8}$`,
	} {
		c := &connection{Template: template}
		if got, err := c.username("root or so", "my-role"); err != nil || !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: %q, %v", template, got, err)
		}
	}
	for _, bad := range []string{
		"{{range 9223372036854775807}}{{end}}", "{{if true}}x{{end}}", "{{.Password}}", "{{random 0}}", "{{random 257}}", `a"b`, "a'b", "a;b", `{{"a\\b"}}`, "a$b", "{{.RoleName | truncate 0}}", "{{", `{{printf "%300s" "a"}}`, `{{""}}`,
	} {
		if got, err := (&connection{Template: bad}).username("a", "b"); err == nil {
			t.Errorf("%s: %q", bad, got)
		}
	}
	seen := map[string]bool{}
	for range 100 {
		name, err := (&connection{}).username(`x"; DROP TABLE users; --`, `'; $$ \`)
		if err != nil || unquotable(name) || seen[name] {
			t.Fatalf("%q, %v", name, err)
		}
		seen[name] = true
	}
}

// Whatever stands in the place of a password is not shown.
func TestMask(t *testing.T) {
	for url, want := range map[string]string{
		"postgresql://{{username}}:{{password}}@db/app?sslmode=require": "",
		"postgresql://u:se:cr@et@db/app?x=a@b":                          "postgresql://u:*****@db/app?x=a@b",
		"postgres://u:secret@db":                                        "postgres://u:*****@db",
		"postgresql://u@db/app?password=secret&sslmode=disable":         "postgresql://u@db/app?password=*****&sslmode=disable",
		"postgresql://u@db/app?sslmode=disable&password={{password}}":   "",
		"host=db user=u password=secret dbname=x":                       "host=db user=u password=***** dbname=x",
		`host=db password = 'se\'c ret' user=u`:                         "host=db password =***** user=u",
		"host=db password='{{password}}' user={{username}}":             "",
		"host=db sslpassword=secret":                                    "host=db sslpassword=*****",
		"host=db PASSWORD='open":                                        "host=db PASSWORD=*****",
	} {
		if want == "" {
			want = url
		}
		if got := mask(url); got != want {
			t.Errorf("%s: %s, not %s", url, got, want)
		}
	}
}

func TestAllowedRoles(t *testing.T) {
	for pattern, names := range map[string]string{"*": "a,ab,", "a": "a", "a*": "a,ab", "*b": "ab", "a*b": "ab,axb", "x-*-y-*": "x-1-y-2"} {
		all := []string{"", "a", "ab", "axb", "b-a", "x-1-y-2"}
		for _, name := range all {
			want := slices.Contains(strings.Split(names, ","), name) || pattern == "*" || pattern == "a*" && strings.HasPrefix(name, "a") || pattern == "*b" && strings.HasSuffix(name, "b")
			if got := matches(pattern, name); got != want {
				t.Errorf("%q of %q: %v", name, pattern, got)
			}
		}
	}
}
