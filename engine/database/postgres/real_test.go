package postgres

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/engine/database/dbms"
	"strongroom/test/pgtest"
)

const statement = `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`

func open(t *testing.T, s dbms.Settings) *Server {
	t.Helper()
	srv, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	return srv
}

func admin(pg *pgtest.Cluster) dbms.Settings {
	return dbms.Settings{URL: pg.URL("postgres", ""), Username: "postgres", Password: dbms.Secret(pg.Password), MaxOpen: 2, MaxIdle: 2}
}

// failure is the dbms.Failure that err must be.
func failure(t *testing.T, err error) *dbms.Failure {
	t.Helper()
	f, ok := errors.AsType[*dbms.Failure](err)
	if !ok {
		t.Fatalf("%v is no failure of the database", err)
	}
	return f
}

// Statements are one transaction, in whatever pieces they come; a password with
// quotes is a password.
func TestRun(t *testing.T) {
	pg := pgtest.New(t)
	srv := open(t, admin(pg))
	ctx := t.Context()
	v := dbms.Values{Name: "one", Password: `it's "$" \; {{name}}`, Expiration: time.Now().Add(time.Hour)}
	if err := srv.Run(ctx, []string{statement + `; COMMENT ON ROLE "{{username}}" IS $$a;b$$;`, `ALTER ROLE "{{name}}" CREATEDB`}, v); err != nil {
		t.Fatal(err)
	}
	if err := pg.Login("one", `it\'s "$" \\; {{name}}`); err != nil { // as a connection string has it
		t.Error(err)
	}
	v.Name = "two"
	err := srv.Run(ctx, []string{statement, `ALTER ROLE nobody CREATEDB`}, v)
	if f := failure(t, err); f.Doubt || f.Login || !strings.Contains(f.Text, `role "nobody" does not exist (SQLSTATE 42704)`) {
		t.Errorf("%+v", f)
	}
	if got := pg.Query(t, `SELECT rolname, rolcreatedb FROM pg_roles WHERE rolname IN ('one', 'two')`); len(got) != 1 || got[0] != "one|t" {
		t.Errorf("roles %v", got)
	}
}

// No failure shows a password, or a part of it, nor where it was to be used.
func TestLessonFailuresTellNoPassword(t *testing.T) {
	pg := pgtest.New(t)
	srv := open(t, admin(pg))
	v := dbms.Values{Name: "one", Password: "Zx9-first-part Zx8-second", Expiration: time.Now()}
	for _, s := range []string{
		`CREATE ROLE "{{name}}" PASSWORD {{password}}`, `SELECT '{{password}}'::int`, `DO $$ BEGIN RAISE EXCEPTION 'it is {{password}}'; END $$`, `CREATE ROLE {{password}}`,
		`SELECT "{{password}}"`, `ALTER ROLE "{{password}}" LOGIN`,
	} {
		f := failure(t, srv.Run(t.Context(), []string{s}, v))
		if strings.Contains(f.Text, "Zx9") || strings.Contains(f.Text, "part") || !strings.Contains(f.Text, "SQLSTATE") || f.Doubt {
			t.Errorf("%s: %+v", s, f)
		}
	}
	wrong := admin(pg)
	wrong.Password = "Zx9-wrong"
	f := failure(t, open(t, wrong).Run(t.Context(), nil, dbms.Values{}))
	if !f.Login || strings.Contains(f.Text, "Zx9") || strings.Contains(f.Text, pg.Host) {
		t.Errorf("%+v", f)
	}
}

// What does not answer, or is no PostgreSQL, is given up in time.
func TestUnansweredConnections(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	go func() {
		for {
			conn, err := web.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte("HTTP/1.1 200 OK\r\n\r\nthe secret of another service"))
			conn.Close()
		}
	}()
	for addr, why := range map[net.Addr]string{silent.Addr(): "no answer in time", web.Addr(): "cannot connect"} {
		srv := open(t, dbms.Settings{URL: "postgresql://u:p@" + addr.String() + "/x?sslmode=disable&connect_timeout=1", MaxOpen: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		start := time.Now()
		f := failure(t, srv.Run(ctx, nil, dbms.Values{}))
		cancel()
		if !strings.Contains(f.Text, why) || strings.Contains(f.Text, "another service") || strings.Contains(f.Text, addr.String()) || time.Since(start) > 10*time.Second {
			t.Errorf("%+v after %s", f, time.Since(start))
		}
	}
}

// The vector of RFC 7677, whose stored form PostgreSQL has.
func TestVerifier(t *testing.T) {
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	const want = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	if got, err := verifierOf("pencil", salt); err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := verifier("pässword"); err == nil {
		t.Error("a password was hashed in a form that the database would not have")
	}
}

// authority makes certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T) *authority {
	a := &authority{}
	text, _, cert, key := a.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.cert, a.key, a.pem = cert, key, text
	return a
}

func (a *authority) issue(t *testing.T, template *x509.Certificate) (cert, key string, parsed *x509.Certificate, private *ecdsa.PrivateKey) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := template, private
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, private.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if parsed, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})), parsed, private
}

// TLS as sslmode says, with an authority and a certificate of one's own.
func TestTLS(t *testing.T) {
	pg := pgtest.New(t)
	pg.Stop(t)
	trusted, other := newAuthority(t), newAuthority(t)
	cert, key, _, _ := trusted.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "db"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	for name, text := range map[string]string{
		"server.crt": cert, "server.key": key, "ca.crt": trusted.pem,
		"pg_hba.conf": "host all postgres 127.0.0.1/32 scram-sha-256\nhostssl all shown 127.0.0.1/32 cert\n",
	} {
		path := filepath.Join(pg.Dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		pg.Own(t, path)
	}
	pg.With("-c", "ssl=on", "-c", "ssl_ca_file=ca.crt").Start(t)
	pg.Query(t, `CREATE ROLE shown LOGIN`)
	url := func(mode string) string {
		return strings.Replace(pg.URL("postgres", ""), "sslmode=disable", mode, 1)
	}
	shown, shownKey, _, _ := trusted.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "shown"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	for _, c := range []struct {
		mode, ca, host, why string
		own                 bool
	}{
		{mode: "sslmode=verify-full", ca: trusted.pem}, {mode: "", ca: trusted.pem}, {mode: "sslmode=require"}, {mode: "sslmode=prefer"}, {mode: "sslmode=allow"}, {mode: "sslmode=disable"},
		{mode: "sslmode=verify-full", ca: other.pem, why: "not signed by an authority"}, {mode: "sslmode=require", ca: other.pem, why: "not signed by an authority"},
		{mode: "sslmode=verify-full", why: "not signed by an authority"},
		{mode: "sslmode=verify-full", ca: trusted.pem, host: "localhost", why: "for another host name"}, {mode: "sslmode=verify-ca", ca: trusted.pem, host: "localhost"},
		{mode: "sslmode=verify-full", ca: trusted.pem, own: true},
	} {
		s := admin(pg)
		s.URL, s.CA = url(c.mode), dbms.Secret(c.ca)
		if c.host != "" {
			s.URL = strings.Replace(s.URL, pg.Host, c.host, 1)
		}
		if c.own {
			s.Username, s.Password, s.Certificate, s.Key = "shown", "", dbms.Secret(shown), dbms.Secret(shownKey)
		}
		err := open(t, s).Run(t.Context(), nil, dbms.Values{})
		if c.why == "" && err != nil || c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)) {
			t.Errorf("%s with authority %v, to %s: %v, want %q", c.mode, c.ca != "", c.host, err, c.why)
		}
	}
}
