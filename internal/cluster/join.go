package cluster

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"strongroom/internal/secret"
)

// The exchange of docs/adr/0004. All of it may be read and changed on its way;
// the join key, which only holders of the unseal key can derive, decides.

const (
	challengeLife  = time.Minute
	maxChallenges  = 256 // outstanding at once: nobody can fill the memory by asking
	nonceSize      = 32
	maxClusterAddr = 512
)

var challengeAAD = []byte("strongroom join challenge v1")

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
	MAC         []byte `json:"mac"`
}

// Welcome carries the node's certificate and the cluster's CA.
type Welcome struct {
	Cert []byte `json:"cert"` // PEM
	CA   []byte `json:"ca"`   // PEM
	MAC  []byte `json:"mac"`
}

// Errors of the exchange.
var (
	ErrAnswer = errors.New("cluster: the challenge is unknown, too old, or was answered without the unseal key")
	ErrBusy   = errors.New("cluster: too many nodes want to join at once: try again in a minute")
)

// mac is HMAC-SHA256 over a label and length-prefixed parts, so that no two
// messages have the same input.
func mac(key secret.Bytes, label string, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range append([][]byte{[]byte(label)}, parts...) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	return h.Sum(nil)
}

func (a *Answer) mac(key secret.Bytes) []byte {
	return mac(key, "answer", a.Nonce, []byte(a.NodeID), []byte(a.ClusterAddr), a.CSR)
}

func (w *Welcome) mac(key secret.Bytes, nonce []byte) []byte {
	return mac(key, "welcome", nonce, w.Cert, w.CA)
}

// Challenger admits nodes on behalf of the active node. Safe for concurrent use.
type Challenger struct {
	key secret.Bytes
	ca  *CA

	mu   sync.Mutex
	open map[string]time.Time // nonce → when it ends
}

// NewChallenger makes a challenger with the cluster's join key and CA.
func NewChallenger(joinKey secret.Bytes, ca *CA) *Challenger {
	return &Challenger{key: append(secret.Bytes(nil), joinKey...), ca: ca, open: map[string]time.Time{}}
}

// Issue makes a challenge that can be answered once, within a minute.
func (c *Challenger) Issue() (*Challenge, error) {
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	box, err := secret.Seal(c.key, nonce, challengeAAD)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for n, end := range c.open {
		if now.After(end) {
			delete(c.open, n)
		}
	}
	if len(c.open) >= maxChallenges {
		return nil, ErrBusy
	}
	c.open[string(nonce)] = now.Add(challengeLife)
	return &Challenge{Box: box}, nil
}

// Verify checks an answer and signs the node's certificate, or returns ErrAnswer.
func (c *Challenger) Verify(a Answer) (*Welcome, error) {
	if !hmac.Equal(a.MAC, a.mac(c.key)) || !c.take(a.Nonce) || len(a.ClusterAddr) > maxClusterAddr {
		return nil, ErrAnswer
	}
	cert, err := c.ca.Sign(a.CSR)
	if err != nil {
		return nil, err
	}
	w := &Welcome{Cert: cert, CA: c.ca.CertPEM()}
	w.MAC = w.mac(c.key, a.Nonce)
	return w, nil
}

// take uses up the challenge with that nonce.
func (c *Challenger) take(nonce []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	end, ok := c.open[string(nonce)]
	delete(c.open, string(nonce))
	return ok && time.Now().Before(end)
}

// Joiner is a node between its answer and its welcome.
type Joiner struct {
	key   secret.Bytes
	node  *ecdsa.PrivateKey
	nonce []byte
}

// AnswerChallenge opens ch with the join key and makes the answer of node id,
// reachable by others at addr; secret.ErrOpen if the key is not the cluster's.
func AnswerChallenge(joinKey secret.Bytes, ch Challenge, id, addr string) (*Joiner, *Answer, error) {
	nonce, err := secret.Open(joinKey, ch.Box, challengeAAD)
	if err != nil {
		return nil, nil, err
	}
	key, csr, err := NewCSR(id)
	if err != nil {
		return nil, nil, err
	}
	a := &Answer{Nonce: nonce, NodeID: id, ClusterAddr: addr, CSR: csr}
	a.MAC = a.mac(joinKey)
	return &Joiner{key: joinKey, node: key, nonce: nonce}, a, nil
}

// Accept checks a welcome and returns the identity it gives, or ErrAnswer.
func (j *Joiner) Accept(w Welcome) (*Identity, error) {
	if !hmac.Equal(w.MAC, w.mac(j.key, j.nonce)) {
		return nil, ErrAnswer
	}
	return NewIdentity(j.node, w.Cert, w.CA)
}
