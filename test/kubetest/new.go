package kubetest

import (
	"context"
	"testing"
	"time"
)

// New starts a control plane for one test, in the test's temporary folder, and
// stops it when the test is over. When the test failed, the ends of the
// components' logs go to its log.
//
// On a cold machine the first call builds Kubernetes, which may outlast go
// test's default limit of ten minutes on few cores, and go test keeps its
// progress back; so run `go run ./test/kubetest/cmd/kubeup build` first.
func New(t testing.TB) *ControlPlane {
	t.Helper()
	cp, err := Start(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		running := cp.running
		cp.Stop()
		if t.Failed() {
			for _, p := range running {
				t.Logf("the end of the log of %s:\n%s", p.name, p.tail())
			}
		}
	})
	return cp
}

// NewCluster starts a cluster with nodes for one test, as [New] does a control
// plane. When the test failed, what [Cluster.Diagnose] finds goes to its log.
func NewCluster(t testing.TB, nodes int) *Cluster {
	t.Helper()
	began := time.Now()
	c, err := StartCluster(t.Context(), t.TempDir(), nodes)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d nodes are ready after %v", nodes, time.Since(began).Round(time.Millisecond))
	t.Cleanup(func() {
		if t.Failed() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			c.Diagnose(ctx, testLog{t})
			cancel()
		}
		began := time.Now()
		if err := c.Stop(); err != nil {
			t.Errorf("the cluster left something behind: %v", err)
		}
		t.Logf("it was stopped in %v", time.Since(began).Round(time.Millisecond))
	})
	return c
}

// testLog writes to a test's log.
type testLog struct{ t testing.TB }

func (l testLog) Write(text []byte) (int, error) {
	l.t.Logf("%s", text)
	return len(text), nil
}
