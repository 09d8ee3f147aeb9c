package instant_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"strongroom/api/v1beta1"
	"strongroom/operator/instant"
	"strongroom/operator/vaultclient"
	"strongroom/test/cluster"
)

// soon is how long what happens at once may take on a busy machine.
const soon = 20 * time.Second

// world is a real server with a KV 2 engine at secret/ and AppRoles, and a hub over a pool.
type world struct {
	cluster *cluster.Cluster
	root    *vault.Client
	address string // of the server as one that lets nobody follow what they may read, like Vault
	pool    *vaultclient.Pool
	hub     *instant.Hub
	mute    atomic.Bool // there, nobody is answered about capabilities
	secrets sync.Map    // of AppRoles, by role id
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{cluster: cluster.NewReady(t, 1)}
	var err error
	if w.root, err = w.cluster.Nodes[0].Client(w.cluster.Keys.Root); err != nil {
		t.Fatal(err)
	}
	w.write(t, "sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}})
	w.write(t, "sys/auth/approle", map[string]any{"type": "approle"})
	target, err := url.Parse(w.cluster.Nodes[0].Addr)
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(target)
	proxy := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/sys/events/follow/") {
			http.Error(out, `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`, http.StatusForbidden)
			return
		}
		if w.mute.Load() && r.URL.Path == "/v1/sys/capabilities-self" {
			http.Error(out, `{"errors":["the leader was lost while it served the request"]}`, http.StatusBadGateway)
			return
		}
		forward.ServeHTTP(out, r)
	}))
	t.Cleanup(proxy.Close)
	w.address = proxy.URL
	w.start(t)
	return w
}

// start makes a pool and a hub, as an operator that starts.
func (w *world) start(t *testing.T) {
	t.Helper()
	w.pool = vaultclient.NewPool(func(_ context.Context, login vaultclient.Login) (string, error) {
		id, _ := w.secrets.Load(login.Role)
		text, _ := id.(string)
		return text, nil
	}, vaultclient.Redirect(nil))
	w.hub = instant.NewHub(w.pool)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = w.pool.Start(ctx) })
	running.Go(func() { _ = w.hub.Start(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
}

func (w *world) write(t *testing.T, path string, body map[string]any) *vault.Secret {
	t.Helper()
	secret, err := w.root.Logical().WriteWithContext(t.Context(), path, body)
	if err != nil {
		t.Fatalf("write %s: %v", path, err)
	}
	return secret
}

func (w *world) put(t *testing.T, key, value string) {
	t.Helper()
	w.write(t, "secret/data/"+key, map[string]any{"data": map[string]any{"v": value}})
}

// login makes an AppRole with a policy, and gives its login.
func (w *world) login(t *testing.T, name, policy string) vaultclient.Login {
	t.Helper()
	w.write(t, "sys/policies/acl/"+name, map[string]any{"policy": policy})
	w.write(t, "auth/approle/role/"+name, map[string]any{"token_policies": name, "token_ttl": "1h"})
	role, err := w.root.Logical().ReadWithContext(t.Context(), "auth/approle/role/"+name+"/role-id")
	if err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprint(role.Data["role_id"])
	w.secrets.Store(id, fmt.Sprint(w.write(t, "auth/approle/role/"+name+"/secret-id", nil).Data["secret_id"]))
	return vaultclient.Login{
		Server: vaultclient.Server{Address: w.address}, Method: v1beta1.MethodAppRole, Mount: "approle", Role: id,
	}
}

const follower = `
path "sys/events/subscribe/kv-v2/*" { capabilities = ["read"] }
path "secret/data/app/*" {
  capabilities          = ["read", "subscribe"]
  subscribe_event_types = ["kv-v2/data-*"]
}
path "secret/+/app/*" {
  capabilities          = ["subscribe"]
  subscribe_event_types = ["*"]
}
path "secret/data/silent" { capabilities = ["read"] }
`

// controller is a watcher whose queue the test reads.
type controller struct {
	*instant.Watcher
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
	woken chan string
}

func (w *world) controller(t *testing.T) *controller {
	t.Helper()
	c := &controller{
		Watcher: w.hub.Watcher("VaultSecret"), woken: make(chan string, 1000),
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]()),
	}
	if err := c.Source().Start(t.Context(), c.queue); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			request, ended := c.queue.Get()
			if ended {
				return
			}
			c.woken <- request.Name
			c.queue.Done(request)
		}
	}()
	t.Cleanup(func() { c.queue.ShutDown(); <-done })
	return c
}

func request(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "ns", Name: name}}
}

// wakes waits until all the names are woken, and gives how long that took.
func (c *controller) wakes(t *testing.T, names ...string) time.Duration {
	t.Helper()
	began := time.Now()
	missing := make(map[string]bool)
	for _, name := range names {
		missing[name] = true
	}
	deadline := time.After(soon)
	for len(missing) > 0 {
		select {
		case name := <-c.woken:
			delete(missing, name)
		case <-deadline:
			t.Fatalf("not woken: %v", missing)
		}
	}
	return time.Since(began)
}

// live follows until all changes are told.
func (c *controller) live(t *testing.T, name string, login vaultclient.Login, paths ...string) {
	t.Helper()
	deadline := time.Now().Add(soon)
	for !c.Follow(request(name), login, "", time.Now(), paths...) {
		if time.Now().After(deadline) {
			t.Fatalf("%s is not live", name)
		}
		time.Sleep(10 * time.Millisecond)
	}
	c.drain() // what its beginning woke
}

// drain takes what is woken until nothing is for a while.
func (c *controller) drain() {
	for {
		select {
		case <-c.woken:
			continue
		case <-time.After(200 * time.Millisecond):
		}
		return
	}
}

// TestEvents runs on one real server.
func TestEvents(t *testing.T) {
	w := newWorld(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *world)
	}{
		{"one stream tells all", testShared},
		{"whoever may read may follow", testFollows},
		{"a policy that says nothing of events", testDenied},
		{"rights that come and go", testRights},
		{"an answer about rights that is lost", testLostAnswer},
		{"a change between reading and following", testBetween},
		{"a server that goes and comes back", testOutage},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, w) })
	}
}

func testShared(t *testing.T, w *world) {
	c, login := w.controller(t), w.login(t, "shared", follower)
	names := make([]string, 50)
	for i := range 5 {
		names[i] = fmt.Sprintf("r%d", i)
		c.live(t, names[i], login, fmt.Sprintf("secret/data/app/%d", i))
	}
	for i := 5; i < len(names); i++ {
		names[i] = fmt.Sprintf("r%d", i)
		if !c.Follow(request(names[i]), login, "", time.Now(), fmt.Sprintf("secret/data/app/%d", i%5)) {
			t.Fatalf("%s is not live at once, though its path is known", names[i])
		}
	}
	c.live(t, "folder", login, "secret/data/app/")
	w.put(t, "app/3", "new")
	var want []string
	for i := 3; i < len(names); i += 5 {
		want = append(want, names[i])
	}
	took := c.wakes(t, append(want, "folder")...)
	t.Logf("ten resources and a folder were woken after %s", took)
	for _, change := range []func(){
		func() {
			if _, err := w.root.Logical().DeleteWithContext(t.Context(), "secret/data/app/3"); err != nil {
				t.Fatal(err)
			}
		},
		func() { w.write(t, "secret/undelete/app/3", map[string]any{"versions": []int{1}}) },
		func() { w.write(t, "secret/destroy/app/3", map[string]any{"versions": []int{1}}) },
	} {
		change()
		c.wakes(t, want...)
	}
	c.drain()
	if logins := w.pool.Logins(); logins != 1 {
		t.Errorf("%d logins for 51 resources and a stream", logins)
	}
	for _, name := range append(names, "folder") {
		c.Forget(request(name))
	}
	w.put(t, "app/1", "nobody's")
	select {
	case name := <-c.woken:
		t.Errorf("%s was woken after it was forgotten", name)
	case <-time.After(300 * time.Millisecond):
	}
}

// On a Strongroom, the policy of the guide, which says nothing of events, is enough; and it is told of what it may read alone.
func testFollows(t *testing.T, w *world) {
	c, login := w.controller(t), w.login(t, "reader", `path "secret/data/app/1" { capabilities = ["read"] }`)
	login.Server.Address = w.cluster.Nodes[0].Addr
	c.live(t, "mine", login, "secret/data/app/1")
	c.drain()
	if c.Follow(request("other"), login, "", time.Now(), "secret/data/app/2") {
		t.Error("live at a path that cannot be read")
	}
	w.put(t, "app/1", "a")
	c.wakes(t, "mine")
	for _, change := range []string{"delete", "undelete", "destroy"} {
		w.write(t, "secret/"+change+"/app/1", map[string]any{"versions": []int{1}})
		c.wakes(t, "mine")
	}
	if _, err := w.root.Logical().DeleteWithContext(t.Context(), "secret/metadata/app/1"); err != nil {
		t.Fatal(err)
	}
	c.wakes(t, "mine")
	c.drain()
	w.put(t, "app/2", "b")
	select {
	case name := <-c.woken:
		t.Errorf("%s was woken by what its login may not read", name)
	case <-time.After(300 * time.Millisecond):
	}
	w.write(t, "sys/policies/acl/reader", map[string]any{"policy": `path "secret/data/app/2" { capabilities = ["read"] }`})
	w.put(t, "app/1", "c")
	c.Forget(request("mine"))
	c.Forget(request("other"))
}

func testDenied(t *testing.T, w *world) {
	c := w.controller(t)
	login := w.login(t, "plain", `path "secret/data/app/*" { capabilities = ["read"] }`)
	deadline := time.Now().Add(2 * time.Second)
	for time.Now().Before(deadline) {
		if c.Follow(request("plain"), login, "", time.Now(), "secret/data/app/1") {
			t.Fatal("live without the right to subscribe")
		}
		time.Sleep(100 * time.Millisecond)
	}
	silent := w.login(t, "silent", follower)
	c.live(t, "loud", silent, "secret/data/app/1")
	deadline = time.Now().Add(time.Second)
	for time.Now().Before(deadline) {
		if c.Follow(request("silent"), silent, "", time.Now(), "secret/data/silent") {
			t.Fatal("live at a path whose changes are not told")
		}
		time.Sleep(100 * time.Millisecond)
	}
	// A policy may name the capability and no event type: the first change that a poll finds tells.
	deaf := w.login(t, "deaf", `path "sys/events/subscribe/kv-v2/*" { capabilities = ["read"] }
path "secret/data/app/*" { capabilities = ["read", "subscribe"] }`)
	c.live(t, "deaf", deaf, "secret/data/app/1")
	c.Missed(request("deaf"), time.Now())
	c.Missed(request("loud"), time.Now()) // its event comes a moment later
	w.put(t, "app/1", "told to one of them")
	c.wakes(t, "loud", "deaf")
	if c.Follow(request("deaf"), deaf, "", time.Now(), "secret/data/app/1") {
		t.Error("live at a path of which a change was not told")
	}
	if !c.Follow(request("loud"), silent, "", time.Now(), "secret/data/app/1") {
		t.Error("not live though the change was told of")
	}
	c.Forget(request("deaf"))
	c.Forget(request("plain"))
	c.Forget(request("silent"))
	c.Forget(request("loud"))
}

func testRights(t *testing.T, w *world) {
	c, login := w.controller(t), w.login(t, "rights", follower)
	c.live(t, "a", login, "secret/data/app/1")
	// The server ends a stream whose right is gone with the next event, or within ten seconds; its followers must poll then.
	w.write(t, "sys/policies/acl/rights", map[string]any{"policy": `path "secret/data/app/*" { capabilities = ["read"] }`})
	w.put(t, "app/1", "x")
	deadline := time.Now().Add(2 * soon)
	for c.Follow(request("a"), login, "", time.Now(), "secret/data/app/1") {
		if time.Now().After(deadline) {
			t.Fatal("live after the right to subscribe is gone")
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.Forget(request("a"))
}

// Whose rights could not be asked for, as while another node takes the lead, polls; and is woken once they are known.
func testLostAnswer(t *testing.T, w *world) {
	c, login := w.controller(t), w.login(t, "lost", follower)
	c.live(t, "before", login, "secret/data/app/1")
	w.mute.Store(true)
	if c.Follow(request("after"), login, "", time.Now(), "secret/data/app/2") {
		t.Error("live, though nobody said that changes are told")
	}
	if !c.Follow(request("before"), login, "", time.Now(), "secret/data/app/1") {
		t.Error("what was known is forgotten")
	}
	c.drain()
	w.mute.Store(false)
	c.wakes(t, "after")
	if !c.Follow(request("after"), login, "", time.Now(), "secret/data/app/2") {
		t.Error("not live after the answer")
	}
	for _, name := range []string{"before", "after"} {
		c.Forget(request(name))
	}
}

func testBetween(t *testing.T, w *world) {
	c, login := w.controller(t), w.login(t, "between", follower)
	c.live(t, "a", login, "secret/data/app/1")
	c.live(t, "witness", login, "secret/data/app/2")
	started := time.Now()
	w.put(t, "app/2", "after the reading")
	c.wakes(t, "witness")
	c.Follow(request("late"), login, "", started, "secret/data/app/2")
	c.wakes(t, "late")
	for _, name := range []string{"a", "late", "witness"} {
		c.Forget(request(name))
	}
}

func testOutage(t *testing.T, w *world) {
	c, login := w.controller(t), w.login(t, "outage", follower)
	c.live(t, "a", login, "secret/data/app/1")
	node := w.cluster.Nodes[0]
	node.Kill()
	err := w.pool.Check(t.Context(), login)
	for deadline := time.Now().Add(soon); err == nil && time.Now().Before(deadline); {
		_, err = w.pool.Probe(t.Context(), login.Server)
	}
	if err == nil {
		t.Fatal("a dead server is not out")
	}
	if c.Follow(request("a"), login, "", time.Now(), "secret/data/app/1") {
		t.Error("live on a dead server")
	}
	if err := node.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.cluster.Unseal(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	took := c.wakes(t, "a")
	t.Logf("woken %s after the unsealing", took)
	c.live(t, "a", login, "secret/data/app/1")
	w.put(t, "app/1", "after")
	c.wakes(t, "a")
	c.Forget(request("a"))
}
