package active_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
	"strongroom/internal/mount"
	"strongroom/internal/storage"
)

// keysOf counts the keys that begin with prefix.
func (s *server) keysOf(prefix string) (n int) {
	s.t.Helper()
	for _, err := range s.store.Keys(s.t.Context(), prefix, "") {
		if err != nil {
			s.t.Fatal(err)
		}
		n++
	}
	return n
}

// cubbyholes is where all tokens' cubbyholes are stored.
func (s *server) cubbyholes() string {
	s.t.Helper()
	table, err := mount.Load(s.t.Context(), storage.Begin(s.store), "root")
	if err != nil {
		s.t.Fatal(err)
	}
	e, ok := table.Find("cubbyhole/")
	if !ok {
		s.t.Fatal("nothing is mounted at cubbyhole/")
	}
	return mount.DataPrefix(e.UUID)
}

func TestLessonCubbyholeIsTheTokensOwn(t *testing.T) {
	s := start(t)
	s.prepare()
	one, _ := s.login(`{}`)
	two, _ := s.login(`{}`)
	s.must(one, engine.Update, "cubbyhole/a", `{"k":"1"}`)
	s.must(two, engine.Update, "cubbyhole/a", `{"k":"2"}`)
	for token, want := range map[string]string{one: "1", two: "2"} {
		if got := data(t, s.must(token, engine.Read, "cubbyhole/a", "")); got["k"] != want {
			t.Errorf("a cubbyhole holds %v, want %s", got, want)
		}
	}
	s.fails(engine.NotFound, "", s.root, engine.Read, "cubbyhole/a", "") // not even root's
	s.fails(engine.NotFound, "", s.root, engine.List, "cubbyhole", "")
	s.fails(engine.Invalid, "cannot disable", s.root, engine.Delete, "sys/mounts/cubbyhole", "")
	s.fails(engine.Invalid, "plugin not found in the catalog", s.root, engine.Update, "sys/mounts/mine", `{"type":"cubbyhole"}`)
	s.fails(engine.Invalid, "the path is the server's own", s.root, engine.Update, "sys/mounts/cubbyhole/x", `{"type":"kv"}`)
}

// A cubbyhole goes with its token, however that ends, in bounded batches; tokens
// that put nothing in it cost nothing.
func TestCubbyholeEndsWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		defer s.s.Close()
		s.prepare()
		revoked, _ := s.login(`{}`)
		expires, _ := s.login(`{"ttl":"1m"}`)
		spent, _ := s.login(`{"num_uses":2}`)
		kept, _ := s.login(`{}`)
		empty, _ := s.login(`{}`)
		for i := range 1200 {
			s.must(revoked, engine.Update, fmt.Sprintf("cubbyhole/f/%d", i), `{"k":"v"}`)
		}
		for _, token := range []string{expires, spent, spent, kept} { // spent's last use writes
			s.must(token, engine.Update, "cubbyhole/a", `{"k":"v"}`)
		}
		if n := s.keysOf(s.cubbyholes()); n != 1203 {
			t.Fatalf("%d keys in cubbyholes, want 1203", n)
		}
		s.must(s.root, engine.Update, "auth/token/revoke", `{"token":"`+empty+`"}`)
		if n := s.keysOf("ns/root/token/empty/"); n != 1 { // spent's
			t.Errorf("%d cubbyholes are to be emptied, want 1", n)
		}
		s.must(revoked, engine.Update, "auth/token/revoke-self", "")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := s.keysOf(s.cubbyholes()); n != 1 {
			t.Errorf("%d keys are left in cubbyholes, want the living token's 1", n)
		}
		if n := s.keysOf("ns/root/token/empty/"); n != 0 {
			t.Errorf("%d cubbyholes are still to be emptied", n)
		}
		s.must(kept, engine.Read, "cubbyhole/a", "")
	})
}

// A store from before cubbyholes gets its mount when it is next led.
func TestOlderStoresGetTheMountsOfTheServer(t *testing.T) {
	s := start(t)
	tx := storage.Begin(s.store)
	old, err := mount.Load(t.Context(), tx, "root")
	if err != nil {
		t.Fatal(err)
	}
	old.Entries = slices.DeleteFunc(old.Entries, func(e mount.Entry) bool { return e.Path == "cubbyhole/" })
	if err := old.Save(tx, "root"); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.fails(engine.NotFound, "no handler for route", s.root, engine.Read, "cubbyhole/a", "")
	s.s.Close()
	s.reopen()
	s.must(s.root, engine.Update, "cubbyhole/a", `{"k":"v"}`)
	accessor := data(t, s.must(s.root, engine.Read, "sys/mounts", ""))["cubbyhole/"].(map[string]any)["accessor"].(string)
	if !strings.HasPrefix(accessor, "cubbyhole_") {
		t.Errorf("accessor %q", accessor)
	}
	s.s.Close()
	s.reopen() // and only once
	s.must(s.root, engine.Read, "cubbyhole/a", "")
}
