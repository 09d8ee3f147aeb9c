package barrier

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/internal/secret"
	"strongroom/internal/storage"
	"strongroom/internal/storage/storagetest"
)

func get(t testing.TB, b *Barrier, key, want string) {
	t.Helper()
	if e, err := b.Get(t.Context(), key); err != nil || string(e.Value) != want {
		t.Fatalf("%s: %q, %v; want %q", key, e.Value, err, want)
	}
}

func rekeyTo(t testing.TB, b *Barrier, below storage.Store, root secret.Bytes) error {
	t.Helper()
	tx := storage.Begin(below)
	if err := b.Rekey(t.Context(), tx, root); err != nil {
		return err
	}
	if err := tx.Commit(t.Context()); err != nil {
		return err
	}
	return b.Refresh(t.Context())
}

// Another node's barrier over the same state follows rotations and rekeys, however
// many it missed, by whatever it does first.
func TestFollow(t *testing.T) {
	ctx := t.Context()
	for name, first := range map[string]func(t *testing.T, b *Barrier){
		"refresh": func(t *testing.T, b *Barrier) {
			if err := b.Refresh(ctx); err != nil {
				t.Fatal(err)
			}
		},
		"read":  func(t *testing.T, b *Barrier) { get(t, b, "new", "2") },
		"write": func(t *testing.T, b *Barrier) { put(t, b, "other", "3") },
		"decrypt": func(t *testing.T, b *Barrier) {
			e, err := b.store.Get(ctx, "new")
			if err != nil {
				t.Fatal(err)
			}
			if plain, err := b.Decrypt("new", e.Value); err != nil || string(plain) != "2" {
				t.Fatalf("%q, %v", plain, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			below := storage.NewMem()
			a, root := open(t, below)
			put(t, a, "old", "1")
			b := New(below)
			if err := b.Unseal(ctx, root); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := a.Rotate(ctx); err != nil {
					t.Fatal(err)
				}
				if err := rekeyTo(t, a, below, secret.NewKey()); err != nil {
					t.Fatal(err)
				}
			}
			put(t, a, "new", "2")
			first(t, b)
			if term, _ := b.KeyTerm(); term != 3 {
				t.Errorf("term %d after two rotations", term)
			}
			get(t, b, "old", "1")
			get(t, b, "new", "2")
		})
	}
}

// A value sealed just before a rotation stays readable; one that would be stored
// under a key the keyring lacks is sealed anew.
func TestWritersAcrossRotation(t *testing.T) {
	below := storage.NewMem()
	b, _ := open(t, below)
	box, err := b.Encrypt("raw", []byte("before"))
	if err != nil {
		t.Fatal(err)
	}
	if term, err := b.Rotate(t.Context()); err != nil || term != 2 {
		t.Fatal(term, err)
	}
	put(t, below, "raw", string(box))
	get(t, b, "raw", "before")

	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				key := fmt.Sprintf("w%d/%d", w, i%50)
				tx := storage.Begin(b)
				tx.Put(key, []byte(key))
				if err := tx.Commit(t.Context()); err != nil {
					t.Error(err)
					return
				}
				if e, err := b.Get(t.Context(), key); err != nil || string(e.Value) != key {
					t.Errorf("%s: %q, %v", key, e.Value, err)
					return
				}
			}
		})
	}
	for range 50 {
		if _, err := b.Rotate(t.Context()); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	writers.Wait()
}

// Of rotations at the same moment one wins and the others change nothing.
func TestConcurrentRotations(t *testing.T) {
	below := storage.NewMem()
	a, root := open(t, below)
	var won sync.Map
	var all sync.WaitGroup
	for i := range 8 {
		b := New(below)
		if err := b.Unseal(t.Context(), root); err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			term, err := b.Rotate(t.Context())
			if err != nil && !errors.Is(err, storage.ErrConflict) {
				t.Errorf("rotation %d: %v", i, err)
			}
			if _, twice := won.LoadOrStore(term, true); err == nil && twice {
				t.Errorf("term %d was made twice", term)
			}
		})
	}
	all.Wait()
	if err := a.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, a, "k", "v")
	get(t, a, "k", "v")
}

// Whatever becomes of the one batch, exactly one root key opens the keyring
// afterwards, and all data is readable.
func TestFaults(t *testing.T) {
	ctx := t.Context()
	for _, fault := range []storagetest.Fault{storagetest.NotPersisted, storagetest.PersistedAnyway, storagetest.Refused, storagetest.None} {
		for _, what := range []string{"rotate", "rekey"} {
			t.Run(fmt.Sprintf("%s, fault %d", what, fault), func(t *testing.T) {
				mem := storage.NewMem()
				below := storagetest.NewFaults(mem, nil)
				b, old := open(t, below)
				put(t, b, "k", "v")
				next := secret.NewKey()
				below.FailNth(1, fault)
				var err error
				if what == "rotate" {
					_, err = b.Rotate(ctx)
				} else {
					err = rekeyTo(t, b, below, next)
				}
				if (err == nil) != (fault == storagetest.None) {
					t.Fatalf("error %v", err)
				}
				put(t, b, "later", "w") // the node goes on, whichever it was
				get(t, b, "k", "v")
				opened := 0
				for _, root := range []secret.Bytes{old, next} {
					again := New(mem)
					err := again.Unseal(ctx, root)
					if err == nil {
						opened++
						get(t, again, "k", "v")
						get(t, again, "later", "w")
						if got, err := again.RootKey(ctx); err != nil || string(got) != string(root) {
							t.Errorf("the stored root key is another one: %v", err)
						}
					} else if !errors.Is(err, secret.ErrOpen) {
						t.Error(err)
					}
				}
				if opened != 1 {
					t.Errorf("%d of the root keys open the keyring", opened)
				}
			})
		}
	}
}

// A keyring of another cluster seals the barrier, and nothing else does.
func TestReplaced(t *testing.T) {
	ctx := t.Context()
	below, foreign := storage.NewMem(), storage.NewMem()
	b, _ := open(t, below)
	_, root := open(t, foreign)
	for _, key := range []string{KeyringPath, RootKeyPath} {
		e, err := foreign.Get(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		put(t, below, key, string(e.Value))
	}
	if err := b.Refresh(ctx); !errors.Is(err, ErrReplaced) || !errors.Is(err, ErrSealed) {
		t.Fatalf("a foreign keyring: %v", err)
	}
	if !b.Sealed() {
		t.Fatal("not sealed")
	}
	if err := b.Unseal(ctx, root); err != nil {
		t.Fatal(err)
	}
}

// A restore of an older state: what was sealed under a key that it lacks is refused
// by its check, and sealed anew.
func TestRestoredState(t *testing.T) {
	ctx := t.Context()
	below := storage.NewMem()
	b, _ := open(t, below)
	before, err := below.Get(ctx, KeyringPath)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Rotate(ctx); err != nil {
		t.Fatal(err)
	}
	put(t, below, KeyringPath, string(before.Value))
	put(t, b, "k", "v") // under term 1: with term 2 nobody could ever read it
	if term, _ := b.KeyTerm(); term != 1 {
		t.Errorf("term %d", term)
	}
	get(t, b, "k", "v")
}

// The count survives another node's taking over, and the policy rotates by it.
func TestTend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		below := storage.NewMem()
		b, root := open(t, below)
		tend := func(want int) {
			t.Helper()
			if n, err := b.Tend(ctx); err != nil || n != want {
				t.Fatalf("tend: %d, %v; want %d", n, err, want)
			}
		}
		for range 10 {
			put(t, b, "k", "v")
		}
		tend(0)
		b = New(below)
		if err := b.Unseal(ctx, root); err != nil {
			t.Fatal(err)
		}
		if n, err := b.Encryptions(ctx); err != nil || n < 10 || n > 12 {
			t.Fatalf("%d encryptions, %v", n, err)
		}
		p, err := b.RotatePolicy(ctx)
		if err != nil || !p.Enabled || p.MaxOperations != MaxOperations || p.Interval != 0 {
			t.Fatalf("%+v, %v", p, err)
		}
		p.MaxOperations = MinOperations
		if err := b.PutRotatePolicy(ctx, p); err != nil {
			t.Fatal(err)
		}
		b.ring.Load().uses.Add(MinOperations)
		tend(1)
		tend(0)
		if n, err := b.Encryptions(ctx); err != nil || n > 2 {
			t.Fatalf("%d encryptions with a new key, %v", n, err)
		}
		p.Interval = MinInterval
		if err := b.PutRotatePolicy(ctx, p); err != nil {
			t.Fatal(err)
		}
		time.Sleep(MinInterval - time.Second)
		tend(0)
		time.Sleep(time.Second)
		tend(1)
		p.Enabled = false
		if err := b.PutRotatePolicy(ctx, p); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * MinInterval)
		tend(0)
		if term, _ := b.KeyTerm(); term != 3 {
			t.Errorf("term %d", term)
		}
	})
}

func BenchmarkGet(b *testing.B) {
	r, _ := open(b, storage.NewMem())
	put(b, r, "k", "0123456789abcdef")
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Get(b.Context(), "k"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
