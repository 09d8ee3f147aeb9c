package active_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/engine"
	"strongroom/engine/kv"
	"strongroom/internal/active"
	"strongroom/internal/gateway"
	"strongroom/internal/mount"
)

// sso is an auth method that believes what it is told.
type sso struct{}

func (sso) Routes() []engine.Route {
	return []engine.Route{{Path: "login", Public: true, Fields: []engine.Field{
		{Name: "user"}, {Name: "groups", Type: engine.StringList}, {Name: "policies", Type: engine.StringList}, {Name: "meta", Type: engine.StringMap}, {Name: "type"},
	}, Write: func(_ context.Context, req *engine.Request) (*engine.Response, error) {
		d := req.Data
		return &engine.Response{Grant: &engine.Grant{Alias: d.String("user"), Groups: d.Strings("groups"), Policies: d.Strings("policies"), Metadata: d.Map("meta"), Type: d.String("type")}}, nil
	}}}
}

// directory is an sso that is asked again when a token is renewed.
type directory struct {
	sso
	groups map[string][]string // by the user, whom the token's metadata names
}

func (d *directory) Renew(_ context.Context, _ *engine.Request, g *engine.Grant) (*engine.Grant, error) {
	return &engine.Grant{Alias: g.Metadata["user"], Groups: d.groups[g.Metadata["user"]]}, nil
}

// A renewal brings external groups to what the method says by then, and leaves the others alone; it makes no entity.
func TestRenewalRefreshesExternalGroups(t *testing.T) {
	d := &directory{groups: map[string][]string{"ada": {"Ops"}}}
	s := startMethod(t, d, "ops", "dev", "own")
	accessor := s.accessor("sso/")
	for _, name := range []string{"ops", "dev"} {
		id := s.made("group", `{"name":"`+name+`","type":"external","policies":"`+name+`"}`)
		s.made("group-alias", `{"name":"`+name+`","mount_accessor":"`+accessor+`","canonical_id":"`+id+`"}`)
	}
	login := s.signIn("ada", `,"groups":"ops","meta":{"user":"ada"},"policies":"default"`).Auth
	s.made("group", `{"name":"own","policies":"own","member_entity_ids":"`+login.EntityID+`"}`)
	for _, step := range []struct {
		groups []string
		want   string
	}{{[]string{"OPS", "dev", "unknown"}, "ops dev own"}, {[]string{"dev"}, "dev own"}, {nil, "own"}} {
		d.groups["ada"] = step.groups
		renewed := s.must(login.ClientToken, engine.Update, "auth/token/renew-self", "")
		if got := s.reads(login.ClientToken, "ops", "dev", "own"); got != step.want || len(renewed.Auth.IdentityPolicies) != len(strings.Fields(step.want)) {
			t.Errorf("in %v: reads %q, want %q; answered with %v", step.groups, got, step.want, renewed.Auth.IdentityPolicies)
		}
	}
	entity := data(t, s.must(s.root, engine.Read, "identity/entity/id/"+login.EntityID, ""))
	alias := entity["aliases"].([]any)[0].(map[string]any)
	if alias["metadata"].(map[string]any)["user"] != "ada" {
		t.Errorf("a renewal changed the alias: %v", alias)
	}
	s.must(s.root, engine.Delete, "identity/entity-alias/id/"+alias["id"].(string), "")
	s.must(login.ClientToken, engine.Update, "auth/token/renew-self", "")
	if found, err := s.do(s.root, engine.Update, "identity/lookup/entity", `{"alias_name":"ada","alias_mount_accessor":"`+accessor+`"}`); err == nil && found != nil && found.Data != nil {
		t.Errorf("a renewal made an entity: %v", found.Data)
	}
}

// startSSO is a server with the method at two places, and a policy "KEY" for each
// of KEYS that lets one read kv/KEY.
func startSSO(t testing.TB, keys ...string) *server {
	t.Helper()
	return startMethod(t, sso{}, keys...)
}

// startMethod is startSSO with another method in sso's place.
func startMethod(t testing.TB, method engine.Engine, keys ...string) *server {
	t.Helper()
	s := start(t)
	s.s.Close()
	factory := func(engine.Env) (engine.Engine, error) { return method, nil }
	sess, err := active.Open(t.Context(), active.Config{Store: s.store, Node: &fakeNode{}, Logger: hclog.NewNullLogger(),
		Limits: mount.Limits{Default: 768 * time.Hour, Max: 768 * time.Hour},
		Types:  map[string]mount.Type{"kv": {Factory: kv.Factory}, "sso": {Factory: factory, Auth: true}}})
	if err != nil {
		t.Fatal(err)
	}
	s.s = sess
	t.Cleanup(sess.Close)
	s.must(s.root, engine.Update, "sys/mounts/kv", `{"type":"kv"}`)
	s.must(s.root, engine.Update, "sys/auth/sso", `{"type":"sso"}`)
	s.must(s.root, engine.Update, "sys/auth/other", `{"type":"sso"}`)
	for _, k := range keys {
		s.must(s.root, engine.Update, "kv/"+k, `{"k":"v"}`)
		s.must(s.root, engine.Update, "sys/policy/"+k, `{"policy":`+quote(`path "kv/`+k+`" { capabilities = ["read"] }`)+`}`)
	}
	return s
}

func (s *server) accessor(path string) string {
	s.t.Helper()
	return data(s.t, s.must(s.root, engine.Read, "sys/auth", ""))[path].(map[string]any)["accessor"].(string)
}

// signIn logs user in at sso/; more is further JSON members, with a comma first.
func (s *server) signIn(user, more string) *gateway.Response {
	s.t.Helper()
	return s.must("", engine.Update, "auth/sso/login", `{"user":`+quote(user)+more+`}`)
}

// made writes to identity/ and returns the id that it answers.
func (s *server) made(path, body string) string {
	s.t.Helper()
	return data(s.t, s.must(s.root, engine.Update, "identity/"+path, body))["id"].(string)
}

// reads says which of keys the token may read.
func (s *server) reads(token string, keys ...string) string {
	s.t.Helper()
	var can []string
	for _, k := range keys {
		if _, err := s.do(token, engine.Read, "kv/"+k, ""); err == nil {
			can = append(can, k)
		} else if engine.KindOf(err) != engine.Denied {
			s.t.Fatal(err)
		}
	}
	return strings.Join(can, " ")
}

func TestLoginBindsAnEntity(t *testing.T) {
	s := startSSO(t)
	first := s.signIn("Ada", `,"meta":{"team":"x"}`)
	id := first.Auth.EntityID
	if id == "" || first.Auth.Token.EntityID != id {
		t.Fatalf("a first login: %+v", first.Auth)
	}
	got := data(t, s.must(s.root, engine.Read, "identity/entity/id/"+id, ""))
	alias := got["aliases"].([]any)[0].(map[string]any)
	if !strings.HasPrefix(got["name"].(string), "entity_") || alias["name"] != "Ada" || alias["mount_accessor"] != s.accessor("sso/") || alias["mount_path"] != "auth/sso/" ||
		alias["mount_type"] != "sso" || alias["canonical_id"] != id || alias["metadata"].(map[string]any)["team"] != "x" {
		t.Errorf("its entity: %v", got)
	}
	if self := data(t, s.must(first.Auth.ClientToken, engine.Read, "auth/token/lookup-self", "")); self["entity_id"] != id {
		t.Errorf("lookup-self: %v", self)
	}
	// Whatever the spelling, and in the other method it is somebody else.
	for _, user := range []string{"Ada", "ada", " ADA "} {
		if got := s.signIn(user, "").Auth.EntityID; got != id {
			t.Errorf("%q is entity %s, want %s", user, got, id)
		}
	}
	if other := s.must("", engine.Update, "auth/other/login", `{"user":"ada"}`).Auth.EntityID; other == id || other == "" {
		t.Errorf("the same name in another method is entity %q", other)
	}
	if nobody := s.signIn("", "").Auth; nobody.EntityID != "" {
		t.Errorf("a login without a name is entity %q", nobody.EntityID)
	}
	// Children stand for whom their parents do, orphans for nobody.
	s.must(s.root, engine.Update, "sys/policy/maker", `{"policy":"path \"auth/token/create*\" { capabilities = [\"update\",\"sudo\"] }"}`)
	maker := s.signIn("ada", `,"policies":"maker"`).Auth.ClientToken
	if child := s.must(maker, engine.Update, "auth/token/create", ""); child.Auth.EntityID != id {
		t.Errorf("a child: %+v", child.Auth)
	}
	if orphan := s.must(maker, engine.Update, "auth/token/create-orphan", ""); orphan.Auth.EntityID != "" {
		t.Errorf("an orphan: %+v", orphan.Auth)
	}
	if batch := s.signIn("ada", `,"type":"batch"`); batch.Auth.EntityID != id || data(t, s.must(batch.Auth.ClientToken, engine.Read, "auth/token/lookup-self", ""))["entity_id"] != id {
		t.Errorf("a batch token: %+v", batch.Auth)
	} else {
		s.fails(engine.Invalid, "only supported by \"service\" type tokens", batch.Auth.ClientToken, engine.Update, "cubbyhole/a", `{"k":"v"}`)
		s.fails(engine.Invalid, "only supported by \"service\" type tokens", batch.Auth.ClientToken, engine.Read, "cubbyhole/a", "")
	}
}

func TestTokenRolesNameEntities(t *testing.T) {
	s := startSSO(t)
	s.must(s.root, engine.Update, "auth/token/roles/r", `{"allowed_entity_aliases":"Web,ci-*"}`)
	web := s.must(s.root, engine.Update, "auth/token/create/r", `{"entity_alias":"WEB"}`).Auth.EntityID
	if again := s.must(s.root, engine.Update, "auth/token/create/r", `{"entity_alias":"web"}`).Auth.EntityID; web == "" || again != web {
		t.Errorf("entities %q and %q", web, again)
	}
	if ci := s.must(s.root, engine.Update, "auth/token/create/r", `{"entity_alias":"ci-7"}`).Auth.EntityID; ci == "" || ci == web {
		t.Errorf("entity %q", ci)
	}
	s.fails(engine.Invalid, "invalid 'entity_alias' value", s.root, engine.Update, "auth/token/create/r", `{"entity_alias":"db"}`)
}

// An entity's and its groups' policies hold at once, for tokens that there are,
// and for as long as they are the entity's.
func TestEffectivePolicies(t *testing.T) {
	keys := []string{"own", "ent", "grp", "top", "ext"}
	s := startSSO(t, keys...)
	login := s.signIn("ada", `,"policies":"own"`)
	tok, id := login.Auth.ClientToken, login.Auth.EntityID
	want := func(what, can string) {
		t.Helper()
		if got := s.reads(tok, keys...); got != can {
			t.Errorf("%s: can read %q, want %q", what, got, can)
		}
	}
	want("by the token", "own")
	s.must(s.root, engine.Update, "identity/entity/id/"+id, `{"policies":"ENT, none"}`)
	want("and the entity", "own ent")
	group := s.made("group", `{"name":"Devs","policies":["grp"],"member_entity_ids":["`+id+`"]}`)
	want("and a group", "own ent grp")
	top := s.made("group", `{"name":"all","policies":["top"],"member_group_ids":["`+group+`"]}`)
	want("and its group", "own ent grp top")
	ext := s.made("group", `{"name":"admins","type":"external","policies":["ext"]}`)
	s.made("group-alias", `{"name":"Admins","mount_accessor":"`+s.accessor("sso/")+`","canonical_id":"`+ext+`"}`)
	want("a group of the method's, unsaid", "own ent grp top")
	login = s.signIn("ada", `,"groups":["admins","nobodys"]`)
	want("a group of the method's, said by another login", "own ent grp top ext")

	if got, all := login.Auth.IdentityPolicies, []string{"ent", "ext", "grp", "none", "top"}; !slices.Equal(got, all) {
		t.Errorf("identity_policies: %q, want %q", got, all)
	}
	look := data(t, s.must(s.root, engine.Update, "auth/token/lookup", `{"token":"`+tok+`"}`))
	if fmt.Sprint(look["identity_policies"]) != "[ent ext grp none top]" || fmt.Sprint(look["policies"]) != "[default own]" {
		t.Errorf("lookup: %v", look)
	}
	caps := data(t, s.must(s.root, engine.Update, "sys/capabilities", `{"token":"`+tok+`","paths":["kv/ext","kv/x"]}`))
	if fmt.Sprint(caps["kv/ext"], caps["kv/x"]) != "[read] [deny]" {
		t.Errorf("capabilities: %v", caps)
	}
	if got := data(t, s.must(s.root, engine.Read, "identity/entity/id/"+id, "")); len(got["group_ids"].([]any)) != 3 || fmt.Sprint(got["inherited_group_ids"]) != "["+top+"]" {
		t.Errorf("its groups: %v", got)
	}

	s.must("", engine.Update, "auth/other/login", `{"user":"ada","groups":"admins"}`) // another method's group, and another entity
	s.signIn("ada", "")
	want("no longer said", "own ent grp top")
	s.must(s.root, engine.Update, "identity/group/name/all", `{"member_group_ids":[]}`)
	want("the upper group left", "own ent grp")
	s.must(s.root, engine.Delete, "identity/group/id/"+group, "")
	want("the group deleted", "own ent")
	s.must(s.root, engine.Update, "identity/entity/id/"+id, `{"policies":[]}`)
	want("the entity's taken", "own")
	s.must(s.root, engine.Update, "identity/entity/id/"+id, `{"disabled":true}`)
	want("disabled", "")
	s.fails(engine.Denied, "is disabled", tok, engine.Read, "auth/token/lookup-self", "")
	s.fails(engine.Denied, "is disabled", "", engine.Update, "auth/sso/login", `{"user":"ADA "}`)
	s.must(s.root, engine.Update, "auth/token/lookup", `{"token":"`+tok+`"}`) // who has it can still be seen
	s.must(s.root, engine.Update, "identity/entity/id/"+id, `{"disabled":false}`)
	want("enabled again", "own")
	s.must(s.root, engine.Delete, "identity/entity/id/"+id, "")
	want("deleted", "")
	s.fails(engine.Denied, "is gone", tok, engine.Read, "auth/token/lookup-self", "")
	if next := s.signIn("ada", "").Auth.EntityID; next == id || next == "" {
		t.Errorf("after its deletion the name is entity %q", next)
	}
}

func TestFirstLoginIsOneEntry(t *testing.T) {
	s := startSSO(t)
	store := &counted{Store: s.store}
	s.s.Close()
	factory := func(engine.Env) (engine.Engine, error) { return sso{}, nil }
	sess, err := active.Open(t.Context(), active.Config{Store: store, Node: &fakeNode{}, Logger: hclog.NewNullLogger(), Limits: mount.Limits{Default: time.Hour, Max: time.Hour},
		Types: map[string]mount.Type{"kv": {Factory: kv.Factory}, "sso": {Factory: factory, Auth: true}}})
	if err != nil {
		t.Fatal(err)
	}
	s.s = sess
	t.Cleanup(sess.Close)
	ext := s.made("group", `{"type":"external"}`)
	s.made("group-alias", `{"name":"g","mount_accessor":"`+s.accessor("sso/")+`","canonical_id":"`+ext+`"}`)
	for i, more := range []string{`,"groups":"g","meta":{"a":"1"}`, `,"groups":"g"`, ""} {
		before := store.batches.Load()
		s.signIn("ada", more)
		if n := store.batches.Load() - before; n != 1 {
			t.Errorf("login %d wrote %d entries", i, n)
		}
	}
}

// However many log in at once for the first time, they are one entity.
func TestFirstLoginsAtOnce(t *testing.T) {
	s := startSSO(t)
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			resp, err := s.do("", engine.Update, "auth/sso/login", `{"user":"ada"}`)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = resp.Auth.EntityID
		})
	}
	wg.Wait()
	if len(slices.Compact(slices.Clone(ids))) != 1 {
		t.Errorf("entities %q", ids)
	}
	if keys := data(t, s.must(s.root, engine.List, "identity/entity/id", ""))["keys"].([]any); len(keys) != 1 {
		t.Errorf("%d entities", len(keys))
	}
}

// CVE-2025-5999: who may write entities or groups must not become root by a
// spelling of its name.
func TestLessonPolicyNamesAreNormalisedBeforeTheRootCheck(t *testing.T) {
	s := startSSO(t)
	id := s.made("entity", `{"name":"e"}`)
	group := s.made("group", `{"name":"g"}`)
	for _, path := range []string{"entity", "entity/id/" + id, "entity/name/e", "entity/name/new", "group", "group/id/" + group, "group/name/g", "group/name/new"} {
		for _, name := range []string{`"root"`, `"ROOT"`, `"a, Root "`, `["a"," root\t"]`, `["\u00a0root"]`, `"response-wrapping"`} {
			s.fails(engine.Invalid, "policies cannot contain", s.root, engine.Update, "identity/"+path, `{"policies":`+name+`}`)
		}
	}
}

func TestTemplatedPolicies(t *testing.T) {
	s := startSSO(t)
	accessor := s.accessor("sso/")
	s.must(s.root, engine.Update, "sys/policy/own", `{"policy":`+quote(`
path "kv/by-id/{{identity.entity.id}}/*" { capabilities = ["create", "update", "read"] }
path "kv/by-name/{{identity.entity.name}}" { capabilities = ["update", "create"] }
path "kv/by-team/{{identity.entity.metadata.team}}" { capabilities = ["update", "create"] }
path "kv/by-alias/{{identity.entity.aliases.`+accessor+`.name}}" { capabilities = ["update", "create"] }
path "kv/by-login/{{identity.entity.aliases.`+accessor+`.metadata.dept}}" { capabilities = ["update", "create"] }
path "kv/by-group/{{identity.groups.names.devs.metadata.room}}" { capabilities = ["update", "create"] }`)+`}`)
	ada, bob := s.signIn("ada", `,"policies":"own","meta":{"dept":"d1"}`), s.signIn("bob", `,"policies":"own"`)
	s.must(s.root, engine.Update, "identity/entity/id/"+ada.Auth.EntityID, `{"name":"ada l","metadata":{"team":"red"}}`)
	s.must(s.root, engine.Update, "identity/entity/id/"+bob.Auth.EntityID, `{"name":"bob","metadata":{"team":"*"}}`)
	s.made("group", `{"name":"Devs","metadata":{"room":"7"},"member_entity_ids":["`+ada.Auth.EntityID+`"]}`)
	plain := s.must(s.root, engine.Update, "auth/token/create", `{"policies":["own"],"no_parent":true}`)
	for path, who := range map[string]string{
		"by-id/" + ada.Auth.EntityID + "/x": "ada", "by-id/" + bob.Auth.EntityID + "/x": "bob", "by-id//x": "",
		"by-name/ada l": "ada", "by-name/bob": "bob", "by-team/red": "ada", "by-team/*": "", "by-team/any": "",
		"by-alias/ada": "ada", "by-alias/bob": "bob", "by-login/d1": "ada", "by-login/": "", "by-group/7": "ada",
		"by-name/{{identity.entity.name}}": "",
	} {
		for name, tok := range map[string]string{"ada": ada.Auth.ClientToken, "bob": bob.Auth.ClientToken, "nobody": plain.Auth.ClientToken} {
			_, err := s.do(tok, engine.Update, "kv/"+path, `{"k":"v"}`)
			if allowed := err == nil; allowed != (name == who) {
				t.Errorf("%s at %s: %v", name, path, err)
			}
		}
	}
	// What a template stands for is what it is now.
	s.must(s.root, engine.Update, "identity/entity/id/"+bob.Auth.EntityID, `{"metadata":{"team":"red"}}`)
	s.must(bob.Auth.ClientToken, engine.Update, "kv/by-team/red", `{"k":"v"}`)
	s.fails(engine.Invalid, "unknown template", s.root, engine.Update, "sys/policy/bad", `{"policy":"path \"a/{{identity.entity.mood}}\" { capabilities = [\"read\"] }"}`)
}

// By the default policy a caller reads its own entity, by either spelling of its
// name, and nobody else's.
func TestOwnEntityByTheDefaultPolicy(t *testing.T) {
	s := startSSO(t)
	ada, bob := s.signIn("ada", "").Auth, s.signIn("bob", "").Auth
	s.must(s.root, engine.Update, "identity/entity/id/"+ada.EntityID, `{"name":"Ada"}`)
	s.must(s.root, engine.Update, "identity/entity/id/"+bob.EntityID, `{"name":"bob"}`)
	for _, own := range []string{"id/" + ada.EntityID, "name/Ada", "name/ada"} {
		if d := data(t, s.must(ada.ClientToken, engine.Read, "identity/entity/"+own, "")); d["id"] != ada.EntityID {
			t.Errorf("%s: %v", own, d)
		}
		s.fails(engine.Denied, "permission denied", bob.ClientToken, engine.Read, "identity/entity/"+own, "")
		s.fails(engine.Denied, "permission denied", ada.ClientToken, engine.Update, "identity/entity/"+own, `{"policies":["root"]}`)
		s.fails(engine.Denied, "permission denied", ada.ClientToken, engine.Delete, "identity/entity/"+own, "")
	}
	s.fails(engine.Denied, "permission denied", ada.ClientToken, engine.Read, "identity/entity/name/bob", "")
	s.fails(engine.Denied, "permission denied", ada.ClientToken, engine.List, "identity/entity/id", "")
}

func TestMergeEntities(t *testing.T) {
	s := startSSO(t, "a", "b", "g")
	ada, adam := s.signIn("ada", ""), s.must("", engine.Update, "auth/other/login", `{"user":"adam"}`)
	to, from := ada.Auth.EntityID, adam.Auth.EntityID
	s.must(s.root, engine.Update, "identity/entity/id/"+to, `{"policies":"a"}`)
	s.must(s.root, engine.Update, "identity/entity/id/"+from, `{"policies":"b"}`)
	group := s.made("group", `{"policies":"g","member_entity_ids":["`+from+`"]}`)
	s.fails(engine.Invalid, "should not be present", s.root, engine.Update, "identity/entity/merge", `{"from_entity_ids":["`+to+`"],"to_entity_id":"`+to+`"}`)
	s.fails(engine.Invalid, "to merge from is invalid", s.root, engine.Update, "identity/entity/merge", `{"from_entity_ids":["x"],"to_entity_id":"`+to+`"}`)
	s.must(s.root, engine.Update, "identity/entity/merge", `{"from_entity_ids":["`+from+`","`+from+`"],"to_entity_id":"`+to+`"}`)
	got := data(t, s.must(s.root, engine.Read, "identity/entity/id/"+to, ""))
	if len(got["aliases"].([]any)) != 2 || fmt.Sprint(got["merged_entity_ids"]) != "["+from+"]" || fmt.Sprint(got["direct_group_ids"]) != "["+group+"]" {
		t.Errorf("merged: %v", got)
	}
	if members := data(t, s.must(s.root, engine.Read, "identity/group/id/"+group, ""))["member_entity_ids"]; fmt.Sprint(members) != "["+to+"]" {
		t.Errorf("members: %v", members)
	}
	// Tokens and logins of both are of one now; what was granted to the other is gone.
	for _, tok := range []string{ada.Auth.ClientToken, adam.Auth.ClientToken, s.must("", engine.Update, "auth/other/login", `{"user":"adam"}`).Auth.ClientToken} {
		if got := s.reads(tok, "a", "b", "g"); got != "a g" {
			t.Errorf("can read %q", got)
		}
		if self := data(t, s.must(tok, engine.Read, "auth/token/lookup-self", "")); self["entity_id"] != to {
			t.Errorf("lookup-self: %v", self)
		}
	}
	// Two names in one method cannot both stay.
	second := s.signIn("eve", "").Auth.EntityID
	s.fails(engine.Invalid, "conflicting_alias_ids_to_keep", s.root, engine.Update, "identity/entity/merge", `{"from_entity_ids":"`+second+`","to_entity_id":"`+to+`"}`)
	keep := data(t, s.must(s.root, engine.Read, "identity/entity/id/"+second, ""))["aliases"].([]any)[0].(map[string]any)["id"].(string)
	s.must(s.root, engine.Update, "identity/entity/merge", `{"from_entity_ids":"`+second+`","to_entity_id":"`+to+`","conflicting_alias_ids_to_keep":"`+keep+`"}`)
	if got := s.signIn("eve", "").Auth.EntityID; got != to {
		t.Errorf("eve is entity %s", got)
	}
	if got := s.signIn("ada", "").Auth.EntityID; got == to {
		t.Error("ada is still the entity that gave up the name")
	}
	// A chain of merges leads to its end, and a deleted end ends all.
	last := s.made("entity", `{"name":"last"}`)
	s.must(s.root, engine.Update, "identity/entity/merge", `{"from_entity_ids":"`+to+`","to_entity_id":"`+last+`"}`)
	if self := data(t, s.must(adam.Auth.ClientToken, engine.Read, "auth/token/lookup-self", "")); self["entity_id"] != last {
		t.Errorf("lookup-self: %v", self)
	}
	s.must(s.root, engine.Delete, "identity/entity/name/LAST", "")
	s.fails(engine.Denied, "is gone", adam.Auth.ClientToken, engine.Read, "auth/token/lookup-self", "")
}

func TestGroupsHaveNoCircles(t *testing.T) {
	s := startSSO(t)
	a := s.made("group", `{"name":"a"}`)
	b := s.made("group", `{"name":"b","member_group_ids":["`+a+`"]}`)
	c := s.made("group", `{"name":"c","member_group_ids":["`+b+`"]}`)
	for path, members := range map[string]string{"a": `["` + a + `"]`, "A": `["` + c + `"]`, "b": `["` + a + `","` + b + `"]`} {
		s.fails(engine.Invalid, "cyclic", s.root, engine.Update, "identity/group/name/"+path, `{"member_group_ids":`+members+`}`)
	}
	s.fails(engine.Invalid, "invalid group ID", s.root, engine.Update, "identity/group/name/a", `{"member_group_ids":["x"]}`)
	s.must(s.root, engine.Update, "identity/group/name/c", `{"member_group_ids":[]}`)
	s.must(s.root, engine.Update, "identity/group/name/a", `{"member_group_ids":["`+c+`"]}`)
	s.must(s.root, engine.Delete, "identity/group/name/a", "")
	if got := data(t, s.must(s.root, engine.Read, "identity/group/name/b", "")); len(got["member_group_ids"].([]any)) != 0 {
		t.Errorf("b keeps a deleted member: %v", got)
	}
	if got := data(t, s.must(s.root, engine.Read, "identity/group/name/c", "")); len(got["parent_group_ids"].([]any)) != 0 {
		t.Errorf("c keeps a deleted parent: %v", got)
	}
	// Nor when many try at once: each puts one edge of a circle.
	const n = 4
	ids := make([]string, n)
	for i := range ids {
		ids[i] = s.made("group", fmt.Sprintf(`{"name":"ring%d"}`, i))
	}
	var wg sync.WaitGroup
	refused := make([]bool, n)
	for i := range ids {
		wg.Go(func() {
			_, err := s.do(s.root, engine.Update, "identity/group/id/"+ids[i], `{"member_group_ids":["`+ids[(i+1)%n]+`"]}`)
			refused[i] = err != nil
		})
	}
	wg.Wait()
	if !slices.Contains(refused, true) {
		t.Error("a circle was closed")
	}
}

// A deleted group counts for nobody at once; its members' records follow.
func TestDeletedGroupsAreTidied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startSSO(t, "g")
		defer s.s.Close()
		var members []string
		for i := range 450 {
			members = append(members, s.made("entity", fmt.Sprintf(`{"name":"e%d"}`, i)))
		}
		login := s.signIn("ada", "")
		members = append(members, login.Auth.EntityID)
		list, _ := json.Marshal(members)
		group := s.made("group", `{"policies":"g","member_entity_ids":`+string(list)+`}`)
		if got := s.reads(login.Auth.ClientToken, "g"); got != "g" {
			t.Fatal("the group grants nothing")
		}
		s.must(s.root, engine.Delete, "identity/group/id/"+group, "")
		if got := s.reads(login.Auth.ClientToken, "g"); got != "" {
			t.Error("a deleted group still grants")
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		for _, prefix := range []string{"ns/root/identity/group/member/", "ns/root/identity/group/gone/"} {
			if n := s.keysOf(prefix); n != 0 {
				t.Errorf("%d keys are left below %s", n, prefix)
			}
		}
	})
}

func TestIdentityAPI(t *testing.T) {
	s := startSSO(t)
	sso, other := s.accessor("sso/"), s.accessor("other/")
	made := data(t, s.must(s.root, engine.Update, "identity/entity", `{"name":"Bob Smith","metadata":["a=1"],"policies":"x,y"}`))
	id := made["id"].(string)
	if made["name"] != "Bob Smith" || made["aliases"] != nil {
		t.Errorf("made: %v", made)
	}
	if resp := s.must(s.root, engine.Update, "identity/entity", `{"name":"bob smith","policies":"z"}`); !resp.Empty { // the same, changed: nothing is answered
		t.Errorf("changed: %+v", resp)
	}
	for _, path := range []string{"identity/entity/name/Bob Smith", "identity/entity/name/BOB SMITH", "identity/entity/id/" + id} {
		got := data(t, s.must(s.root, engine.Read, path, ""))
		if got["id"] != id || got["name"] != "bob smith" || fmt.Sprint(got["policies"]) != "[z]" || fmt.Sprint(got["metadata"]) != "map[a:1]" || got["disabled"] != false || len(got["aliases"].([]any)) != 0 {
			t.Errorf("%s: %v", path, got)
		}
	}
	s.fails(engine.Invalid, "blank", s.root, engine.Read, "identity/entity/name/ bob smith", "") // one spelling a path, for policies
	s.fails(engine.Invalid, "entity not found from id", s.root, engine.Update, "identity/entity/id/none", `{"name":"x"}`)
	s.fails(engine.Invalid, "without '/'", s.root, engine.Update, "identity/entity", `{"name":"a/b"}`)
	s.fails(engine.Invalid, "metadata", s.root, engine.Update, "identity/entity", `{"metadata":{"a":"`+strings.Repeat("x", 513)+`"}}`)
	second := s.made("entity", `{"name":"second"}`)
	s.fails(engine.Invalid, "already in use", s.root, engine.Update, "identity/entity/id/"+second, `{"name":" BOB SMITH "}`)
	s.must(s.root, engine.Update, "identity/entity/id/"+second, `{"name":"Second"}`) // the case of its own name may change
	s.must(s.root, engine.Update, "identity/entity/name/Third", "{}")
	if got := data(t, s.must(s.root, engine.Read, "identity/entity/name/third", "")); got["name"] != "Third" {
		t.Errorf("made by name: %v", got)
	}
	if got := data(t, s.must(s.root, engine.List, "identity/entity/name", "")); fmt.Sprint(got["keys"]) != "[bob smith second third]" {
		t.Errorf("names: %v", got)
	}

	alias := s.made("entity-alias", `{"name":"Bob","canonical_id":"`+id+`","mount_accessor":"`+sso+`","custom_metadata":{"k":"v"}}`)
	if got := s.signIn("bob", "").Auth.EntityID; got != id {
		t.Errorf("bob is entity %s", got)
	}
	if resp := s.must(s.root, engine.Update, "identity/entity-alias", `{"name":"Bob","canonical_id":"`+id+`","mount_accessor":"`+sso+`"}`); !resp.Empty {
		t.Errorf("an alias that is there: %+v", resp)
	}
	got := data(t, s.must(s.root, engine.Read, "identity/entity-alias/id/"+alias, ""))
	if got["canonical_id"] != id || got["mount_accessor"] != sso || fmt.Sprint(got["custom_metadata"]) != "map[k:v]" || got["local"] != false {
		t.Errorf("alias: %v", got)
	}
	s.fails(engine.Invalid, "in this mount already", s.root, engine.Update, "identity/entity-alias", `{"name":"robert","canonical_id":"`+id+`","mount_accessor":"`+sso+`"}`)
	s.fails(engine.Invalid, "invalid mount accessor", s.root, engine.Update, "identity/entity-alias", `{"name":"x","mount_accessor":"auth_nope"}`)
	s.fails(engine.Invalid, "invalid canonical ID", s.root, engine.Update, "identity/entity-alias", `{"name":"x","canonical_id":"none","mount_accessor":"`+sso+`"}`)
	s.fails(engine.Invalid, "missing mount_accessor", s.root, engine.Update, "identity/entity-alias", `{"name":"x"}`)
	s.must(s.root, engine.Update, "identity/entity-alias/id/"+alias, `{"canonical_id":"`+second+`","name":"Bobby"}`) // moved
	if got := s.signIn("bobby", "").Auth.EntityID; got != second {
		t.Errorf("bobby is entity %s", got)
	}
	s.must(s.root, engine.Update, "identity/entity-alias/id/"+alias, `{"mount_accessor":"`+other+`"}`)
	for by, body := range map[string]string{
		"id": `{"id":"` + second + `"}`, "name": `{"name":"SECOND"}`, "alias_id": `{"alias_id":"` + alias + `"}`,
		"alias_name": `{"alias_name":"bobby","alias_mount_accessor":"` + other + `"}`,
	} {
		if got := data(t, s.must(s.root, engine.Update, "identity/lookup/entity", body)); got["id"] != second {
			t.Errorf("lookup by %s: %v", by, got)
		}
	}
	if resp := s.must(s.root, engine.Update, "identity/lookup/entity", `{"name":"nobody"}`); !resp.Empty {
		t.Errorf("lookup of nobody: %+v", resp)
	}
	s.fails(engine.Invalid, "exactly one", s.root, engine.Update, "identity/lookup/entity", `{"name":"a","id":"b"}`)
	s.fails(engine.Invalid, "specify one of", s.root, engine.Update, "identity/lookup/group", "{}")
	s.fails(engine.Invalid, "alias_mount_accessor", s.root, engine.Update, "identity/lookup/group", `{"alias_name":"a"}`)
	info := data(t, s.must(s.root, engine.List, "identity/entity-alias/id", ""))["key_info"].(map[string]any)[alias].(map[string]any)
	if info["canonical_id"] != second || info["mount_path"] != "auth/other/" {
		t.Errorf("key_info: %v", info)
	}
	s.must(s.root, engine.Delete, "identity/entity-alias/id/"+alias, "")
	s.must(s.root, engine.Delete, "identity/entity-alias/id/"+alias, "")
	s.fails(engine.NotFound, "", s.root, engine.Read, "identity/entity-alias/id/"+alias, "")

	group := s.made("group", `{"name":"Ops","metadata":{"a":"1"},"policies":"p","member_entity_ids":"`+id+`,`+second+`"}`)
	if g := data(t, s.must(s.root, engine.Read, "identity/group/name/ops", "")); g["id"] != group || g["type"] != "internal" || len(g["member_entity_ids"].([]any)) != 2 || len(g["alias"].(map[string]any)) != 0 {
		t.Errorf("group: %v", g)
	}
	s.fails(engine.Invalid, "group type cannot be changed", s.root, engine.Update, "identity/group/name/ops", `{"type":"external"}`)
	s.fails(engine.Invalid, "invalid entity ID", s.root, engine.Update, "identity/group/name/ops", `{"member_entity_ids":"none"}`)
	s.fails(engine.Invalid, "internal group", s.root, engine.Update, "identity/group-alias", `{"name":"x","canonical_id":"`+group+`","mount_accessor":"`+sso+`"}`)
	ext := s.made("group", `{"name":"ext","type":"external"}`)
	s.fails(engine.Invalid, "can't be set manually", s.root, engine.Update, "identity/group/id/"+ext, `{"member_entity_ids":"`+id+`"}`)
	galias := s.made("group-alias", `{"name":"X","canonical_id":"`+ext+`","mount_accessor":"`+sso+`"}`)
	if g := data(t, s.must(s.root, engine.Update, "identity/lookup/group", `{"alias_name":"x","alias_mount_accessor":"`+sso+`"}`)); g["id"] != ext || g["alias"].(map[string]any)["id"] != galias {
		t.Errorf("lookup: %v", g)
	}
	ext2 := s.made("group", `{"name":"ext2","type":"external"}`)
	if moved := s.made("group-alias", `{"name":"x","canonical_id":"`+ext2+`","mount_accessor":"`+sso+`"}`); moved != galias {
		t.Errorf("the alias is another: %s", moved)
	}
	s.must(s.root, engine.Delete, "identity/group-alias/id/"+galias, "")
	s.fails(engine.NotFound, "", s.root, engine.List, "identity/group-alias/id", "")
	if info := data(t, s.must(s.root, engine.List, "identity/group/id", ""))["key_info"].(map[string]any)[group]; fmt.Sprint(info) != "map[name:Ops num_member_entities:2 num_parent_groups:0]" {
		t.Errorf("key_info: %v", info)
	}

	s.must(s.root, engine.Update, "identity/entity/batch-delete", `{"entity_ids":["`+id+`","`+second+`","none"]}`)
	s.fails(engine.NotFound, "", s.root, engine.Read, "identity/entity/id/"+id, "")
	if g := data(t, s.must(s.root, engine.Read, "identity/group/id/"+group, "")); len(g["member_entity_ids"].([]any)) != 0 {
		t.Errorf("deleted members stay: %v", g)
	}
	s.must(s.root, engine.Delete, "identity/group/name/ops", "")
	s.fails(engine.NotFound, "", s.root, engine.Read, "identity/group/id/"+group, "")
	s.fails(engine.NotFound, "is not in this release", s.root, engine.Read, "identity/oidc/config", "")
	s.fails(engine.NotFound, "is not in this release", s.root, engine.Update, "identity/mfa/method/totp", "{}")
	s.fails(engine.Invalid, "cannot disable", s.root, engine.Delete, "sys/mounts/identity", "")
}

// A rule about a name holds for every spelling of it.
func TestLessonEntityNamesHaveOneSpelling(t *testing.T) {
	s := startSSO(t)
	s.made("entity", `{"name":"Boss"}`)
	tok := s.grant("some", `
path "identity/entity/name/*"    { capabilities = ["create", "read", "update", "delete"] }
path "identity/entity/name/boss" { capabilities = ["deny"] }`)
	for _, name := range []string{"boss", "Boss", "BOSS"} {
		s.fails(engine.Denied, "permission denied", tok, engine.Read, "identity/entity/name/"+name, "")
	}
	s.fails(engine.Invalid, "blank", tok, engine.Read, "identity/entity/name/boss ", "")
	s.must(tok, engine.Update, "identity/entity/name/other", "{}")
}
