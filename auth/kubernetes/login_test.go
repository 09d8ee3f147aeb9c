package kubernetes

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
	"strongroom/internal/kube"
)

const roleName = "longhorn-role"

// ready is a method configured for srv with a role as the walkthrough has it.
func ready(t *testing.T, srv *apiServer, conf, role object) (*fixture, *signer) {
	t.Helper()
	f := mountMethod(t)
	body := object{"kubernetes_host": srv.URL, "kubernetes_ca_cert": srv.ca(), "token_reviewer_jwt": "reviewer-token"}
	for k, v := range conf {
		body[k] = v
	}
	f.must(t, engine.Update, "config", body)
	body = object{"bound_service_account_names": "default", "bound_service_account_namespaces": "longhorn-system", "policies": "longhorn-r2-policy", "ttl": "24h"}
	for k, v := range role {
		body[k] = v
	}
	f.must(t, engine.Create, "role/"+roleName, body)
	return f, newSigner(t)
}

func (f *fixture) login(role, jwt string) (*engine.Grant, error) {
	resp, err := f.Do(engine.Update, "login", object{"role": role, "jwt": jwt})
	if err != nil {
		return nil, err
	}
	return resp.Grant, nil
}

func TestLogin(t *testing.T) {
	srv := newAPIServer(t)
	f, s := ready(t, srv, nil, object{"token_max_ttl": "48h", "token_num_uses": 3, "token_type": "service", "token_no_default_policy": true})
	jwt := s.token(t, "longhorn-system", "default", nil)
	got, err := f.login("Longhorn-Role", jwt+"\n")
	if err != nil {
		t.Fatal(err)
	}
	want := &engine.Grant{
		Policies: []string{"longhorn-r2-policy"}, NoDefaultPolicy: true, DisplayName: "longhorn-system-default", Alias: "real-uid",
		TTL: 24 * time.Hour, MaxTTL: 48 * time.Hour, NumUses: 3, Type: "service", Role: roleName,
		Metadata: map[string]string{
			"role": roleName, "service_account_name": "default", "service_account_namespace": "longhorn-system",
			"service_account_uid": "real-uid", "service_account_secret_name": "",
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if srv.bearer != "reviewer-token" || srv.spec.Token != jwt || srv.spec.Audiences != nil || srv.strange != "" {
		t.Errorf("asked with %q for audiences %v (%s)", srv.bearer, srv.spec.Audiences, srv.strange)
	}

	f.must(t, engine.Update, "role/"+roleName, object{"alias_name_source": aliasByName, "audience": "vault"})
	if got, err = f.login(roleName, s.token(t, "longhorn-system", "default", object{"aud": "vault"})); err != nil || got.Alias != "longhorn-system/default" {
		t.Errorf("%+v %v", got, err)
	}
	if !reflect.DeepEqual(srv.spec.Audiences, []string{"vault"}) {
		t.Errorf("asked for the audiences %v", srv.spec.Audiences)
	}
}

// Whatever can be refused without the API server does not reach it.
func TestLoginRefusedEarly(t *testing.T) {
	srv := newAPIServer(t)
	f, s := ready(t, srv, nil, nil)
	f.must(t, engine.Create, "role/near", object{"bound_service_account_names": "default", "bound_service_account_namespaces": "longhorn-system", "token_bound_cidrs": "10.0.0.0/8"})
	f.Before = func(r *engine.Request) { r.Remote = netip.MustParseAddrPort("[::ffff:192.0.2.1]:1") }
	good := s.token(t, "longhorn-system", "default", nil)
	for _, c := range []struct {
		what, role, jwt string
		kind            engine.Kind
		want            string
	}{
		{"no role", "", good, engine.Invalid, "missing role"},
		{"no jwt", roleName, " ", engine.Invalid, "missing jwt"},
		{"unknown role", "nope", good, engine.Invalid, `invalid role name "nope"`},
		{"no jwt at all", roleName, "hvs.token", engine.Denied, "permission denied: the jwt is not a service account token"},
		{"wrong name", roleName, s.token(t, "longhorn-system", "other", nil), engine.Denied, "service account name not authorized"},
		{"wrong namespace", roleName, s.token(t, "kube-system", "default", nil), engine.Denied, "namespace not authorized"},
		{"expired", roleName, s.token(t, "longhorn-system", "default", object{"exp": 1}), engine.Denied, "the jwt expired at 1970-01-01T00:00:01Z"},
		{"wrong network", "near", good, engine.Denied, "permission denied"},
	} {
		_, err := f.login(c.role, c.jwt)
		wantError(t, c.what, err, c.kind, c.want)
	}
	if srv.asked != 0 {
		t.Errorf("the API server was asked %d times", srv.asked)
	}
	f.Before = func(r *engine.Request) { r.Remote = netip.MustParseAddrPort("10.1.2.3:1") }
	if _, err := f.login("near", good); err != nil {
		t.Errorf("from a bound network: %v", err)
	}
	fresh := mountMethod(t)
	fresh.must(t, engine.Create, "role/r", object{"bound_service_account_names": "a", "bound_service_account_namespaces": "b"})
	_, err := fresh.login("r", good)
	wantError(t, "no config", err, engine.Invalid, `could not load backend configuration: write "auth/kubernetes/config"`)
}

// Only what the API server answers lets anybody in.
func TestLoginJudgesTheAnswer(t *testing.T) {
	user := func(name, uid string) object { return object{"username": name, "uid": uid} }
	sa := "system:serviceaccount:longhorn-system:default"
	for _, c := range []struct {
		what     string
		audience string
		answer   func(http.ResponseWriter, kube.ReviewSpec)
		kind     engine.Kind
		want     string
	}{
		{"no", "", status(object{"authenticated": false, "error": "[invalid bearer token, service account has been deleted]"}), engine.Denied, "lookup failed: [invalid bearer token, service account has been deleted]"},
		{"no, and no reason", "", status(object{"authenticated": false}), engine.Denied, "lookup failed: service account unauthorized"},
		{"yes with an error", "", status(object{"authenticated": true, "error": "but", "user": user(sa, "u")}), engine.Denied, "lookup failed: but"},
		{"empty", "", status(nil), engine.Denied, "lookup failed: service account unauthorized"},
		{"another name", "", yes("longhorn-system", "other"), engine.Denied, "service account name not authorized"},
		{"another namespace", "", yes("other", "default"), engine.Denied, "namespace not authorized"},
		{"a user", "", status(object{"authenticated": true, "user": user("admin", "u")}), engine.Denied, "does not belong to a service account"},
		{"no uid", "", status(object{"authenticated": true, "user": user(sa, "")}), engine.Denied, "does not belong to a service account"},
		{"audience not confirmed", "vault", status(object{"authenticated": true, "user": user(sa, "u")}), engine.Denied, `did not confirm the role's audience "vault"`},
		{"other audience", "vault", status(object{"authenticated": true, "user": user(sa, "u"), "audiences": []string{"x"}}), engine.Denied, "did not confirm"},
		{"garbage", "", func(w http.ResponseWriter, _ kube.ReviewSpec) { fmt.Fprint(w, "<html>") }, engine.Upstream, "did not answer with a TokenReview"},
		{"too long", "", func(w http.ResponseWriter, _ kube.ReviewSpec) {
			fmt.Fprint(w, `{"x": "`+strings.Repeat("x", 1<<20)+`"}`)
		}, engine.Upstream, "did not answer with a TokenReview"},
		{"500", "", func(w http.ResponseWriter, spec kube.ReviewSpec) { send(w, 500, object{"message": spec.Token}) }, engine.Upstream, "answered with status 500"},
		{"404", "", func(w http.ResponseWriter, _ kube.ReviewSpec) { send(w, 404, nil) }, engine.Upstream, "check that kubernetes_host is a Kubernetes API server"},
		{"401", "", func(w http.ResponseWriter, _ kube.ReviewSpec) { send(w, 401, nil) }, engine.Upstream, "does not accept token_reviewer_jwt; it may have expired"},
		{"403", "", func(w http.ResponseWriter, _ kube.ReviewSpec) { send(w, 403, nil) }, engine.Upstream, "does not let token_reviewer_jwt create TokenReviews; bind the cluster role system:auth-delegator"},
		{"cut off", "", func(w http.ResponseWriter, _ kube.ReviewSpec) { panic(http.ErrAbortHandler) }, engine.Upstream, "cannot be asked: EOF; check kubernetes_host"},
	} {
		t.Run(c.what, func(t *testing.T) {
			srv := newAPIServer(t)
			f, s := ready(t, srv, nil, object{"audience": c.audience})
			srv.answer = c.answer
			jwt := s.token(t, "longhorn-system", "default", object{"aud": "vault"})
			g, err := f.login(roleName, jwt)
			wantError(t, c.what, err, c.kind, c.want)
			if g != nil {
				t.Errorf("a grant beside the error: %+v", g)
			}
			if text := fmt.Sprintf("%+v", err); strings.Contains(text, jwt) || strings.Contains(text, "reviewer-token") {
				t.Errorf("the error shows a token: %s", text)
			}
		})
	}
}

func TestLoginErrorHidesTheToken(t *testing.T) {
	srv := newAPIServer(t)
	f, s := ready(t, srv, nil, nil)
	srv.answer = func(w http.ResponseWriter, spec kube.ReviewSpec) {
		send(w, 201, object{"status": object{"error": "bad token " + spec.Token}})
	}
	jwt := s.token(t, "longhorn-system", "default", nil)
	_, err := f.login(roleName, jwt)
	wantError(t, "error with the token in it", err, engine.Denied, "lookup failed: service account unauthorized")
}

func TestLoginRedirect(t *testing.T) {
	elsewhere := newAPIServer(t)
	srv := newAPIServer(t)
	f, s := ready(t, srv, nil, nil)
	srv.answer = func(w http.ResponseWriter, _ kube.ReviewSpec) {
		w.Header().Set("Location", elsewhere.URL+kube.ReviewPath)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
	_, err := f.login(roleName, s.token(t, "longhorn-system", "default", nil))
	wantError(t, "redirect", err, engine.Upstream, "redirects (status 307), which is not followed")
	if elsewhere.asked != 0 {
		t.Error("the redirect was followed")
	}
}

func TestLoginUnreachable(t *testing.T) {
	jwt := newSigner(t).token(t, "longhorn-system", "default", nil)
	expired, expiredCA := expiredServer(t)
	other := newAPIServer(t)
	_, otherCA := expiredServer(t)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, c := range []struct{ what, host, ca, want string }{
		{"down", gone.URL, "", "connection refused; check kubernetes_host, and that the network"},
		{"expired", expired.URL, expiredCA, "expired"},
		{"expired, hint", expired.URL, expiredCA, "check kubernetes_ca_cert"},
		{"another CA", other.URL, otherCA, "unknown authority; check kubernetes_ca_cert"},
		{"name not in the certificate", strings.Replace(other.URL, "127.0.0.1", "localhost", 1), other.ca(), "check kubernetes_ca_cert, and that kubernetes_host is a name"},
	} {
		f, _ := ready(t, other, object{"kubernetes_host": c.host, "kubernetes_ca_cert": c.ca}, nil)
		_, err := f.login(roleName, jwt)
		wantError(t, c.what, err, engine.Upstream, c.want)
		wantError(t, c.what, err, engine.Upstream, "the Kubernetes API server at "+c.host)
	}
}

func TestLoginSlow(t *testing.T) {
	srv := newAPIServer(t)
	f, s := ready(t, srv, nil, nil)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	srv.answer = func(http.ResponseWriter, kube.ReviewSpec) { <-release }
	f.method.timeout = 20 * time.Millisecond
	_, err := f.login(roleName, s.token(t, "longhorn-system", "default", nil))
	wantError(t, "slow", err, engine.Upstream, "cannot be asked: ")
}

// The reviewer's token and the CA: configured, else the pod's, else the
// caller's own and the system's.
func TestReviewer(t *testing.T) {
	srv := newAPIServer(t)
	f, s := ready(t, srv, nil, nil)
	jwt := s.token(t, "longhorn-system", "default", nil)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := func(more object) {
		t.Helper()
		body := object{"kubernetes_host": srv.URL}
		for k, v := range more {
			body[k] = v
		}
		f.must(t, engine.Update, "config", body)
	}
	login := func(what, bearer string) {
		t.Helper()
		srv.bearer = ""
		if _, err := f.login(roleName, jwt); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if srv.bearer != bearer {
			t.Errorf("%s: asked with %.20q, want %.20q", what, srv.bearer, bearer)
		}
	}
	write("ca.crt", srv.ca())
	config(nil)
	login("no token anywhere", jwt)
	write("token", "pods-token\n")
	login("the pod's token", "pods-token")
	write("token", "renewed-token")
	login("the pod's token, renewed", "renewed-token")
	config(object{"token_reviewer_jwt": "configured"})
	login("a configured token", "configured")

	// What the pod before this one wrote down has ended with it.
	before, now := s.token(t, "vault", "vault", object{"jti": "1"}), s.token(t, "vault", "vault", object{"jti": "2"})
	config(object{"token_reviewer_jwt": before})
	login("an old token of an account that the pod is not of", before)
	write("token", now)
	login("an old token of the pod's account", now)
	config(object{"token_reviewer_jwt": before, "disable_local_ca_jwt": true, "kubernetes_ca_cert": srv.ca()})
	login("an old token of the pod's account, whose own is disabled", before)
	for what, other := range map[string]string{
		"of another account": s.token(t, "vault", "other", nil),
		"of another cluster": s.token(t, "vault", "vault", object{"iss": "https://elsewhere"}),
		"that does not end":  s.token(t, "vault", "vault", object{"exp": nil}),
	} {
		config(object{"token_reviewer_jwt": other})
		login("a configured token "+what, other)
	}
	write("token", "renewed-token")

	config(object{"disable_local_ca_jwt": true, "kubernetes_ca_cert": srv.ca()})
	login("the pod's token disabled", jwt)

	config(object{"disable_local_ca_jwt": true})
	_, err := f.login(roleName, jwt)
	wantError(t, "the pod's CA disabled", err, engine.Upstream, "unknown authority")
	config(nil)
	login("the pod's CA again", "renewed-token")
	_, otherCA := expiredServer(t)
	write("ca.crt", otherCA)
	_, err = f.login(roleName, jwt)
	wantError(t, "the pod's CA renewed", err, engine.Upstream, "unknown authority")
	write("ca.crt", "nothing")
	_, err = f.login(roleName, jwt)
	wantError(t, "the pod's CA broken", err, engine.Upstream, "holds no certificate; set kubernetes_ca_cert")

	// With the caller's own token the refusal is the caller's.
	config(object{"disable_local_ca_jwt": true, "kubernetes_ca_cert": srv.ca()})
	srv.answer = func(w http.ResponseWriter, _ kube.ReviewSpec) { send(w, 401, nil) }
	_, err = f.login(roleName, jwt)
	wantError(t, "own token refused", err, engine.Denied, "permission denied: "+srv.URL+" does not accept the jwt")
	srv.answer = func(w http.ResponseWriter, _ kube.ReviewSpec) { send(w, 403, nil) }
	_, err = f.login(roleName, jwt)
	wantError(t, "own token without rights", err, engine.Denied, "bind the cluster role system:auth-delegator")
}

// transport stands for the network where a test needs to know who waits.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

const answerYes = `{"status": {"authenticated": true, "user": {"username": "system:serviceaccount:ns:sa", "uid": "u"}}}`

func TestReviewsCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		release := make(chan struct{})
		m := New(engine.Env{}, kube.Pod{TokenFile: "absent", CAFile: "absent"})
		m.roundTrip = func() http.RoundTripper {
			return transport(func(*http.Request) (*http.Response, error) {
				asked.Add(1)
				<-release
				return &http.Response{StatusCode: 201, Body: io.NopCloser(strings.NewReader(answerYes))}, nil
			})
		}
		conf := &config{Host: "https://h", DisableLocal: true}
		var wg sync.WaitGroup
		login := func(ctx context.Context, jwt, audience string, want error) {
			wg.Go(func() {
				a, err := m.review(ctx, conf, 1, jwt, audience)
				if err != want || (err == nil && a != account{"ns", "sa", "u"}) {
					t.Errorf("%v %v", a, err)
				}
			})
		}
		// The first to ask gives up; the others must have the answer all the same.
		ctx, cancel := context.WithCancel(t.Context())
		login(ctx, "a", "", context.Canceled)
		synctest.Wait()
		for range 20 {
			login(t.Context(), "a", "", nil)
		}
		login(t.Context(), "b", "", nil)
		synctest.Wait()
		cancel()
		synctest.Wait()
		if n := asked.Load(); n != 2 {
			t.Errorf("%d questions under way for two tokens", n)
		}
		close(release)
		wg.Wait()
		if _, err := m.review(t.Context(), conf, 1, "a", ""); err != nil || asked.Load() != 3 {
			t.Errorf("the answer was kept: %d questions, %v", asked.Load(), err)
		}
	})
}

func TestReviewTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(engine.Env{}, kube.Pod{TokenFile: "absent", CAFile: "absent"})
		m.roundTrip = func() http.RoundTripper {
			return transport(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})
		}
		start := time.Now()
		_, err := m.review(t.Context(), &config{Host: "https://h", DisableLocal: true}, 1, "a", "")
		wantError(t, "no answer", err, engine.Upstream, "the Kubernetes API server at https://h cannot be asked: no answer in time")
		if d := time.Since(start); d != reviewTimeout {
			t.Errorf("gave up after %v", d)
		}
	})
}

func TestClientIsKept(t *testing.T) {
	m := New(engine.Env{}, kube.Pod{TokenFile: "absent", CAFile: "absent"})
	conf := &config{DisableLocal: true}
	a, b, c := m.clientFor(conf, 1), m.clientFor(conf, 1), m.clientFor(conf, 2)
	if a != b || a == c {
		t.Errorf("one client a version is wanted: %p %p %p", a, b, c)
	}
}

func BenchmarkLogin(b *testing.B) {
	srv := newAPIServer(b)
	f := mountMethod(b)
	f.must(b, engine.Update, "config", object{"kubernetes_host": srv.URL, "kubernetes_ca_cert": srv.ca(), "token_reviewer_jwt": "r"})
	f.must(b, engine.Create, "role/r", object{"bound_service_account_names": "default", "bound_service_account_namespaces": "longhorn-system"})
	jwt := newSigner(b).token(b, "longhorn-system", "default", nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.login("r", jwt); err != nil {
			b.Fatal(err)
		}
	}
}
