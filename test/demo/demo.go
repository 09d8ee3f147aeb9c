package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"strongroom/test/cluster"
)

// demo is what has been made so far.
type demo struct {
	*screen
	exit bool // end after the last step

	root     string // of the repository
	binDir   string // with vault and the operator
	dir      string // of all files; commands run in it
	kube     kubernetes
	servers  *cluster.Cluster
	operator *cluster.Process
	keys     []string // unseal keys
	token    string   // the root token
}

// step is a command to show and run.
type step struct {
	where string   // workstation, or the name of a server
	text  string   // for sh
	env   []string // on top of the process's own
	keep  *regexp.Regexp
}

// run shows the step, runs it and shows what it prints: of its lines those that
// keep matches, as one, when there is a keep.
func (d *demo) run(ctx context.Context, s step) (output string, err error) {
	d.command(s.where, s.text)
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "sh", "-c", s.text)
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), s.env...)
	cmd.Stdout, cmd.Stderr = &out, &out
	// A group of its own: a Ctrl-C ends it through ctx, and its complaints are not shown.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	output = out.String()
	if err != nil {
		d.output(output, red)
		return output, fmt.Errorf("the command failed: %w\n    %s", err, s.text)
	}
	d.output(pick(output, s.keep), "")
	return output, nil
}

// pick keeps lines of text, in one line, without their columns.
func pick(text string, keep *regexp.Regexp) string {
	if keep == nil {
		return text
	}
	var kept []string
	for line := range strings.Lines(text) {
		if keep.MatchString(line) {
			fields := regexp.MustCompile(`\s{2,}`).Split(strings.TrimSpace(line), 2)
			kept = append(kept, strings.Join(fields, ": "))
		}
	}
	return strings.Join(kept, ", ")
}

// onServer is a step of a server's shell.
func (d *demo) onServer(n *cluster.Node, text string) step {
	return step{where: n.Name, text: text, env: n.Env()}
}

// here is a step of the workstation's shell.
func (d *demo) here(text string) step {
	return step{where: "workstation", text: text, env: d.kube.env()}
}

// all runs steps, with an empty line between them.
func (d *demo) all(ctx context.Context, steps ...step) error {
	for i, s := range steps {
		if i > 0 {
			d.gap()
		}
		if _, err := d.run(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) build(ctx context.Context) (err error) {
	d.printf("%s\n", d.paint(bold, "Strongroom: the production guide, step by step, on real parts"))
	if d.root, err = cluster.Root(); err != nil {
		return err
	}
	if d.dir, err = os.MkdirTemp("", "strongroom-demo-"); err != nil {
		return err
	}
	d.begin("Build what runs")
	err = d.during("strongroom", "compiling; some minutes when nothing is cached", func() (string, error) {
		d.binDir, err = cluster.Build(ctx, d.screen)
		return "server, command line and operator", err
	})
	if err != nil {
		return err
	}
	d.kube, err = d.chooseKubernetes(ctx)
	return err
}

func (d *demo) startServers(ctx context.Context) (err error) {
	d.begin("Start three servers, with Raft storage")
	err = d.during("servers", "starting", func() (string, error) {
		d.servers, err = cluster.Start(ctx, filepath.Join(d.dir, "servers"), cluster.Options{
			Nodes: 3, Ports: []int{8200, 8210, 8220}, Config: "ui = true", Stderr: d.screen,
		})
		return "three processes, sealed and empty", err
	})
	if err != nil {
		return err
	}
	for _, n := range d.servers.Nodes {
		d.fact(n.Name, "%s", n.Addr)
	}
	d.fact("logs", "%s", d.servers.Logs)
	d.gap()
	d.note("What follows are the guide's commands. In a cluster they run in the pods, by kubectl exec; here a name\n" +
		"before the $ says which server they talk to. They run in " + d.dir + ".")
	return nil
}

// close ends and removes everything, in an order that lets each part go in
// peace. After a failure, which an interrupt is not, the files stay, for their logs.
func (d *demo) close(ctx context.Context, failure error) error {
	if d.dir == "" {
		return nil
	}
	d.printf("\n%s\n", d.paint(dim, "Stopping and cleaning up …"))
	interrupted := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	var errs []error
	if d.operator != nil {
		errs = append(errs, d.operator.Stop())
	}
	if d.kube != nil {
		errs = append(errs, d.kube.close(ctx))
	}
	if d.servers != nil {
		errs = append(errs, d.servers.Stop())
	}
	if failure != nil && !interrupted && os.Remove(d.dir) != nil { // it has files
		d.printf("The logs stay in %s\n", d.dir)
		return errors.Join(errs...)
	}
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}
