package compat

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"strongroom/test/cluster"
)

// declared is a small cluster in text: some of every kind of thing.
// gate is a file that the last part waits for.
func declared(gate string) string {
	return fmt.Sprintf(`
initialize "base" {
  request "kv" {
    operation = "update"
    path      = "sys/mounts/secret"
    data = {
      type    = "kv"
      options = { version = "2" }
    }
  }
  request "again" {
    operation     = "update"
    path          = "sys/mounts/secret"
    data          = { type = "kv" }
    allow_failure = true
  }
  request "policy" {
    operation = "update"
    path      = "sys/policies/acl/admin"
    data = {
      policy = <<EOT
path "secret/*" { capabilities = ["create", "read", "update"] }
path "sys/policies/acl/*" { capabilities = ["read"] }
path "auth/token/accessors" { capabilities = ["list", "sudo"] }
path "auth/token/lookup-accessor" { capabilities = ["create", "update"] }
EOT
    }
  }
  request "userpass" {
    operation = "create"
    path      = "/v1/sys/auth/userpass"
    data { type = "userpass" }
  }
}
initialize "people" {
  request "admin" {
    operation = "update"
    path      = "auth/userpass/users/admin"
    data = {
      password       = { eval_source = "env", eval_type = "string", env_var = "ADMIN_PASSWORD", require_present = true }
      token_policies = ["admin"]
      token_num_uses = 0
    }
  }
  request "login" {
    operation = "update"
    path      = "auth/userpass/login/admin"
    data      = { password = { eval_source = "request", eval_type = "string", initialize_name = "people", request_name = "admin", field_selector = ["data", "password"] } }
  }
  request "secret" {
    operation = "update"
    path      = "secret/data/a"
    token     = { eval_source = "response", eval_type = "string", initialize_name = "people", request_name = "login", field_selector = ["auth", "client_token"] }
    data      = { data = { text = { eval_source = "file", eval_type = "string", path = %q }, number = 7, yes = true, list = [1, "b"] } }
  }
}
`, gate)
}

// password is the administrator's of declared; it must be nowhere but in the answer to a login.
const password = "correct-horse-3141"

// as logs in as declared's administrator.
func as(t *testing.T, n *cluster.Node) *api.Client {
	t.Helper()
	client, err := n.Client("")
	if err != nil {
		t.Fatal(err)
	}
	until(t, func(ctx context.Context) error {
		login, err := client.Logical().WriteWithContext(ctx, "auth/userpass/login/admin", map[string]any{"password": password})
		if err == nil {
			client.SetToken(login.Auth.ClientToken)
		}
		return err
	})
	return client
}

// until tries until there is no error.
func until(t *testing.T, try func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}

// applied waits for declared's last secret and wants its types kept.
func applied(t *testing.T, client *api.Client, text string) {
	t.Helper()
	var s *api.KVSecret
	until(t, func(ctx context.Context) (err error) {
		s, err = client.KVv2("secret").Get(ctx, "a")
		return err
	})
	if got := fmt.Sprintf("%v %v %v %v", s.Data["text"], s.Data["number"], s.Data["yes"], s.Data["list"]); got != text+" 7 true [1 b]" {
		t.Errorf("the declared secret is %s", got)
	}
	if s.VersionMetadata.Version != 1 {
		t.Errorf("the declared secret was written %d times", s.VersionMetadata.Version)
	}
}

// TestDeclaredResumes kills the server while it applies its declaration; it goes on where it was, repeats nothing, and applies nothing more
// afterwards, whatever becomes of the text.
func TestDeclaredResumes(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	c := cluster.NewWith(t, cluster.Options{Config: declared(gate), Env: []string{"ADMIN_PASSWORD=" + password}})
	n := c.Nodes[0]
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	as(t, n) // all but the secret is there: the rest waits at the pipe
	if err := n.Terminate(); err != nil {
		t.Fatal("a declaration under way holds the server's end up:", err)
	}
	restart := func() {
		t.Helper()
		if err := n.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.Unseal(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	restart()
	as(t, n)
	n.Kill()
	if err := os.Remove(gate); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(gate, []byte("from the file"), 0o600); err != nil {
		t.Fatal(err)
	}
	restart()
	applied(t, as(t, n), "from the file")

	text, err := os.ReadFile(n.Config)
	if err != nil {
		t.Fatal(err)
	}
	more := string(text) + `
initialize "more" {
  request "policy" {
    operation = "update"
    path = "sys/policies/acl/late"
    data = { policy = "" }
  }
}`
	if err := os.WriteFile(n.Config, []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	restart()
	until(t, func(context.Context) error {
		if log := n.Tail(); !strings.Contains(log, "the initialize stanzas differ") {
			return fmt.Errorf("the log does not say that a changed declaration is not applied:\n%s", log)
		}
		return nil
	})
	client := as(t, n)
	applied(t, client, "from the file")
	if p, err := client.Sys().GetPolicyWithContext(t.Context(), "late"); err != nil || p != "" {
		t.Errorf("what was declared later: policy %q, %v", p, err)
	}
	silent(t, n)
}

// TestDeclaredFailsOver kills the active node of three while it applies a declaration that goes into a namespace: the next active node goes on,
// once, with the requests that are left, and the third finds nothing to do.
func TestDeclaredFailsOver(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	request := func(name, path, data string) string {
		return fmt.Sprintf("  request %q {\n    operation = \"update\"\n    path = %q\n    data = %s\n  }\n", name, path, data)
	}
	config := "initialize \"team\" {\n" +
		request("namespace", "sys/namespaces/team", `{ custom_metadata = { owner = "ada" } }`) +
		request("below", "team/sys/namespaces/inner", `{}`) +
		request("kv", "team/inner/sys/mounts/secret", `{ type = "kv", options = { version = "2" } }`) +
		request("before", "team/inner/secret/data/before", `{ data = { k = "v" } }`) +
		request("gated", "team/inner/secret/data/gated", fmt.Sprintf(`{ data = { k = { eval_source = "file", eval_type = "string", path = %q } } }`, gate)) +
		request("after", "team/inner/secret/data/after", `{ data = { k = "v" } }`) + "}\n"
	c := cluster.NewWith(t, cluster.Options{Nodes: 3, Config: config})
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, err := c.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	versions := func(client *api.Client, want map[string]int) {
		t.Helper()
		inner := client.WithNamespace("team/inner")
		for key, version := range want {
			until(t, func(ctx context.Context) error {
				s, err := inner.KVv2("secret").Get(ctx, key)
				if err == nil && s.VersionMetadata.Version != version {
					t.Fatalf("%s has version %d, want %d", key, s.VersionMetadata.Version, version)
				}
				return err
			})
		}
	}
	client, err := first.Client(c.Keys.Root)
	if err != nil {
		t.Fatal(err)
	}
	versions(client, map[string]int{"before": 1})
	first.Kill() // it waits at the pipe
	next, err := c.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(gate); err != nil { // who waits there already waits on: the next one to lead reads the file
		t.Fatal(err)
	}
	if err := os.WriteFile(gate, []byte("from the file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if client, err = next.Client(c.Keys.Root); err != nil {
		t.Fatal(err)
	}
	if err := client.Sys().StepDownWithContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes {
		if n == first {
			continue
		}
		if client, err = n.Client(c.Keys.Root); err != nil {
			t.Fatal(err)
		}
		versions(client, map[string]int{"before": 1, "gated": 1, "after": 1})
	}
	if err := first.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Unseal(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if client, err = first.Client(c.Keys.Root); err != nil {
		t.Fatal(err)
	}
	versions(client, map[string]int{"before": 1, "gated": 1, "after": 1})
	if _, err := client.KVv2("secret").Get(t.Context(), "before"); err == nil {
		t.Error("what was declared in the namespace is in the root")
	}
}

// silent wants no secret of declared in n's log.
func silent(t *testing.T, n *cluster.Node) {
	t.Helper()
	log, err := os.ReadFile(n.Log())
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{password, "from the file"} {
		if strings.Contains(string(log), secret) {
			t.Errorf("the log shows %q", secret)
		}
	}
}

// TestDeclaredAlone has a server that unseals itself make its whole cluster from text, with nobody ever holding a root token. A request that
// fails says where it is; mended, the rest follows.
func TestDeclaredAlone(t *testing.T) {
	dir := t.TempDir()
	gate, log := filepath.Join(dir, "gate"), filepath.Join(dir, "audit.log")
	key := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	c := cluster.NewWith(t, cluster.Options{Env: []string{"ADMIN_PASSWORD=" + password}, Config: fmt.Sprintf(`
seal "static" {
  current_key_id = "1"
  current_key    = %q
}
audit "file" "file" {
  file_path = %q
}
`, key, log) + declared(gate)})
	n := c.Nodes[0]
	until(t, func(context.Context) error {
		tail := n.Tail()
		for _, want := range []string{"config.hcl:", `initialize \"people\", request \"secret\"`, "no such file"} {
			if !strings.Contains(tail, want) && !strings.Contains(tail, strings.ReplaceAll(want, `\"`, `"`)) {
				return fmt.Errorf("the log does not say %s:\n%s", want, tail)
			}
		}
		return nil
	})
	if err := os.WriteFile(gate, []byte("from the file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	client := as(t, n)
	applied(t, client, "from the file")
	status, err := client.Sys().SealStatusWithContext(t.Context())
	if err != nil || !status.Initialized || status.Sealed {
		t.Errorf("the server says %+v, %v", status, err)
	}
	tokens, err := client.Logical().ListWithContext(t.Context(), "auth/token/accessors")
	if err != nil {
		t.Fatal(err)
	}
	for _, accessor := range tokens.Data["keys"].([]any) {
		token, err := client.Auth().Token().LookupAccessorWithContext(t.Context(), accessor.(string))
		if err != nil {
			t.Fatal(err)
		}
		if name := token.Data["display_name"]; name != "userpass-admin" {
			t.Errorf("there is a token of %v", name)
		}
	}
	records, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"display_name":"initialize"`, `"path":"sys/policies/acl/admin"`, `"request":"policy"`} {
		if !strings.Contains(string(records), want) {
			t.Errorf("the audit log has no %s", want)
		}
	}
	if strings.Contains(string(records), password) {
		t.Error("the audit log shows the password")
	}
	silent(t, n)
}
