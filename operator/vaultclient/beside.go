package vaultclient

import (
	"context"
	"time"
)

// besideEvery bounds how often another login is tried beside one that holds leases.
const besideEvery = time.Minute

// beside does work that old was denied by another login, as the role may have new policies by now. old holds leases, which
// would be lost with it, also those of others who share it: it is replaced only if that helps. What was made in vain is
// revoked. It returns denial where nothing is tried.
func (p *Pool) beside(ctx context.Context, old *session, work func(context.Context, *Client) error, denial error) error {
	p.mu.Lock()
	wait := time.Since(old.tried) < besideEvery
	if !wait {
		old.tried = time.Now()
	}
	p.mu.Unlock()
	if wait {
		return denial
	}
	fresh, err := p.login(ctx, old.login)
	p.counters.login(err)
	if err != nil {
		return denial
	}
	err = work(ctx, &Client{vault: fresh.client, login: fresh.login, id: fresh.id})
	p.mu.Lock()
	p.logins++
	key := fresh.login.Key()
	replaced := p.sessions[key]
	if err == nil && !p.closed {
		p.sessions[key] = fresh
	}
	p.mu.Unlock()
	switch {
	case err != nil:
		revoke(fresh)
		return err
	case replaced != nil:
		p.retire(replaced)
		if p.replaced != nil {
			p.replaced(key)
		}
	}
	return nil
}
