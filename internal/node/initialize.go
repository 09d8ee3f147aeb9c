package node

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"

	"strongroom/engine"
	"strongroom/internal/active"
	"strongroom/internal/barrier"
	"strongroom/internal/cluster"
	"strongroom/internal/declare"
	"strongroom/internal/seal"
	"strongroom/internal/secret"
	"strongroom/internal/storage"
)

// InitRequest says how a new cluster's keys are shared: Shares and Threshold of
// the unseal key, or, of a node that unseals itself, those of the recovery key. What is
// given with a PGP public key is only shown encrypted for its holder.
type InitRequest struct {
	Shares, Threshold                 int
	RecoveryShares, RecoveryThreshold int
	PGPKeys, RecoveryPGPKeys          []string // one a share, or none
	RootTokenPGPKey                   string   // "" for none

	alone bool // nobody asked: no root token is made, and nobody learns the recovery key
}

// InitResult is shown once and kept nowhere.
type InitResult struct {
	Shares    [][]byte
	Recovery  bool // Shares are of the recovery key
	RootToken secret.Bytes
}

// recipients are those whom the keys of a new cluster are encrypted for.
type recipients struct {
	shares []seal.PGPKey // one a share, or none
	root   *seal.PGPKey  // nil: nobody
	none   bool          // no root token at all
}

func (r InitRequest) recipients(c seal.Config) (to recipients, err error) {
	keys, other, name := r.PGPKeys, r.RecoveryPGPKeys, "recovery_pgp_keys"
	if c.Auto() {
		keys, other, name = r.RecoveryPGPKeys, r.PGPKeys, "pgp_keys"
	}
	if len(other) > 0 {
		return to, engine.Invalidf("parameters %s not applicable to seal type %s", name, c.Type)
	}
	to.none = r.alone
	if to.shares, err = seal.ParsePGPKeys(keys, c.Shares); err != nil {
		return to, engine.Invalidf("%v", err)
	}
	if r.RootTokenPGPKey != "" {
		key, err := seal.ParsePGPKey(r.RootTokenPGPKey)
		if err != nil {
			return to, engine.Invalidf("root_token_pgp_key: %v", err)
		}
		to.root = &key
	}
	return to, nil
}

// encrypt replaces what res shows by what only its recipients can read.
func (to recipients) encrypt(res *InitResult) (err error) {
	if len(to.shares) > 0 {
		if res.Shares, _, err = seal.EncryptShares(res.Shares, to.shares); err != nil {
			return err
		}
	}
	if to.root == nil {
		return nil
	}
	box, err := to.root.Encrypt(res.RootToken)
	res.RootToken = secret.Bytes(base64.StdEncoding.EncodeToString(box))
	return err
}

// seal is the seal of a cluster that kind seals, without its keys.
func (r InitRequest) seal(kind string) (seal.Config, error) {
	c, other, names := seal.Config{Type: kind, Shares: r.Shares, Threshold: r.Threshold}, r.RecoveryShares+r.RecoveryThreshold, "recovery_shares,recovery_threshold"
	if c.Auto() {
		c.Shares, c.Threshold, other, names = r.RecoveryShares, r.RecoveryThreshold, r.Shares+r.Threshold, "secret_shares,secret_threshold"
	}
	if other != 0 {
		return c, engine.Invalidf("parameters %s not applicable to seal type %s", names, kind)
	}
	if err := c.Validate(); err != nil {
		return c, engine.Invalidf("%v", err)
	}
	return c, nil
}

// Init makes a new cluster of this one node. It stays sealed, unless it is one
// that unseals itself. A node that is to initialize itself obeys nobody else.
func (n *Node) Init(ctx context.Context, r InitRequest) (*InitResult, error) {
	if !r.alone && n.config.Seal != nil && !n.config.Declared.Empty() { // or whoever is faster than the founder would own the cluster
		return nil, engine.Invalidf("this cluster initializes itself, from the initialize stanzas of its configuration: wait for it (\"vault status\"), or take them away")
	}
	end, err := n.begin(ctx)
	if err != nil {
		return nil, err
	}
	res, err := n.initialize(ctx, r)
	end()
	if m := n.member.Load(); err == nil && m != nil && res.Recovery {
		n.awaitActive(ctx, m) // unsealAlone has been poked
	}
	return res, err
}

// initialize is Init's turn.
func (n *Node) initialize(ctx context.Context, r InitRequest) (*InitResult, error) {
	c, err := r.seal(n.sealType())
	if err != nil {
		return nil, err
	}
	to, err := r.recipients(c)
	if err != nil {
		return nil, err
	}
	if n.member.Load() != nil {
		return nil, engine.Invalidf("Vault is already initialized")
	}
	if n.pending.Load() != nil || n.lookForCluster(ctx) {
		return nil, engine.Invalidf("Vault is already initialized: a node named in retry_join is; unseal this one to join it")
	}
	f, err := n.found(ctx)
	if err != nil {
		return nil, err
	}
	res, err := n.fill(ctx, f, c, to)
	if err != nil {
		n.abandon(f)
		return nil, fmt.Errorf("node: initialization failed and was undone: %w", err)
	}
	n.logger.Info("initialized", "seal", c.Type, "shares", c.Shares, "threshold", c.Threshold)
	return res, nil
}

// found bootstraps Raft on this node, under an identity that is not saved yet.
func (n *Node) found(ctx context.Context) (*founding, error) {
	if n.config.Dir != "" {
		if _, err := os.Stat(n.raftDir()); err == nil {
			return nil, engine.Errorf(engine.Internal, "the folder %s holds data of an initialization that did not end: move it away and try again", n.raftDir())
		}
	}
	ca, err := cluster.NewCA()
	if err != nil {
		return nil, err
	}
	identity, err := ca.Issue(n.config.NodeID)
	if err != nil {
		return nil, err
	}
	m, err := n.open(identity)
	if err != nil {
		return nil, err
	}
	f := &founding{member: m, ca: ca, identity: identity}
	if err := m.store.Bootstrap(n.raftAddr()); err != nil {
		n.abandon(f)
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	for {
		select {
		case term := <-m.store.Leadership():
			if term != 0 {
				m.term.Store(term)
				return f, nil
			}
		case <-ctx.Done():
			n.abandon(f)
			return nil, engine.Errorf(engine.Unavailable, "this node could not become the leader of a new cluster: see its log for why Raft does not start")
		}
	}
}

type founding struct {
	*member
	ca       *cluster.CA
	identity *cluster.Identity
}

// abandon removes what a failed initialization has made. The identity goes
// first: with it and without data, the node would think itself a member.
func (n *Node) abandon(f *founding) {
	f.close()
	if n.config.Dir == "" {
		return
	}
	if err := os.Remove(n.identityFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		n.logger.Error("a failed initialization cannot be undone: move the folder away and try again", "folder", n.config.Dir, "error", err)
		return
	}
	os.RemoveAll(n.raftDir())
}

// fill writes the first data. The seal comes last, and the identity, which makes
// the node a member for good, after it is on disk.
func (n *Node) fill(ctx context.Context, f *founding, c seal.Config, to recipients) (*InitResult, error) {
	dealt, shares, err := seal.Deal(c)
	if err != nil {
		return nil, err
	}
	defer secret.Bytes(dealt).Zero()
	rootKey := secret.NewKey()
	defer rootKey.Zero()
	key := dealt
	if c.Auto() {
		key = seal.Key(secret.NewKey())
		defer secret.Bytes(key).Zero()
		if c.Sealed, err = n.config.Seal.Wrap(ctx, key); err != nil {
			return nil, err
		}
	}
	if c.Wrapped, err = key.Wrap(ctx, rootKey); err != nil {
		return nil, err
	}
	keyring, err := f.barrier.Initialize(rootKey)
	if err != nil {
		return nil, err
	}
	defer f.barrier.Seal()
	if err := active.Fill(ctx, f.barrier); err != nil {
		return nil, err
	}
	var root secret.Bytes
	if !to.none {
		if root, err = active.IssueRoot(ctx, f.barrier, n.config.RootToken); err != nil {
			return nil, err
		}
	}
	caKey, err := f.ca.Marshal()
	if err != nil {
		return nil, err
	}
	defer caKey.Zero()
	joinKey := key.JoinKey()
	defer joinKey.Zero()
	inside := storage.Begin(f.barrier)
	inside.Put(caPath, caKey)
	inside.Put(barrier.RootKeyPath, rootKey)
	inside.Put(joinPath, joinKey)
	if c.Auto() {
		inside.Put(recoveryPath, dealt.Verifier())
	}
	if err := declare.Await(inside); err != nil {
		return nil, err
	}
	if err := inside.Commit(ctx); err != nil {
		return nil, err
	}
	name := clusterName{Name: n.config.ClusterName, ID: uuid.NewString()}
	if name.Name == "" {
		var b [4]byte
		rand.Read(b[:])
		name.Name = "vault-cluster-" + hex.EncodeToString(b[:])
	}
	outside := storage.Begin(f.store)
	outside.Put(barrier.KeyringPath, keyring)
	if err := errors.Join(storage.PutJSON(outside, sealPath, c), storage.PutJSON(outside, namePath, name), recordFounder(outside, f.ca, f.identity)); err != nil {
		return nil, err
	}
	if err := outside.Commit(ctx); err != nil {
		return nil, err
	}
	res := &InitResult{Shares: shares, Recovery: c.Auto(), RootToken: root}
	if err := to.encrypt(res); err != nil {
		return nil, err
	}
	if err := n.saveIdentity(f.identity); err != nil {
		return nil, err
	}
	n.member.Store(f.member)
	n.poke()
	return res, nil
}
