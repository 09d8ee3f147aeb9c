package operator_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"strongroom/api/v1beta1"
)

// scythe is the operator's way to the API server, which ends at one of its writes: as if the operator were killed there,
// nothing gets through any more.
type scythe struct {
	next  http.RoundTripper
	left  atomic.Int32 // writes until the end; 0: none is set
	after bool         // the last write arrives, and its answer does not
	dead  atomic.Bool
}

func (s *scythe) RoundTrip(request *http.Request) (*http.Response, error) {
	killed := errors.New("the operator is dead")
	if s.dead.Load() {
		return nil, killed
	}
	writes := request.Method != http.MethodGet && (strings.Contains(request.URL.Path, "/secrets/") || strings.Contains(request.URL.Path, "/vaultsecrets/"))
	if !writes || s.left.Load() == 0 || s.left.Add(-1) > 0 {
		return s.next.RoundTrip(request)
	}
	if s.after {
		response, err := s.next.RoundTrip(request)
		if err != nil {
			return nil, err
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	s.dead.Store(true)
	return nil, killed
}

// The operator is killed at every write of a sync, before it and after it: what it leaves is one value or the other, and
// the next operator finishes it.
func testKilled(t *testing.T, w *world) {
	w.stop()
	var way *scythe
	w.wrap = func(next http.RoundTripper) http.RoundTripper { way = &scythe{next: next}; return way }
	defer func() { w.wrap = nil; w.stop(); w.start(t, "operator") }()
	w.start(t, "operator")
	w.namespace(t, "killed", "secret/data/killed")
	n, kills := 0, 0
	data := func(n int) map[string]string {
		number := canary + fmt.Sprint(n)
		return map[string]string{"left": number, "right": number, fmt.Sprintf("extra-%d", n%2): number} // a key goes each time
	}
	put := func() map[string]string {
		n++
		values := make(map[string]any)
		for key, value := range data(n) {
			values[key] = value
		}
		w.vault.Put("secret/killed", values)
		return data(n)
	}
	w.apply(t, "---\n"+manifest("killed", "killed", "secret/killed", inline("killed"), ""))
	w.holds(t, "killed", "killed", put())
	for step, done := int32(1), false; !done; step++ {
		for _, after := range []bool{false, true} {
			w.secretStatus(t, "killed", "killed", v1beta1.ReasonValid)
			way.after = after
			way.left.Store(step)
			before, now := data(n), put()
			eventually(t, limit, func() string {
				vs := w.secretStatus(t, "killed", "killed", v1beta1.ReasonValid)
				if done = !way.dead.Load() && vs.Status.SecretVersion == fmt.Sprint(n); done || way.dead.Load() {
					return ""
				}
				return "neither killed nor done"
			})
			if done {
				break
			}
			kills++
			secret, err := w.secret("killed", "killed")
			if err != nil {
				t.Fatal(err)
			}
			if differs(secret, before) != "" && differs(secret, now) != "" {
				t.Errorf("killed at write %d (arrived: %v): %s", step, after, differs(secret, now))
			}
			w.stop()
			w.start(t, "operator")
			w.holds(t, "killed", "killed", now)
		}
	}
	if kills < 4 {
		t.Errorf("a sync has only %d points to be killed at", kills)
	}
	t.Logf("killed at %d points", kills)
}
