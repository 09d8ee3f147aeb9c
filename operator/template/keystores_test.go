package template_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"

	"strongroom/operator/template"
)

func pair(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plan := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "app"}, NotBefore: time.Unix(1, 0), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, plan, plan, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded}))
}

// Other programs open the keystores; and the same source makes the same bytes, or the Secret would change at each look.
func TestKeystores(t *testing.T) {
	certificate, key := pair(t)
	source := map[string]any{"crt": certificate + certificate, "key": key, "pw": "changeit"}
	templates := map[string]string{
		"p12": "{{ pkcs12 .pw .crt .key }}", "trust": "{{ pkcs12Trust .pw .crt }}", "jks": "{{ jks .pw .crt .key }}", "cas": "{{ jksTrust .pw .crt }}",
		"leaf": "{{ pemLeaf .crt }}", "chain": "{{ pemChain .crt }}",
	}
	made, err := template.Render(templates, source)
	if err != nil {
		t.Fatal(err)
	}
	again, err := template.Render(templates, source)
	if err != nil {
		t.Fatal(err)
	}
	for name := range templates {
		if !bytes.Equal(made[name], again[name]) {
			t.Errorf("%s differs from one rendering to the next", name)
		}
	}
	private, leaf, chain, err := pkcs12.DecodeChain(made["p12"], "changeit")
	if err != nil || private == nil || leaf.Subject.CommonName != "app" || len(chain) != 1 {
		t.Errorf("p12: %v, %d in the chain", err, len(chain))
	}
	if trusted, err := pkcs12.DecodeTrustStore(made["trust"], "changeit"); err != nil || len(trusted) != 2 {
		t.Errorf("trust: %d, %v", len(trusted), err)
	}
	store := keystore.New()
	if err := store.Load(bytes.NewReader(made["jks"]), []byte("changeit")); err != nil {
		t.Fatal(err)
	}
	if entry, err := store.GetPrivateKeyEntry("certificate", []byte("changeit")); err != nil || len(entry.CertificateChain) != 2 {
		t.Errorf("jks: %v", err)
	}
	store = keystore.New()
	if err := store.Load(bytes.NewReader(made["cas"]), []byte("changeit")); err != nil || len(store.Aliases()) != 2 {
		t.Errorf("cas: %v, %v", err, store.Aliases())
	}
	if string(made["leaf"]) != certificate || string(made["chain"]) != certificate {
		t.Error("leaf and chain are not the first certificate and the rest")
	}
	for _, wrong := range []string{"{{ pkcs12 .pw .key .crt }}", "{{ jks \"short\" .crt .key }}", "{{ pemCRLs .crt }}", "{{ pkcs12 .pw .crt .crt }}"} {
		if _, err := template.Render(map[string]string{"k": wrong}, source); err == nil {
			t.Errorf("%s renders", wrong)
		}
	}
}

func TestSet(t *testing.T) {
	set := template.Set{
		Keys: map[string]string{"url": `{{- template "dbUrl" . -}}`, "json": `{{- $copy := .Secrets | mustDeepCopy -}}{{- $_ := set $copy "host" (get .Annotations "a/host") -}}{{- mustToPrettyJson $copy -}}`},
		Sources: map[string]string{
			"helpers": `{{- define "dbUrl" -}}{{- printf "pg://%s:%s@%s" (get .Secrets "username") (get .Secrets "password") (get .Annotations "a/host") -}}{{- end -}}`,
		},
	}
	secrets := map[string]any{"username": "u", "password": "p"}
	input := map[string]any{"Secrets": secrets, "Annotations": map[string]any{"a/host": "h:1"}}
	got, err := set.Render(input, secrets)
	if err != nil {
		t.Fatal(err)
	}
	if string(got["url"]) != "pg://u:p@h:1" || string(got["json"]) != "{\n  \"host\": \"h:1\",\n  \"password\": \"p\",\n  \"username\": \"u\"\n}" || len(got) != 2 {
		t.Errorf("%q", got)
	}
	if secrets["host"] != nil {
		t.Error("a template changed its input")
	}
}
