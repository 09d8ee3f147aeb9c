package seal_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"strongroom/internal/seal"
	"strongroom/internal/seal/sealtest"
	"strongroom/internal/secret"
)

func newStatic(t testing.TB, id string, key secret.Bytes, previous *seal.StaticKey) *seal.Static {
	t.Helper()
	s, err := seal.NewStatic(seal.StaticKey{ID: id, Key: key}, previous)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStatic(t *testing.T) {
	sealtest.Test(t, newStatic(t, "a", secret.NewKey(), nil), newStatic(t, "a", secret.NewKey(), nil))
	sealtest.Test(t, newStatic(t, "a", secret.NewKey(), nil), newStatic(t, "b", secret.NewKey(), nil))
}

func TestStaticRotation(t *testing.T) {
	ctx := context.Background()
	first := seal.StaticKey{ID: "first", Key: secret.NewKey()}
	wrapped, err := newStatic(t, first.ID, first.Key, nil).Wrap(ctx, []byte("unseal key"))
	if err != nil {
		t.Fatal(err)
	}
	both := newStatic(t, "second", secret.NewKey(), &first)
	if key, err := both.Unwrap(ctx, wrapped); err != nil || string(key) != "unseal key" {
		t.Fatal("the previous key does not open what it sealed:", err)
	}
	if stale, err := both.Stale(ctx, wrapped); err != nil || !stale {
		t.Errorf("stale: %v, %v", stale, err)
	}
	// The key's name is bound in: a box does not pass for another key's.
	renamed := []byte(strings.Replace(string(wrapped), "first", "second", 1))
	same := newStatic(t, "second", first.Key, nil)
	if _, err := same.Unwrap(ctx, renamed); !errors.Is(err, secret.ErrOpen) {
		t.Errorf("a box under another name: %v", err)
	}
	// The error names the key that is missing.
	if _, err := newStatic(t, "third", secret.NewKey(), nil).Unwrap(ctx, wrapped); !errors.Is(err, secret.ErrOpen) || !strings.Contains(err.Error(), `"first"`) {
		t.Errorf("without the key: %v", err)
	}
	for name, keys := range map[string][2]seal.StaticKey{
		"a short key":  {{ID: "a", Key: secret.Bytes("short")}, first},
		"no name":      {{Key: secret.NewKey()}, first},
		"one name":     {{ID: "first", Key: secret.NewKey()}, first},
		"short before": {{ID: "a", Key: secret.NewKey()}, {ID: "b", Key: secret.Bytes("short")}},
	} {
		if _, err := seal.NewStatic(keys[0], &keys[1]); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// What docs/format/barrier.md specifies opens.
func TestStaticVector(t *testing.T) {
	key := secret.Bytes("0123456789abcdef0123456789abcdef")
	box, err := secret.Seal(key, []byte("the unseal key"), []byte("strongroom unseal key v1 static k1"))
	if err != nil {
		t.Fatal(err)
	}
	stored, err := json.Marshal(map[string]any{"key_id": "k1", "box": box})
	if err != nil {
		t.Fatal(err)
	}
	got, err := newStatic(t, "k1", key, nil).Unwrap(context.Background(), stored)
	if err != nil || string(got) != "the unseal key" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestVerifier(t *testing.T) {
	key := seal.Key(secret.NewKey())
	if !key.Verify(key.Verifier()) || seal.Key(secret.NewKey()).Verify(key.Verifier()) || key.Verify(nil) {
		t.Error("a verifier is of its key alone")
	}
	if string(key.Verifier()) == string(key) || string(key.Verifier()) == string(key.JoinKey()) {
		t.Error("the verifier is a key")
	}
}

// The seal's record is read by nodes that cannot check who wrote it.
func FuzzConfig(f *testing.F) {
	s := newStatic(f, "k1", secret.Bytes("0123456789abcdef0123456789abcdef"), nil)
	wrapped, err := s.Wrap(context.Background(), []byte("key"))
	if err != nil {
		f.Fatal(err)
	}
	record, err := json.Marshal(seal.Config{Type: "static", Shares: 5, Threshold: 3, Wrapped: []byte("box"), Sealed: wrapped})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(record)
	f.Add([]byte(`{"type":"shamir","shares":1,"threshold":1,"wrapped":"AAAA"}`))
	f.Add([]byte(`{"type":"static","sealed":"bnVsbA=="}`))
	f.Fuzz(func(t *testing.T, record []byte) {
		var c seal.Config
		if json.Unmarshal(record, &c) != nil {
			return
		}
		if _, err := s.Unwrap(context.Background(), c.Sealed); err != nil && !errors.Is(err, secret.ErrOpen) {
			t.Errorf("%v", err)
		}
		if _, err := seal.Key(c.Wrapped).Unwrap(context.Background(), c.Wrapped); err == nil {
			t.Error("a box opens itself")
		}
		c.Validate()
		c.Auto()
	})
}
