package e2e_test

import (
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"strongroom/test/cluster"
)

// soon is how long the operator may take to notice, at a refreshAfter of 1 s.
const soon = 20 * time.Second

// testErrors does so to the letter.
func testErrors(t *testing.T, w *world) {
	root := w.ready(t)
	setUpErrors(t, w, root)
	t.Run("WrongToken", func(t *testing.T) { testWrongToken(t, w) })
	t.Run("PolicyDenies", func(t *testing.T) { testPolicyDenies(t, w, root) })
	t.Run("MissingSecret", func(t *testing.T) { testMissingSecret(t, w) })
	t.Run("Operator", func(t *testing.T) { testOperatorErrors(t, w) })
	t.Run("WrongShare", func(t *testing.T) { testWrongShare(t, w) })
	t.Run("Sealed", func(t *testing.T) { testSealed(t, w) })
}

// setUpErrors makes a KV engine, the login of namespace errors, and its secret.
func setUpErrors(t *testing.T, w *world, root *api.Client) {
	t.Helper()
	ctx := t.Context()
	w.namespace(t, "errors")
	w.namespace(t, "errors-other")
	write := func(path string, data map[string]any) {
		t.Helper()
		if _, err := root.Logical().WriteWithContext(ctx, path, data); err != nil {
			t.Fatal(err)
		}
	}
	write("sys/mounts/errors", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}})
	write("sys/auth/errors", map[string]any{"type": "kubernetes"})
	write("auth/errors/config", map[string]any{
		"kubernetes_host": w.cp.URL, "kubernetes_ca_cert": string(w.cp.CA), "token_reviewer_jwt": readFile(t, w.account+"/token"),
	})
	write("sys/policies/acl/errors", map[string]any{"policy": `path "errors/data/app" { capabilities = ["read"] } path "errors/data/none" { capabilities = ["read"] }`})
	write("auth/errors/role/app", map[string]any{
		"bound_service_account_names": "default", "bound_service_account_namespaces": "errors", "policies": "errors",
	})
	write("errors/data/app", map[string]any{"data": map[string]any{"user": "ann", "password": "s3cret"}})
}

// refused runs the command line against a node, with a token, and wants its exit
// code and exactly what it prints on standard error. In want, ADDR is the
// node's address.
func (w *world) refused(t *testing.T, n *cluster.Node, token string, code int, want string, args ...string) {
	t.Helper()
	cmd := w.servers.Vault(t.Context(), n, args...)
	cmd.Env = append(cmd.Env, "VAULT_TOKEN="+token)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code || len(out) > 0 {
		t.Errorf("vault %s exits with %d and prints %q, want %d and nothing", args[0], got, out, code)
	}
	want = strings.ReplaceAll(want, "ADDR", n.Addr)
	if got := strings.TrimSpace(errs.String()); got != want {
		t.Errorf("vault %s says\n%s\nwant\n%s", strings.Join(args, " "), got, want)
	}
}

func testWrongToken(t *testing.T, w *world) {
	for _, n := range w.servers.Nodes { // one answers, the others forward
		w.refused(t, n, "hvs.wrong", 2, `Error making API request.

URL: GET ADDR/v1/sys/internal/ui/mounts/errors
Code: 403. Errors:

* 2 errors occurred:
	* permission denied
	* invalid token`, "kv", "get", "-mount=errors", "app")
		w.refused(t, n, "", 2, `Error authenticating: error looking up token: Error making API request.

URL: GET ADDR/v1/auth/token/lookup-self
Code: 403. Errors:

* 2 errors occurred:
	* permission denied
	* invalid token`, "login", "hvs.wrong")
	}
}

func testPolicyDenies(t *testing.T, w *world, root *api.Client) {
	secret, err := root.Auth().Token().CreateWithContext(t.Context(), &api.TokenCreateRequest{Policies: []string{"errors"}})
	if err != nil {
		t.Fatal(err)
	}
	w.refused(t, w.servers.Nodes[0], secret.Auth.ClientToken, 2, `Error writing data to errors/data/app: Error making API request.

URL: PUT ADDR/v1/errors/data/app
Code: 403. Errors:

* 1 error occurred:
	* permission denied`, "kv", "put", "-mount=errors", "app", "user=eve")
	w.refused(t, w.servers.Nodes[0], secret.Auth.ClientToken, 2, `Error reading errors/data/other: Error making API request.

URL: GET ADDR/v1/errors/data/other
Code: 403. Errors:

* 1 error occurred:
	* permission denied`, "kv", "get", "-mount=errors", "other")
}

func testMissingSecret(t *testing.T, w *world) {
	w.refused(t, w.servers.Nodes[0], w.servers.Keys.Root, 2, "No value found at errors/data/none", "kv", "get", "-mount=errors", "none")
}

// vaultSecret is a VaultSecret that reads path of the engine errors/ as the role
// app, into a Secret of its own name.
func vaultSecret(namespace, name, role, path, value string) string {
	return fmt.Sprintf(`
apiVersion: secrets.hashicorp.com/v1beta1
kind: VaultSecret
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  refreshAfter: 1s
  vault: {address: 'http://vault.vault:8200', auth: {kubernetes: {role: %[3]s, mountPath: errors}}}
  source: {kv: {path: errors/%[4]s}}
  target: {name: %[2]s, template: {stringData: {value: '%[5]s'}}}
`, namespace, name, role, path, value)
}

func testOperatorErrors(t *testing.T, w *world) {
	for _, test := range []struct{ name, namespace, role, path, value, status, message string }{
		{
			"other-namespace", "errors-other", "app", "app", "{{ .user }}", "LoginFailed",
			"service account default of namespace errors-other cannot log in with role \"app\" at auth/errors: HTTP 403: namespace not authorized; " +
				"see that `vault read auth/errors/role/app` shows bound_service_account_names with default and bound_service_account_namespaces with errors-other",
		},
		{
			"no-role", "errors", "nobody", "app", "{{ .user }}", "LoginFailed",
			"service account default of namespace errors cannot log in with role \"nobody\" at auth/errors: HTTP 400: invalid role name \"nobody\"; " +
				"see that `vault read auth/errors/role/nobody` shows bound_service_account_names with default and bound_service_account_namespaces with errors",
		},
		{
			"denied", "errors", "app", "other", "{{ .user }}", "PermissionDenied",
			`role "app" (auth/errors, service account errors/default) has no capability "read" on errors/data/other: ` +
				`attach a policy with path "errors/data/other" { capabilities = ["read"] } to the role`,
		},
		{
			"missing", "errors", "app", "none", "{{ .user }}", "NotFound",
			"there is no secret errors/none on the server: write it with `vault kv put errors/none KEY=VALUE`, or correct source.kv.path",
		},
		{
			"missing-key", "errors", "app", "app", "{{ .usr }}", "TemplateError",
			"template of key \"value\", line 1: the source has no key \"usr\"; it has password, user " +
				"(`vault kv put` replaces all keys; `vault kv patch errors/app usr=VALUE` adds one)",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.pipe(t, vaultSecret(test.namespace, test.name, test.role, test.path, test.value), "apply", "--validate=strict", "-f", "-")
			if got := w.condition(t, test.namespace, test.name, test.status, soon); got != test.message {
				t.Errorf("the VaultSecret says\n%s\nwant\n%s", got, test.message)
			}
			if list := w.kubectl(t, "get", "secret", "-n", test.namespace, "-o", "name"); strings.Contains(list, "secret/"+test.name+"\n") {
				t.Error("there is a Secret nevertheless")
			}
			w.described(t, test.namespace, test.name, "Warning  "+test.status)
		})
	}
}

// testWrongShare gives a sealed node three shares, the third with a letter wrong.
func testWrongShare(t *testing.T, w *world) {
	n := w.servers.Nodes[2]
	if err := n.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	good := w.servers.Keys.Shares
	wrong := []byte(good[2])
	if wrong[10] != 'A' {
		wrong[10] = 'A'
	} else {
		wrong[10] = 'B'
	}
	for _, share := range good[:2] {
		if out, err := w.servers.Vault(t.Context(), n, "operator", "unseal", share).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	w.refused(t, n, "", 2, `Error unsealing: Error making API request.

URL: PUT ADDR/v1/sys/unseal
Code: 400. Errors:

* unseal failed: the keys do not open this cluster's seal, so at least one of them is wrong; all 3 were discarded: enter them again`, "operator", "unseal", string(wrong))
	w.refused(t, n, "", 2, `Error unsealing: Error making API request.

URL: PUT ADDR/v1/sys/unseal
Code: 400. Errors:

* 'key' must be a valid hex or base64 string`, "operator", "unseal", "nonsense!")
	if err := w.servers.Unseal(t.Context(), n); err != nil {
		t.Fatal("after a wrong share the right ones must do:", err)
	}
}

// testSealed seals all servers under a VaultSecret that works, and unseals them.
func testSealed(t *testing.T, w *world) {
	const namespace, name = "errors", "app-password"
	const sealed = "http://vault.vault:8200 is sealed: unseal every node with `vault operator unseal`; Secret app-password keeps version 1"
	w.pipe(t, vaultSecret(namespace, name, "app", "app", "{{ .password }}"), "apply", "--validate=strict", "-f", "-")
	w.condition(t, namespace, name, "Valid", soon)
	holds := map[string]string{"value": "s3cret"}
	for _, n := range w.servers.Nodes {
		if out, err := withToken(w.servers.Vault(t.Context(), n, "operator", "seal"), w.servers.Keys.Root).CombinedOutput(); err != nil {
			t.Fatalf("seal %s: %v\n%s", n.Name, err, out)
		}
	}
	for _, n := range w.servers.Nodes {
		status := w.servers.Vault(t.Context(), n, "status")
		if out, _ := status.CombinedOutput(); status.ProcessState.ExitCode() != 2 {
			t.Errorf("%s was sealed, but vault status exits with %d, want 2:\n%s", n.Name, status.ProcessState.ExitCode(), out)
		}
	}
	w.refused(t, w.servers.Nodes[0], w.servers.Keys.Root, 2, `Error making API request.

URL: GET ADDR/v1/sys/internal/ui/mounts/errors
Code: 503. Errors:

* Vault is sealed`, "kv", "get", "-mount=errors", "app")
	if got, want := w.condition(t, namespace, name, "ServerSealed", soon), sealed; got != want {
		t.Errorf("the VaultSecret says\n%s\nwant\n%s", got, want)
	}
	if got := w.secret(t, namespace, name); !maps.Equal(got, holds) {
		t.Errorf("while the servers are sealed the Secret holds %v, want %v", got, holds)
	}
	for _, n := range w.servers.Nodes {
		if err := w.servers.Unseal(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	w.condition(t, namespace, name, "Valid", soon)
	if got := w.secret(t, namespace, name); !maps.Equal(got, holds) {
		t.Errorf("after that the Secret holds %v, want %v", got, holds)
	}
}

func withToken(cmd *exec.Cmd, token string) *exec.Cmd {
	cmd.Env = append(cmd.Env, "VAULT_TOKEN="+token)
	return cmd
}
