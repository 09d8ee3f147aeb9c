// Package kube owns the few things that the server asks of the Kubernetes API:
// whose a service account's token is, which pods there are, a pod's labels, how
// many pods its StatefulSet wants, and Secrets with certificates. It speaks plain HTTPS and
// keeps no answer. What an answer means is its callers' affair.
package kube

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// Timeout bounds one question that its context does not bound sooner.
	Timeout     = 15 * time.Second
	dialTimeout = 5 * time.Second // of a connection, and again of its TLS
)

// Errors of this package.
var (
	ErrNoCA         = errors.New("kube: the file or text that should hold the API server's CA holds no PEM certificate")
	ErrURL          = errors.New("kube: the API server's address is not a URL")
	ErrNotKube      = errors.New("kube: the answer is not one of the Kubernetes API")
	ErrNotInCluster = errors.New("kube: this server does not run in a pod (KUBERNETES_SERVICE_HOST is not set): run it in Kubernetes, or name a kubeconfig")
)

// Pod is where Kubernetes puts what it gives to a pod.
type Pod struct {
	TokenFile string                   // the pod's own service account token
	CAFile    string                   // the authority of the API server's certificate, PEM
	Getenv    func(name string) string // os.Getenv
}

// InPod is where that is in every pod.
func InPod() Pod {
	const dir = "/var/run/secrets/kubernetes.io/serviceaccount/"
	return Pod{TokenFile: dir + "token", CAFile: dir + "ca.crt", Getenv: os.Getenv}
}

// Host is the URL of the API server of the cluster that the pod runs in, or "".
func (p Pod) Host() string {
	host, port := p.Getenv("KUBERNETES_SERVICE_HOST"), p.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return ""
	}
	return "https://" + net.JoinHostPort(host, port)
}

// Config says how to reach an API server. CA and Token are asked at every
// question, as Kubernetes renews both; neither is kept longer than it lasts.
type Config struct {
	URL        string                   // https://host:port
	ServerName string                   // in its certificate; "": the URL's host
	CA         func() ([]byte, error)   // PEM; nil, or nothing: the system's roots
	Token      func() (string, error)   // who asks; nil: nobody, or Cert
	Cert       *tls.Certificate         // who asks, by certificate
	Insecure   bool                     // believe whoever answers: a kubeconfig may say so
	Namespace  string                   // of the pod or the kubeconfig's context; "" if unknown
	RoundTrip  func() http.RoundTripper // for tests; nil: HTTPS
}

// Client asks one API server. Safe for concurrent use.
type Client struct {
	config Config

	mu   sync.Mutex
	ca   string // what the client was made with
	http *http.Client
}

// New makes a client; nothing is asked yet.
func New(config Config) *Client {
	config.URL = strings.TrimRight(config.URL, "/")
	return &Client{config: config}
}

// InCluster is the API server of the cluster that pod runs in.
func InCluster(pod Pod) (*Client, error) {
	host := pod.Host()
	if host == "" {
		return nil, ErrNotInCluster
	}
	namespace, _ := os.ReadFile(strings.TrimSuffix(pod.TokenFile, "token") + "namespace") // only a default
	return New(Config{
		URL:       host,
		CA:        func() ([]byte, error) { return os.ReadFile(pod.CAFile) },
		Token:     TokenFile(pod.TokenFile),
		Namespace: strings.TrimSpace(string(namespace)),
	}), nil
}

// TokenFile reads a token from path whenever it is called.
func TokenFile(path string) func() (string, error) {
	return func() (string, error) {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("kube: read the service account token: %w", err)
		}
		token := strings.TrimSpace(string(b))
		if token == "" {
			return "", fmt.Errorf("kube: %s is empty: it should hold a service account token", path)
		}
		return token, nil
	}
}

// URL is where the API server is.
func (c *Client) URL() string { return c.config.URL }

// Namespace is the client's own namespace, "" if it is not known.
func (c *Client) Namespace() string { return c.config.Namespace }

// StatusError is an HTTP status that is no success.
type StatusError struct {
	URL    string // of the API server
	What   string // that was asked for, such as "create TokenReviews"
	Role   string // RBAC that allows it
	Status int
}

// Error says what to mend.
func (e *StatusError) Error() string {
	switch {
	case e.Status == http.StatusUnauthorized:
		return fmt.Sprintf("kube: %s does not accept this server's credentials: the token may have expired or belong to another cluster", e.URL)
	case e.Status == http.StatusForbidden:
		return fmt.Sprintf("kube: %s does not let this server %s: %s", e.URL, e.What, e.Role)
	case e.Status/100 == 3:
		return fmt.Sprintf("kube: %s redirects (status %d), which is not followed: name the API server itself", e.URL, e.Status)
	}
	return fmt.Sprintf("kube: %s answered with status %d when asked to %s", e.URL, e.Status, e.What)
}

// question is one request.
type question struct {
	method, path string
	query        url.Values
	body         any    // nil: none
	kind         string // of the body; "": JSON
	accept       string // form of the answer; "": JSON
	bearer       string // who asks; "": Config's Token
	limit        int64  // bytes of the answer
	what, role   string // see StatusError
}

// ask sends q and decodes the answer into out. Errors: StatusError, ErrNotKube,
// ErrNoCA, ErrURL, the context's, and net/http's.
func (c *Client) ask(ctx context.Context, q question, out any) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	client, err := c.client()
	if err != nil {
		return err
	}
	body, err := json.Marshal(q.body)
	if err != nil {
		return fmt.Errorf("kube: %w", err)
	}
	if q.body == nil {
		body = nil
	}
	req, err := http.NewRequestWithContext(ctx, q.method, c.config.URL+q.path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrURL, err)
	}
	req.URL.RawQuery = q.query.Encode()
	if q.bearer == "" && c.config.Token != nil {
		if q.bearer, err = c.config.Token(); err != nil {
			return err
		}
	}
	if q.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+q.bearer)
	}
	req.Header.Set("Content-Type", cmp.Or(q.kind, "application/json"))
	req.Header.Set("Accept", cmp.Or(q.accept, "application/json"))
	// What a question changes is the same if it comes twice, or is refused then, so net/http may
	// send it again when an idle connection turns out dead; the empty key says so and is not sent.
	req.Header["Idempotency-Key"] = []string{}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		return &StatusError{URL: c.config.URL, What: q.what, Role: q.role, Status: resp.StatusCode}
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, q.limit)).Decode(out); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w: %w", ErrNotKube, err)
	}
	return nil
}

// client returns the HTTP client; it makes a new one when the CA has changed.
func (c *Client) client() (*http.Client, error) {
	var ca []byte
	if c.config.CA != nil {
		var err error
		if ca, err = c.config.CA(); err != nil {
			return nil, fmt.Errorf("kube: read the API server's CA: %w", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http != nil && c.ca == string(ca) {
		return c.http, nil
	}
	var roots *x509.CertPool // nil: the system's
	if len(ca) > 0 {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(ca) {
			return nil, ErrNoCA
		}
	}
	c.close()
	c.ca = string(ca)
	c.http = &http.Client{
		// A redirect would carry the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     c.transport(roots),
	}
	return c.http, nil
}

func (c *Client) transport(roots *x509.CertPool) http.RoundTripper {
	if c.config.RoundTrip != nil {
		return c.config.RoundTrip()
	}
	t := &tls.Config{RootCAs: roots, ServerName: c.config.ServerName, InsecureSkipVerify: c.config.Insecure, MinVersion: tls.VersionTLS12}
	if c.config.Cert != nil {
		t.Certificates = []tls.Certificate{*c.config.Cert}
	}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:     t,
		TLSHandshakeTimeout: dialTimeout,
		IdleConnTimeout:     90 * time.Second,
		MaxIdleConnsPerHost: 16,
		ForceAttemptHTTP2:   true,
	}
}

// Close ends idle connections; the client can be used again.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close()
}

func (c *Client) close() {
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
}
