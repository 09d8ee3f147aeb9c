package operator_test

import (
	"context"
	"fmt"
	"net/http/httputil"
	"net/url"
	"testing"

	vault "github.com/hashicorp/vault/api"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
)

// testPushKilled kills the operator at every step of pushing a change, of moving to another path, and of going: no version
// on the server is of two, and no mark is left behind.
func testPushKilled(t *testing.T, w *world, root *vault.Client) {
	t.Run("killed at every step", func(t *testing.T) {
		target, err := url.Parse("http://" + w.address)
		if err != nil {
			t.Fatal(err)
		}
		s := w.mortal(t, httputil.NewSingleHostReverseProxy(target))
		kv := root.KVv2("secret")
		text := func(n int) string { return canary + fmt.Sprint(n) }
		path := "push/killed"
		look := func() (*v1beta1.VaultPushSecret, error) {
			push := &v1beta1.VaultPushSecret{}
			return push, w.kube.Get(context.Background(), client.ObjectKey{Namespace: "app", Name: "killed"}, push)
		}
		owner := func(path string) any {
			meta, err := kv.GetMetadata(context.Background(), path)
			if err != nil {
				return nil
			}
			return meta.CustomMetadata["strongroom-owner"]
		}
		holds := func(n int) string {
			push, err := look()
			if err != nil {
				return err.Error()
			}
			secret, err := kv.Get(context.Background(), path)
			if err != nil {
				return err.Error()
			}
			switch {
			case secret.Data["left"] != text(n) || secret.Data["right"] != text(n):
				return fmt.Sprintf("the server holds %v", secret.Data["left"])
			case owner(path) != "VaultPushSecret/app/killed":
				return fmt.Sprintf("the mark is %v", owner(path))
			case push.Status.Status.Status != v1beta1.ReasonValid || push.Status.SyncedGeneration != push.Generation ||
				push.Status.SecretVersion != fmt.Sprint(secret.VersionMetadata.Version) || len(push.Status.Former) > 0:
				return fmt.Sprintf("the status is %s, version %s of %d", push.Status.Status.Status, push.Status.SecretVersion, secret.VersionMetadata.Version)
			}
			return ""
		}
		whole := func(int) string {
			secret, err := kv.Get(context.Background(), path)
			if err == nil && secret.Data != nil && (len(secret.Data) != 2 || secret.Data["left"] != secret.Data["right"]) {
				return "the server holds a mixed secret"
			}
			return ""
		}
		counts := steps("app", "vaultpushsecrets", "PUT secret/data/push/", "PUT secret/metadata/push/", "DELETE secret/data/push/")
		write := func(n int) {
			secret := &corev1.Secret{}
			secret.Name, secret.Namespace = "killed", "app"
			body := fmt.Sprintf(`{"stringData":{"left":%[1]q,"right":%[1]q}}`, text(n))
			if err := w.kube.Patch(t.Context(), secret, client.RawPatch("application/merge-patch+json", []byte(body))); err != nil {
				t.Fatal(err)
			}
		}
		apply := func(int) { w.apply(t, pushManifest("killed", "secret", path, "deletionPolicy: Delete")) }
		leave := func(int) { w.leave(t, &v1beta1.VaultPushSecret{}, "app", "killed") }
		gone := func(int) string {
			if _, err := look(); !apierrors.IsNotFound(err) {
				return fmt.Sprintf("the resource is still there (%v)", err)
			}
			secret, err := kv.Get(context.Background(), path)
			if mark := owner(path); mark != nil || err == nil && secret.Data != nil {
				return fmt.Sprintf("the server still holds it, marked %v", mark)
			}
			return ""
		}
		w.plain(t, "app", "killed", map[string]string{"left": text(0), "right": text(0)})
		apply(0)
		eventually(t, limit, func() string { return holds(0) })
		w.reap(t, s, victim{counts: counts, settled: holds, sound: whole, least: 4, change: write})
		last := 0
		w.reap(t, s, victim{counts: counts, sound: whole, least: 12, change: func(n int) {
			path = fmt.Sprintf("push/killed-%d", n)
			apply(n)
		}, prepare: func(n int) { write(n); last = n; eventually(t, limit, func() string { return holds(n) }) }, settled: func(n int) string {
			if wrong := holds(n); wrong != "" {
				return wrong
			}
			for i := range n { // none of those that it left
				former := fmt.Sprintf("push/killed-%d", i)
				secret, err := kv.Get(context.Background(), former)
				if mark := owner(former); mark != nil || err == nil && secret.Data != nil {
					return fmt.Sprintf("%s is left behind, marked %v", former, mark)
				}
			}
			return ""
		}})
		// Making it: the server has had something of it, which was given back, or nothing at all.
		fresh := func(n int) { path = fmt.Sprintf("push/fresh-%d", n) }
		w.reap(t, s, victim{counts: counts, settled: func(int) string { return holds(last) }, sound: whole, least: 10, change: apply, prepare: func(n int) {
			leave(n)
			eventually(t, limit, func() string { return gone(n) })
			fresh(n)
		}})
		w.reap(t, s, victim{counts: counts, settled: gone, least: 6, change: leave, prepare: func(n int) {
			fresh(100 + n)
			apply(n)
			eventually(t, limit, func() string { return holds(last) })
		}})
	})
}
