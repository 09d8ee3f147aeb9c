package vaultclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	vault "github.com/hashicorp/vault/api"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
)

const (
	defaultTimeout = 10 * time.Second
	dialTimeout    = 3 * time.Second
	maxBody        = 8 << 20 // bytes of one answer
	maxIdlePerHost = 16
)

// Server says where a server is and how to trust it.
type Server struct {
	Address       string            // http://HOST:PORT or https://HOST:PORT
	CACert        string            // PEM; empty: the system's
	TLSServerName string            // empty: the address's
	SkipTLSVerify bool              // accept any certificate
	Headers       map[string]string // sent with every request
	Timeout       time.Duration     // of one request; 0: 10 s
}

// DialFunc opens a connection; net.Dialer.DialContext is one.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Redirect returns a DialFunc that connects to instead[address] where the map has the address (HOST:PORT), as curl's
// --connect-to does. The name that TLS checks stays the original.
func Redirect(instead map[string]string) DialFunc {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if other, ok := instead[address]; ok {
			address = other
		}
		return dialer.DialContext(ctx, network, address)
	}
}

// transportKey is what connections may share.
type transportKey struct {
	address, caCert, tlsServerName string
	skipTLSVerify                  bool
}

type transport struct {
	http *http.Transport
	used time.Time
	tell func(status int) // of every answer; 0: none

	upgrade sync.Once
	http1   *http.Transport // set by upgrade
}

// RoundTrip bounds the answer's body, as the server may be anyone's.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.http.RoundTrip(request)
	if err != nil {
		t.tell(0)
		return nil, err
	}
	t.tell(response.StatusCode)
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(response.Body, maxBody), response.Body}
	return response, nil
}

// transport returns the shared transport of a server.
func (p *Pool) transport(server Server) (*transport, error) {
	key := transportKey{server.Address, server.CACert, server.TLSServerName, server.SkipTLSVerify}
	p.mu.Lock()
	defer p.mu.Unlock()
	if shared, ok := p.transports[key]; ok {
		shared.used = time.Now()
		return shared, nil
	}
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         server.TLSServerName,
		InsecureSkipVerify: server.SkipTLSVerify, //nolint:gosec // the resource asks for it
	}
	if server.CACert != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(server.CACert)) {
			return nil, condition.Problemf(v1beta1.ReasonInvalidSpec, "the CA certificate of %s is not PEM", server.Address)
		}
	}
	shared := &transport{used: time.Now(), tell: p.counters.request, http: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            p.dial,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    dialTimeout,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}}
	p.transports[key] = shared
	return shared, nil
}

// elsewhere refuses a redirect. To follow one would let whoever answers choose where the token goes, and have the operator
// ask addresses that a tenant cannot reach.
func elsewhere(*http.Request, []*http.Request) error {
	return errors.New("it redirects to another address, which the operator does not follow: give the address that answers")
}

// connect returns a client without a token. Nothing of the operator's own environment reaches it: the VAULT_
// variables that NewClient reads are undone.
func (p *Pool) connect(server Server, namespace string, headers map[string]string) (*vault.Client, error) {
	address, err := url.Parse(server.Address)
	if err != nil || (address.Scheme != "http" && address.Scheme != "https") || address.Host == "" {
		return nil, condition.Problemf(v1beta1.ReasonInvalidSpec,
			"the address %q is not of the form http://HOST:PORT or https://HOST:PORT", server.Address)
	}
	shared, err := p.transport(server)
	if err != nil {
		return nil, err
	}
	config := &vault.Config{
		Address:          server.Address,
		HttpClient:       &http.Client{Transport: shared, CheckRedirect: elsewhere},
		DisableRedirects: true,
		// The reconcilers retry, with backoff; a client that does so too would only keep their workers waiting.
		CheckRetry: func(context.Context, *http.Response, error) (bool, error) { return false, nil },
	}
	client, err := vault.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	client.ClearToken()
	client.ClearNamespace()
	all := make(http.Header)
	all.Set(vault.RequestHeaderName, "true")
	for _, some := range []map[string]string{server.Headers, headers} {
		for name, value := range some {
			if strings.HasPrefix(http.CanonicalHeaderKey(name), "X-Vault-") {
				return nil, condition.Problemf(v1beta1.ReasonInvalidSpec, "the header %s cannot be set by hand", name)
			}
			all.Set(name, value)
		}
	}
	client.SetHeaders(all)
	if namespace != "" {
		client.SetNamespace(namespace)
	}
	return client, nil
}

func (s Server) timeout() time.Duration {
	if s.Timeout > 0 {
		return s.Timeout
	}
	return defaultTimeout
}

// Health is what a server says to anyone.
type Health struct {
	Version string
}

// probe asks the server, without a token, whether it can serve: an initialised and unsealed one can, if it has a
// leader.
func (p *Pool) probe(ctx context.Context, server Server) (Health, error) {
	client, err := p.connect(server, "", nil)
	if err != nil {
		return Health{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, server.timeout())
	defer cancel()
	status, err := client.Sys().SealStatusWithContext(ctx)
	var refused *Refused
	switch err := classify(server.Address, err); {
	case errors.As(err, &refused):
		return Health{}, unreachable(server.Address, refused.Error())
	case err != nil:
		return Health{}, err
	case !status.Initialized:
		return Health{Version: status.Version}, uninitialised(server.Address)
	case status.Sealed:
		return Health{Version: status.Version}, sealed(server.Address)
	}
	health := Health{Version: status.Version}
	leader, err := client.Sys().LeaderWithContext(ctx)
	switch err := classify(server.Address, err); {
	case errors.As(err, &refused): // it keeps that to itself
	case err != nil:
		return health, err
	case leader.HAEnabled && !leader.IsSelf && leader.LeaderAddress == "":
		return health, unreachable(server.Address, "no node of its cluster leads: see that most of them run and are unsealed")
	}
	return health, nil
}
