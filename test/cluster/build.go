package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// BinDirVariable names the environment variable that says where the programs
// are, when something else, such as the Makefile, has built them.
const BinDirVariable = "STRONGROOM_BIN_DIR"

// programs are what the folder holds, besides the link vault to strongroom.
var programs = []string{"strongroom", "strongroom-operator"}

// Root is the folder of the module strongroom that the working directory is
// in. go test runs in the package's own folder, so it works there too.
func Root() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("cluster: go env GOMOD: %w; is Go installed and on the PATH?", err)
	}
	mod := strings.TrimSpace(string(out))
	text, err := os.ReadFile(mod)
	if err != nil || !bytes.HasPrefix(text, []byte("module strongroom\n")) {
		return "", errors.New("cluster: this is not inside the module strongroom: run it in the repository")
	}
	return filepath.Dir(mod), nil
}

// Build returns the folder of the programs strongroom, vault (a link to it) and
// strongroom-operator: what $STRONGROOM_BIN_DIR names, or else a folder of the
// user's cache, which go build brings up to date, without the race detector
// even when the caller has it. Its output, if any, goes to progress.
//
// Processes that build at the same time take turns, and a program is replaced
// as a whole, so those that run the old one go on with it.
func Build(ctx context.Context, progress io.Writer) (binDir string, err error) {
	if dir := os.Getenv(BinDirVariable); dir != "" {
		return dir, checkPrograms(dir)
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cluster: where to keep the programs: %w; set HOME or XDG_CACHE_HOME", err)
	}
	key := sha256.Sum256([]byte(root)) // each clone has its own
	dir := filepath.Join(cache, "strongroom", "bin", hex.EncodeToString(key[:6]))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, filepath.Join(dir, ".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := compile(ctx, progress, root, dir); err != nil {
		return "", err
	}
	return dir, checkPrograms(dir)
}

func compile(ctx context.Context, progress io.Writer, root, dir string) error {
	args := []string{"build", "-buildvcs=false", "-o", dir + "/"}
	for _, name := range programs {
		args = append(args, "./cmd/"+name)
	}
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	cmd.Stdout = progress
	cmd.Stderr = io.MultiWriter(progress, &output)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return errors.Join(context.Cause(ctx), fmt.Errorf("cluster: go build in %s: %w\n%s", root, err, &output))
	}
	err := os.Symlink("strongroom", filepath.Join(dir, "vault"))
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return err
}

func checkPrograms(dir string) error {
	for _, name := range append([]string{"vault"}, programs...) {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("cluster: %w; build the programs with make build, or unset %s", err, BinDirVariable)
		}
	}
	return nil
}

// lock waits for the lock on the file at path. The kernel gives it back when
// the process ends, however it ends.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = poll(ctx, func() error { return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) })
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { file.Close() }, nil
}
