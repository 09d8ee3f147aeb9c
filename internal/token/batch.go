package token

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"strongroom/engine"
)

// A batch token is its own record, encrypted: nothing of it is stored, so it
// cannot be renewed, counted or revoked, and ends with its time, its parent and
// the auth method that gave it. The form is specified in docs/format/token.md.

// BatchPrefix begins every batch token, as in Vault since 1.10.
const BatchPrefix = "hvb."

// maxRaw is the most characters a token has: a batch token holds its metadata.
const maxRaw = 8 << 10

// batch is what a batch token holds.
type batch struct {
	Parent      string            `json:"p,omitempty"`
	Policies    []string          `json:"l"`
	Path        string            `json:"a"`
	Mount       string            `json:"m"`
	DisplayName string            `json:"n,omitempty"`
	Role        string            `json:"r,omitempty"`
	Meta        map[string]string `json:"d,omitempty"`
	Created     int64             `json:"c"`
	TTL         int64             `json:"t"`
	Expires     int64             `json:"e"`
	BoundCIDRs  []string          `json:"b,omitempty"`
	Entity      string            `json:"i,omitempty"`
}

// newBatchBox is XChaCha20-Poly1305 under a key derived from the namespace's:
// its 192-bit nonces may be random for as many tokens as there will ever be.
func newBatchBox(key []byte) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, key, nil, "strongroom batch token", chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	defer clear(derived)
	return chacha20poly1305.NewX(derived)
}

// issueBatch seals t, whose times are set. It writes nothing.
func (s *Store) issueBatch(t *Token) (string, error) {
	switch {
	case t.Root():
		return "", engine.Invalidf("batch tokens cannot be root tokens")
	case t.MaxUses > 0:
		return "", engine.Invalidf("batch tokens cannot have a limited number of uses: they are not stored; use token type \"service\"")
	case t.Period > 0:
		return "", engine.Invalidf("batch tokens cannot be periodic: they are not renewed; use token type \"service\"")
	}
	t.Accessor, t.Renewable, t.Type, t.ExplicitMaxTTL = "", false, Batch, 0
	plain, err := json.Marshal(batch{t.Parent, t.Policies, t.Path, t.Mount, t.DisplayName, t.Role, t.Meta, t.Created, t.TTL, t.Expires, t.BoundCIDRs, t.EntityID})
	if err != nil {
		return "", fmt.Errorf("token: encode a batch token: %w", err)
	}
	nonce := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(plain)+chacha20poly1305.Overhead)
	rand.Read(nonce)
	raw := BatchPrefix + base64.RawURLEncoding.EncodeToString(s.box.Seal(nonce, nonce, plain, []byte(s.prefix))) + s.suffix
	if len(raw) > maxRaw {
		return "", engine.Invalidf("the batch token would have %d characters, at most %d are allowed: give it less metadata, or use token type \"service\"", len(raw), maxRaw)
	}
	t.ID = s.hash(raw)
	return raw, nil
}

// openBatch is the record in a batch token, or ErrInvalid.
func (s *Store) openBatch(raw, body string) (*Token, error) {
	body, ok := strings.CutSuffix(body, s.suffix)
	if !ok {
		return nil, ErrInvalid
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil || len(sealed) < chacha20poly1305.NonceSizeX {
		return nil, ErrInvalid
	}
	plain, err := s.box.Open(nil, sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:], []byte(s.prefix))
	if err != nil {
		return nil, ErrInvalid
	}
	var b batch
	if err := json.Unmarshal(plain, &b); err != nil {
		return nil, fmt.Errorf("token: decode a batch token: %w", err)
	}
	return &Token{ID: s.hash(raw), Type: Batch, Parent: b.Parent, Policies: b.Policies, Path: b.Path, Mount: b.Mount, DisplayName: b.DisplayName, Role: b.Role,
		Meta: b.Meta, Created: b.Created, TTL: b.TTL, Max: b.TTL, Expires: b.Expires, BoundCIDRs: b.BoundCIDRs, EntityID: b.Entity}, nil
}
