package storagetest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"strongroom/internal/storage"
)

// Fault is what happens to one Apply.
type Fault int

const (
	// None lets the Apply through.
	None Fault = iota
	// NotPersisted fails the Apply; nothing was written.
	NotPersisted
	// PersistedAnyway writes, and fails the Apply all the same.
	PersistedAnyway
	// Refused answers storage.ErrNotLeader; nothing was written.
	Refused
)

// ErrInjected is wrapped by the errors of NotPersisted and PersistedAnyway,
// beside storage.ErrUnknownOutcome: the caller cannot tell the two apart.
var ErrInjected = errors.New("storagetest: injected fault")

// Faults is a Store whose Apply fails where its choice says. Reads and batches
// that conflict are the Store's own. Safe for concurrent use.
type Faults struct {
	storage.Store

	mu     sync.Mutex
	n      int
	choose func(n int, b storage.Batch) Fault
}

// NewFaults decorates store; choose is asked about the n-th Apply (from 1) and
// may be nil for none.
func NewFaults(store storage.Store, choose func(n int, b storage.Batch) Fault) *Faults {
	return &Faults{Store: store, choose: choose}
}

// FailNth makes the n-th Apply from now on (1 is the next) meet fault and lets
// every other one through.
func (f *Faults) FailNth(n int, fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.n + n
	f.choose = func(i int, _ storage.Batch) Fault {
		if i == at {
			return fault
		}
		return None
	}
}

// Applies is how many times Apply has been called.
func (f *Faults) Applies() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// Apply implements storage.Store.
func (f *Faults) Apply(ctx context.Context, b storage.Batch) error {
	switch f.next(b) {
	case NotPersisted:
		return fmt.Errorf("%w: %w", storage.ErrUnknownOutcome, ErrInjected)
	case PersistedAnyway:
		if err := f.Store.Apply(ctx, b); err != nil {
			return err
		}
		return fmt.Errorf("%w: %w", storage.ErrUnknownOutcome, ErrInjected)
	case Refused:
		return storage.ErrNotLeader
	}
	return f.Store.Apply(ctx, b)
}

func (f *Faults) next(b storage.Batch) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	if f.choose == nil {
		return None
	}
	return f.choose(f.n, b)
}
