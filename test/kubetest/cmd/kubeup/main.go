// Command kubeup builds and starts the test Kubernetes by hand.
//
//	go run ./test/kubetest/cmd/kubeup build         build all its programs, unless they are built
//	go run ./test/kubetest/cmd/kubeup up            start a control plane, until Ctrl-C
//	go run ./test/kubetest/cmd/kubeup up -nodes 3   start a cluster with nodes, until Ctrl-C; as root
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"strongroom/test/kubetest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	flags := flag.NewFlagSet("kubeup up", flag.ExitOnError)
	nodes := flags.Int("nodes", 0, "how many nodes it has")
	commands := map[string]func() error{
		"build": func() error { return build(ctx) },
		"up":    func() error { return up(ctx, *nodes) },
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil || os.Args[1] == "build" && len(os.Args) > 2 {
		fmt.Fprintln(os.Stderr, "usage: kubeup build | kubeup up [-nodes N]")
		os.Exit(2)
	}
	_ = flags.Parse(os.Args[2:]) // it exits
	if err := commands[os.Args[1]](); err != nil {
		fmt.Fprintln(os.Stderr, "kubeup:", err)
		os.Exit(1)
	}
}

// build prints the directories of the programs, which is all that goes to
// standard output.
func build(ctx context.Context) error {
	for _, build := range []func(context.Context, io.Writer) (string, error){kubetest.Build, kubetest.BuildAddons} {
		dir, err := build(ctx, os.Stderr)
		if err != nil {
			return err
		}
		fmt.Println(dir)
	}
	return nil
}

func up(ctx context.Context, nodes int) (err error) {
	if _, err := kubetest.Build(ctx, os.Stderr); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "kubeup-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if nodes > 0 {
		return upWithNodes(ctx, dir, nodes)
	}
	began := time.Now()
	cp, err := kubetest.Start(ctx, dir)
	if err != nil {
		return err
	}
	defer cp.Stop()
	announce(ctx, cp, time.Since(began), "without nodes", cp.BinDir)
	return nil
}

func upWithNodes(ctx context.Context, dir string, nodes int) (err error) {
	if _, err := kubetest.BuildAddons(ctx, os.Stderr); err != nil {
		return err
	}
	began := time.Now()
	cluster, err := kubetest.StartCluster(ctx, dir, nodes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	announce(ctx, cluster.ControlPlane, time.Since(began), "with "+strings.Join(cluster.Nodes, ", "), cluster.BinDir+":"+cluster.AddonsDir)
	return nil
}

// announce says how to use it, and waits for the end.
func announce(ctx context.Context, cp *kubetest.ControlPlane, took time.Duration, what, path string) {
	fmt.Fprintf(os.Stderr, "Kubernetes is up at %s after %.1f s, %s; logs in %s. In another terminal:\n\n", cp.URL, took.Seconds(), what, cp.Logs)
	fmt.Printf("export KUBECONFIG=%s PATH=%s:$PATH\n", cp.Kubeconfig, path)
	fmt.Fprintln(os.Stderr, "\nCtrl-C ends it and removes its files.")
	<-ctx.Done()
}
