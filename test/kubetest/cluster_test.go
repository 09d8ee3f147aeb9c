package kubetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	c := NewCluster(t, 3)
	deploy(t, c)

	t.Run("pods are spread and run as they were told to", func(t *testing.T) {
		var on []string
		for i := range 3 {
			on = append(on, nodeOf(t, c, i))
		}
		slices.Sort(on)
		if !slices.Equal(on, c.Nodes) {
			t.Errorf("the pods are on %v, want one on each node", on)
		}
		if id := guest(t, c, 0, "id"); id != "1000 1000 [1000 2000]" && id != "1000 1000 [2000]" {
			t.Errorf("user, group and groups are %s", id)
		}
		if log := kubectl(t, c.ControlPlane, "", "logs", "web-1", "-n=work"); log != "serving as web-1\n" {
			t.Errorf("the log is %q", log)
		}
	})

	t.Run("a projected token passes review", func(t *testing.T) {
		status := review(t, c.ControlPlane, guest(t, c, 0, "read", "/token/token"), "strongroom")
		if !status.Authenticated || status.User.Username != "system:serviceaccount:work:default" {
			t.Errorf("the API server says of it: %+v", status)
		}
	})

	t.Run("pods find each other by name", func(t *testing.T) {
		for i := range 3 {
			for other := range 3 {
				name := fmt.Sprintf("web-%d.web-internal.work.svc", other)
				if got, want := guest(t, c, i, "lookup", name), "["+podIP(t, c, other)+"]"; got != want {
					t.Errorf("web-%d finds %s at %s, want %s", i, name, got, want)
				}
				if got := guest(t, c, i, "get", "http://web-"+fmt.Sprint(other)+".web-internal:8080"); got != fmt.Sprint("web-", other) {
					t.Errorf("web-%d gets %q from web-%d", i, got, other)
				}
			}
			// That of web-0 itself, too.
			if got := guest(t, c, i, "get", "http://first.work"); got != "web-0" {
				t.Errorf("web-%d gets %q from the Service of web-0", i, got)
			}
		}
	})

	t.Run("a port is forwarded", func(t *testing.T) {
		if got := getForwarded(t, c, "web-2"); got != "web-2" {
			t.Errorf("got %q", got)
		}
	})

	t.Run("this machine reaches pods", func(t *testing.T) {
		if got := get(t, "http://"+podIP(t, c, 1)+":8080"); got != "web-1" {
			t.Errorf("got %q", got)
		}
	})

	t.Run("a volume lives as long as its claim", func(t *testing.T) {
		guest(t, c, 1, "write", "/data/word", "kept")
		kubectl(t, c.ControlPlane, "", "delete", "pod", "web-1", "-n=work")
		waitRollout(t, c)
		if got := guest(t, c, 1, "read", "/data/word"); got != "kept" {
			t.Errorf("a new pod reads %q", got)
		}
		kubectl(t, c.ControlPlane, "", "delete", "persistentvolumeclaim", "data-web-1", "-n=work", "--wait=false")
		kubectl(t, c.ControlPlane, "", "delete", "pod", "web-1", "-n=work")
		waitRollout(t, c)
		if out, err := tryGuest(t, c, 1, "read", "/data/word"); err == nil {
			t.Errorf("a new volume has %q", out)
		}
		guest(t, c, 1, "write", "/data/word", "written anew")
	})

	t.Run("more replicas than nodes", func(t *testing.T) {
		kubectl(t, c.ControlPlane, "", "scale", "statefulset/web", "--replicas=5", "-n=work")
		waitRollout(t, c)
		kubectl(t, c.ControlPlane, "", "scale", "statefulset/web", "--replicas=3", "-n=work")
		waitRollout(t, c)
	})

	t.Run("helm works", func(t *testing.T) {
		for _, args := range [][]string{{"create", "hello"}, {"install", "hello", "./hello", "--set=replicaCount=0,serviceAccount.create=false"}, {"uninstall", "hello"}} {
			cmd := c.Helm(t.Context(), args...)
			cmd.Dir = c.dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
			}
		}
	})

	t.Run("a node loses its power and comes back", func(t *testing.T) {
		lost := nodeOf(t, c, 2)
		guest(t, c, 2, "write", "/data/word", "on disk")
		stopped := c.nodes[slices.Index(c.Nodes, lost)].process.cmd.Process.Pid
		if err := c.StopNode(lost); err != nil {
			t.Fatal(err)
		}
		if alive(stopped) {
			t.Errorf("process %d is still there", stopped)
		}
		began := time.Now()
		waitNode(t, c, lost, "Unknown")
		t.Logf("the control plane noticed it after %v", time.Since(began).Round(time.Millisecond))
		if got := guest(t, c, 0, "get", "http://web-1.web-internal:8080"); got != "web-1" {
			t.Errorf("the others: web-0 gets %q from web-1", got)
		}
		began = time.Now()
		if err := c.StartNode(t.Context(), lost); err != nil {
			t.Fatal(err)
		}
		t.Logf("it is back after %v", time.Since(began).Round(time.Millisecond))
		waitRollout(t, c)
		if got := guest(t, c, 2, "read", "/data/word"); got != "on disk" {
			t.Errorf("after it came back web-2 reads %q", got)
		}
	})

	t.Run("a shell's commands find it", func(t *testing.T) {
		access := c.Access()
		shell := exec.CommandContext(t.Context(), "sh", "-c", "kubectl get nodes -o=name && helm list --all-namespaces")
		shell.Env = access.Env
		if out, err := shell.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "node/node1\nnode/node2\nnode/node3\n") {
			t.Errorf("%v\n%s", err, out)
		}
	})

	t.Run("a diagnosis tells what there is", func(t *testing.T) {
		var said strings.Builder
		c.Diagnose(t.Context(), &said)
		for _, want := range []string{"node3", "statefulset.apps/web", "serving as web-0", "kube-apiserver.log", "node1-kubelet.log", "node2-containerd.log"} {
			if !strings.Contains(said.String(), want) {
				t.Errorf("the diagnosis lacks %q", want)
			}
		}
	})

	t.Run("a node is cut off and comes back", func(t *testing.T) {
		cut := nodeOf(t, c, 1)
		if err := c.CutNode(cut); err != nil {
			t.Fatal(err)
		}
		waitNode(t, c, cut, "Unknown")
		if err := c.MendNode(cut); err != nil {
			t.Fatal(err)
		}
		waitNode(t, c, cut, "True")
		if err := c.CutNode("node9"); err == nil || !strings.Contains(err.Error(), "the nodes are node1, node2, node3") {
			t.Errorf("cutting off an unknown node: %v", err)
		}
	})
}

func TestForeignAccess(t *testing.T) {
	cp := New(t)
	access, err := ForeignAccess(t.Context(), cp.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if access.Import != nil {
		t.Error("images can be imported to nodes that nobody knows")
	}
	for _, command := range []string{"kubectl get --raw=/readyz", "helm list"} {
		shell := exec.CommandContext(t.Context(), "sh", "-c", command)
		shell.Env = access.Env
		if out, err := shell.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
}

// TestClusterLeavesNothingBehind also when its process is killed, for the next
// start cleans up.
func TestClusterLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentEnv+"="+t.TempDir(), parentNodesEnv+"=1")
	parent.Stderr = os.Stderr
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = parent.Process.Kill() }()
	line, err := bufio.NewReader(out).ReadString('\n')
	var number, pid int
	if _, scanErr := fmt.Sscan(line, &number, &pid); scanErr != nil {
		t.Fatalf("the parent said %q: %v", line, err)
	}
	abandoned := &slot{number: number, dir: filepath.Join(stateDir, fmt.Sprint(number))}
	if abandoned.groups, err = findControlGroups(); err != nil {
		t.Fatal(err)
	}
	remains := []string{abandoned.dir, "/sys/class/net/" + abandoned.device()}
	for _, root := range abandoned.groups.roots {
		remains = append(remains, filepath.Join(root, abandoned.group()))
	}
	for _, path := range remains {
		if !exists(path) {
			t.Errorf("the test is wrong: a running cluster has no %s", path)
		}
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()

	fresh, err := takeSlot()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := fresh.release(); err != nil {
			t.Error(err)
		}
	}()
	if alive(pid) {
		t.Errorf("process %d, the node, is still there", pid)
	}
	// Another package's test may have taken its place meanwhile; it cleans up as
	// takeSlot did here.
	if fresh.number != number {
		if err := abandoned.tryLock(); errors.Is(err, syscall.EWOULDBLOCK) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		defer abandoned.lock.Close()
	}
	for _, path := range remains {
		if exists(path) {
			t.Errorf("%s is still there", path)
		}
	}
	if mounts, err := os.ReadFile("/proc/self/mounts"); err != nil || strings.Contains(string(mounts), abandoned.dir+"/") {
		t.Errorf("it left mounts (%v):\n%s", err, mounts)
	}
}

func TestClusterOfTooManyNodes(t *testing.T) {
	if _, err := StartCluster(t.Context(), t.TempDir(), 10); err == nil || !strings.Contains(err.Error(), "1 to 9 nodes") {
		t.Errorf("error is %v", err)
	}
}

// deploy runs three of testdata/guest.
func deploy(t *testing.T, c *Cluster) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "guest")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, "./testdata/guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	archive := filepath.Join(t.TempDir(), "guest.tar")
	if err := (image{name: "localhost/guest:1", entrypoint: "/guest", files: map[string]string{"guest": program}}).write(archive); err != nil {
		t.Fatal(err)
	}
	if err := c.Import(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
	kubectl(t, c.ControlPlane, "", "create", "-f=testdata/web.yaml")
	waitRollout(t, c)
}

func waitRollout(t *testing.T, c *Cluster) {
	t.Helper()
	kubectl(t, c.ControlPlane, "", "rollout", "status", "statefulset/web", "-n=work", "--timeout=60s")
}

// guest runs a command in a pod, which must succeed, and returns what it prints.
func guest(t *testing.T, c *Cluster, pod int, command ...string) string {
	t.Helper()
	out, err := tryGuest(t, c, pod, command...)
	if err != nil {
		t.Fatalf("web-%d: guest %s: %v\n%s", pod, strings.Join(command, " "), err, out)
	}
	return strings.TrimSpace(out)
}

func tryGuest(t *testing.T, c *Cluster, pod int, command ...string) (string, error) {
	t.Helper()
	args := append([]string{"exec", fmt.Sprint("web-", pod), "-n=work", "--", "/guest"}, command...)
	out, err := c.Kubectl(t.Context(), args...).CombinedOutput()
	return string(out), err
}

func nodeOf(t *testing.T, c *Cluster, pod int) string {
	t.Helper()
	return kubectl(t, c.ControlPlane, "", "get", "pod", fmt.Sprint("web-", pod), "-n=work", "-o=jsonpath={.spec.nodeName}")
}

func podIP(t *testing.T, c *Cluster, pod int) string {
	t.Helper()
	return kubectl(t, c.ControlPlane, "", "get", "pod", fmt.Sprint("web-", pod), "-n=work", "-o=jsonpath={.status.podIP}")
}

// waitNode waits until a node's condition Ready has a status.
func waitNode(t *testing.T, c *Cluster, name, status string) {
	t.Helper()
	kubectl(t, c.ControlPlane, "", "wait", "node/"+name, "--for=condition=Ready="+status, "--timeout=40s")
}

// getForwarded gets what a pod serves through kubectl port-forward.
func getForwarded(t *testing.T, c *Cluster, pod string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	forward := c.Kubectl(ctx, "port-forward", "pod/"+pod, ":8080", "-n=work")
	out, err := forward.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := forward.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = forward.Wait() }()
	line, err := bufio.NewReader(out).ReadString('\n')
	address := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line)
	if address == "" {
		t.Fatalf("kubectl port-forward said %q (%v)", line, err)
	}
	return get(t, "http://"+address)
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
