package cluster_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"strongroom/test/cluster"
)

// TestFailover kills the leader of three; a survivor serves what was written,
// and the dead one comes back sealed, at its own address, and catches up.
func TestFailover(t *testing.T) {
	ctx := t.Context()
	c := cluster.NewReady(t, 3)
	first, err := c.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	run(t, c, first, "login", c.Keys.Root)
	run(t, c, first, "secrets", "enable", "-path=secret", "kv-v2")
	run(t, c, first, "kv", "put", "secret/a", "k=before")

	first.Kill()
	second, err := c.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	run(t, c, second, "login", c.Keys.Root)
	run(t, c, second, "kv", "put", "secret/b", "k=after")

	if err := first.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	status := c.Vault(ctx, first, "status")
	if out, _ := status.CombinedOutput(); status.ProcessState.ExitCode() != 2 {
		t.Errorf("status of a restarted node exits with %d, want 2 (sealed)\n%s", status.ProcessState.ExitCode(), out)
	}
	if err := c.Unseal(ctx, first); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"a": "before", "b": "after"} {
		if got := run(t, c, first, "kv", "get", "-field=k", "secret/"+key); strings.TrimSpace(got) != want {
			t.Errorf("secret/%s holds %q on the node that came back, want %q", key, got, want)
		}
	}
}

// TestPause sees that a paused node answers nothing, and goes on afterwards.
func TestPause(t *testing.T) {
	c := cluster.NewReady(t, 1)
	n := c.Nodes[0]
	if err := n.Pause(); err != nil {
		t.Fatal(err)
	}
	client, err := n.Client(c.Keys.Root)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := client.Sys().HealthWithContext(ctx); err == nil {
		t.Error("a paused node answers")
	}
	if err := n.Resume(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Sys().HealthWithContext(t.Context()); err != nil {
		t.Error("after the pause:", err)
	}
}

// TestStartFails wants the cause in the error, and soon.
func TestStartFails(t *testing.T) {
	began := time.Now()
	_, err := cluster.Start(t.Context(), t.TempDir(), cluster.Options{Config: `max_lease_ttl = "nonsense"`})
	if err == nil || !strings.Contains(err.Error(), "max_lease_ttl") {
		t.Errorf("the error of a server that cannot start says not why: %v", err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestDieWithParent kills a process that runs a cluster: its servers go too.
func TestDieWithParent(t *testing.T) {
	if os.Getenv("CLUSTER_TEST_PARENT") != "" {
		beParent(t)
		return
	}
	parent := exec.Command(os.Args[0], "-test.run=^TestDieWithParent$")
	parent.Env = append(os.Environ(), "CLUSTER_TEST_PARENT=1")
	parent.Stderr = os.Stderr
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "server ")))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatal("the server does not run:", err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	for deadline := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("the server outlives the process that started it")
		}
	}
}

// alive tells whether a process runs; a zombie, which waits for init, does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(after, "Z")
}

// beParent starts a server, says which, and waits to be killed.
func beParent(t *testing.T) {
	c := cluster.New(t, 1)
	fmt.Println("server", c.Nodes[0].PID())
	select {}
}

func run(t *testing.T, c *cluster.Cluster, n *cluster.Node, args ...string) string {
	t.Helper()
	out, err := c.Vault(t.Context(), n, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("vault %s on %s: %v\n%s", strings.Join(args, " "), n.Name, err, out)
	}
	return string(out)
}
