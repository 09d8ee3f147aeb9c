package operator_test

import (
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
	"strongroom/operator/vaulttest"
)

// TestOperator runs the operator against a real control plane, one for all its parts.
func TestOperator(t *testing.T) {
	w := newWorld(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *world)
	}{
		{"the guide's manifests", testGuide},
		{"validation", testValidation},
		{"rotation", testRotation},
		{"repair", testRepair},
		{"a good Secret stays", testOutages},
		{"conflicts", testConflicts},
		{"shape", testShape},
		{"VaultAuth", testAuth},
		{"namespaces", testNamespaces},
		{"isolation", testIsolation},
		{"logins", testLogins},
		{"deletion", testDeletion},
		{"static", testStatic},
		{"transformations", testTransformations},
		{"dynamic", testDynamic},
		{"static credentials", testStaticCredentials},
		{"certificates", testPKI},
		{"many sources", testSources},
		{"copies", testCopies},
		{"other targets", testTargets},
		{"workloads", testWorkloads},
		{"Rollouts of Argo", testRollouts},
		{"dry run", testDryRun},
		{"migration", testMigrate},
		{"documented fields", testDocumented},
		{"restart", testRestart},
		{"killed at every step", testKilled},
		{"without the whole answer", testExcludeRaw},
		{"one namespace only", testOneNamespace},
		{"no value is told", testNothingLeaks},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, w) })
	}
}

func testGuide(t *testing.T, w *world) {
	w.namespace(t, "longhorn-system")
	w.namespace(t, "myapp")
	w.kubectl(t, "", "create", "serviceaccount", "myapp-sa", "-n", "myapp")
	w.vault.SetRole("longhorn-role", vaulttest.Role{Namespace: "longhorn-system", Account: "default", Paths: []string{"secret/data/longhorn-r2"}})
	w.vault.Put("secret/longhorn-r2", map[string]any{
		"AWS_ACCESS_KEY_ID": canary + "id", "AWS_SECRET_ACCESS_KEY": canary + "key", "AWS_ENDPOINTS": "https://" + canary + "r2",
	})
	out := w.kubectl(t, "", "apply", "--validate=strict", "-f", "testdata/walkthrough.yaml")
	if strings.Contains(strings.ToLower(out), "warning") {
		t.Errorf("kubectl apply warns:\n%s", out)
	}
	want := map[string]string{
		"AWS_ACCESS_KEY_ID": canary + "id", "AWS_SECRET_ACCESS_KEY": canary + "key", "AWS_ENDPOINTS": "https://" + canary + "r2",
	}
	secret := w.holds(t, "longhorn-system", "r2-longhorn-secret", want)
	if secret.Type != corev1.SecretTypeOpaque || secret.Labels["app.kubernetes.io/managed-by"] != "strongroom-operator" {
		t.Errorf("type %s, labels %v", secret.Type, secret.Labels)
	}
	vs := w.secretStatus(t, "longhorn-system", "longhorn-r2-secret-from-vault", "Valid", "Secret r2-longhorn-secret holds version 1 of secret/longhorn-r2")
	if !metav1.IsControlledBy(secret, vs) {
		t.Errorf("owners %v", secret.OwnerReferences)
	}
	w.status(t, &v1beta1.VaultConnection{}, "longhorn-system", "vault-connection", "Valid", "http://vault.vault:8200 answers and is unsealed")
	w.status(t, &v1beta1.VaultAuth{}, "longhorn-system", "vault-auth-kubernetes", "Valid", "service account default logs in with role longhorn-role")
	w.status(t, &v1beta1.VaultAuth{}, "myapp", "myapp-auth", "ConnectionNotFound", "there is no VaultConnection vault-connection in namespace myapp")

	for _, test := range []struct{ args, want string }{
		{"get vaultsecret -n longhorn-system", `NAME +STATUS +VERSION +LAST SYNC +NEXT SYNC +AGE\nlonghorn-r2-secret-from-vault +Valid +1 +\d+s +(\S+Z +)?\d+s\n`},
		{"get vaultsecrets -A -o wide", `TARGET +PATH.*\n.*Valid +1 .* r2-longhorn-secret +secret/longhorn-r2 `},
		{"get vaultconnection -n longhorn-system", `NAME +STATUS +ADDRESS +AGE\nvault-connection +Valid +http://vault.vault:8200 `},
		{"get vaultauth -n longhorn-system", `NAME +STATUS +METHOD +ROLE +AGE\nvault-auth-kubernetes +Valid +kubernetes +longhorn-role `},
		{"get vault -n longhorn-system", `vaultsecret.secrets.hashicorp.com/longhorn-r2-secret-from-vault +Valid`},
		{"describe vaultsecret longhorn-r2-secret-from-vault -n longhorn-system", `Normal +Valid +\d+s +strongroom-operator +Secret r2-longhorn-secret holds version 1 of secret/longhorn-r2`},
		{"get secret r2-longhorn-secret -n longhorn-system", `Opaque +3 `},
	} {
		pattern := regexp.MustCompile(test.want)
		eventually(t, limit, func() string {
			if out := w.kubectl(t, "", strings.Fields(test.args)...); !pattern.MatchString(out) {
				return "kubectl " + test.args + " prints\n" + out + "want " + test.want
			}
			return ""
		})
	}
	testGuideRotation(t, w, want)
	if out := w.kubectl(t, "", "apply", "--validate=strict", "-f", "testdata/walkthrough.yaml"); strings.Count(out, "unchanged") != 4 {
		t.Errorf("the second apply:\n%s", out)
	}
}

// The guide's rotation puts two of the three keys that its template names: these two follow, the third keeps its last
// value, and the status says so. An annotation makes the operator look at once.
func testGuideRotation(t *testing.T, w *world, before map[string]string) {
	const namespace, name = "longhorn-system", "longhorn-r2-secret-from-vault"
	w.vault.Put("secret/longhorn-r2", map[string]any{"AWS_ACCESS_KEY_ID": canary + "new id", "AWS_SECRET_ACCESS_KEY": canary + "new key"})
	w.kubectl(t, "", "annotate", "vaultsecret", name, "-n", namespace, "look=now")
	w.secretStatus(t, namespace, name, "TemplateError", `template of key "AWS_ENDPOINTS", line 1: the source has no key "AWS_ENDPOINTS"; it has AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY`,
		"`vault kv patch secret/longhorn-r2 AWS_ENDPOINTS=VALUE` adds one", "; AWS_ENDPOINTS in Secret r2-longhorn-secret keeps its last value, all else is of version 2")
	w.holds(t, namespace, "r2-longhorn-secret", map[string]string{
		"AWS_ACCESS_KEY_ID": canary + "new id", "AWS_SECRET_ACCESS_KEY": canary + "new key", "AWS_ENDPOINTS": before["AWS_ENDPOINTS"],
	})
	w.vault.Put("secret/longhorn-r2", map[string]any{
		"AWS_ACCESS_KEY_ID": canary + "new id", "AWS_SECRET_ACCESS_KEY": canary + "new key", "AWS_ENDPOINTS": "e",
	})
	w.holds(t, namespace, "r2-longhorn-secret", map[string]string{
		"AWS_ACCESS_KEY_ID": canary + "new id", "AWS_SECRET_ACCESS_KEY": canary + "new key", "AWS_ENDPOINTS": "e",
	})
	w.secretStatus(t, namespace, name, "Valid", "holds version 3")
}

func testValidation(t *testing.T, w *world) {
	w.namespace(t, "validation")
	withVersion := func(version string) string {
		text := manifest("validation", "v", "secret/a", inline("validation"), "")
		return strings.Replace(text, "path: secret/a", "path: secret/a, version: "+version, 1)
	}
	for _, version := range []string{"1", "2", "'1'", "'2'", "v1", "v2", "kv-v1", "kv-v2"} {
		if out, err := w.try(withVersion(version), "create", "--dry-run=server", "--validate=strict", "-f", "-"); err != nil {
			t.Errorf("version %s: %s", version, out)
		}
	}
	for _, test := range []struct{ manifest, want string }{
		{withVersion("3"), "is the version of the KV engine"},
		{withVersion("'3'"), "is the version of the KV engine"},
		{withVersion("two"), "is the version of the KV engine"},
		{manifest("validation", "v", "secret/a", "", ""), "exactly one of spec.vault"},
		{manifest("validation", "v", "secret/a", inline("r")+"\n  vaultAuthRef: x", ""), "exactly one of spec.vault"},
		{manifest("validation", "v", "secret/a", inline("r")+"\n  colour: red", ""), `unknown field "spec.colour"`},
		{strings.Replace(manifest("validation", "v", "secret/a", inline("r"), ""), "http://", "unix:///", 1), "spec.vault.address"},
		{strings.Replace(manifest("validation", "v", "secret/a", inline("r"), ""), "1s", "soon", 1), "spec.refreshAfter"},
		{manifest("validation", "V_", "secret/a", inline("r"), ""), "Invalid value"},
	} {
		out, err := w.try(test.manifest, "create", "--dry-run=server", "--validate=strict", "-f", "-")
		if err == nil || !strings.Contains(out, test.want) {
			t.Errorf("%s\nis answered %v %swant %s", test.manifest, err, out, test.want)
		}
	}
}

func testRotation(t *testing.T, w *world) {
	w.namespace(t, "rotation", "secret/data/rotation", "old/*")
	w.vault.Put("secret/rotation", map[string]any{"A": canary + "1", "B": canary + "b", "N": 5, "M": map[string]any{"x": []int{1}}})
	w.vault.Put("old/rotation", map[string]any{"A": canary + "1"})
	w.apply(t, manifest("rotation", "two", "secret/data/rotation", inline("rotation"), ""))
	w.apply(t, manifest("rotation", "one", "old/rotation", inline("rotation"), ""))
	w.holds(t, "rotation", "two", map[string]string{"A": canary + "1", "B": canary + "b", "N": "5", "M": `{"x":[1]}`})
	w.holds(t, "rotation", "one", map[string]string{"A": canary + "1"})
	w.vault.Put("secret/rotation", map[string]any{"A": canary + "2"})
	w.vault.Put("old/rotation", map[string]any{"A": canary + "2"})
	w.holds(t, "rotation", "two", map[string]string{"A": canary + "2"})
	w.holds(t, "rotation", "one", map[string]string{"A": canary + "2"})
	vs := w.secretStatus(t, "rotation", "two", "Valid", "holds version 2 of secret/rotation")
	if vs.Status.SecretVersion != "2" || vs.Status.SourcePath != "secret/data/rotation" || vs.Status.LastSyncTime == nil {
		t.Errorf("status %+v", vs.Status)
	}
}

func testRepair(t *testing.T, w *world) {
	w.namespace(t, "repair", "secret/data/repair")
	w.vault.Put("secret/repair", map[string]any{"A": canary + "1", "B": canary + "b"})
	text := manifest("repair", "target", "secret/repair", inline("repair"), "template: {metadata: {labels: {team: a}}}")
	w.apply(t, strings.Replace(text, "refreshAfter: 1s", "refreshAfter: 1h", 1))
	want := map[string]string{"A": canary + "1", "B": canary + "b"}
	first := w.holds(t, "repair", "target", want)
	vs := w.secretStatus(t, "repair", "target", "Valid")

	for _, edit := range []struct{ name, patch string }{
		{"a value", `{"stringData":{"A":"edited"}}`},
		{"a key more", `{"stringData":{"C":"edited"}}`},
		{"a key less", `{"data":{"A":null}}`},
		{"our label", `{"metadata":{"labels":{"app.kubernetes.io/managed-by":null}}}`},
		{"the template's label", `{"metadata":{"labels":{"team":"b"}}}`},
		{"the owner", `{"metadata":{"ownerReferences":null}}`},
	} {
		w.kubectl(t, "", "patch", "secret", "target", "-n", "repair", "-p", edit.patch)
		eventually(t, limit, func() string {
			secret, err := w.secret("repair", "target")
			switch {
			case err != nil:
				return err.Error()
			case secret.Labels["app.kubernetes.io/managed-by"] != "strongroom-operator" || secret.Labels["team"] != "a":
				return edit.name + ": labels of the Secret stay edited"
			case !metav1.IsControlledBy(secret, vs):
				return edit.name + ": the Secret has lost its owner"
			}
			return differs(secret, want)
		})
	}
	w.kubectl(t, "", "label", "secret", "target", "-n", "repair", "foreign=kept")
	w.kubectl(t, "", "delete", "secret", "target", "-n", "repair")
	second := w.holds(t, "repair", "target", want)
	if first.UID == second.UID {
		t.Error("the Secret was not deleted")
	}
	w.kubectl(t, "", "label", "secret", "target", "-n", "repair", "foreign=kept")
	w.kubectl(t, "", "patch", "secret", "target", "-n", "repair", "-p", `{"stringData":{"A":"edited"}}`)
	if third := w.holds(t, "repair", "target", want); third.Labels["foreign"] != "kept" {
		t.Errorf("a foreign label is lost: %v", third.Labels)
	}
	eventually(t, limit, func() string {
		out := w.kubectl(t, "", "describe", "vaultsecret", "target", "-n", "repair")
		for _, text := range []string{"Secret target was edited, and is restored", "Secret target was deleted, and is back"} {
			if !strings.Contains(out, text) {
				return "describe lacks " + text + ":\n" + out
			}
		}
		return ""
	})
}

func testOutages(t *testing.T, w *world) {
	w.namespace(t, "outage", "secret/data/outage")
	w.vault.Put("secret/outage", map[string]any{"A": canary + "1"})
	w.apply(t, manifest("outage", "target", "secret/outage", inline("outage"), ""))
	want := map[string]string{"A": canary + "1"}
	good := w.holds(t, "outage", "target", want)
	w.secretStatus(t, "outage", "target", "Valid")

	for _, outage := range []struct {
		name, reason, says string
		begin, end         func()
	}{
		{
			"down", "ServerUnreachable", "cannot use http://vault.vault:8200: dial: connection refused",
			func() { w.setDown(true) }, func() { w.setDown(false) },
		},
		{
			"sealed", "ServerSealed", "http://vault.vault:8200 is sealed: unseal every node with `vault operator unseal`",
			func() { w.vault.SetSealed(true) }, func() { w.vault.SetSealed(false) },
		},
		{
			"denied", "PermissionDenied", `role "outage" (auth/kubernetes, service account outage/default) has no capability "read" on secret/data/outage: ` +
				`attach a policy with path "secret/data/outage" { capabilities = ["read"] } to the role`,
			func() { w.vault.Fail("secret/data/outage", 403, `{"errors":["permission denied"]}`) },
			func() { w.vault.Fail("secret/data/outage", 0, "") },
		},
		{
			"gone", "NotFound", "there is no secret secret/outage on the server: write it with `vault kv put secret/outage KEY=VALUE`",
			func() { w.vault.Fail("secret/data/outage", 404, `{"errors":[]}`) },
			func() { w.vault.Fail("secret/data/outage", 0, "") },
		},
		{
			"broken", "ServerUnreachable", "it answers HTTP 500: storage",
			func() { w.vault.Fail("secret/data/outage", 500, `{"errors":["storage"]}`) },
			func() { w.vault.Fail("secret/data/outage", 0, "") },
		},
	} {
		outage.begin()
		w.secretStatus(t, "outage", "target", outage.reason, outage.says, "; Secret target keeps version 1")
		now, err := w.secret("outage", "target")
		if err != nil || now.ResourceVersion != good.ResourceVersion {
			t.Errorf("%s: the Secret changed (%v)", outage.name, err)
		}
		outage.end()
		w.secretStatus(t, "outage", "target", "Valid")
	}
	w.vault.Put("secret/outage", map[string]any{"A": canary + "2"})
	w.holds(t, "outage", "target", map[string]string{"A": canary + "2"})
	w.vault.Delete("secret/outage", false)
	w.secretStatus(t, "outage", "target", "NotFound", "version 2 of secret/outage was deleted", "; Secret target keeps version 2")
	w.holds(t, "outage", "target", map[string]string{"A": canary + "2"})

	// What happens to the Secret meanwhile is told, and undone afterwards.
	w.setDown(true)
	w.secretStatus(t, "outage", "target", "ServerUnreachable")
	w.kubectl(t, "", "delete", "secret", "target", "-n", "outage")
	w.secretStatus(t, "outage", "target", "ServerUnreachable", "; Secret target is gone and comes back when this is cured")
	w.setDown(false)
	w.vault.Put("secret/outage", map[string]any{"A": canary + "3"})
	w.holds(t, "outage", "target", map[string]string{"A": canary + "3"})

	out := w.kubectl(t, "", "get", "events", "-n", "outage", "--field-selector", "reason=PermissionDenied", "-o", "name")
	if count := strings.Count(out, "event/"); count != 1 {
		t.Errorf("%d events of one denial:\n%s", count, out)
	}
}

func testConflicts(t *testing.T, w *world) {
	w.namespace(t, "conflict", "secret/data/conflict")
	w.vault.Put("secret/conflict", map[string]any{"A": canary + "1"})
	w.plain(t, "conflict", "target", map[string]string{"MINE": canary + "mine"})
	text := manifest("conflict", "target", "secret/conflict", inline("conflict"), "")
	w.apply(t, text)
	w.secretStatus(t, "conflict", "target", "TargetConflict", "Secret target exists and no VaultSecret made it", "target.overwrite: true")
	w.holds(t, "conflict", "target", map[string]string{"MINE": canary + "mine"})
	w.apply(t, manifest("conflict", "target", "secret/conflict", inline("conflict"), "overwrite: true"))
	w.holds(t, "conflict", "target", map[string]string{"A": canary + "1"})
	w.secretStatus(t, "conflict", "target", "Valid")

	other := strings.Replace(manifest("conflict", "second", "secret/conflict", inline("conflict"), "overwrite: true"), "name: second\n    overwrite", "name: target\n    overwrite", 1)
	w.apply(t, other)
	w.secretStatus(t, "conflict", "second", "TargetConflict", "Secret target is controlled by VaultSecret target")
}

func testShape(t *testing.T, w *world) {
	w.namespace(t, "shape", "secret/data/shape")
	w.vault.Put("secret/shape", map[string]any{"USER": canary + "u", "PASS": canary + "p"})
	shape := func(text string) string {
		return manifest("shape", "target", "secret/shape", inline("shape"), "template: "+text)
	}
	w.apply(t, shape(`{type: kubernetes.io/basic-auth, stringData: {username: '{{ .USER }}', password: '{{ .Secrets.PASS }}'}, data: {raw: eyA9fQ==},
      metadata: {labels: {a: '1'}, annotations: {b: '2'}}, labels: {c: '3'}, annotations: {d: '4'}}`))
	secret := w.holds(t, "shape", "target", map[string]string{"username": canary + "u", "password": canary + "p", "raw": "{ =}"})
	if secret.Type != corev1.SecretTypeBasicAuth || secret.Labels["a"] != "1" || secret.Labels["c"] != "3" || secret.Annotations["b"] != "2" || secret.Annotations["d"] != "4" {
		t.Errorf("type %s, labels %v, annotations %v", secret.Type, secret.Labels, secret.Annotations)
	}

	w.apply(t, shape(`{type: kubernetes.io/basic-auth, stringData: {username: "line\n{{ .NOBODY }}"}}`))
	w.secretStatus(t, "shape", "target", "TemplateError", `template of key "username", line 2: the source has no key "NOBODY"; it has PASS, USER`,
		"`vault kv patch secret/shape NOBODY=VALUE` adds one", "; Secret target keeps version 1")
	w.apply(t, shape(`{type: kubernetes.io/tls, stringData: {x: '{{ .USER }}'}}`))
	w.secretStatus(t, "shape", "target", "TargetRefused", "the API server does not take Secret target: see data[tls.crt] (FieldValueRequired), data[tls.key] (FieldValueRequired)")
	same, err := w.secret("shape", "target")
	if err != nil || same.UID != secret.UID || same.ResourceVersion != secret.ResourceVersion {
		t.Errorf("the good Secret changed (%v)", err)
	}

	w.apply(t, shape(`{type: Opaque, stringData: {x: '{{ .USER | b64enc }}'}}`))
	replaced := w.holds(t, "shape", "target", map[string]string{"x": "czNjcjN0LXU="})
	if replaced.UID == secret.UID || replaced.Type != corev1.SecretTypeOpaque || replaced.Labels["a"] != "" {
		t.Errorf("type %s, labels %v", replaced.Type, replaced.Labels)
	}
	w.apply(t, shape(`{labels: {l: m}, stringData: {x: '{{ .USER }}'}}`))
	w.apply(t, shape(`{stringData: {x: '{{ .USER }}'}}`))
	eventually(t, limit, func() string {
		if secret, err := w.secret("shape", "target"); err != nil || secret.Labels["l"] != "" {
			return "a label that left the template stays"
		}
		return ""
	})
	w.apply(t, strings.Replace(shape(`{stringData: {x: '{{ .USER }}'}}`), "name: target\n    template", "name: renamed\n    template", 1))
	w.holds(t, "shape", "renamed", map[string]string{"x": canary + "u"})
	w.gone(t, "shape", "target")
}

func testDeletion(t *testing.T, w *world) {
	w.namespace(t, "deletion", "secret/data/deletion")
	w.vault.Put("secret/deletion", map[string]any{"A": canary + "1"})
	w.apply(t, manifest("deletion", "target", "secret/deletion", inline("deletion"), ""))
	w.holds(t, "deletion", "target", map[string]string{"A": canary + "1"})
	w.secretStatus(t, "deletion", "target", "Valid")
	w.kubectl(t, "", "delete", "vaultsecret", "target", "-n", "deletion")
	w.gone(t, "deletion", "target")
}

func testRestart(t *testing.T, w *world) {
	versions := make(map[types.UID]string)
	for _, secret := range managed(t, w) {
		versions[secret.UID] = secret.ResourceVersion
	}
	w.stop()
	if tokens, leasing := w.vault.Tokens(), w.vault.Leasing(); tokens != leasing || leasing == 0 { // a login that may hold leases lives as long as they
		t.Errorf("%d tokens live after the end, %d of them for leases", tokens, leasing)
	}
	w.vault.Put("secret/rotation", map[string]any{"A": canary + "while away"})
	w.start(t, "operator")
	w.holds(t, "rotation", "two", map[string]string{"A": canary + "while away"})
	w.secretStatus(t, "repair", "target", "Valid")
	for _, secret := range managed(t, w) {
		if secret.Namespace != "rotation" && versions[secret.UID] != secret.ResourceVersion {
			t.Errorf("the restart wrote %s/%s", secret.Namespace, secret.Name)
		}
	}
}

// With namespaces to watch, rights in these suffice.
func testOneNamespace(t *testing.T, w *world) {
	w.namespace(t, "watched", "secret/data/watched")
	w.vault.Put("secret/watched", map[string]any{"A": canary + "1"})
	w.kubectl(t, "", "create", "rolebinding", "operator", "-n", "watched", "--clusterrole=strongroom-operator", "--user=watcher")
	w.stop()
	w.start(t, "watcher", "watched")
	w.apply(t, manifest("watched", "target", "secret/watched", inline("watched"), ""))
	w.holds(t, "watched", "target", map[string]string{"A": canary + "1"})
	w.apply(t, strings.Replace(manifest("watched", "target", "secret/watched", inline("watched"), "template: {type: a/b}"), "1s", "1h", 1))
	w.secretStatus(t, "watched", "target", "Valid")
	w.kubectl(t, "", "delete", "secret", "target", "-n", "watched")
	w.holds(t, "watched", "target", map[string]string{"A": canary + "1"})
	w.apply(t, manifest("watched", "far", "secret/watched", "vaultAuthRef: lender/auth", ""))
	w.secretStatus(t, "watched", "far", "NamespaceNotAllowed")
}

func managed(t *testing.T, w *world) []corev1.Secret {
	t.Helper()
	list := &corev1.SecretList{}
	if err := w.kube.List(t.Context(), list, client.MatchingLabels{"app.kubernetes.io/managed-by": "strongroom-operator"}); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func testNothingLeaks(t *testing.T, w *world) {
	for name, text := range map[string]string{
		"logs":      w.logs.String(),
		"events":    w.kubectl(t, "", "get", "events", "-A", "-o", "yaml"),
		"resources": w.kubectl(t, "", "get", "vault", "-A", "-o", "yaml"),
	} {
		if at := strings.Index(text, canary); at >= 0 {
			t.Errorf("the %s hold a value: %.200s", name, text[max(0, at-100):])
		}
		if strings.Contains(text, "hvs.") {
			t.Errorf("the %s hold a token", name)
		}
	}
	if !strings.Contains(w.logs.String(), "PermissionDenied") {
		t.Error("the log lacks what went wrong")
	}
}
