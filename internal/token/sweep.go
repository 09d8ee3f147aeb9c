package token

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"strongroom/internal/lease"
	"strongroom/internal/storage"
)

// sweepBatch is how many records one transaction of background work changes at the most.
const sweepBatch = 200

// Expire is the lease.Expirer of tokens.
func (s *Store) Expire(ctx context.Context, tx *storage.Tx, it lease.Item) error {
	tx.Delete(it.Key())
	at, id := s.far(it.ID)
	t, err := at.stored(ctx, tx, id)
	if err != nil || t == nil || t.Expires != it.At {
		return err
	}
	at.Revoke(tx, t)
	return nil
}

// stored is the record of id, over or not; nil if there is none.
func (s *Store) stored(ctx context.Context, tx *storage.Tx, id string) (*Token, error) {
	key := s.recordKey(id)
	t, _, err := s.cache.Get(ctx, tx, key, key, decode)
	return t, err
}

// End revokes the token of id, which was made at path, if it was issued by the
// mount with that UUID ("": whichever), and says whether it was.
func (s *Store) End(ctx context.Context, tx *storage.Tx, path, id, mount string) (bool, error) {
	t, err := s.stored(ctx, tx, id)
	switch {
	case err != nil:
		return false, err
	case t == nil:
		tx.Delete(s.leases.TokenKey(path, id))
		return true, nil
	case mount != "" && t.Mount != mount:
		return false, nil
	}
	s.Revoke(tx, t)
	return true, nil
}

// SweepBroken ends the children and leases of ended tokens, a bounded batch a
// transaction, generation by generation, and says how many.
func (s *Store) SweepBroken(ctx context.Context, store storage.Store) (int, error) {
	total := 0
	for broken, err := range store.Keys(ctx, queues+"broken/", "") {
		if err != nil {
			return total, err
		}
		at, parent := s.far(strings.TrimPrefix(broken, queues+"broken/"))
		for n := sweepBatch; n == sweepBatch; {
			tx := storage.Begin(store)
			if n, err = at.endBatch(ctx, store, tx, parent); err != nil {
				return total, err
			}
			if n < sweepBatch {
				tx.Delete(broken)
			}
			switch err := tx.Commit(ctx); {
			case errors.Is(err, storage.ErrConflict):
				n = sweepBatch // somebody else has ended one of them: look again
			case err != nil:
				return total, fmt.Errorf("token: end what a token made: %w", err)
			default:
				total += n
			}
		}
	}
	return total, nil
}

// endBatch ends up to sweepBatch children and leases of parent in tx, and says how many.
func (s *Store) endBatch(ctx context.Context, store storage.Store, tx *storage.Tx, parent string) (n int, err error) {
	prefix := s.childKey(parent, "")
	for child, err := range store.Keys(ctx, prefix, "") {
		if err != nil || n == sweepBatch {
			return n, err
		}
		at, id := s.far(strings.TrimPrefix(child, prefix))
		t, err := at.stored(ctx, tx, id)
		if err != nil {
			return n, err
		}
		if t != nil {
			at.Revoke(tx, t)
		}
		tx.Delete(child)
		n++
	}
	for id, err := range s.leases.Owned(ctx, store, parent) {
		if err != nil || n == sweepBatch {
			return n, err
		}
		book := lease.Open(lease.Namespace(id))
		l, _, err := book.Get(ctx, tx, id)
		if err != nil {
			return n, err
		}
		if l != nil && !l.Over(time.Now()) {
			if err := book.End(tx, l); err != nil {
				return n, err
			}
		}
		s.leases.Disown(tx, parent, id)
		n++
	}
	return n, nil
}

func (s *Store) tidyKey() string { return queues + "tidy" + s.suffix }

// AskTidy has the next Tidy look for index entries without a token.
func (s *Store) AskTidy(tx *storage.Tx) { tx.Put(s.tidyKey(), nil) }

// Tidy does what AskTidy asked for, in whichever namespace: it deletes the
// accessors, children and lease ids that stand for no token, and says how many.
// Every commit keeps them together, so they come of defects alone.
func (s *Store) Tidy(ctx context.Context, store storage.Store) (total int, err error) {
	for key, err := range store.Keys(ctx, queues+"tidy", "") {
		if err != nil {
			return total, err
		}
		_, ns := lease.Split(strings.TrimPrefix(key, queues))
		n, err := s.At(ns).tidy(ctx, store)
		if total += n; err != nil {
			return total, err
		}
	}
	return total, nil
}

func (s *Store) tidy(ctx context.Context, store storage.Store) (int, error) {
	total := 0
	for _, index := range []struct {
		keys iter.Seq2[string, error]
		id   func(tx *storage.Tx, key string) (string, error) // "" for what is no token's
	}{
		{store.Keys(ctx, s.accessorKey(""), ""), func(tx *storage.Tx, key string) (string, error) {
			e, err := tx.Get(ctx, key)
			return string(e.Value), err
		}},
		{store.Keys(ctx, s.prefix+"child/", ""), func(_ *storage.Tx, key string) (string, error) {
			return key[strings.LastIndexByte(key, '/')+1:], nil
		}},
		{store.Keys(ctx, s.leases.Prefix(), ""), func(tx *storage.Tx, key string) (string, error) {
			_, id, err := s.leases.Get(ctx, tx, strings.TrimPrefix(key, s.leases.Prefix()))
			return id, err
		}},
	} {
		for key, err := range index.keys {
			if err != nil {
				return total, err
			}
			n, err := s.tidyOne(ctx, storage.Begin(store), key, index.id)
			if err != nil {
				return total, err
			}
			total += n
		}
	}
	tx := storage.Begin(store)
	tx.Delete(s.tidyKey())
	return total, tx.Commit(ctx)
}

func (s *Store) tidyOne(ctx context.Context, tx *storage.Tx, key string, find func(*storage.Tx, string) (string, error)) (int, error) {
	id, err := find(tx, key)
	if err != nil || id == "" {
		return 0, err
	}
	at, id := s.far(id)
	t, err := at.stored(ctx, tx, id)
	if err != nil || t != nil {
		return 0, err
	}
	tx.Delete(key)
	if err := tx.Commit(ctx); err != nil && !errors.Is(err, storage.ErrConflict) {
		return 0, err
	}
	return 1, nil
}
