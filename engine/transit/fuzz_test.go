package transit

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"strongroom/engine"
)

// FuzzCiphertext: nothing but what the key made is decrypted, and whatever is
// wrong is the caller's and is not repeated.
func FuzzCiphertext(f *testing.F) {
	m := mount(f)
	must(f, m, "PUT keys/k", "")
	made := field(must(f, m, "PUT encrypt/k", with("plaintext", fox)), "ciphertext")
	for _, seed := range []string{made, made[:len(made)-4], "vault:v1:", "vault:v0:AAAA", "vault:v:x", "vault:v99999999999999999999:x", "vault:v1:" + strings.Repeat("A", 64), ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, rest, err := parseText(s, "ciphertext")
		if err == nil && !strings.HasSuffix(s, ":"+rest) {
			t.Errorf("%q is version %d and %q", s, n, rest)
		}
		resp, err := call(mountOn(t, m.Store), "PUT decrypt/k", with("ciphertext", s))
		if err != nil {
			if engine.KindOf(err) != engine.Invalid {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		// Another spelling of the same: version 0 or 01, or base64 with line breaks.
		_, body, _ := parseText(s, "ciphertext")
		if got := data(t, resp)["plaintext"]; got != fox || strings.NewReplacer("\r", "", "\n", "").Replace(body) != strings.TrimPrefix(made, "vault:v1:") {
			t.Errorf("%q was decrypted to %v", s, got)
		}
	})
}

// FuzzBatch: a batch is refused, or read as the JSON package reads it into a
// list of that length.
func FuzzBatch(f *testing.F) {
	for _, seed := range []string{`[{"plaintext":"YQ==","key_version":"1","reference":"r"},{"context":"YQ=="}]`, `[]`, `[{}`, `[null]`, `[[]]`, `{}`, `[{"key_version":1.5}]`, `[{}]x`, `[{}]]`, `[{"plaintext":null}]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		items, err := parseBatch(raw)
		if err != nil {
			if engine.KindOf(err) != engine.Invalid {
				t.Errorf("%s: %v", raw, err)
			}
			return
		}
		var want []json.RawMessage
		if err := json.Unmarshal(raw, &want); err != nil || len(want) != len(items) {
			t.Errorf("%s: %d items, not %d, %v", raw, len(items), len(want), err)
		}
	})
}

// FuzzBackup: a backup is refused, or is a key that can be saved, read and backed up again.
func FuzzBackup(f *testing.F) {
	m := mount(f)
	for _, k := range []string{"aes256-gcm96", "ecdsa-p256", "ed25519", "hmac"} {
		must(f, m, "PUT keys/"+k, with("type", k, "exportable", true, "allow_plaintext_backup", true))
		must(f, m, "PUT keys/"+k+"/rotate", "")
		b, err := base64.StdEncoding.DecodeString(field(must(f, m, "GET backup/"+k, ""), "backup"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := mount(t)
		_, err := call(m, "PUT restore/k", with("backup", base64.StdEncoding.EncodeToString(raw)))
		if err != nil {
			if engine.KindOf(err) != engine.Invalid {
				t.Errorf("%s: %v", raw, err)
			}
			return
		}
		got := must(t, m, "PUT keys/k/config", with("exportable", true, "allow_plaintext_backup", true))
		if latest, err := strconv.Atoi(field(got, "latest_version")); err != nil || latest < 1 {
			t.Errorf("restored %v", got)
		}
		must(t, m, "PUT restore/again", with("backup", must(t, m, "GET backup/k", "")["backup"]))
	})
}

// FuzzImport: an import is refused, or makes a key; it is never our fault.
func FuzzImport(f *testing.F) {
	m := withWrapping(f)
	for _, size := range []int{16, 32, 33} {
		b, err := base64.StdEncoding.DecodeString(wrapped(f, m, sha256.New, random(size)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, "aes256-gcm96", "")
	}
	f.Add([]byte{}, "rsa-2048", pemText("PUBLIC KEY", []byte{0x30, 0}))
	f.Fuzz(func(t *testing.T, blob []byte, kind, public string) {
		m := mountOn(t, m.Store)
		_, err := call(m, "PUT keys/k/import", with("type", kind, "ciphertext", base64.StdEncoding.EncodeToString(blob), "public_key", public))
		if err != nil {
			if engine.KindOf(err) != engine.Invalid {
				t.Errorf("%x: %v", blob, err)
			}
			return
		}
		must(t, m, "PUT keys/k/config", with("deletion_allowed", true))
		must(t, m, "DELETE keys/k", "")
	})
}
