// Package oidctest is a small OpenID provider on loopback, for tests of logins that go through a browser.
package oidctest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Provider has discovery, keys, and the authorization code flow with PKCE. Its one user, ada, is logged in there already and agrees to
// everything. Safe for concurrent use.
type Provider struct {
	*httptest.Server
	CA     string // PEM
	signer jose.Signer

	mu     sync.Mutex
	codes  map[string]url.Values // what was asked for each code
	groups []string              // of the user
	refuse string                // the error that the user is sent back with, if any
}

// Of the one client that is known there.
const (
	Client = "strongroom"
	Secret = "s3cret"
)

// Start starts a provider, which ends with the test.
func Start(t testing.TB) *Provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{codes: map[string]url.Values{}, groups: []string{"ops"}}
	if p.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, nil); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
			"jwks_uri": p.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "1", Use: "sig", Algorithm: "RS256"}}})
	})
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	p.CA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
	return p
}

// SetGroups says which groups the user is in from now on; at first it is ops.
func (p *Provider) SetGroups(groups ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.groups = append([]string{}, groups...)
}

// Refuse has the user sent back with that error from now on; "": as before.
func (p *Provider) Refuse(err string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = err
}

// authorize is the page where the user, who is logged in already, agrees.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || q.Get("client_id") != Client || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" ||
		!strings.Contains(q.Get("scope"), "openid") {
		http.Error(w, "not a request of a client that is known here", http.StatusBadRequest)
		return
	}
	w.Header().Set("Cross-Origin-Opener-Policy", "same-origin") // as real ones keep their windows apart
	answer := url.Values{"state": {q.Get("state")}}
	if p.refuse != "" {
		answer.Set("error", p.refuse)
		answer.Set("error_description", "<script>alert(1)</script>")
	} else {
		code := rand.Text()
		p.codes[code] = q
		answer.Set("code", code)
	}
	back.RawQuery = answer.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// token gives an ID token for a code, once, to the client it was made for.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id, secret, _ := r.BasicAuth()
	asked := p.codes[r.FormValue("code")]
	delete(p.codes, r.FormValue("code"))
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if asked == nil || id != Client || secret != Secret || r.FormValue("redirect_uri") != asked.Get("redirect_uri") ||
		base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge") {
		http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
		return
	}
	now := time.Now()
	claims, err := json.Marshal(map[string]any{"iss": p.URL, "aud": Client, "sub": "ada", "nonce": asked.Get("nonce"), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "groups": p.groups})
	if err == nil {
		var signed *jose.JSONWebSignature
		if signed, err = p.signer.Sign(claims); err == nil {
			var text string
			text, err = signed.CompactSerialize()
			json.NewEncoder(w).Encode(map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "id_token": text})
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
