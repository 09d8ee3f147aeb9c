package kubernetes

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"strongroom/engine"
	"strongroom/internal/kube"
)

const reviewTimeout = kube.Timeout // of a whole TokenReview

// client asks the API server of one version of the configuration.
type client struct {
	version uint64
	*kube.Client
}

// review asks the API server whose token jwt is. Logins with the same token at
// the same time share one question; no answer is kept.
func (m *Method) review(ctx context.Context, conf *config, version uint64, jwt, audience string) (account, error) {
	sum := sha256.Sum256([]byte(jwt))
	key := fmt.Sprintf("%x %d %s", sum, version, audience)
	// The question outlives a caller who gives up: others may wait for it.
	shared := context.WithoutCancel(ctx)
	answer := m.reviews.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(shared, m.timeout)
		defer cancel()
		return m.ask(ctx, conf, version, jwt, audience)
	})
	select {
	case a := <-answer:
		if a.Err != nil {
			return account{}, a.Err
		}
		return a.Val.(account), nil
	case <-ctx.Done():
		return account{}, context.Cause(ctx)
	}
}

// ask sends one TokenReview and judges the answer.
func (m *Method) ask(ctx context.Context, conf *config, version uint64, jwt, audience string) (account, error) {
	c := m.clientFor(conf, version)
	reviewer, whose, err := m.reviewer(conf, jwt)
	if err != nil {
		return account{}, err
	}
	var audiences []string
	if audience != "" {
		audiences = []string{audience}
	}
	review, err := c.ReviewToken(ctx, string(reviewer), jwt, audiences...)
	if err != nil {
		return account{}, m.explain(conf.Host, whose, err)
	}
	return judge(review, jwt, audience)
}

// judge takes the service account from the status, if it is one.
func judge(s kube.Review, jwt, audience string) (account, error) {
	if !s.Authenticated || s.Error != "" {
		text := "service account unauthorized; this could mean it has been deleted or recreated with a new token"
		if s.Error != "" && !strings.Contains(s.Error, jwt) {
			text = strings.ToValidUTF8(s.Error[:min(len(s.Error), 300)], "")
		}
		return account{}, engine.Errorf(engine.Denied, "lookup failed: %s", text)
	}
	// An API server that knows nothing of audiences would have passed a token
	// made for somebody else.
	if audience != "" && !slices.Contains(s.Audiences, audience) {
		return account{}, engine.Errorf(engine.Denied, "lookup failed: the API server did not confirm the role's audience %q", audience)
	}
	a, err := kube.ParseUsername(s.User.Username)
	if err != nil || s.User.UID == "" {
		return account{}, engine.Errorf(engine.Denied, "lookup failed: the token does not belong to a service account")
	}
	return account{a.Namespace, a.Name, s.User.UID}, nil
}

// whose says which token asks for the review.
type whose int

const (
	configured whose = iota
	podsOwn
	callers
)

// reviewer picks the token that asks: the configured one, else the pod's, else
// the caller's own. A configured token that a pod of this account was once given
// ends with that pod, or within the hour; the pod's own says the same and lives.
func (m *Method) reviewer(conf *config, jwt string) (secret, whose, error) {
	own, err := m.ownToken(conf)
	switch {
	case conf.ReviewerJWT != "" && !outlives(own, conf.ReviewerJWT):
		return conf.ReviewerJWT, configured, nil
	case own != "":
		return own, podsOwn, nil
	case err != nil:
		return "", 0, err
	}
	return secret(jwt), callers, nil
}

// ownToken is the pod's token, or "" where there is none or it is not to be used.
func (m *Method) ownToken(conf *config) (secret, error) {
	if conf.DisableLocal {
		return "", nil
	}
	b, err := os.ReadFile(m.pod.TokenFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("kubernetes: read the pod's token: %w", err)
	}
	return secret(strings.TrimSpace(string(b))), nil
}

// outlives is whether other ends and own is of the same account of the same
// cluster. Neither is verified: own is the server's, and other a part of its
// configuration.
func outlives(own, other secret) bool {
	a, err := parseClaims(string(own))
	if err != nil {
		return false
	}
	b, err := parseClaims(string(other))
	return err == nil && b.Expiry != nil && a.Subject != "" && a.Subject == b.Subject && a.Issuer == b.Issuer
}

// clientFor returns the client of this configuration. It makes a new one when
// that has changed; the client itself sees to it when the pod's CA has.
func (m *Method) clientFor(conf *config, version uint64) *client {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.client; c != nil && c.version == version {
		return c
	}
	if m.client != nil {
		m.client.Close()
	}
	m.client = &client{version, kube.New(kube.Config{URL: conf.Host, CA: m.authority(conf), RoundTrip: m.roundTrip})}
	return m.client
}

// authority is the CA of the configuration, else the pod's, else the system's.
func (m *Method) authority(conf *config) func() ([]byte, error) {
	return func() ([]byte, error) {
		if conf.CACert != "" || conf.DisableLocal {
			return []byte(conf.CACert), nil
		}
		b, err := os.ReadFile(m.pod.CAFile)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return b, err
	}
}

// explain turns an error of package kube into one that says what to mend in the
// method's configuration.
func (m *Method) explain(host string, w whose, err error) error {
	if refused, ok := errors.AsType[*kube.StatusError](err); ok {
		return judgeStatus(host, refused.Status, w)
	}
	switch {
	case errors.Is(err, kube.ErrURL):
		return engine.Errorf(engine.Upstream, "lookup failed: kubernetes_host is not a URL; write the config anew")
	case errors.Is(err, kube.ErrNoCA):
		return engine.Errorf(engine.Upstream, "lookup failed: the pod's CA file %s holds no certificate; set kubernetes_ca_cert", m.pod.CAFile)
	case errors.Is(err, kube.ErrNotKube):
		return &engine.Error{Kind: engine.Upstream, Err: err,
			Text: "lookup failed: " + host + " did not answer with a TokenReview; check that kubernetes_host is a Kubernetes API server"}
	}
	if _, ours := errors.AsType[*fs.PathError](err); ours {
		return err
	}
	return unreachable(host, err)
}

// judgeStatus turns an HTTP status into an error that says what to mend.
func judgeStatus(host string, status int, w whose) error {
	subject := [...]string{
		configured: "token_reviewer_jwt",
		podsOwn:    "the token of the server's own pod",
		callers:    "the jwt, which asks for its own review as no reviewer is configured",
	}[w]
	kind := engine.Upstream
	if w == callers {
		kind = engine.Denied
	}
	switch {
	case status == http.StatusUnauthorized && w == callers:
		return engine.Errorf(kind, "permission denied: %s does not accept %s; it may be forged, ended, or made for another audience", host, subject)
	case status == http.StatusUnauthorized:
		return engine.Errorf(kind, "lookup failed: %s does not accept %s; it may have expired or belong to another cluster: write the config with a valid one, or leave it out to use the pod's own", host, subject)
	case status == http.StatusForbidden:
		return engine.Errorf(kind, "lookup failed: %s does not let %s create TokenReviews; bind the cluster role system:auth-delegator to its service account", host, subject)
	case status/100 == 3:
		return engine.Errorf(engine.Upstream, "lookup failed: %s redirects (status %d), which is not followed; set kubernetes_host to the API server itself", host, status)
	}
	return engine.Errorf(engine.Upstream, "lookup failed: %s answered with status %d; check that kubernetes_host is a Kubernetes API server and that it is healthy", host, status)
}

// unreachable says what to check when there was no answer.
func unreachable(host string, err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	hint := "check kubernetes_host, and that the network lets this server reach it"
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	_, name := errors.AsType[x509.HostnameError](err)
	if unknown || invalid || name {
		hint = "check kubernetes_ca_cert, and that kubernetes_host is a name in the API server's certificate"
	}
	cause := err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		cause = "no answer in time"
	}
	return &engine.Error{Kind: engine.Upstream, Err: err,
		Text: fmt.Sprintf("lookup failed: the Kubernetes API server at %s cannot be asked: %s; %s", host, cause, hint)}
}
