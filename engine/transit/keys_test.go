package transit

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
	"strongroom/engine/enginetest"
	"strongroom/internal/storage"
)

// The bubble of testing/synctest begins at midnight, 2000-01-01.
const t0 = 946684800

func TestKeyIsDescribed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mount(t)
		want := func(extra ...any) map[string]any {
			d := map[string]any{
				"name": "k", "type": "aes256-gcm96", "derived": false, "exportable": false, "allow_plaintext_backup": false, "deletion_allowed": false,
				"auto_rotate_period": 0.0, "keys": map[string]any{"1": float64(t0)}, "latest_version": 1.0, "min_decryption_version": 1.0, "min_encryption_version": 0.0,
				"min_available_version": 0.0, "supports_encryption": true, "supports_decryption": true, "supports_signing": false, "supports_derivation": true, "imported_key": false,
			}
			for i := 0; i < len(extra); i += 2 {
				d[extra[i].(string)] = extra[i+1]
			}
			return d
		}
		check := func(got, want map[string]any) {
			t.Helper()
			if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
				t.Errorf("got  %s\nwant %s", g, w)
			}
		}
		check(must(t, m, "PUT keys/k", ""), want())
		resp, err := call(m, "PUT keys/k", with("type", "rsa-2048"))
		if err != nil || !slices.Equal(resp.Warnings, []string{"key k already existed"}) {
			t.Errorf("made again: %v, %v", resp, err)
		}
		time.Sleep(90 * time.Second)
		check(must(t, m, "PUT keys/k/rotate", ""), want("latest_version", 2.0, "keys", map[string]any{"1": float64(t0), "2": float64(t0 + 90)}))
		check(must(t, m, "PUT keys/k/config", with("min_decryption_version", 2, "deletion_allowed", "true", "exportable", true, "allow_plaintext_backup", true, "auto_rotate_period", "24h")),
			want("latest_version", 2.0, "keys", map[string]any{"2": float64(t0 + 90)}, "min_decryption_version", 2.0, "deletion_allowed", true, "exportable", true,
				"allow_plaintext_backup", true, "auto_rotate_period", 86400.0))
		check(must(t, m, "PUT keys/k/config", with("exportable", false, "allow_plaintext_backup", false, "auto_rotate_period", 0, "min_encryption_version", 2)),
			want("latest_version", 2.0, "keys", map[string]any{"2": float64(t0 + 90)}, "min_decryption_version", 2.0, "min_encryption_version", 2.0, "deletion_allowed", true,
				"exportable", true, "allow_plaintext_backup", true))
		e := must(t, m, "PUT keys/e", with("type", "ecdsa-p256"))
		version := e["keys"].(map[string]any)["1"].(map[string]any)
		if version["name"] != "P-256" || version["creation_time"] != "2000-01-01T00:01:30Z" || !strings.HasPrefix(version["public_key"].(string), "-----BEGIN PUBLIC KEY-----\n") || version["certificate_chain"] != "" {
			t.Errorf("an ECDSA key shows %v", version)
		}
		if h := must(t, m, "PUT keys/h", with("type", "hmac", "key_size", 64)); field(h, "key_size") != "64" || field(h, "keys") != fmt.Sprint(map[string]any{"1": float64(t0 + 90)}) {
			t.Errorf("an HMAC key shows %v", h)
		}
		if got := must(t, m, "LIST keys", ""); fmt.Sprint(got["keys"]) != "[e h k]" {
			t.Errorf("listed %v", got)
		}
		if got := must(t, m, "LIST keys?after=e", ""); fmt.Sprint(got["keys"]) != "[h k]" {
			t.Errorf("listed %v", got)
		}
	})
}

func TestKeyErrors(t *testing.T) {
	m := mount(t)
	for request, want := range map[string]engine.Kind{"LIST keys": engine.NotFound, "GET keys/k": engine.NotFound, "GET export/encryption-key/k": engine.NotFound} {
		if _, err := call(m, request, ""); engine.KindOf(err) != want {
			t.Errorf("%s: %v", request, err)
		}
	}
	must(t, m, "PUT keys/k", "")
	must(t, m, "PUT keys/k/rotate", "")
	for _, c := range []struct{ request, body, want string }{
		{"PUT keys/x", with("type", "managed_key"), "Enterprise feature"},
		{"PUT keys/x", with("type", "ml-dsa", "parameter_set", "65"), "Enterprise feature"},
		{"PUT keys/x", with("type", "des"), "unknown key type des"},
		{"PUT keys/-x", "", "the name of a key"},
		{"PUT keys/x", with("auto_rotate_period", "59m"), "auto rotate period must be 0 to disable or at least an hour"},
		{"PUT keys/x", with("type", "hmac", "key_size", 31), "must be between 32 and 512 bytes"},
		{"PUT keys/x", with("type", "hmac", "key_size", 1<<40), "must be between 32 and 512 bytes"},
		{"PUT keys/x", with("key_size", 32), "key_size is only for keys of type hmac"},
		{"DELETE keys/x", "", "error deleting policy x: could not delete key; not found"},
		{"DELETE keys/k", "", "error deleting policy k: deletion is not allowed for this key"},
		{"PUT keys/x/rotate", "", "key not found"},
		{"PUT keys/x/config", "", "no existing key named x could be found"},
		{"PUT keys/k/config", with("min_decryption_version", -1), "min decryption version cannot be negative"},
		{"PUT keys/k/config", with("min_encryption_version", -1), "min encryption version cannot be negative"},
		{"PUT keys/k/config", with("min_decryption_version", 3), "cannot set min decryption version of 3, latest key version is 2"},
		{"PUT keys/k/config", with("min_encryption_version", 3), "cannot set min encryption version of 3, latest key version is 2"},
		{"PUT keys/k/config", with("min_encryption_version", 1, "min_decryption_version", 2), "min encryption version of 1 must be greater than or equal to min decryption version of 2"},
		{"PUT keys/k/trim", with("min_available_version", 2), "minimum encryption version is not set"},
		{"PUT keys/k/trim", with("min_available_version", 0), "min_available_version"},
		{"GET export/encryption-key/k", "", "private key material is not exportable"},
		{"GET export/public-key/k", "", "has no public key"},
		{"GET export/opinion/k", "", "invalid export type"},
		{"PUT cache-config", with("size", 5), "size must be 0 or a value greater or equal to 10"},
	} {
		refused(t, m, c.request, c.body, c.want)
	}
	fails(t, m, engine.Internal, "GET backup/k", "", "exporting is disallowed on the policy")
	fails(t, m, engine.Internal, "GET backup/none", "", "invalid key")
	resp, err := call(m, "PUT keys/k/config", with("min_decryption_version", 0))
	if err != nil || len(resp.Warnings) != 1 || field(data(t, resp), "min_decryption_version") != "1" {
		t.Errorf("a minimum of 0: %v, %v", resp, err)
	}
	must(t, m, "PUT cache-config", with("size", 500))
	if got := must(t, m, "GET cache-config", ""); field(got, "size") != "500" {
		t.Errorf("cache %v", got)
	}
}

// Every route and parameter explains itself, and every parameter of a path has a field.
func TestRoutesExplainThemselves(t *testing.T) {
	for _, route := range mount(t).Engine.Routes() {
		if route.Help == "" {
			t.Errorf("%s has no help", route.Path)
		}
		for _, f := range route.Fields {
			if f.Help == "" {
				t.Errorf("%s: %s has no help", route.Path, f.Name)
			}
		}
		for part := range strings.SplitSeq(route.Path, "/") {
			if p, ok := strings.CutPrefix(part, "{"); ok && !slices.ContainsFunc(route.Fields, func(f engine.Field) bool { return f.Name == strings.TrimSuffix(p, "}") }) {
				t.Errorf("%s: no field for %s", route.Path, part)
			}
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{"a": true, "_": true, "A-1.b": true, "": false, "-a": false, "a.": false, "ä": false, "a b": false, "a--b": true, "..": false} {
		if got := validName(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// Requests at the same time as rotations lose nothing: whatever is encrypted is
// decrypted.
func TestConcurrent(t *testing.T) {
	store := storage.NewMem()
	must(t, mountOn(t, store), "PUT keys/k", "")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			m := mountOn(t, store)
			for i := range 50 {
				if i%10 == 0 {
					must(t, m, "PUT keys/k/rotate", "")
				}
				c := must(t, m, "PUT encrypt/k", with("plaintext", fox))["ciphertext"]
				if got := must(t, m, "PUT decrypt/k", with("ciphertext", c)); got["plaintext"] != fox {
					t.Errorf("decrypted %v", got)
				}
			}
		})
	}
	all.Wait()
	if got := must(t, mountOn(t, store), "GET keys/k", ""); field(got, "latest_version") != "21" {
		t.Errorf("%v", got)
	}
}

// storedKeys are the keys in the engine's slice of storage.
func storedKeys(t *testing.T, m *enginetest.Mounted) (keys []string) {
	for k, err := range m.Store.Keys(t.Context(), "mount/test/", "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, strings.TrimPrefix(k, "mount/test/"))
	}
	return keys
}

// Trimmed versions are gone from storage, deleted keys whole.
func TestTrimAndDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mount(t)
		must(t, m, "PUT keys/k", with("auto_rotate_period", "1h"))
		must(t, m, "PUT keys/kk", "")
		for range 4 {
			must(t, m, "PUT keys/k/rotate", "")
		}
		must(t, m, "PUT keys/k/config", with("min_decryption_version", 3, "min_encryption_version", 4))
		refused(t, m, "PUT keys/k/trim", with("min_available_version", 4), "minimum available version cannot be greater")
		if got := must(t, m, "PUT keys/k/trim", with("min_available_version", 3)); field(got, "min_available_version") != "3" {
			t.Errorf("trimmed: %v", got)
		}
		if got := storedKeys(t, m); !slices.Equal(got, []string{"k/k", "k/kk", "v/k/3", "v/k/4"}) || m.Due() != 1 {
			t.Errorf("after a trim: %q, %d due", got, m.Due())
		}
		refused(t, m, "PUT keys/k/trim", with("min_available_version", 2), "minimum available version cannot be decremented")
		refused(t, m, "PUT keys/k/config", with("min_decryption_version", 2), "min decryption version should not be less than min available version")
		must(t, m, "PUT keys/k/rotate", "")
		must(t, m, "PUT encrypt/k", with("plaintext", fox, "key_version", 4))
		must(t, m, "PUT keys/k/config", with("deletion_allowed", true))
		must(t, m, "DELETE keys/k", "")
		if got := storedKeys(t, m); !slices.Equal(got, []string{"k/kk"}) || m.Due() != 0 {
			t.Errorf("after a deletion: %q, %d due", got, m.Due())
		}
	})
}

// A key rotates by itself when its period is over since its last rotation, and
// no sooner, whatever has become of the period.
func TestAutoRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mount(t)
		must(t, m, "PUT keys/a", with("auto_rotate_period", "1h"))
		must(t, m, "PUT keys/b", with("auto_rotate_period", "2h"))
		must(t, m, "PUT keys/c", "")
		latest := func(a, b, c int) {
			t.Helper()
			got := [3]string{}
			for i, k := range []string{"a", "b", "c"} {
				got[i] = field(must(t, m, "GET keys/"+k, ""), "latest_version")
			}
			if want := [3]string{fmt.Sprint(a), fmt.Sprint(b), fmt.Sprint(c)}; got != want {
				t.Errorf("latest versions %v, want %v", got, want)
			}
		}
		step := func(wait time.Duration, want int) {
			t.Helper()
			time.Sleep(wait)
			if n := m.Expire(time.Now()); n != want {
				t.Errorf("%d pieces of work, want %d", n, want)
			}
		}
		step(time.Hour-time.Second, 0)
		latest(1, 1, 1)
		step(time.Second, 1)
		latest(2, 1, 1)
		step(30*time.Minute, 0)
		must(t, m, "PUT keys/a/rotate", "")
		step(45*time.Minute, 1) // b; a was rotated by hand 45 minutes ago
		latest(3, 2, 1)
		step(15*time.Minute, 1)
		latest(4, 2, 1)
		must(t, m, "PUT keys/a/config", with("auto_rotate_period", 0))
		must(t, m, "PUT keys/c/config", with("auto_rotate_period", "1h")) // made long ago
		step(0, 1)
		latest(4, 2, 2)
		step(240*time.Hour, 2)
		latest(4, 3, 3)
		must(t, m, "PUT keys/b/config", with("deletion_allowed", true))
		must(t, m, "DELETE keys/b", "")
		step(240*time.Hour, 1) // c
	})
}

// A key that cannot be read does not keep others from rotating, and is tried again.
func TestAutoRotateCorrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mount(t)
		must(t, m, "PUT keys/a", with("auto_rotate_period", "1h"))
		must(t, m, "PUT keys/b", with("auto_rotate_period", "1h"))
		if err := m.Store.Apply(t.Context(), storage.Batch{Writes: []storage.Write{{Key: "mount/test/k/a", Value: []byte("{}")}}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if n := m.Expire(time.Now()); n != 2 || m.Due() != 2 {
			t.Errorf("%d ended, %d due", n, m.Due())
		}
		if got := must(t, m, "GET keys/b", ""); field(got, "latest_version") != "2" {
			t.Errorf("%v", got)
		}
	})
}

func TestExport(t *testing.T) {
	m := mount(t)
	for _, k := range []string{"aes256-gcm96", "rsa-2048", "ecdsa-p256", "ed25519", "hmac"} {
		must(t, m, "PUT keys/"+k, with("type", k, "exportable", true))
		must(t, m, "PUT keys/"+k+"/rotate", "")
	}
	for _, c := range []struct{ sort, key, begins string }{
		{"encryption-key", "aes256-gcm96", ""}, {"hmac-key", "aes256-gcm96", ""}, {"hmac-key", "hmac", ""}, {"signing-key", "ed25519", ""}, {"public-key", "ed25519", ""},
		{"encryption-key", "rsa-2048", "-----BEGIN RSA PRIVATE KEY-----"}, {"signing-key", "rsa-2048", "-----BEGIN RSA PRIVATE KEY-----"},
		{"signing-key", "ecdsa-p256", "-----BEGIN EC PRIVATE KEY-----"}, {"public-key", "ecdsa-p256", "-----BEGIN PUBLIC KEY-----"}, {"public-key", "rsa-2048", "-----BEGIN PUBLIC KEY-----"},
	} {
		for version, want := range map[string]string{"": "1 2", "/1": "1", "/latest": "2"} {
			got := must(t, m, "GET export/"+c.sort+"/"+c.key+version, "")
			keys := got["keys"].(map[string]any)
			if names := strings.Join(slices.Sorted(maps.Keys(keys)), " "); names != want || got["name"] != c.key || got["type"] != c.key {
				t.Errorf("%s of %s%s: %v", c.sort, c.key, version, got)
			}
			for _, text := range keys {
				if c.begins == "" {
					if b, err := base64.StdEncoding.DecodeString(text.(string)); err != nil || len(b)%32 != 0 || len(b) == 0 {
						t.Errorf("%s of %s is %d bytes, %v", c.sort, c.key, len(b), err)
					}
				} else if !strings.HasPrefix(text.(string), c.begins) {
					t.Errorf("%s of %s is %v", c.sort, c.key, text)
				}
			}
		}
	}
	must(t, m, "PUT keys/hmac/config", with("min_decryption_version", 2))
	refused(t, m, "GET export/hmac-key/hmac/1", "", "version for export is below minimum decryption version")
	refused(t, m, "GET export/hmac-key/hmac/3", "", "version does not exist or cannot be found")
	refused(t, m, "GET export/hmac-key/hmac/x", "", "invalid key version")
	refused(t, m, "GET export/encryption-key/hmac", "", "encryption not supported for the key")
	refused(t, m, "GET export/signing-key/aes256-gcm96", "", "signing not supported for the key")
	refused(t, m, "GET export/certificate-chain/rsa-2048", "", "does not have a certificate chain")
	refused(t, m, "GET export/cmac-key/hmac", "", "Enterprise")
}

// However a key gets into a log line, it does not get out.
func TestNothingPrints(t *testing.T) {
	m := mount(t)
	must(t, m, "PUT keys/k", with("exportable", true))
	secret := field(must(t, m, "GET export/encryption-key/k", "")["keys"].(map[string]any), "1")
	b := must1(base64.StdEncoding.DecodeString(secret))
	k := must1(m.Engine.(*backend).load(t.Context(), storage.Begin(m.Store).View("mount/test/"), "k"))
	if k.Current != nil {
		t.Error("the cached key holds its encoding")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, v := range []any{k, k.current, &backup{Policy: policy{Keys: map[string]entry{"1": {Key: b}}}}, []any{k, k.current}} {
			s := fmt.Sprintf(verb, v)
			if strings.Contains(s, fmt.Sprintf("%x", b[:4])) || strings.Contains(s, fmt.Sprint(b[0], b[1], b[2])) || strings.Contains(s, secret[:6]) {
				t.Errorf("%s of %T prints %s", verb, v, s)
			}
		}
	}
	if j, err := json.Marshal(k.current.secret); err == nil {
		t.Errorf("encoded as %s", j)
	}
}
