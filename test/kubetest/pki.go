package kubetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lifetime of every certificate; a control plane lives for minutes or hours.
const lifetime = 30 * 24 * time.Hour

// pki is a control plane's certificate authority and the folder it writes to.
type pki struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
	pem  []byte // the CA certificate
}

// newPKI makes a certificate authority, dir/ca.crt, and the key that signs
// service-account tokens, dir/service-account.key: RSA, so that tokens are
// RS256 as those of kubeadm, K3s and the clouds are.
func newPKI(dir string) (*pki, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificate(pkix.Name{CommonName: "kubetest-ca"})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	p := &pki{dir: dir, key: key, pem: encodePEM("CERTIFICATE", der)}
	if p.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	if err := p.write("ca.crt", p.pem); err != nil {
		return nil, err
	}
	tokens, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	if err := p.writeKey("service-account.key", tokens); err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(tokens.Public())
	if err != nil {
		return nil, err
	}
	return p, p.write("service-account.pub", encodePEM("PUBLIC KEY", public))
}

// issue writes dir/name.crt and name.key: for a server when it has hosts (names
// or addresses), else for a client, who is subject to Kubernetes: O is a group,
// CN the user.
func (p *pki) issue(name string, subject pkix.Name, hosts ...string) error {
	template := certificate(subject)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(hosts) > 0 {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.cert, key.Public(), p.key)
	if err != nil {
		return err
	}
	if err := p.writeKey(name+".key", key); err != nil {
		return err
	}
	return p.write(name+".crt", encodePEM("CERTIFICATE", der))
}

// kubeconfig writes a kubeconfig at path for the client certificate name. It
// holds all it needs, so that it may be copied elsewhere.
func (p *pki) kubeconfig(path, server, name string) error {
	cert, err := os.ReadFile(p.path(name + ".crt"))
	if err != nil {
		return err
	}
	key, err := os.ReadFile(p.path(name + ".key"))
	if err != nil {
		return err
	}
	type object = map[string]any
	config, err := json.MarshalIndent(object{ // JSON is YAML
		"apiVersion": "v1", "kind": "Config", "current-context": "kubetest",
		"clusters": []object{{"name": "kubetest", "cluster": object{"server": server, "certificate-authority-data": p.pem}}},
		"users":    []object{{"name": name, "user": object{"client-certificate-data": cert, "client-key-data": key}}},
		"contexts": []object{{"name": "kubetest", "context": object{"cluster": "kubetest", "user": name}}},
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(config, '\n'), 0o600)
}

// clientTLS is how the client certificate name talks to the API server.
func (p *pki) clientTLS(name string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(p.path(name+".crt"), p.path(name+".key"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(p.cert)
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

func (p *pki) path(name string) string { return filepath.Join(p.dir, name) }

func (p *pki) write(name string, content []byte) error {
	return os.WriteFile(p.path(name), content, 0o600)
}

func (p *pki) writeKey(name string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return p.write(name, encodePEM("PRIVATE KEY", der))
}

func certificate(subject pkix.Name) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // rand.Reader never fails
	return &x509.Certificate{
		SerialNumber: serial, Subject: subject,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(lifetime),
	}
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
