package operator_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
)

// The kinds that read, against a real server: several sources and a find, a VaultStaticSecret without anything derived
// from its data, and one that reads in a namespace of the server.
func testRealKinds(t *testing.T, w *world, write func(string, map[string]any)) {
	t.Helper()
	put := func(path, key, value string) {
		write(path, map[string]any{"data": map[string]any{key: value}})
	}
	put("secret/data/app/many/a", "X", "1")
	put("secret/data/app/many/b/c", "Y", "2")
	put("secret/data/app/one", "Z", "3")
	w.apply(t, resource("VaultConnection", "app", "server", "{address: 'http://vault.vault:8200'}"))
	w.apply(t, resource("VaultAuth", "app", "auth", "{method: kubernetes, mount: kubernetes, vaultConnectionRef: server, kubernetes: {role: app, serviceAccount: default}}"))
	w.apply(t, resource("VaultSecret", "app", "many", "{vaultAuthRef: auth, sources: [{find: {path: secret/app/many}}, {kv: {path: secret/app/one}}], target: {name: many}}"))
	w.apply(t, resource("VaultStaticSecret", "app", "static", "{vaultAuthRef: auth, mount: secret, type: kv-v2, path: app/one, hmacSecretData: false, destination: {name: static, create: true, transformation: {excludeRaw: true}}}"))
	w.holds(t, "app", "many", map[string]string{"a_X": "1", "b_c_Y": "2", "Z": "3"})
	w.holds(t, "app", "static", map[string]string{"Z": "3"})
	put("secret/data/app/many/b/d", "N", "4") // below the prefix, and new
	put("secret/data/app/one", "Z", "5")
	w.holds(t, "app", "many", map[string]string{"a_X": "1", "b_c_Y": "2", "b_d_N": "4", "Z": "5"})
	w.holds(t, "app", "static", map[string]string{"Z": "5"})
	static := &v1beta1.VaultStaticSecret{}
	w.status(t, static, "app", "static", v1beta1.ReasonValid)
	if static.Status.SecretMAC != "" || static.Status.RestartedMAC != "" {
		t.Errorf("the status holds a MAC of data that nothing may be derived from: %+v", static.Status)
	}
	testRealNamespace(t, w, write)
}

// A server's namespace is entered for the read; the login stays where it is.
func testRealNamespace(t *testing.T, w *world, write func(string, map[string]any)) {
	t.Helper()
	write("sys/namespaces/team", nil)
	write("team/sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}})
	write("sys/policies/acl/app", map[string]any{"policy": realPolicy + `
path "team/secret/data/app/*" { capabilities = ["read"] }`})
	write("team/secret/data/app/one", map[string]any{"data": map[string]any{"Z": "the team's"}})
	w.apply(t, resource("VaultStaticSecret", "app", "team", "{vaultAuthRef: auth, namespace: team, mount: secret, type: kv-v2, path: app/one, refreshAfter: 1s, destination: {name: team, create: true, transformation: {excludeRaw: true}}}"))
	w.holds(t, "app", "team", map[string]string{"Z": "the team's"})
	write("team/secret/data/app/one", map[string]any{"data": map[string]any{"Z": "the team's next"}})
	w.holds(t, "app", "team", map[string]string{"Z": "the team's next"})
	testRealRestart(t, w)
}

// A new operator believes the statuses and the Secrets' metadata: it writes nothing, and changes are told as before.
func testRealRestart(t *testing.T, w *world) {
	t.Helper()
	w.stop()
	before := make(map[string]string)
	list := &corev1.SecretList{}
	if err := w.kube.List(t.Context(), list, client.InNamespace("app"), client.MatchingLabels{"app.kubernetes.io/managed-by": "strongroom-operator"}); err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		before[list.Items[i].Name] = list.Items[i].ResourceVersion
	}
	w.start(t, "operator")
	for i := range 3 {
		w.secretStatus(t, "app", fmt.Sprintf("s%d", i), v1beta1.ReasonValid)
	}
	w.status(t, &v1beta1.VaultAuth{}, "app", "auth", v1beta1.ReasonValid)
	for name, version := range before {
		secret, err := w.secret("app", name)
		if err != nil || secret.ResourceVersion != version {
			t.Errorf("a start writes Secret %s, which was good: revision %s, %s before (%v)", name, secret.ResourceVersion, version, err)
		}
	}
}
