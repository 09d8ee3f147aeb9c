package active_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
	"strongroom/internal/mount"
)

// site is another system, where passwords are set.
type site struct {
	mu     sync.Mutex
	set    map[string]string
	stalls bool // answers nothing
	fails  int  // how often it still refuses
	tried  int
	closed int
}

// setter changes passwords at its site: it stores what it intends, acts, and stores
// that it is done.
type setter struct{ s *site }

func (e setter) Routes() []engine.Route {
	return []engine.Route{{Path: "set/{name}", Fields: []engine.Field{{Name: "name"}, {Name: "to"}}, External: true, Write: func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		return nil, req.Desk.Commit(ctx, func(_ context.Context, in *engine.Request) error {
			in.Storage.Put("intent/"+req.Data.String("name"), []byte(req.Data.String("to")))
			in.Work.Add(time.Now().Unix(), req.Data.String("name"))
			return nil
		})
	}}}
}

func (e setter) Close() { e.s.mu.Lock(); defer e.s.mu.Unlock(); e.s.closed++ }

func (e setter) Work(ctx context.Context, desk engine.Desk, _ int64, id string) error {
	var to string
	err := desk.Commit(ctx, func(ctx context.Context, req *engine.Request) error {
		entry, err := req.Storage.Get(ctx, "intent/"+id)
		to = string(entry.Value)
		return err
	})
	if err != nil || to == "" {
		return err
	}
	e.s.mu.Lock()
	e.s.tried++
	stalls, fails := e.s.stalls, e.s.fails > 0
	e.s.fails--
	e.s.mu.Unlock()
	if stalls {
		<-ctx.Done()
		return ctx.Err()
	}
	if fails {
		return errors.New("the site refuses")
	}
	e.s.mu.Lock()
	e.s.set[id] = to
	e.s.mu.Unlock()
	return desk.Commit(ctx, func(_ context.Context, req *engine.Request) error {
		req.Storage.Delete("intent/" + id)
		return nil
	})
}

func (s *site) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, k := range slices.Sorted(maps.Keys(s.set)) {
		out = append(out, k+"="+s.set[k])
	}
	return strings.Join(out, " ")
}

// counts are the attempts at the site, and how often an engine was closed.
func (s *site) counts() (tried, closed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tried, s.closed
}

func (s *site) stall(yes bool) { s.mu.Lock(); defer s.mu.Unlock(); s.stalls = yes }

// working is a server with two sites, at one/ and two/.
func working(t *testing.T, f func(s *server, one, two *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		one, two := &site{set: map[string]string{}}, &site{set: map[string]string{}}
		s := start(t)
		s.s.Close()
		s.more = map[string]mount.Type{
			"one": {Factory: func(engine.Env) (engine.Engine, error) { return setter{one}, nil }},
			"two": {Factory: func(engine.Env) (engine.Engine, error) { return setter{two}, nil }},
		}
		s.reopen()
		defer func() { s.s.Close() }()
		s.prepare()
		s.must(s.root, engine.Update, "sys/mounts/one", `{"type":"one"}`)
		s.must(s.root, engine.Update, "sys/mounts/two", `{"type":"two"}`)
		f(s, one, two)
	})
}

func queued(s *server) (n int) {
	for k := range keysOf(s.t, s.store) {
		if strings.HasPrefix(k, "lease/due/work:") {
			n++
		}
	}
	return n
}

// Work is done once its time has come, tried again where it fails, and leaves nothing.
func TestWork(t *testing.T) {
	working(t, func(s *server, one, _ *site) {
		one.fails = 2 // before anything works
		s.must(s.root, engine.Update, "one/set/a", `{"to":"1"}`)
		settle()
		if tried, _ := one.counts(); one.all() != "" || tried != 1 {
			t.Errorf("set %q after %d attempts", one.all(), tried)
		}
		time.Sleep(2*time.Minute + 5*time.Second)
		synctest.Wait()
		if tried, _ := one.counts(); one.all() != "a=1" || tried != 3 || queued(s) != 0 {
			t.Errorf("set %q after %d attempts, %d left", one.all(), tried, queued(s))
		}
	})
}

// A system that does not answer holds up no other mount's work; what a node was
// stopped at, the next one does.
func TestStalledWork(t *testing.T) {
	working(t, func(s *server, one, two *site) {
		one.stall(true)
		s.must(s.root, engine.Update, "one/set/a", `{"to":"1"}`)
		s.must(s.root, engine.Update, "two/set/b", `{"to":"2"}`)
		settle()
		if one.all() != "" || two.all() != "b=2" {
			t.Errorf("set %q and %q", one.all(), two.all())
		}
		s.s.Close()
		_, closed1 := one.counts()
		if _, closed2 := two.counts(); closed1 == 0 || closed2 == 0 {
			t.Error("the engines of a node that was stopped hold on to what they have")
		}
		one.stall(false)
		s.reopen()
		settle()
		if one.all() != "a=1" || queued(s) != 0 {
			t.Errorf("set %q after another node went on, %d left", one.all(), queued(s))
		}
	})
}

// A disabled mount's engine is closed, its work forgotten, and what was under way
// writes nothing any more.
func TestWorkOfDisabledMount(t *testing.T) {
	working(t, func(s *server, one, _ *site) {
		one.stall(true)
		s.must(s.root, engine.Update, "one/set/a", `{"to":"1"}`)
		settle()
		s.must(s.root, engine.Delete, "sys/mounts/one", "")
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if _, closed := one.counts(); closed == 0 || queued(s) != 0 || one.all() != "" {
			t.Errorf("closed %d times, %d left, set %q", closed, queued(s), one.all())
		}
		for k := range keysOf(t, s.store) {
			if strings.Contains(k, "intent/") {
				t.Errorf("left behind: %s", k)
			}
		}
	})
}

// Namespaces have queues of their own, which go with them.
func TestWorkOfNamespaces(t *testing.T) {
	working(t, func(s *server, one, two *site) {
		s.must(s.root, engine.Update, "sys/namespaces/team", "")
		for _, name := range []string{"one", "two"} {
			s.must(s.root, engine.Update, "team/sys/mounts/"+name, `{"type":"`+name+`"}`)
		}
		s.must(s.root, engine.Update, "team/one/set/a", `{"to":"1"}`)
		settle()
		if one.all() != "a=1" || queued(s) != 0 {
			t.Errorf("set %q, %d left", one.all(), queued(s))
		}
		two.stall(true)
		s.must(s.root, engine.Update, "team/two/set/b", `{"to":"2"}`)
		settle()
		s.must(s.root, engine.Delete, "sys/namespaces/team", "")
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if queued(s) != 0 || two.all() != "" {
			t.Errorf("set %q, %d left of a namespace that is no more", two.all(), queued(s))
		}
	})
}

// Passwords come from the policies of the namespace.
func TestPasswordsOfEngines(t *testing.T) {
	var made string
	e := routed{[]engine.Route{{Path: "make/{policy}", Fields: []engine.Field{{Name: "policy"}}, Read: func(ctx context.Context, req *engine.Request) (_ *engine.Response, err error) {
		made, err = req.Passwords.Generate(ctx, req.Data.String("policy"))
		return nil, err
	}}}}
	s := start(t)
	s.s.Close()
	s.more = map[string]mount.Type{"maker": {Factory: func(engine.Env) (engine.Engine, error) { return e, nil }}}
	s.reopen()
	defer func() { s.s.Close() }()
	s.prepare()
	s.must(s.root, engine.Update, "sys/mounts/maker", `{"type":"maker"}`)
	s.must(s.root, engine.Update, "sys/policies/password/xs", `{"policy":`+quote("length = 9\nrule \"charset\" { charset = \"x\" }")+`}`)
	s.must(s.root, engine.Read, "maker/make/xs", "")
	if made != "xxxxxxxxx" {
		t.Errorf("made %q", made)
	}
	s.fails(engine.Invalid, "there is no password policy", s.root, engine.Read, "maker/make/none", "")
}

type routed struct{ routes []engine.Route }

func (r routed) Routes() []engine.Route { return r.routes }
