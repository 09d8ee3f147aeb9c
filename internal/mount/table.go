// Package mount owns the mount table of a namespace: what is mounted where, the
// engines that serve it, and the way from a request's path to an engine's
// route. It never authorizes and never runs a handler.
package mount

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// Table is the stored mount table of one namespace.
type Table struct {
	Entries []Entry `json:"entries"`
}

// Entry is one mount as stored.
type Entry struct {
	Path        string            `json:"path"` // with a trailing slash; auth methods begin with "auth/"
	Type        string            `json:"type"`
	Description string            `json:"description,omitempty"`
	Accessor    string            `json:"accessor"`
	UUID        string            `json:"uuid"`
	Options     map[string]string `json:"options,omitempty"`
	Local       bool              `json:"local,omitempty"`
	SealWrap    bool              `json:"seal_wrap,omitempty"`
	Config      Config            `json:"config"`
}

// Config is what tuning changes. Durations are in seconds; 0 means the
// server's own.
type Config struct {
	DefaultLeaseTTL           int64    `json:"default_lease_ttl"`
	MaxLeaseTTL               int64    `json:"max_lease_ttl"`
	ForceNoCache              bool     `json:"force_no_cache"`
	ListingVisibility         string   `json:"listing_visibility,omitempty"` // "", "hidden" or "unauth"
	TokenType                 string   `json:"token_type,omitempty"`
	AuditNonHMACRequestKeys   []string `json:"audit_non_hmac_request_keys,omitempty"`
	AuditNonHMACResponseKeys  []string `json:"audit_non_hmac_response_keys,omitempty"`
	PassthroughRequestHeaders []string `json:"passthrough_request_headers,omitempty"`
	AllowedResponseHeaders    []string `json:"allowed_response_headers,omitempty"`

	UserLockout *UserLockout `json:"user_lockout,omitempty"` // of an auth method
}

// Auth says whether the entry is an auth method.
func (e Entry) Auth() bool { return strings.HasPrefix(e.Path, "auth/") }

// Fixed says whether the entry belongs to the server itself and stays.
func (e Entry) Fixed() bool {
	return slices.Contains([]string{"auth/token/", "cubbyhole/", "identity/", "sys/"}, e.Path)
}

// NewEntry makes an entry with an accessor and UUID of its own.
func NewEntry(path, kind, description string, options map[string]string) Entry {
	var b [4]byte
	rand.Read(b[:])
	e := Entry{Path: path, Type: kind, Description: description, Options: options, Accessor: kind + "_" + hex.EncodeToString(b[:]), UUID: uuid.NewString()}
	if e.Auth() {
		e.Accessor = "auth_" + e.Accessor
	}
	return e
}

// System is the table that a new namespace starts with.
func System() Table {
	return Table{Entries: []Entry{
		NewEntry("auth/token/", "token", "token based credentials", nil),
		NewEntry("cubbyhole/", "cubbyhole", "per-token private secret storage", nil),
		NewEntry("identity/", "identity", "identity store", nil),
		NewEntry("sys/", "system", "system endpoints used for control, policy and debugging", nil),
	}}
}

// Complete adds to the table of ns what System has and it has not: a store from
// an older release gets the mounts of this one. Nobody can have mounted anything
// in their places.
func Complete(ctx context.Context, store storage.Store, ns string) error {
	for {
		tx := storage.Begin(store)
		t, err := Load(ctx, tx, ns)
		if err != nil {
			return err
		}
		have := len(t.Entries)
		for _, e := range System().Entries {
			if _, ok := t.Find(e.Path); !ok {
				t.Entries = append(t.Entries, e)
			}
		}
		if len(t.Entries) == have {
			return nil
		}
		if err := t.Save(tx, ns); err != nil {
			return err
		}
		if err := tx.Commit(ctx); !errors.Is(err, storage.ErrConflict) {
			return err
		}
	}
}

func tableKey(ns string) string { return "ns/" + ns + "/mounts" }

// Save stores t as the table of namespace ns.
func (t Table) Save(tx *storage.Tx, ns string) error { return storage.PutJSON(tx, tableKey(ns), t) }

// Load reads the table of ns; the caller may change it.
func Load(ctx context.Context, tx *storage.Tx, ns string) (Table, error) {
	var t Table
	_, err := storage.GetJSON(ctx, tx, tableKey(ns), &t)
	return t, err
}

// Find returns the entry at exactly path.
func (t *Table) Find(path string) (*Entry, bool) {
	i := slices.IndexFunc(t.Entries, func(e Entry) bool { return e.Path == path })
	if i < 0 {
		return nil, false
	}
	return &t.Entries[i], true
}

// CleanPath brings the path of a mount to its stored form, or says why it
// cannot be one.
func CleanPath(path string) (string, error) {
	clean := strings.Trim(path, "/") + "/"
	if clean == "/" {
		return "", engine.Invalidf("the mount path is empty: name one, such as secret/")
	}
	for seg := range strings.SplitSeq(strings.TrimSuffix(clean, "/"), "/") {
		if seg == "" || seg == "." || seg == ".." || strings.ContainsAny(seg, "*+") || strings.ContainsFunc(seg, unprintable) {
			return "", engine.Invalidf("invalid mount path %q: each segment must be printable text without '*' and '+'", path)
		}
	}
	return clean, nil
}

func unprintable(r rune) bool { return r < ' ' || r == 0x7f || r == '\ufffd' }

// Add puts e into the table, or says which mount is in its way.
func (t *Table) Add(e Entry) error {
	first, _, _ := strings.Cut(e.Path, "/")
	if e.Path == "auth/" || slices.Contains([]string{"sys", "cubbyhole", "identity", "audit"}, first) { // every token's default policy grants cubbyhole/
		return engine.Invalidf("cannot mount at %q: the path is the server's own", e.Path)
	}
	for _, other := range t.Entries {
		if strings.HasPrefix(e.Path, other.Path) || strings.HasPrefix(other.Path, e.Path) {
			return engine.Invalidf("path is already in use at %s", other.Path)
		}
	}
	t.Entries = append(t.Entries, e)
	return nil
}

// Move gives the entry at one path another.
func (t *Table) Move(from, to string) error {
	e, ok := t.Find(from)
	switch {
	case !ok:
		return engine.Invalidf("no matching mount at %q", from)
	case e.Fixed():
		return engine.Invalidf("cannot remount %q: it is part of the server", from)
	case strings.HasPrefix(to, "auth/") != e.Auth():
		return engine.Invalidf("cannot remount %q to %q: an auth method stays below auth/, and nothing else goes there", from, to)
	}
	moved := *e
	moved.Path = to
	rest := Table{Entries: slices.DeleteFunc(slices.Clone(t.Entries), func(x Entry) bool { return x.Path == from })}
	if err := rest.Add(moved); err != nil {
		return err
	}
	t.Entries = rest.Entries
	return nil
}

// Remove takes the entry at path out of the table and notes in tx that its data
// is to be deleted; see Sweep.
func (t *Table) Remove(tx *storage.Tx, ns, path string) error {
	e, ok := t.Find(path)
	if !ok {
		return nil // Vault's disable succeeds on what is not there
	}
	if e.Fixed() {
		return engine.Invalidf("cannot disable %s: it is part of the server", strings.TrimPrefix(path, "auth/"))
	}
	if err := storage.PutJSON(tx, doomedPrefix+e.UUID, doomed{ns, *e}); err != nil {
		return err
	}
	t.Entries = slices.DeleteFunc(t.Entries, func(x Entry) bool { return x.Path == path })
	return nil
}

const (
	doomedPrefix = "core/doomed/"
	sweepBatch   = 500
)

// doomed is a disabled mount whose data is still to be deleted.
type doomed struct {
	Namespace string `json:"namespace"`
	Entry     Entry  `json:"entry"`
}

// Settle ends what a disabled mount has lent, as far as it can, and says whether
// nothing is left: until then its data is kept, which ending may need.
type Settle func(ctx context.Context, ns string, e Entry) (bool, error)

// DataPrefix is where the mount with this UUID keeps its data.
func DataPrefix(uuid string) string { return "mount/" + uuid + "/" }

// Sweep deletes the data of disabled mounts that are settled (nil: all are), in
// bounded batches, and says how many keys it deleted. The mounts themselves are
// gone since their disabling.
func Sweep(ctx context.Context, store storage.Store, settle Settle) (int, error) {
	deleted := 0
	for key, err := range store.Keys(ctx, doomedPrefix, "") {
		if err != nil {
			return deleted, err
		}
		if settle != nil {
			var d doomed
			if found, err := storage.GetJSON(ctx, store, key, &d); err != nil || !found {
				return deleted, err
			}
			if done, err := settle(ctx, d.Namespace, d.Entry); err != nil {
				return deleted, fmt.Errorf("mount: end what a disabled mount has lent: %w", err)
			} else if !done {
				continue
			}
		}
		n, err := deleteAll(ctx, store, key)
		if deleted += n; err != nil {
			return deleted, fmt.Errorf("mount: delete a disabled mount's data: %w", err)
		}
	}
	return deleted, nil
}

// RemoveAll takes all entries, the server's own too, out of the table of namespace
// ns, which is being deleted, and notes that their data is to be deleted.
func RemoveAll(ctx context.Context, store storage.Store, ns string) error {
	tx := storage.Begin(store)
	t, err := Load(ctx, tx, ns)
	if err != nil || len(t.Entries) == 0 {
		return err
	}
	for _, e := range t.Entries {
		if err := storage.PutJSON(tx, doomedPrefix+e.UUID, doomed{ns, e}); err != nil {
			return err
		}
	}
	if err := (Table{Entries: []Entry{}}).Save(tx, ns); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// Doomed says whether disabled mounts of namespace ns still have data.
func Doomed(ctx context.Context, store storage.Store, ns string) (bool, error) {
	for key, err := range store.Keys(ctx, doomedPrefix, "") {
		if err != nil {
			return false, err
		}
		var d doomed
		if found, err := storage.GetJSON(ctx, store, key, &d); err != nil || found && d.Namespace == ns {
			return true, err
		}
	}
	return false, nil
}

func deleteAll(ctx context.Context, store storage.Store, doomed string) (deleted int, err error) {
	prefix := DataPrefix(strings.TrimPrefix(doomed, doomedPrefix))
	for {
		tx := storage.Begin(store)
		n := 0
		for k, err := range store.Keys(ctx, prefix, "") {
			if err != nil {
				return deleted, err
			}
			tx.Delete(k)
			if n++; n == sweepBatch {
				break
			}
		}
		if n < sweepBatch {
			tx.Delete(doomed)
		}
		if err := tx.Commit(ctx); err != nil {
			return deleted, err
		}
		if deleted += n; n < sweepBatch {
			return deleted, nil
		}
	}
}

func decodeTable(b []byte) (Table, error) {
	var t Table
	if err := json.Unmarshal(b, &t); err != nil {
		return t, fmt.Errorf("mount: decode the mount table: %w", err)
	}
	return t, nil
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }
