package transit

import (
	"cmp"
	"crypto/elliptic"

	"strongroom/engine"
)

// kind is a type of key, by its name in the API.
type kind string

// The types that this engine serves.
const (
	aes128   kind = "aes128-gcm96"
	aes256   kind = "aes256-gcm96"
	chacha20 kind = "chacha20-poly1305"
	ed25519k kind = "ed25519"
	ecdsa256 kind = "ecdsa-p256"
	ecdsa384 kind = "ecdsa-p384"
	ecdsa521 kind = "ecdsa-p521"
	rsa2048  kind = "rsa-2048"
	rsa3072  kind = "rsa-3072"
	rsa4096  kind = "rsa-4096"
	hmacOnly kind = "hmac"
)

// traits are what a kind of key is and can do.
type traits struct {
	number   int // in backups, as Vault numbers its types
	size     int // bytes of a symmetric key; 0: of a pair, or of an HMAC key, which varies
	bits     int // of an RSA modulus
	curve    elliptic.Curve
	derives  bool // a key of its own for each context
	encrypts bool
	signs    bool
}

// traits of k; false if this engine has no such kind.
func (k kind) traits() (traits, bool) {
	switch k {
	case aes256:
		return traits{number: 0, size: 32, derives: true, encrypts: true}, true
	case ecdsa256:
		return traits{number: 1, curve: elliptic.P256(), signs: true}, true
	case ed25519k:
		return traits{number: 2, derives: true, signs: true}, true
	case rsa2048:
		return traits{number: 3, bits: 2048, encrypts: true, signs: true}, true
	case rsa4096:
		return traits{number: 4, bits: 4096, encrypts: true, signs: true}, true
	case chacha20:
		return traits{number: 5, size: 32, derives: true, encrypts: true}, true
	case ecdsa384:
		return traits{number: 6, curve: elliptic.P384(), signs: true}, true
	case ecdsa521:
		return traits{number: 7, curve: elliptic.P521(), signs: true}, true
	case aes128:
		return traits{number: 8, size: 16, derives: true, encrypts: true}, true
	case rsa3072:
		return traits{number: 9, bits: 3072, encrypts: true, signs: true}, true
	case hmacOnly:
		return traits{number: 11}, true
	}
	return traits{}, false
}

// is gives the traits of a kind that is known to exist.
func (k kind) is() traits {
	t, _ := k.traits()
	return t
}

// symmetric says whether k is one secret text of bytes, not a pair.
func (k kind) symmetric() bool { return k == hmacOnly || k.is().size > 0 }

// numbered returns the kind of that number.
func numbered(number int) (kind, bool) {
	for _, k := range []kind{aes128, aes256, chacha20, ed25519k, ecdsa256, ecdsa384, ecdsa521, rsa2048, rsa3072, rsa4096, hmacOnly} {
		if k.is().number == number {
			return k, true
		}
	}
	return "", false
}

// parseKind reads the name of a type that a key may be made with; "" is aes256-gcm96.
func parseKind(name string) (kind, error) {
	k := cmp.Or(kind(name), aes256)
	if _, ok := k.traits(); ok {
		return k, nil
	}
	switch name {
	case "managed_key", "aes128-cmac", "aes192-cmac", "aes256-cmac", "ml-dsa", "slh-dsa", "hybrid":
		return "", engine.Invalidf("key type %s is an Enterprise feature of Vault that this server does not have", name)
	}
	return "", engine.Invalidf("unknown key type %v", name)
}
