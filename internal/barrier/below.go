package barrier

import (
	"context"
	"errors"
	"fmt"

	"strongroom/internal/secret"
	"strongroom/internal/storage"
)

// RootKeyPath is where, inside the barrier, the root key is: whoever reads it there
// has the keyring anyway. It is boxed under the oldest key of the keyring, which every
// node has, however many rotations it has missed (docs/adr/0008).
const RootKeyPath = "core/root-key"

// RootKey is the root key, for whoever wraps it anew. The caller owns and zeroes it.
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

// EncryptFirst is Encrypt under the oldest key of the keyring: what it makes opens with
// every keyring that this barrier has ever had, an older one that was restored too.
func (b *Barrier) EncryptFirst(key string, value []byte) ([]byte, error) {
	r := b.ring.Load()
	if r == nil {
		return nil, ErrSealed
	}
	return r.sealUnder(r.first, key, value), nil
}

// Decrypt opens what Encrypt, EncryptFirst or Apply made for key; otherwise ErrCorrupt.
func (b *Barrier) Decrypt(key string, box []byte) ([]byte, error) {
	r := b.ring.Load()
	for {
		if r == nil {
			return nil, ErrSealed
		}
		plain, err := r.open(key, box)
		if err == nil {
			return plain, nil
		}
		next, failed := b.refresh(context.Background()) // reads this node's own state
		if failed != nil {
			return nil, failed
		}
		if next == r {
			return nil, err
		}
		r = next
	}
}

// Rotate makes a new active key, in one batch, and returns its term. Of two
// rotations at once one gets storage.ErrConflict. Everything stays readable: older
// keys go on opening what they sealed.
func (b *Barrier) Rotate(ctx context.Context) (uint32, error) {
	tx := storage.Begin(b.store)
	k, root, err := b.stored(ctx, tx)
	if err != nil {
		return 0, err
	}
	defer root.Zero()
	defer k.zero()
	k.add()
	box, err := k.box(root)
	if err != nil {
		return 0, err
	}
	tx.Put(KeyringPath, box)
	if err := tx.Commit(ctx); err != nil {
		return 0, fmt.Errorf("barrier: rotate: %w", err)
	}
	return k.Active, b.Refresh(ctx)
}

// Rekey adds to tx, a transaction on the store below, what puts the keyring under
// newRoot: the keyring and the root key inside the barrier, and checks that neither
// has changed. After the commit the caller calls Refresh.
func (b *Barrier) Rekey(ctx context.Context, tx *storage.Tx, newRoot secret.Bytes) error {
	k, root, err := b.stored(ctx, tx)
	if err != nil {
		return err
	}
	defer root.Zero()
	defer k.zero()
	box, err := k.box(newRoot)
	if err != nil {
		return err
	}
	r, err := k.open(0, nil)
	if err != nil {
		return err
	}
	tx.Put(KeyringPath, box)
	tx.Put(RootKeyPath, r.sealUnder(r.first, RootKeyPath, newRoot))
	return nil
}

// stored reads keyring and root key in tx. The caller zeroes both.
func (b *Barrier) stored(ctx context.Context, tx *storage.Tx) (*keyring, secret.Bytes, error) {
	r, err := b.refresh(ctx)
	if err != nil {
		return nil, nil, err
	}
	ring, k, root, err := b.read(ctx, tx, r)
	switch {
	case err != nil:
		return nil, nil, err
	case ring.version != r.version:
		k.zero()
		root.Zero()
		return nil, nil, storage.ErrConflict
	}
	return k, root, nil
}

// Refresh takes over the stored keyring if it has changed since it was opened: one
// Version call if not. If it cannot be opened any more the barrier seals itself and
// the error is ErrReplaced.
func (b *Barrier) Refresh(ctx context.Context) error {
	_, err := b.refresh(ctx)
	return err
}

// refresh is Refresh; it returns the present ring, and no error only with one.
func (b *Barrier) refresh(ctx context.Context) (*ring, error) {
	r, err := b.current(ctx)
	if r != nil || err != nil {
		return r, err
	}
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		if r, err = b.current(ctx); r != nil || err != nil {
			return r, err
		}
		if r = b.ring.Load(); r == nil {
			return nil, ErrSealed
		}
		tx := storage.Begin(b.store)
		next, k, root, err := b.read(ctx, tx, r)
		if k != nil {
			k.zero()
			root.Zero()
		}
		switch verr := tx.Commit(ctx); { // nothing to write: were both read at one moment?
		case errors.Is(verr, storage.ErrConflict):
		case verr != nil:
			return nil, verr
		case err == nil:
			b.ring.CompareAndSwap(r, next) // or it was sealed, or unsealed anew, meanwhile
		case errors.Is(err, ErrReplaced):
			b.ring.CompareAndSwap(r, nil)
			return nil, err
		default:
			return nil, err
		}
	}
}

// current is the ring if the stored keyring is still the one it was made from; nil if not.
func (b *Barrier) current(ctx context.Context) (*ring, error) {
	r := b.ring.Load()
	if r == nil {
		return nil, ErrSealed
	}
	version, err := b.store.Version(ctx, KeyringPath)
	if err != nil {
		return nil, fmt.Errorf("barrier: read keyring: %w", err)
	}
	if version != r.version || b.ring.Load() != r {
		return nil, nil
	}
	return r, nil
}

// read opens the keyring that tx finds stored with the root key that r opens;
// ErrReplaced if it does not fit.
func (b *Barrier) read(ctx context.Context, tx *storage.Tx, r *ring) (*ring, *keyring, secret.Bytes, error) {
	rootBox, err := tx.Get(ctx, RootKeyPath)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("barrier: read root key: %w", err)
	}
	e, err := tx.Get(ctx, KeyringPath)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("barrier: read keyring: %w", err)
	}
	root, err := r.open(RootKeyPath, rootBox.Value)
	if err != nil || len(root) != secret.KeySize {
		return nil, nil, nil, ErrReplaced
	}
	k, err := openKeyring(root, e.Value)
	if err != nil {
		clear(root)
		return nil, nil, nil, ErrReplaced
	}
	next, err := k.open(e.Version, r)
	if err != nil {
		clear(root)
		k.zero()
		return nil, nil, nil, ErrReplaced
	}
	return next, k, root, nil
}
