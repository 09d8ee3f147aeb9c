package active_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
	"strongroom/internal/mount"
	"strongroom/internal/storage"
	"strongroom/internal/storage/storagetest"
)

// world is what a lender acts on: the users of some other system.
type world struct {
	mu      sync.Mutex
	users   map[string]bool
	made    int
	ended   map[string]int // attempts, successful or not
	refuses bool           // fails whatever is asked
	stalls  bool           // answers nothing
	gate    chan struct{}  // not nil: a user is made only once it is closed
	closed  int            // engines that let go of what they held
}

func (w *world) do(ctx context.Context, f func()) error {
	w.mu.Lock()
	refuses, stalls := w.refuses, w.stalls
	w.mu.Unlock()
	switch {
	case stalls:
		<-ctx.Done()
		return ctx.Err()
	case refuses:
		return errors.New("the other system is out of order")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	return nil
}

func (w *world) set(refuses, stalls bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuses, w.stalls = refuses, stalls
}

func (w *world) alive() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.users))
}

// lender lends users of its world, as an engine for databases does.
type lender struct{ w *world }

func (l lender) Routes() []engine.Route {
	fields := []engine.Field{{Name: "name"}, {Name: "ttl", Type: engine.Duration}, {Name: "max_ttl", Type: engine.Duration}}
	return []engine.Route{{Path: "creds/{name}", Fields: fields, Read: l.creds, Write: l.creds}}
}

func (l lender) creds(_ context.Context, req *engine.Request) (*engine.Response, error) {
	l.w.mu.Lock()
	l.w.made++
	user := fmt.Sprintf("%s-%03d", req.Data.String("name"), l.w.made)
	l.w.mu.Unlock()
	return &engine.Response{Data: map[string]any{"user": user}, Lease: &engine.Lease{
		TTL: req.Data.Duration("ttl"), MaxTTL: req.Data.Duration("max_ttl"), Renewable: true, Revoke: []byte(user),
		Act: func(ctx context.Context) error {
			if l.w.gate != nil {
				<-l.w.gate
			}
			return l.w.do(ctx, func() { l.w.users[user] = true })
		},
	}}, nil
}

func (l lender) Revoke(ctx context.Context, req *engine.Request, revoke []byte) error {
	l.w.mu.Lock()
	l.w.ended[string(revoke)]++
	l.w.mu.Unlock()
	req.Storage.Put("dropped-if-it-fails", nil)
	return l.w.do(ctx, func() { delete(l.w.users, string(revoke)) })
}

func (l lender) Close() { l.w.mu.Lock(); defer l.w.mu.Unlock(); l.w.closed++ }

// startLending is a server with a lender at db/ and its world.
func startLending(t testing.TB) (*server, *world) {
	w := &world{users: map[string]bool{}, ended: map[string]int{}}
	s := start(t)
	s.s.Close()
	s.more = map[string]mount.Type{"lender": {Factory: func(engine.Env) (engine.Engine, error) { return lender{w}, nil }}}
	s.reopen()
	s.prepare()
	s.must(s.root, engine.Update, "sys/mounts/db", `{"type":"lender","config":{"default_lease_ttl":"1h","max_lease_ttl":"24h"}}`)
	s.must(s.root, engine.Update, "sys/policy/borrower", `{"policy":`+quote(`path "db/*" { capabilities = ["read", "update"] }`)+`}`)
	return s, w
}

// borrow has token read credentials, and returns the lease and the user.
func (s *server) borrow(token, body string) (id, user string) {
	s.t.Helper()
	resp := s.must(token, engine.Update, "db/creds/app", body)
	return resp.LeaseID, data(s.t, resp)["user"].(string)
}

// leaseKeys are all stored keys that belong to leases of secrets.
func (s *server) leaseKeys() (out []string) {
	for k := range keysOf(s.t, s.store) {
		token := strings.Contains(k, "/lease/id/auth/")
		if !token && (strings.HasPrefix(k, "ns/root/lease/") || strings.HasPrefix(k, "lease/due/secret:")) {
			out = append(out, k)
		}
	}
	return out
}

// lend runs f on a lending server in a bubble of time.
func lend(t *testing.T, f func(t *testing.T, s *server, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, w := startLending(t)
		defer func() { s.s.Close() }()
		f(t, s, w)
	})
}

// settle gives the sweepers a moment.
func settle() {
	time.Sleep(2 * time.Second)
	synctest.Wait()
}

func TestLeaseLife(t *testing.T) {
	lend(t, func(t *testing.T, s *server, w *world) {
		id, user := s.borrow(s.root, `{}`)
		if !strings.HasPrefix(id, "db/creds/app/") || !slices.Equal(w.alive(), []string{user}) {
			t.Fatalf("lease %q of %v", id, w.alive())
		}
		got := data(t, s.must(s.root, engine.Update, "sys/leases/lookup", `{"lease_id":"`+id+`"}`))
		if got["id"] != id || got["ttl"] != 3600.0 || got["renewable"] != true || got["last_renewal"] != nil || got["issue_time"] == nil || got["expire_time"] == nil {
			t.Errorf("lookup: %v", got)
		}
		time.Sleep(30 * time.Minute)
		renewed := s.must(s.root, engine.Update, "sys/leases/renew", `{"lease_id":"`+id+`","increment":"2h"}`)
		if renewed.LeaseID != id || renewed.Lease.TTL != 2*time.Hour || !renewed.Lease.Renewable || len(renewed.Warnings) != 0 {
			t.Errorf("renewed: %+v", renewed)
		}
		renewed = s.must(s.root, engine.Update, "sys/renew/"+id, `{"increment":"100h"}`)
		if renewed.Lease.TTL != 23*time.Hour+30*time.Minute || len(renewed.Warnings) != 1 {
			t.Errorf("renewed for %v, %q", renewed.Lease.TTL, renewed.Warnings)
		}
		time.Sleep(23*time.Hour + 29*time.Minute)
		settle()
		if len(w.alive()) != 1 {
			t.Error("it ended before its time")
		}
		time.Sleep(time.Minute)
		s.fails(engine.Invalid, "invalid lease", s.root, engine.Update, "sys/leases/lookup", `{"lease_id":"`+id+`"}`)
		s.fails(engine.Invalid, "lease not found", s.root, engine.Update, "sys/leases/renew", `{"lease_id":"`+id+`"}`)
		settle()
		if len(w.alive()) != 0 || w.ended[user] != 1 {
			t.Errorf("alive: %v, ended %d times", w.alive(), w.ended[user])
		}
		if left := s.leaseKeys(); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// A lease that is revoked while its user is being made ends once it is there.
func TestRevokedWhileActing(t *testing.T) {
	for _, sync := range []string{"true", "false"} {
		lend(t, func(t *testing.T, s *server, w *world) {
			w.gate = make(chan struct{})
			answers := make(chan error, 2)
			for _, ask := range [][2]string{{"db/creds/app", `{}`}, {"sys/leases/revoke-prefix/db", `{"sync":` + sync + `}`}} {
				go func() {
					_, err := s.do(s.root, engine.Update, ask[0], ask[1])
					answers <- err
				}()
				settle()
			}
			close(w.gate)
			settle()
			settle()
			for range cap(answers) {
				if err := <-answers; err != nil {
					t.Error(err)
				}
			}
			if left := s.leaseKeys(); len(w.alive()) != 0 || len(left) != 0 {
				t.Errorf("sync %s: alive is %v, left are %v", sync, w.alive(), left)
			}
		})
	}
}

// An engine is closed when its mount changes, and when it is disabled; the one that ends what a disabled mount had lent, after that.
func TestEnginesAreClosed(t *testing.T) {
	lend(t, func(t *testing.T, s *server, w *world) {
		closed := func() int { w.mu.Lock(); defer w.mu.Unlock(); return w.closed }
		before := closed()
		s.must(s.root, engine.Update, "sys/mounts/db/tune", `{"default_lease_ttl":"2h"}`)
		s.borrow(s.root, `{}`)
		if n := closed() - before; n != 1 {
			t.Errorf("%d engines were closed by a change", n)
		}
		w.set(true, false)
		s.must(s.root, engine.Delete, "sys/mounts/db", "")
		settle()
		if n := closed() - before; n != 2 {
			t.Errorf("%d engines were closed while a lease is left", n)
		}
		w.set(false, false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := closed() - before; n != 3 || len(w.alive()) != 0 {
			t.Errorf("%d engines were closed in the end, alive is %v", n, w.alive())
		}
	})
}

// The mount's limits, the engine's and what is asked for: the tightest counts.
func TestLeaseTimes(t *testing.T) {
	lend(t, func(t *testing.T, s *server, _ *world) {
		batch, _ := s.create(s.root, "create", `{"type":"batch","policies":"borrower","ttl":"10m"}`)
		for _, c := range []struct {
			token, asks string
			want        time.Duration
			warned      int
		}{
			{s.root, `{}`, time.Hour, 0}, {s.root, `{"ttl":"5m"}`, 5 * time.Minute, 0}, {s.root, `{"ttl":"48h"}`, 24 * time.Hour, 1},
			{s.root, `{"ttl":"3h","max_ttl":"2h"}`, 2 * time.Hour, 1}, {batch, `{}`, 10 * time.Minute, 0}, {batch, `{"ttl":"1h"}`, 10 * time.Minute, 1},
		} {
			resp := s.must(c.token, engine.Update, "db/creds/app", c.asks)
			if resp.Lease.TTL != c.want || len(resp.Warnings) != c.warned {
				t.Errorf("%s lives for %v, %q; want %v", c.asks, resp.Lease.TTL, resp.Warnings, c.want)
			}
		}
	})
}

func TestLeaseRevocation(t *testing.T) {
	lend(t, func(t *testing.T, s *server, w *world) {
		for _, ask := range []string{
			"leases/revoke", "leases/revoke sync", "leases/revoke/ID", "leases/revoke/ID sync", "revoke", "revoke/ID",
			"leases/revoke-prefix/db/creds", "leases/revoke-prefix/db/creds/app/ sync", "leases/revoke-prefix/ID", "leases/revoke-force/db", "revoke-prefix/db", "revoke-force/ID",
		} {
			id, user := s.borrow(s.root, `{}`)
			path, sync := strings.CutSuffix(ask, " sync")
			path = strings.Replace(path, "ID", id, 1)
			s.must(s.root, engine.Update, "sys/"+path, fmt.Sprintf(`{"lease_id":%q,"sync":%v}`, id, sync))
			if sync && len(w.alive()) != 0 {
				t.Errorf("%s: alive is %v", ask, w.alive())
			}
			s.fails(engine.Invalid, "invalid lease", s.root, engine.Update, "sys/leases/lookup", `{"lease_id":"`+id+`"}`)
			settle()
			if left := s.leaseKeys(); len(w.alive()) != 0 || w.ended[user] != 1 || len(left) != 0 {
				t.Errorf("%s: alive is %v, it was ended %d times, left are %v", ask, w.alive(), w.ended[user], left)
			}
		}
		s.must(s.root, engine.Update, "sys/leases/revoke", `{"lease_id":"db/creds/app/none"}`)
		s.fails(engine.Invalid, "lease_id must be specified", s.root, engine.Update, "sys/leases/revoke", "")
		// "db/creds/ap" is not the beginning of whole segments.
		s.borrow(s.root, `{}`)
		s.must(s.root, engine.Update, "sys/leases/revoke-prefix/db/creds/ap", `{"sync":true}`)
		if len(w.alive()) != 1 {
			t.Error("a prefix ended what it does not hold")
		}
	})
}

// More leases than one transaction holds end by their prefix and with their token,
// and by the disabling of their mount, whose data is kept until then.
func TestManyLeasesEnd(t *testing.T) {
	const many = 450
	for name, end := range map[string]func(s *server, tok string){
		"prefix": func(s *server, _ string) { s.must(s.root, engine.Update, "sys/leases/revoke-prefix/db", "") },
		"sync": func(s *server, _ string) {
			s.must(s.root, engine.Update, "sys/leases/revoke-prefix/db", `{"sync":true}`)
		},
		"token":  func(s *server, tok string) { s.must(tok, engine.Update, "auth/token/revoke-self", "") },
		"parent": func(s *server, _ string) { s.must(s.root, engine.Update, "auth/token/revoke", `{"token":"parent"}`) },
		"orphaned": func(s *server, tok string) {
			s.must(s.root, engine.Update, "auth/token/revoke-orphan", `{"token":"`+tok+`"}`)
		},
		"disabled": func(s *server, _ string) { s.must(s.root, engine.Delete, "sys/mounts/db", "") },
	} {
		t.Run(name, func(t *testing.T) {
			lend(t, func(t *testing.T, s *server, w *world) {
				s.must(s.root, engine.Update, "sys/policy/parent", `{"policy":`+quote(`path "auth/token/create" { capabilities = ["update"] }`)+`}`)
				s.create(s.root, "create", `{"id":"parent","policies":["parent","borrower"]}`)
				tok, _ := s.create("parent", "create", `{"policies":"borrower"}`)
				for range many {
					s.borrow(tok, `{}`)
				}
				end(s, tok)
				settle()
				settle()
				settle()
				if left := s.leaseKeys(); len(w.alive()) != 0 || len(left) != 0 {
					t.Errorf("%d are alive, left are %v", len(w.alive()), left)
				}
				for k := range keysOf(t, s.store) {
					if strings.HasPrefix(k, "core/doomed/") || strings.HasPrefix(k, "ns/root/token/broken/") {
						t.Errorf("left behind: %s", k)
					}
				}
			})
		})
	}
}

// What cannot be ended is tried again, ever more seldom, then listed, and ends
// by hand, by force, or when the other system is back.
func TestIrrevocable(t *testing.T) {
	lend(t, func(t *testing.T, s *server, w *world) {
		id, user := s.borrow(s.root, `{"ttl":"1m"}`)
		s.fails(engine.NotFound, "", s.root, engine.List, "sys/leases/lookup/none", "")
		w.set(true, false)
		time.Sleep(time.Minute)
		settle()
		if w.ended[user] != 1 {
			t.Errorf("%d attempts at first", w.ended[user])
		}
		count := func() float64 {
			return data(t, s.must(s.root, engine.Read, "sys/leases/count", `{"type":"irrevocable"}`))["lease_count"].(float64)
		}
		if n := count(); n != 0 {
			t.Errorf("%v are irrevocable at once", n)
		}
		s.fails(engine.Upstream, "out of order", s.root, engine.Update, "sys/leases/revoke", `{"lease_id":"`+id+`","sync":true}`)
		time.Sleep(time.Hour)
		if w.ended[user] != 6 || count() != 1 {
			t.Errorf("%d attempts in an hour, %v irrevocable", w.ended[user], count())
		}
		got := data(t, s.must(s.root, engine.Read, "sys/leases", `{"type":"irrevocable"}`))
		if l := got["leases"].([]any)[0].(map[string]any); l["lease_id"] != id || !strings.Contains(l["error"].(string), "out of order") {
			t.Errorf("listed: %v", got)
		}
		counts := data(t, s.must(s.root, engine.Read, "sys/leases/count", `{"type":"irrevocable"}`))["counts"]
		if fmt.Sprint(counts) != "map[db/:1]" {
			t.Errorf("counts: %v", counts)
		}
		s.fails(engine.Invalid, "only \"irrevocable\"", s.root, engine.Read, "sys/leases", `{"type":"x"}`)
		w.set(false, false)
		time.Sleep(24 * time.Hour)
		if n := count(); n != 0 || len(w.alive()) != 0 || len(s.leaseKeys()) != 0 {
			t.Errorf("a day later %v are irrevocable, alive %v, left %v", n, w.alive(), s.leaseKeys())
		}
		// By force the lease is forgotten, and its user stays.
		s.borrow(s.root, `{}`)
		w.set(true, false)
		s.must(s.root, engine.Update, "sys/leases/revoke-force/db", "")
		if len(w.alive()) != 1 || len(s.leaseKeys()) != 0 {
			t.Errorf("forced: alive %v, left %v", w.alive(), s.leaseKeys())
		}
	})
}

// A system that does not answer holds up neither tokens nor another mount's leases.
func TestStalledRevoker(t *testing.T) {
	lend(t, func(t *testing.T, s *server, w *world) {
		other := &world{users: map[string]bool{}, ended: map[string]int{}}
		s.s.Close()
		s.more["other"] = mount.Type{Factory: func(engine.Env) (engine.Engine, error) { return lender{other}, nil }}
		s.reopen()
		s.must(s.root, engine.Update, "sys/mounts/other", `{"type":"other"}`)
		for range 50 {
			s.borrow(s.root, `{"ttl":"1m"}`)
		}
		s.must(s.root, engine.Update, "other/creds/app", `{"ttl":"61s"}`)
		s.login(`{"ttl":"61s"}`)
		w.set(false, true)
		time.Sleep(62 * time.Second)
		settle()
		if len(other.alive()) != 0 {
			t.Error("another mount's lease did not end")
		}
		for k := range s.store.Keys(t.Context(), "lease/due/token/", "") {
			t.Errorf("a token that is over was not swept: %s", k)
		}
		w.set(false, false)
		time.Sleep(3 * time.Minute)
		settle()
		if len(w.alive()) != 0 || len(s.leaseKeys()) != 0 {
			t.Errorf("alive %v", w.alive())
		}
	})
}

// If the effect fails the caller gets the error and the lease ends; the handler
// may have been half done.
func TestEffectFails(t *testing.T) {
	lend(t, func(t *testing.T, s *server, w *world) {
		w.set(true, false)
		_, err := s.do(s.root, engine.Update, "db/creds/app", `{}`)
		if err == nil || !strings.Contains(err.Error(), "out of order") {
			t.Errorf("got %v", err)
		}
		w.set(false, false)
		settle()
		time.Sleep(30 * time.Second)
		if w.ended["app-001"] == 0 || len(s.leaseKeys()) != 0 {
			t.Errorf("ended %v, left %v", w.ended, s.leaseKeys())
		}
	})
}

// Whatever write fails, and however: no user lives without a lease, and what
// has a lease ends with it.
func TestLeasesWithFaults(t *testing.T) {
	for _, fault := range []storagetest.Fault{storagetest.NotPersisted, storagetest.PersistedAnyway} {
		for n := 1; n <= 6; n++ {
			t.Run(fmt.Sprint(fault, "/", n), func(t *testing.T) {
				lend(t, func(t *testing.T, s *server, w *world) {
					sound := s.store
					s.s.Close()
					faults := storagetest.NewFaults(sound, nil)
					faults.FailNth(n, fault)
					s.store = faults
					s.reopen()
					for range 3 {
						s.do(s.root, engine.Update, "db/creds/app", `{"ttl":"1m"}`)
					}
					if leases, users := strings.Count(strings.Join(s.leaseKeys(), "\n"), "/lease/id/db/"), len(w.alive()); users > leases {
						t.Errorf("%d users with %d leases", users, leases)
					}
					s.s.Close() // the node dies, and another one leads
					s.store = sound
					s.reopen()
					time.Sleep(2 * time.Minute)
					settle()
					if len(w.alive()) != 0 || len(s.leaseKeys()) != 0 {
						t.Errorf("alive %v, left %v", w.alive(), s.leaseKeys())
					}
				})
			})
		}
	}
}

// The last use of a token borrows nothing, as the lease would end at once.
func TestLastUseBorrowsNothing(t *testing.T) {
	lend(t, func(t *testing.T, s *server, w *world) {
		twice, _ := s.create(s.root, "create", `{"policies":"borrower","num_uses":2}`)
		s.borrow(twice, `{}`)
		s.fails(engine.Invalid, "token had one use left", twice, engine.Update, "db/creds/app", `{}`)
		settle()
		if len(w.alive()) != 0 || len(s.leaseKeys()) != 0 {
			t.Errorf("alive %v, left %v", w.alive(), s.leaseKeys())
		}
	})
}

// The leases of a batch token end with its parent.
func TestBatchTokensLeases(t *testing.T) {
	lend(t, func(t *testing.T, s *server, w *world) {
		parent, _ := s.create(s.root, "create", `{"policies":"borrower"}`)
		s.must(s.root, engine.Update, "sys/policy/borrower", `{"policy":`+quote(`path "db/*" { capabilities = ["update"] } path "auth/token/create" { capabilities = ["update"] }`)+`}`)
		batch, _ := s.create(parent, "create", `{"type":"batch"}`)
		s.borrow(batch, `{}`)
		s.must(parent, engine.Update, "auth/token/revoke-self", "")
		s.fails(engine.Denied, "invalid token", batch, engine.Update, "db/creds/app", `{}`)
		settle()
		if len(w.alive()) != 0 || len(s.leaseKeys()) != 0 {
			t.Errorf("alive %v, left %v", w.alive(), s.leaseKeys())
		}
	})
}

// Tokens have lease ids too: they are listed, looked up and ended by their path.
func TestTokenLeases(t *testing.T) {
	lend(t, func(t *testing.T, s *server, _ *world) {
		tok, _ := s.login(`{"policies":"reader"}`)
		keys := data(t, s.must(s.root, engine.List, "sys/leases/lookup/auth/login/login", ""))["keys"].([]any)
		if len(keys) != 1 {
			t.Fatalf("keys: %v", keys)
		}
		id := "auth/login/login/" + keys[0].(string)
		if got := data(t, s.must(s.root, engine.Update, "sys/leases/lookup", `{"lease_id":"`+id+`"}`)); got["ttl"].(float64) < 1000 || got["renewable"] != true {
			t.Errorf("lookup: %v", got)
		}
		if got := data(t, s.must(s.root, engine.List, "sys/leases/lookup", "")); fmt.Sprint(got["keys"]) != "[auth/]" {
			t.Errorf("all: %v", got)
		}
		s.fails(engine.Invalid, "tokens cannot be renewed through this endpoint", s.root, engine.Update, "sys/leases/renew", `{"lease_id":"`+id+`"}`)
		s.must(s.root, engine.Update, "sys/leases/revoke-prefix/auth/login", "")
		s.fails(engine.Denied, "invalid token", tok, engine.Read, "secret/data/app/db", "") // at once
		s.login(`{"policies":"reader"}`)
		s.must(s.root, engine.Delete, "sys/auth/login", "")
		settle()
		for k := range keysOf(t, s.store) {
			if strings.Contains(k, "/lease/id/auth/login/") || strings.HasPrefix(k, "lease/due/token/") {
				t.Errorf("a disabled method left %s", k)
			}
		}
	})
}

// counting counts what is read and written.
type counting struct {
	storage.Store
	mu          sync.Mutex
	gets, keys  int
	applied     int
	lastWritten int
}

func (c *counting) Get(ctx context.Context, key string) (storage.Entry, error) {
	c.mu.Lock()
	c.gets++
	c.mu.Unlock()
	return c.Store.Get(ctx, key)
}

func (c *counting) Apply(ctx context.Context, b storage.Batch) error {
	c.mu.Lock()
	c.applied++
	c.lastWritten = len(b.Writes)
	c.mu.Unlock()
	return c.Store.Apply(ctx, b)
}

func (c *counting) Keys(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for k, err := range c.Store.Keys(ctx, prefix, after) {
			c.mu.Lock()
			c.keys++
			c.mu.Unlock()
			if !yield(k, err) {
				return
			}
		}
	}
}
