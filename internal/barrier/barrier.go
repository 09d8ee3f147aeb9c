// Package barrier owns the encryption of everything at rest: a keyring, opened
// by the root key, and a storage.Store whose values are sealed boxes in the
// store below. The key path is each value's associated data, so that no value
// can be moved to another path. Key paths themselves are not encrypted. It
// never decides who may read; it is either sealed or open.
//
// The stored forms are specified in docs/format/barrier.md.
package barrier

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"strongroom/internal/secret"
	"strongroom/internal/storage"
)

// KeyringPath is where the keyring is stored, encrypted by the root key.
const KeyringPath = "core/keyring"

// Errors of this package.
var (
	ErrSealed  = errors.New("barrier: sealed")
	ErrCorrupt = errors.New("barrier: a stored value is damaged or was moved")
	// ErrNoKeyring: this store has never been initialized, or has not caught up yet.
	ErrNoKeyring = errors.New("barrier: no keyring is stored")
	// ErrReplaced: the stored keyring was replaced by one that this node's keys do
	// not open, as by restoring another cluster's snapshot. The barrier has sealed
	// itself: the root key of what is stored now opens it.
	ErrReplaced = fmt.Errorf("%w itself: the stored keyring is another cluster's, or its root key is damaged; unseal with the keys of what was restored", ErrSealed)
)

// Barrier is a storage.Store that encrypts; while sealed every call returns
// ErrSealed. It follows the stored keyring: a value that cannot be opened, and a
// batch that finds the keyring changed, make it look again. Safe for concurrent use.
type Barrier struct {
	store storage.Store
	ring  atomic.Pointer[ring]
	turn  chan struct{} // one reader of the stored keyring at a time; the others wait for it
}

// New returns a sealed barrier over store.
func New(store storage.Store) *Barrier { return &Barrier{store: store, turn: make(chan struct{}, 1)} }

// Initialize opens the barrier on a new keyring and returns that keyring
// encrypted under rootKey, to be stored at KeyringPath. The root key itself is to
// be put at RootKeyPath inside the barrier first.
func (b *Barrier) Initialize(rootKey secret.Bytes) ([]byte, error) {
	k := keyring{}
	k.add()
	defer k.zero()
	r, err := k.open(0, nil)
	if err != nil {
		return nil, err
	}
	box, err := k.box(rootKey)
	if err == nil {
		b.ring.Store(r)
	}
	return box, err
}

// Unseal opens the barrier with the stored keyring. A wrong root key gives
// secret.ErrOpen; no keyring in the store, storage's zero Entry and ErrNoKeyring.
func (b *Barrier) Unseal(ctx context.Context, rootKey secret.Bytes) error {
	e, err := b.store.Get(ctx, KeyringPath)
	if err != nil {
		return fmt.Errorf("barrier: read keyring: %w", err)
	}
	if !e.Exists() {
		return ErrNoKeyring
	}
	k, err := openKeyring(rootKey, e.Value)
	if err != nil {
		return err
	}
	defer k.zero()
	r, err := k.open(e.Version, nil)
	if err == nil {
		b.ring.Store(r)
	}
	return err
}

// Seal forgets the keyring.
func (b *Barrier) Seal() { b.ring.Store(nil) }

// KeyTerm is the number of the active encryption key and when it was made
// (RFC 3339); zero while sealed.
func (b *Barrier) KeyTerm() (uint32, string) {
	r := b.ring.Load()
	if r == nil {
		return 0, ""
	}
	return r.active, r.installed.Format(time.RFC3339Nano)
}

// Sealed says whether the barrier is sealed.
func (b *Barrier) Sealed() bool { return b.ring.Load() == nil }

// Get implements storage.Store.
func (b *Barrier) Get(ctx context.Context, key string) (storage.Entry, error) {
	r := b.ring.Load()
	for {
		if r == nil {
			return storage.Entry{}, ErrSealed
		}
		e, err := b.store.Get(ctx, key)
		if err != nil || !e.Exists() {
			return e, err
		}
		value, err := r.open(key, e.Value)
		if err == nil {
			e.Value = value
			return e, nil
		}
		next, failed := b.refresh(ctx) // the value may be newer than the ring
		if failed != nil {
			return storage.Entry{}, failed
		}
		if next == r {
			return storage.Entry{}, err
		}
		r = next
	}
}

// Version implements storage.Store.
func (b *Barrier) Version(ctx context.Context, key string) (uint64, error) {
	if b.Sealed() {
		return 0, ErrSealed
	}
	return b.store.Version(ctx, key)
}

// Keys implements storage.Store.
func (b *Barrier) Keys(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	if b.Sealed() {
		return func(yield func(string, error) bool) { yield("", ErrSealed) }
	}
	return b.store.Keys(ctx, prefix, after)
}

// Apply implements storage.Store. The keyring's version is one of the batch's
// checks: nothing is ever written under a key that the stored keyring lacks, as a
// restore of an older state would leave it. The batch is sealed anew if that fails it.
func (b *Barrier) Apply(ctx context.Context, batch storage.Batch) error {
	r := b.ring.Load()
	for {
		if r == nil {
			return ErrSealed
		}
		err := b.store.Apply(ctx, r.sealBatch(batch))
		if !errors.Is(err, storage.ErrConflict) {
			return err
		}
		next, failed := b.refresh(ctx)
		if failed != nil {
			return failed
		}
		if next == r {
			return err
		}
		r = next
	}
}

func (r *ring) sealBatch(batch storage.Batch) storage.Batch {
	at, found := slices.BinarySearchFunc(batch.Checks, KeyringPath, func(c storage.Check, key string) int { return strings.Compare(c.Key, key) })
	out := storage.Batch{Checks: batch.Checks, Writes: make([]storage.Write, len(batch.Writes)), Applied: batch.Applied}
	if !found {
		out.Checks = make([]storage.Check, 0, len(batch.Checks)+1)
		out.Checks = append(out.Checks, batch.Checks[:at]...)
		out.Checks = append(out.Checks, storage.Check{Key: KeyringPath, Version: r.version})
		out.Checks = append(out.Checks, batch.Checks[at:]...)
	}
	for i, w := range batch.Writes {
		if !w.Delete {
			w.Value = r.seal(w.Key, w.Value)
		}
		out.Writes[i] = w
	}
	return out
}
