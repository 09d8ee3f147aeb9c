package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"strongroom/test/cluster"
)

// insideVariable says to the program that it is in namespaces of its own already.
const insideVariable = "CHAOS_INSIDE"

// tools are the programs that the faults need, with the Debian packages that bring them.
var tools = map[string]string{"ip": "iproute2", "strace": "strace", "nsenter": "util-linux", "unshare": "util-linux"}

// TestMain runs the tests in a network and a mount namespace of their own. Nothing of them is seen outside, and the kernel takes all of it
// away with the last process, however that ends: there is nothing to clean up, and no name that two runs could share.
func TestMain(m *testing.M) {
	if os.Getenv(insideVariable) == "" {
		if err := enter(); err != nil {
			fmt.Fprintln(os.Stderr, "chaos:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// enter runs this program again inside. What needs the network outside, to be downloaded, comes first: the tools, and the servers' modules.
func enter() error {
	if os.Geteuid() != 0 {
		return errors.New("namespaces, mounts and packet filters need root: run the tests of this package as root")
	}
	if err := install(); err != nil {
		return err
	}
	binDir, err := cluster.Build(context.Background(), os.Stderr)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	runtime.LockOSThread() // unshare is for the thread; exec makes it the whole process
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("namespaces: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts of its own: %w", err)
	}
	if err := ip("link set lo up"); err != nil {
		return err
	}
	return syscall.Exec(self, os.Args, append(os.Environ(), insideVariable+"=1", cluster.BinDirVariable+"="+binDir))
}

// install sees that the tools are there, by Debian's packages if need be.
func install() error {
	var missing, packages []string
	for tool, pkg := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			missing, packages = append(missing, tool), append(packages, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("%s not found: install %s", strings.Join(missing, ", "), strings.Join(packages, ", "))
	}
	fmt.Fprintln(os.Stderr, "chaos: installing", strings.Join(packages, ", "))
	cmd := exec.Command("sh", "-c", `apt-get update -q && apt-get install -qy --no-install-recommends "$@"`, "sh")
	cmd.Args = append(cmd.Args, packages...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s not found, and could not be installed: %w\n%s", strings.Join(missing, ", "), err, out)
	}
	return nil
}

// ip runs the tool in the namespace of the calling thread.
func ip(args string) error {
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, out)
	}
	return nil
}
