package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// day is something that happens to a cluster. After each the same must hold: see
// [days.whole].
type day struct {
	name  string
	local bool // needs the power switches of nodes, or images that were not there before
	run   func(t *testing.T, d *days)
}

// calendar is the order of the days.
func calendar() []day {
	return []day{
		{"helm test", false, helmTests},
		{"a standby's pod is deleted", false, standbyDeleted},
		{"the leader's node loses its power", true, leaderNodeLost},
		{"a new image is rolled out", true, imageRolled},
		{"five servers, and three again", true, scaled}, // after the roll, which switched the anti-affinity off
		{"all servers restart", false, allRestarted},
		{"a volume is lost", false, volumeLost},
		{"the operator is removed in the midst of its work", false, operatorRemoved},
		{"an upgrade brings new definitions", false, definitionsUpgraded},
		{"servers with TLS unseal each other", false, peersUnseal},
		{"a certificate is renewed", false, certificateRenewed},
	}
}

// days are the hard ones. While they last, a pod writes through the Service
// vault-active, one secret after another, and says which were acknowledged.
type days struct {
	*pods
	read   int // how many of the writer's lines were looked at
	acked  []int
	follow int // how often the value that a Secret follows was changed
}

const (
	daysSpace = "days"
	soonPods  = 60 * time.Second // within which anything that needs nobody is done
)

func testDays(t *testing.T, p *pods) {
	d := &days{pods: p}
	d.begin(t)
	d.whole(t)
	for _, day := range calendar() {
		if day.local && p.cluster == nil {
			t.Logf("left out, since this cluster's nodes are not ours: %s", day.name)
			continue
		}
		began := time.Now()
		if !t.Run(strings.ReplaceAll(day.name, " ", "-"), func(t *testing.T) {
			day.run(t, d)
			d.whole(t)
		}) {
			t.Logf("the writer's log ends:\n%s", d.tail(t))
			return // the next day begins where this one should have ended
		}
		t.Logf("%s: %v; %d writes are acknowledged", day.name, time.Since(began).Round(time.Second), len(d.acked))
	}
	for name := range d.servers(t, "vault") {
		d.holdsAll(t, name, d.acked)
	}
	d.memory(t)
}

// memory logs what the guide's pods have in use, as their kubelets count it.
func (d *days) memory(t *testing.T) {
	t.Helper()
	for node := range strings.FieldsSeq(d.kubectl(t, "get", "nodes", "-o", "jsonpath={.items[*].metadata.name}")) {
		var summary struct {
			Pods []struct {
				PodRef struct{ Name, Namespace string }
				Memory struct{ WorkingSetBytes int }
			}
		}
		if err := json.Unmarshal([]byte(d.kubectl(t, "get", "--raw", "/api/v1/nodes/"+node+"/proxy/stats/summary")), &summary); err != nil {
			t.Fatal(err)
		}
		for _, one := range summary.Pods {
			if slices.Contains(namespaces, one.PodRef.Namespace) {
				t.Logf("%s uses %d MiB", one.PodRef.Name, one.Memory.WorkingSetBytes>>20)
			}
		}
	}
}

// writer writes days/w1, days/w2, ... and tells of each. It gives up a write
// after its retries, or after a minute.
const writer = `
apiVersion: v1
kind: Pod
metadata: {name: writer, namespace: days}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  securityContext: {runAsNonRoot: true, runAsUser: 100, runAsGroup: 1000, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: writer
    image: strongroom:VERSION
    command: [/bin/sh, -c]
    args:
    - |
      i=0
      while true; do
        i=$((i+1))
        if said=$(vault write days/w$i n=$i 2>&1); then echo "ok $i"; else echo "failed $i" $said; fi
        sleep 0.2
      done
    env:
    - {name: VAULT_ADDR, value: 'http://vault-active.vault:8200'}
    - {name: VAULT_MAX_RETRIES, value: '30'}
    - {name: VAULT_TOKEN, valueFrom: {secretKeyRef: {name: writer, key: token}}}
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`

// followers are the manifests by which count Secrets follow days/follow: the
// Secrets' names are follow-1, follow-2, ...
func followers(from, count int) string {
	var all strings.Builder
	for i := range count {
		fmt.Fprintf(&all, `---
apiVersion: secrets.hashicorp.com/v1beta1
kind: VaultSecret
metadata: {name: follow-%[1]d, namespace: days}
spec:
  refreshAfter: 1s
  vault: {address: 'http://vault.vault:8200', auth: {kubernetes: {role: days, mountPath: kubernetes}}}
  source: {kv: {path: days/follow, version: '1'}}
  target: {name: follow-%[1]d, template: {stringData: {value: '{{ .value }}'}}}
`, from+i)
	}
	return all.String()
}

// begin makes the writer and a Secret that follows.
func (d *days) begin(t *testing.T) {
	t.Helper()
	const policy = `path "days/*" { capabilities = ["create", "update", "read", "list"] }`
	d.restricted(t, daysSpace)
	leader := d.leader(t).Metadata.Name
	d.vault(t, leader, "secrets", "enable", "-path=days", "-version=1", "kv")
	d.vault(t, leader, "write", "sys/policies/acl/days", "policy="+policy)
	d.vault(t, leader, "write", "auth/kubernetes/role/days", "bound_service_account_names=default", "bound_service_account_namespaces=days", "policies=days")
	d.vault(t, leader, "write", "days/follow", "value=0")
	token := strings.TrimSpace(d.vault(t, leader, "token", "create", "-policy=days", "-ttl=24h", "-field=token"))
	d.pipe(t, fmt.Sprintf(`{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "writer", "namespace": "days"}, "stringData": {"token": %q}}`, token), "create", "-f", "-")
	d.pipe(t, strings.ReplaceAll(writer, "VERSION", d.version), "create", "-f", "-")
	d.pipe(t, followers(1, 1), "create", "-f", "-")
}

// leader is the active server's pod, by its label.
func (d *days) leader(t *testing.T) (active pod) {
	t.Helper()
	eventually(t, soonPods, func() string {
		var all []pod
		servers := d.servers(t, "vault")
		for _, one := range servers {
			if one.active() {
				all = append(all, one)
			}
		}
		if len(all) != 1 {
			return fmt.Sprintf("%d pods are labelled active: %+v", len(all), servers)
		}
		active = all[0]
		return ""
	})
	return active
}

// standby is one of the other servers.
func (d *days) standby(t *testing.T) pod {
	t.Helper()
	leader := d.leader(t).Metadata.Name
	servers := d.servers(t, "vault")
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		if name != leader {
			return servers[name]
		}
	}
	t.Fatal("there is no standby")
	return pod{}
}

// unseal gives a server its shares, and waits until it has what the leader has.
func (d *days) unseal(t *testing.T, name string) {
	t.Helper()
	d.sealed(t, name)
	for _, share := range d.shares[:3] {
		if out, err := d.inPod(t, "vault", name, "vault", "operator", "unseal", share); err != nil {
			t.Fatalf("unseal %s: %v\n%s", name, err, out)
		}
	}
	d.caughtUp(t, name)
}

// sealed waits until a server says, by itself and by its label, that it is sealed.
func (d *days) sealed(t *testing.T, name string) {
	t.Helper()
	eventually(t, soonPods, func() string {
		if status, err := d.status(t, name); err != nil || !status.Sealed {
			return fmt.Sprintf("%s is not sealed: %+v, %v", name, status, err)
		}
		if one := d.servers(t, "vault")[name]; !one.sealed() {
			return fmt.Sprintf("the labels of %s are %v", name, one.Metadata.Labels)
		}
		return ""
	})
}

// status is what `vault status` says of a server.
type status struct {
	Sealed    bool
	Committed uint64 `json:"raft_committed_index"`
	Applied   uint64 `json:"raft_applied_index"`
}

func (d *days) status(t *testing.T, name string) (s status, err error) {
	t.Helper()
	out, _ := d.inPod(t, "vault", name, "vault", "status", "-format=json") // it exits with 2 where the server is sealed
	if i := strings.LastIndex(out, "}"); i >= 0 {
		out = out[:i+1]
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return s, fmt.Errorf("vault status of %s: %w\n%s", name, err, out)
	}
	return s, nil
}

// caughtUp waits until a server is unsealed, labelled so and ready, and has all
// that the leader had when this was called.
func (d *days) caughtUp(t *testing.T, name string) {
	t.Helper()
	leads, err := d.status(t, d.leader(t).Metadata.Name)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, soonPods, func() string {
		has, err := d.status(t, name)
		if err != nil || has.Sealed || has.Applied < leads.Committed {
			return fmt.Sprintf("%s is at %+v (%v), the leader was at %+v", name, has, err, leads)
		}
		if one := d.servers(t, "vault")[name]; one.sealed() || !one.ready() {
			return fmt.Sprintf("%s is not ready: %v, %+v", name, one.Metadata.Labels, one.Status)
		}
		return ""
	})
}

// whole is what must hold after every day: three servers are unsealed and one of
// them is active, alone behind vault-active; Secrets follow what is written;
// applications can log in at every server; what the writer was told is written
// can be read.
func (d *days) whole(t *testing.T) {
	t.Helper()
	if servers := d.servers(t, "vault"); len(servers) != 3 {
		t.Fatalf("there are %d servers", len(servers))
	}
	for _, name := range []string{"vault-0", "vault-1", "vault-2"} {
		d.caughtUp(t, name)
	}
	leader := d.leader(t)
	d.onlyActive(t, leader)
	d.follows(t, 1)
	d.condition(t, secretSpace, secretName, "Valid", soonPods)
	if got, want := d.secret(t, secretSpace, "r2-longhorn-secret"), mended(); !maps.Equal(got, want) {
		t.Errorf("the guide's Secret holds %v, want %v", got, want)
	}
	jwt := strings.TrimSpace(d.kubectl(t, "create", "token", "default", "-n", secretSpace))
	for _, name := range []string{"vault-0", "vault-1", "vault-2"} {
		if out, err := d.inPod(t, "vault", name, "vault", "write", "auth/kubernetes/login", "role=longhorn-role", "jwt="+jwt); err != nil {
			t.Errorf("an application cannot log in at %s: %v\n%s", name, err, out)
		}
	}
	from := len(d.acked)
	d.progresses(t)
	d.holdsAll(t, leader.Metadata.Name, d.acked[from:])
}

// onlyActive waits until the Service vault-active leads to this pod and no other.
func (d *days) onlyActive(t *testing.T, leader pod) {
	t.Helper()
	eventually(t, soonPods, func() string {
		got := d.kubectl(t, "get", "endpointslices", "-n", "vault", "-l", "kubernetes.io/service-name=vault-active", "-o",
			`jsonpath={range .items[*].endpoints[?(@.conditions.ready==true)]}{.targetRef.name} {end}`)
		if strings.TrimSpace(got) != leader.Metadata.Name {
			return fmt.Sprintf("vault-active leads to %q, the leader is %s", got, leader.Metadata.Name)
		}
		return ""
	})
}

// follows changes the value that Secrets follow, and waits until all of them have it.
func (d *days) follows(t *testing.T, secrets int) {
	t.Helper()
	d.follow++
	want := strconv.Itoa(d.follow)
	d.vault(t, d.leader(t).Metadata.Name, "write", "days/follow", "value="+want)
	for i := range secrets {
		name := fmt.Sprintf("follow-%d", i+1)
		eventually(t, soonPods, func() string {
			out, _ := d.command(t.Context(), "get", "secret", name, "-n", daysSpace, "-o", "go-template={{.data.value | base64decode}}").CombinedOutput()
			if string(out) != want {
				return fmt.Sprintf("Secret %s holds %q, want %s", name, out, want)
			}
			return ""
		})
	}
}

var writerLine = regexp.MustCompile(`(?m)^(ok|failed) (\d+)(.*)$`)

// lines are the writer's that were not looked at yet.
func (d *days) lines(t *testing.T) [][]string {
	t.Helper()
	all := writerLine.FindAllStringSubmatch(d.kubectl(t, "logs", "writer", "-n", daysSpace), -1)
	fresh := all[d.read:]
	d.read = len(all)
	return fresh
}

// tail is the end of the writer's log.
func (d *days) tail(t *testing.T) string {
	return d.kubectl(t, "logs", "writer", "-n", daysSpace, "--tail=20")
}

// progresses waits until three more writes were acknowledged, and returns those
// that failed since the last time.
func (d *days) progresses(t *testing.T) (failed []string) {
	t.Helper()
	news := 0
	eventually(t, 90*time.Second, func() string {
		for _, line := range d.lines(t) {
			if line[1] == "failed" {
				failed = append(failed, line[0])
				continue
			}
			number, _ := strconv.Atoi(line[2]) // digits
			d.acked = append(d.acked, number)
			news++
		}
		if news < 3 {
			return "the writer does not get on"
		}
		return ""
	})
	return failed
}

// spared wants no write to have failed since the last look.
func (d *days) spared(t *testing.T) {
	t.Helper()
	for _, line := range d.progresses(t) {
		t.Errorf("a write failed although a client that tries again should succeed: %s", line)
	}
}
