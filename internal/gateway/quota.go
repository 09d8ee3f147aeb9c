package gateway

import (
	"cmp"
	"context"
	"errors"
	"time"

	"strongroom/engine"
	"strongroom/internal/lease"
	"strongroom/internal/metrics"
	"strongroom/internal/mount"
	"strongroom/internal/namespace"
	"strongroom/internal/quota"
	"strongroom/internal/storage"
	"strongroom/internal/token"
)

// Limited has g keep to the quotas in s: of requests, of the tokens it issues and
// of the secrets it lends.
func (g *Gateway) Limited(s *quota.Store) *Gateway {
	l := *g
	l.quotas = s
	l.lessor.quotas = s
	g.tokens.CountBy(counter{&l})
	return &l
}

// limit counts the request by the rate limit that holds for it, and refuses what
// is over it, before anything is done for the caller. Without a rule it is one
// look at a version.
func (g *Gateway) limit(ctx context.Context, v *visit, params map[string]string) error {
	if g.quotas == nil {
		return nil
	}
	rules, err := g.quotas.Rules(ctx, g.store)
	if err != nil || !rules.Has(quota.RateLimit) || rules.Config.Exempt(v.Here.Path+v.path) {
		return err
	}
	mount, role := "", func() string { return v.role(ctx, params) }
	if v.Mount != nil {
		mount = v.Mount.Entry.Path
	}
	if v.route == nil || v.route.Login == nil && !v.route.Public {
		role = nil
	}
	rule := rules.Match(quota.RateLimit, v.Here.Path, mount, v.path, role)
	if rule == nil {
		return nil
	}
	client, rate := v.client(ctx, g, rule)
	verdict := g.quotas.Take(rule, client, rate, time.Now())
	if rules.Config.ResponseHeaders || !verdict.Allowed {
		v.req.Rate, v.req.ShowRate = &verdict, rules.Config.ResponseHeaders
	}
	if verdict.Allowed {
		return nil
	}
	v.unrecorded = !rules.Config.AuditLogging
	g.meter.count("quota.rate_limit.violation", metrics.Label{Name: "name", Value: rule.Name})
	return engine.Errorf(engine.TooMany, "request path %q: rate limit quota exceeded", v.path)
}

// turnAway is why a request that is in no namespace that serves it is refused. It
// counts like all others: nobody guesses names faster than a limit lets them.
func (g *Gateway) turnAway(ctx context.Context, v *visit, cause error) error {
	if _, answered := errors.AsType[*engine.Error](cause); !answered || v == nil {
		return cause
	}
	return cmp.Or(g.limit(ctx, v, nil), cause)
}

// client is whom a request counts for, and how many they may make.
func (v *visit) client(ctx context.Context, g *Gateway, rule *quota.Rule) (string, float64) {
	ip := v.req.Remote.Addr().Unmap().String()
	if rule.GroupBy == quota.ByEntityThenIP || rule.GroupBy == quota.ByEntityThenNone {
		if id := g.entity(ctx, v); id != "" {
			return "entity " + id, rule.Rate
		}
	}
	rate := rule.Rate
	switch rule.GroupBy {
	case quota.ByNone:
		return "", rate
	case quota.ByEntityThenNone:
		ip = ""
		fallthrough
	case quota.ByEntityThenIP:
		if rule.SecondaryRate > 0 {
			rate = rule.SecondaryRate
		}
	}
	return ip, rate
}

// entity is the caller's, of tokens that have one; the token is judged later.
func (g *Gateway) entity(ctx context.Context, v *visit) string {
	if v.req.Token == "" || v.Routing == nil {
		return ""
	}
	own := *v
	own.Tx = storage.Begin(g.store) // what it reads is no condition of the request
	if err := g.enter(ctx, &own); err != nil || own.Token.EntityID == "" {
		return ""
	}
	caller, err := own.Home.Identities.Caller(ctx, own.Tx, own.Token.EntityID) // one that was merged counts as what it is now
	if err != nil {
		return own.Token.EntityID
	}
	return caller.Entity.ID
}

// role is the role that a login names; "" if it names none, or badly.
func (v *visit) role(ctx context.Context, params map[string]string) string {
	d, _, err := engine.Decode(v.route.Fields, v.req.Body, nil, params)
	if err != nil {
		return ""
	}
	if v.route.Role == nil {
		return d.String("role")
	}
	return v.route.Role(ctx, &engine.Request{Operation: v.req.Operation, Mount: v.Mount.Mount, Storage: v.slice(), Data: d, Body: v.req.Body})
}

// counter is the quotas as the tokens know them, and lend.
type counter struct{ g *Gateway }

// rule is what counts the leases of requests to path on mount, nil for none.
func (c counter) rule(ctx context.Context, tx *storage.Tx, ns, mount, path, role string) (*quota.Rule, error) {
	rules, err := c.g.quotas.Rules(ctx, tx)
	if err != nil || !rules.Has(quota.LeaseCount) {
		return nil, err
	}
	return rules.Match(quota.LeaseCount, ns, mount, path, func() string { return role }), nil
}

// Hold implements token.Counter.
func (c counter) Hold(ctx context.Context, tx *storage.Tx, ns, mount, path, role string) (string, error) {
	rule, err := c.rule(ctx, tx, ns, mount, path, role)
	if err != nil || rule == nil {
		return "", err
	}
	mark, err := c.g.quotas.Hold(ctx, tx, rule)
	if errors.Is(err, quota.ErrLeases) {
		return "", c.refuse(rule, path)
	}
	return mark, err
}

// Room implements token.Counter. What it counts is no condition of the request:
// what is not held passes no limit.
func (c counter) Room(ctx context.Context, tx *storage.Tx, ns, mount, path, role string) error {
	rule, err := c.rule(ctx, tx, ns, mount, path, role)
	if err != nil || rule == nil {
		return err
	}
	n, err := c.g.quotas.Count(ctx, storage.Begin(c.g.store), rule)
	if err == nil && n >= rule.MaxLeases {
		err = c.refuse(rule, path)
	}
	return err
}

func (c counter) refuse(rule *quota.Rule, path string) error {
	c.g.meter.count("quota.lease_count.violation", metrics.Label{Name: "name", Value: rule.Name})
	return engine.Errorf(engine.TooMany, "request path %q: lease count quota exceeded", path)
}

// Free implements token.Counter.
func (c counter) Free(tx *storage.Tx, mark, id string) { c.g.quotas.Free(tx, mark, id) }

// count adds one to a counter.
func (m *meter) count(name string, labels ...metrics.Label) {
	if m != nil {
		m.registry.Counter(name, labels...).Add(1)
	}
}

// Recount has the rules of leases count those that were there before them, or
// that another rule counted; a job of the active node. It says how many it moved.
func (g *Gateway) Recount(ctx context.Context) (int, error) {
	rules, err := g.quotas.Rules(ctx, storage.Begin(g.store))
	if err != nil {
		return 0, err
	}
	due, any := false, rules.Has(quota.LeaseCount)
	for _, r := range rules.All {
		due = due || r.Type == quota.LeaseCount && !r.Counted
	}
	if !any || !due {
		return g.quotas.Sweep(ctx, g.store)
	}
	moved, err := g.recountAll(ctx)
	if err != nil {
		return moved, err
	}
	err = again(ctx, func() error {
		tx := storage.Begin(g.store)
		err := g.quotas.Change(ctx, tx, func(now *quota.Rules) error {
			for i := range now.All {
				if old, ok := rules.Find(now.All[i].Type, now.All[i].Name); ok && now.All[i].Type == quota.LeaseCount {
					now.All[i].Counted = old.ID == now.All[i].ID && len(now.All) == len(rules.All)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		return tx.Commit(ctx)
	})
	return moved, err
}

// recountAll looks at every token and every lease, a transaction each.
func (g *Gateway) recountAll(ctx context.Context) (moved int, err error) {
	one := func(do func(tx *storage.Tx) (bool, error)) error {
		return again(ctx, func() error {
			tx := storage.Begin(g.store)
			did, err := do(tx)
			if err == nil && did {
				err = tx.Commit(ctx)
			}
			if err == nil && did {
				moved++
			}
			return err
		})
	}
	tree, _, err := g.forest.Tree(ctx, g.store)
	if err != nil {
		return moved, err
	}
	for _, n := range append(tree.Below(tree.Root(), false), tree.Root()) {
		for id, err := range g.tokens.At(n.ID).IDs(ctx, g.store) {
			if err == nil {
				err = one(func(tx *storage.Tx) (bool, error) { return g.recountToken(ctx, tx, tree, n, id) })
			}
			if err != nil {
				return moved, err
			}
		}
	}
	queues, err := lease.Queues(ctx, g.store)
	if err != nil {
		return moved, err
	}
	for _, q := range queues {
		for it, err := range lease.Open(q[1]).Queue(ctx, g.store, q[0]) {
			n := tree.ByID(q[1])
			if n == nil {
				continue
			}
			if err == nil {
				err = one(func(tx *storage.Tx) (bool, error) { return g.recountLease(ctx, tx, n, it.ID) })
			}
			if err != nil {
				return moved, err
			}
		}
	}
	return moved, nil
}

// recountToken has the token of id counted by the rule that holds for it now, and says whether that is another.
func (g *Gateway) recountToken(ctx context.Context, tx *storage.Tx, tree *namespace.Tree, n *namespace.Namespace, id string) (bool, error) {
	p, err := g.place(ctx, tx, tree, n)
	if errors.Is(err, mount.ErrNoNamespace) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	t, err := p.Tokens.ByID(ctx, tx, id, p.Issuers)
	if errors.Is(err, token.ErrInvalid) {
		return false, nil
	}
	if err != nil || !t.Counts() {
		return false, err
	}
	m := p.Routing.ByUUID(t.Mount)
	if m == nil { // disabled just now
		return false, nil
	}
	mark, moved, err := g.remark(ctx, tx, t.Quota, n.Path, m.Entry.Path, t.Path, t.Role)
	if err != nil || !moved {
		return false, err
	}
	return true, p.Tokens.Mark(tx, t, mark)
}

// recountLease is recountToken of a lent secret. One whose mount is disabled keeps
// its mark until it ends.
func (g *Gateway) recountLease(ctx context.Context, tx *storage.Tx, n *namespace.Namespace, id string) (bool, error) {
	routing, err := g.mounts.Routing(ctx, tx, n.ID)
	if errors.Is(err, mount.ErrNoNamespace) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	rec, _, err := lease.Open(n.ID).Get(ctx, tx, id)
	if err != nil || rec == nil {
		return false, err
	}
	m := routing.ByUUID(rec.Mount)
	if m == nil {
		return false, nil
	}
	mark, moved, err := g.remark(ctx, tx, rec.Quota, n.Path, m.Entry.Path, pathOf(id), "")
	if err != nil || !moved {
		return false, err
	}
	g.lessor.free(tx, rec)
	return true, lease.Open(n.ID).Mark(tx, rec, mark)
}

// remark counts what has the mark have by the rule that holds for it now, and says whether that is another.
func (g *Gateway) remark(ctx context.Context, tx *storage.Tx, have, ns, mount, path, role string) (mark string, moved bool, err error) {
	rule, err := (counter{g}).rule(ctx, tx, ns, mount, path, role)
	if err != nil || quota.Holds(have, rule) {
		return have, false, err
	}
	if rule != nil {
		mark, err = g.quotas.Adopt(ctx, tx, rule)
	}
	return mark, true, err
}
