package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"sync"
	"testing"
)

// A MAC that was used before says what a new one does, to many at once.
func TestHashAgain(t *testing.T) {
	key := []byte("a key of thirty-two bytes, yes!!")
	h := newHasher(key)
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 200 {
				text := Prefix + fmt.Sprint(g, i)
				want := hmac.New(sha256.New, key)
				want.Write([]byte(text))
				if got := h.of(text); got != base64.RawURLEncoding.EncodeToString(want.Sum(nil)) {
					t.Errorf("%s: %s", text, got)
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkHash(b *testing.B) {
	h := newHasher(make([]byte, sha256.Size))
	b.ReportAllocs()
	for b.Loop() {
		h.of("hvs.0123456789abcdefghijABCD")
	}
}
