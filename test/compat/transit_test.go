package compat

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"

	"strongroom/test/cluster"
)

// A day of a key by the Go client: made, used, rotated, rewrapped, retired.
func TestGoClientTransit(t *testing.T) {
	s := startDev(t)
	client := s.client(t, "root")
	if err := client.Sys().Mount("transit", &api.MountInput{Type: "transit"}); err != nil {
		t.Fatal(err)
	}
	write := func(path string, data map[string]any) map[string]any {
		t.Helper()
		secret := must[*api.Secret](t)(client.Logical().Write(path, data))
		if secret == nil {
			return nil
		}
		return secret.Data
	}
	fox := base64.StdEncoding.EncodeToString([]byte("the quick brown fox"))
	made := write("transit/keys/app", nil)
	if made["type"] != "aes256-gcm96" || made["latest_version"] != json.Number("1") || made["supports_encryption"] != true {
		t.Errorf("made %v", made)
	}
	one := write("transit/encrypt/app", map[string]any{"plaintext": fox})
	if !strings.HasPrefix(fmt.Sprint(one["ciphertext"]), "vault:v1:") || one["key_version"] != json.Number("1") {
		t.Errorf("encrypted %v", one)
	}
	write("transit/keys/app/rotate", nil)
	two := write("transit/rewrap/app", map[string]any{"ciphertext": one["ciphertext"]})
	write("transit/keys/app/config", map[string]any{"min_decryption_version": 2})
	if got := write("transit/decrypt/app", map[string]any{"ciphertext": two["ciphertext"]}); got["plaintext"] != fox {
		t.Errorf("decrypted %v", got)
	}
	_, err := client.Logical().Write("transit/decrypt/app", map[string]any{"ciphertext": one["ciphertext"]})
	refused(t, err, 400, "ciphertext or signature version is disallowed by policy (too old)")
	_, err = client.Logical().Delete("transit/keys/app")
	refused(t, err, 400, "deletion is not allowed for this key")
	if list := must[*api.Secret](t)(client.Logical().List("transit/keys")); fmt.Sprint(list.Data["keys"]) != "[app]" {
		t.Errorf("listed %v", list.Data)
	}
	if got, err := client.Logical().Read("transit/keys/none"); got != nil || err != nil {
		t.Errorf("read of nothing: %v, %v", got, err)
	}

	write("transit/keys/signer", map[string]any{"type": "ecdsa-p256"})
	signed := write("transit/sign/signer/sha2-256", map[string]any{"input": fox})
	key := must[*api.Secret](t)(client.Logical().Read("transit/keys/signer")).Data["keys"].(map[string]any)["1"].(map[string]any)
	block, _ := pem.Decode([]byte(key["public_key"].(string)))
	public := must[any](t)(x509.ParsePKIXPublicKey(block.Bytes)).(*ecdsa.PublicKey)
	signature := must[[]byte](t)(base64.StdEncoding.DecodeString(strings.TrimPrefix(signed["signature"].(string), "vault:v1:")))
	sum := sha256.Sum256([]byte("the quick brown fox"))
	if !ecdsa.VerifyASN1(public, sum[:], signature) {
		t.Errorf("the signature %v is not by the key that is shown", signed)
	}
	if got := write("transit/verify/signer", map[string]any{"input": fox, "signature": signed["signature"]}); got["valid"] != true {
		t.Errorf("verified %v", got)
	}
	if got := write("transit/datakey/plaintext/app", nil); write("transit/decrypt/app", map[string]any{"ciphertext": got["ciphertext"]})["plaintext"] != got["plaintext"] {
		t.Errorf("a data key %v is not what its ciphertext holds", got)
	}
}

// A batch of which a part fails has its results and an error status at once.
func TestTransitBatchStatus(t *testing.T) {
	s := startDev(t)
	client := s.client(t, "root")
	if err := client.Sys().Mount("transit", &api.MountInput{Type: "transit"}); err != nil {
		t.Fatal(err)
	}
	must[*api.Secret](t)(client.Logical().Write("transit/keys/app", nil))
	for _, c := range []struct {
		body   string
		status int
	}{
		{`{"batch_input":[{"plaintext":"YQ==","reference":"one"},{"plaintext":"YQ==","reference":"two"}]}`, 200},
		{`{"batch_input":[{"plaintext":"YQ==","reference":"one"},{"plaintext":"?","reference":"two"}]}`, 400},
		{`{"partial_failure_response_code":207,"batch_input":[{"plaintext":"YQ==","reference":"one"},{"plaintext":"?","reference":"two"}]}`, 207},
		{`{"partial_failure_response_code":207,"batch_input":[{"plaintext":"?","reference":"one"},{"plaintext":"?","reference":"two"}]}`, 400},
	} {
		req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodPost, s.addr+"/v1/transit/encrypt/app", strings.NewReader(c.body)))
		req.Header.Set("X-Vault-Token", "root")
		resp := must[*http.Response](t)(http.DefaultClient.Do(req))
		var got struct {
			Data struct {
				Results []struct{ Ciphertext, Error, Reference string } `json:"batch_results"`
			}
		}
		err := json.NewDecoder(resp.Body).Decode(&got)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || len(got.Data.Results) != 2 {
			t.Errorf("%s: %s %+v, %v", c.body, resp.Status, got, err)
			continue
		}
		for i, r := range got.Data.Results {
			if r.Reference != []string{"one", "two"}[i] || (r.Ciphertext == "") == (r.Error == "") {
				t.Errorf("%s: item %d is %+v", c.body, i, r)
			}
		}
	}
}

// What the documentation of Vault says about policies: create makes keys, update
// does not; a hash is denied by its path.
func TestTransitPolicies(t *testing.T) {
	s := startDev(t)
	root := s.client(t, "root")
	if err := root.Sys().Mount("transit", &api.MountInput{Type: "transit"}); err != nil {
		t.Fatal(err)
	}
	must[*api.Secret](t)(root.Logical().Write("transit/keys/signer", map[string]any{"type": "rsa-2048"}))
	app := withPolicy(t, s, `path "transit/encrypt/new-*" { capabilities = ["create", "update"] }
		path "transit/encrypt/*" { capabilities = ["update"] }
		path "transit/sign/signer/*" { capabilities = ["update"] }
		path "transit/sign/signer/sha1" { capabilities = ["deny"] }`)
	plain := map[string]any{"plaintext": "YQ=="}
	must[*api.Secret](t)(app.Logical().Write("transit/encrypt/new-one", plain))
	must[*api.Secret](t)(app.Logical().Write("transit/encrypt/new-one", plain))
	_, err := app.Logical().Write("transit/encrypt/old", plain)
	refused(t, err, 403, "permission denied")
	must[*api.Secret](t)(app.Logical().Write("transit/sign/signer/sha2-256", map[string]any{"input": "YQ=="}))
	_, err = app.Logical().Write("transit/sign/signer/sha1", map[string]any{"input": "YQ=="})
	refused(t, err, 403, "permission denied")
	_, err = app.Logical().Read("transit/export/encryption-key/new-one")
	refused(t, err, 403, "permission denied")
}

// A key of one's own goes in by the command line, wrapped, and encrypts as it
// would elsewhere; and it goes from server to server by a backup.
func TestTransitImportCommand(t *testing.T) {
	s := startDev(t)
	key := base64.StdEncoding.EncodeToString([]byte("thirty-two bytes of key material"))
	if err := os.WriteFile(filepath.Join(s.home, "key.b64"), []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, stderr, code := s.shell(t, `export VAULT_TOKEN=root
vault secrets enable transit
vault transit import transit/keys/mine @$HOME/key.b64 exportable=true allow_plaintext_backup=true
vault transit import-version transit/keys/mine @$HOME/key.b64
vault read -field=keys -format=json transit/export/encryption-key/mine
vault write -field=ciphertext transit/encrypt/mine plaintext=YQ== key_version=1 > $HOME/ciphertext
vault write transit/restore/copy backup=$(vault read -field=backup transit/backup/mine)
vault write -field=plaintext transit/decrypt/copy ciphertext=@$HOME/ciphertext`)
	if code != 0 || strings.Count(out, key) != 2 || !strings.Contains(out, "Submitting wrapped key to Vault transit.\nSuccess!\n") || !strings.HasSuffix(strings.TrimSpace(out), "YQ==") {
		t.Errorf("code %d\n%s\n%s", code, out, stderr)
	}
}

// A standby that is asked for the wrapping key, which is not there yet, has the
// leader make it; all nodes then show the same.
func TestTransitOnStandby(t *testing.T) {
	c := cluster.NewReady(t, 3)
	leader := must[*cluster.Node](t)(c.Leader(t.Context()))
	active := must[*api.Client](t)(leader.Client(c.Keys.Root))
	if err := active.Sys().Mount("transit", &api.MountInput{Type: "transit"}); err != nil {
		t.Fatal(err)
	}
	seen := map[any]bool{}
	for _, n := range append([]*cluster.Node{c.Nodes[0], c.Nodes[1], c.Nodes[2]}, leader) {
		client := must[*api.Client](t)(n.Client(c.Keys.Root))
		seen[must[*api.Secret](t)(client.Logical().Read("transit/wrapping_key")).Data["public_key"]] = true
		made := must[*api.Secret](t)(client.Logical().Write("transit/encrypt/app", map[string]any{"plaintext": "YQ=="}))
		if got := must[*api.Secret](t)(client.Logical().Write("transit/decrypt/app", made.Data)); got.Data["plaintext"] != "YQ==" {
			t.Errorf("decrypted %v", got.Data)
		}
	}
	if len(seen) != 1 {
		t.Errorf("%d wrapping keys", len(seen))
	}
}

// One server is the seal of another: it wraps the other's root key by transit, also
// after its own key was rotated.
func TestTransitSealsAnother(t *testing.T) {
	s := startDev(t)
	root := s.client(t, "root")
	if err := root.Sys().Mount("transit", &api.MountInput{Type: "transit"}); err != nil {
		t.Fatal(err)
	}
	must[*api.Secret](t)(root.Logical().Write("transit/keys/autounseal", nil))
	sealer := withPolicy(t, s, `path "transit/encrypt/autounseal" { capabilities = ["update"] }
		path "transit/decrypt/autounseal" { capabilities = ["update"] }`)
	c := cluster.NewWith(t, cluster.Options{Nodes: 1, Config: fmt.Sprintf("seal \"transit\" {\n  address = %q\n  token = %q\n  key_name = \"autounseal\"\n  mount_path = \"transit/\"\n  disable_renewal = \"true\"\n}\n", s.addr, sealer.Token())})
	node := c.Nodes[0]
	client := must[*api.Client](t)(node.Client(""))
	made := must[*api.InitResponse](t)(client.Sys().InitWithContext(t.Context(), &api.InitRequest{RecoveryShares: 1, RecoveryThreshold: 1}))
	c.Keys = &cluster.Keys{Root: made.RootToken}
	for range 2 {
		if err := c.AwaitVoters(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		must[*api.Secret](t)(root.Logical().Write("transit/keys/autounseal/rotate", nil))
		node.Kill()
		if err := node.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.AwaitVoters(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
}
