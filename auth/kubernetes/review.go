package kubernetes

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"strongroom/engine"
)

const (
	reviewTimeout = 15 * time.Second // of a whole TokenReview
	dialTimeout   = 5 * time.Second  // of its connection, and again of its TLS
	maxAnswer     = 1 << 20          // bytes of an answer
	reviewPath    = "/apis/authentication.k8s.io/v1/tokenreviews"
)

// tokenReview is the part of authentication.k8s.io/v1 TokenReview that is used.
type tokenReview struct {
	APIVersion string       `json:"apiVersion"`
	Kind       string       `json:"kind"`
	Spec       reviewSpec   `json:"spec"`
	Status     reviewStatus `json:"status"`
}

type reviewSpec struct {
	Token     string   `json:"token"`
	Audiences []string `json:"audiences,omitempty"`
}

type reviewStatus struct {
	Authenticated bool `json:"authenticated"`
	User          struct {
		Username string `json:"username"`
		UID      string `json:"uid"`
	} `json:"user"`
	Audiences []string `json:"audiences"`
	Error     string   `json:"error"`
}

// client is an HTTP client for one version of the configuration and one CA.
type client struct {
	version uint64
	ca      string
	http    *http.Client
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
	c, err := m.clientFor(conf, version)
	if err != nil {
		return account{}, err
	}
	reviewer, whose, err := m.reviewer(conf, jwt)
	if err != nil {
		return account{}, err
	}
	question := tokenReview{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview", Spec: reviewSpec{Token: jwt}}
	if audience != "" {
		question.Spec.Audiences = []string{audience}
	}
	body, err := json.Marshal(question)
	if err != nil {
		return account{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(conf.Host, "/")+reviewPath, bytes.NewReader(body))
	if err != nil {
		return account{}, engine.Errorf(engine.Upstream, "lookup failed: kubernetes_host is not a URL; write the config anew")
	}
	req.Header.Set("Authorization", "Bearer "+string(reviewer))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	// A review changes nothing, so net/http may send it again when an idle
	// connection turns out dead; the empty key says so and is not sent.
	req.Header["Idempotency-Key"] = []string{}
	resp, err := c.http.Do(req)
	if err != nil {
		return account{}, unreachable(conf.Host, err)
	}
	defer resp.Body.Close()
	if err := judgeStatus(conf.Host, resp.StatusCode, whose); err != nil {
		return account{}, err
	}
	var review tokenReview
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&review); err != nil {
		if ctx.Err() != nil {
			return account{}, unreachable(conf.Host, ctx.Err())
		}
		return account{}, &engine.Error{Kind: engine.Upstream, Err: err,
			Text: "lookup failed: " + conf.Host + " did not answer with a TokenReview; check that kubernetes_host is a Kubernetes API server"}
	}
	return judge(review.Status, jwt, audience)
}

// judge takes the service account from the status, if it is one.
func judge(s reviewStatus, jwt, audience string) (account, error) {
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
	a, err := parseUsername(s.User.Username)
	if err != nil || s.User.UID == "" {
		return account{}, engine.Errorf(engine.Denied, "lookup failed: the token does not belong to a service account")
	}
	a.UID = s.User.UID
	return a, nil
}

// whose says which token asks for the review.
type whose int

const (
	configured whose = iota
	podsOwn
	callers
)

// reviewer picks the token that asks: the configured one, else the pod's, else
// the caller's own.
func (m *Method) reviewer(conf *config, jwt string) (secret, whose, error) {
	if conf.ReviewerJWT != "" {
		return conf.ReviewerJWT, configured, nil
	}
	if !conf.DisableLocal {
		b, err := os.ReadFile(m.pod.TokenFile)
		if own := strings.TrimSpace(string(b)); own != "" {
			return secret(own), podsOwn, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", 0, fmt.Errorf("kubernetes: read the pod's token: %w", err)
		}
	}
	return secret(jwt), callers, nil
}

// clientFor returns the client of this configuration. It makes a new one when
// that or the pod's CA has changed.
func (m *Method) clientFor(conf *config, version uint64) (*client, error) {
	ca := conf.CACert
	if ca == "" && !conf.DisableLocal {
		b, err := os.ReadFile(m.pod.CAFile)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("kubernetes: read the pod's CA: %w", err)
		}
		ca = string(b)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.client; c != nil && c.version == version && c.ca == ca {
		return c, nil
	}
	var roots *x509.CertPool // nil: the system's
	if ca != "" {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM([]byte(ca)) {
			return nil, engine.Errorf(engine.Upstream, "lookup failed: the pod's CA file %s holds no certificate; set kubernetes_ca_cert", m.pod.CAFile)
		}
	}
	if m.client != nil {
		m.client.http.CloseIdleConnections()
	}
	m.client = &client{version: version, ca: ca, http: &http.Client{
		// A redirect would carry the reviewer's token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:   dialTimeout,
			ResponseHeaderTimeout: m.timeout,
			IdleConnTimeout:       90 * time.Second,
			MaxIdleConnsPerHost:   16,
			ForceAttemptHTTP2:     true,
		},
	}}
	return m.client, nil
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
	case status == http.StatusOK || status == http.StatusCreated:
		return nil
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
