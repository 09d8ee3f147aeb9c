package kubernetes

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"strongroom/engine"
	"strongroom/engine/enginetest"
	"strongroom/internal/kube"
	"strongroom/internal/storage"
)

// fixture is a mounted method whose pod has no files but those a test writes.
type fixture struct {
	*enginetest.Mounted
	method *Method
	dir    string
	env    map[string]string
}

func mountMethod(t testing.TB) *fixture {
	f := &fixture{dir: t.TempDir(), env: map[string]string{}}
	pod := kube.Pod{
		TokenFile: filepath.Join(f.dir, "token"), CAFile: filepath.Join(f.dir, "ca.crt"),
		Getenv: func(name string) string { return f.env[name] },
	}
	factory := func(env engine.Env) (engine.Engine, error) {
		f.method = New(env, pod)
		return f.method, nil
	}
	f.Mounted = enginetest.New(t, storage.NewMem(), "auth/kubernetes/", factory, nil)
	return f
}

type object = map[string]any

// must sends an operation that has to succeed.
func (f *fixture) must(t testing.TB, op engine.Operation, path string, body any) *engine.Response {
	t.Helper()
	resp, err := f.Do(op, path, body)
	if err != nil {
		t.Fatalf("%s %s: %v", op, path, err)
	}
	return resp
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// signer makes service account tokens.
type signer struct {
	id     string
	key    *ecdsa.PrivateKey
	signer jose.Signer
}

func newSigner(t testing.TB) *signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := rand.Text()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{id, key, s}
}

func (s *signer) publicPEM(t testing.TB) string {
	der, err := x509.MarshalPKIXPublicKey(&s.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf("PUBLIC KEY", der)
}

func (s *signer) sign(t testing.TB, claims any) string {
	t.Helper()
	text, err := jwt.Signed(s.signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// token is one as TokenRequest makes it, for an hour.
func (s *signer) token(t testing.TB, namespace, name string, more object) string {
	claims := object{
		"iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:" + namespace + ":" + name,
		"aud": []string{"https://kubernetes.default.svc"}, "exp": time.Now().Add(time.Hour).Unix(),
		"kubernetes.io": object{"namespace": namespace, "serviceaccount": object{"name": name, "uid": "uid-" + name}},
	}
	for k, v := range more {
		claims[k] = v
	}
	return s.sign(t, claims)
}

// apiServer answers TokenReviews as a test tells it to.
type apiServer struct {
	*httptest.Server
	mu      sync.Mutex
	asked   int
	bearer  string          // of the last question
	spec    kube.ReviewSpec // of the last question
	answer  func(w http.ResponseWriter, spec kube.ReviewSpec)
	strange string // what it was asked for beside TokenReviews

	keys      []*signer // whose tokens are the cluster's
	askedKeys int
	keysGone  int // the status of the answer while the keys cannot be had
}

func (a *apiServer) serveKeys(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.askedKeys++
	switch {
	case r.Header.Get("Accept") != "application/jwk-set+json":
		w.WriteHeader(http.StatusNotAcceptable) // as a real one does
	case a.keysGone != 0:
		w.WriteHeader(a.keysGone)
	default:
		var set jose.JSONWebKeySet
		for _, s := range a.keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: &s.key.PublicKey, KeyID: s.id, Use: "sig"})
		}
		send(w, http.StatusOK, set)
	}
}

func newAPIServer(t testing.TB) *apiServer {
	a := &apiServer{answer: yes("longhorn-system", "default")}
	a.Server = httptest.NewUnstartedServer(a)
	a.Config.ErrorLog = quiet()
	a.StartTLS()
	t.Cleanup(a.Close)
	return a
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == kube.KeysPath {
		a.serveKeys(w, r)
		return
	}
	var review kube.TokenReview
	body, _ := io.ReadAll(r.Body)
	err := json.Unmarshal(body, &review)
	a.mu.Lock()
	a.asked++
	a.bearer = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	a.spec = review.Spec
	if r.Method != http.MethodPost || r.URL.Path != kube.ReviewPath || err != nil || review.Kind != "TokenReview" || review.APIVersion != "authentication.k8s.io/v1" {
		a.strange = r.Method + " " + r.URL.Path
	}
	answer := a.answer
	a.mu.Unlock()
	answer(w, review.Spec)
}

func (a *apiServer) ca() string { return pemOf("CERTIFICATE", a.Certificate().Raw) }

func send(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// yes knows the token as that of a service account, for the audience asked.
func yes(namespace, name string) func(http.ResponseWriter, kube.ReviewSpec) {
	return func(w http.ResponseWriter, spec kube.ReviewSpec) {
		send(w, http.StatusCreated, object{"kind": "TokenReview", "status": object{
			"authenticated": true, "audiences": spec.Audiences,
			"user": object{"username": "system:serviceaccount:" + namespace + ":" + name, "uid": "real-uid", "groups": []string{"system:serviceaccounts"}},
		}})
	}
}

func status(s object) func(http.ResponseWriter, kube.ReviewSpec) {
	return func(w http.ResponseWriter, _ kube.ReviewSpec) { send(w, http.StatusCreated, object{"status": s}) }
}

// expiredServer is a TLS server whose certificate and authority have expired.
func expiredServer(t testing.TB) (*httptest.Server, string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "expired"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	srv.Config.ErrorLog = quiet()
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv, pemOf("CERTIFICATE", der)
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
