package transit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
)

// public is the public key of the latest version of a key, from a read of it.
func public(t *testing.T, key map[string]any) crypto.PublicKey {
	t.Helper()
	v := key["keys"].(map[string]any)[field(key, "latest_version")].(map[string]any)
	text := field(v, "public_key")
	if field(key, "type") == "ed25519" {
		return ed25519.PublicKey(must1(base64.StdEncoding.DecodeString(text)))
	}
	block, _ := pem.Decode([]byte(text))
	return must1(x509.ParsePKIXPublicKey(block.Bytes))
}

// raw is a signature without its prefix.
func raw(t *testing.T, signature any, e *base64.Encoding) []byte {
	t.Helper()
	_, rest, err := parseText(signature.(string), "signature")
	if err != nil {
		t.Fatal(err)
	}
	return must1(e.DecodeString(rest))
}

// Every signature verifies here and by the standard library, which knows nothing
// of this engine; none verifies for another input.
func TestSignEveryType(t *testing.T) {
	m := mount(t)
	input := []byte("the quick brown fox")
	sum := sha256.Sum256(input)
	for _, c := range []struct {
		kind    kind
		options []any
		check   func(public crypto.PublicKey, signature string) bool
	}{
		{ed25519k, nil, func(p crypto.PublicKey, s string) bool {
			return ed25519.Verify(p.(ed25519.PublicKey), input, raw(t, s, base64.StdEncoding))
		}},
		{ed25519k, []any{"marshaling_algorithm", "jws"}, func(p crypto.PublicKey, s string) bool {
			return ed25519.Verify(p.(ed25519.PublicKey), input, raw(t, s, base64.RawURLEncoding))
		}},
		{ecdsa256, nil, func(p crypto.PublicKey, s string) bool {
			return ecdsa.VerifyASN1(p.(*ecdsa.PublicKey), sum[:], raw(t, s, base64.StdEncoding))
		}},
		{ecdsa256, []any{"marshaling_algorithm", "jws"}, func(p crypto.PublicKey, s string) bool { return len(raw(t, s, base64.RawURLEncoding)) == 64 }},
		{ecdsa384, []any{"marshaling_algorithm", "jws"}, func(p crypto.PublicKey, s string) bool { return len(raw(t, s, base64.RawURLEncoding)) == 96 }},
		{ecdsa521, []any{"marshaling_algorithm", "jws"}, func(p crypto.PublicKey, s string) bool { return len(raw(t, s, base64.RawURLEncoding)) == 132 }},
		{rsa2048, nil, func(p crypto.PublicKey, s string) bool {
			return rsa.VerifyPSS(p.(*rsa.PublicKey), crypto.SHA256, sum[:], raw(t, s, base64.StdEncoding), nil) == nil
		}},
		{rsa2048, []any{"salt_length", "hash"}, func(p crypto.PublicKey, s string) bool {
			return rsa.VerifyPSS(p.(*rsa.PublicKey), crypto.SHA256, sum[:], raw(t, s, base64.StdEncoding), &rsa.PSSOptions{SaltLength: 32}) == nil
		}},
		{rsa2048, []any{"salt_length", "20"}, func(p crypto.PublicKey, s string) bool {
			return rsa.VerifyPSS(p.(*rsa.PublicKey), crypto.SHA256, sum[:], raw(t, s, base64.StdEncoding), &rsa.PSSOptions{SaltLength: 20}) == nil
		}},
		{rsa2048, []any{"signature_algorithm", "pkcs1v15"}, func(p crypto.PublicKey, s string) bool {
			return rsa.VerifyPKCS1v15(p.(*rsa.PublicKey), crypto.SHA256, sum[:], raw(t, s, base64.StdEncoding)) == nil
		}},
	} {
		name := string(c.kind)
		key := must(t, m, "PUT keys/"+name, with("type", c.kind))
		signed := must(t, m, "PUT sign/"+name, with(append(c.options, "input", base64.StdEncoding.EncodeToString(input))...))
		signature := field(signed, "signature")
		if !strings.HasPrefix(signature, "vault:v1:") || field(signed, "key_version") != "1" || !c.check(public(t, key), signature) {
			t.Errorf("%s %v: signed %v", name, c.options, signed)
		}
		verify := func(more ...any) bool {
			return must(t, m, "PUT verify/"+name, with(append(append(c.options, "signature", signature), more...)...))["valid"].(bool)
		}
		if !verify("input", base64.StdEncoding.EncodeToString(input)) {
			t.Errorf("%s %v: not valid", name, c.options)
		}
		if verify("input", here) {
			t.Errorf("%s %v: valid for another input", name, c.options)
		}
		if c.kind == ed25519k {
			continue
		}
		if verify("input", base64.StdEncoding.EncodeToString(input), "hash_algorithm", "sha2-512") {
			t.Errorf("%s %v: valid by another hash", name, c.options)
		}
		if !verify("input", base64.StdEncoding.EncodeToString(sum[:]), "prehashed", true) {
			t.Errorf("%s %v: not valid when prehashed", name, c.options)
		}
		pre := must(t, m, "PUT sign/"+name+"/sha2-256", with(append(c.options, "input", base64.StdEncoding.EncodeToString(sum[:]), "prehashed", true)...))
		if signature = field(pre, "signature"); !verify("input", base64.StdEncoding.EncodeToString(input)) {
			t.Errorf("%s %v: what was prehashed is not valid", name, c.options)
		}
	}
}

// The path's algorithm counts more than the body's: policies are about paths.
func TestAlgorithmOfPath(t *testing.T) {
	m := mount(t)
	must(t, m, "PUT keys/e", with("type", "ecdsa-p256"))
	for _, hash := range []string{"sha1", "sha2-224", "sha2-384", "sha2-512", "sha3-224", "sha3-256", "sha3-384", "sha3-512"} {
		s := must(t, m, "PUT sign/e/"+hash, with("input", fox, "hash_algorithm", "sha2-256"))["signature"]
		for algorithm, want := range map[string]bool{hash: true, "sha2-256": false} {
			if got := must(t, m, "PUT verify/e", with("input", fox, "signature", s, "hash_algorithm", algorithm))["valid"]; got != want {
				t.Errorf("signed by %s, verified by %s: %v", hash, algorithm, got)
			}
		}
	}
}

func TestSignErrors(t *testing.T) {
	m := mount(t)
	must(t, m, "PUT keys/a", "")
	must(t, m, "PUT keys/r", with("type", "rsa-2048"))
	must(t, m, "PUT keys/e", with("type", "ecdsa-p256"))
	sig := must(t, m, "PUT sign/e", with("input", fox))["signature"]
	must(t, m, "PUT keys/e/rotate", "")
	must(t, m, "PUT keys/e/config", with("min_decryption_version", 2, "min_encryption_version", 2))
	for _, c := range []struct{ request, body, want string }{
		{"PUT sign/none", with("input", fox), "signing key not found"},
		{"PUT verify/none", with("input", fox, "signature", sig), "signature verification key not found"},
		{"PUT sign/a", with("input", fox), "key type aes256-gcm96 does not support signing"},
		{"PUT verify/a", with("input", fox, "signature", sig), "key type aes256-gcm96 does not support verification"},
		{"PUT sign/e", with(), "missing input"},
		{"PUT sign/e", with("input", "?"), "unable to decode input as base64"},
		{"PUT sign/e/md5", with("input", fox), "unsupported hash algorithm"},
		{"PUT sign/e", with("input", fox, "marshaling_algorithm", "xml"), "invalid marshaling type"},
		{"PUT sign/e", with("input", fox, "key_version", 1), "requested version for signing is less than the minimum encryption key version"},
		{"PUT sign/e", with("input", fox, "key_version", 3), "requested version for signing is higher than the latest key version"},
		{"PUT verify/e", with("input", fox, "signature", sig), "ciphertext or signature version is disallowed by policy (too old)"},
		{"PUT verify/e", with("input", fox, "signature", "x"), "invalid signature: no prefix"},
		{"PUT verify/e", with("input", fox, "signature", "vault:v2:?"), "invalid base64 signature value"},
		{"PUT verify/e", with("input", fox, "signature", "vault:v2:AAAA", "marshaling_algorithm", "jws"), "supplied signature is invalid"},
		{"PUT verify/e", with("input", fox), "neither a 'signature' nor an 'hmac' was given"},
		{"PUT verify/e", with("input", fox, "signature", sig, "hmac", sig), "provide one of"},
		{"PUT verify/e", with("input", fox, "cmac", sig), "CMAC is an Enterprise feature"},
		{"PUT cmac/e/8", with("input", fox), "CMAC is an Enterprise feature"},
		{"PUT verify/e", with("batch_input", []any{map[string]any{"input": fox, "hmac": sig}, map[string]any{"input": fox, "signature": sig}}), "elements of batch_input must all"},
		{"PUT sign/r", with("input", fox, "signature_algorithm", "rot13"), "unsupported rsa signature algorithm"},
		{"PUT sign/r", with("input", fox, "salt_length", "long"), "salt length"},
		{"PUT sign/r", with("input", fox, "salt_length", "1000"), "failed to sign"},
		{"PUT sign/r", with("input", fox, "hash_algorithm", "none"), "hash_algorithm=none requires both prehashed=true and signature_algorithm=pkcs1v15"},
		{"PUT sign/r", with("input", fox, "prehashed", true), "failed to sign"},
	} {
		refused(t, m, c.request, c.body, c.want)
	}
	s := must(t, m, "PUT sign/r/none", with("input", fox, "prehashed", true, "signature_algorithm", "pkcs1v15"))["signature"]
	if got := must(t, m, "PUT verify/r/none", with("input", fox, "prehashed", true, "signature_algorithm", "pkcs1v15", "signature", s)); got["valid"] != true {
		t.Errorf("a signature without a hash: %v", got)
	}
}

// A derived Ed25519 key has a pair for each context, and says its public half.
func TestDerivedSignature(t *testing.T) {
	m := mount(t)
	must(t, m, "PUT keys/d", with("type", "ed25519", "derived", true))
	refused(t, m, "PUT sign/d", with("input", fox), "missing 'context' for key derivation")
	batch := must(t, m, "PUT sign/d", with("batch_input", []any{map[string]any{"input": fox, "context": here}, map[string]any{"input": fox, "context": b64("there")}, map[string]any{}}))
	results := batch["batch_results"].([]any)
	one, two, three := results[0].(map[string]any), results[1].(map[string]any), results[2].(map[string]any)
	if one["signature"] == two["signature"] || one["publickey"] == two["publickey"] || three["error"] != "missing input" {
		t.Errorf("signed %v", results)
	}
	for context, signed := range map[string]map[string]any{here: one, b64("there"): two} {
		pub := ed25519.PublicKey(must1(base64.StdEncoding.DecodeString(field(signed, "publickey"))))
		if !ed25519.Verify(pub, []byte("the quick brown fox"), raw(t, signed["signature"], base64.StdEncoding)) {
			t.Errorf("%v is not by the public key beside it", signed)
		}
		shown := must(t, m, "GET keys/d?context="+context, "")["keys"].(map[string]any)["1"].(map[string]any)
		if field(shown, "public_key") != field(signed, "publickey") {
			t.Errorf("the key shows %v, the signature %v", shown, signed)
		}
		for other, want := range map[string]bool{here: context == here, b64("there"): context != here} {
			if got := must(t, m, "PUT verify/d", with("input", fox, "context", other, "signature", signed["signature"])); got["valid"] != want {
				t.Errorf("verified %v in the context %s", got, other)
			}
		}
	}
}

func TestHMAC(t *testing.T) {
	m := mount(t)
	for _, k := range []string{"aes256-gcm96", "hmac", "ecdsa-p256"} {
		must(t, m, "PUT keys/"+k, with("type", k))
		must(t, m, "PUT keys/"+k+"/rotate", "")
		for _, path := range []string{"", "/sha2-512", "/sha3-256"} {
			mac := must(t, m, "PUT hmac/"+k+path, with("input", fox, "key_version", 1))["hmac"]
			for _, c := range []struct {
				path, input string
				want        bool
			}{{path, fox, true}, {path, here, false}, {"/sha2-384", fox, false}} {
				if got := must(t, m, "PUT verify/"+k+c.path, with("input", c.input, "hmac", mac)); got["valid"] != c.want {
					t.Errorf("%s%s: %v for %v", k, path, got, c)
				}
			}
		}
	}
	batch := must(t, m, "PUT hmac/hmac", with("batch_input", []any{map[string]any{"input": fox, "reference": "r"}, map[string]any{}, map[string]any{"input": ""}}))["batch_results"].([]any)
	if batch[1].(map[string]any)["error"] != "missing input for HMAC" || batch[2].(map[string]any)["hmac"] == nil || batch[0].(map[string]any)["reference"] != "r" {
		t.Errorf("batch %v", batch)
	}
	mac := batch[0].(map[string]any)["hmac"]
	verified := must(t, m, "PUT verify/hmac", with("batch_input", []any{map[string]any{"input": fox, "hmac": mac}, map[string]any{"input": here, "hmac": mac}}))["batch_results"].([]any)
	if verified[0].(map[string]any)["valid"] != true || verified[1].(map[string]any)["valid"] != false {
		t.Errorf("verified %v", verified)
	}
	refused(t, m, "PUT hmac/hmac/sha1", with("input", fox), "unsupported hash algorithm")
	refused(t, m, "PUT hmac/hmac", with("input", fox, "key_version", 9), "requested version for HMAC is higher")
	refused(t, m, "PUT verify/hmac", with("input", fox, "hmac", "x"), "invalid HMAC to verify: no prefix")
	refused(t, m, "PUT encrypt/hmac", with("plaintext", fox), "message encryption not supported for key type hmac")
}

func TestHashAndRandom(t *testing.T) {
	m := mount(t)
	const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-4
	for _, c := range [][2]string{{"PUT hash", with("input", b64("abc"))}, {"PUT hash/sha2-256", with("input", b64("abc"), "algorithm", "sha3-256")}} {
		if got := must(t, m, c[0], c[1]); field(got, "sum") != abc {
			t.Errorf("%v: %v", c, got)
		}
	}
	if got := must(t, m, "PUT hash/sha3-256", with("input", b64("abc"))); field(got, "sum") != "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532" { // FIPS 202
		t.Errorf("%v", got)
	}
	if got := must(t, m, "PUT hash", with("input", b64("abc"), "format", "base64")); field(got, "sum") != "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=" {
		t.Errorf("%v", got)
	}
	refused(t, m, "PUT hash/md5", with("input", fox), "unsupported hash algorithm")
	refused(t, m, "PUT hash", with("input", fox, "format", "octal"), "unsupported encoding format")
	refused(t, m, "PUT hash", "", "missing input")
	for request, size := range map[string]int{"PUT random": 32, "PUT random/5": 5, "PUT random/platform": 32, "PUT random/all/7": 7} {
		got := must(t, m, request, with("format", "hex"))
		if len(field(got, "random_bytes")) != 2*size {
			t.Errorf("%s: %v", request, got)
		}
	}
	if a, b := must(t, m, "PUT random", ""), must(t, m, "PUT random", ""); field(a, "random_bytes") == field(b, "random_bytes") || len(field(a, "random_bytes")) != 44 {
		t.Errorf("%v and %v", a, b)
	}
	for request, want := range map[string]string{"PUT random/0": "cannot be less than 1", "PUT random/999999": "should be less than", "PUT random/seal": "Enterprise", "PUT random/dice": "unsupported entropy source", "PUT random/all/x": "error parsing"} {
		refused(t, m, request, "", want)
	}
}
