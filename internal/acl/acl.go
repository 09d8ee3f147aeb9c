// Package acl owns the stored policies of a namespace: their texts, and the
// compiled rules of any set of names, kept as long as no policy in it changes.
// It does not decide; policy does.
package acl

import (
	"context"
	"slices"
	"strings"

	"strongroom/engine"
	"strongroom/internal/policy"
	"strongroom/internal/storage"
)

// Store keeps the policies of one namespace. Safe for concurrent use.
type Store struct {
	prefix   string
	policies *storage.Cache[*policy.Policy]
	compiled *storage.Memo[*policy.ACL]
}

// Open returns the policies of namespace ns.
func Open(ns string) *Store {
	return &Store{prefix: prefixOf(ns), policies: storage.NewCache[*policy.Policy](1024), compiled: storage.NewMemo[*policy.ACL](1024)}
}

func prefixOf(ns string) string { return "ns/" + ns + "/policy/" }

// Initialize gives namespace ns its default policy.
func Initialize(tx *storage.Tx, ns string) { tx.Put(prefixOf(ns)+"default", []byte(policy.Default)) }

// For returns the ACL of a caller with the named policies; unknown names grant
// nothing.
func (s *Store) For(ctx context.Context, tx *storage.Tx, names []string) (*policy.ACL, error) {
	if slices.Contains(names, "root") {
		return policy.RootACL(), nil
	}
	ps := make([]*policy.Policy, 0, len(names))
	versions := make([]uint64, 0, len(names))
	for _, n := range names {
		p, version, err := s.get(ctx, tx, n)
		if err != nil {
			return nil, err
		}
		ps, versions = append(ps, p), append(versions, version)
	}
	return s.compiled.Get(strings.Join(names, "\x00"), versions, func() *policy.ACL { return policy.Compile(ps...) }), nil
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
