package compat

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"

	"strongroom/test/cluster"
)

// parseCert reads the certificate of an answer.
func parseCert(t *testing.T, text any) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(fmt.Sprint(text)))
	if block == nil {
		t.Fatalf("%v is no PEM", text)
	}
	return must[*x509.Certificate](t)(x509.ParseCertificate(block.Bytes))
}

// A day of a certificate by the Go client: an authority, a role, a certificate that is
// leased, revoked by the end of its lease, and found in the list by anyone.
func TestGoClientPKI(t *testing.T) {
	s := startDev(t)
	client := s.client(t, "root")
	if err := client.Sys().Mount("pki", &api.MountInput{Type: "pki", Config: api.MountConfigInput{MaxLeaseTTL: "87600h"}}); err != nil {
		t.Fatal(err)
	}
	write := func(path string, data map[string]any) *api.Secret {
		t.Helper()
		return must[*api.Secret](t)(client.Logical().Write(path, data))
	}
	root := write("pki/root/generate/internal", map[string]any{"common_name": "Root", "ttl": "87600h", "key_type": "ec"})
	write("pki/roles/web", map[string]any{"allowed_domains": "example.com", "allow_subdomains": true, "key_type": "ec", "generate_lease": true, "ttl": "1h"})
	got := write("pki/issue/web", map[string]any{"common_name": "a.example.com"})
	leaf := parseCert(t, got.Data["certificate"])
	if err := leaf.CheckSignatureFrom(parseCert(t, root.Data["certificate"])); err != nil {
		t.Error(err)
	}
	if got.LeaseID == "" || got.Renewable || got.LeaseDuration < 3590 || got.LeaseDuration > 3600 || got.Data["expiration"] != json.Number(fmt.Sprint(leaf.NotAfter.Unix())) {
		t.Errorf("issued %+v", got)
	}
	_, err := client.Logical().Write("pki/issue/web", map[string]any{"common_name": "a.example.org"})
	refused(t, err, 400, "common name a.example.org not allowed by this role")
	_, err = client.Logical().Write("pki/issue/none", map[string]any{"common_name": "a.example.com"})
	refused(t, err, 400, "unknown role: none")
	if list := must[*api.Secret](t)(client.Logical().List("pki/roles")); fmt.Sprint(list.Data["keys"]) != "[web]" {
		t.Errorf("roles %v", list.Data)
	}
	if missing, err := client.Logical().Read("pki/cert/01:02"); missing != nil || err != nil {
		t.Errorf("what is not there: %v, %v", missing, err)
	}
	patched := must[*api.Secret](t)(client.Logical().JSONMergePatch(t.Context(), "pki/roles/web", map[string]any{"max_ttl": "2h"}))
	if patched.Data["max_ttl"] != json.Number("7200") || patched.Data["ttl"] != json.Number("3600") {
		t.Errorf("patched %v", patched.Data)
	}
	if err := client.Sys().RevokeWithOptions(&api.RevokeOptions{LeaseID: got.LeaseID, Sync: true}); err != nil {
		t.Fatal(err)
	}
	resp := must[*http.Response](t)(http.Get(s.addr + "/v1/pki/crl")) // without a token
	defer resp.Body.Close()
	list := must[*x509.RevocationList](t)(x509.ParseRevocationList(must[[]byte](t)(io.ReadAll(resp.Body))))
	if resp.Header.Get("Content-Type") != "application/pkix-crl" || len(list.RevokedCertificateEntries) != 1 || list.RevokedCertificateEntries[0].SerialNumber.Cmp(leaf.SerialNumber) != 0 {
		t.Errorf("%v, a list of %v", resp.Header, list.RevokedCertificateEntries)
	}
}

// All nodes issue, and show the same list.
func TestPKIOnStandby(t *testing.T) {
	c := cluster.NewReady(t, 3)
	active := must[*api.Client](t)(must[*cluster.Node](t)(c.Leader(t.Context())).Client(c.Keys.Root))
	if err := active.Sys().Mount("pki", &api.MountInput{Type: "pki"}); err != nil {
		t.Fatal(err)
	}
	must[*api.Secret](t)(active.Logical().Write("pki/root/generate/internal", map[string]any{"common_name": "Root", "key_type": "ed25519", "not_after": "2100-01-01T00:00:00Z"}))
	must[*api.Secret](t)(active.Logical().Write("pki/roles/web", map[string]any{"allow_any_name": true, "key_type": "ec"}))
	for i, n := range c.Nodes {
		client := must[*api.Client](t)(n.Client(c.Keys.Root))
		got := must[*api.Secret](t)(client.Logical().Write("pki/issue/web", map[string]any{"common_name": "localhost"}))
		must[*api.Secret](t)(client.Logical().Write("pki/revoke", map[string]any{"serial_number": got.Data["serial_number"]}))
		seen := map[any]bool{}
		for _, other := range c.Nodes {
			shown := must[*api.Secret](t)(must[*api.Client](t)(other.Client(c.Keys.Root)).Logical().Read("pki/issuer/default/crl"))
			seen[shown.Data["crl"]] = true
		}
		if len(seen) != 1 {
			t.Errorf("after %d revocations there are %d lists", i+1, len(seen))
		}
	}
}

const pkiGuide = "../../docs/pki.md"

// TestPKIGuide types the commands of docs/pki.md, one block after the other, and wants
// each to print what stands below it; … stands for lines that differ from run to run.
func TestPKIGuide(t *testing.T) {
	page := string(must[[]byte](t)(os.ReadFile(pkiGuide)))
	blocks := regexp.MustCompile("(?ms)^```shell\n(.*?)^```\n(?:```text\n(.*?)^```\n)?").FindAllStringSubmatch(page, -1)
	if len(blocks) < 8 {
		t.Fatalf("%s has only %d blocks to type", pkiGuide, len(blocks))
	}
	s := startDev(t)
	if err := os.WriteFile(filepath.Join(s.home, ".vault-token"), []byte("root"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		out, stderr, code := s.shell(t, "set -e\nexec 2>&1\n"+b[1])
		if code != 0 || stderr != "" {
			t.Fatalf("code %d\n%s\n%s\n%s", code, b[1], out, stderr)
		}
		want := regexp.QuoteMeta(strings.TrimSpace(b[2]))
		if want = strings.ReplaceAll(want, "…\n", `(?s:.*)`); b[2] != "" && !regexp.MustCompile("^"+want+"$").MatchString(strings.TrimSpace(out)) {
			t.Errorf("%s\nprints\n%s\nwant\n%s", b[1], out, b[2])
		}
	}
}
