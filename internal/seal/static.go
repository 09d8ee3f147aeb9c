package seal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"strongroom/internal/secret"
)

// Static is a seal that is a key this server is given when it starts: a file, a
// variable. It is worth what guards that key.
type Static struct {
	current  StaticKey
	previous *StaticKey // opens what it sealed, until that is sealed anew
}

// StaticKey is a key of 32 bytes and the name it is known by in what it has sealed.
type StaticKey struct {
	ID  string
	Key secret.Bytes
}

// staticBox is the stored form of what Static wraps.
type staticBox struct {
	KeyID string `json:"key_id"`
	Box   []byte `json:"box"`
}

// NewStatic makes a seal of the current key; previous is nil, or the key that the
// current one replaces.
func NewStatic(current StaticKey, previous *StaticKey) (*Static, error) {
	for _, k := range []*StaticKey{&current, previous} {
		if k != nil && (k.ID == "" || len(k.Key) != secret.KeySize) {
			return nil, fmt.Errorf("seal: static: a key has a name and %d bytes", secret.KeySize)
		}
	}
	if previous != nil && previous.ID == current.ID {
		return nil, errors.New("current_key_id and previous_key_id are the same: give the new key a name of its own")
	}
	return &Static{current, previous}, nil
}

// Type implements Auto.
func (s *Static) Type() string { return "static" }

func staticAAD(id string) []byte { return []byte("strongroom unseal key v1 static " + id) }

// Wrap implements Seal.
func (s *Static) Wrap(_ context.Context, key []byte) ([]byte, error) {
	box, err := secret.Seal(s.current.Key, key, staticAAD(s.current.ID))
	if err != nil {
		return nil, err
	}
	return json.Marshal(staticBox{s.current.ID, box})
}

// Unwrap implements Seal.
func (s *Static) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	var b staticBox
	if json.Unmarshal(wrapped, &b) != nil {
		return nil, secret.ErrOpen
	}
	for _, k := range []*StaticKey{&s.current, s.previous} {
		if k != nil && k.ID == b.KeyID {
			return secret.Open(k.Key, b.Box, staticAAD(k.ID))
		}
	}
	return nil, fmt.Errorf("seal: static: it was sealed with the key %q, which is neither current_key_id nor previous_key_id: %w", b.KeyID, secret.ErrOpen)
}

// Stale implements Auto.
func (s *Static) Stale(_ context.Context, wrapped []byte) (bool, error) {
	var b staticBox
	if err := json.Unmarshal(wrapped, &b); err != nil {
		return false, fmt.Errorf("seal: static: %w", err)
	}
	return b.KeyID != s.current.ID, nil
}
