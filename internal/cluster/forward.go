package cluster

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"
)

type peerKey struct{}

// PeerID is the node that forwarded the request with this context.
func PeerID(ctx context.Context) (id string, ok bool) {
	id, ok = ctx.Value(peerKey{}).(string)
	return id, ok
}

// Forwarded requests are HTTP/2 inside the mutual TLS that dial and welcome
// made: to net/http, whose conns are peers and not *tls.Conn, "unencrypted".
func protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

func health() *http.HTTP2Config {
	return &http.HTTP2Config{
		SendPingTimeout: pingAfter, PingTimeout: pingTimeout, WriteByteTimeout: dialTimeout,
		MaxConcurrentStreams: 1000,
	}
}

func (l *Listener) newServer() *http.Server {
	return &http.Server{
		Handler:           l.cfg.Handler,
		Protocols:         protocols(),
		HTTP2:             health(),
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    1 << 20,
		ErrorLog:          l.cfg.Logger.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, c.(*peer).id)
		},
	}
}

func (l *Listener) newClient() *http.Transport {
	return &http.Transport{
		Protocols:          protocols(),
		HTTP2:              health(),
		DisableCompression: true, // the response passes through unchanged
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return l.dial(ctx, addr, "", protocolForward)
		},
	}
}

// RoundTripper sends requests to the node at addr (its advertised host:port),
// whatever the scheme and host of their URL; the Host header is kept. All
// requests to one address share one connection, made when needed, pinged, and
// made again after a failure.
func (l *Listener) RoundTripper(addr string) http.RoundTripper { return roundTripper{l, addr} }

type roundTripper struct {
	l    *Listener
	addr string
}

// RoundTrip implements http.RoundTripper.
func (r roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	out, to := *req, *req.URL
	if out.Host == "" {
		out.Host = to.Host
	}
	to.Scheme, to.Host = "http", r.addr
	out.URL = &to
	return r.l.client.RoundTrip(&out)
}
