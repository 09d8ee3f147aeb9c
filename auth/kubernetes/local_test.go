package kubernetes

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
	"strongroom/engine/enginetest"
	"strongroom/internal/kube"
	"strongroom/internal/storage"
)

func TestLocalVerification(t *testing.T) {
	srv := newAPIServer(t)
	f, s := ready(t, srv, object{"local_token_verification": true}, nil)
	srv.keys = []*signer{newSigner(t), s}
	forged := newSigner(t)
	forged.id = s.id

	token := s.token(t, "longhorn-system", "default", nil)
	g, err := f.login(roleName, token)
	if err != nil {
		t.Fatal(err)
	}
	if g.Alias != "uid-default" || g.Metadata["service_account_uid"] != "uid-default" {
		t.Errorf("%+v", g)
	}
	for _, test := range []struct {
		what, jwt, want string
	}{
		{"another account", s.token(t, "longhorn-system", "other", nil), "not authorized"},
		{"another audience", s.token(t, "longhorn-system", "default", object{"aud": "vault"}), "made for somebody else"},
		{"expired", s.token(t, "longhorn-system", "default", object{"exp": time.Now().Add(-time.Minute).Unix()}), "the jwt expired"},
		{"endless", s.token(t, "longhorn-system", "default", object{"exp": nil}), "never expires"},
		{"of tomorrow", s.token(t, "longhorn-system", "default", object{"nbf": time.Now().Add(time.Hour).Unix()}), "not valid before"},
		{"two names", s.token(t, "longhorn-system", "default", object{"sub": "system:serviceaccount:longhorn-system:other"}), "not a service account token"},
		{"no uid", s.token(t, "longhorn-system", "default", object{"kubernetes.io": object{"namespace": "longhorn-system", "serviceaccount": object{"name": "default"}}}), "not a service account token"},
		{"forged", forged.token(t, "longhorn-system", "default", nil), "none of the cluster's keys"},
		{"of another cluster", newSigner(t).token(t, "longhorn-system", "default", nil), "none of the cluster's keys"},
	} {
		_, err := f.login(roleName, test.jwt)
		wantError(t, test.what, err, engine.Denied, test.want)
	}
	f.must(t, engine.Update, "role/"+roleName, object{"audience": "vault"})
	if _, err := f.login(roleName, s.token(t, "longhorn-system", "default", object{"aud": "vault"})); err != nil {
		t.Errorf("the role's audience: %v", err)
	}
	_, err = f.login(roleName, token)
	wantError(t, "not the role's audience", err, engine.Denied, "invalid audience")
	if srv.asked != 0 || srv.askedKeys != 1 {
		t.Errorf("%d reviews, the keys %d times: strangers within seconds should not make it ask again", srv.asked, srv.askedKeys)
	}
}

// Keys given by hand need no API server at all.
func TestLocalVerificationOffline(t *testing.T) {
	srv, s := newAPIServer(t), newSigner(t)
	f, _ := ready(t, srv, object{"local_token_verification": true, "pem_keys": s.publicPEM(t)}, nil)
	if _, err := f.login(roleName, s.token(t, "longhorn-system", "default", nil)); err != nil {
		t.Error(err)
	}
	_, err := f.login(roleName, newSigner(t).token(t, "longhorn-system", "default", nil))
	wantError(t, "forged", err, engine.Denied, "none of pem_keys")
	if srv.asked+srv.askedKeys != 0 {
		t.Error("the API server was asked")
	}
}

// New keys are found when a token names one, outages are outlasted for a day, and a key that is withdrawn ends within the hour.
func TestLocalKeysOverTime(t *testing.T) {
	srv, old, next := newAPIServer(t), newSigner(t), newSigner(t)
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{}
		f.Mounted = enginetest.New(t, storage.NewMem(), "auth/kubernetes/", func(env engine.Env) (engine.Engine, error) {
			f.method = New(env, kube.Pod{TokenFile: "/nonexistent", CAFile: "/nonexistent", Getenv: func(string) string { return "" }})
			f.method.roundTrip = func() http.RoundTripper { return handlerTransport{srv} }
			return f.method, nil
		}, nil)
		f.must(t, engine.Update, "config", object{"kubernetes_host": "https://cluster.example", "token_reviewer_jwt": "reviewer-token", "local_token_verification": true})
		f.must(t, engine.Create, "role/"+roleName, object{"bound_service_account_names": "default", "bound_service_account_namespaces": "longhorn-system", "policies": "p"})
		login := func(s *signer) error {
			_, err := f.login(roleName, s.token(t, "longhorn-system", "default", nil))
			return err
		}
		want := func(what string, err error, ok bool) {
			t.Helper()
			if (err == nil) != ok {
				t.Errorf("%s: %v", what, err)
			}
		}
		srv.keysGone = http.StatusForbidden
		wantError(t, "no right", login(old), engine.Upstream, "system:service-account-issuer-discovery")
		srv.keysGone, srv.keys = 0, []*signer{old}
		want("first", login(old), true)
		srv.keys = []*signer{old, next}
		want("at once", login(next), false)
		time.Sleep(keysPause)
		want("a new key", login(next), true)
		srv.keys, srv.keysGone = []*signer{next}, http.StatusServiceUnavailable
		time.Sleep(keysKept - time.Second)
		want("an outage", login(old), true)
		time.Sleep(time.Second)
		want("a day's outage", login(old), false)
		srv.keysGone = 0
		time.Sleep(keysPause)
		want("back", login(next), true)
		want("withdrawn", login(old), false)
	})
}

// handlerTransport asks a handler without a network, which synctest could not see.
type handlerTransport struct{ http.Handler }

func (h handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}
