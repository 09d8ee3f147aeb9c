package jwt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"strongroom/engine"
)

func TestConfig(t *testing.T) {
	f, key := mount(t), newSigner(t, "k")
	p := startProvider(t, key)
	for _, c := range []struct {
		body object
		want string
	}{
		{object{}, "exactly one of"},
		{object{"jwks_url": "https://x", "jwt_validation_pubkeys": key.pem(t)}, "exactly one of"},
		{object{"jwks_url": "https://x", "jwks_pairs": []object{{"jwks_url": "https://y"}}}, "cannot be used with"},
		{object{"jwks_url": "ftp://x"}, "jwks_url must be a URL"},
		{object{"jwks_url": "https://user:pw@x"}, "jwks_url must be a URL"},
		{object{"jwks_url": "https://x", "jwks_ca_pem": "text"}, "holds no PEM"},
		{object{"jwks_pairs": "text"}, "jwks_pairs must be"},
		{object{"jwt_validation_pubkeys": "text"}, "not one PEM block"},
		{object{"jwt_validation_pubkeys": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}, "a PEM public key is needed"},
		{object{"jwt_validation_pubkeys": key.pem(t), "jwt_supported_algs": "HS256"}, "unsupported signing algorithm"},
		{object{"jwt_validation_pubkeys": key.pem(t), "jwt_supported_algs": "none"}, "unsupported signing algorithm"},
		{object{"jwt_validation_pubkeys": key.pem(t), "oidc_client_id": "x"}, "needs 'oidc_discovery_url'"},
		{object{"oidc_discovery_url": p.URL, "oidc_client_secret": "x"}, "'oidc_client_id' must be set"},
		{object{"oidc_discovery_url": p.URL}, "error checking oidc discovery URL"}, // its CA is not known
		{object{"oidc_discovery_url": p.URL + "/elsewhere", "oidc_discovery_ca_pem": p.ca}, "status 404"},
		{object{"jwks_url": p.URL + "/moved", "jwks_ca_pem": p.ca}, "status 302"},
		{object{"jwks_url": p.URL, "jwks_ca_pem": p.ca, "provider_config": object{"provider": "azure"}}, "provider_config is not supported"},
		{object{"jwks_url": p.URL, "oidc_response_mode": "form_post"}, "oidc_response_mode"},
		{object{"jwks_url": p.URL, "oidc_response_types": "id_token"}, "oidc_response_types"},
	} {
		if _, err := f.Do(engine.Update, "config", c.body); err == nil || engine.KindOf(err) != engine.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.want, err)
		}
	}
	if _, err := f.Do(engine.Read, "config", nil); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("no configuration: %v", err)
	}
	f.must(engine.Update, "config", object{"oidc_discovery_url": p.URL, "oidc_discovery_ca_pem": p.ca, "oidc_client_id": "id", "oidc_client_secret": "hidden", "default_role": "R"})
	got := f.must(engine.Read, "config", nil)
	if got["oidc_discovery_url"] != p.URL || got["oidc_client_id"] != "id" || got["default_role"] != "r" || strings.Contains(fmt.Sprint(got), "hidden") {
		t.Errorf("%v", got)
	}
	if text := fmt.Sprintf("%v %+v", config{ClientSecret: "hidden"}, &config{ClientSecret: "hidden"}); strings.Contains(text, "hidden") {
		t.Errorf("a configuration prints its secret: %s", text)
	}
}

func TestRole(t *testing.T) {
	f := mount(t)
	f.must(engine.Create, "role/Dev", object{
		"role_type": "jwt", "user_claim": "sub", "bound_audiences": "a,b", "bound_claims": object{"x": []string{"1", "2"}, "n": 3}, "claim_mappings": object{"c": "m"},
		"clock_skew_leeway": "-1", "expiration_leeway": 10, "policies": "p",
	})
	got := f.must(engine.Read, "role/dev", nil)
	for name, want := range map[string]any{
		"role_type": "jwt", "user_claim": "sub", "bound_audiences": []string{"a", "b"}, "bound_claims": object{"x": []string{"1", "2"}, "n": "3"},
		"claim_mappings": map[string]string{"c": "m"}, "clock_skew_leeway": int64(-1), "expiration_leeway": int64(10), "not_before_leeway": int64(0), "policies": []string{"p"},
		"bound_claims_type": "string",
	} {
		if !reflect.DeepEqual(got[name], want) {
			t.Errorf("%s: %#v, want %#v", name, got[name], want)
		}
	}
	for _, c := range []struct {
		body object
		want string
	}{
		{object{"role_type": "saml", "user_claim": "sub"}, "invalid 'role_type'"},
		{object{"role_type": "jwt", "bound_subject": "x"}, "user claim must be defined"},
		{object{"user_claim": "sub"}, "'allowed_redirect_uris' must be set"},
		{object{"role_type": "jwt", "user_claim": "sub"}, "at least one bound constraint"},
		{object{"role_type": "jwt", "user_claim": "sub", "bound_claims": object{"a": object{}}}, "must be a string"},
		{object{"role_type": "jwt", "user_claim": "sub", "bound_claims": object{"a": []string{}}}, "lists no value"},
		{object{"role_type": "jwt", "user_claim": "sub", "bound_subject": "x", "bound_claims_type": "regexp"}, "invalid 'bound_claims_type'"},
		{object{"role_type": "jwt", "user_claim": "sub", "bound_subject": "x", "claim_mappings": object{"a": "x", "b": "x"}}, "claim_mappings"},
		{object{"role_type": "jwt", "user_claim": "sub", "bound_subject": "x", "claim_mappings": object{"a": "role"}}, "claim_mappings"},
		{object{"role_type": "jwt", "user_claim": "sub", "bound_subject": "x", "clock_skew_leeway": "soon"}, "clock_skew_leeway"},
		{object{"user_claim": "sub", "allowed_redirect_uris": "nowhere"}, "is no URL"},
	} {
		if _, err := f.Do(engine.Create, "role/bad", c.body); err == nil || engine.KindOf(err) != engine.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.want, err)
		}
	}
	if got := f.must(engine.List, "role", nil)["keys"]; !reflect.DeepEqual(got, []string{"dev"}) {
		t.Errorf("list: %v", got)
	}
	f.must(engine.Delete, "role/dev", nil)
}

func TestLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, key := mount(t), newSigner(t, "k")
		f.must(engine.Update, "config", object{"jwt_validation_pubkeys": key.pem(t), "bound_issuer": "iss", "default_role": "dev"})
		now := time.Now().Unix()
		base := object{"iss": "iss", "sub": "ada", "aud": []string{"x", "vault"}, "exp": now + 60, "org": object{"team": "ops", "groups": []string{"g1", "g2"}}, "n": 12345678901234567, "ok": true}
		roleOf := object{"role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault", "token_policies": "p", "groups_claim": "/org/groups",
			"claim_mappings": object{"/org/team": "team", "n": "number", "absent": "absent"}, "token_bound_cidrs": "192.0.2.0/24"}
		f.must(engine.Create, "role/dev", roleOf)
		g, err := f.login("", key.sign(t, base))
		if err != nil {
			t.Fatal(err)
		}
		want := &engine.Grant{Policies: []string{"p"}, Type: "default", BoundCIDRs: []string{"192.0.2.0/24"}, Alias: "ada", DisplayName: "ada", Role: "dev", Groups: []string{"g1", "g2"},
			Metadata: map[string]string{"role": "dev", "team": "ops", "number": "12345678901234567"}}
		if !reflect.DeepEqual(g, want) {
			t.Errorf("got %+v\nwant %+v", g, want)
		}
		for _, c := range []struct {
			what       string
			role, edit object
			want       string // nothing: logs in
		}{
			{"other issuer", nil, object{"iss": "x"}, "invalid issuer"},
			{"other audience", nil, object{"aud": "x"}, "does not match any bound audience"},
			{"no audience", nil, object{"aud": nil}, "does not match any bound audience"},
			{"audience unbound", object{"bound_audiences": "", "bound_subject": "ada"}, nil, "no audiences bound"},
			{"subject", object{"bound_subject": "bob"}, nil, "invalid subject"},
			{"user missing", object{"user_claim": "name"}, nil, "user_claim"},
			{"user not text", object{"user_claim": "n"}, nil, "user_claim"},
			{"user empty", nil, object{"sub": ""}, "user_claim"},
			{"user by pointer", object{"user_claim": "/org/team", "user_claim_json_pointer": true}, nil, ""},
			{"user by no pointer", object{"user_claim": "/org/team"}, nil, "user_claim"},
			{"groups missing", object{"groups_claim": "g"}, nil, "groups_claim"},
			{"groups not texts", object{"groups_claim": "org"}, nil, "groups_claim"},
			{"one group", object{"groups_claim": "sub"}, nil, ""},
			{"mapping of an object", object{"claim_mappings": object{"org": "o"}}, nil, "claim_mappings"},
			{"bound claims", object{"bound_claims": object{"/org/team": []string{"dev", "ops"}, "n": 12345678901234567, "ok": true, "/org/groups/1": "g2", "/org/groups": "g1"}}, nil, ""},
			{"bound claim differs", object{"bound_claims": object{"/org/team": "op*"}}, nil, "does not match any associated"},
			{"bound claim as glob", object{"bound_claims": object{"/org/team": "op*"}, "bound_claims_type": "glob"}, nil, ""},
			{"bound claim missing", object{"bound_claims": object{"absent": "*"}, "bound_claims_type": "glob"}, nil, "missing"},
			{"digits count", object{"bound_claims": object{"n": 12345678901234568}}, nil, "does not match any associated"},
			{"expired", nil, object{"exp": now - 61}, "token is expired"},
			{"expired within the skew", nil, object{"exp": now - 59}, ""},
			{"expired without skew", object{"clock_skew_leeway": -1}, object{"exp": now - 1}, "token is expired"},
			{"not yet", nil, object{"nbf": now + 61}, "not yet valid"},
			{"from the future", nil, object{"iat": now + 61, "nbf": now}, "issued in the future"},
			{"no times", nil, object{"exp": nil}, "one of them is needed"},
			{"issue alone, young", nil, object{"exp": nil, "iat": now - 200}, ""}, // 150 s and the skew of 60
			{"issue alone, old", nil, object{"exp": nil, "iat": now - 211}, "token is expired"},
			{"issue alone, no leeway", object{"expiration_leeway": -1}, object{"exp": nil, "iat": now - 61}, "token is expired"},
			{"time as text", nil, object{"exp": "soon"}, "is not a time"},
		} {
			f.must(engine.Delete, "role/dev", nil)
			role, claims := maps.Clone(roleOf), maps.Clone(base)
			maps.Copy(role, c.role)
			for name, v := range c.edit {
				if claims[name] = v; v == nil {
					delete(claims, name)
				}
			}
			f.must(engine.Create, "role/dev", role)
			if _, err := f.login("dev", key.sign(t, claims)); (c.want == "") != (err == nil) || c.want != "" && (!strings.Contains(err.Error(), c.want) || engine.KindOf(err) != engine.Invalid) {
				t.Errorf("%s: %v, want %q", c.what, err, c.want)
			}
		}
		f.remote = "203.0.113.1:1"
		if _, err := f.login("dev", key.sign(t, base)); !errors.Is(err, engine.ErrDenied) {
			t.Errorf("from elsewhere: %v", err)
		}
		f.remote = "192.0.2.1:1"
		for token, want := range map[string]string{"": "missing token", "text": "malformed", strings.Repeat("x", maxJWT+1): "larger than"} {
			if _, err := f.login("dev", token); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%.10s: %v", token, err)
			}
		}
		if _, err := f.login("none", "x"); err == nil || !strings.Contains(err.Error(), `role "none" could not be found`) {
			t.Errorf("%v", err)
		}
		if _, err := mount(t).login("dev", "x"); err == nil || !strings.Contains(err.Error(), "write auth/jwt/config first") {
			t.Errorf("%v", err)
		}
	})
}

// Lesson: a token counts by the signature of a known key alone: not without one,
// not with a public key taken as a shared secret, not with another's key.
func TestLessonSignaturesOfTheKeysOwnKind(t *testing.T) {
	f, key := mount(t), newSigner(t, "k")
	f.must(engine.Update, "config", object{"jwt_validation_pubkeys": key.pem(t)})
	f.must(engine.Create, "role/dev", object{"role_type": "jwt", "user_claim": "sub", "bound_subject": "ada"})
	claims := object{"sub": "ada", "exp": time.Now().Add(time.Minute).Unix()}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	good := key.sign(t, claims)
	if _, err := f.login("dev", good); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	for what, token := range map[string]string{
		"none":          "eyJhbGciOiJub25lIn0." + parts[1] + ".",
		"shared secret": signWith(t, jose.SigningKey{Algorithm: jose.HS256, Key: []byte(key.pem(t))}, payload),
		"another's key": newSigner(t, "k").sign(t, claims),
		"no signature":  parts[0] + "." + parts[1] + ".",
		"other claims":  parts[0] + "." + strings.Split(key.sign(t, object{"sub": "bob"}), ".")[1] + "." + parts[2],
	} {
		_, err := f.login("dev", token)
		if err == nil || engine.KindOf(err) != engine.Invalid || strings.Contains(err.Error(), parts[1]) {
			t.Errorf("%s: %v", what, err)
		}
	}
	f.must(engine.Update, "config", object{"jwt_validation_pubkeys": key.pem(t), "jwt_supported_algs": "RS256"})
	if _, err := f.login("dev", good); err == nil {
		t.Error("an algorithm that is not configured counts")
	}
}

// Keys are fetched once, and again when a token names one that is not known, but not more often than the pause allows.
func TestJWKS(t *testing.T) {
	first, second := newSigner(t, "1"), newSigner(t, "2")
	p := startProvider(t, first)
	f := mount(t)
	f.must(engine.Update, "config", object{"jwks_pairs": []object{{"jwks_url": p.URL + "/keys", "jwks_ca_pem": p.ca}}})
	f.must(engine.Create, "role/dev", object{"role_type": "jwt", "user_claim": "sub", "bound_subject": "ada"})
	claims := object{"sub": "ada", "exp": time.Now().Add(time.Minute).Unix()}
	for range 3 {
		if _, err := f.login("dev", first.sign(t, claims)); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		if _, err := f.login("dev", second.sign(t, claims)); err == nil {
			t.Fatal("an unknown key counts")
		}
	}
	if p.fetches > 2 {
		t.Errorf("%d fetches", p.fetches)
	}
	p.mu.Lock()
	p.keys = []signer{second}
	p.mu.Unlock()
	m := f.Engine.(*Method)
	m.remote.mu.Lock()
	for url, k := range m.remote.kept {
		k.at = k.at.Add(-pause)
		m.remote.kept[url] = k
	}
	m.remote.mu.Unlock()
	if _, err := f.login("dev", second.sign(t, claims)); err != nil {
		t.Errorf("after the keys have changed: %v", err)
	}
	if _, err := f.login("dev", first.sign(t, claims)); err == nil {
		t.Error("a key that was withdrawn counts")
	}
}

func TestRenew(t *testing.T) {
	f, key := mount(t), newSigner(t, "k")
	f.must(engine.Update, "config", object{"jwt_validation_pubkeys": key.pem(t)})
	f.must(engine.Create, "role/dev", object{"role_type": "jwt", "user_claim": "sub", "bound_subject": "ada", "token_ttl": "1h"})
	var now *engine.Grant
	renew := func(role string) (err error) {
		f.Before = func(r *engine.Request) {
			now, err = f.Engine.(engine.Renewer).Renew(t.Context(), r, &engine.Grant{Role: role})
		}
		f.must(engine.Read, "config", nil)
		return err
	}
	if err := renew("dev"); err != nil || now.TTL != time.Hour {
		t.Errorf("%+v, %v", now, err)
	}
	if err := renew("gone"); err == nil || !strings.Contains(err.Error(), "does not exist during renewal") {
		t.Error(err)
	}
}

func FuzzClaims(f *testing.F) {
	f.Add([]byte(`{"a":{"b":["c"]},"exp":1e9}`), "/a/b/0")
	f.Add([]byte(`{"~":1,"/":2}`), "/~0")
	f.Add([]byte(`null`), "/")
	f.Fuzz(func(t *testing.T, body []byte, name string) {
		c, err := decodeObject(body)
		if err != nil {
			return
		}
		v, ok := claims(c).get(name)
		if !ok && v != nil {
			t.Errorf("%q: %v", name, v)
		}
		claims(c).texts(name)
		r := &role{Type: typeJWT, UserClaim: name, UserPointer: true, GroupsClaim: name, Audiences: []string{"x"}, Claims: map[string][]string{name: {"*"}}}
		if err := r.checkTimes(c, time.Unix(1e9, 0)); err != nil && bytes.Contains(body, []byte(err.Error())) {
			t.Error("the error repeats its input")
		}
		_ = r.bind(c)
		if g, err := r.grant("r", c); err == nil && g.Alias == "" {
			t.Errorf("%q: a login without a name", body)
		}
		if bound, err := parseBoundClaims(body); err == nil {
			for name, values := range bound {
				if len(values) == 0 {
					t.Errorf("%q: no value for %q", body, name)
				}
			}
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`), "eyJhbGciOiJub25lIn0.e30.")
	f.Add([]byte(`{"keys":null}`), "..")
	f.Fuzz(func(t *testing.T, body []byte, token string) {
		if set, err := parseKeySet(body); err == nil {
			for _, k := range candidates(set, "") {
				if _, secret := k.([]byte); secret {
					t.Errorf("%q gives a shared secret", body)
				}
			}
		}
		if parsed, err := parse(token, algorithms()); err == nil && len(parsed.Signatures) != 1 {
			t.Errorf("%q has %d signatures", token, len(parsed.Signatures))
		}
	})
}
