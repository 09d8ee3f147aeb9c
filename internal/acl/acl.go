// Package acl owns the stored policies of a namespace: their texts, and the
// compiled rules of any set of names, kept as long as no policy in it changes.
// It does not decide; policy does.
package acl

import (
	"context"
	"slices"
	"strings"

	"strongroom/engine"
	"strongroom/internal/identity"
	"strongroom/internal/policy"
	"strongroom/internal/storage"
)

// Store keeps the policies of one namespace. Safe for concurrent use.
type Store struct {
	prefix     string
	identities *identity.Store
	policies   *storage.Cache[*policy.Policy]
	compiled   *storage.Memo[*policy.ACL] // of names, without what templates stand for
	filled     *storage.Memo[*policy.ACL] // of names and an entity, laid over those: a few rules each
}

// Open returns the policies of namespace ns, whose entities are in identities.
func Open(ns string, identities *identity.Store) *Store {
	return &Store{prefix: prefixOf(ns), identities: identities, policies: storage.NewCache[*policy.Policy](1024), compiled: storage.NewMemo[*policy.ACL](1024),
		filled: storage.NewMemo[*policy.ACL](4096)}
}

// In returns the policies of namespace ns, which share the memory of s.
func (s *Store) In(ns string, identities *identity.Store) *Store {
	return &Store{prefix: prefixOf(ns), identities: identities, policies: s.policies, compiled: s.compiled, filled: s.filled}
}

func prefixOf(ns string) string { return "ns/" + ns + "/policy/" }

const rootPrefix = "ns/root/policy/"

// Initialize gives namespace ns its default policy.
func Initialize(tx *storage.Tx, ns string) { tx.Put(prefixOf(ns)+"default", []byte(policy.Default)) }

// For returns the ACL of a caller with the named policies and no entity; unknown
// names grant nothing.
func (s *Store) For(ctx context.Context, tx *storage.Tx, names []string) (*policy.ACL, error) {
	return s.compile(ctx, tx, names, nil)
}

// Effective returns the ACL of a token with the named policies and that entity
// ("" for none), and the entity as it is now: to the token's policies come those
// of the entity and of its groups. identity.ErrGone and identity.ErrDisabled
// refuse the token.
func (s *Store) Effective(ctx context.Context, tx *storage.Tx, names []string, entity string) (*policy.ACL, *identity.Caller, error) {
	caller, err := s.identities.Caller(ctx, tx, entity)
	if err != nil {
		return nil, nil, err
	}
	if caller != nil && len(caller.Policies) > 0 && !slices.Contains(names, "root") {
		names = slices.Concat(names, caller.Policies)
		slices.Sort(names)
		names = slices.Compact(slices.DeleteFunc(names, func(n string) bool { return n == "root" })) // whatever is stored
	}
	a, err := s.compile(ctx, tx, names, caller)
	return a, caller, err
}

func (s *Store) compile(ctx context.Context, tx *storage.Tx, names []string, caller *identity.Caller) (*policy.ACL, error) {
	if slices.Contains(names, "root") {
		return policy.RootACL(), nil
	}
	ps := make([]*policy.Policy, 0, len(names))
	versions := make([]uint64, 0, len(names))
	templated := false
	for _, n := range names {
		p, version, err := s.get(ctx, tx, n)
		if err != nil {
			return nil, err
		}
		ps, versions, templated = append(ps, p), append(versions, version), templated || p.Templated()
	}
	key := strings.Join(names, "\x00")
	if s.prefix != rootPrefix { // the versions alone tell no namespace from another where a policy is missing
		key = s.prefix + "\x00" + key
	}
	base := s.compiled.Get(key, versions, func() *policy.ACL { return policy.Compile(ps...) })
	if !templated || caller == nil { // all callers with these policies share one
		return base, nil
	}
	return s.filled.Get(key+"\x00\x00"+caller.Entity.ID, slices.Concat(versions, caller.Versions), func() *policy.ACL {
		var filled []*policy.Policy
		for _, p := range ps {
			filled = append(filled, p.Fill(caller.Value))
			if folded := caller.Folded(); folded != nil {
				filled = append(filled, p.Fill(folded))
			}
		}
		return base.With(filled...)
	}), nil
}

func (s *Store) get(ctx context.Context, tx *storage.Tx, name string) (*policy.Policy, uint64, error) {
	if name == policy.ResponseWrapping {
		return policy.Wrapping(), 1, nil
	}
	key := s.prefix + name
	return s.policies.Get(ctx, tx, key, key, func(b []byte) (*policy.Policy, error) { return policy.Parse(name, string(b)) })
}

// Text returns the text of a policy as it was written; "" with false if there
// is none. The policy root has no text.
func (s *Store) Text(ctx context.Context, tx *storage.Tx, name string) (string, bool, error) {
	name = strings.ToLower(name)
	if name == "root" {
		return "", true, nil
	}
	if name == policy.ResponseWrapping {
		return policy.WrappingText, true, nil
	}
	e, err := tx.Get(ctx, s.prefix+name)
	return string(e.Value), e.Exists(), err
}

// Names lists all policies, root too, sorted.
func (s *Store) Names(ctx context.Context, tx *storage.Tx) ([]string, error) {
	names, err := tx.View(s.prefix).List(ctx, "", "", 0)
	names = append(names, "root")
	slices.Sort(names)
	return names, err
}

// Put checks and stores a policy.
func (s *Store) Put(tx *storage.Tx, name, text string) error {
	name = strings.ToLower(name)
	switch {
	case name == "root" || name == policy.ResponseWrapping:
		return engine.Invalidf("cannot update %q policy", name)
	case name == "" || strings.ContainsAny(name, "/,") || strings.TrimSpace(name) != name:
		return engine.Invalidf("policy name %q must not be empty or hold '/', ',' or outer spaces", name)
	case strings.TrimSpace(text) == "":
		return engine.Invalidf("'policy' parameter not supplied or empty")
	}
	if _, err := policy.Parse(name, text); err != nil {
		return engine.Invalidf("failed to parse policy: %v", err)
	}
	tx.Put(s.prefix+name, []byte(text))
	return nil
}

// Delete removes a policy; one that is not there is no error.
func (s *Store) Delete(tx *storage.Tx, name string) error {
	name = strings.ToLower(name)
	if name == "root" || name == "default" || name == policy.ResponseWrapping {
		return engine.Invalidf("cannot delete %q policy", name)
	}
	tx.Delete(s.prefix + name)
	return nil
}
