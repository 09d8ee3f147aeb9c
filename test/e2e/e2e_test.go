// Package e2e_test holds the product to its guide and to its word: the built
// programs as processes, three servers, the operator, and a real Kubernetes
// control plane.
package e2e_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"strongroom/test/cluster"
	"strongroom/test/kubetest"
)

// TestProduction shares one Kubernetes and one cluster of three among its parts,
// each of which may be run alone.
func TestProduction(t *testing.T) {
	w := newWorld(t)
	t.Run("Guide", func(t *testing.T) { testGuide(t, w) })
	t.Run("Errors", func(t *testing.T) { testErrors(t, w) })
}

// world is what the guide has before its Part 2, and the operator of Part 3.
type world struct {
	cp       *kubetest.ControlPlane
	servers  *cluster.Cluster
	operator *cluster.Process
	account  string // folder that stands for a pod's serviceaccount folder
}

// namespaces are the guide's; Longhorn and the applications would bring theirs.
var namespaces = []string{"vault", "vault-secrets-operator", "longhorn-system", "argocd", "myapp"}

func newWorld(t *testing.T) *world {
	w := &world{cp: kubetest.New(t), servers: cluster.New(t, 3), account: t.TempDir()}
	w.kubectl(t, "apply", "-f", "../../config/crd", "-f", "../../config/rbac/role.yaml")
	w.kubectl(t, "wait", "--for=condition=Established", "crd", "--all")
	if err := w.cp.RestartControllers(); err != nil {
		t.Fatal(err)
	}
	for _, name := range namespaces {
		w.namespace(t, name)
	}
	w.kubectl(t, "create", "serviceaccount", "vault", "-n", "vault")
	w.kubectl(t, "create", "clusterrolebinding", "vault", "--clusterrole=system:auth-delegator", "--serviceaccount=vault:vault")
	w.write(t, filepath.Join(w.account, "token"), w.kubectl(t, "create", "token", "vault", "-n", "vault"))
	w.write(t, filepath.Join(w.account, "ca.crt"), string(w.cp.CA))
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
	w.write(t, config, w.kubectl(t, "config", "view", "--raw", "--flatten"))
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

// kubectl runs kubectl as the administrator and returns what it prints.
func (w *world) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return w.pipe(t, "", args...)
}

// pipe is kubectl with an input.
func (w *world) pipe(t *testing.T, input string, args ...string) string {
	t.Helper()
	cmd := w.cp.Kubectl(t.Context(), args...)
	cmd.Stdin = strings.NewReader(input)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return string(out)
}

// condition waits until a VaultSecret has a status, and returns its message.
func (w *world) condition(t *testing.T, namespace, name, status string, within time.Duration) (message string) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		var vs struct {
			Status struct {
				Status     string `json:"status"`
				Conditions []struct {
					Message string `json:"message"`
				} `json:"conditions"`
			} `json:"status"`
		}
		if err := json.Unmarshal([]byte(w.kubectl(t, "get", "vaultsecret", name, "-n", namespace, "-o", "json")), &vs); err != nil {
			t.Fatal(err)
		}
		if len(vs.Status.Conditions) > 0 {
			message = vs.Status.Conditions[0].Message
		}
		if vs.Status.Status == status {
			return message
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s VaultSecret %s/%s is %q (%s), want %s", within, namespace, name, vs.Status.Status, message, status)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// secret is what a Secret holds.
func (w *world) secret(t *testing.T, namespace, name string) map[string]string {
	t.Helper()
	var s struct {
		Data map[string][]byte `json:"data"`
	}
	if err := json.Unmarshal([]byte(w.kubectl(t, "get", "secret", name, "-n", namespace, "-o", "json")), &s); err != nil {
		t.Fatal(err)
	}
	data := make(map[string]string, len(s.Data))
	for key, value := range s.Data {
		data[key] = string(value)
	}
	return data
}

// write writes a file and the folders it is in.
func (w *world) write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
