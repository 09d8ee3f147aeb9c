package operator_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
)

// TestKilled kills the operator at every step of making, changing and deleting the kinds that have something to give
// back. testKilled does so for one that has not, and testPushKilled for the one that writes to the server.
func TestKilled(t *testing.T) {
	w := newWorld(t)
	w.vault.SetLeases(time.Hour, true)
	t.Run("VaultDynamicSecret", func(t *testing.T) { testDynamicKilled(t, w) })
	t.Run("VaultPKISecret", func(t *testing.T) { testPKIKilled(t, w) })
	testNothingIsTold(t, w)
}

// sync finds a resource, its Secret (nil: none), and whether the status speaks of them as they are.
func (w *world) sync(object client.Object, status *v1beta1.SyncStatus, namespace, name string) (*corev1.Secret, string) {
	if err := w.kube.Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: name}, object); err != nil {
		return nil, err.Error()
	}
	secret, err := w.secret(namespace, name)
	if err != nil {
		return nil, err.Error()
	}
	if status.Status.Status != v1beta1.ReasonValid || status.SyncedGeneration != object.GetGeneration() || status.TargetResourceVersion != secret.ResourceVersion {
		return secret, fmt.Sprintf("the status is %s of generation %d, target %s; want %d, %s",
			status.Status.Status, status.SyncedGeneration, status.TargetResourceVersion, object.GetGeneration(), secret.ResourceVersion)
	}
	return secret, ""
}

// patch merges into the spec of a resource.
func (w *world) patch(t *testing.T, object client.Object, namespace, name string, spec map[string]any) {
	t.Helper()
	object.SetNamespace(namespace)
	object.SetName(name)
	body, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.kube.Patch(t.Context(), object, client.RawPatch(types.MergePatchType, body)); err != nil {
		t.Fatal(err)
	}
}

// leave deletes a resource without waiting for its finalizer.
func (w *world) leave(t *testing.T, object client.Object, namespace, name string) {
	t.Helper()
	object.SetNamespace(namespace)
	object.SetName(name)
	if err := w.kube.Delete(t.Context(), object); client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
}

// left tells what is left of a resource and its Secret.
func (w *world) left(object client.Object, namespace, name string) string {
	if err := w.kube.Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: name}, object); !apierrors.IsNotFound(err) {
		return fmt.Sprintf("the resource is still there (%v)", err)
	}
	if _, err := w.secret(namespace, name); !apierrors.IsNotFound(err) {
		return fmt.Sprintf("the Secret is still there (%v)", err)
	}
	return ""
}

// No lease is lost: each that lives is in the status, revoked with the resource, or ends with a login that nobody renews.
func testDynamicKilled(t *testing.T, w *world) {
	const namespace = "dealt"
	s := w.mortal(t, w.vault)
	w.withAuth(t, namespace, "db/creds/dealt", "sys/leases/*")
	manifest := func(n int) string {
		return resource("VaultDynamicSecret", namespace, "c", fmt.Sprintf("{vaultAuthRef: auth, mount: db, path: creds/dealt, params: {step: '%d'}, revoke: true, destination: {name: c, create: true, transformation: {excludeRaw: true}}}", n))
	}
	noted := make(map[string]bool) // leases that a status ever named
	unnoted := 0                   // that were made when the operator ended, before a status could name them
	vds := func() *v1beta1.VaultDynamicSecret {
		found := &v1beta1.VaultDynamicSecret{}
		_ = w.kube.Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: "c"}, found)
		for _, id := range append([]string{found.Status.SecretLease.ID, found.Status.MadeLease}, found.Status.FormerLeases...) {
			noted[id] = true
		}
		return found
	}
	unknown := func() []string {
		return slices.DeleteFunc(w.vault.Leases(), func(id string) bool { return noted[id] })
	}
	whole := func(n int) string { // what the Secret holds is one credential
		vds()
		if count := len(s.steps); count > 0 {
			struck, before := s.steps[count-1], strings.Join(s.steps[:count-1], " ")
			made := strings.Count(struck, "/v1/db/") == 1 && s.after
			if made || !s.after && strings.HasSuffix(struck, "/status") && strings.Count(before, "/v1/db/") > strings.Count(before, "/status") {
				unnoted++
			}
		}
		secret, err := w.secret(namespace, "c")
		switch {
		case apierrors.IsNotFound(err):
			return ""
		case err != nil:
			return err.Error()
		case len(secret.Data) != 2 || strings.TrimPrefix(string(secret.Data["username"]), "u") != strings.TrimPrefix(string(secret.Data["password"]), "s3cr3t-p"):
			return fmt.Sprintf("the Secret holds %s of %d keys", secret.Data["username"], len(secret.Data))
		}
		if lost := unknown(); len(lost) > unnoted {
			return fmt.Sprintf("leases live that no status names: %v; only %d were made at the moment of an end", lost, unnoted)
		}
		return ""
	}
	holds := func(n int) string {
		found := vds()
		secret, wrong := w.sync(found, &found.Status.SyncStatus, namespace, "c")
		lease := found.Status.SecretLease.ID
		switch {
		case wrong != "":
			return wrong
		case found.Status.MadeLease != "" || !slices.Contains(w.vault.Leases(), lease):
			return fmt.Sprintf("lease %s, made %s", lease, found.Status.MadeLease)
		case "db/creds/dealt/"+strings.TrimPrefix(string(secret.Data["username"]), "u") != lease:
			return fmt.Sprintf("the Secret holds %s, and the status says %s", secret.Data["username"], lease)
		case w.vault.Asked("db/creds/dealt") != fmt.Sprintf(`{"step":"%d"}`, n):
			return "asked " + w.vault.Asked("db/creds/dealt")
		}
		return ""
	}
	gone := func(int) string {
		if wrong := w.left(&v1beta1.VaultDynamicSecret{}, namespace, "c"); wrong != "" {
			return wrong
		}
		for _, id := range w.vault.Leases() {
			if noted[id] {
				return "lease " + id + " lives"
			}
		}
		return ""
	}
	counts := steps(namespace, "vaultdynamicsecrets", "ANY db/creds/dealt", "PUT sys/leases/")
	apply := func(n int) { w.apply(t, manifest(n)) }
	leave := func(int) { w.leave(t, &v1beta1.VaultDynamicSecret{}, namespace, "c") }
	apply(0)
	eventually(t, limit, func() string { return holds(0) })
	w.reap(t, s, victim{counts: counts, settled: holds, sound: whole, least: 8, change: func(n int) {
		w.patch(t, &v1beta1.VaultDynamicSecret{}, namespace, "c", map[string]any{"params": map[string]any{"step": fmt.Sprint(n)}})
	}})
	w.reap(t, s, victim{counts: counts, settled: holds, sound: whole, least: 10, change: apply, prepare: func(n int) {
		leave(n)
		eventually(t, limit, func() string { return gone(n) })
	}})
	w.reap(t, s, victim{counts: counts, settled: gone, least: 4, change: leave, prepare: func(n int) {
		apply(n)
		eventually(t, limit, func() string { return holds(n) })
	}})
	if lost := unknown(); len(lost) > unnoted {
		t.Errorf("leases live that no status named: %v; %d were made at the moment of an end", lost, unnoted)
	}
}

// A certificate and its key are of one issue, and the one in the Secret is revoked with the resource.
func testPKIKilled(t *testing.T, w *world) {
	const namespace = "issued"
	s := w.mortal(t, w.vault)
	w.withAuth(t, namespace, "pki/*")
	serial := "" // as last reported
	certificate := func(secret *corev1.Secret) (string, string) {
		pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
		if err != nil {
			return "", "certificate and key: " + err.Error()
		}
		if number := fmt.Sprintf("00:%02x", pair.Leaf.SerialNumber); number != string(secret.Data["serial_number"]) {
			return "", "the certificate is not of the serial number beside it"
		}
		return pair.Leaf.Subject.CommonName, ""
	}
	holds := func(n int) string {
		found := &v1beta1.VaultPKISecret{}
		secret, wrong := w.sync(found, &found.Status.SyncStatus, namespace, "c")
		if wrong != "" {
			return wrong
		}
		name, wrong := certificate(secret)
		if serial = found.Status.SerialNumber; wrong == "" && (name != fmt.Sprintf("n%d.example", n) || serial != string(secret.Data["serial_number"])) {
			wrong = "the Secret holds a certificate of " + name + ", and the status says " + serial
		}
		return wrong
	}
	whole := func(n int) string {
		secret, err := w.secret(namespace, "c")
		if apierrors.IsNotFound(err) {
			return ""
		} else if err != nil {
			return err.Error()
		}
		name, wrong := certificate(secret)
		if wrong == "" && name != fmt.Sprintf("n%d.example", n) && name != fmt.Sprintf("n%d.example", n-1) {
			wrong = "the Secret holds a certificate of " + name
		}
		return wrong
	}
	gone := func(int) string {
		if wrong := w.left(&v1beta1.VaultPKISecret{}, namespace, "c"); wrong != "" {
			return wrong
		}
		if !slices.Contains(w.vault.Revoked(), serial) {
			return "certificate " + serial + " is not revoked"
		}
		return ""
	}
	counts := steps(namespace, "vaultpkisecrets", "PUT pki/")
	apply := func(n int) {
		w.apply(t, resource("VaultPKISecret", namespace, "c", fmt.Sprintf("{vaultAuthRef: auth, mount: pki, role: web, commonName: n%d.example, revoke: true, destination: {name: c, create: true, type: kubernetes.io/tls, transformation: {excludeRaw: true}}}", n)))
	}
	leave := func(int) { w.leave(t, &v1beta1.VaultPKISecret{}, namespace, "c") }
	apply(0)
	eventually(t, limit, func() string { return holds(0) })
	w.reap(t, s, victim{counts: counts, settled: holds, sound: whole, least: 6, change: func(n int) {
		w.patch(t, &v1beta1.VaultPKISecret{}, namespace, "c", map[string]any{"commonName": fmt.Sprintf("n%d.example", n)})
	}})
	w.reap(t, s, victim{counts: counts, settled: holds, sound: whole, least: 8, change: apply, prepare: func(n int) {
		leave(n)
		eventually(t, limit, func() string { return gone(n) })
	}})
	w.reap(t, s, victim{counts: counts, settled: gone, least: 4, change: leave, prepare: func(n int) {
		apply(n)
		eventually(t, limit, func() string { return holds(n) })
	}})
}

// testNothingIsTold looks for values and tokens where none may be.
func testNothingIsTold(t *testing.T, w *world) {
	t.Helper()
	for name, text := range map[string]string{"log": w.logs.String(), "events": w.kubectl(t, "", "get", "events", "-A", "-o", "yaml")} {
		if strings.Contains(text, canary) || strings.Contains(text, "hvs.") {
			t.Errorf("the %s hold a value or a token", name)
		}
	}
}
