package source_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/source"
	"strongroom/operator/vaultclient"
	"strongroom/operator/vaulttest"
)

func token(_ context.Context, login vaultclient.Login) (string, error) {
	return vaulttest.Token(login.ServiceAccount.Namespace, login.ServiceAccount.Name), nil
}

func login() vaultclient.Login {
	return vaultclient.Login{
		Server: vaultclient.Server{Address: "http://vault.vault:8200"}, Mount: "kubernetes", Role: "app",
		ServiceAccount: types.NamespacedName{Namespace: "shop", Name: "default"},
	}
}

func server() *vaulttest.Server {
	vault := vaulttest.New()
	vault.SetRole("app", vaulttest.Role{
		Namespace: "shop", Account: "default",
		Paths: []string{"secret/data/app", "secret/data/gone", "old/*", "nowhere/*"},
	})
	return vault
}

func TestRead(t *testing.T) {
	vault := server()
	vault.Put("secret/app", map[string]any{"A": "1"})
	vault.Put("secret/app", map[string]any{"A": "2", "N": 7})
	vault.Put("old/app", map[string]any{"B": "3"})
	reader := source.NewReader(vaultclient.NewPool(token, vault.Dial(t)))

	secret, err := reader.Read(t.Context(), login(), source.KV{Path: "secret/app", Version: 2})
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(secret.Data) != "map[A:2 N:7]" || secret.Version != "2" || secret.Path != "secret/data/app" {
		t.Errorf("read %v version %s at %s", secret.Data, secret.Version, secret.Path)
	}
	if text := fmt.Sprintf("%v %+v %#v", secret, secret, secret); strings.Contains(text, "map") {
		t.Errorf("printing a secret shows its data: %s", text)
	}
	old, err := reader.Read(t.Context(), login(), source.KV{Path: "old/app"})
	if err != nil || fmt.Sprint(old.Data) != "map[B:3]" || old.Version != "" {
		t.Errorf("KV 1: %+v, %v", old, err)
	}
	for range 3 {
		if _, err := reader.Read(t.Context(), login(), source.KV{Path: "secret/app"}); err != nil {
			t.Fatal(err)
		}
	}
	if asked := vault.Count("sys/internal/ui/mounts/secret/app"); asked != 1 {
		t.Errorf("asked for the mount %d times, want once", asked)
	}
}

func TestRefusals(t *testing.T) {
	vault := server()
	vault.Put("secret/other", map[string]any{"A": "1"})
	vault.Put("secret/gone", map[string]any{"A": "1"})
	vault.Put("old/empty", map[string]any{})
	vault.Delete("secret/gone", false)
	reader := source.NewReader(vaultclient.NewPool(token, vault.Dial(t)))
	check := func(path, reason string, says ...string) {
		t.Helper()
		_, err := reader.Read(t.Context(), login(), source.KV{Path: path})
		if !condition.Is(err, reason) {
			t.Errorf("%s: %v, want %s", path, err, reason)
			return
		}
		for _, text := range says {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %q does not say %q", path, err, text)
			}
		}
	}
	check("secret/other", v1beta1.ReasonPermissionDenied, `role "app"`, "shop/default", `no capability "read" on secret/data/other`,
		`path "secret/data/other" { capabilities = ["read"] }`)
	check("hidden/x", v1beta1.ReasonPermissionDenied, `path "hidden/data/x" { capabilities = ["read"] }`)
	check("secret/app", v1beta1.ReasonNotFound, "there is no secret secret/app on the server", "vault kv put secret/app KEY=VALUE")
	check("secret/gone", v1beta1.ReasonNotFound, "version 1 of secret/gone was deleted at 2026-01-02T03:04:05Z", "vault kv undelete -versions=1 secret/gone")
	check("nowhere/x", v1beta1.ReasonMountNotFound, "no secrets engine at nowhere/", "vault secrets enable -path=nowhere kv-v2")
	check("old/empty", v1beta1.ReasonNotFound, "holds no keys")
	vault.Delete("secret/gone", true)
	check("secret/gone", v1beta1.ReasonNotFound, "version 1 of secret/gone was destroyed")
	vault.SetSealed(true)
	check("secret/app", v1beta1.ReasonServerSealed, "http://vault.vault:8200 is sealed", "vault operator unseal")
	vault.SetSealed(false)
	reader = source.NewReader(vaultclient.NewPool(token, vault.Dial(t))) // one that does not hold the server for out
	vault.Fail("secret/data/app", http.StatusInternalServerError, `{"errors":["no leader"]}`)
	check("secret/app", v1beta1.ReasonServerUnreachable, "HTTP 500: no leader")
}

// A policy added to the role reaches new tokens only, so a denial leads to a new login, but not at every turn.
func TestDenialIsCuredByANewLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vault := server()
		vault.Put("secret/new", map[string]any{"A": "1"})
		pool := vaultclient.NewPool(token, vault.Dial(t))
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = pool.Start(ctx) }()
		defer synctest.Wait()
		defer cancel()
		reader := source.NewReader(pool)
		kv := source.KV{Path: "secret/new"}
		for range 5 {
			if _, err := reader.Read(ctx, login(), kv); !condition.Is(err, v1beta1.ReasonPermissionDenied) {
				t.Fatal(err)
			}
		}
		if pool.Logins() != 1 {
			t.Errorf("%d logins for denials in a row, want 1", pool.Logins())
		}
		vault.SetRole("app", vaulttest.Role{Namespace: "shop", Account: "default", Paths: []string{"secret/*"}})
		time.Sleep(15 * time.Second)
		if _, err := reader.Read(ctx, login(), kv); err != nil {
			t.Errorf("after the cure: %v", err)
		}
		if pool.Logins() != 2 || vault.Tokens() != 1 {
			t.Errorf("%d logins and %d live tokens, want 2 and 1", pool.Logins(), vault.Tokens())
		}
	})
}

func TestAMovedMountIsFoundAgain(t *testing.T) {
	vault := vaulttest.New()
	vault.SetRole("app", vaulttest.Role{Namespace: "shop", Account: "default", Paths: []string{"team/*"}})
	vault.SetMount("team/", 1)
	vault.Put("team/app", map[string]any{"A": "1"})
	reader := source.NewReader(vaultclient.NewPool(token, vault.Dial(t)))
	kv := source.KV{Path: "team/app"}
	if secret, err := reader.Read(t.Context(), login(), kv); err != nil || secret.Path != "team/app" {
		t.Fatal(secret, err)
	}
	vault.SetMount("team/", 2)
	vault.Remove("team/app")
	vault.Put("team/app", map[string]any{"A": "2"})
	vault.Fail("team/app", http.StatusNotFound, `{"errors":[]}`)
	if secret, err := reader.Read(t.Context(), login(), kv); err != nil || secret.Path != "team/data/app" {
		t.Errorf("after the upgrade: %v, %v", secret, err)
	}
}
