package template

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"strings"
	texttemplate "text/template"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"
)

// maxCertificates bounds a chain or a trust store.
const maxCertificates = 512

// keystores makes and opens what Java and Windows read. The same arguments make the same bytes: what has to look random
// in a keystore is drawn from its secret contents, for a Secret that changed at every look would never be at rest.
func keystores(budget *budget) texttemplate.FuncMap {
	slow := func(make func() (string, error)) (string, error) {
		if _, err := budget.turn(); err != nil { // and the time
			return "", err
		}
		return make()
	}
	return texttemplate.FuncMap{
		"pkcs12": func(password, certificates, key any) (string, error) {
			return slow(func() (string, error) { return makePKCS12(textOf(password), textOf(certificates), textOf(key)) })
		},
		"pkcs12Trust": func(password, certificates any) (string, error) {
			return slow(func() (string, error) { return makePKCS12Trust(textOf(password), textOf(certificates)) })
		},
		"jks": func(password, certificates, key any) (string, error) {
			return slow(func() (string, error) { return makeJKS(textOf(password), textOf(certificates), textOf(key)) })
		},
		"jksTrust": func(password, certificates any) (string, error) {
			return slow(func() (string, error) { return makeJKS(textOf(password), textOf(certificates), "") })
		},
		"pemCertificates": func(v any) (string, error) { return pemOnly(textOf(v), "CERTIFICATE") },
		"pemCRLs":         func(v any) (string, error) { return pemOnly(textOf(v), "X509 CRL") },
		"pemLeaf":         pemLeaf,
		"pemChain":        pemChain,
	}
}

// drawn is a stream that looks random to who does not know the parts, and is the same for the same parts.
func drawn(parts ...string) io.Reader {
	hash := sha256.New()
	for _, part := range parts {
		_ = binary.Write(hash, binary.BigEndian, uint64(len(part)))
		hash.Write([]byte(part))
	}
	block, err := aes.NewCipher(hash.Sum(nil))
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	return &stream{cipher.NewCTR(block, make([]byte, aes.BlockSize))}
}

type stream struct{ cipher.Stream }

func (s *stream) Read(p []byte) (int, error) {
	clear(p)
	s.XORKeyStream(p, p)
	return len(p), nil
}

// blocks are the PEM blocks of a type.
func blocks(text, kind string) []*pem.Block {
	var found []*pem.Block
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return found
		}
		if block.Type == kind || kind == "PRIVATE KEY" && strings.HasSuffix(block.Type, kind) {
			found = append(found, block)
		}
	}
}

func certificatesOf(text string) ([]*x509.Certificate, error) {
	found := blocks(text, "CERTIFICATE")
	if len(found) == 0 || len(found) > maxCertificates {
		return nil, errors.New("the value holds no PEM certificate, or more than 512")
	}
	certificates := make([]*x509.Certificate, len(found))
	for i, block := range found {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("the value holds a PEM certificate that cannot be read")
		}
		certificates[i] = certificate
	}
	return certificates, nil
}

// privateKey reads a PEM key of PKCS#1, SEC 1 or PKCS#8.
func privateKey(text string) (any, error) {
	for _, block := range blocks(text, "PRIVATE KEY") {
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			return key, nil
		}
		if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			return key, nil
		}
		if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			return key, nil
		}
	}
	return nil, errors.New("the value holds no PEM private key that can be read")
}

func makePKCS12(password, certificates, key string) (string, error) {
	chain, err := certificatesOf(certificates)
	if err != nil {
		return "", err
	}
	private, err := privateKey(key)
	if err != nil {
		return "", err
	}
	out, err := pkcs12.Modern.WithRand(drawn("pkcs12", password, certificates, key)).Encode(private, chain[0], chain[1:], password)
	if err != nil {
		return "", errors.New("key and certificates do not make a PKCS#12 file")
	}
	return bounded(string(out))
}

func makePKCS12Trust(password, certificates string) (string, error) {
	chain, err := certificatesOf(certificates)
	if err != nil {
		return "", err
	}
	out, err := pkcs12.Modern.WithRand(drawn("trust", password, certificates)).EncodeTrustStore(chain, password)
	if err != nil {
		return "", errors.New("the certificates do not make a PKCS#12 file")
	}
	return bounded(string(out))
}

// makeJKS makes a keystore with the entry "certificate", or without a key a trust store.
func makeJKS(password, certificates, key string) (string, error) {
	chain, err := certificatesOf(certificates)
	if err != nil {
		return "", err
	}
	if len(password) < 6 {
		return "", errors.New("a JKS password has six characters or more")
	}
	store := keystore.New(keystore.WithOrderedAliases(), keystore.WithCustomRandomNumberGenerator(drawn("jks", password, certificates, key)))
	entries := make([]keystore.Certificate, len(chain))
	for i, certificate := range chain {
		entries[i] = keystore.Certificate{Type: "X509", Content: certificate.Raw}
	}
	made := chain[0].NotBefore // not now: the same source makes the same bytes
	if key == "" {
		for i, entry := range entries {
			alias := "ca" + textOf(jsonOf(i))
			if err := store.SetTrustedCertificateEntry(alias, keystore.TrustedCertificateEntry{CreationTime: made, Certificate: entry}); err != nil {
				return "", errors.New("the certificates do not make a JKS file")
			}
		}
	} else {
		private, err := privateKey(key)
		if err != nil {
			return "", err
		}
		encoded, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			return "", errors.New("the private key cannot be PKCS#8")
		}
		entry := keystore.PrivateKeyEntry{CreationTime: made, PrivateKey: encoded, CertificateChain: entries}
		if err := store.SetPrivateKeyEntry("certificate", entry, []byte(password)); err != nil {
			return "", errors.New("key and certificates do not make a JKS file")
		}
	}
	var out bytes.Buffer
	if err := store.Store(&out, []byte(password)); err != nil {
		return "", errors.New("key and certificates do not make a JKS file")
	}
	return bounded(out.String())
}

// pemOnly keeps the PEM blocks of a type.
func pemOnly(text, kind string) (string, error) {
	found := blocks(text, kind)
	if len(found) == 0 {
		return "", errors.New("the value holds no PEM block of type " + kind)
	}
	var out bytes.Buffer
	for _, block := range found {
		if err := pem.Encode(&out, block); err != nil {
			return "", errors.New("the value holds a PEM block that cannot be written")
		}
	}
	return bounded(out.String())
}

func pemLeaf(v any) (string, error) {
	found := blocks(textOf(v), "CERTIFICATE")
	if len(found) == 0 {
		return "", errors.New("the value holds no PEM certificate")
	}
	return string(pem.EncodeToMemory(found[0])), nil
}

// pemChain is all certificates after the first; "" where there are none.
func pemChain(v any) (string, error) {
	found := blocks(textOf(v), "CERTIFICATE")
	if len(found) == 0 {
		return "", errors.New("the value holds no PEM certificate")
	}
	var out bytes.Buffer
	for _, block := range found[1:] {
		out.Write(pem.EncodeToMemory(block))
	}
	return out.String(), nil
}
