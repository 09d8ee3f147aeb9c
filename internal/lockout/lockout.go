// Package lockout owns the counts of failed logins, and with them who may not
// try for a while. It keeps them in the memory of the active node alone, in
// bounded space: a failover forgets them. It knows no method: whoever fails is
// a name in a mount, normalised by the method before it comes here.
//
// https://developer.hashicorp.com/vault/docs/concepts/user-lockout
package lockout

import (
	"cmp"
	"container/list"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config says when a name is locked out. A zero Threshold, Duration or Reset is
// Vault's default.
type Config struct {
	Disabled  bool
	Threshold int           // failures that lock a name out; 0: 5
	Duration  time.Duration // that it stays locked; 0: 15 minutes
	Reset     time.Duration // without a failure, after which the count begins anew; 0: 15 minutes
}

func (c Config) withDefaults() Config {
	return Config{c.Disabled, cmp.Or(c.Threshold, 5), cmp.Or(c.Duration, 15*time.Minute), cmp.Or(c.Reset, 15*time.Minute)}
}

// Name is who tries to log in.
type Name struct {
	Namespace string // id
	Accessor  string // of the mount
	Alias     string // in the mount, normalised
}

// MaxAlias is the longest alias that is counted, in bytes; methods have none longer.
const MaxAlias = 512

// Guard counts failures. The zero Guard is not usable; see New. Safe for
// concurrent use.
type Guard struct {
	limit int

	mu    sync.Mutex
	names map[Name]*list.Element // of record
	order *list.List             // by the last failure, the oldest first
}

type record struct {
	name     Name
	failures int
	last     time.Time
	until    time.Time // locked; zero: not
}

// New makes a guard that remembers at most limit names: beyond that, it forgets
// those whose last failure is the longest ago.
func New(limit int) *Guard {
	return &Guard{limit: limit, names: map[Name]*list.Element{}, order: list.New()}
}

// Locked says whether n may not log in now.
func (g *Guard) Locked(n Name, c Config) bool {
	if c.Disabled {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	e, ok := g.names[n]
	return ok && e.Value.(*record).until.After(time.Now())
}

// Failed counts a failed login of n and says whether it is what locked n out.
// What fails while n is locked does not lengthen the lock.
func (g *Guard) Failed(n Name, c Config) (locked bool) {
	if c = c.withDefaults(); c.Disabled || n.Alias == "" || len(n.Alias) > MaxAlias {
		return false
	}
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	e, ok := g.names[n]
	if !ok {
		e = g.order.PushBack(&record{name: n})
		g.names[n] = e
		g.trim()
	}
	r := e.Value.(*record)
	switch {
	case r.until.After(now):
		return false
	case !r.until.IsZero(), now.Sub(r.last) >= c.Reset: // the lock is over, or the failures are long ago
		r.failures, r.until = 0, time.Time{}
	}
	r.failures++
	r.last = now
	g.order.MoveToBack(e)
	if r.failures >= c.Threshold {
		r.until = now.Add(c.Duration)
	}
	return !r.until.IsZero()
}

func (g *Guard) trim() {
	for g.order.Len() > g.limit {
		g.forget(g.order.Front())
	}
}

func (g *Guard) forget(e *list.Element) {
	delete(g.names, e.Value.(*record).name)
	g.order.Remove(e)
}

// Passed says whether n, who has just proved who it is, may log in, and forgets
// its failures if so. Many guesses at once all find n unlocked at first; the
// right one among them does not get by the failures of the others.
func (g *Guard) Passed(n Name, c Config) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	e, ok := g.names[n]
	if !ok {
		return true
	}
	if !c.Disabled && e.Value.(*record).until.After(time.Now()) {
		return false
	}
	g.forget(e)
	return true
}

// Clear forgets the failures of n and unlocks it.
func (g *Guard) Clear(n Name) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if e, ok := g.names[n]; ok {
		g.forget(e)
	}
}

// List returns the names that are locked now, in the order of their text.
func (g *Guard) List() []Name {
	now := time.Now()
	var out []Name
	g.mu.Lock()
	for n, e := range g.names {
		if e.Value.(*record).until.After(now) {
			out = append(out, n)
		}
	}
	g.mu.Unlock()
	slices.SortFunc(out, func(a, b Name) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Accessor, b.Accessor), strings.Compare(a.Alias, b.Alias))
	})
	return out
}
