package operator_test

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
)

// Rollouts of Argo are restarted by the field that Argo documents for it, with the operator's own rights. Where there is
// no Argo, the status says so, and the Secret is true all the same.
func testRollouts(t *testing.T, w *world) {
	const namespace = "rollouts"
	w.withAuth(t, namespace, "secret/data/rollouts")
	w.vault.Put("secret/rollouts", map[string]any{"A": canary + "1"})
	w.apply(t, resource("VaultStaticSecret", namespace, "target", `{vaultAuthRef: auth, mount: secret, type: kv-v2, path: rollouts, refreshAfter: 1s, destination: {name: target, create: true, transformation: {excludeRaw: true}},
  rolloutRestartTargets: [{kind: argo.Rollout, name: one}, {kind: argo.Rollout, selector: {matchLabels: {reads: it}}}]}`))
	vss := &v1beta1.VaultStaticSecret{}
	w.status(t, vss, namespace, "target", "Valid", "holds version 1")
	w.vault.Put("secret/rollouts", map[string]any{"A": canary + "2"})
	w.holds(t, namespace, "target", map[string]string{"A": canary + "2"})
	w.status(t, vss, namespace, "target", v1beta1.ReasonRestartFailed, "cannot restart argo.Rollout one: the cluster has no workloads of this kind")

	w.kubectl(t, "", "apply", "-f", "testdata/rollouts.yaml")
	w.kubectl(t, "", "wait", "--for=condition=Established", "crd/rollouts.argoproj.io")
	names := []string{"one", "two", "other"}
	for _, name := range names {
		labels := map[string]string{"one": "", "two": "it", "other": "no"}[name]
		w.apply(t, fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: %[1]s, namespace: %[2]s, labels: {reads: %[3]q}}
spec:
  replicas: 1
  selector: {matchLabels: {app: %[1]s}}
  strategy: {canary: {steps: [{setWeight: 10}, {pause: {}}]}}
  template: {metadata: {labels: {app: %[1]s}}, spec: {containers: [{name: c, image: none}]}}
`, name, namespace, labels))
	}
	get := func(name string) *unstructured.Unstructured {
		rollout := &unstructured.Unstructured{}
		rollout.SetAPIVersion("argoproj.io/v1alpha1")
		rollout.SetKind("Rollout")
		if err := w.kube.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, rollout); err != nil {
			t.Fatal(err)
		}
		return rollout
	}
	w.status(t, vss, namespace, "target", "Valid", "holds version 2") // what was owed is made up for
	before := time.Now()
	w.vault.Put("secret/rollouts", map[string]any{"A": canary + "3"})
	w.status(t, vss, namespace, "target", "Valid", "holds version 3")
	for _, name := range names {
		rollout := get(name)
		restartAt, there, err := unstructured.NestedString(rollout.Object, "spec", "restartAt")
		if name == "other" {
			if there {
				t.Errorf("Rollout %s, which nobody named, restarts at %s", name, restartAt)
			}
			continue
		}
		at, parsed := time.Parse(time.RFC3339, restartAt)
		if err != nil || parsed != nil || at.Before(before) || at.After(time.Now().Add(2*time.Second)) {
			t.Errorf("Rollout %s restarts at %q (%v), and the Secret changed after %s", name, restartAt, err, before)
		}
		// A change of the template would be an update by the Rollout's strategy: here one that stands still at 10 percent.
		if annotations, found, _ := unstructured.NestedMap(rollout.Object, "spec", "template", "metadata", "annotations"); found {
			t.Errorf("Rollout %s is updated, not restarted: %v", name, annotations)
		}
	}
}
