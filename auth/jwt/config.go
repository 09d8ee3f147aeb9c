package jwt

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"strongroom/engine"
	"strongroom/internal/storage"
)

const configKey = "config"

// secret is text that refuses to print, whatever the verb. It is stored, so it
// encodes to JSON as it is.
type secret string

// Format implements fmt.Formatter.
func (secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secret]") }

// jwks is a place where keys are published.
type jwks struct {
	URL string `json:"jwks_url"`
	CA  string `json:"jwks_ca_pem,omitempty"` // PEM; "": the system's
}

// config says who signs tokens, as it is stored.
type config struct {
	DiscoveryURL string   `json:"oidc_discovery_url,omitempty"`
	DiscoveryCA  string   `json:"oidc_discovery_ca_pem,omitempty"`
	ClientID     string   `json:"oidc_client_id,omitempty"`
	ClientSecret secret   `json:"oidc_client_secret,omitempty"`
	JWKS         []jwks   `json:"jwks,omitempty"`  // of jwks_url, or of jwks_pairs
	Pairs        bool     `json:"pairs,omitempty"` // they were given as jwks_pairs
	PublicKeys   []string `json:"jwt_validation_pubkeys,omitempty"`
	Issuer       string   `json:"bound_issuer,omitempty"`
	Algorithms   []string `json:"jwt_supported_algs,omitempty"`
	DefaultRole  string   `json:"default_role,omitempty"`

	keys []crypto.PublicKey // of PublicKeys
}

func configFields() []engine.Field {
	return []engine.Field{
		{Name: "oidc_discovery_url", Help: "URL of an OIDC provider, without .well-known."},
		{Name: "oidc_discovery_ca_pem", Help: "PEM certificates that the provider's is checked by; by default the system's."},
		{Name: "oidc_client_id", Help: "This server's name at the provider."},
		{Name: "oidc_client_secret", Help: "This server's secret at the provider."},
		{Name: "oidc_response_mode", Help: "Only \"query\"."},
		{Name: "oidc_response_types", Type: engine.StringList, Help: "Only \"code\"."},
		{Name: "jwks_url", Help: "URL where the signers' keys are published."},
		{Name: "jwks_ca_pem", Help: "PEM certificates that its is checked by; by default the system's."},
		{Name: "jwks_pairs", Type: engine.Any, Help: "Several of them: a list of objects with jwks_url and jwks_ca_pem."},
		{Name: "jwt_validation_pubkeys", Type: engine.StringList, Help: "The signers' public keys, PEM."},
		{Name: "bound_issuer", Help: "The issuer that tokens must have."},
		{Name: "jwt_supported_algs", Type: engine.StringList, Help: "Signature algorithms; by default all for jwt roles, RS256 for oidc roles."},
		{Name: "default_role", Type: engine.Name, Help: "The role of logins that name none."},
		{Name: "provider_config", Type: engine.Object, Help: "Not supported: nothing is done for particular providers."},
		{Name: "namespace_in_state", Type: engine.Bool, Help: "Kept for compatibility."},
	}
}

func decodeConfig(b []byte) (*config, error) {
	c := &config{}
	if err := json.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("jwt: decode config: %w", err)
	}
	var err error
	c.keys, err = parseKeys(c.PublicKeys)
	return c, err
}

// needConfig returns the configuration; none is an error.
func (m *Method) needConfig(ctx context.Context, req *engine.Request) (*config, error) {
	c, _, err := m.configs.Get(ctx, req.Storage, configKey, configKey, decodeConfig)
	if err == nil && c == nil {
		err = engine.Invalidf("could not load configuration: write %sconfig first", m.mount.Path)
	}
	return c, err
}

func (m *Method) readConfig(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, _, err := m.configs.Get(ctx, req.Storage, configKey, configKey, decodeConfig)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, engine.ErrNotFound
	}
	list := func(l []string) []string { return append([]string{}, l...) }
	pairs, one := []jwks{}, jwks{}
	if c.Pairs {
		pairs = c.JWKS
	} else if len(c.JWKS) > 0 {
		one = c.JWKS[0]
	}
	return &engine.Response{Data: map[string]any{
		"oidc_discovery_url": c.DiscoveryURL, "oidc_discovery_ca_pem": c.DiscoveryCA, "oidc_client_id": c.ClientID,
		"oidc_response_mode": "", "oidc_response_types": []string{}, "jwks_url": one.URL, "jwks_ca_pem": one.CA, "jwks_pairs": pairs,
		"jwt_validation_pubkeys": list(c.PublicKeys), "bound_issuer": c.Issuer, "jwt_supported_algs": list(c.Algorithms),
		"default_role": c.DefaultRole, "provider_config": map[string]any{}, "namespace_in_state": true,
	}}, nil
}

// writeConfig replaces the whole configuration, as Vault does, once the provider
// that it names has answered.
func (m *Method) writeConfig(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	d := req.Data
	c := &config{
		DiscoveryURL: strings.TrimSpace(d.String("oidc_discovery_url")), DiscoveryCA: d.String("oidc_discovery_ca_pem"), ClientID: d.String("oidc_client_id"),
		ClientSecret: secret(d.String("oidc_client_secret")), PublicKeys: d.Strings("jwt_validation_pubkeys"), Issuer: d.String("bound_issuer"),
		Algorithms: d.Strings("jwt_supported_algs"), DefaultRole: d.String("default_role"),
	}
	if u := strings.TrimSpace(d.String("jwks_url")); u != "" {
		c.JWKS = []jwks{{u, d.String("jwks_ca_pem")}}
	}
	if raw := d.Raw("jwks_pairs"); raw != nil && string(raw) != "[]" {
		if c.JWKS != nil {
			return nil, engine.Invalidf("jwks_pairs cannot be used with jwks_url: give one")
		}
		c.Pairs = true
		if err := json.Unmarshal(raw, &c.JWKS); err != nil {
			return nil, engine.Invalidf("jwks_pairs must be a list of objects with jwks_url and jwks_ca_pem")
		}
	}
	if err := unsupported(d); err != nil {
		return nil, err
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	if err := m.remote.check(ctx, c); err != nil {
		return nil, err
	}
	return nil, storage.PutJSON(req.Storage, configKey, c)
}

// unsupported refuses what this method does not do.
func unsupported(d engine.Data) error {
	if mode := d.String("oidc_response_mode"); mode != "" && mode != "query" {
		return engine.Invalidf("oidc_response_mode %q is not supported: use \"query\"", mode)
	}
	if types := d.Strings("oidc_response_types"); len(types) > 0 && !slices.Equal(types, []string{"code"}) {
		return engine.Invalidf("oidc_response_types is not supported but for \"code\": leave it out")
	}
	if raw := d.Raw("provider_config"); raw != nil && strings.Trim(string(raw), "{} \t\r\n") != "" {
		return engine.Invalidf("provider_config is not supported: leave it out; groups come from the token's own claim (groups_claim)")
	}
	return nil
}

// algorithms are the signatures that are taken, all by public keys: with a
// symmetric one, whoever knows a public key could sign.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512, jose.PS256, jose.PS384, jose.PS512, jose.EdDSA,
	}
}

func (c *config) validate() error {
	ways := 0
	for _, given := range []bool{c.DiscoveryURL != "", len(c.JWKS) > 0, len(c.PublicKeys) > 0} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return engine.Invalidf("exactly one of 'oidc_discovery_url', 'jwks_url', 'jwks_pairs' or 'jwt_validation_pubkeys' must be set")
	}
	if c.DiscoveryURL != "" {
		if err := checkURL("oidc_discovery_url", c.DiscoveryURL, c.DiscoveryCA); err != nil {
			return err
		}
	}
	for _, j := range c.JWKS {
		if err := checkURL("jwks_url", j.URL, j.CA); err != nil {
			return err
		}
	}
	if c.ClientSecret != "" && c.ClientID == "" || c.ClientID != "" && c.DiscoveryURL == "" {
		return engine.Invalidf("'oidc_client_id' must be set with 'oidc_client_secret', and needs 'oidc_discovery_url'")
	}
	for _, a := range c.Algorithms {
		if !slices.Contains(algorithms(), jose.SignatureAlgorithm(a)) {
			return engine.Invalidf("unsupported signing algorithm: %q; one of %v is needed", a, algorithms())
		}
	}
	var err error
	if c.keys, err = parseKeys(c.PublicKeys); err != nil {
		return engine.Invalidf("jwt_validation_pubkeys: %v", err)
	}
	return nil
}

func checkURL(name, text, ca string) error {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.Fragment != "" {
		return engine.Invalidf("%s must be a URL such as \"https://login.example.com\", without a user or password", name)
	}
	if ca != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(ca)) {
		return engine.Invalidf("the CA for %s holds no PEM certificate", name)
	}
	return nil
}

// parseKeys reads PEM public keys or certificates, one a text.
func parseKeys(texts []string) ([]crypto.PublicKey, error) {
	var keys []crypto.PublicKey
	for i, text := range texts {
		block, rest := pem.Decode([]byte(text))
		if block == nil || strings.TrimSpace(string(rest)) != "" {
			return nil, fmt.Errorf("entry %d is not one PEM block", i+1)
		}
		key, err := parseKey(block)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func parseKey(block *pem.Block) (crypto.PublicKey, error) {
	var key crypto.PublicKey
	var err error
	switch block.Type {
	case "CERTIFICATE":
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = c.PublicKey
		}
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	default:
		return nil, fmt.Errorf("a PEM public key is needed, not a %q", block.Type)
	}
	if err != nil {
		return nil, errors.New("the public key is malformed")
	}
	switch key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
		return key, nil
	}
	return nil, errors.New("a key for RSA, ECDSA or Ed25519 is needed")
}
