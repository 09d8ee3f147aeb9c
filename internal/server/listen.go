package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
)

// Listen binds l's address. With TLS its connections are *tls.Conn that offer HTTP/2, so http.Server.Serve speaks it. reload reads the certificate,
// its key and the client CA again for connections to come: all of them, or, with an error, none, and the old ones serve on. It is nil without TLS.
func Listen(l Listener) (_ net.Listener, reload func() error, err error) {
	if l.TLS.Disable {
		ln, err := bind(l.Address)
		return ln, nil, err
	}
	var current atomic.Pointer[tls.Config]
	reload = func() error {
		config, err := serverTLS(l.TLS)
		if err == nil {
			current.Store(config)
		}
		return err
	}
	if err := reload(); err != nil { // before the port is taken: a bad pair leaves nothing to close
		return nil, nil, err
	}
	ln, err := bind(l.Address)
	if err != nil {
		return nil, nil, err
	}
	latest := func(*tls.ClientHelloInfo) (*tls.Config, error) { return current.Load(), nil }
	return tls.NewListener(ln, &tls.Config{GetConfigForClient: latest, MinVersion: l.TLS.MinVersion}), reload, nil
}

// bindable is address as it can be bound on machines without IPv6 too: [::] means every interface there is, and net's way to say that is no host.
func bindable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host != "::" {
		return address
	}
	return ":" + port
}

func bind(address string) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", bindable(address))
	if err != nil {
		return nil, fmt.Errorf("%w; is another server running there? set another address in listener \"tcp\"", err)
	}
	return ln, nil
}

// serverTLS reads the files t names.
func serverTLS(t ListenerTLS) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("tls_cert_file %s with tls_key_file %s: %w", t.CertFile, t.KeyFile, err)
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   t.MinVersion,
		MaxVersion:   t.MaxVersion,
		CipherSuites: t.CipherSuites,
		NextProtos:   []string{"h2", "http/1.1"},
		ClientAuth:   tls.RequestClientCert, // as Vault: asked for, so that certificate logins can use it, and not required
	}
	if t.ClientCAFile != "" {
		pem, err := os.ReadFile(t.ClientCAFile)
		if err != nil {
			return nil, fmt.Errorf("tls_client_ca_file: %w", err)
		}
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls_client_ca_file %s: %w", t.ClientCAFile, errors.New("no PEM certificate in it"))
		}
	}
	switch {
	case t.RequireClientCert:
		config.ClientAuth = tls.RequireAndVerifyClientCert
	case t.DisableClientCertPrompt:
		config.ClientAuth = tls.NoClientCert
	}
	return config, nil
}
