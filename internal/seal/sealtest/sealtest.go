// Package sealtest is the conformance suite of seal.Auto.
package sealtest

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"strongroom/internal/seal"
	"strongroom/internal/secret"
)

// Test checks that mine keeps the contract; other is a seal of the same type with another key.
func Test(t *testing.T, mine, other seal.Auto) {
	ctx := context.Background()
	wrap := func(s seal.Auto, key secret.Bytes) []byte {
		t.Helper()
		wrapped, err := s.Wrap(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		return wrapped
	}
	refused := func(what string, wrapped []byte) {
		t.Helper()
		if _, err := mine.Unwrap(ctx, wrapped); !errors.Is(err, secret.ErrOpen) {
			t.Errorf("%s: %v, want secret.ErrOpen", what, err)
		}
	}
	if mine.Type() == "" || mine.Type() == seal.Shamir || mine.Type() != other.Type() {
		t.Errorf("types %q and %q", mine.Type(), other.Type())
	}
	key := secret.NewKey()
	wrapped := wrap(mine, key)
	if bytes.Contains(wrapped, key) {
		t.Error("the key is there to read")
	}
	if bytes.Equal(wrapped, wrap(mine, key)) {
		t.Error("the same key is wrapped the same twice")
	}
	got, err := mine.Unwrap(ctx, wrapped)
	if err != nil || !bytes.Equal(got, key) {
		t.Fatalf("not what was wrapped: %v", err)
	}
	clear(got)
	if got, err = mine.Unwrap(ctx, wrapped); err != nil || !bytes.Equal(got, key) {
		t.Errorf("a key that was handed out and cleared is gone: %v", err)
	}
	if stale, err := mine.Stale(ctx, wrapped); err != nil || stale {
		t.Errorf("what was just wrapped is stale: %v, %v", stale, err)
	}
	refused("nothing", nil)
	refused("what another key wrapped", wrap(other, key))
	for i := range wrapped {
		damaged := bytes.Clone(wrapped)
		damaged[i] ^= 1
		if got, err := mine.Unwrap(ctx, damaged); err == nil && !bytes.Equal(got, key) {
			t.Errorf("with byte %d changed it opens as something else", i)
		} else if err != nil && !errors.Is(err, secret.ErrOpen) {
			t.Errorf("with byte %d changed: %v, want secret.ErrOpen", i, err)
		}
	}
	for n := range wrapped {
		refused("a piece", wrapped[:n])
	}
}
