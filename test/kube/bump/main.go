// Command bump moves this module to another Kubernetes release:
//
//	cd test/kube && go run ./bump 1.37.2 && go mod tidy
//
// k8s.io/kubernetes cannot simply be required: its go.mod asks for its thirty
// staging modules (k8s.io/api, k8s.io/client-go, ...) at v0.0.0 and replaces
// them by folders of its own repository, and Go honours replacements only in
// the main module. So bump copies its requirements, which pins everything to
// what that release was tested with, etcd included, and replaces the staging
// modules by their published versions: Kubernetes 1.37.2 goes with v0.37.2.
//
// What this module requires beyond that, helm and CoreDNS, it keeps. Choose
// versions of these that ask for nothing newer than Kubernetes does, if there
// are: then all programs share their compiled packages.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// modFile is the part of `go mod edit -json` that is used here.
type modFile struct {
	Go      string
	Require []struct {
		Path, Version string
		Indirect      bool
	}
	Replace []struct{ Old, New struct{ Path string } }
	Tool    []struct{ Path string }
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./bump VERSION   (for example 1.37.2)")
		os.Exit(2)
	}
	if err := bump(strings.TrimPrefix(os.Args[1], "v")); err != nil {
		fmt.Fprintln(os.Stderr, "bump:", err)
		os.Exit(1)
	}
}

func bump(version string) error {
	var release struct{ Dir string }
	if err := goJSON(&release, "mod", "download", "-json", "k8s.io/kubernetes@v"+version); err != nil {
		return err
	}
	var upstream modFile
	if err := goJSON(&upstream, "mod", "edit", "-json", filepath.Join(release.Dir, "go.mod")); err != nil {
		return err
	}
	here, err := filepath.Abs("go.mod")
	if err != nil {
		return err
	}
	var own modFile
	if err := goJSON(&own, "mod", "edit", "-json", here); err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(release.Dir, "go.sum"))
	if err != nil {
		return err
	}
	if err := os.WriteFile("go.mod", goMod(version, upstream, own), 0o644); err != nil {
		return err
	}
	return os.WriteFile("go.sum", sums, 0o644)
}

// goMod writes the go.mod for one Kubernetes release, from the release's own and
// the one that was here before.
func goMod(version string, upstream, own modFile) []byte {
	_, minor, _ := strings.Cut(version, ".")
	staging := map[string]bool{}
	for _, r := range upstream.Replace {
		staging[r.Old.Path] = strings.HasPrefix(r.New.Path, "./staging/")
	}
	required := map[string]bool{"k8s.io/kubernetes": true}
	var out bytes.Buffer
	fmt.Fprintf(&out, "module strongroom/test/kube\n\ngo %s\n\n", upstream.Go)
	fmt.Fprintf(&out, "require k8s.io/kubernetes v%s\n\nrequire (\n", version)
	for _, r := range upstream.Require {
		if staging[r.Path] {
			r.Version = "v0." + minor
		}
		fmt.Fprintf(&out, "\t%s %s\n", r.Path, r.Version)
		required[r.Path] = true
	}
	for _, r := range own.Require {
		if !required[r.Path] && own.chose(r.Path, r.Indirect) {
			fmt.Fprintf(&out, "\t%s %s\n", r.Path, r.Version)
		}
	}
	out.WriteString(")\n\nreplace (\n")
	for _, r := range upstream.Replace {
		if staging[r.Old.Path] {
			fmt.Fprintf(&out, "\t%s => %s v0.%s\n", r.Old.Path, r.Old.Path, minor)
		}
	}
	out.WriteString(")\n")
	for _, tool := range own.Tool {
		fmt.Fprintf(&out, "\ntool %s\n", tool.Path)
	}
	return out.Bytes()
}

// chose says whether a module that is required was chosen, rather than asked
// for by others: that of a tool counts as indirect.
func (m modFile) chose(module string, indirect bool) bool {
	return !indirect || slices.ContainsFunc(m.Tool, func(tool struct{ Path string }) bool { return strings.HasPrefix(tool.Path, module+"/") })
}

// goJSON runs the go command outside any module and decodes what it prints.
func goJSON(into any, args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Dir = os.TempDir()
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return fmt.Errorf("%s: %w: %s%s", cmd, err, out, exit.Stderr)
		}
		return fmt.Errorf("%s: %w", cmd, err)
	}
	return json.Unmarshal(out, into)
}
