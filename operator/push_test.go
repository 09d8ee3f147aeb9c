package operator_test

import (
	"fmt"
	"testing"

	vault "github.com/hashicorp/vault/api"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
)

// pushManifest is a VaultPushSecret of namespace app for the Secret of its name.
func pushManifest(name, kind, path, more string) string {
	return fmt.Sprintf(`
apiVersion: secrets.hashicorp.com/v1beta1
kind: VaultPushSecret
metadata: {name: %[1]s, namespace: app}
spec:
  vaultAuthRef: push
  secretRef: {name: %[1]s}
  mount: %[2]s
  path: %[3]s
  refreshAfter: 1s
  %[4]s
`, name, kind, path, more)
}

// onServer waits until the server holds exactly the data at a path, and returns its version.
func onServer(t *testing.T, root *vault.Client, mount, path string, data map[string]string) int {
	t.Helper()
	version := 0
	eventually(t, limit, func() string {
		secret, err := root.KVv2(mount).Get(t.Context(), path)
		if err != nil {
			return err.Error()
		}
		version = secret.VersionMetadata.Version
		if fmt.Sprint(secret.Data) != fmt.Sprint(data) {
			return fmt.Sprintf("%s holds %v, want %v", path, secret.Data, data)
		}
		return ""
	})
	return version
}

// testPush writes Secrets back to a real server.
func testPush(t *testing.T, w *world, root *vault.Client) {
	t.Helper()
	kv := root.KVv2("secret")
	w.apply(t, `
apiVersion: secrets.hashicorp.com/v1beta1
kind: VaultConnection
metadata: {name: push, namespace: app}
spec: {address: 'http://vault.vault:8200'}
---
apiVersion: secrets.hashicorp.com/v1beta1
kind: VaultAuth
metadata: {name: push, namespace: app}
spec: {vaultConnectionRef: push, kubernetes: {role: app}}
`)
	status := func(name, want string, says ...string) *v1beta1.VaultPushSecret {
		t.Helper()
		push := &v1beta1.VaultPushSecret{}
		w.status(t, push, "app", name, want, says...)
		return push
	}
	write := func(path, value string) {
		t.Helper()
		if _, err := kv.Put(t.Context(), path, map[string]any{"user": value}); err != nil {
			t.Fatal(err)
		}
	}

	// It waits for its Secret, and pushes it, with our mark beside what others put there.
	w.apply(t, pushManifest("p1", "secret", "push/p1", "excludes: ['^no$']\n  rewrite: [{pattern: '^u$', replacement: user}]"))
	status("p1", v1beta1.ReasonSourceNotFound, "create it")
	w.plain(t, "app", "p1", map[string]string{"u": canary + "1", "no": "x"})
	onServer(t, root, "secret", "push/p1", map[string]string{"user": canary + "1"})
	if push := status("p1", "Valid", "version 1 of secret/push/p1 holds Secret p1"); push.Status.SecretVersion != "1" {
		t.Errorf("the status has version %q", push.Status.SecretVersion)
	}
	if meta, err := kv.GetMetadata(t.Context(), "push/p1"); err != nil || meta.CustomMetadata["strongroom-owner"] != "VaultPushSecret/app/p1" {
		t.Errorf("the mark is %v (%v)", meta.CustomMetadata, err)
	}
	// A change of the Secret arrives; what someone else writes is undone, and told.
	w.kubectl(t, `{"stringData":{"u":"`+canary+`2"}}`, "patch", "secret", "p1", "-n", "app", "--patch-file=/dev/stdin")
	onServer(t, root, "secret", "push/p1", map[string]string{"user": canary + "2"})
	write("push/p1", "foreign")
	if version := onServer(t, root, "secret", "push/p1", map[string]string{"user": canary + "2"}); version != 4 {
		t.Errorf("after a repair the version is %d", version)
	}
	w.wants(t, 0, []string{"Valid: version 4 of secret/push/p1"}, "sync", "p1")
	// With Report it is told only.
	w.apply(t, pushManifest("p1", "secret", "push/p1", "excludes: ['^no$']\n  driftPolicy: Report\n  rewrite: [{pattern: '^u$', replacement: user}]"))
	status("p1", "Valid")
	write("push/p1", "foreign")
	status("p1", v1beta1.ReasonDrift, "driftPolicy")
	onServer(t, root, "secret", "push/p1", map[string]string{"user": "foreign"})
	w.wants(t, 1, []string{"STOP path Drift"}, "explain", "p1")

	// What is somebody else's is left alone, until it is told otherwise.
	write("push/p2", "theirs")
	w.plain(t, "app", "p2", map[string]string{"user": canary + "3"})
	w.apply(t, pushManifest("p2", "secret", "push/p2", "deletionPolicy: Delete"))
	status("p2", v1beta1.ReasonTargetConflict, "overwrite: true")
	onServer(t, root, "secret", "push/p2", map[string]string{"user": "theirs"})
	w.plain(t, "app", "p3", map[string]string{"user": canary + "4"})
	w.apply(t, pushManifest("p3", "secret", "push/p1", ""))
	status("p3", v1beta1.ReasonTargetConflict, "VaultPushSecret/app/p1")
	w.apply(t, pushManifest("p2", "secret", "push/p2", "deletionPolicy: Delete\n  overwrite: true"))
	onServer(t, root, "secret", "push/p2", map[string]string{"user": canary + "3"})
	status("p2", "Valid")

	// Deletion takes back what it was told to, and the mark of the rest.
	w.kubectl(t, "", "delete", "vaultpushsecrets", "-n", "app", "p1", "p2", "p3", "--timeout=40s")
	if secret, err := kv.Get(t.Context(), "push/p2"); err == nil && secret.Data != nil {
		t.Errorf("after Delete the server holds %v", secret.Data)
	}
	if versions, err := kv.GetVersionsAsList(t.Context(), "push/p2"); err != nil || len(versions) != 2 || versions[1].Destroyed {
		t.Errorf("after Delete the versions are %v (%v): they must be there to restore", versions, err)
	}
	onServer(t, root, "secret", "push/p1", map[string]string{"user": "foreign"})
	if meta, err := kv.GetMetadata(t.Context(), "push/p1"); err != nil || meta.CustomMetadata["strongroom-owner"] != nil {
		t.Errorf("after Retain the mark is still there: %v (%v)", meta.CustomMetadata, err)
	}
	testPushMoves(t, w, root, status)
	testPushV1(t, w, root, status)
	testPushKilled(t, w, root)
}

// testPushMoves changes where a resource pushes to: what it leaves is given back as deletionPolicy says, and only once the
// new place holds what it should.
func testPushMoves(t *testing.T, w *world, root *vault.Client, status func(string, string, ...string) *v1beta1.VaultPushSecret) {
	t.Helper()
	kv := root.KVv2("secret")
	marked := func(path string) any {
		meta, err := kv.GetMetadata(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		return meta.CustomMetadata["strongroom-owner"]
	}
	w.plain(t, "app", "m", map[string]string{"user": canary + "m"})
	want := map[string]string{"user": canary + "m"}
	w.apply(t, pushManifest("m", "secret", "push/m1", ""))
	onServer(t, root, "secret", "push/m1", want)
	status("m", "Valid", "push/m1")
	if _, err := kv.Put(t.Context(), "push/m2", map[string]any{"user": "theirs"}); err != nil {
		t.Fatal(err)
	}
	w.apply(t, pushManifest("m", "secret", "push/m2", ""))
	status("m", v1beta1.ReasonTargetConflict)
	if marked("push/m1") == nil {
		t.Error("the former place is given back though the new one is another's")
	}
	w.apply(t, pushManifest("m", "secret", "push/m3", ""))
	onServer(t, root, "secret", "push/m3", want)
	if moved := status("m", "Valid", "push/m3"); len(moved.Status.Former) != 0 || moved.Status.Pushed.Path != "push/m3" {
		t.Errorf("the status is %+v", moved.Status)
	}
	onServer(t, root, "secret", "push/m1", want)
	onServer(t, root, "secret", "push/m2", map[string]string{"user": "theirs"})
	if marked("push/m1") != nil || marked("push/m2") != nil || marked("push/m3") == nil {
		t.Errorf("marks: %v, %v, %v", marked("push/m1"), marked("push/m2"), marked("push/m3"))
	}
	w.apply(t, pushManifest("m", "secret", "push/m4", "deletionPolicy: Delete"))
	onServer(t, root, "secret", "push/m4", want)
	status("m", "Valid", "push/m4")
	if secret, err := kv.Get(t.Context(), "push/m3"); err == nil && secret.Data != nil {
		t.Errorf("the place that was left still holds %v", secret.Data)
	}
	w.kubectl(t, "", "delete", "vaultpushsecret", "m", "-n", "app", "--timeout=40s")
}

// testPushV1 pushes to an engine without marks, where overwriting must be asked for.
func testPushV1(t *testing.T, w *world, root *vault.Client, status func(string, string, ...string) *v1beta1.VaultPushSecret) {
	t.Helper()
	if err := root.Sys().MountWithContext(t.Context(), "old", &vault.MountInput{Type: "kv"}); err != nil {
		t.Fatal(err)
	}
	w.plain(t, "app", "v1", map[string]string{"A": "1"})
	if out, err := w.try(pushManifest("v1", "old", "push/v1", "type: kv-v1"), "apply", "-f", "-"); err == nil {
		t.Errorf("KV v1 without overwrite is taken: %s", out)
	}
	w.apply(t, pushManifest("v1", "old", "push/v1", "type: kv-v1\n  overwrite: true\n  deletionPolicy: Delete"))
	status("v1", "Valid", "old/push/v1 holds Secret v1")
	if secret, err := root.KVv1("old").Get(t.Context(), "push/v1"); err != nil || secret.Data["A"] != "1" {
		t.Errorf("KV v1 holds %v (%v)", secret, err)
	}
	w.kubectl(t, "", "delete", "vaultpushsecret", "v1", "-n", "app", "--timeout=40s")
	if err := w.kube.Get(t.Context(), client.ObjectKey{Namespace: "app", Name: "v1"}, &v1beta1.VaultPushSecret{}); !apierrors.IsNotFound(err) {
		t.Errorf("the resource is still there: %v", err)
	}
	if secret, err := root.KVv1("old").Get(t.Context(), "push/v1"); err == nil {
		t.Errorf("after Delete KV v1 holds %v", secret.Data)
	}
}
