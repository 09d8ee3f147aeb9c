// Package keywrap wraps key material for its way to another server, as
// transit's import takes it (bring your own key): the material under an AES-256
// key by AES key wrap with padding (RFC 5649), and that key under the other
// server's RSA key by OAEP. It keeps nothing.
//
// https://developer.hashicorp.com/vault/docs/secrets/transit/key-wrapping-guide
package keywrap

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
)

// ErrUnwrap: the box was not made with this key, or has been altered. It says no
// more, so that nobody learns which.
var ErrUnwrap = errors.New("keywrap: the key material could not be unwrapped")

// maxKey bounds the material, in bytes: far above any key, and within what RFC
// 5649 can say.
const maxKey = 1 << 20

// ephemeralSize is the size of the AES key between the two layers, in bytes.
const ephemeralSize = 32

// Seal wraps material for the holder of to, with hash for the OAEP: the RSA box
// and then the AES box.
func Seal(to *rsa.PublicKey, newHash func() hash.Hash, material []byte) ([]byte, error) {
	key := make([]byte, ephemeralSize)
	rand.Read(key) // never fails: crypto/rand
	defer clear(key)
	outer, err := rsa.EncryptOAEP(newHash(), rand.Reader, to, key, nil)
	if err != nil {
		return nil, fmt.Errorf("keywrap: %w", err)
	}
	inner, err := Wrap(key, material)
	if err != nil {
		return nil, err
	}
	return append(outer, inner...), nil
}

// Open unwraps what Seal made for key's public half. Whatever is wrong with box,
// the answer is ErrUnwrap.
func Open(key *rsa.PrivateKey, newHash func() hash.Hash, box []byte) ([]byte, error) {
	if len(box) < key.Size() {
		return nil, ErrUnwrap
	}
	ephemeral, err := rsa.DecryptOAEP(newHash(), nil, key, box[:key.Size()], nil)
	if err != nil || len(ephemeral) != ephemeralSize {
		return nil, ErrUnwrap
	}
	defer clear(ephemeral)
	return Unwrap(ephemeral, box[key.Size():])
}

// header is the alternative initial value of RFC 5649, section 3.
const header = "\xa6\x59\x59\xa6"

// Wrap is AES key wrap with padding of material (1 byte to 1 MiB) under kek, an
// AES key: RFC 5649, section 4.1.
func Wrap(kek, material []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, fmt.Errorf("keywrap: %w", err)
	}
	if len(material) == 0 || len(material) > maxKey {
		return nil, fmt.Errorf("keywrap: %d bytes cannot be wrapped, only 1 to %d", len(material), maxKey)
	}
	out := make([]byte, 8+(len(material)+7)/8*8)
	copy(out, header)
	binary.BigEndian.PutUint32(out[4:], uint32(len(material)))
	copy(out[8:], material)
	if len(out) == 16 {
		block.Encrypt(out, out)
		return out, nil
	}
	wrap(block, out)
	return out, nil
}

// Unwrap undoes Wrap, or returns ErrUnwrap: RFC 5649, section 4.2.
func Unwrap(kek, box []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, fmt.Errorf("keywrap: %w", err)
	}
	if len(box) < 16 || len(box)%8 != 0 || len(box) > 8+maxKey {
		return nil, ErrUnwrap
	}
	out := append([]byte(nil), box...)
	if len(out) == 16 {
		block.Decrypt(out, out)
	} else {
		unwrap(block, out)
	}
	n, padded := int(binary.BigEndian.Uint32(out[4:])), len(out)-8
	if subtle.ConstantTimeCompare(out[:4], []byte(header)) != 1 || n > padded || n <= padded-8 {
		clear(out)
		return nil, ErrUnwrap
	}
	var pad byte
	for _, b := range out[8+n:] {
		pad |= b
	}
	if pad != 0 {
		clear(out)
		return nil, ErrUnwrap
	}
	return out[8 : 8+n], nil
}

// rounds is how often every block is passed through the cipher.
const rounds = 6

// wrap is W of NIST SP 800-38F, in place: A in the first 8 bytes and then R1…Rn.
func wrap(block cipher.Block, b []byte) {
	var buf [16]byte
	n := len(b)/8 - 1
	for t := range rounds * n {
		r := b[8+t%n*8:]
		copy(buf[:8], b)
		copy(buf[8:], r[:8])
		block.Encrypt(buf[:], buf[:])
		binary.BigEndian.PutUint64(b, binary.BigEndian.Uint64(buf[:])^uint64(t+1))
		copy(r, buf[8:])
	}
	clear(buf[:])
}

// unwrap undoes wrap.
func unwrap(block cipher.Block, b []byte) {
	var buf [16]byte
	n := len(b)/8 - 1
	for t := rounds*n - 1; t >= 0; t-- {
		r := b[8+t%n*8:]
		binary.BigEndian.PutUint64(buf[:], binary.BigEndian.Uint64(b)^uint64(t+1))
		copy(buf[8:], r[:8])
		block.Decrypt(buf[:], buf[:])
		copy(b, buf[:8])
		copy(r, buf[8:])
	}
	clear(buf[:])
}
