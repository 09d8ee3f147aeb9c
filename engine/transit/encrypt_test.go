package transit

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"strongroom/engine"
)

var (
	fox  = b64("the quick brown fox")
	here = b64("here")
)

// Every type that encrypts gives back what it was given, by all ways.
func TestEncryptEveryType(t *testing.T) {
	m := mount(t)
	for _, k := range []kind{aes128, aes256, chacha20, rsa2048} {
		must(t, m, "PUT keys/"+string(k), with("type", k))
		must(t, m, "PUT keys/"+string(k)+"/rotate", "")
		name := string(k)
		for version, want := range map[int]int{0: 2, 1: 1, 2: 2} {
			sealed := must(t, m, "PUT encrypt/"+name, with("plaintext", fox, "key_version", version))
			if prefix := fmt.Sprintf("vault:v%d:", want); !strings.HasPrefix(field(sealed, "ciphertext"), prefix) || field(sealed, "key_version") != fmt.Sprint(want) {
				t.Errorf("%s: version %d makes %v", name, version, sealed)
			}
			if got := must(t, m, "PUT decrypt/"+name, with("ciphertext", sealed["ciphertext"])); len(got) != 1 || field(got, "plaintext") != fox {
				t.Errorf("%s: decrypted to %v", name, got)
			}
			again := must(t, m, "PUT rewrap/"+name, with("ciphertext", sealed["ciphertext"]))
			if !strings.HasPrefix(field(again, "ciphertext"), "vault:v2:") {
				t.Errorf("%s: rewrapped to %v", name, again)
			}
			if got := must(t, m, "PUT decrypt/"+name, with("ciphertext", again["ciphertext"])); field(got, "plaintext") != fox {
				t.Errorf("%s: rewrapped and decrypted to %v", name, got)
			}
		}
		a, b := must(t, m, "PUT encrypt/"+name, with("plaintext", "")), must(t, m, "PUT encrypt/"+name, with("plaintext", ""))
		if field(a, "ciphertext") == field(b, "ciphertext") {
			t.Errorf("%s: twice the same ciphertext", name)
		}
		if got := must(t, m, "PUT decrypt/"+name, with("ciphertext", a["ciphertext"])); got["plaintext"] != "" {
			t.Errorf("%s: nothing decrypted to %v", name, got)
		}
	}
}

func TestRSAPadding(t *testing.T) {
	m := mount(t)
	must(t, m, "PUT keys/r", with("type", "rsa-2048"))
	c := must(t, m, "PUT encrypt/r", with("plaintext", fox, "padding_scheme", "pkcs1v15"))["ciphertext"]
	refused(t, m, "PUT decrypt/r", with("ciphertext", c), "failed to RSA decrypt")
	if got := must(t, m, "PUT decrypt/r", with("ciphertext", c, "padding_scheme", "pkcs1v15")); field(got, "plaintext") != fox {
		t.Errorf("decrypted to %v", got)
	}
	c = must(t, m, "PUT rewrap/r", with("ciphertext", c, "decrypt_padding_scheme", "pkcs1v15"))["ciphertext"]
	if got := must(t, m, "PUT decrypt/r", with("ciphertext", c)); field(got, "plaintext") != fox {
		t.Errorf("rewrapped and decrypted to %v", got)
	}
	refused(t, m, "PUT encrypt/r", with("plaintext", fox, "padding_scheme", "none"), "unsupported RSA padding scheme")
	refused(t, m, "PUT encrypt/r", with("plaintext", b64(strings.Repeat("x", 200))), "too long")
	refused(t, m, "PUT encrypt/r", with("plaintext", fox, "associated_data", here), "non-AEAD cipher suite rsa-2048")
}

// An encryption makes its key only for who may create it, with a context only a
// derived one, and not at all if the mount says so.
func TestUpsert(t *testing.T) {
	m := mount(t)
	refused(t, m, "PUT encrypt/a", with("plaintext", fox), "encryption key not found")
	must(t, m, "NEW encrypt/a", with("plaintext", fox))
	if k := must(t, m, "GET keys/a", ""); field(k, "type") != "aes256-gcm96" || field(k, "derived") != "false" {
		t.Errorf("made %v", k)
	}
	must(t, m, "NEW encrypt/b", with("plaintext", fox, "context", here, "type", "chacha20-poly1305", "convergent_encryption", true))
	if k := must(t, m, "GET keys/b", ""); field(k, "type") != "chacha20-poly1305" || field(k, "derived") != "true" || field(k, "convergent_encryption_version") != "3" {
		t.Errorf("made %v", k)
	}
	refused(t, m, "NEW encrypt/c", with("plaintext", fox, "convergent_encryption", true), "requires derivation")
	refused(t, m, "NEW encrypt/c", with("plaintext", fox, "type", "ecdsa-p256"), "key type ecdsa-p256 not supported for this operation")
	refused(t, m, "NEW encrypt/c", with("plaintext", fox, "type", "rot13"), "unknown key type rot13")
	if got := must(t, m, "PUT config/keys", with("disable_upsert", true)); got["disable_upsert"] != true {
		t.Errorf("settings %v", got)
	}
	refused(t, m, "NEW encrypt/c", with("plaintext", fox), "encryption key not found")
	if got := must(t, m, "GET config/keys", ""); got["disable_upsert"] != true {
		t.Errorf("settings %v", got)
	}
}

func TestDerivedAndConvergent(t *testing.T) {
	m := mount(t)
	must(t, m, "PUT keys/d", with("derived", true))
	must(t, m, "PUT keys/c", with("derived", true, "convergent_encryption", true))
	for _, k := range []string{"d", "c"} {
		refused(t, m, "PUT encrypt/"+k, with("plaintext", fox), "missing 'context' for key derivation; the key was created using a derived key, which means additional, "+
			"per-request information must be included in order to perform operations with the key")
		refused(t, m, "PUT encrypt/"+k, with("plaintext", fox, "context", here, "nonce", b64("twelve bytes")), "nonce provided when not allowed")
		c := must(t, m, "PUT encrypt/"+k, with("plaintext", fox, "context", here))["ciphertext"]
		if got := must(t, m, "PUT decrypt/"+k, with("ciphertext", c, "context", here)); field(got, "plaintext") != fox {
			t.Errorf("%s: decrypted to %v", k, got)
		}
		refused(t, m, "PUT decrypt/"+k, with("ciphertext", c, "context", b64("there")), "message authentication failed")
		again := must(t, m, "PUT encrypt/"+k, with("plaintext", fox, "context", here))["ciphertext"]
		if (c == again) != (k == "c") {
			t.Errorf("%s: %s and then %s", k, c, again)
		}
	}
	seen := map[string]bool{}
	for _, extra := range []string{with("plaintext", fox, "context", here), with("plaintext", fox, "context", b64("there")), with("plaintext", b64("cat"), "context", here),
		with("plaintext", fox, "context", here, "associated_data", here), with("plaintext", fox, "context", here, "associated_data", b64("there"))} {
		c := field(must(t, m, "PUT encrypt/c", extra), "ciphertext")
		nonce := c[len("vault:v1:") : len("vault:v1:")+16]
		if seen[nonce] {
			t.Errorf("%s: a nonce was used twice", extra)
		}
		seen[nonce] = true
	}
	refused(t, m, "PUT keys/x", with("convergent_encryption", true), "convergent encryption requires derivation to be enabled")
	refused(t, m, "PUT keys/x", with("derived", true, "convergent_encryption", true, "type", "ed25519"), "convergent encryption not supported")
	refused(t, m, "PUT keys/x", with("derived", true, "type", "rsa-2048"), "key derivation not supported for key type rsa-2048")
}

func TestAssociatedData(t *testing.T) {
	m := mount(t)
	must(t, m, "PUT keys/k", "")
	c := must(t, m, "PUT encrypt/k", with("plaintext", fox, "associated_data", here))["ciphertext"]
	if got := must(t, m, "PUT decrypt/k", with("ciphertext", c, "associated_data", here)); field(got, "plaintext") != fox {
		t.Errorf("decrypted to %v", got)
	}
	refused(t, m, "PUT decrypt/k", with("ciphertext", c), "cipher: message authentication failed")
	refused(t, m, "PUT decrypt/k", with("ciphertext", c, "associated_data", b64("there")), "cipher: message authentication failed")
}

// What is wrong with a ciphertext is said in the words of Vault, and nothing of
// the ciphertext is said.
func TestCiphertextErrors(t *testing.T) {
	m := mount(t)
	must(t, m, "PUT keys/k", "")
	c := field(must(t, m, "PUT encrypt/k", with("plaintext", fox)), "ciphertext")
	if got := must(t, m, "PUT decrypt/k", with("ciphertext", "vault:v0:"+strings.TrimPrefix(c, "vault:v1:"))); got["plaintext"] != fox { // of the first Vaults
		t.Errorf("version 0: %v", got)
	}
	must(t, m, "PUT keys/k/rotate", "")
	must(t, m, "PUT keys/k/config", with("min_decryption_version", 2))
	for text, want := range map[string]string{
		"":                "missing ciphertext to decrypt",
		"s3cret":          "invalid ciphertext: no prefix",
		"vault:v1":        "invalid ciphertext: wrong number of fields",
		"vault:vs3cret:a": "invalid ciphertext: version number could not be decoded",
		"vault:v3:AAAA":   "invalid ciphertext: version is too new",
		"vault:v-1:AAAA":  "ciphertext or signature version is disallowed by policy (too old)",
		c:                 "ciphertext or signature version is disallowed by policy (too old)",
		"vault:v2:s3cr?t": "invalid ciphertext: could not decode base64",
		"vault:v2:AAAA":   "invalid ciphertext length",
		"vault:v2:" + strings.TrimPrefix(c, "vault:v1:"): "cipher: message authentication failed",
	} {
		refused(t, m, "PUT decrypt/k", with("ciphertext", text), want)
		if _, err := call(m, "PUT decrypt/k", with("ciphertext", text)); err != nil && strings.Contains(err.Error(), "s3cr") {
			t.Errorf("the error shows the input: %v", err)
		}
	}
	for body, want := range map[string]string{
		`{}`:                                   "missing plaintext to encrypt",
		with("plaintext", "s3cr?t"):            "failed to base64-decode plaintext: illegal base64 data at input byte",
		with("plaintext", fox, "context", "?"): "failed to base64-decode context",
		with("plaintext", fox, "key_version", 1, "associated_data", ""): "", // min_encryption_version is 0, but version 1 is too old to decrypt
		with("plaintext", fox, "key_version", 3):                        "requested version for encryption is higher than the latest key version",
		with("plaintext", fox, "key_version", -1):                       "requested version for encryption is negative",
	} {
		refused(t, m, "PUT encrypt/k", body, want)
	}
	must(t, m, "PUT keys/k/config", with("min_encryption_version", 2))
	refused(t, m, "PUT encrypt/k", with("plaintext", fox, "key_version", 1), "requested version for encryption is less than the minimum encryption key version")
	refused(t, m, "PUT decrypt/none", with("ciphertext", c), "encryption key not found")
	must(t, m, "PUT keys/e", with("type", "ed25519"))
	refused(t, m, "PUT encrypt/e", with("plaintext", fox), "message encryption not supported for key type ed25519")
	refused(t, m, "PUT decrypt/e", with("ciphertext", "vault:v1:AAAA"), "message decryption not supported for key type ed25519")
}

// A batch keeps its order and its references; what fails is told item by item,
// and by the status.
func TestBatch(t *testing.T) {
	m := mount(t)
	must(t, m, "PUT keys/k", "")
	good, bad := map[string]any{"plaintext": fox, "reference": "one"}, map[string]any{"plaintext": "?", "reference": "two"}
	for _, c := range []struct {
		items   []any
		partial any
		status  int
	}{
		{[]any{good, good}, nil, 0},
		{[]any{good, bad}, nil, 400},
		{[]any{good, bad}, 207, 207},
		{[]any{good, bad}, "200", 200},
		{[]any{bad, bad}, 207, 400},
		{[]any{good}, 207, 0},
	} {
		resp, err := call(m, "PUT encrypt/k", with("batch_input", c.items, "partial_failure_response_code", c.partial))
		if err != nil {
			t.Fatal(err)
		}
		if resp.Status != c.status {
			t.Errorf("%v: status %d, want %d", c.items, resp.Status, c.status)
		}
		results := data(t, resp)["batch_results"].([]any)
		for i, r := range results {
			r, in := r.(map[string]any), c.items[i].(map[string]any)
			if r["reference"] != in["reference"] {
				t.Errorf("%v has the result %v", in, r)
			}
			_, sealed := r["ciphertext"]
			_, failed := r["error"]
			if wrong := in["plaintext"] != fox; failed != wrong || sealed == wrong {
				t.Errorf("%v has the result %v", in, r)
			}
		}
	}
	sealed := must(t, m, "PUT encrypt/k", with("batch_input", []any{map[string]any{"plaintext": fox, "associated_data": here}, map[string]any{"plaintext": ""}}))["batch_results"].([]any)
	sealed[0].(map[string]any)["associated_data"] = here
	for _, way := range []string{"decrypt", "rewrap"} {
		for _, in := range []any{sealed, string(must1(json.Marshal(sealed)))} { // the CLI sends the text of a list
			results := must(t, m, "PUT "+way+"/k", with("batch_input", in))["batch_results"].([]any)
			if way == "decrypt" && (results[0].(map[string]any)["plaintext"] != fox || results[1].(map[string]any)["plaintext"] != "") {
				t.Errorf("decrypted to %v", results)
			}
			if way == "rewrap" && !strings.HasPrefix(results[1].(map[string]any)["ciphertext"].(string), "vault:v1:") {
				t.Errorf("rewrapped to %v", results)
			}
		}
	}
	refused(t, m, "PUT encrypt/k", with("batch_input", []any{}), "missing batch input to process")
	refused(t, m, "PUT encrypt/k", with("batch_input", "s3cret"), "failed to parse batch_input")
	refused(t, m, "PUT encrypt/k", with("batch_input", []any{map[string]any{"plaintext": 5}}), "failed to parse batch_input")
	refused(t, m, "PUT encrypt/k", `{"batch_input":[`+strings.Repeat("{},", maxItems)+`{}]}`, "more than 100000 items")
	refused(t, m, "PUT encrypt/k", with("batch_input", []any{map[string]any{"plaintext": fox, "context": here}, good}), "context should be set either in all the request blocks or in none")
	refused(t, m, "PUT encrypt/k", with("batch_input", []any{good}, "partial_failure_response_code", 204), "partial_failure_response_code")
	refused(t, m, "PUT decrypt/none", with("batch_input", []any{good}), "encryption key not found")
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestDatakey(t *testing.T) {
	m := mount(t)
	must(t, m, "PUT keys/k", "")
	for bits, size := range map[any]int{nil: 44, 128: 24, 256: 44, 512: 88} {
		made := must(t, m, "PUT datakey/plaintext/k", with("bits", bits))
		if got := must(t, m, "PUT decrypt/k", with("ciphertext", made["ciphertext"])); field(got, "plaintext") != field(made, "plaintext") || len(field(made, "plaintext")) != size {
			t.Errorf("%v bits: %v decrypts to %v", bits, made, got)
		}
		if made = must(t, m, "PUT datakey/wrapped/k", with("bits", bits)); made["plaintext"] != nil || field(made, "key_version") != "1" {
			t.Errorf("wrapped: %v", made)
		}
	}
	many := must(t, m, "PUT datakeys/plaintext/k", with("count", "3", "bits", 128))
	seen := map[string]bool{}
	for _, p := range many["key_pairs"].([]any) {
		p := p.(map[string]any)
		if got := must(t, m, "PUT decrypt/k", with("ciphertext", p["ciphertext"])); got["plaintext"] != p["plaintext"] || len(p) != 2 {
			t.Errorf("%v decrypts to %v", p, got)
		}
		seen[field(p, "plaintext")] = true
	}
	if len(seen) != 3 || field(many, "key_version") != "1" {
		t.Errorf("made %v", many)
	}
	refused(t, m, "PUT datakeys/wrapped/k", "", "missing required field: count")
	refused(t, m, "PUT datakeys/wrapped/k", with("count", 0), "count must be between")
	refused(t, m, "PUT datakey/wrapped/k", with("bits", 1024), "invalid bit length")
	refused(t, m, "PUT datakey/bare/k", "", "Invalid path, must be 'plaintext' or 'wrapped'")
	refused(t, m, "PUT datakey/wrapped/none", "", "encryption key not found")
}

// A key that is trimmed or deleted while a request reads it is a conflict, so that
// the request runs again, and not a fault.
func TestVersionGoesAway(t *testing.T) {
	m := mount(t)
	must(t, m, "PUT keys/k", "")
	c := must(t, m, "PUT encrypt/k", with("plaintext", fox))["ciphertext"]
	must(t, m, "PUT keys/k/rotate", "")
	must(t, m, "PUT keys/k/config", with("deletion_allowed", true))
	done := false
	m.Before = func(req *engine.Request) {
		if done || !strings.HasPrefix(req.Path, "decrypt/") {
			return
		}
		done = true
		if _, err := req.Storage.Version(t.Context(), keyPrefix+"k"); err != nil { // the request has seen the key
			t.Error(err)
		}
		must(t, m, "DELETE keys/k", "")
	}
	refused(t, m, "PUT decrypt/k", with("ciphertext", c), "encryption key not found")
}
