package postgres

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"strongroom/engine/database/dbms"
)

// secure has config connect to hosts, one after the other, with TLS as sslmode says
// (https://www.postgresql.org/docs/current/libpq-ssl.html). Without sslmode it is
// verify-full where there is an authority to verify by, else prefer, as for all clients.
func secure(config *pgconn.Config, hosts []*pgconn.FallbackConfig, mode string, s dbms.Settings) error {
	own := s.CA != "" || s.Certificate != "" || s.Key != ""
	if mode == "" {
		if mode = "prefer"; own {
			mode = "verify-full"
		}
	}
	if mode == "require" && s.CA != "" {
		mode = "verify-ca"
	}
	base, err := credentials(s)
	if err != nil {
		return err
	}
	var tries []*pgconn.FallbackConfig
	for _, h := range hosts {
		secured := base.Clone()
		secured.ServerName = h.Host
		plain, with := &pgconn.FallbackConfig{Host: h.Host, Port: h.Port}, &pgconn.FallbackConfig{Host: h.Host, Port: h.Port, TLSConfig: secured}
		switch mode {
		case "disable", "allow", "prefer":
			if own {
				return errors.New("connection_url: with tls_ca, tls_certificate and private_key, sslmode must be verify-full, verify-ca or require")
			}
			secured.InsecureSkipVerify = true // these modes ask nobody who they are
			tries = append(tries, map[string][]*pgconn.FallbackConfig{"disable": {plain}, "allow": {plain, with}, "prefer": {with, plain}}[mode]...)
		case "require":
			secured.InsecureSkipVerify = true
			tries = append(tries, with)
		case "verify-ca":
			secured.InsecureSkipVerify, secured.VerifyConnection = true, signed(secured.RootCAs)
			tries = append(tries, with)
		case "verify-full":
			tries = append(tries, with)
		default:
			return errors.New("connection_url: sslmode must be disable, allow, prefer, require, verify-ca or verify-full")
		}
	}
	config.Host, config.Port, config.TLSConfig, config.Fallbacks = tries[0].Host, tries[0].Port, tries[0].TLSConfig, tries[1:]
	return nil
}

// credentials are the authority that s trusts, and its own certificate.
func credentials(s dbms.Settings) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CA != "" {
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM([]byte(s.CA)) {
			return nil, errors.New("tls_ca holds no certificate in PEM")
		}
	}
	if cmp.Or(s.Certificate, s.Key) == "" {
		return c, nil
	}
	pair, err := tls.X509KeyPair([]byte(s.Certificate), []byte(s.Key))
	if err != nil {
		return nil, errors.New("tls_certificate and private_key must both be in PEM, and belong together")
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

// signed verifies the server's certificate, but not whose it is.
func signed(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, c := range state.PeerCertificates[1:] {
			o.Intermediates.AddCert(c)
		}
		_, err := state.PeerCertificates[0].Verify(o)
		return err
	}
}
