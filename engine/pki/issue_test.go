package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
)

// A root and what it issues are accepted by Go and by OpenSSL, for every kind of key.
func TestIssue(t *testing.T) {
	for _, c := range []struct {
		kind, block string
		bits        int
		algorithm   x509.SignatureAlgorithm
	}{
		{"rsa", "RSA PRIVATE KEY", 2048, x509.SHA256WithRSA},
		{"ec", "EC PRIVATE KEY", 224, x509.ECDSAWithSHA256},
		{"ec", "EC PRIVATE KEY", 256, x509.ECDSAWithSHA256},
		{"ec", "EC PRIVATE KEY", 384, x509.ECDSAWithSHA384},
		{"ec", "EC PRIVATE KEY", 521, x509.ECDSAWithSHA512},
		{"ed25519", "PRIVATE KEY", 0, x509.PureEd25519},
	} {
		t.Run(fmt.Sprint(c.kind, c.bits), func(t *testing.T) {
			m := mount(t)
			root := must(t, m, "PUT root/generate/internal", with("common_name", "Root", "key_type", c.kind, "key_bits", c.bits, "ttl", "700h"))
			if root["private_key"] != nil || field(root, "issuer_id") == "" || field(root, "key_id") == "" || root["certificate"] != root["issuing_ca"] {
				t.Errorf("the root is %v", root)
			}
			if ca := cert(t, root); !ca.IsCA || ca.MaxPathLen != -1 || ca.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign || ca.SignatureAlgorithm != c.algorithm || len(ca.SubjectKeyId) != 20 {
				t.Errorf("the root is %+v", ca)
			}
			must(t, m, "PUT roles/web", with("allowed_domains", "example.com", "allow_subdomains", true, "key_type", c.kind, "key_bits", c.bits, "max_ttl", "72h"))
			got := must(t, m, "PUT issue/web", with("common_name", "a.example.com", "alt_names", "b.example.com,me@c.example.com", "ip_sans", "10.0.0.1,::1", "ttl", "24h"))
			accepted(t, got)
			leaf := cert(t, got)
			if leaf.IsCA || leaf.Subject.CommonName != "a.example.com" || !slices.Equal(leaf.DNSNames, []string{"b.example.com", "a.example.com"}) || !slices.Equal(leaf.EmailAddresses, []string{"me@c.example.com"}) || len(leaf.IPAddresses) != 2 {
				t.Errorf("the certificate is for %v %v %v %v", leaf.Subject, leaf.DNSNames, leaf.EmailAddresses, leaf.IPAddresses)
			}
			if leaf.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageKeyAgreement|x509.KeyUsageKeyEncipherment || !slices.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}) {
				t.Errorf("the certificate is to be used for %v %v", leaf.KeyUsage, leaf.ExtKeyUsage)
			}
			if n := leaf.SerialNumber.Bytes(); len(n) != 20 || n[0]&0x80 != 0 || serialText(leaf.SerialNumber) != got["serial_number"] {
				t.Errorf("its serial number is %x, shown as %v", n, got["serial_number"])
			}
			if life := leaf.NotAfter.Sub(leaf.NotBefore); life != 24*time.Hour+30*time.Second || int64(got["expiration"].(float64)) != leaf.NotAfter.Unix() {
				t.Errorf("it lives for %s until %v", life, got["expiration"])
			}
			block, _ := pem.Decode([]byte(field(got, "private_key")))
			if k, err := parsePrivate(block.Bytes); err != nil || block.Type != c.block || got["private_key_type"] != c.kind || !samePublic(k.Public(), leaf.PublicKey) {
				t.Errorf("the private key %s %v is not the certificate's: %v", block.Type, got["private_key_type"], err)
			}
		})
	}
}

// What a role that says nothing is like: the defaults of Vault's documentation.
func TestRoleDefaults(t *testing.T) {
	m := mount(t)
	must(t, m, "PUT roles/plain", "{}")
	want := `{"allow_any_name":false,"allow_bare_domains":false,"allow_glob_domains":false,"allow_ip_sans":true,"allow_localhost":true,"allow_subdomains":false,
"allow_wildcard_certificates":true,"allowed_domains":[],"allowed_domains_template":false,"allowed_other_sans":[],"allowed_serial_numbers":[],"allowed_uri_sans":[],
"allowed_uri_sans_template":false,"allowed_user_ids":[],"basic_constraints_valid_for_non_ca":false,"client_flag":true,"cn_validations":["email","hostname"],
"code_signing_flag":false,"country":[],"email_protection_flag":false,"enforce_hostnames":true,"ext_key_usage":[],"ext_key_usage_oids":[],"generate_lease":false,
"issuer_ref":"default","key_bits":2048,"key_type":"rsa","key_usage":["DigitalSignature","KeyAgreement","KeyEncipherment"],"locality":[],"max_ttl":0,"no_store":false,
"no_store_metadata":false,"not_after":"","not_before_duration":30,"organization":[],"ou":[],"policy_identifiers":[],"postal_code":[],"province":[],"require_cn":true,
"serial_number_source":"json-csr","server_flag":true,"signature_bits":0,"street_address":[],"ttl":0,"use_csr_common_name":true,"use_csr_sans":true,"use_pss":false}`
	var expected map[string]any
	if err := json.Unmarshal([]byte(want), &expected); err != nil {
		t.Fatal(err)
	}
	if got := must(t, m, "GET roles/plain", ""); !reflect.DeepEqual(got, expected) {
		t.Errorf("the role is\n%v\nwant\n%v", got, expected)
	}
	must(t, m, "PUT roles/plain", with("ttl", "1h", "max_ttl", "2h", "organization", "A,B"))
	must(t, m, "PATCH roles/plain", with("ttl", "30m"))
	if got := must(t, m, "GET roles/plain", ""); got["ttl"] != 1800.0 || got["max_ttl"] != 7200.0 || fmt.Sprint(got["organization"]) != "[A B]" {
		t.Errorf("the patched role is %v", got)
	}
	must(t, m, "PUT roles/plain", "{}") // overwrites all
	if got := must(t, m, "GET roles/plain", ""); !reflect.DeepEqual(got, expected) {
		t.Errorf("the role that was written again is %v", got)
	}
	must(t, m, "DELETE roles/plain", "")
	refused(t, m, "PUT issue/plain", with("common_name", "x"), "unknown role: plain")
	for body, want := range map[string]string{
		with("key_type", "dsa"):                        "unknown key type",
		with("key_type", "rsa", "key_bits", 1024):      "invalid key_bits",
		with("ttl", "2h", "max_ttl", "1h"):             `"ttl" value must be less than "max_ttl" value`,
		with("key_usage", "Everything"):                "unknown key_usage",
		with("ext_key_usage", "Everything"):            "unknown ext_key_usage",
		with("ext_key_usage_oids", "1.x"):              "could not parse OID",
		with("policy_identifiers", "1.x"):              "could not parse policy_identifiers",
		with("allowed_domains_template", true):         "templates in allowed_domains",
		with("cn_validations", "disabled,email"):       "must stand alone",
		with("allowed_other_sans", "1.2.3"):            "could not parse requested other SAN",
		with("not_after", "tomorrow"):                  "unable to parse not_after",
		with("signature_bits", 128):                    "unknown signature_bits",
		with("serial_number_source", "somewhere else"): "unknown serial_number_source",
	} {
		refused(t, m, "PUT roles/bad", body, want)
	}
}

// The forms in which a certificate and its key are given.
func TestForms(t *testing.T) {
	m := withRoot(t)
	must(t, m, "PUT roles/web", with("allow_any_name", true, "key_type", "ec"))
	der := must(t, m, "PUT issue/web", with("common_name", "a.test", "format", "der"))
	leaf, err := x509.ParseCertificate(must1(base64.StdEncoding.DecodeString(field(der, "certificate"))))
	if err != nil || leaf.Subject.CommonName != "a.test" {
		t.Errorf("as DER: %v %v", leaf, err)
	}
	if k, err := x509.ParseECPrivateKey(must1(base64.StdEncoding.DecodeString(field(der, "private_key")))); err != nil || !k.PublicKey.Equal(leaf.PublicKey) {
		t.Errorf("the key as DER: %v", err)
	}
	pkcs8 := must(t, m, "PUT issue/web", with("common_name", "a.test", "private_key_format", "pkcs8"))
	if s := field(pkcs8, "private_key"); !strings.HasPrefix(s, "-----BEGIN PRIVATE KEY-----") {
		t.Errorf("as PKCS #8: %s", s)
	}
	bundled := must(t, m, "PUT issue/web", with("common_name", "a.test", "format", "pem_bundle"))
	text := field(bundled, "certificate")
	if !strings.HasPrefix(text, "-----BEGIN EC PRIVATE KEY-----") || strings.Count(text, "BEGIN CERTIFICATE") != 1 || !strings.Contains(text, field(bundled, "private_key")) {
		t.Errorf("a bundle under a root is %s", text)
	}
	if got := must(t, m, "PUT issue/web", with("common_name", "a.test", "remove_roots_from_chain", true)); len(got["ca_chain"].([]any)) != 0 {
		t.Errorf("the root is in %v", got["ca_chain"])
	}
	refused(t, m, "PUT issue/web", with("common_name", "a.test", "format", "text"), `must be "pem", "der", or "pem_bundle"`)
	refused(t, m, "PUT issue/web", with("common_name", "a.test", "private_key_format", "text"), "private_key_format")
}

// What a role refuses, in the words that clients match on.
func TestRoleRefuses(t *testing.T) {
	m := withRoot(t)
	must(t, m, "PUT roles/web", with("allowed_domains", "example.com", "allow_subdomains", true, "allow_ip_sans", false, "key_type", "ec",
		"allowed_uri_sans", "spiffe://example.com/*", "allowed_other_sans", "1.3.6.1.4.1.311.20.2.3;utf8:*@example.com", "allowed_user_ids", "u-*", "allowed_serial_numbers", "s-*"))
	for body, want := range map[string]string{
		"{}":                               "the common_name field is required",
		with("common_name", "other.com"):   "common name other.com not allowed by this role",
		with("common_name", "example.com"): "common name example.com not allowed by this role",
		with("common_name", "a.example.com", "alt_names", "other.com"):                                 "subject alternate name other.com not allowed by this role",
		with("common_name", "a.example.com", "alt_names", "a@other.com"):                               "email address a@other.com not allowed by this role",
		with("common_name", "a.example.com", "ip_sans", "10.0.0.1"):                                    "IP Subject Alternative Names are not allowed in this role, but was provided 10.0.0.1",
		with("common_name", "a.example.com", "ip_sans", "10.0.0.300"):                                  `the value "10.0.0.300" is not a valid IP address`,
		with("common_name", "a.example.com", "uri_sans", "spiffe://other.com/a"):                       "URI Subject Alternative Name spiffe://other.com/a not allowed by this role",
		with("common_name", "a.example.com", "other_sans", "1.3.6.1.4.1.311.20.2.3;utf8:a@other.com"):  "not allowed by this role",
		with("common_name", "a.example.com", "other_sans", "1.3.6.1.4.1.311.20.2.3;ia5:a@example.com"): "could not parse requested other SAN",
		with("common_name", "a.example.com", "user_ids", "v-1"):                                        "user_id v-1 is not allowed by this role",
		with("common_name", "a.example.com", "serial_number", "t-1"):                                   "serial_number t-1 not allowed by this role",
		with("common_name", "a.example.com", "ttl", "1h", "not_after", "2100-01-01T00:00:00Z"):         "Either ttl or not_after should be provided",
		with("common_name", "a.example.com", "not_after", "2000-01-01T00:00:00Z"):                      "has passed",
		with("common_name", "a.example.com", "cert_metadata", "eA=="):                                  "cert_metadata is not supported",
		with("common_name", strings.Repeat("a.", 30)+"example.com"):                                    "no longer than 64 characters",
	} {
		refused(t, m, "PUT issue/web", body, want)
	}
	got := must(t, m, "PUT issue/web", with("common_name", "a.example.com", "uri_sans", "spiffe://example.com/a", "user_ids", "u-1,u-2", "serial_number", "s-1",
		"other_sans", "1.3.6.1.4.1.311.20.2.3;utf8:me@example.com", "exclude_cn_from_sans", true))
	accepted(t, got)
	leaf := cert(t, got)
	others, strange := othersOf(leaf.Extensions)
	if strange || len(others) != 1 || others[0].String() != "1.3.6.1.4.1.311.20.2.3;UTF8:me@example.com" || len(leaf.URIs) != 1 || len(leaf.DNSNames) != 0 || leaf.Subject.SerialNumber != "s-1" {
		t.Errorf("the certificate is for %v %v %v %v", leaf.Subject, others, leaf.URIs, leaf.DNSNames)
	}
	text := openssl(t, []byte(field(got, "certificate")), "x509", "-noout", "-text")
	for _, want := range []string{"UID = u-1, UID = u-2", "othername: UPN::me@example.com", "URI:spiffe://example.com/a"} {
		if !strings.Contains(strings.ReplaceAll(text, "UID=", "UID = "), want) && !strings.Contains(text, want) {
			t.Errorf("OpenSSL does not see %q in\n%s", want, text)
		}
	}
	must(t, m, "PUT roles/any", with("key_type", "any"))
	refused(t, m, "PUT issue/any", with("common_name", "localhost"), `role key type "any" not allowed for issuing certificates, only signing`)
	refused(t, m, "PUT issuer/none/issue/web", with("common_name", "a.example.com"), "unable to find PKI issuer for reference: none")
	refused(t, mount(t), "PUT root/sign-intermediate", with("csr", first(request(t, named("CA"))), "common_name", "CA"), "no default issuer")
}

func first[A, B any](a A, _ B) A { return a }

// Life: the role's, the request's, within the limits of both and of the issuer.
func TestLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mount(t)
		must(t, m, "PUT root/generate/internal", with("common_name", "Root", "issuer_name", "root", "key_type", "ec", "ttl", "768h"))
		must(t, m, "PUT roles/web", with("key_type", "ec", "ttl", "2h", "max_ttl", "4h", "not_before_duration", "1m"))
		life := func(role string, pairs ...any) time.Duration {
			t.Helper()
			return time.Until(cert(t, must(t, m, "PUT issue/"+role, with(append([]any{"common_name", "localhost"}, pairs...)...))).NotAfter)
		}
		if got := life("web"); got != 2*time.Hour {
			t.Errorf("the role's own: %s", got)
		}
		if got := life("web", "ttl", "3h"); got != 3*time.Hour {
			t.Errorf("asked for: %s", got)
		}
		if got := life("web", "not_after", time.Now().Add(time.Hour).UTC().Format(time.RFC3339)); got != time.Hour {
			t.Errorf("a time: %s", got)
		}
		resp, err := call(m, "PUT issue/web", with("common_name", "localhost", "ttl", "5h"))
		if err != nil || len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], "is longer than permitted maxTTL") {
			t.Errorf("too long: %v, %v", resp, err)
		}
		if got := life("web", "ttl", "5h"); got != 4*time.Hour {
			t.Errorf("too long: %s", got)
		}
		if got := life("web", "not_after", "2100-01-01T00:00:00Z"); got != 4*time.Hour {
			t.Errorf("a time too late: %s", got)
		}
		must(t, m, "PUT roles/long", with("key_type", "ec"))
		time.Sleep(time.Hour)
		for behavior, want := range map[string]time.Duration{"truncate": 767 * time.Hour, "permit": 768 * time.Hour} {
			must(t, m, "PATCH issuer/root", with("leaf_not_after_behavior", behavior))
			if got := life("long"); got != want {
				t.Errorf("%s: %s, want %s", behavior, got, want)
			}
		}
		for _, behavior := range []string{"err", "always_enforce_err"} {
			must(t, m, "PATCH issuer/root", with("leaf_not_after_behavior", behavior))
			refused(t, m, "PUT issue/long", with("common_name", "localhost"), "cannot satisfy request, as TTL would result in notAfter 2000-02-02T01:00:00Z that is beyond the expiration of the CA certificate at 2000-02-02T00:00:00Z")
		}
		must(t, m, "PUT roles/ever", with("key_type", "ec", "not_after", "9999-12-31T23:59:59Z"))
		must(t, m, "PATCH issuer/root", with("leaf_not_after_behavior", "permit"))
		if got := cert(t, must(t, m, "PUT issue/ever", with("common_name", "localhost"))).NotAfter.Year(); got != 9999 {
			t.Errorf("for ever is until %d", got)
		}
		time.Sleep(1000 * time.Hour)
		refused(t, m, "PUT issue/web", with("common_name", "localhost"), "certificate has expired")
	})
}

// Requests are signed within what the role allows; of what they say only that counts
// which the role says to take from them.
func TestSign(t *testing.T) {
	m := withRoot(t)
	must(t, m, "PUT roles/web", with("allowed_domains", "example.com", "allow_subdomains", true, "key_type", "ec", "organization", "Us"))
	csr, k := request(t, named("a.example.com", "b.example.com"))
	got := must(t, m, "PUT sign/web", with("csr", csr, "common_name", "ignored.example.com", "alt_names", "ignored.example.com"))
	accepted(t, got)
	if leaf := cert(t, got); leaf.Subject.String() != "CN=a.example.com,O=Us" || !slices.Equal(leaf.DNSNames, []string{"b.example.com", "a.example.com"}) || !samePublic(leaf.PublicKey, k.Public()) || got["private_key"] != nil {
		t.Errorf("signed %v %v", leaf.Subject, leaf.DNSNames)
	}
	must(t, m, "PATCH roles/web", with("use_csr_common_name", false, "use_csr_sans", false))
	if leaf := cert(t, must(t, m, "PUT issuer/root/sign/web", with("csr", csr, "common_name", "c.example.com"))); leaf.Subject.CommonName != "c.example.com" || !slices.Equal(leaf.DNSNames, []string{"c.example.com"}) {
		t.Errorf("signed %v %v", leaf.Subject, leaf.DNSNames)
	}
	must(t, m, "PATCH roles/web", with("use_csr_common_name", true, "use_csr_sans", true))
	refused(t, m, "PUT sign/web", with("csr", first(request(t, named("a.example.com", "other.com")))), "subject alternate name other.com not allowed by this role")
	refused(t, m, "PUT sign/web", with("csr", first(request(t, named("other.com")))), "common name other.com not allowed by this role")
	refused(t, m, "PUT sign/web", with("csr", "nonsense"), "csr contains no data")
	block, _ := pem.Decode([]byte(csr))
	block.Bytes[len(block.Bytes)-3] ^= 1
	refused(t, m, "PUT sign/web", with("csr", string(pem.EncodeToMemory(block))), "request signature invalid")
	weak := requestBy(t, named("a.example.com"), must1(rsa.GenerateKey(rand.Reader, 2048)))
	refused(t, m, "PUT sign/web", with("csr", weak), "role requires keys of type ec")
	must(t, m, "PUT roles/strong", with("allow_any_name", true, "key_type", "rsa", "key_bits", 3072))
	refused(t, m, "PUT sign/strong", with("csr", weak), "role requires a minimum of a 3072-bit key, but CSR's key is 2048 bits")
	must(t, m, "PUT roles/any", with("allow_any_name", true, "key_type", "any"))
	accepted(t, must(t, m, "PUT sign/any", with("csr", weak)))
}

// A conflict makes no second key.
func TestOnce(t *testing.T) {
	m := withRoot(t)
	must(t, m, "PUT roles/web", with("allow_any_name", true, "key_type", "rsa"))
	var first *engine.Memo
	runs := 0
	m.Before = func(req *engine.Request) {
		if runs++; runs == 1 {
			first = req.Memo
		} else if req.Memo != first {
			t.Error("another attempt remembers nothing")
		}
		if runs < 3 {
			req.Storage.Expect("role/web", 1<<60) // as if another had changed it
		}
	}
	got := must(t, m, "PUT issue/web", with("common_name", "localhost"))
	if runs != 3 {
		t.Fatalf("%d attempts", runs)
	}
	k, err := engine.Once(&engine.Request{Memo: first}, "key", func() (crypto.Signer, error) { return nil, errors.New("there is no key") })
	if err != nil || !samePublic(k.Public(), cert(t, got).PublicKey) {
		t.Errorf("the key of the certificate is not that of the first attempt: %v", err)
	}
}
