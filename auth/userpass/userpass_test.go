package userpass

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"strongroom/engine"
	"strongroom/engine/enginetest"
	"strongroom/internal/storage"
)

type object = map[string]any

type fixture struct {
	*enginetest.Mounted
	t      *testing.T
	method *Method
	remote string
}

func mount(t *testing.T) *fixture {
	f := &fixture{t: t, remote: "192.0.2.1:1"}
	f.Mounted = enginetest.New(t, storage.NewMem(), "auth/userpass/", Factory, nil)
	f.method = f.Engine.(*Method)
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

func (f *fixture) login(name, password string) (*engine.Grant, error) {
	f.t.Helper()
	resp, err := f.Do(engine.Update, "login/"+name, object{"password": password})
	if err != nil {
		return nil, err
	}
	return resp.Grant, nil
}

func TestUser(t *testing.T) {
	f := mount(t)
	f.must(engine.Create, "users/Ada", object{"password": "s3cret", "policies": "p", "ttl": "1h", "token_bound_cidrs": "192.0.2.0/24"})
	want := object{
		"policies": []string{"p"}, "token_policies": []string{"p"}, "ttl": int64(3600), "token_ttl": int64(3600), "token_max_ttl": int64(0), "token_type": "default",
		"token_bound_cidrs": []string{"192.0.2.0/24"}, "token_explicit_max_ttl": int64(0), "token_no_default_policy": false, "token_num_uses": int64(0), "token_period": int64(0),
	}
	if got := f.must(engine.Read, "users/ada", nil); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	g, err := f.login("ADA", "s3cret")
	if err != nil {
		t.Fatal(err)
	}
	wantGrant := &engine.Grant{Policies: []string{"p"}, DisplayName: "ada", Alias: "ada", Metadata: map[string]string{"username": "ada"}, TTL: time.Hour,
		BoundCIDRs: []string{"192.0.2.0/24"}, Type: "default"}
	if !reflect.DeepEqual(g, wantGrant) {
		t.Errorf("got %+v\nwant %+v", g, wantGrant)
	}
	f.remote = "203.0.113.1:1"
	if _, err := f.login("ada", "s3cret"); !errors.Is(err, engine.ErrDenied) {
		t.Errorf("from elsewhere: %v", err)
	}
	if _, err := f.login("ada", "wrong"); !engine.IsBadLogin(err) {
		t.Errorf("a wrong password from elsewhere tells that the address is wrong: %v", err)
	}
	f.remote = "192.0.2.1:1"

	// An update keeps the password, and the two changes of one thing keep the rest.
	f.must(engine.Update, "users/ada", object{"token_ttl": 60})
	f.must(engine.Update, "users/ada/policies", object{"token_policies": "q,r"})
	f.must(engine.Update, "users/ada/password", object{"password": "other"})
	if g, err := f.login("ada", "other"); err != nil || g.TTL != time.Minute || !reflect.DeepEqual(g.Policies, []string{"q", "r"}) {
		t.Errorf("%+v, %v", g, err)
	}
	if _, err := f.login("ada", "s3cret"); err == nil {
		t.Error("the old password logs in")
	}
	if got := f.must(engine.List, "users", nil)["keys"]; !reflect.DeepEqual(got, []string{"ada"}) {
		t.Errorf("list: %v", got)
	}
	f.must(engine.Delete, "users/ADA", nil)
	for op, path := range map[engine.Operation]string{engine.Read: "users/ada", engine.List: "users"} {
		if _, err := f.Do(op, path, nil); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("%s after the delete: %v", path, err)
		}
	}
}

func TestPasswordHash(t *testing.T) {
	f := mount(t)
	hash := func(cost int) string {
		b, err := bcrypt.GenerateFromPassword([]byte("pw"), cost)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if resp, err := f.Do(engine.Create, "users/u", object{"password_hash": strings.Replace(hash(10), "$2a$", "$2b$", 1)}); err != nil || resp != nil {
		t.Fatalf("%v, %v", resp, err)
	}
	if _, err := f.login("u", "pw"); err != nil {
		t.Error(err)
	}
	if resp, err := f.Do(engine.Update, "users/u/password", object{"password_hash": hash(4)}); err != nil || len(resp.Warnings) != 1 {
		t.Errorf("a cheap hash: %v, %v", resp, err)
	}
	if _, err := f.login("u", "pw"); err != nil {
		t.Error(err)
	}
	good := hash(10)
	for name, bad := range map[string]string{
		"text": "secret", "short": good[:59], "long": good + "x", "cost": strings.Replace(good, "$10$", "$31$", 1), "alphabet": good[:20] + "*" + good[21:],
	} {
		_, err := f.Do(engine.Update, "users/u/password", object{"password_hash": bad})
		if err == nil || engine.KindOf(err) != engine.Invalid || strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUserErrors(t *testing.T) {
	f := mount(t)
	f.must(engine.Create, "users/u", object{"password": "x"})
	for _, c := range []struct {
		path string
		body object
		want string
	}{
		{"users/new", object{}, "missing password"},
		{"users/new", object{"password": "x", "password_hash": "y"}, "cannot be supplied together"},
		{"users/new", object{"password": strings.Repeat("x", 73)}, "longer than 72 bytes"},
		{"users/new", object{"password": "x", "token_policies": "root"}, "root"},
		{"users/" + strings.Repeat("x", 513), object{"password": "x"}, "at most 512 bytes"},
		{"users/u ", object{"password": "x"}, "no space at its ends"},
		{"users/u/password", object{}, "missing password"},
		{"users/u/policies", object{}, "missing token_policies"},
		{"users/none/password", object{"password": "x"}, "does not exist"},
		{"users/none/policies", object{"policies": "x"}, "does not exist"},
		{"login/u", object{}, "missing password"},
	} {
		if _, err := f.Do(engine.Update, c.path, c.body); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v: %v, want %q", c.path, c.body, err, c.want)
		}
	}
}

// Lesson: neither the answer nor the work tells whether a user exists.
func TestLessonUnknownUsersCostAndHearTheSame(t *testing.T) {
	f := mount(t)
	f.must(engine.Create, "users/ada", object{"password": strings.Repeat("x", 72)})
	var costs []int
	f.method.compare = func(hash, password []byte) error {
		cost, err := bcrypt.Cost(hash)
		if err != nil {
			t.Errorf("compared with %q: %v", hash, err)
		}
		costs = append(costs, cost)
		return bcrypt.CompareHashAndPassword(hash, password)
	}
	for _, c := range []struct{ name, password string }{
		{"ada", "wrong"}, {"nobody", "wrong"}, {"Ada", "x"}, {"ada%20", "x"}, {"ada", strings.Repeat("x", 73)}, {"nobody", strings.Repeat("x", 10_000)},
	} {
		costs = nil
		_, err := f.login(c.name, c.password)
		if err == nil || err.Error() != "invalid username or password" || !engine.IsBadLogin(err) || engine.KindOf(err) != engine.Invalid {
			t.Errorf("%s: %v", c.name, err)
		}
		if !reflect.DeepEqual(costs, []int{bcrypt.DefaultCost}) {
			t.Errorf("%s: compared at the costs %v", c.name, costs)
		}
	}
}

// The hash that stands for nobody is one that bcrypt works on to the end.
func TestNobody(t *testing.T) {
	if w, err := checkHash(nobody); err != nil || w != nil {
		t.Errorf("%v, %v", w, err)
	}
	if err := bcrypt.CompareHashAndPassword([]byte(nobody), []byte("x")); !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		t.Error(err)
	}
}

// Failures count against the name as the users know it.
func TestLoginNamesTheUser(t *testing.T) {
	f := mount(t)
	router, err := engine.NewRouter(f.Engine.Routes())
	if err != nil {
		t.Fatal(err)
	}
	route, params, _ := router.Match(engine.Update, "login/ADA")
	data, _, err := engine.Decode(route.Fields, nil, nil, params)
	if err != nil || route.Login(&engine.Request{Data: data}) != "ada" {
		t.Error("the name is not lower case")
	}
}

// Anybody may log in, so logins take turns; whoever gives up waiting frees their place.
func TestLoginsTakeTurns(t *testing.T) {
	f := mount(t)
	for range cap(f.method.turns) {
		f.method.turns <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.method.check(ctx, nobody, "x"); engine.KindOf(err) != engine.Unavailable {
		t.Errorf("%v", err)
	}
	<-f.method.turns
	if right, err := f.method.check(t.Context(), nobody, "x"); err != nil || right {
		t.Errorf("%v, %v", right, err)
	}
}

// Lesson: no password and no hash of one is shown or printed.
func TestLessonPasswordsAreNotShown(t *testing.T) {
	f := mount(t)
	f.must(engine.Create, "users/ada", object{"password": "s3cret"})
	if text := fmt.Sprint(f.must(engine.Read, "users/ada", nil)); strings.Contains(text, "$2a$") || strings.Contains(text, "password") {
		t.Error(text)
	}
	if text := fmt.Sprintf("%v %+v %s %q", &user{Hash: "hash-of-it"}, user{Hash: "hash-of-it"}, secret("hash-of-it"), secret("hash-of-it")); strings.Contains(text, "hash-of-it") {
		t.Error(text)
	}
}

func FuzzPasswordHash(f *testing.F) {
	f.Add("$2a$10$rNtKujK2XOEPOn2OvlwU3O/HfiKoNA0RVpHNfMFxxG86.3owDkoN6")
	f.Add("$2b$31$")
	f.Add(strings.Repeat("$", 60))
	f.Fuzz(func(t *testing.T, hash string) {
		if _, err := checkHash(hash); err != nil {
			return
		}
		cost, err := bcrypt.Cost([]byte(hash))
		if err != nil || cost > maxCost {
			t.Fatalf("%q was taken: %d, %v", hash, cost, err)
		}
		if cost > 4 {
			return // the same code, slower
		}
		if err := bcrypt.CompareHashAndPassword([]byte(hash), []byte("x")); err != nil && !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			t.Errorf("%q was taken, and fails a login early: %v", hash, err)
		}
	})
}
