package server

import (
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
	"os"
	"path/filepath"
	"time"
)

// The files -dev-tls writes, by Vault's names.
const (
	devCAFile   = "vault-ca.pem"
	devCertFile = "vault-cert.pem"
	devKeyFile  = "vault-key.pem"
)

// devCertificates makes a certificate authority whose key is dropped and a certificate of it for this machine and the extra names, good for a month.
func (o *Options) devCertificates(t *ListenerTLS) error {
	if o.DevTLSCertDir == "" {
		dir, err := os.MkdirTemp("", "strongroom-tls-")
		if err != nil {
			return err
		}
		o.DevTLSCertDir = dir
	}
	if err := os.MkdirAll(o.DevTLSCertDir, 0o700); err != nil {
		return err
	}
	ca, cert, key, err := devPKI(append(devNames(o.DevListenAddress), o.DevTLSSANs...))
	if err != nil {
		return err
	}
	t.CertFile, t.KeyFile = filepath.Join(o.DevTLSCertDir, devCertFile), filepath.Join(o.DevTLSCertDir, devKeyFile)
	return errors.Join(
		os.WriteFile(filepath.Join(o.DevTLSCertDir, devCAFile), ca, 0o644),
		os.WriteFile(t.CertFile, cert, 0o644),
		os.WriteFile(t.KeyFile, key, 0o600),
	)
}

// devNames are those a development server is called by.
func devNames(address string) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil {
		names = append(names, name)
	}
	if host, _, err := net.SplitHostPort(address); err == nil && host != "" {
		names = append(names, host)
	}
	return names
}

// devPKI makes the three PEM files.
func devPKI(names []string) (ca, cert, key []byte, err error) {
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Strongroom development CA"},
		NotBefore: now.Add(-time.Minute), NotAfter: now.AddDate(0, 1, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, name)
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	caDER, err := x509.CreateCertificate(rand.Reader, authority, authority, caKey.Public(), caKey)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("certificate authority: %w", err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, authority, leafKey.Public(), caKey)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		return nil, nil, nil, err
	}
	encode := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	return encode("CERTIFICATE", caDER), encode("CERTIFICATE", leafDER), encode("PRIVATE KEY", keyDER), nil
}
