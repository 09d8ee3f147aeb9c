package kubetest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
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

// startProcess starts cmd with its output in a log. The process ends when
// lifeline does: see holdLifeline in test/kube.
func startProcess(name string, cmd *exec.Cmd, logPath string, lifeline *os.File) (*process, error) {
	p := &process{name: name, cmd: cmd, logPath: logPath, exited: make(chan struct{})}
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{lifeline}
	cmd.Env = append(os.Environ(), "KUBEALL_LIFELINE=3") // the first of ExtraFiles
	// A group of its own, so that a terminal's Ctrl-C reaches only the parent,
	// which may still need the API while it cleans up.
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
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
	return tail(log)
}

// tail is the end of a text, from the beginning of a line.
func tail(text []byte) []byte {
	if len(text) > logTail {
		text = text[len(text)-logTail:]
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return text
}
