package active_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/engine"
	"strongroom/internal/gateway"
)

// grant is a token with one policy of these rules.
func (s *server) grant(name, rules string) string {
	s.t.Helper()
	s.must(s.root, engine.Update, "sys/policy/"+name, `{"policy":`+quote(rules)+`}`)
	return s.must(s.root, engine.Update, "auth/token/create", `{"policies":["`+name+`"]}`).Auth.ClientToken
}

func quote(text string) string {
	return `"` + strings.NewReplacer(`"`, `\"`, "\n", `\n`).Replace(text) + `"`
}

// A rule holds for every spelling that the handler takes for the same thing.
func TestLessonRulesHoldForEverySpelling(t *testing.T) {
	s := start(t)
	s.prepare()
	tok := s.grant("some", `
path "sys/policy/*"        { capabilities = ["create", "read", "update", "delete"] }
path "sys/policy/reader"   { capabilities = ["deny"] }
path "sys/mounts/*"        { capabilities = ["create", "read", "update", "delete"] }
path "sys/mounts/secret"   { capabilities = ["deny"] }
path "sys/mounts/+/tune"   { capabilities = ["read"] }
path "sys/auth/*"          { capabilities = ["create", "read", "update", "delete"] }`)
	s.must(tok, engine.Read, "sys/policy/DEFAULT", "")
	s.fails(engine.Denied, "permission denied", tok, engine.Read, "sys/policy/reader", "")
	s.fails(engine.Denied, "permission denied", tok, engine.Read, "sys/policy/READER", "")
	s.fails(engine.Denied, "permission denied", tok, engine.Delete, "sys/policy/Reader", "")
	s.fails(engine.Denied, "permission denied", tok, engine.Delete, "sys/mounts/secret", "")
	s.fails(engine.Denied, "permission denied", tok, engine.Delete, "sys/mounts/secret/", "")
	s.fails(engine.Denied, "permission denied", tok, engine.Update, "sys/mounts/secret/tune/", `{"description":"mine"}`)

	// Auth methods are for those with sudo, and only at sys/auth; tuning is Vault's exception.
	s.fails(engine.Denied, "permission denied", tok, engine.Delete, "sys/auth/login", "")
	s.fails(engine.Denied, "permission denied", tok, engine.Update, "sys/auth/more", `{"type":"login"}`)
	s.fails(engine.Invalid, "sys/auth/", tok, engine.Delete, "sys/mounts/auth/login", "")
	s.fails(engine.Invalid, "sys/auth/", tok, engine.Update, "sys/mounts/auth/more", `{"type":"login"}`)
	s.must(tok, engine.Update, "sys/mounts/auth/login/tune", `{"description":"d"}`)
	s.must(s.root, engine.Delete, "sys/auth/login/", "")

	// What a later release serves, or every token's default policy grants, is nobody's to take.
	for _, path := range []string{"cubbyhole", "identity/x", "audit", "sys/x"} {
		s.fails(engine.Invalid, "the server's own", s.root, engine.Update, "sys/mounts/"+path, `{"type":"kv"}`)
	}
	s.fails(engine.Invalid, "cannot downgrade", s.root, engine.Update, "sys/mounts/secret/tune", `{"options":{"version":""}}`)
}

// Parameter rules see all that a handler gets, and a write takes nothing from the URL.
func TestLessonRulesSeeEveryParameter(t *testing.T) {
	s := start(t)
	s.prepare()
	s.must(s.root, engine.Update, "secret/data/app/db", `{"data":{"k":"w"}}`)
	tok := s.grant("some", `
path "auth/token/create" {
  capabilities      = ["create", "update", "sudo"]
  denied_parameters = { "policies" = ["reader"], "ttl" = [] }
}
path "secret/data/app/db" {
  capabilities      = ["read"]
  denied_parameters = { "version" = [] }
}`)
	ask := func(op engine.Operation, path, body string, query map[string][]string) (*gateway.Response, error) {
		return s.serve(t.Context(), &gateway.Request{ID: "id", Operation: op, Path: path, Token: tok, Body: []byte(body), Query: query, Remote: netip.MustParseAddrPort("10.0.0.1:1")})
	}
	s.fails(engine.Denied, "permission denied", tok, engine.Update, "auth/token/create", `{"policies":["reader"]}`)
	resp, err := ask(engine.Update, "auth/token/create", `{"policies":["default"]}`, map[string][]string{"policies": {"reader"}, "ttl": {"1h"}})
	if err != nil || slices.Contains(resp.Auth.Token.Policies, "reader") || resp.Auth.LeaseDuration == time.Hour {
		t.Errorf("a write takes parameters from the query: %+v, %v", resp, err)
	}
	if _, err := ask(engine.Read, "secret/data/app/db", "", nil); err != nil {
		t.Error(err)
	}
	if resp, err := ask(engine.Read, "secret/data/app/db", "", map[string][]string{"version": {"1"}}); engine.KindOf(err) != engine.Denied {
		t.Errorf("a denied parameter in the query passes: %+v, %v", resp, err)
	}
}

// What a token makes has nothing that the token lacks, and ends with the auth method that gave it.
func TestChildren(t *testing.T) {
	s := start(t)
	s.prepare()
	s.must(s.root, engine.Update, "sys/policy/maker", `{"policy":`+quote(`path "auth/token/create" { capabilities = ["update"] }`)+`}`)
	bare := s.must(s.root, engine.Update, "auth/token/create", `{"policies":["maker"],"no_default_policy":true}`).Auth.ClientToken
	for _, body := range []string{`{}`, `{"policies":["maker"]}`} {
		if got := s.must(bare, engine.Update, "auth/token/create", body).Auth.Token.Policies; !slices.Equal(got, []string{"maker"}) {
			t.Errorf("%s by a token without the default policy gives %v", body, got)
		}
	}
	s.fails(engine.Invalid, "child policies must be subset", bare, engine.Update, "auth/token/create", `{"policies":["default"]}`)

	tok, _ := s.login(`{"policies":["maker","reader"]}`)
	child := s.must(tok, engine.Update, "auth/token/create", `{}`).Auth.ClientToken
	grandchild := s.must(child, engine.Update, "auth/token/create", `{}`).Auth.ClientToken
	s.must(grandchild, engine.Read, "secret/data/app/db", "")
	s.must(s.root, engine.Delete, "sys/auth/login", "")
	for _, raw := range []string{tok, child, grandchild} {
		s.fails(engine.Denied, "invalid token", raw, engine.Read, "secret/data/app/db", "")
	}

	// The longest renewal there is does not end a token.
	long := s.must(s.root, engine.Update, "auth/token/create", `{"policies":["reader"],"explicit_max_ttl":"9223372036s"}`).Auth.ClientToken
	if got := s.must(long, engine.Update, "auth/token/renew-self", `{"increment":"9223372036s"}`).Auth.LeaseDuration; got < 767*time.Hour {
		t.Errorf("renewed for %v", got)
	}
	s.must(long, engine.Read, "secret/data/app/db", "")
}

// Whoever shows no token gets no more of the server's memory than a login needs.
func TestLessonPublicBodiesAreBounded(t *testing.T) {
	s := start(t)
	s.prepare()
	body := `{"policies":"reader","x":"` + strings.Repeat("x", 1<<20) + `"}`
	s.fails(engine.TooLarge, "without a token", "", engine.Update, "auth/login/login", body)
}

// Every request looks at all ancestors of its token, so there are not too many.
func TestLessonTokenDepthIsBounded(t *testing.T) {
	s := start(t)
	tok := s.root
	for i := 0; ; i++ {
		resp, err := s.do(tok, engine.Update, "auth/token/create", `{"policies":["root"]}`)
		if err != nil {
			if i != 64 || !strings.Contains(err.Error(), "ancestors") {
				t.Errorf("after %d generations: %v", i, err)
			}
			return
		}
		tok = resp.Auth.ClientToken
	}
}
