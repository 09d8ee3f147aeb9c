// Command strongroom is the server and its command line in one binary. Called
// as vault it is the same program, and called as kubectl-strongroom the plugin of
// kubectl.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"strongroom/internal/cli"
	"strongroom/internal/server"
	"strongroom/internal/tlssecret"
	"strongroom/operator/plugin"
)

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	go heed(signals, cancel, os.Exit)
	build := cli.Build{Version: server.Version, Revision: server.Revision, Date: server.BuildDate}
	kubectl := func(ctx context.Context, args []string) int {
		return plugin.Main(ctx, args, plugin.IO{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv})
	}
	if isPlugin(os.Args[0]) {
		os.Exit(kubectl(ctx, os.Args[1:]))
	}
	code := cli.Run(ctx, os.Args, cli.ProcessIO(), build, map[string]cli.Program{
		"server":  func(ctx context.Context, args []string) int { return server.Main(ctx, args, os.Stdout, os.Stderr) },
		"kubectl": kubectl,
		"tls":     func(ctx context.Context, args []string) int { return tlssecret.Main(ctx, args, os.Stdout, os.Stderr) },
	})
	os.Exit(code)
}

// isPlugin tells whether the program is called as kubectl calls its plugins.
func isPlugin(name string) bool {
	name = strings.TrimSuffix(filepath.Base(name), ".exe")
	return name == "kubectl-strongroom" || name == "kubectl_strongroom"
}

// termGap is how long another SIGTERM is the same request as the first: the preStop hook of charts sends one, and the kubelet its own right after.
const termGap = 3 * time.Second

// heed has the program end by itself at the first signal, and at once, with code 1, at another: a second interrupt is a person who does not want
// to wait, and so is a SIGTERM that comes after termGap.
func heed(signals <-chan os.Signal, cancel func(), exit func(code int)) {
	<-signals
	first := time.Now()
	cancel()
	for s := range signals {
		if s == os.Interrupt || time.Since(first) >= termGap {
			exit(1)
			return
		}
	}
}
