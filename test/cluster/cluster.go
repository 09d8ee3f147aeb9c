// Package cluster runs Strongroom servers for tests, benchmarks and
// demonstrations, as their users do: real processes of the built program on
// loopback, with configuration files, Raft storage on disk and ports that stay
// the same over restarts. Tests reach them by HTTP, with Vault's own client or
// the command line, never in process.
//
// It needs Linux.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	// startLimit bounds a start that hangs; three nodes take well under a second.
	startLimit = 30 * time.Second
	// pollEvery is the pause between looks at something that is about to happen.
	pollEvery = 10 * time.Millisecond
)

// Options says how to run a cluster. The zero value is one node.
type Options struct {
	Nodes  int                // 0: one
	Ports  []int              // API ports to prefer, in the order of the nodes; the port after each is for its peers
	Config string             // HCL for every node's configuration file, such as `ui = true`
	Node   func(i int) string // HCL for node i's own; may be nil
	Env    []string           // NAME=value for every server
	Log    string             // level of the servers' logs; "": info
	Stderr io.Writer          // gets the output of go build; nil: os.Stderr

	// Host is the address of node i, where this process reaches it, and ports are
	// 8200 and 8201; nil: 127.0.0.1 and ports that nobody else has.
	Host func(i int) string
	// Wrap is the command line that runs node i's server, made of the plain one. It
	// must become the server by exec, so that signals reach it; nil: as it is.
	Wrap func(i int, command []string) []string
}

// Cluster is some servers. [Cluster.Stop] ends them.
type Cluster struct {
	Nodes  []*Node
	BinDir string // with the programs strongroom, vault and strongroom-operator
	Logs   string // folder of the nodes' logs
	Keys   *Keys  // set by Init

	processes *Supervisor
	dir       string
	claims    []ports
}

// Start starts servers that keep all their files in dir, which it creates, and
// returns when each answers. They are not initialised: see [Cluster.Init], or
// [Cluster.Ready] for all at once. ctx bounds the start only.
func Start(ctx context.Context, dir string, options Options) (*Cluster, error) {
	stderr := options.Stderr
	if stderr == nil {
		stderr = os.Stderr
	}
	binDir, err := Build(ctx, stderr)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	c := &Cluster{BinDir: binDir, Logs: filepath.Join(dir, "logs"), dir: dir, processes: NewSupervisor()}
	if err := c.start(ctx, options); err != nil {
		c.Stop()
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return c, nil
}

// New starts n servers for a test, uninitialised, in the test's temporary
// folder. They stop when the test is over, and when it failed, the ends of
// their logs go to its log.
func New(t testing.TB, n int) *Cluster {
	t.Helper()
	return NewWith(t, Options{Nodes: n})
}

// NewWith is New with options.
func NewWith(t testing.TB, options Options) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), t.TempDir(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := c.Stop()
		if err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(c.Tails())
		}
	})
	return c
}

// NewReady is New, and initialises and unseals the servers: one of them is active.
func NewReady(t testing.TB, n int) *Cluster {
	t.Helper()
	c := New(t, n)
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *Cluster) start(ctx context.Context, options Options) error {
	for i := range max(1, options.Nodes) {
		p, err := c.place(i, options)
		if err != nil {
			return err
		}
		n := newNode(c, i, p, options.Env)
		if options.Wrap != nil {
			n.wrap = func(command []string) []string { return options.Wrap(i, command) }
		}
		c.Nodes = append(c.Nodes, n)
	}
	if err := os.MkdirAll(c.Logs, 0o700); err != nil {
		return err
	}
	for i, n := range c.Nodes {
		extra := options.Config
		if options.Node != nil {
			extra += "\n" + options.Node(i)
		}
		if err := n.configure(options.Log, extra); err != nil {
			return err
		}
		if err := n.launch(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("no answer within %v", startLimit))
	defer cancel()
	for _, n := range c.Nodes {
		if err := n.await(ctx); err != nil {
			return err
		}
	}
	return nil
}

// place says where node i listens.
func (c *Cluster) place(i int, options Options) (ports, error) {
	if options.Host != nil {
		return ports{host: options.Host(i), api: 8200}, nil
	}
	var preferred []int
	if i < len(options.Ports) {
		preferred = options.Ports[i : i+1]
	}
	p, err := claimPorts(preferred...)
	if err == nil {
		c.claims = append(c.claims, p)
	}
	return p, err
}

// Run starts another program beside the servers, such as an operator, with
// name.log among their logs. Stop it before the cluster, which else kills it.
func (c *Cluster) Run(name string, cmd *exec.Cmd) (*Process, error) {
	return c.processes.Start(cmd, filepath.Join(c.Logs, name+".log"))
}

// Stop ends all servers and waits until they are gone. Their files stay. The
// error names those that did not end as they should. It may be called twice.
func (c *Cluster) Stop() error {
	if c.processes == nil {
		return nil
	}
	errs := make([]error, len(c.Nodes))
	done := make(chan struct{})
	for i, n := range c.Nodes {
		go func() {
			errs[i] = n.Terminate()
			done <- struct{}{}
		}()
	}
	for range c.Nodes {
		<-done
	}
	for _, p := range c.claims {
		p.release()
	}
	c.processes.Close()
	c.processes = nil
	return errors.Join(errs...)
}

// Tails are the ends of the nodes' logs.
func (c *Cluster) Tails() string {
	var b strings.Builder
	for _, n := range c.Nodes {
		fmt.Fprintf(&b, "the end of %s:\n%s\n", n.Log(), n.Tail())
	}
	return b.String()
}

// Vault prepares a command of the command line, called as vault, against a
// node: `c.Vault(ctx, c.Nodes[0], "kv", "get", "secret/a")`. It has a home of
// its own, one for each node, so that a login stays there; nothing else of
// Vault's in the environment reaches it. The caller sets input and output, and
// runs it; it is killed when ctx ends.
func (c *Cluster) Vault(ctx context.Context, n *Node, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.BinDir, "vault"), args...)
	cmd.Env = n.Env()
	cmd.Dir = n.home
	return cmd
}

// poll tries until try has no error, and gives up when ctx ends.
func poll(ctx context.Context, try func() error) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var last error
	for {
		err := try()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w; last try: %v", context.Cause(ctx), last)
		}
	}
}
