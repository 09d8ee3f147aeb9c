package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

const (
	// tailSize is how much of a log goes into an error, in bytes.
	tailSize = 4 << 10
	// stopGrace is how long a process may take to end by itself.
	stopGrace = 15 * time.Second
)

// Supervisor starts processes that end when this process does, however it
// ends, SIGKILL included. [Supervisor.Close] releases it.
//
// The kernel sees to that: each child asks for SIGKILL at the death of its
// parent (Pdeathsig). To the kernel the parent is the thread that started the
// child, and Go ends threads as it pleases; so all are started by one goroutine
// that is locked to its thread and stays until Close. That needs neither help
// from the program that is started, which a lifeline pipe would, nor a process
// in between, which could itself be killed.
type Supervisor struct {
	work chan func()
	done chan struct{}
}

// NewSupervisor returns a Supervisor.
func NewSupervisor() *Supervisor {
	s := &Supervisor{work: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		for f := range s.work {
			f()
		}
	}()
	return s
}

// Close releases the Supervisor. It kills processes that still run; stop them
// before, to be sure that they are gone when it returns.
func (s *Supervisor) Close() {
	close(s.work)
	<-s.done
}

// Start starts cmd, in a process group of its own, so that a terminal's Ctrl-C
// reaches only this process, which decides what ends when. What it prints is
// appended to the file log. Start sets cmd's outputs and SysProcAttr.
func (s *Supervisor) Start(cmd *exec.Cmd, log string) (*Process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &Process{Name: filepath.Base(cmd.Path), Log: log, cmd: cmd, exited: make(chan struct{})}
	started := make(chan error)
	s.work <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	go func() { // ends with the process
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// Process is a started process.
type Process struct {
	Name string // of the program
	Log  string // path of the file with its output

	cmd    *exec.Cmd
	exited chan struct{}
	err    error // how it ended; read it after exited is closed
}

// Exited is closed when the process is gone and reaped.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// PID is its number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// CPU is the time of CPU the process has used; only once it is gone.
func (p *Process) CPU() time.Duration {
	<-p.exited
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// Signal sends sig; to a process that is gone it does nothing.
func (p *Process) Signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// pause sends SIGSTOP and waits until it has reached every thread, which the
// kernel does in its own time.
func (p *Process) pause() error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	return poll(ctx, func() error {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.PID()))
		if err != nil || len(threads) == 0 {
			return errors.Join(err, fmt.Errorf("%s is gone", p.Name))
		}
		for _, path := range threads {
			stat, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			// The state follows the name, which stands in parentheses: proc_pid_stat(5).
			if state := stat[bytes.LastIndexByte(stat, ')')+1:]; !bytes.HasPrefix(state, []byte(" T")) {
				return fmt.Errorf("%s still runs", p.Name)
			}
		}
		return nil
	})
}

// Kill ends the process as a crash or a power cut would (SIGKILL), and waits until it is gone.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL)
	<-p.exited
}

// Stop asks the process to end (SIGTERM) and waits until it is gone. The error
// says that it had to be killed after 15 s, or did not exit with 0.
func (p *Process) Stop() error {
	if err := errors.Join(p.Signal(syscall.SIGTERM), p.Signal(syscall.SIGCONT)); err != nil {
		return err
	}
	select {
	case <-p.exited:
		if p.err != nil {
			return p.Failure()
		}
		return nil
	case <-time.After(stopGrace):
		p.Kill()
		return fmt.Errorf("%s did not end within %s of SIGTERM and was killed; the end of %s:\n%s", p.Name, stopGrace, p.Log, p.Tail())
	}
}

// Failure describes the end of a process that should have gone on, with the end
// of its log. The process must be gone.
func (p *Process) Failure() error {
	<-p.exited
	return fmt.Errorf("%s ended: %v; the end of %s:\n%s", p.Name, p.cmd.ProcessState, p.Log, p.Tail())
}

// Tail is the end of the log, at most 4 KiB, from the beginning of a line.
func (p *Process) Tail() string {
	log, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	if len(log) > tailSize {
		_, log, _ = bytes.Cut(log[len(log)-tailSize:], []byte("\n"))
	}
	return string(log)
}
