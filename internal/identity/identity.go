// Package identity owns who callers are beyond their tokens: entities, the
// aliases by which auth methods know them, and groups, all in one namespace. It
// says which policies an entity has by itself and by its groups; it judges none,
// and knows no token. The rules are those of
// https://developer.hashicorp.com/vault/docs/concepts/identity; ADR 16 says where
// they are narrower.
package identity

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// Entity is one caller, by whichever method it logs in. A read Entity is shared
// and never changed; see Clone. Times are Unix, in nanoseconds.
type Entity struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"` // unique whatever its case
	Metadata map[string]string `json:"metadata,omitempty"`
	Policies []string          `json:"policies,omitempty"`
	Disabled bool              `json:"disabled,omitempty"` // its tokens are refused, but live on
	Created  int64             `json:"created"`
	Updated  int64             `json:"updated"`
	Aliases  []Alias           `json:"aliases,omitempty"` // at most one a mount
	// Groups are the IDs of the groups it is a member of itself. A group that is
	// gone may still stand here.
	Groups []string `json:"groups,omitempty"`
	Merged []string `json:"merged,omitempty"` // IDs of the entities that became this one
}

// Alias is an entity's name in an auth method, or a group's.
type Alias struct {
	ID         string            `json:"id"`
	Accessor   string            `json:"accessor"` // of the mount
	Name       string            `json:"name"`     // unique in its mount whatever its case
	Metadata   map[string]string `json:"metadata,omitempty"`
	Custom     map[string]string `json:"custom,omitempty"`
	Created    int64             `json:"created"`
	Updated    int64             `json:"updated"`
	MergedFrom []string          `json:"merged_from,omitempty"` // entities it belonged to
}

// Group is a set of entities and groups. Its members by entity are keys of their
// own (see docs/format/identity.md): a large group costs a login nothing.
type Group struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	External bool              `json:"external,omitempty"` // auth methods say who is a member
	Metadata map[string]string `json:"metadata,omitempty"`
	Policies []string          `json:"policies,omitempty"`
	Created  int64             `json:"created"`
	Updated  int64             `json:"updated"`
	Children []string          `json:"children,omitempty"` // IDs of the groups that are members
	Parents  []string          `json:"parents,omitempty"`  // IDs of the groups it is a member of
	Alias    *Alias            `json:"alias,omitempty"`    // of an external one
}

// Clone is a copy of e to change and put.
func (e *Entity) Clone() *Entity {
	c := *e
	c.Policies, c.Aliases, c.Groups, c.Merged = slices.Clone(e.Policies), slices.Clone(e.Aliases), slices.Clone(e.Groups), slices.Clone(e.Merged)
	return &c
}

// Clone is a copy of g to change and put.
func (g *Group) Clone() *Group {
	c := *g
	c.Policies, c.Children, c.Parents = slices.Clone(g.Policies), slices.Clone(g.Children), slices.Clone(g.Parents)
	return &c
}

// Store keeps the identities of one namespace. Safe for concurrent use.
type Store struct {
	ns       string
	prefix   string // "ns/root/identity/"
	entities *storage.Cache[*Entity]
	groups   *storage.Cache[*Group]
	names    *storage.Cache[string] // of keys whose value is an ID
}

// How many are kept decoded, up to twice as many.
const (
	cachedEntities = 10_000
	cachedGroups   = 1_000
	cachedNames    = 10_000
)

// Open returns the identities of namespace ns.
func Open(ns string) *Store {
	s := &Store{entities: storage.NewCache[*Entity](cachedEntities), groups: storage.NewCache[*Group](cachedGroups), names: storage.NewCache[string](cachedNames)}
	return s.In(ns)
}

// In returns the identities of namespace ns, which share the memory of s.
func (s *Store) In(ns string) *Store {
	return &Store{ns: ns, prefix: "ns/" + ns + "/identity/", entities: s.entities, groups: s.groups, names: s.names}
}

// What entities and groups have alike is stored alike, below these.
const (
	entityKind = "entity/"
	groupKind  = "group/"
)

func (s *Store) idKey(kind, id string) string     { return s.prefix + kind + "id/" + id }
func (s *Store) nameKey(kind, name string) string { return s.prefix + kind + "name/" + Fold(name) }
func (s *Store) aliasKey(kind, id string) string  { return s.prefix + kind + "alias/" + id }
func (s *Store) mergedKey(id string) string       { return s.prefix + "entity/merged/" + id }
func (s *Store) memberKey(group, id string) string {
	return s.prefix + "group/member/" + group + "/" + id
}

// gone is where the deleted groups of all namespaces wait to be tidied up after:
// those at rest cost nothing.
const gone = "ns/root/identity/group/gone/"

func (s *Store) goneKey(group string) string {
	if s.ns == "root" {
		return gone + group
	}
	return gone + group + "." + s.ns
}

// loginKey is where the owner of a name in a mount stands. Names are hashed: they
// come from outside, of any length and with any character.
func (s *Store) loginKey(kind, accessor, name string) string {
	sum := sha256.Sum256([]byte(Fold(name)))
	return s.prefix + kind + "login/" + accessor + "/" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// Fold brings a name to the form that it is compared in: without outer blanks and
// in lower case. Two names that fold alike are one name, or whoever may choose
// the spelling at a login could be another caller at will.
func Fold(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

const (
	maxName     = 512
	maxMetadata = 64  // keys, as in Vault
	maxKey      = 128 // bytes of a metadata key
	maxValue    = 512 // bytes of a metadata value
)

// CheckName refuses what cannot be the name of an entity or a group.
func CheckName(name string) error {
	switch {
	case Fold(name) == "":
		return engine.Invalidf("the name is empty")
	case len(name) > maxName:
		return engine.Invalidf("the name is over %d bytes", maxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r == '/' || !unicode.IsPrint(r) }):
		return engine.Invalidf("a name must be printable text without '/'")
	case Fold(name) == "." || Fold(name) == "..":
		return engine.Invalidf("the name cannot be %q", name)
	}
	return nil
}

// CheckMetadata refuses more metadata than an entity, a group or an alias may have.
func CheckMetadata(m map[string]string) error {
	if len(m) > maxMetadata {
		return engine.Invalidf("metadata contains %d keys; at most %d are allowed", len(m), maxMetadata)
	}
	for k, v := range m {
		if k == "" || len(k) > maxKey || len(v) > maxValue {
			return engine.Invalidf("metadata: a key has 1 to %d bytes, and a value at most %d", maxKey, maxValue)
		}
	}
	return nil
}

// CheckPolicies brings names of policies to the form that tokens have them in,
// and refuses those that no entity or group may have.
func CheckPolicies(names []string) ([]string, error) {
	out := make([]string, 0, len(names))
	for _, n := range names {
		switch n = Fold(n); n {
		case "":
			continue
		case "root", "response-wrapping":
			return nil, engine.Invalidf("policies cannot contain %s", n)
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func newID() string { return uuid.NewString() }

func now() int64 { return time.Now().UnixNano() }

func decode[T any](b []byte) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(b, v); err != nil {
		return nil, fmt.Errorf("identity: decode a record: %w", err)
	}
	return v, nil
}

// pointer reads a key whose value is an ID; "" if there is none.
func (s *Store) pointer(ctx context.Context, tx *storage.Tx, key string) (string, error) {
	id, _, err := s.names.Get(ctx, tx, key, key, func(b []byte) (string, error) { return string(b), nil })
	return id, err
}

// ids lists what is stored of a kind, by ID or by name.
func (s *Store) list(ctx context.Context, tx *storage.Tx, below string) ([]string, error) {
	return tx.View(s.prefix+below).List(ctx, "", "", 0)
}

// EntityIDs lists all entities.
func (s *Store) EntityIDs(ctx context.Context, tx *storage.Tx) ([]string, error) {
	return s.list(ctx, tx, "entity/id/")
}

// EntityNames lists the names of all entities, folded.
func (s *Store) EntityNames(ctx context.Context, tx *storage.Tx) ([]string, error) {
	return s.list(ctx, tx, "entity/name/")
}

// EntityAliasIDs lists all aliases of entities.
func (s *Store) EntityAliasIDs(ctx context.Context, tx *storage.Tx) ([]string, error) {
	return s.list(ctx, tx, "entity/alias/")
}

// GroupIDs lists all groups.
func (s *Store) GroupIDs(ctx context.Context, tx *storage.Tx) ([]string, error) {
	return s.list(ctx, tx, "group/id/")
}

// GroupNames lists the names of all groups, folded.
func (s *Store) GroupNames(ctx context.Context, tx *storage.Tx) ([]string, error) {
	return s.list(ctx, tx, "group/name/")
}

// GroupAliasIDs lists all aliases of groups.
func (s *Store) GroupAliasIDs(ctx context.Context, tx *storage.Tx) ([]string, error) {
	return s.list(ctx, tx, "group/alias/")
}
