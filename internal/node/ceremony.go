package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"strongroom/engine"
	"strongroom/internal/seal"
	"strongroom/internal/secret"
	"strongroom/internal/storage"
)

// ceremonies are those under way on the active node, one of a kind at a time. They
// are shared by all who take part, are never stored, and end with its leadership.
type ceremonies struct {
	mu    sync.Mutex
	term  uint64      // of the leadership they belong to
	rekey *rekey      // nil: none
	root  *generation // nil: none
}

// holdCeremonies locks what is under way while this node leads; a term that is
// over has taken its ceremonies with it. On another node it is storage.ErrNotLeader.
func (n *Node) holdCeremonies() (m *member, release func(), err error) {
	m = n.member.Load()
	if m == nil {
		return nil, nil, storage.ErrNotLeader
	}
	c := &n.ceremonies
	c.mu.Lock()
	term := m.term.Load()
	if term != c.term || n.session.Load() == nil {
		c.drop()
		c.term = term
	}
	if term == 0 || n.session.Load() == nil {
		c.mu.Unlock()
		return nil, nil, storage.ErrNotLeader
	}
	return m, c.mu.Unlock, nil
}

// endCeremonies forgets what was under way: this node is active no more. It does not
// wait for a rekey that finds out what became of its last batch: that one ends itself.
func (n *Node) endCeremonies() {
	if n.ceremonies.mu.TryLock() {
		n.ceremonies.drop()
		n.ceremonies.mu.Unlock()
		return
	}
	go func() { // ends with the call that holds the lock
		if _, release, err := n.holdCeremonies(); err == nil {
			release()
		}
	}()
}

func (c *ceremonies) drop() {
	if c.rekey != nil {
		c.rekey.zero()
	}
	if c.root != nil {
		c.root.zero()
	}
	c.rekey, c.root = nil, nil
}

// newNonce names a ceremony: a UUID (version 8, RFC 9562) whose first 48 bits are the
// term of leadership, so that a share which comes too late can be told why.
func newNonce(term uint64) string {
	var u uuid.UUID
	rand.Read(u[:])
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], term)
	copy(u[:6], b[2:])
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return u.String()
}

// nonceTerm is the term that newNonce put into a nonce; false for any other text.
func nonceTerm(nonce string) (uint64, bool) {
	u, err := uuid.Parse(nonce)
	if err != nil || u.Version() != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(append([]byte{0, 0}, u[:6]...)), true
}

// checkNonce says why a share that comes with given is not for the ceremony called
// what, whose nonce is "" if there is none.
func (c *ceremonies) checkNonce(what, given, nonce, again string) error {
	term, ours := nonceTerm(given)
	switch {
	case nonce != "" && given == nonce:
		return nil
	case ours && term < c.term:
		return engine.Invalidf("the %s with nonce %q ended when another node became active: its progress is kept in the active node's memory only, and nothing was changed. Start again: %s", what, given, again)
	case nonce == "":
		return engine.Invalidf("no %s in progress: it was completed, cancelled or never begun. Begin one: %s", what, again)
	case given == "":
		return engine.Invalidf("the nonce is missing: give the one that the %s began with", what)
	}
	return engine.Invalidf("incorrect nonce supplied; the nonce for this %s is %q", what, nonce)
}

// take adds one share to given; the key, once there are threshold of them.
func take(given *seal.Ceremony, share []byte, threshold int) (seal.Key, error) {
	key, err := given.AddNew(share, threshold)
	if err != nil {
		return nil, engine.Invalidf("%v", err)
	}
	return key, nil
}

var errWrongShares = errors.New("wrong shares")

// prove checks that key is what the cluster's people hold: the unseal key, or with
// an auto seal the recovery key. It returns the seal and its version.
func (n *Node) prove(ctx context.Context, m *member, key seal.Key) (c seal.Config, version uint64, err error) {
	tx := storage.Begin(m.store)
	if _, err := storage.GetJSON(ctx, tx, sealPath, &c); err != nil {
		return c, 0, err
	}
	if version, err = tx.Version(ctx, sealPath); err != nil {
		return c, 0, err
	}
	err = stillHeld(ctx, m.barrier, c, key)
	if errors.Is(err, secret.ErrOpen) {
		err = &engine.Error{Kind: engine.Invalid, Err: errWrongShares, Text: fmt.Sprintf("the key shares do not open this cluster's seal: at least one of them is wrong, and which one cannot be told; all %d were discarded: enter them again", c.Threshold)}
	}
	return c, version, err
}
