package seal_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"strongroom/internal/seal"
	"strongroom/internal/seal/sealtest"
	"strongroom/internal/secret"
)

// transitServer answers as the transit engine and auth/token/renew-self are documented to, for one key at /v1/transit.
type transitServer struct {
	mu      sync.Mutex
	keys    []secret.Bytes // by version, from 1
	least   int            // min_decryption_version
	token   string
	status  int // answers every call, unless 0
	ttl     int64
	renewed int
	hang    chan struct{} // closed by the test; nil: answer at once
}

func (s *transitServer) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[%q]}`, text)
}

func (s *transitServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.hang != nil {
		select {
		case <-s.hang:
		case <-r.Context().Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var in struct{ Plaintext, Ciphertext string }
	json.NewDecoder(r.Body).Decode(&in)
	switch {
	case s.status == http.StatusServiceUnavailable:
		refuse(w, s.status, "Vault is sealed")
	case s.status != 0:
		refuse(w, s.status, "made to fail")
	case r.Header.Get("X-Vault-Token") != s.token:
		refuse(w, http.StatusForbidden, "permission denied")
	case r.URL.Path == "/v1/auth/token/renew-self":
		if s.ttl == 0 {
			refuse(w, http.StatusBadRequest, "lease is not renewable")
			return
		}
		s.renewed++
		fmt.Fprintf(w, `{"auth":{"renewable":true,"lease_duration":%d}}`, s.ttl)
	case r.URL.Path == "/v1/transit/encrypt/unseal":
		plain, err := base64.StdEncoding.DecodeString(in.Plaintext)
		if err != nil {
			refuse(w, http.StatusBadRequest, "failed to base64-decode plaintext")
			return
		}
		box, _ := secret.Seal(s.keys[len(s.keys)-1], plain, nil)
		fmt.Fprintf(w, `{"data":{"ciphertext":"vault:v%d:%s","key_version":%[1]d}}`, len(s.keys), base64.StdEncoding.EncodeToString(box))
	case r.URL.Path == "/v1/transit/decrypt/unseal":
		s.decrypt(w, in.Ciphertext)
	default:
		refuse(w, http.StatusNotFound, "no handler for route")
	}
}

func (s *transitServer) decrypt(w http.ResponseWriter, ciphertext string) {
	parts := strings.SplitN(ciphertext, ":", 3)
	version, err := strconv.Atoi(strings.TrimPrefix(parts[1], "v"))
	box, err2 := base64.StdEncoding.DecodeString(parts[2])
	switch {
	case parts[0] != "vault" || err != nil || err2 != nil || version < 1 || version > len(s.keys):
		refuse(w, http.StatusBadRequest, "invalid ciphertext: no prefix")
	case version < s.least:
		refuse(w, http.StatusBadRequest, "ciphertext or signature version is disallowed by policy (too old)")
	default:
		plain, err := secret.Open(s.keys[version-1], box, nil)
		if err != nil {
			refuse(w, http.StatusBadRequest, "cipher: message authentication failed")
			return
		}
		fmt.Fprintf(w, `{"data":{"plaintext":%q}}`, base64.StdEncoding.EncodeToString(plain))
	}
}

func newTransit(t *testing.T) (*transitServer, *seal.Transit) {
	t.Helper()
	s := &transitServer{keys: []secret.Bytes{secret.NewKey()}, token: "hvs.transit-token"}
	api := httptest.NewServer(s)
	t.Cleanup(api.Close)
	seal, err := seal.NewTransit(seal.TransitConfig{Address: api.URL + "/", Token: secret.Bytes(s.token), KeyName: "unseal", MountPath: "transit/"})
	if err != nil {
		t.Fatal(err)
	}
	return s, seal
}

func TestTransit(t *testing.T) {
	_, mine := newTransit(t)
	_, other := newTransit(t)
	sealtest.Test(t, mine, other)
}

// A rotated key opens what its older versions made, until the server forbids those.
func TestTransitRotation(t *testing.T) {
	ctx := context.Background()
	server, s := newTransit(t)
	wrapped, err := s.Wrap(ctx, []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	server.set(func() { server.keys = append(server.keys, secret.NewKey()) })
	if key, err := s.Unwrap(ctx, wrapped); err != nil || string(key) != "key" {
		t.Fatalf("after a rotation: %v", err)
	}
	if stale, err := s.Stale(ctx, wrapped); err != nil || !stale {
		t.Errorf("stale: %v, %v", stale, err)
	}
	server.set(func() { server.least = 2 })
	if _, err := s.Unwrap(ctx, wrapped); !errors.Is(err, secret.ErrOpen) || !strings.Contains(err.Error(), "too old") {
		t.Errorf("a version that is forbidden: %v", err)
	}
}

// What says nothing about the ciphertext is not secret.ErrOpen, or a node would take an outage for the wrong key. No error shows token or key.
func TestTransitOutages(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		fail func(*transitServer)
		text string
	}{
		"sealed":        {func(s *transitServer) { s.status = 503 }, "sealed"},
		"broken":        {func(s *transitServer) { s.status = 500 }, "answered 500"},
		"too many":      {func(s *transitServer) { s.status = 429 }, "answered 429"},
		"standby":       {func(s *transitServer) { s.status = 472 }, "answered 472"},
		"token revoked": {func(s *transitServer) { s.token = "another" }, "refuses the token"},
	} {
		server, s := newTransit(t)
		wrapped, err := s.Wrap(ctx, []byte("the unseal key"))
		if err != nil {
			t.Fatal(err)
		}
		server.set(func() { c.fail(server) })
		_, unwrap := s.Unwrap(ctx, wrapped)
		_, wrap := s.Wrap(ctx, []byte("the unseal key"))
		_, stale := s.Stale(ctx, wrapped)
		for _, err := range []error{unwrap, wrap, stale} {
			if err == nil || errors.Is(err, secret.ErrOpen) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %v", name, err)
			} else if strings.Contains(err.Error(), "hvs.") || strings.Contains(err.Error(), "unseal key") {
				t.Errorf("%s shows a secret: %v", name, err)
			}
		}
	}
}

func TestTransitSlowAndGone(t *testing.T) {
	server, s := newTransit(t)
	server.hang = make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Wrap(ctx, []byte("key")); !errors.Is(err, context.Canceled) {
		t.Errorf("while the server is silent: %v", err)
	}
	close(server.hang)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	s, err := seal.NewTransit(seal.TransitConfig{Address: gone.URL, Token: secret.Bytes("hvs.x"), KeyName: "unseal", MountPath: "transit"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Unwrap(context.Background(), []byte("vault:v1:AAAA")); err == nil || errors.Is(err, secret.ErrOpen) || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("a server that is gone: %v", err)
	}
}

// The token does not leave TLS, wherever the server sends its clients.
func TestTransitRedirects(t *testing.T) {
	var seen []string
	var mu sync.Mutex
	plain := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Header.Get("X-Vault-Token"))
	}))
	defer plain.Close()
	api := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusTemporaryRedirect))
	defer api.Close()
	s, err := seal.NewTransit(seal.TransitConfig{Address: api.URL, Token: secret.Bytes("hvs.x"), KeyName: "k", MountPath: "transit",
		TLS: api.Client().Transport.(*http.Transport).TLSClientConfig})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Wrap(context.Background(), []byte("key")); err == nil || len(seen) > 0 {
		t.Errorf("followed out of TLS: %v, %q", err, seen)
	}
}

func TestTransitConfig(t *testing.T) {
	good := seal.TransitConfig{Address: "https://vault:8200", Token: secret.Bytes("t"), KeyName: "k", MountPath: "transit"}
	for name, change := range map[string]func(*seal.TransitConfig){
		"address": func(c *seal.TransitConfig) { c.Address = "vault:8200" }, "no address": func(c *seal.TransitConfig) { c.Address = "" },
		"no token": func(c *seal.TransitConfig) { c.Token = nil }, "no key": func(c *seal.TransitConfig) { c.KeyName = "" },
		"no mount": func(c *seal.TransitConfig) { c.MountPath = "" },
	} {
		c := good
		change(&c)
		if _, err := seal.NewTransit(c); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if s := fmt.Sprintf("%v %+v", good, good); strings.Contains(s, "[116]") {
		t.Error("the token prints:", s)
	}
}
