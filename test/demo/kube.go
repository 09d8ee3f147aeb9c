package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"strongroom/test/kubetest"
)

// kubernetes is the cluster the demo uses.
type kubernetes interface {
	start(ctx context.Context) (description string, err error)
	env() []string                // of commands: KUBECONFIG, and kubectl on the PATH
	namespace(name string) string // the guide's name → the one used here
	own() bool                    // made by the demo, and gone with it
	close(ctx context.Context) error
}

// chooseKubernetes takes the cluster that KUBECONFIG names, or one of its own.
func (d *demo) chooseKubernetes(ctx context.Context) (kubernetes, error) {
	config := os.Getenv("KUBECONFIG")
	if config == "" {
		return d.ownKubernetes(ctx)
	}
	config, err := filepath.Abs(config) // commands run elsewhere
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(config); err != nil {
		return nil, fmt.Errorf("KUBECONFIG: %w; name the kubeconfig of a cluster, or unset it for a control plane of the demo's own", err)
	}
	return d.givenKubernetes(ctx, config)
}

func (d *demo) ownKubernetes(ctx context.Context) (kubernetes, error) {
	began := time.Now()
	binDir, err := kubetest.Build(ctx, d.screen)
	if err != nil {
		return nil, err
	}
	d.fact("kubernetes", "%-40s %s", "control plane and kubectl, from source", d.paint(dim, fmt.Sprintf("%5.1f s", time.Since(began).Seconds())))
	return &ownKubernetes{dir: filepath.Join(d.dir, "kubernetes"), binDir: binDir}, nil
}

// ownKubernetes is a control plane that the demo starts.
type ownKubernetes struct {
	dir, binDir string
	cp          *kubetest.ControlPlane
}

func (k *ownKubernetes) start(ctx context.Context) (description string, err error) {
	if k.cp, err = kubetest.Start(ctx, k.dir); err != nil {
		return "", err
	}
	return k.cp.URL, nil
}

func (k *ownKubernetes) env() []string {
	return []string{"KUBECONFIG=" + k.cp.Kubeconfig, "KUBECACHEDIR=" + filepath.Join(k.dir, "cache"), "PATH=" + k.binDir + ":" + os.Getenv("PATH")}
}

func (k *ownKubernetes) namespace(name string) string { return name }

func (k *ownKubernetes) own() bool { return true }

func (k *ownKubernetes) close(context.Context) error {
	if k.cp != nil {
		k.cp.Stop()
	}
	return nil
}

// givenKubernetes is somebody's cluster. The demo stays within namespaces of
// its own, and removes all it made.
type givenKubernetes struct {
	config, suffix, path string
	screen               *screen
	made                 []string // what close deletes, as kubectl's arguments
}

func (d *demo) givenKubernetes(ctx context.Context, config string) (kubernetes, error) {
	k := &givenKubernetes{screen: d.screen, config: config, suffix: fmt.Sprintf("-demo-%05d", rand.IntN(100000)), path: os.Getenv("PATH")}
	if _, err := exec.LookPath("kubectl"); err != nil {
		dir, err := kubetest.Build(ctx, d.screen) // brings a kubectl
		if err != nil {
			return nil, err
		}
		k.path = dir + ":" + k.path
	}
	return k, nil
}

func (k *givenKubernetes) env() []string { return []string{"KUBECONFIG=" + k.config, "PATH=" + k.path} }

func (k *givenKubernetes) namespace(name string) string { return name + k.suffix }

func (k *givenKubernetes) own() bool { return false }

func (k *givenKubernetes) start(ctx context.Context) (description string, err error) {
	if _, err := kubectl(ctx, k, "get", "--raw", "/readyz"); err != nil {
		return "", fmt.Errorf("the cluster of %s does not answer: %w", k.config, err)
	}
	server, ca, err := endpoint(ctx, k)
	if err != nil {
		return "", err
	}
	if err := reach(ctx, server, ca); err != nil {
		return "", fmt.Errorf("the API server %s cannot be reached directly from here: %w\n"+
			"The three servers run on this machine and ask it, at this address, about every service account token (TokenReview);\n"+
			"a proxy or tunnel that only kubectl uses does not help them. Make the address reachable, or run the demo\n"+
			"without KUBECONFIG, on a control plane of its own", server, err)
	}
	return server, nil
}

// will notes something to delete in the end, before it is made.
func (k *givenKubernetes) will(kind, name string) { k.made = append(k.made, kind+"/"+name) }

func (k *givenKubernetes) close(ctx context.Context) error {
	if len(k.made) == 0 {
		return nil
	}
	args := append([]string{"delete", "--ignore-not-found", "--wait", "--timeout=90s"}, k.made...)
	out, err := kubectl(ctx, k, args...)
	k.screen.note(string(out))
	if err != nil {
		return fmt.Errorf("not everything could be removed from your cluster; do it with: kubectl %s\n%w", strings.Join(args, " "), err)
	}
	return nil
}

// will notes a thing to remove again from a cluster that goes on.
func (d *demo) will(kind, name string) {
	if k, ok := d.kube.(*givenKubernetes); ok {
		k.will(kind, name)
	}
}

// kubectl runs kubectl without showing it, and returns what it prints.
func kubectl(ctx context.Context, k kubernetes, args ...string) ([]byte, error) {
	// By sh, as the PATH is the command's.
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", `exec kubectl "$@"`, "kubectl"}, args...)...)
	cmd.Env = append(os.Environ(), k.env()...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("kubectl %s: %w: %s", args[0], err, strings.TrimSpace(string(exit.Stderr)))
	}
	return out, err
}

// endpoint is where the API server is, and the authority of its certificate (PEM).
func endpoint(ctx context.Context, k kubernetes) (server string, ca []byte, err error) {
	out, err := kubectl(ctx, k, "config", "view", "--raw", "--minify", "--flatten", "-o", "json")
	if err != nil {
		return "", nil, err
	}
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server string `json:"server"`
				CA     []byte `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
	}
	if err := json.Unmarshal(out, &config); err != nil {
		return "", nil, err
	}
	if len(config.Clusters) != 1 {
		return "", nil, errors.New("the kubeconfig has no current context: choose one with kubectl config use-context")
	}
	c := config.Clusters[0].Cluster
	if len(c.CA) == 0 {
		return "", nil, errors.New("the kubeconfig has no certificate authority for its cluster, which the servers need: they trust nothing else")
	}
	return c.Server, c.CA, nil
}

// reach sees whether a server can be connected to as the servers will do it.
func reach(ctx context.Context, server string, ca []byte) error {
	u, err := url.Parse(server)
	if err != nil {
		return err
	}
	host := u.Host
	if u.Port() == "" {
		host += ":443"
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", host)
	if err != nil {
		return err
	}
	return conn.Close()
}
