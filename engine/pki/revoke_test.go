package pki

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
	"strongroom/engine/enginetest"
)

// revokedList is the list of revoked certificates of an issuer, checked.
func revokedList(tb testing.TB, m *enginetest.Mounted, issuer string) *x509.RevocationList {
	tb.Helper()
	resp, err := call(m, "GET issuer/"+issuer+"/crl/der", "")
	if err != nil || resp == nil || resp.Raw == nil || resp.Raw.ContentType != "application/pkix-crl" {
		tb.Fatalf("%+v, %v", resp, err)
	}
	list, err := x509.ParseRevocationList(resp.Raw.Body)
	if err != nil {
		tb.Fatal(err)
	}
	ca := cert(tb, must(tb, m, "GET issuer/"+issuer+"/json", ""))
	if err := list.CheckSignatureFrom(ca); err != nil {
		tb.Error(err)
	}
	return list
}

func TestRevoke(t *testing.T) {
	m := withRoot(t)
	must(t, m, "PUT roles/web", with("allow_any_name", true, "key_type", "ec"))
	one := must(t, m, "PUT issue/web", with("common_name", "one.test"))
	two := must(t, m, "PUT issue/web", with("common_name", "two.test"))
	serial := field(one, "serial_number")
	before := revokedList(t, m, "default")
	if len(before.RevokedCertificateEntries) != 0 || before.Number.Int64() != 1 || before.NextUpdate.Sub(before.ThisUpdate) != 72*time.Hour {
		t.Errorf("the first list is %+v", before)
	}
	if got := must(t, m, "GET cert/"+serial, ""); field(got, "certificate") != field(one, "certificate") || got["revocation_time"] != 0.0 {
		t.Errorf("the certificate is %v", got)
	}
	gone := must(t, m, "PUT revoke", with("serial_number", strings.ReplaceAll(serial, ":", "-")))
	if gone["state"] != "revoked" || gone["revocation_time"] == 0.0 {
		t.Errorf("revoked: %v", gone)
	}
	if again := must(t, m, "PUT revoke", with("serial_number", serial)); again["revocation_time"] != gone["revocation_time"] {
		t.Errorf("revoked again: %v", again)
	}
	after := revokedList(t, m, "root")
	if len(after.RevokedCertificateEntries) != 1 || after.RevokedCertificateEntries[0].SerialNumber.Cmp(cert(t, one).SerialNumber) != 0 || after.Number.Int64() != 2 {
		t.Errorf("the second list is %+v", after)
	}
	if got := must(t, m, "GET cert/"+serial, ""); got["revocation_time"] != gone["revocation_time"] || got["issuer_id"] != must(t, m, "GET issuer/root", "")["issuer_id"] {
		t.Errorf("the revoked certificate is %v", got)
	}
	must(t, m, "PUT revoke-with-key", with("certificate", two["certificate"], "private_key", two["private_key"]))
	refused(t, m, "PUT revoke-with-key", with("certificate", two["certificate"], "private_key", one["private_key"]), "provided key does not match certificate")
	refused(t, m, "PUT revoke", "{}", "must be provided")
	refused(t, m, "PUT revoke", with("serial_number", "01:02"), "certificate with serial 01:02 not found")
	refused(t, m, "PUT revoke", with("certificate", must(t, withRoot(t), "GET cert/ca", "")["certificate"]), "not issued by an issuer of this mount")
	refused(t, m, "PUT revoke", with("certificate", must(t, m, "GET cert/ca", "")["certificate"]), "revoke it at issuer/")
	if got := must(t, m, "LIST certs", ""); len(got["keys"].([]any)) != 3 {
		t.Errorf("certificates %v", got)
	}
	if got := must(t, m, "LIST certs/revoked", ""); len(got["keys"].([]any)) != 2 {
		t.Errorf("revoked certificates %v", got)
	}
	opensslRejects(t, m, one)
}

// opensslRejects has OpenSSL read the list of the default issuer, and not accept the
// certificate of data because of it.
func opensslRejects(t *testing.T, m *enginetest.Mounted, data map[string]any) {
	t.Helper()
	resp, err := call(m, "GET crl/pem", "")
	if err != nil {
		t.Fatal(err)
	}
	if out := openssl(t, resp.Raw.Body, "crl", "-noout", "-text", "-crlnumber"); !strings.Contains(out, "CA:TRUE") && !strings.Contains(out, "Revoked Certificates") {
		t.Errorf("OpenSSL reads\n%s", out)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"crl": string(resp.Raw.Body), "ca": chainText(data), "leaf": field(data, "certificate")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := openssl(t, nil, "verify", "-CAfile", dir+"/ca", dir+"/leaf")
	if !strings.Contains(out, "OK") {
		t.Errorf("without the list: %s", out)
	}
	out = opensslFails(t, "verify", "-crl_check", "-CRLfile", dir+"/crl", "-CAfile", dir+"/ca", dir+"/leaf")
	if !strings.Contains(out, "certificate revoked") {
		t.Errorf("with the list: %s", out)
	}
}

// With no_store there is nothing to list, but who shows the certificate can have it revoked.
func TestRevokeUnstored(t *testing.T) {
	m := withRoot(t)
	must(t, m, "PUT roles/web", with("allow_any_name", true, "key_type", "ec", "no_store", true))
	got := must(t, m, "PUT issue/web", with("common_name", "one.test"))
	refused(t, m, "PUT revoke", with("serial_number", got["serial_number"]), "not found")
	must(t, m, "PUT revoke", with("certificate", got["certificate"]))
	if n := len(revokedList(t, m, "default").RevokedCertificateEntries); n != 1 {
		t.Errorf("%d in the list", n)
	}
}

// A lease is the life of a certificate; its end revokes it.
func TestLease(t *testing.T) {
	m := withRoot(t)
	must(t, m, "PUT roles/web", with("allow_any_name", true, "key_type", "ec", "generate_lease", true, "ttl", "1h"))
	resp, err := call(m, "PUT issue/web", with("common_name", "one.test"))
	if err != nil || resp.Lease == nil || resp.Lease.TTL < time.Hour-2*time.Second || resp.Lease.Renewable {
		t.Fatalf("%+v, %v", resp, err)
	}
	for range 2 {
		if err := m.Revoke(resp.Lease.Revoke); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(revokedList(t, m, "default").RevokedCertificateEntries); n != 1 {
		t.Errorf("%d in the list", n)
	}
	if err := m.Revoke([]byte("00")); err != nil {
		t.Errorf("what is not there: %v", err)
	}
}

// A lease that ends with its certificate, as nearly all do, leaves nothing in the list.
func TestLeaseToTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := withRoot(t)
		must(t, m, "PUT roles/web", with("allow_any_name", true, "key_type", "ec", "generate_lease", true, "ttl", "1h"))
		time.Sleep(700 * time.Millisecond)
		now := time.Now().Unix()
		resp, err := call(m, "PUT issue/web", with("common_name", "one.test"))
		if err != nil || resp.Lease.TTL != time.Hour {
			t.Fatalf("%+v, %v", resp, err)
		}
		time.Sleep(time.Until(time.Unix(now, 0).Add(resp.Lease.TTL))) // when the gateway has it end
		if err := m.Revoke(resp.Lease.Revoke); err != nil {
			t.Fatal(err)
		}
		if n := len(revokedList(t, m, "default").RevokedCertificateEntries); n != 0 {
			t.Errorf("%d in the list", n)
		}
	})
}

// Lists renew themselves; with auto_rebuild a revocation waits for the next; disabled they are empty.
func TestLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := withRoot(t)
		must(t, m, "PUT roles/web", with("allow_any_name", true, "key_type", "ec", "ttl", "700h"))
		issue := func() string {
			return field(must(t, m, "PUT issue/web", with("common_name", "one.test")), "serial_number")
		}
		count := func() int { return len(revokedList(t, m, "default").RevokedCertificateEntries) }
		m.Expire(time.Now())
		must(t, m, "PUT config/crl", with("auto_rebuild", true, "expiry", "24h", "auto_rebuild_grace_period", "4h"))
		must(t, m, "PUT revoke", with("serial_number", issue()))
		if count() != 0 {
			t.Error("a revocation did not wait")
		}
		time.Sleep(19 * time.Hour)
		m.Expire(time.Now())
		if count() != 0 {
			t.Error("the list was renewed before its time")
		}
		time.Sleep(time.Hour + time.Second)
		m.Expire(time.Now())
		if list := revokedList(t, m, "default"); len(list.RevokedCertificateEntries) != 1 || time.Until(list.NextUpdate) != 24*time.Hour {
			t.Errorf("the renewed list is %+v", list)
		}
		must(t, m, "PUT revoke", with("serial_number", issue()))
		must(t, m, "GET crl/rotate", "")
		if count() != 2 {
			t.Errorf("%d after crl/rotate", count())
		}
		must(t, m, "PUT config/crl", with("disable", true))
		if count() != 0 {
			t.Error("a disabled list is not empty")
		}
		must(t, m, "PUT config/crl", with("disable", false, "max_crl_entries", 1))
		if _, err := call(m, "GET crl", ""); err == nil || !strings.Contains(err.Error(), "raise max_crl_entries") {
			t.Errorf("too many: %v", err)
		}
		must(t, m, "PUT config/crl", with("max_crl_entries", -1, "auto_rebuild", false))
		must(t, m, "PUT revoke", with("serial_number", issue()))
		if count() != 3 {
			t.Errorf("%d after a revocation", count())
		}
		refused(t, m, "PUT config/crl", with("enable_delta", true), "delta CRLs are not made")
		refused(t, m, "PUT config/crl", with("unified_crl", true), "cannot be enabled")
		refused(t, m, "PUT config/crl", with("auto_rebuild", true, "auto_rebuild_grace_period", "24h"), "must be strictly shorter")
	})
}

// Issuers of one subject and key have one list, also after they were deleted and came back.
func TestOneListAnAuthority(t *testing.T) {
	m := withRoot(t)
	must(t, m, "PUT roles/web", with("allow_any_name", true, "key_type", "ec"))
	must(t, m, "PUT root/generate/existing", with("common_name", "Root", "issuer_name", "again", "key_ref", "default", "not_after", "2101-01-01T00:00:00Z"))
	must(t, m, "PUT revoke", with("serial_number", must(t, m, "PUT issue/web", with("common_name", "one.test"))["serial_number"]))
	for _, issuer := range []string{"root", "again"} {
		if n := len(revokedList(t, m, issuer).RevokedCertificateEntries); n != 1 {
			t.Errorf("%d in the list of %s", n, issuer)
		}
	}
	ca := must(t, m, "GET issuer/root/json", "")["certificate"]
	must(t, m, "DELETE issuer/root", "")
	must(t, m, "DELETE issuer/again", "")
	must(t, m, "PUT issuers/import/cert", with("pem_bundle", ca))
	if n := len(revokedList(t, m, "default").RevokedCertificateEntries); n != 1 {
		t.Errorf("%d in the list of what came back", n)
	}
}

// A revoked issuer issues no more, and stands in the list of who signed it.
func TestRevokeIssuer(t *testing.T) {
	m := withRoot(t)
	csr := must(t, m, "PUT intermediate/generate/internal", with("common_name", "Between", "key_type", "ec"))["csr"]
	signed := must(t, m, "PUT root/sign-intermediate", with("csr", csr, "common_name", "Between"))
	got := must(t, m, "PUT intermediate/set-signed", with("certificate", signed["certificate"]))
	id := got["imported_issuers"].([]any)[0].(string)
	must(t, m, "PUT roles/web", with("allow_any_name", true, "key_type", "ec", "issuer_ref", id, "ttl", "1h"))
	accepted(t, must(t, m, "PUT issue/web", with("common_name", "one.test")))
	if got := must(t, m, "PUT issuer/"+id+"/revoke", ""); got["revoked"] != true || got["revocation_time"] == nil {
		t.Errorf("revoked: %v", got)
	}
	refused(t, m, "PUT issue/web", with("common_name", "one.test"), "it has been revoked")
	if n := len(revokedList(t, m, "root").RevokedCertificateEntries); n != 1 {
		t.Errorf("%d in the list of the root", n)
	}
}

// What is shown to anyone, and as what.
func TestFiles(t *testing.T) {
	m := withRoot(t)
	must(t, m, "PUT roles/web", with("allow_any_name", true, "key_type", "ec"))
	serial := field(must(t, m, "PUT issue/web", with("common_name", "one.test")), "serial_number")
	for path, want := range map[string]string{"ca": "application/pkix-cert", "ca/pem": "application/pem-certificate-chain", "ca_chain": "application/pem-certificate-chain",
		"crl": "application/pkix-crl", "crl/pem": "application/x-pem-file", "issuer/root/der": "application/pkix-cert", "issuer/root/pem": "application/pem-certificate-chain",
		"issuer/root/crl/der": "application/pkix-crl", "issuer/root/crl/pem": "application/x-pem-file", "cert/" + serial + "/raw": "application/pkix-cert",
		"cert/" + serial + "/raw/pem": "application/pem-certificate-chain", "cert/ca/raw": "application/pkix-cert", "cert/crl/raw/pem": "application/x-pem-file"} {
		resp, err := call(m, "GET "+path, "")
		if err != nil || resp == nil || resp.Raw == nil || resp.Raw.ContentType != want || resp.Raw.Status != 200 || len(resp.Raw.Body) == 0 {
			t.Errorf("%s: %+v, %v", path, resp, err)
		}
	}
	for path, name := range map[string]string{"cert/ca": "certificate", "cert/ca_chain": "ca_chain", "cert/crl": "certificate", "issuer/root/json": "certificate", "issuer/root/crl": "crl"} {
		if block, _ := pem.Decode([]byte(field(must(t, m, "GET "+path, ""), name))); block == nil {
			t.Errorf("%s has no PEM in %s", path, name)
		}
	}
	if _, err := call(m, "GET cert/01:02", ""); engine.KindOf(err) != engine.NotFound {
		t.Errorf("what is not there: %v", err)
	}
	for _, path := range []string{"ca", "ca_chain", "crl/pem"} {
		if resp, err := call(mount(t), "GET "+path, ""); resp != nil || err != nil {
			t.Errorf("%s of no issuer: %v, %v", path, resp, err)
		}
	}
	for _, path := range []string{"acme/directory", "ocsp/abc", "est/cacerts", "scep/x", "cel/roles"} {
		if _, err := call(m, "GET "+path, ""); engine.KindOf(err) != engine.Unsupported || !strings.Contains(fmt.Sprint(err), "is not supported by this server") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Clean-ups go on step by step from what is stored, and remove what has expired, no more.
func TestTidy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := withRoot(t)
		must(t, m, "PUT roles/web", with("allow_any_name", true, "key_type", "ec", "ttl", "1h"))
		var serials []string
		for range 2*tidyBatch + 10 {
			serials = append(serials, field(must(t, m, "PUT issue/web", with("common_name", "one.test")), "serial_number"))
		}
		long := field(must(t, m, "PUT issue/web", with("common_name", "one.test", "ttl", "700h")), "serial_number")
		for _, s := range []string{serials[0], serials[1], long} {
			must(t, m, "PUT revoke", with("serial_number", s))
		}
		time.Sleep(3 * time.Hour)
		run := func() (steps int) {
			for {
				time.Sleep(time.Second)
				if n := m.Expire(time.Now()); n == 0 {
					return steps
				}
				steps++
			}
		}
		must(t, m, "PUT tidy", with("tidy_cert_store", true, "tidy_revoked_certs", true)) // within the safety buffer
		run()
		if got := must(t, m, "GET tidy-status", ""); got["state"] != "Finished" || got["cert_store_deleted_count"] != 0.0 {
			t.Errorf("within the safety buffer: %v", got)
		}
		resp, err := call(m, "PUT tidy", with("tidy_cert_store", true, "tidy_revoked_certs", true, "safety_buffer", "1h"))
		if err != nil || !resp.Accepted {
			t.Fatalf("%+v, %v", resp, err)
		}
		if got := must(t, m, "GET tidy-status", ""); got["state"] != "Running" || !strings.Contains(field(got, "message"), "Tidying certificate store") {
			t.Errorf("begun: %v", got)
		}
		if steps := run(); steps < 3 {
			t.Errorf("%d steps", steps)
		}
		if got := must(t, m, "GET tidy-status", ""); got["state"] != "Finished" || got["cert_store_deleted_count"] != float64(len(serials)) || got["revoked_cert_deleted_count"] != 2.0 || got["time_finished"] == nil {
			t.Errorf("finished: %v", got)
		}
		if got := must(t, m, "LIST certs", ""); len(got["keys"].([]any)) != 2 { // and the root's
			t.Errorf("left are %v", got)
		}
		if list := revokedList(t, m, "default"); len(list.RevokedCertificateEntries) != 1 || serialText(list.RevokedCertificateEntries[0].SerialNumber) != long {
			t.Errorf("the list is %+v", list)
		}
		must(t, m, "PUT tidy", with("tidy_cert_store", true))
		if got := must(t, m, "PUT tidy-cancel", ""); got["state"] != "Cancelled" {
			t.Errorf("cancelled: %v", got)
		}
		refused(t, m, "PUT config/auto-tidy", with("enabled", true), "no tidy operations were requested")
		must(t, m, "PUT config/auto-tidy", with("enabled", true, "tidy_cert_store", true, "interval_duration", "1h", "safety_buffer", "1s"))
		must(t, m, "PUT issue/web", with("common_name", "one.test", "ttl", "10m"))
		time.Sleep(time.Hour)
		run()
		if got := must(t, m, "GET tidy-status", ""); got["cert_store_deleted_count"] != 1.0 || got["last_auto_tidy_finished"] == nil {
			t.Errorf("by itself: %v", got)
		}
		if m.Due() != 2 { // the list and the next clean-up
			t.Errorf("%d things are due", m.Due())
		}
	})
}

// However a key gets into a log line, it does not get out; nor does an error of an import quote it.
func TestNothingPrints(t *testing.T) {
	m := mount(t)
	got := must(t, m, "PUT keys/generate/exported", with("key_type", "ec"))
	block, _ := pem.Decode([]byte(field(got, "private_key")))
	k := must1(m.Engine.(*backend).key(t.Context(), viewOf(m), "default"))
	hex := fmt.Sprintf("%x", block.Bytes[7:39])
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if s := fmt.Sprintf(verb, k) + fmt.Sprintf(verb, []any{k}); strings.Contains(strings.ToLower(s), hex) || !strings.Contains(s, "[key ") {
			t.Errorf("%s prints %s", verb, s)
		}
	}
	bad := strings.Replace(field(got, "private_key"), "EC PRIVATE", "RSA PRIVATE", 2)
	block.Bytes = block.Bytes[:60]
	for _, text := range []string{bad[:len(bad)-40], string(pem.EncodeToMemory(block))} {
		_, err := call(m, "PUT issuers/import/bundle", with("pem_bundle", text))
		if err == nil || strings.Contains(err.Error(), field(got, "private_key")[40:60]) {
			t.Errorf("the error is %v", err)
		}
	}
	if b, err := json.Marshal(k); err == nil && strings.Contains(string(b), hex) {
		t.Errorf("encoded as %s", b)
	}
}
