package kubernetes

import (
	"crypto"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"strongroom/engine"
	"strongroom/internal/kube"
)

const (
	maxJWT = 32 << 10 // bytes; a service account's token has about 1 KiB
	// leeway forgives clocks that differ; the API server decides in the end.
	leeway = 10 * time.Second
)

// claims is what a token says of itself, unverified.
type claims struct {
	jwt.Claims
	account
	token *jwt.JSONWebToken
	text  string // the whole
}

var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// parseClaims reads a service account's token, of the bound form (a claim
// "kubernetes.io") or the old one of token Secrets, without trusting it.
func parseClaims(text string) (*claims, error) {
	if len(text) > maxJWT {
		return nil, errors.New("too long for a token")
	}
	token, err := jwt.ParseSigned(text, algorithms)
	if err != nil {
		return nil, err
	}
	c := &claims{token: token, text: text}
	var raw map[string]json.RawMessage
	if err := token.UnsafeClaimsWithoutVerification(&c.Claims, &raw); err != nil {
		return nil, err
	}
	if k, ok := raw["kubernetes.io"]; ok {
		var bound struct {
			Namespace      string
			ServiceAccount struct{ Name, UID string }
		}
		if err := json.Unmarshal(k, &bound); err != nil {
			return nil, err
		}
		c.account = account{bound.Namespace, bound.ServiceAccount.Name, bound.ServiceAccount.UID}
	} else {
		text := func(claim string) (s string) {
			_ = json.Unmarshal(raw["kubernetes.io/serviceaccount/"+claim], &s) // absent or not text: empty
			return s
		}
		c.account = account{text("namespace"), text("service-account.name"), text("service-account.uid")}
	}
	if c.Namespace == "" || c.Name == "" {
		a, err := kube.ParseUsername(c.Subject)
		if err != nil {
			return nil, err
		}
		c.account = account{Namespace: a.Namespace, Name: a.Name}
	}
	return c, nil
}

// check refuses what the API server would refuse too, and what the role would
// not take, before either costs anything.
func (c *claims) check(conf *config, r *role, now time.Time) error {
	if c.Expiry != nil && now.After(c.Expiry.Time().Add(leeway)) {
		return engine.Errorf(engine.Denied, "permission denied: the jwt expired at %s; log in with a fresh service account token",
			c.Expiry.Time().UTC().Format(time.RFC3339))
	}
	if !conf.DisableIssuer {
		want := conf.Issuer
		if want == "" {
			want = defaultIssuer
		}
		if c.Issuer != want {
			return engine.Errorf(engine.Denied, "permission denied: invalid issuer (iss) claim; set issuer to the cluster's, or disable_iss_validation=true")
		}
	}
	if r.Audience != "" && !slices.Contains(c.Audience, r.Audience) {
		return engine.Errorf(engine.Denied, "invalid audience (aud) claim: audience claim does not match any expected audience")
	}
	if err := r.admits(c.account); err != nil {
		return err
	}
	if len(conf.keys) > 0 && !slices.ContainsFunc(conf.keys, c.signedBy) {
		return engine.Errorf(engine.Denied, "permission denied: none of pem_keys has signed the jwt")
	}
	return nil
}

func (c *claims) signedBy(key crypto.PublicKey) bool { return c.token.Claims(key) == nil }
