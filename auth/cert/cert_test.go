package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/engine"
	"strongroom/engine/enginetest"
	"strongroom/internal/storage"
)

type object = map[string]any

// identity is a certificate with its key.
type identity struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

func (i identity) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Raw}))
}

// issue makes a certificate signed by parent, or by itself if that is nil.
func issue(t *testing.T, parent *identity, serial int64, edit func(*x509.Certificate)) identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "client"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, SubjectKeyId: []byte{1, 0xab},
	}
	if edit != nil {
		edit(template)
	}
	signer, signed := template, key
	if parent != nil {
		signer, signed = parent.Certificate, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, &key.PublicKey, signed)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return identity{c, key}
}

func authority(t *testing.T, parent *identity, serial int64, name string) identity {
	return issue(t, parent, serial, func(c *x509.Certificate) {
		c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid = name, true, true
		c.KeyUsage, c.ExtKeyUsage, c.SubjectKeyId = x509.KeyUsageCertSign|x509.KeyUsageCRLSign, nil, []byte(name)
	})
}

type fixture struct {
	*enginetest.Mounted
	t      *testing.T
	remote string
	peer   []*x509.Certificate
}

func mount(t *testing.T) *fixture {
	f := &fixture{enginetest.New(t, storage.NewMem(), "auth/cert/", Factory, nil), t, "192.0.2.1:1", nil}
	f.Before = func(r *engine.Request) { r.Remote, r.Peer = netip.MustParseAddrPort(f.remote), f.peer }
	return f
}

func (f *fixture) must(op engine.Operation, path string, body any) object {
	f.t.Helper()
	resp, err := f.Do(op, path, body)
	if err != nil {
		f.t.Fatalf("%s %s: %v", op, path, err)
	}
	if resp == nil || resp.Data == nil {
		return nil
	}
	return resp.Data.(object)
}

func (f *fixture) login(name string, peer ...identity) (*engine.Grant, error) {
	f.t.Helper()
	f.peer = nil
	for _, p := range peer {
		f.peer = append(f.peer, p.Certificate)
	}
	resp, err := f.Do(engine.Update, "login", object{"name": name})
	if err != nil {
		return nil, err
	}
	return resp.Grant, nil
}

func TestRole(t *testing.T) {
	f, ca := mount(t), authority(t, nil, 1, "ca")
	f.must(engine.Create, "certs/Web", object{"certificate": ca.pem(), "policies": "p", "ttl": 3600, "allowed_common_names": "a*,b"})
	want := object{
		"certificate": strings.TrimSpace(ca.pem()), "display_name": "web", "allowed_names": []string{}, "allowed_common_names": []string{"a*", "b"}, "allowed_dns_sans": []string{},
		"allowed_email_sans": []string{}, "allowed_uri_sans": []string{}, "allowed_organizational_units": []string{}, "required_extensions": []string{},
		"allowed_metadata_extensions": []string{}, "policies": []string{"p"}, "token_policies": []string{"p"}, "ttl": int64(3600), "token_ttl": int64(3600),
		"token_max_ttl": int64(0), "token_type": "default", "token_bound_cidrs": []string{}, "token_explicit_max_ttl": int64(0), "token_no_default_policy": false,
		"token_num_uses": int64(0), "token_period": int64(0),
	}
	if got := f.must(engine.Read, "certs/web", nil); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	f.must(engine.Update, "certs/web", object{"display_name": "shown"})
	if got := f.must(engine.Read, "certs/web", nil); got["display_name"] != "shown" || got["token_ttl"] != int64(3600) {
		t.Errorf("after an update: %v", got)
	}
	if got := f.must(engine.List, "certs", nil)["keys"]; !reflect.DeepEqual(got, []string{"web"}) {
		t.Errorf("list: %v", got)
	}
	for _, c := range []struct {
		body object
		want string
	}{
		{object{}, "failed to parse certificate"},
		{object{"certificate": "text"}, "failed to parse certificate"},
		{object{"certificate": ca.pem() + "more"}, "nothing else"},
		{object{"certificate": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}, "PRIVATE KEY"},
		{object{"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}, "malformed"},
		{object{"certificate": strings.Repeat(ca.pem(), maxCertificates+1)}, "more than 50"},
		{object{"certificate": ca.pem(), "ocsp_enabled": true}, "ocsp_enabled is not supported"},
		{object{"certificate": ca.pem(), "required_extensions": "1.2.3"}, "has not the form"},
		{object{"certificate": ca.pem(), "required_extensions": "x:y"}, "an OID such as"},
		{object{"certificate": ca.pem(), "allowed_metadata_extensions": "x"}, "an OID such as"},
	} {
		if _, err := f.Do(engine.Create, "certs/bad", c.body); err == nil || engine.KindOf(err) != engine.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.want, err)
		}
	}
	f.must(engine.Delete, "certs/web", nil)
	if _, err := f.Do(engine.Read, "certs/web", nil); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a deleted role: %v", err)
	}
}

func TestLogin(t *testing.T) {
	f := mount(t)
	ca := authority(t, nil, 1, "ca")
	between := authority(t, &ca, 2, "between")
	direct := issue(t, &ca, 10, nil)
	below := issue(t, &between, 11, nil)
	alone := issue(t, nil, 12, nil)
	f.must(engine.Create, "certs/ca", object{"certificate": ca.pem(), "token_policies": "p", "display_name": "shown", "token_bound_cidrs": "192.0.2.0/24"})
	g, err := f.login("", direct)
	if err != nil {
		t.Fatal(err)
	}
	want := &engine.Grant{Policies: []string{"p"}, Type: "default", DisplayName: "shown", Alias: "client", Role: "ca", Proof: proof(direct.Certificate), BoundCIDRs: []string{"192.0.2.0/24"},
		Metadata: map[string]string{"cert_name": "ca", "common_name": "client", "serial_number": "10", "subject_key_id": "01:ab", "authority_key_id": "63:61"}}
	if !reflect.DeepEqual(g, want) {
		t.Errorf("got %+v\nwant %+v", g, want)
	}
	const untrusted, constrained = "invalid certificate or no client certificate supplied", "no chain matching all constraints"
	check := func(what, name string, want string, peer ...identity) {
		t.Helper()
		if _, err := f.login(name, peer...); (want == "") != (err == nil) || want != "" && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	check("with the authority between", "ca", "", below, between)
	check("without it", "ca", untrusted, below)
	check("no certificate", "ca", "client certificate must be supplied")
	check("an unknown role", "none", untrusted, direct)
	check("signed by itself", "", untrusted, alone)
	f.must(engine.Create, "certs/alone", object{"certificate": alone.pem()})
	check("known itself", "", "", alone)
	check("known to another role", "ca", untrusted, alone)
	check("expired", "", untrusted, issue(t, &ca, 13, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }))
	check("for servers", "", untrusted, issue(t, &ca, 14, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }))
	check("an authority of the same name", "", untrusted, issue(t, new(authority(t, nil, 1, "ca")), 10, nil))
	f.remote = "203.0.113.1:1"
	check("from elsewhere", "ca", "permission denied", direct)
	f.remote = "192.0.2.1:1"
	f.must(engine.Update, "certs/ca", object{"allowed_common_names": "other"})
	check("with a name that is not allowed", "ca", constrained, direct)
}

// Lesson: what is compared is the whole certificate, not its serial number, its
// names or its key: anybody can make one with these.
func TestLessonWholeCertificateIsCompared(t *testing.T) {
	f := mount(t)
	trusted := issue(t, nil, 7, nil)
	f.must(engine.Create, "certs/r", object{"certificate": trusted.pem()})
	if _, err := f.login("", trusted); err != nil {
		t.Fatal(err)
	}
	// The same serial number and names, signed by themselves; and the same key with other names.
	if _, err := f.login("", issue(t, nil, 7, nil)); err == nil {
		t.Error("a certificate that looks alike logs in")
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "admin"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour)}, trusted.Certificate, &trusted.key.PublicKey, trusted.key)
	if err != nil {
		t.Fatal(err)
	}
	again, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.login("", identity{again, trusted.key}); err == nil {
		t.Error("another certificate of the same key logs in")
	}
	expired := issue(t, nil, 8, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	servers := issue(t, nil, 9, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	f.must(engine.Update, "certs/r", object{"certificate": expired.pem() + servers.pem()})
	for _, c := range []identity{expired, servers} {
		if _, err := f.login("", c); err == nil {
			t.Errorf("certificate %v logs in, which is expired or for servers", c.SerialNumber)
		}
	}
}

func TestConstraints(t *testing.T) {
	f, ca := mount(t), authority(t, nil, 1, "ca")
	text, err := asn1.Marshal("prod-eu")
	if err != nil {
		t.Fatal(err)
	}
	client := issue(t, &ca, 20, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "app.example.com", OrganizationalUnit: []string{"ops", "dev"}}
		c.DNSNames, c.EmailAddresses = []string{"app.example.com", "app"}, []string{"app@example.com"}
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "cluster", Path: "/ns/app"}}
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 1, 1, 1}, Value: text}, {Id: asn1.ObjectIdentifier{2, 1, 1, 2}, Value: []byte{0xca, 0xfe}}}
	})
	for _, c := range []struct {
		name, value string
		want        bool
	}{
		{"allowed_names", "app@*", true}, {"allowed_names", "x,app", true}, {"allowed_names", "example.com", false},
		{"allowed_common_names", "*.example.com", true}, {"allowed_common_names", "app", false},
		{"allowed_dns_sans", "app", true}, {"allowed_dns_sans", "*.org", false},
		{"allowed_email_sans", "*@example.com", true}, {"allowed_email_sans", "app.example.com", false},
		{"allowed_uri_sans", "spiffe://cluster/ns/*", true}, {"allowed_uri_sans", "spiffe://other/*", false},
		{"allowed_organizational_units", "dev", true}, {"allowed_organizational_units", "d", false},
		{"required_extensions", "2.1.1.1:prod-*", true}, {"required_extensions", "2.1.1.1:test", false}, {"required_extensions", "2.1.1.9:*", false},
		{"required_extensions", "2.1.1.1:prod-eu,hex:2.1.1.2:CA*", true}, {"required_extensions", "2.1.1.1:prod-eu,hex:2.1.1.2:ff", false},
		{"required_extensions", "2.1.1.2:*", false},
	} {
		f.must(engine.Create, "certs/r", object{"certificate": ca.pem(), c.name: c.value, "allowed_metadata_extensions": "2.1.1.1,2.1.1.2"})
		g, err := f.login("r", client)
		if (err == nil) != c.want {
			t.Errorf("%s %q: %v", c.name, c.value, err)
		}
		if err == nil && (g.Metadata["2-1-1-1"] != "prod-eu" || len(g.Metadata) != 6) {
			t.Errorf("metadata: %v", g.Metadata)
		}
		f.must(engine.Delete, "certs/r", nil)
	}
}

func TestCRL(t *testing.T) {
	f, ca := mount(t), authority(t, nil, 1, "ca")
	between := authority(t, &ca, 30, "between")
	good, bad, below := issue(t, &ca, 31, nil), issue(t, &ca, 32, nil), issue(t, &between, 33, nil)
	f.must(engine.Create, "certs/r", object{"certificate": ca.pem()})
	write := func(name string, serials ...int64) {
		t.Helper()
		list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}
		for _, s := range serials {
			list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: time.Now()})
		}
		der, err := x509.CreateRevocationList(rand.Reader, list, ca.Certificate, ca.key)
		if err != nil {
			t.Fatal(err)
		}
		f.must(engine.Update, "crls/"+name, object{"crl": string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))})
	}
	logins := func() (out []int64) {
		for _, peer := range [][]identity{{good}, {bad}, {below, between}} {
			if _, err := f.login("", peer...); err == nil {
				out = append(out, peer[0].SerialNumber.Int64())
			}
		}
		return out
	}
	write("Leaves", 32)
	if got := logins(); !slices.Equal(got, []int64{31, 33}) {
		t.Errorf("logins of %v", got)
	}
	if got := f.must(engine.Read, "crls/leaves", nil); !reflect.DeepEqual(got, object{"serials": map[string]struct{}{"32": {}}}) {
		t.Errorf("read: %v", got)
	}
	write("between", 30)
	if got := logins(); !slices.Equal(got, []int64{31}) {
		t.Errorf("with a revoked authority, logins of %v", got)
	}
	if got := f.must(engine.List, "crls", nil)["keys"]; !reflect.DeepEqual(got, []string{"between", "leaves"}) {
		t.Errorf("list: %v", got)
	}
	f.must(engine.Delete, "crls/between", nil)
	write("leaves")
	if got := logins(); len(got) != 3 {
		t.Errorf("after the lists are empty, logins of %v", got)
	}
	for want, body := range map[string]object{"missing crl": {}, "failed to parse CRL": {"crl": ca.pem()}, "url is not supported": {"url": "http://127.0.0.1/crl"}} {
		if _, err := f.Do(engine.Update, "crls/bad", body); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// Lesson: a token is renewed for the certificate it was given for, and as long as that may log in.
func TestLessonRenewalIsBoundToTheCertificate(t *testing.T) {
	f, ca := mount(t), authority(t, nil, 1, "ca")
	f.must(engine.Create, "certs/r", object{"certificate": ca.pem(), "token_policies": "p", "token_ttl": "1h"})
	client, other := issue(t, &ca, 40, nil), issue(t, &ca, 41, nil)
	g, err := f.login("", client)
	if err != nil {
		t.Fatal(err)
	}
	g.Policies = []string{"default", "p"}
	renew := func(peer ...identity) (*engine.Grant, error) {
		tx := storage.Begin(f.Store)
		req := &engine.Request{Mount: f.Mount, Storage: tx.View("mount/test/")}
		for _, p := range peer {
			req.Peer = append(req.Peer, p.Certificate)
		}
		return f.Engine.(engine.Renewer).Renew(t.Context(), req, g)
	}
	if now, err := renew(client); err != nil || now.TTL != time.Hour {
		t.Errorf("%+v, %v", now, err)
	}
	for _, peer := range [][]identity{nil, {other}, {other, client}} {
		if _, err := renew(peer...); err == nil || !strings.Contains(err.Error(), "client identity during renewal") {
			t.Errorf("with another certificate: %v", err)
		}
	}
	f.must(engine.Update, "config", object{"disable_binding": true})
	if _, err := renew(); err != nil {
		t.Errorf("with disable_binding: %v", err)
	}
	if got := f.must(engine.Read, "config", nil); got["disable_binding"] != true {
		t.Errorf("config: %v", got)
	}
	f.must(engine.Update, "config", object{"disable_binding": false})
	f.must(engine.Update, "certs/r", object{"allowed_common_names": "nobody"})
	if _, err := renew(client); err == nil {
		t.Error("renewed though the role takes the certificate no more")
	}
	f.must(engine.Update, "certs/r", object{"allowed_common_names": "", "token_policies": "q"})
	if _, err := renew(client); err == nil || !strings.Contains(err.Error(), "policies have changed") {
		t.Errorf("with other policies: %v", err)
	}
	f.must(engine.Delete, "certs/r", nil)
	if _, err := renew(client); err == nil {
		t.Error("renewed without a role")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "2.1.1.1:a*")
	f.Add("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----", "hex:1.2:ff")
	f.Add("", ":")
	f.Fuzz(func(t *testing.T, text, rule string) {
		if certs, err := parseCertificates(text); (err == nil) != (len(certs) > 0) {
			t.Errorf("%q: %d certificates, %v", text, len(certs), err)
		}
		if c, err := parseCRL(text); (err == nil) != (c != nil) {
			t.Errorf("%q: %v, %v", text, c, err)
		}
		if e, err := parseExtension(rule); err == nil && len(e.oid) < 2 {
			t.Errorf("%q: %v", rule, e)
		}
	})
}
