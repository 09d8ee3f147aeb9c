package vaultclient_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/vaultclient"
	"strongroom/operator/vaulttest"
)

func token(_ context.Context, login vaultclient.Login) (string, error) {
	return vaulttest.Token(login.ServiceAccount.Namespace, login.ServiceAccount.Name), nil
}

func login(account string) vaultclient.Login {
	return vaultclient.Login{
		Server: vaultclient.Server{Address: "http://vault.vault:8200"}, Mount: "kubernetes", Role: "app",
		ServiceAccount: types.NamespacedName{Namespace: "shop", Name: account},
	}
}

func server(ttl time.Duration) *vaulttest.Server {
	vault := vaulttest.New()
	vault.SetRole("app", vaulttest.Role{Namespace: "shop", Account: "default", Paths: []string{"secret/*"}, TTL: ttl})
	vault.Put("secret/app", map[string]any{"A": "1"})
	return vault
}

// started returns a pool that runs until the test ends.
func started(t *testing.T, vault *vaulttest.Server) *vaultclient.Pool {
	pool := vaultclient.NewPool(token, vault.Dial(t))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = pool.Start(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return pool
}

func read(pool *vaultclient.Pool, login vaultclient.Login, path string) error {
	return pool.Do(context.Background(), login, func(ctx context.Context, client *vaultclient.Client) error {
		_, err := client.Read(ctx, path)
		return err
	})
}

func TestConcurrentUsersShareOneLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vault := server(time.Hour)
		pool := started(t, vault)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if err := read(pool, login("default"), "secret/data/app"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if count := vault.Count("auth/kubernetes/login"); count != 1 || pool.Logins() != 1 {
			t.Errorf("%d logins, %d counted, want 1", count, pool.Logins())
		}
	})
}

func TestLoginsAreNotSharedAcrossAccountsOrHeaders(t *testing.T) {
	vault := server(time.Hour)
	pool := vaultclient.NewPool(token, vault.Dial(t))
	if err := pool.Check(t.Context(), login("default")); err != nil {
		t.Fatal(err)
	}
	if err := pool.Check(t.Context(), login("other")); !condition.Is(err, v1beta1.ReasonLoginFailed) {
		t.Errorf("another service account uses the login of the first: %v", err)
	}
	changed := login("default")
	changed.Headers = map[string]string{"X-Team": "a"}
	if err := pool.Check(t.Context(), changed); err != nil || pool.Logins() != 2 {
		t.Errorf("%d logins, %v; want 2", pool.Logins(), err)
	}
}

func TestATokenIsRenewedAndIdleOnesAreRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vault := server(10 * time.Minute)
		pool := started(t, vault)
		for range 60 { // an hour
			if err := read(pool, login("default"), "secret/data/app"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		if logins, renewals := pool.Logins(), vault.Count("auth/token/renew-self"); logins != 1 || renewals < 6 || renewals > 9 {
			t.Errorf("an hour of a token of 10 minutes took %d logins and %d renewals", logins, renewals)
		}
		time.Sleep(20 * time.Minute)
		if revoked := vault.Count("auth/token/revoke-self"); revoked != 1 {
			t.Errorf("%d tokens revoked after 20 idle minutes, want 1", revoked)
		}
	})
}

func TestAnExpiredTokenIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vault := server(10 * time.Minute)
		pool := started(t, vault)
		for range 3 {
			if err := read(pool, login("default"), "secret/data/app"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(11 * time.Minute)
		}
		if pool.Logins() != 3 {
			t.Errorf("%d logins, want 3", pool.Logins())
		}
	})
}

func TestARevokedTokenIsReplacedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vault := server(time.Hour)
		pool := started(t, vault)
		if err := read(pool, login("default"), "secret/data/app"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		vault.RevokeAll()
		if err := read(pool, login("default"), "secret/data/app"); err != nil || pool.Logins() != 2 {
			t.Errorf("after the revocation: %v, %d logins", err, pool.Logins())
		}
		vault.Fail("secret/data/app", http.StatusForbidden, `{"errors":["permission denied","invalid token"]}`)
		err := read(pool, login("default"), "secret/data/app")
		var refused *vaultclient.Refused
		if !errors.As(err, &refused) || pool.Logins() != 3 {
			t.Errorf("a server that takes no token: %v, %d logins; want a refusal after one more login", err, pool.Logins())
		}
	})
}

func TestStopLogsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vault := server(time.Hour)
		pool := vaultclient.NewPool(token, vault.Dial(t))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- pool.Start(ctx) }()
		if err := pool.Check(ctx, login("default")); err != nil {
			t.Fatal(err)
		}
		cancel()
		<-done
		if vault.Tokens() != 0 {
			t.Errorf("%d tokens live after the end", vault.Tokens())
		}
		if err := pool.Check(t.Context(), login("default")); !errors.Is(err, context.Canceled) {
			t.Errorf("a login after the end: %v", err)
		}
	})
}

// Neither a session in use nor a login under way when the pool stops leaves a token behind.
func TestStopLogsOutWhatIsInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vault := server(time.Hour)
		vault.SetRole("slow", vaulttest.Role{Namespace: "shop", Account: "slow", TTL: time.Hour})
		slowly := func(ctx context.Context, login vaultclient.Login) (string, error) {
			if login.Role == "slow" {
				time.Sleep(5 * time.Second)
			}
			return token(ctx, login)
		}
		pool := vaultclient.NewPool(slowly, vault.Dial(t))
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = pool.Start(ctx) }()
		var users sync.WaitGroup
		users.Go(func() {
			_ = pool.Do(t.Context(), login("default"), func(context.Context, *vaultclient.Client) error {
				time.Sleep(10 * time.Second)
				return nil
			})
		})
		users.Go(func() {
			slow := login("slow")
			slow.Role = "slow"
			if err := pool.Check(t.Context(), slow); !errors.Is(err, context.Canceled) {
				t.Errorf("a login that ends after the pool: %v", err)
			}
		})
		time.Sleep(time.Second)
		cancel()
		users.Wait()
		if vault.Tokens() != 0 || vault.Count("auth/kubernetes/login") != 2 {
			t.Errorf("%d of %d tokens live after the end", vault.Tokens(), vault.Count("auth/kubernetes/login"))
		}
		time.Sleep(2 * time.Minute) // idle connections end within the bubble
	})
}

// The process may end as soon as Start returns: a login that was under way is revoked by then, and nothing is waited for
// from a server that hangs but for a while.
func TestTheEndWaitsForALoginUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vault := server(time.Hour)
		dial := vault.Dial(t)
		pool := vaultclient.NewPool(func(ctx context.Context, login vaultclient.Login) (string, error) {
			time.Sleep(3 * time.Second)
			return token(ctx, login)
		}, dial)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = pool.Start(ctx) }()
		go func() { _ = pool.Check(ctx, login("default")) }()
		time.Sleep(time.Second)
		cancel()
		began := time.Now()
		<-ended
		if logins, tokens := vault.Count("auth/kubernetes/login"), vault.Tokens(); logins != 1 || tokens != 0 {
			t.Errorf("%d logins, of which %d tokens live when the pool has ended", logins, tokens)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("the end took %s", took)
		}

		pool = vaultclient.NewPool(func(context.Context, vaultclient.Login) (string, error) {
			time.Sleep(time.Hour)
			return "", errors.New("no")
		}, dial)
		ctx, cancel = context.WithCancel(t.Context())
		ended = make(chan struct{})
		go func() { defer close(ended); _ = pool.Start(ctx) }()
		go func() { _ = pool.Check(ctx, login("default")) }()
		time.Sleep(time.Second)
		cancel()
		began = time.Now()
		<-ended
		if took := time.Since(began); took > 25*time.Second {
			t.Errorf("the end took %s, which a manager does not wait", took)
		}
		time.Sleep(2 * time.Hour) // what hangs ends within the bubble
	})
}

func TestProblems(t *testing.T) {
	for _, test := range []struct {
		name, path   string
		status       int
		body         string
		reason, says string
	}{
		{"sealed", "auth/kubernetes/login", 503, `{"errors":["Vault is sealed"]}`, v1beta1.ReasonServerSealed, "unseal every node"},
		{"not initialised", "auth/kubernetes/login", 503, `{"errors":["server is not yet initialized"]}`, v1beta1.ReasonServerSealed, "vault operator init"},
		{"no leader", "auth/kubernetes/login", 500, `{"errors":["local node not active but active cluster node not found"]}`, v1beta1.ReasonServerUnreachable, "HTTP 500: local node not active"},
		{"unavailable", "auth/kubernetes/login", 503, `{"errors":["overloaded"]}`, v1beta1.ReasonServerUnreachable, "HTTP 503: overloaded"},
		{"limited", "auth/kubernetes/login", 429, `{"errors":["too many"]}`, v1beta1.ReasonServerUnreachable, "HTTP 429"},
		{"a proxy", "auth/kubernetes/login", 502, `<html>internal data</html>`, v1beta1.ReasonServerUnreachable, "HTTP 502, which is not a Vault error"},
		{"a web server", "auth/kubernetes/login", 404, `<html>internal data</html>`, v1beta1.ReasonServerUnreachable, "does not answer as a Vault server does"},
		{"another service", "auth/kubernetes/login", 200, `internal data`, v1beta1.ReasonServerUnreachable, "does not answer as a Vault server does"},
		{"no token", "auth/kubernetes/login", 200, `{"auth":null}`, v1beta1.ReasonServerUnreachable, "holds no token"},
		{"no role", "auth/kubernetes/login", 400, `{"errors":["invalid role name \"app\""]}`, v1beta1.ReasonLoginFailed,
			`service account default of namespace shop cannot log in with role "app" at auth/kubernetes: HTTP 400: invalid role name "app"`},
		{"namespace", "auth/kubernetes/login", 403, `{"errors":["namespace not authorized"]}`, v1beta1.ReasonLoginFailed,
			"namespace not authorized; see that `vault read auth/kubernetes/role/app`"},
		{"no mount", "auth/kubernetes/login", 404, `{"errors":["no handler for route \"auth/kubernetes/login\""]}`, v1beta1.ReasonMountNotFound,
			"vault auth enable -path=kubernetes kubernetes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			vault := server(time.Hour)
			vault.Fail(test.path, test.status, test.body)
			err := vaultclient.NewPool(token, vault.Dial(t)).Check(t.Context(), login("default"))
			if !condition.Is(err, test.reason) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v\nwant %s with %q", err, test.reason, test.says)
			}
			if strings.Contains(err.Error(), "internal data") {
				t.Errorf("%v quotes what is not a Vault error", err)
			}
		})
	}
}

func TestAWebServersNotFoundIsNoMissingSecret(t *testing.T) {
	vault := server(time.Hour)
	vault.Fail("secret/data/app", http.StatusNotFound, `<html>internal data</html>`)
	err := read(vaultclient.NewPool(token, vault.Dial(t)), login("default"), "secret/data/app")
	if !condition.Is(err, v1beta1.ReasonServerUnreachable) || !strings.Contains(err.Error(), "HTTP 404, which is not a Vault error") {
		t.Error(err)
	}
}

func TestUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	pool := vaultclient.NewPool(token, vaultclient.Redirect(map[string]string{"vault.vault:8200": address}))
	_, err = pool.Probe(t.Context(), login("default").Server)
	if !condition.Is(err, v1beta1.ReasonServerUnreachable) || !strings.Contains(err.Error(), "cannot use http://vault.vault:8200: dial: connect: connection refused") {
		t.Error(err)
	}
}

func TestASlowServerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := func(context.Context, string, string) (net.Conn, error) {
			time.Sleep(time.Minute)
			return nil, errors.New("stuck")
		}
		start := time.Now()
		_, err := vaultclient.NewPool(token, stuck).Probe(t.Context(), vaultclient.Server{Address: "http://vault:8200", Timeout: 2 * time.Second})
		if !condition.Is(err, v1beta1.ReasonServerUnreachable) || !strings.Contains(err.Error(), "no answer in time") {
			t.Error(err)
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("gave up after %s, want 2s", took)
		}
		time.Sleep(2 * time.Minute) // the dial ends within the bubble
	})
}

func TestProbe(t *testing.T) {
	vault := server(time.Hour)
	pool := vaultclient.NewPool(token, vault.Dial(t))
	health, err := pool.Probe(t.Context(), login("default").Server)
	if err != nil || health.Version != "1.0.0-fake" {
		t.Errorf("%+v, %v", health, err)
	}
	vault.SetSealed(true)
	pool = vaultclient.NewPool(token, vault.Dial(t)) // the other believes its last probe for a while
	if _, err := pool.Probe(t.Context(), login("default").Server); !condition.Is(err, v1beta1.ReasonServerSealed) {
		t.Error(err)
	}
}

func TestTLS(t *testing.T) {
	vault := httptest.NewUnstartedServer(server(time.Hour))
	vault.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo) // it complains of clients that distrust it
	vault.StartTLS()
	defer vault.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: vault.Certificate().Raw}))
	pool := vaultclient.NewPool(token, vaultclient.Redirect(map[string]string{"vault.vault:8200": vault.Listener.Addr().String()}))
	const address = "https://vault.vault:8200"
	for _, test := range []struct {
		name         string
		server       vaultclient.Server
		reason, says string
	}{
		{"unknown CA", vaultclient.Server{Address: address, TLSServerName: "example.com"}, v1beta1.ReasonServerUnreachable, "signed by an unknown authority: give the CA"},
		{"skipped", vaultclient.Server{Address: address, SkipTLSVerify: true}, "", ""},
		{"wrong name", vaultclient.Server{Address: address, CACert: ca}, v1beta1.ReasonServerUnreachable, "certificate is valid for"},
		{"CA and name", vaultclient.Server{Address: address, CACert: ca, TLSServerName: "example.com"}, "", ""},
		{"no PEM", vaultclient.Server{Address: address, CACert: "x"}, v1beta1.ReasonInvalidSpec, "is not PEM"},
	} {
		_, err := pool.Probe(t.Context(), test.server)
		if test.reason == "" && err != nil || test.reason != "" && (!condition.Is(err, test.reason) || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: %v, want %s %s", test.name, err, test.reason, test.says)
		}
	}
}

func TestAddressesAndHeadersAreChecked(t *testing.T) {
	pool := vaultclient.NewPool(token, func(context.Context, string, string) (net.Conn, error) {
		t.Error("dialled")
		return nil, errors.New("no")
	})
	for _, address := range []string{"unix:///var/run/vault.sock", "file:///etc/passwd", "vault:8200", "", "http://"} {
		if _, err := pool.Probe(t.Context(), vaultclient.Server{Address: address}); !condition.Is(err, v1beta1.ReasonInvalidSpec) {
			t.Errorf("address %q: %v, want InvalidSpec", address, err)
		}
	}
	_, err := pool.Probe(t.Context(), vaultclient.Server{Address: "http://v:1", Headers: map[string]string{"x-vault-token": "t"}})
	if !condition.Is(err, v1beta1.ReasonInvalidSpec) {
		t.Errorf("header x-vault-token: %v, want InvalidSpec", err)
	}
}

func TestTheOperatorsEnvironmentStaysItsOwn(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "operators-own")
	t.Setenv("VAULT_NAMESPACE", "operators-own")
	t.Setenv("VAULT_HEADERS", `{"X-Own":"operators-own"}`)
	seen := make(chan http.Header, 1)
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header }))
	defer thief.Close()
	pool := vaultclient.NewPool(token, vaultclient.Redirect(nil))
	if _, err := pool.Probe(t.Context(), vaultclient.Server{Address: thief.URL}); err == nil {
		t.Error("an empty answer is taken for a healthy server")
	}
	if headers := fmt.Sprint(<-seen); strings.Contains(headers, "operators-own") {
		t.Errorf("the server was sent %s", headers)
	}
}

func TestAHugeAnswerIsCutOff(t *testing.T) {
	vault := server(time.Hour)
	vault.Fail("secret/data/app", http.StatusOK, `{"data":{"data":{"A":"`+strings.Repeat("x", 9<<20)+`"}}}`)
	err := read(vaultclient.NewPool(token, vault.Dial(t)), login("default"), "secret/data/app")
	if !condition.Is(err, v1beta1.ReasonServerUnreachable) {
		t.Errorf("9 MiB: %v", err)
	}
}

// A redirect would take the token, or what logs in, wherever whoever answers says.
func TestNoRedirectIsFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, path := range []string{"sys/seal-status", "auth/kubernetes/login", "secret/data/app"} {
			var followed atomic.Int32
			thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
			vault := server(time.Hour)
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/"+path {
					http.Redirect(w, r, thief.URL, status)
					return
				}
				vault.ServeHTTP(w, r)
			}))
			at := login("default")
			at.Address = front.URL
			pool := vaultclient.NewPool(token, vaultclient.Redirect(nil))
			err := read(pool, at, "secret/data/app")
			if path == "sys/seal-status" {
				_, err = pool.Probe(t.Context(), at.Server)
			}
			if !condition.Is(err, v1beta1.ReasonServerUnreachable) || !strings.Contains(err.Error(), "redirects to another address") {
				t.Errorf("%d of %s: %v", status, path, err)
			}
			if followed.Load() > 0 {
				t.Errorf("%d of %s was followed", status, path)
			}
			front.Close()
			thief.Close()
		}
	}
}
