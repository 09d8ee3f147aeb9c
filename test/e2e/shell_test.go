package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	ctrlC      = "\x03"
	blockLimit = 90 * time.Second
	columns    = 500 // so that no shell breaks a line while it is typed

	// prompts are set in every shell, a pod's too: they say that the shell is
	// done, and how the last command ended.
	prompts = `PS1='[$? ready] ' PS2='[more] '`
)

var (
	ready  = regexp.MustCompile(`\[(\d+) ready\] $`)
	more   = regexp.MustCompile(`\[more\] $`)
	inPod  = regexp.MustCompile(`(?m)^[~/]\S* \$ $`) // what the shell of a pod begins with
	escape = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")
)

// terminal is a shell at a pseudo-terminal, into which blocks are typed as a
// person does: a line, and the next when the shell asks for it. What
// `kubectl exec -it … -- /bin/sh` opens reads the same lines, until `exit`.
type terminal struct {
	dir  string // its working directory
	tty  *os.File
	read chan []byte
	fail []string // the commands of the block that failed
}

// openTerminal starts bash in dir/work with the variables. What enter has, if
// anything, is a command line that runs it elsewhere.
func openTerminal(t *testing.T, dir string, enter []string, variables ...string) *terminal {
	t.Helper()
	master, slave, err := openTTY()
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	term := &terminal{dir: filepath.Join(dir, "work"), tty: master, read: make(chan []byte)}
	if err := os.MkdirAll(term.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	line := append(enter[:len(enter):len(enter)], "bash", "--norc", "--noprofile", "--noediting")
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir = term.dir
	cmd.Env = append(append(withoutVault(), variables...), "TERM=xterm", "PS1=[starts] ")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go term.copy(ended)
	t.Cleanup(func() {
		close(ended)
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		term.tty.Close()
	})
	if _, err := term.await(t.Context(), regexp.MustCompile(`\[starts\] $`)); err != nil {
		t.Fatal(err)
	}
	for _, setting := range []string{"stty -echo", "set +H -o pipefail; " + prompts} {
		if _, err := io.WriteString(term.tty, setting+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := term.await(t.Context(), ready); err != nil {
		t.Fatal(err)
	}
	return term
}

// openTTY returns both ends of a new pseudo-terminal.
func openTTY() (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open a pseudo-terminal: %w", err)
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = errors.Join(unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0), unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: columns}))
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		master.Close()
		return nil, nil, fmt.Errorf("open a pseudo-terminal: %w", err)
	}
	return master, slave, nil
}

// copy ends with the shell.
func (t *terminal) copy(ended <-chan struct{}) {
	defer close(t.read)
	for {
		buffer := make([]byte, 4096)
		n, err := t.tty.Read(buffer)
		if n > 0 {
			select {
			case t.read <- buffer[:n]:
			case <-ended:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// await returns what is printed until it matches.
func (t *terminal) await(ctx context.Context, until ...*regexp.Regexp) (output string, err error) {
	ctx, cancel := context.WithTimeout(ctx, blockLimit)
	defer cancel()
	var raw []byte
	for {
		select {
		case chunk, ok := <-t.read:
			if !ok {
				return shown(raw), errors.New("the shell ended")
			}
			raw = append(raw, chunk...)
			output = shown(raw)
			for _, pattern := range until {
				if pattern.MatchString(output) {
					return output, nil
				}
			}
		case <-ctx.Done():
			return output, fmt.Errorf("not done within %s", blockLimit)
		}
	}
}

// shown is what a person sees: no control sequences, and of a line that was
// written twice the second.
func shown(raw []byte) string {
	text := strings.ReplaceAll(escape.ReplaceAllString(string(raw), ""), "\r\n", "\n")
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if at := strings.LastIndex(strings.TrimRight(line, "\r"), "\r"); at >= 0 {
			lines[i] = line[at+1:]
		}
	}
	return strings.Join(lines, "\n")
}

// typed enters text and returns what it prints. The error names the first
// command that failed, or says that the text did not end.
func (t *terminal) typed(ctx context.Context, text string) (output string, err error) {
	var all strings.Builder
	t.fail = nil
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		line = strings.TrimSuffix(line, "\n")
		out, err := t.line(ctx, line)
		all.WriteString(out)
		if err != nil {
			return all.String(), err
		}
	}
	output = strings.Trim(all.String(), "\n") + "\n"
	if len(t.fail) > 0 {
		return output, fmt.Errorf("a command failed: %s", t.fail[0])
	}
	return output, nil
}

// line types one line, and waits for the prompt.
func (t *terminal) line(ctx context.Context, line string) (output string, err error) {
	if _, err := io.WriteString(t.tty, line+"\n"); err != nil {
		return "", fmt.Errorf("the shell is gone: %w", err)
	}
	output, err = t.await(ctx, ready, more, inPod)
	if err != nil {
		return output, fmt.Errorf("%w: %s", err, line)
	}
	output = strings.TrimPrefix(output, line+"\n") // a pod's shell shows what is typed
	switch {
	case more.MatchString(output):
		return more.ReplaceAllString(output, ""), nil
	case inPod.MatchString(output):
		if _, err := io.WriteString(t.tty, prompts+"\n"); err != nil {
			return output, err
		}
		greeting := inPod.ReplaceAllString(output, "")
		_, err := t.await(ctx, ready)
		return greeting, err
	}
	if code := ready.FindStringSubmatch(output)[1]; code != "0" {
		t.fail = append(t.fail, fmt.Sprintf("[exit %s: %s]", code, line))
	}
	output = ready.ReplaceAllString(output, "")
	if output != "" && !strings.HasSuffix(output, "\n") {
		output += "\n"
	}
	return output, nil
}

// hold types a command that goes on until it is interrupted, waits until what it
// prints matches, and calls meanwhile.
func (t *terminal) hold(ctx context.Context, line string, until *regexp.Regexp, meanwhile func()) (output string, err error) {
	if _, err := io.WriteString(t.tty, line+"\n"); err != nil {
		return "", err
	}
	if output, err = t.await(ctx, until, ready); err != nil || ready.MatchString(output) {
		return output, errors.Join(err, errors.New("it ended before it was interrupted"))
	}
	meanwhile()
	if _, err := io.WriteString(t.tty, ctrlC); err != nil {
		return output, err
	}
	rest, err := t.await(ctx, ready)
	return output + ready.ReplaceAllString(rest, ""), err
}

// withoutVault is the environment without what Vault's programs read.
func withoutVault() []string {
	var kept []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "VAULT_") {
			kept = append(kept, variable)
		}
	}
	return kept
}

// TestTerminal has a shell in a shell, as that of a pod is.
func TestTerminal(t *testing.T) {
	term := openTerminal(t, t.TempDir(), nil)
	const pod = `PS1='~ $ ' bash --norc --noprofile --noediting -i`
	for _, test := range []struct{ text, prints, problem string }{
		{"echo a; echo b >&2\necho c", "a\nb\nc\n", ""},
		{"cat - <<EOF\n  x $((1 + 1))\nEOF", "  x 2\n", ""},
		{"echo a \\\n  b", "a b\n", ""},
		{"printf a", "a\n", ""},
		{"false | cat\necho on", "on\n", "a command failed: [exit 1: false | cat]"},
		{"test -t 0 && echo a terminal", "a terminal\n", ""},
		{pod + "\necho $((6 * 7))", "42\n", ""},
		{"(exit 3)", "\n", "a command failed: [exit 3: (exit 3)]"},
		{"true\nexit", "\n", ""},
		{"echo back", "back\n", ""},
	} {
		output, err := term.typed(t.Context(), test.text)
		if output != test.prints || fmt.Sprint(err) != test.problem && (err != nil || test.problem != "") {
			t.Errorf("%q prints %q, %v; want %q, %v", test.text, output, err, test.prints, test.problem)
		}
	}
	held := false
	if output, err := term.hold(t.Context(), "sh -c 'echo begun; exec sleep 600'", regexp.MustCompile(`begun\n`), func() { held = true }); err != nil || !held {
		t.Errorf("%q, %v", output, err)
	}
}
