package approle

import (
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
	"strongroom/engine/enginetest"
	"strongroom/internal/storage"
)

type object = map[string]any

type fixture struct {
	*enginetest.Mounted
	t      *testing.T
	remote string
}

func mount(t *testing.T) *fixture {
	f := &fixture{enginetest.New(t, storage.NewMem(), "auth/approle/", Factory, nil), t, "192.0.2.1:1"}
	f.Before = func(r *engine.Request) { r.Remote = netip.MustParseAddrPort(f.remote) }
	return f
}

func (f *fixture) must(op engine.Operation, path string, body any) object {
	f.t.Helper()
	resp, err := f.Do(op, path, body)
	if err != nil {
		f.t.Fatalf("%s %s: %v", op, path, err)
	}
	if resp == nil || resp.Data == nil {
		return nil
	}
	return resp.Data.(object)
}

func (f *fixture) fails(op engine.Operation, path string, body any, want string) {
	f.t.Helper()
	_, err := f.Do(op, path, body)
	if err == nil || !strings.Contains(err.Error(), want) {
		f.t.Errorf("%s %s %v: %v, want %q", op, path, body, err, want)
	}
}

func (f *fixture) roleID(name string) string {
	f.t.Helper()
	return f.must(engine.Read, "role/"+name+"/role-id", nil)["role_id"].(string)
}

func (f *fixture) secretID(name string, body any) object {
	f.t.Helper()
	return f.must(engine.Update, "role/"+name+"/secret-id", body)
}

func (f *fixture) login(role, secret any) (*engine.Grant, error) {
	f.t.Helper()
	resp, err := f.Do(engine.Update, "login", object{"role_id": role, "secret_id": secret})
	if err != nil {
		return nil, err
	}
	return resp.Grant, nil
}

func TestRole(t *testing.T) {
	f := mount(t)
	f.must(engine.Create, "role/Web", object{"policies": "a,b", "token_ttl": "20m", "token_max_ttl": "30m", "secret_id_ttl": "10m", "secret_id_num_uses": 40})
	want := object{
		"bind_secret_id": true, "local_secret_ids": false, "secret_id_bound_cidrs": []string{}, "secret_id_num_uses": int64(40), "secret_id_ttl": int64(600),
		"policies": []string{"a", "b"}, "token_policies": []string{"a", "b"}, "token_ttl": int64(1200), "token_max_ttl": int64(1800), "token_type": "default",
		"token_bound_cidrs": []string{}, "token_explicit_max_ttl": int64(0), "token_no_default_policy": false, "token_num_uses": int64(0), "token_period": int64(0),
	}
	if got := f.must(engine.Read, "role/web", nil); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	// An update changes what it names, and neither the id nor the secret ids.
	id, secret := f.roleID("web"), f.secretID("web", nil)["secret_id"]
	f.must(engine.Update, "role/web", object{"token_ttl": 60, "bind_secret_id": true})
	if f.roleID("WEB") != id {
		t.Error("an update changed the role id")
	}
	if g, err := f.login(id, secret); err != nil || g.TTL != time.Minute || g.MaxTTL != 30*time.Minute {
		t.Errorf("%+v, %v", g, err)
	}
	f.must(engine.Create, "role/db", object{"role_id": "the-db"})
	if got := f.must(engine.List, "role", nil)["keys"]; !reflect.DeepEqual(got, []string{"db", "web"}) {
		t.Errorf("list: %v", got)
	}
	f.must(engine.Delete, "role/web", nil)
	f.must(engine.Delete, "role/web", nil)
	if _, err := f.Do(engine.Read, "role/web", nil); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a deleted role: %v", err)
	}
	if _, err := f.login(id, secret); err == nil {
		t.Error("a deleted role logs in")
	}
}

func TestRoleErrors(t *testing.T) {
	f := mount(t)
	f.must(engine.Create, "role/one", object{"role_id": "one-id"})
	for _, c := range []struct {
		body object
		want string
	}{
		{object{"bind_secret_id": false}, "at least one constraint"},
		{object{"secret_id_bound_cidrs": "nonsense"}, "'secret_id_bound_cidrs'"},
		{object{"secret_id_num_uses": -1}, "cannot be negative"},
		{object{"token_policies": "root"}, "root"},
		{object{"role_id": ""}, "role_id must have"},
		{object{"role_id": strings.Repeat("x", 513)}, "role_id must have"},
		{object{"role_id": "one-id"}, "already in use"},
	} {
		f.fails(engine.Create, "role/two", c.body, c.want)
	}
	f.fails(engine.Update, "role/one", object{"local_secret_ids": true}, "only be modified during role creation")
	f.fails(engine.Update, "role/one/policies", object{}, "missing token_policies")
	f.fails(engine.Update, "role/none/policies", object{"policies": "a"}, "does not exist")
	f.fails(engine.Update, "role/none/secret-id", nil, "does not exist")
	if resp, err := f.Do(engine.Create, "role/long", object{"secret_id_ttl": "9999h", "token_ttl": "9999h"}); err != nil || len(resp.Warnings) != 2 {
		t.Errorf("%v, %v", resp, err)
	}
}

// Every property has a path of its own to read, write and reset it.
func TestProperties(t *testing.T) {
	f := mount(t)
	f.must(engine.Create, "role/r", object{"token_bound_cidrs": "192.0.2.0/24"})
	for path, c := range map[string]struct {
		name         string
		value        any
		shown, reset any
	}{
		"policies":              {"token_policies", "X,y", []string{"x", "y"}, []string{}},
		"secret-id-num-uses":    {"secret_id_num_uses", 7, int64(7), int64(0)},
		"secret-id-ttl":         {"secret_id_ttl", "2m", int64(120), int64(0)},
		"token-num-uses":        {"token_num_uses", 3, int64(3), int64(0)},
		"token-ttl":             {"token_ttl", "1h", int64(3600), int64(0)},
		"token-max-ttl":         {"token_max_ttl", "2h", int64(7200), int64(0)},
		"period":                {"token_period", 30, int64(30), int64(0)},
		"bind-secret-id":        {"bind_secret_id", false, false, true},
		"secret-id-bound-cidrs": {"secret_id_bound_cidrs", "10.0.0.0/8", []string{"10.0.0.0/8"}, []string{}},
		"bound-cidr-list":       {"bound_cidr_list", "10.0.0.0/8", []string{"10.0.0.0/8"}, []string{}},
		"token-bound-cidrs":     {"token_bound_cidrs", "::1", []string{"::1"}, []string{}},
	} {
		path = "role/r/" + path
		f.must(engine.Update, path, object{c.name: c.value})
		if got := f.must(engine.Read, path, nil)[c.name]; !reflect.DeepEqual(got, c.shown) {
			t.Errorf("%s: %v", path, got)
		}
		f.must(engine.Update, "role/r/bind-secret-id", object{"bind_secret_id": path != "role/r/bind-secret-id"})
		f.must(engine.Delete, path, nil)
		if got := f.must(engine.Read, path, nil)[c.name]; !reflect.DeepEqual(got, c.reset) {
			t.Errorf("%s after its reset: %v", path, got)
		}
		f.must(engine.Update, "role/r", object{"bind_secret_id": true, "token_bound_cidrs": "192.0.2.0/24"})
	}
	if got := f.must(engine.Read, "role/r/local-secret-ids", nil); !reflect.DeepEqual(got, object{"local_secret_ids": false}) {
		t.Error(got)
	}
	// Resetting what alone binds the role is refused.
	f.must(engine.Update, "role/r", object{"bind_secret_id": false})
	f.fails(engine.Delete, "role/r/token-bound-cidrs", nil, "at least one constraint")
}

func TestRoleIDIsSetAndMoves(t *testing.T) {
	f := mount(t)
	f.must(engine.Create, "role/r", nil)
	old, secret := f.roleID("r"), f.secretID("r", nil)["secret_id"]
	f.must(engine.Update, "role/r/role-id", object{"role_id": "custom"})
	if _, err := f.login(old, secret); err == nil {
		t.Error("the old role id logs in")
	}
	if g, err := f.login("custom", secret); err != nil || g.Alias != "custom" {
		t.Errorf("%+v, %v", g, err)
	}
	f.must(engine.Create, "role/other", object{"role_id": old}) // is free now
	f.fails(engine.Update, "role/other/role-id", object{"role_id": "custom"}, "already in use")
	f.must(engine.Update, "role/other/role-id", object{"role_id": old}) // its own
}

func TestLogin(t *testing.T) {
	f := mount(t)
	f.must(engine.Create, "role/r", object{
		"token_policies": "p", "token_num_uses": 9, "token_period": "1h", "token_no_default_policy": true, "token_bound_cidrs": "192.0.2.0/24",
		"secret_id_bound_cidrs": "192.0.0.0/16",
	})
	id := f.roleID("r")
	s := f.secretID("r", object{"metadata": `{"tag":"prod"}`, "cidr_list": "192.0.2.0/30", "token_bound_cidrs": []string{"192.0.2.0/25"}})
	g, err := f.login(id, s["secret_id"])
	if err != nil {
		t.Fatal(err)
	}
	want := &engine.Grant{
		Policies: []string{"p"}, NoDefaultPolicy: true, Period: time.Hour, NumUses: 9, BoundCIDRs: []string{"192.0.2.0/25"}, Type: "default",
		Alias: id, Role: "r", Metadata: map[string]string{"tag": "prod", "role_name": "r"},
	}
	if !reflect.DeepEqual(g, want) {
		t.Errorf("got %+v\nwant %+v", g, want)
	}
	for remote, want := range map[string]string{
		"192.0.2.9:1": "restrictions on the secret ID", "[::ffff:192.0.2.1]:1": "",
	} {
		f.remote = remote
		if _, err := f.login(id, s["secret_id"]); (want == "") != (err == nil) || want != "" && !strings.Contains(err.Error(), want) {
			t.Errorf("from %s: %v", remote, err)
		}
	}
	wide := f.secretID("r", nil)["secret_id"]
	for remote, want := range map[string]string{"192.0.3.1:1": "permission denied", "203.0.113.1:1": "restrictions on the role"} {
		f.remote = remote
		if _, err := f.login(id, wide); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("from %s: %v", remote, err)
		}
	}
	// Without bind_secret_id the networks alone decide.
	f.remote = "192.0.2.1:1"
	f.must(engine.Update, "role/r", object{"bind_secret_id": false})
	if g, err := f.login(id, ""); err != nil || g.Metadata["role_name"] != "r" || len(g.Metadata) != 1 {
		t.Errorf("%+v, %v", g, err)
	}
	f.fails(engine.Update, "role/r/secret-id", nil, "bind_secret_id is not set")
}

// Lesson: an unknown role is answered as a wrong secret is, and both count as guesses.
func TestLessonUnknownRolesHearTheSame(t *testing.T) {
	f := mount(t)
	f.must(engine.Create, "role/r", object{"role_id": "known"})
	f.must(engine.Create, "role/other", nil)
	foreign := f.secretID("other", nil)["secret_id"]
	for _, c := range []struct{ role, secret any }{{"known", "wrong"}, {"unknown", "wrong"}, {"known", foreign}, {"unknown", foreign}} {
		_, err := f.login(c.role, c.secret)
		if err == nil || err.Error() != "invalid role or secret ID" || !engine.IsBadLogin(err) || engine.KindOf(err) != engine.Invalid {
			t.Errorf("%v: %v", c, err)
		}
	}
	for _, id := range []string{"known", "unknown"} {
		if _, err := f.login(id, ""); err == nil || err.Error() != "missing secret_id" {
			t.Errorf("%s: %v", id, err)
		}
	}
	f.fails(engine.Update, "login", object{"secret_id": "x"}, "missing role_id")
	if _, err := mount(t).login("x", "y"); !engine.IsBadLogin(err) {
		t.Errorf("on a mount without roles: %v", err)
	}
}

func TestSecretIDUses(t *testing.T) {
	f := mount(t)
	f.must(engine.Create, "role/r", object{"secret_id_num_uses": 3, "secret_id_ttl": "1h"})
	id := f.roleID("r")
	s := f.secretID("r", nil)
	for i := range 3 {
		if got := f.must(engine.Update, "role/r/secret-id/lookup", object{"secret_id": s["secret_id"]})["secret_id_num_uses"]; got != int64(3-i) {
			t.Errorf("use %d: %v are left", i, got)
		}
		if _, err := f.login(id, s["secret_id"]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.login(id, s["secret_id"]); !engine.IsBadLogin(err) {
		t.Errorf("a fourth use: %v", err)
	}
	if n := f.Due(); n != 0 {
		t.Errorf("%d items are left in the due index", n)
	}
	if _, err := f.Do(engine.List, "role/r/secret-id", nil); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a used up secret id's accessor is left: %v", err)
	}
	for _, c := range []struct {
		body object
		want string
	}{
		{object{"num_uses": 4}, "num_uses cannot be higher"},
		{object{"num_uses": 0}, "num_uses cannot be higher"},
		{object{"num_uses": -1}, "cannot be negative"},
		{object{"ttl": "61m"}, "ttl cannot be longer"},
		{object{"ttl": 0}, "ttl cannot be longer"},
		{object{"metadata": "{"}, "metadata must be"},
		{object{"metadata": []int{1}}, "metadata must be"},
		{object{"metadata": strings.Repeat("x", maxMetadata)}, "larger than"},
		{object{"cidr_list": "x"}, "'cidr_list'"},
	} {
		f.fails(engine.Update, "role/r/secret-id", c.body, c.want)
	}
	f.must(engine.Update, "role/r", object{"secret_id_bound_cidrs": "10.0.0.0/8", "token_bound_cidrs": "10.0.0.0/8"})
	f.fails(engine.Update, "role/r/secret-id", object{"cidr_list": "11.0.0.0/16"}, "cidr_list must be a subset")
	f.fails(engine.Update, "role/r/secret-id", object{"token_bound_cidrs": "11.0.0.0/16"}, "token_bound_cidrs must be a subset")
}

func TestSecretIDLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := mount(t)
		f.must(engine.Create, "role/r", nil)
		f.must(engine.Create, "role/other", nil)
		made := f.must(engine.Update, "role/r/custom-secret-id", object{"secret_id": "mine", "ttl": "10m", "num_uses": 50, "metadata": object{"a": "b"}})
		if made["secret_id"] != "mine" || made["secret_id_ttl"] != int64(600) || made["secret_id_num_uses"] != int64(50) {
			t.Errorf("%v", made)
		}
		f.fails(engine.Update, "role/r/custom-secret-id", object{"secret_id": "mine"}, "already registered")
		f.fails(engine.Update, "role/r/custom-secret-id", nil, "missing secret_id")
		accessor := made["secret_id_accessor"]
		want := object{
			"secret_id_accessor": accessor, "secret_id_ttl": int64(600), "secret_id_num_uses": int64(50), "creation_time": "2000-01-01T00:00:00Z",
			"last_updated_time": "2000-01-01T00:00:00Z", "expiration_time": "2000-01-01T00:10:00Z", "metadata": map[string]string{"a": "b"},
			"cidr_list": []string{}, "token_bound_cidrs": []string{},
		}
		if got := f.must(engine.Update, "role/r/secret-id/lookup", object{"secret_id": "mine"}); !reflect.DeepEqual(got, want) {
			t.Errorf("got %v\nwant %v", got, want)
		}
		if got := f.must(engine.Update, "role/R/secret-id-accessor/lookup", object{"secret_id_accessor": accessor}); !reflect.DeepEqual(got, want) {
			t.Errorf("got %v\nwant %v", got, want)
		}
		if got := f.must(engine.Update, "role/r/secret-id/lookup", object{"secret_id": "none"}); got != nil {
			t.Errorf("a secret id that is not there: %v", got)
		}
		// Another role's accessor is none.
		f.fails(engine.Update, "role/other/secret-id-accessor/lookup", object{"secret_id_accessor": accessor}, "failed to find accessor entry")
		f.fails(engine.Update, "role/other/secret-id-accessor/destroy", object{"secret_id_accessor": accessor}, "failed to find accessor entry")

		f.must(engine.Update, "role/r/secret-id-accessor/destroy", object{"secret_id_accessor": accessor})
		again := f.must(engine.Update, "role/r/custom-secret-id", object{"secret_id": "mine"})
		f.must(engine.Delete, "role/r/secret-id/destroy", object{"secret_id": "mine"})
		f.fails(engine.Update, "role/r/secret-id-accessor/lookup", object{"secret_id_accessor": again["secret_id_accessor"]}, "failed to find accessor entry")
		if f.Due() != 0 {
			t.Error("a destroyed secret id is left in the due index")
		}
	})
}

// A secret id is over at its time, whether or not the sweeper has come by.
func TestSecretIDExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := mount(t)
		f.must(engine.Create, "role/r", object{"secret_id_ttl": "1h"})
		id := f.roleID("r")
		s := f.secretID("r", nil)
		short := f.secretID("r", object{"ttl": 60})
		time.Sleep(59 * time.Second)
		if _, err := f.login(id, short["secret_id"]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, err := f.login(id, short["secret_id"]); !engine.IsBadLogin(err) {
			t.Errorf("after its time: %v", err)
		}
		f.fails(engine.Update, "role/r/secret-id-accessor/lookup", object{"secret_id_accessor": short["secret_id_accessor"]}, "failed to find")
		if n := f.Expire(time.Now()); n != 1 {
			t.Errorf("%d items were due", n)
		}
		if got := f.must(engine.List, "role/r/secret-id", nil)["keys"]; !reflect.DeepEqual(got, []string{s["secret_id_accessor"].(string)}) {
			t.Errorf("accessors left: %v", got)
		}
		if _, err := f.login(id, s["secret_id"]); err != nil {
			t.Error(err)
		}
	})
}

// A deleted role's secret ids are dead at once, even if one of its name comes
// back, and their keys go in bounded batches.
func TestDeletedRoleLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := mount(t)
		f.must(engine.Create, "role/r", object{"secret_id_ttl": "1h"})
		id := f.roleID("r")
		var secret any
		for range sweepBatch + 5 {
			secret = f.secretID("r", nil)["secret_id"]
		}
		f.must(engine.Delete, "role/r", nil)
		f.must(engine.Create, "role/r", object{"role_id": id})
		if _, err := f.login(id, secret); !engine.IsBadLogin(err) {
			t.Errorf("a secret id of the deleted role: %v", err)
		}
		for range 3 {
			f.Expire(time.Now())
			time.Sleep(time.Second)
		}
		if n := f.Due(); n != 0 {
			t.Errorf("%d items are left in the due index", n)
		}
		var left []string
		for k := range f.Store.Keys(t.Context(), "mount/test/", "") {
			left = append(left, k)
		}
		if len(left) != 3 { // the key, the new role and its id
			t.Errorf("left: %v", left)
		}
	})
}

// Lesson: a disk, or whoever reads storage, learns no secret id and no role id from a key.
func TestLessonNothingIsStoredInPlain(t *testing.T) {
	f := mount(t)
	f.must(engine.Create, "role/r", object{"role_id": "our-role"})
	f.must(engine.Update, "role/r/custom-secret-id", object{"secret_id": "our-secret"})
	random := f.secretID("r", nil)["secret_id"].(string)
	for k, err := range f.Store.Keys(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		e, err := f.Store.Get(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"our-secret", random} {
			if strings.Contains(k, secret) || strings.Contains(string(e.Value), secret) {
				t.Errorf("%s holds a secret id", k)
			}
		}
		if strings.Contains(k, "our-role") {
			t.Errorf("%s names a role id", k)
		}
	}
}

func TestTidy(t *testing.T) {
	resp, err := mount(t).Do(engine.Update, "tidy/secret-id", nil)
	if err != nil || !resp.Accepted || len(resp.Warnings) != 1 {
		t.Errorf("%+v, %v", resp, err)
	}
}

func TestLoginNamesTheRoleID(t *testing.T) {
	f := mount(t)
	routes := f.Engine.Routes()
	i := slices.IndexFunc(routes, func(r engine.Route) bool { return r.Path == "login" })
	data, _, err := engine.Decode(routes[i].Fields, []byte(`{"role_id":"A"}`), nil, nil)
	if err != nil || routes[i].Login(&engine.Request{Data: data}) != "A" {
		t.Error("failures do not count against the role id")
	}
}

func FuzzMetadata(f *testing.F) {
	for _, s := range []string{`{"a":"b"}`, `"{\"a\":\"b\"}"`, `""`, `null`, `[]`, `"{"`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := parseMetadata(raw)
		if err != nil && (m != nil || engine.KindOf(err) != engine.Invalid) {
			t.Errorf("%q: %v, %v", raw, m, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "metadata must be a JSON object of strings") && !strings.HasPrefix(err.Error(), "metadata is larger") {
			t.Errorf("the error may repeat its input: %v", err)
		}
	})
}

func BenchmarkLogin(b *testing.B) {
	m := enginetest.New(b, storage.NewMem(), "auth/approle/", Factory, nil)
	m.Before = func(r *engine.Request) { r.Remote = netip.MustParseAddrPort("192.0.2.1:1") }
	do := func(path string, body any) *engine.Response {
		resp, err := m.Do(engine.Update, path, body)
		if err != nil {
			b.Fatal(err)
		}
		return resp
	}
	do("role/r", object{"role_id": "r"})
	secret := do("role/r/secret-id", object{"num_uses": 1 << 40}).Data.(object)["secret_id"]
	for b.Loop() {
		do("login", object{"role_id": "r", "secret_id": secret})
	}
}
