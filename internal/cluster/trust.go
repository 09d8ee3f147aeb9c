package cluster

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

// maxTrust is the most CAs a node trusts at a time: one, and two while one is
// replaced; a few more for a restore in the middle of that.
const maxTrust = 8

// Trust is the set of CAs whose certificates a node accepts on its port. It does not
// change.
type Trust struct {
	// Version orders the sets that a cluster has had: a node never goes back to
	// an older one, although its state may, for a moment, when it restarts.
	Version uint64
	cas     []*x509.Certificate
}

// ParseTrust reads a bundle of CA certificates in PEM. The first is the one that
// issues.
func ParseTrust(bundle []byte, version uint64) (Trust, error) {
	key, certs, err := parsePEM(bundle)
	if err == nil && (key != nil || len(certs) == 0 || len(certs) > maxTrust) {
		err = fmt.Errorf("it holds not 1 to %d certificates alone", maxTrust)
	}
	for _, c := range certs {
		if err == nil && !c.IsCA {
			err = errors.New("a certificate in it is no CA's")
		}
	}
	if err != nil {
		return Trust{}, fmt.Errorf("cluster: read the trusted CAs: %w", err)
	}
	return Trust{Version: version, cas: certs}, nil
}

// PEM returns the bundle that ParseTrust reads.
func (t Trust) PEM() []byte {
	var b []byte
	for _, c := range t.cas {
		b = append(b, certPEM(c)...)
	}
	return b
}

// IDs are the CAs, the issuing one first; each is the SHA-256 of its certificate
// in hexadecimal.
func (t Trust) IDs() []string {
	ids := make([]string, 0, len(t.cas))
	for _, c := range t.cas {
		ids = append(ids, fingerprint(c))
	}
	return ids
}

// Issuing is the ID of the CA that issues; "" of the zero Trust.
func (t Trust) Issuing() string {
	if len(t.cas) == 0 {
		return ""
	}
	return fingerprint(t.cas[0])
}

// Has says whether the CA id is in t.
func (t Trust) Has(id string) bool {
	for _, c := range t.cas {
		if fingerprint(c) == id {
			return true
		}
	}
	return false
}

// Add is t and ca, which does not issue yet.
func (t Trust) Add(ca *CA) Trust {
	return Trust{cas: append(t.without(ca.ID()), ca.cert)}
}

// First is t with ca as the issuing one.
func (t Trust) First(ca *CA) Trust {
	return Trust{cas: append([]*x509.Certificate{ca.cert}, t.without(ca.ID())...)}
}

// Only trusts ca alone.
func Only(ca *CA) Trust { return Trust{cas: []*x509.Certificate{ca.cert}} }

func (t Trust) without(id string) []*x509.Certificate {
	out := make([]*x509.Certificate, 0, len(t.cas)+1)
	for _, c := range t.cas {
		if fingerprint(c) != id {
			out = append(out, c)
		}
	}
	return out
}

// issuer is the ID of the CA in t that signed cert.
func (t Trust) issuer(cert *x509.Certificate) string {
	for _, c := range t.cas {
		if cert.CheckSignatureFrom(c) == nil {
			return fingerprint(c)
		}
	}
	return ""
}

func (t Trust) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range t.cas {
		pool.AddCert(c)
	}
	return pool
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

func serial(c *x509.Certificate) string { return c.SerialNumber.Text(16) }

// Serial is the serial of a certificate in PEM, as Identity.Serial gives it.
func Serial(cert []byte) (string, error) {
	_, certs, err := parsePEM(cert)
	if err != nil || len(certs) != 1 {
		return "", errors.New("cluster: not one PEM certificate")
	}
	return serial(certs[0]), nil
}

// versionBlock ends an identity file.
const versionBlock = "STRONGROOM TRUST VERSION"

func versionPEM(version uint64) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: versionBlock, Bytes: binary.BigEndian.AppendUint64(nil, version)})
}

// takeVersion cuts the version off the end of an identity file; 0 without one.
func takeVersion(text []byte) (version uint64, rest []byte) {
	i := bytes.LastIndex(text, []byte("-----BEGIN "+versionBlock))
	if i < 0 {
		return 0, text
	}
	block, after := pem.Decode(text[i:])
	if block == nil || len(block.Bytes) != 8 || len(bytes.TrimSpace(after)) > 0 {
		return 0, text
	}
	return binary.BigEndian.Uint64(block.Bytes), text[:i]
}
