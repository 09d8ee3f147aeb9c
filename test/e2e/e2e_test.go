// Package e2e_test holds the product to its guide and to its word: on real pods,
// from the charts and images on (TestPods), and, where that is enough, with the
// built programs as processes beside a Kubernetes control plane (TestErrors).
package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"

	"strongroom/test/cluster"
	"strongroom/test/kubetest"
)

// TestErrors pins what a user sees when something is wrong.
func TestErrors(t *testing.T) {
	t.Parallel() // what takes time here and in TestPods is mostly waiting
	testErrors(t, newWorld(t))
}

// world is a control plane without nodes, three servers and the operator, all processes of this machine.
type world struct {
	kube
	cp       *kubetest.ControlPlane
	servers  *cluster.Cluster
	operator *cluster.Process
	account  string // folder that stands for a pod's serviceaccount folder
}

func newWorld(t *testing.T) *world {
	w := &world{cp: kubetest.New(t), servers: cluster.New(t, 3), account: t.TempDir()}
	w.command = w.cp.Kubectl
	w.kubectl(t, "apply", "-f", "../../config/crd", "-f", "../../config/rbac/role.yaml")
	w.kubectl(t, "wait", "--for=condition=Established", "crd", "--all")
	if err := w.cp.RestartControllers(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"vault", "vault-secrets-operator"} {
		w.namespace(t, name)
	}
	w.kubectl(t, "create", "serviceaccount", "vault", "-n", "vault")
	w.kubectl(t, "create", "clusterrolebinding", "vault", "--clusterrole=system:auth-delegator", "--serviceaccount=vault:vault")
	write(t, filepath.Join(w.account, "token"), w.kubectl(t, "create", "token", "vault", "-n", "vault"))
	write(t, filepath.Join(w.account, "ca.crt"), string(w.cp.CA))
	w.startOperator(t)
	return w
}

// startOperator runs the built operator with the rights of config/rbac and no others.
func (w *world) startOperator(t *testing.T) {
	const account = "vault-secrets-operator"
	w.kubectl(t, "create", "serviceaccount", account, "-n", account)
	w.kubectl(t, "create", "clusterrolebinding", account, "--clusterrole=strongroom-operator", "--serviceaccount="+account+":"+account)
	token := strings.TrimSpace(w.kubectl(t, "create", "token", account, "-n", account, "--duration=4h"))
	config := filepath.Join(t.TempDir(), "kubeconfig")
	write(t, config, w.kubectl(t, "config", "view", "--raw", "--flatten"))
	w.kubectl(t, "--kubeconfig="+config, "config", "set-credentials", account, "--token="+token)
	w.kubectl(t, "--kubeconfig="+config, "config", "set-context", "--current", "--user="+account)
	cmd := exec.Command(filepath.Join(w.servers.BinDir, "strongroom-operator"), "--kubeconfig="+config, "--log-format=text",
		"--resolve=vault.vault:8200="+strings.TrimPrefix(w.servers.Nodes[0].Addr, "http://"),
		"--metrics-bind-address=0", "--health-probe-bind-address=0")
	var err error
	if w.operator, err = w.servers.Run("operator", cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.operator.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the end of the operator's log:\n%s", w.operator.Tail())
		}
	})
}

func (w *world) namespace(t *testing.T, name string) {
	t.Helper()
	w.kubectl(t, "create", "namespace", name)
	if err := w.cp.WaitServiceAccount(t.Context(), name, "default"); err != nil {
		t.Fatal(err)
	}
}

// ready sees to it that the servers are unsealed, and returns root's client of the first.
func (w *world) ready(t *testing.T) *api.Client {
	t.Helper()
	var err error
	if w.servers.Keys == nil {
		err = w.servers.Ready(t.Context())
	}
	if err == nil {
		_, err = w.servers.Leader(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	client, err := w.servers.Nodes[0].Client(w.servers.Keys.Root)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// write writes a file and the folders it is in.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
