package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// shim is the kubectl that the guide's commands find first. `kubectl exec -it
// -n vault POD -- COMMAND` runs the command against the server of that name: a
// pod is a HOME and a VAULT_ADDR here, and the program vault, which the
// workstation does not have. /bin/sh is bash, because dash may read more of its
// input than it has run, and the rest is for whoever comes after `exit`.
const shim = `#!/bin/sh
[ "$1" = exec ] || exec %[1]q "$@"
if [ "$2 $3 $4 $6" != "-it -n vault --" ] || [ ! -d %[2]q/"$5" ]; then
	echo "kubectl exec: this test knows only: kubectl exec -it -n vault vault-N -- COMMAND" >&2
	exit 1
fi
pod=$5
shift 6
PATH=%[3]q:$PATH
HOME=%[2]q/$pod
VAULT_ADDR=$(cat "$HOME/address")
export PATH HOME VAULT_ADDR
[ "$*" = /bin/sh ] && exec bash
exec "$@"
`

// traps makes every shell report each command that fails, not only the last.
const traps = `set -o pipefail
trap 'printf "\n[exit %d: %s]\n" $? "$BASH_COMMAND"' ERR
`

const (
	marker     = "-- end of block "
	blockLimit = 60 * time.Second
)

var failedCommand = regexp.MustCompile(`(?m)^\[exit \d+: .*\]$`)

// terminal is the shell into which the guide's blocks are typed, one after
// another. What `kubectl exec … -- /bin/sh` starts reads the same input, as on
// a terminal, until `exit`.
type terminal struct {
	dir   string // its working directory
	input io.WriteCloser
	lines chan string
	count int
}

func newTerminal(t *testing.T, w *world) *terminal {
	t.Helper()
	dir := t.TempDir()
	pods, bin := filepath.Join(dir, "pods"), filepath.Join(dir, "bin")
	for _, n := range w.servers.Nodes {
		w.write(t, filepath.Join(pods, n.Name, "address"), n.Addr)
	}
	w.write(t, filepath.Join(bin, "kubectl"), fmt.Sprintf(shim, filepath.Join(w.cp.BinDir, "kubectl"), pods, w.servers.BinDir))
	if err := os.Chmod(filepath.Join(bin, "kubectl"), 0o700); err != nil {
		t.Fatal(err)
	}
	return openTerminal(t, dir, "PATH="+bin+":"+os.Getenv("PATH"), "KUBECONFIG="+w.cp.Kubeconfig,
		"KUBECACHEDIR="+filepath.Join(dir, "cache"))
}

// openTerminal starts the shell in dir/work, with dir/traps and the variables.
func openTerminal(t *testing.T, dir string, variables ...string) *terminal {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "traps"), []byte(traps), 0o600); err != nil {
		t.Fatal(err)
	}
	term := &terminal{dir: filepath.Join(dir, "work"), lines: make(chan string)}
	if err := os.Mkdir(term.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash")
	cmd.Dir = term.dir
	cmd.Env = append(append(withoutVault(), variables...), "BASH_ENV="+filepath.Join(dir, "traps"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if term.input, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go term.read(out) // ends with the shell
	t.Cleanup(func() {
		term.input.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return term
}

func (t *terminal) read(out io.Reader) {
	defer close(t.lines)
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		t.lines <- scanner.Text()
	}
}

// typed enters text and returns what it prints. The error names the first
// command that failed, or says that the text did not end.
func (t *terminal) typed(ctx context.Context, text string) (output string, err error) {
	t.count++
	end := marker + strconv.Itoa(t.count)
	if _, err := io.WriteString(t.input, strings.TrimRight(text, "\n")+"\nprintf '\\n%s\\n' '"+end+"'\n"); err != nil {
		return "", fmt.Errorf("the shell is gone: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, blockLimit)
	defer cancel()
	var lines []string
	for {
		select {
		case line, ok := <-t.lines:
			if !ok {
				return strings.Join(lines, "\n"), errors.New("the shell ended")
			}
			if line != end {
				lines = append(lines, line)
				continue
			}
			output = strings.Trim(strings.Join(lines, "\n"), "\n") + "\n"
			if failed := failedCommand.FindString(output); failed != "" {
				return output, fmt.Errorf("a command failed: %s", failed)
			}
			return output, nil
		case <-ctx.Done():
			return strings.Join(lines, "\n"), fmt.Errorf("not done within %s", blockLimit)
		}
	}
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
