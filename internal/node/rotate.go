package node

import (
	"context"
	"errors"

	"strongroom/engine"
	"strongroom/internal/barrier"
	"strongroom/internal/storage"
)

// KeyTerm implements sys.Keyring.
func (a nodeAPI) KeyTerm() (uint32, string) { return a.n.member.Load().barrier.KeyTerm() }

// Encryptions implements sys.Keyring.
func (a nodeAPI) Encryptions(ctx context.Context) (uint64, error) {
	return a.n.member.Load().barrier.Encryptions(ctx)
}

// Rotate implements sys.Keyring.
func (a nodeAPI) Rotate(ctx context.Context) error {
	term, err := a.n.member.Load().barrier.Rotate(ctx)
	switch {
	case errors.Is(err, storage.ErrConflict):
		return engine.Errorf(engine.Unavailable, "the key was rotated, or the cluster rekeyed, at the same moment: see \"operator key-status\", and rotate again if you still want to")
	case err != nil:
		return err
	}
	a.n.logger.Info("rotated the encryption key", "term", term)
	return nil
}

// RotatePolicy implements sys.Keyring.
func (a nodeAPI) RotatePolicy(ctx context.Context) (barrier.RotatePolicy, error) {
	return a.n.member.Load().barrier.RotatePolicy(ctx)
}

// PutRotatePolicy implements sys.Keyring.
func (a nodeAPI) PutRotatePolicy(ctx context.Context, p barrier.RotatePolicy) error {
	return a.n.member.Load().barrier.PutRotatePolicy(ctx, p)
}

// TendKey implements sys.Keyring: a lease.Job.
func (a nodeAPI) TendKey(ctx context.Context) (int, error) {
	n, err := a.n.member.Load().barrier.Tend(ctx)
	if n > 0 {
		term, _ := a.n.member.Load().barrier.KeyTerm()
		a.n.logger.Info("rotated the encryption key by itself, as sys/rotate/config says", "term", term)
	}
	if errors.Is(err, storage.ErrConflict) { // the next second
		err = nil
	}
	return n, err
}
