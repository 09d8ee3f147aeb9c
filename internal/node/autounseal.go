package node

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"strongroom/engine"
	"strongroom/internal/seal"
	"strongroom/internal/secret"
	"strongroom/internal/storage"
)

// Stored inside the barrier.
const (
	joinPath     = "core/join-key"     // what a node that joins proves to know, from the unseal key
	recoveryPath = "core/recovery-key" // with an auto seal: the recovery key's verifier
)

// How often a node that unseals itself looks whether it has to, and how long it
// waits at most between attempts that fail.
const (
	lookAlone    = 250 * time.Millisecond
	longestAlone = 30 * time.Second
)

// alone is what a node that unseals itself remembers.
type alone struct {
	byHand  atomic.Bool            // sealed by somebody: it waits for a restart, or for shares
	seals   atomic.Uint64          // how often somebody sealed it
	said    atomic.Bool            // that there is a migration to do
	foreign atomic.Pointer[string] // a Config.Sealed that Config.Seal surely does not open, though it is of its type
}

func (a *alone) isForeign(sealed []byte) bool {
	f := a.foreign.Load()
	return f != nil && *f == string(sealed)
}

func (a *alone) setForeign(sealed []byte) {
	f := string(sealed)
	a.foreign.Store(&f)
}

// startSeals runs what the configured seals need while the node runs.
func (n *Node) startSeals() {
	for _, s := range []seal.Auto{n.config.Seal, n.config.OldSeal} {
		if r, ok := s.(interface {
			Renew(context.Context, func(error))
		}); ok {
			n.done.Go(func() {
				r.Renew(n.ctx, func(err error) { n.logger.Warn("the token of the seal", "seal", s.Type(), "error", err) })
			})
		}
	}
	if n.config.Seal != nil {
		n.done.Go(func() { n.keepUnsealed(n.ctx) })
		if !n.config.Declared.Empty() {
			n.done.Go(func() { n.initAlone(n.ctx) })
		}
	}
}

// sealType is the type of the seal that this node is configured with.
func (n *Node) sealType() string {
	if n.config.Seal == nil {
		return seal.Shamir
	}
	return n.config.Seal.Type()
}

// opener is the seal that opens c and whether this node is to migrate the cluster
// away from it. It is nil for Shamir. It asks the configured seal only where both
// seals are of c's type.
func (n *Node) opener(ctx context.Context, c seal.Config) (opener seal.Auto, migrate bool, err error) {
	is := func(s seal.Auto) bool { return s != nil && s.Type() == c.Type }
	current, old := n.config.Seal, n.config.OldSeal
	switch {
	case !c.Auto():
		return nil, current != nil, nil
	case is(current) && is(old):
		if n.alone.isForeign(c.Sealed) {
			return old, true, nil
		}
		key, err := current.Unwrap(ctx, c.Sealed)
		clear(key)
		if errors.Is(err, secret.ErrOpen) {
			n.alone.setForeign(c.Sealed)
			return old, true, nil
		}
		return current, false, err
	case is(current):
		return current, false, nil
	case is(old):
		return old, true, nil
	}
	return nil, false, engine.Errorf(engine.Unavailable, "this cluster is sealed by seal %[1]q and this node is configured for %[2]q only: add the stanza seal %[1]q, with disabled = \"true\" to migrate away from it", c.Type, n.sealType())
}

// migrating is opener's second answer as far as it is known without asking.
func (n *Node) migrating(c seal.Config) bool {
	current, old := n.config.Seal, n.config.OldSeal
	switch {
	case !c.Auto():
		return current != nil
	case old == nil || old.Type() != c.Type:
		return false
	}
	return current == nil || current.Type() != c.Type || n.alone.isForeign(c.Sealed)
}

// keepUnsealed unseals this node whenever it is sealed, unless somebody sealed it,
// until ctx ends; and while this node is active it keeps the seal's own key new.
func (n *Node) keepUnsealed(ctx context.Context) {
	tick := time.NewTicker(lookAlone)
	defer tick.Stop()
	var said string
	var next time.Time
	var wait time.Duration
	var renewed Session
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if time.Now().Before(next) {
			continue
		}
		s := n.session.Load()
		err := n.unsealAlone(ctx)
		if err == nil && s != nil && s != renewed {
			if err = n.rewrap(ctx); err == nil {
				renewed = s
			}
		}
		if err == nil {
			said, wait, next = "", 0, time.Time{}
			continue
		}
		if ctx.Err() != nil {
			return
		}
		wait = min(max(2*wait, lookAlone), longestAlone)
		next = time.Now().Add(wait)
		if text := err.Error(); text != said { // once, not every time
			said = text
			n.logger.Error("the seal does not do its part; trying again", "seal", n.sealType(), "error", err)
		}
	}
}

// unsealAlone opens this node if it is sealed, and by itself may and can be opened.
func (n *Node) unsealAlone(ctx context.Context) error {
	m, seals := n.member.Load(), n.alone.seals.Load()
	switch {
	case m != nil && (!m.barrier.Sealed() || n.alone.byHand.Load()):
		return nil
	case m == nil && n.pending.Load() == nil:
		return nil // no cluster yet
	}
	end, err := n.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	m = n.member.Load() // the turn before may have been an init's
	c, ok := seal.Config{}, true
	if m == nil {
		c = n.pending.Load().Seal
	} else if c, ok, err = n.sealConfig(m); err != nil || !ok {
		return err // still catching up
	}
	opener, migrate, err := n.opener(ctx, c)
	if err != nil {
		return err
	}
	if migrate {
		n.sayMigrating(c)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := n.openWith(ctx, m, opener, nil); err != nil {
		return err
	}
	if n.alone.seals.Load() != seals { // by somebody, between the look and now
		return n.Seal(ctx)
	}
	return nil
}

// sayMigrating tells the log, once a start, why this node does not unseal itself.
func (n *Node) sayMigrating(c seal.Config) {
	if n.alone.said.CompareAndSwap(false, true) {
		n.logger.Warn("entering seal migration mode; this node will not unseal itself: give it the cluster's unseal or recovery keys with \"vault operator unseal -migrate\"", "from", c.Type, "to", n.sealType())
	}
}

// rewrap has the unseal key wrapped anew if the seal has got a newer key.
func (n *Node) rewrap(ctx context.Context) error {
	m := n.member.Load()
	tx := storage.Begin(m.store)
	var c seal.Config
	if ok, err := storage.GetJSON(ctx, tx, sealPath, &c); err != nil || !ok || !c.Auto() {
		return err
	}
	opener, migrate, err := n.opener(ctx, c)
	if err != nil || migrate {
		return err
	}
	stale, err := opener.Stale(ctx, c.Sealed)
	if err != nil || !stale {
		return err
	}
	key, err := opener.Unwrap(ctx, c.Sealed)
	if err != nil {
		return err
	}
	defer clear(key)
	if c.Sealed, err = opener.Wrap(ctx, key); err != nil {
		return err
	}
	if err := storage.PutJSON(tx, sealPath, c); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("node: store the unseal key under the seal's newest key: %w", err)
	}
	n.logger.Info("the unseal key is wrapped by the seal's newest key now", "seal", c.Type)
	return nil
}
