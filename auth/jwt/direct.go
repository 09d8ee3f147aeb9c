package jwt

import (
	"context"
	"crypto/subtle"
	"net/http"
	"time"

	"strongroom/engine"
)

// In direct mode (https://openbao.org/docs/auth/jwt/#oidc-login-cli) the provider sends the browser to this server, and who logs in asks
// the server for the outcome: so people can log in from machines that no browser can reach.

// defaultPoll is how long a client waits between polls unless the role says.
const defaultPoll = 5 * time.Second

// direct is what a flow in direct mode has come to. The flows it is of guard it.
type direct struct {
	interval time.Duration
	polled   time.Time
	answered bool // the browser has been here
	over     bool // and what it brought has been looked at
	grant    *engine.Grant
	err      error
}

func (r *role) callbackMode() string {
	if r.Direct {
		return "direct"
	}
	return "client"
}

func (r *role) pollInterval() time.Duration {
	if r.PollInterval == 0 {
		return defaultPoll
	}
	return time.Duration(r.PollInterval) * time.Second
}

// answered returns the flow of state if it is one in direct mode to which the browser comes for the first time.
func (f *flows) answered(state string) *flow {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.known[state]
	if fl == nil || fl.direct == nil || fl.direct.answered || !time.Now().Before(fl.ends) {
		return nil
	}
	fl.direct.answered = true
	return fl
}

// settle keeps the outcome of fl for who polls.
func (f *flows) settle(fl *flow, grant *engine.Grant, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl.direct.over, fl.direct.grant, fl.direct.err = true, grant, err
}

// outcome is what the flow of state has come to. What there is to know is told once.
func (f *flows) outcome(state, clientNonce string) (*engine.Grant, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl, now := f.known[state], time.Now()
	switch {
	case fl == nil || fl.direct == nil || !now.Before(fl.ends):
		return nil, errExpired()
	case subtle.ConstantTimeCompare([]byte(fl.clientNonce), []byte(clientNonce)) != 1:
		return nil, engine.Invalidf("invalid client_nonce: it is not that of oidc/auth_url")
	}
	d := fl.direct
	soon := now.Before(d.polled.Add(d.interval / 2)) // clocks and networks are not exact
	d.polled = now
	switch {
	case soon:
		return nil, engine.Invalidf("slow_down")
	case !d.over:
		return nil, engine.Invalidf("authorization_pending")
	}
	delete(f.known, state)
	return d.grant, d.err
}

// answerDirect takes what a browser brings to this server, and shows it a page without anything of that.
func (m *Method) answerDirect(ctx context.Context, req *engine.Request, fl *flow) (*engine.Response, error) {
	resp, err := m.complete(ctx, req, fl)
	if err != nil {
		m.flows.settle(fl, nil, err)
		return page(http.StatusBadRequest, "The login failed: the terminal says why. You can close this window.\n"), nil
	}
	m.flows.settle(fl, resp.Grant, nil)
	return page(http.StatusOK, "Signed in via your OIDC provider. You can now close this window and start using Vault.\n"), nil
}

func page(status int, text string) *engine.Response {
	return &engine.Response{Raw: &engine.Raw{Status: status, ContentType: "text/plain; charset=utf-8", Body: []byte(text)}}
}

// poll gives who began a login its token, once the browser has been here.
func (m *Method) poll(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	grant, err := m.flows.outcome(req.Data.String("state"), req.Data.String("client_nonce"))
	if err != nil {
		return nil, err
	}
	r, err := m.roles.Load(ctx, req, grant.Role)
	if err != nil {
		return nil, err
	}
	if r == nil || !r.Token.Admits(req.Remote.Addr()) {
		return nil, engine.ErrDenied
	}
	return &engine.Response{Grant: grant}, nil
}
