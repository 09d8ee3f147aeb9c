package quota

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"strongroom/internal/storage"
)

// Leases are counted in a few counters a rule, each of which may hold its share
// of the limit: who makes a lease adds to one of them in the same write, so the
// limit is never passed, and two who do it at once seldom meet. What ends only
// leaves a note: it neither reads nor waits. Notes are taken off the counters
// behind it, and by whoever finds all counters full.

// ErrLeases: the rule allows no more leases.
var ErrLeases = errors.New("lease count quota exceeded")

// counters is how many a rule has.
const counters = 16

// over is the counter of leases over the limit.
const over = counters

func (s *Store) heldKey(id string, i int) string {
	return fmt.Sprintf("%sheld/%s/%02d", s.prefix, id, i)
}
func (s *Store) freedPrefix(mark string) string { return s.prefix + "freed/" + mark + "/" }

func markOf(id string, i int) string { return fmt.Sprintf("%s/%02d", id, i) }

// share is how much of most counter i may hold.
func share(most int64, i int) int64 {
	n := most / counters
	if int64(i) < most%counters {
		n++
	}
	return n
}

func (s *Store) held(ctx context.Context, tx *storage.Tx, id string, i int) (int64, error) {
	e, err := tx.Get(ctx, s.heldKey(id, i))
	if err != nil || !e.Exists() {
		return 0, err
	}
	n, err := strconv.ParseInt(string(e.Value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("quota: a counter is damaged: %w", err)
	}
	return n, nil
}

func (s *Store) setHeld(tx *storage.Tx, id string, i int, n int64) {
	tx.Put(s.heldKey(id, i), strconv.AppendInt(nil, max(n, 0), 10))
}

// Hold counts a lease by rule in tx, or returns ErrLeases. The mark is to be
// kept with the lease, and given to Free at its end.
func (s *Store) Hold(ctx context.Context, tx *storage.Tx, rule *Rule) (mark string, err error) {
	excess, err := s.held(ctx, tx, rule.ID, over)
	if err != nil {
		return "", err
	}
	if excess > 0 { // the counters' shares say nothing then, their sum does
		total, err := s.Count(ctx, tx, rule)
		if err == nil && total >= rule.MaxLeases {
			err = ErrLeases
		}
		if err != nil {
			return "", err
		}
		return s.Adopt(ctx, tx, rule)
	}
	for _, folding := range []bool{false, true} {
		if mark, err = s.place(ctx, tx, rule, folding); err != nil || mark != "" {
			return mark, err
		}
	}
	return "", ErrLeases
}

// place counts a lease on a counter with room; "" if there is none.
func (s *Store) place(ctx context.Context, tx *storage.Tx, rule *Rule, folding bool) (mark string, err error) {
	first := rand.IntN(counters)
	for k := range counters {
		i := (first + k) % counters
		most := share(rule.MaxLeases, i)
		if most == 0 {
			continue
		}
		n, err := s.held(ctx, tx, rule.ID, i)
		if err == nil && folding {
			n, err = s.fold(ctx, tx, rule.ID, i, n)
		}
		if err != nil {
			return "", err
		}
		if n < most {
			s.setHeld(tx, rule.ID, i, n+1)
			return markOf(rule.ID, i), nil
		}
	}
	return "", nil
}

// Adopt counts a lease whatever the limit is: one that was there before the rule.
// What is over the limit has a counter of its own.
func (s *Store) Adopt(ctx context.Context, tx *storage.Tx, rule *Rule) (mark string, err error) {
	if mark, err = s.place(ctx, tx, rule, false); err != nil || mark != "" {
		return mark, err
	}
	n, err := s.held(ctx, tx, rule.ID, over)
	if err != nil {
		return "", err
	}
	s.setHeld(tx, rule.ID, over, n+1)
	return markOf(rule.ID, over), nil
}

// Free notes in tx that the lease id, which has that mark, is over.
func (s *Store) Free(tx *storage.Tx, mark, id string) { tx.Put(s.freedPrefix(mark)+id, nil) }

// Holds says whether mark is of rule, nil being none.
func Holds(mark string, rule *Rule) bool {
	if rule == nil {
		return mark == ""
	}
	return strings.HasPrefix(mark, rule.ID+"/")
}

// foldMost bounds how many notes are taken off a counter in one write.
const foldMost = 500

// fold takes notes off counter i of a rule, which is at n, and returns what it is then.
func (s *Store) fold(ctx context.Context, tx *storage.Tx, id string, i int, n int64) (int64, error) {
	taken := int64(0)
	for key, err := range tx.Keys(ctx, s.freedPrefix(markOf(id, i)), "") {
		if err != nil {
			return n, err
		}
		if err := s.noted(ctx, tx, key); err != nil {
			return n, err
		}
		tx.Delete(key)
		if taken++; taken == foldMost {
			break
		}
	}
	if taken > 0 {
		s.setHeld(tx, id, i, n-taken)
	}
	return max(n-taken, 0), nil
}

// noted makes tx depend on the note at key: nobody else may take it off as well.
func (s *Store) noted(ctx context.Context, tx *storage.Tx, key string) error {
	v, err := tx.Version(ctx, key)
	if err == nil && v == 0 {
		err = storage.ErrConflict
	}
	return err
}

// Count is how many leases rule counts as tx sees it.
func (s *Store) Count(ctx context.Context, tx *storage.Tx, rule *Rule) (int64, error) {
	total := int64(0)
	for i := range counters + 1 {
		n, err := s.held(ctx, tx, rule.ID, i)
		if err != nil {
			return 0, err
		}
		total += n
	}
	for _, err := range tx.Keys(ctx, s.freedPrefix(rule.ID), "") {
		if err != nil {
			return 0, err
		}
		total--
	}
	return max(total, 0), nil
}

// Sweep takes notes off the counters of rules that are, and deletes what is left
// of those that are no more, a bounded write at a time. It says how much it did.
func (s *Store) Sweep(ctx context.Context, store storage.Store) (int, error) {
	rules, err := s.Rules(ctx, storage.Begin(store))
	if err != nil {
		return 0, err
	}
	alive := map[string]bool{}
	for _, r := range rules.All {
		alive[r.ID] = true
	}
	done := 0
	for _, folder := range []string{s.prefix + "freed/", s.prefix + "held/"} {
		ids, err := storage.Begin(store).View(folder).List(ctx, "", "", 0)
		if err != nil {
			return done, err
		}
		for _, id := range ids {
			id = strings.TrimSuffix(id, "/")
			n := 0
			switch {
			case !alive[id]:
				n, err = s.drop(ctx, store, id, folder+id+"/")
			case folder == s.prefix+"freed/":
				n, err = s.foldAll(ctx, store, id)
			}
			if done += n; err != nil {
				return done, fmt.Errorf("quota: sweep: %w", err)
			}
		}
	}
	return done, nil
}

func (s *Store) foldAll(ctx context.Context, store storage.Store, id string) (int, error) {
	done := 0
	for i := 0; i <= over; {
		tx := storage.Begin(store)
		n, err := s.held(ctx, tx, id, i)
		if err != nil {
			return done, err
		}
		left, err := s.fold(ctx, tx, id, i, n)
		if err == nil && tx.Dirty() {
			err = tx.Commit(ctx)
		}
		switch {
		case errors.Is(err, storage.ErrConflict):
		case err != nil:
			return done, err
		case n-left < foldMost:
			i++
			fallthrough
		default:
			done += int(n - left)
		}
	}
	return done, nil
}

// drop deletes everything below prefix, as long as there is no rule of that id.
func (s *Store) drop(ctx context.Context, store storage.Store, id, prefix string) (int, error) {
	for done := 0; ; {
		tx := storage.Begin(store)
		rules, err := s.Rules(ctx, tx)
		if err != nil || slices.ContainsFunc(rules.All, func(r Rule) bool { return r.ID == id }) {
			return done, err
		}
		n := 0
		for key, err := range store.Keys(ctx, prefix, "") {
			if err != nil {
				return done, err
			}
			tx.Delete(key)
			if n++; n == foldMost {
				break
			}
		}
		if n > 0 {
			if err := tx.Commit(ctx); err != nil {
				return done, err
			}
		}
		if done += n; n < foldMost {
			return done, nil
		}
	}
}
