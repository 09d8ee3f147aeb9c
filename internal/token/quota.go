package token

import (
	"context"
	"iter"
	"strings"

	"strongroom/internal/storage"
)

// Counter counts tokens as they are made and end, for quotas.
type Counter interface {
	// Hold counts a token that a request to path on mount makes in the namespace at
	// ns, or refuses it.
	// The mark is kept with the token; "" is not counted.
	Hold(ctx context.Context, tx *storage.Tx, ns, mount, path, role string) (mark string, err error)
	// Room refuses a token that is not counted, such as a batch token, where Hold would refuse one.
	Room(ctx context.Context, tx *storage.Tx, ns, mount, path, role string) error
	// Free is told of the end of a token with a mark, as a part of tx.
	Free(tx *storage.Tx, mark, id string)
}

// CountBy has c count the tokens; it is called before there are any requests.
func (s *Store) CountBy(c Counter) { s.counter = c }

// Counts says whether quotas count t: not root tokens, with which there must be a
// way out of a quota that is full, nor what stands for an answer.
func (t *Token) Counts() bool { return t.Expires != 0 && !t.Wraps && !t.Root() }

// hold counts t, which spec makes.
func (s *Store) hold(ctx context.Context, tx *storage.Tx, t *Token, spec *Spec) (err error) {
	switch {
	case s.counter == nil || !t.Counts():
	case spec.Type == Batch:
		err = s.counter.Room(ctx, tx, s.path, spec.Mount.Path, spec.Path, spec.Role)
	default:
		t.Quota, err = s.counter.Hold(ctx, tx, s.path, spec.Mount.Path, spec.Path, spec.Role)
	}
	return err
}

// free is told of the end of t.
func (s *Store) free(tx *storage.Tx, t *Token) {
	if s.counter != nil && t.Quota != "" {
		s.counter.Free(tx, t.Quota, t.ID)
	}
}

// Mark has t counted by mark instead.
func (s *Store) Mark(tx *storage.Tx, t *Token, mark string) error {
	s.free(tx, t)
	next := *t
	next.Quota = mark
	return storage.PutJSON(tx, s.recordKey(t.ID), next)
}

// IDs yields the ids of all stored tokens.
func (s *Store) IDs(ctx context.Context, store storage.Store) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		prefix := s.recordKey("")
		for k, err := range store.Keys(ctx, prefix, "") {
			if !yield(strings.TrimPrefix(k, prefix), err) {
				return
			}
		}
	}
}
