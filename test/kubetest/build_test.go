package kubetest

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestBuildOnceHappensOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kube", "key")
	var builds atomic.Int32
	compile := func(_ context.Context, _ io.Writer, out string) error {
		builds.Add(1)
		if exists(dir) {
			t.Error("the directory is there before it is complete")
		}
		return os.WriteFile(filepath.Join(out, "kubectl"), []byte("program"), 0o755)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := buildOnce(t.Context(), io.Discard, dir, compile); err != nil {
				t.Error(err)
			}
			if got, err := os.ReadFile(filepath.Join(dir, "kubectl")); string(got) != "program" {
				t.Errorf("kubectl is %q (%v), want what was built", got, err)
			}
		})
	}
	wg.Wait()
	if builds.Load() != 1 {
		t.Errorf("built %d times, want once", builds.Load())
	}
}

func TestBuildOnceLeavesNothingBehindWhenItFails(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "key")
	if err := os.MkdirAll(filepath.Join(dir+".building", "half"), 0o755); err != nil { // of a killed build
		t.Fatal(err)
	}
	broken := errors.New("does not compile")
	err := buildOnce(t.Context(), io.Discard, dir, func(_ context.Context, _ io.Writer, out string) error {
		return errors.Join(os.WriteFile(filepath.Join(out, "program"), nil, 0o755), broken)
	})
	if !errors.Is(err, broken) {
		t.Errorf("error is %v, want %v", err, broken)
	}
	left, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		if entry.Name() != "key.lock" {
			t.Errorf("%s was left behind", entry.Name())
		}
	}
}

func TestWaitingForTheLockEndsWithTheContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), io.Discard, path)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var said strings.Builder
	if _, err := lock(ctx, &said, path); !errors.Is(err, context.Canceled) {
		t.Errorf("a second lock: %v, want %v", err, context.Canceled)
	}
	if !strings.Contains(said.String(), "waiting for another process") {
		t.Errorf("progress is %q", said.String())
	}
}

func TestSource(t *testing.T) {
	s, err := findSource("kubeall/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(s.version, "1.") || strings.Count(s.version, ".") != 2 {
		t.Errorf("version of Kubernetes is %q", s.version)
	}
	if want := "k8s.io/component-base/version.gitVersion=v" + s.version; !strings.Contains(s.ldflags(), want) {
		t.Errorf("ldflags lack %q", want)
	}
	t.Chdir(t.TempDir())
	if _, err := findSource("kubeall/main.go"); err == nil || !strings.Contains(err.Error(), "inside the repository") {
		t.Errorf("outside the repository: %v", err)
	}
}

func TestReportBuildKeepsOnlyTheProblems(t *testing.T) {
	problems := reportBuild(strings.NewReader("go: downloading k8s.io/api v0.37.2\nk8s.io/api/core/v1\n"+
		"# strongroom/test/kube/kubeall\nkubeall/main.go:1:1: syntax error\n"), io.Discard, "")
	want := "# strongroom/test/kube/kubeall\nkubeall/main.go:1:1: syntax error\n"
	if problems != want {
		t.Errorf("problems are %q, want %q", problems, want)
	}
}

func TestReportBuildSaysThatItIsStillAtIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		output, compiler := io.Pipe()
		go func() {
			_, _ = io.WriteString(compiler, "go: downloading k8s.io/api v0.37.2\nk8s.io/api/core/v1\nk8s.io/api/apps/v1\n")
			time.Sleep(2*reportEvery + time.Second)
			compiler.Close()
		}()
		var said strings.Builder
		reportBuild(output, &said, "building")
		want := "building: 10 s so far, 1 modules downloaded, 2 packages compiled\n" +
			"building: 20 s so far, 1 modules downloaded, 2 packages compiled\n"
		if said.String() != want {
			t.Errorf("it said %q, want %q", said.String(), want)
		}
	})
}
