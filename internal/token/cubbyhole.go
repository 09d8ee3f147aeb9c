package token

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"strongroom/engine"
	"strongroom/internal/lease"
	"strongroom/internal/storage"
)

func (s *Store) emptyKey(id string) string { return queues + "empty/" + id + s.suffix }

// maxElsewhere is in how many other namespaces something may be kept for one token.
const maxElsewhere = 64

// Fill notes in the record of the token with this id that something is kept for
// it, with the first thing that is: ending any other token costs nothing more.
// What is kept for a token whose last use this is, is to be deleted at once.
// elsewhere is the prefix of the mount that keeps it, if that is in another
// namespace; else "".
func (s *Store) Fill(ctx context.Context, tx *storage.Tx, id, elsewhere string) error {
	key := s.recordKey(id)
	t, version, err := s.cache.Get(ctx, tx, key, key, decode)
	switch {
	case err != nil:
		return err
	case version == 0:
		tx.Put(s.emptyKey(id), []byte(elsewhere))
		return nil
	case elsewhere == "" && t.Cubbyhole, slices.Contains(t.Elsewhere, elsewhere):
		return nil
	case len(t.Elsewhere) >= maxElsewhere:
		return engine.Invalidf("this token has cubbyholes in %d other namespaces: use another for more", maxElsewhere)
	}
	next := *t
	if next.Cubbyhole = t.Cubbyhole || elsewhere == ""; elsewhere != "" {
		next.Elsewhere = append(slices.Clone(t.Elsewhere), elsewhere)
	}
	return storage.PutJSON(tx, key, next)
}

// SweepCubbyholes deletes what was kept for tokens that have ended: everything
// below their IDs below each prefix of the mounts of their namespace that keep it,
// and below those where else it was, a bounded batch a transaction. It says how
// many keys it deleted.
func (s *Store) SweepCubbyholes(ctx context.Context, store storage.Store, own func(ns string) ([]string, error)) (int, error) {
	const batch = 500
	deleted := 0
	for empty, err := range store.Keys(ctx, queues+"empty/", "") {
		if err != nil {
			return deleted, err
		}
		id, ns := lease.Split(strings.TrimPrefix(empty, queues+"empty/"))
		prefixes, err := own(ns)
		if err != nil {
			return deleted, err
		}
		e, err := store.Get(ctx, empty)
		if err != nil {
			return deleted, err
		}
		if len(e.Value) > 0 {
			prefixes = append(prefixes, strings.Split(string(e.Value), "\n")...)
		}
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
