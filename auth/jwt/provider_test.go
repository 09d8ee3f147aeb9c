package jwt

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"strongroom/engine"
	"strongroom/engine/enginetest"
	"strongroom/internal/storage"
)

type object = map[string]any

// signer is a key that signs tokens.
type signer struct {
	key *ecdsa.PrivateKey
	id  string
}

func newSigner(t *testing.T, id string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key, id}
}

func (s signer) pem(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&s.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func (s signer) sign(t *testing.T, claims object) string {
	t.Helper()
	b, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return signWith(t, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: s.key, KeyID: s.id}}, b)
}

func signWith(t *testing.T, key jose.SigningKey, payload []byte) string {
	t.Helper()
	signer, err := jose.NewSigner(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := token.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// provider is an OIDC provider on loopback, with TLS.
type fakeProvider struct {
	*httptest.Server
	ca string

	mu      sync.Mutex
	keys    []signer
	fetches int
	claims  object            // of the next ID token, but for what the flow makes
	info    object            // of the user
	codes   map[string]object // code: what auth_url asked
}

func startProvider(t *testing.T, keys ...signer) *fakeProvider {
	t.Helper()
	p := &fakeProvider{keys: keys, codes: map[string]object{}}
	mux := http.NewServeMux()
	answer := func(path string, make func(*http.Request) any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			defer p.mu.Unlock()
			v := make(r)
			if v == nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			json.NewEncoder(w).Encode(v)
		})
	}
	answer("/.well-known/openid-configuration", func(*http.Request) any {
		return object{"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys", "userinfo_endpoint": p.URL + "/me"}
	})
	answer("/keys", func(*http.Request) any {
		p.fetches++
		set := jose.JSONWebKeySet{}
		for _, k := range p.keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: &k.key.PublicKey, KeyID: k.id, Use: "sig"})
		}
		return set
	})
	answer("/me", func(r *http.Request) any {
		if r.Header.Get("Authorization") != "Bearer access" {
			return nil
		}
		return p.info
	})
	answer("/token", func(r *http.Request) any { return p.token(t, r) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/keys", http.StatusFound) })
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	p.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
	return p
}

// token answers a code once, to the client it was for, with the verifier of its challenge.
func (p *fakeProvider) token(t *testing.T, r *http.Request) any {
	id, secret, _ := r.BasicAuth()
	asked := p.codes[r.FormValue("code")]
	delete(p.codes, r.FormValue("code"))
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if asked == nil || id != "client+id" || secret != "client+secret" || r.FormValue("redirect_uri") != asked["redirect_uri"] ||
		base64.RawURLEncoding.EncodeToString(sum[:]) != asked["code_challenge"] {
		return nil
	}
	claims := object{"iss": p.URL, "aud": "client id", "sub": "ada", "exp": time.Now().Add(time.Minute).Unix(), "nonce": asked["nonce"], "azp": "client id"}
	for k, v := range p.claims {
		claims[k] = v
	}
	return object{"id_token": p.keys[0].sign(t, claims), "access_token": "access"}
}

// authorize is the user at the provider: it gives a code for what the URL asks.
func (p *fakeProvider) authorize(t *testing.T, authURL string) (state, code string, query url.Values) {
	t.Helper()
	u, err := url.Parse(authURL)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	p.mu.Lock()
	defer p.mu.Unlock()
	code = random()
	p.codes[code] = object{"nonce": q.Get("nonce"), "redirect_uri": q.Get("redirect_uri"), "code_challenge": q.Get("code_challenge")}
	return q.Get("state"), code, q
}

type fixture struct {
	*enginetest.Mounted
	t      *testing.T
	remote string
}

func mount(t *testing.T) *fixture {
	f := &fixture{enginetest.New(t, storage.NewMem(), "auth/jwt/", Factory, nil), t, "192.0.2.1:1"}
	f.Before = func(r *engine.Request) { r.Remote = netip.MustParseAddrPort(f.remote) }
	return f
}

func (f *fixture) must(op engine.Operation, path string, body any) object {
	f.t.Helper()
	resp, err := f.Do(op, path, body)
	if err != nil {
		f.t.Fatalf("%s %s: %v", op, path, err)
	}
	if resp == nil || resp.Data == nil {
		return nil
	}
	return resp.Data.(object)
}

func (f *fixture) login(role, token string) (*engine.Grant, error) {
	f.t.Helper()
	resp, err := f.Do(engine.Update, "login", object{"role": role, "jwt": token})
	if err != nil {
		return nil, err
	}
	return resp.Grant, nil
}
