package kubetest

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// startSwitch makes the cluster's network: a network namespace with a bridge
// that everybody is plugged into, where the control plane lives and packets
// between nodes are routed. It is no part of the machine's own network, whose
// firewall therefore does not matter, and all of it goes with one process.
func (c *Cluster) startSwitch() error {
	cmd := exec.Command(filepath.Join(c.AddonsDir, "kubenode"), "switch")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	p, err := c.startProcess("switch", cmd)
	if errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("%w; nodes need root with all its rights: in a container, a privileged one", err)
	}
	if err != nil {
		return err
	}
	c.running = append(c.running, p)
	c.inSwitch = namespaceOf(p)
	s := c.slot
	// A bridge that is not given an address takes one from its ports: a node that
	// went would make the others send to nobody until they ask again.
	if err := c.ipInSwitch("link set lo up", "link add bridge address 02:00:00:00:00:01 type bridge", "addr add "+s.control()+"/24 dev bridge", "link set bridge up"); err != nil {
		return err
	}
	if err := ip(fmt.Sprintf("link add %s type veth peer name machine netns %d", s.device(), p.cmd.Process.Pid),
		fmt.Sprintf("addr add %s/24 dev %s", s.machine(), s.device()),
		fmt.Sprintf("link set %s up", s.device()),
		fmt.Sprintf("route add %v via %s", s.network(), s.control())); err != nil {
		return err
	}
	return c.ipInSwitch("link set machine master bridge up")
}

// plug connects a node's new network namespace.
func (c *Cluster) plug(n *node) error {
	s, pid := c.slot, n.process.cmd.Process.Pid
	_ = c.ipInSwitch("link del " + n.name) // of a node that just died, if the kernel still has it
	if err := c.ipInSwitch(fmt.Sprintf("link add %s type veth peer name eth0 netns %d", n.name, pid),
		fmt.Sprintf("link set %s master bridge up", n.name),
		fmt.Sprintf("route replace %s via %s", s.nodePods(n.number), s.nodeAddress(n.number))); err != nil {
		return err
	}
	return ipIn(namespaceOf(n.process), "link set lo up",
		"addr add "+s.nodeAddress(n.number)+"/24 dev eth0", "link set eth0 up", "route add default via "+s.control())
}

// namespaceOf is the command line that enters the network namespace of a process.
func namespaceOf(p *process) []string {
	return []string{"nsenter", "--net=/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/ns/net"}
}

func (c *Cluster) ipInSwitch(commands ...string) error { return ipIn(c.inSwitch, commands...) }

// ip runs commands of ip(8) in the machine's own network.
func ip(commands ...string) error { return ipIn(nil, commands...) }

func ipIn(enter []string, commands ...string) error {
	line := append(enter[:len(enter):len(enter)], "ip", "-batch", "-")
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	var problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &problem, &problem
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(commands, "; ip "), err, bytes.TrimSpace(problem.Bytes()))
	}
	return nil
}

// Enter is the beginning of a command line, which runs the rest of it in the
// cluster's own network, where the control plane is: there all ports of
// 127.0.0.1 are free but 6443.
func (c *Cluster) Enter() []string { return slices.Clone(c.inSwitch) }
