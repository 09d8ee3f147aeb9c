package compat

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// fetch gets path below /v1/ with token, and returns the status and the body.
func (s *server) fetch(t *testing.T, path, token string) (int, string) {
	t.Helper()
	req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, s.addr+"/v1/"+path, nil))
	req.Header.Set("X-Vault-Token", token)
	resp := must[*http.Response](t)(http.DefaultClient.Do(req))
	defer resp.Body.Close()
	body := must[[]byte](t)(io.ReadAll(resp.Body))
	return resp.StatusCode, string(body)
}

// TestMetrics: what dashboards made for Vault show is there, by name.
func TestMetrics(t *testing.T) {
	s := startDev(t)
	root := s.client(t, "root")
	for i := range 3 {
		must[any](t)(root.Logical().Write(fmt.Sprint("secret/data/hidden-", i), map[string]any{"data": map[string]any{"a": "b"}}))
		must[any](t)(root.Logical().Read(fmt.Sprint("secret/data/hidden-", i)))
	}
	must[any](t)(root.Logical().Write("auth/token/create", map[string]any{"ttl": "30m"}))
	code, text := s.fetch(t, "sys/metrics?format=prometheus", "root")
	if code != http.StatusOK {
		t.Fatalf("%d %s", code, text)
	}
	for _, want := range []string{
		"vault_core_unsealed{cluster=", "vault_core_active{", "vault_core_handle_request{quantile=\"0.5\"}", "vault_core_handle_request_count ",
		"vault_route_read_secret__count 3\n", "vault_route_create_secret__count 3\n", "vault_token_creation{", `mount_point="auth/token/"`, `creation_ttl="1h"`,
		"vault_expire_num_leases 1\n", "vault_token_count 1\n", "vault_raft_apply ", "vault_raft_commitTime_count ", "vault_raft_storage_stats_applied_index ",
		"vault_core_in_flight_requests 1\n", "vault_runtime_num_goroutines ", "vault_audit_log_request_count 0\n", "go_goroutines ", "process_resident_memory_bytes ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(text, "hidden") {
		t.Error("the path of a secret is in a metric")
	}
	if code, text = s.fetch(t, "sys/metrics", "root"); code != http.StatusOK || !strings.Contains(text, `"Name":"vault.core.unsealed"`) {
		t.Errorf("JSON: %d %s", code, text)
	}
	if code, text = s.fetch(t, "sys/metrics?format=xml", "root"); code != http.StatusBadRequest {
		t.Errorf("xml: %d %s", code, text)
	}
	if code, text = s.fetch(t, "sys/metrics?format=prometheus", ""); code != http.StatusForbidden {
		t.Errorf("without a token: %d %s", code, text)
	}
}

// TestMetricsSealed: a listener that is told to shows the metrics to anybody, and of a sealed node.
func TestMetricsSealed(t *testing.T) {
	addr := freeAddr(t)
	s := startFile(t, fmt.Sprintf(`listener "tcp" {
  address = %q
  tls_disable = true
  telemetry { unauthenticated_metrics_access = true }
  profiling { unauthenticated_pprof_access = true }
  inflight_requests_logging { unauthenticated_in_flight_requests_access = true }
}
telemetry {
  disable_hostname = true
  prometheus_retention_time = "30s"
}
`, addr))
	open := &server{addr: "http://" + addr}
	for path, want := range map[string]string{
		"sys/metrics?format=prometheus": "vault_core_unsealed 0\n", "sys/in-flight-req": `"request_path":"/v1/sys/in-flight-req"`, "sys/pprof/goroutine?debug=1": "goroutine profile:",
	} {
		if code, text := open.fetch(t, path, ""); code != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s: %d %.300s", path, code, text)
		}
		if code, text := s.fetch(t, path, ""); code != http.StatusServiceUnavailable {
			t.Errorf("%s on the other listener: %d %.300s", path, code, text)
		}
	}
	s.unsealed(t)
	if _, text := open.fetch(t, "sys/metrics?format=prometheus", ""); !strings.Contains(text, "vault_core_unsealed{cluster=") {
		t.Errorf("unsealed: %s", text)
	}
}

// TestPrometheusOff: without retention there is no Prometheus format.
func TestPrometheusOff(t *testing.T) {
	s := startFile(t, "telemetry {\n  prometheus_retention_time = \"0s\"\n}\n")
	root, _ := s.unsealed(t)
	if code, text := s.fetch(t, "sys/metrics?format=prometheus", root.Token()); code != http.StatusBadRequest || !strings.Contains(text, "prometheus is not enabled") {
		t.Errorf("%d %s", code, text)
	}
}

// TestInspect: requests under way, levels of loggers, profiles and the log, for whom the policy lets.
func TestInspect(t *testing.T) {
	s := startDev(t)
	root := s.client(t, "root")
	if code, text := s.fetch(t, "sys/in-flight-req", "root"); code != http.StatusOK || !strings.Contains(text, `"request_path":"/v1/sys/in-flight-req"`) {
		t.Errorf("in flight: %d %s", code, text)
	}
	if got := must[any](t)(root.Logical().Read("sys/loggers")); !strings.Contains(fmt.Sprint(got), "core:info") {
		t.Errorf("loggers: %v", got)
	}
	must[any](t)(root.Logical().Write("sys/loggers/core", map[string]any{"level": "trace"}))
	if _, text := s.fetch(t, "sys/loggers/core", "root"); !strings.Contains(text, `"core":"trace"`) {
		t.Errorf("loggers: %s", text)
	}
	must[any](t)(root.Logical().Delete("sys/loggers"))
	if _, text := s.fetch(t, "sys/loggers/core", "root"); !strings.Contains(text, `"core":"info"`) {
		t.Errorf("loggers: %s", text)
	}
	_, err := root.Logical().Write("sys/loggers", map[string]any{"level": "loud"})
	refused(t, err, http.StatusBadRequest, "invalid level provided: loud")
	_, err = root.Logical().Write("sys/loggers/none", map[string]any{"level": "info"})
	refused(t, err, http.StatusNotFound, `logger "none" not found`)

	if code, text := s.fetch(t, "sys/pprof/heap?debug=1", "root"); code != http.StatusOK || !strings.Contains(text, "heap profile") {
		t.Errorf("pprof: %d %.200s", code, text)
	}
	if code, _ := s.fetch(t, "sys/pprof/profile?seconds=3600", "root"); code != http.StatusBadRequest {
		t.Errorf("an hour's profile: %d", code)
	}
	if err := root.Sys().PutPolicy("looker", `path "sys/*" { capabilities = ["read"] }`); err != nil {
		t.Fatal(err)
	}
	made := must[*api.Secret](t)(root.Logical().Write("auth/token/create", map[string]any{"policies": []string{"looker"}}))
	if code, text := s.fetch(t, "sys/pprof/heap", made.Auth.ClientToken); code != http.StatusForbidden {
		t.Errorf("pprof without sudo: %d %.200s", code, text)
	}
	if code, text := s.fetch(t, "sys/monitor?log_level=loud", made.Auth.ClientToken); code != http.StatusBadRequest {
		t.Errorf("a level there is not: %d %s", code, text)
	}
	if code, _ := s.fetch(t, "sys/monitor?log_level=debug", ""); code != http.StatusForbidden {
		t.Errorf("monitor without a token: %d", code)
	}
}

// TestMonitor: the stock client reads along at a level of its own.
func TestMonitor(t *testing.T) {
	root := startDev(t).client(t, "root")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	lines := must[chan string](t)(root.Sys().Monitor(ctx, "debug", "json"))
	must[any](t)(root.Logical().Write("auth/token/create", map[string]any{"ttl": "1s"}))
	for line := range lines {
		if strings.Contains(line, `"@level":"debug"`) && strings.Contains(line, "background work done") {
			return
		}
	}
	t.Error("the end of a token was not heard of")
}
