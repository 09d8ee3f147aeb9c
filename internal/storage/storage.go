// Package storage owns the contract between Strongroom and the place where its
// bytes live: an ordered map from keys to versioned values, changed by atomic
// batches that may name the versions they rely on. It never interprets a
// value; encryption, leases and mounts are layers above it.
//
// Keys are slash-separated paths of printable text. A Store orders them by
// their bytes.
package storage

import (
	"context"
	"errors"
	"iter"
)

// Errors that every Store reports, wrapped with the operation.
var (
	// ErrConflict: a Check of the batch did not hold and nothing was written.
	// The caller reads again and decides anew.
	ErrConflict = errors.New("storage: the data changed while the request ran")
	// ErrNotLeader: this node may not write and nothing was written; another
	// node may be asked.
	ErrNotLeader = errors.New("storage: this node is not the leader")
	// ErrUnknownOutcome: leadership or the disk was lost while the batch was
	// under way; it may or may not have been written.
	ErrUnknownOutcome = errors.New("storage: the outcome of the write is unknown")
	// ErrTooLarge: the batch is over the Store's limit and nothing was written.
	ErrTooLarge = errors.New("storage: the write is too large")
	// ErrBusy: too much waits to be written already and nothing was written; the
	// caller tries again after a second or so.
	ErrBusy = errors.New("storage: too many writes are waiting")
	// ErrClosed: the Store has been closed.
	ErrClosed = errors.New("storage: closed")
)

// MaxBatch is the most bytes (keys and values of all writes) one Batch may
// hold as it is stored; it bounds a Raft entry. A Store that adds to the values,
// as encryption does, may refuse a batch that is smaller by up to BatchOverhead
// a write.
const (
	MaxBatch      = 8 << 20
	BatchOverhead = 64
)

// Entry is a value and the version it was written at. Versions grow with every
// batch and are never used twice, not even after a delete, so equal versions
// of one key mean equal values. Version 0 means that the key is absent.
type Entry struct {
	Value   []byte
	Version uint64
}

// Exists says whether the key was present.
func (e Entry) Exists() bool { return e.Version != 0 }

// Store is an ordered, versioned key-value map. All methods are safe for
// concurrent use. internal/storage/storagetest checks an implementation.
type Store interface {
	// Get returns the entry of key; an absent key is a zero Entry and no error.
	// The caller owns the value.
	Get(ctx context.Context, key string) (Entry, error)
	// Version returns what Get would as Entry.Version, without the value's cost.
	Version(ctx context.Context, key string) (uint64, error)
	// Keys yields, in order, the keys that begin with prefix and are greater
	// than after (the whole key; "" for all), as of one moment.
	Keys(ctx context.Context, prefix, after string) iter.Seq2[string, error]
	// Apply writes the whole batch durably or returns an error; see the errors
	// above for what each promises. Nothing of a batch is ever visible without
	// the rest.
	Apply(ctx context.Context, batch Batch) error
}

// Batch is a set of writes that happen together, if all checks hold. A key
// appears at most once in Writes and at most once in Checks.
type Batch struct {
	Checks []Check
	Writes []Write
	// Applied, if not nil, is called once when the batch has been written, with
	// the version that it was written at, and in the order in which batches are:
	// also where the caller of Apply has given up waiting. It is not called where
	// nothing was written, or where this Store does not learn the outcome. Other
	// writes wait for it, so it is short and never blocks.
	Applied func(version uint64)
}

// Check demands that Key is at Version when the batch is applied (0: absent).
type Check struct {
	Key     string
	Version uint64
}

// Write sets Key to Value, or deletes it.
type Write struct {
	Key    string
	Value  []byte
	Delete bool
}

// Size is the bytes of all keys and values the batch writes.
func (b Batch) Size() int {
	n := 0
	for _, w := range b.Writes {
		n += len(w.Key) + len(w.Value)
	}
	return n
}
