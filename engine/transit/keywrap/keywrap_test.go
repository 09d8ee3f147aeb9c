package keywrap

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The examples of RFC 5649, section 6.
func TestWrapVectors(t *testing.T) {
	kek := unhex(t, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")
	for _, v := range []struct{ material, box string }{
		{"c37b7e6492584340bed12207808941155068f738", "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"},
		{"466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"},
	} {
		got, err := Wrap(kek, unhex(t, v.material))
		if err != nil || !bytes.Equal(got, unhex(t, v.box)) {
			t.Errorf("Wrap(%s) = %x, %v", v.material, got, err)
		}
		back, err := Unwrap(kek, got)
		if err != nil || !bytes.Equal(back, unhex(t, v.material)) {
			t.Errorf("Unwrap(%s) = %x, %v", v.box, back, err)
		}
	}
}

func TestWrapEveryLength(t *testing.T) {
	kek := make([]byte, 32)
	for n := 1; n < 100; n++ {
		material := make([]byte, n)
		rand.Read(material)
		box, err := Wrap(kek, material)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Unwrap(kek, box); err != nil || !bytes.Equal(got, material) {
			t.Fatalf("%d bytes came back as %x, %v", n, got, err)
		}
		for i := range box {
			box[i] ^= 1
			if _, err := Unwrap(kek, box); !errors.Is(err, ErrUnwrap) {
				t.Fatalf("%d bytes, byte %d altered: %v", n, i, err)
			}
			box[i] ^= 1
		}
	}
	for _, n := range []int{0, maxKey + 1} {
		if _, err := Wrap(kek, make([]byte, n)); err == nil {
			t.Errorf("%d bytes were wrapped", n)
		}
	}
}

func TestSealOpen(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	box, err := Seal(&key.PublicKey, sha256.New, []byte("material"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Open(key, sha256.New, box); err != nil || string(got) != "material" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := Open(key, sha512.New, box); !errors.Is(err, ErrUnwrap) {
		t.Errorf("another hash: %v", err)
	}
	for name, bad := range map[string][]byte{"nothing": nil, "short": box[:255], "no AES box": box[:256], "cut": box[:len(box)-8]} {
		if _, err := Open(key, sha256.New, bad); !errors.Is(err, ErrUnwrap) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzUnwrap: what is unwrapped wraps to the same box.
func FuzzUnwrap(f *testing.F) {
	kek := make([]byte, 32)
	for _, n := range []int{1, 8, 9, 32} {
		box, err := Wrap(kek, make([]byte, n))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(box)
	}
	f.Fuzz(func(t *testing.T, box []byte) {
		material, err := Unwrap(kek, box)
		if err != nil {
			if !errors.Is(err, ErrUnwrap) {
				t.Errorf("%v", err)
			}
			return
		}
		if again, err := Wrap(kek, material); err != nil || !bytes.Equal(again, box) {
			t.Errorf("%x wraps to %x, %v", box, again, err)
		}
	})
}
