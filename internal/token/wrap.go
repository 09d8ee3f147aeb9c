package token

import (
	"context"
	"slices"
	"time"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// WrappingPolicy is the one policy of a wrapping token, and of no other.
const WrappingPolicy = "response-wrapping"

// ErrNotWrapping: there is no such wrapping token, or what it stood for has been
// taken. The text is what clients match.
var ErrNotWrapping error = &engine.Error{Kind: engine.Invalid, Text: "wrapping token is not valid or does not exist"}

func (s *Store) wrapKey(id string) string { return s.prefix + "wrap/" + id }

// Wrap makes a token that stands for payload for ttl: Unwrap gives payload for
// it, once. path is the request that payload answers; the token is an orphan and
// may do nothing else.
func (s *Store) Wrap(ctx context.Context, tx *storage.Tx, payload []byte, path string, ttl time.Duration, mount engine.Mount) (t *Token, raw string, warnings []string, err error) {
	spec := Spec{Path: path, Mount: mount, NotRenewable: true, wraps: true}
	spec.Grant = engine.Grant{Policies: []string{WrappingPolicy}, NoDefaultPolicy: true, TTL: ttl, ExplicitMaxTTL: ttl, NumUses: 1}
	t, raw, warnings, err = s.Issue(ctx, tx, spec)
	if err != nil {
		return nil, "", nil, err
	}
	tx.Put(s.wrapKey(t.ID), payload)
	return t, raw, warnings, nil
}

// Wrapping returns the wrapping token that raw is, or ErrNotWrapping.
func (s *Store) Wrapping(ctx context.Context, tx *storage.Tx, raw string, mounts Mounts) (*Token, error) {
	t, err := s.Lookup(ctx, tx, raw, mounts)
	if err == ErrInvalid || err == nil && !t.Wraps {
		return nil, ErrNotWrapping
	}
	return t, err
}

// Unwrap ends the wrapping token that raw is, and returns what it stood for; or
// ErrNotWrapping.
func (s *Store) Unwrap(ctx context.Context, tx *storage.Tx, raw string, mounts Mounts) (*Token, []byte, error) {
	t, err := s.Wrapping(ctx, tx, raw, mounts)
	if err != nil {
		return nil, nil, err
	}
	e, err := tx.Get(ctx, s.wrapKey(t.ID))
	if err != nil {
		return nil, nil, err
	}
	if !e.Exists() { // it was unwrapped in this transaction
		return nil, nil, ErrNotWrapping
	}
	s.Revoke(tx, t)
	return t, e.Value, nil
}

// assignable refuses the policy that is wrapping tokens' alone.
func assignable(policies []string, wraps bool) error {
	if !wraps && slices.Contains(policies, WrappingPolicy) {
		return engine.Invalidf("cannot assign policy %q", WrappingPolicy)
	}
	return nil
}
