package node

import (
	"errors"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/barrier"
	"strongroom/internal/seal"
	"strongroom/internal/secret"
	"strongroom/internal/storage"
	"strongroom/internal/storage/raftstore"
)

func TestNonces(t *testing.T) {
	c := ceremonies{term: 7}
	mine, past := newNonce(7), newNonce(6)
	for _, term := range []uint64{0, 7, 1<<48 - 1} {
		if got, ok := nonceTerm(newNonce(term)); !ok || got != term {
			t.Errorf("term %d comes back as %d, %t", term, got, ok)
		}
	}
	for _, tc := range []struct{ given, nonce, want string }{
		{mine, mine, ""}, {past, mine, "another node became active"}, {past, "", "another node became active"},
		{newNonce(7), mine, "incorrect nonce"}, {newNonce(7), "", "no rekey in progress"}, {"", mine, "nonce is missing"},
		{"", "", "no rekey in progress"}, {"x", mine, "incorrect nonce"}, {"f81d4fae-7dec-41d0-a765-00a0c91e6bf6", mine, "incorrect nonce"},
	} {
		err := c.checkNonce("rekey", tc.given, tc.nonce, rekeyAgain)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("given %q of %q: %v, want %q", tc.given, tc.nonce, err, tc.want)
		}
	}
}

// One node that leads, with an auto seal's recovery key or without.
func alreadyOpen(t *testing.T, kind string) (*Node, *member, seal.Key) {
	t.Helper()
	store, err := raftstore.Open(raftstore.Config{NodeID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	m := &member{store: store, barrier: barrier.New(store)}
	n := New(Config{NodeID: "a", Logger: hclog.NewNullLogger()})
	n.member.Store(m)
	t.Cleanup(func() { m.close() })
	if err := store.Bootstrap(""); err != nil {
		t.Fatal(err)
	}
	m.term.Store(<-store.Leadership())
	root, key := secret.NewKey(), seal.Key(secret.NewKey())
	c := seal.Config{Type: kind, Shares: 1, Threshold: 1}
	if c.Wrapped, err = key.Wrap(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	ring, err := m.barrier.Initialize(root)
	if err != nil {
		t.Fatal(err)
	}
	inside, outside := storage.Begin(m.barrier), storage.Begin(store)
	inside.Put(barrier.RootKeyPath, root)
	inside.Put(recoveryPath, key.Verifier())
	outside.Put(barrier.KeyringPath, ring)
	if err := errors.Join(storage.PutJSON(outside, sealPath, c), inside.Commit(t.Context()), outside.Commit(t.Context())); err != nil {
		t.Fatal(err)
	}
	return n, m, key
}

// An auto seal's rekey replaces the recovery key and leaves the rest as it was.
func TestRewriteKeys(t *testing.T) {
	ctx := t.Context()
	for _, kind := range []string{seal.Shamir, "static"} {
		t.Run(kind, func(t *testing.T) {
			n, m, old := alreadyOpen(t, kind)
			before, err := m.barrier.RootKey(ctx)
			if err != nil {
				t.Fatal(err)
			}
			_, version, err := n.prove(ctx, m, old)
			if err != nil {
				t.Fatal(err)
			}
			next := seal.Key(secret.NewKey())
			r := &rekey{to: seal.Config{Shares: 1, Threshold: 1}, key: next, proven: version}
			wrote, err := rewriteKeys(ctx, m, r)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := n.prove(ctx, m, old); err == nil {
				t.Error("the old key still counts")
			}
			if _, _, err := n.prove(ctx, m, next); err != nil {
				t.Error("the new key does not count:", err)
			}
			after, err := m.barrier.RootKey(ctx)
			if same := string(after) == string(before); err != nil || same != (kind != seal.Shamir) {
				t.Errorf("the root key stayed: %t, %v", same, err)
			}
			if _, err := rewriteKeys(ctx, m, r); !errors.Is(err, storage.ErrConflict) {
				t.Errorf("what was proven before the seal changed still counts: %v", err)
			}
			// A batch whose outcome was unknown is found, or found missing.
			if err := n.settleRekey(m, wrote, storage.ErrUnknownOutcome); err != nil {
				t.Error(err)
			}
			wrote.Value = []byte("never stored")
			if err := n.settleRekey(m, wrote, storage.ErrUnknownOutcome); !errors.Is(err, storage.ErrConflict) {
				t.Error(err)
			}
		})
	}
}
