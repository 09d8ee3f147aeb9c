package active_test

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
	"strongroom/internal/gateway"
	"strongroom/internal/storage/storagetest"
)

// wrapped is do with X-Vault-Wrap-TTL.
func (s *server) wrapped(ttl time.Duration, token string, op engine.Operation, path, body string) (*gateway.Response, error) {
	s.t.Helper()
	return s.serve(s.t.Context(), &gateway.Request{ID: "id", Operation: op, Path: path, Token: token, Body: []byte(body), Remote: netip.MustParseAddrPort("10.0.0.1:1"), WrapTTL: ttl})
}

// wrap is wrapped, which must succeed; it returns the wrapping token.
func (s *server) wrap(token string, op engine.Operation, path, body string) string {
	s.t.Helper()
	resp, err := s.wrapped(time.Minute, token, op, path, body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", op, path, err)
	}
	if resp.WrapInfo == nil || resp.Data != nil || resp.Auth != nil {
		s.t.Fatalf("%s %s is not wrapped: %+v", op, path, resp)
	}
	return resp.WrapInfo.Token
}

const notWrapping = "wrapping token is not valid or does not exist"

func TestWrapAndUnwrap(t *testing.T) {
	s := start(t)
	s.prepare()
	tok, _ := s.login(`{"policies":"reader"}`)
	resp, err := s.wrapped(90*time.Second, tok, engine.Read, "secret/data/app/db", "")
	if err != nil {
		t.Fatal(err)
	}
	w := resp.WrapInfo
	if !strings.HasPrefix(w.Token, "hvs.") || w.TTL != 90*time.Second || w.Path != "secret/data/app/db" || w.Accessor == "" || w.WrappedAccessor != "" || w.Created.IsZero() {
		t.Errorf("wrap_info: %+v", w)
	}
	look := data(t, s.must("", engine.Update, "sys/wrapping/lookup", `{"token":"`+w.Token+`"}`)) // by anybody, as often as they like
	if look["creation_path"] != "secret/data/app/db" || look["creation_ttl"] != 90.0 || look["creation_time"] != w.Created.Format(time.RFC3339Nano) {
		t.Errorf("lookup: %v", look)
	}
	s.must(w.Token, engine.Update, "sys/wrapping/lookup", "")

	// The wrapping token can do nothing else, and no attempt spends it.
	s.fails(engine.Denied, "permission denied", w.Token, engine.Read, "secret/data/app/db", "")
	s.fails(engine.Denied, "permission denied", w.Token, engine.Read, "auth/token/lookup-self", "")
	s.fails(engine.Denied, "permission denied", w.Token, engine.Update, "auth/token/create", "")
	s.fails(engine.Denied, "permission denied", w.Token, engine.Read, "cubbyhole/response", "")

	got := data(t, s.must(w.Token, engine.Update, "sys/wrapping/unwrap", ""))
	if got["data"].(map[string]any)["k"] != "v" || got["metadata"].(map[string]any)["version"] != 1.0 {
		t.Errorf("unwrapped: %v", got)
	}
	for name, body := range map[string]string{"by itself": "", "in the body": `{"token":"` + w.Token + `"}`} {
		token := w.Token
		if body != "" {
			token = tok
		}
		_, err := s.do(token, engine.Update, "sys/wrapping/unwrap", body)
		if engine.KindOf(err) != engine.Invalid || err.Error() != notWrapping {
			t.Errorf("a second unwrap %s: %v", name, err)
		}
	}
	s.fails(engine.Invalid, notWrapping, "", engine.Update, "sys/wrapping/lookup", `{"token":"`+w.Token+`"}`)
	s.fails(engine.Invalid, notWrapping, tok, engine.Update, "sys/wrapping/unwrap", `{"token":"`+tok+`"}`) // not a wrapping token
	s.fails(engine.Invalid, notWrapping, tok, engine.Update, "sys/wrapping/unwrap", "")
	s.must(tok, engine.Read, "secret/data/app/db", "") // and it lives on
	for _, prefix := range []string{"ns/root/token/wrap/", "ns/root/token/empty/"} {
		if n := s.keysOf(prefix); n != 0 {
			t.Errorf("%d keys are left below %s", n, prefix)
		}
	}
}

func TestWrapEverything(t *testing.T) {
	s := start(t)
	s.prepare()
	tok, _ := s.login(`{}`)

	// A login, by whose wrapping nobody on the way sees the token.
	login := s.must(tok, engine.Update, "sys/wrapping/unwrap", `{"token":"`+s.wrap("", engine.Update, "auth/login/login", `{"policies":"reader","ttl":"1h"}`)+`"}`)
	if login.Auth == nil || login.Auth.LeaseDuration != time.Hour || !slices.Contains(login.Auth.Token.Policies, "reader") {
		t.Fatalf("an unwrapped login: %+v", login.Auth)
	}
	s.must(login.Auth.ClientToken, engine.Read, "secret/data/app/db", "")
	made, err := s.wrapped(time.Minute, s.root, engine.Update, "auth/token/create", `{"policies":["reader"]}`)
	if err != nil || made.WrapInfo.WrappedAccessor == "" {
		t.Fatalf("a wrapped token: %+v, %v", made, err)
	}
	inside := s.must(made.WrapInfo.Token, engine.Update, "sys/wrapping/unwrap", "")
	if inside.Auth.Token.Accessor != made.WrapInfo.WrappedAccessor {
		t.Errorf("wrapped_accessor is %s, the token's %s", made.WrapInfo.WrappedAccessor, inside.Auth.Token.Accessor)
	}

	// The caller's own data, whatever its names, and numbers as they were written.
	own := s.must(tok, engine.Update, "sys/wrapping/unwrap", `{"token":"`+s.wrap(tok, engine.Update, "sys/wrapping/wrap", `{"token":"x","n":12345678901234567890,"f":1.50}`)+`"}`)
	if b := string(marshal(t, own.Data)); b != `{"token":"x","n":12345678901234567890,"f":1.50}` {
		t.Errorf("unwrapped data: %s", b)
	}
	s.fails(engine.Invalid, "endpoint requires response wrapping to be used", tok, engine.Update, "sys/wrapping/wrap", `{"a":1}`)

	// What repeats its data beside "data" does so unwrapped, too; lists and warnings survive.
	list := s.must(s.wrap(s.root, engine.List, "sys/policies/acl", ""), engine.Update, "sys/wrapping/unwrap", "")
	if fields, ok := list.Data.(map[string]any); !list.TopLevel || !ok || fields["keys"] == nil {
		t.Errorf("an unwrapped list: %+v", list)
	}
	warned := s.must(s.wrap(s.root, engine.Update, "auth/token/create", `{"policies":["nonesuch"]}`), engine.Update, "sys/wrapping/unwrap", "")
	if len(warned.Warnings) != 1 {
		t.Errorf("warnings: %q", warned.Warnings)
	}

	// Nothing is not wrapped, nor is what is not there, nor an error.
	if resp, err := s.wrapped(time.Minute, s.root, engine.Update, "sys/policy/x", `{"policy":"path \"a\" { capabilities = [\"read\"] }"}`); err != nil || !resp.Empty || resp.WrapInfo != nil {
		t.Errorf("a write without an answer: %+v, %v", resp, err)
	}
	s.must(s.root, engine.Delete, "secret/data/app/db", "")
	if resp, err := s.wrapped(time.Minute, s.root, engine.Read, "secret/data/app/db", ""); err != nil || !resp.Missing || resp.WrapInfo != nil {
		t.Errorf("a deleted version: %+v, %v", resp, err)
	}
	if n := s.keysOf("ns/root/token/wrap/"); n != 0 {
		t.Errorf("%d answers are kept", n)
	}
}

func TestRewrap(t *testing.T) {
	s := start(t)
	s.prepare()
	old := s.wrap("", engine.Update, "auth/login/login", `{"policies":"reader"}`)
	resp := s.must(s.root, engine.Update, "sys/wrapping/rewrap", `{"token":"`+old+`"}`)
	w := resp.WrapInfo
	if w == nil || w.Token == old || w.TTL != time.Minute || w.Path != "auth/login/login" || w.WrappedAccessor == "" {
		t.Fatalf("rewrapped: %+v", resp)
	}
	s.fails(engine.Invalid, notWrapping, s.root, engine.Update, "sys/wrapping/rewrap", `{"token":"`+old+`"}`)
	s.fails(engine.Invalid, notWrapping, old, engine.Update, "sys/wrapping/unwrap", "")
	login := s.must(w.Token, engine.Update, "sys/wrapping/unwrap", "")
	s.must(login.Auth.ClientToken, engine.Read, "secret/data/app/db", "")
}

// Wrapping and unwrapping, by the token itself or by another, are one entry of
// the log each.
func TestWrappingIsOneEntry(t *testing.T) {
	s := start(t)
	s.prepare()
	store := storagetest.NewFaults(s.store, nil)
	s.s.Close()
	s.store = store
	s.reopen()
	tok, _ := s.login(`{}`)
	one := func(what string, do func()) {
		t.Helper()
		before := store.Applies()
		do()
		if n := store.Applies() - before; n != 1 {
			t.Errorf("%s: %d entries, want 1", what, n)
		}
	}
	var a, b string
	one("a wrapped read", func() { a = s.wrap(s.root, engine.Read, "secret/data/app/db", "") })
	one("a wrapped login", func() { b = s.wrap("", engine.Update, "auth/login/login", `{}`) })
	one("unwrapping by the token itself", func() { s.must(a, engine.Update, "sys/wrapping/unwrap", "") })
	one("unwrapping by another", func() { s.must(tok, engine.Update, "sys/wrapping/unwrap", `{"token":"`+b+`"}`) })
}

// However many try at once, one gets the answer.
func TestUnwrapOnce(t *testing.T) {
	s := start(t)
	s.prepare()
	w := s.wrap(s.root, engine.Read, "secret/data/app/db", "")
	var got atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := s.do(w, engine.Update, "sys/wrapping/unwrap", ""); err == nil {
				got.Add(1)
			}
		})
	}
	wg.Wait()
	if got.Load() != 1 {
		t.Errorf("%d of 16 unwrapped one token", got.Load())
	}
}

// What nobody unwraps in time is gone.
func TestWrappedAnswersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		defer s.s.Close()
		s.prepare()
		late := s.wrap(s.root, engine.Read, "secret/data/app/db", "")
		s.must(s.root, engine.Update, "auth/token/revoke", `{"token":"`+s.wrap(s.root, engine.Read, "secret/data/app/db", "")+`"}`)
		if n := s.keysOf("ns/root/token/wrap/"); n != 1 {
			t.Errorf("%d answers are kept, want 1", n)
		}
		time.Sleep(time.Minute + time.Second)
		s.fails(engine.Invalid, notWrapping, late, engine.Update, "sys/wrapping/unwrap", "")
		s.fails(engine.Invalid, notWrapping, "", engine.Update, "sys/wrapping/lookup", `{"token":"`+late+`"}`)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := s.keysOf("ns/root/token/wrap/"); n != 0 {
			t.Errorf("%d answers are left", n)
		}
	})
}

func TestPolicyDemandsWrapping(t *testing.T) {
	s := start(t)
	s.prepare()
	tok := s.grant("wrapper", "path \"secret/data/app/*\" {\n capabilities = [\"read\"]\n min_wrapping_ttl = \"30s\"\n max_wrapping_ttl = \"90s\"\n}\n"+
		"path \"sys/policy/Reader\" {\n capabilities = [\"read\"]\n min_wrapping_ttl = \"30s\"\n}\npath \"sys/policy/reader\" { capabilities = [\"read\"] }\n"+
		"path \"secret/metadata/app/*\" {\n capabilities = [\"read\"]\n max_wrapping_ttl = \"90s\"\n}")
	for ttl, want := range map[time.Duration]string{
		0: "wrapped", 10 * time.Second: "at least 30s", 30 * time.Second: "", 90 * time.Second: "", 91 * time.Second: "at most 1m30s",
	} {
		_, err := s.wrapped(ttl, tok, engine.Read, "secret/data/app/db", "")
		switch {
		case want == "" && err != nil:
			t.Errorf("wrapped for %s: %v", ttl, err)
		case want != "" && (engine.KindOf(err) != engine.Denied || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "permission denied")):
			t.Errorf("wrapped for %s: %v, want %q", ttl, err, want)
		}
	}
	s.must(tok, engine.Read, "secret/metadata/app/db", "") // a maximum alone does not demand it
	s.fails(engine.Denied, "permission denied", tok, engine.Read, "sys/policy/Reader", "")
	s.fails(engine.Denied, "permission denied", tok, engine.Read, "secret/data/app/none", "")
}

func TestWrappingPolicyIsNotForOthers(t *testing.T) {
	s := start(t)
	s.prepare()
	s.fails(engine.Invalid, "cannot assign policy", s.root, engine.Update, "auth/token/create", `{"policies":["Response-Wrapping"]}`)
	s.fails(engine.Invalid, "cannot assign policy", "", engine.Update, "auth/login/login", `{"policies":"response-wrapping"}`)
	s.fails(engine.Invalid, "cannot update", s.root, engine.Update, "sys/policy/response-wrapping", `{"policy":"path \"*\" { capabilities = [\"read\"] }"}`)
	if got := data(t, s.must(s.root, engine.Read, "sys/policies/acl/response-wrapping", "")); !strings.Contains(got["policy"].(string), "sys/wrapping/unwrap") {
		t.Errorf("the policy reads as %v", got)
	}
}
