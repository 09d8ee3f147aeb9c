package kubetest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// logTail is how much of a component's log goes into an error, in bytes.
const logTail = 4 << 10

// process is a running component. A goroutine waits for it and ends with it.
type process struct {
	name    string
	cmd     *exec.Cmd
	logPath string
	exited  chan struct{} // closed once the process is gone and reaped
	err     error         // how it ended; read it after exited is closed
}

// startProcess runs a program of binDir in dir, its output in dir/logs. The
// process ends when lifeline does: see holdLifeline in test/kube/kubeall.
func startProcess(binDir, dir string, lifeline *os.File, name string, args ...string) (*process, error) {
	p := &process{name: name, logPath: filepath.Join(dir, "logs", name+".log"), exited: make(chan struct{})}
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(filepath.Join(binDir, name), args...)
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.ExtraFiles = []*os.File{lifeline}
	p.cmd.Env = append(os.Environ(), "KUBEALL_LIFELINE=3") // the first of ExtraFiles
	// A group of its own, so that a terminal's Ctrl-C reaches only the parent,
	// which may still need the API while it cleans up.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// stop ends the process, whose data nobody will read again, and waits for it.
func (p *process) stop() {
	_ = p.cmd.Process.Kill() // it fails only when the process is gone already
	<-p.exited
}

// failure describes the end of a process that should have gone on.
func (p *process) failure() error {
	return fmt.Errorf("%s ended: %v; the end of %s:\n%s", p.name, p.err, p.logPath, p.tail())
}

// tail is the end of the log, from the beginning of a line.
func (p *process) tail() []byte {
	log, err := os.ReadFile(p.logPath)
	if err != nil {
		return []byte(err.Error())
	}
	if len(log) > logTail {
		log = log[len(log)-logTail:]
		_, log, _ = bytes.Cut(log, []byte("\n"))
	}
	return log
}
