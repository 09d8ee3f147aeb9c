package jwt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"

	"strongroom/engine"
)

const (
	fetchTimeout = 10 * time.Second
	maxAnswer    = 1 << 20 // bytes
	// fresh is how long keys and discovery documents count without being fetched again.
	fresh = time.Hour
	// pause is the least time between two fetches of one URL: anybody can send
	// tokens that name a key nobody knows.
	pause = 5 * time.Second
	// maxKept bounds what is kept of providers; a configuration has few URLs.
	maxKept = 64
)

// remote is what providers have answered lately. It asks them only, never
// where a redirect points to. Safe for concurrent use.
type remote struct {
	fetches singleflight.Group

	mu      sync.Mutex
	kept    map[string]kept         // by URL and CA
	clients map[string]*http.Client // by CA
}

type kept struct {
	body []byte
	at   time.Time
}

func newRemote() *remote {
	return &remote{kept: map[string]kept{}, clients: map[string]*http.Client{}}
}

// client is a client that trusts ca, PEM; "" is the system's authorities.
func (r *remote) client(ca string) (*http.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.clients[ca]; ok {
		return c, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(ca)) {
			return nil, errors.New("jwt: the CA holds no certificate")
		}
	}
	c := &http.Client{
		Timeout:       fetchTimeout,
		Transport:     &http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if len(r.clients) >= maxKept {
		clear(r.clients)
	}
	r.clients[ca] = c
	return c, nil
}

// do asks a provider and returns its answer of at most maxAnswer bytes. Errors
// hold neither the request nor the answer: there are tokens in them.
func (r *remote) do(req *http.Request, ca string) ([]byte, error) {
	client, err := r.client(ca)
	if err != nil {
		return nil, err
	}
	what := req.URL.Scheme + "://" + req.URL.Host + req.URL.Path
	resp, err := client.Do(req)
	if err != nil {
		return nil, &engine.Error{Kind: engine.Upstream, Err: err, Text: fmt.Sprintf("%s cannot be asked: see that the URL and its CA are right and that this server may reach it", what)}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, engine.Errorf(engine.Upstream, "%s answered with status %d", what, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil || len(body) > maxAnswer {
		return nil, engine.Errorf(engine.Upstream, "the answer of %s broke off or is larger than %d bytes", what, maxAnswer)
	}
	return body, nil
}

// get returns what url holds, at most fresh old, or with again at most pause old.
func (r *remote) get(ctx context.Context, url, ca string, again bool) ([]byte, error) {
	key := url + "\x00" + ca
	limit := fresh
	if again {
		limit = pause
	}
	r.mu.Lock()
	k, ok := r.kept[key]
	r.mu.Unlock()
	if ok && time.Since(k.at) < limit {
		return k.body, nil
	}
	done := r.fetches.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout) // others wait for it too
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		body, err := r.do(req, ca)
		if err != nil {
			return nil, err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.kept) >= maxKept {
			clear(r.kept)
		}
		r.kept[key] = kept{body, time.Now()}
		return body, nil
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case res := <-done:
		if res.Err != nil {
			return nil, res.Err
		}
		return res.Val.([]byte), nil
	}
}

// keySet are the keys at a URL.
func (r *remote) keySet(ctx context.Context, from jwks, again bool) (*jose.JSONWebKeySet, error) {
	body, err := r.get(ctx, from.URL, from.CA, again)
	if err != nil {
		return nil, err
	}
	return parseKeySet(body)
}

func parseKeySet(body []byte) (*jose.JSONWebKeySet, error) {
	set := &jose.JSONWebKeySet{}
	if err := json.Unmarshal(body, set); err != nil {
		return nil, engine.Errorf(engine.Upstream, "the JWKS URL does not answer with a key set")
	}
	return set, nil
}

// provider is an OIDC provider's description of itself.
type provider struct {
	Issuer   string `json:"issuer"`
	AuthURL  string `json:"authorization_endpoint"`
	TokenURL string `json:"token_endpoint"`
	JWKSURL  string `json:"jwks_uri"`
	UserInfo string `json:"userinfo_endpoint"`
}

// discover asks the configured provider who it is. It must call itself by the
// URL it is found at, or another could pass for it.
func (r *remote) discover(ctx context.Context, c *config) (*provider, error) {
	body, err := r.get(ctx, strings.TrimSuffix(c.DiscoveryURL, "/")+"/.well-known/openid-configuration", c.DiscoveryCA, false)
	if err != nil {
		return nil, err
	}
	p := &provider{}
	if err := json.Unmarshal(body, p); err != nil {
		return nil, engine.Errorf(engine.Upstream, "the provider at oidc_discovery_url does not describe itself in JSON")
	}
	if strings.TrimSuffix(p.Issuer, "/") != strings.TrimSuffix(c.DiscoveryURL, "/") {
		return nil, engine.Invalidf("oidc_discovery_url does not match the provider's issuer %q: use that", p.Issuer)
	}
	for name, u := range map[string]string{"authorization_endpoint": p.AuthURL, "token_endpoint": p.TokenURL, "jwks_uri": p.JWKSURL} {
		if u != "" && strings.HasPrefix(c.DiscoveryURL, "https:") && !strings.HasPrefix(u, "https:") {
			return nil, engine.Errorf(engine.Upstream, "the provider's %s is not https, unlike itself", name)
		}
	}
	if p.JWKSURL == "" {
		return nil, engine.Errorf(engine.Upstream, "the provider at oidc_discovery_url names no jwks_uri")
	}
	return p, nil
}

// check asks what a configuration names.
func (r *remote) check(ctx context.Context, c *config) error {
	if c.DiscoveryURL != "" {
		if _, err := r.discover(ctx, c); err != nil {
			return asInvalid("error checking oidc discovery URL", err)
		}
	}
	for _, j := range c.JWKS {
		if _, err := r.keySet(ctx, j, true); err != nil {
			return asInvalid("error checking jwks URL", err)
		}
	}
	return nil
}

// asInvalid says that it is the configuration's fault.
func asInvalid(what string, err error) error {
	e := new(engine.Error)
	if !errors.As(err, &e) {
		return err
	}
	return &engine.Error{Kind: engine.Invalid, Err: e.Err, Text: what + ": " + e.Text}
}
