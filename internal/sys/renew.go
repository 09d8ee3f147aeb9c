package sys

import (
	"context"
	"time"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/token"
)

// judged asks the auth method that gave t whether it would now, and with which
// times: it returns t with these, and the life to renew it for if the caller
// wants none in particular (0: the token's first).
func (d *Deps) judged(ctx context.Context, req *engine.Request, t *token.Token) (*token.Token, time.Duration, error) {
	c := call.From(ctx)
	m := c.Routing.ByUUID(t.Mount)
	if m == nil {
		return t, 0, nil
	}
	method, ok := m.Engine.(engine.Renewer)
	if !ok {
		return t, 0, nil
	}
	asked := &engine.Request{Operation: req.Operation, Namespace: req.Namespace, Mount: m.Mount, Storage: c.Tx.View(m.Prefix), Remote: req.Remote, Peer: req.Peer}
	now, err := method.Renew(ctx, asked, &engine.Grant{Role: t.Role, Policies: t.Policies, Metadata: t.Meta, Proof: t.Proof})
	if err != nil {
		return nil, 0, err
	}
	next := *t
	limit := m.Mount.MaxTTL
	for _, l := range []time.Duration{now.MaxTTL, time.Duration(t.ExplicitMaxTTL) * time.Second} {
		if l > 0 {
			limit = min(limit, l)
		}
	}
	next.Max, next.Period = int64(limit/time.Second), int64(now.Period/time.Second)
	if now.TTL == 0 {
		now.TTL = m.Mount.DefaultTTL
	}
	return &next, now.TTL, nil
}
