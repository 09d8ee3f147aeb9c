// Command strongroom is the server and its command line in one binary. Called
// as vault it is the same program.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"strongroom/internal/cli"
	"strongroom/internal/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	build := cli.Build{Version: server.Version, Revision: server.Revision, Date: server.BuildDate}
	code := cli.Run(ctx, os.Args, cli.ProcessIO(), build, func(ctx context.Context, args []string) int {
		return server.Main(ctx, args, os.Stdout, os.Stderr)
	})
	os.Exit(code)
}
