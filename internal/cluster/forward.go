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
	p, ok := ctx.Value(peerKey{}).(*peer)
	if !ok {
		return "", false
	}
	return p.id, true
}

// NotActive is the header of an answer that means: nothing happened, ask another node.
const NotActive = "X-Strongroom-Not-Active"

// serve refuses a node that was removed after it connected: not with a status that the
// client whose request it forwards would take for its token's.
func (l *Listener) serve(w http.ResponseWriter, r *http.Request) {
	if p, ok := r.Context().Value(peerKey{}).(*peer); !ok || p.removed.Load() {
		w.Header().Set(NotActive, "1")
		http.Error(w, ErrRemoved.Error(), http.StatusServiceUnavailable)
		return
	}
	l.cfg.Handler.ServeHTTP(w, r)
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
		Handler:           http.HandlerFunc(l.serve),
		Protocols:         protocols(),
		HTTP2:             health(),
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    1 << 20,
		ErrorLog:          l.cfg.Logger.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, c.(*peer))
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
