package registration

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// pod is a pod whose API server fails as long as down is set.
type pod struct {
	mu     sync.Mutex
	labels map[string]string
	down   error
	asked  []time.Time

	superseded int
	others     error // of Supersede
}

func (p *pod) Supersede(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.superseded++
	return errors.Join(p.others, ctx.Err())
}

func (p *pod) Label(ctx context.Context, labels map[string]string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, time.Now())
	if p.down == nil {
		p.labels = maps.Clone(labels)
	}
	return errors.Join(p.down, ctx.Err())
}

// answer is what Supersede does from now on.
func (p *pod) answer(others error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.others = others
}

func (p *pod) set(down error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

func (p *pod) shows(t *testing.T, initialized, sealed, active, standby string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	want := map[string]string{"vault-initialized": initialized, "vault-sealed": sealed, "vault-active": active, "vault-perf-standby": standby, "vault-version": "1.2.3-dev-x"}
	if !maps.Equal(p.labels, want) {
		t.Errorf("the labels are %v, want %v", p.labels, want)
	}
}

// server is what is watched.
type server struct {
	mu      sync.Mutex
	state   State
	changed chan struct{}
}

func (s *server) watch() (State, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.changed
}

func (s *server) becomes(state State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
	close(s.changed)
	s.changed = make(chan struct{})
}

func start(p *pod) (*server, *Registration) {
	s := &server{state: State{Sealed: true}, changed: make(chan struct{})}
	return s, Start(p, "1.2.3-dev+x", s.watch, hclog.NewNullLogger())
}

func TestLabelsFollowTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pod{}
		s, r := start(p)
		synctest.Wait()
		p.shows(t, "false", "true", "false", "false")
		s.becomes(State{Initialized: true, Active: true})
		synctest.Wait()
		p.shows(t, "true", "false", "true", "false")
		s.becomes(State{Initialized: true, PerfStandby: true})
		synctest.Wait()
		p.shows(t, "true", "false", "false", "true")

		// Somebody else changes them: they are put right.
		p.mu.Lock()
		p.labels = nil
		p.mu.Unlock()
		time.Sleep(refresh)
		synctest.Wait()
		p.shows(t, "true", "false", "false", "true")

		if err := r.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.shows(t, "false", "true", "false", "false")
		s.becomes(State{Initialized: true, Active: true})
		time.Sleep(time.Hour)
		p.shows(t, "false", "true", "false", "false")
	})
}

// An API server that is away gets the newest state, not each in turn, and is not asked all the time.
func TestAnAPIServerThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pod{down: errors.New("away")}
		s, r := start(p)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := len(p.asked); n < 20 || n > 40 {
			t.Errorf("asked %d times in ten minutes", n)
		}
		if last := p.asked[len(p.asked)-1].Sub(p.asked[len(p.asked)-2]); last != longestWait {
			t.Errorf("the last wait was %s", last)
		}
		p.set(nil)
		s.becomes(State{Initialized: true, Active: true}) // wakes it at once
		synctest.Wait()
		p.shows(t, "true", "false", "true", "false")

		p.set(errors.New("away"))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		begun := time.Now()
		if err := r.Stop(ctx); err == nil || time.Since(begun) != 2*time.Second {
			t.Errorf("Stop ended after %s with %v", time.Since(begun), err)
		}
	})
}

// Whoever becomes active takes the label from the others once, and tries until that is done.
func TestTheActiveServerSupersedesTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pod{}
		s, r := start(p)
		times := func(want int) {
			t.Helper()
			synctest.Wait()
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.superseded != want {
				t.Errorf("superseded %d times, want %d", p.superseded, want)
			}
		}
		s.becomes(State{Initialized: true, PerfStandby: true})
		times(0)
		s.becomes(State{Initialized: true, Active: true})
		times(1)
		time.Sleep(10 * refresh)
		times(1)
		s.becomes(State{Initialized: true, PerfStandby: true})
		synctest.Wait()
		p.answer(errors.New("away"))
		s.becomes(State{Initialized: true, Active: true})
		time.Sleep(firstWait)
		times(3)
		p.answer(nil)
		time.Sleep(10 * refresh)
		times(4)
		if err := r.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		times(4)
	})
}

// A short absence at the end does not leave wrong labels behind.
func TestTheLastWordIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pod{}
		s, r := start(p)
		s.becomes(State{Initialized: true, Active: true})
		synctest.Wait()
		p.set(errors.New("away"))
		go func() {
			time.Sleep(time.Second)
			p.set(nil)
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := r.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		p.shows(t, "false", "true", "false", "false")
	})
}

func TestLabelValue(t *testing.T) {
	for in, want := range map[string]string{"0.1.0-dev": "0.1.0-dev", "1.0+ent.hsm": "1.0-ent.hsm", "-x-": "x", "": "", "a b": "a-b",
		"0123456789012345678901234567890123456789012345678901234567890123456789": "012345678901234567890123456789012345678901234567890123456789012"} {
		if got := labelValue(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
