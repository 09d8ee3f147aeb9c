package kubetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// cniDir is where Debian has the network plugins.
const cniDir = "/usr/lib/cni"

// needs are the programs that nodes are made of, and the Debian packages that
// have them.
var needs = []struct{ program, pkg string }{
	{"containerd", "containerd"},
	{"ctr", "containerd"},
	{"runc", "runc"},
	{cniDir + "/ptp", "containernetworking-plugins"},
	{"nft", "nftables"},
	{"ip", "iproute2"},
	{"nsenter", "util-linux"},
	{"mount", "mount"},
}

// installPackages installs what is missing of what nodes are made of, on Debian
// and its kin, saying so on progress.
func installPackages(ctx context.Context, progress io.Writer) error {
	if os.Getuid() != 0 {
		return errors.New("a cluster with nodes needs root: its nodes have namespaces, mounts and network devices of their own; " +
			"run this as root, or use a control plane alone (kubetest.Start, kubeup up), which does not")
	}
	missing := missingPackages()
	if len(missing) == 0 {
		return nil
	}
	names := strings.Join(missing, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("nodes need what Debian has in the packages %s, and there is no apt-get here; install their like", names)
	}
	fmt.Fprintf(progress, "nodes need %s: installing with apt-get\n", names)
	const wait = "DPkg::Lock::Timeout=300"
	for _, args := range [][]string{
		{"-q", "-o", wait, "update"},
		append([]string{"-qy", "-o", wait, "install", "--no-install-recommends"}, missing...),
	} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("install %s: apt-get %s: %w\n%s", names, strings.Join(args, " "), err, tail(out))
		}
	}
	if missing := missingPackages(); len(missing) > 0 {
		return fmt.Errorf("apt-get installed %s, but their programs are not on the PATH", strings.Join(missing, " "))
	}
	return nil
}

func missingPackages() (packages []string) {
	for _, need := range needs {
		if _, err := exec.LookPath(need.program); err != nil && !slices.Contains(packages, need.pkg) {
			packages = append(packages, need.pkg)
		}
	}
	return packages
}
