package vaulttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"time"
)

// engines is what the fake has beside KV: credentials with leases under db/creds/, credentials that it rotates under
// db/static-creds/, and certificates under pki/issue/. It is ready when zero.
type engines struct {
	ttl       time.Duration // of leases and of certificates; 0: an hour
	renewable bool
	leases    map[string]*token // id → whose it is, and ends with
	renewed   int
	rotated   int
	asked     map[string]string // path → last body
	revoked   []string          // serial numbers
}

// SetLeases says how long leases and certificates are, and whether leases can be renewed.
func (s *Server) SetLeases(ttl time.Duration, renewable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.engines.ttl, s.engines.renewable = ttl, renewable
}

// Rotate makes new credentials under db/static-creds/.
func (s *Server) Rotate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.engines.rotated++
}

// Leases lists the leases that live.
func (s *Server) Leases() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var live []string
	for id, bearer := range s.engines.leases {
		if s.lives(bearer) {
			live = append(live, id)
		}
	}
	slices.Sort(live)
	return live
}

// lives tells whether a token is valid.
func (s *Server) lives(bearer *token) bool {
	for _, each := range s.tokens {
		if each == bearer {
			return time.Now().Before(bearer.expires)
		}
	}
	return false
}

// Renewals counts the leases' renewals.
func (s *Server) Renewals() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.engines.renewed
}

// Asked is the last body that was sent to a path.
func (s *Server) Asked(path string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.engines.asked[path]
}

// Revoked lists the certificates that were revoked.
func (s *Server) Revoked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.engines.revoked)
}

// engine answers a path of an engine beside KV, and tells whether it is one.
func (s *Server) engine(w http.ResponseWriter, r *http.Request, bearer *token, path string) bool {
	e := &s.engines
	if e.leases == nil {
		e.leases, e.asked = make(map[string]*token), make(map[string]string)
	}
	text, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	var body struct {
		LeaseID      string `json:"lease_id"`
		SerialNumber string `json:"serial_number"`
		CommonName   string `json:"common_name"`
	}
	_ = json.Unmarshal(text, &body)
	leased, issues := strings.HasPrefix(path, "db/"), strings.HasPrefix(path, "pki/")
	bearer.leases = bearer.leases || strings.HasPrefix(path, "db/creds/")
	lists := r.Method == "LIST" || r.URL.Query().Get("list") == "true"
	if !leased && !issues && !lists && !strings.HasPrefix(path, "sys/leases/") {
		return false
	}
	if lists && !strings.HasSuffix(path, "/") {
		path += "/" // as the server does, before it asks the policies
	}
	if !bearer.may(path) {
		refuse(w, http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
		return true
	}
	e.asked[path] = string(text)
	switch {
	case path == "sys/leases/renew":
		s.renewLease(w, body.LeaseID)
	case path == "sys/leases/revoke":
		delete(e.leases, body.LeaseID)
		w.WriteHeader(http.StatusNoContent)
	case path == "pki/revoke":
		e.revoked = append(e.revoked, body.SerialNumber)
		answer(w, http.StatusOK, map[string]any{"data": map[string]any{"revocation_time": 1}})
	case issues:
		s.issueCertificate(w, body.CommonName)
	case strings.HasPrefix(path, "db/static-creds/"):
		answer(w, http.StatusOK, map[string]any{"request_id": "r", "data": map[string]any{
			"username": "static", "password": fmt.Sprintf("s3cr3t-rotation-%d", e.rotated), "ttl": 1, "rotation_period": 3600,
			"last_vault_rotation": "2026-01-02T03:04:05Z",
		}})
	case leased:
		s.issued++
		id := fmt.Sprintf("%s/%d", path, s.issued)
		e.leases[id] = bearer
		answer(w, http.StatusOK, map[string]any{
			"request_id": "r", "lease_id": id, "renewable": e.renewable, "lease_duration": int(e.length() / time.Second),
			"data": map[string]any{"username": fmt.Sprintf("u%d", s.issued), "password": fmt.Sprintf("s3cr3t-p%d", s.issued)},
		})
	default:
		s.list(w, path)
	}
	return true
}

func (e *engines) length() time.Duration {
	if e.ttl == 0 {
		return time.Hour
	}
	return e.ttl
}

func (s *Server) renewLease(w http.ResponseWriter, id string) {
	e := &s.engines
	if !s.lives(e.leases[id]) || !e.renewable {
		refuse(w, http.StatusBadRequest, "lease not found or lease is not renewable")
		return
	}
	e.renewed++
	answer(w, http.StatusOK, map[string]any{"lease_id": id, "renewable": true, "lease_duration": int(e.length() / time.Second)})
}

// issueCertificate issues a certificate of its own key, as if there were an authority.
func (s *Server) issueCertificate(w http.ResponseWriter, name string) {
	s.issued++
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	end := time.Now().Add(s.engines.length())
	plan := &x509.Certificate{SerialNumber: big.NewInt(int64(s.issued)), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Now(), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, plan, plan, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		panic(err)
	}
	certificate := strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	answer(w, http.StatusOK, map[string]any{"data": map[string]any{
		"certificate": certificate, "issuing_ca": certificate, "ca_chain": []string{certificate}, "expiration": end.Unix(), "private_key_type": "ec",
		"private_key": strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}))), "serial_number": fmt.Sprintf("00:%02x", s.issued),
	}})
}

// list answers the names in a folder of a KV engine.
func (s *Server) list(w http.ResponseWriter, path string) {
	mount, kv := s.mountOf(path)
	folder := strings.TrimPrefix(path, mount)
	if kv == 2 {
		folder = strings.TrimPrefix(folder, "metadata/")
	}
	prefix := mount + strings.Trim(folder, "/")
	if !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	var names []string
	for name := range s.secrets {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			first, _, deeper := strings.Cut(rest, "/")
			if deeper {
				first += "/"
			}
			names = append(names, first)
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) == 0 {
		refuse(w, http.StatusNotFound)
		return
	}
	answer(w, http.StatusOK, map[string]any{"data": map[string]any{"keys": names}})
}
