// Command kubeup builds and starts the test Kubernetes by hand.
//
//	go run ./test/kubetest/cmd/kubeup build   build it, unless it is built
//	go run ./test/kubetest/cmd/kubeup up      start a control plane, until Ctrl-C
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"strongroom/test/kubetest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	commands := map[string]func(context.Context) error{"build": build, "up": up}
	if len(os.Args) != 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: kubeup build|up")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](ctx); err != nil {
		fmt.Fprintln(os.Stderr, "kubeup:", err)
		os.Exit(1)
	}
}

// build prints the directory of the programs, which is all that goes to
// standard output.
func build(ctx context.Context) error {
	dir, err := kubetest.Build(ctx, os.Stderr)
	if err != nil {
		return err
	}
	fmt.Println(dir)
	return nil
}

func up(ctx context.Context) (err error) {
	if _, err := kubetest.Build(ctx, os.Stderr); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "kubeup-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	began := time.Now()
	cp, err := kubetest.Start(ctx, dir)
	if err != nil {
		return err
	}
	defer cp.Stop()
	fmt.Fprintf(os.Stderr, "Kubernetes is up at %s after %.1f s, without nodes; logs in %s. In another terminal:\n\n",
		cp.URL, time.Since(began).Seconds(), cp.Logs)
	fmt.Printf("export KUBECONFIG=%s PATH=%s:$PATH\n", cp.Kubeconfig, cp.BinDir)
	fmt.Fprintln(os.Stderr, "\nCtrl-C ends it and removes its files.")
	<-ctx.Done()
	return nil
}
