package compat

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/hashicorp/vault/api"
)

// writeClient writes a client's certificate, signed by itself, and its key to dir.
func writeClient(t *testing.T, dir, name string) (certificate string) {
	t.Helper()
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	keyDER := must[[]byte](t)(x509.MarshalPKCS8PrivateKey(key))
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for file, b := range map[string][]byte{name + ".pem": text, name + "-key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return string(text)
}

// startTLS runs an unsealed server with TLS, whose CA is dir/cert.pem.
func startTLS(t *testing.T, dir string) (*server, *api.Client) {
	t.Helper()
	addr := freeAddr(t)
	writePair(t, dir, 1)
	config := filepath.Join(dir, "strongroom.hcl")
	text := fmt.Sprintf("disable_mlock = true\nstorage \"inmem\" {}\nlistener \"tcp\" {\n  address = %q\n  tls_cert_file = %q\n  tls_key_file = %q\n}\n",
		addr, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "https://"+addr, "-config="+config)
	eventually(t, 20*time.Second, func() error {
		_, err := served(addr)
		return err
	})
	root := tlsClient(t, s.addr, dir, "")
	made := must[*api.InitResponse](t)(root.Sys().Init(&api.InitRequest{SecretShares: 1, SecretThreshold: 1}))
	if _, err := root.Sys().Unseal(made.KeysB64[0]); err != nil {
		t.Fatal(err)
	}
	root.SetToken(made.RootToken)
	return s, root
}

// tlsClient is the Go client with the certificate of name, if there is one.
func tlsClient(t *testing.T, addr, dir, name string) *api.Client {
	t.Helper()
	config := api.DefaultConfig()
	config.Address, config.MaxRetries = addr, 0
	files := &api.TLSConfig{CACert: filepath.Join(dir, "cert.pem")}
	if name != "" {
		files.ClientCert, files.ClientKey = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem")
	}
	if err := config.ConfigureTLS(files); err != nil {
		t.Fatal(err)
	}
	return must[*api.Client](t)(api.NewClient(config))
}

// Logins with TLS client certificates, by the library and by the command line;
// the token is renewed for the certificate alone.
func TestCertificateLogin(t *testing.T) {
	dir := t.TempDir()
	s, root := startTLS(t, dir)
	if err := root.Sys().EnableAuthWithOptions("cert", &api.EnableAuthOptions{Type: "cert"}); err != nil {
		t.Fatal(err)
	}
	known := writeClient(t, dir, "known")
	writeClient(t, dir, "stranger")
	if _, err := root.Logical().Write("auth/cert/certs/web", map[string]any{"certificate": known, "token_policies": "web", "token_ttl": "10m", "display_name": "shown"}); err != nil {
		t.Fatal(err)
	}
	client := tlsClient(t, s.addr, dir, "known")
	a := must[*api.Secret](t)(client.Logical().Write("auth/cert/login", map[string]any{"name": "web"})).Auth
	if a == nil || a.LeaseDuration != 600 || a.Metadata["cert_name"] != "web" || a.Metadata["common_name"] != "known" {
		t.Fatalf("login: %+v", a)
	}
	client.SetToken(a.ClientToken)
	if self := must[*api.Secret](t)(client.Auth().Token().LookupSelf()); self.Data["display_name"] != "cert-shown" {
		t.Errorf("lookup-self: %v", self.Data)
	}
	if renewed := must[*api.Secret](t)(client.Auth().Token().RenewSelf(0)); renewed.Auth.LeaseDuration != 600 {
		t.Errorf("renew-self: %+v", renewed.Auth)
	}
	for _, name := range []string{"", "stranger"} {
		other := tlsClient(t, s.addr, dir, name)
		other.SetToken(a.ClientToken)
		_, err := other.Auth().Token().RenewSelf(0)
		refused(t, err, 400, "client identity during renewal not matching client identity used during login")
	}
	_, err := tlsClient(t, s.addr, dir, "").Logical().Write("auth/cert/login", nil)
	refused(t, err, 400, "client certificate must be supplied")
	_, err = tlsClient(t, s.addr, dir, "stranger").Logical().Write("auth/cert/login", nil)
	refused(t, err, 400, "invalid certificate or no client certificate supplied")

	out, complaint, code := s.shell(t, fmt.Sprintf("vault login -method=cert -token-only -ca-cert=%[1]s/cert.pem -client-cert=%[1]s/known.pem -client-key=%[1]s/known-key.pem name=web", dir))
	if code != 0 || !strings.HasPrefix(out, "hvs.") {
		t.Errorf("vault login: %q, %q, %d", out, complaint, code)
	}
}

// Logins with signed tokens, whose keys are published at a URL.
func TestJWTLogin(t *testing.T) {
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "1", Use: "sig"}}})
	}))
	t.Cleanup(keys.Close)
	signer := must[jose.Signer](t)(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, nil))
	sign := func(claims map[string]any) string {
		t.Helper()
		token := must[*jose.JSONWebSignature](t)(signer.Sign(must[[]byte](t)(json.Marshal(claims))))
		return must[string](t)(token.CompactSerialize())
	}

	s := startDev(t)
	root := s.client(t, "root")
	for _, kind := range []string{"jwt", "oidc"} {
		if err := root.Sys().EnableAuthWithOptions(kind, &api.EnableAuthOptions{Type: kind}); err != nil {
			t.Fatal(err)
		}
	}
	for path, data := range map[string]map[string]any{
		"auth/jwt/config":   {"jwks_url": keys.URL, "bound_issuer": "https://ci.example.com"},
		"auth/jwt/role/dev": {"role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault", "bound_claims": map[string]any{"project": "a*"}, "bound_claims_type": "glob", "token_ttl": "10m", "claim_mappings": map[string]any{"project": "project"}},
	} {
		if _, err := root.Logical().Write(path, data); err != nil {
			t.Fatal(err)
		}
	}
	claims := map[string]any{"iss": "https://ci.example.com", "sub": "job", "aud": "vault", "project": "app", "exp": time.Now().Add(time.Minute).Unix()}
	client := s.client(t, "")
	a := must[*api.Secret](t)(client.Logical().Write("auth/jwt/login", map[string]any{"role": "dev", "jwt": sign(claims)})).Auth
	if a == nil || a.LeaseDuration != 600 || a.Metadata["role"] != "dev" || a.Metadata["project"] != "app" {
		t.Fatalf("login: %+v", a)
	}
	client.SetToken(a.ClientToken)
	if self := must[*api.Secret](t)(client.Auth().Token().LookupSelf()); self.Data["display_name"] != "jwt-job" {
		t.Errorf("lookup-self: %v", self.Data)
	}
	claims["project"] = "other"
	_, err := client.Logical().Write("auth/jwt/login", map[string]any{"role": "dev", "jwt": sign(claims)})
	refused(t, err, 400, `claim "project" does not match any associated bound claim values`)
	_, err = root.Logical().Write("auth/oidc/config", map[string]any{"oidc_discovery_url": keys.URL})
	refused(t, err, 400, "error checking oidc discovery URL")

	claims["project"] = "app"
	out, complaint, code := s.shell(t, "vault login -method=jwt -token-only role=dev jwt="+sign(claims))
	if code != 0 || !strings.HasPrefix(out, "hvs.") {
		t.Errorf("vault login: %q, %q, %d", out, complaint, code)
	}
}
