package vaultdynamicsecret

import (
	"context"
	"errors"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"strongroom/api/v1beta1"
	"strongroom/operator/syncer"
	"strongroom/operator/transform"
	"strongroom/operator/vaultclient"
	"strongroom/operator/vaulttest"
)

// A credential whose lease cannot be noted, because the API server does not take the status, is given back at once.
func TestALeaseThatIsNotNotedIsRevoked(t *testing.T) {
	server := vaulttest.New()
	server.SetRole("app", vaulttest.Role{Namespace: "shop", Account: "default", Paths: []string{"db/*", "sys/leases/*"}})
	server.SetLeases(time.Hour, true)
	pool := vaultclient.NewPool(func(_ context.Context, login vaultclient.Login) (string, error) {
		return vaulttest.Token(login.ServiceAccount.Namespace, login.ServiceAccount.Name), nil
	}, server.Dial(t))
	login := vaultclient.Login{
		Server: vaultclient.Server{Address: "http://vault.vault:8200"}, Mount: "kubernetes", Role: "app",
		ServiceAccount: types.NamespacedName{Namespace: "shop", Name: "default"}, Leases: true,
	}
	made, down := 0, errors.New("the API server is away")
	held := syncer.Held{Store: func(context.Context) error { made = len(server.Leases()); return down }}
	kind := &Kind{Pool: pool}
	vds := &v1beta1.VaultDynamicSecret{Spec: v1beta1.VaultDynamicSecretSpec{Mount: "db", Path: "creds/app"}}
	if _, err := kind.issue(t.Context(), login, vds, &transform.Rules{}, "db/creds/app", held); !errors.Is(err, down) {
		t.Fatal(err)
	}
	if left := server.Leases(); made != 1 || len(left) != 0 {
		t.Errorf("%d leases made, %d left that nobody knows", made, len(left))
	}
}
