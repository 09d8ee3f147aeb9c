// Package token owns tokens: what a caller shows to be known. A token is a
// lease with a caller: it stands in the due index, and its record says what it
// may do. The token itself is never stored, only a keyed hash of it. It does
// not judge policies.
package token

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/internal/lease"
	"strongroom/internal/storage"
)

// LeaseKind is the kind of tokens in the due index.
const LeaseKind = "token"

// Prefix begins every service token, as in Vault since 1.10.
const Prefix = "hvs."

// Token is the stored record. Times are Unix seconds, durations seconds.
type Token struct {
	ID             string            `json:"id"` // keyed hash of the token
	Accessor       string            `json:"accessor"`
	Parent         string            `json:"parent,omitempty"` // ID, with ".<ns>" behind it where that is of another namespace; none: an orphan
	Policies       []string          `json:"policies"`
	Path           string            `json:"path"` // the request that made it
	Mount          string            `json:"mount"`
	DisplayName    string            `json:"display_name"`
	Role           string            `json:"role,omitempty"`
	Meta           map[string]string `json:"meta,omitempty"`
	Created        int64             `json:"created"`
	Renewed        int64             `json:"renewed,omitempty"`
	Expires        int64             `json:"expires,omitempty"` // 0: never
	TTL            int64             `json:"ttl,omitempty"`     // at creation
	Max            int64             `json:"max,omitempty"`     // Created+Max bounds renewal
	ExplicitMaxTTL int64             `json:"explicit_max_ttl,omitempty"`
	Period         int64             `json:"period,omitempty"`
	Uses           int               `json:"uses,omitempty"` // left; 0: no limit
	Renewable      bool              `json:"renewable,omitempty"`
	Cubbyhole      bool              `json:"cubbyhole,omitempty"` // holds something; see Fill
	Elsewhere      []string          `json:"elsewhere,omitempty"` // the same, below these prefixes: in other namespaces
	Wraps          bool              `json:"wraps,omitempty"`     // stands for an answer; see Wrap
	EntityID       string            `json:"entity_id,omitempty"`
	BoundCIDRs     []string          `json:"bound_cidrs,omitempty"`
	MaxUses        int               `json:"max_uses,omitempty"` // Uses at creation
	Proof          string            `json:"proof,omitempty"`    // of the login, for the renewal
	// HasChildren is set with the first child, in the same commit, so that
	// ending a token without any costs nothing more.
	HasChildren bool   `json:"has_children,omitempty"`
	Quota       string `json:"quota,omitempty"`      // the mark of what counts it; see Counter
	HasLeases   bool   `json:"has_leases,omitempty"` // the same, of secrets lent to it
	Type        string `json:"type,omitempty"`       // Batch; nothing: a service token
}

// Kind is the token's type.
func (t *Token) Kind() string {
	if t.Type == "" {
		return Service
	}
	return t.Type
}

// Root says whether the token may do everything.
func (t *Token) Root() bool { return len(t.Policies) == 1 && t.Policies[0] == "root" }

// Left is the token's remaining life, 0 if it never expires.
func (t *Token) Left(now time.Time) time.Duration {
	if t.Expires == 0 {
		return 0
	}
	return max(0, time.Unix(t.Expires, 0).Sub(now).Truncate(time.Second))
}

// Granted is the life that the token was last given, at its making or its renewal; 0 if it never expires.
func (t *Token) Granted() time.Duration {
	switch {
	case t.Expires == 0:
		return 0
	case t.Renewed != 0:
		return seconds(t.Expires - t.Renewed)
	}
	return seconds(t.TTL)
}

// Allows says whether a caller at addr may use the token.
func (t *Token) Allows(addr netip.Addr) bool {
	return len(t.BoundCIDRs) == 0 || slices.ContainsFunc(t.BoundCIDRs, func(c string) bool {
		p, err := parseCIDR(c)
		return err == nil && p.Contains(addr.Unmap())
	})
}

func parseCIDR(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

// Store keeps the tokens of one namespace. Safe for concurrent use.
type Store struct {
	ns      string
	path    string  // of the namespace; "" is the root
	suffix  string  // of its tokens, accessors, and of their IDs outside of it: ".<ns>", or nothing
	prefix  string  // "ns/root/token/"
	hasher  *hasher // of tokens; nil: see At
	box     cipher.AEAD
	cache   *storage.Cache[*Token]
	roles   *storage.Cache[*Role]
	leases  *lease.Book
	counter Counter // nil: none
}

// How many records are kept decoded: up to twice as many, of about 800 bytes each.
const (
	cachedTokens = 10_000
	cachedRoles  = 1_000
)

func prefixOf(ns string) string { return "ns/" + ns + "/token/" }

// queues is where the background work on the tokens of all namespaces stands: those
// at rest cost nothing.
const queues = "ns/" + lease.Root + "/token/"

// HashKey is where the key of the tokens of namespace ns is stored; see In.
func HashKey(ns string) string { return prefixOf(ns) + "key" }

// Initialize prepares namespace ns for tokens.
func Initialize(tx *storage.Tx, ns string) {
	key := make([]byte, sha256.Size)
	rand.Read(key)
	tx.Put(HashKey(ns), key)
}

// Open returns the token store of namespace ns.
func Open(ctx context.Context, store storage.Store, ns string) (*Store, error) {
	e, err := store.Get(ctx, HashKey(ns))
	if err != nil {
		return nil, fmt.Errorf("token: read the hash key: %w", err)
	}
	first := &Store{cache: storage.NewCache[*Token](cachedTokens), roles: storage.NewCache[*Role](cachedRoles)}
	return first.In(ns, "", e.Value)
}

// In returns the store of namespace ns at path, which shares the memory of s; key is
// the value of HashKey.
func (s *Store) In(ns, path string, key []byte) (*Store, error) {
	if len(key) != sha256.Size {
		return nil, fmt.Errorf("token: namespace %s has no hash key", ns)
	}
	box, err := newBatchBox(key)
	if err != nil {
		return nil, err
	}
	other := s.At(ns)
	other.path, other.hasher, other.box = path, newHasher(key), box
	return other, nil
}

// At is the store of namespace ns for its records alone: it knows no token by itself.
func (s *Store) At(ns string) *Store {
	if ns == s.ns {
		return s
	}
	return &Store{ns: ns, suffix: lease.Suffix(ns), prefix: prefixOf(ns), cache: s.cache, roles: s.roles, leases: lease.Open(ns), counter: s.counter}
}

// far is the store and the ID there of a token by its ID as s stores it.
func (s *Store) far(id string) (*Store, string) {
	if bare, ns, ok := strings.Cut(id, "."); ok {
		return s.At(ns), bare
	}
	return s, id
}

// from is the ID id of s as the namespace ns stores it.
func (s *Store) from(ns, id string) string {
	if ns == s.ns {
		return id
	}
	return id + "." + s.ns
}

// Namespace is the id of the namespace that raw says it is of, by its suffix; that
// of the root if it has none.
func Namespace(raw string) string {
	body := canonical(raw)
	for _, prefix := range []string{Prefix, BatchPrefix} {
		body = strings.TrimPrefix(body, prefix)
	}
	if i := strings.LastIndexByte(body, '.'); i >= 0 {
		return body[i+1:]
	}
	return lease.Root
}

// canonical is raw with the prefix that tokens have since Vault 1.10; older
// programs, and other servers of this API, say "s." and "b.".
func canonical(raw string) string {
	if body, ok := strings.CutPrefix(raw, "s."); ok {
		return Prefix + body
	}
	if body, ok := strings.CutPrefix(raw, "b."); ok {
		return BatchPrefix + body
	}
	return raw
}

// hash is the ID of a token: HMAC-SHA256, so that not even a guessable token
// of a development server can be found from a disk.
func (s *Store) hash(raw string) string { return s.hasher.of(canonical(raw)) }

func (s *Store) recordKey(id string) string        { return s.prefix + "id/" + id }
func (s *Store) accessorKey(acc string) string     { return s.prefix + "accessor/" + acc }
func (s *Store) childKey(parent, id string) string { return s.prefix + "child/" + parent + "/" + id }
func (s *Store) brokenKey(parent string) string    { return queues + "broken/" + parent + s.suffix }

// ownKey is where t is found among its parent's children.
func (s *Store) ownKey(t *Token) string {
	over, parent := s.far(t.Parent)
	return over.childKey(parent, s.from(over.ns, t.ID))
}

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// random makes n characters of base 62 (5.95 bits each).
func random(n int) string {
	out := make([]byte, 0, n)
	var buf [64]byte
	for len(out) < n {
		rand.Read(buf[:])
		for _, b := range buf {
			if int(b) < 256/62*62 && len(out) < n { // rejection keeps it uniform
				out = append(out, alphabet[int(b)%62])
			}
		}
	}
	return string(out)
}

func decode(b []byte) (*Token, error) {
	t := new(Token)
	if err := json.Unmarshal(b, t); err != nil {
		return nil, fmt.Errorf("token: decode a record: %w", err)
	}
	return t, nil
}

// Mounts says which mounts, by UUID, exist.
type Mounts interface{ Has(uuid string) bool }

// ByID returns the token record of id, or ErrInvalid. Revoking a parent, or
// disabling an auth method, ends what came of it at once: a token is invalid if
// it or an ancestor is gone, is over, or was issued by a mount that is gone.
func (s *Store) ByID(ctx context.Context, tx *storage.Tx, id string, mounts Mounts) (*Token, error) {
	t, err := s.alone(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	return s.whole(ctx, tx, t, mounts)
}

// whole returns t if it and all its ancestors are alive.
func (s *Store) whole(ctx context.Context, tx *storage.Tx, t *Token, mounts Mounts) (*Token, error) {
	for a, err := range s.Line(ctx, tx, t) {
		if err != nil {
			return nil, err
		}
		if !mounts.Has(a.Mount) {
			return nil, ErrInvalid
		}
	}
	return t, nil
}

// alone is ByID without regard to ancestors.
func (s *Store) alone(ctx context.Context, tx *storage.Tx, id string) (*Token, error) {
	key := s.recordKey(id)
	t, version, err := s.cache.Get(ctx, tx, key, key, decode)
	if err != nil {
		return nil, err
	}
	if version == 0 || t.over(time.Now()) {
		return nil, ErrInvalid
	}
	return t, nil
}

// Line yields t, what made it, and so on to an orphan; ErrInvalid where that is gone or over.
func (s *Store) Line(ctx context.Context, tx *storage.Tx, t *Token) iter.Seq2[*Token, error] {
	return func(yield func(*Token, error) bool) {
		err, at, id := error(nil), s, ""
		for yield(t, err) && err == nil && t.Parent != "" {
			at, id = at.far(t.Parent)
			t, err = at.alone(ctx, tx, id)
		}
	}
}

func (t *Token) over(now time.Time) bool { return t.Expires != 0 && now.Unix() >= t.Expires }

// Lookup returns the token that raw is, or ErrInvalid.
func (s *Store) Lookup(ctx context.Context, tx *storage.Tx, raw string, mounts Mounts) (*Token, error) {
	if raw == "" || len(raw) > maxRaw {
		return nil, ErrInvalid
	}
	if body, ok := strings.CutPrefix(canonical(raw), BatchPrefix); ok {
		t, err := s.openBatch(raw, body)
		if err != nil {
			return nil, err
		}
		if t.over(time.Now()) {
			return nil, ErrInvalid
		}
		return s.whole(ctx, tx, t, mounts)
	}
	return s.ByID(ctx, tx, s.hash(raw), mounts)
}

// ByAccessor returns the token with that accessor, or ErrInvalid.
func (s *Store) ByAccessor(ctx context.Context, tx *storage.Tx, accessor string, mounts Mounts) (*Token, error) {
	e, err := tx.Get(ctx, s.accessorKey(accessor))
	if err != nil {
		return nil, err
	}
	if !e.Exists() {
		return nil, ErrInvalid
	}
	return s.ByID(ctx, tx, string(e.Value), mounts)
}

// Accessors lists the accessors of all tokens, greater than after, at most limit (0: all).
func (s *Store) Accessors(ctx context.Context, tx *storage.Tx, after string, limit int) ([]string, error) {
	return tx.View(s.prefix+"accessor/").List(ctx, "", after, limit)
}

// ErrInvalid: there is no such token, or it has ended. The text is what clients match.
var ErrInvalid error = &engine.Error{Kind: engine.Denied, Text: "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"}

// Use takes one of a use-limited token's uses; the last one ends it.
func (s *Store) Use(tx *storage.Tx, t *Token) error {
	if t.Wraps { // its one use is to be unwrapped
		return nil
	}
	switch t.Uses {
	case 0:
		return nil
	case 1:
		s.Revoke(tx, t)
		return nil
	}
	next := *t
	next.Uses--
	return storage.PutJSON(tx, s.recordKey(t.ID), next)
}

// Lend notes that something is lent in namespace ns to who shows t, and returns the
// token with which it is to end, as a lease there names it: t, a batch token's
// parent, or "" for none. ErrInvalid says that it has just ended.
func (s *Store) Lend(ctx context.Context, tx *storage.Tx, t *Token, ns string) (owner string, err error) {
	at, id := s, t.ID
	if t.Type == Batch {
		at, id = s.far(t.Parent)
	}
	if id == "" {
		return "", nil
	}
	have, err := at.alone(ctx, tx, id)
	if err != nil || have.HasLeases {
		return at.from(ns, id), err
	}
	next := *have
	next.HasLeases = true
	return at.from(ns, id), storage.PutJSON(tx, at.recordKey(id), next)
}

// Revoke ends t, and with it everything made with it; see ByID and SweepBroken.
func (s *Store) Revoke(tx *storage.Tx, t *Token) {
	s.free(tx, t)
	key := s.recordKey(t.ID)
	tx.Delete(key)
	tx.OnApplied(func(uint64) { s.cache.Drop(key) }) // nobody will ask for it again
	tx.Delete(s.accessorKey(t.Accessor))
	if t.Expires != 0 {
		tx.Delete(s.dueKey(t.Expires, t.ID))
		tx.Delete(s.leases.TokenKey(t.Path, t.ID))
	}
	if t.Parent != "" {
		tx.Delete(s.ownKey(t))
	}
	if t.HasChildren || t.HasLeases {
		tx.Put(s.brokenKey(t.ID), nil)
	}
	if t.Wraps {
		tx.Delete(s.wrapKey(t.ID))
	}
	if t.Cubbyhole || len(t.Elsewhere) > 0 {
		tx.Put(s.emptyKey(t.ID), []byte(strings.Join(t.Elsewhere, "\n")))
	}
}

func (s *Store) dueKey(at int64, id string) string { return lease.DueKey(at, LeaseKind, id+s.suffix) }

// RevokeOrphan ends t alone: its children live on without a parent. It refuses
// with storage.ErrTooLarge when there are too many of them for one write.
func (s *Store) RevokeOrphan(ctx context.Context, tx *storage.Tx, t *Token) error {
	for child, err := range tx.Keys(ctx, s.childKey(t.ID, ""), "") {
		if err != nil {
			return err
		}
		at, id := s.far(strings.TrimPrefix(child, s.childKey(t.ID, "")))
		c, err := at.alone(ctx, tx, id)
		if err == ErrInvalid {
			continue
		} else if err != nil {
			return err
		}
		next := *c
		next.Parent = ""
		if err := storage.PutJSON(tx, at.recordKey(id), next); err != nil {
			return err
		}
		tx.Delete(child)
	}
	alone := *t
	alone.HasChildren = false
	s.Revoke(tx, &alone)
	return nil
}
