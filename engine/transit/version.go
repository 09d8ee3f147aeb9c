package transit

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"strongroom/engine"
	"strongroom/internal/secret"
)

// currentConvergent is how new keys make the nonces of convergent encryption.
const currentConvergent = 3

// hmacSize is the size of the HMAC key that every version has, in bytes.
const hmacSize = 32

// version is one version of a key, parsed and ready for use. It is shared by
// requests and never changed.
type version struct {
	created    time.Time
	secret     secret.Bytes     // of a symmetric or HMAC key
	private    crypto.Signer    // of a pair; nil if only its public half was imported
	public     crypto.PublicKey // of a pair
	hmac       secret.Bytes     // what hmac/ uses; of an HMAC key this is secret
	convergent int              // how nonces are made; 0: at random
	chain      [][]byte         // certificates, DER, the key's own first
	aead       cipher.AEAD      // of a symmetric key, underived
}

// Format prints nothing of the key.
func (*version) Format(f fmt.State, _ rune) { io.WriteString(f, "[key version]") }

// stored is a version as it stands in storage: docs/format/transit.md.
type stored struct {
	Created    time.Time `json:"created"`
	Secret     []byte    `json:"secret,omitempty"`
	Private    []byte    `json:"private,omitempty"` // PKCS #8
	Public     []byte    `json:"public,omitempty"`  // PKIX, if there is no private
	HMAC       []byte    `json:"hmac,omitempty"`
	Convergent int       `json:"convergent,omitempty"`
	Chain      [][]byte  `json:"chain,omitempty"`
}

// wipe overwrites the key material.
func (s *stored) wipe() {
	clear(s.Secret)
	clear(s.Private)
	clear(s.HMAC)
}

// generate makes a new version of a key of kind k. size is that of an HMAC key,
// in bytes.
func generate(k kind, size int, now time.Time) (*version, error) {
	v := &version{created: now}
	t := k.is()
	var err error
	switch {
	case k == hmacOnly:
		v.secret = random(size)
	case t.size > 0:
		v.secret = random(t.size)
	case t.bits > 0:
		v.private, err = rsa.GenerateKey(rand.Reader, t.bits)
	case t.curve != nil:
		v.private, err = ecdsa.GenerateKey(t.curve, rand.Reader)
	default:
		_, v.private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return nil, fmt.Errorf("transit: generate key: %w", err)
	}
	if k != hmacOnly {
		v.hmac = random(hmacSize)
	}
	return v, v.prepare(k)
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: crypto/rand
	return b
}

var errKind = errors.New("the key is not of this type")

// prepare derives what is not stored and checks that v is a key of kind k.
func (v *version) prepare(k kind) error {
	t := k.is()
	if v.private != nil {
		v.public = v.private.Public()
	}
	ok := false
	switch pub := v.public.(type) {
	case *rsa.PublicKey:
		ok = t.bits > 0 && pub.N.BitLen() == t.bits
	case *ecdsa.PublicKey:
		ok = t.curve != nil && pub.Curve == t.curve
	case ed25519.PublicKey:
		ok = k == ed25519k && len(pub) == ed25519.PublicKeySize
	case nil:
		ok = k.symmetric() && (len(v.secret) == t.size || k == hmacOnly && len(v.secret) >= minHMAC && len(v.secret) <= maxHMAC)
	}
	if !ok {
		return errKind
	}
	switch {
	case k == hmacOnly:
		v.hmac = v.secret
	case t.size > 0:
		a, err := newAEAD(k, v.secret)
		if err != nil {
			return err
		}
		v.aead = a
	}
	return nil
}

// newAEAD is the cipher of kind k under key.
func newAEAD(k kind, key []byte) (cipher.AEAD, error) {
	if k == chacha20 {
		return chacha20poly1305.New(key)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// encode returns v as it is stored.
func (v *version) encode() ([]byte, error) {
	s := stored{Created: v.created, Secret: v.secret, HMAC: v.hmac, Convergent: v.convergent, Chain: v.chain}
	var err error
	switch {
	case v.private != nil:
		s.Private, err = x509.MarshalPKCS8PrivateKey(v.private)
		defer clear(s.Private)
	case v.public != nil:
		s.Public, err = x509.MarshalPKIXPublicKey(v.public)
	default:
		if len(v.secret) > 0 && len(v.hmac) > 0 && &v.secret[0] == &v.hmac[0] {
			s.HMAC = nil // of an HMAC key, the secret serves
		}
	}
	if err != nil {
		return nil, fmt.Errorf("transit: encode key: %w", err)
	}
	return json.Marshal(s)
}

// decodeVersion parses what encode made for a key of kind k, and wipes it.
func decodeVersion(k kind, b []byte) (*version, error) {
	defer clear(b)
	var s stored
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("transit: decode key version: %w", err)
	}
	v := &version{created: s.Created, secret: s.Secret, hmac: s.HMAC, convergent: s.Convergent, chain: s.Chain}
	var err error
	switch {
	case len(s.Private) > 0:
		v.private, err = parsePrivate(s.Private)
		clear(s.Private)
	case len(s.Public) > 0:
		v.public, err = x509.ParsePKIXPublicKey(s.Public)
	}
	if err == nil {
		err = v.prepare(k)
	}
	if err != nil {
		s.wipe()
		return nil, fmt.Errorf("transit: decode key version: %w", err)
	}
	return v, nil
}

// parsePrivate reads a PKCS #8 private key.
func parsePrivate(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	s, ok := key.(crypto.Signer)
	if !ok {
		return nil, errKind
	}
	return s, nil
}

// usable returns the private half of a pair.
func (v *version) usable() (crypto.Signer, error) {
	if v.private == nil {
		return nil, engine.Invalidf("this key version has only its public key: import the private key with import_version first")
	}
	return v.private, nil
}
