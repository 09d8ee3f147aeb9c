package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

func newHolder(t *testing.T) (holder *openpgp.Entity, binary []byte) {
	t.Helper()
	holder, err := openpgp.NewEntity("holder", "", "holder@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := holder.Serialize(&out); err != nil {
		t.Fatal(err)
	}
	return holder, out.Bytes()
}

// What a holder decrypts is the share in hexadecimal, and the share itself is gone.
func TestEncryptShares(t *testing.T) {
	a, binary := newHolder(t)
	b, second := newHolder(t)
	var armored bytes.Buffer
	w, err := armor.Encode(&armored, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(second)
	w.Close()
	keys, err := ParsePGPKeys([]string{base64.StdEncoding.EncodeToString(binary), armored.String()}, 2)
	if err != nil {
		t.Fatal(err)
	}
	shares := [][]byte{bytes.Repeat([]byte{1}, 33), bytes.Repeat([]byte{2}, 33)}
	boxes, prints, err := EncryptShares(shares, keys)
	if err != nil {
		t.Fatal(err)
	}
	for i, holder := range []*openpgp.Entity{a, b} {
		if want := hex.EncodeToString(holder.PrimaryKey.Fingerprint); prints[i] != want {
			t.Errorf("fingerprint %s, want %s", prints[i], want)
		}
		md, err := openpgp.ReadMessage(bytes.NewReader(boxes[i]), openpgp.EntityList{holder}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(md.UnverifiedBody)
		if want := hex.EncodeToString(bytes.Repeat([]byte{byte(i + 1)}, 33)); err != nil || string(plain) != want {
			t.Errorf("holder %d decrypts %q, %v", i, plain, err)
		}
		if !bytes.Equal(shares[i], make([]byte, 33)) {
			t.Error("the share is still in memory")
		}
	}
}

func TestParsePGPKeys(t *testing.T) {
	_, binary := newHolder(t)
	text := base64.StdEncoding.EncodeToString(binary)
	for name, bad := range map[string][]string{
		"number": {text}, "nonsense": {text, "nonsense"}, "empty": {text, ""}, "cut": {text, base64.StdEncoding.EncodeToString(binary[:40])},
		"two in one": {text, base64.StdEncoding.EncodeToString(append(bytes.Clone(binary), binary...))}, "huge": {text, strings.Repeat("A", maxPGPKey+1)},
	} {
		if _, err := ParsePGPKeys(bad, 2); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if keys, err := ParsePGPKeys(nil, 5); keys != nil || err != nil {
		t.Error("no keys are no error", err)
	}
}

func FuzzParsePGPKey(f *testing.F) {
	f.Add("mQENBF")
	f.Add("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----")
	f.Fuzz(func(_ *testing.T, text string) { ParsePGPKey(text) })
}
