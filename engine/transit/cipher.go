package transit

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"strongroom/engine"
)

// nonceSize is that of AES-GCM and ChaCha20-Poly1305, in bytes.
const nonceSize = 12

// params are what a caller gives besides the plaintext or the ciphertext.
type params struct {
	context []byte // for a derived key
	nonce   []byte // for convergent encryption of the first version, which only a restored key has
	data    []byte // authenticated, not encrypted
	padding string // of RSA
}

// seal encrypts plaintext with version n of k.
func (k *key) seal(v *version, n int, plaintext []byte, p params) (string, error) {
	if !k.Kind.is().encrypts {
		return "", engine.Invalidf("message encryption not supported for key type %v", k.Kind)
	}
	if k.Kind.is().bits > 0 {
		raw, err := sealRSA(v, plaintext, p.padding)
		if err != nil {
			return "", err
		}
		return text(n, raw, base64.StdEncoding), nil
	}
	if len(p.nonce) > 0 && v.convergent != 1 {
		return "", engine.Invalidf("nonce provided when not allowed")
	}
	aead, nonceKey, err := k.cipher(v, p.context)
	if err != nil {
		return "", err
	}
	raw := make([]byte, nonceSize, nonceSize+len(plaintext)+aead.Overhead())
	switch v.convergent {
	case 0:
		rand.Read(raw) // never fails: crypto/rand
	case 1:
		if len(p.nonce) != nonceSize {
			return "", engine.Invalidf("base64-decoded nonce must be %d bytes long when using convergent encryption with this key", nonceSize)
		}
		copy(raw, p.nonce)
	default:
		copy(raw, convergentNonce(nonceKey, plaintext, p.data))
	}
	raw = aead.Seal(raw, raw[:nonceSize], plaintext, p.data)
	if v.convergent == 1 {
		raw = raw[nonceSize:] // the caller keeps the nonce
	}
	return text(n, raw, base64.StdEncoding), nil
}

// open decrypts raw, which version v of k made.
func (k *key) open(v *version, raw []byte, p params) ([]byte, error) {
	if !k.Kind.is().encrypts {
		return nil, engine.Invalidf("message decryption not supported for key type %v", k.Kind)
	}
	if k.Kind.is().bits > 0 {
		return openRSA(v, raw, p.padding)
	}
	aead, _, err := k.cipher(v, p.context)
	if err != nil {
		return nil, err
	}
	nonce := p.nonce
	if v.convergent == 1 {
		if len(nonce) != nonceSize {
			return nil, engine.Invalidf("invalid convergent nonce supplied")
		}
	} else {
		if len(raw) < nonceSize {
			return nil, engine.Invalidf("invalid ciphertext length")
		}
		nonce, raw = raw[:nonceSize], raw[nonceSize:]
	}
	plaintext, err := aead.Open(nil, nonce, raw, p.data)
	if err != nil {
		return nil, engine.Invalidf("cipher: message authentication failed")
	}
	return plaintext, nil
}

// cipher returns the AEAD of v, derived by context if the key is, and the key
// that convergent nonces are made with.
func (k *key) cipher(v *version, context []byte) (cipher.AEAD, []byte, error) {
	if !k.Derived {
		return v.aead, nil, nil
	}
	size := k.Kind.is().size
	total := size
	if v.convergent >= 3 {
		total += sha256.Size
	}
	derived, err := derive(v.secret, context, total)
	if err != nil {
		return nil, nil, err
	}
	nonceKey := derived[size:]
	if v.convergent == 2 {
		nonceKey = context
	}
	aead, err := newAEAD(k.Kind, derived[:size])
	clear(derived[:size])
	if err != nil {
		return nil, nil, fmt.Errorf("transit: derive key: %w", err)
	}
	return aead, nonceKey, nil
}

// derive makes the key of context, size bytes: HKDF-SHA256 without a salt.
func derive(secret, context []byte, size int) ([]byte, error) {
	if len(context) == 0 {
		return nil, engine.Invalidf("missing 'context' for key derivation; the key was created using a derived key, which means additional, per-request information must be included in order to perform operations with the key")
	}
	b, err := hkdf.Key(sha256.New, secret, nil, string(context), size)
	if err != nil {
		return nil, fmt.Errorf("transit: derive key: %w", err)
	}
	return b, nil
}

// convergentNonce is the nonce of plaintext. Associated data, if there is any,
// goes into the key of the HMAC: one nonce for two of them would let who sees
// both ciphertexts forge (Joux, 2006).
func convergentNonce(key, plaintext, data []byte) []byte {
	if len(data) > 0 {
		bound := hmac.New(sha256.New, key)
		bound.Write(data)
		key = bound.Sum(nil)
	}
	h := hmac.New(sha256.New, key)
	h.Write(plaintext)
	return h.Sum(nil)[:nonceSize]
}

// The paddings of RSA encryption.
const (
	paddingOAEP  = "oaep" // with SHA-256 and no label
	paddingPKCS1 = "pkcs1v15"
)

func errPadding(padding string) error {
	return engine.Invalidf("unsupported RSA padding scheme %q: it must be %s or %s", padding, paddingOAEP, paddingPKCS1)
}

func sealRSA(v *version, plaintext []byte, padding string) (raw []byte, err error) {
	public := v.public.(*rsa.PublicKey)
	switch padding {
	case "", paddingOAEP:
		raw, err = rsa.EncryptOAEP(sha256.New(), rand.Reader, public, plaintext, nil)
	case paddingPKCS1:
		//lint:ignore SA1019 the caller asks for it by name, for what is old
		raw, err = rsa.EncryptPKCS1v15(rand.Reader, public, plaintext)
	default:
		return nil, errPadding(padding)
	}
	if err != nil {
		return nil, engine.Invalidf("failed to RSA encrypt the plaintext: %v", err)
	}
	return raw, nil
}

func openRSA(v *version, raw []byte, padding string) (plaintext []byte, err error) {
	signer, err := v.usable()
	if err != nil {
		return nil, err
	}
	private := signer.(*rsa.PrivateKey)
	switch padding {
	case "", paddingOAEP:
		plaintext, err = rsa.DecryptOAEP(sha256.New(), nil, private, raw, nil)
	case paddingPKCS1:
		//lint:ignore SA1019 as above; who may call decrypt learns nothing more from its errors, but see docs/format/transit.md on rewrap
		plaintext, err = rsa.DecryptPKCS1v15(nil, private, raw)
	default:
		return nil, errPadding(padding)
	}
	if err != nil {
		return nil, engine.Invalidf("failed to RSA decrypt the ciphertext: %v", err)
	}
	return plaintext, nil
}
