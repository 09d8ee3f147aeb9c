package seal

import (
	"bytes"
	"crypto/dsa" //lint:ignore SA1019 a hostile key is made with it
	"encoding/base64"
	"encoding/hex"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/elgamal"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
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

// Anybody may begin a rekey, without a token: a key whose numbers are made to take minutes is refused at once.
func TestHostilePGPKeys(t *testing.T) {
	huge := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 30_000), big.NewInt(1))
	holder, _ := newHolder(t)
	slow := packet.NewElGamalPublicKey(holder.PrimaryKey.CreationTime, &elgamal.PublicKey{P: huge, G: big.NewInt(3), Y: big.NewInt(5)})
	slow.IsSubkey = true
	holder.Subkeys[0].PublicKey, holder.Subkeys[0].PrivateKey = slow, nil
	if err := holder.Subkeys[0].Sig.SignKey(slow, holder.PrivateKey, nil); err != nil {
		t.Fatal(err)
	}
	signer, err := openpgp.NewEntity("signer", "", "signer@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	signer.PrimaryKey = packet.NewDSAPublicKey(signer.PrimaryKey.CreationTime, &dsa.PublicKey{Parameters: dsa.Parameters{P: big.NewInt(23), Q: huge, G: big.NewInt(3)}, Y: big.NewInt(5)})
	for name, e := range map[string]*openpgp.Entity{"a large modulus": holder, "a large exponent": signer} {
		var out bytes.Buffer
		if err := e.Serialize(&out); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		_, err := ParsePGPKey(base64.StdEncoding.EncodeToString(out.Bytes()))
		if err == nil || !strings.Contains(err.Error(), "8192 bits") {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("%s: it took %v", name, took)
		}
	}
}
