package seal

import (
	"bytes"
	"crypto/dsa" //lint:ignore SA1019 to measure keys of old; none is made
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// PGPKey is a public key that a share or a token is encrypted for, so that only
// its holder ever sees it.
type PGPKey struct{ entity *openpgp.Entity }

// Bounds of a public key, which anybody may send: its text in bytes, and its
// numbers in bits. Beyond, one encryption or signature takes minutes.
const (
	maxPGPKey  = 64 << 10
	maxPGPBits = 8192
	maxDSAQ    = 512
)

// ParsePGPKey reads one public key: base64 of its binary form, as Vault takes it, or armored text.
func ParsePGPKey(text string) (PGPKey, error) {
	if len(text) > maxPGPKey {
		return PGPKey{}, fmt.Errorf("a PGP key is over %d bytes: export only the one key", maxPGPKey)
	}
	text = strings.TrimSpace(text)
	binary, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		binary = []byte(text)
	}
	if binary, err = dearmored(binary); err == nil {
		err = checkPGPSize(binary)
	}
	var keys openpgp.EntityList
	if err == nil {
		keys, err = openpgp.ReadKeyRing(bytes.NewReader(binary))
	}
	switch {
	case err != nil:
		return PGPKey{}, fmt.Errorf("a PGP key cannot be read (%w): give an exported public key, in base64 or armored", err)
	case len(keys) != 1:
		return PGPKey{}, fmt.Errorf("a PGP key text holds %d keys: give exactly one", len(keys))
	}
	k := PGPKey{keys[0]}
	if _, err := k.Encrypt([]byte("test")); err != nil { // now, not when the shares exist
		return PGPKey{}, err
	}
	return k, nil
}

// dearmored is the binary form of a key ring.
func dearmored(text []byte) ([]byte, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN PGP")) {
		return text, nil
	}
	block, err := armor.Decode(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(block.Body)
}

// checkPGPSize looks at the keys in binary before anything is computed with them.
func checkPGPSize(binary []byte) error {
	for packets := packet.NewReader(bytes.NewReader(binary)); ; {
		p, err := packets.Next()
		unknown, malformed := pgperrors.UnsupportedError(""), pgperrors.StructuralError("")
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &unknown), errors.As(err, &malformed): // skipped, or refused, when the key is read
			continue
		case err != nil:
			return err
		}
		key, ok := p.(*packet.PublicKey)
		if private, is := p.(*packet.PrivateKey); is {
			key, ok = &private.PublicKey, true
		}
		if !ok {
			continue
		}
		bits, err := key.BitLength()
		if d, is := key.PublicKey.(*dsa.PublicKey); is && d.Q.BitLen() > maxDSAQ || err == nil && bits > maxPGPBits {
			return fmt.Errorf("it has more than %d bits", maxPGPBits)
		}
	}
}

// ParsePGPKeys reads the public keys of shares, one each; none is no encryption.
func ParsePGPKeys(texts []string, shares int) ([]PGPKey, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	if len(texts) != shares {
		return nil, fmt.Errorf("incorrect number of PGP keys: %d given for %d shares", len(texts), shares)
	}
	keys := make([]PGPKey, len(texts))
	for i, text := range texts {
		var err error
		if keys[i], err = ParsePGPKey(text); err != nil {
			return nil, fmt.Errorf("PGP key %d: %w", i+1, err)
		}
	}
	return keys, nil
}

// Fingerprint is the primary key's, in lower-case hexadecimal.
func (k PGPKey) Fingerprint() string { return hex.EncodeToString(k.entity.PrimaryKey.Fingerprint) }

// Encrypt makes a binary OpenPGP message (RFC 9580) for the key's holder.
func (k PGPKey) Encrypt(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := openpgp.Encrypt(&out, []*openpgp.Entity{k.entity}, nil, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("the PGP key %s cannot encrypt (it may have expired): %w", k.Fingerprint(), err)
	}
	_, err = w.Write(plain)
	err = errors.Join(err, w.Close()) // which writes the rest
	return out.Bytes(), err
}

// EncryptShares encrypts every share, in hexadecimal as Vault does, for its
// holder, and zeroes it. Without keys the shares stay as they are.
func EncryptShares(shares [][]byte, keys []PGPKey) (out [][]byte, fingerprints []string, err error) {
	if len(keys) == 0 {
		return shares, nil, nil
	}
	for i, share := range shares {
		text := make([]byte, hex.EncodedLen(len(share)))
		hex.Encode(text, share)
		box, err := keys[i].Encrypt(text)
		clear(text)
		if err != nil {
			return nil, nil, err
		}
		out, fingerprints = append(out, box), append(fingerprints, keys[i].Fingerprint())
	}
	for _, share := range shares {
		clear(share)
	}
	return out, fingerprints, nil
}
