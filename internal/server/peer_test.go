package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/node"
)

// TestPeerSeal: the stanza's keys reach the node, none is taken in silence, and outside Kubernetes it is refused.
func TestPeerSeal(t *testing.T) {
	quiet(t)
	t.Setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "6443")
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("a.b.c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func(stanza string) (node.Config, []string, error) {
		write(t, map[string]string{"v.hcl": sealBase + stanza})
		c, warnings, err := LoadConfig("v.hcl")
		if err != nil {
			return node.Config{}, nil, err
		}
		nc, err := nodeConfig(c, Options{}, hclog.NewNullLogger())
		return nc, warnings, err
	}
	nc, warnings, err := load(`seal "peer" {
  token_path = "` + token + `"
  audience = "strongroom-peer-unseal"
  namespace = "vault"
  service_account = "sa"
  statefulset = "set"
  node_id_is_pod_name = "false"
  colour = "red"
}`)
	if err != nil {
		t.Fatal(err)
	}
	p := nc.PeerUnseal
	if p == nil || p.Audience != "strongroom-peer-unseal" || p.Namespace != "vault" || p.ServiceAccount != "sa" || p.StatefulSet != "set" || !p.PodByAddress || p.Reviewer == nil {
		t.Errorf("%+v", p)
	}
	if got, err := p.Token(); got != "a.b.c" || err != nil {
		t.Errorf("token %q, %v", got, err)
	}
	if !strings.Contains(strings.Join(warnings, "\n"), "colour") {
		t.Errorf("a key that means nothing is taken in silence: %q", warnings)
	}
	if nc, _, err = load(`seal "peer" {}`); err != nil || nc.PeerUnseal == nil || nc.PeerUnseal.PodByAddress {
		t.Errorf("defaults: %+v, %v", nc.PeerUnseal, err)
	}
	if nc, _, err = load(`seal "peer" { disabled = "true" }`); err != nil || nc.PeerUnseal != nil {
		t.Errorf("disabled: %+v, %v", nc.PeerUnseal, err)
	}
	if _, _, err = load(`seal "peer" { node_id_is_pod_name = "perhaps" }`); err == nil || !strings.Contains(err.Error(), "true or false") {
		t.Errorf("%v", err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if _, _, err = load(`seal "peer" {}`); err == nil || !strings.Contains(err.Error(), "in Kubernetes only") {
		t.Errorf("outside a cluster: %v", err)
	}
}
