package node

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"strongroom/internal/barrier"
	"strongroom/internal/seal"
	"strongroom/internal/secret"
	"strongroom/internal/storage"
	"strongroom/internal/storage/storagetest"
)

// sealed is a cluster's stored keys in memory.
type sealed struct {
	t     *testing.T
	store *storage.Mem
	held  seal.Key // the unseal or recovery key
	root  secret.Bytes
}

// newSealed is a cluster sealed by s, nil for Shamir, with "k" in its barrier.
func newSealed(t *testing.T, s seal.Auto) *sealed {
	t.Helper()
	ctx := context.Background()
	z := &sealed{t, storage.NewMem(), seal.Key(secret.NewKey()), secret.NewKey()}
	b := barrier.New(z.store)
	keyring, err := b.Initialize(z.root)
	if err != nil {
		t.Fatal(err)
	}
	key, c := z.held, seal.Config{Type: seal.Shamir, Shares: 5, Threshold: 3}
	inside, outside := storage.Begin(b), storage.Begin(z.store)
	inside.Put(barrier.RootKeyPath, z.root)
	inside.Put("k", []byte("v"))
	if s != nil {
		key, c.Type = seal.Key(secret.NewKey()), s.Type()
		if c.Sealed, err = s.Wrap(ctx, key); err != nil {
			t.Fatal(err)
		}
		inside.Put(recoveryPath, z.held.Verifier())
	}
	inside.Put(joinPath, key.JoinKey())
	if c.Wrapped, err = key.Wrap(ctx, z.root); err != nil {
		t.Fatal(err)
	}
	outside.Put(barrier.KeyringPath, keyring)
	if err := errors.Join(inside.Commit(ctx), storage.PutJSON(outside, sealPath, c), outside.Commit(ctx)); err != nil {
		t.Fatal(err)
	}
	return z
}

// open opens the cluster from its store alone, as a node that starts with s (nil: the held key) does, and checks that all
// that is stored fits together.
func (z *sealed) open(s seal.Auto) (*barrier.Barrier, error) {
	z.t.Helper()
	ctx := context.Background()
	var c seal.Config
	e, err := z.store.Get(ctx, sealPath)
	if err != nil || json.Unmarshal(e.Value, &c) != nil {
		z.t.Fatal("no seal is stored")
	}
	key := z.held
	switch {
	case c.Auto() != (s != nil):
		return nil, errors.New("the other seal counts")
	case s != nil:
		if key, err = s.Unwrap(ctx, c.Sealed); err != nil {
			return nil, err
		}
	}
	root, err := key.Unwrap(ctx, c.Wrapped)
	if err != nil {
		return nil, err
	}
	b := barrier.New(z.store)
	if err := b.Unseal(ctx, root); err != nil {
		return nil, err
	}
	if c.Shares != 5 || c.Threshold != 3 {
		z.t.Errorf("%d shares, threshold %d", c.Shares, c.Threshold)
	}
	if e, err := b.Get(ctx, "k"); err != nil || string(e.Value) != "v" {
		z.t.Errorf("the data: %q, %v", e.Value, err)
	}
	if e, err := b.Get(ctx, joinPath); err != nil || string(e.Value) != string(key.JoinKey()) {
		z.t.Errorf("the join key is not this unseal key's: %v", err)
	}
	e, err = b.Get(ctx, recoveryPath)
	if err != nil || e.Exists() != c.Auto() || c.Auto() && !z.held.Verify(e.Value) {
		z.t.Errorf("the recovery key's verifier: %v, %v", e.Exists(), err)
	}
	return b, nil
}

func testStatic(t *testing.T, id string) *seal.Static {
	t.Helper()
	s, err := seal.NewStatic(seal.StaticKey{ID: id, Key: secret.NewKey()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// optional makes an interface of s that is nil when s is.
func optional(s *seal.Static) seal.Auto {
	if s == nil {
		return nil
	}
	return s
}

// Whatever happens to the one write, the old seal or the new one is whole, and the same keys finish the job.
func TestMigrationFaults(t *testing.T) {
	ctx := context.Background()
	one, two := testStatic(t, "one"), testStatic(t, "two")
	for name, c := range map[string]struct{ from, to *seal.Static }{
		"shamir to auto": {nil, two}, "auto to shamir": {one, nil}, "auto to auto": {one, two},
	} {
		for _, fault := range []storagetest.Fault{storagetest.None, storagetest.NotPersisted, storagetest.PersistedAnyway, storagetest.Refused} {
			from, to := optional(c.from), optional(c.to)
			z := newSealed(t, from)
			b, err := z.open(from)
			if err != nil {
				t.Fatal(err)
			}
			faults := storagetest.NewFaults(z.store, nil)
			faults.FailNth(1, fault)
			err = rewriteSeal(ctx, faults, b, to, z.held)
			if (err == nil) != (fault == storagetest.None) {
				t.Fatalf("%s, fault %v: %v", name, fault, err)
			}
			if faults.Applies() != 1 {
				t.Errorf("%s: %d batches", name, faults.Applies())
			}
			written := fault == storagetest.None || fault == storagetest.PersistedAnyway
			_, before := z.open(from)
			_, after := z.open(to)
			if (after == nil) != written || (before == nil) == written {
				t.Errorf("%s, fault %v: the old seal: %v, the new one: %v", name, fault, before, after)
			}
			if !written {
				if err := rewriteSeal(ctx, z.store, b, to, z.held); err != nil {
					t.Errorf("%s, fault %v, again: %v", name, fault, err)
				}
				if _, err := z.open(to); err != nil {
					t.Errorf("%s, fault %v, again: %v", name, fault, err)
				}
			}
		}
	}
}

// brokenSeal fails to wrap.
type brokenSeal struct{ *seal.Static }

func (brokenSeal) Wrap(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("unreachable")
}

// changing calls change before the first Apply.
type changing struct {
	storage.Store
	change func()
}

func (c *changing) Apply(ctx context.Context, b storage.Batch) error {
	if c.change != nil {
		c.change()
		c.change = nil
	}
	return c.Store.Apply(ctx, b)
}

// Nothing is written with keys that are not, or no longer, the seal's, nor without the new seal's word.
func TestMigrationRefused(t *testing.T) {
	ctx := context.Background()
	one, two := testStatic(t, "one"), testStatic(t, "two")
	for _, from := range []seal.Auto{nil, one} {
		z := newSealed(t, from)
		b, err := z.open(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := rewriteSeal(ctx, z.store, b, two, seal.Key(secret.NewKey())); !errors.Is(err, secret.ErrOpen) {
			t.Errorf("another key: %v", err)
		}
		if err := rewriteSeal(ctx, z.store, b, brokenSeal{two}, z.held); err == nil {
			t.Error("migrated to a seal that cannot be reached")
		}
		// A rekey between reading and writing.
		rekeyed := &changing{z.store, func() {
			tx := storage.Begin(z.store)
			var c seal.Config
			if _, err := storage.GetJSON(ctx, tx, sealPath, &c); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(storage.PutJSON(tx, sealPath, c), tx.Commit(ctx)); err != nil {
				t.Fatal(err)
			}
		}}
		if err := rewriteSeal(ctx, rekeyed, b, two, z.held); !errors.Is(err, storage.ErrConflict) {
			t.Errorf("over a rekey: %v", err)
		}
		if _, err := z.open(from); err != nil {
			t.Errorf("the old seal is gone: %v", err)
		}
		b.Seal()
		if err := rewriteSeal(ctx, z.store, b, two, z.held); err == nil {
			t.Error("migrated through a sealed barrier")
		}
	}
}

// Which seal opens, and whether there is a migration to do, by what is configured and what is stored.
func TestOpener(t *testing.T) {
	ctx := context.Background()
	one, two := testStatic(t, "one"), testStatic(t, "two")
	other, err := seal.NewTransit(seal.TransitConfig{Address: "http://127.0.0.1:1", Token: secret.Bytes("t"), KeyName: "k", MountPath: "transit"})
	if err != nil {
		t.Fatal(err)
	}
	box, err := one.Wrap(ctx, []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	shamir, auto := seal.Config{Type: seal.Shamir}, seal.Config{Type: "static", Sealed: box}
	for name, c := range map[string]struct {
		current, old seal.Auto
		stored       seal.Config
		opener       seal.Auto
		migrate      bool
		fails        bool
	}{
		"shamir":                    {stored: shamir},
		"shamir, migrated":          {old: one, stored: shamir},
		"shamir to auto":            {current: one, stored: shamir, migrate: true},
		"auto":                      {current: one, stored: auto, opener: one},
		"auto to shamir":            {old: one, stored: auto, opener: one, migrate: true},
		"auto to another":           {current: other, old: one, stored: auto, opener: one, migrate: true},
		"another, migrated":         {current: one, old: other, stored: auto, opener: one},
		"auto to the same type":     {current: two, old: one, stored: auto, opener: one, migrate: true},
		"the same type, migrated":   {current: one, old: two, stored: auto, opener: one},
		"auto without its stanza":   {stored: auto, fails: true},
		"auto with another's":       {current: other, stored: auto, fails: true},
		"auto with another's, gone": {old: other, stored: auto, fails: true},
	} {
		n := New(Config{Seal: c.current, OldSeal: c.old})
		opener, migrate, err := n.opener(ctx, c.stored)
		if opener != c.opener || migrate != c.migrate || (err != nil) != c.fails {
			t.Errorf("%s: %v, %v, %v", name, opener, migrate, err)
		}
		if got := n.migrating(c.stored); got != c.migrate {
			t.Errorf("%s: seal-status says migration is %v", name, got)
		}
	}
}
