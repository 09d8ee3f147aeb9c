package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/kube"
	"strongroom/internal/node"
)

// podAPI is an API server that knows one pod.
type podAPI struct {
	mu       sync.Mutex
	labels   map[string]string
	refuse   int // so many requests
	requests []string
	objects  map[string]string // by path
}

// owned is pod vault-N of the StatefulSet vault, which wants replicas.
func owned(pod string, replicas int) map[string]string {
	return map[string]string{
		"/api/v1/namespaces/vault/pods/" + pod:              `{"kind":"Pod","metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"vault","controller":true}]}}`,
		"/apis/apps/v1/namespaces/vault/statefulsets/vault": fmt.Sprintf(`{"kind":"StatefulSet","spec":{"replicas":%d}}`, replicas),
	}
}

func TestScaledAway(t *testing.T) {
	api := &podAPI{}
	k8s := httptest.NewServer(api)
	defer k8s.Close()
	p := &ownPod{client: kube.New(kube.Config{URL: k8s.URL}), namespace: "vault", name: "vault-1"}
	for replicas, away := range map[int]bool{0: false, 1: true, 2: false, 3: false} {
		api.objects = owned("vault-1", replicas)
		if got, err := p.scaledAway(t.Context()); err != nil || got != away {
			t.Errorf("of %d replicas: %v, %v", replicas, got, err)
		}
	}
	api.objects = nil
	if got, err := p.scaledAway(t.Context()); err != nil || got {
		t.Errorf("deleted: %v, %v", got, err)
	}
	api.refuse = 1
	if got, err := p.scaledAway(t.Context()); err == nil || got {
		t.Errorf("not allowed to ask: %v, %v", got, err)
	}
}

// raftNode is a server of a cluster on loopback, as a pod of the StatefulSet vault, with its URL and its folder.
func raftNode(t *testing.T, k8s, name, join string) (s *running, url, dir string) {
	t.Helper()
	free := func() string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		return ln.Addr().String()
	}
	l := newListener()
	l.Address, l.ClusterAddress, l.TLS.Disable = free(), free(), true
	c := &Config{Listeners: []Listener{l}, APIAddr: "http://" + l.Address, ClusterAddr: "https://" + l.ClusterAddress,
		Storage: Storage{Type: "raft", Path: t.TempDir(), NodeID: name}, DefaultLeaseTTL: time.Hour, MaxLeaseTTL: time.Hour}
	if join != "" {
		c.Storage.RetryJoin = []RetryJoin{{LeaderAPIAddr: join}}
	}
	s, err := open(c, Options{}, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	s.pod = &ownPod{client: kube.New(kube.Config{URL: k8s}), namespace: "vault", name: name}
	return s, c.APIAddr, c.Storage.Path
}

// Told to end, a server whose pod is wanted no more is a member no more; one whose pod is wanted stays one, and so does one that fails.
func TestAScaledAwayServerLeaves(t *testing.T) {
	quiet(t)
	for name, test := range map[string]struct {
		replicas    int
		told, leave bool
	}{"scaled away": {1, true, true}, "restarted": {2, true, false}, "all stopped": {0, true, false}, "failed": {1, false, false}} {
		t.Run(name, func(t *testing.T) {
			k8s := httptest.NewServer(&podAPI{objects: owned("vault-1", test.replicas)})
			defer k8s.Close()
			stays, url, _ := raftNode(t, k8s.URL, "vault-0", "")
			defer stays.close()
			res, err := stays.node.Init(t.Context(), node.InitRequest{Shares: 1, Threshold: 1})
			if err != nil {
				t.Fatal(err)
			}
			if err := stays.node.Unseal(t.Context(), bytes.Clone(res.Shares[0]), false); err != nil {
				t.Fatal(err)
			}
			goes, _, dir := raftNode(t, k8s.URL, "vault-1", url)
			eventually(t, "no invitation", func() bool { return goes.node.State().Initialized })
			if err := goes.node.Unseal(t.Context(), res.Shares[0], false); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the second node is not unsealed", func() bool { _, ok := goes.node.Leader(); return ok && !goes.node.State().Sealed })
			goes.told = test.told
			goes.close()
			text, err := os.ReadFile(filepath.Join(dir, "leaving-cluster"))
			if left := err == nil && strings.Contains(string(text), `"left":true`); left != test.leave {
				t.Errorf("left: %v, want %v (%s, %v)", left, test.leave, text, err)
			}
			if test.leave { // it has a majority without the other
				eventually(t, "the node that stays does not serve", func() bool {
					return stays.node.State().Active && stays.node.Leads(t.Context()) == nil
				})
			}
		})
	}
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
	if r.Method == http.MethodGet {
		if text, ok := p.objects[r.URL.Path]; ok {
			io.WriteString(w, text)
			return
		}
		w.WriteHeader(http.StatusNotFound)
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
