// Command demo runs the production guide before your eyes: three servers on
// loopback, an operator, a real Kubernetes, and a Secret that follows.
//
//	go run ./test/demo                     everything its own; Ctrl-C ends it
//	KUBECONFIG=FILE go run ./test/demo     in your cluster, in namespaces of its own that it removes
//	DEMO_EXIT=1 go run ./test/demo         ends by itself; non-zero if any step failed
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second Ctrl-C does not wait for the cleaning up
	}()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

// run is the demo, shown on out. An interrupt is a good end of it, unless it was to end by itself.
func run(ctx context.Context, out *os.File) (err error) {
	d := &demo{screen: newScreen(out), exit: os.Getenv("DEMO_EXIT") != "" && os.Getenv("DEMO_EXIT") != "0"}
	defer func() { err = errors.Join(err, d.close(ctx, err)) }()
	for _, part := range []func(context.Context) error{
		d.build, d.startKubernetes, d.startServers, d.initialise, d.unseal, d.startOperator, d.configure, d.authenticate, d.authorise,
		d.store, d.sync, d.rotate, d.status,
	} {
		if err := part(ctx); err != nil {
			switch {
			case ctx.Err() == nil:
				return err
			case d.exit:
				return errors.New("interrupted before the end")
			}
			return nil
		}
	}
	if d.exit {
		return nil
	}
	d.invite()
	<-ctx.Done()
	return nil
}
