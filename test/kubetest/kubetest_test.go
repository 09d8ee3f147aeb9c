package kubetest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// parentEnv makes the test binary start a control plane in the folder it names,
// print the pids and wait: the parent that TestItEndsWithItsParent kills.
const parentEnv = "KUBETEST_PARENT_DIR"

// parentNodesEnv makes that a cluster with as many nodes; what is printed is its
// number and the pid of its first node.
const parentNodesEnv = "KUBETEST_PARENT_NODES"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentEnv); dir != "" {
		said, err := startAsParent(dir)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(said...)
		select {}
	}
	os.Exit(m.Run())
}

func startAsParent(dir string) (say []any, err error) {
	if nodes, err := strconv.Atoi(os.Getenv(parentNodesEnv)); err == nil {
		c, err := StartCluster(context.Background(), dir, nodes)
		if err != nil {
			return nil, err
		}
		return []any{c.slot.number, c.nodes[0].process.cmd.Process.Pid}, nil
	}
	cp, err := Start(context.Background(), dir)
	if err != nil {
		return nil, err
	}
	return pids(cp), nil
}

func TestControlPlane(t *testing.T) {
	cp := New(t)

	t.Run("it says its version", func(t *testing.T) {
		src, err := findSource("kubeall/main.go")
		if err != nil {
			t.Fatal(err)
		}
		var version struct{ ServerVersion, ClientVersion struct{ GitVersion string } }
		decode(t, kubectl(t, cp, "", "version", "-o=json"), &version)
		for _, got := range []string{version.ServerVersion.GitVersion, version.ClientVersion.GitVersion} {
			if got != "v"+src.version {
				t.Errorf("version is %q, want v%s", got, src.version)
			}
		}
	})

	t.Run("a namespace gets its service account and CA", func(t *testing.T) {
		namespace(t, cp, "fresh")
		if err := cp.wait(t.Context(), "/api/v1/namespaces/fresh/configmaps/kube-root-ca.crt"); err != nil {
			t.Fatal(err)
		}
		ca := kubectl(t, cp, "", "get", "configmap", "kube-root-ca.crt", "-n=fresh", `-o=jsonpath={.data.ca\.crt}`)
		if ca != string(cp.CA) {
			t.Errorf("kube-root-ca.crt is not the control plane's CA:\n%s", ca)
		}
		if file, err := os.ReadFile(cp.CAFile); !bytes.Equal(file, cp.CA) {
			t.Errorf("CAFile and CA differ (%v)", err)
		}
	})

	t.Run("a requested token passes review", func(t *testing.T) {
		namespace(t, cp, "tokens")
		token := strings.TrimSpace(kubectl(t, cp, "", "create", "token", "default", "-n=tokens", "--audience=strongroom"))
		status := review(t, cp, token, "strongroom")
		if !status.Authenticated || status.User.Username != "system:serviceaccount:tokens:default" {
			t.Errorf("the API server says of its token: %+v", status)
		}
		if status := review(t, cp, token, "somebody-else"); status.Authenticated {
			t.Error("a token passes review for an audience it was not made for")
		}
		if status := review(t, cp, token[:len(token)-8]+"AAAAAAAA", "strongroom"); status.Authenticated {
			t.Error("a forged token passes review")
		}
	})

	t.Run("a token Secret is filled", func(t *testing.T) {
		namespace(t, cp, "reviewer")
		kubectl(t, cp, `{"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
			"metadata": {"name": "default-token", "annotations": {"kubernetes.io/service-account.name": "default"}}}`,
			"create", "-n=reviewer", "-f=-")
		kubectl(t, cp, "", "wait", "-n=reviewer", "secret/default-token", "--for=jsonpath={.data.token}", "--timeout=30s")
	})

	t.Run("RBAC denies", func(t *testing.T) {
		cmd := cp.Kubectl(t.Context(), "get", "secrets", "-n=kube-system", "--as=system:serviceaccount:default:default")
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "Forbidden") {
			t.Errorf("a service account without rights reads Secrets: %v\n%s", err, out)
		}
	})

	t.Run("a dependent goes with its owner", func(t *testing.T) {
		namespace(t, cp, "owners")
		uid := kubectl(t, cp, "", "create", "configmap", "owner", "-n=owners", "-o=jsonpath={.metadata.uid}")
		kubectl(t, cp, `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "owned", "ownerReferences":
			[{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "`+uid+`"}]}}`, "create", "-n=owners", "-f=-")
		kubectl(t, cp, "", "delete", "configmap", "owner", "-n=owners")
		waitGone(t, cp, "/api/v1/namespaces/owners/secrets/owned", 15*time.Second)
	})

	t.Run("custom resources own too once the controllers know them", func(t *testing.T) {
		namespace(t, cp, "custom")
		kubectl(t, cp, `{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.example.com"},
			"spec": {"group": "example.com", "scope": "Namespaced", "names": {"kind": "Thing", "plural": "things"}, "versions":
			[{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}}`, "create", "-f=-")
		kubectl(t, cp, "", "wait", "crd/things.example.com", "--for=condition=Established", "--timeout=30s")
		if err := cp.RestartControllers(); err != nil {
			t.Fatal(err)
		}
		uid := kubectl(t, cp, `{"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "owner"}}`,
			"create", "-n=custom", "-f=-", "-o=jsonpath={.metadata.uid}")
		kubectl(t, cp, `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "owned", "ownerReferences":
			[{"apiVersion": "example.com/v1", "kind": "Thing", "name": "owner", "uid": "`+uid+`"}]}}`, "create", "-n=custom", "-f=-")
		kubectl(t, cp, "", "delete", "thing", "owner", "-n=custom")
		waitGone(t, cp, "/api/v1/namespaces/custom/secrets/owned", 15*time.Second)
	})

	t.Run("a namespace goes with its content", func(t *testing.T) {
		namespace(t, cp, "doomed")
		kubectl(t, cp, "", "create", "secret", "generic", "s", "-n=doomed")
		kubectl(t, cp, "", "delete", "namespace", "doomed", "--timeout=30s") // it waits
	})
}

func TestStopLeavesNoProcess(t *testing.T) {
	t.Parallel()
	began := time.Now()
	cp, err := Start(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("started in %v", time.Since(began).Round(time.Millisecond))
	other, err := Start(t.Context(), filepath.Join(t.TempDir(), "made by Start"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Stop()

	stopped := pids(cp)
	began = time.Now()
	cp.Stop()
	cp.Stop()
	t.Logf("stopped in %v", time.Since(began).Round(time.Millisecond))
	for _, pid := range stopped {
		if alive(pid.(int)) {
			t.Errorf("process %d is still there after Stop", pid)
		}
	}
	if status, err := other.get(t.Context(), "/readyz"); status != http.StatusOK {
		t.Errorf("stopping one control plane disturbed another: status %d, %v", status, err)
	}
}

func TestItEndsWithItsParent(t *testing.T) {
	t.Parallel()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentEnv+"="+t.TempDir())
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
	if err != nil {
		t.Fatal(err)
	}
	var children [3]int
	if _, err := fmt.Sscan(line, &children[0], &children[1], &children[2]); err != nil {
		t.Fatalf("the parent said %q: %v", line, err)
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	for _, pid := range children {
		for deadline := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(pollEvery) {
			if time.Now().After(deadline) {
				t.Fatalf("process %d is still there 10 s after its parent was killed", pid)
			}
		}
	}
}

func TestStartShowsWhyAComponentEnded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "etcd"), nil, 0o600); err != nil { // where etcd wants a folder
		t.Fatal(err)
	}
	_, err := Start(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), "etcd ended") || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("error is %v, want etcd's own words", err)
	}
	if _, err := Start(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "name a new directory") {
		t.Errorf("a directory in use: %v", err)
	}
}

// kubectl runs a command that must succeed, and returns what it prints.
func kubectl(t *testing.T, cp *ControlPlane, input string, args ...string) string {
	t.Helper()
	cmd := cp.Kubectl(t.Context(), args...)
	cmd.Stdin = strings.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

func namespace(t *testing.T, cp *ControlPlane, name string) {
	t.Helper()
	kubectl(t, cp, "", "create", "namespace", name)
	if err := cp.WaitServiceAccount(t.Context(), name, "default"); err != nil {
		t.Fatal(err)
	}
}

type reviewStatus struct {
	Authenticated bool
	User          struct{ Username string }
}

func review(t *testing.T, cp *ControlPlane, token, audience string) reviewStatus {
	t.Helper()
	request, err := json.Marshal(map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
		"spec": map[string]any{"token": token, "audiences": []string{audience}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Status reviewStatus }
	decode(t, kubectl(t, cp, string(request), "create", "-f=-", "-o=json"), &answer)
	return answer.Status
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

func waitGone(t *testing.T, cp *ControlPlane, path string, limit time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(pollEvery) {
		status, err := cp.get(t.Context(), path)
		if status == http.StatusNotFound {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is still there after %v: status %d, %v", path, limit, status, err)
		}
	}
}

func pids(cp *ControlPlane) (pids []any) {
	for _, p := range cp.running {
		pids = append(pids, p.cmd.Process.Pid)
	}
	return pids
}

// alive says whether a process exists and is more than a zombie.
func alive(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(stat, []byte(") Z "))
}
