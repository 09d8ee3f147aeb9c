package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"strongroom/engine/database/dbms"
)

// SQLSTATEs (https://www.postgresql.org/docs/current/errcodes-appendix.html).
const (
	classLogin  = "28" // invalid_authorization_specification, invalid_password
	syntaxError = "42601"
)

// connecting says why there is no connection. The driver's own text would hold user,
// host and database.
func connecting(err error) error {
	f := &dbms.Failure{Text: "cannot connect to the database: " + cause(err)}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		f.Text = "the database refuses the connection: " + pg.Message + " (SQLSTATE " + pg.Code + ")"
		if strings.HasPrefix(pg.Code, classLogin) {
			f.Login = true
			f.Text = "the database does not take the user name and password of the connection, or its pg_hba.conf refuses them (SQLSTATE " + pg.Code + ")"
		}
	}
	return f
}

// running says why statements failed, in words that hold nothing of the secrets.
func running(err error, secrets []string) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return &dbms.Failure{Text: "the database did not answer: " + cause(err), Doubt: true}
	}
	text := "the database refuses: " + pg.Message + " (SQLSTATE " + pg.Code + ")"
	// A syntax error shows the word that it stands at: a password that no quotes
	// surround, or a part of one.
	if pg.Code == syntaxError || slices.ContainsFunc(secrets, func(secret string) bool { return holds(pg.Message, secret) }) {
		text = "the database refuses: a statement is wrong (SQLSTATE " + pg.Code + "); check its quotes, as in '{{password}}' and \"{{name}}\""
	}
	return &dbms.Failure{Text: text}
}

// holds says whether text holds four bytes of secret in a row.
func holds(text, secret string) bool {
	const window = 4
	if len(secret) < window {
		return secret != "" && strings.Contains(text, secret)
	}
	for i := range len(secret) - window + 1 {
		if strings.Contains(text, secret[i:i+window]) {
			return true
		}
	}
	return false
}

// cause is err in words of our own.
func cause(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "its host name cannot be resolved"
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		err = e.Err
	}
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, named := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	timeout, _ := errors.AsType[net.Error](err)
	switch {
	case unknown:
		return "its TLS certificate is not signed by an authority that is trusted: set tls_ca"
	case named:
		return "its TLS certificate is for another host name"
	case invalid:
		return "its TLS certificate is not valid, or not any more"
	case strings.Contains(err.Error(), "server refused TLS connection"):
		return "it does not speak TLS, which sslmode asks for"
	case errors.Is(err, context.DeadlineExceeded) || timeout != nil && timeout.Timeout():
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "the request was given up"
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return "it closed the connection"
	}
	return "the connection broke, or what answers is no PostgreSQL"
}
