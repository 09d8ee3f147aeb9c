package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// spec is what a node is made of. Package kubetest writes it.
type spec struct {
	Hostname string
	Private  []string    // folders that become empty ones in memory
	Scratch  []string    // folders whose changes stay in memory and in the node
	Binds    [][2]string // what, and where on the node it is seen
	Programs []program   // started in order
}

type program struct {
	Args []string // the first is the path
	Log  string
	Wait string // a file that must be there before the next is started; "" for none
}

// environment is that of every program of the node, whoever started it.
var environment = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}

// runNode is process 1 of a node. It returns only with an error; when it does
// the node is gone.
func runNode(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var s spec
	if err := json.Unmarshal(content, &s); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	// Whoever started this plugs in the network and then ends the input.
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	if err := errors.Join(syscall.Sethostname([]byte(s.Hostname)), raiseLimits(), s.mount(), forward()); err != nil {
		return err
	}
	running := map[int]program{}
	for _, p := range s.Programs {
		pid, err := p.start()
		if err != nil {
			return err
		}
		running[pid] = p
		if err := p.await(running); err != nil {
			return err
		}
	}
	for {
		if err := reap(running, 0); err != nil {
			return err
		}
	}
}

// raiseLimits gives the containers as many open files as is possible; having
// set it, Go does not lower it again for its children.
func raiseLimits() error {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	files.Cur = files.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files)
}

// mount makes the node's view of the file system. First of all nothing that
// happens in it may be seen outside; then what happens in it is shared with its
// containers, as the kubelet expects of systemd's machines.
func (s spec) mount() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make / private: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make / shared: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, dir := range s.Private {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=755"); err != nil {
			return fmt.Errorf("empty %s: %w", dir, err)
		}
	}
	for _, dir := range s.Scratch {
		if err := scratch(dir); err != nil {
			return fmt.Errorf("scratch %s: %w", dir, err)
		}
	}
	for _, bind := range s.Binds {
		if err := bindMount(bind[0], bind[1]); err != nil {
			return fmt.Errorf("bind %s to %s: %w", bind[0], bind[1], err)
		}
	}
	return nil
}

// scratch lays a layer in memory, under /run, over dir.
func scratch(dir string) error {
	layer := filepath.Join("/run/scratch", dir)
	upper, work := filepath.Join(layer, "upper"), filepath.Join(layer, "work")
	if err := errors.Join(os.MkdirAll(upper, 0o755), os.MkdirAll(work, 0o755)); err != nil {
		return err
	}
	return syscall.Mount("overlay", dir, "overlay", 0, "lowerdir="+dir+",upperdir="+upper+",workdir="+work)
}

func bindMount(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
	}
	return syscall.Mount(from, to, "", syscall.MS_BIND, "")
}

func (p program) start() (pid int, err error) {
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	child, err := os.StartProcess(p.Args[0], p.Args, &os.ProcAttr{Files: []*os.File{null, log, log}, Env: environment})
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", p.Args[0], err)
	}
	return child.Pid, nil
}

// await waits for the file that shows that the program is ready.
func (p program) await(running map[int]program) error {
	for p.Wait != "" {
		if _, err := os.Stat(p.Wait); err == nil {
			return nil
		}
		if err := reap(running, syscall.WNOHANG); err != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

// reap buries one process that ended, as process 1 must, and says so when it
// is one without which this is no node.
func reap(running map[int]program, options int) error {
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &status, options, nil)
	if err != nil && err != syscall.EINTR {
		return fmt.Errorf("wait for children: %w", err)
	}
	if p, ok := running[pid]; ok {
		return fmt.Errorf("%s ended with status %d; see its log, %s", filepath.Base(p.Args[0]), status.ExitStatus(), p.Log)
	}
	return nil
}
