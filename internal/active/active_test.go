package active_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/engine"
	"strongroom/engine/enginetest"
	"strongroom/engine/kv"
	"strongroom/internal/active"
	"strongroom/internal/barrier"
	"strongroom/internal/gateway"
	"strongroom/internal/lockout"
	"strongroom/internal/mount"
	"strongroom/internal/secret"
	"strongroom/internal/snapshot"
	"strongroom/internal/storage"
	"strongroom/internal/sys"
)

// server is a Session on a store in memory, asked as httpapi would.
type server struct {
	t     testing.TB
	store storage.Store
	s     *active.Session
	root  string
	more  map[string]mount.Type // further engines

	lockout lockout.Defaults
}

type fakeNode struct {
	sys.Members
	snapshot.Source
	sys.Keyring
	sealed int
}

func (n *fakeNode) Seal(context.Context) error     { n.sealed++; return nil }
func (n *fakeNode) StepDown(context.Context) error { return nil }
func (n *fakeNode) Servers() ([]sys.Server, uint64, error) {
	return []sys.Server{{NodeID: "a", Voter: true}}, 1, nil
}
func (n *fakeNode) TendKey(context.Context) (int, error) { return 0, nil }

// login is an auth method whose logins are told what to grant.
type login struct{}

func (login) Routes() []engine.Route {
	return []engine.Route{{Path: "login", Public: true, Fields: []engine.Field{
		{Name: "policies", Type: engine.StringList}, {Name: "ttl", Type: engine.Duration}, {Name: "max_ttl", Type: engine.Duration},
		{Name: "period", Type: engine.Duration}, {Name: "num_uses", Type: engine.Int}, {Name: "cidrs", Type: engine.StringList},
		{Name: "type"},
	}, Write: func(_ context.Context, req *engine.Request) (*engine.Response, error) {
		d := req.Data
		return &engine.Response{Grant: &engine.Grant{Policies: d.Strings("policies"), TTL: d.Duration("ttl"), MaxTTL: d.Duration("max_ttl"),
			Period: d.Duration("period"), NumUses: int(d.Int("num_uses")), BoundCIDRs: d.Strings("cidrs"), DisplayName: "me", Type: d.String("type")}}, nil
	}}}
}

func start(t testing.TB) *server {
	t.Helper()
	return startOn(t, storage.NewMem())
}

func startOn(t testing.TB, store storage.Store) *server {
	t.Helper()
	b := barrier.New(store)
	if _, err := b.Initialize(secret.NewKey()); err != nil {
		t.Fatal(err)
	}
	root, err := active.Initialize(t.Context(), b, "")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, store: b, root: string(root)}
	s.reopen()
	return s
}

func (s *server) reopen() {
	s.t.Helper()
	types := map[string]mount.Type{"kv": {Factory: kv.Factory}, "login": {Auth: true, Factory: func(engine.Env) (engine.Engine, error) { return login{}, nil }}}
	maps.Copy(types, s.more)
	sess, err := active.Open(s.t.Context(), active.Config{Store: s.store, Node: &fakeNode{}, Logger: hclog.NewNullLogger(),
		Limits: mount.Limits{Default: 768 * time.Hour, Max: 768 * time.Hour},
		Types:  types, Lockout: s.lockout})
	if err != nil {
		s.t.Fatal(err)
	}
	s.s = sess
	s.t.Cleanup(sess.Close)
}

// serve asks the Session, and holds what it answers against what the route says of that.
func (s *server) serve(ctx context.Context, req *gateway.Request) (*gateway.Response, error) {
	s.t.Helper()
	resp, err := s.s.Serve(ctx, req)
	if err != nil || resp.Route == nil || resp.WrapInfo != nil {
		return resp, err
	}
	answer := &resp.Response
	if resp.Empty {
		answer = nil
	}
	enginetest.CheckAnswer(s.t, resp.Route, req.Operation, answer)
	return resp, nil
}

func (s *server) do(token string, op engine.Operation, path, body string) (*gateway.Response, error) {
	s.t.Helper()
	return s.serve(s.t.Context(), &gateway.Request{ID: "id", Operation: op, Path: path, Token: token, Body: []byte(body), Remote: netip.MustParseAddrPort("10.0.0.1:1")})
}

func (s *server) must(token string, op engine.Operation, path, body string) *gateway.Response {
	s.t.Helper()
	resp, err := s.do(token, op, path, body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", op, path, err)
	}
	return resp
}

func (s *server) fails(kind engine.Kind, text, token string, op engine.Operation, path, body string) {
	s.t.Helper()
	_, err := s.do(token, op, path, body)
	if err == nil || engine.KindOf(err) != kind || !strings.Contains(err.Error(), text) {
		s.t.Errorf("%s %s: got error %v, want kind %d with %q", op, path, err, kind, text)
	}
}

// keysOf yields all that is stored.
func keysOf(t testing.TB, store storage.Store) iter.Seq[string] {
	return func(yield func(string) bool) {
		for k, err := range store.Keys(t.Context(), "", "") {
			if err != nil {
				t.Fatal(err)
			}
			if !yield(k) {
				return
			}
		}
	}
}

func (s *server) login(body string) (token string, resp *gateway.Response) {
	s.t.Helper()
	resp = s.must("", engine.Update, "auth/login/login", body)
	return resp.Auth.ClientToken, resp
}

// prepare enables a KV store and the test's auth method, and writes a policy.
func (s *server) prepare() {
	s.must(s.root, engine.Update, "sys/mounts/secret", `{"type":"kv","options":{"version":"2"}}`)
	s.must(s.root, engine.Update, "sys/auth/login", `{"type":"login"}`)
	s.must(s.root, engine.Update, "sys/policies/acl/reader", `{"policy":"path \"secret/data/app/*\" { capabilities = [\"read\"] }"}`)
	s.must(s.root, engine.Update, "secret/data/app/db", `{"data":{"k":"v"}}`)
}

func data(t testing.TB, resp *gateway.Response) map[string]any {
	t.Helper()
	b, err := json.Marshal(resp.Data)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return out
}

func TestPolicyDecides(t *testing.T) {
	s := start(t)
	s.prepare()
	tok, resp := s.login(`{"policies":"reader"}`)
	if want := []string{"default", "reader"}; !slices.Equal(resp.Auth.Token.Policies, want) || resp.Auth.Token.DisplayName != "login-me" {
		t.Errorf("login granted %+v", resp.Auth.Token)
	}
	s.must(tok, engine.Read, "secret/data/app/db", "")
	s.fails(engine.Denied, "permission denied", tok, engine.Update, "secret/data/app/db", `{"data":{}}`)
	s.fails(engine.Denied, "permission denied", tok, engine.Read, "secret/data/other", "")
	s.fails(engine.Denied, "permission denied", tok, engine.Read, "nowhere/at/all", "")
	s.fails(engine.Denied, "permission denied", tok, engine.Update, "sys/seal", "")
	s.fails(engine.Denied, "permission denied", "", engine.Read, "secret/data/app/db", "")
	s.fails(engine.Denied, "invalid token", "hvs.nonsense", engine.Read, "secret/data/app/db", "")
	s.fails(engine.NotFound, "no handler for route", s.root, engine.Read, "nowhere/at/all", "")
	s.fails(engine.Unsupported, "unsupported operation", s.root, engine.Delete, "sys/capabilities-self", "")

	// A policy is what it is now, not what it was at login.
	s.must(s.root, engine.Update, "sys/policy/reader", `{"policy":"path \"secret/data/app/*\" { capabilities = [\"deny\"] }"}`)
	s.fails(engine.Denied, "permission denied", tok, engine.Read, "secret/data/app/db", "")
	s.must(s.root, engine.Delete, "sys/policy/reader", "")
	s.fails(engine.Denied, "permission denied", tok, engine.Read, "secret/data/app/db", "")
}

func TestPolicyAPI(t *testing.T) {
	s := start(t)
	s.must(s.root, engine.Update, "sys/policy/One", `{"policy":"cGF0aCAiYSIgeyBjYXBhYmlsaXRpZXMgPSBbInJlYWQiXSB9"}`) // base64
	if got := data(t, s.must(s.root, engine.Read, "sys/policy/one", "")); got["rules"] != `path "a" { capabilities = ["read"] }` || got["name"] != "one" {
		t.Errorf("policy reads back as %v", got)
	}
	if got := data(t, s.must(s.root, engine.List, "sys/policies/acl", "")); len(got["keys"].([]any)) != 3 {
		t.Errorf("policies are %v", got)
	}
	s.fails(engine.Invalid, "failed to parse policy", s.root, engine.Update, "sys/policy/bad", `{"policy":"path \"a\" { capabilities = [\"fly\"] }"}`)
	s.fails(engine.Invalid, "cannot update", s.root, engine.Update, "sys/policy/root", `{"policy":"path \"a\" {}"}`)
	s.fails(engine.Invalid, "cannot delete", s.root, engine.Delete, "sys/policy/default", "")
	s.fails(engine.NotFound, "", s.root, engine.Read, "sys/policy/none", "")
	caps := data(t, s.must(s.root, engine.Update, "sys/capabilities-self", `{"paths":["a","b"]}`))
	if caps["a"].([]any)[0] != "root" {
		t.Errorf("root's capabilities are %v", caps)
	}
}

func TestMounts(t *testing.T) {
	s := start(t)
	s.prepare()
	s.fails(engine.Invalid, "path is already in use at secret/", s.root, engine.Update, "sys/mounts/secret/deeper", `{"type":"kv"}`)
	s.fails(engine.Invalid, "plugin not found in the catalog", s.root, engine.Update, "sys/mounts/x", `{"type":"nonesuch"}`)
	s.fails(engine.Invalid, "use auth enable", s.root, engine.Update, "sys/mounts/x", `{"type":"login"}`)
	s.fails(engine.Invalid, "cannot disable", s.root, engine.Delete, "sys/mounts/sys", "")
	s.must(s.root, engine.Update, "sys/mounts/secret/tune", `{"default_lease_ttl":"1h","max_lease_ttl":"2h","description":"d"}`)
	if got := data(t, s.must(s.root, engine.Read, "sys/mounts/secret/tune", "")); got["default_lease_ttl"] != 3600.0 || got["max_lease_ttl"] != 7200.0 {
		t.Errorf("tuned to %v", got)
	}
	s.must(s.root, engine.Read, "secret/data/app/db", "") // tuning keeps the data
	got := data(t, s.must(s.root, engine.Read, "sys/internal/ui/mounts/secret/app/db", ""))
	if got["path"] != "secret/" || got["options"].(map[string]any)["version"] != "2" {
		t.Errorf("ui mount is %v", got)
	}
	reader, _ := s.login(`{"policies":"reader"}`)
	s.must(reader, engine.Read, "sys/internal/ui/mounts/secret/app/db", "")
	stranger, _ := s.login(`{}`)
	s.fails(engine.Denied, "preflight capability check returned 403", stranger, engine.Read, "sys/internal/ui/mounts/secret/app/db", "")

	// Whoever has no token sees what is tuned to be seen, and no more of it than a sign-in page needs; a token that is not good is refused.
	seen := func(token string) string {
		t.Helper()
		b, err := json.Marshal(data(t, s.must(token, engine.Read, "sys/internal/ui/mounts", "")))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if got, want := seen(""), `{"auth":{},"secret":{}}`; got != want {
		t.Errorf("without a token: %s, want %s", got, want)
	}
	s.must(s.root, engine.Update, "sys/auth/login/tune", `{"listing_visibility":"unauth","description":"Staff"}`)
	if got, want := seen(""), `{"auth":{"login/":{"description":"Staff","options":null,"type":"login"}},"secret":{}}`; got != want {
		t.Errorf("without a token: %s, want %s", got, want)
	}
	if got := seen(stranger); !strings.Contains(got, `"login/":{"description":"Staff","options":null,"type":"login"}`) || strings.Contains(got, `"secret/"`) {
		t.Errorf("a token that may nothing: %s", got)
	}
	if got := seen(s.root); !strings.Contains(got, `"secret/":{"accessor"`) || !strings.Contains(got, `"login/":{"accessor"`) {
		t.Errorf("root: %s", got)
	}
	s.fails(engine.Denied, "invalid token", "hvs.nonesuch", engine.Read, "sys/internal/ui/mounts", "")
	s.fails(engine.Denied, "", "", engine.Read, "sys/internal/ui/mounts/secret", "")
	s.must(s.root, engine.Update, "sys/auth/login/tune", `{"listing_visibility":"hidden"}`)
	if got, want := seen(""), `{"auth":{},"secret":{}}`; got != want {
		t.Errorf("hidden again: %s, want %s", got, want)
	}

	// Disabling takes the data, and the tokens of a method, with it.
	s.must(s.root, engine.Delete, "sys/mounts/secret", "")
	s.must(s.root, engine.Update, "sys/mounts/secret", `{"type":"kv-v2"}`)
	s.fails(engine.NotFound, "", s.root, engine.Read, "secret/data/app/db", "")
	s.must(s.root, engine.Delete, "sys/auth/login", "")
	s.fails(engine.Denied, "invalid token", reader, engine.Read, "auth/token/lookup-self", "")
	s.fails(engine.Denied, "bad token", s.root, engine.Update, "auth/token/lookup", `{"token":"`+reader+`"}`) // nor does anybody see it alive
	if n, err := mount.Sweep(t.Context(), s.store, nil); err != nil || n == 0 {
		t.Errorf("sweeping the disabled mount's data: %d keys, %v", n, err)
	}
	for k := range s.store.Keys(t.Context(), "core/doomed/", "") {
		t.Errorf("still to be deleted: %s", k)
	}
}

func TestTokens(t *testing.T) {
	s := start(t)
	s.prepare()
	created := s.must(s.root, engine.Update, "auth/token/create", `{"policies":["reader"],"ttl":"1h"}`)
	parent := created.Auth.ClientToken
	if !strings.HasPrefix(parent, "hvs.") || created.Auth.LeaseDuration != time.Hour {
		t.Fatalf("created %+v", created.Auth)
	}
	s.must(s.root, engine.Update, "sys/policy/maker", `{"policy":"path \"auth/token/create\" { capabilities = [\"update\"] }"}`)
	maker := s.must(s.root, engine.Update, "auth/token/create", `{"policies":["maker","reader"]}`).Auth.ClientToken
	child := s.must(maker, engine.Update, "auth/token/create", `{"policies":["reader"]}`).Auth.ClientToken
	s.fails(engine.Invalid, "child policies must be subset", maker, engine.Update, "auth/token/create", `{"policies":["other"]}`)
	s.fails(engine.Invalid, "root tokens may not be created", maker, engine.Update, "auth/token/create", `{"policies":["root"]}`)
	s.fails(engine.Invalid, "orphan", maker, engine.Update, "auth/token/create", `{"no_parent":true}`)
	s.must(child, engine.Read, "secret/data/app/db", "")
	s.must(s.root, engine.Update, "auth/token/revoke", `{"token":"`+maker+`"}`)
	s.fails(engine.Denied, "invalid token", child, engine.Read, "secret/data/app/db", "") // with its parent, at once

	twice := s.must(s.root, engine.Update, "auth/token/create", `{"policies":["reader"],"num_uses":2}`).Auth.ClientToken
	s.must(twice, engine.Read, "secret/data/app/db", "")
	s.fails(engine.Denied, "permission denied", twice, engine.Read, "secret/data/other", "")
	s.must(twice, engine.Read, "secret/data/app/db", "")
	s.fails(engine.Denied, "invalid token", twice, engine.Read, "secret/data/app/db", "")

	self := data(t, s.must(parent, engine.Read, "auth/token/lookup-self", ""))
	if self["id"] != parent || self["path"] != "auth/token/create" || self["orphan"] != false {
		t.Errorf("lookup-self: %v", self)
	}
	s.fails(engine.Denied, "auth methods cannot create root tokens", "", engine.Update, "auth/login/login", `{"policies":"root"}`)
	s.fails(engine.Denied, "bad token", s.root, engine.Update, "auth/token/lookup", `{"token":"hvs.no"}`)
	bound, _ := s.login(`{"policies":"reader","cidrs":"10.9.0.0/16"}`)
	s.fails(engine.Denied, "permission denied", bound, engine.Read, "secret/data/app/db", "")
	s.must(parent, engine.Update, "auth/token/revoke-self", "")
	s.fails(engine.Denied, "invalid token", parent, engine.Read, "auth/token/lookup-self", "")
}

// A use-limited token is spent by exactly as many requests as it has uses, no
// matter how many come at once.
func TestUsesUnderConcurrency(t *testing.T) {
	s := start(t)
	s.prepare()
	tok := s.must(s.root, engine.Update, "auth/token/create", `{"policies":["reader"],"num_uses":5}`).Auth.ClientToken
	var wg sync.WaitGroup
	served := make(chan bool, 20)
	for range 20 {
		wg.Go(func() {
			_, err := s.do(tok, engine.Read, "secret/data/app/db", "")
			served <- err == nil
		})
	}
	wg.Wait()
	close(served)
	n := 0
	for ok := range served {
		if ok {
			n++
		}
	}
	if n != 5 {
		t.Errorf("%d of 20 requests were served with 5 uses", n)
	}
}

// Tokens end when their time is over, renewals stay within their maximum, and
// the sweeper leaves nothing of them.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		s.prepare()
		tok, resp := s.login(`{"policies":"reader","ttl":"60s","max_ttl":"100s"}`)
		if resp.Auth.LeaseDuration != time.Minute {
			t.Errorf("ttl %v", resp.Auth.LeaseDuration)
		}
		time.Sleep(50 * time.Second)
		renewed := s.must(tok, engine.Update, "auth/token/renew-self", `{"increment":"1h"}`)
		if renewed.Auth.LeaseDuration != 50*time.Second || len(renewed.Warnings) != 1 {
			t.Errorf("renewed for %v with %q", renewed.Auth.LeaseDuration, renewed.Warnings)
		}
		time.Sleep(49 * time.Second)
		s.must(tok, engine.Read, "secret/data/app/db", "")
		time.Sleep(2 * time.Second)
		s.fails(engine.Denied, "invalid token", tok, engine.Read, "secret/data/app/db", "")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for k := range s.store.Keys(t.Context(), "lease/due/", "") {
			t.Errorf("the sweeper left %s", k)
		}
		periodic, _ := s.login(`{"policies":"reader","period":"30s"}`)
		for range 5 {
			time.Sleep(29 * time.Second)
			s.must(periodic, engine.Update, "auth/token/renew-self", "")
		}
		s.s.Close()
	})
}

// What a request relied on may change while it runs; then it runs again.
func TestConcurrentWrites(t *testing.T) {
	s := start(t)
	s.prepare()
	const writers, each = 8, 25
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				if _, err := s.do(s.root, engine.Update, "secret/data/app/hot", `{"data":{"x":1}}`); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var doc struct{ Metadata struct{ Version int } }
	b, _ := json.Marshal(s.must(s.root, engine.Read, "secret/data/app/hot", "").Data)
	if err := json.Unmarshal(b, &doc); err != nil || doc.Metadata.Version != writers*each {
		t.Errorf("version %d after %d writes (%v)", doc.Metadata.Version, writers*each, err)
	}
}

// A new Session finds everything as the last one left it.
func TestReopen(t *testing.T) {
	s := start(t)
	s.prepare()
	tok, _ := s.login(`{"policies":"reader"}`)
	s.reopen()
	s.must(tok, engine.Read, "secret/data/app/db", "")
}

// Whatever fails underneath, an error is an error: a write whose fate is
// unknown is never reported as done or as not done.
func TestUnknownOutcome(t *testing.T) {
	s := start(t)
	s.prepare()
	s.store = lost{s.store}
	s.reopen()
	_, err := s.do(s.root, engine.Update, "secret/data/app/db", `{"data":{}}`)
	if !errors.Is(err, storage.ErrUnknownOutcome) {
		t.Errorf("got %v", err)
	}
}

type lost struct{ storage.Store }

func (lost) Apply(context.Context, storage.Batch) error { return storage.ErrUnknownOutcome }

func TestHelp(t *testing.T) {
	s := start(t)
	s.prepare()
	tok, _ := s.login(`{}`)
	help := func(token, path string) (string, error) {
		resp, err := s.serve(t.Context(), &gateway.Request{Operation: engine.Read, Path: path, Token: token, Query: map[string][]string{"help": {"1"}}})
		if err != nil {
			return "", err
		}
		return string(resp.Raw.Body), nil
	}
	for path, want := range map[string]string{"secret": "data/{path...}", "secret/": "metadata/{path...}", "secret/data/app/db": "Matching Route: secret/data/{path...}", "sys/policy/x": "policy (string)"} {
		if got, err := help(tok, path); err != nil || !strings.Contains(got, want) {
			t.Errorf("help of %s: %s (%v), want %s", path, got, err, want)
		}
	}
	if _, err := help("", "secret"); engine.KindOf(err) != engine.Denied {
		t.Errorf("help without a token: %v", err)
	}
	if _, err := help(tok, "none"); engine.KindOf(err) != engine.NotFound {
		t.Errorf("help of nothing: %v", err)
	}
}
