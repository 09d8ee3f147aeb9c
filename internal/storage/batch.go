package storage

import (
	"errors"
	"fmt"
)

// ErrMalformed: the batch breaks the rules of Batch (a defect of the caller)
// and nothing was written.
var ErrMalformed = errors.New("storage: malformed batch")

// Validate reports whether b keeps the rules every Store relies on: no empty
// key, no key twice in Writes or twice in Checks, no deletion with a value
// (ErrMalformed), and at most MaxBatch bytes (ErrTooLarge).
func (b Batch) Validate() error {
	if n := b.Size(); n > MaxBatch {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLarge, n, MaxBatch)
	}
	for _, w := range b.Writes {
		if w.Delete && len(w.Value) > 0 {
			return fmt.Errorf("%w: a deletion carries a value", ErrMalformed)
		}
	}
	if err := distinct(len(b.Writes), func(i int) string { return b.Writes[i].Key }); err != nil {
		return fmt.Errorf("%w in the writes", err)
	}
	if err := distinct(len(b.Checks), func(i int) string { return b.Checks[i].Key }); err != nil {
		return fmt.Errorf("%w in the checks", err)
	}
	return nil
}

// distinct makes no map for keys already in ascending order, which is how a Tx
// commits them.
func distinct(n int, key func(int) string) error {
	var seen map[string]struct{}
	last := ""
	for i := range n {
		k := key(i)
		if k == "" {
			return fmt.Errorf("%w: empty key", ErrMalformed)
		}
		if seen == nil {
			if k > last {
				last = k
				continue
			}
			seen = make(map[string]struct{}, n)
			for j := range i {
				seen[key(j)] = struct{}{}
			}
		}
		if _, twice := seen[k]; twice {
			return fmt.Errorf("%w: a key appears twice", ErrMalformed)
		}
		seen[k] = struct{}{}
	}
	return nil
}
