// Command kubenode is what the machines of a test cluster are made of, one
// program under three names:
//
//	kubenode node SPEC   process 1 of a node: its mounts and its programs
//	kubenode switch      holds the network that joins the nodes
//	pause                process 1 of a pod
//
// Package kubetest starts it in new namespaces. When it ends, however it ends,
// the kernel ends every process of the node and takes back its mounts and its
// network devices, so a cluster leaves nothing of them behind.
package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// lifeline is the file descriptor of a pipe that reads as ended when the
// process that started this one is gone.
const lifeline = 3

func main() {
	os.Unsetenv("KUBEALL_LIFELINE") // the lifeline is this process's, not its children's
	var err error
	switch {
	case filepath.Base(os.Args[0]) == "pause":
		pause()
	case len(os.Args) == 2 && os.Args[1] == "switch":
		go holdLifeline()
		if err = forward(); err == nil {
			select {}
		}
	case len(os.Args) == 3 && os.Args[1] == "node":
		go holdLifeline()
		err = runNode(os.Args[2])
	default:
		fmt.Fprintln(os.Stderr, "usage: kubenode switch | kubenode node SPEC")
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubenode:", err)
		os.Exit(1)
	}
}

func holdLifeline() {
	syscall.CloseOnExec(lifeline)
	_, _ = io.Copy(io.Discard, os.NewFile(lifeline, "lifeline"))
	os.Exit(1)
}

// forward lets this network namespace route between the nodes' pods. Redirects
// would tell the nodes of shorter ways that they need not know.
func forward() error {
	for file, value := range map[string]string{
		"ip_forward": "1", "conf/all/send_redirects": "0", "conf/default/send_redirects": "0",
	} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+file, []byte(value), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// pause holds a pod's namespaces until it is told to end, and buries the
// processes that lost their parents.
func pause() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for s := range signals {
		if s != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 && err != syscall.EINTR {
				break
			}
		}
	}
}
