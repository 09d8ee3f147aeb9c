package consumers

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"strongroom/operator/vaultclient"
)

const (
	path = "sys/kubernetes/report"
	// gap is the least time between two reports: changes within it are told together.
	gap = 10 * time.Second
	// renewal is how often is told that all is as it was, unless the server says otherwise.
	renewal = 5 * time.Minute
	// wholeEvery is how often all is told anew: rights that came since are noticed then.
	wholeEvery = time.Hour
	// again is how soon after a failure.
	again = time.Minute
	// deafFor is how long a server that takes no reports is left alone.
	deafFor = time.Hour
	// most is how many resources one request tells of; mostPaths and mostText are how much of one, its paths and bytes of a version.
	most, mostPaths, mostText = 1000, 64, 100
)

// book is what one login has to tell in one namespace of a server. The reporter's mutex guards it.
type book struct {
	reporter *Reporter
	key      bookKey
	login    vaultclient.Login
	instance string
	wake     chan struct{}

	entries map[Resource]*entry
	gone    map[Resource]bool
	urgent  bool // something changed
	held    bool // the server holds what was told, but for what is marked
	whole   time.Time
}

type entry struct {
	paths  []string
	state  State
	untold bool
}

// set notes an entry. When it was last synced alone is no news: it is told with the next report.
func (b *book) set(resource Resource, was, now *entry) {
	delete(b.gone, resource)
	b.entries[resource] = now
	if was != nil && was.state.Reason == now.state.Reason && was.state.Version == now.state.Version && slices.Equal(was.paths, now.paths) {
		now.untold = was.untold || !was.state.Synced.Equal(now.state.Synced)
		return
	}
	now.untold = true
	b.news()
}

func (b *book) forget(resource Resource) {
	if _, had := b.entries[resource]; had {
		delete(b.entries, resource)
		b.gone[resource] = true
		b.news()
	}
}

func (b *book) news() {
	b.urgent = true
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// run tells until ctx ends, or there is nothing more to tell.
func (b *book) run(ctx context.Context) {
	wait := renewal // a new book has news, so it is soon
	for begin := time.Now(); ; begin = time.Now() {
		if !b.rest(ctx, begin, wait) {
			return
		}
		if wait = b.reporter.hears(b.login.Server.Key()); wait > 0 {
			wait = max(wait, gap)
		} else if wait = b.tell(ctx); ctx.Err() != nil {
			return
		}
		b.reporter.mu.Lock()
		closed := b.reporter.closed(b)
		b.reporter.mu.Unlock()
		if closed {
			return
		}
	}
}

// rest waits until it is time for a report: after wait, or after a gap if there is news and the server hears it.
func (b *book) rest(ctx context.Context, begin time.Time, wait time.Duration) bool {
	timer := time.NewTimer(jitter(wait))
	defer timer.Stop()
	for {
		b.reporter.mu.Lock()
		urgent := b.urgent
		b.reporter.mu.Unlock()
		if soon := gap - time.Since(begin); urgent && b.reporter.hears(b.login.Server.Key()) == 0 {
			timer.Reset(jitter(max(0, soon)))
		}
		select {
		case <-timer.C:
			return true
		case <-b.wake:
		case <-ctx.Done():
			return false
		}
	}
}

func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.75 + 0.5*rand.Float64())) //nolint:gosec // no secret depends on it
}

// tell makes one report, in more than one request where it is long, and says when the next is due. One that failed is made
// whole the next time, and one that the server cannot follow at once.
func (b *book) tell(ctx context.Context) time.Duration {
	for range 2 {
		reset, resources := b.collect()
		next, known, err := b.send(ctx, reset, resources)
		b.reporter.mu.Lock()
		b.held = err == nil && known
		if b.held && reset {
			b.whole = time.Now()
		}
		b.reporter.mu.Unlock()
		switch {
		case err != nil:
			return again
		case known:
			return next
		}
	}
	return renewal // it has no room
}

// collect takes what is to be told: all of it, or what changed.
func (b *book) collect() (reset bool, resources []any) {
	b.reporter.mu.Lock()
	defer b.reporter.mu.Unlock()
	reset = !b.held || time.Since(b.whole) >= wholeEvery
	for _, resource := range slices.SortedFunc(maps.Keys(b.entries), compare) {
		e := b.entries[resource]
		if reset || e.untold {
			resources = append(resources, wire(resource, e))
		}
		e.untold = false
	}
	if !reset {
		for resource := range b.gone {
			resources = append(resources, wire(resource, &entry{}))
		}
	}
	clear(b.gone)
	b.urgent = false
	return reset, resources
}

func compare(a, b Resource) int {
	return slices.Compare([]string{a.Namespace, a.Name, a.Kind}, []string{b.Namespace, b.Name, b.Kind})
}

func wire(resource Resource, e *entry) any {
	told := map[string]any{"kind": resource.Kind, "namespace": resource.Namespace, "name": resource.Name}
	if len(e.paths) > 0 {
		told["paths"], told["state"], told["version"] = e.paths[:min(len(e.paths), mostPaths)], e.state.Reason, e.state.Version[:min(len(e.state.Version), mostText)]
		if !e.state.Synced.IsZero() {
			told["synced"] = e.state.Synced.UTC().Format(time.RFC3339)
		}
	}
	return told
}

// send makes the requests of one report. known is false where the server lacks what was told before. A server that takes no
// reports is no error.
func (b *book) send(ctx context.Context, reset bool, resources []any) (next time.Duration, known bool, err error) {
	next = renewal
	for first := true; first || len(resources) > 0; first = false {
		some := resources[:min(most, len(resources))]
		resources = resources[len(some):]
		body := map[string]any{"cluster": b.reporter.cluster, "instance": b.instance, "reset": reset && first}
		if len(some) > 0 {
			body["resources"] = some
		}
		var refused *vaultclient.Refused
		err = b.reporter.pool.Do(ctx, b.login, func(ctx context.Context, client *vaultclient.Client) error {
			refused = nil
			answer, err := client.In(b.key.namespace).Write(ctx, path, body)
			if errors.As(err, &refused) && !refused.BadToken() {
				return nil // and no reason to log in anew, which would end what the login leased
			}
			if err == nil && answer != nil {
				known, _ = answer.Data["known"].(bool)
				next = renewalOf(answer.Data["renew_seconds"])
			}
			return err
		})
		switch {
		case err != nil:
			return 0, false, err
		case refused != nil:
			b.reporter.silence(b.login.Server, refused.Status)
			return deafFor, true, nil
		case !known:
			return next, false, nil
		}
	}
	return next, true, nil
}

// renewalOf is how often the server wants to be told that all is as it was, within reason.
func renewalOf(seconds any) time.Duration {
	number, ok := seconds.(json.Number)
	if !ok {
		return renewal
	}
	n, err := number.Int64()
	if err != nil || n < 30 || n > 3600 {
		return renewal
	}
	return time.Duration(n) * time.Second
}
