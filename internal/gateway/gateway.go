// Package gateway owns the path of one request, from a token and a path to a
// committed answer: admit, perform, commit. It runs only in a Session, and
// knows nothing of HTTP.
package gateway

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/events"
	"strongroom/internal/lockout"
	"strongroom/internal/mount"
	"strongroom/internal/namespace"
	"strongroom/internal/quota"
	"strongroom/internal/storage"
	"strongroom/internal/token"
)

// Gateway serves requests. Safe for concurrent use.
type Gateway struct {
	store  storage.Store
	mounts *mount.Manager
	tokens *token.Store // of the root
	logger hclog.Logger

	forest *namespace.Forest
	root   *call.Realm
	realms *storage.Cache[*call.Realm] // of the other namespaces

	lockouts        *lockout.Guard // nil: nobody is locked out
	lockoutDefaults lockout.Defaults

	lessor  *Lessor
	workers *Workers

	bus *events.Bus // nil: nobody is told what handlers emit

	recorder Recorder     // nil: nothing is recorded
	meter    *meter       // nil: nothing is measured
	quotas   *quota.Store // nil: none

	standby bool // answers only what this node's state holds
}

// New makes a gateway over an open barrier, of which root is the root namespace's.
func New(store storage.Store, mounts *mount.Manager, root call.Realm, logger hclog.Logger) *Gateway {
	return &Gateway{store: store, mounts: mounts, tokens: root.Tokens, logger: logger, lessor: newLessor(store, mounts, root.Tokens, logger), workers: newWorkers(store, mounts, logger),
		forest: namespace.NewForest(), root: &root, realms: storage.NewCache[*call.Realm](realms)}
}

// Lessor is who takes back what engines lend.
func (g *Gateway) Lessor() *Lessor { return g.lessor }

// Workers is who has engines do what they have to do elsewhere.
func (g *Gateway) Workers() *Workers { return g.workers }

// Standby is the same gateway for a node that does not lead: it answers reads
// from this node's state and everything else with storage.ErrNotLeader, before
// anything has happened.
func (g *Gateway) Standby() *Gateway {
	s := *g
	s.standby = true
	return &s
}

// Request is what a client asks.
type Request struct {
	ID        string
	Operation engine.Operation // Update for what may turn out a Create
	Namespace string           // as namespace.CheckBase returns it; Path may go further below
	Path      string           // below /v1/
	Token     string
	Body      []byte
	Query     map[string][]string
	Header    http.Header
	Remote    netip.AddrPort
	// Rate is set by Serve: what a rate limit says of the request; nil: nothing. A
	// client is to be shown it if ShowRate, or if it was refused.
	Rate     *quota.Verdict
	ShowRate bool
	Peer     []*x509.Certificate // see engine.Request
	WrapTTL  time.Duration       // has the answer wrapped for as long; 0: not at all
	Guarded  bool                // for Record: the token's rules must allow it

	// Caller is who asks when it is the server itself, in the place of a token. Nothing
	// that a client sends sets it.
	Caller *token.Token
	// Beside, if set, writes what is to be committed together with the request, which
	// it may refuse. It runs once an attempt.
	Beside func(ctx context.Context, tx *storage.Tx, resp *Response) error

	memo engine.Memo // what the handler keeps over its attempts
}

// Response is the whole answer. Without Data, Auth or warnings it is empty.
type Response struct {
	engine.Response
	WrapInfo  *call.WrapInfo // stands for all the rest
	Empty     bool
	Auth      *call.Auth
	MountType string
	LeaseID   string
	Route     *engine.Route // that answered

	act   func(ctx context.Context) error // the effect of a lease, once it is durable
	acted func()                          // to be called once it is over
}

// attempts bounds how often a request runs again because others wrote first.
const attempts = 64

// Serve answers req. Whatever it writes is durable when it returns without an
// error. After storage.ErrNotLeader nothing has happened and another node may be asked.
func (g *Gateway) Serve(ctx context.Context, req *Request) (*Response, error) {
	start := time.Now()
	do, rec := g.once, &recording{g: g}
	if helpAsked(req) {
		do = g.help
	}
	var resp *Response
	err := again(ctx, func() (err error) {
		resp, err = do(ctx, req, rec)
		return err
	})
	if err == nil {
		err = g.act(ctx, resp)
	}
	if err != nil {
		resp = nil
	}
	defer func() { g.meter.served(start, rec.last, resp) }()
	out, err := rec.response(ctx, resp, err)
	if err != nil {
		g.withdraw(ctx, resp)
	}
	return out, err
}

// again runs do until nobody has written first.
func again(ctx context.Context, do func() error) error {
	for range attempts {
		if err := do(); !errors.Is(err, storage.ErrConflict) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return engine.Errorf(engine.Unavailable, "too many clients write the same data; nothing was written: try again")
}

// visit is one attempt at a request.
type visit struct {
	call.Call
	req     *Request
	path    string // of the request, in its namespace
	route   *engine.Route
	handler engine.Handler
	engReq  *engine.Request
	ignored []string // parameters that no field names

	unrecorded bool // refused so early that it is not to be recorded

	decided, allowed bool // what the caller's rules said, once they were asked
}

func (g *Gateway) once(ctx context.Context, req *Request, rec *recording) (*Response, error) {
	v, err := g.admit(ctx, req)
	rec.last = v
	if g.standby && err == nil && !v.local() {
		return nil, storage.ErrNotLeader
	}
	if err := rec.request(ctx, v, err); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if v.route.External {
		return g.external(ctx, v)
	}
	if err := v.spend(v.Tx, v.Token); err != nil {
		return nil, err
	}
	resp, err := g.perform(ctx, v)
	if err != nil {
		return nil, g.spendAlone(ctx, v, err)
	}
	if err := v.beside(ctx, resp); err != nil {
		return nil, err
	}
	if err := rec.flush(ctx, v.Tx); err != nil {
		return nil, err
	}
	if resp.act != nil {
		resp.acted = g.lessor.begin(resp.LeaseID)
	}
	if err := v.Tx.Commit(ctx); err != nil {
		if resp.acted != nil {
			resp.acted()
		}
		return nil, err
	}
	return resp, nil
}

// spend counts a use of the caller's token in tx, if its uses are limited.
func (v *visit) spend(tx *storage.Tx, t *token.Token) error {
	if t == nil {
		return nil
	}
	return v.Home.Tokens.Use(tx, t)
}

// Spends says whether a request with that token may count one of its uses: also
// where this node does not know the token, which may have ended with its last one.
func (g *Gateway) Spends(ctx context.Context, raw string) bool {
	if raw == "" {
		return false
	}
	tree, _, err := g.forest.Tree(ctx, g.store)
	if err != nil {
		return true
	}
	tx := storage.Begin(g.store)
	home, err := g.place(ctx, tx, tree, cmp.Or(tree.ByID(token.Namespace(raw)), tree.Root()))
	if err != nil {
		return true
	}
	t, err := home.Tokens.Lookup(ctx, tx, raw, home.Issuers)
	return err != nil || t.Uses > 0
}

// spendAlone counts the use of a token whose request failed with cause, without
// anything that the handler wrote, and returns cause.
func (g *Gateway) spendAlone(ctx context.Context, v *visit, cause error) error {
	if v.Token == nil || v.Token.Uses == 0 || errors.Is(cause, storage.ErrConflict) {
		return cause
	}
	tx := storage.Begin(g.store)
	t, err := v.Home.Tokens.ByID(ctx, tx, v.Token.ID, v.Home.Issuers)
	if err == nil {
		err = v.spend(tx, t)
	}
	if err == nil {
		err = tx.Commit(ctx)
	}
	if err != nil {
		return err
	}
	return cause
}

// external runs a handler whose effects are outside storage: the use of the
// token is committed first, and the handler is never run twice.
func (g *Gateway) external(ctx context.Context, v *visit) (*Response, error) {
	if err := v.spend(v.Tx, v.Token); err != nil {
		return nil, err
	}
	if err := v.Tx.Commit(ctx); err != nil {
		return nil, err
	}
	v.Tx = storage.Begin(g.store)
	if err := v.stillThere(ctx); err != nil {
		return nil, err
	}
	v.engReq.Storage, v.engReq.Passwords = v.slice(), passwords{v.Tx, v.Namespace}
	v.engReq.Desk = desk{g.store, g.mounts, v.Namespace, v.Mount.Entry.UUID}
	resp, err := g.perform(ctx, v)
	if err != nil {
		return nil, err
	}
	if err := v.beside(ctx, resp); err != nil {
		return nil, err
	}
	if err := v.Tx.Commit(ctx); err != nil {
		return nil, engine.Errorf(engine.Internal, "the request took effect but could not be recorded: %v", err)
	}
	return resp, nil
}

// beside has the request's own companion write into the same commit.
func (v *visit) beside(ctx context.Context, resp *Response) error {
	if v.req.Beside == nil {
		return nil
	}
	return v.req.Beside(ctx, v.Tx, resp)
}

// inside is the context of the mount's handlers: the server's own see the call.
func (v *visit) inside(ctx context.Context) context.Context {
	if !v.system() {
		return ctx
	}
	return call.With(ctx, &v.Call)
}

// local says whether the answer depends on nothing but storage.
func (v *visit) local() bool {
	return v.engReq.Operation.Reads() && v.Wrap.TTL == 0 && !v.route.External && (v.route.AnyNode || !v.system())
}

// system says whether the server itself serves the request.
func (v *visit) system() bool { return v.Mount.Prefix != mount.DataPrefix(v.Mount.Entry.UUID) }

// perform runs the handler and turns what it grants into a token.
func (g *Gateway) perform(ctx context.Context, v *visit) (*Response, error) {
	resp, err := g.attempt(ctx, v)
	if err != nil {
		return nil, err
	}
	g.announce(v.Tx, v.Here, v.Mount, v.engReq)
	out := &Response{Empty: resp == nil, Auth: v.Auth, MountType: v.Mount.Entry.Type, LeaseID: v.LeaseID, Route: v.route}
	if resp != nil {
		out.Response = *resp
	}
	if err := g.lend(ctx, v, out); err != nil {
		return nil, err
	}
	if err := g.keep(ctx, v); err != nil {
		return nil, err
	}
	if out.Grant != nil {
		if err := g.grant(ctx, v, out); err != nil {
			return nil, err
		}
	}
	if err := g.introduce(ctx, v, out); err != nil {
		return nil, err
	}
	if len(v.ignored) > 0 && !v.route.FreeForm {
		out.Warnings = append(out.Warnings, "Endpoint ignored these unrecognized parameters: ["+strings.Join(v.ignored, " ")+"]")
		out.Empty = false
	}
	return g.wrap(ctx, v, out)
}

// grant issues the token of a login.
func (g *Gateway) grant(ctx context.Context, v *visit, out *Response) error {
	if slices.Contains(token.Policies(out.Grant.Policies, true), "root") {
		return engine.Errorf(engine.Denied, "auth methods cannot create root tokens")
	}
	spec := token.Spec{Grant: *out.Grant, Path: v.path, Mount: v.Mount.Mount}
	name := strings.ReplaceAll(strings.Trim(strings.TrimPrefix(v.Mount.Entry.Path, "auth/"), "/"), "/", "-")
	if spec.DisplayName = name; out.Grant.DisplayName != "" {
		spec.DisplayName = name + "-" + out.Grant.DisplayName
	}
	var err error
	if spec.Type, err = token.KindFor(v.Mount.Entry.Config.TokenType, out.Grant.Type); err != nil {
		return err
	}
	if spec.EntityID, err = g.bind(ctx, v, out.Grant); err != nil {
		return err
	}
	t, raw, warnings, err := v.Realm.Tokens.Issue(ctx, v.Tx, spec)
	if err != nil {
		return err
	}
	out.Auth = &call.Auth{ClientToken: raw, Token: t, LeaseDuration: t.Granted()}
	out.Warnings = append(out.Warnings, warnings...)
	out.Empty = false
	return nil
}
