package instant

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/operator/vaultclient"
)

// Events are remembered for a while, and what is too old goes; but not at each event is all that is remembered gone
// through, which would make a storm of them cost its square.
func TestEventsAreRememberedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := NewHub(vaultclient.NewPool(nil, func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }))
		s := newStream(hub, streamKey{}, vaultclient.Login{})
		began := time.Now()
		for i := range 100 {
			s.told(vaultclient.Event{Path: fmt.Sprintf("secret/data/shop/%d", i)})
		}
		s.up, s.since = true, began
		for path, told := range map[string]bool{"secret/data/shop/7": true, "secret/data/shop/": true, "secret/data/sho": false, "secret/data/shop": false, "secret/data/other/": false} {
			if s.missed(began.Add(-time.Nanosecond), []string{path}) != true {
				t.Errorf("what was read before the stream began may have changed")
			}
			if got := s.toldOf(path, began.Add(-time.Nanosecond)); got != told {
				t.Errorf("%s: told %v", path, got)
			}
			if s.toldOf(path, began) {
				t.Errorf("%s was read when it was told of, and counts as changed since", path)
			}
		}
		time.Sleep(remembered)
		s.told(vaultclient.Event{Path: "new"}) // looks for what is too old, and finds nothing
		time.Sleep(pruneEvery / 2)
		for range 100 {
			s.told(vaultclient.Event{Path: "new"})
		}
		if n := len(s.recent); n != 101 {
			t.Errorf("%d events are known, want 101: nothing is looked for within a second", n)
		}
		time.Sleep(pruneEvery / 2)
		s.told(vaultclient.Event{Path: "new"})
		if n := len(s.recent); n != 1 {
			t.Errorf("%d events are known, want the one that is young", n)
		}
	})
}
