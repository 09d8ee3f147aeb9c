// Package secret owns key material in memory: a type that will not print, and
// the one authenticated box that everything encrypted at rest uses.
package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
)

// KeySize is the size of every symmetric key, in bytes (AES-256).
const KeySize = 32

// ErrOpen: the box was not made with this key and this associated data, or has
// been altered.
var ErrOpen = errors.New("secret: message authentication failed")

// Bytes is key material. Printed, logged or encoded as JSON text it shows
// nothing of itself.
type Bytes []byte

// Format writes a placeholder for every verb.
func (Bytes) Format(f fmt.State, _ rune) { io.WriteString(f, "[secret]") }

// MarshalText refuses: a key leaves only by an explicit conversion.
func (Bytes) MarshalText() ([]byte, error) {
	return nil, errors.New("secret: key material is not encoded")
}

// MarshalJSON refuses, as MarshalText does.
func (Bytes) MarshalJSON() ([]byte, error) {
	return nil, errors.New("secret: key material is not encoded")
}

// Zero overwrites the material.
func (b Bytes) Zero() { clear(b) }

// NewKey makes a random key.
func NewKey() Bytes {
	k := make(Bytes, KeySize)
	rand.Read(k) // never fails: crypto/rand
	return k
}

// NewAEAD is AES-256-GCM with random 96-bit nonces put before the ciphertext
// (NIST SP 800-38D): one key is good for 2^32 boxes.
func NewAEAD(key Bytes) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Seal encrypts plaintext under key, bound to aad.
func Seal(key Bytes, plaintext, aad []byte) ([]byte, error) {
	a, err := NewAEAD(key)
	if err != nil {
		return nil, err
	}
	return a.Seal(nil, nil, plaintext, aad), nil
}

// Open decrypts what Seal made, or returns ErrOpen.
func Open(key Bytes, box, aad []byte) ([]byte, error) {
	a, err := NewAEAD(key)
	if err != nil {
		return nil, err
	}
	p, err := a.Open(nil, nil, box, aad)
	if err != nil {
		return nil, ErrOpen
	}
	return p, nil
}
