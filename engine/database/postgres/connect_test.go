package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"strongroom/engine/database/dbms"
)

func settings(url string) dbms.Settings {
	return dbms.Settings{URL: url, Username: "ad min", Password: `p'a\ss@:/?%=&`, MaxOpen: 4, MaxIdle: 4}
}

// What a connection string means, in both forms; the user name and password are put
// where they belong as they are.
func TestConfigure(t *testing.T) {
	const plain = "ad min|p'a\\ss@:/?%=&"
	for url, want := range map[string]string{
		"postgresql://{{username}}:{{password}}@db:6432/app?sslmode=disable":                                plain + "|app|db:6432 false|map[application_name:strongroom]",
		"postgres://{{username}}:{{password}}@db?sslmode=require":                                           plain + "|ad min|db:5432 true|map[application_name:strongroom]",
		"postgresql://{{username}}:{{password}}@db/app":                                                     plain + "|app|db:5432 true,db:5432 false|map[application_name:strongroom]",
		"postgresql://{{username}}:{{password}}@a:1,b:2/app?sslmode=verify-full":                            plain + "|app|a:1 true,b:2 true|map[application_name:strongroom]",
		"postgresql://{{username}}:{{password}}@[::1]:7/a%2Fb?sslmode=allow&application_name=x":             plain + "|a/b|::1:7 false,::1:7 true|map[application_name:x]",
		"postgresql://us%40er:pa%3Ass@db/app?sslmode=disable&search_path=a,b":                               "us@er|pa:ss|app|db:5432 false|map[application_name:strongroom search_path:a,b]",
		"postgresql:///app?host=db&port=99&user={{username}}&password={{password}}&sslmode=disable":         plain + "|app|db:99 false|map[application_name:strongroom]",
		"host=db port=6432 user={{username}} password={{password}} dbname=app sslmode=disable":              plain + "|app|db:6432 false|map[application_name:strongroom]",
		"host = 'db' user='{{username}}' password='{{password}}' dbname='it\\'s' sslmode=disable options=x": plain + "|it's|db:5432 false|map[application_name:strongroom options:x]",
		"host=a,b port=1,2 user=u\\ v password={{password}} sslmode=disable":                                "u v|p'a\\ss@:/?%=&|u v|a:1 false,b:2 false|map[application_name:strongroom]",
	} {
		c, err := configure(settings(url))
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		tries := []string{}
		for _, f := range append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...) {
			tries = append(tries, fmt.Sprintf("%s:%d %v", f.Host, f.Port, f.TLSConfig != nil))
		}
		if got := fmt.Sprintf("%s|%s|%s|%s|%v", c.User, c.Password, c.Database, strings.Join(tries, ","), c.RuntimeParams); got != want {
			t.Errorf("%s:\n%s, not\n%s", url, got, want)
		}
		if c.ConnectTimeout != connectTimeout {
			t.Errorf("%s: a timeout of %s", url, c.ConnectTimeout)
		}
	}
	escaped := settings("postgresql://{{username}}:{{password}}@db/app")
	escaped.Escaped, escaped.Username, escaped.Password = true, "a%40b", "c%3Ad"
	if c, err := configure(escaped); err != nil || c.User != "a@b" || c.Password != "c:d" {
		t.Errorf("with disable_escaping: %v", err)
	}
	for text, want := range map[string]time.Duration{"3": 3 * time.Second, "0": connectTimeout, "9999": maxConnectTimeout} {
		if c, err := configure(settings("host=db user=u connect_timeout=" + text)); err != nil || c.ConnectTimeout != want {
			t.Errorf("connect_timeout=%s: %v", text, err)
		}
	}
}

// A connection string cannot have the server read its own files, trust its own
// machine, or send the password elsewhere. No refusal tells the password.
func TestLessonConnectionStringsReadNoFiles(t *testing.T) {
	for url, why := range map[string]string{
		"host=db user=u passfile=/etc/passwd":                               "passfile is refused",
		"host=db user=u service=x servicefile=/etc/x":                       "is refused",
		"host=db user=u sslkey=/root/key":                                   "use private_key instead",
		"host=db user=u sslcert=/root/cert":                                 "use tls_certificate instead",
		"postgresql://u@db/app?sslrootcert=/etc/x":                          "use tls_ca instead",
		"postgresql://u@db/app?sslrootcert=system":                          "use tls_ca instead",
		"host=db user=u hostaddr=127.0.0.1":                                 "use host instead",
		"host=db user=u replication=true":                                   "is refused",
		"host=db user=u krbsrvname=x":                                       "is refused",
		"host=/var/run/postgresql user=u":                                   "Unix socket",
		"host=@x user=u":                                                    "Unix socket",
		"postgresql://u@%2Fvar%2Frun/app":                                   "",
		"user=u":                                                            "names no host",
		"host=db":                                                           "names no user",
		"host=a,,b user=u":                                                  "names no host",
		"host=a,b,c port=1,2 user=u":                                        "as many ports as hosts",
		"host=db port=0 user=u":                                             "a port is",
		"host=db port=x user=u":                                             "a port is",
		"host=db user=u sslmode=none":                                       "sslmode must be",
		"host=db user=u target_session_attrs=standby":                       "target_session_attrs",
		"host=db user=u connect_timeout=-1":                                 "connect_timeout",
		"host=db user=u application_name={{password}}":                      "nothing in application_name",
		"host={{password}} user=u":                                          "nothing in host",
		"host=db user={{password}}":                                         "nothing in user",
		"host=db user=u require_auth='x y'":                                 "require_auth",
		"host=db user=u channel_binding=never":                              "channel_binding",
		"host=db user=u 'a b'=c":                                            "it must be",
		"host=db user=u password='" + "open":                                "it must be",
		"nonsense":                                                          "it must be",
		"postgresql://{{username}}:%zz@db/app":                              "it must be",
		"host=db user=u Weird-Name=x":                                       "a name that none has",
		"host=" + strings.Repeat("a,", maxHosts) + "a user=u port=1":        "at most",
		"postgresql://{{username}}:{{password}}@db/app?sslmode=disable&tls": "",
	} {
		s := settings(url)
		_, err := Open(s)
		if why == "" {
			continue // whatever it is, it tells nothing
		}
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", url, err, why)
		}
		if err != nil && strings.Contains(err.Error(), string(s.Password)) {
			t.Errorf("%s: tells the password: %v", url, err)
		}
	}
	s := settings("host=db user=u sslmode=prefer")
	s.CA = "x"
	for _, why := range []string{"no certificate in PEM", "tls_certificate and private_key must"} {
		if _, err := Open(s); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, want %q", err, why)
		}
		s.CA, s.Certificate = "", "x"
	}
}

// Neither the server's environment nor the files of its user have a say.
func TestLessonEnvironmentHasNoSay(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	if err := os.MkdirAll(filepath.Join(home, ".postgresql"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{".pgpass": "*:*:*:*:stolen\n", ".pg_service.conf": "[x]\nhost=evil\n", ".postgresql/root.crt": "no PEM", ".postgresql/postgresql.crt": "no PEM", ".postgresql/postgresql.key": "no PEM"} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{
		"PGHOST": "evil", "PGPORT": "1", "PGDATABASE": "evil", "PGUSER": "evil", "PGPASSWORD": "evil", "PGPASSFILE": filepath.Join(home, ".pgpass"), "PGAPPNAME": "evil",
		"PGCONNECT_TIMEOUT": "7", "PGSSLMODE": "verify-full", "PGSSLKEY": "/none", "PGSSLCERT": "/none", "PGSSLROOTCERT": "/none", "PGTARGETSESSIONATTRS": "standby",
		"PGTZ": "evil", "PGOPTIONS": "-c evil=1", "PGSSLNEGOTIATION": "direct", "PGREQUIREAUTH": "none", "PGCHANNELBINDING": "require", "PGSSLCERTMODE": "require", "PGSSLPASSWORD": "x",
	} {
		t.Setenv(name, value)
	}
	c, err := configure(dbms.Settings{URL: "host=db user=u sslmode=disable"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Host != "db" || c.Port != 5432 || c.Database != "u" || c.User != "u" || c.Password != "" || c.TLSConfig != nil || len(c.Fallbacks) != 0 || c.ConnectTimeout != connectTimeout ||
		c.ValidateConnect != nil || fmt.Sprint(c.RuntimeParams) != "map[application_name:strongroom]" || c.RequireAuth != "" || c.ChannelBinding != "prefer" || c.SSLCertMode != "allow" || c.SSLNegotiation != "postgres" {
		t.Errorf("%+v", c)
	}
	t.Setenv("PGSERVICE", "x") // the driver cannot be kept from looking for it, so it is said
	if _, err := configure(dbms.Settings{URL: "host=db user=u"}); err == nil || !strings.Contains(err.Error(), "unset") {
		t.Errorf("with PGSERVICE: %v", err)
	}
}

// FuzzConfigure: no connection string makes it panic, and no refusal tells the password.
func FuzzConfigure(f *testing.F) {
	for _, seed := range []string{"host=db user={{username}} password='{{password}}'", "postgresql://{{username}}:{{password}}@[::1]:5/x?a=b", "host='", "a=\\", "postgres://"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, url string) {
		s := dbms.Settings{URL: url, Username: "u", Password: "dGhlIHNlY3JldA"}
		if _, err := Open(s); err != nil && strings.Contains(err.Error(), string(s.Password)) && !strings.Contains(url, string(s.Password)) {
			t.Errorf("%q: %v", url, err)
		}
	})
}
