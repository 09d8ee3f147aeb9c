package active_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
	"strongroom/internal/events"
	"strongroom/internal/gateway"
	"strongroom/internal/storage"
	"strongroom/internal/storage/storagetest"
)

// in is do with X-Vault-Namespace.
func (s *server) in(ns, token string, op engine.Operation, path, body string) (*gateway.Response, error) {
	s.t.Helper()
	return s.serve(s.t.Context(), &gateway.Request{ID: "id", Operation: op, Namespace: strings.Trim(ns, "/"), Path: path, Token: token, Body: []byte(body), Remote: netip.MustParseAddrPort("10.0.0.1:1")})
}

const adminRules = `path "*" { capabilities = ["create", "read", "update", "delete", "list", "patch", "sudo", "subscribe"]
 subscribe_event_types = ["*"] }`

// tenant is a namespace with one of everything that can be named.
type tenant struct {
	path, admin, id                   string // with a trailing slash; a token that may do everything there
	child, childAccessor, batch       string
	lease, entity, entityAlias, group string
	wrapped, login, accessorOfMount   string
}

// tenant makes the namespace at path and fills it.
func (s *server) tenant(path string) *tenant {
	s.t.Helper()
	n := &tenant{path: path}
	must := func(token string, op engine.Operation, p, body string) *gateway.Response {
		s.t.Helper()
		return s.must(token, op, path+p, body)
	}
	parent, name := "", strings.TrimSuffix(path, "/")
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		parent, name = name[:i+1], name[i+1:]
	}
	n.id = data(s.t, s.must(s.root, engine.Update, parent+"sys/namespaces/"+name, ""))["id"].(string)
	must(s.root, engine.Update, "sys/policies/acl/admin", `{"policy":`+quote(adminRules)+`}`)
	n.admin = must(s.root, engine.Update, "auth/token/create", `{"policies":"admin","no_parent":true}`).Auth.ClientToken
	must(n.admin, engine.Update, "sys/mounts/secret", `{"type":"kv","options":{"version":"2"}}`)
	must(n.admin, engine.Update, "sys/mounts/db", `{"type":"lender"}`)
	must(n.admin, engine.Update, "sys/auth/login", `{"type":"login"}`)
	must(n.admin, engine.Update, "secret/data/app", `{"data":{"k":"`+path+`"}}`)
	must(n.admin, engine.Update, "cubbyhole/mine", `{"k":"v"}`)
	child := must(n.admin, engine.Update, "auth/token/create", `{"policies":"admin"}`).Auth
	n.child, n.childAccessor = child.ClientToken, child.Token.Accessor
	n.batch = must(n.admin, engine.Update, "auth/token/create", `{"policies":"admin","type":"batch"}`).Auth.ClientToken
	n.login = must("", engine.Update, "auth/login/login", `{"policies":"admin"}`).Auth.ClientToken
	n.lease = must(n.child, engine.Update, "db/creds/app", `{}`).LeaseID
	n.entity = data(s.t, must(n.admin, engine.Update, "identity/entity", `{"name":"e"}`))["id"].(string)
	n.group = data(s.t, must(n.admin, engine.Update, "identity/group", `{"name":"g","member_entity_ids":["`+n.entity+`"]}`))["id"].(string)
	mounts := data(s.t, must(n.admin, engine.Read, "sys/auth", ""))
	n.accessorOfMount = mounts["login/"].(map[string]any)["accessor"].(string)
	n.entityAlias = data(s.t, must(n.admin, engine.Update, "identity/entity-alias", `{"name":"me","canonical_id":"`+n.entity+`","mount_accessor":"`+n.accessorOfMount+`"}`))["id"].(string)
	must(n.admin, engine.Update, "auth/token/roles/r", `{"allowed_policies":"admin"}`)
	must(n.admin, engine.Update, "sys/policies/password/p", `{"policy":"length=20\nrule \"charset\" { charset = \"abcdefghij\" }"}`)
	n.wrapped = s.wrap(n.admin, engine.Read, path+"secret/data/app", "")
	return n
}

// named are requests that name something of n by accessor, id, token or name, none of which goes by the namespace that
// the request is in: with what a namespace of its own answers to all of them.
func (n *tenant) named() map[string]struct {
	op         engine.Operation
	path, body string
} {
	type ask = struct {
		op         engine.Operation
		path, body string
	}
	tok, acc := func(raw string) string { return `{"token":"` + raw + `"}` }, `{"accessor":"`+n.childAccessor+`"}`
	lease := `{"lease_id":"` + n.lease + `"}`
	return map[string]ask{
		"lookup":                {engine.Update, "auth/token/lookup", tok(n.child)},
		"lookup of a batch one": {engine.Update, "auth/token/lookup", tok(n.batch)},
		"lookup-accessor":       {engine.Update, "auth/token/lookup-accessor", acc},
		"renew":                 {engine.Update, "auth/token/renew", tok(n.child)},
		"renew-accessor":        {engine.Update, "auth/token/renew-accessor", acc},
		"revoke-accessor":       {engine.Update, "auth/token/revoke-accessor", acc},
		"revoke-orphan":         {engine.Update, "auth/token/revoke-orphan", tok(n.child)},
		"capabilities":          {engine.Update, "sys/capabilities", `{"paths":"secret/data/app","token":"` + n.child + `"}`},
		"capabilities-accessor": {engine.Update, "sys/capabilities-accessor", `{"paths":"secret/data/app","accessor":"` + n.childAccessor + `"}`},
		"lease lookup":          {engine.Update, "sys/leases/lookup", lease},
		"lease renew":           {engine.Update, "sys/leases/renew", lease},
		"unwrap":                {engine.Update, "sys/wrapping/unwrap", tok(n.wrapped)},
		"rewrap":                {engine.Update, "sys/wrapping/rewrap", tok(n.wrapped)},
		"wrapping lookup":       {engine.Update, "sys/wrapping/lookup", tok(n.wrapped)},
		"entity":                {engine.Read, "identity/entity/id/" + n.entity, ""},
		"entity lookup":         {engine.Update, "identity/lookup/entity", `{"id":"` + n.entity + `"}`},
		"entity alias":          {engine.Read, "identity/entity-alias/id/" + n.entityAlias, ""},
		"alias of a mount":      {engine.Update, "identity/entity-alias", `{"name":"x","canonical_id":"` + n.entity + `","mount_accessor":"` + n.accessorOfMount + `"}`},
		"group":                 {engine.Read, "identity/group/id/" + n.group, ""},
		"member of a group":     {engine.Update, "identity/group", `{"name":"mine","member_entity_ids":["` + n.entity + `"]}`},
		"group in a group":      {engine.Update, "identity/group", `{"name":"mine","member_group_ids":["` + n.group + `"]}`},
		"unlock a user":         {engine.Read, "sys/locked-users", ""},
	}
}

// What a token, an accessor, a lease or an id names is checked against the namespace of the request: whoever rules one
// namespace can neither enter a sibling or the one above, nor see, use or end what is there by naming it.
func TestNamespaceCheckedOnEveryAccessorLeaseAndID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := startLending(t)
		defer func() { s.s.Close() }()
		a, b := s.tenant("team-a/"), s.tenant("team-b/")
		sub := s.tenant("team-a/sub/")
		rootLease, _ := s.borrow(s.root, `{}`)
		rootChild := s.must(s.root, engine.Update, "auth/token/create", `{"policies":"reader"}`).Auth
		rootEntity := s.made("entity", `{"name":"e"}`)
		above := &tenant{child: rootChild.ClientToken, childAccessor: rootChild.Token.Accessor, batch: s.must(s.root, engine.Update, "auth/token/create", `{"policies":"reader","type":"batch"}`).Auth.ClientToken,
			lease: rootLease, entity: rootEntity, entityAlias: "none", group: s.made("group", `{"name":"g"}`), accessorOfMount: s.accessor("login/"), wrapped: s.wrap(s.root, engine.Read, "secret/data/app/db", "")}

		enter := []string{"secret/data/app", "auth/token/lookup-self", "sys/mounts", "sys/policies/acl", "identity/entity/id", "sys/internal/ui/mounts", "cubbyhole/mine", "sys/namespaces", "sys/events/subscribe/kv*"}
		for _, pair := range []struct {
			name  string
			by    *tenant
			other *tenant
			whole bool // other is not to be entered either
		}{
			{"sibling", a, b, true}, {"sibling back", b, a, true}, {"nested into sibling", sub, b, true}, {"sibling into nested", b, sub, true},
			{"child into parent", sub, a, true}, {"child into root", a, above, true}, {"nested into root", sub, above, true},
		} {
			for _, token := range []string{pair.by.admin, pair.by.child, pair.by.batch, pair.by.login} {
				for _, path := range enter {
					if _, err := s.do(token, engine.Read, pair.other.path+path, ""); engine.KindOf(err) != engine.Denied || strings.Contains(err.Error(), "invalid token") {
						t.Errorf("%s: read %s%s: %v", pair.name, pair.other.path, path, err)
					}
					if _, err := s.in(pair.other.path, token, engine.List, path, ""); engine.KindOf(err) != engine.Denied {
						t.Errorf("%s: list %s%s by the header: %v", pair.name, pair.other.path, path, err)
					}
				}
				if _, err := s.s.Subscribe(t.Context(), &gateway.Request{ID: "id", Operation: engine.Read, Path: pair.other.path + "sys/events/subscribe/kv*", Token: token, Remote: netip.MustParseAddrPort("10.0.0.1:1")}); engine.KindOf(err) != engine.Denied {
					t.Errorf("%s: subscribe: %v", pair.name, err)
				}
			}
			for name, ask := range pair.other.named() {
				resp, err := s.do(pair.by.admin, ask.op, pair.by.path+ask.path, ask.body)
				if name == "unlock a user" {
					continue
				}
				if err == nil && resp.Data == nil && name == "entity lookup" { // as for one that there is not
					continue
				}
				if err == nil {
					t.Errorf("%s: %s answered %+v", pair.name, name, resp.Data)
				} else if kind := engine.KindOf(err); kind != engine.Denied && kind != engine.Invalid && kind != engine.NotFound {
					t.Errorf("%s: %s: %v", pair.name, name, err)
				}
			}
			// What succeeds where there is nothing to end has ended nothing.
			for path, body := range map[string]string{"auth/token/revoke": `{"token":"` + pair.other.child + `"}`, "sys/leases/revoke": `{"lease_id":"` + pair.other.lease + `"}`,
				"sys/leases/revoke-prefix/db": "", "sys/leases/revoke-force/zz": "", "auth/token/revoke-orphan": `{"token":"` + pair.other.batch + `"}`} {
				_, _ = s.do(pair.by.admin, engine.Update, pair.by.path+path, body)
			}
			_, _ = s.do(pair.by.admin, engine.Delete, pair.by.path+"identity/entity/id/"+pair.other.entity, "")
			_, _ = s.do(pair.by.admin, engine.Delete, pair.by.path+"identity/group/id/"+pair.other.group, "")
			settle()
			for _, n := range []*tenant{a, b, sub} { // they have lost their own lease to revoke-prefix at the most
				if _, err := s.do(n.admin, engine.Update, n.path+"auth/token/lookup-accessor", `{"accessor":"`+n.childAccessor+`"}`); err != nil {
					t.Fatalf("%s: the token of %s has ended: %v", pair.name, n.path, err)
				}
				n.lease = s.must(n.child, engine.Update, n.path+"db/creds/app", `{}`).LeaseID
			}
			s.must(s.root, engine.Update, "auth/token/lookup-accessor", `{"accessor":"`+above.childAccessor+`"}`)
			s.must(s.root, engine.Update, "sys/leases/lookup", `{"lease_id":"`+rootLease+`"}`)
			s.must(s.root, engine.Read, "identity/entity/id/"+rootEntity, "")
			s.must(s.root, engine.Read, "identity/group/id/"+above.group, "")
		}
		// All of it is there for those it belongs to, and for who rules the namespace above.
		for _, n := range []*tenant{a, b, sub} {
			for name, ask := range n.named() {
				if _, err := s.do(n.admin, ask.op, n.path+ask.path, ask.body); err != nil && !slices.Contains([]string{"renew of a batch one", "revoke-orphan", "capabilities", "capabilities-accessor", "lookup", "lookup-accessor",
					"renew", "renew-accessor", "revoke-accessor", "alias of a mount", "unwrap", "rewrap", "wrapping lookup", "lease lookup", "lease renew"}, name) {
					t.Errorf("%s in its own namespace: %v", name, err)
				}
			}
		}
		if len(w.alive()) == 0 {
			t.Error("nothing was lent")
		}
	})
}

// A token works in the namespaces below its own, with its own policies, which know the paths from there.
func TestTokenOfAbove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := startLending(t)
		defer func() { s.s.Close() }()
		a := s.tenant("team-a/")
		s.tenant("team-a/sub/")
		rules := `path "team-a/secret/data/*" { capabilities = ["read"] }
path "team-a/sub/secret/*" { capabilities = ["read", "list"] }
path "team-a/auth/token/create" { capabilities = ["update"] }`
		s.must(s.root, engine.Update, "sys/policies/acl/reach", `{"policy":`+quote(rules)+`}`)
		s.must(s.root, engine.Update, "sys/policies/acl/admin", `{"policy":"path \"sys/mounts\" { capabilities = [\"read\"] }"}`)
		token := s.must(s.root, engine.Update, "auth/token/create", `{"policies":["reach","admin"]}`).Auth.ClientToken
		for _, ns := range []string{"", "team-a"} {
			if _, err := s.in(ns, token, engine.Read, map[string]string{"": "team-a/", "team-a": ""}[ns]+"secret/data/app", ""); err != nil {
				t.Error(err)
			}
		}
		if _, err := s.in("team-a", token, engine.Read, "sub/secret/data/app", ""); err != nil {
			t.Error("header and path together:", err)
		}
		s.fails(engine.Denied, "permission denied", token, engine.Read, "team-a/sys/mounts", "") // admin is another policy there
		s.must(token, engine.Read, "sys/mounts", "")
		self := data(t, s.must(token, engine.Read, "team-a/sub/secret/data/app", ""))
		if self["data"].(map[string]any)["k"] != "team-a/sub/" {
			t.Errorf("read %v", self)
		}
		look := data(t, s.must(s.root, engine.Update, "auth/token/lookup", `{"token":"`+a.child+`"}`))
		if look["namespace_path"] != "team-a/" || !strings.HasSuffix(look["accessor"].(string), "."+a.id) || !strings.HasSuffix(a.child, "."+a.id) || !strings.HasSuffix(a.batch, "."+a.id) || !strings.HasSuffix(a.lease, "."+a.id) {
			t.Errorf("%v; %v", look, a)
		}
		// Made by a token of above, it is of the namespace; its maker's policies are none of this one's.
		s.fails(engine.Invalid, "child policies must be subset of parent", token, engine.Update, "team-a/auth/token/create", `{"policies":"admin"}`)
		made := s.must(token, engine.Update, "team-a/auth/token/create", `{}`).Auth
		if !slices.Equal(made.Token.Policies, []string{"default"}) || !strings.HasSuffix(made.ClientToken, "."+a.id) {
			t.Errorf("made %+v", made.Token)
		}
		s.must(made.ClientToken, engine.Read, "team-a/auth/token/lookup-self", "")
		s.fails(engine.Denied, "permission denied", made.ClientToken, engine.Read, "auth/token/lookup-self", "")
		// What it lends and makes ends with it, wherever that is.
		lend := s.must(s.root, engine.Update, "auth/token/create", `{"policies":"root","ttl":"10h"}`).Auth.ClientToken
		id := s.must(lend, engine.Update, "team-a/db/creds/app", `{}`).LeaseID
		s.must(lend, engine.Update, "team-a/cubbyhole/x", `{"a":"b"}`)
		grandchild := s.must(lend, engine.Update, "team-a/sub/auth/token/create", `{"policies":"admin"}`).Auth.ClientToken
		s.must(grandchild, engine.Read, "team-a/sub/secret/data/app", "")
		s.must(lend, engine.Update, "auth/token/revoke-self", "")
		if _, err := s.do(grandchild, engine.Read, "team-a/sub/secret/data/app", ""); engine.KindOf(err) != engine.Denied {
			t.Error("a token lives on without its parent:", err)
		}
		settle()
		s.fails(engine.Invalid, "invalid lease", s.root, engine.Update, "team-a/sys/leases/lookup", `{"lease_id":"`+id+`"}`)
		for k := range keysOf(t, s.store) {
			if strings.Contains(k, "/broken/") || strings.Contains(k, "/empty/") {
				t.Errorf("left: %s", k)
			}
		}
	})
}

// What is about the whole server has no place below the root, and what begins with a namespace's name no mount.
func TestNamespaceRestricts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := startLending(t)
		defer func() { s.s.Close() }()
		s.tenant("team-a/")
		for _, path := range []string{"sys/audit", "sys/rotate", "sys/storage/raft/configuration", "sys/quotas/config", "sys/seal", "sys/step-down", "sys/metrics", "sys/host-info", "sys/config/auditing/request-headers", "sys/monitor", "sys/in-flight-req"} {
			for _, op := range []engine.Operation{engine.Read, engine.Update, engine.List} {
				if _, err := s.do(s.root, op, "team-a/"+path, ""); engine.KindOf(err) != engine.NotFound || !strings.Contains(err.Error(), "unsupported path") {
					t.Errorf("%s %s: %v", op, path, err)
				}
			}
		}
		s.fails(engine.Invalid, "lies in the namespace", s.root, engine.Update, "sys/mounts/team-a/x", `{"type":"kv"}`)
		s.fails(engine.Invalid, "already in use", s.root, engine.Update, "sys/namespaces/secret", "")
		s.fails(engine.Invalid, "another namespace", s.root, engine.Update, "sys/remount", `{"from":"secret","to":"team-a/secret2"}`)
		for _, name := range []string{"root", "sys", "SYS", "audit", "auth", "cubbyhole", "identity", "a b", "a+", "a*", "%2e"} {
			s.fails(engine.Invalid, "", s.root, engine.Update, "sys/namespaces/"+name, "")
		}
		s.fails(engine.Invalid, "not directly below", s.root, engine.Update, "sys/namespaces/team-a/x", "")
		if _, err := s.in("nowhere", s.root, engine.Read, "sys/mounts", ""); engine.KindOf(err) != engine.NotFound || !strings.Contains(err.Error(), "no handler for route") {
			t.Error(err)
		}
		s.must(s.root, engine.Patch, "sys/namespaces/team-a", `{"custom_metadata":{"a":"1","b":"2"}}`)
		got := data(t, s.must(s.root, engine.Patch, "sys/namespaces/team-a", `{"custom_metadata":{"a":null}}`))
		if fmt.Sprint(got["custom_metadata"]) != "map[b:2]" || got["path"] != "team-a/" {
			t.Errorf("patched: %v", got)
		}
		list := data(t, s.must(s.root, engine.List, "sys/namespaces", ""))
		if fmt.Sprint(list["keys"]) != "[team-a/]" || list["key_info"].(map[string]any)["team-a/"] == nil {
			t.Errorf("listed: %v", list)
		}
	})
}

// A locked namespace answers nothing but being unlocked, nor does any below it.
func TestNamespaceLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := startLending(t)
		defer func() { s.s.Close() }()
		a, sub := s.tenant("team-a/"), s.tenant("team-a/sub/")
		key := data(t, s.must(s.root, engine.Update, "sys/namespaces/api-lock/lock/team-a", ""))["unlock_key"].(string)
		for _, n := range []*tenant{a, sub} {
			for _, token := range []string{n.admin, s.root, ""} {
				s.fails(engine.Unavailable, `API access to this namespace has been locked by an administrator - "team-a/" must be unlocked to gain access.`, token, engine.Read, n.path+"secret/data/app", "")
			}
		}
		s.fails(engine.Unavailable, "locked", "", engine.Update, "team-a/auth/login/login", `{"policies":"admin"}`)
		s.fails(engine.Denied, "bad token", s.root, engine.Update, "auth/token/lookup", `{"token":"`+a.child+`"}`)
		s.fails(engine.Invalid, "incorrect unlock key", a.admin, engine.Update, "team-a/sys/namespaces/api-lock/unlock", `{"unlock_key":"wrong"}`)
		s.fails(engine.Invalid, "above it is locked", sub.admin, engine.Update, "team-a/sub/sys/namespaces/api-lock/unlock", `{"unlock_key":"`+key+`"}`)
		s.must(a.admin, engine.Update, "team-a/sys/namespaces/api-lock/unlock", `{"unlock_key":"`+key+`"}`)
		s.must(sub.admin, engine.Read, sub.path+"secret/data/app", "")
		s.must(s.root, engine.Update, "sys/namespaces/api-lock/lock", "")
		s.fails(engine.Unavailable, "locked", s.root, engine.Read, "secret/data/app/db", "")
		s.fails(engine.Unavailable, "locked", s.root, engine.Read, "team-a/secret/data/app", "")
		s.must(s.root, engine.Update, "sys/namespaces/api-lock/unlock", "")
		s.must(s.root, engine.Read, "secret/data/app/db", "")
	})
}

// A subscriber is told of its namespace and, if it asks, of those below, as its policies allow; of no other.
func TestNamespaceEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := startLending(t)
		defer func() { s.s.Close() }()
		a, b := s.tenant("team-a/"), s.tenant("team-b/")
		subscribe := func(ns, token string, below ...string) *gateway.Subscription {
			sub, err := s.s.Subscribe(t.Context(), &gateway.Request{ID: "id", Operation: engine.Read, Namespace: ns, Path: "sys/events/subscribe/kv*", Token: token,
				Query: map[string][]string{"namespaces": below}, Remote: netip.MustParseAddrPort("10.0.0.1:1")})
			if err != nil {
				t.Fatal(err)
			}
			return sub
		}
		s.must(s.root, engine.Update, "sys/policies/acl/some", `{"policy":`+quote(`path "sys/events/subscribe/*" { capabilities = ["read"] }
path "team-b/secret/*" { capabilities = ["subscribe"]
 subscribe_event_types = ["*"] }`)+`}`)
		some := s.must(s.root, engine.Update, "auth/token/create", `{"policies":"some"}`).Auth.ClientToken
		own, all, part := subscribe("team-a", a.admin, "*"), subscribe("", s.root, "*"), subscribe("", some, "*")
		defer own.Close()
		defer all.Close()
		defer part.Close()
		s.must(b.admin, engine.Update, "team-b/secret/data/app", `{"data":{}}`)
		s.must(a.admin, engine.Update, "team-a/secret/data/app", `{"data":{}}`)
		next := func(sub *gateway.Subscription) *events.Event {
			t.Helper()
			e, err := sub.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		if e := next(own); e.Namespace != "team-a/" {
			t.Errorf("team-a was told of %q", e.Namespace)
		}
		if x, y := next(all), next(all); x.Namespace != "team-b/" || y.Namespace != "team-a/" {
			t.Errorf("the root was told of %q and %q", x.Namespace, y.Namespace)
		}
		s.must(b.admin, engine.Update, "team-b/secret/data/app", `{"data":{}}`)
		if x, y := next(part), next(part); x.Namespace != "team-b/" || y.Namespace != "team-b/" {
			t.Errorf("told of %q and %q", x.Namespace, y.Namespace)
		}
	})
}

// A namespace goes with all that it holds and lent, wherever the server stops and whatever fails on the way; what is
// beside it stays.
func TestNamespaceDeletion(t *testing.T) {
	for _, fault := range []storagetest.Fault{storagetest.NotPersisted, storagetest.PersistedAnyway} {
		for n := 0; n <= 12; n++ {
			t.Run(fmt.Sprint(fault, "/", n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { deleteNamespace(t, fault, n) })
			})
		}
	}
}

func deleteNamespace(t *testing.T, fault storagetest.Fault, n int) {
	s, w := startLending(t)
	defer func() { s.s.Close() }()
	a, b := s.tenant("team-a/"), s.tenant("team-b/")
	sub := s.tenant("team-a/sub/")
	s.fails(engine.Invalid, "contains child namespaces", s.root, engine.Delete, "sys/namespaces/team-a", "")
	s.must(s.root, engine.Delete, "team-a/sys/namespaces/sub", "")
	s.fails(engine.NotFound, "being deleted", sub.admin, engine.Read, sub.path+"secret/data/app", "")
	s.fails(engine.Invalid, "being deleted", s.root, engine.Update, "team-a/sys/namespaces/sub", "")
	settle()
	settle()
	s.must(s.root, engine.Update, "auth/token/lookup", `{"token":"`+a.child+`"}`)
	for range 20 {
		s.must(a.admin, engine.Update, "team-a/db/creds/app", `{}`)
		s.must(a.admin, engine.Update, "team-a/auth/token/create", `{"policies":"admin"}`)
	}
	s.must(s.root, engine.Update, "team-a/auth/token/create", `{"policies":"root"}`) // never expires, and has a parent outside
	s.must(s.root, engine.Delete, "sys/namespaces/team-a", "")
	s.s.Close()
	sound := s.store
	if n > 0 {
		faults := storagetest.NewFaults(sound, nil)
		faults.FailNth(n, fault)
		s.store = faults
		s.reopen()
		settle()
		s.s.Close()
	}
	s.store = sound
	s.reopen()
	for range 8 {
		settle()
	}
	for k := range keysOf(t, s.store) {
		if strings.Contains(k, a.id) || strings.Contains(k, sub.id) || strings.HasPrefix(k, "core/namespace/doomed/") || strings.HasPrefix(k, "core/doomed/") {
			t.Errorf("left: %s", k)
		}
	}
	if users := w.alive(); len(users) != 1 {
		t.Errorf("%v are left", users)
	}
	if _, err := s.in("team-a", s.root, engine.Read, "sys/mounts", ""); engine.KindOf(err) != engine.NotFound {
		t.Error(err)
	}
	s.must(b.admin, engine.Read, "team-b/secret/data/app", "")
	s.must(b.child, engine.Update, "team-b/sys/leases/lookup", `{"lease_id":"`+b.lease+`"}`)
	again := s.tenant("team-a/")
	if again.id == a.id {
		t.Error("the id is used again")
	}
	if _, err := s.do(a.admin, engine.Read, "team-a/secret/data/app", ""); engine.KindOf(err) != engine.Denied {
		t.Error("a token outlived its namespace:", err)
	}
}

// More namespaces than caches hold, each asked in turn.
func TestManyNamespaces(t *testing.T) {
	s := startOn(t, storage.NewMem())
	s.prepare()
	for i := range 1100 {
		if _, err := s.do(s.root, engine.Update, fmt.Sprintf("sys/namespaces/n%d", i), ""); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1100 {
		s.must(s.root, engine.Read, fmt.Sprintf("n%d/sys/mounts", i), "")
	}
	if _, err := s.in("n7", s.root, engine.Read, "secret/data/app/db", ""); errors.Is(err, storage.ErrConflict) || engine.KindOf(err) != engine.NotFound {
		t.Error(err)
	}
}

// What ends by itself, or behind an answer, does so in every namespace: tokens, cubbyholes, what a prefix names, members
// of deleted groups; and tidying finds nothing to complain of.
func TestNamespaceSweeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := startLending(t)
		defer func() { s.s.Close() }()
		s.tenant("team-a/")
		n := s.tenant("team-a/sub/")
		short := s.must(n.admin, engine.Update, n.path+"auth/token/create", `{"policies":"admin","ttl":"60s"}`).Auth
		s.must(short.ClientToken, engine.Update, n.path+"cubbyhole/x", `{"a":"b"}`)
		s.must(short.ClientToken, engine.Update, n.path+"auth/token/create", `{"policies":"admin"}`)
		lent := s.must(short.ClientToken, engine.Update, n.path+"db/creds/app", `{}`).LeaseID
		users := len(w.alive())
		s.must(n.admin, engine.Delete, n.path+"identity/group/id/"+n.group, "")
		time.Sleep(time.Minute)
		settle()
		for _, fails := range [][2]string{{"auth/token/lookup-accessor", `{"accessor":"` + short.Token.Accessor + `"}`}, {"sys/leases/lookup", `{"lease_id":"` + lent + `"}`}} {
			if _, err := s.do(n.admin, engine.Update, n.path+fails[0], fails[1]); err == nil {
				t.Errorf("%s finds what is over", fails[0])
			}
		}
		if len(w.alive()) != users-1 {
			t.Errorf("%d users, %d before", len(w.alive()), users)
		}
		for range 230 { // more than one transaction tells to end
			s.must(n.admin, engine.Update, n.path+"db/creds/web", `{}`)
		}
		s.must(n.admin, engine.Update, n.path+"sys/leases/revoke-prefix/db/creds/web", "")
		s.must(n.admin, engine.Update, n.path+"auth/token/tidy", "")
		s.s.Close()
		s.reopen() // whoever leads next goes on
		settle()
		settle()
		if len(w.alive()) != users-1 {
			t.Errorf("%d users are left of the prefix", len(w.alive())-users+1)
		}
		s.must(n.child, engine.Read, n.path+"secret/data/app", "")
		s.must(n.child, engine.Update, n.path+"sys/leases/lookup", `{"lease_id":"`+n.lease+`"}`)
		for k := range keysOf(t, s.store) {
			if strings.Contains(k, "/broken/") || strings.Contains(k, "/empty/") || strings.Contains(k, "/gone/") || strings.Contains(k, "/later/") || strings.Contains(k, "token/tidy") {
				t.Errorf("left: %s", k)
			}
		}
	})
}

// A record says which namespace a request was in, however it was named, and a refused one too.
func TestNamespaceAudit(t *testing.T) {
	s, c, _ := audited(t)
	id := data(t, s.must(s.root, engine.Update, "sys/namespaces/team-a", ""))["id"].(string)
	c.take()
	s.must(s.root, engine.Read, "team-a/sys/mounts", "")
	if _, err := s.in("team-a", "", engine.Read, "sys/mounts", ""); err == nil {
		t.Error("read without a token")
	}
	in := `"namespace":{"id":"` + id + `","path":"team-a/"}`
	for _, line := range c.take() {
		if !strings.Contains(line, in) || !strings.Contains(line, `"path":"sys/mounts"`) {
			t.Errorf("recorded %s", line)
		}
	}
	if _, err := s.in("nowhere", s.root, engine.Read, "sys/mounts", ""); err == nil {
		t.Error("read in a namespace that is not there")
	}
	if lines := c.take(); len(lines) == 0 || !strings.Contains(strings.Join(lines, ""), "no handler for route") {
		t.Errorf("recorded %s", lines)
	}
}

// Quotas of a namespace hold in it, and below it if they say so; nobody else feels them.
func TestNamespaceQuotas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := startLending(t)
		defer func() { s.s.Close() }()
		a, b := s.tenant("team-a/"), s.tenant("team-b/")
		sub := s.tenant("team-a/sub/")
		over := func(n *tenant) (refused int) {
			for range 5 {
				if _, err := s.do(n.admin, engine.Read, n.path+"secret/data/app", ""); engine.KindOf(err) == engine.TooMany {
					refused++
				} else if err != nil {
					t.Error(err)
				}
			}
			return refused
		}
		for _, test := range []struct {
			body      string
			a, sub, b int
		}{
			{`{"path":"team-a","rate":2,"interval":"1h"}`, 3, 0, 0}, {`{"path":"team-a/","rate":2,"interval":"1h","inheritable":true}`, 3, 5, 0}, {`{"path":"team-a/secret","rate":2,"interval":"1h"}`, 3, 0, 0},
			{`{"path":"team-a/sub/secret/data/*","rate":2,"interval":"1h"}`, 0, 3, 0},
		} {
			s.must(s.root, engine.Update, "sys/quotas/rate-limit/q", test.body)
			if x, y, z := over(a), over(sub), over(b); x != test.a || y != test.sub || z != test.b {
				t.Errorf("%s: %d, %d and %d were refused", test.body, x, y, z)
			}
			s.must(s.root, engine.Delete, "sys/quotas/rate-limit/q", "")
		}
		s.must(s.root, engine.Update, "sys/quotas/lease-count/l", `{"path":"team-a/sub/db","max_leases":3}`)
		settle()
		for i := range 4 {
			if _, err := s.do(sub.admin, engine.Update, sub.path+"db/creds/app", `{}`); (err == nil) != (i < 2) { // it had one before
				t.Errorf("lease %d: %v", i, err)
			}
		}
		s.must(a.admin, engine.Update, a.path+"db/creds/app", `{}`)
		if got := data(t, s.must(s.root, engine.Read, "sys/quotas/lease-count/l", ""))["counter"]; got != 3.0 {
			t.Errorf("%v are counted", got)
		}
		s.fails(engine.Invalid, "only quotas of a namespace", s.root, engine.Update, "sys/quotas/rate-limit/q", `{"path":"team-a/secret","rate":2,"inheritable":true}`)
	})
}

// TestRateLimitCountsWhatIsTurnedAway: requests to a namespace that is not there or is locked, and for help, are
// counted as all others are: or a limit would not hold back who guesses.
func TestRateLimitCountsWhatIsTurnedAway(t *testing.T) {
	ask := func(s *server, ns, path string, query map[string][]string) error {
		_, err := s.serve(t.Context(), &gateway.Request{ID: "id", Operation: engine.Read, Namespace: ns, Path: path, Query: query, Token: "hvs.guessed", Remote: netip.MustParseAddrPort("10.9.0.1:1")})
		return err
	}
	for name, try := range map[string]func(*server) error{
		"no namespace":   func(s *server) error { return ask(s, "nowhere", "secret/data/app", nil) },
		"locked":         func(s *server) error { return ask(s, "locked", "secret/data/app", nil) },
		"locked, a path": func(s *server) error { return ask(s, "", "locked/secret/data/app", nil) },
		"help":           func(s *server) error { return ask(s, "", "secret/data/app", map[string][]string{"help": {"1"}}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t)
				s.must(s.root, engine.Update, "sys/namespaces/locked", "")
				s.must(s.root, engine.Update, "sys/quotas/rate-limit/all", `{"rate":3,"interval":"1h","inheritable":true}`)
				s.must(s.root, engine.Update, "sys/namespaces/api-lock/lock/locked", "")
				for i := range 5 {
					if err := try(s); err == nil || (engine.KindOf(err) == engine.TooMany) != (i >= 3) {
						t.Errorf("request %d: %v", i, err)
					}
				}
			})
		})
	}
}
