package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"sync"
)

// hasher makes HMAC-SHA256s under one key. Making a MAC costs twice what using one
// does, and every request needs one, so they are used again (BenchmarkHash).
type hasher struct{ macs sync.Pool }

type mac struct {
	hash.Hash
	in   []byte
	sum  [sha256.Size]byte
	text [43]byte // sum in base64url
}

func newHasher(key []byte) *hasher {
	h := &hasher{}
	h.macs.New = func() any { return &mac{Hash: hmac.New(sha256.New, key)} }
	return h
}

// of is the hash of text in base64url, without padding.
func (h *hasher) of(text string) string {
	m := h.macs.Get().(*mac)
	m.Reset()
	m.in = append(m.in[:0], text...)
	m.Write(m.in)
	clear(m.in)
	base64.RawURLEncoding.Encode(m.text[:], m.Sum(m.sum[:0]))
	out := string(m.text[:])
	h.macs.Put(m)
	return out
}
