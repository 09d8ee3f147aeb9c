package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"strongroom/test/kubetest"
)

// foreignKubeconfig names the variable that has the suite use another cluster
// than its own. It is not KUBECONFIG, lest tests surprise whoever has that set;
// `make e2e` passes it on.
const foreignKubeconfig = "STRONGROOM_E2E_KUBECONFIG"

// TestPods goes from the charts and images to an application's Secret, on a
// Kubernetes with nodes, by the production guide's own text; then come the days
// on which things break. The days build on the guide, and each on those before
// it.
func TestPods(t *testing.T) {
	t.Parallel()
	p := newPods(t)
	if t.Run("Guide", func(t *testing.T) { testGuide(t, p) }) {
		t.Run("Days", func(t *testing.T) { testDays(t, p) })
	}
}

// namespaces are the guide's. Pod Security's strictest profile is enforced on
// all of them; Longhorn and the applications would bring theirs.
var namespaces = []string{"vault", "vault-secrets-operator", "longhorn-system", "argocd", "myapp"}

// pods is a Kubernetes with nodes, and what the guide makes on it.
type pods struct {
	kube
	access  kubetest.Access
	cluster *kubetest.Cluster // nil when it is somebody else's
	version string            // of charts and images
	made    []string          // namespaces

	root   string   // the root token
	shares []string // 5 unseal keys, 3 needed
}

func newPods(t *testing.T) *pods {
	p := &pods{version: chartVersion(t)}
	p.command = func(ctx context.Context, args ...string) *exec.Cmd { return p.tool(ctx, "kubectl", args...) }
	if path := os.Getenv(foreignKubeconfig); path != "" {
		var err error
		if p.access, err = kubetest.ForeignAccess(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		p.borrowed(t)
		t.Logf("left out, since this cluster's nodes are not ours: importing the images, which they must have: strongroom:%[1]s and strongroom-operator:%[1]s", p.version)
	} else {
		images := make(chan string, 1)
		go func() { images <- buildImages(t, p.version) }()
		p.cluster = kubetest.NewCluster(t, 3)
		p.access = p.cluster.Access()
		p.imports(t, <-images)
	}
	for _, name := range namespaces {
		p.restricted(t, name)
	}
	return p
}

// borrowed sees to it that nothing is left of the test on somebody else's cluster.
func (p *pods) borrowed(t *testing.T) {
	t.Helper()
	if found := p.kubectl(t, "get", "crd", "-o", "name"); strings.Contains(found, ".secrets.hashicorp.com") {
		t.Fatal("the cluster has the definitions of a secrets operator: this test would replace and remove them")
	}
	t.Cleanup(func() {
		run := func(name string, args ...string) {
			if out, err := p.tool(context.Background(), name, args...).CombinedOutput(); err != nil {
				t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
			}
		}
		run("kubectl", "delete", "-f", "charts/vault-secrets-operator/crds", "--ignore-not-found") // while the operator is there to let go of what it made
		for _, release := range []string{"vault -n vault", "vault-secrets-operator -n vault-secrets-operator", "open -n " + tlsSpace} {
			run("helm", append(strings.Fields("uninstall --ignore-not-found"), strings.Fields(release)...)...)
		}
		run("kubectl", append([]string{"delete", "namespace"}, p.made...)...)
	})
}

// chartVersion is the version of the images that the charts name.
func chartVersion(t *testing.T) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^appVersion: "?([^"\n]+)"?$`).FindStringSubmatch(readFile(t, "../../charts/vault/Chart.yaml"))
	if m == nil {
		t.Fatal("charts/vault/Chart.yaml has no appVersion")
	}
	return m[1]
}

// buildImages builds both images for this machine's kind of processor, and
// returns their folder, or "" when it said in the test's log why not.
func buildImages(t *testing.T, version string) (dir string) {
	began := time.Now()
	dir = t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "run", "./build/image", "-version", version, "-arch", runtime.GOARCH, "-out", dir)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("build the images: %v\n%s", err, out)
		return ""
	}
	t.Logf("images of version %s are built after %v", version, time.Since(began).Round(time.Millisecond))
	return dir
}

// imports gives the images of a folder to all nodes.
func (p *pods) imports(t *testing.T, dir string) {
	t.Helper()
	if dir == "" {
		t.FailNow()
	}
	for _, name := range []string{"strongroom.tar", "strongroom-operator.tar"} {
		if err := p.access.Import(t.Context(), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// restricted makes a namespace, which must be new, that refuses pods which ask for
// any privilege.
func (p *pods) restricted(t *testing.T, name string) {
	t.Helper()
	p.kubectl(t, "create", "namespace", name)
	p.made = append(p.made, name)
	p.kubectl(t, "label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
	p.kubectl(t, "wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=60s")
}

// tool prepares kubectl or helm for this cluster.
func (p *pods) tool(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", `exec "$@"`, "sh", name}, args...)...) // the shell looks in Env's PATH
	cmd.Env = p.access.Env
	cmd.Dir = "../.." // where charts are
	return cmd
}

// helm runs helm, and returns what it prints.
func (p *pods) helm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := p.tool(t.Context(), "helm", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// pod is what the suite asks of one.
type pod struct {
	Metadata struct {
		Name, UID string
		Labels    map[string]string
	}
	Spec   struct{ NodeName string }
	Status struct {
		Phase             string
		PodIP             string
		ContainerStatuses []struct {
			Ready        bool
			RestartCount int
		}
	}
}

func (p pod) sealed() bool { return p.Metadata.Labels["vault-sealed"] != "false" }
func (p pod) active() bool { return p.Metadata.Labels["vault-active"] == "true" }
func (p pod) ready() bool {
	return len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].Ready
}

// pods returns the servers of a namespace by name.
func (p *pods) servers(t *testing.T, namespace string) map[string]pod {
	t.Helper()
	var list struct{ Items []pod }
	if err := json.Unmarshal([]byte(p.kubectl(t, "get", "pods", "-n", namespace, "-l", "component=server", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	found := make(map[string]pod, len(list.Items))
	for _, one := range list.Items {
		found[one.Metadata.Name] = one
	}
	return found
}

// eventually calls check until it has nothing to complain of.
func eventually(t *testing.T, within time.Duration, check func() (problem string)) {
	t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(250 * time.Millisecond) {
		problem := check()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s: %s", within, problem)
		}
	}
}

// inPod runs a command in the container of a pod.
func (p *pods) inPod(t *testing.T, namespace, name string, command ...string) (output string, err error) {
	t.Helper()
	out, err := p.command(t.Context(), append([]string{"exec", "-n", namespace, name, "--"}, command...)...).CombinedOutput()
	return string(out), err
}

// vault runs the command line in a server's pod as root.
func (p *pods) vault(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := p.inPod(t, "vault", name, append([]string{"env", "VAULT_TOKEN=" + p.root, "vault"}, args...)...)
	if err != nil {
		t.Fatalf("vault %s in %s: %v\n%s", strings.Join(args, " "), name, err, strings.ReplaceAll(out, p.root, "…"))
	}
	return out
}

// replaced waits until a pod of this name runs that is not the one with that UID.
func (p *pods) replaced(t *testing.T, namespace, name, uid string) {
	t.Helper()
	eventually(t, 90*time.Second, func() string {
		one, ok := p.servers(t, namespace)[name]
		if !ok || one.Metadata.UID == uid || one.Status.Phase != "Running" {
			return fmt.Sprintf("%s has not come back: %+v", name, one.Status)
		}
		return ""
	})
}
