// Package vaultclient owns the operator's connections and logins: one shared transport per server, and one login per
// server, role and service account, which all resources that use it share. Tokens live in memory only. The package
// knows nothing of the resources; it never retries more than one login, as its callers come again.
package vaultclient

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"sync"
	"time"

	vault "github.com/hashicorp/vault/api"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
	"k8s.io/apimachinery/pkg/types"
)

const (
	idleSession   = 15 * time.Minute // unused for so long: logged out
	idleTransport = time.Hour
	sweepEvery    = time.Minute
	renewEvery    = 10 * time.Second
	logoutTimeout = 5 * time.Second
	// logoutsAtOnce bounds the requests of the operator's end, so that the server answers each in time.
	logoutsAtOnce = 32
	// endTimeout is how long the end may take in all: well within what controller-runtime gives (30 s), and a pod (120 s).
	endTimeout = 20 * time.Second
	// reloginAfter is the age at which a login that is denied is made anew once, because the role may have new
	// policies or the token may be revoked. It bounds the logins that denied resources cause.
	reloginAfter = 10 * time.Second
)

// Login says as whom to talk to a server.
type Login struct {
	Server
	Method                 string               // one of v1beta1's methods; empty: kubernetes
	Namespace              string               // of the server (X-Vault-Namespace)
	Mount                  string               // of the auth method, such as kubernetes
	Role                   string               // of the auth method; the role id of an AppRole
	ServiceAccount         types.NamespacedName // whose token is presented
	Secret                 types.NamespacedName // that holds the credential, instead of a service account's token
	SecretKey              string               // of that Secret
	Audiences              []string             // of that token; none: the API server's own
	TokenExpirationSeconds int64                // of that token; 0: the least there is, 600
	Params                 map[string]string    // sent with the login, beside role and jwt
	ExtraHeaders           map[string]string    // in addition to the server's
	// Leases says that what is read has leases of this login, which end with it: it is kept renewed, and never logged
	// out for being idle nor when the operator stops.
	Leases bool
}

// Who names what logs in, for messages.
func (l Login) Who() string {
	switch {
	case l.Secret.Name != "":
		return "the credential in Secret " + l.Secret.Name
	case l.ServiceAccount.Name != "":
		return "service account " + l.ServiceAccount.Name
	}
	return "the role alone"
}

// LoginKey identifies a login: who shares it shares the token.
type LoginKey [sha256.Size]byte

// Key identifies l.
func (l Login) Key() LoginKey {
	encoded, err := json.Marshal(l) // maps are encoded in order
	if err != nil {
		panic(err) // strings, numbers and maps of strings only
	}
	return sha256.Sum256(encoded)
}

// TokenSource gives what login presents: a new token of login.ServiceAccount, or what login.Secret holds; nothing where
// it names neither. It reports a missing one as a Problem.
type TokenSource func(ctx context.Context, login Login) (string, error)

// Pool keeps connections and logins. Start it, so that it logs out what nobody uses.
type Pool struct {
	tokens TokenSource
	dial   DialFunc

	counters    *counters
	opened      func(ServerKey) // may be nil
	closedAgain func(ServerKey) // may be nil
	replaced    func(LoginKey)  // may be nil
	changed     chan struct{}   // a server went out, or is back

	flights    singleflight.Group // logins
	flying     sync.WaitGroup     // the same; none begins when closed
	probes     singleflight.Group
	mu         sync.Mutex
	closed     bool
	transports map[transportKey]*transport
	sessions   map[LoginKey]*session
	breakers   map[ServerKey]*breaker
	reads      map[readKey]*sharedRead
	logins     int
}

// NewPool returns an empty pool that connects with dial.
func NewPool(tokens TokenSource, dial DialFunc) *Pool {
	return &Pool{
		tokens: tokens, dial: dial, counters: newCounters(),
		changed:    make(chan struct{}, 1),
		transports: make(map[transportKey]*transport),
		sessions:   make(map[LoginKey]*session),
		breakers:   make(map[ServerKey]*breaker),
		reads:      make(map[readKey]*sharedRead),
	}
}

// session is one login. The pool's mutex guards all but client, login, id and born.
type session struct {
	client    *vault.Client
	login     Login
	id        string // of the token, and not secret
	born      time.Time
	renewed   time.Time     // or born
	ttl       time.Duration // since renewed
	full      time.Duration // the first ttl
	renewable bool
	used      time.Time
	users     int
	tried     time.Time // when another login was last tried beside it
	retired   bool      // no longer in the pool: logged out when its last user leaves
}

// Do runs work with a client that is logged in. If the server denies what work asks and the login is not fresh, it
// logs in anew and runs work once more; work reports the denial with a *Refused in its error's chain.
func (p *Pool) Do(ctx context.Context, login Login, work func(context.Context, *Client) error) error {
	if err := p.guard(ctx, login.Server); err != nil {
		return err
	}
	for attempt := 0; ; attempt++ {
		s, err := p.acquire(ctx, login)
		if err != nil {
			return p.suspect(ctx, login.Server, err)
		}
		err = work(ctx, &Client{vault: s.client, login: login, id: s.id, pool: p})
		var refused *Refused
		again := attempt == 0 && errors.As(err, &refused) && refused.Status == http.StatusForbidden &&
			(refused.BadToken() || time.Since(s.born) >= reloginAfter)
		if again && login.Leases && !refused.BadToken() {
			p.release(login.Key(), s, false)
			return p.suspect(ctx, login.Server, p.beside(ctx, s, work, err))
		}
		p.release(login.Key(), s, again)
		if !again {
			return p.suspect(ctx, login.Server, err)
		}
	}
}

// Check makes sure that the login works.
func (p *Pool) Check(ctx context.Context, login Login) error {
	return p.Do(ctx, login, func(context.Context, *Client) error { return nil })
}

// Logins counts the logins since the start.
func (p *Pool) Logins() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logins
}

// acquire returns the session of login, in use; the caller releases it.
func (p *Pool) acquire(ctx context.Context, login Login) (*session, error) {
	key := login.Key()
	for {
		if s, err := p.current(key); s != nil || err != nil {
			return s, err
		}
		flight := p.flights.DoChan(string(key[:]), func() (any, error) {
			// Not the first caller's context: the others must not fail when it gives up.
			if !p.takeOff() {
				return nil, context.Canceled
			}
			defer p.flying.Done()
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*login.timeout())
			defer cancel()
			return nil, p.refresh(ctx, key, login)
		})
		select {
		case result := <-flight:
			if result.Err != nil {
				return nil, result.Err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// takeOff counts a login that begins, unless the pool is at its end. Whoever gets true calls flying.Done.
func (p *Pool) takeOff() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.flying.Add(1)
	return true
}

// current returns the session under key if it needs no refresh.
func (p *Pool) current(key LoginKey) (*session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, context.Canceled
	}
	s := p.sessions[key]
	if s == nil || time.Since(s.renewed) >= s.ttl*2/3 {
		return nil, nil
	}
	s.users++
	s.used = time.Now()
	return s, nil
}

// refresh renews the session under key, or logs in.
func (p *Pool) refresh(ctx context.Context, key LoginKey, login Login) error {
	p.mu.Lock()
	old := p.sessions[key]
	p.mu.Unlock()
	if old != nil && p.renew(ctx, old) {
		return nil
	}
	fresh, err := p.login(ctx, login)
	p.counters.login(err)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.logins++
	replaced := p.sessions[key]
	if p.closed {
		replaced = fresh // too late: nobody may use it
	} else {
		p.sessions[key] = fresh
	}
	p.mu.Unlock()
	if replaced != nil {
		p.retire(replaced)
		if p.replaced != nil {
			p.replaced(key)
		}
	}
	return nil
}

// OnReplaced calls told when a login was made anew, whose leases end with the former one. It must return at once, and
// be set before the pool is used.
func (p *Pool) OnReplaced(told func(LoginKey)) { p.replaced = told }

// renewHeld renews the logins that are in use all the time, by an event stream, or that must last because of leases:
// nobody asks for them often enough to have them renewed on the way.
func (p *Pool) renewHeld(ctx context.Context) {
	p.mu.Lock()
	var due []*session
	for _, s := range p.sessions {
		if (s.users > 0 || s.login.Leases) && time.Since(s.renewed) >= s.ttl*2/3 {
			due = append(due, s)
		}
	}
	p.mu.Unlock()
	var renewals sync.WaitGroup
	for _, s := range due {
		if p.Out(s.login.Server.Key()) {
			continue
		}
		renewals.Go(func() {
			if p.Check(ctx, s.login) != nil { // as any use does; who holds it hears of a failure by itself
				p.dropEnded(s)
			}
		})
	}
	renewals.Wait()
}

// dropEnded takes a login out of the pool whose time is over, its leases with it, and which is in nobody's hands: it is
// not to be tried for ever. Those whose leases they were hear of it, and ask for themselves.
func (p *Pool) dropEnded(s *session) {
	key := s.login.Key()
	p.mu.Lock()
	ended := s.users == 0 && p.sessions[key] == s && time.Since(s.renewed) >= s.ttl
	if ended {
		delete(p.sessions, key)
	}
	p.mu.Unlock()
	if ended && p.replaced != nil {
		p.replaced(key)
	}
}

// renew extends the session's token, and tells whether that gave it at least half its first time.
func (p *Pool) renew(ctx context.Context, s *session) bool {
	p.mu.Lock()
	try := s.renewable && time.Since(s.renewed) < s.ttl
	p.mu.Unlock()
	if !try {
		return false
	}
	secret, err := s.client.Auth().Token().RenewSelfWithContext(ctx, 0)
	if err != nil || secret == nil || secret.Auth == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.renewed = time.Now()
	s.ttl = time.Duration(secret.Auth.LeaseDuration) * time.Second
	return s.ttl >= s.full/2
}

// release ends the use of a session; denied takes it out of the pool.
func (p *Pool) release(key LoginKey, s *session, denied bool) {
	p.mu.Lock()
	s.users--
	if denied && p.sessions[key] == s {
		delete(p.sessions, key)
		s.retired = true
	}
	out := s.retired && s.users == 0
	p.mu.Unlock()
	if out {
		logout(s)
	}
}

// retire marks a session that has left the pool, and logs it out if nobody uses it.
func (p *Pool) retire(s *session) {
	p.mu.Lock()
	s.retired = true
	out := s.users == 0
	p.mu.Unlock()
	if out {
		logout(s)
	}
}

// logout revokes the session's token. If that fails, the token ends with its time, as do those that have leases.
func logout(s *session) {
	if s.login.Leases {
		return // what it leased must outlive this process
	}
	revoke(s)
}

func revoke(s *session) {
	ctx, cancel := context.WithTimeout(context.Background(), logoutTimeout)
	defer cancel()
	_ = s.client.Auth().Token().RevokeSelfWithContext(ctx, "")
}

// Start renews logins, probes servers that are out, logs out idle sessions and closes idle connections until ctx ends; then
// it logs out all, those too that are under way, and refuses further use. It satisfies the manager's Runnable, which waits
// for it: so whatever ends the operator in order (SIGTERM, as by `helm uninstall`) leaves no login behind on a server that
// answers.
func (p *Pool) Start(ctx context.Context) error {
	ticker, renewals := time.NewTicker(sweepEvery), time.NewTicker(renewEvery)
	defer ticker.Stop()
	defer renewals.Stop()
	var others sync.WaitGroup
	defer others.Wait()
	others.Go(func() { p.watch(ctx) })
	for {
		select {
		case <-ticker.C:
			p.sweep(false)
		case <-renewals.C:
			p.renewHeld(ctx)
		case <-ctx.Done():
			p.end()
			return nil
		}
	}
}

// end logs out all, for as long as endTimeout.
func (p *Pool) end() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	over := make(chan struct{})
	go func() {
		defer close(over)
		p.sweep(true)
		p.flying.Wait()
	}()
	select {
	case <-over:
	case <-time.After(endTimeout):
	}
}

// sweep takes idle sessions and connections out of the pool, or all of them; a session in use is logged out by its
// last user.
func (p *Pool) sweep(all bool) {
	p.mu.Lock()
	var unused []*session
	maps.DeleteFunc(p.sessions, func(_ LoginKey, s *session) bool {
		if !all && (s.users > 0 || s.login.Leases || time.Since(s.used) < idleSession) {
			return false
		}
		s.retired = true
		if s.users == 0 {
			unused = append(unused, s)
		}
		return true
	})
	p.mu.Unlock()

	var logouts errgroup.Group
	logouts.SetLimit(logoutsAtOnce)
	for _, s := range unused {
		if all && p.Out(s.login.Server.Key()) {
			continue // it cannot be told, and its tokens end with their time
		}
		logouts.Go(func() error { logout(s); return nil })
	}
	_ = logouts.Wait()

	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.transports, func(_ transportKey, t *transport) bool {
		old := all || time.Since(t.used) >= idleTransport
		if old {
			t.http.CloseIdleConnections()
		}
		return old
	})
}
