package kubetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// What compiling kubeall from empty caches costs: time of CPU, 556 to 783 s on
// two cores of several cloud machines and well spread over them, and packages.
const (
	coldBuildCPU      = 780 * time.Second
	coldBuildPackages = 2880
)

// programs are the names kubeall answers to.
var programs = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"}

// Build returns the directory that holds Kubernetes' programs: etcd,
// kube-apiserver, kube-controller-manager, kubectl and the rest, all of them
// links to one program, kubeall. When it is not there yet, Build compiles it
// from test/kube, which takes minutes from empty caches and about 4 GB of Go's
// build cache, and says so on progress every few seconds.
//
// The directory lies outside the repository, under $XDG_CACHE_HOME (or what
// [os.UserCacheDir] says) in strongroom/kube/, keyed by the version of
// Kubernetes and the module's content. It appears whole or not at all, and
// processes that want it at the same time wait for one build.
func Build(ctx context.Context, progress io.Writer) (binDir string, err error) {
	src, err := findSource()
	if err != nil {
		return "", fmt.Errorf("kubetest: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("kubetest: where to keep the built Kubernetes: %w; set HOME or XDG_CACHE_HOME", err)
	}
	dir := filepath.Join(cache, "strongroom", "kube", src.key())
	if err := buildOnce(ctx, progress, dir, src.compile); err != nil {
		return "", fmt.Errorf("kubetest: building Kubernetes %s: %w", src.version, err)
	}
	return dir, nil
}

// source is the module that kubeall is built from.
type source struct {
	dir     string // test/kube
	version string // of Kubernetes, as 1.37.2
	hash    []byte // of all that decides what is built
}

func (s source) key() string { return s.version + "-" + hex.EncodeToString(s.hash[:6]) }

var kubernetesVersion = regexp.MustCompile(`(?m)^\s*(?:require\s+)?k8s\.io/kubernetes v(\S+)`)

// findSource looks for test/kube in the module strongroom that the working
// directory is in; go test runs in the package's own folder.
func findSource() (source, error) {
	root, err := os.Getwd()
	if err != nil {
		return source{}, err
	}
	for !isStrongroom(root) {
		if root == filepath.Dir(root) {
			return source{}, errors.New("no go.mod of module strongroom here or above; run this inside the repository")
		}
		root = filepath.Dir(root)
	}
	s := source{dir: filepath.Join(root, "test", "kube")}
	hash := sha256.New()
	fmt.Fprintln(hash, runtime.GOOS, runtime.GOARCH)
	for _, name := range []string{"go.mod", "go.sum", "kubeall/main.go"} {
		content, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			return source{}, err
		}
		fmt.Fprintln(hash, name, len(content))
		hash.Write(content)
		if m := kubernetesVersion.FindSubmatch(content); name == "go.mod" && m != nil {
			s.version = string(m[1])
		}
	}
	if s.version == "" {
		return source{}, fmt.Errorf("%s requires no k8s.io/kubernetes; make it with: go run ./bump VERSION", filepath.Join(s.dir, "go.mod"))
	}
	s.hash = hash.Sum(nil)
	return s, nil
}

func isStrongroom(dir string) bool {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return err == nil && bytes.HasPrefix(mod, []byte("module strongroom\n"))
}

// compile builds kubeall at the path out.
func (s source) compile(ctx context.Context, progress io.Writer, out string) error {
	cores := runtime.GOMAXPROCS(0)
	what := "building Kubernetes " + s.version + " from source"
	fmt.Fprintf(progress, "%s, this once; about %.0f minutes on %d cores when nothing is cached (%d packages)\n",
		what, max(1, coldBuildCPU.Minutes()/float64(cores)), cores, coldBuildPackages)

	cmd := exec.CommandContext(ctx, "go", "build", "-v", "-trimpath", "-ldflags", s.ldflags(), "-o", out, "./kubeall")
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-buildvcs=false")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 5 * time.Second
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w; is Go installed and on the PATH?", err)
	}
	problems := reportBuild(stderr, progress, what)
	if err := cmd.Wait(); err != nil {
		return errors.Join(context.Cause(ctx), fmt.Errorf("go build in %s: %w\n%s", s.dir, err, problems))
	}
	return nil
}

// ldflags state the version. Without it the API server calls itself
// v0.0.0-master+$Format:%H$, which clients cannot parse. The date and commit
// are fixed so that the same source gives the same program.
func (s source) ldflags() string {
	major, rest, _ := strings.Cut(s.version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	flags := "-s -w"
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, value := range []string{
			"gitVersion=v" + s.version, "gitMajor=" + major, "gitMinor=" + minor, "gitTreeState=clean",
			"gitCommit=" + strings.Repeat("0", 40), "buildDate=1970-01-01T00:00:00Z",
		} {
			flags += " -X " + pkg + "." + value
		}
	}
	return flags
}

// buildOnce makes dir, with the program kubeall that compile writes and its
// links, unless it is there. Whoever else is at it is waited for.
func buildOnce(ctx context.Context, progress io.Writer, dir string, compile func(ctx context.Context, progress io.Writer, out string) error) error {
	if exists(dir) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	unlock, err := lock(ctx, progress, dir+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if exists(dir) {
		return nil
	}
	building := dir + ".building"
	if err := os.RemoveAll(building); err != nil { // of a build that was killed
		return err
	}
	if err := os.Mkdir(building, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(building)
	if err := compile(ctx, progress, filepath.Join(building, "kubeall")); err != nil {
		return err
	}
	for _, name := range programs {
		if err := os.Symlink("kubeall", filepath.Join(building, name)); err != nil {
			return err
		}
	}
	return os.Rename(building, dir)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// lock waits for the lock on the file at path. The kernel gives it back when
// the process ends, however it ends; the empty file stays, because removing it
// would let two processes hold "the" lock.
func lock(ctx context.Context, progress io.Writer, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	next := began
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return func() { file.Close() }, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			file.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		case time.Now().After(next):
			fmt.Fprintf(progress, "waiting for another process that builds Kubernetes; %.0f s so far\n", time.Since(began).Seconds())
			next = time.Now().Add(reportEvery)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			file.Close()
			return nil, context.Cause(ctx)
		}
	}
}
