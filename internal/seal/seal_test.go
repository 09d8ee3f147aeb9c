package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"strongroom/internal/secret"
)

func TestField(t *testing.T) {
	if got := mul(0x57, 0x83); got != 0xc1 { // FIPS 197, section 4.2
		t.Errorf("57·83 = %x, want c1", got)
	}
	for a := 1; a < 256; a++ {
		if got := mul(byte(a), inverse(byte(a))); got != 1 {
			t.Fatalf("%x times its inverse is %x", a, got)
		}
	}
}

// Every subset of k shares gives the secret, and no subset of k-1 does.
func TestSplitCombine(t *testing.T) {
	for _, c := range []struct{ n, k int }{{2, 2}, {3, 2}, {5, 3}, {7, 7}, {255, 2}} {
		want := secret.NewKey()
		shares, err := Split(want, c.n, c.k)
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			rand.Shuffle(len(shares), func(i, j int) { shares[i], shares[j] = shares[j], shares[i] })
			got, err := Combine(shares[:c.k])
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%v: %v", c, err)
			}
			if c.k > 2 {
				if got, _ := Combine(shares[:c.k-1]); bytes.Equal(got, want) {
					t.Fatalf("%v: too few shares gave the secret", c)
				}
			}
		}
	}
	for _, c := range []struct{ n, k int }{{1, 1}, {2, 3}, {256, 2}, {5, 1}} {
		if _, err := Split([]byte("x"), c.n, c.k); err == nil {
			t.Errorf("Split accepted %v", c)
		}
	}
}

// Shares made by another implementation of the same scheme combine here.
func TestCombineVector(t *testing.T) {
	// secret "A" with f(x) = 0x41 + 0x05·x: f(1) = 0x44, f(2) = 0x4b
	got, err := Combine([][]byte{{0x44, 1}, {0x4b, 2}})
	if err != nil || string(got) != "A" {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestCeremony(t *testing.T) {
	ctx := context.Background()
	key, shares, err := Deal(Config{Shares: 5, Threshold: 3})
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := key.Wrap(ctx, []byte("root"))
	if err != nil {
		t.Fatal(err)
	}
	var c Ceremony
	add := func(i int) Key {
		t.Helper()
		k, err := c.Add(bytes.Clone(shares[i]), 3)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	if _, err := c.Add([]byte("short"), 3); err == nil {
		t.Fatal("a short share was taken")
	}
	add(0)
	add(0)
	if n, nonce := c.Progress(); n != 1 || nonce == "" {
		t.Fatalf("progress %d %q after the same share twice", n, nonce)
	}
	add(3)
	got := add(4)
	if root, err := got.Unwrap(ctx, wrapped); err != nil || string(root) != "root" {
		t.Fatal(err)
	}
	if n, nonce := c.Progress(); n != 0 || nonce != "" {
		t.Fatal("the ceremony remembers after its end")
	}
	add(0)
	add(1)
	wrong := bytes.Clone(shares[2])
	wrong[0] ^= 1
	k, err := c.Add(wrong, 3)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Unwrap(ctx, wrapped); !errors.Is(err, secret.ErrOpen) {
		t.Fatalf("a wrong share opened the seal: %v", err)
	}
	if s := fmt.Sprintf("%v %s %x %+v", key, key, key, secret.Bytes(key)); strings.Trim(s, "[secrt] ") != "" {
		t.Fatalf("a key prints as %q", s)
	}
}

func TestDealOne(t *testing.T) {
	key, shares, err := Deal(Config{Shares: 1, Threshold: 1})
	if err != nil || len(shares) != 1 || !bytes.Equal(shares[0], key) {
		t.Fatal("one share must be the key", err)
	}
	var c Ceremony
	if got, err := c.Add(shares[0], 1); err != nil || !bytes.Equal(got, key) {
		t.Fatal(err)
	}
	for _, bad := range []Config{{Shares: 0}, {Shares: 3, Threshold: 1}, {Shares: 2, Threshold: 3}, {Shares: 256, Threshold: 2}} {
		if _, _, err := Deal(bad); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

func FuzzCombine(f *testing.F) {
	f.Add([]byte{1, 2}, []byte{3, 4})
	f.Fuzz(func(t *testing.T, a, b []byte) { Combine([][]byte{a, b}) })
}
