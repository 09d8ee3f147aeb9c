package server

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
)

// Certificates are those that a listener shows and trusts. They come from files, which may change while it serves.
type Certificates struct {
	files   ListenerTLS
	current atomic.Pointer[tls.Config]

	mu   sync.Mutex
	seen [sha256.Size]byte // of what was in the files when they were last read, good or bad
}

// Reload reads the certificate, its key and the client CA for connections to come: all of them, or, with an error that names the file, none, and
// the old ones serve on.
func (c *Certificates) Reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = c.print()
	config, err := serverTLS(c.files)
	if err == nil {
		c.current.Store(config)
	}
	return err
}

// Follow reloads if there is something else in the files than when they were last read, so that bad ones are an error once. It reads them, instead
// of asking for their times, as Kubernetes swaps a symbolic link to the folder that a mounted Secret is in.
func (c *Certificates) Follow() (changed bool, err error) {
	c.mu.Lock()
	same := c.seen == c.print()
	c.mu.Unlock()
	if same {
		return false, nil
	}
	return true, c.Reload()
}

// print is a hash of all files. One that cannot be read counts as empty.
func (c *Certificates) print() (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, name := range []string{c.files.CertFile, c.files.KeyFile, c.files.ClientCAFile} {
		var text []byte
		if name != "" {
			text, _ = os.ReadFile(name)
		}
		part := sha256.Sum256(text)
		clear(text)
		h.Write(part[:])
	}
	h.Sum(sum[:0])
	return sum
}

// Listen binds l's address. With TLS its connections are *tls.Conn that offer HTTP/2, so http.Server.Serve speaks it. The certificates are nil
// without TLS.
func Listen(l Listener) (net.Listener, *Certificates, error) {
	if l.TLS.Disable {
		ln, err := bind(l.Address)
		return ln, nil, err
	}
	c := &Certificates{files: l.TLS}
	if err := c.Reload(); err != nil { // before the port is taken: a bad pair leaves nothing to close
		return nil, nil, err
	}
	ln, err := bind(l.Address)
	if err != nil {
		return nil, nil, err
	}
	latest := func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current.Load(), nil }
	return tls.NewListener(ln, &tls.Config{GetConfigForClient: latest, MinVersion: l.TLS.MinVersion}), c, nil
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
