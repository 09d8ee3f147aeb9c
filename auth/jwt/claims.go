package jwt

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ryanuber/go-glob"

	"strongroom/engine"
)

// claims are what a token says, its signature checked. Numbers are json.Number.
type claims map[string]any

// decodeObject reads one JSON object, without loss of digits.
func decodeObject(b []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var out map[string]any
	if err := d.Decode(&out); err != nil || out == nil {
		return nil, errors.New("no JSON object")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one JSON value")
	}
	return out, nil
}

// scalar is the text of a string, number or boolean.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// get returns a claim, by name or, if it begins with a slash, by JSON pointer
// (RFC 6901).
func (c claims) get(name string) (any, bool) {
	if !strings.HasPrefix(name, "/") {
		v, ok := c[name]
		return v, ok
	}
	var at any = map[string]any(c)
	for part := range strings.SplitSeq(name[1:], "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch v := at.(type) {
		case map[string]any:
			next, ok := v[part]
			if !ok {
				return nil, false
			}
			at = next
		case []any:
			i, err := strconv.ParseUint(part, 10, 31)
			if err != nil || int(i) >= len(v) {
				return nil, false
			}
			at = v[i]
		default:
			return nil, false
		}
	}
	return at, true
}

// text is a claim that is a string; "" if it is not, or is not there.
func (c claims) text(name string) string {
	s, _ := c[name].(string)
	return s
}

// texts is a claim that is a string or a list of scalars.
func (c claims) texts(name string) []string {
	v, ok := c.get(name)
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []string
	for _, item := range list {
		if s, ok := scalar(item); ok {
			out = append(out, s)
		}
	}
	return out
}

// seconds is a claim that is a time; 0 if it is not there.
func (c claims) seconds(name string) (float64, error) {
	v, ok := c[name]
	if !ok || v == nil {
		return 0, nil
	}
	n, ok := v.(json.Number)
	if ok {
		if f, err := n.Float64(); err == nil && f >= 0 && f < 1<<53 {
			return f, nil
		}
	}
	return 0, denied("claim %q is not a time", name)
}

// denied refuses a token for what it says, without repeating it.
func denied(format string, args ...any) error {
	return engine.Invalidf("error validating token: "+format, args...)
}

// leeway is a role's leeway: 0 is standard, -1 none.
func leeway(seconds int64, standard float64) float64 {
	switch {
	case seconds < 0:
		return 0
	case seconds == 0:
		return standard
	}
	return float64(seconds)
}

// checkTimes demands that a token of a jwt role counts now. One without an
// expiry lives for the expiration leeway after its beginning or issue; see
// https://developer.hashicorp.com/vault/docs/auth/jwt.
func (r *role) checkTimes(c claims, now time.Time) error {
	var at [3]float64
	for i, name := range []string{"exp", "nbf", "iat"} {
		var err error
		if at[i], err = c.seconds(name); err != nil {
			return err
		}
	}
	exp, nbf, iat := at[0], at[1], at[2]
	if exp == 0 && nbf == 0 && iat == 0 {
		return denied("no issued at (iat), not before (nbf), or expiration time (exp) claims in token: one of them is needed")
	}
	if exp == 0 {
		exp = max(nbf, iat) + leeway(r.ExpiryLeeway, 150)
	}
	if nbf == 0 {
		if nbf = iat; iat == 0 {
			nbf = exp - leeway(r.NotBefore, 150)
		}
	}
	skew, t := leeway(r.Leeway, 60), float64(now.UnixNano())/1e9
	switch {
	case t-skew > exp:
		return denied("invalid expiration time (exp) claim: token is expired")
	case t+skew < nbf:
		return denied("invalid not before (nbf) claim: token not yet valid")
	case t+skew < iat:
		return denied("invalid issued at (iat) claim: token issued in the future")
	}
	return nil
}

// bind compares the claims with what the role demands of them.
func (r *role) bind(c claims) error {
	audiences := c.texts("aud")
	switch {
	case r.Type == typeJWT && len(audiences) > 0 && len(r.Audiences) == 0:
		return denied("invalid audience (aud) claim: audience claim found in JWT but no audiences bound to the role")
	case len(r.Audiences) > 0 && !slices.ContainsFunc(audiences, func(a string) bool { return slices.Contains(r.Audiences, a) }):
		return denied("invalid audience (aud) claim: audience claim does not match any bound audience")
	case r.Subject != "" && c.text("sub") != r.Subject:
		return denied("invalid subject (sub) claim: sub claim does not match bound subject")
	}
	for name, wanted := range r.Claims {
		if _, ok := c.get(name); !ok {
			return denied("claim %q is missing", name)
		}
		if !slices.ContainsFunc(c.texts(name), func(have string) bool {
			return slices.ContainsFunc(wanted, func(want string) bool { return have == want || r.ClaimsGlob && glob.Glob(want, have) })
		}) {
			return denied("claim %q does not match any associated bound claim values", name)
		}
	}
	return nil
}

// grant is the token for whoever the claims are of.
func (r *role) grant(name string, c claims) (*engine.Grant, error) {
	at := r.UserClaim
	if r.UserPointer && !strings.HasPrefix(at, "/") {
		at = "/" + at
	}
	var v any
	ok := false
	if r.UserPointer {
		v, ok = c.get(at)
	} else {
		v, ok = c[at] // as it stands, though it may begin with a slash
	}
	user, text := v.(string)
	if !ok || !text || user == "" {
		return nil, denied("claim %q, the role's user_claim, is missing or not a string", r.UserClaim)
	}
	g := r.Token.Grant()
	g.Role, g.Alias, g.DisplayName, g.Metadata = name, user, user, map[string]string{"role": name}
	for claim, as := range r.Mappings {
		v, ok := c.get(claim)
		if !ok {
			continue
		}
		if g.Metadata[as], ok = scalar(v); !ok {
			return nil, denied("claim %q of claim_mappings is not a string", claim)
		}
	}
	if r.GroupsClaim == "" {
		return g, nil
	}
	v, ok = c.get(r.GroupsClaim)
	if !ok {
		return nil, denied("claim %q, the role's groups_claim, is missing", r.GroupsClaim)
	}
	list, ok := v.([]any)
	if _, one := v.(string); one {
		list, ok = []any{v}, true
	}
	for _, item := range list {
		group, text := item.(string)
		ok = ok && text
		g.Groups = append(g.Groups, group)
	}
	if !ok {
		return nil, denied("claim %q, the role's groups_claim, is not a list of strings", r.GroupsClaim)
	}
	return g, nil
}
