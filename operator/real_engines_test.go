package operator_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"
	corev1 "k8s.io/api/core/v1"

	"strongroom/api/v1beta1"
	"strongroom/test/cluster"
	"strongroom/test/pgtest"
)

// TestRealEngines has the operator deal out what our own engines make: certificates, and users of a real PostgreSQL.
func TestRealEngines(t *testing.T) {
	servers := cluster.NewReady(t, 1)
	node := servers.Nodes[0]
	root, err := node.Client(servers.Keys.Root)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{address: strings.TrimPrefix(node.Addr, "http://")}
	w.control(t)
	write := func(path string, body map[string]any) {
		t.Helper()
		if _, err := root.Logical().WriteWithContext(t.Context(), path, body); err != nil {
			t.Fatalf("write %s: %v", path, err)
		}
	}
	prepare(t, w, write)
	write("sys/policies/acl/app", map[string]any{"policy": `
path "pki/issuer/default/issue/web" { capabilities = ["update"] }
path "pki/revoke"         { capabilities = ["update"] }
path "db/creds/app"       { capabilities = ["read"] }
path "db/static-creds/app" { capabilities = ["read"] }
path "sys/leases/revoke"  { capabilities = ["update"] }`})
	w.apply(t, resource("VaultConnection", "app", "server", "{address: 'http://vault.vault:8200'}"))
	w.apply(t, resource("VaultAuth", "app", "auth", "{vaultConnectionRef: server, kubernetes: {role: app}}"))
	t.Run("pki", func(t *testing.T) { testRealPKI(t, w, root, write) })
	t.Run("database", func(t *testing.T) { testRealDatabase(t, w, write) })
}

// A certificate is issued, replaced while it is still good, and revoked with its resource.
func testRealPKI(t *testing.T, w *world, root *vault.Client, write func(string, map[string]any)) {
	t.Helper()
	write("sys/mounts/pki", map[string]any{"type": "pki"})
	write("pki/root/generate/internal", map[string]any{"common_name": "A root", "ttl": "24h"})
	write("pki/roles/web", map[string]any{"allowed_domains": "shop.test", "allow_subdomains": true, "max_ttl": "12h"})
	authority, err := root.Logical().ReadWithContext(t.Context(), "pki/cert/ca")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(fmt.Sprint(authority.Data["certificate"]))) {
		t.Fatal("pki/cert/ca holds no certificate")
	}
	spec := func(more string) string {
		return resource("VaultPKISecret", "app", "cert", "{vaultAuthRef: auth, mount: pki, role: web, issuerRef: default, commonName: app.shop.test, altNames: [b.shop.test], revoke: true, "+more+
			", destination: {name: cert, create: true, type: kubernetes.io/tls}}")
	}
	// holds waits for another certificate than former's, and checks it.
	holds := func(former *x509.Certificate) *x509.Certificate {
		t.Helper()
		var leaf *x509.Certificate
		w.eventuallyHolds(t, "app", "cert", func(secret *corev1.Secret) string {
			pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
			if err != nil {
				return err.Error()
			}
			if leaf = pair.Leaf; former != nil && leaf.SerialNumber.Cmp(former.SerialNumber) == 0 {
				return "the certificate is still the former"
			}
			return ""
		})
		for _, name := range []string{"app.shop.test", "b.shop.test"} {
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
				t.Errorf("for %s: %v", name, err)
			}
		}
		return leaf
	}
	w.apply(t, spec("ttl: 40s, expiryOffset: 34s"))
	first := holds(nil)
	second := holds(first)
	if now := time.Now(); now.After(first.NotAfter) {
		t.Errorf("replaced at %s only, and the former ended at %s", now, first.NotAfter)
	}
	w.apply(t, spec("ttl: 2h"))
	third := holds(second)
	eventually(t, limit, func() string {
		if third = holds(nil); time.Until(third.NotAfter) < time.Hour {
			return "it is still a short one"
		}
		return ""
	})
	pki := &v1beta1.VaultPKISecret{}
	w.status(t, pki, "app", "cert", v1beta1.ReasonValid)
	revoked := func() any {
		found, err := root.Logical().ReadWithContext(t.Context(), "pki/cert/"+pki.Status.SerialNumber)
		if err != nil || found == nil {
			t.Fatalf("the server does not know certificate %s: %v", pki.Status.SerialNumber, err)
		}
		return found.Data["revocation_time"]
	}
	if at := revoked(); fmt.Sprint(at) != "0" {
		t.Errorf("revoked at %v while it is in use", at)
	}
	w.kubectl(t, "", "delete", "vaultpkisecret", "cert", "-n", "app", "--timeout=40s")
	if at := revoked(); fmt.Sprint(at) == "0" {
		t.Error("it is not revoked with its resource")
	}
	w.gone(t, "app", "cert")
}

// Users are made, kept while their lease can be renewed, replaced when it cannot, and gone with their resource; a static
// role's password is followed.
func testRealDatabase(t *testing.T, w *world, write func(string, map[string]any)) {
	t.Helper()
	pg := pgtest.New(t)
	pg.Query(t, `CREATE ROLE admin WITH LOGIN SUPERUSER PASSWORD 'admin'; CREATE ROLE app WITH LOGIN PASSWORD 'first'`)
	write("sys/mounts/db", map[string]any{"type": "database"})
	write("db/config/pg", map[string]any{"plugin_name": "postgresql-database-plugin", "connection_url": pg.URL("postgres", ""), "username": "admin", "password": "admin", "allowed_roles": "*"})
	write("db/roles/app", map[string]any{
		"db_name": "pg", "default_ttl": "12s", "max_ttl": "24s",
		"creation_statements": `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';`,
	})
	write("db/static-roles/app", map[string]any{"db_name": "pg", "username": "app", "rotation_period": "6s"})
	w.apply(t, resource("VaultDynamicSecret", "app", "user", "{vaultAuthRef: auth, mount: db, path: creds/app, renewalPercent: 50, revoke: true, destination: {name: user, create: true, transformation: {excludeRaw: true}}}"))
	w.apply(t, resource("VaultDynamicSecret", "app", "static", "{vaultAuthRef: auth, mount: db, path: static-creds/app, allowStaticCreds: true, destination: {name: static, create: true, transformation: {excludeRaw: true, includes: ['^(username|password)$']}}}"))
	// usable waits for a password that is not the former, and with which the database lets its user in.
	usable := func(name, former string) (user, password string) {
		t.Helper()
		w.eventuallyHolds(t, "app", name, func(secret *corev1.Secret) string {
			user, password = string(secret.Data["username"]), string(secret.Data["password"])
			if password == former {
				return "the password is still the former"
			}
			if err := pg.Login(user, password); err != nil {
				return "the database refuses what the Secret holds"
			}
			return ""
		})
		return user, password
	}
	user, password := usable("user", "")
	vds := &v1beta1.VaultDynamicSecret{}
	w.status(t, vds, "app", "user", v1beta1.ReasonValid, "credentials of db/creds/app")
	made := vds.Status.LastRenewalTime
	eventually(t, limit, func() string {
		w.status(t, vds, "app", "user", v1beta1.ReasonValid)
		if vds.Status.LastRenewalTime == made {
			return "the lease is not renewed"
		}
		return ""
	})
	if secret, err := w.secret("app", "user"); err != nil || string(secret.Data["username"]) != user {
		t.Errorf("a renewal made another user (%v)", err)
	}
	if next, _ := usable("user", password); next == user {
		t.Errorf("after the most that the role allows it is still %s", user)
	}
	_, first := usable("static", "")
	usable("static", first)
	users := func() []string { return pg.Query(t, `SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%'`) }
	if len(users()) == 0 {
		t.Error("the database has none of the users")
	}
	w.kubectl(t, "", "delete", "vaultdynamicsecret", "user", "static", "-n", "app", "--timeout=40s")
	eventually(t, limit, func() string {
		if left := users(); len(left) > 0 {
			return fmt.Sprintf("the database still has %v", left)
		}
		return ""
	})
	w.gone(t, "app", "user")
}
