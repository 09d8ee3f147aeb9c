package namespace

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"iter"
	"maps"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"strongroom/engine"
	"strongroom/internal/storage"
)

func printable(r rune) bool { return unicode.IsPrint(r) && !unicode.IsSpace(r) }

// Record is what a namespace has besides its place in the tree.
type Record struct {
	UUID           string            `json:"uuid"`
	CustomMetadata map[string]string `json:"custom_metadata,omitempty"`
	UnlockKey      []byte            `json:"unlock_key,omitempty"` // its SHA-256, while the API is locked
}

// Bounds of custom metadata, as of entities.
const (
	maxMetadata = 64
	maxKey      = 128
	maxValue    = 512
)

const (
	recordPrefix = "core/namespace/record/"
	doomedPrefix = "core/namespace/doomed/"
)

// Read is the record of the namespace with that id.
func Read(ctx context.Context, r storage.Reader, id string) (Record, error) {
	var rec Record
	_, err := storage.GetJSON(ctx, r, recordPrefix+id, &rec)
	return rec, err
}

func checkMetadata(m map[string]string) error {
	if len(m) > maxMetadata {
		return engine.Invalidf("custom_metadata contains %d keys; at most %d are allowed", len(m), maxMetadata)
	}
	for k, v := range m {
		if k == "" || len(k) > maxKey || len(v) > maxValue {
			return engine.Invalidf("custom_metadata: a key has 1 to %d bytes, and a value at most %d", maxKey, maxValue)
		}
	}
	return nil
}

// Create adds a namespace called name below parent, or, if there is one, gives it
// that metadata; fresh tells which. The tree was loaded in tx.
func (t *Tree) Create(ctx context.Context, tx *storage.Tx, parent *Namespace, name string, metadata map[string]string) (n *Namespace, fresh bool, err error) {
	if err := CheckName(name); err != nil {
		return nil, false, err
	}
	if err := checkMetadata(metadata); err != nil {
		return nil, false, err
	}
	if n := t.Child(parent, name); n != nil {
		if n.Deleting {
			return nil, false, engine.Invalidf("the namespace %q is being deleted: wait until it is gone", n.Path)
		}
		return n, false, t.SetMetadata(ctx, tx, n, metadata)
	}
	switch {
	case len(t.byPath) >= MaxNumber:
		return nil, false, engine.Invalidf("there are %d namespaces, and more are not allowed: delete some", MaxNumber)
	case strings.Count(parent.Path, "/") >= MaxDepth:
		return nil, false, engine.Invalidf("namespaces are nested at most %d levels deep", MaxDepth)
	}
	n = &Namespace{ID: newID(), Path: parent.Path + name + "/"}
	for t.byID[n.ID] != nil {
		n.ID = newID()
	}
	all := maps.Clone(t.byID)
	all[n.ID] = n
	if err := save(tx, all); err != nil {
		return nil, false, err
	}
	return n, true, storage.PutJSON(tx, recordPrefix+n.ID, Record{UUID: uuid.NewString(), CustomMetadata: metadata})
}

// SetMetadata gives n that metadata in the place of what it has.
func (t *Tree) SetMetadata(ctx context.Context, tx *storage.Tx, n *Namespace, metadata map[string]string) error {
	if err := checkMetadata(metadata); err != nil {
		return err
	}
	rec, err := Read(ctx, tx, n.ID)
	if err != nil {
		return err
	}
	rec.CustomMetadata = metadata
	return storage.PutJSON(tx, recordPrefix+n.ID, rec)
}

// change stores the tree with next in the place of the namespace with its id.
func (t *Tree) change(tx *storage.Tx, next Namespace) error {
	all := maps.Clone(t.byID)
	all[next.ID] = &next
	return save(tx, all)
}

// Doom has n deleted with all that it holds: from the commit of tx on nothing is
// served in it. It refuses the root and a namespace with others below it.
func (t *Tree) Doom(tx *storage.Tx, n *Namespace) error {
	switch {
	case n.Root():
		return engine.Invalidf("the root namespace cannot be deleted")
	case n.Deleting:
		return nil
	case len(t.Below(n, true)) > 0:
		return engine.Invalidf("cannot delete namespace %q: it contains child namespaces; delete them first", n.Path)
	}
	next := *n
	next.Deleting = true
	tx.Put(doomedPrefix+n.ID, nil)
	return t.change(tx, next)
}

// Doomed yields the ids of the namespaces that are being deleted.
func Doomed(ctx context.Context, store storage.Store) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for k, err := range store.Keys(ctx, doomedPrefix, "") {
			if !yield(strings.TrimPrefix(k, doomedPrefix), err) {
				return
			}
		}
	}
}

// Forget takes the namespace with that id, which holds nothing any more, out of
// the tree in tx.
func Forget(ctx context.Context, tx *storage.Tx, id string) error {
	t, err := Load(ctx, tx)
	if err != nil {
		return err
	}
	all := maps.Clone(t.byID)
	delete(all, id)
	tx.Delete(recordPrefix + id)
	tx.Delete(doomedPrefix + id)
	return save(tx, all)
}

// Lock locks the API of n and all below it, and returns the key that unlocks it.
func (t *Tree) Lock(ctx context.Context, tx *storage.Tx, n *Namespace) (key string, err error) {
	for _, a := range t.Line(n) {
		if a.Locked {
			return "", engine.Invalidf("cannot lock namespace %q: namespace %q is already locked", n.Path, a.Path)
		}
	}
	rec, err := Read(ctx, tx, n.ID)
	if err != nil {
		return "", err
	}
	raw := make([]byte, 18)
	rand.Read(raw)
	key = base64.RawURLEncoding.EncodeToString(raw)
	sum := sha256.Sum256([]byte(key))
	rec.UnlockKey = sum[:]
	next := *n
	next.Locked = true
	if err := t.change(tx, next); err != nil {
		return "", err
	}
	return key, storage.PutJSON(tx, recordPrefix+n.ID, rec)
}

// Unlock takes the lock of n away from who has its key; force needs none.
func (t *Tree) Unlock(ctx context.Context, tx *storage.Tx, n *Namespace, key string, force bool) error {
	for _, a := range t.Line(n) {
		if a != n && a.Locked {
			return engine.Invalidf("cannot unlock namespace %q: namespace %q above it is locked; unlock that first", n.Path, a.Path)
		}
	}
	if !n.Locked {
		return engine.Invalidf("namespace %q is not locked", n.Path)
	}
	rec, err := Read(ctx, tx, n.ID)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(key))
	if !force && subtle.ConstantTimeCompare(sum[:], rec.UnlockKey) != 1 {
		return engine.Invalidf("incorrect unlock key")
	}
	rec.UnlockKey = nil
	next := *n
	next.Locked = false
	if err := t.change(tx, next); err != nil {
		return err
	}
	return storage.PutJSON(tx, recordPrefix+n.ID, rec)
}
