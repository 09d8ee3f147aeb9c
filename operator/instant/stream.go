package instant

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"strongroom/operator/vaultclient"
)

const (
	firstRetry = 500 * time.Millisecond
	lastRetry  = 15 * time.Second
	// deniedRetry is how often a login is tried again that may not subscribe: its policies may change.
	deniedRetry = 5 * time.Minute
	// grace is how long a stream may be down until its followers are told that they must poll.
	grace = 10 * time.Second
	// badNews is how many of them are told in a second, of all streams together: an outage must not cause more writes of
	// statuses than its end can undo within seconds.
	badNews = 50
	// rightsEvery is how often a stream asks on which paths its login has the capability subscribe.
	rightsEvery = 5 * time.Minute
	// rightsChunk is how many paths are asked about in one request: those that came while the one before was under way.
	rightsChunk = 100
	// rightsWait bounds how long Follow waits for the answer.
	rightsWait = 5 * time.Second
	// owedWait bounds how long those that wait for a server wait for its stream, once it is back.
	owedWait = 5 * time.Second
	// missedGrace is how much later than a poll an event may tell of the change that the poll found.
	missedGrace = 5 * time.Second
	// remembered is how long an event is known, for those who read before it and follow after it.
	remembered = 2 * time.Minute
	// pruneEvery is how often those that are older are looked for: all would be gone through at each event, of which a
	// server may tell thousands in a second.
	pruneEvery = time.Second
)

type streamKey struct {
	login     vaultclient.LoginKey
	namespace string
}

// stream follows the events of one login in one namespace. The hub's mutex guards what changes.
type stream struct {
	hub    *Hub
	key    streamKey
	login  vaultclient.Login
	cancel context.CancelFunc // nil until it runs
	retry  chan struct{}      // try to connect now
	ask    chan struct{}      // paths came whose rights are not known
	heard  chan struct{}      // closed when some are, or the stream ends; then another takes its place

	followers map[string]map[target]bool // by path; those that end in a slash are in folders too
	folders   map[string]bool
	rights    map[string]bool      // by path: whether changes are told; absent: not asked yet
	deaf      map[string]bool      // paths of which a change was not told in spite of the rights
	owed      map[target]bool      // waiting since the server is back
	recent    map[string]time.Time // by path: when an event came
	pruned    time.Time            // when those of recent that are too old were last dropped
	up        bool
	reads     bool        // the right to read is the right to be told
	unsure    bool        // what was asked about rights had no answer, and is asked again
	since     time.Time   // of up
	fall      *time.Timer // of run only
}

func newStream(h *Hub, key streamKey, login vaultclient.Login) *stream {
	return &stream{
		hub: h, key: key, login: login, retry: make(chan struct{}, 1), ask: make(chan struct{}, 1), heard: make(chan struct{}),
		followers: make(map[string]map[target]bool), folders: make(map[string]bool),
		rights: make(map[string]bool), owed: make(map[target]bool), recent: make(map[string]time.Time), deaf: make(map[string]bool),
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// owe has t looked at as soon as the stream is up, or when it is clear that it will not be soon; the hub's mutex is held.
func (s *stream) owe(t target) {
	if len(s.owed) == 0 {
		time.AfterFunc(owedWait, func() {
			s.hub.mu.Lock()
			defer s.hub.mu.Unlock()
			s.pay()
		})
	}
	s.owed[t] = true
}

// pay wakes those that are owed it; the hub's mutex is held.
func (s *stream) pay() {
	for t := range s.owed {
		if f := s.hub.follows[t]; f == nil || f.stream != s {
			delete(s.owed, t) // it is gone, or went elsewhere, where it is looked at
		}
	}
	wakeAll(s.owed, wakePause, normal)
	clear(s.owed)
}

func (s *stream) retryNow() { signal(s.retry) }

func (s *stream) add(t target, paths []string) {
	for _, path := range paths {
		put(s.followers, path, t)
		if strings.HasSuffix(path, "/") {
			s.folders[path] = true
		}
		if _, known := s.rights[path]; !known {
			signal(s.ask)
		}
	}
}

func (s *stream) remove(t target, paths, kept []string) {
	for _, path := range paths {
		if slices.Contains(kept, path) {
			continue
		}
		take(s.followers, path, t)
		if s.followers[path] == nil {
			delete(s.folders, path)
			delete(s.rights, path)
			delete(s.deaf, path)
		}
	}
}

// covers tells whether all changes at paths are told.
func (s *stream) covers(paths []string) bool {
	return s.up && !slices.ContainsFunc(paths, func(path string) bool { return !s.rights[path] || s.deaf[path] })
}

// unheard tells whether it is still to be learned if all changes at paths are told, and when to ask again.
func (s *stream) unheard(paths []string) (<-chan struct{}, bool) {
	return s.heard, s.up && !s.unsure && slices.ContainsFunc(paths, func(path string) bool { _, known := s.rights[path]; return !known })
}

// hear has all who wait look again; the hub's mutex is held.
func (s *stream) hear() {
	close(s.heard)
	s.heard = make(chan struct{})
}

// missed tells whether something may have changed at paths since a reading that began at started.
func (s *stream) missed(started time.Time, paths []string) bool {
	if !s.up {
		return false // all are looked at when it is up
	}
	if s.since.After(started) || time.Since(started) > remembered {
		return true
	}
	return slices.ContainsFunc(paths, func(path string) bool { return s.toldOf(path, started) })
}

// toldOf tells whether an event came of path, or of what is below it, after a time.
func (s *stream) toldOf(path string, after time.Time) bool {
	if !strings.HasSuffix(path, "/") {
		return s.recent[path].After(after)
	}
	for changed, at := range s.recent {
		if at.After(after) && strings.HasPrefix(changed, path) {
			return true
		}
	}
	return false
}

// told wakes those who follow what changed.
func (s *stream) told(event vaultclient.Event) {
	s.hub.metrics.events.Inc()
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	now := time.Now()
	if now.Sub(s.pruned) >= pruneEvery {
		s.pruned = now
		maps.DeleteFunc(s.recent, func(_ string, at time.Time) bool { return now.Sub(at) > remembered })
	}
	s.recent[event.Path] = now
	for t := range s.followers[event.Path] {
		t.wake(0, urgent)
	}
	for folder := range s.folders {
		if strings.HasPrefix(event.Path, folder) {
			for t := range s.followers[folder] {
				t.wake(0, urgent)
			}
		}
	}
}

// all are the stream's followers; the hub's mutex is held.
func (s *stream) all() map[target]bool {
	all := make(map[target]bool)
	for _, some := range s.followers {
		for t := range some {
			all[t] = true
		}
	}
	return all
}

// connected has everything looked at once: what changed before was not told.
func (s *stream) connected(follows bool) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.up, s.reads, s.unsure, s.since = true, follows, false, time.Now()
	clear(s.rights)
	clear(s.recent)
	clear(s.deaf)
	signal(s.ask)
	s.pay()
	wakeAll(s.all(), wakePause, casual)
}

// run keeps the stream up until ctx ends.
func (s *stream) run(ctx context.Context) {
	defer func() {
		if s.fall != nil {
			s.fall.Stop()
		}
	}()
	pause := firstRetry
	for ctx.Err() == nil {
		up, err := s.once(ctx)
		if up {
			pause = firstRetry
		}
		wait := pause
		if errors.Is(err, vaultclient.ErrNoEvents) {
			wait = deniedRetry
		}
		pause = min(2*pause, lastRetry)
		s.pause(ctx, time.Duration(float64(wait)*(0.9+0.2*rand.Float64())), up) //nolint:gosec // no secret depends on it
	}
}

// pause waits before the next try. Followers of a stream that was up, and is not up again soon, are told to poll.
func (s *stream) pause(ctx context.Context, wait time.Duration, was bool) {
	if was {
		s.fall = time.AfterFunc(grace, func() {
			s.hub.mu.Lock()
			defer s.hub.mu.Unlock()
			if all := s.all(); !s.up && ctx.Err() == nil {
				spread := time.Duration(len(s.hub.follows)) * time.Second / badNews
				wakeAll(all, spread/time.Duration(max(1, len(all))), casual)
			}
		})
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.retry:
	case <-ctx.Done():
	}
}

// once connects and follows until the stream ends; it tells whether it was up.
func (s *stream) once(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	close(done)
	up := false
	err := s.hub.pool.Subscribe(ctx, s.login, s.key.namespace, func(follows bool) {
		up = true
		s.hub.metrics.streams.Inc()
		s.connected(follows)
		done = make(chan struct{})
		go func() { defer close(done); s.keepRights(ctx) }()
	}, s.told)
	cancel()
	<-done
	if up {
		s.hub.metrics.streams.Dec()
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.up = false
	s.hear()
	s.pay()
	return up, err
}

// keepRights learns on which paths changes are told: those of new followers soon, all from time to time. What had no answer,
// as while another node takes the lead, is asked again before anything else.
func (s *stream) keepRights(ctx context.Context) {
	ticker := time.NewTicker(time.Duration(float64(rightsEvery) * (0.9 + 0.2*rand.Float64()))) //nolint:gosec // no secret depends on it
	defer ticker.Stop()
	all, ask, pause := false, s.ask, firstRetry
	var again <-chan time.Time
	for {
		select {
		case <-ask:
		case <-again:
		case <-ticker.C:
			all = true
		case <-ctx.Done():
			return
		}
		if s.learnAll(ctx, s.unknown(all)) {
			all, ask, again, pause = false, s.ask, nil, firstRetry
			continue
		}
		ask, again = nil, time.After(pause)
		pause = min(2*pause, lastRetry)
	}
}

// learnAll tells whether all was answered.
func (s *stream) learnAll(ctx context.Context, paths []string) bool {
	answered := true
	for chunk := range slices.Chunk(paths, rightsChunk) {
		if answered = s.learn(ctx, chunk); !answered {
			break
		}
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.unsure = !answered
	s.hear()
	return answered
}

// unknown are the paths to ask about.
func (s *stream) unknown(all bool) []string {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	var paths []string
	for path := range s.followers {
		if _, known := s.rights[path]; all || !known {
			paths = append(paths, path)
		}
	}
	return paths
}

// learn asks about some paths, and tells whether there was an answer: without one, what was known stays. Where rights were
// lost, the followers are told to poll. Where they are known for the first time and there are none, they poll already; but
// where the answer came late, they poll though there are.
func (s *stream) learn(ctx context.Context, paths []string) bool {
	var may map[string]bool
	s.hub.mu.Lock()
	reads := s.reads
	s.hub.mu.Unlock()
	err := s.hub.pool.Do(ctx, s.login, func(ctx context.Context, client *vaultclient.Client) (err error) {
		if client = client.In(s.key.namespace); reads {
			may, err = client.Readable(ctx, paths)
		} else {
			may, err = client.Subscribable(ctx, paths)
		}
		return err
	})
	var refused *vaultclient.Refused // a server that tells nobody of rights
	if err != nil && !errors.As(err, &refused) {
		return false
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	changed := make(map[target]bool)
	for _, path := range paths {
		if s.followers[path] == nil {
			continue // nobody's any more
		}
		had, known := s.rights[path]
		if had && !may[path] || s.unsure && !known && may[path] {
			maps.Copy(changed, s.followers[path])
		}
		s.rights[path] = may[path]
	}
	s.hear()
	wakeAll(changed, wakePause, normal)
	return true
}
