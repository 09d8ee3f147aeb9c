package barrier

import (
	"crypto/cipher"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"strongroom/internal/secret"
)

const (
	boxVersion = 1
	header     = 1 + 4 // version, term
)

// ring is an opened keyring. It is never changed: another one takes its place.
type ring struct {
	version   uint64 // of KeyringPath; 0 before it is stored
	first     uint32 // the oldest term, which every ring of this cluster has
	active    uint32
	installed time.Time // when the active key was made
	aeads     map[uint32]cipher.AEAD
	uses      *atomic.Uint64 // boxes made with the active key that are not in storage's count yet
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

// add makes a new active key.
func (k *keyring) add() {
	k.Active++
	k.Keys = append(k.Keys, termKey{Term: k.Active, Key: secret.NewKey(), Installed: time.Now().UTC()})
}

// box is the keyring encrypted under root.
func (k *keyring) box(root secret.Bytes) ([]byte, error) {
	plain, err := json.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("barrier: encode keyring: %w", err)
	}
	defer clear(plain)
	return secret.Seal(root, plain, []byte(KeyringPath))
}

func openKeyring(root secret.Bytes, box []byte) (*keyring, error) {
	plain, err := secret.Open(root, box, []byte(KeyringPath))
	if err != nil {
		return nil, fmt.Errorf("barrier: open keyring: %w", err)
	}
	defer clear(plain)
	k := &keyring{}
	if err := json.Unmarshal(plain, k); err != nil || len(k.Keys) == 0 {
		return nil, fmt.Errorf("%w: keyring", ErrCorrupt)
	}
	return k, nil
}

// open makes the ring of k, read at version; it goes on with the count of before
// (nil for none) if the active key is the same.
func (k *keyring) open(version uint64, before *ring) (*ring, error) {
	r := &ring{version: version, first: k.Keys[0].Term, active: k.Active, aeads: make(map[uint32]cipher.AEAD, len(k.Keys)), uses: new(atomic.Uint64)}
	for _, t := range k.Keys {
		a, err := secret.NewAEAD(t.Key)
		if err != nil {
			return nil, fmt.Errorf("%w: keyring", ErrCorrupt)
		}
		r.aeads[t.Term] = a
		r.first = min(r.first, t.Term)
		if t.Term == k.Active {
			r.installed = t.Installed
		}
	}
	if r.aeads[r.active] == nil {
		return nil, fmt.Errorf("%w: keyring without its active key", ErrCorrupt)
	}
	if before != nil && before.active == r.active && before.installed.Equal(r.installed) {
		r.uses = before.uses
	}
	return r, nil
}

func (k *keyring) zero() {
	for _, t := range k.Keys {
		clear(t.Key)
	}
}

func (r *ring) seal(key string, value []byte) []byte {
	r.uses.Add(1)
	return r.sealUnder(r.active, key, value)
}

func (r *ring) sealUnder(term uint32, key string, value []byte) []byte {
	a := r.aeads[term]
	box := make([]byte, header, header+len(value)+a.Overhead())
	box[0] = boxVersion
	binary.BigEndian.PutUint32(box[1:], term)
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
