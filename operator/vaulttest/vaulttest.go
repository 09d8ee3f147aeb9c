// Package vaulttest is a small server for tests that speaks Vault's documented HTTP API as far as the operator uses
// it: the Kubernetes login, tokens, KV 1 and 2, mounts and the seal. It believes every service account token that
// reads like one.
package vaulttest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Role is a role of auth/kubernetes.
type Role struct {
	Namespace, Account string   // bound
	Paths              []string // that its tokens may read, with a * at the end
	TTL                time.Duration
}

// Server is the fake. Its zero value is not usable; see New.
type Server struct {
	mu       sync.Mutex
	sealed   bool
	mounts   map[string]int // path with a slash at the end → KV version
	secrets  map[string][]version
	roles    map[string]Role
	tokens   map[string]*token
	issued   int
	requests map[string]int
	logins   map[string]int // tried, by role
	fail     map[string]failure
	engines  engines
	custom   map[string]map[string]string // custom_metadata, by the secret's name
	meddle   func(method, path string)
	reports  reports
}

type version struct {
	data               map[string]any
	deleted, destroyed bool
}

type token struct {
	role    Role
	expires time.Time
	leases  bool // it asked for credentials with a lease
}

type failure struct {
	status int
	body   string
}

// New returns an unsealed server with KV 2 at secret/ and KV 1 at old/.
func New() *Server {
	return &Server{
		mounts: map[string]int{"secret/": 2, "old/": 1}, secrets: map[string][]version{}, roles: map[string]Role{},
		custom: map[string]map[string]string{}, tokens: map[string]*token{}, requests: map[string]int{}, logins: map[string]int{}, fail: map[string]failure{},
	}
}

// Put writes a new version of a secret, named as the CLI does.
func (s *Server) Put(name string, data map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[name] = append(s.secrets[name], version{data: data})
}

// Delete deletes or destroys the last version of a KV 2 secret.
func (s *Server) Delete(name string, destroy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	versions := s.secrets[name]
	last := &versions[len(versions)-1]
	last.deleted, last.destroyed = !destroy, destroy
}

// Remove removes all of a secret.
func (s *Server) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.secrets, name)
}

// SetRole writes a role. Tokens keep the paths that they were issued with.
func (s *Server) SetRole(name string, role Role) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roles[name] = role
}

// SetMount mounts KV at path; version 0 unmounts it.
func (s *Server) SetMount(path string, version int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if version == 0 {
		delete(s.mounts, path)
		return
	}
	s.mounts[path] = version
}

// SetSealed seals or unseals.
func (s *Server) SetSealed(sealed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = sealed
}

// Fail answers every request of a path with status and body; status 0 ends that.
func (s *Server) Fail(path string, status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail[path] = failure{status, body}
}

// RevokeAll revokes every token.
func (s *Server) RevokeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// Tokens counts the tokens that live.
func (s *Server) Tokens() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tokens)
}

// Leasing counts those of them that asked for credentials with a lease.
func (s *Server) Leasing() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := 0
	for _, each := range s.tokens {
		if each.leases {
			count++
		}
	}
	return count
}

// Count counts the requests of a path so far.
func (s *Server) Count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[path]
}

// Logins counts the logins tried with a role so far, those that were refused too.
func (s *Server) Logins(role string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins[role]
}

// Dial returns a dialer whose connections reach s without a network, so that it works in a synctest bubble.
func (s *Server) Dial(t testing.TB) func(context.Context, string, string) (net.Conn, error) {
	listener := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case listener.conns <- theirs:
			return ours, nil
		case <-listener.closed:
			return nil, net.ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

type pipes struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// Meddle has a function called before each request is answered, which may do what it likes; nil ends that.
func (s *Server) Meddle(with func(method, path string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meddle = with
}

// ServeHTTP answers /v1/….
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if meddle := s.meddle; meddle != nil {
		s.mu.Unlock()
		meddle(r.Method, strings.TrimPrefix(r.URL.Path, "/v1/"))
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	s.requests[path]++
	if failure := s.fail[path]; failure.status != 0 {
		w.WriteHeader(failure.status)
		_, _ = w.Write([]byte(failure.body))
		return
	}
	if path == "sys/leader" {
		answer(w, http.StatusOK, map[string]any{"ha_enabled": false})
		return
	}
	if path == "sys/seal-status" {
		answer(w, http.StatusOK, map[string]any{"initialized": true, "sealed": s.sealed, "version": "1.0.0-fake"})
		return
	}
	if s.sealed {
		refuse(w, http.StatusServiceUnavailable, "Vault is sealed")
		return
	}
	if path == "auth/kubernetes/login" {
		s.login(w, r)
		return
	}
	if strings.HasPrefix(path, "auth/") && strings.HasSuffix(path, "/login") {
		refuse(w, http.StatusNotFound, fmt.Sprintf("no handler for route %q. route entry not found.", path))
		return
	}
	name := r.Header.Get("X-Vault-Token")
	bearer := s.tokens[name]
	if bearer == nil || !time.Now().Before(bearer.expires) {
		delete(s.tokens, name)
		refuse(w, http.StatusForbidden, "permission denied")
		return
	}
	switch {
	case path == "auth/token/renew-self":
		bearer.expires = time.Now().Add(bearer.role.TTL)
		s.auth(w, name, bearer.role)
	case path == "auth/token/revoke-self":
		delete(s.tokens, name)
		w.WriteHeader(http.StatusNoContent)
	case path == "sys/kubernetes/report" && s.reports.taken:
		s.report(w, r, bearer)
	case strings.HasPrefix(path, "sys/internal/ui/mounts/"):
		s.mount(w, bearer, strings.TrimPrefix(path, "sys/internal/ui/mounts/"))
	case s.versioned(w, r, bearer, path):
	case s.engine(w, r, bearer, path):
	default:
		s.read(w, bearer, path)
	}
}

func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	var body struct{ Role, JWT string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refuse(w, http.StatusBadRequest, "failed to parse JSON input")
		return
	}
	s.logins[body.Role]++
	role, ok := s.roles[body.Role]
	if !ok {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("invalid role name %q", body.Role))
		return
	}
	if Subject(body.JWT) != "system:serviceaccount:"+role.Namespace+":"+role.Account {
		refuse(w, http.StatusForbidden, "service account name not authorized")
		return
	}
	if role.TTL == 0 {
		role.TTL = 24 * time.Hour
	}
	s.issued++
	name := fmt.Sprintf("hvs.fake%d", s.issued)
	s.tokens[name] = &token{role: role, expires: time.Now().Add(role.TTL)}
	s.auth(w, name, role)
}

func (s *Server) auth(w http.ResponseWriter, name string, role Role) {
	answer(w, http.StatusOK, map[string]any{"auth": map[string]any{
		"client_token": name, "lease_duration": int(role.TTL / time.Second), "renewable": true,
	}})
}

func (t *token) may(path string) bool {
	return slices.ContainsFunc(t.role.Paths, func(allowed string) bool {
		prefix, glob := strings.CutSuffix(allowed, "*")
		return allowed == path || glob && strings.HasPrefix(path, prefix)
	})
}

func (s *Server) mountOf(path string) (string, int) {
	for mount, version := range s.mounts {
		if strings.HasPrefix(path, mount) {
			return mount, version
		}
	}
	return "", 0
}

func (s *Server) mount(w http.ResponseWriter, bearer *token, path string) {
	mount, version := s.mountOf(path)
	known := mount != "" && slices.ContainsFunc(bearer.role.Paths, func(p string) bool { return strings.HasPrefix(p, mount) })
	if !known {
		refuse(w, http.StatusForbidden, fmt.Sprintf("preflight capability check returned 403, please ensure client's policies grant access to path %q", path+"/"))
		return
	}
	answer(w, http.StatusOK, map[string]any{"data": map[string]any{
		"path": mount, "type": "kv", "options": map[string]any{"version": fmt.Sprint(version)},
	}})
}

func (s *Server) read(w http.ResponseWriter, bearer *token, path string) {
	mount, kv := s.mountOf(path)
	switch {
	case !bearer.may(path):
		refuse(w, http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
		return
	case mount == "":
		refuse(w, http.StatusNotFound, fmt.Sprintf("no handler for route %q. route entry not found.", path))
		return
	}
	name := path
	if kv == 2 {
		name = mount + strings.TrimPrefix(strings.TrimPrefix(path, mount), "data/")
	}
	versions := s.secrets[name]
	if len(versions) == 0 {
		refuse(w, http.StatusNotFound)
		return
	}
	last := versions[len(versions)-1]
	if kv == 1 {
		answer(w, http.StatusOK, map[string]any{"data": last.data})
		return
	}
	metadata := map[string]any{"version": len(versions), "destroyed": last.destroyed, "deletion_time": ""}
	status := http.StatusOK
	if last.deleted || last.destroyed {
		last.data, status = nil, http.StatusNotFound
		metadata["deletion_time"] = "2026-01-02T03:04:05Z"
	}
	answer(w, status, map[string]any{"data": map[string]any{"data": last.data, "metadata": metadata}})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, texts ...string) {
	answer(w, status, map[string]any{"errors": append([]string{}, texts...)})
}

// Token makes something that reads like a token of a service account.
func Token(namespace, account string) string {
	claims := fmt.Sprintf(`{"sub":"system:serviceaccount:%s:%s"}`, namespace, account)
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

// Subject reads the subject of a token, without checking anything.
func Subject(jwt string) string {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return ""
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var body struct{ Sub string }
	if json.Unmarshal(claims, &body) != nil {
		return ""
	}
	return body.Sub
}
