package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// certificates writes a new CA, certificate and key for 127.0.0.1 into dir.
func certificates(t *testing.T, dir string) ListenerTLS {
	t.Helper()
	o := Options{DevListenAddress: "127.0.0.1:0", DevTLSCertDir: dir}
	l := ListenerTLS{MinVersion: tls.VersionTLS12}
	if err := o.devCertificates(&l); err != nil {
		t.Fatal(err)
	}
	return l
}

func pool(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(dir, devCAFile))
	if err != nil {
		t.Fatal(err)
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate in the CA file")
	}
	return p
}

// serve answers with the protocol and the names of the client's certificates until the test ends.
func serve(t *testing.T, l Listener) (addr string, certs *Certificates) {
	t.Helper()
	l.Address = "127.0.0.1:0"
	ln, certs, err := Listen(l)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto)
		if r.TLS != nil {
			for _, cert := range r.TLS.PeerCertificates {
				fmt.Fprint(w, " ", cert.Subject.CommonName)
			}
		}
	})}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("the server ended with %v", err)
		}
	})
	return ln.Addr().String(), certs
}

// get makes one request on a connection of its own and returns the answer.
func get(url string, config *tls.Config) (string, error) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestListenPlain(t *testing.T) {
	addr, certs := serve(t, Listener{TLS: ListenerTLS{Disable: true}})
	if got, err := get("http://"+addr, nil); err != nil || got != "HTTP/1.1" {
		t.Errorf("got %q, %v", got, err)
	}
	if certs != nil {
		t.Error("there is something to reload without TLS")
	}
}

// [::] is every interface, IPv4's too, also where there is no IPv6 to bind.
func TestEveryInterface(t *testing.T) {
	for in, want := range map[string]string{"[::]:8200": ":8200", "[::]:0": ":0", "0.0.0.0:8200": "0.0.0.0:8200", "[::1]:8200": "[::1]:8200", ":8200": ":8200", "vault-0:8200": "vault-0:8200"} {
		if got := bindable(in); got != want {
			t.Errorf("%s is bound as %q, want %q", in, got, want)
		}
	}
	ln, _, err := Listen(Listener{Address: "[::]:0", TLS: ListenerTLS{Disable: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ln.Addr().(*net.TCPAddr).Port))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestListenTLS(t *testing.T) {
	dir := t.TempDir()
	addr, _ := serve(t, Listener{TLS: certificates(t, dir)})
	if got, err := get("https://"+addr, &tls.Config{RootCAs: pool(t, dir)}); err != nil || got != "HTTP/2.0" {
		t.Errorf("got %q, %v, want HTTP/2.0", got, err)
	}
	for version, works := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		_, err := get("https://"+addr, &tls.Config{RootCAs: pool(t, dir), MinVersion: version, MaxVersion: version})
		if (err == nil) != works {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

func TestReload(t *testing.T) {
	dir := t.TempDir()
	addr, certs := serve(t, Listener{TLS: certificates(t, dir)})
	old := &tls.Config{RootCAs: pool(t, dir)}

	// A bad pair changes nothing and says which files.
	if err := os.WriteFile(filepath.Join(dir, devKeyFile), []byte("not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := certs.Reload(); err == nil || !strings.Contains(err.Error(), devKeyFile) || strings.Contains(err.Error(), "not a key") {
		t.Errorf("reload of a bad key: %v", err)
	}
	if _, err := get("https://"+addr, old); err != nil {
		t.Errorf("after a failed reload: %v", err)
	}

	certificates(t, dir)
	if _, err := get("https://"+addr, old); err != nil {
		t.Errorf("before the reload: %v", err)
	}
	if err := certs.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := get("https://"+addr, &tls.Config{RootCAs: pool(t, dir)}); err != nil {
		t.Errorf("after the reload: %v", err)
	}
	if _, err := get("https://"+addr, old); err == nil {
		t.Error("the old certificate is still served")
	}
}

// Files that change are taken without a signal, as Kubernetes changes them: by a swap of the link to the folder that they are in.
func TestFollow(t *testing.T) {
	dir := t.TempDir()
	mount := func(version string) *tls.Config {
		t.Helper()
		folder := filepath.Join(dir, version)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		certificates(t, folder)
		swap(t, dir, version)
		return &tls.Config{RootCAs: pool(t, folder)}
	}
	old := mount("..1")
	data := filepath.Join(dir, "..data")
	addr, certs := serve(t, Listener{TLS: ListenerTLS{CertFile: filepath.Join(data, devCertFile), KeyFile: filepath.Join(data, devKeyFile), MinVersion: tls.VersionTLS12}})
	if changed, err := certs.Follow(); changed || err != nil {
		t.Errorf("nothing has changed: %v, %v", changed, err)
	}
	if _, err := get("https://"+addr, old); err != nil {
		t.Error(err)
	}

	renewed := mount("..2")
	if changed, err := certs.Follow(); !changed || err != nil {
		t.Errorf("the link was swapped: %v, %v", changed, err)
	}
	if _, err := get("https://"+addr, renewed); err != nil {
		t.Errorf("the new certificate is not shown: %v", err)
	}
	if _, err := get("https://"+addr, old); err == nil {
		t.Error("the old certificate is still shown")
	}

	// Bad files are an error once, by name; then the good ones are taken.
	if err := os.Remove(filepath.Join(dir, "..2", devKeyFile)); err != nil {
		t.Fatal(err)
	}
	if changed, err := certs.Follow(); !changed || err == nil || !strings.Contains(err.Error(), devKeyFile) {
		t.Errorf("without a key: %v, %v", changed, err)
	}
	if changed, err := certs.Follow(); changed || err != nil {
		t.Errorf("the same bad files again: %v, %v", changed, err)
	}
	if _, err := get("https://"+addr, renewed); err != nil {
		t.Errorf("the pair that was good is not shown: %v", err)
	}
	third := mount("..3")
	if changed, err := certs.Follow(); !changed || err != nil {
		t.Errorf("good files after bad ones: %v, %v", changed, err)
	}
	if _, err := get("https://"+addr, third); err != nil {
		t.Error(err)
	}
}

// swap makes dir/..data point to version at once.
func swap(t *testing.T, dir, version string) {
	t.Helper()
	next := filepath.Join(dir, "..data_tmp")
	if err := os.Symlink(version, next); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
}

// A server that runs looks by itself, and at SIGHUP.
func TestAServerFollowsItsFiles(t *testing.T) {
	quiet(t)
	dir := t.TempDir()
	opts := Options{Dev: true, DevTLS: true, DevTLSCertDir: dir, DevListenAddress: "127.0.0.1:0", DevNoStoreToken: true}
	config, _, err := opts.Config()
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config.Listeners[0].Address = free.Addr().String()
	free.Close()
	var log syncBuffer
	s, err := open(config, opts, hclog.New(&hclog.LoggerOptions{Output: &log}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.wait(ctx) }()
	defer func() {
		end()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.close()
	}()
	url := "https://" + config.Listeners[0].Address + "/v1/sys/seal-status"
	shown := func() bool {
		_, err := get(url, &tls.Config{RootCAs: pool(t, dir)})
		return err == nil
	}
	if !shown() {
		t.Fatal("the first certificate is not shown")
	}
	certificates(t, dir)
	eventually(t, "the new certificate is not shown", shown)
	if err := os.WriteFile(filepath.Join(dir, devCertFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	failed := func() int { return strings.Count(log.String(), "cannot be used") }
	eventually(t, "a bad certificate is not logged", func() bool { return failed() == 1 && strings.Contains(log.String(), devCertFile) })
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "SIGHUP reads nothing", func() bool { return failed() == 2 })
}

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestClientCertificates(t *testing.T) {
	dir, clientCA := t.TempDir(), filepath.Join(t.TempDir(), "client-ca.pem")
	pair := clientPair(t, clientCA)
	l := certificates(t, dir)
	trust := pool(t, dir)
	without, with := &tls.Config{RootCAs: trust}, &tls.Config{RootCAs: trust, Certificates: []tls.Certificate{pair}}

	// By default a certificate is asked for, whoever issued it, and not required.
	addr, _ := serve(t, Listener{TLS: l})
	if got, err := get("https://"+addr, with); err != nil || got != "HTTP/2.0 client" {
		t.Errorf("with a certificate: %q, %v", got, err)
	}
	if got, err := get("https://"+addr, without); err != nil || got != "HTTP/2.0" {
		t.Errorf("without: %q, %v", got, err)
	}

	l.DisableClientCertPrompt = true
	addr, _ = serve(t, Listener{TLS: l})
	if got, err := get("https://"+addr, with); err != nil || got != "HTTP/2.0" {
		t.Errorf("never asked: %q, %v", got, err)
	}

	l.DisableClientCertPrompt, l.RequireClientCert, l.ClientCAFile = false, true, clientCA
	addr, certs := serve(t, Listener{TLS: l})
	if _, err := get("https://"+addr, without); err == nil {
		t.Error("a client without a certificate was let in")
	}
	if _, err := get("https://"+addr, with); err != nil {
		t.Errorf("required and shown: %v", err)
	}
	clientPair(t, clientCA) // another CA
	if err := certs.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := get("https://"+addr, with); err == nil {
		t.Error("a certificate of the CA before the reload was let in")
	}
}

// clientPair makes a client certificate that is its own CA, and writes it to file for a server to trust.
func clientPair(t *testing.T, file string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	client := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"}, IsCA: true, BasicConstraintsValid: true,
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, client, client, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestListenErrors(t *testing.T) {
	dir := t.TempDir()
	good := certificates(t, dir)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	noCA := good
	noCA.ClientCAFile = good.KeyFile
	tests := []struct {
		name, want string
		l          Listener
	}{
		{"port taken", "is another server running there?", Listener{Address: taken.Addr().String(), TLS: good}},
		{"no certificate", "tls_cert_file absent.pem", Listener{Address: "127.0.0.1:0", TLS: ListenerTLS{CertFile: "absent.pem", KeyFile: good.KeyFile}}},
		{"client CA is no certificate", "no PEM certificate in it", Listener{Address: "127.0.0.1:0", TLS: noCA}},
	}
	for _, test := range tests {
		if _, _, err := Listen(test.l); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", test.name, err, test.want)
		}
	}
}
