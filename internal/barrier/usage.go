package barrier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"strongroom/internal/storage"
)

// Inside the barrier.
const (
	usagePath  = "core/key-usage"     // usage
	policyPath = "core/rotate-config" // RotatePolicy
)

// How often the count of encryptions is stored: a node that dies without Tend
// forgets at most what it encrypted in a minute, or 100 000 and those of one second.
const (
	storeEvery = time.Minute
	storeAfter = 100_000
)

// MaxOperations is the highest and the default limit of encryptions with one key:
// nine tenths of the 2^32 that NIST SP 800-38D (8.3) allows AES-GCM with random
// 96-bit nonces, so that what is not counted yet never passes the bound.
// MinOperations and MinInterval are the lowest limits, as in Vault.
const (
	MaxOperations = 3_865_470_566
	MinOperations = 1_000_000
	MinInterval   = 24 * time.Hour
)

// usage is the stored count.
type usage struct {
	Term    uint32    `json:"term"`
	Count   uint64    `json:"count"`
	Written time.Time `json:"written"`
}

// RotatePolicy says when the active key is rotated by itself.
type RotatePolicy struct {
	MaxOperations uint64        `json:"max_operations"`
	Interval      time.Duration `json:"interval"` // 0: whatever its age
	Enabled       bool          `json:"enabled"`
}

// Validate says what is wrong with p.
func (p RotatePolicy) Validate() error {
	switch {
	case p.MaxOperations < MinOperations || p.MaxOperations > MaxOperations:
		return fmt.Errorf("max_operations must be between %d and %d", MinOperations, MaxOperations)
	case p.Interval != 0 && p.Interval < MinInterval:
		return errors.New("interval must be 0 (none) or at least 24h")
	}
	return nil
}

// RotatePolicy is the stored policy, or the default.
func (b *Barrier) RotatePolicy(ctx context.Context) (RotatePolicy, error) {
	p := RotatePolicy{MaxOperations: MaxOperations, Enabled: true}
	_, err := storage.GetJSON(ctx, b, policyPath, &p)
	return p, err
}

// PutRotatePolicy stores p.
func (b *Barrier) PutRotatePolicy(ctx context.Context, p RotatePolicy) error {
	tx := storage.Begin(b)
	if err := storage.PutJSON(tx, policyPath, p); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// Encryptions is how many values the active key has encrypted: as stored, and by
// this process since.
func (b *Barrier) Encryptions(ctx context.Context) (uint64, error) {
	r := b.ring.Load()
	if r == nil {
		return 0, ErrSealed
	}
	u, err := b.usage(ctx, b, r)
	return u.Count + r.uses.Load(), err
}

func (b *Barrier) usage(ctx context.Context, from storage.Reader, r *ring) (usage, error) {
	var u usage
	if _, err := storage.GetJSON(ctx, from, usagePath, &u); err != nil {
		return u, err
	}
	if u.Term != r.active {
		u = usage{Term: r.active}
	}
	return u, nil
}

// Tend is the active node's work, about once a second: it stores the count of
// encryptions now and then, and rotates the key when the policy says so. It
// returns how many rotations it made.
func (b *Barrier) Tend(ctx context.Context) (int, error) {
	r, err := b.refresh(ctx)
	if err != nil {
		return 0, err
	}
	u, err := b.usage(ctx, b, r)
	if err != nil {
		return 0, err
	}
	p, err := b.RotatePolicy(ctx)
	if err != nil {
		return 0, err
	}
	pending := r.uses.Load()
	if p.Enabled && (u.Count+pending >= p.MaxOperations || p.Interval > 0 && time.Since(r.installed) >= p.Interval) {
		if _, err := b.Rotate(ctx); err != nil {
			return 0, err
		}
		return 1, nil
	}
	if pending > 1 && (pending >= storeAfter || time.Since(u.Written) >= storeEvery) { // 1 is the last storing's own
		return 0, b.storeUsage(ctx, r)
	}
	return 0, nil
}

// storeUsage adds what this process has counted to the stored count. A commit
// whose outcome is unknown may count twice, never too little.
func (b *Barrier) storeUsage(ctx context.Context, r *ring) error {
	tx := storage.Begin(b)
	u, err := b.usage(ctx, tx, r)
	if err != nil {
		return err
	}
	n := r.uses.Load()
	u.Count, u.Written = u.Count+n, time.Now().UTC()
	if err := storage.PutJSON(tx, usagePath, u); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	r.uses.Add(-n)
	return nil
}
