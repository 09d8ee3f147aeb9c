package kubetest

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// clusterStartLimit bounds the start of a cluster that hangs; a warm one takes
// about 10 s.
const clusterStartLimit = 3 * time.Minute

//go:embed manifests
var manifests embed.FS

// Cluster is a control plane with nodes: on each of them run a kubelet,
// containerd, a kube-proxy and pods, as on a machine of its own. Its network
// can be reached from this machine, the pods' addresses included.
//
// Beside the cluster's DNS it has one storage class, local-path, the default,
// which makes volumes on the node of the pod that first wants them, and deletes
// them with their claims, as K3s does. Network policies are accepted and not
// enforced.
//
// Its methods must not be called concurrently, but for Kubectl, Helm, Import
// and Diagnose.
type Cluster struct {
	*ControlPlane
	Nodes     []string // their names: node1, node2, ...
	AddonsDir string   // where helm is; see [BuildAddons]

	slot     *slot
	inSwitch []string // command line that enters the network of the switch
	nodes    []*node
	volumes  *provisioner
}

// StartCluster starts a cluster of up to nine nodes. It keeps its files in dir
// as [Start] does, and the nodes' disks in /var/cache. It needs root, and
// installs the Debian packages that nodes are made of when they are missing,
// saying so on standard error. Several clusters may run on one machine.
//
// It returns when the nodes are ready and the cluster has its DNS.
func StartCluster(ctx context.Context, dir string, nodes int) (*Cluster, error) {
	if nodes < 1 || nodes > maxNodes {
		return nil, fmt.Errorf("kubetest: a cluster has 1 to %d nodes, not %d", maxNodes, nodes)
	}
	if err := installPackages(ctx, os.Stderr); err != nil {
		return nil, fmt.Errorf("kubetest: %w", err)
	}
	binDir, err := Build(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	addonsDir, err := BuildAddons(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, clusterStartLimit, fmt.Errorf("not ready within %v", clusterStartLimit))
	defer cancel()
	c := &Cluster{ControlPlane: &ControlPlane{BinDir: binDir}, AddonsDir: addonsDir}
	if err := c.start(ctx, dir, nodes); err != nil {
		return nil, fmt.Errorf("kubetest: %w", errors.Join(err, c.Stop()))
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, dir string, nodes int) (err error) {
	if err := c.prepare(dir); err != nil {
		return err
	}
	if c.slot, err = takeSlot(); err != nil {
		return err
	}
	if err := c.startSwitch(); err != nil {
		return err
	}
	c.site = site{ip: c.slot.control(), port: 6443, services: c.slot.services(), enter: c.inSwitch, nodes: true}
	if err := c.ControlPlane.start(ctx); err != nil {
		return err
	}
	if c.volumes, err = c.startProvisioner(); err != nil {
		return err
	}
	for number := range nodes {
		n, err := c.newNode(number + 1)
		if err != nil {
			return err
		}
		c.nodes, c.Nodes = append(c.nodes, n), append(c.Nodes, n.name)
		if err := c.boot(n); err != nil {
			return err
		}
	}
	for _, archive := range []string{"pause.tar", "coredns.tar"} {
		if err := c.Import(ctx, filepath.Join(c.AddonsDir, archive)); err != nil {
			return err
		}
	}
	for _, name := range []string{"storage.yaml", "coredns.yaml"} {
		if err := c.apply(ctx, name); err != nil {
			return err
		}
	}
	return c.waitReady(ctx, c.nodes...)
}

// apply creates what one of the manifests says.
func (c *Cluster) apply(ctx context.Context, name string) error {
	manifest, err := manifests.ReadFile("manifests/" + name)
	if err != nil {
		return err
	}
	cmd := c.Kubectl(ctx, "create", "--filename=-")
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(string(manifest), "DNS_ADDRESS", c.slot.dns()))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("create %s: %w\n%s", name, err, tail(out))
	}
	return nil
}

// waitReady waits until these nodes are ready, and as many have the cluster's
// DNS.
func (c *Cluster) waitReady(ctx context.Context, nodes ...*node) error {
	err := c.await(ctx, c.processes(), func(ctx context.Context) error {
		for _, n := range nodes {
			if err := c.isReady(ctx, n); err != nil {
				return err
			}
		}
		var dns struct{ Status struct{ NumberReady int } }
		if err := c.getJSON(ctx, "/apis/apps/v1/namespaces/kube-system/daemonsets/coredns", &dns); err != nil {
			return err
		}
		if dns.Status.NumberReady < len(nodes) {
			return fmt.Errorf("CoreDNS is ready on %d nodes", dns.Status.NumberReady)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the nodes: %w", err)
	}
	return nil
}

// isReady says why a node is not ready. Whether it was so before it was last
// started does not count.
func (c *Cluster) isReady(ctx context.Context, n *node) error {
	var status struct {
		Status struct {
			NodeInfo   struct{ BootID string }
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := c.getJSON(ctx, "/api/v1/nodes/"+n.name, &status); err != nil {
		return err
	}
	boot, err := os.ReadFile(n.file("boot_id"))
	if err != nil {
		return err
	}
	if status.Status.NodeInfo.BootID != strings.TrimSpace(string(boot)) {
		return fmt.Errorf("%s has not yet come back", n.name)
	}
	for _, condition := range status.Status.Conditions {
		if condition.Type == "Ready" && condition.Status == "True" {
			return nil
		}
	}
	return fmt.Errorf("%s is not ready: %+v", n.name, status.Status.Conditions)
}

// processes are all those that should be running.
func (c *Cluster) processes() []*process {
	all := slices.Clone(c.running)
	for _, n := range c.nodes {
		if n.process != nil {
			all = append(all, n.process)
		}
	}
	return all
}

// Helm prepares a helm command as the administrator; the caller sets its input
// and output, and runs it. Its own files are the cluster's, not the user's.
func (c *Cluster) Helm(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.AddonsDir, "helm"), args...)
	cmd.Env = c.Env()
	return cmd
}

// Env is an environment in which kubectl and helm are found and work with this
// cluster, for commands run by a shell.
func (c *Cluster) Env() []string {
	helm := filepath.Join(c.dir, "helm")
	return append(os.Environ(), "KUBECONFIG="+c.Kubeconfig, "KUBECACHEDIR="+filepath.Join(c.dir, "kubectl-cache"),
		"HELM_CACHE_HOME="+helm, "HELM_CONFIG_HOME="+helm, "HELM_DATA_HOME="+helm,
		searchPath(c.BinDir, c.AddonsDir))
}

// Import gives the images of an OCI or Docker archive to all running nodes, as
// `ctr --namespace=k8s.io images import` does. Of an image for several platforms
// each takes its own.
func (c *Cluster) Import(ctx context.Context, archive string) error {
	var wg sync.WaitGroup
	errs := make([]error, len(c.nodes))
	for i, n := range c.nodes {
		if n.process == nil {
			continue
		}
		wg.Go(func() { errs[i] = c.importTo(ctx, n, archive) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (c *Cluster) importTo(ctx context.Context, n *node, archive string) error {
	err := c.await(ctx, []*process{n.process}, func(context.Context) error {
		_, err := os.Stat(n.socket())
		return err
	})
	if err != nil {
		return fmt.Errorf("waiting for containerd on %s: %w", n.name, err)
	}
	return n.importImages(ctx, archive)
}

// StopNode cuts the power of a node: all its processes end at once, pods
// included, and its disk stays. In ten seconds the control plane calls it
// NotReady. It returns when the processes are gone.
func (c *Cluster) StopNode(name string) error {
	n, err := c.node(name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanLimit)
	defer cancel()
	return c.powerOff(ctx, n)
}

// StartNode switches a stopped node on again, with its disk, and waits until it
// is ready; its pods come after that.
func (c *Cluster) StartNode(ctx context.Context, name string) error {
	n, err := c.node(name)
	if err != nil {
		return err
	}
	if n.process != nil {
		return fmt.Errorf("kubetest: %s is running", name)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, clusterStartLimit, fmt.Errorf("not ready within %v", clusterStartLimit))
	defer cancel()
	if err := c.boot(n); err != nil {
		return fmt.Errorf("kubetest: start %s: %w", name, err)
	}
	return c.waitReady(ctx, n)
}

// CutNode unplugs a node from the network: it goes on and reaches nobody, and
// nobody reaches it or its pods.
func (c *Cluster) CutNode(name string) error { return c.setLink(name, "down") }

// MendNode undoes [Cluster.CutNode].
func (c *Cluster) MendNode(name string) error { return c.setLink(name, "up") }

func (c *Cluster) setLink(name, state string) error {
	if _, err := c.node(name); err != nil {
		return err
	}
	return c.ipInSwitch("link set " + name + " " + state)
}

func (c *Cluster) node(name string) (*node, error) {
	for _, n := range c.nodes {
		if n.name == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("kubetest: there is no node %q; the nodes are %s", name, strings.Join(c.Nodes, ", "))
}

// Stop ends the cluster and removes its nodes' disks; the other files stay, as
// with [ControlPlane.Stop]. Of processes, mounts, network devices and control
// groups nothing is left, or the error says what. It may be called more than
// once.
func (c *Cluster) Stop() error {
	if c.volumes != nil {
		c.volumes.stop()
	}
	for _, n := range c.nodes {
		if n.process != nil {
			n.process.stop()
			n.process = nil
		}
	}
	c.ControlPlane.Stop()
	if c.slot == nil {
		return nil
	}
	err := c.slot.release()
	c.slot = nil
	return err
}
