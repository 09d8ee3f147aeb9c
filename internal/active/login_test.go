package active_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/auth/approle"
	"strongroom/auth/userpass"
	"strongroom/engine"
	"strongroom/internal/gateway"
	"strongroom/internal/mount"
	"strongroom/internal/storage"
)

// counted counts the batches that are written: each is one entry of the log.
type counted struct {
	storage.Store
	batches atomic.Int64
}

func (c *counted) Apply(ctx context.Context, b storage.Batch) error {
	c.batches.Add(1)
	return c.Store.Apply(ctx, b)
}

// startMethods is a server with approle and userpass enabled.
func startMethods(t *testing.T) (*server, *counted) {
	t.Helper()
	s := start(t)
	s.s.Close()
	store := &counted{Store: s.store}
	s.store = store
	s.more = map[string]mount.Type{"approle": {Factory: approle.Factory, Auth: true}, "userpass": {Factory: userpass.Factory, Auth: true}}
	s.reopen()
	for _, kind := range []string{"approle", "userpass"} {
		s.must(s.root, engine.Update, "sys/auth/"+kind, `{"type":"`+kind+`"}`)
	}
	s.must(s.root, engine.Update, "auth/userpass/users/ada", `{"password":"right","token_policies":"p"}`)
	s.must(s.root, engine.Update, "auth/approle/role/app", `{"role_id":"app-id","token_policies":"p","secret_id_num_uses":10,"secret_id_ttl":"1h"}`)
	return s, store
}

// A login writes once: the token, and what it counted of a secret id.
func TestLoginIsOneEntry(t *testing.T) {
	s, store := startMethods(t)
	secret := data(t, s.must(s.root, engine.Update, "auth/approle/role/app/secret-id", ""))["secret_id"].(string)
	for path, body := range map[string]string{
		"auth/approle/login":      `{"role_id":"app-id","secret_id":"` + secret + `"}`,
		"auth/userpass/login/ada": `{"password":"right"}`,
	} {
		before := store.batches.Load()
		resp := s.must("", engine.Update, path, body)
		if n := store.batches.Load() - before; n != 1 {
			t.Errorf("%s wrote %d entries", path, n)
		}
		if resp.Auth == nil || resp.Auth.Token.Policies[1] != "p" {
			t.Errorf("%s: %+v", path, resp)
		}
	}
	left := data(t, s.must(s.root, engine.Update, "auth/approle/role/app/secret-id/lookup", `{"secret_id":"`+secret+`"}`))["secret_id_num_uses"]
	if left != 9.0 {
		t.Errorf("%v uses are left", left)
	}
	// What is refused writes nothing.
	before := store.batches.Load()
	s.fails(engine.Invalid, "invalid role or secret ID", "", engine.Update, "auth/approle/login", `{"role_id":"app-id","secret_id":"wrong"}`)
	if n := store.batches.Load() - before; n != 0 {
		t.Errorf("a refused login wrote %d entries", n)
	}
}

// Lesson: the count is kept under the name as the method knows it, so no
// spelling of it gives more guesses; and nobody learns whether the name exists.
func TestLessonLockoutKeyedOnNormalisedName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := startMethods(t)
		guess := func(name, password string) error {
			_, err := s.do("", engine.Update, "auth/userpass/login/"+name, `{"password":"`+password+`"}`)
			return err
		}
		for _, names := range [][]string{{"ada", "ADA", "Ada", "aDa", "adA"}, {"nobody", "Nobody", "NOBODY", "nobodY", "noBody"}} {
			for i, name := range names {
				if err := guess(name, "wrong"); err == nil || err.Error() != "invalid username or password" {
					t.Fatalf("guess %d: %v", i, err)
				}
			}
			for _, password := range []string{"wrong", "right"} {
				if err := guess(names[0], password); err == nil || err.Error() != "permission denied" || engine.KindOf(err) != engine.Denied {
					t.Errorf("%s after five failures, with %s: %v", names[0], password, err)
				}
			}
		}
		locked := s.must(s.root, engine.Read, "sys/locked-users", "")
		accessor := data(t, s.must(s.root, engine.Read, "sys/auth/userpass", ""))["accessor"].(string)
		want := fmt.Sprintf(`{"by_namespace":[{"counts":2,"mount_accessors":[{"mount_accessor":%q,"counts":2,"alias_identifiers":["ada","nobody"]}],`+
			`"namespace_id":"root","namespace_path":""}],"total":2}`, accessor)
		if b, _ := json.Marshal(locked.Data); string(b) != want {
			t.Errorf("got %s\nwant %s", b, want)
		}
		// Unlocked by hand, or by time; a login in between forgets the failures.
		s.must(s.root, engine.Update, "sys/locked-users/"+accessor+"/unlock/ada", "")
		s.must(s.root, engine.Update, "sys/locked-users/"+accessor+"/unlock/ada", "")
		for range 3 {
			for range 4 {
				if err := guess("ada", "wrong"); err == nil {
					t.Fatal("a wrong password logs in")
				}
			}
			if err := guess("ada", "right"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(15 * time.Minute)
		if err := guess("nobody", "wrong"); err == nil || !engine.IsBadLogin(err) {
			t.Errorf("after 15 minutes: %v", err)
		}
		if total := data(t, s.must(s.root, engine.Read, "sys/locked-users", ""))["total"]; total != 0.0 {
			t.Errorf("%v are locked after 15 minutes", total)
		}
	})
}

// approle shares the lockout; its names are role ids.
func TestAppRoleLockout(t *testing.T) {
	s, _ := startMethods(t)
	secret := data(t, s.must(s.root, engine.Update, "auth/approle/role/app/secret-id", ""))["secret_id"].(string)
	for range 5 {
		s.fails(engine.Invalid, "invalid role or secret ID", "", engine.Update, "auth/approle/login", `{"role_id":"app-id","secret_id":"wrong"}`)
	}
	s.fails(engine.Denied, "permission denied", "", engine.Update, "auth/approle/login", `{"role_id":"app-id","secret_id":"`+secret+`"}`)
}

// Secret ids end by the due index, those of a disabled mount included.
func TestSecretIDsAreSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := startMethods(t)
		due := func() (n int) {
			for k, err := range s.store.Keys(t.Context(), "lease/due/", "") {
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(k, "/"+gateway.DueKind+"/") {
					n++
				}
			}
			return n
		}
		for range 3 {
			s.must(s.root, engine.Update, "auth/approle/role/app/secret-id", `{"ttl":"10s"}`)
		}
		s.must(s.root, engine.Update, "auth/approle/role/app/secret-id", "")
		if n := due(); n != 4 {
			t.Fatalf("%d items are in the due index", n)
		}
		time.Sleep(12 * time.Second)
		synctest.Wait()
		if keys := data(t, s.must(s.root, engine.List, "auth/approle/role/app/secret-id", ""))["keys"]; len(keys.([]any)) != 1 || due() != 1 {
			t.Errorf("accessors %v and %d items in the due index are left", keys, due())
		}
		s.must(s.root, engine.Delete, "sys/auth/approle", "")
		time.Sleep(time.Hour + 2*time.Second)
		synctest.Wait()
		if n := due(); n != 0 {
			t.Errorf("a disabled mount leaves %d items in the due index", n)
		}
	})
}

// A renewal goes by what the role or user is now, and ends with it.
func TestRenewalAsksTheMethod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := startMethods(t)
		user := s.must("", engine.Update, "auth/userpass/login/ada", `{"password":"right"}`).Auth.ClientToken
		secret := data(t, s.must(s.root, engine.Update, "auth/approle/role/app/secret-id", ""))["secret_id"].(string)
		app := s.must("", engine.Update, "auth/approle/login", `{"role_id":"app-id","secret_id":"`+secret+`"}`).Auth.ClientToken

		s.must(s.root, engine.Update, "auth/approle/role/app", `{"token_ttl":"5m","token_max_ttl":"10m"}`)
		s.must(s.root, engine.Update, "auth/userpass/users/ada", `{"token_period":"7m"}`)
		for token, want := range map[string]time.Duration{app: 5 * time.Minute, user: 7 * time.Minute} {
			if got := s.must(token, engine.Update, "auth/token/renew-self", "").Auth.LeaseDuration; got != want {
				t.Errorf("renewed for %v, want %v", got, want)
			}
		}
		time.Sleep(4 * time.Minute)
		if got := s.must(app, engine.Update, "auth/token/renew-self", `{"increment":"1h"}`).Auth.LeaseDuration; got != 6*time.Minute {
			t.Errorf("renewed for %v, want what the role's new maximum leaves", got)
		}
		s.must(s.root, engine.Update, "auth/userpass/users/ada", `{"token_policies":"p,q"}`)
		s.fails(engine.Invalid, "policies have changed", user, engine.Update, "auth/token/renew-self", "")
		s.must(s.root, engine.Delete, "auth/userpass/users/ada", "")
		s.fails(engine.Invalid, "the user is gone", user, engine.Update, "auth/token/renew-self", "")
		s.must(s.root, engine.Delete, "auth/approle/role/app", "")
		s.fails(engine.Invalid, "does not exist during renewal", app, engine.Update, "auth/token/renew-self", "")
		s.must(app, engine.Read, "auth/token/lookup-self", "") // refused is not ended
	})
}
