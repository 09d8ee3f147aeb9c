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

// What compiling from empty caches costs: time of CPU, on two cores of several
// cloud machines and well spread over them, and packages. The add-ons count
// from where kubeall, whose packages they share, is compiled.
const (
	coldBuildCPU      = 780 * time.Second
	coldBuildPackages = 2880
	coldAddonsCPU     = 40 * time.Second
	coldAddonPackages = 273
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
	return build(ctx, progress, "", []string{"kubeall/main.go"}, source.compileKubernetes)
}

// BuildAddons is like [Build] for what is needed beside Kubernetes: the program
// helm; and for clusters with nodes ([StartCluster]) kubenode, and the images
// of CoreDNS and of pods' first process, pause. Where Kubernetes is built it
// takes less than a minute.
func BuildAddons(ctx context.Context, progress io.Writer) (dir string, err error) {
	return build(ctx, progress, "addons-", []string{"coredns/main.go", "kubenode/main.go", "kubenode/node.go"}, source.compileAddons)
}

// build makes the directory of one set of programs; its name begins with
// prefix, and it is made from the module's files and these.
func build(ctx context.Context, progress io.Writer, prefix string, files []string,
	compile func(source, context.Context, io.Writer, string) error) (string, error) {
	src, err := findSource(files...)
	if err != nil {
		return "", fmt.Errorf("kubetest: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("kubetest: where to keep the built Kubernetes: %w; set HOME or XDG_CACHE_HOME", err)
	}
	dir := filepath.Join(cache, "strongroom", "kube", prefix+src.key())
	err = buildOnce(ctx, progress, dir, func(ctx context.Context, progress io.Writer, out string) error {
		return compile(src, ctx, progress, out)
	})
	if err != nil {
		return "", fmt.Errorf("kubetest: building Kubernetes %s: %w", src.version, err)
	}
	return dir, nil
}

// source is the module that the programs are built from.
type source struct {
	dir     string // test/kube
	version string // of Kubernetes, as 1.37.2
	helm    string // version of helm, as v3.21.4
	hash    []byte // of all that decides what is built
}

func (s source) key() string { return s.version + "-" + hex.EncodeToString(s.hash[:6]) }

const helmModule = "helm.sh/helm/v3"

var (
	kubernetesVersion = regexp.MustCompile(`(?m)^\s*(?:require\s+)?k8s\.io/kubernetes v(\S+)`)
	helmVersion       = regexp.MustCompile(`(?m)^\s*(?:require\s+)?helm\.sh/helm/v3 (v\S+)`)
)

// findSource looks for test/kube in the module strongroom that the working
// directory is in; go test runs in the package's own folder. The key covers the
// files, which are named relative to test/kube.
func findSource(files ...string) (source, error) {
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
	for _, name := range append([]string{"go.mod", "go.sum"}, files...) {
		content, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			return source{}, err
		}
		fmt.Fprintln(hash, name, len(content))
		hash.Write(content)
		if name == "go.mod" {
			s.version, s.helm = version(kubernetesVersion, content), version(helmVersion, content)
		}
	}
	if s.version == "" {
		return source{}, fmt.Errorf("%s requires no k8s.io/kubernetes; make it with: go run ./bump VERSION", filepath.Join(s.dir, "go.mod"))
	}
	s.hash = hash.Sum(nil)
	return s, nil
}

func version(of *regexp.Regexp, goMod []byte) string {
	if m := of.FindSubmatch(goMod); m != nil {
		return string(m[1])
	}
	return ""
}

func isStrongroom(dir string) bool {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return err == nil && bytes.HasPrefix(mod, []byte("module strongroom\n"))
}

// compileKubernetes builds kubeall, and its links, in the directory out.
func (s source) compileKubernetes(ctx context.Context, progress io.Writer, out string) error {
	what := announce(progress, "building Kubernetes "+s.version+" from source", coldBuildCPU, coldBuildPackages)
	if err := s.goBuild(ctx, progress, what, s.ldflags(), filepath.Join(out, "kubeall"), "./kubeall"); err != nil {
		return err
	}
	for _, name := range programs {
		if err := os.Symlink("kubeall", filepath.Join(out, name)); err != nil {
			return err
		}
	}
	return nil
}

// compileAddons builds helm, kubenode and the images in the directory out.
func (s source) compileAddons(ctx context.Context, progress io.Writer, out string) error {
	what := announce(progress, "building helm, CoreDNS and what nodes need", coldAddonsCPU, coldAddonPackages)
	coredns := filepath.Join(out, "coredns")
	err := errors.Join(
		s.goBuild(ctx, progress, what, s.helmFlags(), filepath.Join(out, "helm"), helmModule+"/cmd/helm"),
		s.goBuild(ctx, progress, what, "-s -w", filepath.Join(out, "kubenode"), "./kubenode"),
		s.goBuild(ctx, progress, what, "-s -w", coredns, "./coredns"),
	)
	if err != nil {
		return err
	}
	err = errors.Join(
		image{name: pauseImage, entrypoint: "/pause", files: map[string]string{"pause": filepath.Join(out, "kubenode")}}.write(filepath.Join(out, "pause.tar")),
		image{name: dnsImage, entrypoint: "/coredns", files: map[string]string{"coredns": coredns}}.write(filepath.Join(out, "coredns.tar")),
	)
	return errors.Join(err, os.Remove(coredns))
}

// announce says what a build may cost, and returns its name.
func announce(progress io.Writer, what string, cpu time.Duration, packages int) string {
	cores := runtime.GOMAXPROCS(0)
	fmt.Fprintf(progress, "%s, this once; about %.1f minutes on %d cores when nothing is cached (%d packages)\n",
		what, cpu.Minutes()/float64(cores), cores, packages)
	return what
}

// goBuild builds a package of the module, or one that it requires, at the path out.
func (s source) goBuild(ctx context.Context, progress io.Writer, what, ldflags, out, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-v", "-trimpath", "-ldflags", ldflags, "-o", out, pkg)
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

// helmFlags state helm's version, and that of the Kubernetes that `helm
// template` renders for, as helm's own Makefile does.
func (s source) helmFlags() string {
	major, rest, _ := strings.Cut(s.version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	flags := "-s -w -X " + helmModule + "/internal/version.version=" + s.helm
	for _, pkg := range []string{"pkg/lint/rules", "pkg/chartutil"} {
		flags += fmt.Sprintf(" -X %[1]s/%[2]s.k8sVersionMajor=%[3]s -X %[1]s/%[2]s.k8sVersionMinor=%[4]s", helmModule, pkg, major, minor)
	}
	return flags
}

// buildOnce makes dir, with what compile writes to a directory out, unless it
// is there. Whoever else is at it is waited for.
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
	if err := compile(ctx, progress, building); err != nil {
		return err
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
