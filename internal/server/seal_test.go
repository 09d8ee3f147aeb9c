package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/node"
)

const sealBase = "disable_mlock = true\nstorage \"inmem\" {}\nlistener \"tcp\" { tls_disable = true }\n"

func quiet(t *testing.T) {
	t.Helper()
	t.Setenv("VAULT_SEAL_TYPE", "")
	for _, parameters := range sealParameters {
		for _, p := range parameters {
			if p.env != "" {
				t.Setenv(p.env, "")
			}
		}
	}
}

func TestSealStanzas(t *testing.T) {
	quiet(t)
	write(t, map[string]string{"v.hcl": sealBase + `
seal "transit" {
  address = "https://a:8200"
  token = "hvs.secret-token"
  key_name = "k"
  mount_path = "transit/"
  priority = 1
  tls_skip_verify = "true"
  colour = "red"
}
seal "static" {
  disabled = "true"
  current_key_id = "one"
  current_key = "c2VjcmV0"
}
seal "peer" {
  service_account = "vault"
}
`})
	c, warnings, err := LoadConfig("v.hcl")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(warnings, "\n")
	if !strings.Contains(text, "colour") || !strings.Contains(text, "priority") || strings.Contains(text, "secret-token") || len(warnings) != 2 {
		t.Errorf("warnings: %s", text)
	}
	want := []SealStanza{
		{Type: "transit", Params: map[string]string{"address": "https://a:8200", "token": "hvs.secret-token", "key_name": "k", "mount_path": "transit/", "tls_skip_verify": "true"}},
		{Type: "static", Disabled: true, Params: map[string]string{"current_key_id": "one", "current_key": "c2VjcmV0"}},
		{Type: "peer", Params: map[string]string{"service_account": "vault"}},
	}
	if len(c.Seals) != len(want) {
		t.Fatal(c.Seals)
	}
	for i, w := range want {
		if s := c.Seals[i]; s.Type != w.Type || s.Disabled != w.Disabled || !maps.Equal(s.Params, w.Params) {
			t.Errorf("%v is %v %v", s, s.Disabled, s.Params)
		}
	}
	if s := fmt.Sprintf("%v %+v", c.Seals, c.Seals); strings.Contains(s, "secret") {
		t.Error("parameters print:", s)
	}
}

// What the CLI's variables say of this very server does not move the seal to it; the seal's own variables go first.
func TestSealEnvironment(t *testing.T) {
	env := map[string]string{"VAULT_ADDR": "https://127.0.0.1:8200", "VAULT_TOKEN": "hvs.env", "VAULT_TRANSIT_SEAL_KEY_NAME": "env-key", "VAULT_TRANSIT_SEAL_MOUNT_PATH": "env"}
	getenv := func(name string) string { return env[name] }
	c := &Config{Seals: []SealStanza{
		{Type: "transit", Params: map[string]string{"address": "https://far:8200", "key_name": "k"}},
		{Type: "transit", Disabled: true, Params: map[string]string{"address": "https://old:8200", "key_name": "k"}},
	}}
	if err := sealEnvironment(c, getenv); err != nil {
		t.Fatal(err)
	}
	if p := c.Seals[0].Params; p["address"] != "https://far:8200" || p["token"] != "hvs.env" || p["key_name"] != "env-key" || p["mount_path"] != "env" {
		t.Errorf("the seal: %v", p)
	}
	if p := c.Seals[1].Params; p["key_name"] != "k" || p["address"] != "https://old:8200" {
		t.Errorf("the old seal: %v", p)
	}
	env["VAULT_SEAL_TYPE"] = "transit"
	c = &Config{}
	if err := sealEnvironment(c, getenv); err != nil || len(c.Seals) != 1 || c.Seals[0].Params["address"] != "https://127.0.0.1:8200" {
		t.Errorf("from the environment alone: %v, %v", c.Seals, err)
	}
	if _, err := openSeal(c.Seals[0]); err != nil {
		t.Error(err)
	}
	if err := sealEnvironment(c, getenv); err != nil || len(c.Seals) != 1 {
		t.Error("a seal of the type is there already", c.Seals)
	}
	env["VAULT_SEAL_TYPE"] = "awskms"
	if err := sealEnvironment(&Config{}, getenv); err == nil || !strings.Contains(err.Error(), `"awskms" is not supported`) {
		t.Error(err)
	}
}

func TestSealErrors(t *testing.T) {
	quiet(t)
	const secret = "s3cr3t-value"
	static := func(lines string) string {
		return "seal \"static\" {\ncurrent_key_id = \"a\"\n" + lines + "\n}"
	}
	key := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for name, c := range map[string]struct{ text, want string }{
		"two":             {static("current_key = \""+key+"\"") + "\n" + `seal "transit" {}`, "a second seal that counts, the first is at v.hcl:4:1"},
		"two old":         {"seal \"static\" { disabled = true }\nseal \"transit\" { disabled = true }", "a second seal that counts"},
		"disabled shamir": {`seal "shamir" { disabled = true }`, "cannot be disabled: leave the block out"},
		"block":           {"seal \"static\" {\ncurrent_key {}\n}", "current_key: one value is needed here"},
		"no key":          {static(""), "current_key_id and current_key are needed"},
		"short":           {static(`current_key = "` + secret + `"`), "a key of 32 bytes is needed"},
		"no file":         {static(`current_key = "file:///does/not/exist"`), "current_key: open /does/not/exist"},
		"no variable":     {static(`current_key = "env://STRONGROOM_NO_SUCH_KEY"`), "the environment variable STRONGROOM_NO_SUCH_KEY is not set"},
		"half a previous": {static("current_key = \"" + key + "\"\nprevious_key = \"" + key + "\""), "previous_key_id and previous_key are needed"},
		"same id":         {static("current_key = \"" + key + "\"\nprevious_key = \"" + key + "\"\nprevious_key_id = \"a\""), "are the same"},
		"transit":         {`seal "transit" { token = "` + secret + `" }`, "address, token, key_name and mount_path are needed"},
		"transit flag":    {`seal "transit" { disable_renewal = "maybe" }`, "disable_renewal: true or false"},
		"transit CA":      {`seal "transit" { tls_ca_cert = "/does/not/exist" }`, "tls_ca_cert: open"},
		"transit client":  {`seal "transit" { tls_client_cert = "v.hcl" }`, "tls_client_cert and tls_client_key"},
	} {
		write(t, map[string]string{"v.hcl": sealBase + c.text})
		config, _, err := LoadConfig("v.hcl")
		if err == nil {
			err = openSeals(&node.Config{}, config.Seals)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "v.hcl:") {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s shows a secret: %v", name, err)
		}
	}
}

// Every documented form of a static key is the same key.
func TestStaticKeyForms(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcde\xff")
	write(t, map[string]string{"raw": string(key), "base64": base64.StdEncoding.EncodeToString(key) + "\n", "hex": hex.EncodeToString(key) + "\n"})
	t.Setenv("STRONGROOM_TEST_KEY", base64.StdEncoding.EncodeToString(key))
	for _, source := range []string{"file://raw", "file://base64", "file://hex", "env://STRONGROOM_TEST_KEY", base64.StdEncoding.EncodeToString(key), hex.EncodeToString(key)} {
		k, err := staticKey(map[string]string{"current_key_id": "a", "current_key": source}, "current")
		if err != nil || !bytes.Equal(k.Key, key) || k.ID != "a" {
			t.Errorf("%s: %v", source[:8], err)
		}
	}
}

// A server whose configuration has a static seal needs nobody.
func TestStaticServer(t *testing.T) {
	quiet(t)
	write(t, map[string]string{"v.hcl": sealBase + "seal \"static\" {\ncurrent_key_id = \"a\"\ncurrent_key = \"" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\"\n}"})
	c, _, err := LoadConfig("v.hcl")
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nodeConfig(c, Options{}, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	n := node.New(nc)
	if err := n.Start(nil); err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	res, err := n.Init(context.Background(), node.InitRequest{RecoveryShares: 1, RecoveryThreshold: 1})
	if err != nil || !res.Recovery {
		t.Fatal(err)
	}
	if st := n.State(); st.Sealed || !st.Active || st.SealType != "static" {
		t.Errorf("%+v", st)
	}
}
