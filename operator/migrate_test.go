package operator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strongroom/api/v1beta1"
	"strongroom/operator/plugin"
	"strongroom/operator/vaulttest"
)

// testMigrate carries other operators' resources over from the cluster that has them, as an account that may list these
// and do nothing else; kubectl gets its credential from a program, as those of clouds do.
func testMigrate(t *testing.T, w *world) {
	const namespace = "shop"
	for _, kind := range []struct{ group, kind, scope, versions string }{
		{"external-secrets.io", "SecretStore", "Namespaced", "v1,v1beta1"},
		{"external-secrets.io", "ClusterSecretStore", "Cluster", "v1,v1beta1"},
		{"external-secrets.io", "ExternalSecret", "Namespaced", "v1,v1beta1"},
		{"external-secrets.io", "PushSecret", "Namespaced", "v1alpha1"},
	} {
		w.definition(t, kind.group, kind.kind, kind.scope, kind.versions)
	}
	w.kubectl(t, "", "create", "namespace", namespace)
	w.kubectl(t, "", "create", "namespace", "elsewhere")
	w.kubectl(t, "", "create", "serviceaccount", "porter", "-n", namespace)
	w.kubectl(t, `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"porter"},"rules":[
{"apiGroups":["external-secrets.io"],"resources":["secretstores","clustersecretstores","externalsecrets","pushsecrets"],"verbs":["list"]},
{"apiGroups":["bitnami.com"],"resources":["sealedsecrets"],"verbs":["list"]}]}`, "apply", "-f", "-")
	w.kubectl(t, "", "create", "clusterrolebinding", "porter", "--clusterrole=porter", "--serviceaccount="+namespace+":porter")
	kubeconfig, calls := w.execKubeconfig(t, w.kubectl(t, "", "create", "token", "porter", "-n", namespace))
	migrate := func(args ...string) (int, string, string) {
		t.Helper()
		var out, errs bytes.Buffer
		code := plugin.Main(context.Background(), append([]string{"migrate", "--kubeconfig", kubeconfig}, args...),
			plugin.IO{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: os.Getenv})
		return code, out.String(), errs.String()
	}
	if code, _, errs := migrate("-A"); code != 1 || !strings.Contains(errs, "there is nothing to carry over") || strings.Contains(errs, "left out") {
		t.Errorf("of a cluster with nothing: exit code %d, %s", code, errs)
	}
	w.definition(t, "bitnami.com", "SealedSecret", "Namespaced", "v1alpha1")
	source, err := os.ReadFile("plugin/testdata/external.yaml")
	if err != nil {
		t.Fatal(err)
	}
	manifests, _, _ := strings.Cut(string(source), "---\napiVersion: v1\n")
	w.kubectl(t, manifests, "apply", "-f", "-")
	w.kubectl(t, strings.ReplaceAll(manifests, "namespace: shop", "namespace: elsewhere"), "apply", "-f", "-")

	// Of one namespace, what the file with the same resources gives.
	golden, err := os.ReadFile("plugin/testdata/migrated.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := slices.DeleteFunc(strings.Split(string(golden), "---\n"), func(part string) bool { return strings.Contains(part, "ConfigMap other is left out") })
	code, ours, errs := migrate("-n", namespace)
	got := strings.Split(ours, "---\n")
	slices.Sort(want)
	slices.Sort(got)
	if code != 0 || errs != "" || !slices.Equal(got, want) {
		t.Errorf("from the cluster (exit code %d, %s):\n%s\nwant, in any order, testdata/migrated.yaml", code, errs, ours)
	}
	w.kubectl(t, "", "create", "namespace", "vault-secrets-operator")
	w.kubectl(t, ours, "apply", "--dry-run=server", "--validate=strict", "-f", "-")
	code, all, errs := migrate("-A")
	if code != 0 || errs != "" || !strings.Contains(all, "namespace: elsewhere") || strings.Count(all, "kind: VaultPushSecret\n") != 2*strings.Count(ours, "kind: VaultPushSecret\n") {
		t.Errorf("of all namespaces (exit code %d, %s):\n%s", code, errs, all)
	}
	if count, err := os.ReadFile(calls); err != nil || len(count) == 0 {
		t.Errorf("the kubeconfig's program was not asked (%v)", err)
	}
	// What may not be listed is named, and the rest is carried over all the same.
	w.kubectl(t, "", "patch", "clusterrole", "porter", "--type=json", "-p", `[{"op":"replace","path":"/rules","value":[{"apiGroups":["external-secrets.io"],"resources":["secretstores"],"verbs":["list"]}]}]`)
	eventually(t, limit, func() string {
		if code, out, errs := migrate("-n", namespace); code != 0 || !strings.Contains(errs, "left out: list sealedsecrets: ") || !strings.Contains(errs, `"system:serviceaccount:shop:porter"`) || !strings.Contains(out, "kind: VaultConnection") {
			return fmt.Sprintf("exit code %d, %s", code, errs)
		}
		return ""
	})
	testExecCredential(t, w, kubeconfig)
}

// testExecCredential says what is wrong where the program that brings the credential is.
func testExecCredential(t *testing.T, w *world, kubeconfig string) {
	t.Helper()
	text, err := os.ReadFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, bytes.ReplaceAll(text, []byte("/bin/sh"), []byte("no-such-program")), 0o600); err != nil {
		t.Fatal(err)
	}
	w.vault.Put("secret/shop", map[string]any{"A": canary + "1"})
	w.vault.SetRole("shop", vaulttest.Role{Namespace: "shop", Account: "default", Paths: []string{"secret/data/shop"}})
	w.apply(t, manifest("shop", "mine", "secret/shop", inline("shop"), ""))
	w.secretStatus(t, "shop", "mine", v1beta1.ReasonValid)
	for _, test := range []struct {
		kubeconfig string
		code       int
		says       string
	}{
		{kubeconfig, 1, "mine"}, // it may list SecretStores only
		{broken, 1, "no-such-program"},
		{w.cp.Kubeconfig, 0, "Valid"},
	} {
		var out bytes.Buffer
		code := plugin.Main(context.Background(), []string{"explain", "mine", "--kind", "VaultSecret", "-n", "shop", "--kubeconfig", test.kubeconfig},
			plugin.IO{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: os.Getenv})
		if code != test.code || !strings.Contains(out.String(), test.says) {
			t.Errorf("explain with %s: exit code %d\n%s", filepath.Base(test.kubeconfig), code, out.String())
		}
	}
}

// definition installs a definition that takes anything.
func (w *world) definition(t *testing.T, group, kind, scope, versions string) {
	t.Helper()
	plural := strings.ToLower(kind) + "s"
	var served []string
	for i, version := range strings.Split(versions, ",") {
		served = append(served, fmt.Sprintf("{name: %s, served: true, storage: %v, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}", version, i == 0))
	}
	w.kubectl(t, fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]s.%[2]s}
spec:
  group: %[2]s
  scope: %[3]s
  names: {kind: %[4]s, plural: %[1]s}
  versions: [%[5]s]
`, plural, group, scope, kind, strings.Join(served, ", ")), "apply", "-f", "-")
	w.kubectl(t, "", "wait", "--for=condition=Established", "crd/"+plural+"."+group)
}

// execKubeconfig is a kubeconfig whose user is what a program says, and the file that the program notes its calls in.
func (w *world) execKubeconfig(t *testing.T, token string) (path, calls string) {
	t.Helper()
	dir := t.TempDir()
	calls = filepath.Join(dir, "calls")
	credential, err := json.Marshal(map[string]any{
		"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": map[string]any{"token": strings.TrimSpace(token)},
	})
	if err != nil {
		t.Fatal(err)
	}
	cluster := map[string]any{"server": w.cp.URL, "certificate-authority-data": w.config.CAData}
	if len(w.config.CAData) == 0 {
		cluster = map[string]any{"server": w.cp.URL, "certificate-authority": w.config.CAFile}
	}
	config, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": []any{map[string]any{"name": "c", "cluster": cluster}},
		"contexts": []any{map[string]any{"name": "c", "context": map[string]any{"cluster": "c", "user": "u"}}},
		"users": []any{map[string]any{"name": "u", "user": map[string]any{"exec": map[string]any{
			"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": "/bin/sh",
			"args": []string{"-c", `echo . >>"$CALLS"; printf %s "$CREDENTIAL"`},
			"env":  []any{map[string]any{"name": "CALLS", "value": calls}, map[string]any{"name": "CREDENTIAL", "value": string(credential)}},
		}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, calls
}
