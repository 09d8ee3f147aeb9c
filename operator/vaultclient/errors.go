package vaultclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	vault "github.com/hashicorp/vault/api"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
)

// maxText bounds what is quoted of a server's error, in bytes.
const maxText = 300

// Refused is a server's answer that says no to this request: permission, path or parameters. What it means depends
// on what was asked, so the caller makes a Problem of it.
type Refused struct {
	Status int    // of HTTP: 400 to 499
	Text   string // the server's errors, in one line
}

// Error gives status and text.
func (r *Refused) Error() string {
	if r.Text == "" {
		return fmt.Sprintf("HTTP %d", r.Status)
	}
	return fmt.Sprintf("HTTP %d: %s", r.Status, r.Text)
}

// NoRoute tells whether the server has nothing mounted at the path.
func (r *Refused) NoRoute() bool {
	return r.Status == http.StatusNotFound && strings.Contains(r.Text, "no handler for route")
}

// BadToken tells whether the server says that the token is at fault, rather than its policies.
func (r *Refused) BadToken() bool {
	return r.Status == http.StatusForbidden &&
		(strings.Contains(r.Text, "invalid token") || strings.Contains(r.Text, "bad token"))
}

// classify turns an error of vault/api into a Problem (ServerSealed, ServerUnreachable), a *Refused, or the caller's
// own context error. Only text that the server sent as a Vault error is quoted: the address is a tenant's choice, and
// the answer of something else there must not be readable through a status.
func classify(address string, err error) error {
	var answer *vault.ResponseError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return err
	case !errors.As(err, &answer):
		return unreachable(address, cause(err))
	}
	text := oneLine(answer.Errors)
	switch {
	case answer.RawError:
		return unreachable(address, fmt.Sprintf("it answers HTTP %d, which is not a Vault error", answer.StatusCode))
	case strings.Contains(text, "not initialized"), strings.Contains(text, "not yet initialized"):
		return uninitialised(address)
	case answer.StatusCode == http.StatusServiceUnavailable && strings.Contains(strings.ToLower(text), "sealed"):
		return sealed(address)
	case answer.StatusCode >= 500, answer.StatusCode == http.StatusTooManyRequests:
		return unreachable(address, fmt.Sprintf("it answers HTTP %d: %s", answer.StatusCode, text))
	}
	return &Refused{Status: answer.StatusCode, Text: text}
}

func sealed(address string) error {
	return condition.Problemf(v1beta1.ReasonServerSealed,
		"%s is sealed: unseal every node with `vault operator unseal`", address)
}

func uninitialised(address string) error {
	return condition.Problemf(v1beta1.ReasonServerSealed,
		"%s is not initialised: run `vault operator init`, then unseal it", address)
}

func unreachable(address, why string) error {
	return condition.Problemf(v1beta1.ReasonServerUnreachable, "cannot use %s: %s", address, why)
}

// cause says why there was no answer, in words that stay the same from try to try (no local ports).
func cause(err error) string {
	var (
		dns       *net.DNSError
		operation *net.OpError
		link      *url.Error
		authority x509.UnknownAuthorityError
		verify    *tls.CertificateVerificationError
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &dns):
		return fmt.Sprintf("no such host %s", dns.Name)
	case errors.As(err, &authority):
		return "its certificate is signed by an unknown authority: give the CA (caCert, or caCertSecretRef of the VaultConnection)"
	case errors.As(err, &verify):
		return verify.Err.Error()
	case errors.As(err, &operation):
		text := fmt.Sprintf("%s: %v", operation.Op, operation.Err)
		if operation.Timeout() {
			text = operation.Op + ": no answer in time"
		}
		return text
	case errors.As(err, &link):
		return oneLine([]string{link.Err.Error()})
	}
	return "it does not answer as a Vault server does"
}

// oneLine joins a server's errors, without the layout of its multi-errors.
func oneLine(texts []string) string {
	joined := strings.Join(texts, "; ")
	fields := strings.Fields(joined)
	kept := fields[:0]
	for _, field := range fields {
		if field != "*" {
			kept = append(kept, field)
		}
	}
	joined = strings.Join(kept, " ")
	if len(joined) > maxText {
		joined = strings.ToValidUTF8(joined[:maxText], "") + "…"
	}
	return joined
}
