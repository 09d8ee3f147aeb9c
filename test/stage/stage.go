// Package stage sets up what the operator works between, for tests and benchmarks: a real control plane, a real server
// that logs in its service accounts, and the operator as a process with the rights of config/rbac and no others.
//
// It needs Linux.
package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
	"strongroom/test/cluster"
	"strongroom/test/kubetest"
)

// ServerName is what resources call the server; the operator is told where that is.
const ServerName = "vault.vault:8200"

// home is the operator's own namespace.
const home = "strongroom-operator"

// Stage is all that. [Stage.Stop] ends it.
type Stage struct {
	Plane    *kubetest.ControlPlane
	Servers  *cluster.Cluster
	Root     *vault.Client    // with the root token
	Kube     client.WithWatch // the administrator's, without a limit of requests
	Config   *rest.Config     // of Kube
	Operator *cluster.Process // nil until StartOperator
	// Address is where the operator finds the server, HOST:PORT; a proxy may stand there.
	Address string

	dir        string
	metrics    string // URL
	kubeconfig string // the operator's
}

// Start starts control plane and server, which keep their files in dir. The server has a KV engine v2 at secret/, and
// the auth method kubernetes. ctx bounds the start only.
func Start(ctx context.Context, dir string, stderr io.Writer) (*Stage, error) {
	s := &Stage{dir: dir}
	if err := s.start(ctx, stderr); err != nil {
		return nil, errors.Join(fmt.Errorf("stage: %w", err), s.Stop())
	}
	return s, nil
}

func (s *Stage) start(ctx context.Context, stderr io.Writer) (err error) {
	if s.Plane, err = kubetest.Start(ctx, filepath.Join(s.dir, "kubernetes")); err != nil {
		return err
	}
	if s.Servers, err = cluster.Start(ctx, filepath.Join(s.dir, "servers"), cluster.Options{Stderr: stderr, Log: "warn"}); err != nil {
		return err
	}
	if err := s.Servers.Ready(ctx); err != nil {
		return err
	}
	node := s.Servers.Nodes[0]
	s.Address = strings.TrimPrefix(node.Addr, "http://")
	if s.Root, err = node.Client(s.Servers.Keys.Root); err != nil {
		return err
	}
	if s.Config, err = clientcmd.BuildConfigFromFlags("", s.Plane.Kubeconfig); err != nil {
		return err
	}
	s.Config.QPS = -1
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1beta1.AddToScheme(scheme)); err != nil {
		return err
	}
	if s.Kube, err = client.NewWithWatch(s.Config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	if err := s.install(ctx); err != nil {
		return err
	}
	return s.trust(ctx)
}

// install does what the chart does: definitions, rights, a service account.
func (s *Stage) install(ctx context.Context) error {
	root, err := cluster.Root()
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"apply", "-f", filepath.Join(root, "config/crd"), "-f", filepath.Join(root, "config/rbac/role.yaml")},
		{"create", "namespace", home},
		{"create", "serviceaccount", "operator", "-n", home},
		{"create", "serviceaccount", "reviewer", "-n", home},
		{"create", "clusterrolebinding", "operator", "--clusterrole=strongroom-operator", "--serviceaccount=" + home + ":operator"},
		{"create", "clusterrolebinding", "reviewer", "--clusterrole=system:auth-delegator", "--serviceaccount=" + home + ":reviewer"},
		{"wait", "--for=condition=Established", "crd", "--all"},
	} {
		if _, err := s.Kubectl(ctx, "", args...); err != nil {
			return err
		}
	}
	token, err := s.Kubectl(ctx, "", "create", "token", "operator", "-n", home, "--duration=24h")
	if err != nil {
		return err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["cluster"] = &clientcmdapi.Cluster{Server: s.Plane.URL, CertificateAuthorityData: s.Plane.CA}
	config.AuthInfos["operator"] = &clientcmdapi.AuthInfo{Token: strings.TrimSpace(token)}
	config.Contexts["operator"] = &clientcmdapi.Context{Cluster: "cluster", AuthInfo: "operator"}
	config.CurrentContext = "operator"
	s.kubeconfig = filepath.Join(s.dir, "operator.kubeconfig")
	if err := clientcmd.WriteToFile(*config, s.kubeconfig); err != nil {
		return err
	}
	return s.Plane.RestartControllers() // so that it collects what the new kinds own
}

// trust lets service accounts of the control plane log in to the server.
func (s *Stage) trust(ctx context.Context) error {
	token, err := s.Kubectl(ctx, "", "create", "token", "reviewer", "-n", home, "--duration=24h")
	if err != nil {
		return err
	}
	for _, write := range []struct {
		path string
		body map[string]any
	}{
		{"sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}}},
		{"sys/auth/kubernetes", map[string]any{"type": "kubernetes"}},
		{"auth/kubernetes/config", map[string]any{
			"kubernetes_host": s.Plane.URL, "kubernetes_ca_cert": string(s.Plane.CA), "token_reviewer_jwt": strings.TrimSpace(token),
		}},
	} {
		if err := s.Write(ctx, write.path, write.body); err != nil {
			return err
		}
	}
	return nil
}

// Write writes to the server with the root token.
func (s *Stage) Write(ctx context.Context, path string, body map[string]any) error {
	if _, err := s.Root.Logical().WriteWithContext(ctx, path, body); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Put writes a secret below secret/.
func (s *Stage) Put(ctx context.Context, name string, data map[string]any) error {
	return s.Write(ctx, "secret/data/"+name, map[string]any{"data": data})
}

// Kubectl runs kubectl as the administrator, and returns what it prints.
func (s *Stage) Kubectl(ctx context.Context, input string, args ...string) (string, error) {
	command := s.Plane.Kubectl(ctx, args...)
	command.Stdin = strings.NewReader(input)
	var failure strings.Builder
	command.Stderr = &failure
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, failure.String())
	}
	return string(out), nil
}

// StartOperator starts the operator, with more arguments. It returns at once.
func (s *Stage) StartOperator(args ...string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return err
	}
	s.metrics = "http://" + address + "/metrics"
	cmd := exec.Command(filepath.Join(s.Servers.BinDir, "strongroom-operator"), append([]string{
		"--kubeconfig=" + s.kubeconfig, "--resolve=" + ServerName + "=" + s.Address, "--operator-namespace=" + home,
		"--log-format=text", "--metrics-bind-address=" + address, "--health-probe-bind-address=0",
	}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir}
	s.Operator, err = s.Servers.Run("operator", cmd)
	return err
}

// Stop ends all, and waits until it is gone; the files stay. The error names what did not end as it should.
func (s *Stage) Stop() error {
	var err error
	if s.Operator != nil {
		select {
		case <-s.Operator.Exited():
		default:
			err = s.Operator.Stop()
		}
	}
	if s.Servers != nil {
		err = errors.Join(err, s.Servers.Stop())
	}
	if s.Plane != nil {
		s.Plane.Stop()
	}
	return err
}

// Until looks again and again until nothing is wrong, and gives up when ctx ends.
func Until(ctx context.Context, look func(context.Context) error) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := look(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %v", context.Cause(ctx), err)
		}
	}
}
