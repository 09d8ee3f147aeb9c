package kubetest

import (
	"context"
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// sysctls that the kubelet insists on: it is shown them, and the machine keeps
// its own.
var sysctls = map[string]string{
	"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
	"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
}

// node is a machine of the cluster: one process in namespaces of its own, below
// which everything of it runs, and a folder, its disk.
type node struct {
	name    string
	number  int      // from 1
	disk    string   // survives the process
	process *process // nil when stopped
}

// newNode makes the disk of a node, with the configuration of its programs.
func (c *Cluster) newNode(number int) (*node, error) {
	n := &node{name: fmt.Sprintf("node%d", number), number: number}
	n.disk = filepath.Join(c.slot.dir, n.name)
	for _, dir := range []string{"", "kubelet", "containerd", "cni", "log", "sysctl", "volumes"} {
		if err := os.MkdirAll(filepath.Join(n.disk, dir), 0o755); err != nil {
			return nil, err
		}
	}
	user := pkix.Name{Organization: []string{"system:nodes"}, CommonName: "system:node:" + n.name}
	err := errors.Join(
		c.client(n.name, user),
		c.pki.issue(n.name+"-serving", user, n.name, c.slot.nodeAddress(number)),
	)
	for name, content := range c.nodeFiles(n) {
		err = errors.Join(err, os.WriteFile(filepath.Join(n.disk, name), []byte(content), 0o644))
	}
	for name, value := range sysctls {
		err = errors.Join(err, os.WriteFile(n.sysctl(name), []byte(value+"\n"), 0o644))
	}
	return n, err
}

func (n *node) sysctl(name string) string {
	return filepath.Join(n.disk, "sysctl", strings.ReplaceAll(name, "/", "."))
}

// group is the control group that holds all of the node: its own processes, and
// its pods.
func (c *Cluster) group(n *node) string { return filepath.Join(c.slot.group(), n.name) }

// nodeSpec is the type spec of test/kube/kubenode.
type nodeSpec struct {
	Hostname         string
	Private, Scratch []string
	Binds            [][2]string
	Programs         []nodeProgram
}

type nodeProgram struct {
	Args      []string
	Log, Wait string
}

// spec is what the node's process 1 does.
func (c *Cluster) spec(n *node) (nodeSpec, error) {
	containerd, err := exec.LookPath("containerd")
	if err != nil {
		return nodeSpec{}, err
	}
	s := nodeSpec{
		Hostname: n.name,
		Private:  []string{"/run"}, // of sockets, locks and network namespaces
		Scratch:  []string{"/var/lib"},
		Binds:    [][2]string{{n.file("kubelet"), "/var/lib/kubelet"}, {n.file("log"), "/var/log"}, {n.file("boot_id"), "/proc/sys/kernel/random/boot_id"}},
	}
	for name := range sysctls {
		s.Binds = append(s.Binds, [2]string{n.sysctl(name), "/proc/sys/" + name})
	}
	log := func(program string) string { return filepath.Join(c.Logs, n.name+"-"+program+".log") }
	s.Programs = []nodeProgram{
		{Args: []string{containerd, "--config=" + n.file("containerd.toml")}, Log: log("containerd"), Wait: containerdSocket},
		{Args: []string{filepath.Join(c.BinDir, "kubelet"), "--config=" + n.file("kubelet.yaml"), "--kubeconfig=" + filepath.Join(c.dir, n.name+".kubeconfig"),
			"--node-ip=" + c.slot.nodeAddress(n.number), "--hostname-override=" + n.name}, Log: log("kubelet")},
		{Args: []string{filepath.Join(c.BinDir, "kube-proxy"), "--kubeconfig=" + filepath.Join(c.dir, "proxy.kubeconfig"), "--hostname-override=" + n.name,
			"--proxy-mode=nftables", "--cluster-cidr=" + c.slot.pods(),
			// 0: as the machine has it; the node may not change it.
			"--conntrack-max-per-core=0", "--conntrack-min=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0"},
			Log: log("kube-proxy")},
	}
	return s, nil
}

func (n *node) file(name string) string { return filepath.Join(n.disk, name) }

// boot starts the node's processes, as switching a machine on does.
func (c *Cluster) boot(n *node) error {
	spec, err := c.spec(n)
	if err != nil {
		return err
	}
	content, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		return err
	}
	// The kubelet tells a new start of the machine by this.
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	bootID := fmt.Sprintf("%x-%x-%x-%x-%x\n", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	own := filepath.Join(c.group(n), "system")
	if err := errors.Join(
		os.WriteFile(n.file("boot_id"), []byte(bootID), 0o644),
		os.WriteFile(n.file("spec.json"), content, 0o644),
		c.slot.groups.make(own),
	); err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(c.AddonsDir, "kubenode"), "node", n.file("spec.json"))
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS | syscall.CLONE_NEWNET}
	plugged, err := cmd.StdinPipe() // it goes on when this ends
	if err != nil {
		return err
	}
	if n.process, err = c.startProcess(n.name, cmd); err != nil {
		return err
	}
	if err := c.slot.groups.join(own, cmd.Process.Pid); err != nil {
		return err
	}
	if err := c.plug(n); err != nil {
		return err
	}
	return plugged.Close()
}

// powerOff ends the node at once, with all its pods.
func (c *Cluster) powerOff(ctx context.Context, n *node) error {
	if n.process == nil {
		return nil
	}
	n.process.stop()
	n.process = nil
	return c.slot.groups.remove(ctx, c.group(n))
}

// containerdSocket is where the node itself has it.
const containerdSocket = "/run/containerd/containerd.sock"

// socket is the node's socket of containerd as this machine sees it.
func (n *node) socket() string {
	return fmt.Sprintf("/proc/%d/root%s", n.process.cmd.Process.Pid, containerdSocket)
}

// importImages puts the images of an archive into the node's containerd.
func (n *node) importImages(ctx context.Context, archive string) error {
	cmd := exec.CommandContext(ctx, "ctr", "--address="+n.socket(), "--namespace=k8s.io", "images", "import", "--snapshotter="+snapshotter(n.disk), archive)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("import %s to %s: %w\n%s", archive, n.name, err, tail(out))
	}
	return nil
}
