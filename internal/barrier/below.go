package barrier

import (
	"context"
	"fmt"

	"strongroom/internal/secret"
)

// RootKeyPath is where, inside the barrier, the root key is: whoever reads it there
// has the keyring anyway.
const RootKeyPath = "core/root-key"

// RootKey is the root key, for whoever wraps it anew.
func (b *Barrier) RootKey(ctx context.Context) (secret.Bytes, error) {
	e, err := b.Get(ctx, RootKeyPath)
	if err != nil {
		return nil, err
	}
	if len(e.Value) != secret.KeySize {
		return nil, fmt.Errorf("%w: %s", ErrCorrupt, RootKeyPath)
	}
	return e.Value, nil
}

// Encrypt makes the box that is to be stored at key, for a batch that goes below the barrier.
func (b *Barrier) Encrypt(key string, value []byte) ([]byte, error) {
	r := b.ring.Load()
	if r == nil {
		return nil, ErrSealed
	}
	return r.seal(key, value), nil
}
