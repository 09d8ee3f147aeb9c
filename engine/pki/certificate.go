package pki

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // of a name of a key, by RFC 5280, 4.2.1.2: it protects nothing
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"time"

	"strongroom/engine"
	"strongroom/internal/storage"
)

const (
	serialSize = 20 // bytes of a serial number: RFC 5280, 4.1.2.2
	// certPrefix: cert/<serial, hex> is a certificate that was issued here: the name of
	// its authority (authoritySize bytes), then DER.
	certPrefix = "cert/"
)

// newSerial is a random serial number: positive, and always of the same size, with
// 158 random bits.
func newSerial() *big.Int {
	b := make([]byte, serialSize)
	rand.Read(b) // never fails: crypto/rand
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}

// signer is an issuer ready to sign.
type signer struct {
	*issuer
	key   *key
	chain []*issuer // its own first
	urls  urls
}

// signer is the issuer that ref names, ready to sign what usage says.
func (b *backend) signer(ctx context.Context, v storage.View, ref, usage string) (*signer, error) {
	i, err := b.issuer(ctx, v, ref)
	if err != nil {
		return nil, err
	}
	switch {
	case i.Key == "":
		return nil, engine.Invalidf("unable to use issuer %s: its private key is not in this mount", i.ID)
	case i.Revoked != 0:
		return nil, engine.Invalidf("unable to use issuer %s: it has been revoked", i.ID)
	case !i.may(usage):
		return nil, engine.Invalidf("unable to use issuer %s: it lacks the usage %s", i.ID, usage)
	}
	s := &signer{issuer: i}
	if s.key, err = b.key(ctx, v, i.Key); err != nil {
		return nil, err
	}
	if s.chain, err = b.chain(ctx, v, i); err != nil {
		return nil, err
	}
	c, err := b.settings(ctx, v)
	if err != nil {
		return nil, err
	}
	own := i.URLs
	if own.empty() {
		own = c.URLs
	}
	s.urls, err = own.filled(c, i.ID)
	return s, err
}

// signature is how the key of an issuer signs.
type signature struct {
	bits int64 // of the hash, for RSA: 256, 384, 512, or 0 for the usual one
	pss  bool  // for RSA
}

// signatureFields are its parameters.
func signatureFields() []engine.Field {
	return []engine.Field{
		{Name: "signature_bits", Type: engine.Int, Help: "Of an RSA issuer: 256, 384 or 512 for SHA-2; 0: 256."},
		{Name: "use_pss", Type: engine.Bool, Help: "An RSA issuer signs by PSS, not PKCS #1 v1.5."},
	}
}

func parseSignature(d engine.Data) (signature, error) {
	s := signature{d.Int("signature_bits"), d.Bool("use_pss")}
	return s, s.check()
}

func (s signature) check() error {
	switch s.bits {
	case 0, 256, 384, 512:
		return nil
	}
	return engine.Invalidf("unknown signature_bits %d: it must be 0, 256, 384 or 512", s.bits)
}

// algorithm is that of the signature by a key; 0 leaves it to the key.
func (s signature) algorithm(public crypto.PublicKey) x509.SignatureAlgorithm {
	if _, ok := public.(*rsa.PublicKey); !ok {
		return 0
	}
	switch {
	case s.bits == 384 && s.pss:
		return x509.SHA384WithRSAPSS
	case s.bits == 512 && s.pss:
		return x509.SHA512WithRSAPSS
	case s.pss:
		return x509.SHA256WithRSAPSS
	case s.bits == 384:
		return x509.SHA384WithRSA
	case s.bits == 512:
		return x509.SHA512WithRSA
	}
	return x509.SHA256WithRSA
}

// parseAlgorithm finds a signature algorithm by the name that Go's crypto/x509 gives it.
func parseAlgorithm(name string, public crypto.PublicKey) (x509.SignatureAlgorithm, error) {
	if name == "" {
		return 0, nil
	}
	allowed := map[string]map[string]x509.SignatureAlgorithm{
		"rsa": {"SHA256WithRSA": x509.SHA256WithRSA, "SHA384WithRSA": x509.SHA384WithRSA, "SHA512WithRSA": x509.SHA512WithRSA,
			"SHA256WithRSAPSS": x509.SHA256WithRSAPSS, "SHA384WithRSAPSS": x509.SHA384WithRSAPSS, "SHA512WithRSAPSS": x509.SHA512WithRSAPSS},
		"ec":      {"ECDSAWithSHA256": x509.ECDSAWithSHA256, "ECDSAWithSHA384": x509.ECDSAWithSHA384, "ECDSAWithSHA512": x509.ECDSAWithSHA512},
		"ed25519": {"Ed25519": x509.PureEd25519, "PureEd25519": x509.PureEd25519},
	}
	if a, ok := allowed[kindOf(public).name][name]; ok {
		return a, nil
	}
	return 0, engine.Invalidf("unknown or unsuitable signature algorithm %q: for this issuer's key it may be one of the names of Go's x509.SignatureAlgorithm, such as SHA256WithRSA or ECDSAWithSHA256", name)
}

// keyID names a public key in certificates: method 1 of RFC 5280, 4.2.1.2.
func keyID(public crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, engine.Invalidf("a key of this type is not supported: it must be RSA, ECDSA or Ed25519")
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, fmt.Errorf("pki: public key: %w", err)
	}
	sum := sha1.Sum(info.Key.Bytes)
	return sum[:], nil
}

// sign completes t, a certificate for public, and has the issuer sign it. What comes
// out is valid under the issuer, or refused.
func (s *signer) sign(t *x509.Certificate, public crypto.PublicKey, how signature) (*x509.Certificate, error) {
	var err error
	t.SerialNumber = newSerial()
	if len(t.SubjectKeyId) == 0 {
		if t.SubjectKeyId, err = keyID(public); err != nil {
			return nil, err
		}
	}
	t.IssuingCertificateURL, t.CRLDistributionPoints, t.OCSPServer = s.urls.Issuing, s.urls.CRL, s.urls.OCSP
	t.SignatureAlgorithm = how.algorithm(s.key.Public())
	der, err := x509.CreateCertificate(rand.Reader, t, s.cert, public, s.key)
	if err != nil {
		return nil, engine.Invalidf("unable to create the certificate: %v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("pki: parse what was made: %w", err)
	}
	return cert, s.verify(cert)
}

// verify refuses cert unless whoever trusts the top of the issuer's chain accepts it:
// path lengths and name constraints of all who stand above it hold, and the signature
// is right.
func (s *signer) verify(cert *x509.Certificate) error {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for n, i := range s.chain {
		if selfSigned(i.cert) || n == len(s.chain)-1 {
			roots.AddCert(i.cert)
		} else {
			between.AddCert(i.cert)
		}
	}
	shown := *cert // a copy: names that Go does not know, such as other_sans, are looked at by nobody
	shown.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(cert.UnhandledCriticalExtensions), func(id asn1.ObjectIdentifier) bool { return id.Equal(oidSAN()) })
	at := time.Now()
	if at.Before(cert.NotBefore) {
		at = cert.NotBefore
	}
	_, err := shown.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return engine.Invalidf("the certificate would not be valid under issuer %s: %v", s.ID, err)
	}
	return nil
}

// keep stores cert, so that it can be found and revoked by its serial number.
func keep(v storage.View, cert *x509.Certificate, authority string) error {
	name, err := hex.DecodeString(authority)
	if err != nil {
		return err
	}
	v.Put(certPrefix+hex.EncodeToString(cert.SerialNumber.Bytes()), append(name, cert.Raw...))
	return nil
}

// kept is what stands under a serial number, in hex: the certificate and its
// authority; nil if nothing does.
func kept(ctx context.Context, v storage.View, serial string) (*x509.Certificate, string, error) {
	if serial == "" {
		return nil, "", nil
	}
	e, err := v.Get(ctx, certPrefix+serial)
	if err != nil || !e.Exists() {
		return nil, "", err
	}
	if len(e.Value) < authoritySize {
		return nil, "", fmt.Errorf("pki: certificate %s is corrupt", serial)
	}
	cert, err := x509.ParseCertificate(e.Value[authoritySize:])
	if err != nil {
		return nil, "", fmt.Errorf("pki: certificate %s: %w", serial, err)
	}
	return cert, hex.EncodeToString(e.Value[:authoritySize]), nil
}
