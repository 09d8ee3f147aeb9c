package operator_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kstatus "sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
	"strongroom/operator/plugin"
)

// plug runs kubectl strongroom against the world's control plane.
func (w *world) plug(t *testing.T, env map[string]string, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	args = append(args, "--kubeconfig", w.cp.Kubeconfig, "-n", "app")
	code := plugin.Main(context.Background(), args, plugin.IO{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(name string) string { return env[name] }})
	if strings.Contains(out.String(), canary) {
		t.Errorf("kubectl strongroom %s prints a value:\n%s", args[0], out.String())
	}
	return code, out.String()
}

// wants runs the plugin and compares.
func (w *world) wants(t *testing.T, code int, texts []string, args ...string) {
	t.Helper()
	got, out := w.plug(t, nil, args...)
	if got != code {
		t.Errorf("kubectl strongroom %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	for _, text := range texts {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), text) {
			t.Errorf("kubectl strongroom %s does not say %q:\n%s", strings.Join(args, " "), text, out)
		}
	}
}

// kstatus compares what tools that wait for resources, such as Flux, make of a VaultSecret's status.
func (w *world) kstatus(t *testing.T, name string, want kstatus.Status) {
	t.Helper()
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(v1beta1.GroupVersion().WithKind("VaultSecret"))
	if err := w.kube.Get(t.Context(), client.ObjectKey{Namespace: "app", Name: name}, object); err != nil {
		t.Fatal(err)
	}
	got, err := kstatus.Compute(object)
	if err != nil || got.Status != want {
		t.Errorf("kstatus of %s is %v (%v), want %s", name, got, err, want)
	}
	object.SetGeneration(object.GetGeneration() + 1) // as after an edit that nobody has looked at
	if got, err := kstatus.Compute(object); err != nil || got.Status != kstatus.InProgressStatus {
		t.Errorf("kstatus of %s after an edit is %v (%v)", name, got, err)
	}
}

// testPlugin looks after resources from a terminal. The sources here tell of no changes, and are polled once an hour.
func testPlugin(t *testing.T, w *world, write func(string, map[string]any)) {
	t.Helper()
	address := "http://" + w.address
	write("secret/data/quiet/slow", map[string]any{"data": map[string]any{"A": canary + "1", "B": canary + "b"}})
	w.apply(t, strings.Replace(manifest("app", "slow", "secret/quiet/slow", inline("app"), ""), "refreshAfter: 1s", "refreshAfter: 1h", 1))
	w.holds(t, "app", "slow", map[string]string{"A": canary + "1", "B": canary + "b"})
	w.wants(t, 0, []string{"KEY SOURCE SECRET", "same"}, "diff", "slow", "--address", address)

	w.stop() // it would be told
	write("secret/data/quiet/slow", map[string]any{"data": map[string]any{"A": canary + "2", "B": canary + "b"}})
	w.wants(t, 1, []string{"differs"}, "diff", "vaultsecret/slow", "--address", address)
	w.start(t, "operator")
	w.wants(t, 0, []string{"VaultSecret app/slow: Valid: Secret slow holds version 2 of secret/quiet/slow"}, "sync", "slow")
	if secret, err := w.secret("app", "slow"); err != nil || string(secret.Data["A"]) != canary+"2" {
		t.Errorf("after a sync the Secret is not as its source (%v)", err)
	}
	w.wants(t, 0, []string{"ok policy read on secret/data/quiet/slow: asked just now", "tried just now, policies app, default", "ok target Secret slow"},
		"explain", "slow", "--login", "--address", address)

	w.apply(t, manifest("app", "denied", "secret/other/x", inline("app"), ""))
	w.secretStatus(t, "app", "denied", "PermissionDenied")
	w.wants(t, 1, []string{"ok login role app at auth/kubernetes, as service account app/default", "STOP policy PermissionDenied: role \"app\"", "- target Secret denied"}, "explain", "denied")
	w.wants(t, 1, []string{"VaultSecret app/denied: PermissionDenied"}, "sync", "denied")

	w.kstatus(t, "slow", kstatus.CurrentStatus)
	w.kstatus(t, "denied", kstatus.InProgressStatus)

	w.apply(t, manifest("app", "lost", "secret/quiet/slow", "vaultAuthRef: nobody", ""))
	w.secretStatus(t, "app", "lost", "AuthNotFound")
	w.wants(t, 1, []string{"STOP auth", "nobody", "- target Secret lost"}, "explain", "lost", "--login")
	w.wants(t, 1, []string{"namespace app has no"}, "explain", "nothing")
	// What migrate prints, the API server takes as it is.
	for _, namespace := range []string{"shop", "vault-secrets-operator"} {
		w.kubectl(t, "", "create", "namespace", namespace)
	}
	w.kubectl(t, "", "apply", "--dry-run=server", "--validate=strict", "-f", "plugin/testdata/migrated.yaml")
	w.kubectl(t, "", "delete", "vaultsecrets", "-n", "app", "lost", "denied", "slow")
}
