package cluster

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"time"

	"strongroom/internal/secret"
)

// nodeName is the DNS name in every node certificate and the one each side
// demands of the other. Nodes move between addresses; what is proven is that
// the peer is a node of this cluster, and which (the subject's common name).
const nodeName = "node.strongroom.internal"

// lifetime of the CA and of node certificates. They are only good on the
// cluster port, where the list of removed certificates shuts out who is no
// member; an expiry there would be an outage and no protection. They are
// replaced by age long before it ends.
const lifetime = 20 * 365 * 24 * time.Hour

// skew allows for clocks that disagree when a certificate is new.
const skew = time.Hour

// maxNodeID is the longest node id, in bytes.
const maxNodeID = 128

// CA signs the certificates of one cluster's nodes. Its key belongs in the
// barrier: see Marshal.
type CA struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// NewCA makes the certificate authority of a new cluster.
func NewCA() (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cluster: make the CA's key: %w", err)
	}
	template := template("Strongroom cluster CA")
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign
	cert, err := create(template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("cluster: make the CA: %w", err)
	}
	return &CA{key, cert}, nil
}

// ParseCA reads what Marshal wrote.
func ParseCA(text secret.Bytes) (*CA, error) {
	key, certs, err := parsePEM(text)
	if err != nil {
		return nil, fmt.Errorf("cluster: read the CA: %w", err)
	}
	if key == nil || len(certs) != 1 || !certs[0].IsCA || !key.PublicKey.Equal(certs[0].PublicKey) {
		return nil, errors.New("cluster: read the CA: the certificate and the key are no pair")
	}
	return &CA{key, certs[0]}, nil
}

// Marshal returns the key and the certificate as PEM.
func (c *CA) Marshal() (secret.Bytes, error) {
	text, err := keyPEM(c.key)
	if err != nil {
		return nil, fmt.Errorf("cluster: encode the CA: %w", err)
	}
	return append(text, c.CertPEM()...), nil
}

// CertPEM returns the certificate, which is public.
func (c *CA) CertPEM() []byte { return certPEM(c.cert) }

// ID names the CA: see Trust.
func (c *CA) ID() string { return fingerprint(c.cert) }

// Made is when the CA was made.
func (c *CA) Made() time.Time { return c.cert.NotBefore.Add(skew) }

// Sign issues the certificate of a node from a request made by NewCSR.
func (c *CA) Sign(csr []byte) ([]byte, error) { return c.SignFor("", csr) }

// SignFor is Sign for a request that must name nodeID, unless that is "".
func (c *CA) SignFor(nodeID string, csr []byte) ([]byte, error) {
	block, rest := pem.Decode(csr)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("cluster: the certificate request is not PEM")
	}
	req, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("cluster: read the certificate request: %w", err)
	}
	if err := req.CheckSignature(); err != nil {
		return nil, fmt.Errorf("cluster: the certificate request is not signed by its key: %w", err)
	}
	key, ok := req.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("cluster: the certificate request's key is not ECDSA P-256")
	}
	if err := checkNodeID(req.Subject.CommonName); err != nil {
		return nil, err
	}
	if nodeID != "" && req.Subject.CommonName != nodeID {
		return nil, errors.New("cluster: the certificate request names another node")
	}
	// Nothing but the id and the key comes from the request.
	template := template(req.Subject.CommonName)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	template.DNSNames = []string{nodeName}
	cert, err := create(template, c.cert, key, c.key)
	if err != nil {
		return nil, fmt.Errorf("cluster: sign: %w", err)
	}
	return certPEM(cert), nil
}

// Issue makes the identity of the cluster's first node.
func (c *CA) Issue(nodeID string) (*Identity, error) {
	key, csr, err := NewCSR(nodeID)
	if err != nil {
		return nil, err
	}
	cert, err := c.Sign(csr)
	if err != nil {
		return nil, err
	}
	return NewIdentity(key, cert, c.CertPEM())
}

// NewCSR makes a node's key, and the request for its certificate as PEM.
func NewCSR(nodeID string) (*ecdsa.PrivateKey, []byte, error) {
	if err := checkNodeID(nodeID); err != nil {
		return nil, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("cluster: make a node key: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: nodeID}}, key)
	if err != nil {
		return nil, nil, fmt.Errorf("cluster: make a certificate request: %w", err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// Identity is what a node is on the cluster port, and whom it trusts there. It
// opens nothing but that port, so it is kept in plain text: Raft runs while the
// node is sealed. It does not change; see With.
type Identity struct {
	NodeID string
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate
	trust  Trust
	issuer string // ID of the CA that issued cert
}

// NewIdentity joins a key with the certificate that a CA of the PEM bundle cas
// issued for it.
func NewIdentity(key *ecdsa.PrivateKey, cert, cas []byte) (*Identity, error) {
	trust, err := ParseTrust(cas, 0)
	if err != nil {
		return nil, err
	}
	_, certs, err := parsePEM(cert)
	if err != nil {
		return nil, fmt.Errorf("cluster: read the node's certificate: %w", err)
	}
	if len(certs) != 1 {
		return nil, fmt.Errorf("cluster: the node has %d certificates, not one", len(certs))
	}
	return newIdentity(key, certs[0], trust)
}

func newIdentity(key *ecdsa.PrivateKey, cert *x509.Certificate, trust Trust) (*Identity, error) {
	id := &Identity{NodeID: cert.Subject.CommonName, key: key, cert: cert, trust: trust}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("cluster: the node's certificate is for another key")
	}
	if _, err := cert.Verify(x509.VerifyOptions{DNSName: nodeName, Roots: trust.pool()}); err != nil {
		return nil, fmt.Errorf("cluster: the node's certificate: %w", err)
	}
	id.issuer = trust.issuer(cert)
	return id, nil
}

// Serial names the node's certificate among those of all CAs, in hexadecimal.
func (id *Identity) Serial() string { return serial(id.cert) }

// Issuer is the ID of the CA that issued the node's certificate.
func (id *Identity) Issuer() string { return id.issuer }

// Made is when the node's certificate was issued.
func (id *Identity) Made() time.Time { return id.cert.NotBefore.Add(skew) }

// Trust is whom the node trusts.
func (id *Identity) Trust() Trust { return id.trust }

// With is the same node trusting t, and the CA of its own certificate besides.
func (id *Identity) With(t Trust) *Identity {
	own := id.Issuer()
	if !t.Has(own) {
		for _, ca := range id.trust.cas {
			if fingerprint(ca) == own {
				t.cas = append(slices.Clone(t.cas), ca)
			}
		}
	}
	return &Identity{NodeID: id.NodeID, key: id.key, cert: id.cert, trust: t, issuer: own}
}

// Renew is the same node with the certificate that was issued for key.
func (id *Identity) Renew(key *ecdsa.PrivateKey, cert []byte) (*Identity, error) {
	_, certs, err := parsePEM(cert)
	if err != nil || len(certs) != 1 {
		return nil, errors.New("cluster: the new certificate is not one PEM certificate")
	}
	next, err := newIdentity(key, certs[0], id.trust)
	if err == nil && next.NodeID != id.NodeID {
		err = fmt.Errorf("cluster: the new certificate is for node %q, not %q", next.NodeID, id.NodeID)
	}
	return next, err
}

// LoadIdentity reads what Save wrote; the error is fs.ErrNotExist if there is
// no such file.
func LoadIdentity(path string) (*Identity, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cluster: load the node's identity: %w", err)
	}
	version, text := takeVersion(text)
	key, certs, err := parsePEM(text)
	if err == nil && (key == nil || len(certs) < 2) {
		err = errors.New("it is incomplete")
	}
	if err == nil {
		var id *Identity
		if id, err = newIdentity(key, certs[0], Trust{Version: version, cas: certs[1:]}); err == nil {
			return id, nil
		}
	}
	return nil, fmt.Errorf("cluster: %s is damaged (%w); remove it together with the storage folder and let the node join again", path, err)
}

// Save writes the identity to path, readable by the owner only, as a whole or
// not at all.
func (id *Identity) Save(path string) error {
	text, err := keyPEM(id.key)
	if err != nil {
		return fmt.Errorf("cluster: encode the node's identity: %w", err)
	}
	text = append(append(text, certPEM(id.cert)...), id.trust.PEM()...)
	text = append(text, versionPEM(id.trust.Version)...)
	f, err := os.CreateTemp(filepath.Dir(path), ".identity-*") // mode 0600
	if err != nil {
		return fmt.Errorf("cluster: save the node's identity: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("cluster: save the node's identity: %w", errors.Join(err, os.Remove(f.Name())))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("cluster: save the node's identity: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("cluster: save the node's identity: %w", err)
	}
	return nil
}

// config is the TLS of both directions: TLS 1.3, both sides proven to be nodes
// of this cluster.
func (id *Identity) config(protocols ...string) *tls.Config {
	pool := id.trust.pool()
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{{Certificate: [][]byte{id.cert.Raw}, PrivateKey: id.key, Leaf: id.cert}},
		RootCAs:                pool,
		ServerName:             nodeName,
		ClientCAs:              pool,
		ClientAuth:             tls.RequireAndVerifyClientCert,
		NextProtos:             protocols,
		SessionTicketsDisabled: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if s.NegotiatedProtocol == "" {
				return errors.New("cluster: the peer speaks no protocol of ours")
			}
			return s.PeerCertificates[0].VerifyHostname(nodeName)
		},
	}
}

func checkNodeID(id string) error {
	if id == "" || len(id) > maxNodeID {
		return fmt.Errorf("cluster: a node id has 1 to %d characters", maxNodeID)
	}
	for _, r := range id {
		if r <= ' ' || r > '~' {
			return errors.New("cluster: a node id is printable ASCII without spaces")
		}
	}
	return nil
}

func template(commonName string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: commonName},
		NotBefore: now.Add(-skew), NotAfter: now.Add(lifetime),
	}
}

func create(template, parent *x509.Certificate, public *ecdsa.PublicKey, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// parsePEM reads at most one private key, and certificates in order.
func parsePEM(text []byte) (key *ecdsa.PrivateKey, certs []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		switch block.Type {
		case "PRIVATE KEY":
			k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, nil, err
			}
			var ok bool
			if key, ok = k.(*ecdsa.PrivateKey); !ok {
				return nil, nil, errors.New("the key is not ECDSA")
			}
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, err
			}
			certs = append(certs, c)
		default:
			return nil, nil, fmt.Errorf("unexpected PEM block %q", block.Type)
		}
	}
	if len(bytes.TrimSpace(text)) > 0 {
		return nil, nil, errors.New("it is not PEM")
	}
	return key, certs, nil
}
