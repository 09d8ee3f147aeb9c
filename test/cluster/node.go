package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/hashicorp/vault/api"
)

// Node is one server of a cluster: a process now and then, and what stays of
// it. Its methods are not for concurrent use, but for Running.
type Node struct {
	Name        string // its node_id: vault-0, vault-1, …
	Addr        string // of its API: http://HOST:PORT
	ClusterAddr string // of its port for peers: HOST:PORT
	Config      string // path of its configuration file
	Data        string // folder of its Raft storage

	c    *Cluster
	home string // of the command line, when it talks to this node
	log  string
	env  []string
	wrap func(command []string) []string // what Options.Wrap says; may be nil
	proc atomic.Pointer[Process]         // nil when it does not run
}

func newNode(c *Cluster, i int, p ports, env []string) *Node {
	name := fmt.Sprintf("vault-%d", i)
	dir := filepath.Join(c.dir, name)
	return &Node{
		Name: name, Addr: "http://" + p.addr(), ClusterAddr: p.clusterAddr(),
		Config: filepath.Join(dir, "config.hcl"), Data: filepath.Join(dir, "data"), home: filepath.Join(dir, "home"),
		log: filepath.Join(c.Logs, name+".log"), env: env, c: c,
	}
}

// configure writes the configuration file, in which extra comes last.
func (n *Node) configure(level, extra string) error {
	if level == "" {
		level = "info"
	}
	for _, dir := range []string{n.Data, n.home} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	var others strings.Builder
	for _, o := range n.c.Nodes {
		if o != n {
			fmt.Fprintf(&others, "\n  retry_join {\n    leader_api_addr = %q\n  }\n", o.Addr)
		}
	}
	text := fmt.Sprintf(`listener "tcp" {
  address         = %q
  cluster_address = %q
  tls_disable     = true
}

storage "raft" {
  path    = %q
  node_id = %q
%s}

api_addr      = %q
cluster_addr  = %q
log_level     = %q
disable_mlock = true
%s
`, strings.TrimPrefix(n.Addr, "http://"), n.ClusterAddr, n.Data, n.Name, others.String(), n.Addr, "https://"+n.ClusterAddr, level, extra)
	return os.WriteFile(n.Config, []byte(text), 0o600)
}

// launch starts the process.
func (n *Node) launch() error {
	command := []string{filepath.Join(n.c.BinDir, "strongroom"), "server", "-config=" + n.Config}
	if n.wrap != nil {
		command = n.wrap(command)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(cleanEnv(), n.env...)
	p, err := n.c.processes.Start(cmd, n.log)
	if err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	n.proc.Store(p)
	return nil
}

// await waits until the node answers, or has ended.
func (n *Node) await(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := n.proc.Load()
	go func() { // ends with this call
		select {
		case <-p.Exited():
			cancel(p.Failure())
		case <-ctx.Done():
		}
	}()
	err := poll(ctx, func() error {
		_, err := n.get(ctx, "sys/seal-status")
		return err
	})
	if err != nil {
		return fmt.Errorf("waiting for %s at %s: %w; its log is %s", n.Name, n.Addr, err, n.log)
	}
	return nil
}

// get returns the status of GET /v1/path.
func (n *Node) get(ctx context.Context, path string) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.Addr+"/v1/"+path, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// Running tells whether the process is there; a paused one is.
func (n *Node) Running() bool {
	p := n.proc.Load()
	if p == nil {
		return false
	}
	select {
	case <-p.Exited():
		return false
	default:
		return true
	}
}

// PID is the process's number. The node must run.
func (n *Node) PID() int { return n.proc.Load().PID() }

// Kill ends the process as a crash would (SIGKILL) and waits until it is gone.
func (n *Node) Kill() {
	if p := n.proc.Swap(nil); p != nil {
		p.Kill()
	}
}

// Terminate asks the process to end (SIGTERM) and waits until it is gone. It is
// an error when it does not exit with 0 within 15 s, or had ended before.
func (n *Node) Terminate() error {
	p := n.proc.Swap(nil)
	if p == nil {
		return nil
	}
	if err := p.Stop(); err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	return nil
}

// Restart starts the process again, after having it end if it still runs, and
// waits until it answers. A restarted node is sealed.
func (n *Node) Restart(ctx context.Context) error {
	if err := n.Terminate(); err != nil {
		return err
	}
	if err := n.launch(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("no answer within %v", startLimit))
	defer cancel()
	return n.await(ctx)
}

// Pause stops the process where it is (SIGSTOP): its connections stay, and
// nothing answers, as when a machine hangs. Resume lets it go on. On return all
// of its threads have stopped.
func (n *Node) Pause() error {
	if n.proc.Load() == nil {
		return errors.New(n.Name + " does not run")
	}
	return n.proc.Load().pause()
}

// Resume lets a paused process go on.
func (n *Node) Resume() error {
	if n.proc.Load() == nil {
		return errors.New(n.Name + " does not run")
	}
	return n.proc.Load().Signal(syscall.SIGCONT)
}

// Log is the path of the node's log, which goes on over restarts.
func (n *Node) Log() string { return n.log }

// Tail is the end of the log, 4 KiB at most.
func (n *Node) Tail() string { return (&Process{Log: n.log}).Tail() }

// Client is Vault's own client for this node, with a token, which may be "". It
// tries nothing twice, so that a test sees what the server says at first.
func (n *Node) Client(token string) (*api.Client, error) {
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, config.Error
	}
	config.Address, config.MaxRetries = n.Addr, 0
	client, err := api.NewClient(config)
	if err != nil {
		return nil, err
	}
	client.ClearNamespace()
	client.SetToken(token)
	return client, nil
}

// Env is the environment of commands against this node: VAULT_ADDR, a HOME of
// its own, the programs first on the PATH, and the rest of this process's, but
// for what the command line would read.
func (n *Node) Env() []string {
	return append(cleanEnv(), "VAULT_ADDR="+n.Addr, "HOME="+n.home, "PATH="+n.c.BinDir+":"+os.Getenv("PATH"))
}

// cleanEnv is this process's environment without what Vault's programs read.
func cleanEnv() []string {
	var kept []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "VAULT_") {
			kept = append(kept, variable)
		}
	}
	return kept
}
