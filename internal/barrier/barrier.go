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
	"crypto/cipher"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"strongroom/internal/secret"
	"strongroom/internal/storage"
)

// KeyringPath is where the keyring is stored, encrypted by the root key.
const KeyringPath = "core/keyring"

const (
	boxVersion = 1
	header     = 1 + 4 // version, term
)

// Errors of this package.
var (
	ErrSealed  = errors.New("barrier: sealed")
	ErrCorrupt = errors.New("barrier: a stored value is damaged or was moved")
)

// Barrier is a storage.Store that encrypts; while sealed every call returns
// ErrSealed. Safe for concurrent use.
type Barrier struct {
	store storage.Store
	ring  atomic.Pointer[ring]
}

// ring is an opened keyring. It is never changed.
type ring struct {
	active    uint32
	installed time.Time // when the active key was made
	aeads     map[uint32]cipher.AEAD
}

// keyring is the stored form.
type keyring struct {
	Active uint32    `json:"active"`
	Keys   []termKey `json:"keys"`
}

type termKey struct {
	Term      uint32    `json:"term"`
	Key       []byte    `json:"key"`
	Installed time.Time `json:"installed"`
}

// New returns a sealed barrier over store.
func New(store storage.Store) *Barrier { return &Barrier{store: store} }

// Initialize opens the barrier on a new keyring and returns that keyring
// encrypted under rootKey, to be stored at KeyringPath.
func (b *Barrier) Initialize(rootKey secret.Bytes) ([]byte, error) {
	k := keyring{Active: 1, Keys: []termKey{{Term: 1, Key: secret.NewKey(), Installed: time.Now().UTC()}}}
	defer k.zero()
	plain, err := json.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("barrier: encode keyring: %w", err)
	}
	defer clear(plain)
	if err := b.open(k); err != nil {
		return nil, err
	}
	return secret.Seal(rootKey, plain, []byte(KeyringPath))
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
	plain, err := secret.Open(rootKey, e.Value, []byte(KeyringPath))
	if err != nil {
		return fmt.Errorf("barrier: open keyring: %w", err)
	}
	defer clear(plain)
	var k keyring
	if err := json.Unmarshal(plain, &k); err != nil {
		return fmt.Errorf("%w: keyring", ErrCorrupt)
	}
	defer k.zero()
	return b.open(k)
}

// ErrNoKeyring: this store has never been initialized, or has not caught up yet.
var ErrNoKeyring = errors.New("barrier: no keyring is stored")

func (b *Barrier) open(k keyring) error {
	r := &ring{active: k.Active, aeads: make(map[uint32]cipher.AEAD, len(k.Keys))}
	for _, t := range k.Keys {
		a, err := secret.NewAEAD(t.Key)
		if err != nil {
			return err
		}
		r.aeads[t.Term] = a
		if t.Term == k.Active {
			r.installed = t.Installed
		}
	}
	if r.aeads[r.active] == nil {
		return fmt.Errorf("%w: keyring without its active key", ErrCorrupt)
	}
	b.ring.Store(r)
	return nil
}

func (k keyring) zero() {
	for _, t := range k.Keys {
		clear(t.Key)
	}
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

func (r *ring) seal(key string, value []byte) []byte {
	a := r.aeads[r.active]
	box := make([]byte, header, header+len(value)+a.Overhead())
	box[0] = boxVersion
	binary.BigEndian.PutUint32(box[1:], r.active)
	return a.Seal(box, nil, value, aad(key, box))
}

func (r *ring) open(key string, box []byte) ([]byte, error) {
	if len(box) < header || box[0] != boxVersion {
		return nil, fmt.Errorf("%w: %s", ErrCorrupt, key)
	}
	a := r.aeads[binary.BigEndian.Uint32(box[1:])]
	if a == nil {
		return nil, fmt.Errorf("%w: %s names an encryption key that the keyring lacks", ErrCorrupt, key)
	}
	plain, err := a.Open(nil, nil, box[header:], aad(key, box[:header]))
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrCorrupt, key)
	}
	if plain == nil {
		plain = []byte{}
	}
	return plain, nil
}

// aad binds a box to its path and header.
func aad(key string, head []byte) []byte {
	return append(append(make([]byte, 0, len(head)+len(key)), head[:header]...), key...)
}

// Get implements storage.Store.
func (b *Barrier) Get(ctx context.Context, key string) (storage.Entry, error) {
	r := b.ring.Load()
	if r == nil {
		return storage.Entry{}, ErrSealed
	}
	e, err := b.store.Get(ctx, key)
	if err != nil || !e.Exists() {
		return e, err
	}
	e.Value, err = r.open(key, e.Value)
	if err != nil {
		return storage.Entry{}, err
	}
	return e, nil
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

// Apply implements storage.Store.
func (b *Barrier) Apply(ctx context.Context, batch storage.Batch) error {
	r := b.ring.Load()
	if r == nil {
		return ErrSealed
	}
	out := storage.Batch{Checks: batch.Checks, Writes: make([]storage.Write, len(batch.Writes))}
	for i, w := range batch.Writes {
		if !w.Delete {
			w.Value = r.seal(w.Key, w.Value)
		}
		out.Writes[i] = w
	}
	return b.store.Apply(ctx, out)
}
