package gateway

import (
	"context"
	"fmt"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/internal/lease"
	"strongroom/internal/token"
)

// lend stores, with all that the request writes, the lease that the handler asks
// for. Its effect comes after the commit; see act.
func (g *Gateway) lend(ctx context.Context, v *visit, out *Response) error {
	l := out.Lease
	if l == nil || len(l.Revoke) == 0 && l.Act == nil {
		return nil // it only informs
	}
	if _, ok := v.Mount.Engine.(engine.Revoker); !ok || len(l.Revoke) == 0 || v.Token == nil || v.route.External {
		return engine.Errorf(engine.Internal, "the engine at %s lends what it could not take back; nothing was lent", v.Mount.Entry.Path)
	}
	owner, err := v.Home.Tokens.Lend(ctx, v.Tx, v.Token, v.Namespace)
	if err == token.ErrInvalid {
		return engine.Invalidf("Secret cannot be returned; token had one use left, so leased credentials were immediately revoked.")
	}
	if err != nil {
		return err
	}
	now := time.Now()
	limit := v.Mount.Mount.MaxTTL
	if l.MaxTTL > 0 {
		limit = min(limit, l.MaxTTL)
	}
	if v.Token.Type == token.Batch { // it cannot be ended, so its leases do not outlive it
		limit = min(limit, v.Token.Left(now))
	}
	ttl, warning := capped(l.TTL, v.Mount.Mount.DefaultTTL, limit)
	if warning != "" {
		out.Warnings = append(out.Warnings, warning)
	}
	rec := &lease.Lease{Mount: v.Mount.Entry.UUID, Owner: owner, Issued: now.Unix(), Expires: now.Unix() + seconds(ttl), TTL: seconds(ttl), Max: seconds(limit),
		Renewable: l.Renewable, Revoke: l.Revoke}
	path := strings.TrimSuffix(v.path, "/")
	if g.quotas != nil {
		if rec.Quota, err = (counter{g}).Hold(ctx, v.Tx, v.Here.Path, v.Mount.Entry.Path, path, ""); err != nil {
			return err
		}
	}
	if err := lease.Open(v.Namespace).Add(v.Tx, path, rec); err != nil {
		return err
	}
	out.LeaseID = rec.ID
	out.Lease = &engine.Lease{TTL: ttl, MaxTTL: limit, Renewable: l.Renewable}
	out.act = l.Act
	return nil
}

// capped is the life asked for, or the usual one if that is 0, within limit.
func capped(asked, usual, limit time.Duration) (time.Duration, string) {
	switch {
	case asked == 0:
		return min(usual, limit), ""
	case asked > limit:
		return limit, fmt.Sprintf("TTL of %q exceeded the effective max_ttl of %q; TTL value is capped accordingly", asked, limit)
	}
	return asked, ""
}

// seconds is d in whole seconds, rounded up: nothing lives shorter than was said.
func seconds(d time.Duration) int64 {
	n := int64(d / time.Second)
	if d%time.Second > 0 {
		n++
	}
	return n
}

// act has the effect of a lease that is durable now. If it fails, it may be half
// there, so the lease ends.
func (g *Gateway) act(ctx context.Context, resp *Response) error {
	if resp.act == nil {
		return nil
	}
	err := func() error {
		defer resp.acted() // also after a panic: the end of the lease waits for it
		return resp.act(ctx)
	}()
	if err != nil {
		g.withdraw(ctx, resp)
	}
	return err
}

// withdraw ends the lease of an answer that does not leave.
func (g *Gateway) withdraw(ctx context.Context, resp *Response) {
	if resp == nil || resp.act == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := g.lessor.endSoon(ctx, lease.Namespace(resp.LeaseID), resp.LeaseID); err != nil {
		g.logger.Warn("the lease of a secret that was not delivered ends with its time: it could not be ended at once", "lease_id", resp.LeaseID, "error", err)
	}
}
