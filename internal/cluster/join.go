package cluster

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"strongroom/internal/secret"
)

// The exchange of docs/adr/0004. All of it may be read and changed on its way;
// the join key, which only holders of the unseal key can derive, decides.

const (
	challengeLife  = time.Minute
	maxClusterAddr = 512

	nonceRandom = 16
	nonceSize   = nonceRandom + 8 + sha256.Size
)

var challengeAAD = []byte("strongroom join challenge v1")

// ErrAnswer: the answer or the welcome was not made with the join key, or the
// challenge is not open: too old, used already, or another node's.
var ErrAnswer = errors.New("cluster: the challenge is unknown, too old, or was answered without the unseal key")

// Challenge is a nonce that only a holder of the join key can read.
type Challenge struct {
	Box []byte `json:"box"`
}

// Answer proves that its maker opened a challenge, and asks for a certificate.
type Answer struct {
	Nonce       []byte `json:"nonce"`
	NodeID      string `json:"node_id"`
	ClusterAddr string `json:"cluster_addr"`
	CSR         []byte `json:"csr"` // PKCS#10, PEM
	NonVoter    bool   `json:"non_voter"`
	MAC         []byte `json:"mac"`
}

// Welcome carries the node's certificate and the cluster's CAs.
type Welcome struct {
	Cert []byte `json:"cert"` // PEM
	CA   []byte `json:"ca"`   // PEM, of all CAs that members have
	MAC  []byte `json:"mac"`
}

// mac is HMAC-SHA256 over a label and length-prefixed parts, so that no two
// messages have the same input. The join key itself is AES-GCM's; HMAC has one
// derived from it.
func mac(joinKey secret.Bytes, label string, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, macKey(joinKey))
	for _, p := range append([][]byte{[]byte(label)}, parts...) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write(p)
	}
	return h.Sum(nil)
}

// macKey is one block of HKDF-Expand (RFC 5869) under the join key.
func macKey(joinKey secret.Bytes) []byte {
	h := hmac.New(sha256.New, joinKey)
	h.Write([]byte("strongroom join mac v1\x01"))
	return h.Sum(nil)
}

func (a *Answer) mac(key secret.Bytes) []byte {
	kind := []byte("voter")
	if a.NonVoter {
		kind = []byte("non-voter")
	}
	return mac(key, "answer", a.Nonce, []byte(a.NodeID), []byte(a.ClusterAddr), a.CSR, kind)
}

func (w *Welcome) mac(key secret.Bytes, nonce []byte) []byte {
	return mac(key, "welcome", nonce, w.Cert, w.CA)
}

// Challenger admits nodes on behalf of the active node. Safe for concurrent use.
//
// A challenge costs it no memory, so that nobody can use up what it has by
// asking: the nonce itself says until when it is open and proves, by a MAC under
// a key of this Challenger, that it was issued here. Only nonces that were
// answered with the join key are remembered, until they end.
type Challenger struct {
	key secret.Bytes
	own secret.Bytes // key of the nonces' MAC

	mu     sync.Mutex
	closed bool
	used   map[string]time.Time // nonce → when it ends
}

// NewChallenger makes a challenger with the cluster's join key. Close forgets it.
func NewChallenger(joinKey secret.Bytes) *Challenger {
	return &Challenger{
		key: append(secret.Bytes(nil), joinKey...), own: secret.NewKey(),
		used: map[string]time.Time{},
	}
}

// Close zeroes the keys; no challenge is open after it.
func (c *Challenger) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.key.Zero()
	c.own.Zero()
}

// Issue makes a challenge that can be answered once, within a minute.
func (c *Challenger) Issue() (*Challenge, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrAnswer
	}
	nonce := make([]byte, nonceRandom, nonceSize)
	rand.Read(nonce) // never fails: crypto/rand
	nonce = binary.BigEndian.AppendUint64(nonce, uint64(time.Now().Add(challengeLife).UnixMilli()))
	nonce = c.sign(nonce)
	box, err := secret.Seal(c.key, nonce, challengeAAD)
	if err != nil {
		return nil, fmt.Errorf("cluster: make a challenge: %w", err)
	}
	return &Challenge{Box: box}, nil
}

// sign appends the MAC to the first part of a nonce.
func (c *Challenger) sign(nonce []byte) []byte {
	h := hmac.New(sha256.New, c.own)
	h.Write(nonce)
	return h.Sum(nonce)
}

// Check says whether Verify would take the answer for proven; it spends nothing.
// The error is ErrAnswer.
func (c *Challenger) Check(a Answer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || !hmac.Equal(a.MAC, a.mac(c.key)) || !c.isOpen(a.Nonce) {
		return ErrAnswer
	}
	return nil
}

// Verify checks an answer, once, and has ca sign the node's certificate, which
// is told to trust the CAs of trust. Errors: ErrAnswer; a node id or request that cannot be signed.
func (c *Challenger) Verify(a Answer, ca *CA, trust Trust) (*Welcome, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// The MAC first: whoever cannot make it gets no nonce spent or remembered.
	if c.closed || !hmac.Equal(a.MAC, a.mac(c.key)) || !c.spend(a.Nonce) {
		return nil, ErrAnswer
	}
	if a.ClusterAddr == "" || len(a.ClusterAddr) > maxClusterAddr {
		return nil, fmt.Errorf("cluster: the joining node's cluster address has 1 to %d characters: set its cluster_addr", maxClusterAddr)
	}
	cert, err := ca.SignFor(a.NodeID, a.CSR)
	if err != nil {
		return nil, err
	}
	w := &Welcome{Cert: cert, CA: trust.PEM()}
	w.MAC = w.mac(c.key, a.Nonce)
	return w, nil
}

// isOpen says whether nonce is of an open challenge. The caller holds mu.
func (c *Challenger) isOpen(nonce []byte) bool {
	if len(nonce) != nonceSize || !hmac.Equal(nonce, c.sign(nonce[:nonceRandom+8:nonceRandom+8])) || !time.Now().Before(nonceEnd(nonce)) {
		return false
	}
	_, again := c.used[string(nonce)]
	return !again
}

func nonceEnd(nonce []byte) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(nonce[nonceRandom:])))
}

// spend uses up an open challenge; false if it is none. The caller holds mu.
func (c *Challenger) spend(nonce []byte) bool {
	if !c.isOpen(nonce) {
		return false
	}
	now := time.Now()
	for n, end := range c.used {
		if !now.Before(end) {
			delete(c.used, n)
		}
	}
	c.used[string(nonce)] = nonceEnd(nonce)
	return true
}

// Joiner is a node between its answer and its welcome.
type Joiner struct {
	key   secret.Bytes
	node  *ecdsa.PrivateKey
	id    string
	nonce []byte
}

// AnswerChallenge opens ch with the join key and makes the answer of node id,
// reachable by others at addr, which wants no vote if nonVoter; secret.ErrOpen if
// the key is not the cluster's.
func AnswerChallenge(joinKey secret.Bytes, ch Challenge, id, addr string, nonVoter bool) (*Joiner, *Answer, error) {
	nonce, err := secret.Open(joinKey, ch.Box, challengeAAD)
	if err != nil {
		return nil, nil, fmt.Errorf("cluster: open the challenge: %w", err)
	}
	key, csr, err := NewCSR(id)
	if err != nil {
		return nil, nil, err
	}
	a := &Answer{Nonce: nonce, NodeID: id, ClusterAddr: addr, CSR: csr, NonVoter: nonVoter}
	a.MAC = a.mac(joinKey)
	return &Joiner{key: joinKey, node: key, id: id, nonce: nonce}, a, nil
}

// Accept checks a welcome and returns the identity it gives. Errors: ErrAnswer;
// a certificate that is not this node's.
func (j *Joiner) Accept(w Welcome) (*Identity, error) {
	if !hmac.Equal(w.MAC, w.mac(j.key, j.nonce)) {
		return nil, ErrAnswer
	}
	id, err := NewIdentity(j.node, w.Cert, w.CA)
	if err != nil {
		return nil, err
	}
	if id.NodeID != j.id {
		return nil, fmt.Errorf("cluster: the certificate is for node %q, not %q", id.NodeID, j.id)
	}
	return id, nil
}
