package vaultclient_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/operator/vaultclient"
	"strongroom/operator/vaulttest"
)

// One resource that is denied does not end the login that holds the leases of others, and leaves no login behind; where the
// role has new policies by now, it is made anew.
func TestADenialKeepsALoginWithLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vault := server(time.Hour)
		vault.Put("old/x", map[string]any{"A": "1"})
		pool := started(t, vault)
		replaced := 0
		pool.OnReplaced(func(vaultclient.LoginKey) { replaced++ })
		leasing := login("default")
		leasing.Leases = true
		denied := func(path string) bool {
			var refused *vaultclient.Refused
			return errors.As(read(pool, leasing, path), &refused) && refused.Status == http.StatusForbidden
		}
		id := func() (id string) {
			t.Helper()
			if err := pool.Do(t.Context(), leasing, func(_ context.Context, client *vaultclient.Client) error { id = client.LoginID(); return nil }); err != nil {
				t.Fatal(err)
			}
			return id
		}
		first := id()
		for range 10 { // five minutes
			time.Sleep(30 * time.Second)
			if !denied("old/x") {
				t.Fatal("not denied")
			}
			if id() != first || vault.Tokens() != 1 {
				t.Fatalf("a denial ends the login (%v), or leaves one: %d", id() != first, vault.Tokens())
			}
		}
		if logins := pool.Logins(); logins > 6 {
			t.Errorf("%d logins in five minutes", logins)
		}
		vault.SetRole("app", vaulttest.Role{Namespace: "shop", Account: "default", Paths: []string{"secret/*", "old/*"}, TTL: time.Hour})
		time.Sleep(time.Minute)
		if denied("old/x") || id() == first || replaced != 1 {
			t.Errorf("the role's new policies do not count (replaced %d times)", replaced)
		}
		if vault.Tokens() != 2 {
			t.Errorf("%d tokens live, want the one that holds leases and the new one", vault.Tokens())
		}
	})
}
