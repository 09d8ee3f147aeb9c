package jwt

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"strongroom/engine"
)

const (
	flowLife = 5 * time.Minute // of a login by browser
	// maxFlows bounds how many are under way: anybody may begin one. The oldest go first.
	maxFlows = 10_000
	maxNonce = 1024 // bytes, of the client's
)

// flow is a login by browser under way.
type flow struct {
	role, redirect, nonce, clientNonce string
	verifier                           string // of the code challenge (PKCE, RFC 7636)
	ends                               time.Time
	direct                             *direct // in direct mode only
}

// flows are the logins under way, by state, in the memory of the node that began
// them: a failover ends them, and the user begins anew. Safe for concurrent use.
type flows struct {
	mu    sync.Mutex
	known map[string]*flow
	order []string // states by age
}

func newFlows() *flows { return &flows{known: map[string]*flow{}} }

func (f *flows) add(state string, fl *flow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for len(f.order) > 0 {
		oldest, ok := f.known[f.order[0]]
		if ok && len(f.known) < maxFlows && now.Before(oldest.ends) {
			break
		}
		delete(f.known, f.order[0])
		f.order = f.order[1:]
	}
	f.known[state] = fl
	f.order = append(f.order, state)
}

// take ends the flow of state and returns it; nil if there is none that lives.
func (f *flows) take(state string) *flow {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.known[state]
	if fl != nil && fl.direct != nil { // it ends with its outcome: a page that is loaded again ends nothing
		return nil
	}
	delete(f.known, state)
	if fl == nil || !time.Now().Before(fl.ends) {
		return nil
	}
	return fl
}

// random makes 256 bits of text.
func random() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// authURL begins a login by browser. A role or redirect_uri that is not allowed
// gets an empty URL, as in Vault.
func (m *Method) authURL(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	redirect, clientNonce := req.Data.String("redirect_uri"), req.Data.String("client_nonce")
	if redirect == "" {
		return nil, engine.Invalidf("missing redirect_uri")
	}
	if len(clientNonce) > maxNonce {
		return nil, engine.Invalidf("client_nonce is longer than %d bytes", maxNonce)
	}
	c, name, r, err := m.start(ctx, req)
	if err != nil {
		return nil, err
	}
	if r.Type != typeOIDC || c.DiscoveryURL == "" || c.ClientID == "" {
		return nil, engine.Invalidf("OIDC login is not configured for this mount: the configuration needs oidc_discovery_url and oidc_client_id, and the role the role_type oidc")
	}
	if !r.redirects(redirect) || !r.Token.Admits(req.Remote.Addr()) {
		return &engine.Response{Data: map[string]any{"auth_url": ""}}, nil
	}
	p, err := m.remote.discover(ctx, c)
	if err != nil {
		return nil, err
	}
	to, err := url.Parse(p.AuthURL)
	if err != nil || p.AuthURL == "" {
		return nil, engine.Errorf(engine.Upstream, "the provider at oidc_discovery_url names no authorization_endpoint")
	}
	state := random()
	fl := &flow{role: name, redirect: redirect, nonce: random(), clientNonce: clientNonce, verifier: random(), ends: time.Now().Add(flowLife)}
	answer := map[string]any{}
	if r.Direct {
		fl.direct = &direct{interval: r.pollInterval()}
		answer["state"], answer["poll_interval"] = state, int64(r.pollInterval()/time.Second)
	}
	challenge := sha256.Sum256([]byte(fl.verifier))
	q := to.Query()
	for k, v := range map[string]string{
		"response_type": "code", "client_id": c.ClientID, "redirect_uri": redirect, "state": state, "nonce": fl.nonce,
		"scope":          strings.Join(slices.Concat([]string{"openid"}, r.Scopes), " "),
		"code_challenge": base64.RawURLEncoding.EncodeToString(challenge[:]), "code_challenge_method": "S256",
	} {
		q.Set(k, v)
	}
	if r.MaxAge > 0 {
		q.Set("max_age", strconv.FormatInt(r.MaxAge, 10))
	}
	to.RawQuery = q.Encode()
	m.flows.add(state, fl)
	answer["auth_url"] = to.String()
	return &engine.Response{Data: answer}, nil
}

// errExpired: the state is not that of a login under way here.
func errExpired() error {
	return engine.Invalidf("Vault login failed. Expired or missing OAuth state: begin the login anew")
}

// callback ends a login by browser: the provider's code becomes its token, and
// that a token of this server's.
func (m *Method) callback(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	d := req.Data
	if fl := m.flows.answered(d.String("state")); fl != nil {
		return m.answerDirect(ctx, req, fl)
	}
	fl := m.flows.take(d.String("state"))
	if fl == nil {
		return nil, errExpired()
	}
	// What was begun by another client is not ended by this one: a link to the
	// callback, sent to somebody, is worth nothing.
	if subtle.ConstantTimeCompare([]byte(fl.clientNonce), []byte(d.String("client_nonce"))) != 1 {
		return nil, engine.Invalidf("invalid client_nonce: it is not that of oidc/auth_url")
	}
	return m.complete(ctx, req, fl)
}

// complete makes the grant of what the provider has sent the browser back with.
func (m *Method) complete(ctx context.Context, req *engine.Request, fl *flow) (*engine.Response, error) {
	d := req.Data
	if d.String("error") != "" {
		return nil, engine.Invalidf("Vault login failed. The provider refused the login; its log says why")
	}
	if d.String("code") == "" {
		return nil, engine.Invalidf("Vault login failed. OAuth code parameter not provided")
	}
	c, err := m.needConfig(ctx, req)
	if err != nil {
		return nil, err
	}
	r, err := m.roles.Load(ctx, req, fl.role)
	if err != nil {
		return nil, err
	}
	if r == nil || r.Type != typeOIDC {
		return nil, errExpired()
	}
	if fl.direct == nil && !r.Token.Admits(req.Remote.Addr()) { // in direct mode this is the browser, not who gets the token
		return nil, engine.ErrDenied
	}
	p, err := m.remote.discover(ctx, c)
	if err != nil {
		return nil, err
	}
	return m.finish(ctx, c, p, r, fl, d.String("code"))
}

// finish exchanges the code of a login for what the provider says of the user,
// and that for a token.
func (m *Method) finish(ctx context.Context, c *config, p *provider, r *role, fl *flow, code string) (*engine.Response, error) {
	answer, err := m.exchange(ctx, c, p, fl, code)
	if err != nil {
		return nil, err
	}
	cl, err := m.verify(ctx, c, answer.ID, c.algorithms([]jose.SignatureAlgorithm{jose.RS256}))
	if err != nil {
		return nil, err
	}
	if err := r.checkID(c, p, fl, cl, time.Now()); err != nil {
		return nil, err
	}
	if err := m.addUserInfo(ctx, c, p, answer.Access, cl); err != nil {
		return nil, err
	}
	if r.Verbose { // names alone: values may be secret
		m.logger.Debug("an OIDC provider answered", "role", fl.role, "claims", slices.Sorted(maps.Keys(cl)))
	}
	if err := r.bind(cl); err != nil {
		return nil, err
	}
	g, err := r.grant(fl.role, cl)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Grant: g}, nil
}

// tokens are what a provider gives for a code.
type tokens struct {
	ID     string `json:"id_token"`
	Access string `json:"access_token"`
}

// exchange shows the provider the code, and who asks.
func (m *Method) exchange(ctx context.Context, c *config, p *provider, fl *flow, code string) (tokens, error) {
	var out tokens
	if p.TokenURL == "" {
		return out, engine.Errorf(engine.Upstream, "the provider at oidc_discovery_url names no token_endpoint")
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {fl.redirect}, "code_verifier": {fl.verifier}}
	if c.ClientSecret == "" {
		form.Set("client_id", c.ClientID)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return out, engine.Errorf(engine.Upstream, "the provider's token_endpoint is no URL")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if c.ClientSecret != "" { // form-encoded before it is joined (RFC 6749, section 2.3.1)
		req.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(string(c.ClientSecret)))
	}
	body, err := m.remote.do(req, c.DiscoveryCA)
	if err != nil {
		return out, asInvalid("Vault login failed. Error exchanging oidc code", err)
	}
	if json.Unmarshal(body, &out) != nil || out.ID == "" {
		return out, engine.Errorf(engine.Upstream, "No id_token found in response: the provider gave none for the code")
	}
	return out, nil
}

// checkID demands that an ID token is the provider's, fresh, for this server and
// for this login (OpenID Connect Core 1.0, section 3.1.3.7).
func (r *role) checkID(c *config, p *provider, fl *flow, cl claims, now time.Time) error {
	const skew = 60 // seconds
	exp, err := cl.seconds("exp")
	if err != nil {
		return err
	}
	iat, err := cl.seconds("iat")
	if err != nil {
		return err
	}
	authTime, err := cl.seconds("auth_time")
	if err != nil {
		return err
	}
	audiences, t := cl.texts("aud"), float64(now.Unix())
	switch {
	case cl.text("iss") != p.Issuer || c.Issuer != "" && cl.text("iss") != c.Issuer:
		return denied("invalid issuer (iss) claim")
	case !slices.Contains(audiences, c.ClientID):
		return denied("invalid audience (aud) claim: the token is not for oidc_client_id")
	case len(audiences) > 1 && cl.text("azp") != c.ClientID, cl["azp"] != nil && cl.text("azp") != c.ClientID:
		return denied("invalid authorized party (azp) claim")
	case exp == 0 || t > exp+skew:
		return denied("invalid expiration time (exp) claim: token is expired")
	case iat > t+skew:
		return denied("invalid issued at (iat) claim: token issued in the future")
	case subtle.ConstantTimeCompare([]byte(cl.text("nonce")), []byte(fl.nonce)) != 1:
		return denied("invalid id_token nonce")
	case r.MaxAge > 0 && (authTime == 0 || t > authTime+float64(r.MaxAge)+skew):
		return denied("the user was asked for their password longer ago than max_age")
	}
	return nil
}

// addUserInfo adds what the provider tells of the user besides, where it has a
// place to ask. It never changes what the signed token says.
func (m *Method) addUserInfo(ctx context.Context, c *config, p *provider, access string, cl claims) error {
	if p.UserInfo == "" || access == "" {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.UserInfo, nil)
	if err != nil {
		return engine.Errorf(engine.Upstream, "the provider's userinfo_endpoint is no URL")
	}
	req.Header.Set("Authorization", "Bearer "+access)
	body, err := m.remote.do(req, c.DiscoveryCA)
	if err != nil {
		return err
	}
	info, err := decodeObject(body)
	if err != nil {
		return engine.Errorf(engine.Upstream, "the provider's userinfo_endpoint does not answer with a JSON object")
	}
	if claims(info).text("sub") != cl.text("sub") {
		return &engine.Error{Kind: engine.Invalid, Text: "error validating token: the provider's user info is of somebody else", Err: errors.New("sub differs")}
	}
	for name, v := range info {
		if _, ok := cl[name]; !ok {
			cl[name] = v
		}
	}
	return nil
}
