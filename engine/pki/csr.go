package pki

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"slices"
	"strings"

	"strongroom/engine"
)

// maxBundle bounds what is parsed as PEM, in bytes.
const maxBundle = 1 << 20

// parseCSR reads a request for a certificate, and makes sure that who made it has the key.
func parseCSR(text string) (*x509.CertificateRequest, error) {
	if text == "" {
		return nil, engine.Invalidf("\"csr\" is empty")
	}
	if len(text) > maxBundle {
		return nil, engine.Invalidf("csr is over the limit of %d bytes", maxBundle)
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
		return nil, engine.Invalidf("csr contains no data: it must be PEM of a CERTIFICATE REQUEST")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, engine.Invalidf("certificate request could not be parsed")
	}
	if kindOf(csr.PublicKey).name == "" {
		return nil, engine.Invalidf("the key of the certificate request is not supported: it must be RSA, ECDSA (P-224 to P-521) or Ed25519")
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, engine.Invalidf("request signature invalid: it is not by the key of the request")
	}
	return csr, nil
}

// namesOf are the alternative names that a request asks for, and its user IDs.
func namesOf(csr *x509.CertificateRequest) (*names, error) {
	n := &names{common: csr.Subject.CommonName, dns: csr.DNSNames, emails: csr.EmailAddresses, ips: csr.IPAddresses, uris: csr.URIs, serial: csr.Subject.SerialNumber}
	var strange bool
	if n.other, strange = othersOf(csr.Extensions); strange {
		return nil, engine.Invalidf("the certificate request asks for alternative names of a kind that is not supported: they may be DNS, e-mail, IP, URI, and otherName of UTF8String")
	}
	for _, a := range csr.Subject.Names {
		if text, ok := a.Value.(string); ok && a.Type.Equal(oidUserID()) {
			n.userIDs = append(n.userIDs, text)
		}
	}
	return n, nil
}

// isCA says whether a request asks to be a certificate authority.
func isCA(csr *x509.CertificateRequest) bool {
	for _, e := range csr.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 19}) {
			var c struct {
				IsCA       bool `asn1:"optional"`
				MaxPathLen int  `asn1:"optional,default:-1"`
			}
			if rest, err := asn1.Unmarshal(e.Value, &c); err != nil || len(rest) > 0 || c.IsCA {
				return true // what cannot be read is not taken for harmless
			}
		}
	}
	return false
}

// bundle is what a text of PEM holds.
type bundle struct {
	certs []*x509.Certificate
	keys  []crypto.Signer
}

// parseBundle reads certificates and private keys in PEM, in any order. Lists of
// revoked certificates are passed over, and what stands between the blocks.
func parseBundle(text string) (*bundle, error) {
	if len(text) > maxBundle {
		return nil, engine.Invalidf("the bundle is over the limit of %d bytes", maxBundle)
	}
	out := &bundle{}
	// Files without a line's end at their end, as -field prints them, meet when they are concatenated.
	rest := []byte(strings.TrimSpace(strings.ReplaceAll(text, "----------", "-----\n-----")))
	defer clear(rest)
	for len(rest) > 0 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch {
		case block.Type == "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, engine.Invalidf("certificate %d of the bundle could not be parsed", len(out.certs)+1)
			}
			if !slices.ContainsFunc(out.certs, c.Equal) {
				out.certs = append(out.certs, c)
			}
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			k, err := parsePrivate(block.Bytes)
			clear(block.Bytes)
			if err != nil {
				return nil, err
			}
			out.keys = append(out.keys, k)
		case block.Type == "X509 CRL" || strings.HasSuffix(block.Type, "PARAMETERS"):
		default:
			return nil, engine.Invalidf("the bundle holds a PEM block that is neither a certificate nor a private key")
		}
	}
	if len(out.certs)+len(out.keys) == 0 {
		return nil, engine.Invalidf("provided PEM block contained no data: it must hold certificates or private keys")
	}
	return out, nil
}
