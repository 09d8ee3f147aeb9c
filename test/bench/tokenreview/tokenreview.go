// Package tokenreview is the one part of a Kubernetes API server that the Kubernetes auth method asks: it answers TokenReviews
// for the service account tokens it has issued, over TLS. It is for tests and benchmarks that want a login without a control plane.
package tokenreview

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const path = "/apis/authentication.k8s.io/v1/tokenreviews"

// Server answers TokenReviews on a loopback port. Safe for concurrent use.
type Server struct {
	URL string // kubernetes_host
	CA  string // kubernetes_ca_cert, PEM

	http     *httptest.Server
	signer   jose.Signer
	mu       sync.RWMutex
	accounts map[string]string // user name by token
}

// Start starts a server that knows no token.
func Start() (*Server, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		return nil, err
	}
	s := &Server{signer: signer, accounts: map[string]string{}}
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(s.review))
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.http.EnableHTTP2 = true
	s.http.StartTLS()
	s.URL = s.http.URL
	s.CA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw}))
	return s, nil
}

// Close stops the server.
func (s *Server) Close() { s.http.Close() }

// Issue makes a token of a service account, as TokenRequest does, good for an hour. No two are the same.
func (s *Server) Issue(namespace, name string) (string, error) {
	user := "system:serviceaccount:" + namespace + ":" + name
	now := time.Now()
	token, err := jwt.Signed(s.signer).Claims(map[string]any{
		"iss": "https://kubernetes.default.svc", "sub": user, "aud": []string{"https://kubernetes.default.svc"},
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "jti": rand.Text(),
		"kubernetes.io": map[string]any{"namespace": namespace, "serviceaccount": map[string]string{"name": name, "uid": "uid-of-" + name}},
	}).Serialize()
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts[token] = user
	return token, nil
}

type object = map[string]any

// review answers one TokenReview. A token that was not issued here is not authenticated, as with the API server.
func (s *Server) review(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Spec struct {
			Token     string   `json:"token"`
			Audiences []string `json:"audiences"`
		} `json:"spec"`
	}
	if r.Method != http.MethodPost || r.URL.Path != path || json.NewDecoder(r.Body).Decode(&in) != nil {
		http.NotFound(w, r)
		return
	}
	if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	}
	s.mu.RLock()
	user, known := s.accounts[in.Spec.Token]
	s.mu.RUnlock()
	status := object{"authenticated": known}
	if known {
		status["user"] = object{"username": user, "uid": "uid-of-" + user[strings.LastIndexByte(user, ':')+1:], "groups": []string{"system:serviceaccounts"}}
		status["audiences"] = in.Spec.Audiences
	} else {
		status["error"] = "[invalid bearer token, unknown token]"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(object{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status})
}
