package pki

import (
	"encoding/hex"
	"fmt"
	"testing"

	"strongroom/internal/storage"
)

// What a certificate costs: its key is of P-256, its issuer's of each kind.
func BenchmarkIssue(b *testing.B) {
	for _, kind := range []string{"ec", "rsa"} {
		b.Run(kind, func(b *testing.B) {
			m := mount(b)
			must(b, m, "PUT root/generate/internal", with("common_name", "Root", "key_type", kind, "not_after", "2100-01-01T00:00:00Z"))
			must(b, m, "PUT roles/web", with("allow_any_name", true, "key_type", "ec"))
			for b.Loop() {
				must(b, m, "PUT issue/web", with("common_name", "a.example.com"))
			}
		})
	}
}

// What a list of so many revoked certificates costs when it has changed.
func BenchmarkList(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := withRoot(b)
			e := m.Engine.(*backend)
			i := must1(e.issuer(b.Context(), viewOf(m), "default"))
			for range n / 1000 {
				tx := storage.Begin(m.Store)
				for range 1000 {
					tx.View("mount/test/").Put(listedKey(i.authority(), 1, hex.EncodeToString(newSerial().Bytes()), 1700000000), nil)
				}
				if err := tx.Commit(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			must(b, m, "PUT config/crl", with("max_crl_entries", -1))
			for b.Loop() {
				der, err := e.makeList(b.Context(), viewOf(m), i, i.authority())
				if err != nil || len(der) < 30*n {
					b.Fatal(len(der), err)
				}
			}
		})
	}
}
