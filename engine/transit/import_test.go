package transit

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"hash"
	"math/big"
	"strings"
	"testing"
	"time"

	"strongroom/engine"
	"strongroom/engine/enginetest"
	"strongroom/engine/transit/keywrap"
	"strongroom/internal/storage"
)

// wrapKey is the key that m says imports are wrapped for.
func wrapKey(t testing.TB, m *enginetest.Mounted) *rsa.PublicKey {
	t.Helper()
	block, _ := pem.Decode([]byte(field(must(t, m, "GET wrapping_key", ""), "public_key")))
	return must1(x509.ParsePKIXPublicKey(block.Bytes)).(*rsa.PublicKey)
}

// withWrapping is a mount whose wrapping key is there already, and short: a real one takes seconds to make.
func withWrapping(t testing.TB) *enginetest.Mounted {
	t.Helper()
	m := mount(t)
	tx := storage.Begin(m.Store)
	tx.View("mount/test/").Put(wrappingKey, must1(x509.MarshalPKCS8PrivateKey(must1(rsa.GenerateKey(rand.Reader, 2048)))))
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

func wrapped(t testing.TB, m *enginetest.Mounted, h func() hash.Hash, material []byte) string {
	t.Helper()
	return base64.StdEncoding.EncodeToString(must1(keywrap.Seal(wrapKey(t, m), h, material)))
}

func TestWrappingKey(t *testing.T) {
	m := mount(t)
	k := wrapKey(t, m)
	if k.N.BitLen() != 4096 || !k.Equal(wrapKey(t, m)) {
		t.Errorf("the wrapping key has %d bits, or changes", k.N.BitLen())
	}
}

// What is imported is what is used: symmetric keys come back by export, and
// signatures by a pair verify with the pair's own public key.
func TestImportEveryType(t *testing.T) {
	m := withWrapping(t)
	pairs := map[kind]crypto.Signer{
		rsa2048: must1(rsa.GenerateKey(rand.Reader, 2048)), ecdsa256: must1(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), ecdsa521: must1(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
	}
	_, pairs[ed25519k], _ = ed25519.GenerateKey(rand.Reader)
	for k, pair := range pairs {
		name := string(k)
		der := must1(x509.MarshalPKCS8PrivateKey(pair))
		if _, err := call(m, "PUT keys/"+name+"/import", with("type", k, "ciphertext", wrapped(t, m, sha256.New, der))); err != nil {
			t.Fatalf("%s: %v", k, err)
		}
		got := must(t, m, "GET keys/"+name, "")
		if !samePublic(public(t, got), pair.Public()) || got["imported_key"] != true || got["imported_key_allow_rotation"] != false {
			t.Errorf("%s: %v", k, got)
		}
		s := must(t, m, "PUT sign/"+name, with("input", fox, "signature_algorithm", "pkcs1v15"))["signature"]
		how := scheme{hash: crypto.SHA256, padding: pkcs1v15, form: asn1Form}
		if valid, err := how.verify(pair.Public(), []byte("the quick brown fox"), raw(t, s, base64.StdEncoding)); !valid || err != nil {
			t.Errorf("%s: the signature is not the pair's: %v", k, err)
		}
		refused(t, m, "PUT keys/"+name+"/rotate", "", "does not allow rotation within Vault")
		refused(t, m, "PUT keys/"+name+"/config", with("auto_rotate_period", "1h"), "does not allow rotation within Vault")
	}
	for k, size := range map[kind]int{aes128: 16, aes256: 32, chacha20: 32, hmacOnly: 40} {
		material := random(size)
		must(t, m, "PUT keys/"+string(k)+"/import", with("type", k, "exportable", true, "allow_rotation", true, "hash_function", "SHA-512", "ciphertext", wrapped(t, m, sha512.New, material)))
		sort := map[bool]string{true: "hmac-key", false: "encryption-key"}[k == hmacOnly]
		got := must(t, m, "GET export/"+sort+"/"+string(k), "")["keys"].(map[string]any)
		if got["1"] != base64.StdEncoding.EncodeToString(material) {
			t.Errorf("%s: exported %v", k, got)
		}
		must(t, m, "PUT keys/"+string(k)+"/import_version", with("hash_function", "SHA512", "ciphertext", wrapped(t, m, sha512.New, random(size))))
		must(t, m, "PUT keys/"+string(k)+"/rotate", "") // and then it is a key of this server
		refused(t, m, "PUT keys/"+string(k)+"/import_version", with("ciphertext", wrapped(t, m, sha256.New, material)), "can only be used with an imported key")
	}
}

func TestImportErrors(t *testing.T) {
	m := withWrapping(t)
	good := wrapped(t, m, sha256.New, random(32))
	p256 := wrapped(t, m, sha256.New, must1(x509.MarshalPKCS8PrivateKey(must1(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))))
	must(t, m, "PUT keys/own", "")
	for _, c := range []struct{ request, body, want string }{
		{"PUT keys/own/import", with("ciphertext", good), "the import path cannot be used with an existing key"},
		{"PUT keys/own/import_version", with("ciphertext", good), "can only be used with an imported key"},
		{"PUT keys/none/import_version", with("ciphertext", good), "no key found with name none"},
		{"PUT keys/k/import", with(), "either ciphertext or public_key must be set"},
		{"PUT keys/k/import", with("ciphertext", good, "public_key", "x"), "only one of the following fields"},
		{"PUT keys/k/import", with("ciphertext", "?"), "failed to base64-decode ciphertext"},
		{"PUT keys/k/import", with("ciphertext", here), "the ciphertext could not be unwrapped"},
		{"PUT keys/k/import", with("ciphertext", good, "hash_function", "SHA384"), "the ciphertext could not be unwrapped"},
		{"PUT keys/k/import", with("ciphertext", good, "hash_function", "MD5"), "unsupported hash function"},
		{"PUT keys/k/import", with("ciphertext", good, "type", "aes128-gcm96"), "not that of a key of type aes128-gcm96"},
		{"PUT keys/k/import", with("ciphertext", good, "type", "rsa-2048"), "PKCS #8"},
		{"PUT keys/k/import", with("ciphertext", p256, "type", "ecdsa-p384"), "not that of a key of type ecdsa-p384"},
		{"PUT keys/k/import", with("ciphertext", p256, "type", "ed25519"), "not that of a key of type ed25519"},
		{"PUT keys/k/import", with("ciphertext", p256, "type", "ecdsa-p256", "derived", true), "key derivation not supported"},
		{"PUT keys/k/import", with("ciphertext", good, "auto_rotate_period", "1h"), "does not allow rotation within Vault"},
		{"PUT keys/k/import", with("public_key", "x", "type", "rsa-2048"), "public_key must be PEM"},
		{"PUT keys/k/import", with("public_key", pemText("PUBLIC KEY", []byte("x")), "type", "rsa-2048"), "public_key must hold a public key"},
		{"PUT keys/k/import", with("ciphertext", good, "derived", true, "convergent_encryption", true), "import cannot be used on keys with convergent encryption enabled"},
		{"PUT keys/k-/import", with("ciphertext", good), "the name of a key"},
	} {
		refused(t, m, c.request, c.body, c.want)
	}
	if got := storedKeys(t, m); len(got) != 2 {
		t.Errorf("stored %q", got)
	}
}

// A public key encrypts and verifies; its private key may come later, and no
// other.
func TestImportPublicKey(t *testing.T) {
	m := withWrapping(t)
	pair, other := must1(rsa.GenerateKey(rand.Reader, 2048)), must1(rsa.GenerateKey(rand.Reader, 2048))
	text := must1(publicText(pair.Public()))
	private := func(k *rsa.PrivateKey) string {
		return wrapped(t, m, sha256.New, must1(x509.MarshalPKCS8PrivateKey(k)))
	}
	must(t, m, "PUT keys/k/import", with("type", "rsa-2048", "public_key", text))
	c := must(t, m, "PUT encrypt/k", with("plaintext", fox))["ciphertext"]
	refused(t, m, "PUT decrypt/k", with("ciphertext", c), "only its public key")
	refused(t, m, "PUT sign/k", with("input", fox), "only its public key")
	sum := sha256.Sum256([]byte("the quick brown fox"))
	s := text_(must1(rsa.SignPSS(rand.Reader, pair, crypto.SHA256, sum[:], nil)))
	if got := must(t, m, "PUT verify/k", with("input", fox, "signature", s)); got["valid"] != true {
		t.Errorf("verified %v", got)
	}
	refused(t, m, "PUT keys/k/import_version", with("ciphertext", private(other)), "does not belong to the public key of version 1")
	refused(t, m, "PUT keys/k/import_version", with("ciphertext", private(pair), "version", 2), "key version does not exist")
	must(t, m, "PUT keys/k/import_version", with("public_key", must1(publicText(other.Public()))))
	must(t, m, "PUT keys/k/import_version", with("ciphertext", private(pair), "version", 1))
	if got := must(t, m, "PUT decrypt/k", with("ciphertext", c)); field(got, "plaintext") != fox {
		t.Errorf("decrypted to %v", got)
	}
	refused(t, m, "PUT keys/k/import_version", with("ciphertext", private(pair), "version", 1), "cannot be updated")
	must(t, m, "PUT keys/k/import_version", with("ciphertext", private(other))) // the latest had none
	if got := must(t, m, "GET keys/k", ""); field(got, "latest_version") != "2" {
		t.Errorf("%v", got)
	}
}

func text_(raw []byte) string { return text(1, raw, base64.StdEncoding) }

// What one server wraps for another's wrapping key, the other imports.
func TestWrappedExport(t *testing.T) {
	from, to := withWrapping(t), withWrapping(t)
	must(t, from, "PUT keys/theirs/import", with("type", "rsa-2048", "public_key", must1(publicText(wrapKey(t, to)))))
	for _, k := range []string{"aes256-gcm96", "ecdsa-p384", "hmac"} {
		must(t, from, "PUT keys/"+k, with("type", k, "exportable", true))
		got := must(t, from, "GET byok-export/theirs/"+k+"/latest", "")["keys"].(map[string]any)
		must(t, to, "PUT keys/"+k+"/import", with("type", k, "exportable", true, "ciphertext", got["1"]))
		for _, sort := range []string{"encryption-key", "signing-key", "hmac-key"} {
			a, errA := call(from, "GET export/"+sort+"/"+k, "")
			b, errB := call(to, "GET export/"+sort+"/"+k, "")
			if (errA == nil) != (errB == nil) || errA == nil && (sort != "hmac-key" || k == "hmac") && enginetest.JSON(t, a) != enginetest.JSON(t, b) {
				t.Errorf("%s of %s: %v and %v", sort, k, a, b)
			}
		}
	}
	must(t, from, "PUT keys/locked", "")
	refused(t, from, "GET byok-export/theirs/locked", "", "key is not exportable")
	refused(t, from, "GET byok-export/hmac/hmac", "", "the destination key must be of type rsa-2048")
	refused(t, from, "GET byok-export/none/hmac", "", "no such destination key")
	refused(t, from, "GET byok-export/theirs/none", "", "no such source key")
}

// The sample of Vault's documentation: a backup by Vault itself.
// https://developer.hashicorp.com/vault/api-docs/secret/transit#restore-key
const vaultBackup = "eyJwb2xpY3kiOnsibmFtZSI6ImFlcyIsImtleXMiOnsiMSI6eyJrZXkiOiJXK3k4Z0dOMHdiTDJLOU95NXFPN1laMGtjdzMvR0ZiNWM4STBzdlNMMnFNPSIsImhtYWNfa2V5IjoiUDBTcjh1YTJaZERNUTdPd2h4RGp1Z0U5d0JSR3Q2QXl6K0t4TzN5Z2M5ST0iLCJ0aW1lIjoiMjAxNy0xMi0wOFQxMTo1MDowOC42MTM4MzctMDU6MDAiLCJlY194IjpudWxsLCJlY195IjpudWxsLCJlY19kIjpudWxsLCJyc2Ffa2V5IjpudWxsLCJwdWJsaWNfa2V5IjoiIiwiY3JlYXRpb25fdGltZSI6MTUxMjc1MTgwOH19LCJkZXJpdmVkIjpmYWxzZSwia2RmIjowLCJjb252ZXJnZW50X2VuY3J5cHRpb24iOmZhbHNlLCJleHBvcnRhYmxlIjpmYWxzZSwibWluX2RlY3J5cHRpb25fdmVyc2lvbiI6MSwibWluX2VuY3J5cHRpb25fdmVyc2lvbiI6MCwibGF0ZXN0X3ZlcnNpb24iOjEsImFyY2hpdmVfdmVyc2lvbiI6MSwiZGVsZXRpb25fYWxsb3dlZCI6ZmFsc2UsImNvbnZlcmdlbnRfdmVyc2lvbiI6MCwidHlwZSI6MCwiYmFja3VwX2luZm8iOnsidGltZSI6IjIwMTctMTItMDhUMTE6NTA6MjkuMjI4MTU3LTA1OjAwIiwidmVyc2lvbiI6MX0sInJlc3RvcmVfaW5mbyI6bnVsbH0sImFyY2hpdmVkX2tleXMiOnsia2V5cyI6W3sia2V5IjpudWxsLCJobWFjX2tleSI6bnVsbCwidGltZSI6IjAwMDEtMDEtMDFUMDA6MDA6MDBaIiwiZWNfeCI6bnVsbCwiZWNfeSI6bnVsbCwiZWNfZCI6bnVsbCwicnNhX2tleSI6bnVsbCwicHVibGljX2tleSI6IiIsImNyZWF0aW9uX3RpbWUiOjB9LHsia2V5IjoiVyt5OGdHTjB3YkwySzlPeTVxTzdZWjBrY3czL0dGYjVjOEkwc3ZTTDJxTT0iLCJobWFjX2tleSI6IlAwU3I4dWEyWmRETVE3T3doeERqdWdFOXdCUkd0NkF5eitLeE8zeWdjOUk9IiwidGltZSI6IjIwMTctMTItMDhUMTE6NTA6MDguNjEzODM3LTA1OjAwIiwiZWNfeCI6bnVsbCwiZWNfeSI6bnVsbCwiZWNfZCI6bnVsbCwicnNhX2tleSI6bnVsbCwicHVibGljX2tleSI6IiIsImNyZWF0aW9uX3RpbWUiOjE1MTI3NTE4MDh9XX19Cg=="

func TestRestoreFromVault(t *testing.T) {
	m := mount(t)
	must(t, m, "PUT restore", with("backup", vaultBackup))
	got := must(t, m, "PUT keys/aes/config", with("exportable", true))
	if keys := got["keys"].(map[string]any); field(got, "type") != "aes256-gcm96" || keys["1"] != 1512751808.0 {
		t.Errorf("restored %v", got)
	}
	if keys := must(t, m, "GET export/encryption-key/aes", "")["keys"].(map[string]any); keys["1"] != "W+y8gGN0wbL2K9Oy5qO7YZ0kcw3/GFb5c8I0svSL2qM=" {
		t.Errorf("exported %v", keys)
	}
	if keys := must(t, m, "GET export/hmac-key/aes", "")["keys"].(map[string]any); keys["1"] != "P0Sr8ua2ZdDMQ7OwhxDjugE9wBRGt6Ayz+KxO3ygc9I=" {
		t.Errorf("exported %v", keys)
	}
	fails(t, m, engine.Internal, "PUT restore", with("backup", vaultBackup), `key "aes" already exists`)
	must(t, m, "PUT restore/other", with("backup", vaultBackup))
	must(t, m, "PUT restore", with("backup", vaultBackup, "force", true))
}

// Keys of older Vaults: nonces of convergent encryption were the caller's, and then
// made of the context; before, keys were derived in a way that is refused.
func TestRestoreOlderKeys(t *testing.T) {
	for _, c := range []struct {
		convergent, kdf int
		want            string
	}{{0, 1, ""}, {1, 1, ""}, {2, 1, ""}, {-1, 1, "the backup is malformed"}, {4, 1, "the backup is malformed"}, {2, 0, "a method of Vault before 0.6"}} {
		m := mount(t)
		old := backup{Policy: policy{Name: "k", Keys: map[string]entry{"1": {Key: make([]byte, 32), Created: t0}}, Derived: true, KDF: c.kdf, Convergent: true, ConvergentVersion: c.convergent, Latest: 1}}
		if c.convergent == -1 {
			old.Policy.Keys["1"] = entry{Key: make([]byte, 32), ConvergentVersion: 9}
		}
		body := with("backup", b64(string(must1(json.Marshal(old)))))
		if c.want != "" {
			refused(t, m, "PUT restore", body, c.want)
			continue
		}
		must(t, m, "PUT restore", body)
		ask := []any{"plaintext", fox, "context", here}
		if c.convergent < 2 {
			refused(t, m, "PUT encrypt/k", with(ask...), "base64-decoded nonce must be 12 bytes long when using convergent encryption with this key")
			ask = append(ask, "nonce", b64("twelve bytes"))
		} else {
			refused(t, m, "PUT encrypt/k", with(append(ask, "nonce", b64("twelve bytes"))...), "nonce provided when not allowed")
		}
		one, two := must(t, m, "PUT encrypt/k", with(ask...)), must(t, m, "PUT encrypt/k", with(ask...))
		if field(one, "ciphertext") != field(two, "ciphertext") {
			t.Errorf("%d: %v and %v", c.convergent, one, two)
		}
		ask = append(ask, "ciphertext", one["ciphertext"])
		if got := must(t, m, "PUT decrypt/k", with(ask...)); got["plaintext"] != fox {
			t.Errorf("%d: decrypted %v", c.convergent, got)
		}
		if c.convergent < 2 {
			refused(t, m, "PUT decrypt/k", with("ciphertext", one["ciphertext"], "context", here), "invalid convergent nonce supplied")
		}
		must(t, m, "PUT keys/k/rotate", "") // the new version makes its nonces by itself
		again := must(t, m, "PUT rewrap/k", with(ask...))
		if got := must(t, m, "PUT decrypt/k", with("ciphertext", again["ciphertext"], "context", here)); field(again, "key_version") != "2" || got["plaintext"] != fox {
			t.Errorf("%d: rewrapped %v, decrypted %v", c.convergent, again, got)
		}
	}
}

// A key is after backup and restore what it was: all that it made before is
// understood, and a backup of it is the same.
func TestBackupEveryType(t *testing.T) {
	m := withWrapping(t)
	for _, k := range []kind{aes128, aes256, chacha20, ed25519k, ecdsa256, ecdsa384, ecdsa521, rsa2048, hmacOnly} {
		name := string(k)
		must(t, m, "PUT keys/"+name, with("type", k, "exportable", true, "derived", k == chacha20, "convergent_encryption", k == chacha20))
		fails(t, m, engine.Internal, "GET backup/"+name, "", "plaintext backup is disallowed on the policy")
		must(t, m, "PUT keys/"+name+"/config", with("allow_plaintext_backup", true, "auto_rotate_period", "24h"))
		mac := must(t, m, "PUT hmac/"+name, with("input", fox))["hmac"]
		made := map[string]any{}
		if k.is().encrypts {
			made["ciphertext"] = must(t, m, "PUT encrypt/"+name, with("plaintext", fox, "context", here))["ciphertext"]
		}
		if k.is().signs {
			made["signature"] = must(t, m, "PUT sign/"+name, with("input", fox))["signature"]
		}
		for range 3 {
			must(t, m, "PUT keys/"+name+"/rotate", "")
		}
		if k == aes128 { // one that was trimmed, and has old versions in the archive only
			must(t, m, "PUT keys/"+name+"/config", with("min_decryption_version", 2, "min_encryption_version", 2))
			must(t, m, "PUT keys/"+name+"/trim", with("min_available_version", 2))
			must(t, m, "PUT keys/"+name+"/config", with("min_decryption_version", 3, "min_encryption_version", 3))
			mac = must(t, m, "PUT hmac/"+name, with("input", fox, "key_version", 3))["hmac"]
			delete(made, "ciphertext")
		}
		before := must(t, m, "GET keys/"+name, "")
		backup := field(must(t, m, "GET backup/"+name, ""), "backup")
		must(t, m, "PUT keys/"+name+"/config", with("deletion_allowed", true))
		must(t, m, "DELETE keys/"+name, "")
		must(t, m, "PUT restore", with("backup", backup))
		after := must(t, m, "GET keys/"+name, "")
		if a, b := must1(json.Marshal(before)), must1(json.Marshal(after)); !bytes.Equal(a, b) {
			t.Errorf("%s before %s\nafter %s", k, a, b)
		}
		if k == aes128 {
			must(t, m, "PUT keys/"+name+"/config", with("min_decryption_version", 2, "min_encryption_version", 2))
		}
		if got := must(t, m, "PUT verify/"+name, with("input", fox, "hmac", mac)); got["valid"] != true {
			t.Errorf("%s: HMAC %v", k, got)
		}
		if c, ok := made["ciphertext"]; ok {
			if got := must(t, m, "PUT decrypt/"+name, with("ciphertext", c, "context", here)); field(got, "plaintext") != fox {
				t.Errorf("%s: decrypted to %v", k, got)
			}
		}
		if s, ok := made["signature"]; ok {
			if got := must(t, m, "PUT verify/"+name, with("input", fox, "signature", s)); got["valid"] != true {
				t.Errorf("%s: signature %v", k, got)
			}
		}
	}
}

// The certificate of a key stays beside its version, and only its own may.
func TestCertificates(t *testing.T) {
	m := mount(t)
	must(t, m, "PUT keys/k", with("type", "ecdsa-p256"))
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "here"}, DNSNames: []string{"here.example"}}
	foreign := must1(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	given := pemText("CERTIFICATE REQUEST", must1(x509.CreateCertificateRequest(rand.Reader, template, foreign)))
	got := must(t, m, "PUT keys/k/csr", with("csr", given))
	block, _ := pem.Decode([]byte(field(got, "csr")))
	csr := must1(x509.ParseCertificateRequest(block.Bytes))
	key := public(t, must(t, m, "GET keys/k", ""))
	if csr.CheckSignature() != nil || csr.Subject.CommonName != "here" || len(csr.DNSNames) != 1 || !samePublic(csr.PublicKey, key) || field(got, "version") != "1" {
		t.Errorf("%v is %+v", got, csr)
	}
	if block, _ = pem.Decode([]byte(field(must(t, m, "PUT keys/k/csr", ""), "csr"))); block == nil {
		t.Error("no empty request")
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caPEM := pemText("CERTIFICATE", must1(x509.CreateCertificate(rand.Reader, ca, ca, foreign.Public(), foreign)))
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: csr.Subject, NotAfter: time.Now().Add(time.Hour)}
	leafPEM := pemText("CERTIFICATE", must1(x509.CreateCertificate(rand.Reader, leaf, ca, csr.PublicKey, foreign)))
	for chain, want := range map[string]string{"x": "must be PEM", caPEM: "does not belong to version 1", leafPEM + leafPEM: "not signed by the next", " ": "no certificates provided"} {
		refused(t, m, "PUT keys/k/set-certificate", with("certificate_chain", chain), want)
	}
	must(t, m, "PUT keys/k/rotate", "")
	must(t, m, "PUT keys/k/set-certificate", with("certificate_chain", leafPEM+"\n"+caPEM, "version", "1"))
	if got := must(t, m, "GET export/certificate-chain/k/1", "")["keys"].(map[string]any); got["1"] != leafPEM+caPEM {
		t.Errorf("exported %v", got)
	}
	if v := must(t, m, "GET keys/k", "")["keys"].(map[string]any)["1"].(map[string]any); v["certificate_chain"] != leafPEM+caPEM {
		t.Errorf("read %v", v)
	}
	must(t, m, "PUT keys/d", with("type", "ed25519", "derived", true))
	refused(t, m, "PUT keys/d/csr", "", "operation not supported on keys with derivation enabled")
	must(t, m, "PUT keys/a", "")
	refused(t, m, "PUT keys/a/csr", "", "has no public key")
	refused(t, m, "PUT keys/k/csr", with("version", "7"), "key version does not exist")
	refused(t, m, "PUT keys/k/csr", with("csr", strings.Repeat("x", 10)), "csr must be PEM of one request")
}
