package operator_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"strongroom/api/v1beta1"
)

// scythe ends the operator at one of its steps: as if it were killed there, nothing gets through any more, neither to the
// API server nor to the server of secrets.
type scythe struct {
	counts func(method, path string) bool // which requests are steps

	mu    sync.Mutex
	left  int      // steps until the end; 0: none is set
	after bool     // the last step arrives, and its answer does not
	steps []string // since it was set
	dead  bool
}

// set has the operator end at a step.
func (s *scythe) set(step int, after bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.after, s.steps, s.dead = step, after, nil, false
}

// met tells whether a request gets through, and whether it is the last one.
func (s *scythe) met(method, path string) (passes, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead || s.left == 0 || !s.counts(method, path) || len(s.steps) >= s.left {
		return !s.dead, false
	}
	if s.steps = append(s.steps, method+" "+path); len(s.steps) < s.left {
		return true, false
	}
	s.dead = !s.after
	return s.after, s.after
}

func (s *scythe) die() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = true
}

// state tells whether the operator is at its last step, and whether that is over.
func (s *scythe) state() (struck, dead bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left > 0 && len(s.steps) == s.left, s.dead
}

// transport is the operator's way to the API server.
type transport struct {
	*scythe
	next http.RoundTripper
}

func (s transport) RoundTrip(request *http.Request) (*http.Response, error) {
	killed := errors.New("the operator is dead")
	passes, last := s.met(request.Method, request.URL.Path)
	if !passes {
		return nil, killed
	}
	response, err := s.next.RoundTrip(request)
	if err != nil || !last {
		return response, err
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	s.die()
	return nil, killed
}

// guard is the operator's way to the server of secrets.
func (s *scythe) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		passes, last := s.met(r.Method, r.URL.Path)
		if last {
			next.ServeHTTP(httptest.NewRecorder(), r)
			s.die()
		}
		if !passes || last {
			panic(http.ErrAbortHandler) // no answer
		}
		next.ServeHTTP(w, r)
	})
}

// mortal puts a scythe between the world's operator and everything else, and takes it away again at the end of t.
func (w *world) mortal(t *testing.T, server http.Handler) *scythe {
	t.Helper()
	w.stop()
	s, address := &scythe{}, w.address
	front := httptest.NewServer(s.guard(server))
	w.address = front.Listener.Addr().String()
	w.wrap = func(next http.RoundTripper) http.RoundTripper { return transport{s, next} }
	w.start(t, "operator")
	t.Cleanup(func() {
		w.stop()
		front.Close()
		w.wrap, w.address = nil, address
		w.start(t, "operator")
	})
	return s
}

// victim is a sync to be killed at every step.
type victim struct {
	counts  func(method, path string) bool
	prepare func(n int)        // what change finds; may be nil: what the last one left
	change  func(n int)        // asks for the nth sync
	settled func(n int) string // what is missing until it is done and reported
	sound   func(n int) string // what is wrong even for a moment in the middle of it; may be nil
	least   int                // points to be killed at
}

// reap kills the operator at each step of a sync, before it and after it: what it leaves is sound, and the next operator
// finishes it.
func (w *world) reap(t *testing.T, s *scythe, v victim) {
	t.Helper()
	s.counts = v.counts
	n, kills := 0, 0
	look := func(when string) {
		t.Helper()
		if v.sound != nil {
			if wrong := v.sound(n); wrong != "" {
				t.Errorf("%s: %s", when, wrong)
			}
		}
	}
	for step, done := 1, false; !done; step++ {
		for _, after := range []bool{false, true} {
			if n++; v.prepare != nil {
				v.prepare(n)
			}
			s.set(step, after)
			v.change(n)
			eventually(t, limit, func() string {
				missing := v.settled(n)
				struck, dead := s.state()
				if done = missing == "" && !struck; done || dead {
					return ""
				}
				return "neither killed nor done: " + missing
			})
			if done {
				break
			}
			kills++
			at := fmt.Sprintf("killed at step %d (arrived: %v), %s", step, after, s.steps[step-1])
			look(at)
			w.stop()
			s.set(0, false)
			w.start(t, "operator")
			eventually(t, limit, func() string {
				if missing := v.settled(n); missing != "" {
					return at + ": " + missing
				}
				return ""
			})
			look(at + ", and restarted")
		}
	}
	s.set(0, false)
	if kills < v.least {
		t.Errorf("killed at only %d points", kills)
	}
	t.Logf("killed at %d points", kills)
}

// steps are the writes of a kind's resources, and of Secrets, in a namespace, and whatever is asked of paths of the server
// that begin so.
func steps(namespace, kind string, paths ...string) func(method, path string) bool {
	return func(method, path string) bool {
		if rest, ok := strings.CutPrefix(path, "/v1/"); ok {
			return slices.ContainsFunc(paths, func(prefix string) bool {
				verb, prefix, _ := strings.Cut(prefix, " ")
				return strings.HasPrefix(rest, prefix) && (verb == "ANY" || method == verb)
			})
		}
		return method != http.MethodGet && strings.Contains(path, "/namespaces/"+namespace+"/") &&
			(strings.Contains(path, "/secrets/") || strings.HasSuffix(path, "/secrets") || strings.Contains(path, "/"+kind+"/"))
	}
}

// The course that all kinds share, at a kind without anything to give back.
func testKilled(t *testing.T, w *world) {
	s := w.mortal(t, w.vault)
	w.namespace(t, "killed", "secret/data/killed")
	data := func(n int) map[string]string {
		number := canary + fmt.Sprint(n)
		return map[string]string{"left": number, "right": number, fmt.Sprintf("extra-%d", n%2): number} // a key goes each time
	}
	put := func(n int) {
		values := make(map[string]any)
		for key, value := range data(n) {
			values[key] = value
		}
		w.vault.Put("secret/killed", values)
	}
	put(0)
	w.apply(t, "---\n"+manifest("killed", "killed", "secret/killed", inline("killed"), ""))
	w.holds(t, "killed", "killed", data(0))
	w.secretStatus(t, "killed", "killed", v1beta1.ReasonValid)
	w.reap(t, s, victim{
		counts: steps("killed", "vaultsecrets"), change: put, least: 4,
		settled: func(n int) string {
			vs := w.secretStatus(t, "killed", "killed", v1beta1.ReasonValid)
			if vs.Status.SecretVersion != fmt.Sprint(n+1) {
				return "the status is of version " + vs.Status.SecretVersion
			}
			secret, err := w.secret("killed", "killed")
			if err != nil {
				return err.Error()
			}
			return differs(secret, data(n))
		},
		sound: func(n int) string {
			secret, err := w.secret("killed", "killed")
			if err != nil {
				return err.Error()
			}
			if differs(secret, data(n-1)) == "" {
				return ""
			}
			return differs(secret, data(n))
		},
	})
}
