package pki

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"

	"github.com/google/uuid"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// keyPrefix: key/<id> is the private key of a keyEntry, PKCS #8 DER.
const keyPrefix = "key/"

// key is a private key, with what it is called.
type key struct {
	keyEntry
	crypto.Signer
}

// Format prints nothing of the key material.
func (k *key) Format(f fmt.State, _ rune) { io.WriteString(f, "[key "+k.ID+"]") }

// noKey says that ref names no key.
func noKey(ref string) error { return engine.Invalidf("unable to find PKI key for reference: %s", ref) }

// key is the private key that ref names.
func (b *backend) key(ctx context.Context, v storage.View, ref string) (*key, error) {
	c, err := b.settings(ctx, v)
	if err != nil {
		return nil, err
	}
	e := c.key(ref)
	if e == nil {
		return nil, noKey(ref)
	}
	s, err := cachedAt(ctx, b.keys, v, keyPrefix+e.ID, func(der []byte) (crypto.Signer, error) {
		defer clear(der)
		return parsePrivate(der)
	})
	if err == nil && s == nil {
		err = fmt.Errorf("pki: key %s is missing", e.ID)
	}
	return &key{*e, s}, err
}

// addKey writes signer under name, whose use has been checked, into c, which has yet
// to be saved; the first key is the default.
func (c *config) addKey(v storage.View, signer crypto.Signer, name string) (*key, error) {
	public, err := fingerprint(signer.Public())
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return nil, fmt.Errorf("pki: encode key: %w", err)
	}
	e := keyEntry{ID: uuid.NewString(), Name: name, Type: kindOf(signer.Public()).name, Print: public}
	v.Put(keyPrefix+e.ID, der)
	c.Keys = append(c.Keys, e)
	if c.DefaultKey == "" {
		c.DefaultKey = e.ID
	}
	return &key{e, signer}, nil
}

// fingerprint names a public key.
func fingerprint(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", engine.Invalidf("a key of this type is not supported: it must be RSA, ECDSA (P-224 to P-521) or Ed25519")
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// kind is what keys are made: of a type, and as many bits.
type kind struct {
	name string // rsa, ec or ed25519
	bits int
}

// parseKind checks a type and a size as the API has them; 0 bits are the usual ones.
func parseKind(name string, bits int64) (kind, error) {
	k := kind{name, int(bits)}
	switch name {
	case "rsa":
		if bits == 0 {
			k.bits = 2048
		}
		switch k.bits {
		case 2048, 3072, 4096, 8192:
			return k, nil
		}
		return k, engine.Invalidf("invalid key_bits for an RSA key: %d; it must be 2048, 3072, 4096 or 8192", bits)
	case "ec":
		if bits == 0 {
			k.bits = 256
		}
		if k.curve() == nil {
			return k, engine.Invalidf("invalid key_bits for an EC key: %d; it must be 224, 256, 384 or 521", bits)
		}
		return k, nil
	case "ed25519":
		k.bits = 0
		return k, nil
	}
	return k, engine.Invalidf("unknown key type %q: it must be rsa, ec or ed25519", name)
}

// curve is that of an EC key; nil if there is none of the size.
func (k kind) curve() elliptic.Curve {
	switch k.bits {
	case 224:
		return elliptic.P224()
	case 256:
		return elliptic.P256()
	case 384:
		return elliptic.P384()
	case 521:
		return elliptic.P521()
	}
	return nil
}

// generate makes a key of a kind, once a request: an RSA key of 4096 bits takes a
// second or more, which a request that meets a conflict does not spend again.
func (k kind) generate(req *engine.Request) (crypto.Signer, error) {
	return engine.Once(req, "key", func() (crypto.Signer, error) {
		var s crypto.Signer
		var err error
		switch k.name {
		case "rsa":
			s, err = rsa.GenerateKey(rand.Reader, k.bits)
		case "ec":
			s, err = ecdsa.GenerateKey(k.curve(), rand.Reader)
		default:
			_, s, err = ed25519.GenerateKey(rand.Reader)
		}
		if err != nil {
			return nil, fmt.Errorf("pki: generate key: %w", err)
		}
		return s, nil
	})
}

// kindOf is what a public key is; its name is "" for what is not supported.
func kindOf(public crypto.PublicKey) kind {
	switch p := public.(type) {
	case *rsa.PublicKey:
		return kind{"rsa", p.N.BitLen()}
	case *ecdsa.PublicKey:
		return kind{"ec", p.Curve.Params().BitSize}
	case ed25519.PublicKey:
		return kind{"ed25519", 0}
	}
	return kind{}
}

// samePublic says whether two public keys are equal.
func samePublic(a, b crypto.PublicKey) bool {
	e, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && e.Equal(b)
}

// parsePrivate reads a private key in PKCS #8, PKCS #1 or SEC 1.
func parsePrivate(der []byte) (crypto.Signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		if parsed, err = x509.ParsePKCS1PrivateKey(der); err != nil {
			parsed, err = x509.ParseECPrivateKey(der)
		}
	}
	if s, ok := parsed.(crypto.Signer); err == nil && ok && kindOf(s.Public()).name != "" {
		return s, nil
	}
	return nil, engine.Invalidf("a private key could not be parsed: it must be RSA, EC or Ed25519 in PKCS #8, PKCS #1 or SEC 1, and not encrypted")
}

// encodePrivate is a private key as DER in the form that Vault gives it: PKCS #1,
// SEC 1, or PKCS #8 where there is no other or it is asked for; and its PEM type.
func encodePrivate(s crypto.Signer, pkcs8 bool) (der []byte, block string, err error) {
	switch k := s.(type) {
	case *rsa.PrivateKey:
		if !pkcs8 {
			return x509.MarshalPKCS1PrivateKey(k), "RSA PRIVATE KEY", nil
		}
	case *ecdsa.PrivateKey:
		if !pkcs8 {
			der, err = x509.MarshalECPrivateKey(k)
			return der, "EC PRIVATE KEY", err
		}
	}
	der, err = x509.MarshalPKCS8PrivateKey(s)
	return der, "PRIVATE KEY", err
}

// pemText is der as PEM, without the line's end at its end, as Vault gives it.
func pemText(block string, der []byte) string {
	return string(bytes.TrimSpace(pem.EncodeToMemory(&pem.Block{Type: block, Bytes: der})))
}
