package transit

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"strconv"

	"strongroom/engine"
)

type (
	edPrivate = ed25519.PrivateKey
	edPublic  = ed25519.PublicKey
)

// The forms of signatures.
const (
	pss      = "pss"
	pkcs1v15 = "pkcs1v15"
	asn1Form = "asn1" // of ECDSA: a sequence of r and s
	jwsForm  = "jws"  // of ECDSA: r and s, each as long as the field; and all signatures in URL-safe base64
)

// scheme is how a signature is made and verified.
type scheme struct {
	hash      crypto.Hash // 0: the input is signed as it is
	prehashed bool
	padding   string // of RSA
	form      string
	salt      int    // of PSS: bytes, or one of the negative values of crypto/rsa
	context   string // base64, of Ed25519ctx and Ed25519ph
}

// parseScheme reads how a key of kind k is to sign.
func parseScheme(d engine.Data, k kind) (scheme, error) {
	s := scheme{prehashed: d.Bool("prehashed"), padding: cmp.Or(d.String("signature_algorithm"), pss), form: cmp.Or(d.String("marshaling_algorithm"), asn1Form)}
	name := algorithm(d, "hash_algorithm", "algorithm")
	var err error
	if s.hash, err = parseHash(name, true); err != nil {
		return s, err
	}
	if s.salt, err = parseSalt(d.String("salt_length")); err != nil {
		return s, err
	}
	switch {
	case s.form != asn1Form && s.form != jwsForm:
		return s, engine.Invalidf("invalid marshaling type %s", strconv.Quote(s.form))
	case k.is().bits > 0 && s.padding != pss && s.padding != pkcs1v15:
		return s, engine.Invalidf("unsupported rsa signature algorithm %s", strconv.Quote(s.padding))
	case s.hash == 0 && (!s.prehashed || s.padding != pkcs1v15):
		return s, engine.Invalidf("hash_algorithm=none requires both prehashed=true and signature_algorithm=pkcs1v15")
	}
	return s, nil
}

// parseSalt reads salt_length.
func parseSalt(text string) (int, error) {
	switch text {
	case "", "auto":
		return rsa.PSSSaltLengthAuto, nil
	case "hash":
		return rsa.PSSSaltLengthEqualsHash, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < rsa.PSSSaltLengthEqualsHash || n > 1<<16 {
		return 0, engine.Invalidf("salt length %s is invalid: it must be \"auto\", \"hash\" or a number of bytes", strconv.Quote(text))
	}
	return n, nil
}

// with is s with the item's own context.
func (s scheme) with(it *item) scheme {
	s.context = it.SignatureContext
	return s
}

func (s scheme) encoding() *base64.Encoding {
	if s.form == jwsForm {
		return base64.RawURLEncoding
	}
	return base64.StdEncoding
}

// hashed is the hash of input.
func (s scheme) hashed(input []byte) []byte {
	if s.prehashed || s.hash == 0 {
		return input
	}
	return digest(s.hash, input)
}

// sign signs input.
func (s scheme) sign(private crypto.Signer, input []byte) ([]byte, error) {
	if _, ok := private.(ed25519.PrivateKey); ok {
		options, err := s.edOptions(input)
		if err != nil {
			return nil, err
		}
		return private.Sign(rand.Reader, input, options)
	}
	sum := s.hashed(input)
	var raw []byte
	var err error
	switch private := private.(type) {
	case *ecdsa.PrivateKey:
		if raw, err = ecdsa.SignASN1(rand.Reader, private, sum); err == nil && s.form == jwsForm {
			raw, err = toJWS(raw, fieldSize(&private.PublicKey))
		}
	case *rsa.PrivateKey:
		if s.padding == pkcs1v15 {
			raw, err = rsa.SignPKCS1v15(rand.Reader, private, s.hash, sum)
		} else {
			raw, err = rsa.SignPSS(rand.Reader, private, s.hash, sum, &rsa.PSSOptions{SaltLength: s.salt})
		}
	default:
		err = errKind
	}
	if err != nil {
		return nil, engine.Invalidf("failed to sign: %v", err)
	}
	return raw, nil
}

// verify says whether raw is a signature of input.
func (s scheme) verify(public crypto.PublicKey, input, raw []byte) (bool, error) {
	if public, ok := public.(ed25519.PublicKey); ok {
		options, err := s.edOptions(input)
		return err == nil && ed25519.VerifyWithOptions(public, input, raw, options) == nil, err
	}
	sum := s.hashed(input)
	switch public := public.(type) {
	case *ecdsa.PublicKey:
		if s.form == jwsForm {
			var err error
			if raw, err = fromJWS(raw, fieldSize(public)); err != nil {
				return false, err
			}
		}
		return ecdsa.VerifyASN1(public, sum, raw), nil
	case *rsa.PublicKey:
		if s.padding == pkcs1v15 {
			return rsa.VerifyPKCS1v15(public, s.hash, sum, raw) == nil, nil
		}
		return rsa.VerifyPSS(public, s.hash, sum, raw, &rsa.PSSOptions{SaltLength: s.salt}) == nil, nil
	}
	return false, errKind
}

// edOptions says which of Ed25519's three signatures (RFC 8032) is meant: ph for
// an input prehashed by SHA-512, ctx with a context, or the plain one, whatever
// other hash the request names.
func (s scheme) edOptions(input []byte) (*ed25519.Options, error) {
	context, err := unbase64(s.context, "signature_context")
	if err != nil {
		return nil, err
	}
	if len(context) > 255 {
		return nil, engine.Invalidf("signature_context has %d bytes, at most 255 are allowed", len(context))
	}
	options := &ed25519.Options{Context: string(context)}
	if s.prehashed && s.hash == crypto.SHA512 {
		options.Hash = crypto.SHA512
		if len(input) != crypto.SHA512.Size() {
			return nil, engine.Invalidf("the prehashed input has %d bytes, a hash by SHA-512 has %d", len(input), crypto.SHA512.Size())
		}
	}
	return options, nil
}

// fieldSize is the bytes of a number of the key's curve.
func fieldSize(public *ecdsa.PublicKey) int { return (public.Params().BitSize + 7) / 8 }

type rs struct{ R, S *big.Int }

// toJWS turns an ASN.1 signature into r and s of size bytes each.
func toJWS(der []byte, size int) ([]byte, error) {
	var v rs
	if _, err := asn1.Unmarshal(der, &v); err != nil {
		return nil, err
	}
	out := make([]byte, 2*size)
	v.R.FillBytes(out[:size])
	v.S.FillBytes(out[size:])
	return out, nil
}

// fromJWS undoes toJWS.
func fromJWS(raw []byte, size int) ([]byte, error) {
	if len(raw) != 2*size {
		return nil, engine.Invalidf("supplied signature is invalid: r and s must have %d bytes each", size)
	}
	return asn1.Marshal(rs{new(big.Int).SetBytes(raw[:size]), new(big.Int).SetBytes(raw[size:])})
}
