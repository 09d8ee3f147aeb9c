package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"strongroom/engine"
	"strongroom/internal/barrier"
	"strongroom/internal/cluster"
	"strongroom/internal/seal"
	"strongroom/internal/secret"
)

// begin waits for this node's turn to hold a ceremony; end ends it.
func (n *Node) begin(ctx context.Context) (end func(), err error) {
	select {
	case n.turn <- struct{}{}:
		return func() { <-n.turn }, nil
	case <-ctx.Done():
		return nil, engine.Errorf(engine.Unavailable, "another initialization or unseal of this node is under way; nothing was changed: try again")
	}
}

// ResetUnseal forgets the shares given so far.
func (n *Node) ResetUnseal() { n.ceremony.Reset() }

// Unseal takes one share of what the seal's people hold; with enough of them it
// opens the barrier, after joining the cluster first if this node is not in it yet,
// and waits a little for an active node, so that the next command of whoever
// unseals is served. It goes with migrate exactly when this node's configuration
// names another seal than the cluster has.
func (n *Node) Unseal(ctx context.Context, share []byte, migrate bool) error {
	if m := n.member.Load(); m != nil {
		if _, err := n.unsealConfig(ctx, m); err != nil { // it may take a while, and holds nobody up
			return err
		}
		// Where there is a leader, shares are judged by the seal of now: this node may have missed a rekey or a restore. Without one, by the last it knows.
		if m.barrier.Sealed() {
			n.caughtUp(m)
		}
	}
	end, err := n.begin(ctx)
	if err != nil {
		return err
	}
	m, err := n.takeShare(ctx, share, migrate)
	end()
	if m != nil {
		n.awaitActive(ctx, m)
	}
	return err
}

// takeShare is Unseal's turn; it returns the member if this share has opened it.
func (n *Node) takeShare(ctx context.Context, share []byte, migrate bool) (*member, error) {
	m := n.member.Load()
	if m == nil && !n.invited(ctx) {
		return nil, engine.Invalidf("Vault is not initialized: run \"vault operator init\" on one node; with others, name it in this node's retry_join")
	}
	if m != nil && !m.barrier.Sealed() {
		return nil, nil
	}
	c, err := n.unsealConfig(ctx, m)
	if err != nil {
		return nil, err
	}
	opener, migrating, err := n.opener(ctx, c)
	switch {
	case err != nil:
		return nil, err
	case migrating && !migrate:
		return nil, engine.Invalidf("'migrate' parameter must be set true in JSON body when in seal migration mode")
	case migrate && !migrating:
		return nil, engine.Invalidf("'migrate' parameter set true in JSON body when not in seal migration mode")
	}
	held, err := n.ceremony.Add(share, c.Threshold)
	if err != nil {
		return nil, engine.Invalidf("%v", err)
	}
	if held == nil {
		return nil, nil
	}
	defer secret.Bytes(held).Zero()
	m, err = n.openWith(ctx, m, opener, held)
	if errors.Is(err, secret.ErrOpen) {
		err = engine.Invalidf("unseal failed: the keys do not open this cluster's seal, so at least one of them is wrong; all %d were discarded: enter them again", c.Threshold)
	}
	if err != nil {
		return nil, err
	}
	if migrate {
		key := seal.Key(bytes.Clone(held))
		n.done.Go(func() { n.migrate(n.ctx, m, key) })
	}
	return m, nil
}

// openWith joins the cluster if this node is in none, and opens the barrier: with
// the unseal key, which is held or which opener has wrapped. What is held is then
// the recovery key; nil is nobody's, for a node that unseals itself.
func (n *Node) openWith(ctx context.Context, m *member, opener seal.Auto, held seal.Key) (*member, error) {
	c, err := n.unsealConfig(ctx, m)
	if err != nil {
		return nil, err
	}
	key := held
	if opener != nil {
		if key, err = opener.Unwrap(ctx, c.Sealed); err != nil {
			return nil, err
		}
		defer secret.Bytes(key).Zero()
	}
	if m == nil {
		if m, err = n.join(ctx, key); err != nil {
			return nil, err
		}
		if c, err = n.unsealConfig(ctx, m); err != nil {
			return nil, err
		}
	}
	root, err := key.Unwrap(ctx, c.Wrapped)
	if err != nil {
		return nil, err
	}
	defer clear(root)
	if opener != nil && held != nil {
		if err := checkRecovery(ctx, m, root, c, held); err != nil {
			return nil, err
		}
	}
	return m, n.openBarrier(ctx, m, root)
}

// checkRecovery looks at the recovery key's verifier through a barrier of its own,
// so that nobody is served before it is found right.
func checkRecovery(ctx context.Context, m *member, root secret.Bytes, c seal.Config, held seal.Key) error {
	b := barrier.New(m.store)
	defer b.Seal()
	if err := b.Unseal(ctx, root); err != nil {
		return err
	}
	return stillHeld(ctx, b, c, held)
}

// unsealConfig is the seal of the cluster: this node's copy, for which it waits
// if it has just come up and is still catching up, or the invitation's.
func (n *Node) unsealConfig(ctx context.Context, m *member) (seal.Config, error) {
	if m == nil {
		return n.pending.Load().Seal, nil
	}
	var c seal.Config
	err := poll(ctx, 30*time.Second, func() (ok bool, err error) { // the keyring comes in the same batch
		c, ok, err = n.sealConfig(m)
		return ok, err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return c, engine.Errorf(engine.Unavailable, "this node has not received the cluster's data yet: see that a majority of the nodes runs and can reach its cluster port, then unseal again")
	}
	return c, err
}

// poll asks every 20 ms, for at most limit, until ready says so or fails.
func poll(ctx context.Context, limit time.Duration, ready func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := ready(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.DeadlineExceeded
		case <-tick.C:
		}
	}
}

// openBarrier is the end of every way to unseal: with the root key, whoever gave it.
func (n *Node) openBarrier(ctx context.Context, m *member, root secret.Bytes) error {
	if n.removed.Load() {
		return errRemoved
	}
	if err := m.barrier.Unseal(ctx, root); err != nil {
		return err
	}
	if m.barrier.Sealed() { // by somebody else, meanwhile
		return nil
	}
	n.alone.byHand.Store(false)
	n.logger.Info("unsealed", "node_id", n.config.NodeID)
	if m.port != nil { // it may have just joined, or stopped before it had its vote
		n.done.Go(func() { n.askForVote(m) })
	}
	n.poke()
	return nil
}

// awaitActive waits until some node serves: this one, or another that leads and
// is unsealed. A cluster that cannot elect one is no reason to fail the unseal.
func (n *Node) awaitActive(ctx context.Context, m *member) {
	poll(ctx, 5*time.Second, func() (bool, error) {
		if n.session.Load() != nil {
			return true, nil
		}
		l, ok := n.Leader()
		if !ok || l.Self {
			return false, nil
		}
		st, err := n.askState(ctx, l.ClusterAddr)
		return err == nil && st.Active, nil
	})
}

// Seal forgets all keys and stops serving; Raft goes on, on ciphertext.
func (n *Node) Seal(context.Context) error {
	m := n.member.Load()
	if m == nil {
		return errNotMember
	}
	n.alone.seals.Add(1)
	n.alone.byHand.Store(true) // or it would open at once
	m.barrier.Seal()
	n.ceremony.Reset()
	n.logger.Info("sealed", "node_id", n.config.NodeID)
	n.poke()
	return nil
}

func (n *Node) raftDir() string { return filepath.Join(n.config.Dir, "raft") }

func (n *Node) identityFile() string { return filepath.Join(n.config.Dir, "node-identity.pem") }

// raftAddr is this node's address in the Raft configuration.
func (n *Node) raftAddr() string {
	if n.config.ClusterBind == "" {
		return n.config.NodeID
	}
	return n.config.ClusterAddr
}

func (n *Node) loadIdentity() (*cluster.Identity, error) {
	if n.config.Dir == "" {
		return nil, nil
	}
	id, err := cluster.LoadIdentity(n.identityFile())
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("node: %w", err)
	case id.NodeID != n.config.NodeID:
		return nil, fmt.Errorf("node: the data in %s belongs to node %q, but this node is configured as %q: set node_id back, or use another path", n.config.Dir, id.NodeID, n.config.NodeID)
	}
	return id, nil
}

func (n *Node) saveIdentity(id *cluster.Identity) error {
	if n.config.Dir == "" {
		return nil
	}
	if err := os.MkdirAll(n.config.Dir, 0o700); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	return id.Save(n.identityFile())
}
