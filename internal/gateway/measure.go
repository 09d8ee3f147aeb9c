package gateway

import (
	"cmp"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/engine"
	"strongroom/internal/metrics"
	"strongroom/internal/namespace"
)

// Measured has g count and time what it serves in r, by the names that Vault
// documents (https://developer.hashicorp.com/vault/docs/internals/telemetry/metrics).
func (g *Gateway) Measured(r *metrics.Registry) *Gateway {
	m := *g
	if m.meter = nil; r != nil {
		m.meter = &meter{
			registry: r, request: r.Summary("core.handle_request"), login: r.Summary("core.handle_login_request"), create: r.Summary("token.create"),
			auditRequest: r.Summary("audit.log_request"), auditResponse: r.Summary("audit.log_response"),
			auditRequestFailed: r.Counter("audit.log_request_failure"), auditResponseFailed: r.Counter("audit.log_response_failure"),
		}
		m.meter.mounts.Store(&map[string]*mountMeter{})
	}
	return &m
}

// meter is what a Gateway counts; nothing in it makes one request wait for
// another. A nil meter counts nothing.
type meter struct {
	registry *metrics.Registry

	request, login, create                  *metrics.Summary
	auditRequest, auditResponse             *metrics.Summary
	auditRequestFailed, auditResponseFailed *metrics.Counter

	mounts atomic.Pointer[map[string]*mountMeter] // by path; replaced, never changed
	mu     sync.Mutex                             // of who replaces it
}

// mountMeter times the requests to one mount, by operation.
type mountMeter struct {
	name string // as in the metrics' names
	by   sync.Map
}

// mostMounts is how many mounts are told apart; the others count as one.
const (
	mostMounts  = 500
	otherMounts = "other-"
)

// served counts a request that began at start; v is its last attempt, nil if nothing is known of it.
func (m *meter) served(start time.Time, v *visit, resp *Response) {
	if m == nil {
		return
	}
	took := time.Since(start)
	if v == nil || v.Mount == nil || v.handler == nil { // refused before it reached a mount
		m.request.Observe(took)
		return
	}
	if v.route.Public && v.Mount.Entry.Auth() {
		m.login.Observe(took)
	} else {
		m.request.Observe(took)
	}
	m.route(v.Here.Path+v.Mount.Entry.Path, v.engReq.Operation).Observe(took)
	if resp != nil && resp.Auth != nil && v.creates(resp) {
		m.create.Observe(took)
		t := resp.Auth.Token
		m.registry.Counter("token.creation", metrics.Label{Name: "auth_method", Value: v.Mount.Entry.Type}, metrics.Label{Name: "mount_point", Value: v.Mount.Entry.Path},
			metrics.Label{Name: "namespace", Value: cmp.Or(v.Here.Path, namespace.RootID)}, metrics.Label{Name: "creation_ttl", Value: ttlRange(time.Duration(t.TTL) * time.Second)}).Add(1)
	}
}

// creates says whether resp carries a token that v made.
func (v *visit) creates(resp *Response) bool {
	return resp.Grant != nil || v.Mount.Entry.Type == "token" && strings.HasPrefix(v.engReq.Path, "create")
}

// ttlRange is the label of a token's life, of the few that Vault documents.
func ttlRange(d time.Duration) string {
	for _, r := range []struct {
		name string
		most time.Duration
	}{{"1m", time.Minute}, {"10m", 10 * time.Minute}, {"20m", 20 * time.Minute}, {"1h", time.Hour}, {"2h", 2 * time.Hour},
		{"1d", 24 * time.Hour}, {"2d", 48 * time.Hour}, {"7d", 7 * 24 * time.Hour}, {"30d", 30 * 24 * time.Hour}} {
		if d > 0 && d <= r.most {
			return r.name
		}
	}
	return "+Inf"
}

// route is the summary of op on the mount at path: vault.route.read.secret-.
func (m *meter) route(path string, op engine.Operation) *metrics.Summary {
	mounts := *m.mounts.Load()
	mount := mounts[path]
	if mount == nil {
		mount = m.add(path)
	}
	if s, ok := mount.by.Load(op); ok {
		return s.(*metrics.Summary)
	}
	s, _ := mount.by.LoadOrStore(op, m.registry.Summary("route."+string(op)+"."+mount.name))
	return s.(*metrics.Summary)
}

func (m *meter) add(path string) *mountMeter {
	m.mu.Lock()
	defer m.mu.Unlock()
	mounts := *m.mounts.Load()
	if len(mounts) >= mostMounts {
		path = otherMounts
	}
	if have := mounts[path]; have != nil {
		return have
	}
	next := maps.Clone(mounts)
	next[path] = &mountMeter{name: strings.ReplaceAll(path, "/", "-")}
	m.mounts.Store(&next)
	return next[path]
}

// logs makes a record of the audit log, and counts it.
func (m *meter) logs(response bool, record func() error) error {
	if m == nil {
		return record()
	}
	start := time.Now()
	took, failed := m.auditRequest, m.auditRequestFailed
	if response {
		took, failed = m.auditResponse, m.auditResponseFailed
	}
	err := record()
	took.Since(start)
	if err != nil {
		failed.Add(1)
	}
	return err
}
