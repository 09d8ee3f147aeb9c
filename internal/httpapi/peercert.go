package httpapi

import (
	"crypto/x509"
	"encoding/base64"
	"net/http"
)

const (
	// peerHeader carries the client's certificates between nodes, one DER in
	// base64 each. It counts from another node only, and is never copied from a
	// client's own headers.
	peerHeader = "X-Strongroom-Peer"
	// maxPeerCerts bounds how long a chain is carried: a handshake may show more
	// than any login needs.
	maxPeerCerts = 10
)

// peer are the certificates that the client has shown, its own first: it has
// proved in the handshake, here or at the node which forwards, that it holds its key.
func (x *exchange) peer() []*x509.Certificate {
	if !x.forwarded {
		if x.r.TLS == nil {
			return nil
		}
		return bounded(x.r.TLS.PeerCertificates)
	}
	var certs []*x509.Certificate
	for _, text := range bounded(x.r.Header.Values(peerHeader)) {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil
		}
		certs = append(certs, cert)
	}
	return certs
}

func bounded[T any](list []T) []T { return list[:min(len(list), maxPeerCerts)] }

// setPeer tells the node that out is forwarded to which certificates the client has shown.
func (x *exchange) setPeer(out http.Header) {
	for _, c := range x.peer() {
		out.Add(peerHeader, base64.StdEncoding.EncodeToString(c.Raw))
	}
}
