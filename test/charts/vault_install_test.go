package charts

import (
	"strings"
	"testing"

	"strongroom/test/kubetest"
)

// testVaultInstall installs the chart as the guide does, and upgrades the release to other values: nothing may change that Kubernetes lets nobody change.
// There are no nodes, so what a hook's pod would do is left out.
func testVaultInstall(t *testing.T, cp *kubetest.ControlPlane) {
	release := func(command string, args ...string) (string, error) {
		return run(t, append([]string{command, "vault", vault.dir(), "--kubeconfig", cp.Kubeconfig, "--namespace", "vault"}, args...)...)
	}

	_, err := release("install", "--dry-run=server", "--set", "server.ha.enabled=true")
	if err == nil || !strings.Contains(err.Error(), "server.ha.enabled needs server.ha.raft.enabled=true") {
		t.Errorf("ha without raft was not refused by its reason: %v", err)
	}
	if _, err := release("install", "--dry-run=server", "--set", "server.ha.enabled=true", "--set", `server.ha.config=storage "raft" { path = "/d" }`); err != nil {
		t.Errorf("ha with a configuration of the user's: %v", err)
	}

	notes, err := release("install", "--set", "server.ha.enabled=true", "--set", "server.ha.raft.enabled=true")
	if err != nil {
		t.Fatal(err)
	}
	for _, says := range []string{"STATUS: deployed", "kubectl exec -it -n vault vault-0 -- vault operator init", "kubectl exec -it -n vault vault-0 -- vault operator unseal"} {
		if !strings.Contains(notes, says) {
			t.Errorf("the notes do not say %q:\n%s", says, notes)
		}
	}
	for _, name := range []string{"statefulset/vault", "service/vault", "service/vault-internal", "service/vault-active", "service/vault-standby", "configmap/vault-config",
		"serviceaccount/vault", "role/vault-discovery-role", "poddisruptionbudget/vault", "clusterrolebinding/vault-server-binding"} {
		if out, err := cp.Kubectl(t.Context(), "get", "-n", "vault", name).CombinedOutput(); err != nil {
			t.Errorf("%s", out)
		}
	}
	for _, set := range []string{"peer-unseal", "tls-generated", "tls-cert-manager", "walkthrough"} {
		if _, err := release("upgrade", "--no-hooks", "--values", vault.path(set, "values.yaml")); err != nil {
			t.Errorf("from the guide's values to those of %s: %v", set, err)
		}
	}
	if _, err := run(t, "uninstall", "vault", "--kubeconfig", cp.Kubeconfig, "--namespace", "vault"); err != nil {
		t.Error(err)
	}
}
