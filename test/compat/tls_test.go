package compat

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// writePair writes a self-signed certificate for 127.0.0.1, with a serial number to know it by, and its key to dir.
func writePair(t *testing.T, dir string, serial int64) {
	t.Helper()
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: fmt.Sprint("test ", serial)}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	keyDER := must[[]byte](t)(x509.MarshalPKCS8PrivateKey(key))
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// served is the serial number of the certificate that addr shows.
func served(addr string) (int64, error) {
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true}) // looked at, not trusted
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
}

// A listener with TLS, whose certificate is renewed under it: SIGHUP serves the new one, and a look at the files soon; a broken pair leaves the old.
func TestTLSReload(t *testing.T) {
	dir, addr := t.TempDir(), freeAddr(t)
	writePair(t, dir, 1)
	config := filepath.Join(dir, "strongroom.hcl")
	text := fmt.Sprintf("disable_mlock = true\nstorage \"inmem\" {}\nlistener \"tcp\" {\n  address = %q\n  tls_cert_file = %q\n  tls_key_file = %q\n}\n",
		addr, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "https://"+addr, "-config="+config)
	shows := func(serial int64) {
		t.Helper()
		eventually(t, 20*time.Second, func() error {
			got, err := served(addr)
			if err == nil && got != serial {
				err = fmt.Errorf("certificate %d is served, want %d", got, serial)
			}
			return err
		})
	}
	shows(1)
	s.runSteps(t, []step{
		{run: "vault status", code: 1, stderr: "Error checking seal status: {any}certificate signed by unknown authority\n\nThe server's certificate is not signed by an authority this machine knows: name its CA with -ca-cert or VAULT_CACERT.\n"},
		{run: "VAULT_CACERT=" + filepath.Join(dir, "cert.pem") + " vault status >/dev/null", code: 2},
		{run: "VAULT_ADDR=http://" + addr + " vault status", code: 1, stderr: "{rest}"},
	})
	signal := func() {
		if err := s.proc.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	writePair(t, dir, 2)
	signal()
	shows(2)
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	signal()
	s.await(t, "the new certificate of a listener cannot be used; the old one stays")
	shows(2)
	writePair(t, dir, 3)
	signal()
	shows(3)
	writePair(t, dir, 4)
	shows(4) // without a signal
}

// -dev-tls makes its own authority and says where.
func TestDevelopmentServerTLS(t *testing.T) {
	dir := t.TempDir()
	s := startDev(t, "-dev-tls", "-dev-tls-cert-dir="+dir)
	s.addr = strings.Replace(s.addr, "http:", "https:", 1)
	s.await(t, "export VAULT_CACERT='"+filepath.Join(dir, "vault-ca.pem")+"'")
	config := api.DefaultConfig()
	config.Address = s.addr
	if err := config.ConfigureTLS(&api.TLSConfig{CACert: filepath.Join(dir, "vault-ca.pem")}); err != nil {
		t.Fatal(err)
	}
	client := must[*api.Client](t)(api.NewClient(config))
	client.SetToken("root")
	must[*api.Secret](t)(client.Auth().Token().LookupSelf())
}
