package sys

import (
	"context"
	"time"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/identity"
	"strongroom/internal/mount"
	"strongroom/internal/token"
)

// judged asks the auth method that gave t whether it would now, and with which
// times: it returns t with these, and the life to renew it for if the caller
// wants none in particular (0: the token's first).
func (d *Deps) judged(ctx context.Context, req *engine.Request, p *call.Place, t *token.Token) (*token.Token, time.Duration, error) {
	c := call.From(ctx)
	m := p.Routing.ByUUID(t.Mount)
	if m == nil {
		return t, 0, nil
	}
	method, ok := m.Engine.(engine.Renewer)
	if !ok {
		return t, 0, nil
	}
	asked := &engine.Request{Operation: req.Operation, Namespace: p.Here.ID, Mount: m.Mount, Storage: c.Tx.View(m.Prefix), Remote: req.Remote, Peer: req.Peer}
	now, err := method.Renew(ctx, asked, &engine.Grant{Role: t.Role, Policies: t.Policies, Metadata: t.Meta, Proof: t.Proof})
	if err != nil {
		return nil, 0, err
	}
	if err := regroup(ctx, p, m, t, now); err != nil {
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

// regroup brings the external groups of who renews t to what the method m says of them now, as a login does
// (https://developer.hashicorp.com/vault/docs/concepts/identity#external-vs-internal-groups). It makes no entity: an alias that was taken away
// stays away until the next login.
func regroup(ctx context.Context, p *call.Place, m *mount.Mounted, t *token.Token, now *engine.Grant) error {
	if now.Alias == "" || t.EntityID == "" {
		return nil
	}
	tx := call.From(ctx).Tx
	known, err := p.Identities.EntityByLogin(ctx, tx, m.Entry.Accessor, now.Alias)
	if err != nil || known == nil {
		return err
	}
	metadata := now.Metadata
	if metadata == nil {
		metadata = t.Meta
	}
	_, err = p.Identities.Bind(ctx, tx, identity.Login{Accessor: m.Entry.Accessor, Name: now.Alias, Metadata: metadata, Groups: now.Groups})
	return err
}
