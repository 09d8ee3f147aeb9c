package gateway

import (
	"context"
	"errors"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/internal/events"
	"strongroom/internal/mount"
	"strongroom/internal/namespace"
	"strongroom/internal/storage"
)

// Telling is the same gateway, which tells b what handlers emit.
func (g *Gateway) Telling(b *events.Bus) *Gateway {
	t := *g
	t.bus = b
	return &t
}

// announce has subscribers told of what the handler of req emitted, in the order
// of commits, once tx is committed. Whether anybody listens is asked only then:
// who subscribes before is told.
func (g *Gateway) announce(tx *storage.Tx, n *namespace.Namespace, m *mount.Mounted, req *engine.Request) {
	emitted := req.Events()
	if g.bus == nil || len(emitted) == 0 {
		return
	}
	tx.OnApplied(func(version uint64) {
		if !g.bus.Listening() {
			return
		}
		class := "secret"
		if m.Entry.Auth() {
			class = "auth"
		}
		out := make([]*events.Event, len(emitted))
		for i, e := range emitted {
			out[i] = events.New(e, n.Path, m.Mount, class, version)
			out[i].Local = m.Entry.Local
		}
		g.bus.Publish(out...)
	})
}

// SubscribePath is where events are subscribed to; the pattern of their types follows.
const SubscribePath = "sys/events/subscribe/"

// FollowPath is where whoever may read something follows its changes, without the
// capability subscribe; the pattern of the events' types follows.
const FollowPath = "sys/events/follow/"

// followers is how many of the bus's subscriptions can be had at FollowPath, for
// which every token is good enough.
var followers = events.DefaultLimits.Subscribers / 2

// recheck is how soon a subscription ends after its caller may have it no more.
// What the caller may not see is not told from the moment of the change on.
const recheck = 10 * time.Second

// Subscription is a stream of the events that one caller asked for and may be
// told. It belongs to one goroutine.
type Subscription struct {
	gateway   *Gateway
	req       *Request
	events    *events.Subscription
	selection *events.Selection
	follows   bool // at FollowPath
	ticker    *time.Ticker
}

// Subscribe authorizes req, a read of a path below SubscribePath or FollowPath, as Authorize
// does, and tells the caller all that it asked for and is committed from then on.
func (g *Gateway) Subscribe(ctx context.Context, req *Request) (*Subscription, error) {
	if g.bus == nil {
		return nil, storage.ErrNotLeader
	}
	if err := g.Authorize(ctx, req); err != nil {
		return nil, err
	}
	v, err := g.locate(ctx, req)
	if err != nil {
		return nil, err
	}
	filter := ""
	if given := req.Query["filter"]; len(given) > 0 {
		filter = given[0]
	}
	types, follows := strings.CutPrefix(v.path, FollowPath)
	selection, err := events.Select(strings.TrimPrefix(types, SubscribePath), v.Here.Path, req.Query["namespaces"], filter)
	if err != nil {
		return nil, engine.Invalidf("%v", err)
	}
	if follows && g.bus.Stats().Subscribers >= followers {
		return nil, errFull
	}
	s, err := g.bus.Subscribe()
	switch {
	case errors.Is(err, events.ErrFull):
		return nil, errFull
	case err != nil:
		return nil, storage.ErrNotLeader
	}
	uncounted := *g // asking again and again whether it may go on is no request of the caller's
	uncounted.quotas = nil
	return &Subscription{&uncounted, req, s, selection, follows, time.NewTicker(recheck)}, nil
}

// Next waits for the next event. The error that ends the stream is
// events.ErrSlow, events.ErrClosed, ctx's, or why the caller may have it no more.
func (s *Subscription) Next(ctx context.Context) (*events.Event, error) {
	for {
		e, err := s.events.Next(ctx, s.ticker.C)
		if err != nil {
			return nil, err
		}
		if e != nil && !s.selection.Wants(e) {
			select {
			case <-s.ticker.C:
				e = nil
			default:
				continue
			}
		}
		v, err := s.admitted(ctx)
		if err != nil {
			return nil, err
		}
		if e != nil && v.mayHear(e, s.follows) {
			return e, nil
		}
	}
}

// admitted is the subscription as a request of now, if the caller may still have it.
func (s *Subscription) admitted(ctx context.Context) (v *visit, err error) {
	err = again(ctx, func() error {
		v, err = s.gateway.admit(ctx, s.req)
		return err
	})
	return v, err
}

// mayHear says whether the caller may be told of e: of its own namespace, or of one
// below, by its rules, which know paths from there.
func (v *visit) mayHear(e *events.Event, follows bool) bool {
	rest, ok := strings.CutPrefix(e.Namespace, v.Home.Here.Path)
	switch {
	case !ok || !strings.HasPrefix(e.Namespace, v.Here.Path):
		return false
	case follows:
		return e.Subject != "" && v.ACL.Follows(rest+e.SubjectPath())
	}
	return v.ACL.Subscribes(rest+e.APIPath(), e.Type)
}

var errFull error = engine.Errorf(engine.Unavailable, "there are too many subscriptions to events: end some, or share one")

// Slow counts the caller as one that took its events too slowly.
func (s *Subscription) Slow() { s.events.Slow() }

// Close ends the subscription.
func (s *Subscription) Close() {
	s.ticker.Stop()
	s.events.Close()
}
