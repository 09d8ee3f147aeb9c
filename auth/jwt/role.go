package jwt

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"strongroom/auth"
	"strongroom/engine"
)

const (
	roleFolder = "role/"
	typeJWT    = "jwt"
	typeOIDC   = "oidc"
)

// role says whose tokens may log in, as it is stored. Leeways are in seconds; 0
// is the default, -1 none.
type role struct {
	Type         string              `json:"role_type"`
	Audiences    []string            `json:"bound_audiences"`
	Subject      string              `json:"bound_subject"`
	Claims       map[string][]string `json:"bound_claims"` // claim or JSON pointer: one of these values
	ClaimsGlob   bool                `json:"bound_claims_glob"`
	UserClaim    string              `json:"user_claim"`
	UserPointer  bool                `json:"user_claim_json_pointer"`
	GroupsClaim  string              `json:"groups_claim"`
	Mappings     map[string]string   `json:"claim_mappings"` // claim or JSON pointer: name of the metadata
	Leeway       int64               `json:"clock_skew_leeway"`
	ExpiryLeeway int64               `json:"expiration_leeway"`
	NotBefore    int64               `json:"not_before_leeway"`
	Scopes       []string            `json:"oidc_scopes"`
	RedirectURIs []string            `json:"allowed_redirect_uris"`
	Direct       bool                `json:"direct,omitempty"`        // the provider sends the browser to the server itself
	PollInterval int64               `json:"poll_interval,omitempty"` // seconds; 0: the default
	MaxAge       int64               `json:"max_age"`                 // seconds; 0: any
	Verbose      bool                `json:"verbose_oidc_logging"`
	Token        auth.Token          `json:"token"`
}

func roleFields() []engine.Field {
	return append([]engine.Field{
		{Name: "name", Type: engine.Name, Help: "Name of the role."},
		{Name: "role_type", Help: "\"oidc\" (default) for logins by browser, or \"jwt\"."},
		{Name: "bound_audiences", Type: engine.StringList, Help: "Audiences, one of which the token must be for."},
		{Name: "bound_subject", Help: "The subject that the token must have."},
		{Name: "bound_claims", Type: engine.Object, Help: "Claims, or JSON pointers to them, and the value or values that each may have."},
		{Name: "bound_claims_type", Help: "\"string\" (default), or \"glob\" where * stands for any text."},
		{Name: "user_claim", Help: "The claim that names the user."},
		{Name: "user_claim_json_pointer", Type: engine.Bool, Help: "user_claim is a JSON pointer."},
		{Name: "groups_claim", Help: "The claim, or a JSON pointer to it, that lists the user's groups."},
		{Name: "claim_mappings", Type: engine.StringMap, Help: "Claims, or JSON pointers to them, and the metadata of the token that each becomes."},
		{Name: "clock_skew_leeway", Type: engine.Any, Help: "Difference of clocks that is forgiven; 0: 60s, -1: none. jwt roles only."},
		{Name: "expiration_leeway", Type: engine.Any, Help: "Life of tokens without an expiry; 0: 150s, -1: none. jwt roles only."},
		{Name: "not_before_leeway", Type: engine.Any, Help: "Life before the issue of tokens without a beginning; 0: 150s, -1: none. jwt roles only."},
		{Name: "oidc_scopes", Type: engine.StringList, Help: "Scopes to ask for besides openid."},
		{Name: "allowed_redirect_uris", Type: engine.StringList, Help: "Where the provider may send the browser back."},
		{Name: "callback_mode", Help: "\"client\" (default): the browser comes back to who logs in, or \"direct\": to this server, which is then polled. With direct, whoever can have a user open a link can log in as that user."},
		{Name: "poll_interval", Type: engine.Duration, Help: "How long to wait between polls in direct mode; 5s by default."},
		{Name: "max_age", Type: engine.Duration, Help: "Longest time since the user was last asked for their password at the provider."},
		{Name: "verbose_oidc_logging", Type: engine.Bool, Help: "Log which claims were received. Their values, and tokens, are never logged."},
	}, auth.TokenFields("policies", "ttl", "max_ttl", "period", "num_uses", "bound_cidrs")...)
}

func (m *Method) readRole(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	r, err := m.roles.Named(ctx, req)
	if err != nil {
		return nil, err
	}
	claims := map[string]any{}
	for name, values := range r.Claims {
		if claims[name] = values; len(values) == 1 {
			claims[name] = values[0]
		}
	}
	kind := "string"
	if r.ClaimsGlob {
		kind = "glob"
	}
	data := map[string]any{
		"role_type": r.Type, "bound_audiences": auth.Shown(r.Audiences), "bound_subject": r.Subject, "bound_claims": claims, "bound_claims_type": kind,
		"user_claim": r.UserClaim, "user_claim_json_pointer": r.UserPointer, "groups_claim": r.GroupsClaim, "claim_mappings": r.Mappings,
		"clock_skew_leeway": r.Leeway, "expiration_leeway": r.ExpiryLeeway, "not_before_leeway": r.NotBefore, "oidc_scopes": auth.Shown(r.Scopes),
		"allowed_redirect_uris": auth.Shown(r.RedirectURIs), "max_age": r.MaxAge, "verbose_oidc_logging": r.Verbose, "callback_mode": r.callbackMode(),
	}
	if r.Direct {
		data["poll_interval"] = int64(r.pollInterval() / time.Second)
	}
	r.Token.Show(data)
	return &engine.Response{Data: data}, nil
}

// writeRole makes a role, or changes what the caller gives of one.
func (m *Method) writeRole(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	name := req.Data.String("name")
	old, err := m.roles.Load(ctx, req, name)
	if err != nil {
		return nil, err
	}
	r := &role{Type: typeOIDC}
	if old != nil {
		*r = *old
	}
	if err := r.update(req.Data); err != nil {
		return nil, err
	}
	if err := m.roles.Put(req, name, r); err != nil {
		return nil, err
	}
	warnings := r.Token.Warnings(m.mount)
	if r.Verbose {
		warnings = append(warnings, "verbose_oidc_logging names received claims in the log at level debug. Their values, and tokens, are never logged.")
	}
	if warnings != nil {
		return &engine.Response{Warnings: warnings}, nil
	}
	return nil, nil
}

func (r *role) update(d engine.Data) error {
	for name, to := range map[string]*string{"role_type": &r.Type, "bound_subject": &r.Subject, "user_claim": &r.UserClaim, "groups_claim": &r.GroupsClaim} {
		if d.Has(name) {
			*to = d.String(name)
		}
	}
	for name, to := range map[string]*[]string{"bound_audiences": &r.Audiences, "oidc_scopes": &r.Scopes, "allowed_redirect_uris": &r.RedirectURIs} {
		if d.Has(name) {
			*to = d.Strings(name)
		}
	}
	for name, to := range map[string]*int64{"clock_skew_leeway": &r.Leeway, "expiration_leeway": &r.ExpiryLeeway, "not_before_leeway": &r.NotBefore} {
		if d.Has(name) {
			n, err := parseLeeway(d.Raw(name))
			if err != nil {
				return engine.Invalidf("%s: %v", name, err)
			}
			*to = n
		}
	}
	for name, to := range map[string]*bool{"user_claim_json_pointer": &r.UserPointer, "verbose_oidc_logging": &r.Verbose} {
		if d.Has(name) {
			*to = d.Bool(name)
		}
	}
	if d.Has("max_age") {
		r.MaxAge = int64(d.Duration("max_age") / time.Second)
	}
	if d.Has("callback_mode") {
		mode := d.String("callback_mode")
		if mode != "" && mode != "client" && mode != "direct" {
			return engine.Invalidf("invalid 'callback_mode': %q; it must be \"client\" or \"direct\"", mode)
		}
		r.Direct = mode == "direct"
	}
	if d.Has("poll_interval") {
		r.PollInterval = int64(max(d.Duration("poll_interval"), 0) / time.Second)
	}
	if d.Has("claim_mappings") {
		r.Mappings = d.Map("claim_mappings")
	}
	if d.Has("bound_claims") {
		var err error
		if r.Claims, err = parseBoundClaims(d.Raw("bound_claims")); err != nil {
			return err
		}
	}
	if d.Has("bound_claims_type") {
		kind := d.String("bound_claims_type")
		if kind != "string" && kind != "glob" && kind != "" {
			return engine.Invalidf("invalid 'bound_claims_type': %q; it must be \"string\" or \"glob\"", kind)
		}
		r.ClaimsGlob = kind == "glob"
	}
	if err := r.Token.Update(d); err != nil {
		return err
	}
	return r.validate()
}

func (r *role) validate() error {
	switch {
	case r.Type != typeJWT && r.Type != typeOIDC:
		return engine.Invalidf("invalid 'role_type': %q; it must be \"oidc\" or \"jwt\"", r.Type)
	case r.UserClaim == "":
		return engine.Invalidf("a user claim must be defined on the role: set user_claim, such as \"sub\"")
	case r.Type == typeOIDC && len(r.RedirectURIs) == 0:
		return engine.Invalidf("'allowed_redirect_uris' must be set if role_type is 'oidc' or unspecified; for logins with a token, set role_type=jwt")
	case r.Type == typeJWT && len(r.Audiences) == 0 && r.Subject == "" && len(r.Claims) == 0 && len(r.Token.BoundCIDRs) == 0:
		return engine.Invalidf("must have at least one bound constraint when creating/updating a role: bound_audiences, bound_subject, bound_claims or token_bound_cidrs")
	}
	taken := map[string]bool{"role": true}
	for claim, name := range r.Mappings {
		if name == "" || taken[name] {
			return engine.Invalidf("claim_mappings: the metadata of %q is called %q, which is empty or taken; give each claim a name of its own", claim, name)
		}
		taken[name] = true
	}
	for _, u := range r.RedirectURIs {
		if p, err := url.Parse(u); err != nil || p.Scheme == "" || p.Fragment != "" {
			return engine.Invalidf("allowed_redirect_uris: %q is no URL", u)
		}
	}
	return nil
}

// redirects says whether the provider may send the browser to uri. Of a URI on
// the user's own machine the port is not compared: a command line listens where
// it can (RFC 8252, section 7.3).
func (r *role) redirects(uri string) bool {
	if slices.Contains(r.RedirectURIs, uri) {
		return true
	}
	u, err := url.Parse(uri)
	if err != nil || !loopback(u) {
		return false
	}
	return slices.ContainsFunc(r.RedirectURIs, func(text string) bool {
		a, err := url.Parse(text)
		return err == nil && loopback(a) && a.Scheme == u.Scheme && a.Hostname() == u.Hostname() && a.EscapedPath() == u.EscapedPath() && a.RawQuery == u.RawQuery
	})
}

func loopback(u *url.URL) bool {
	return u.User == nil && u.Fragment == "" && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
}

// parseLeeway reads a duration in seconds or as text; anything below 0 is -1.
func parseLeeway(raw json.RawMessage) (int64, error) {
	text := strings.Trim(string(raw), `" `)
	if strings.HasPrefix(text, "-") {
		if _, err := engine.ParseDuration(text[1:]); err != nil {
			return 0, err
		}
		return -1, nil
	}
	d, err := engine.ParseDuration(text)
	return int64(d / time.Second), err
}

// parseBoundClaims reads an object of values or of lists of them.
func parseBoundClaims(raw json.RawMessage) (map[string][]string, error) {
	claims, err := decodeObject(raw)
	if err != nil {
		return nil, engine.Invalidf("bound_claims must be a JSON object")
	}
	out := map[string][]string{}
	for name, v := range claims {
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		for _, item := range list {
			text, ok := scalar(item)
			if !ok {
				return nil, engine.Invalidf("bound_claims: %q must be a string, a number, a boolean, or a list of them", name)
			}
			out[name] = append(out[name], text)
		}
		if len(out[name]) == 0 {
			return nil, engine.Invalidf("bound_claims: %q lists no value, so no token could have one", name)
		}
	}
	return out, nil
}
