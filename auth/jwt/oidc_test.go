package jwt

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/engine"
)

const redirectURI = "http://localhost:8250/oidc/callback"

// mountOIDC is a mount that knows a provider, with one role.
func mountOIDC(t *testing.T) (*fixture, *fakeProvider) {
	t.Helper()
	p := startProvider(t, newSigner(t, "k"))
	p.info = object{"sub": "ada", "team": "ops", "email": "unsigned@example.com"}
	f := mount(t)
	f.must(engine.Update, "config", object{"oidc_discovery_url": p.URL, "oidc_discovery_ca_pem": p.ca, "oidc_client_id": "client id", "oidc_client_secret": "client secret",
		"default_role": "dev", "jwt_supported_algs": "ES256"})
	f.must(engine.Create, "role/dev", object{"user_claim": "sub", "allowed_redirect_uris": redirectURI + ",https://vault.example.com/cb", "oidc_scopes": "email", "token_policies": "p",
		"claim_mappings": object{"team": "team", "email": "email"}, "max_age": "1h"})
	return f, p
}

func (f *fixture) begin(clientNonce string) string {
	f.t.Helper()
	return f.must(engine.Update, "oidc/auth_url", object{"redirect_uri": redirectURI, "client_nonce": clientNonce})["auth_url"].(string)
}

func (f *fixture) callback(state, code, clientNonce string) (*engine.Grant, error) {
	f.t.Helper()
	resp, err := f.DoQuery(engine.Read, "oidc/callback", nil, map[string][]string{"state": {state}, "code": {code}, "client_nonce": {clientNonce}})
	if err != nil {
		return nil, err
	}
	return resp.Grant, nil
}

func TestOIDC(t *testing.T) {
	f, p := mountOIDC(t)
	p.claims = object{"email": "ada@example.com", "auth_time": time.Now().Unix()}
	authURL := f.begin("mine")
	state, code, q := p.authorize(t, authURL)
	if !strings.HasPrefix(authURL, p.URL+"/authorize?") || q.Get("response_type") != "code" || q.Get("client_id") != "client id" || q.Get("scope") != "openid email" ||
		q.Get("redirect_uri") != redirectURI || q.Get("max_age") != "3600" || q.Get("code_challenge_method") != "S256" || len(q.Get("nonce")) < 40 || len(state) < 40 {
		t.Errorf("auth_url: %s", authURL)
	}
	g, err := f.callback(state, code, "mine")
	if err != nil {
		t.Fatal(err)
	}
	// What is signed counts before what the provider tells besides.
	if g.Alias != "ada" || g.Role != "dev" || !maps.Equal(g.Metadata, map[string]string{"role": "dev", "team": "ops", "email": "ada@example.com"}) {
		t.Errorf("%+v", g)
	}
	// Lesson: a state is worth one callback.
	_, code, _ = p.authorize(t, authURL)
	if _, err := f.callback(state, code, "mine"); err == nil || !strings.Contains(err.Error(), "Expired or missing OAuth state") {
		t.Errorf("a second callback: %v", err)
	}
}

// Every part that ties a callback to its login is looked at.
func TestOIDCRefuses(t *testing.T) {
	f, p := mountOIDC(t)
	now := time.Now().Unix()
	for _, c := range []struct {
		what   string
		claims object
		nonce  string
		want   string
	}{
		{"in order", nil, "mine", ""},
		{"another client's nonce", nil, "other", "invalid client_nonce"},
		{"no client nonce", nil, "", "invalid client_nonce"},
		{"another login's nonce", object{"nonce": "x"}, "mine", "invalid id_token nonce"},
		{"no nonce", object{"nonce": nil}, "mine", "invalid id_token nonce"},
		{"another issuer", object{"iss": "https://evil.example.com"}, "mine", "invalid issuer"},
		{"another audience", object{"aud": "x"}, "mine", "not for oidc_client_id"},
		{"several audiences", object{"aud": []string{"client id", "x"}, "azp": "x"}, "mine", "invalid authorized party"},
		{"expired", object{"exp": now - 61}, "mine", "expired"},
		{"without an end", object{"exp": nil}, "mine", "expired"},
		{"from the future", object{"iat": now + 100}, "mine", "in the future"},
		{"a session that is old", object{"auth_time": now - 3700}, "mine", "max_age"},
		{"somebody else's user info", object{"sub": "bob"}, "mine", "somebody else"},
	} {
		p.claims = object{"auth_time": now}
		maps.Copy(p.claims, c.claims)
		state, code, _ := p.authorize(t, f.begin("mine"))
		if _, err := f.callback(state, code, c.nonce); (c.want == "") != (err == nil) || c.want != "" && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
	state, _, _ := p.authorize(t, f.begin(""))
	if _, err := f.callback(state, "made up", ""); err == nil || !strings.Contains(err.Error(), "Error exchanging oidc code") || strings.Contains(err.Error(), "made up") {
		t.Errorf("a made up code: %v", err)
	}
	state, _, _ = p.authorize(t, f.begin(""))
	if _, err := f.callback(state, "", ""); err == nil || !strings.Contains(err.Error(), "code parameter not provided") {
		t.Errorf("no code: %v", err)
	}
	if _, err := f.login("dev", "x"); err == nil || !strings.Contains(err.Error(), "oidc role_type is not allowed") {
		t.Errorf("a token for an oidc role: %v", err)
	}
	f.must(engine.Create, "role/signed", object{"role_type": "jwt", "user_claim": "sub", "bound_subject": "x"})
	if _, err := f.Do(engine.Update, "oidc/auth_url", object{"role": "signed", "redirect_uri": redirectURI}); err == nil {
		t.Error("a browser login for a jwt role")
	}
}

func TestRedirects(t *testing.T) {
	f, _ := mountOIDC(t)
	for uri, want := range map[string]bool{
		redirectURI: true, "http://localhost:9999/oidc/callback": true, "https://vault.example.com/cb": true,
		"https://vault.example.com:444/cb": false, "https://vault.example.com/cb2": false, "http://127.0.0.1:8250/oidc/callback": false, "https://localhost:8250/oidc/callback": false,
		"http://localhost:8250/other": false, "http://localhost:8250/oidc/callback?x=y": false, "http://localhost:8250/oidc/callback#x": false,
		"http://user@localhost:8250/oidc/callback": false, "http://localhost.evil.example.com/oidc/callback": false, "http://localhost:8250/oidc%2Fcallback": false,
	} {
		got := f.must(engine.Update, "oidc/auth_url", object{"redirect_uri": uri})["auth_url"].(string)
		if (got != "") != want {
			t.Errorf("%s: %q", uri, got)
		}
	}
}

// Flows end by themselves, and whoever begins many fills no memory.
func TestLessonFlowsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlows()
		add := func(state string) { f.add(state, &flow{ends: time.Now().Add(flowLife)}) }
		for i := range maxFlows + 100 {
			add(fmt.Sprint(i))
		}
		if len(f.known) != maxFlows || len(f.order) != maxFlows || f.take("0") != nil || f.take(fmt.Sprint(maxFlows)) == nil {
			t.Errorf("%d flows are kept", len(f.known))
		}
		time.Sleep(flowLife)
		if f.take("200") != nil {
			t.Error("a flow lives on")
		}
		add("new")
		if len(f.known) != 1 || len(f.order) != 1 {
			t.Errorf("%d flows are left", len(f.known))
		}
	})
}

// Lesson: no token, code or claim's value is in the log, even if asked for.
func TestLessonLogHoldsNoToken(t *testing.T) {
	f, p := mountOIDC(t)
	var log bytes.Buffer
	f.Engine.(*Method).logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: &log})
	if resp, err := f.Do(engine.Update, "role/dev", object{"verbose_oidc_logging": true}); err != nil || len(resp.Warnings) != 1 {
		t.Fatalf("%v, %v", resp, err)
	}
	p.claims = object{"auth_time": time.Now().Unix(), "secret_claim": "the-value"}
	state, code, _ := p.authorize(t, f.begin(""))
	if _, err := f.callback(state, code, ""); err != nil {
		t.Fatal(err)
	}
	text := log.String()
	if !strings.Contains(text, "secret_claim") {
		t.Errorf("the claims' names are not logged: %s", text)
	}
	for _, secret := range []string{"the-value", state, code, "eyJ", "ada", "access"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds %q: %s", secret, text)
		}
	}
}
