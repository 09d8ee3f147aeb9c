package instant

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

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

// noted is a queue that notes what is added.
type noted struct {
	queue
	mu    sync.Mutex
	names []string
}

func (n *noted) AddAfter(request reconcile.Request, _ time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names = append(n.names, request.Name)
}

// When a server is back, those that follow a stream are looked at when that is up, so that they need not poll and say so
// first; but not much later, should it not come up.
func TestStreamsComeBackFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := NewHub(vaultclient.NewPool(nil, func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }))
		looks := &noted{}
		watcher := hub.Watcher("VaultSecret")
		watcher.queue = looks
		server := vaultclient.ServerKey{}
		of := func(name string, s *stream) target {
			each := target{watcher, reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}}
			if s != nil {
				hub.follows[each] = &following{stream: s, paths: []string{name}}
				s.add(each, []string{name})
			}
			put(hub.waiting, server, each)
			return each
		}
		looked := func(when string, want ...string) {
			t.Helper()
			looks.mu.Lock()
			defer looks.mu.Unlock()
			slices.Sort(looks.names)
			if got := slices.Compact(looks.names); !slices.Equal(got, want) {
				t.Errorf("%s, looked at are %v, want %v", when, got, want)
			}
			looks.names = nil
		}
		up, soon, never := newStream(hub, streamKey{}, vaultclient.Login{}), newStream(hub, streamKey{}, vaultclient.Login{}), newStream(hub, streamKey{}, vaultclient.Login{})
		up.up = true
		of("polls", nil)
		of("up", up)
		of("soon", soon)
		of("never", never)
		gone := of("gone", never)
		hub.back(server)
		looked("at once", "polls", "up")
		soon.connected(true)
		looked("when its stream is up", "soon")
		watcher.Forget(gone.request)
		time.Sleep(owedWait - time.Millisecond)
		synctest.Wait()
		looked("meanwhile")
		time.Sleep(time.Millisecond)
		synctest.Wait()
		looked("in the end", "never")
		time.Sleep(time.Hour)
		synctest.Wait()
		looked("then")
	})
}
