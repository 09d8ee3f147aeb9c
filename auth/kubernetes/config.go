package kubernetes

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/internal/storage"
)

const (
	configKey     = "config"
	defaultIssuer = "kubernetes/serviceaccount"
)

// secret is text that refuses to print, whatever the verb. It is stored, so it
// encodes to JSON as it is.
type secret string

// Format implements fmt.Formatter.
func (secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secret]") }

// config is the method's configuration as it is stored.
type config struct {
	Host             string   `json:"kubernetes_host"`
	CACert           string   `json:"kubernetes_ca_cert"`
	ReviewerJWT      secret   `json:"token_reviewer_jwt"`
	PEMKeys          []string `json:"pem_keys"`
	Issuer           string   `json:"issuer"`
	DisableIssuer    bool     `json:"disable_iss_validation"`
	DisableLocal     bool     `json:"disable_local_ca_jwt"`
	AliasAnnotations bool     `json:"use_annotations_as_alias_metadata"`
	Local            bool     `json:"local_token_verification,omitempty"`

	keys []crypto.PublicKey // of PEMKeys
}

var configFields = []engine.Field{
	{Name: "kubernetes_host", Help: "URL of the Kubernetes API server; in a pod, its own cluster's by default."},
	{Name: "kubernetes_ca_cert", Help: "PEM certificates that the API server's is checked by; by default the pod's ca.crt, else the system's."},
	{Name: "token_reviewer_jwt", Help: "Token that may create TokenReviews; by default the pod's own, else the caller's. One of the pod's own account that expires counts as the pod's own."},
	{Name: "pem_keys", Type: engine.StringList, Help: "PEM public keys or certificates, one of which must have signed the caller's token; none: only the API server judges."},
	{Name: "disable_local_ca_jwt", Type: engine.Bool, Help: "Do not use the pod's own ca.crt and token."},
	{Name: "disable_iss_validation", Type: engine.Bool, Default: true, Help: "Do not check the token's issuer; deprecated, the API server checks it."},
	{Name: "issuer", Help: "Issuer that tokens must have if disable_iss_validation is false; deprecated."},
	{Name: "use_annotations_as_alias_metadata", Type: engine.Bool, Help: "Keep annotations of the service account as alias metadata."},
	{Name: "local_token_verification", Type: engine.Bool, Help: "Believe the signature of the cluster's keys (pem_keys, or those its API server publishes) without a TokenReview a login: for an API server that is busy or far. A deleted service account is refused only once its token has ended."},
}

func decodeConfig(b []byte) (*config, error) {
	c := &config{}
	if err := json.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("kubernetes: decode config: %w", err)
	}
	var err error
	c.keys, err = parseKeys(c.PEMKeys)
	return c, err
}

// loadConfig returns the configuration and the version it was stored at.
func (m *Method) loadConfig(ctx context.Context, req *engine.Request) (*config, uint64, error) {
	return m.configs.Get(ctx, req.Storage, configKey, configKey, decodeConfig)
}

func (m *Method) readConfig(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, _, err := m.loadConfig(ctx, req)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, engine.ErrNotFound
	}
	keys := c.PEMKeys
	if keys == nil {
		keys = []string{}
	}
	data := map[string]any{
		"kubernetes_host":                   c.Host,
		"kubernetes_ca_cert":                c.CACert,
		"pem_keys":                          keys,
		"issuer":                            c.Issuer,
		"disable_iss_validation":            c.DisableIssuer,
		"disable_local_ca_jwt":              c.DisableLocal,
		"use_annotations_as_alias_metadata": c.AliasAnnotations,
		"token_reviewer_jwt_set":            c.ReviewerJWT != "",
	}
	if c.Local { // clients that compare what they wrote know nothing of it
		data["local_token_verification"] = true
	}
	return &engine.Response{Data: data}, nil
}

// writeConfig replaces the whole configuration, as Vault does.
func (m *Method) writeConfig(_ context.Context, req *engine.Request) (*engine.Response, error) {
	d := req.Data
	c := &config{
		Host:             strings.TrimSpace(d.String("kubernetes_host")),
		CACert:           strings.TrimSpace(d.String("kubernetes_ca_cert")),
		ReviewerJWT:      secret(strings.TrimSpace(d.String("token_reviewer_jwt"))),
		PEMKeys:          d.Strings("pem_keys"),
		Issuer:           d.String("issuer"),
		DisableIssuer:    d.Bool("disable_iss_validation"),
		DisableLocal:     d.Bool("disable_local_ca_jwt"),
		AliasAnnotations: d.Bool("use_annotations_as_alias_metadata"),
		Local:            d.Bool("local_token_verification"),
	}
	if c.Host == "" {
		c.Host = m.pod.Host()
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	if err := storage.PutJSON(req.Storage, configKey, c); err != nil {
		return nil, err
	}
	own, _ := m.ownToken(c) // a login will say what is wrong with it
	if w := c.warnings(own); len(w) > 0 {
		return &engine.Response{Warnings: w}, nil
	}
	return nil, nil
}

func (c *config) validate() error {
	if c.Host == "" {
		return engine.Invalidf("no host provided: give kubernetes_host, such as \"https://kubernetes.default.svc\"")
	}
	u, err := url.Parse(c.Host)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return engine.Invalidf("kubernetes_host must be the URL of the API server, such as \"https://kubernetes.default.svc\" or \"https://10.0.0.1:6443\"")
	}
	if u.User != nil {
		return engine.Invalidf("kubernetes_host must not hold a user or password; the API server is asked with token_reviewer_jwt")
	}
	if c.CACert != "" {
		if err := checkCertificates(c.CACert); err != nil {
			return engine.Invalidf("kubernetes_ca_cert: %v; give the whole PEM file, such as kubernetes_ca_cert=@ca.crt", err)
		}
	}
	if strings.ContainsFunc(string(c.ReviewerJWT), func(r rune) bool { return r <= ' ' || r > '~' }) {
		return engine.Invalidf("token_reviewer_jwt holds spaces or control characters; give the token alone, on one line")
	}
	if c.keys, err = parseKeys(c.PEMKeys); err != nil {
		return engine.Invalidf("pem_keys: %v; give PEM public keys or certificates", err)
	}
	return nil
}

// warnings are about what is taken, but will hardly be wanted. own is the pod's token.
func (c *config) warnings(own secret) []string {
	var out []string
	if strings.HasPrefix(c.Host, "http://") {
		out = append(out, "kubernetes_host is not https: tokens cross the network in the clear.")
	}
	if c.AliasAnnotations {
		out = append(out, "use_annotations_as_alias_metadata is kept, but has no effect yet.")
	}
	if c.ReviewerJWT != "" && !outlives(own, c.ReviewerJWT) {
		if cl, err := parseClaims(string(c.ReviewerJWT)); err == nil && cl.Expiry != nil {
			out = append(out, fmt.Sprintf("token_reviewer_jwt expires at %s and logins fail from then on; leave it out to use the pod's own token, which Kubernetes renews.",
				cl.Expiry.Time().UTC().Format(time.RFC3339)))
		}
	}
	return out
}

// checkCertificates demands at least one certificate and nothing else.
func checkCertificates(text string) error {
	n := 0
	for rest := []byte(text); ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if n == 0 {
				return fmt.Errorf("no PEM certificate in it")
			}
			if strings.TrimSpace(string(rest)) != "" {
				return fmt.Errorf("something that is not PEM follows certificate %d", n)
			}
			return nil
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("it holds a %s", block.Type)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("certificate %d cannot be read: %w", n+1, err)
		}
	}
}

func parseKeys(texts []string) ([]crypto.PublicKey, error) {
	var keys []crypto.PublicKey
	for i, text := range texts {
		block, rest := pem.Decode([]byte(text))
		if block == nil || strings.TrimSpace(string(rest)) != "" {
			return nil, fmt.Errorf("entry %d is not one PEM block", i+1)
		}
		switch block.Type {
		case "CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("entry %d: %w", i+1, err)
			}
			keys = append(keys, cert.PublicKey)
		case "RSA PUBLIC KEY":
			key, err := x509.ParsePKCS1PublicKey(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("entry %d: %w", i+1, err)
			}
			keys = append(keys, key)
		case "PUBLIC KEY":
			key, err := x509.ParsePKIXPublicKey(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("entry %d: %w", i+1, err)
			}
			keys = append(keys, key)
		default:
			return nil, fmt.Errorf("entry %d is a %s", i+1, block.Type)
		}
	}
	return keys, nil
}
