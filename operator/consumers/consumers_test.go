package consumers_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"

	"strongroom/operator/consumers"
	"strongroom/operator/vaultclient"
	"strongroom/operator/vaulttest"
)

const report = "sys/kubernetes/report"

// world is a Reporter over a server that takes reports.
type world struct {
	*consumers.Reporter
	vault *vaulttest.Server
	pool  *vaultclient.Pool
	logs  *log
}

type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{vault: vaulttest.New(), logs: &log{}}
	w.vault.SetReports(true)
	w.pool = vaultclient.NewPool(func(_ context.Context, login vaultclient.Login) (string, error) {
		return vaulttest.Token(login.ServiceAccount.Namespace, login.ServiceAccount.Name), nil
	}, w.vault.Dial(t))
	w.Reporter = consumers.New(w.pool, "prod", logr.FromSlogHandler(slog.NewTextHandler(w.logs, nil)))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = w.pool.Start(ctx) })
	running.Go(func() { _ = w.Start(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return w
}

// use is of a login of namespace's own, which may read below secret/data/NAMESPACE/.
func (w *world) use(namespace string, paths ...string) *consumers.Use {
	w.vault.SetRole(namespace, vaulttest.Role{Namespace: namespace, Account: "default", Paths: []string{"secret/data/" + namespace + "/*"}, TTL: 24 * time.Hour})
	return &consumers.Use{Paths: paths, Login: vaultclient.Login{Server: vaultclient.Server{Address: "http://vault.vault:8200"}, Mount: "kubernetes", Role: namespace,
		ServiceAccount: types.NamespacedName{Namespace: namespace, Name: "default"}}}
}

func vaultSecret(namespace, name string) consumers.Resource {
	return consumers.Resource{Kind: "VaultSecret", Namespace: namespace, Name: name}
}

func valid(version string) consumers.State {
	return consumers.State{Reason: "Valid", Version: version, Synced: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

func (w *world) want(t *testing.T, what string, want ...string) {
	t.Helper()
	got := map[string]string{}
	for name, c := range w.vault.Consumers() {
		got[name] = fmt.Sprintf("%s %s %s %s", name, c.State, c.Version, strings.Join(c.Paths, ","))
	}
	for _, line := range want {
		if name, _, _ := strings.Cut(line, " "); got[name] != line {
			t.Errorf("%s: %q, want %q", what, got[name], line)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		w.Tell(vaultSecret("shop", "never"), nil, consumers.State{Reason: "LoginFailed"})
		for i := range 5 {
			w.Tell(vaultSecret("shop", fmt.Sprint("a", i)), w.use("shop", "secret/data/shop/a"), valid("1"))
		}
		w.Tell(vaultSecret("shop", "b"), w.use("shop", "secret/data/shop/b", "secret/data/other/b"), valid("7"))
		time.Sleep(15 * time.Second)
		all := []string{"VaultSecret/shop/b Valid 7 secret/data/shop/b"}
		for i := range 5 {
			all = append(all, fmt.Sprintf("VaultSecret/shop/a%d Valid 1 secret/data/shop/a", i))
		}
		w.want(t, "all, without what the login may not use", all...)
		sent := w.vault.Reports()
		if len(sent) != 1 || sent[0].Cluster != "prod" || !sent[0].Reset || len(sent[0].Resources) != 6 || sent[0].Resources[0].Synced != "2026-01-02T03:04:05Z" {
			t.Errorf("not in one request: %+v", sent)
		}

		w.Tell(vaultSecret("shop", "b"), nil, consumers.State{Reason: "NotFound", Version: "7"})
		w.Tell(vaultSecret("shop", "a0"), w.use("shop", "secret/data/shop/b"), valid("1"))
		w.Forget(vaultSecret("shop", "a1"))
		w.Tell(vaultSecret("shop", "a2"), &consumers.Use{Part: true, Login: w.use("shop").Login, Paths: []string{"secret/data/shop/a"}}, consumers.State{Reason: "NotFound"})
		w.Tell(vaultSecret("shop", "b"), &consumers.Use{Part: true, Login: w.use("shop").Login, Paths: []string{"secret/data/shop/b"}}, consumers.State{Reason: "NotFound", Version: "7"})
		time.Sleep(15 * time.Second)
		w.want(t, "what changed", "VaultSecret/shop/b NotFound 7 secret/data/shop/b", "VaultSecret/shop/a0 Valid 1 secret/data/shop/b", "VaultSecret/shop/a2 NotFound  secret/data/shop/a", all[4], all[5])
		sent = w.vault.Reports()
		if len(sent) != 2 || sent[1].Reset || len(sent[1].Resources) != 4 {
			t.Errorf("not what changed alone: %+v", sent[1:])
		}
		w.Tell(vaultSecret("shop", "a3"), w.use("shop", "secret/data/shop/a"), consumers.State{Reason: "Valid", Version: "1", Synced: time.Now()})
		time.Sleep(time.Minute)
		if n := len(w.vault.Reports()); n != 2 {
			t.Errorf("a sync without news is told at once: %d requests", n)
		}
		time.Sleep(6 * time.Minute)
		sent = w.vault.Reports()
		if len(sent) != 3 || len(sent[2].Resources) != 1 {
			t.Errorf("a sync without news is not told with the renewal: %+v", sent[2:])
		}
	})
}

// TestMoves: a resource with another login is told of by that alone; one that nobody has any more ends its book.
func TestMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		w.Tell(vaultSecret("shop", "a"), w.use("shop", "secret/data/shop/a"), valid("1"))
		time.Sleep(15 * time.Second)
		w.Tell(vaultSecret("shop", "a"), w.use("web", "secret/data/web/a"), valid("1"))
		time.Sleep(15 * time.Second)
		w.want(t, "moved", "VaultSecret/shop/a Valid 1 secret/data/web/a")
		before := len(w.vault.Reports())
		time.Sleep(30 * time.Minute)
		for _, r := range w.vault.Reports()[before:] {
			if r.Instance != w.vault.Reports()[before-1].Instance && r.Instance == w.vault.Reports()[0].Instance {
				t.Errorf("the former login tells on: %+v", r)
			}
		}
		w.Forget(vaultSecret("shop", "a"))
		time.Sleep(15 * time.Second)
		w.want(t, "gone")
	})
}

// TestLost: a server that has lost what it was told, as after a change of its active node, is told all again within a renewal.
func TestLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		for i := range 2500 {
			w.Tell(vaultSecret("shop", fmt.Sprint("a", i)), w.use("shop", "secret/data/shop/a"), valid("1"))
		}
		time.Sleep(15 * time.Second)
		if held, sent := len(w.vault.Consumers()), w.vault.Reports(); held != 2500 || len(sent) != 3 || !sent[0].Reset || sent[1].Reset || sent[2].Reset {
			t.Errorf("%d held after %d requests", held, len(sent))
		}
		w.vault.LoseReports()
		time.Sleep(7 * time.Minute)
		if held := len(w.vault.Consumers()); held != 2500 {
			t.Errorf("%d held after a change of the active node", held)
		}
		w.vault.SetSealed(true)
		w.Tell(vaultSecret("shop", "a0"), nil, consumers.State{Reason: "ServerSealed"})
		time.Sleep(time.Hour)
		w.vault.SetSealed(false)
		w.vault.LoseReports()
		time.Sleep(3 * time.Minute)
		if held := w.vault.Consumers(); len(held) != 2500 || held["VaultSecret/shop/a0"].State != "ServerSealed" {
			t.Errorf("%d held after an outage", len(held))
		}
	})
}

// TestRest: at rest 100 logins with 100 resources each cost the server less than half a request a second.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		for login := range 100 {
			namespace := fmt.Sprint("n", login)
			use := w.use(namespace, "secret/data/"+namespace+"/a")
			for i := range 100 {
				w.Tell(vaultSecret(namespace, fmt.Sprint("a", i)), use, valid("1"))
			}
		}
		time.Sleep(time.Minute)
		before := w.vault.Count(report)
		time.Sleep(time.Hour)
		n := w.vault.Count(report) - before
		t.Logf("%d requests in an hour, %.2f a second", n, float64(n)/3600)
		if n > 1800 || n < 100*10 {
			t.Errorf("%d requests in an hour", n)
		}
		if logins := w.pool.Logins(); logins != 100 {
			t.Errorf("%d logins", logins)
		}
	})
}

// TestDeaf: a server that takes no reports is asked once an hour by each login, the log says so once, and no login is lost.
func TestDeaf(t *testing.T) {
	for name, status := range map[string]int{"Vault, without a policy": http.StatusForbidden, "an older Strongroom": http.StatusNotFound, "no such operation": http.StatusMethodNotAllowed} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := start(t)
				w.vault.Fail(report, status, `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`)
				for i := range 10 {
					w.Tell(vaultSecret("shop", "a"), w.use("shop", "secret/data/shop/a"), valid(fmt.Sprint(i)))
					w.Tell(vaultSecret("web", "a"), w.use("web", "secret/data/web/a"), valid(fmt.Sprint(i)))
					time.Sleep(5 * time.Minute)
				}
				if n := w.vault.Count(report); n < 1 || n > 2 {
					t.Errorf("%d requests", n)
				}
				if n := w.pool.Logins(); n > 2 {
					t.Errorf("%d logins for two", n)
				}
				if n := strings.Count(w.logs.String(), "takes no reports"); n != 1 {
					t.Errorf("said %d times: %s", n, w.logs)
				}
				w.vault.Fail(report, 0, "")
				time.Sleep(3 * time.Hour)
				w.want(t, "once it is upgraded", "VaultSecret/shop/a Valid 9 secret/data/shop/a", "VaultSecret/web/a Valid 9 secret/data/web/a")
				if n := strings.Count(w.logs.String(), "takes no reports"); n != 1 {
					t.Errorf("said %d times: %s", n, w.logs)
				}
			})
		})
	}
}

// TestOff: without a name of the cluster there is no Reporter, and none is no fault.
func TestOff(t *testing.T) {
	off := consumers.New(nil, "", logr.Discard())
	if off != nil {
		t.Fatal("on without a name")
	}
	off.Tell(vaultSecret("shop", "a"), &consumers.Use{}, valid("1"))
	off.Forget(vaultSecret("shop", "a"))
}
