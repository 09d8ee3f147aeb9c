// Package namespace owns the tree of namespaces: which there are, where, and in
// which state (https://developer.hashicorp.com/vault/docs/enterprise/namespaces).
// It says which of them a request is in. What a namespace holds is of the packages
// that hold it, below ns/<id>/; this one never looks there.
package namespace

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// RootID is the id of the namespace that every server begins with. Its path is "".
const RootID = "root"

// Bounds. The tree is one stored value of about 40 bytes a namespace, which is
// read again whenever it has changed.
const (
	MaxDepth  = 16
	MaxNumber = 10_000
	maxName   = 128 // bytes
)

// Namespace is one namespace as the tree knows it. It never changes.
type Namespace struct {
	ID   string `json:"id"`   // 5 characters of base 62; RootID
	Path string `json:"path"` // from the root, with a trailing slash: "team-a/sub/"; "" is the root
	// Locked: its API is locked, and that of all below it; see Tree.Lock.
	Locked bool `json:"locked,omitempty"`
	// Deleting: nothing is served in it any more, and all that it holds is being deleted.
	Deleting bool `json:"deleting,omitempty"`
}

// Root says whether n is the root.
func (n *Namespace) Root() bool { return n.Path == "" }

// Holds says whether other is n or below it.
func (n *Namespace) Holds(other *Namespace) bool { return strings.HasPrefix(other.Path, n.Path) }

// Name is the last segment of n's path, with a trailing slash; "" of the root.
func (n *Namespace) Name() string { return n.Path[len(n.parent()):] }

func (n *Namespace) parent() string {
	return n.Path[:strings.LastIndexByte(strings.TrimSuffix(n.Path, "/"), '/')+1]
}

// Tree is all namespaces at one moment. It never changes.
type Tree struct {
	root   *Namespace
	byPath map[string]*Namespace // without the root
	byID   map[string]*Namespace // with it
}

// stored is the form of a tree (docs/format/namespace.md).
type stored struct {
	Namespaces []Namespace `json:"namespaces"` // in the order of their paths; the root only if it is locked
}

// Key is where the tree is stored.
const Key = "core/namespaces"

func plant(all []Namespace) *Tree {
	t := &Tree{root: &Namespace{ID: RootID}, byPath: make(map[string]*Namespace, len(all)), byID: make(map[string]*Namespace, len(all)+1)}
	for i := range all {
		n := &all[i]
		if n.Root() {
			t.root = n
			continue
		}
		t.byPath[n.Path], t.byID[n.ID] = n, n
	}
	t.byID[RootID] = t.root
	return t
}

func decode(b []byte) (*Tree, error) {
	var s stored
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("namespace: decode the tree: %w", err)
	}
	return plant(s.Namespaces), nil
}

// Forest reads trees, the decoded one being kept as long as it is the stored one.
// Safe for concurrent use.
type Forest struct {
	cache *storage.Cache[*Tree]
	bare  *Tree
}

// NewForest makes a Forest. It reads nothing.
func NewForest() *Forest { return &Forest{storage.NewCache[*Tree](1), plant(nil)} }

// Tree is the tree as r sees it, and its version: 0 before the first namespace. It
// costs one look at that.
func (f *Forest) Tree(ctx context.Context, r storage.VersionReader) (*Tree, uint64, error) {
	t, version, err := f.cache.Get(ctx, r, Key, Key, decode)
	if err == nil && version == 0 {
		t = f.bare
	}
	return t, version, err
}

// Load reads the tree in tx, which then conflicts with every change of it.
func Load(ctx context.Context, tx *storage.Tx) (*Tree, error) {
	e, err := tx.Get(ctx, Key)
	if err != nil {
		return nil, err
	}
	if !e.Exists() {
		return plant(nil), nil
	}
	return decode(e.Value)
}

// save stores the tree with these namespaces.
func save(tx *storage.Tx, all map[string]*Namespace) error {
	var s stored
	for _, n := range all {
		if !n.Root() || n.Locked {
			s.Namespaces = append(s.Namespaces, *n)
		}
	}
	slices.SortFunc(s.Namespaces, func(a, b Namespace) int { return strings.Compare(a.Path, b.Path) })
	return storage.PutJSON(tx, Key, s)
}

// Root is the root.
func (t *Tree) Root() *Namespace { return t.root }

// ByID is the namespace with that id, or nil.
func (t *Tree) ByID(id string) *Namespace { return t.byID[id] }

// ByPath is the namespace at path, whose trailing slash may be left out; nil for none.
func (t *Tree) ByPath(path string) *Namespace {
	if path = strings.Trim(path, "/"); path == "" {
		return t.root
	}
	return t.byPath[path+"/"]
}

// Resolve says which namespace a request is in and what is left of its path:
// base, from the header, with the longest namespace that path begins with below
// it. base has no outer slashes; "" is the root. It is nil for no namespace.
func (t *Tree) Resolve(base, path string) (*Namespace, string) {
	n := t.root
	if base != "" {
		if n = t.byPath[base+"/"]; n == nil {
			return nil, path
		}
	}
	if len(t.byPath) == 0 {
		return n, path
	}
	for {
		i := strings.IndexByte(path, '/')
		if i < 0 {
			return n, path
		}
		// Every namespace above another is there too, so the longest is found segment by segment.
		var below *Namespace
		if n.Root() {
			below = t.byPath[path[:i+1]]
		} else {
			below = t.byPath[n.Path+path[:i+1]]
		}
		if below == nil || i+1 == len(path) {
			return n, path
		}
		n, path = below, path[i+1:]
	}
}

// Line yields n's ancestors, the root first, and n at last.
func (t *Tree) Line(n *Namespace) []*Namespace {
	line := []*Namespace{t.root}
	for i, r := range n.Path {
		if r != '/' {
			continue
		}
		if a := t.byPath[n.Path[:i+1]]; a != nil {
			line = append(line, a)
		}
	}
	return line
}

// Below yields what is below n, in the order of the paths; only its children, if
// direct is set.
func (t *Tree) Below(n *Namespace, direct bool) []*Namespace {
	var out []*Namespace
	for path, other := range t.byPath {
		if other != n && n.Holds(other) && (!direct || other.parent() == n.Path && path != "") {
			out = append(out, other)
		}
	}
	slices.SortFunc(out, func(a, b *Namespace) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// Child is the namespace called name directly below n, or nil.
func (t *Tree) Child(n *Namespace, name string) *Namespace {
	return t.byPath[n.Path+strings.Trim(name, "/")+"/"]
}

// Shadowed is the child of n in whose path a mount at path would lie; nil for none.
func (t *Tree) Shadowed(n *Namespace, path string) *Namespace {
	first, _, _ := strings.Cut(path, "/")
	return t.Child(n, first)
}

// Refusal is why a request is not served in n, or nil: it, or one above it, is
// deleted, or locked and the request does not unlock it.
func (t *Tree) Refusal(n *Namespace, unlocks bool) error {
	if n.Root() && !n.Locked {
		return nil
	}
	for _, a := range t.Line(n) {
		switch {
		case a.Deleting:
			return engine.Errorf(engine.NotFound, "the namespace %q is being deleted", a.Path)
		case a.Locked && !unlocks:
			return engine.Errorf(engine.Unavailable, "API access to this namespace has been locked by an administrator - %q must be unlocked to gain access.", a.Path)
		}
	}
	return nil
}

// CheckBase brings the namespace that a header names to its canonical form,
// without outer slashes, or refuses it: what is no plain path is no namespace, and
// must not be one for some of those who look at it.
func CheckBase(header string) (string, error) {
	base := strings.Trim(header, "/")
	if base == "" || base == RootID {
		return "", nil
	}
	segments := strings.Split(base, "/")
	if len(segments) > MaxDepth {
		return "", engine.Invalidf("X-Vault-Namespace is nested more than %d levels deep", MaxDepth)
	}
	for _, seg := range segments {
		if CheckName(seg) != nil {
			return "", engine.Invalidf("X-Vault-Namespace is not the path of a namespace: its segments are names such as team-a, each between single slashes")
		}
	}
	return base, nil
}

// CheckName refuses what cannot be the name of a namespace.
func CheckName(name string) error {
	switch {
	case name == "":
		return engine.Invalidf("the name of the namespace is empty")
	case len(name) > maxName:
		return engine.Invalidf("the name of a namespace has at most %d bytes", maxName)
	case slices.Contains([]string{RootID, "sys", "audit", "auth", "cubbyhole", "identity"}, strings.ToLower(name)):
		return engine.Invalidf("%q is a reserved path and cannot be used as a namespace path", name)
	case name == "." || name == "..":
		return engine.Invalidf("a namespace cannot be called %q", name)
	}
	for _, r := range name {
		switch {
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r > 0x7f && r != '\ufffd' && printable(r):
		case strings.ContainsRune("-_.~@=", r):
		default:
			return engine.Invalidf("the name of a namespace holds letters, digits and -_.~@= only")
		}
	}
	return nil
}

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// newID makes an id of 5 characters of base 62.
func newID() string {
	out := make([]byte, 0, 5)
	var b [16]byte
	for len(out) < 5 {
		rand.Read(b[:])
		for _, c := range b {
			if int(c) < 256/62*62 && len(out) < 5 { // rejection keeps it uniform
				out = append(out, alphabet[int(c)%62])
			}
		}
	}
	return string(out)
}
