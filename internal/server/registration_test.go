package server

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/kube"
)

// podAPI is an API server that knows one pod.
type podAPI struct {
	mu       sync.Mutex
	labels   map[string]string
	refuse   int // so many requests
	requests []string
}

func (p *podAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type"))
	if p.refuse > 0 {
		p.refuse--
		w.WriteHeader(http.StatusForbidden)
		return
	}
	var patch struct {
		Metadata struct{ Labels map[string]string }
	}
	if json.NewDecoder(r.Body).Decode(&patch) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	maps.Copy(p.labels, patch.Metadata.Labels)
	json.NewEncoder(w).Encode(map[string]any{"metadata": map[string]any{"labels": p.labels}})
}

func (p *podAPI) shows(initialized, sealed, active string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Equal(p.labels, map[string]string{"app": "vault", "vault-initialized": initialized, "vault-sealed": sealed, "vault-active": active, "vault-perf-standby": "false", "vault-version": Version})
}

// eventually looks, at most ten seconds long, until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// The pod's labels say what the server is from its start to its end; labels of others stay.
func TestPodLabels(t *testing.T) {
	quiet(t)
	api := &podAPI{labels: map[string]string{"app": "vault"}, refuse: 1}
	k8s := httptest.NewServer(api)
	defer k8s.Close()
	opts := Options{Dev: true, DevListenAddress: "127.0.0.1:0", DevNoStoreToken: true}
	config, _, err := opts.Config()
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(config, opts, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	s.registration = register(&ownPod{client: kube.New(kube.Config{URL: k8s.URL}), namespace: "vault", name: "vault-0"}, s.node, hclog.NewNullLogger())
	eventually(t, "a new server's labels are not set", func() bool { return api.shows("false", "true", "false") })
	if err := s.prepareDev(t.Context(), opts, io.Discard); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the active server's labels are not set", func() bool { return api.shows("true", "false", "true") })
	if err := s.node.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the sealed server's labels are not set", func() bool { return api.shows("true", "true", "false") })
	s.close()
	if !api.shows("false", "true", "false") {
		t.Errorf("a server that has ended leaves %v", api.labels)
	}
	for _, r := range api.requests {
		if r != "PATCH /api/v1/namespaces/vault/pods/vault-0 application/merge-patch+json" {
			t.Errorf("asked for %s, which the well-known Role does not allow", r)
		}
	}
}

func TestServiceRegistrationNeedsAPod(t *testing.T) {
	getenv := map[string]string{"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
	pod := kube.Pod{TokenFile: t.TempDir() + "/token", Getenv: func(name string) string { return getenv[name] }}
	if p, err := (*ServiceRegistration)(nil).open(pod); p != nil || err != nil {
		t.Errorf("without the stanza: %v, %v", p, err)
	}
	s := &ServiceRegistration{Namespace: "ns", PodName: "vault-0"}
	if p, err := s.open(pod); err != nil || p.namespace != "ns" || p.name != "vault-0" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := (&ServiceRegistration{PodName: "vault-0"}).open(pod); err == nil || !strings.Contains(err.Error(), "set VAULT_K8S_NAMESPACE or namespace") {
		t.Errorf("no namespace: %v", err)
	}
	clear(getenv)
	if _, err := s.open(pod); err == nil || !strings.Contains(err.Error(), "outside Kubernetes leave the block out") {
		t.Errorf("outside: %v", err)
	}
	write(t, map[string]string{"v.hcl": `service_registration "consul" {}`})
	if _, _, err := LoadConfig("v.hcl"); err == nil || !strings.Contains(err.Error(), `v.hcl:1:1: service_registration "consul" is not supported: use "kubernetes"`) {
		t.Errorf("consul: %v", err)
	}
}
