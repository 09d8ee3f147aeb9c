package quota

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/internal/storage"
)

func change(t *testing.T, s *Store, store storage.Store, do func(*Rules) error) {
	t.Helper()
	tx := storage.Begin(store)
	if err := s.Change(t.Context(), tx, do); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func rulesOf(t *testing.T, s *Store, store storage.Store) *Rules {
	t.Helper()
	r, err := s.Rules(t.Context(), storage.Begin(store))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestMatch: the most specific rule holds, and there is no second one for the same requests.
func TestMatch(t *testing.T) {
	s, store := Open("root"), storage.NewMem()
	change(t, s, store, func(r *Rules) error {
		for i, path := range []string{"", "secret/", "secret/data/a", "secret/data/*", "secret/data/a/*", "auth/jwt/", "auth/jwt/\x00dev", "auth/jwt/login"} {
			path, role, _ := strings.Cut(path, "\x00")
			if c := r.Put(Rule{ID: fmt.Sprint(i), Type: RateLimit, Name: path + role, Path: path, Role: role}); c != "" {
				t.Errorf("%q conflicts with %q", path, c)
			}
		}
		if c := r.Put(Rule{ID: "9", Type: RateLimit, Name: "other", Path: "secret/"}); c != "secret/" {
			t.Errorf("a second rule of secret/ conflicts with %q", c)
		}
		return nil
	})
	rules := rulesOf(t, s, store)
	for _, test := range []struct{ mount, path, role, want string }{
		{"kv/", "kv/a", "", "0"}, {"secret/", "secret/config", "", "1"}, {"secret/", "secret/data/a", "", "2"}, {"secret/", "secret/data/b", "", "3"},
		{"secret/", "secret/data/a/b", "", "4"}, {"auth/jwt/", "auth/jwt/login", "dev", "6"}, {"auth/jwt/", "auth/jwt/login", "prod", "7"}, {"auth/jwt/", "auth/jwt/role/dev", "", "5"},
	} {
		if got := rules.Match(RateLimit, "", test.mount, test.path, func() string { return test.role }); got.ID != test.want {
			t.Errorf("%s as %q: rule %s, want %s", test.path, test.role, got.ID, test.want)
		}
	}
	if rules.Has(LeaseCount) || rules.Match(LeaseCount, "", "secret/", "secret/a", nil) != nil {
		t.Error("a rule of another type holds")
	}
	change(t, s, store, func(r *Rules) error { r.Remove(RateLimit, ""); return nil })
	if got := rulesOf(t, s, store).Match(RateLimit, "", "kv/", "kv/a", nil); got != nil {
		t.Errorf("after its end rule %s holds", got.ID)
	}
}

func TestExempt(t *testing.T) {
	c := Config{ExemptPaths: []string{"sys/health", "sys/wrapping/*", "pki/crl/"}}
	for path, want := range map[string]bool{"sys/health": true, "sys/health/x": false, "sys/wrapping/lookup": true, "pki/crl/pem": true, "pki/crl": false, "": false} {
		if got := c.Exempt(path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}

// TestTake: of any requests, at any times, no more pass in any interval than the
// bucket holds and what came back meanwhile; and who waits as told is served.
func TestTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for seed := range uint64(30) {
			r := rand.New(rand.NewPCG(seed, 3))
			s := Open("root")
			rule := &Rule{ID: "x", Rate: float64(1 + r.IntN(20)), Interval: time.Duration(1+r.IntN(60)) * time.Second}
			var passed []time.Time
			for range 400 {
				now := time.Now()
				v := s.Take(rule, "10.0.0.1", rule.Rate, now)
				if v.Allowed {
					passed = append(passed, now)
				} else if r.IntN(10) == 0 {
					time.Sleep(v.Reset.Sub(now))
					if v = s.Take(rule, "10.0.0.1", rule.Rate, time.Now()); !v.Allowed {
						t.Fatalf("seed %d: refused after waiting as told", seed)
					}
					passed = append(passed, time.Now())
				}
				time.Sleep(time.Duration(r.Int64N(int64(rule.Interval) / 20)))
			}
			for i := range passed {
				for j := i; j < len(passed); j++ {
					most := rule.Rate + rule.Rate*float64(passed[j].Sub(passed[i]))/float64(rule.Interval)
					if float64(j-i+1) > most+1e-6 {
						t.Fatalf("seed %d: %d passed within %s, at most %v may", seed, j-i+1, passed[j].Sub(passed[i]), most)
					}
				}
			}
		}
	})
}

func TestTakeApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rule := Open("root"), &Rule{ID: "x", Rate: 2, Interval: time.Minute, BlockInterval: time.Hour}
		take := func(client string) Verdict { return s.Take(rule, client, rule.Rate, time.Now()) }
		if v := take("a"); !v.Allowed || v.Limit != 2 || v.Remaining != 1 {
			t.Errorf("%+v", v)
		}
		take("a")
		if v := take("a"); v.Allowed || v.After(time.Now()) != time.Hour {
			t.Errorf("%+v", v)
		}
		if !take("b").Allowed {
			t.Error("another client is refused")
		}
		time.Sleep(59 * time.Minute)
		if take("a").Allowed {
			t.Error("a blocked client is served")
		}
		time.Sleep(time.Minute)
		if !take("a").Allowed {
			t.Error("after the block the client is refused")
		}
		for i := range 16 * mostClients * 2 { // the memory of clients is bounded
			take(fmt.Sprint(i))
		}
		l, _ := s.limiters.Load("x")
		for i := range l.(*limiter).parts {
			if n := len(l.(*limiter).parts[i].young) + len(l.(*limiter).parts[i].old); n > 2*mostClients {
				t.Errorf("%d clients in one part", n)
			}
		}
	})
}

// leaseWorld counts leases by a rule, and what they are in truth.
type leaseWorld struct {
	s     *Store
	store storage.Store
	mu    sync.Mutex
	marks map[string]string // of the leases alive
	next  int
}

func (w *leaseWorld) rule(t *testing.T) *Rule {
	r, _ := rulesOf(t, w.s, w.store).Find(LeaseCount, "q")
	return r
}

// again runs do in transactions until one commits.
func (w *leaseWorld) again(ctx context.Context, do func(*storage.Tx) error) error {
	for {
		tx := storage.Begin(w.store)
		if err := do(tx); err != nil {
			if errors.Is(err, storage.ErrConflict) {
				continue
			}
			return err
		}
		if err := tx.Commit(ctx); !errors.Is(err, storage.ErrConflict) {
			return err
		}
	}
}

func (w *leaseWorld) hold(t *testing.T) error {
	rule, mark := w.rule(t), ""
	err := w.again(t.Context(), func(tx *storage.Tx) (err error) { mark, err = w.s.Hold(t.Context(), tx, rule); return err })
	if err == nil {
		w.mu.Lock()
		w.next++
		w.marks[fmt.Sprint(w.next)] = mark
		w.mu.Unlock()
	}
	return err
}

func (w *leaseWorld) free(t *testing.T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, mark := range w.marks {
		delete(w.marks, id)
		if err := w.again(t.Context(), func(tx *storage.Tx) error { w.s.Free(tx, mark, id); return nil }); err != nil {
			t.Error(err)
		}
		return
	}
}

func (w *leaseWorld) check(t *testing.T, seed uint64) {
	t.Helper()
	n, err := w.s.Count(t.Context(), storage.Begin(w.store), w.rule(t))
	if err != nil || n != int64(len(w.marks)) {
		t.Fatalf("seed %d: %d counted of %d: %v", seed, n, len(w.marks), err)
	}
}

// TestLeases: the count is true after any makings, ends and sweeps; a lease is refused exactly when there are as many as may be.
func TestLeases(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 4))
		w := &leaseWorld{s: Open("root"), store: storage.NewMem(), marks: map[string]string{}}
		most := 1 + r.IntN(60)
		change(t, w.s, w.store, func(rules *Rules) error {
			rules.Put(Rule{ID: "one", Type: LeaseCount, Name: "q", MaxLeases: int64(most)})
			return nil
		})
		for range r.IntN(2) * r.IntN(90) { // leases from before, maybe more than may be
			rule := w.rule(t)
			err := w.again(t.Context(), func(tx *storage.Tx) error {
				mark, err := w.s.Adopt(t.Context(), tx, rule)
				w.next++
				w.marks[fmt.Sprint(w.next)] = mark
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for range 300 {
			switch r.IntN(5) {
			case 0, 1:
				w.free(t)
			case 2:
				if _, err := w.s.Sweep(t.Context(), w.store); err != nil {
					t.Fatal(err)
				}
			default:
				before := len(w.marks)
				if err := w.hold(t); (err == nil) != (before < most) || err != nil && !errors.Is(err, ErrLeases) {
					t.Fatalf("seed %d: with %d of %d leases: %v", seed, before, most, err)
				}
			}
			w.check(t, seed)
		}
		// The rule goes, and everything it counted.
		change(t, w.s, w.store, func(rules *Rules) error { rules.Remove(LeaseCount, "q"); return nil })
		if _, err := w.s.Sweep(t.Context(), w.store); err != nil {
			t.Fatal(err)
		}
		for k := range w.store.Keys(t.Context(), "", "") {
			if !strings.HasSuffix(k, "/rules") {
				t.Errorf("seed %d: %s is left", seed, k)
			}
		}
	}
}

// TestLeasesTogether: many at once never pass the limit, and lose no count.
func TestLeasesTogether(t *testing.T) {
	w := &leaseWorld{s: Open("root"), store: storage.NewMem(), marks: map[string]string{}}
	change(t, w.s, w.store, func(rules *Rules) error {
		rules.Put(Rule{ID: "one", Type: LeaseCount, Name: "q", MaxLeases: 100})
		return nil
	})
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 5))
			for range 100 {
				if r.IntN(3) == 0 {
					w.free(t)
				} else if err := w.hold(t); err != nil && !errors.Is(err, ErrLeases) {
					t.Error(err)
				}
				if n, err := w.s.Count(t.Context(), storage.Begin(w.store), w.rule(t)); err != nil || n > 110 { // notes are read after counters, so a few more may show
					t.Errorf("%d leases: %v", n, err)
				}
			}
		})
	}
	all.Wait()
	w.check(t, 0)
	if len(w.marks) > 100 {
		t.Errorf("%d leases", len(w.marks))
	}
}

// A namespace's rule holds for what is in it, and for what is below only if it is
// inheritable; the nearest one wins, and what is more specific before it.
func TestMatchNamespaces(t *testing.T) {
	rule := func(path string, inheritable bool) Rule {
		return Rule{Type: RateLimit, ID: path, Name: path, Path: path, Rate: 1, Inheritable: inheritable}
	}
	r := &Rules{All: []Rule{rule("", true), rule("a/", true), rule("a/b/", false), rule("a/b/c/kv/", false), rule("x/", false)}}
	r.compile()
	for _, test := range [][3]string{
		{"", "kv/", ""}, {"a/", "kv/", "a/"}, {"a/b/", "kv/", "a/b/"}, {"a/b/c/", "kv/", "a/b/c/kv/"}, {"a/b/c/", "db/", "a/"}, {"x/", "kv/", "x/"}, {"x/y/", "kv/", ""}, {"ab/", "kv/", ""},
	} {
		if got := r.Match(RateLimit, test[0], test[1], test[1]+"k", nil); got == nil || got.ID != test[2] {
			t.Errorf("%s in %q: %+v, want the rule of %q", test[1], test[0], got, test[2])
		}
	}
	own := &Rules{All: []Rule{rule("", false)}}
	own.compile()
	if got := own.Match(RateLimit, "a/", "kv/", "kv/k", nil); got != nil {
		t.Errorf("the root's own rule holds for a namespace: %+v", got)
	}
}
