package vaultclient

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
)

const (
	// firstProbe and lastProbe bound the pause between two probes of a server that is out: a handful a minute, and its
	// return shows within lastProbe.
	firstProbe = time.Second
	lastProbe  = 8 * time.Second
	// probeAge is how long a probe's answer is good for others who want to know.
	probeAge = 10 * time.Second
	// suspectAge is the least time between two probes that failing requests cause while probes find nothing wrong.
	suspectAge = time.Second
	// idleBreaker is how long a server that is out is probed though nobody asks for it any more.
	idleBreaker = 15 * time.Minute
)

// ServerKey identifies a server, with the way it is trusted and asked: two that differ in it do not share an outage, so
// that nobody's wrong certificate or short timeout takes a server away from others.
type ServerKey [sha256.Size]byte

// Key identifies s.
func (s Server) Key() ServerKey {
	encoded, err := json.Marshal(s) // maps are encoded in order
	if err != nil {
		panic(err) // strings, numbers and maps of strings only
	}
	return sha256.Sum256(encoded)
}

// Outage is the cause of the Problems that a server that is out gives to all who would ask it, without being asked.
type Outage struct {
	Server  ServerKey
	Address string
}

// Error names the server.
func (o *Outage) Error() string { return o.Address + " is out" }

// breaker is what is known of a server. The pool's mutex guards it.
type breaker struct {
	server  Server
	problem *condition.Problem // nil: in use
	health  Health
	checked time.Time     // by the last probe
	asked   time.Time     // for, by somebody other than the pool itself
	pause   time.Duration // before the next one, while out
	next    time.Time
}

// Watch calls opened when a server goes out, and closed when it is back. Both must return at once. It is to be called
// before the pool is used.
func (p *Pool) Watch(opened, closed func(ServerKey)) { p.opened, p.closedAgain = opened, closed }

// Out tells whether a server is out.
func (p *Pool) Out(key ServerKey) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.breakers[key]
	return b != nil && b.problem != nil
}

// guard fails if the server is out, and probes it when that is due.
func (p *Pool) guard(ctx context.Context, server Server) error {
	p.mu.Lock()
	b := p.breakers[server.Key()]
	if b == nil || b.problem == nil {
		p.mu.Unlock()
		return nil
	}
	b.asked = time.Now()
	problem, due := b.problem, !b.asked.Before(b.next)
	p.mu.Unlock()
	if !due {
		return problem
	}
	_, err := p.examine(ctx, server)
	return err
}

// suspect makes sure of an error that says that the server is out: a probe decides. Without one, a single slow path or
// a request that breaks a handler would take the server away from all.
func (p *Pool) suspect(ctx context.Context, server Server, err error) error {
	var known *Outage
	if !condition.Is(err, v1beta1.ReasonServerSealed, v1beta1.ReasonServerUnreachable) || errors.As(err, &known) {
		return err
	}
	p.mu.Lock()
	b := p.breakers[server.Key()]
	fresh := b != nil && time.Since(b.checked) < suspectAge
	if b != nil && b.problem != nil && time.Now().Before(b.next) {
		err, fresh = b.problem, true
	}
	p.mu.Unlock()
	if fresh {
		return err
	}
	if _, out := p.examine(ctx, server); condition.Is(out, v1beta1.ReasonServerSealed, v1beta1.ReasonServerUnreachable) {
		return out
	}
	return err
}

// Probe asks the server, without a token, whether it can serve, or tells what a recent probe found. Errors are
// Problems: ServerSealed, ServerUnreachable, InvalidSpec.
func (p *Pool) Probe(ctx context.Context, server Server) (Health, error) {
	p.mu.Lock()
	b := p.breakers[server.Key()]
	if b != nil {
		b.asked = time.Now()
	}
	if b != nil && (b.problem != nil && time.Now().Before(b.next) || b.problem == nil && time.Since(b.checked) < probeAge) {
		defer p.mu.Unlock()
		if b.problem != nil {
			return b.health, b.problem
		}
		return b.health, nil
	}
	p.mu.Unlock()
	return p.examine(ctx, server)
}

// examine probes the server, once for all who wait for it, and opens or closes its breaker.
func (p *Pool) examine(ctx context.Context, server Server) (Health, error) {
	key := server.Key()
	flight := p.probes.DoChan(string(key[:]), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*server.timeout())
		defer cancel()
		health, err := p.probe(ctx, server)
		return health, p.settle(server, health, err)
	})
	select {
	case result := <-flight:
		health, _ := result.Val.(Health)
		return health, result.Err
	case <-ctx.Done():
		return Health{}, ctx.Err()
	}
}

// settle notes what a probe found, and returns it as all will be told.
func (p *Pool) settle(server Server, health Health, err error) error {
	problem, _ := condition.As(err)
	out := condition.Is(err, v1beta1.ReasonServerSealed, v1beta1.ReasonServerUnreachable)
	if err != nil && !out {
		return err
	}
	key := server.Key()
	p.mu.Lock()
	b := p.breakers[key]
	if b == nil {
		b = &breaker{server: server, asked: time.Now()}
		p.breakers[key] = b
	}
	before := b.problem != nil
	b.health, b.checked, b.problem = health, time.Now(), nil
	notify := p.closedAgain
	if out {
		b.problem = &condition.Problem{Reason: problem.Reason, Message: problem.Message, Cause: &Outage{Server: key, Address: server.Address}}
		b.pause = min(max(2*b.pause, firstProbe), lastProbe)
		b.next = time.Now().Add(jitter(b.pause))
		err, notify = b.problem, p.opened
	} else {
		b.pause = 0
	}
	p.mu.Unlock()
	if before != out && notify != nil {
		notify(key)
	}
	if before != out {
		select {
		case p.changed <- struct{}{}:
		default:
		}
	}
	return err
}

// watch probes the servers that are out, each when it is due, until ctx ends. One that nobody asked for in a long time
// is forgotten: no resource uses it any more, and whoever does finds out again.
func (p *Pool) watch(ctx context.Context) {
	var probes sync.WaitGroup
	defer probes.Wait()
	for {
		due, forgotten, wait := p.due()
		for _, key := range forgotten {
			if p.closedAgain != nil {
				p.closedAgain(key) // whoever still waits for it is to look for itself
			}
		}
		for _, server := range due {
			probes.Go(func() { _, _ = p.examine(ctx, server) })
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-p.changed:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// due gives the servers to probe now, those that were out and are now forgotten, and how long none will be due. A probe
// that is under way counts as done.
func (p *Pool) due() (servers []Server, forgotten []ServerKey, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait = time.Hour
	now := time.Now()
	for key, b := range p.breakers {
		switch {
		case b.problem == nil && now.Sub(b.checked) > idleTransport:
			delete(p.breakers, key)
		case b.problem == nil:
		case now.Sub(b.asked) >= idleBreaker:
			delete(p.breakers, key)
			forgotten = append(forgotten, key)
		case !now.Before(b.next):
			servers = append(servers, b.server)
			b.next = now.Add(2*b.server.timeout() + lastProbe)
			wait = min(wait, lastProbe)
		default:
			wait = min(wait, b.next.Sub(now))
		}
	}
	return servers, forgotten, wait
}

func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64())) //nolint:gosec // no secret depends on it
}
