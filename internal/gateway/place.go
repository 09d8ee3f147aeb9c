package gateway

import (
	"context"
	"errors"
	"slices"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/mount"
	"strongroom/internal/namespace"
	"strongroom/internal/storage"
	"strongroom/internal/token"
)

// realms is of how many namespaces what they have for themselves is kept ready, up
// to twice as many; each is a few hundred bytes, as they share their caches.
const realms = 512

// locate finds which namespace req is in and what its path is there. The visit is
// what is known of the request, also with an error; nil: nothing is.
func (g *Gateway) locate(ctx context.Context, req *Request) (*visit, error) {
	tree, version, err := g.forest.Tree(ctx, g.store)
	if err != nil {
		return nil, err
	}
	v := &visit{Call: call.Call{Tx: storage.Begin(g.store), Namespace: namespace.RootID, Tree: tree, Places: g, RawToken: req.Token, Remote: req.Remote,
		Wrap: call.Wrap{TTL: req.WrapTTL, Path: req.Path}}, req: req, path: req.Path}
	v.Here = tree.Root()
	n, path := tree.Resolve(req.Namespace, req.Path)
	if n == nil {
		return v, engine.Errorf(engine.NotFound, "no handler for route %q. route entry not found.", req.Namespace+"/"+req.Path)
	}
	if wraps(path) { // a wrapping token knows where it is of; who has it need not
		if own := tree.ByID(token.Namespace(req.Token)); own != nil && n.Holds(own) {
			n = own
		}
	}
	v.Here, v.Namespace, v.path, v.Wrap.Path = n, n.ID, path, path
	if !n.Root() { // it must not be deleted or locked under the request
		if err := v.Tx.Expect(namespace.Key, version); err != nil {
			return v, err
		}
	}
	if err := tree.Refusal(n, unlocks(path)); err != nil {
		return v, err
	}
	v.Place, err = g.place(ctx, v.Tx, tree, n)
	if errors.Is(err, mount.ErrNoNamespace) {
		err = storage.ErrConflict // it was deleted just now
	}
	return v, err
}

// place is the namespace n as tx sees it.
func (g *Gateway) place(ctx context.Context, tx *storage.Tx, tree *namespace.Tree, n *namespace.Namespace) (call.Place, error) {
	p := call.Place{Here: n, Realm: g.root}
	var err error
	if p.Routing, err = g.mounts.Routing(ctx, tx, n.ID); err != nil || n.Root() {
		p.Issuers = p.Routing
		return p, err
	}
	own := issuers{p.Routing}
	for _, a := range tree.Line(n) {
		if a == n {
			break
		}
		above, err := g.mounts.Routing(ctx, tx, a.ID)
		if err != nil {
			return p, err
		}
		own = append(own, above)
	}
	p.Issuers = own
	p.Realm, err = g.realm(ctx, tx, n)
	return p, err
}

// issuers are the mounts of some namespaces.
type issuers []*mount.Routing

// Has implements token.Mounts.
func (i issuers) Has(uuid string) bool {
	return slices.ContainsFunc(i, func(r *mount.Routing) bool { return r.Has(uuid) })
}

// realm is what n has for itself: it is as new as the key of n's tokens is, which
// never changes.
func (g *Gateway) realm(ctx context.Context, tx *storage.Tx, n *namespace.Namespace) (*call.Realm, error) {
	key := token.HashKey(n.ID)
	r, version, err := g.realms.Get(ctx, tx, key, key, func(secret []byte) (*call.Realm, error) {
		tokens, err := g.root.Tokens.In(n.ID, n.Path, secret)
		if err != nil {
			return nil, err
		}
		identities := g.root.Identities.In(n.ID)
		return &call.Realm{Tokens: tokens, Identities: identities, ACLs: g.root.ACLs.In(n.ID, identities)}, nil
	})
	if err == nil && version == 0 {
		err = storage.ErrConflict // it was deleted just now
	}
	return r, err
}

// Below implements call.Places.
func (g *Gateway) Below(ctx context.Context, c *call.Call, id string) (*call.Place, error) {
	n := c.Tree.ByID(id)
	if n == nil || !c.Here.Holds(n) || c.Tree.Refusal(n, false) != nil {
		return nil, nil
	}
	p, err := g.place(ctx, c.Tx, c.Tree, n)
	return &p, err
}

// enter has the caller's token say who asks. It must be alive, come from where it
// may, and be of the request's namespace or of one above it: in any other it is
// nobody's.
func (g *Gateway) enter(ctx context.Context, v *visit) error {
	if v.req.Token == "" && v.req.Caller == nil {
		return engine.ErrDenied
	}
	n := v.Tree.ByID(token.Namespace(v.req.Token))
	if n == nil || v.req.Caller != nil { // the token of a development server may be any text
		n = v.Tree.Root()
	}
	home := &v.Place
	if n != v.Here {
		if !n.Holds(v.Here) {
			return engine.ErrDenied
		}
		p, err := g.place(ctx, v.Tx, v.Tree, n)
		if err != nil {
			return err
		}
		home = &p
	}
	v.Home, v.Prefix = home, v.Here.Path[len(n.Path):]
	if v.req.Caller != nil {
		v.Token = v.req.Caller
		return nil
	}
	t, err := home.Tokens.Lookup(ctx, v.Tx, v.req.Token, home.Issuers)
	if err != nil {
		return err
	}
	if !t.Allows(v.req.Remote.Addr()) {
		return engine.ErrDenied
	}
	v.Token = t
	return nil
}

// stillThere has a new transaction of v conflict with the deletion of its namespace,
// of which the key of its tokens is a part; else it could write what is never found.
func (v *visit) stillThere(ctx context.Context) error {
	if v.Here.Root() {
		return nil
	}
	version, err := v.Tx.Version(ctx, token.HashKey(v.Namespace))
	if err == nil && version == 0 {
		err = engine.Errorf(engine.NotFound, "the namespace %q has been deleted", v.Here.Path)
	}
	return err
}

// unlocks says whether path is one that a locked namespace answers all the same.
func unlocks(path string) bool {
	const unlock = "sys/namespaces/api-lock/unlock"
	return path == unlock || len(path) > len(unlock) && path[:len(unlock)+1] == unlock+"/"
}

// wraps says whether path is one at which a wrapping token may stand for its caller.
func wraps(path string) bool {
	return path == "sys/wrapping/unwrap" || path == "sys/wrapping/rewrap" || path == "sys/wrapping/lookup"
}
