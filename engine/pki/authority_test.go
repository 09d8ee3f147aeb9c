package pki

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
	"testing"

	"strongroom/engine"
	"strongroom/engine/enginetest"
)

// below makes an intermediate of m in a mount of its own, with parameters of sign-intermediate.
func below(tb testing.TB, m *enginetest.Mounted, pairs ...any) *enginetest.Mounted {
	tb.Helper()
	in := mount(tb)
	csr := must(tb, in, "PUT intermediate/generate/internal", with("common_name", "Between", "key_type", "ec"))["csr"]
	signed := must(tb, m, "PUT root/sign-intermediate", with(append([]any{"csr", csr, "common_name", "Between", "exclude_cn_from_sans", true, "not_after", "2099-01-01T00:00:00Z"}, pairs...)...))
	must(tb, in, "PUT intermediate/set-signed", with("certificate", field(signed, "certificate")+"\n"+chainText(signed)))
	must(tb, in, "PUT roles/any", with("allow_any_name", true, "key_type", "ec"))
	return in
}

// A chain of two authorities is shown whole, and holds.
func TestIntermediate(t *testing.T) {
	in := below(t, withRoot(t))
	got := must(t, in, "PUT issue/any", with("common_name", "one.test"))
	accepted(t, got)
	if chain := certs(t, chainText(got)); len(chain) != 2 || chain[0].Subject.CommonName != "Between" || chain[1].Subject.CommonName != "Root" {
		t.Errorf("the chain is %v", chain)
	}
	if got := must(t, in, "PUT issue/any", with("common_name", "one.test", "remove_roots_from_chain", true)); len(got["ca_chain"].([]any)) != 1 {
		t.Errorf("without roots: %v", got["ca_chain"])
	}
	if text := field(must(t, in, "PUT issue/any", with("common_name", "one.test", "format", "pem_bundle")), "certificate"); strings.Count(text, "BEGIN CERTIFICATE") != 2 {
		t.Errorf("the bundle is %s", text)
	}
}

// Path lengths and name constraints of all who stand above are heeded.
func TestLessonConstraintsOfAllAboveHold(t *testing.T) {
	m := mount(t)
	must(t, m, "PUT root/generate/internal", with("common_name", "Root", "key_type", "ec", "max_path_length", 1, "not_after", "2100-01-01T00:00:00Z", "permitted_dns_domains", "example.com", "excluded_ip_ranges", "10.0.0.0/8"))
	in := below(t, m)
	if got := cert(t, must(t, in, "GET issuer/default", "")); got.MaxPathLen != 0 || !got.MaxPathLenZero {
		t.Errorf("the path length below 1 is %d", got.MaxPathLen)
	}
	csr := first(request(t, named("Lower")))
	refused(t, in, "PUT root/sign-intermediate", with("csr", csr, "common_name", "Lower"), "max path length of zero")
	refused(t, m, "PUT root/sign-intermediate", with("csr", csr, "common_name", "Lower", "max_path_length", 1), "is more than the signing certificate")
	accepted(t, must(t, in, "PUT issue/any", with("common_name", "a.example.com", "ip_sans", "192.168.0.1")))
	refused(t, in, "PUT issue/any", with("common_name", "a.example.org"), "would not be valid under issuer")
	refused(t, in, "PUT issue/any", with("common_name", "a.example.com", "ip_sans", "10.1.2.3"), "would not be valid under issuer")
	narrow := below(t, withRoot(t), "permitted_email_addresses", "example.com", "permitted_uri_domains", ".example.com")
	refused(t, narrow, "PUT issue/any", with("common_name", "me@example.org"), "would not be valid under issuer")
	accepted(t, must(t, narrow, "PUT issue/any", with("common_name", "me@example.com")))
}

// sign-verbatim takes a request as it is, but for what says who issued it and that it is a CA's.
func TestVerbatim(t *testing.T) {
	m := withRoot(t)
	name := pkix.Name{CommonName: "any thing", Organization: []string{"Them"}}
	usage := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: []byte{3, 2, 7, 0x80}}
	own := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: []byte{5, 0}}
	csr, _ := request(t, &x509.CertificateRequest{Subject: name, DNSNames: []string{"one.test"}, ExtraExtensions: []pkix.Extension{usage, own}})
	got := must(t, m, "PUT sign-verbatim", with("csr", csr, "ext_key_usage", "ServerAuth"))
	accepted(t, got)
	leaf := cert(t, got)
	if leaf.Subject.String() != "CN=any thing,O=Them" || leaf.KeyUsage != x509.KeyUsageDigitalSignature || !slices.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) ||
		!slices.Equal(leaf.DNSNames, []string{"one.test"}) || !slices.ContainsFunc(leaf.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(own.Id) }) {
		t.Errorf("signed %+v", leaf)
	}
	ca := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: must1(asn1.Marshal(struct{ CA bool }{true}))}
	csr, _ = request(t, &x509.CertificateRequest{Subject: name, ExtraExtensions: []pkix.Extension{ca}})
	refused(t, m, "PUT sign-verbatim", with("csr", csr), "use root/sign-intermediate")
	must(t, m, "PUT roles/short", with("max_ttl", "1h", "no_store", true))
	if got := cert(t, must(t, m, "PUT issuer/root/sign-verbatim/short", with("csr", first(request(t, named("x"))), "ttl", "5h"))); got.NotAfter.Sub(got.NotBefore).Minutes() > 61 {
		t.Errorf("it lives until %s", got.NotAfter)
	}
}

// RSA issuers sign as they are told.
func TestSignatures(t *testing.T) {
	m := mount(t)
	must(t, m, "PUT root/generate/internal", with("common_name", "Root", "signature_bits", 384, "not_after", "2100-01-01T00:00:00Z"))
	if got := cert(t, must(t, m, "GET cert/ca", "")).SignatureAlgorithm; got != x509.SHA384WithRSA {
		t.Errorf("the root is signed by %s", got)
	}
	must(t, m, "PUT roles/pss", with("key_type", "ec", "use_pss", true, "signature_bits", 512))
	got := must(t, m, "PUT issue/pss", with("common_name", "localhost"))
	accepted(t, got)
	if got := cert(t, got).SignatureAlgorithm; got != x509.SHA512WithRSAPSS {
		t.Errorf("signed by %s", got)
	}
	must(t, m, "PATCH issuer/default", with("revocation_signature_algorithm", "SHA256WithRSAPSS"))
	if got := revokedList(t, m, "default").SignatureAlgorithm; got != x509.SHA256WithRSAPSS {
		t.Errorf("the list is signed by %s", got)
	}
	refused(t, m, "PATCH issuer/default", with("revocation_signature_algorithm", "ECDSAWithSHA256"), "unsuitable signature algorithm")
	weak := requestBy(t, named("a"), must1(rsa.GenerateKey(rand.Reader, 1024)))
	refused(t, m, "PUT sign-verbatim", with("csr", weak), "RSA keys < 2048 bits")
}

// Certificates and keys come in by bundles in any order, once.
func TestImport(t *testing.T) {
	from := mount(t)
	root := must(t, from, "PUT root/generate/exported", with("common_name", "Root", "key_type", "ed25519"))
	m := mount(t)
	refused(t, m, "PUT issuers/import/cert", with("pem_bundle", field(root, "private_key")), "private keys found in the PEM bundle")
	got := must(t, m, "PUT issuers/import/cert", with("pem_bundle", root["certificate"]))
	id := field(map[string]any{"id": got["imported_issuers"].([]any)[0]}, "id")
	if got["mapping"].(map[string]any)[id] != "" {
		t.Errorf("imported %v", got)
	}
	must(t, m, "PUT config/issuers", with("default", id))
	must(t, m, "PUT roles/any", with("allow_any_name", true, "key_type", "ec", "ttl", "1h"))
	refused(t, m, "PUT issue/any", with("common_name", "one.test"), "its private key is not in this mount")
	got = must(t, m, "PUT config/ca", with("pem_bundle", field(root, "private_key")+"\n"+field(root, "certificate")))
	if fmt.Sprint(got["imported_issuers"], got["existing_issuers"]) != "[] ["+id+"]" || len(got["imported_keys"].([]any)) != 1 || got["mapping"].(map[string]any)[id] != got["imported_keys"].([]any)[0] {
		t.Errorf("imported %v", got)
	}
	accepted(t, must(t, m, "PUT issue/any", with("common_name", "one.test")))
	leaf := must(t, m, "PUT issue/any", with("common_name", "one.test"))
	refused(t, m, "PUT config/ca", with("pem_bundle", leaf["certificate"]), "is not a CA's")
	refused(t, m, "PUT config/ca", with("pem_bundle", "x"), "contained no data")
	refused(t, m, "DELETE key/default", "", "it is used by issuer "+id)
	must(t, m, "DELETE issuer/"+id, "")
	must(t, m, "DELETE key/default", "")
	if _, err := call(m, "LIST keys", ""); engine.KindOf(err) != engine.NotFound {
		t.Errorf("a key is left: %v", err)
	}
}

// Issuers are named, configured, rotated and chained.
func TestIssuers(t *testing.T) {
	m := withRoot(t)
	first := must(t, m, "GET issuer/default", "")
	if first["usage"] != usagesKnown || first["leaf_not_after_behavior"] != "err" || first["manual_chain"] != nil || first["issuer_name"] != "root" {
		t.Errorf("the issuer is %v", first)
	}
	must(t, m, "PUT root/rotate/internal", with("common_name", "Root 2", "key_type", "ec", "not_after", "2100-01-01T00:00:00Z"))
	refused(t, m, "PUT root/generate/internal", with("common_name", "Root 3", "issuer_name", "next"), "issuer name already in use")
	refused(t, m, "PUT root/generate/internal", with("common_name", "Root 3", "issuer_name", "default"), "reserved keyword")
	refused(t, m, "PUT root/generate/kms", with("common_name", "Root 3"), "managed keys")
	if got := must(t, m, "PUT root/replace", ""); got["default"] == first["issuer_id"] || got["default"] != must(t, m, "GET issuer/next", "")["issuer_id"] {
		t.Errorf("replaced by %v", got)
	}
	must(t, m, "PATCH issuer/root", with("usage", "read-only,crl-signing"))
	must(t, m, "PUT roles/old", with("allow_any_name", true, "key_type", "ec", "issuer_ref", "root"))
	refused(t, m, "PUT issue/old", with("common_name", "one.test"), "lacks the usage issuing-certificates")
	must(t, m, "PATCH issuer/root", with("usage", "issuing-certificates", "manual_chain", "root,next", "issuing_certificates", "http://a.test/{{issuer_id}}", "enable_aia_url_templating", true))
	got := must(t, m, "PUT issue/old", with("common_name", "one.test"))
	if leaf := cert(t, got); len(certs(t, chainText(got))) != 2 || leaf.IssuingCertificateURL[0] != "http://a.test/"+field(first, "issuer_id") {
		t.Errorf("issued with %v %v", leaf.IssuingCertificateURL, got["ca_chain"])
	}
	refused(t, m, "PATCH issuer/root", with("manual_chain", "next"), "expected the first item")
	refused(t, m, "PATCH issuer/root", with("usage", "everything"), "unknown usage")
	refused(t, m, "PATCH issuer/root", with("leaf_not_after_behavior", "maybe"), "leaf_not_after_behavior")
	refused(t, m, "PUT config/urls", with("issuing_certificates", "nonsense"), "invalid URL")
	refused(t, m, "PUT config/urls", with("delta_crl_distribution_points", "http://a.test"), "delta CRLs are not made")
	must(t, m, "PUT config/urls", with("crl_distribution_points", "{{cluster_path}}/crl", "enable_templating", true))
	must(t, m, "PUT roles/new", with("allow_any_name", true, "key_type", "ec"))
	refused(t, m, "PUT issue/new", with("common_name", "one.test"), "set path in config/cluster")
	must(t, m, "PUT config/cluster", with("path", "https://a.test/v1/pki"))
	if leaf := cert(t, must(t, m, "PUT issue/new", with("common_name", "one.test"))); leaf.CRLDistributionPoints[0] != "https://a.test/v1/pki/crl" {
		t.Errorf("issued with %v", leaf.CRLDistributionPoints)
	}
	if got := must(t, m, "LIST issuers", ""); len(got["keys"].([]any)) != 2 || got["key_info"].(map[string]any)[field(first, "issuer_id")].(map[string]any)["issuer_name"] != "root" {
		t.Errorf("issuers %v", got)
	}
	must(t, m, "DELETE root", "")
	if _, err := call(m, "LIST issuers", ""); engine.KindOf(err) != engine.NotFound {
		t.Errorf("left are %v", err)
	}
}

// A root that is signed by another is trusted by both.
func TestSelfIssued(t *testing.T) {
	m := withRoot(t)
	other := must(t, withRoot(t), "GET cert/ca", "")
	got := must(t, m, "PUT root/sign-self-issued", with("certificate", other["certificate"]))
	if c := cert(t, got); c.CheckSignatureFrom(certs(t, field(got, "issuing_ca"))[0]) != nil || !samePublic(c.PublicKey, cert(t, other).PublicKey) {
		t.Errorf("signed %v", c)
	}
	must(t, m, "PUT roles/any", with("allow_any_name", true, "key_type", "ec"))
	refused(t, m, "PUT root/sign-self-issued", with("certificate", must(t, m, "PUT issue/any", with("common_name", "a.test"))["certificate"]), "not a CA certificate")
}
