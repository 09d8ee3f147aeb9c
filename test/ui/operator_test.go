package ui_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"

	"strongroom/operator/consumers"
	"strongroom/operator/vaultclient"
)

// told is what the steps have the operator's reporter tell a server, as one service account.
type told struct {
	Address, Mount, Role string
	Resources            []struct {
		Kind, Namespace, Name  string
		Paths                  []string
		State, Version, Synced string
	}
}

// reporter serves a URL at which the steps give what the operator's own client is then to report, logged in with jwt.
func reporter(t *testing.T, jwt string) string {
	pool := vaultclient.NewPool(func(context.Context, vaultclient.Login) (string, error) { return jwt, nil }, vaultclient.Redirect(nil))
	tells := consumers.New(pool, "prod-eu", logr.Discard())
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = pool.Start(ctx) })
	running.Go(func() { _ = tells.Start(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var all told
		if err := json.NewDecoder(r.Body).Decode(&all); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		login := vaultclient.Login{
			Server: vaultclient.Server{Address: all.Address}, Mount: all.Mount, Role: all.Role,
			ServiceAccount: types.NamespacedName{Namespace: "app", Name: "default"},
		}
		for _, c := range all.Resources {
			synced, _ := time.Parse(time.RFC3339, c.Synced) // none: never
			tells.Tell(consumers.Resource{Kind: c.Kind, Namespace: c.Namespace, Name: c.Name}, &consumers.Use{Login: login, Paths: c.Paths},
				consumers.State{Reason: c.State, Version: c.Version, Synced: synced})
		}
	}))
	t.Cleanup(served.Close)
	return served.URL
}
