// Package seal owns how the root key is protected while the server is down: by
// an unseal key that people hold shares of (Shamir) or that an Auto wraps, and
// the ceremony by which people bring it back. It never stores anything: what it
// wraps is kept by node, and what the root key opens is barrier's affair.
package seal

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"

	"strongroom/internal/secret"
)

// Seal protects a key. Wrap's result is public; only the holder of the seal can
// Unwrap it. Unwrap of what another key made is secret.ErrOpen; every other error
// says nothing about that: the same call may succeed later.
type Seal interface {
	Wrap(ctx context.Context, key []byte) ([]byte, error)
	Unwrap(ctx context.Context, wrapped []byte) ([]byte, error)
}

// Auto is a seal that needs nobody: it wraps the unseal key (Config.Sealed).
// PKCS#11 and the clouds' key services have their place here.
type Auto interface {
	Seal
	Type() string // as in the configuration and in Config.Type

	// Stale says whether Wrap would use a newer key than wrapped was made with,
	// so that the older one can be retired once wrapped is made anew.
	Stale(ctx context.Context, wrapped []byte) (bool, error)
}

// Shamir is the type of the seal that people open with their shares.
const Shamir = "shamir"

// Config describes a seal; it is stored unencrypted, being what a sealed server
// has to know.
type Config struct {
	Type      string `json:"type"`             // Shamir, or the type of an Auto
	Shares    int    `json:"shares"`           // how many exist, of the unseal key or, with an Auto, of the recovery key
	Threshold int    `json:"threshold"`        // how many of them are needed
	Wrapped   []byte `json:"wrapped"`          // the root key, wrapped by the unseal key
	Sealed    []byte `json:"sealed,omitempty"` // with an Auto: the unseal key, wrapped by it
}

// Auto says whether the seal opens without shares.
func (c Config) Auto() bool { return c.Type != Shamir }

// Validate says what is wrong with the numbers of shares.
func (c Config) Validate() error {
	switch {
	case c.Shares < 1:
		return errors.New("shares must be at least one")
	case c.Shares > 255:
		return errors.New("shares must be at most 255")
	case c.Threshold < 1:
		return errors.New("threshold must be at least one")
	case c.Threshold > c.Shares:
		return errors.New("threshold cannot be larger than shares")
	case c.Shares > 1 && c.Threshold == 1:
		return errors.New("threshold must be greater than one for multiple shares")
	}
	return nil
}

// Key is a seal held as one key: what Shamir's shares combine to.
type Key secret.Bytes

var wrapAAD = []byte("strongroom root key v1")

// Wrap implements Seal.
func (k Key) Wrap(_ context.Context, rootKey []byte) ([]byte, error) {
	return secret.Seal(secret.Bytes(k), rootKey, wrapAAD)
}

// Unwrap implements Seal; a wrong key gives secret.ErrOpen.
func (k Key) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	if len(k) != secret.KeySize {
		return nil, secret.ErrOpen
	}
	return secret.Open(secret.Bytes(k), wrapped, wrapAAD)
}

// Format writes a placeholder.
func (k Key) Format(f fmt.State, v rune) { secret.Bytes(k).Format(f, v) }

// JoinKey is what a node that holds the unseal key shares with the cluster it
// wants to join (HKDF-SHA256, RFC 5869).
func (k Key) JoinKey() secret.Bytes {
	key, err := hkdf.Key(sha256.New, k, nil, "strongroom/join/v1", secret.KeySize)
	if err != nil {
		panic(err) // only for a length over 255 hashes
	}
	return key
}

// Verifier is what a recovery key is recognized by: it says nothing of the key
// (HKDF-SHA256 of 256 random bits).
func (k Key) Verifier() []byte {
	v, err := hkdf.Key(sha256.New, k, nil, "strongroom/recovery/v1", secret.KeySize)
	if err != nil {
		panic(err) // only for a length over 255 hashes
	}
	return v
}

// Verify says, in constant time, whether verifier is of this key.
func (k Key) Verify(verifier []byte) bool {
	return subtle.ConstantTimeCompare(k.Verifier(), verifier) == 1
}

// Deal makes a new seal key and its shares; with one share the share is the key.
func Deal(c Config) (Key, [][]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, nil, err
	}
	key := secret.NewKey()
	if c.Shares == 1 {
		return Key(key), [][]byte{append([]byte(nil), key...)}, nil
	}
	shares, err := Split(key, c.Shares, c.Threshold)
	return Key(key), shares, err
}
