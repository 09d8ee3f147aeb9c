package e2e_test

import (
	"bufio"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// forward leads a port of this machine to 8200 of something in the cluster until
// the test is over, and returns its address.
func (p *pods) forward(t *testing.T, namespace, target string) (address string) {
	t.Helper()
	cmd := p.command(t.Context(), "port-forward", "-n", namespace, target, ":8200")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, _ := bufio.NewReader(out).ReadString('\n')
	m := regexp.MustCompile(`^Forwarding from (127\.0\.0\.1:\d+) -> 8200`).FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("kubectl port-forward says %q", line)
	}
	return m[1]
}

// holdsAll reads the writer's secrets with these numbers at one server.
func (d *days) holdsAll(t *testing.T, server string, numbers []int) {
	t.Helper()
	config := api.DefaultConfig()
	config.Address = "http://" + d.forward(t, "vault", "pod/"+server)
	client, err := api.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	client.SetToken(d.root)
	for _, number := range numbers {
		secret, err := client.Logical().ReadWithContext(t.Context(), fmt.Sprint("days/w", number))
		if err != nil {
			t.Fatalf("%s: %v", server, err)
		}
		if secret == nil || secret.Data["n"] != strconv.Itoa(number) {
			t.Errorf("%s has lost acknowledged write %d: %v", server, number, secret)
		}
	}
}

// deletePod deletes a server's pod, and waits for the next one of its name.
func (d *days) deletePod(t *testing.T, one pod) {
	t.Helper()
	d.kubectl(t, "delete", "pod", one.Metadata.Name, "-n", "vault", "--wait=false")
	d.replaced(t, "vault", one.Metadata.Name, one.Metadata.UID)
}

func standbyDeleted(t *testing.T, d *days) {
	one := d.standby(t)
	d.deletePod(t, one)
	d.unseal(t, one.Metadata.Name)
	d.spared(t)
}

// leaderNodeLost cuts the power of the leader's node, which is not the writer's.
func leaderNodeLost(t *testing.T, d *days) {
	writes := strings.TrimSpace(d.kubectl(t, "get", "pod", "writer", "-n", daysSpace, "-o", "jsonpath={.spec.nodeName}"))
	lost := d.leader(t)
	for lost.Spec.NodeName == writes {
		d.vault(t, lost.Metadata.Name, "operator", "step-down")
		eventually(t, soonPods, func() string {
			if now := d.leader(t); now.Metadata.Name != lost.Metadata.Name {
				lost = now
				return ""
			}
			return lost.Metadata.Name + " does not step down"
		})
	}
	began := time.Now()
	if err := d.cluster.StopNode(lost.Spec.NodeName); err != nil {
		t.Fatal(err)
	}
	var leader pod
	eventually(t, soonPods, func() string {
		for _, leader = range d.servers(t, "vault") {
			if leader.active() && leader.Metadata.Name != lost.Metadata.Name {
				return ""
			}
		}
		return "nobody takes over"
	})
	d.onlyActive(t, leader)
	t.Logf("vault-active leads to the next leader %v after the power cut began", time.Since(began).Round(100*time.Millisecond))
	d.spared(t)
	if err := d.cluster.StartNode(t.Context(), lost.Spec.NodeName); err != nil {
		t.Fatal(err)
	}
	d.unseal(t, lost.Metadata.Name)
}

// imageRolled upgrades the release to an image of another version. It also lets
// servers share a node, which five on three nodes need.
func imageRolled(t *testing.T, d *days) {
	const next = "0.1.1-e2e"
	d.imports(t, buildImages(t, next))
	d.progresses(t) // what failed before is not this day's
	d.helm(t, "upgrade", "vault", "./charts/vault", "-n", "vault", "--reuse-values", "--set", "server.image.tag="+next, "--set", "server.affinity=")
	last := d.leader(t).Metadata.Name
	order := slices.DeleteFunc([]string{"vault-0", "vault-1", "vault-2"}, func(name string) bool { return name == last })
	for _, name := range append(order, last) {
		d.deletePod(t, d.servers(t, "vault")[name])
		d.unseal(t, name)
	}
	for name, one := range d.servers(t, "vault") {
		if got := one.Metadata.Labels["vault-version"]; got != next {
			t.Errorf("%s says that its version is %q", name, got)
		}
	}
	if d.leader(t).Metadata.Name == last {
		t.Errorf("%s led before and after, so it did not hand over", last)
	}
	d.spared(t)
}

// peers are the names of the cluster's voters.
func (d *days) peers(t *testing.T) (voters []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^(\S+) +\S+ +(leader|follower) +true$`).FindAllStringSubmatch(d.vault(t, d.leader(t).Metadata.Name, "operator", "raft", "list-peers"), -1) {
		voters = append(voters, m[1])
	}
	slices.Sort(voters)
	return voters
}

func (d *days) votersBecome(t *testing.T, want ...string) {
	t.Helper()
	eventually(t, soonPods, func() string {
		if got := d.peers(t); !slices.Equal(got, want) {
			return fmt.Sprintf("the voters are %v, want %v", got, want)
		}
		return ""
	})
}

func scaled(t *testing.T, d *days) {
	d.kubectl(t, "scale", "statefulset", "vault", "-n", "vault", "--replicas=5")
	for _, name := range []string{"vault-3", "vault-4"} {
		d.replaced(t, "vault", name, "")
		d.unseal(t, name)
	}
	d.votersBecome(t, "vault-0", "vault-1", "vault-2", "vault-3", "vault-4")
	d.kubectl(t, "scale", "statefulset", "vault", "-n", "vault", "--replicas=3")
	d.votersBecome(t, "vault-0", "vault-1", "vault-2")
	d.kubectl(t, "wait", "--for=delete", "pod/vault-3", "pod/vault-4", "-n", "vault", "--timeout=60s")
	d.spared(t)
}

// allRestarted deletes all servers' pods at once. The first that is unsealed serves.
func allRestarted(t *testing.T, d *days) {
	before := d.servers(t, "vault")
	d.kubectl(t, "delete", "pods", "-n", "vault", "-l", "component=server", "--wait=false")
	for name, one := range before {
		d.replaced(t, "vault", name, one.Metadata.UID)
		d.sealed(t, name)
	}
	d.unseal(t, "vault-1")
	d.progresses(t)
	d.unseal(t, "vault-0")
	d.unseal(t, "vault-2")
}

// volumeLost deletes the claim of a standby, and then does as docs/operations.md
// says under "Replace a node".
func volumeLost(t *testing.T, d *days) {
	one := d.standby(t)
	name := one.Metadata.Name
	d.kubectl(t, "delete", "persistentvolumeclaim", "data-"+name, "-n", "vault", "--wait=false")
	d.deletePod(t, one)
	d.sealed(t, name)
	d.vault(t, d.leader(t).Metadata.Name, "operator", "raft", "remove-peer", name)
	d.unseal(t, name)
	d.votersBecome(t, "vault-0", "vault-1", "vault-2")
	d.spared(t)
}
