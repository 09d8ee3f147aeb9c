package transit

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"strongroom/engine"
	"strongroom/internal/storage"
)

const (
	keyPrefix     = "k/" // k/<name>: the key: its settings and its current version
	versionPrefix = "v/" // v/<name>/<n>: version n, once it is not current
)

// key is a named key as it stands in storage (docs/format/transit.md). One that
// load returns is shared and never changed.
type key struct {
	Kind            kind            `json:"type"`
	Derived         bool            `json:"derived,omitempty"`
	Convergent      bool            `json:"convergent,omitempty"`
	Exportable      bool            `json:"exportable,omitempty"`
	PlaintextBackup bool            `json:"allow_plaintext_backup,omitempty"`
	DeletionAllowed bool            `json:"deletion_allowed,omitempty"`
	SoftDeleted     bool            `json:"soft_deleted,omitempty"` // kept, but not used until it is restored
	Imported        bool            `json:"imported,omitempty"`     // every version came from outside
	AllowRotation   bool            `json:"allow_rotation,omitempty"`
	AutoRotate      time.Duration   `json:"auto_rotate,omitempty"` // nanoseconds; 0: never
	MinDecryption   int             `json:"min_decryption_version"`
	MinEncryption   int             `json:"min_encryption_version,omitempty"` // 0: the latest version only is the default, any is allowed
	MinAvailable    int             `json:"min_available_version,omitempty"`  // 0: nothing has been trimmed
	Latest          int             `json:"latest_version"`
	Times           []int64         `json:"times"` // Unix seconds, when the versions from first to Latest were made
	Size            int             `json:"size,omitempty"`
	Current         json.RawMessage `json:"current"` // version Latest; nil in a key from the cache

	name    string
	current *version // Current, parsed
}

// Format prints nothing of the key material.
func (k *key) Format(f fmt.State, _ rune) { io.WriteString(f, "[key "+k.name+"]") }

// decodeKey parses what save wrote.
func decodeKey(name string, b []byte) (*key, error) {
	k := &key{name: name}
	if err := json.Unmarshal(b, k); err != nil {
		return nil, fmt.Errorf("transit: decode key: %w", err)
	}
	if _, ok := k.Kind.traits(); !ok || k.Latest < 1 || k.first() < 1 {
		return nil, fmt.Errorf("transit: key %q is corrupt", name)
	}
	var err error
	k.current, err = decodeVersion(k.Kind, append([]byte(nil), k.Current...))
	return k, err
}

// first is the oldest version that has not been trimmed.
func (k *key) first() int { return k.Latest - len(k.Times) + 1 }

// oldest is the first version that may still decrypt and verify.
func (k *key) oldest() int { return max(k.MinDecryption, k.first()) }

// load returns the key of that name, shared; nil if there is none.
func (b *backend) load(ctx context.Context, v storage.View, name string) (*key, error) {
	k, _, err := b.keys.Get(ctx, v, keyPrefix+name, name, func(raw []byte) (*key, error) {
		defer clear(raw)
		k, err := decodeKey(name, raw)
		if err == nil {
			clear(k.Current)
			k.Current = nil
		}
		return k, err
	})
	if err != nil {
		return nil, fmt.Errorf("transit: read key: %w", err)
	}
	return k, nil
}

// need is load of the key that req names for use, or an error that says missing.
func (b *backend) need(ctx context.Context, req *engine.Request, missing string) (*key, error) {
	k, err := b.load(ctx, req.Storage, req.Data.String("name"))
	switch {
	case err != nil:
		return nil, err
	case k == nil:
		return nil, engine.Invalidf("%s", missing)
	}
	return k, k.refuseDeleted()
}

// refuseDeleted refuses a key that is softly deleted.
func (k *key) refuseDeleted() error {
	if k.SoftDeleted {
		return engine.Invalidf("key %s is soft deleted: restore it at keys/%s/soft-delete-restore to use it", k.name, k.name)
	}
	return nil
}

// open returns the key that req names for a change; nil if there is none.
func open(ctx context.Context, v storage.View, name string) (*key, error) {
	e, err := v.Get(ctx, keyPrefix+name)
	if err != nil || !e.Exists() {
		return nil, err
	}
	return decodeKey(name, e.Value)
}

// change opens the key that req names, has edit change it, saves it and answers what a read would.
func (b *backend) change(ctx context.Context, req *engine.Request, missing string, edit func(k *key) error) (*engine.Response, error) {
	k, err := open(ctx, req.Storage, req.Data.String("name"))
	if err != nil {
		return nil, err
	}
	if k == nil {
		return nil, engine.Invalidf("%s", missing)
	}
	due := k.due()
	if err := edit(k); err != nil {
		return nil, err
	}
	if err := k.save(req, due); err != nil {
		return nil, err
	}
	return b.describe(ctx, req, k)
}

// due is when the key rotates by itself, in Unix seconds; 0 is never.
func (k *key) due() int64 {
	if k.AutoRotate == 0 || k.SoftDeleted {
		return 0
	}
	return max(k.current.created.Add(k.AutoRotate).Unix(), 1)
}

// save writes the key. due is what it was when the key was opened; 0 for a new key.
func (k *key) save(req *engine.Request, due int64) error {
	if now := k.due(); now != due {
		if due != 0 {
			req.Due.Remove(due, k.name)
		}
		if now != 0 {
			req.Due.Add(now, k.name)
		}
	}
	return storage.PutJSON(req.Storage, keyPrefix+k.name, k)
}

// add makes n the current version of the key and puts the one it replaces in
// its own place; the key has yet to be saved.
func (k *key) add(v storage.View, n *version) error {
	if k.Convergent {
		n.convergent = currentConvergent
	}
	raw, err := n.encode()
	if err != nil {
		return err
	}
	if k.Latest > 0 {
		v.Put(k.place(k.Latest), k.Current)
	}
	k.Latest++
	k.Times = append(k.Times, n.created.Unix())
	k.Current, k.current = raw, n
	return nil
}

// put writes version n anew, whose material or certificates have changed.
func (k *key) put(v storage.View, n int, changed *version) error {
	raw, err := changed.encode()
	if err != nil {
		return err
	}
	if n == k.Latest {
		k.Current, k.current = raw, changed
		return nil
	}
	v.Put(k.place(n), raw)
	return nil
}

// rotate adds a new random version.
func (k *key) rotate(v storage.View, now time.Time) error {
	if err := k.refuseDeleted(); err != nil {
		return err
	}
	if k.Imported && !k.AllowRotation {
		return engine.Invalidf("imported key %s does not allow rotation within Vault", k.name)
	}
	n, err := generate(k.Kind, k.Size, now)
	if err != nil {
		return err
	}
	k.Imported = false
	return k.add(v, n)
}

func (k *key) place(n int) string { return versionPrefix + k.name + "/" + strconv.Itoa(n) }

// version returns version n of k, which is first or later.
func (b *backend) version(ctx context.Context, v storage.View, k *key, n int) (*version, error) {
	if n == k.Latest {
		return k.current, nil
	}
	place := k.place(n)
	got, _, err := b.versions.Get(ctx, v, place, place, func(raw []byte) (*version, error) { return decodeVersion(k.Kind, raw) })
	if err != nil || got != nil {
		return got, err
	}
	// Another request may have trimmed or deleted the key since it was read: then
	// this is a conflict, and else a fault.
	if _, err := v.Version(ctx, keyPrefix+k.name); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("transit: version %d of key %q is missing", n, k.name)
}

// pick returns the version that a request asks to encrypt or sign with: n, or
// the latest if n is 0. what is the act, as errors name it.
func (b *backend) pick(ctx context.Context, v storage.View, k *key, n int64, what string) (*version, int, error) {
	switch {
	case n == 0:
		n = int64(k.Latest)
	case n < 0:
		return nil, 0, engine.Invalidf("requested version for %s is negative", what)
	case n > int64(k.Latest):
		return nil, 0, engine.Invalidf("requested version for %s is higher than the latest key version", what)
	case n < int64(k.MinEncryption):
		return nil, 0, engine.Invalidf("requested version for %s is less than the minimum encryption key version", what)
	case n < int64(k.oldest()):
		return nil, 0, engine.Invalidf("no such key version")
	}
	got, err := b.version(ctx, v, k, int(n))
	return got, int(n), err
}

// made returns the version that made a text whose version is n, if it may still
// be used. what names the text in errors.
func (b *backend) made(ctx context.Context, v storage.View, k *key, n int, what string) (*version, error) {
	if n == 0 {
		n = 1 // as the first releases of Vault counted
	}
	switch {
	case n > k.Latest:
		return nil, engine.Invalidf("invalid %s: version is too new", what)
	case n < k.oldest():
		return nil, engine.Invalidf("ciphertext or signature version is disallowed by policy (too old)")
	}
	return b.version(ctx, v, k, n)
}
