package token

import (
	"context"
	"fmt"
	"strings"

	"strongroom/internal/storage"
)

func (s *Store) emptyKey(id string) string { return s.prefix + "empty/" + id }

// Fill notes in the record of the token with this id that something is kept for
// it, with the first thing that is: ending any other token costs nothing more.
// What is kept for a token whose last use this is, is to be deleted at once.
func (s *Store) Fill(ctx context.Context, tx *storage.Tx, id string) error {
	key := s.recordKey(id)
	t, version, err := s.cache.Get(ctx, tx, key, key, decode)
	switch {
	case err != nil:
		return err
	case version == 0:
		tx.Put(s.emptyKey(id), nil)
		return nil
	case t.Cubbyhole:
		return nil
	}
	next := *t
	next.Cubbyhole = true
	return storage.PutJSON(tx, key, next)
}

// SweepCubbyholes deletes what was kept for tokens that have ended: everything
// below their IDs below each of prefixes, a bounded batch a transaction. It says
// how many keys it deleted.
func (s *Store) SweepCubbyholes(ctx context.Context, store storage.Store, prefixes []string) (int, error) {
	const batch = 500
	deleted := 0
	for empty, err := range store.Keys(ctx, s.emptyKey(""), "") {
		if err != nil {
			return deleted, err
		}
		id := strings.TrimPrefix(empty, s.emptyKey(""))
		for left := true; left; {
			tx := storage.Begin(store)
			n := 0
			for _, prefix := range prefixes {
				for key, err := range store.Keys(ctx, prefix+id+"/", "") {
					if err != nil {
						return deleted, err
					}
					if n == batch {
						break
					}
					tx.Delete(key)
					n++
				}
			}
			if left = n == batch; !left {
				tx.Delete(empty)
			}
			if err := tx.Commit(ctx); err != nil {
				return deleted, fmt.Errorf("token: empty the cubbyhole of an ended token: %w", err)
			}
			deleted += n
		}
	}
	return deleted, nil
}
