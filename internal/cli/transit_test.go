package cli

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/engine/transit/keywrap"
)

// The key leaves the machine wrapped for the engine, wherever it comes from, and never as it is.
func TestTransitImport(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	wrapping, err := json.Marshal(map[string]any{"data": map[string]any{"public_key": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}})
	if err != nil {
		t.Fatal(err)
	}
	material := []byte("thirty-two bytes of key material")
	encoded := base64.StdEncoding.EncodeToString(material)
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(encoded+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ command, endpoint, key, stdin string }{
		{"import", "import", encoded, ""}, {"import", "import", "@" + file, ""}, {"import-version", "import_version", "-", encoded},
	} {
		server := serve(t, map[string]answer{"GET my/transit/wrapping_key": ok(string(wrapping)), "PUT my/transit/keys/app/" + c.endpoint: noContent})
		term := newTerminal(t, server)
		term.stdin = c.stdin
		got := term.run("transit", c.command, "my/transit/keys/app", c.key, "type=aes256-gcm96")
		const want = "Retrieving transit wrapping key.\nWrapping source key with ephemeral key.\nEncrypting ephemeral key with transit wrapping key.\n" +
			"Submitting wrapped key to Vault transit.\nSuccess!\n"
		if got.code != 0 || got.stdout != want || got.stderr != "" {
			t.Fatalf("%v: %+v", c, got)
		}
		var sent map[string]string
		if err := json.Unmarshal([]byte(server.last().body), &sent); err != nil {
			t.Fatal(err)
		}
		box, err := base64.StdEncoding.DecodeString(sent["ciphertext"])
		if err != nil {
			t.Fatal(err)
		}
		if key, err := keywrap.Open(private, sha256.New, box); err != nil || !bytes.Equal(key, material) || sent["hash_function"] != "SHA256" || sent["type"] != "aes256-gcm96" {
			t.Errorf("%v: sent %v, which holds %q, %v", c, sent, key, err)
		}
	}
}

func TestTransitImportErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"transit/app", "AAAA"}, 1, "PATH must be MOUNT/keys/NAME"},
		{[]string{"transit/keys/app", "s3cret!"}, 1, "KEY must be the base64 of a key"},
		{[]string{"transit/keys/app", "@/does/not/exist"}, 1, "Failed to read KEY"},
		{[]string{"transit/keys/app", "AAAA", "ciphertext=x"}, 1, "ciphertext cannot be given"},
		{[]string{"transit/keys/app", "AAAA"}, 2, "there is no transit engine"},
		{[]string{"transit/keys/app"}, 1, "Not enough arguments"},
	} {
		got := newTerminal(t, serve(t, nil)).run(append([]string{"transit", "import"}, c.args...)...)
		if got.code != c.code || !strings.Contains(got.stderr, c.want) || strings.Contains(got.stderr, "s3cret") {
			t.Errorf("%q: %+v", c.args, got)
		}
	}
}
