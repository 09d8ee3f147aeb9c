package transit

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
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

// What is after the version is nonce, ciphertext and tag: the vectors of the
// ciphers decrypt.
func TestCipherVectors(t *testing.T) {
	const gcmText = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
	const gcmData = "feedfacedeadbeeffeedfacedeadbeefabaddad2"
	for _, v := range []struct {
		source                                         string
		kind                                           kind
		key, nonce, data, plaintext, ciphertext, thTag string
	}{
		{"McGrew and Viega, test case 4", aes128, "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", gcmData, gcmText,
			"42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091", "5bc94fbc3221a5db94fae95ae7121a47"},
		{"McGrew and Viega, test case 16", aes256, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", gcmData, gcmText,
			"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662", "76fc6ece0f4e1768cddf8853bb2d551b"},
		{"RFC 8439, 2.8.2", chacha20, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
			hex.EncodeToString([]byte("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.")),
			"d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116", "1ae10b594f09e26a7e902ecbd0600691"},
	} {
		k := &key{Kind: v.kind}
		ver := &version{secret: unhex(t, v.key)}
		if err := ver.prepare(v.kind); err != nil {
			t.Fatal(err)
		}
		raw := unhex(t, v.nonce+v.ciphertext+v.thTag)
		got, err := k.open(ver, raw, params{data: unhex(t, v.data)})
		if err != nil || !bytes.Equal(got, unhex(t, v.plaintext)) {
			t.Errorf("%s: %x, %v", v.source, got, err)
		}
		if _, err := k.open(ver, raw, params{}); err == nil {
			t.Errorf("%s: decrypted without its associated data", v.source)
		}
	}
}

// RFC 4231, test case 6: a key of 131 bytes.
func TestHMACVector(t *testing.T) {
	v := &version{hmac: bytes.Repeat([]byte{0xaa}, 131)}
	input := []byte("Test Using Larger Than Block-Size Key - Hash Key First")
	for h, want := range map[crypto.Hash]string{
		crypto.SHA224: "95e9a0db962095adaebe9b2d6f0dbce2d499f112f2d2b7273fa6870e",
		crypto.SHA256: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
		crypto.SHA384: "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952",
		crypto.SHA512: "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
	} {
		if got := hex.EncodeToString(v.mac(h, input)); got != want {
			t.Errorf("%v: %s, want %s", h, got, want)
		}
	}
}

// RFC 8032, section 7: a plain signature, one with a context, and a prehashed one.
func TestEd25519Vectors(t *testing.T) {
	for _, v := range []struct {
		name, seed, input, signature string
		scheme                       scheme
	}{
		{"7.1, test 2", "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "72",
			"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00", scheme{}},
		{"7.2, foo", "0305334e381af78f141cb666f6199f57bc3495335a256a95bd2a55bf546663f6", "f726936d19c800494e3fdaff20b276a8",
			"55a4cc2f70a54e04288c5f4cd1e45a7bb520b36292911876cada7323198dd87a8b36950b95130022907a7fb7c4e9b2d5f6cca685a587b4b21f4b888e4e7edb0d", scheme{context: b64("foo")}},
		{"7.3, abc", "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
			"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f", // SHA-512("abc")
			"98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae4131f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406", scheme{prehashed: true, hash: crypto.SHA512}},
	} {
		private := ed25519.NewKeyFromSeed(unhex(t, v.seed))
		got, err := v.scheme.sign(private, unhex(t, v.input))
		if err != nil || hex.EncodeToString(got) != v.signature {
			t.Errorf("%s: %x, %v", v.name, got, err)
			continue
		}
		if valid, err := v.scheme.verify(private.Public(), unhex(t, v.input), got); err != nil || !valid {
			t.Errorf("%s: not valid, %v", v.name, err)
		}
		if valid, _ := v.scheme.verify(private.Public(), []byte("another"), got); valid {
			t.Errorf("%s: valid for another input", v.name)
		}
	}
}

// RFC 6979, A.2.5: the signature of "sample" by P-256 and SHA-256, in both forms.
func TestECDSAVector(t *testing.T) {
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), unhex(t, "04"+
		"60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"+"7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"))
	if err != nil {
		t.Fatal(err)
	}
	jws := unhex(t, "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"+"f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8")
	der, err := fromJWS(jws, 32)
	if err != nil {
		t.Fatal(err)
	}
	for form, raw := range map[string][]byte{jwsForm: jws, asn1Form: der} {
		s := scheme{hash: crypto.SHA256, form: form}
		if valid, err := s.verify(public, []byte("sample"), raw); err != nil || !valid {
			t.Errorf("%s: %v, %v", form, valid, err)
		}
		if valid, _ := s.verify(public, []byte("simple"), raw); valid {
			t.Errorf("%s: valid for another input", form)
		}
	}
	if back, err := toJWS(der, 32); err != nil || !bytes.Equal(back, jws) {
		t.Errorf("%x, %v", back, err)
	}
}

// Keys are derived by HKDF-SHA256 (RFC 5869) without a salt, spelled out here;
// convergent nonces are HMACs by what follows the key.
func TestDerivation(t *testing.T) {
	mac := func(key []byte, parts ...[]byte) []byte {
		h := hmac.New(sha256.New, key)
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	secret, context := bytes.Repeat([]byte{7}, 32), []byte("context")
	prk := mac(make([]byte, 32), secret)
	t1 := mac(prk, context, []byte{1})
	t2 := mac(prk, t1, context, []byte{2})
	k := &key{Kind: aes256, Derived: true, Convergent: true}
	v := &version{secret: secret, convergent: 3}
	c, err := k.seal(v, 1, []byte("plain"), params{context: context})
	if err != nil {
		t.Fatal(err)
	}
	nonce := mac(t2, []byte("plain"))[:nonceSize]
	a, err := newAEAD(aes256, t1)
	if err != nil {
		t.Fatal(err)
	}
	if want := text(1, a.Seal(nonce, nonce, []byte("plain"), nil), base64.StdEncoding); c != want {
		t.Errorf("%s, want %s", c, want)
	}
	v.convergent = 2 // the nonce is an HMAC by the context
	nonce = mac(context, []byte("plain"))[:nonceSize]
	want := text(1, a.Seal(nonce, nonce, []byte("plain"), nil), base64.StdEncoding)
	if c, err = k.seal(v, 1, []byte("plain"), params{context: context}); err != nil || c != want {
		t.Errorf("convergent version 2: %s, %v; want %s", c, err, want)
	}
	v.convergent = 1 // the caller's, and not in the ciphertext
	want = text(1, a.Seal(nil, nonce, []byte("plain"), nil), base64.StdEncoding)
	if c, err = k.seal(v, 1, []byte("plain"), params{context: context, nonce: nonce}); err != nil || c != want {
		t.Errorf("convergent version 1: %s, %v; want %s", c, err, want)
	}
}
