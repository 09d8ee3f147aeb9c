package barrier

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"testing"

	"strongroom/internal/secret"
	"strongroom/internal/storage"
	"strongroom/internal/storage/storagetest"
)

func open(t testing.TB, below storage.Store) (*Barrier, secret.Bytes) {
	t.Helper()
	b := New(below)
	root := secret.NewKey()
	ring, err := b.Initialize(root)
	if err != nil {
		t.Fatal(err)
	}
	put(t, b, RootKeyPath, string(root))
	put(t, below, KeyringPath, string(ring))
	return b, root
}

func put(t testing.TB, s storage.Store, key, value string) {
	t.Helper()
	tx := storage.Begin(s)
	tx.Put(key, []byte(value))
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// An open barrier is a Store like any other.
func TestStore(t *testing.T) {
	storagetest.TestStore(t, func(t *testing.T) storage.Store {
		b := New(storage.NewMem())
		if _, err := b.Initialize(secret.NewKey()); err != nil {
			t.Fatal(err)
		}
		return b
	})
}

func TestSealUnseal(t *testing.T) {
	ctx := t.Context()
	below := storage.NewMem()
	b, root := open(t, below)
	put(t, b, "a/b", "hunter2")

	raw, err := below.Get(ctx, "a/b")
	if err != nil || bytes.Contains(raw.Value, []byte("hunter2")) {
		t.Fatalf("the store below holds the plaintext (%v)", err)
	}
	b.Seal()
	if _, err := b.Get(ctx, "a/b"); !errors.Is(err, ErrSealed) {
		t.Fatalf("sealed Get: %v", err)
	}
	if err := b.Apply(ctx, storage.Batch{}); !errors.Is(err, ErrSealed) {
		t.Fatalf("sealed Apply: %v", err)
	}
	for _, err := range b.Keys(ctx, "", "") {
		if !errors.Is(err, ErrSealed) {
			t.Fatalf("sealed Keys: %v", err)
		}
	}
	again := New(below)
	if err := again.Unseal(ctx, secret.NewKey()); !errors.Is(err, secret.ErrOpen) {
		t.Fatalf("unseal with a wrong key: %v", err)
	}
	if !again.Sealed() {
		t.Fatal("a wrong key unsealed")
	}
	if err := again.Unseal(ctx, root); err != nil {
		t.Fatal(err)
	}
	if e, err := again.Get(ctx, "a/b"); err != nil || string(e.Value) != "hunter2" {
		t.Fatalf("after unseal: %q, %v", e.Value, err)
	}
	if err := New(storage.NewMem()).Unseal(ctx, root); !errors.Is(err, ErrNoKeyring) {
		t.Fatalf("an empty store: %v", err)
	}
}

// Every flipped bit is noticed, and so is a value moved to another path.
func TestTamper(t *testing.T) {
	ctx := t.Context()
	below := storage.NewMem()
	b, _ := open(t, below)
	put(t, b, "a", "value")
	e, _ := below.Get(ctx, "a")
	for i := range e.Value {
		for bit := range 8 {
			bad := bytes.Clone(e.Value)
			bad[i] ^= 1 << bit
			put(t, below, "a", string(bad))
			if _, err := b.Get(ctx, "a"); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("byte %d, bit %d: %v", i, bit, err)
			}
		}
	}
	put(t, below, "b", string(e.Value))
	if _, err := b.Get(ctx, "b"); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("a moved value was opened: %v", err)
	}
	put(t, below, "c", "")
	if _, err := b.Get(ctx, "c"); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("an empty box was opened: %v", err)
	}
}

// The box of docs/format/barrier.md, made here from the page alone.
func TestFormat(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	below := storage.NewMem()
	b := New(below)
	k := keyring{Active: 3, Keys: []termKey{{Term: 3, Key: key}}}
	r, err := k.open(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.ring.Store(r)
	block, _ := aes.NewCipher(key)
	gcm, _ := cipher.NewGCM(block)
	head := []byte{1, 0, 0, 0, 3}
	nonce := []byte("twelve bytes")
	box := append(append([]byte{}, head...), nonce...)
	box = gcm.Seal(box, nonce, []byte("plain"), append(append([]byte{}, head...), "some/path"...))
	put(t, below, "some/path", string(box))
	e, err := b.Get(context.Background(), "some/path")
	if err != nil || string(e.Value) != "plain" {
		t.Fatalf("%q, %v", e.Value, err)
	}
}

func FuzzOpen(f *testing.F) {
	b := New(storage.NewMem())
	if _, err := b.Initialize(secret.NewKey()); err != nil {
		f.Fatal(err)
	}
	r := b.ring.Load()
	f.Add(r.seal("k", []byte("v")))
	f.Fuzz(func(t *testing.T, box []byte) { r.open("k", box) })
}
