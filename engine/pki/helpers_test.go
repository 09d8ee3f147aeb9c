package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/engine"
	"strongroom/engine/enginetest"
	"strongroom/internal/storage"
)

// mount is a pki engine on a store of its own.
func mount(tb testing.TB) *enginetest.Mounted {
	return enginetest.New(tb, storage.NewMem(), "pki/", Factory, nil)
}

// withRoot is a mount with a root called root, whose key is of P-256.
func withRoot(tb testing.TB) *enginetest.Mounted {
	m := mount(tb)
	must(tb, m, "PUT root/generate/internal", with("common_name", "Root", "issuer_name", "root", "key_type", "ec", "not_after", "2100-01-01T00:00:00Z"))
	return m
}

// call is one request with a body of JSON.
func call(m *enginetest.Mounted, request, body string) (*engine.Response, error) {
	method, path, _ := strings.Cut(request, " ")
	op := map[string]engine.Operation{"GET": engine.Read, "PUT": engine.Update, "DELETE": engine.Delete, "LIST": engine.List, "PATCH": engine.Patch}[method]
	var in any
	if body != "" {
		in = json.RawMessage(body)
	}
	return m.Do(op, path, in)
}

// must is call that succeeds; it gives the data.
func must(tb testing.TB, m *enginetest.Mounted, request, body string) map[string]any {
	tb.Helper()
	resp, err := call(m, request, body)
	if err != nil {
		tb.Fatalf("%s %s: %v", request, body, err)
	}
	if resp == nil {
		return nil
	}
	return data(tb, resp)
}

func data(tb testing.TB, resp *engine.Response) map[string]any {
	tb.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(enginetest.JSON(tb, resp)), &out); err != nil {
		tb.Fatal(err)
	}
	return out
}

// refused is call that fails, by the caller's fault, with a text that holds want.
func refused(tb testing.TB, m *enginetest.Mounted, request, body, want string) {
	tb.Helper()
	resp, err := call(m, request, body)
	if err == nil || !strings.Contains(err.Error(), want) {
		tb.Errorf("%s %s: %v, %v; want an error that says %q", request, body, resp, err, want)
	} else if engine.KindOf(err) != engine.Invalid {
		tb.Errorf("%s %s: an error of kind %d", request, body, engine.KindOf(err))
	}
}

// with is a JSON object of names and values in turn.
func with(pairs ...any) string {
	out := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i].(string)] = pairs[i+1]
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// field is one field of data, as text.
func field(data map[string]any, name string) string { return fmt.Sprint(data[name]) }

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// certs are the certificates in a text of PEM.
func certs(tb testing.TB, text string) (out []*x509.Certificate) {
	tb.Helper()
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		tb.Fatalf("no certificate in %q", text)
	}
	return out
}

// cert is the certificate that data shows.
func cert(tb testing.TB, data map[string]any) *x509.Certificate {
	tb.Helper()
	return certs(tb, field(data, "certificate"))[0]
}

// chainText is the ca_chain of data, as PEM.
func chainText(data map[string]any) string {
	var out []string
	for _, s := range data["ca_chain"].([]any) {
		out = append(out, s.(string))
	}
	return strings.Join(out, "\n")
}

// accepted has Go and OpenSSL verify the certificate of data up to the last of its chain.
func accepted(tb testing.TB, data map[string]any) {
	tb.Helper()
	chain := certs(tb, chainText(data))
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(chain[len(chain)-1])
	for _, c := range chain[:len(chain)-1] {
		between.AddCert(c)
	}
	leaf := cert(tb, data)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		tb.Errorf("Go does not accept the certificate: %v", err)
	}
	dir := tb.TempDir()
	write := func(name string, all ...*x509.Certificate) string {
		var text []byte
		for _, c := range all {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			tb.Fatal(err)
		}
		return path
	}
	args := []string{"verify", "-x509_strict", "-CAfile", write("root.pem", chain[len(chain)-1])}
	if len(chain) > 1 {
		args = append(args, "-untrusted", write("between.pem", chain[:len(chain)-1]...))
	}
	openssl(tb, nil, append(args, write("leaf.pem", leaf))...)
}

// openssl runs OpenSSL, which these tests need, and returns what it prints.
func openssl(tb testing.TB, stdin []byte, args ...string) string {
	tb.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		tb.Fatal("this test needs openssl: install the package of that name")
	}
	cmd := exec.CommandContext(tb.Context(), path, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		tb.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// request is a signing request as PEM, and the key of it.
func request(tb testing.TB, t *x509.CertificateRequest) (string, crypto.Signer) {
	tb.Helper()
	k := must1(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	return requestBy(tb, t, k), k
}

// requestBy is a signing request of a key as PEM.
func requestBy(tb testing.TB, t *x509.CertificateRequest, k crypto.Signer) string {
	tb.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, t, k)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// named is a request for a common name and DNS names.
func named(common string, dns ...string) *x509.CertificateRequest {
	return &x509.CertificateRequest{Subject: pkix.Name{CommonName: common}, DNSNames: dns}
}

// opensslFails is openssl where it is to fail.
func opensslFails(tb testing.TB, args ...string) string {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), "openssl", args...).CombinedOutput()
	if err == nil {
		tb.Errorf("openssl %s succeeded", strings.Join(args, " "))
	}
	return string(out)
}

// viewOf is what the engine sees of its storage.
func viewOf(m *enginetest.Mounted) storage.View { return storage.Begin(m.Store).View("mount/test/") }
