package tlssecret

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

const (
	skew = 5 * time.Minute // by which a clock that reads a new certificate may be behind
	// An authority lives for caLives times as long as what it issues, and has a successor when less than caSpare times that is left, so that
	// nothing outlives its authority.
	caLives, caSpare = 10, 3
)

// authority is a CA with its key.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return n
}

// newAuthority makes a CA. name is for people, who may have to tell several apart.
func newAuthority(name string, now time.Time, life time.Duration) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: name + " " + now.UTC().Format(time.DateOnly)}, NotBefore: now.Add(-skew), NotAfter: now.Add(life),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	cert, err := sign(t, t, &key.PublicKey, key)
	return &authority{cert, key}, err
}

// Names are what a certificate is for.
type Names struct {
	DNS []string
	IP  []net.IP
}

// issue makes a certificate and its key, for servers and, as nodes show it to each other's API when they join, clients.
func (a *authority) issue(names Names, now time.Time, life time.Duration) (cert *x509.Certificate, key *ecdsa.PrivateKey, err error) {
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{SerialNumber: serial(), NotBefore: now.Add(-skew), NotAfter: now.Add(life), DNSNames: names.DNS, IPAddresses: names.IP,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if len(names.DNS) > 0 && len(names.DNS[0]) <= 64 { // X.520's bound; clients look at the names above only
		t.Subject.CommonName = names.DNS[0]
	}
	if t.NotAfter.After(a.cert.NotAfter) {
		t.NotAfter = a.cert.NotAfter
	}
	cert, err = sign(t, a.cert, &key.PublicKey, a.key)
	return cert, key, err
}

func sign(t, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// covers says whether cert is for exactly names.
func (n Names) covers(cert *x509.Certificate) bool {
	set := func(list []string) []string {
		list = slices.Clone(list)
		slices.Sort(list)
		return slices.Compact(list)
	}
	return slices.Equal(set(n.DNS), set(cert.DNSNames)) && slices.Equal(set(ips(n.IP)), set(ips(cert.IPAddresses)))
}

func certPEM(certs ...*x509.Certificate) []byte {
	var b []byte
	for _, c := range certs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return b
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

var errPEM = errors.New("it is not as this program writes it")

// parse reads certificates and keys in any order; its error quotes nothing.
func parse(text []byte) (certs []*x509.Certificate, keys []*ecdsa.PrivateKey, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		switch block.Type {
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, errPEM
			}
			certs = append(certs, c)
		case "PRIVATE KEY":
			k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			key, ok := k.(*ecdsa.PrivateKey)
			if err != nil || !ok {
				return nil, nil, errPEM
			}
			keys = append(keys, key)
		default:
			return nil, nil, errPEM
		}
	}
	if len(bytes.TrimSpace(text)) > 0 {
		return nil, nil, errPEM
	}
	return certs, keys, nil
}
