package kubetest

import (
	"testing"
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
