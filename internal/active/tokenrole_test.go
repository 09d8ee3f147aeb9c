package active_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
)

// create makes a token at auth/token/PATH with token.
func (s *server) create(token, path, body string) (raw string, data map[string]any) {
	s.t.Helper()
	raw = s.must(token, engine.Update, "auth/token/"+path, body).Auth.ClientToken
	return raw, s.lookup(raw)
}

func (s *server) lookup(raw string) map[string]any {
	s.t.Helper()
	return data(s.t, s.must(s.root, engine.Update, "auth/token/lookup", `{"token":"`+raw+`"}`))
}

func TestTokenRoleAPI(t *testing.T) {
	s := start(t)
	s.fails(engine.NotFound, "", s.root, engine.List, "auth/token/roles", "")
	s.fails(engine.NotFound, "", s.root, engine.Read, "auth/token/roles/nomad", "")
	s.fails(engine.Invalid, "unknown role nomad", s.root, engine.Update, "auth/token/create/nomad", "")
	s.must(s.root, engine.Update, "auth/token/roles/nomad", `{"allowed_policies":"Dev,test","allowed_policies_glob":["app-*"],"disallowed_policies":"x",
		"disallowed_policies_glob":"y*","allowed_entity_aliases":["Web"],"orphan":true,"renewable":false,"path_suffix":"v1","token_bound_cidrs":"10.0.0.0/8",
		"explicit_max_ttl":"1h","period":"30m","token_num_uses":9,"token_no_default_policy":true,"token_type":"service"}`)
	want := map[string]any{"name": "nomad", "allowed_policies": "[dev test]", "allowed_policies_glob": "[app-*]", "disallowed_policies": "[x]", "disallowed_policies_glob": "[y*]",
		"allowed_entity_aliases": "[web]", "orphan": true, "renewable": false, "path_suffix": "v1", "token_bound_cidrs": "[10.0.0.0/8]", "explicit_max_ttl": 3600.0,
		"token_explicit_max_ttl": 3600.0, "period": 1800.0, "token_period": 1800.0, "token_num_uses": 9.0, "token_no_default_policy": true, "token_type": "service"}
	got := data(t, s.must(s.root, engine.Read, "auth/token/roles/nomad", ""))
	for name, v := range want {
		if fmt.Sprint(got[name]) != fmt.Sprint(v) {
			t.Errorf("%s is %v, want %v", name, got[name], v)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d fields, want %d: %v", len(got), len(want), got)
	}
	// What is not named stays; the new name counts before the old.
	s.must(s.root, engine.Update, "auth/token/roles/nomad", `{"token_period":60,"period":90}`)
	if got := data(t, s.must(s.root, engine.Read, "auth/token/roles/nomad", "")); got["period"] != 60.0 || got["path_suffix"] != "v1" {
		t.Errorf("updated to %v", got)
	}
	for body, text := range map[string]string{
		`{"token_type":"periodic"}`:                         "invalid 'token_type'",
		`{"token_type":"batch","token_period":"1h"}`:        "'token_period'",
		`{"token_type":"default-batch","token_num_uses":1}`: "'token_num_uses'",
		`{"token_num_uses":-1}`:                             "cannot be negative",
		`{"path_suffix":"a/b"}`:                             "path suffix",
		`{"token_bound_cidrs":["10.0.0.0/33"]}`:             "token_bound_cidrs",
	} {
		s.fails(engine.Invalid, text, s.root, engine.Update, "auth/token/roles/bad", body)
	}
	if got := data(t, s.must(s.root, engine.List, "auth/token/roles", "")); fmt.Sprint(got["keys"]) != "[nomad]" {
		t.Errorf("roles are %v", got)
	}
	s.must(s.root, engine.Delete, "auth/token/roles/nomad", "")
	s.fails(engine.NotFound, "", s.root, engine.Read, "auth/token/roles/nomad", "")
}

// A role gives what its maker lacks, and no more than it lists.
func TestTokenRolePolicies(t *testing.T) {
	s := start(t)
	maker := s.grant("maker", `path "auth/token/create/*" { capabilities = ["update"] }`)
	for _, c := range []struct{ role, asks, want string }{
		{`{"allowed_policies":"a,b"}`, `{}`, "[a b default]"},
		{`{"allowed_policies":"a,b"}`, `{"policies":"b"}`, "[b default]"},
		{`{"allowed_policies":"a,b"}`, `{"policies":"b","no_default_policy":true}`, "[b]"},
		{`{"allowed_policies":"a,b","token_no_default_policy":true}`, `{}`, "[a b]"},
		{`{"allowed_policies":"a,b","disallowed_policies":"default"}`, `{}`, "[a b]"},
		{`{"allowed_policies":"a,b","disallowed_policies_glob":"def*"}`, `{}`, "[a b]"},
		{`{"allowed_policies":"a"}`, `{"policies":"a,c"}`, "must be subset of the role's allowed policies"},
		{`{"allowed_policies":"a,b","disallowed_policies":"b"}`, `{"policies":"b"}`, `"b" is disallowed`},
		{`{"allowed_policies_glob":"app-*-read"}`, `{"policies":"app-x-y-read"}`, "[app-x-y-read default]"},
		{`{"allowed_policies_glob":"app-*-read"}`, `{"policies":"app-read"}`, "must be subset"},
		{`{"disallowed_policies_glob":"*secret*"}`, `{"policies":"topsecrets"}`, "is disallowed"},
		{`{"disallowed_policies":"x"}`, `{"policies":"y"}`, "child policies must be subset of parent"},
		{`{}`, `{}`, "[default maker]"},
		{`{"disallowed_policies":"maker"}`, `{}`, `"maker" is disallowed`},
		{`{"allowed_policies":"root"}`, `{}`, "root tokens may not be created"},
	} {
		s.must(s.root, engine.Delete, "auth/token/roles/r", "")
		s.must(s.root, engine.Update, "auth/token/roles/r", c.role)
		resp, err := s.do(maker, engine.Update, "auth/token/create/r", c.asks)
		switch {
		case err != nil && !strings.Contains(err.Error(), c.want):
			t.Errorf("%s %s: %v, want %s", c.role, c.asks, err, c.want)
		case err == nil && fmt.Sprint(resp.Auth.Token.Policies) != c.want:
			t.Errorf("%s %s gives %v, want %s", c.role, c.asks, resp.Auth.Token.Policies, c.want)
		}
	}
}

func TestTokenRoleShapes(t *testing.T) {
	s := start(t)
	maker := s.grant("maker", `path "auth/token/create/*" { capabilities = ["update"] }`)
	s.must(s.root, engine.Update, "auth/token/roles/r", `{"allowed_policies":"a","orphan":true,"renewable":false,"path_suffix":"v2","token_period":"1h",
		"token_explicit_max_ttl":"3h","token_num_uses":7,"token_bound_cidrs":"10.0.0.0/24"}`)
	_, got := s.create(maker, "create/r", `{"explicit_max_ttl":"2h","num_uses":9}`)
	for name, want := range map[string]any{"orphan": true, "renewable": false, "path": "auth/token/create/r/v2", "period": 3600.0, "creation_ttl": 3600.0,
		"explicit_max_ttl": 7200.0, "num_uses": 7.0, "bound_cidrs": []any{"10.0.0.0/24"}, "role": "r", "type": "service"} {
		if fmt.Sprint(got[name]) != fmt.Sprint(want) {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	s.fails(engine.Invalid, "to create periodic token", maker, engine.Update, "auth/token/create/r", `{"period":"1h"}`)
	s.fails(engine.Invalid, "to create orphan token", maker, engine.Update, "auth/token/create/r", `{"no_parent":true}`)
	s.fails(engine.Invalid, "invalid 'entity_alias' value", maker, engine.Update, "auth/token/create/r", `{"entity_alias":"web"}`)
	s.fails(engine.Invalid, "only allowed in combination with token role", s.root, engine.Update, "auth/token/create", `{"entity_alias":"web"}`)

	for _, c := range []struct{ role, asked, want string }{
		{"default-service", "", "service"}, {"default-service", "batch", "batch"}, {"default-batch", "", "batch"}, {"default-batch", "service", "service"},
		{"service", "batch", "service"}, {"batch", "service", "batch"},
	} {
		s.must(s.root, engine.Update, "auth/token/roles/t", `{"allowed_policies":"a","token_type":"`+c.role+`"}`)
		if _, got := s.create(maker, "create/t", `{"type":"`+c.asked+`"}`); got["type"] != c.want {
			t.Errorf("%s asked for %q gives %v", c.role, c.asked, got["type"])
		}
	}
	s.fails(engine.Invalid, "invalid 'type' value", maker, engine.Update, "auth/token/create/t", `{"type":"other"}`)
}

// A bound token cannot make itself a free one.
func TestChildrenInheritBoundCIDRs(t *testing.T) {
	s := start(t)
	s.prepare()
	s.must(s.root, engine.Update, "sys/policy/maker", `{"policy":`+quote(`path "auth/token/create*" { capabilities = ["update", "sudo"] }`)+`}`)
	bound, _ := s.login(`{"policies":"maker","cidrs":"10.0.0.0/16"}`)
	for _, body := range []string{`{}`, `{"no_parent":true}`, `{"type":"batch"}`} {
		if _, got := s.create(bound, "create", body); fmt.Sprint(got["bound_cidrs"]) != "[10.0.0.0/16]" {
			t.Errorf("%s: the child is bound to %v", body, got["bound_cidrs"])
		}
	}
}

// A batch token is not stored, costs no entry of the log, and ends with its
// parent, its time and its auth method.
func TestBatchTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		defer func() { s.s.Close() }()
		s.prepare()
		parent, _ := s.create(s.root, "create", `{"policies":["reader","default"]}`)
		batch, got := s.create(s.root, "create", `{"type":"batch","policies":"reader","ttl":"1m","meta":{"team":"x"}}`)
		for name, want := range map[string]any{"type": "batch", "accessor": "", "renewable": false, "orphan": false, "num_uses": 0.0, "ttl": 60.0, "id": batch,
			"meta": map[string]any{"team": "x"}, "path": "auth/token/create", "policies": "[default reader]"} {
			if fmt.Sprint(got[name]) != fmt.Sprint(want) {
				t.Errorf("%s is %v, want %v", name, got[name], want)
			}
		}
		if !strings.HasPrefix(batch, "hvb.") {
			t.Errorf("a batch token begins %.4s", batch)
		}
		before := slices.Collect(keysOf(t, s.store))
		s.must(batch, engine.Read, "secret/data/app/db", "")
		s.must("b."+strings.TrimPrefix(batch, "hvb."), engine.Read, "secret/data/app/db", "")
		s.must("s."+strings.TrimPrefix(parent, "hvs."), engine.Read, "secret/data/app/db", "")
		if after := slices.Collect(keysOf(t, s.store)); !slices.Equal(before, after) {
			t.Errorf("a batch token left something in storage")
		}
		s.fails(engine.Denied, "invalid token", batch[:len(batch)-1]+"_", engine.Read, "secret/data/app/db", "")
		s.fails(engine.Denied, "invalid token", "hvb.", engine.Read, "secret/data/app/db", "")
		s.fails(engine.Invalid, "cannot be renewed", batch, engine.Update, "auth/token/renew-self", "")
		s.fails(engine.Invalid, "cannot be revoked", batch, engine.Update, "auth/token/revoke-self", "")
		s.fails(engine.Invalid, "cannot be revoked", s.root, engine.Update, "auth/token/revoke-orphan", `{"token":"`+batch+`"}`)
		for _, body := range []string{`{"explicit_max_ttl":"1h"}`, `{"num_uses":1}`, `{"period":"1h"}`, `{"id":"x"}`} {
			s.fails(engine.Invalid, "batch tokens cannot have", s.root, engine.Update, "auth/token/create", `{"type":"batch","policies":"reader",`+body[1:])
		}
		s.fails(engine.Invalid, "cannot be root", s.root, engine.Update, "auth/token/create", `{"type":"batch"}`)
		maker, _ := s.create(s.root, "create", `{"type":"batch","policies":"sudo"}`)
		s.must(s.root, engine.Update, "sys/policy/sudo", `{"policy":`+quote(`path "auth/token/create*" { capabilities = ["update", "sudo"] }`)+`}`)
		s.fails(engine.Invalid, "cannot create more tokens", maker, engine.Update, "auth/token/create", "")
		s.fails(engine.Invalid, "cannot create more tokens", maker, engine.Update, "auth/token/create-orphan", "")

		time.Sleep(61 * time.Second)
		s.fails(engine.Denied, "invalid token", batch, engine.Read, "secret/data/app/db", "")

		mine, _ := s.create(s.root, "create", `{"policies":["sudo","reader"]}`)
		child, _ := s.create(mine, "create", `{"type":"batch","policies":"reader"}`)
		orphan, _ := s.create(mine, "create-orphan", `{"type":"batch","policies":"reader"}`)
		s.must(child, engine.Read, "secret/data/app/db", "")
		s.must(mine, engine.Update, "auth/token/revoke-self", "")
		s.fails(engine.Denied, "invalid token", child, engine.Read, "secret/data/app/db", "")
		s.must(orphan, engine.Read, "secret/data/app/db", "")
	})
}

// An auth method issues what it, or its mount, asks for.
func TestBatchLogins(t *testing.T) {
	s := start(t)
	s.prepare()
	for _, c := range []struct{ tuned, asked, want string }{
		{"", "", "service"}, {"", "default", "service"}, {"", "batch", "batch"}, {"default-batch", "", "batch"}, {"default-batch", "service", "service"},
		{"service", "batch", "service"}, {"batch", "service", "batch"},
	} {
		if c.tuned != "" {
			s.must(s.root, engine.Update, "sys/auth/login/tune", `{"token_type":"`+c.tuned+`"}`)
		}
		raw, resp := s.login(`{"policies":"reader","type":"` + c.asked + `"}`)
		if got := resp.Auth.Token.Kind(); got != c.want {
			t.Errorf("tuned to %q and asked for %q gives %s", c.tuned, c.asked, got)
		}
		s.must(raw, engine.Read, "secret/data/app/db", "")
	}
	_, err := s.do("", engine.Update, "auth/login/login", `{"num_uses":2}`)
	if engine.KindOf(err) != engine.Invalid {
		t.Errorf("a batch token with a number of uses: %v", err)
	}
	s.fails(engine.Invalid, "can only be modified on auth mounts", s.root, engine.Update, "sys/auth/token/tune", `{"token_type":"batch"}`)
	raw, _ := s.login(`{"policies":"reader"}`)
	s.must(s.root, engine.Delete, "sys/auth/login", "")
	s.fails(engine.Denied, "invalid token", raw, engine.Read, "secret/data/app/db", "")
}
