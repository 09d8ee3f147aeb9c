package sys

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"strongroom/auth"
	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/lease"
	"strongroom/internal/namespace"
	"strongroom/internal/storage"
	"strongroom/internal/token"
)

// Leases is who takes back what engines have lent.
type Leases interface {
	// Renew gives l, of the namespace in, the life asked for in tx, as far as may be.
	Renew(ctx context.Context, tx *storage.Tx, in *call.Place, l *lease.Lease, increment time.Duration) (warnings []string, err error)
	// End ends the lease or token called id, or all below id, before it returns;
	// force forgets what cannot be ended.
	End(ctx context.Context, ns, id string, force bool) error
	// EndLater has them end once tx is committed.
	EndLater(ctx context.Context, tx *storage.Tx, ns, id string) error
}

// listedLeases is how many irrevocable leases are listed unless more are asked for.
const listedLeases = 10_000

// leaseRoutes serve sys/leases, and the paths that some of it had before Vault 0.8
// (https://developer.hashicorp.com/vault/api-docs/system/leases).
func (d *Deps) leaseRoutes() []engine.Route {
	id := engine.Field{Name: "lease_id", Help: "The id of the lease."}
	inPath := engine.Field{Name: "url_lease_id", Help: "The id of the lease."}
	sync := engine.Field{Name: "sync", Type: engine.Bool, Help: "Return only once it has ended."}
	prefix := engine.Field{Name: "prefix", Help: "The beginning of the ids, in whole segments."}
	increment := engine.Field{Name: "increment", Type: engine.Duration, Help: "Life asked for, from now; 0: as at first."}
	kind := []engine.Field{{Name: "type", Help: "\"irrevocable\": leases that could not be ended."},
		{Name: "include_child_namespaces", Type: engine.Bool, Help: "Those of the namespaces below too."}}
	routes := []engine.Route{
		{Path: "leases", Help: "List leases of a type.", Sudo: true, Answers: engine.Answers{engine.Read: irrevocableLeases{}}, Read: d.listIrrevocable,
			Fields: append(slices.Clone(kind), engine.Field{Name: "limit", Help: "How many at most; \"none\": all."})},
		{Path: "leases/count", Help: "Count leases of a type.", Sudo: true, Fields: kind, Answers: engine.Answers{engine.Read: irrevocableCount{}}, Read: d.countIrrevocable},
		{Path: "leases/lookup", Help: "What a lease is; with LIST, the first segments of all ids.", Fields: append(auth.ListFields(), id), Write: d.lookupLease, List: d.listLeases,
			Answers: engine.Answers{engine.Update: engine.TopLevel{Data: leaseInfo{}}, engine.List: engine.Keys{}}},
		{Path: "leases/lookup/{prefix...}", Help: "List the ids of leases and tokens below a prefix.", Sudo: true, Fields: append(auth.ListFields(), prefix), Answers: engine.Answers{engine.List: engine.Keys{}}, List: d.listLeases},
		{Path: "leases/tidy", Help: "Look for what stands for no token any more.", Sudo: true, Answers: engine.Answers{engine.Update: engine.Accepted{}}, Write: d.tidyTokens},
	}
	renewed := engine.Answers{engine.Update: engine.Envelope{}}
	nothing := engine.Answers{engine.Update: engine.Nothing{}}
	for _, at := range []string{"leases/", ""} {
		routes = append(routes,
			engine.Route{Path: at + "renew", Help: "Renew a lease.", Fields: []engine.Field{id, increment}, Answers: renewed, Write: d.renewLease},
			engine.Route{Path: at + "renew/{url_lease_id...}", Help: "Renew a lease.", Fields: []engine.Field{id, inPath, increment}, Answers: renewed, Write: d.renewLease},
			engine.Route{Path: at + "revoke", Help: "End a lease.", Fields: []engine.Field{id, sync}, Answers: nothing, Write: d.revokeLease},
			engine.Route{Path: at + "revoke/{url_lease_id...}", Help: "End a lease.", Fields: []engine.Field{id, inPath, sync}, Answers: nothing, Write: d.revokeLease},
			engine.Route{Path: at + "revoke-prefix/{prefix...}", Help: "End all leases and tokens below a prefix.", Sudo: true, Fields: []engine.Field{prefix, sync}, Answers: nothing, Write: d.revokePrefix},
			engine.Route{Path: at + "revoke-force/{prefix...}", Help: "Forget all leases below a prefix, whether or not they can be ended.", Sudo: true,
				Fields: []engine.Field{prefix}, Answers: nothing, Write: d.revokeForce})
	}
	return routes
}

// leaseID is the lease that a request names, and its namespace: that of the request
// or one below it; nil for another, in which no lease is to be seen.
func leaseID(ctx context.Context, req *engine.Request) (string, *call.Place, error) {
	id := req.Data.String("lease_id")
	if id == "" {
		id = req.Data.String("url_lease_id")
	}
	if id == "" {
		return "", nil, engine.Invalidf("lease_id must be specified")
	}
	id = strings.Trim(id, "/")
	p, err := call.From(ctx).Reach(ctx, lease.Namespace(id))
	return id, p, err
}

func (d *Deps) lookupLease(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	id, p, err := leaseID(ctx, req)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, engine.Invalidf("invalid lease")
	}
	c, now := call.From(ctx), time.Now()
	l, tok, err := lease.Open(p.Here.ID).Get(ctx, c.Tx, id)
	if err != nil {
		return nil, err
	}
	if tok != "" {
		t, err := p.Tokens.ByID(ctx, c.Tx, tok, p.Issuers)
		if err == token.ErrInvalid {
			return nil, engine.Invalidf("invalid lease")
		}
		if err != nil {
			return nil, err
		}
		l = &lease.Lease{Issued: t.Created, Renewed: t.Renewed, Expires: t.Expires, Renewable: t.Renewable}
	}
	if l == nil || l.Over(now) {
		return nil, engine.Invalidf("invalid lease")
	}
	var renewed any
	if l.Renewed != 0 {
		renewed = stamp(l.Renewed)
	}
	return &engine.Response{TopLevel: true, Data: map[string]any{"id": id, "issue_time": stamp(l.Issued), "expire_time": stamp(l.Expires),
		"last_renewal": renewed, "renewable": l.Renewable, "ttl": max(0, l.Expires-now.Unix())}}, nil
}

// stamp is a time as answers show it.
func stamp(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339Nano) }

func (d *Deps) listLeases(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	prefix := req.Data.String("prefix")
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	c := call.From(ctx)
	names, err := lease.Open(c.Namespace).List(ctx, c.Tx, prefix, req.Data.String("after"), int(req.Data.Int("limit")))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: map[string]any{"keys": names}}, nil
}

func (d *Deps) renewLease(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	id, p, err := leaseID(ctx, req)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, engine.Invalidf("lease not found")
	}
	c := call.From(ctx)
	l, tok, err := lease.Open(p.Here.ID).Get(ctx, c.Tx, id)
	switch {
	case err != nil:
		return nil, err
	case tok != "":
		return nil, engine.Invalidf("tokens cannot be renewed through this endpoint: use auth/token/renew")
	case l == nil || l.Over(time.Now()):
		return nil, engine.Invalidf("lease not found")
	}
	warnings, err := d.Leases.Renew(ctx, c.Tx, p, l, req.Data.Duration("increment"))
	if err != nil {
		return nil, err
	}
	c.LeaseID = id
	return &engine.Response{Warnings: warnings, Lease: &engine.Lease{TTL: time.Duration(l.Expires-l.Renewed) * time.Second, Renewable: l.Renewable}}, nil
}

// revokeLease succeeds where there is no such lease, as it is ended then.
func (d *Deps) revokeLease(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	id, p, err := leaseID(ctx, req)
	if err != nil || p == nil {
		return nil, err
	}
	c := call.From(ctx)
	l, tok, err := lease.Open(p.Here.ID).Get(ctx, c.Tx, id)
	if err != nil || l == nil && tok == "" {
		return nil, err
	}
	if req.Data.Bool("sync") {
		return nil, d.Leases.End(ctx, p.Here.ID, id, false)
	}
	return nil, d.Leases.EndLater(ctx, c.Tx, p.Here.ID, id)
}

func (d *Deps) revokePrefix(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, prefix := call.From(ctx), req.Data.String("prefix")
	if req.Data.Bool("sync") {
		return nil, d.Leases.End(ctx, c.Namespace, prefix, false)
	}
	return nil, d.Leases.EndLater(ctx, c.Tx, c.Namespace, prefix)
}

func (d *Deps) revokeForce(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return nil, d.Leases.End(ctx, call.From(ctx).Namespace, req.Data.String("prefix"), true)
}

// irrevocable calls do with the leases that could not be ended, and the namespace
// of each, until it says no.
func irrevocable(ctx context.Context, req *engine.Request, do func(n *namespace.Namespace, l *lease.Lease) bool) error {
	if kind := req.Data.String("type"); kind != "irrevocable" {
		return engine.Invalidf("invalid lease type %q: only \"irrevocable\" is supported", kind)
	}
	c := call.From(ctx)
	in := []*namespace.Namespace{c.Here}
	if req.Data.Bool("include_child_namespaces") {
		in = append(in, c.Tree.Below(c.Here, false)...)
	}
	for _, n := range in {
		book := lease.Open(n.ID)
		for id, err := range book.Irrevocables(ctx, c.Tx) {
			if err != nil {
				return err
			}
			l, _, err := book.Get(ctx, c.Tx, id)
			if err != nil {
				return err
			}
			if l != nil && !do(n, l) {
				return nil
			}
		}
	}
	return nil
}

func (d *Deps) listIrrevocable(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	limit := listedLeases
	if text := req.Data.String("limit"); text == "none" {
		limit = 0
	} else if text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 0 {
			return nil, engine.Invalidf("invalid limit %q: give a number, or \"none\"", text)
		}
	}
	leases, more := []map[string]any{}, false
	err := irrevocable(ctx, req, func(_ *namespace.Namespace, l *lease.Lease) bool {
		if more = limit > 0 && len(leases) == limit; !more {
			leases = append(leases, map[string]any{"lease_id": l.ID, "error": l.Error})
		}
		return !more
	})
	if err != nil {
		return nil, err
	}
	resp := &engine.Response{Data: map[string]any{"lease_count": len(leases), "leases": leases}}
	if more {
		resp.Warnings = []string{"there are more leases than were listed: ask with a higher limit, or \"none\""}
	}
	return resp, nil
}

func (d *Deps) countIrrevocable(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, counts, total := call.From(ctx), map[string]int{}, 0
	var failed error
	err := irrevocable(ctx, req, func(n *namespace.Namespace, l *lease.Lease) bool {
		path := "unknown" // disabled
		p, err := c.Reach(ctx, n.ID)
		if err != nil {
			failed = err
			return false
		}
		if p != nil {
			if m := p.Routing.ByUUID(l.Mount); m != nil {
				path = n.Path[len(c.Here.Path):] + m.Entry.Path
			}
		}
		counts[path]++
		total++
		return true
	})
	if err = cmp.Or(err, failed); err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]any{"lease_count": total, "counts": counts}}, nil
}
