package operator_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"strongroom/api/v1beta1"
	"strongroom/test/cluster"
)

const realPolicy = `
path "sys/events/subscribe/kv-v2/*" { capabilities = ["read"] }
path "secret/data/app/*" {
  capabilities          = ["read", "subscribe"]
  subscribe_event_types = ["kv-v2/*"]
}
path "secret/metadata/app/*" { capabilities = ["list"] }
path "secret/data/quiet/*" { capabilities = ["read"] }
path "secret/data/push/*" { capabilities = ["create", "read", "update", "delete"] }
path "secret/metadata/push/*" { capabilities = ["create", "read", "update"] }
path "old/push/*" { capabilities = ["create", "read", "update", "delete"] }
`

// TestRealServer runs the operator between a real control plane and a real server, which logs in service accounts by
// asking that control plane.
func TestRealServer(t *testing.T) {
	servers := cluster.NewReady(t, 1)
	node := servers.Nodes[0]
	root, err := node.Client(servers.Keys.Root)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{address: strings.TrimPrefix(node.Addr, "http://"), reportAs: "prod"}
	w.control(t)
	write := func(path string, body map[string]any) {
		t.Helper()
		if _, err := root.Logical().WriteWithContext(t.Context(), path, body); err != nil {
			t.Fatalf("write %s: %v", path, err)
		}
	}
	prepare(t, w, write)

	const count = 20
	for i := range count {
		write(fmt.Sprintf("secret/data/app/%d", i), map[string]any{"data": map[string]any{"A": "1"}})
		text := manifest("app", fmt.Sprintf("s%d", i), fmt.Sprintf("secret/app/%d", i), inline("app"), "")
		w.apply(t, strings.Replace(text, "  refreshAfter: 1s\n", "", 1))
	}
	write("secret/data/quiet/q", map[string]any{"data": map[string]any{"A": "1"}})
	w.apply(t, resource("VaultSecret", "app", "quiet", "{refreshAfter: 1s, "+inline("app")+", sources: [{path: secret/data/quiet/q}], target: {name: quiet}}"))
	for i := range count {
		vs := w.secretStatus(t, "app", fmt.Sprintf("s%d", i), "Valid")
		eventually(t, 2*limit, func() string {
			vs = w.secretStatus(t, "app", fmt.Sprintf("s%d", i), "Valid")
			if vs.Status.Updates != v1beta1.UpdatesEvents {
				return fmt.Sprintf("s%d learns of changes by %q", i, vs.Status.Updates)
			}
			return ""
		})
	}
	if vs := w.secretStatus(t, "app", "quiet", "Valid"); vs.Status.Updates != v1beta1.UpdatesPolling {
		t.Errorf("a path whose changes are not told is followed by %q", vs.Status.Updates)
	}
	testInstant(t, w, write, count)
	testRealKinds(t, w, write)
	testPlugin(t, w, write)
	testPush(t, w, root)
	testConsumers(t, w, root, count)
	testSealed(t, w, servers, root, count)
	testUninstall(t, w, root)
}

// prepare mounts an engine, and lets the service account default of namespace app log in.
func prepare(t *testing.T, w *world, write func(string, map[string]any)) {
	t.Helper()
	w.kubectl(t, "", "create", "namespace", "app")
	if err := w.cp.WaitServiceAccount(t.Context(), "app", "default"); err != nil {
		t.Fatal(err)
	}
	w.kubectl(t, "", "create", "serviceaccount", "reviewer", "-n", "app")
	w.kubectl(t, "", "create", "clusterrolebinding", "reviewer", "--clusterrole=system:auth-delegator", "--serviceaccount=app:reviewer")
	ca := string(w.config.CAData)
	if ca == "" {
		pem, err := os.ReadFile(w.config.CAFile)
		if err != nil {
			t.Fatal(err)
		}
		ca = string(pem)
	}
	write("sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}})
	write("sys/auth/kubernetes", map[string]any{"type": "kubernetes"})
	write("auth/kubernetes/config", map[string]any{
		"kubernetes_host": w.cp.URL, "kubernetes_ca_cert": ca,
		"token_reviewer_jwt": strings.TrimSpace(w.kubectl(t, "", "create", "token", "reviewer", "-n", "app")),
	})
	write("sys/policies/acl/app", map[string]any{"policy": realPolicy})
	write("auth/kubernetes/role/app", map[string]any{
		"bound_service_account_names": "default", "bound_service_account_namespaces": "app", "token_policies": "app", "token_ttl": "1h",
	})
}

// A value changed on the server is in the Secret at once, although nothing polls for an hour.
func testInstant(t *testing.T, w *world, write func(string, map[string]any), count int) {
	t.Helper()
	var took []time.Duration
	for i := range count {
		value := fmt.Sprintf("changed %d", i)
		began := time.Now()
		write(fmt.Sprintf("secret/data/app/%d", i), map[string]any{"data": map[string]any{"A": value}})
		w.holds(t, "app", fmt.Sprintf("s%d", i), map[string]string{"A": value})
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("from the write to the Secret: median %s, worst %s (looked at every 20 ms)", took[count/2], took[count-1])
}

// A sealed server is told of, and all is well again within seconds of the unsealing, without any restart.
func testSealed(t *testing.T, w *world, servers *cluster.Cluster, root *vault.Client, count int) {
	t.Helper()
	if err := root.Sys().SealWithContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.secretStatus(t, "app", "quiet", "ServerSealed", "vault operator unseal")
	w.secretStatus(t, "app", "s0", "ServerSealed", "vault operator unseal") // its stream is gone, so it polls
	if err := servers.Unseal(t.Context(), servers.Nodes[0]); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	w.secretStatus(t, "app", "quiet", "Valid")
	for i := range count {
		w.secretStatus(t, "app", fmt.Sprintf("s%d", i), "Valid")
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("all is well %s after the unsealing", took)
	} else {
		t.Logf("all is well %s after the unsealing", took)
	}
}

// An operator that is told to end, as `helm uninstall` does it, leaves none of its logins on the server.
func testUninstall(t *testing.T, w *world, root *vault.Client) {
	t.Helper()
	w.stop()
	former := accessors(t, root)
	w.start(t, "operator")
	held := 0
	eventually(t, limit, func() string {
		for accessor := range accessors(t, root) {
			if !former[accessor] {
				held++
			}
		}
		if held == 0 {
			return "the operator has not logged in"
		}
		return ""
	})
	w.secretStatus(t, "app", "s0", "Valid")
	w.stop()
	for accessor := range accessors(t, root) {
		if !former[accessor] {
			t.Errorf("after the end of the operator its login %s lives", accessor)
		}
	}
}

// accessors are those of all tokens that live.
func accessors(t *testing.T, root *vault.Client) map[string]bool {
	t.Helper()
	answer, err := root.Logical().ListWithContext(t.Context(), "auth/token/accessors")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]bool)
	keys, _ := answer.Data["keys"].([]any)
	for _, key := range keys {
		all[fmt.Sprint(key)] = true
	}
	return all
}
