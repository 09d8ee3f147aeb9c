package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"strongroom/test/kubetest"
)

// TestDemo runs the demo in a cluster that is given, to its end, and sees that
// nothing of it stays there.
func TestDemo(t *testing.T) {
	cp := kubetest.New(t)
	things := func() string {
		out, err := cp.Kubectl(t.Context(), "get", "namespaces,crds,clusterroles,clusterrolebindings", "-o", "name").CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	before := things()
	t.Setenv("KUBECONFIG", cp.Kubeconfig)
	t.Setenv("DEMO_EXIT", "1")
	t.Setenv("TMPDIR", t.TempDir())

	shown := play(t)
	for _, pattern := range []string{
		`vault-0 \$ vault operator init\n    Unseal Key 1: `,
		`vault-2 \$ vault operator unseal \S+\n    Sealed: false, HA Mode: standby\n`,
		`longhorn-r2-secret-from-vault +Valid `,
		`The Secret, decoded:\n\n +AWS_ACCESS_KEY_ID +YOUR_R2_ACCESS_KEY_ID\n`,
		`The Secret followed [\d,]+ ms after the server had the new value:\n\n +AWS_ACCESS_KEY_ID +NEW_KEY\n`,
		`All 13 steps worked\.`,
	} {
		if !regexp.MustCompile(pattern).MatchString(shown) {
			t.Errorf("the demo does not show %q", pattern)
		}
	}
	if strings.Contains(shown, "\x1b") {
		t.Error("there are colours although this is no terminal")
	}
	if after := things(); after != before {
		t.Errorf("the demo leaves the cluster with\n%swhich had\n%s", after, before)
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "*")); err != nil || len(left) > 0 {
		t.Errorf("the demo leaves %v (%v)", left, err)
	}
	if t.Failed() {
		t.Log(shown)
	}
}

// play runs the demo and returns what it shows.
func play(t *testing.T) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "screen"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	failure := run(t.Context(), file)
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	shown, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	if failure != nil {
		t.Fatalf("the demo fails: %v\n%s", failure, shown)
	}
	return string(shown)
}

func TestPick(t *testing.T) {
	text := "Key                Value\n---                -----\nSealed             true\nUnseal Progress    1/3\nUnseal Nonce       x\n"
	if got, want := pick(text, regexp.MustCompile(`^(Sealed|Unseal Progress) `)), "Sealed: true, Unseal Progress: 1/3"; got != want {
		t.Errorf("pick gives %q, want %q", got, want)
	}
	for n, want := range map[int64]string{7: "7", 999: "999", 1000: "1,000", 14203: "14,203", 1002003: "1,002,003"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) is %q, want %q", n, got, want)
		}
	}
}
