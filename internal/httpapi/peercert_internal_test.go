package httpapi

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"

	"strongroom/internal/node"
)

func certificate(t *testing.T) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// What a client proved to a standby arrives at the leader; what it merely claims does not.
func TestPeerCrossesForwarding(t *testing.T) {
	cert, forged := certificate(t), certificate(t)
	r := httptest.NewRequest(http.MethodPost, "/v1/auth/cert/login", nil)
	x := &exchange{r: r}
	x.setPeer(r.Header)
	if x.peer() != nil || r.Header.Get(peerHeader) != "" {
		t.Error("a client without a certificate has one")
	}
	(&exchange{r: &http.Request{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{forged}}}}).setPeer(r.Header)
	if x.peer() != nil {
		t.Error("a client's own header counts")
	}
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert, forged}}
	leader := node.LeaderInfo{}
	leader.ClusterAddr = "127.0.0.1:1"
	out, err := x.outgoing(t.Context(), leader, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := (&exchange{r: out, forwarded: true}).peer()
	if len(got) != 2 || !got[0].Equal(cert) || !got[1].Equal(forged) {
		t.Errorf("%d certificates arrive", len(got))
	}
	for _, bad := range []string{"!", "AAAA"} {
		out.Header.Set(peerHeader, bad)
		if (&exchange{r: out, forwarded: true}).peer() != nil {
			t.Errorf("%q gives a certificate", bad)
		}
	}
	r.TLS.PeerCertificates = make([]*x509.Certificate, 99)
	if n := len(x.peer()); n != maxPeerCerts {
		t.Errorf("%d certificates are taken", n)
	}
}
