package jwt

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
)

func (f *fixture) poll(state, nonce string) (*engine.Grant, error) {
	f.t.Helper()
	resp, err := f.Do(engine.Update, "oidc/poll", object{"state": state, "client_nonce": nonce})
	if err != nil {
		return nil, err
	}
	return resp.Grant, nil
}

// visit is the browser at the callback, without any nonce.
func (f *fixture) visit(query map[string][]string) *engine.Raw {
	f.t.Helper()
	resp, err := f.DoQuery(engine.Read, "oidc/callback", nil, query)
	if err != nil {
		f.t.Fatal(err)
	}
	return resp.Raw
}

// startDirect begins a login in direct mode.
func startDirect(t *testing.T) (f *fixture, p *fakeProvider, authURL, state string) {
	t.Helper()
	f, p = mountOIDC(t)
	p.claims = object{"email": "ada@example.com", "auth_time": time.Now().Unix()}
	f.must(engine.Create, "role/dev", object{"callback_mode": "direct", "poll_interval": "3s"})
	begun := f.must(engine.Update, "oidc/auth_url", object{"redirect_uri": redirectURI, "client_nonce": "mine"})
	if begun["poll_interval"] != int64(3) || begun["state"] == "" {
		t.Fatalf("auth_url answers %v", begun)
	}
	return f, p, begun["auth_url"].(string), begun["state"].(string)
}

func failsWith(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("%v, want %q", err, text)
	}
}

func TestDirect(t *testing.T) {
	f, p, authURL, state := startDirect(t)
	m := f.Engine.(*Method)
	_, err := f.poll(state, "mine")
	failsWith(t, err, "authorization_pending")
	_, err = f.poll(state, "mine")
	failsWith(t, err, "slow_down")
	_, err = f.poll(state, "another's")
	failsWith(t, err, "invalid client_nonce")
	_, code, _ := p.authorize(t, authURL)
	page := f.visit(map[string][]string{"state": {state}, "code": {code}})
	if page == nil || page.Status != 200 || page.ContentType != "text/plain; charset=utf-8" || strings.Contains(string(page.Body), "<") {
		t.Fatalf("the browser sees %+v", page)
	}
	// Who loads the page again neither logs in again nor ends the login.
	if _, err := f.callback(state, code, ""); err == nil {
		t.Error("a second visit is taken")
	}
	m.flows.known[state].direct.polled = time.Time{}
	g, err := f.poll(state, "mine")
	if err != nil || g.Alias != "ada" || g.Role != "dev" {
		t.Fatalf("%+v, %v", g, err)
	}
	_, err = f.poll(state, "mine")
	failsWith(t, err, "Expired or missing OAuth state")
	if got := f.must(engine.Read, "role/dev", nil); got["callback_mode"] != "direct" || got["poll_interval"] != int64(3) {
		t.Errorf("role: %v", got)
	}
	_, err = f.Do(engine.Create, "role/dev", object{"callback_mode": "device"})
	failsWith(t, err, "invalid 'callback_mode'")
}

func TestDirectRefuses(t *testing.T) {
	f, _, _, state := startDirect(t)
	page := f.visit(map[string][]string{"state": {state}, "error": {"<script>"}, "error_description": {"<script>"}})
	if page.Status != 400 || strings.Contains(string(page.Body), "script") {
		t.Errorf("the browser sees %+v", page)
	}
	_, err := f.poll(state, "mine")
	failsWith(t, err, "The provider refused the login")

	// A poll tells nothing of a login in the other mode, nor of one that nobody began.
	f.must(engine.Create, "role/dev", object{"callback_mode": "client"})
	begun := f.must(engine.Update, "oidc/auth_url", object{"redirect_uri": redirectURI, "client_nonce": "mine"})
	if begun["poll_interval"] != nil || begun["state"] != nil {
		t.Errorf("auth_url answers %v", begun)
	}
	for _, s := range []string{"", "unknown"} {
		_, err = f.poll(s, "mine")
		failsWith(t, err, "Expired or missing OAuth state")
	}
}

// The token is for who polls, so the role's addresses are those of who polls.
func TestDirectBindsAddresses(t *testing.T) {
	f, p, _, _ := startDirect(t)
	f.must(engine.Create, "role/dev", object{"token_bound_cidrs": "192.0.2.0/24"})
	begun := f.must(engine.Update, "oidc/auth_url", object{"redirect_uri": redirectURI, "client_nonce": "mine"})
	state, code, _ := p.authorize(t, begun["auth_url"].(string))
	f.remote = "198.51.100.1:1"
	if page := f.visit(map[string][]string{"state": {state}, "code": {code}}); page.Status != 200 {
		t.Errorf("the browser may be anywhere, and sees %+v", page)
	}
	if _, err := f.poll(state, "mine"); engine.KindOf(err) != engine.Denied {
		t.Errorf("from elsewhere: %v", err)
	}
}

func TestDirectEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flows := newFlows()
		flows.add("s", &flow{clientNonce: "n", ends: time.Now().Add(flowLife), direct: &direct{interval: time.Second}})
		time.Sleep(flowLife)
		if flows.answered("s") != nil {
			t.Error("a flow is answered after its time")
		}
		_, err := flows.outcome("s", "n")
		failsWith(t, err, "Expired or missing OAuth state")
	})
}
