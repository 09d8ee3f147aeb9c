package vaultclient_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/vaultclient"
)

// A server that is out gets a handful of probes, however many would ask it, and all are told at once when it is back.
func TestASealedServerIsAskedAHandfulOfTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vault := server(time.Hour)
		var opened, closed atomic.Int32
		pool := vaultclient.NewPool(token, vault.Dial(t))
		pool.Watch(func(vaultclient.ServerKey) { opened.Add(1) }, func(vaultclient.ServerKey) { closed.Add(1) })
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = pool.Start(ctx) })
		defer running.Wait()
		defer cancel()
		if err := read(pool, login("default"), "secret/data/app"); err != nil {
			t.Fatal(err)
		}
		vault.SetSealed(true)
		asked := vault.Count("secret/data/app")
		for range 60 {
			for range 20 {
				err := read(pool, login("default"), "secret/data/app")
				var outage *vaultclient.Outage
				if !condition.Is(err, v1beta1.ReasonServerSealed) || !errors.As(err, &outage) || !pool.Out(outage.Server) {
					t.Fatalf("%v, want ServerSealed by an outage", err)
				}
			}
			time.Sleep(time.Second)
		}
		if n := vault.Count("secret/data/app") - asked; n > 2 {
			t.Errorf("a sealed server got %d of 1200 requests", n)
		}
		if n := vault.Count("sys/seal-status"); n < 5 || n > 14 {
			t.Errorf("a sealed server got %d probes in a minute", n)
		}
		vault.SetSealed(false)
		time.Sleep(9 * time.Second)
		if opened.Load() != 1 || closed.Load() != 1 {
			t.Errorf("told %d times of the outage and %d times of its end", opened.Load(), closed.Load())
		}
		if err := read(pool, login("default"), "secret/data/app"); err != nil {
			t.Error(err)
		}
	})
}

// A path that fails is no outage: nobody else may suffer, and it costs no probe each time.
func TestAPathThatFailsTakesNoServerAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vault := server(time.Hour)
		pool := vaultclient.NewPool(token, vault.Dial(t))
		vault.Fail("secret/data/bad", http.StatusInternalServerError, `{"errors":["boom"]}`)
		for range 100 {
			if err := read(pool, login("default"), "secret/data/bad"); !condition.Is(err, v1beta1.ReasonServerUnreachable) {
				t.Fatal(err)
			}
			if err := read(pool, login("default"), "secret/data/app"); err != nil {
				t.Fatal(err)
			}
		}
		if n := vault.Count("sys/seal-status"); n != 1 {
			t.Errorf("%d probes, want one", n)
		}
	})
}

// What a wrong configuration cannot reach is out for that configuration only.
func TestAnOutageIsNotSharedWithOtherWaysToAServer(t *testing.T) {
	own := login("default").Server
	for _, other := range []vaultclient.Server{
		{Address: own.Address, CACert: "x"}, {Address: own.Address, TLSServerName: "x"},
		{Address: own.Address, Timeout: time.Second}, {Address: own.Address, Headers: map[string]string{"a": "b"}},
	} {
		if other.Key() == own.Key() {
			t.Errorf("%+v shares the fate of %+v", other, own)
		}
	}
}

// A login whose leases must outlive the operator is renewed although nobody asks, and not logged out.
func TestALoginWithLeasesStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vault := server(30 * time.Minute)
		pool := vaultclient.NewPool(token, vault.Dial(t))
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = pool.Start(ctx) })
		leases := login("default")
		leases.Leases = true
		if err := errors.Join(pool.Check(t.Context(), leases), pool.Check(t.Context(), login("default"))); err != nil {
			t.Fatal(err)
		}
		if n := vault.Tokens(); n != 2 {
			t.Fatalf("%d tokens, want one for leases and one for the rest", n)
		}
		time.Sleep(6 * time.Hour)
		if n, renewed := vault.Tokens(), vault.Count("auth/token/renew-self"); n != 1 || renewed < 17 {
			t.Errorf("%d tokens after %d renewals", n, renewed)
		}
		cancel()
		running.Wait()
		if n := vault.Tokens(); n != 1 {
			t.Errorf("%d tokens after the end, want the one with leases", n)
		}
	})
}

// Where a server answers about its health there are no namespaces: the question names none, whatever the operator's own
// environment says.
func TestProbeNamesNoNamespace(t *testing.T) {
	t.Setenv("VAULT_NAMESPACE", "team")
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if name, there := r.Header["X-Vault-Namespace"]; there {
			t.Errorf("%s names namespace %q", r.URL.Path, name)
		}
		_, _ = io.WriteString(w, `{"initialized": true, "sealed": false, "version": "1"}`)
	}))
	t.Cleanup(server.Close)
	pool := vaultclient.NewPool(nil, vaultclient.Redirect(nil))
	if _, err := pool.Probe(t.Context(), vaultclient.Server{Address: server.URL}); err != nil || asked.Load() == 0 {
		t.Errorf("%d questions, %v", asked.Load(), err)
	}
}

// An address that no resource uses any more is not tried for ever, neither because it was out nor because of a login
// whose leases ended long ago.
func TestADeadAddressIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vault := server(30 * time.Minute)
		var dead atomic.Bool
		var tried, told atomic.Int32
		dial := vault.Dial(t)
		pool := vaultclient.NewPool(token, func(ctx context.Context, network, address string) (net.Conn, error) {
			if dead.Load() {
				tried.Add(1)
				return nil, errors.New("gone")
			}
			conn, err := dial(ctx, network, address)
			if err == nil {
				time.AfterFunc(10*time.Minute, func() { _ = conn.Close() })
			}
			return conn, err
		})
		pool.Watch(func(vaultclient.ServerKey) {}, func(vaultclient.ServerKey) { told.Add(1) })
		var replaced atomic.Int32
		pool.OnReplaced(func(vaultclient.LoginKey) { replaced.Add(1) })
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = pool.Start(ctx) })
		defer running.Wait()
		defer cancel()
		leases := login("default")
		leases.Leases = true
		if err := pool.Check(t.Context(), leases); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Minute)
		dead.Store(true)
		for range 40 { // somebody asks, long after the breaker opened
			if err := pool.Check(t.Context(), login("default")); !condition.Is(err, v1beta1.ReasonServerUnreachable) {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		before := tried.Load()
		time.Sleep(time.Minute)
		if tried.Load() == before || !pool.Out(leases.Server.Key()) || told.Load() != 0 {
			t.Fatal("it is forgotten while somebody asks for it")
		}
		time.Sleep(time.Hour)
		before = tried.Load()
		time.Sleep(24 * time.Hour)
		if n := tried.Load() - before; n != 0 || pool.Out(leases.Server.Key()) {
			t.Errorf("%d connections tried in a day in which nobody asked", n)
		}
		if told.Load() == 0 || replaced.Load() != 1 {
			t.Errorf("%d were told that the outage is forgotten, and %d that the login ended", told.Load(), replaced.Load())
		}
	})
}
