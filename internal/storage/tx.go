package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// pending is the version of a write that has not been committed.
const pending = ^uint64(0)

// Tx collects what one request reads and writes, and leaves as one Batch: the
// versions of everything it read become the batch's checks (optimistic
// concurrency control; Kung and Robinson, 1981). It reads its own writes.
// Keys and List are not checked: a key that appears meanwhile is no conflict.
// A Tx belongs to one goroutine.
type Tx struct {
	store  Store
	reads  []Check        // what was read, in that order
	seen   map[string]int // places in reads, once a scan of them would be slow
	writes map[string]Write

	applied func(version uint64)
}

// scan is how many reads are searched one by one: most requests make fewer.
const scan = 32

// Begin starts a transaction over store.
func Begin(store Store) *Tx {
	return &Tx{store: store, reads: make([]Check, 0, 8)}
}

// Get returns the transaction's own pending value (Version 0 for a pending
// delete, the highest version for a pending write) or the store's entry, whose
// version it remembers. The caller owns the value, and may wipe it.
func (tx *Tx) Get(ctx context.Context, key string) (Entry, error) {
	if w, ok := tx.writes[key]; ok {
		if w.Delete {
			return Entry{}, nil
		}
		return Entry{Value: slices.Clone(w.Value), Version: pending}, nil
	}
	e, err := tx.store.Get(ctx, key)
	if err != nil {
		return Entry{}, err
	}
	return e, tx.Expect(key, e.Version)
}

// Expect adds the condition that key is at version when the transaction
// commits; caches call it for what they answered without Get.
func (tx *Tx) Expect(key string, version uint64) error {
	if i, ok := tx.find(key); ok {
		if tx.reads[i].Version != version {
			return fmt.Errorf("%w: key read twice", ErrConflict)
		}
		return nil
	}
	tx.reads = append(tx.reads, Check{key, version})
	if tx.seen != nil {
		tx.seen[key] = len(tx.reads) - 1
	}
	return nil
}

// find returns the place of key in reads.
func (tx *Tx) find(key string) (int, bool) {
	if len(tx.reads) <= scan {
		i := slices.IndexFunc(tx.reads, func(c Check) bool { return c.Key == key })
		return i, i >= 0
	}
	if tx.seen == nil {
		tx.seen = make(map[string]int, 2*len(tx.reads))
		for i, c := range tx.reads {
			tx.seen[c.Key] = i
		}
	}
	i, ok := tx.seen[key]
	return i, ok
}

// Version is Get without the value.
func (tx *Tx) Version(ctx context.Context, key string) (uint64, error) {
	if _, ok := tx.writes[key]; ok {
		e, err := tx.Get(ctx, key)
		return e.Version, err
	}
	v, err := tx.store.Version(ctx, key)
	if err != nil {
		return 0, err
	}
	return v, tx.Expect(key, v)
}

// Put writes value at key when the transaction commits. The transaction keeps
// value; the caller must not change it afterwards.
func (tx *Tx) Put(key string, value []byte) { tx.write(Write{Key: key, Value: value}) }

// Delete removes key when the transaction commits.
func (tx *Tx) Delete(key string) { tx.write(Write{Key: key, Delete: true}) }

func (tx *Tx) write(w Write) {
	if tx.writes == nil {
		tx.writes = map[string]Write{}
	}
	tx.writes[w.Key] = w
}

// Keys yields the store's keys as the transaction would leave them.
func (tx *Tx) Keys(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var own []string
		for k, w := range tx.writes {
			if !w.Delete && strings.HasPrefix(k, prefix) && k > after {
				own = append(own, k)
			}
		}
		slices.Sort(own)
		for k, err := range tx.store.Keys(ctx, prefix, after) {
			if err != nil {
				yield("", err)
				return
			}
			for len(own) > 0 && own[0] < k {
				if !yield(own[0], nil) {
					return
				}
				own = own[1:]
			}
			if _, pending := tx.writes[k]; pending {
				continue // deleted, or among own
			}
			if !yield(k, nil) {
				return
			}
		}
		for _, k := range own {
			if !yield(k, nil) {
				return
			}
		}
	}
}

// OnApplied has f called as Batch.Applied says, if Commit writes anything.
func (tx *Tx) OnApplied(f func(version uint64)) {
	if before := tx.applied; before != nil {
		next := f
		f = func(version uint64) { before(version); next(version) }
	}
	tx.applied = f
}

// Dirty says whether Commit would write anything.
func (tx *Tx) Dirty() bool { return len(tx.writes) > 0 }

// Commit applies the writes if everything read is still as it was, and
// otherwise returns ErrConflict. With nothing to write it only looks whether
// everything read is still as it was, so that what was read stood together at
// one moment. A Tx is not used again after Commit.
func (tx *Tx) Commit(ctx context.Context) error {
	if !tx.Dirty() {
		return tx.validate(ctx)
	}
	b := Batch{Checks: tx.reads, Applied: tx.applied}
	for _, w := range tx.writes {
		b.Writes = append(b.Writes, w)
	}
	slices.SortFunc(b.Checks, func(x, y Check) int { return strings.Compare(x.Key, y.Key) })
	slices.SortFunc(b.Writes, func(x, y Write) int { return strings.Compare(x.Key, y.Key) })
	return tx.store.Apply(ctx, b)
}

// validate compares what was read with the store. Nothing is compared before
// all was read, so if all is as it was, it was so at the moment between.
func (tx *Tx) validate(ctx context.Context) error {
	if len(tx.reads) < 2 {
		return nil
	}
	for _, c := range tx.reads {
		v, err := tx.store.Version(ctx, c.Key)
		if err != nil {
			return err
		}
		if v != c.Version {
			return ErrConflict
		}
	}
	return nil
}

// View returns the part of the transaction below prefix.
func (tx *Tx) View(prefix string) View { return View{tx, prefix} }

// View is a slice of a transaction: every key it sees is relative to its
// prefix, and nothing outside is reachable.
type View struct {
	tx     *Tx
	prefix string
}

// Get is Tx.Get below the view's prefix.
func (v View) Get(ctx context.Context, key string) (Entry, error) {
	return v.tx.Get(ctx, v.prefix+key)
}

// Version is Tx.Version below the view's prefix.
func (v View) Version(ctx context.Context, key string) (uint64, error) {
	return v.tx.Version(ctx, v.prefix+key)
}

// Expect is Tx.Expect below the view's prefix.
func (v View) Expect(key string, version uint64) error { return v.tx.Expect(v.prefix+key, version) }

// Put is Tx.Put below the view's prefix.
func (v View) Put(key string, value []byte) { v.tx.Put(v.prefix+key, value) }

// Delete is Tx.Delete below the view's prefix.
func (v View) Delete(key string) { v.tx.Delete(v.prefix + key) }

// View returns the part of this view below prefix.
func (v View) View(prefix string) View { return View{v.tx, v.prefix + prefix} }

// Keys is Tx.Keys below the view's prefix; keys come without it.
func (v View) Keys(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if after != "" {
			after = v.prefix + after
		}
		for k, err := range v.tx.Keys(ctx, v.prefix+prefix, after) {
			if err == nil {
				k = k[len(v.prefix):]
			}
			if !yield(k, err) {
				return
			}
		}
	}
}

// List returns the children of the folder prefix ("" or ending in a slash) as
// Vault's LIST does, greater than after, at most limit (no limit if under 1).
func (v View) List(ctx context.Context, prefix, after string, limit int) ([]string, error) {
	names := []string{}
	for name, err := range v.Children(ctx, prefix, after) {
		if err != nil {
			return nil, err
		}
		if names = append(names, name); len(names) == limit {
			break
		}
	}
	return names, nil
}

// Children yields names, and sub-folders once each with a trailing slash, in
// order. Its cost grows with what it yields, not with what the sub-folders hold.
func (v View) Children(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		seek := ""
		if after != "" {
			seek = prefix + skipFolder(after)
		}
		for {
			folder := ""
			for k, err := range v.Keys(ctx, prefix, seek) {
				if err != nil {
					yield("", err)
					return
				}
				name := k[len(prefix):]
				if i := strings.IndexByte(name, '/'); i >= 0 {
					name = name[:i+1]
					folder = name
				}
				if !yield(name, nil) {
					return
				}
				if folder != "" {
					break
				}
			}
			if folder == "" {
				return
			}
			seek = prefix + skipFolder(folder)
		}
	}
}

// skipFolder turns "a/" into what is greater than every key within it (no UTF-8
// text holds the byte 0xff).
func skipFolder(name string) string {
	if strings.HasSuffix(name, "/") {
		return name + "\xff"
	}
	return name
}

// Reader is what GetJSON reads from: a Tx or a View.
type Reader interface {
	Get(ctx context.Context, key string) (Entry, error)
}

// GetJSON decodes the value at key into out and says whether the key exists.
func GetJSON(ctx context.Context, r Reader, key string, out any) (bool, error) {
	e, err := r.Get(ctx, key)
	if err != nil || !e.Exists() {
		return false, err
	}
	if err := json.Unmarshal(e.Value, out); err != nil {
		return false, fmt.Errorf("storage: decode %s: %w", key, err)
	}
	return true, nil
}

// PutJSON writes in, encoded, at key.
func PutJSON(w interface{ Put(string, []byte) }, key string, in any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("storage: encode %s: %w", key, err)
	}
	w.Put(key, b)
	return nil
}
