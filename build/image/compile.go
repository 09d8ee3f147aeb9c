package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"time"
)

// source is the repository that the programs are built from.
type source struct {
	root    string // of the module
	ldflags string // as build/ldflags prints them
	created time.Time
}

var buildDate = regexp.MustCompile(`\.BuildDate=(\S+)`)

// findSource looks for the module that the working directory is in. The images'
// time is the commit's, so that building it again makes the same bytes; without
// git or $BUILD_DATE it is the first second of 1970.
func findSource(ctx context.Context, version string) (source, error) {
	mod, err := output(ctx, "", "go", "env", "GOMOD")
	if err != nil {
		return source{}, err
	}
	s := source{root: filepath.Dir(mod), created: time.Unix(0, 0).UTC()}
	script := filepath.Join(s.root, "build", "ldflags")
	if _, err := os.Stat(script); err != nil {
		return source{}, fmt.Errorf("%w; run this inside the repository", err)
	}
	if s.ldflags, err = output(ctx, s.root, script, version); err != nil {
		return source{}, err
	}
	if m := buildDate.FindStringSubmatch(s.ldflags); m != nil {
		if s.created, err = time.Parse(time.RFC3339, m[1]); err != nil {
			return source{}, fmt.Errorf("BUILD_DATE: %w; write it as 2006-01-02T15:04:05Z", err)
		}
	}
	return s, nil
}

// program is one compiled binary.
type program struct {
	path string
	info *debug.BuildInfo // the modules in it
}

// compile builds both programs for Linux on arch into dir.
func (s source) compile(ctx context.Context, arch, dir string) (server, operator program, err error) {
	// The Dockerfile brings the web UI built, and make image has made it: this is for whoever runs the command alone.
	if _, err := os.Stat(filepath.Join(s.root, "ui", "dist", "app", "index.html.gz")); err != nil {
		if _, err := output(ctx, s.root, "make", "ui"); err != nil {
			return server, operator, fmt.Errorf("the web UI, which is part of the server: %w", err)
		}
	}
	if _, err := output(ctx, s.root, "go", "run", "./build/licences"); err != nil { // the server shows them
		return server, operator, err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", s.ldflags,
		"-o", dir+string(filepath.Separator), "./cmd/strongroom", "./cmd/strongroom-operator")
	cmd.Dir = s.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return server, operator, fmt.Errorf("go build for linux/%s: %w\n%s", arch, err, out)
	}
	server.path, operator.path = filepath.Join(dir, "strongroom"), filepath.Join(dir, "strongroom-operator")
	var errs [2]error
	server.info, errs[0] = buildinfo.ReadFile(server.path)
	operator.info, errs[1] = buildinfo.ReadFile(operator.path)
	return server, operator, errors.Join(errs[:]...)
}

// modules are what p is made of, each once, without the main module.
func (p program) modules() []debug.Module {
	var list []debug.Module
	for _, m := range p.info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		list = append(list, *m)
	}
	return list
}

// licences is the text that the licences of p's modules and of Go ask to be
// passed on with the program. A module without one is an error.
func (s source) licences(ctx context.Context, p program) ([]byte, error) {
	goroot, err := output(ctx, s.root, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	args := []string{"list", "-m", "-f", "{{.Path}} {{.Version}}\t{{.Dir}}"}
	for _, m := range p.modules() {
		args = append(args, m.Path)
	}
	listed, err := output(ctx, s.root, "go", args...)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	for _, line := range append(strings.Split(listed, "\n"), "Go "+p.info.GoVersion+"\t"+goroot) {
		module, dir, _ := strings.Cut(line, "\t")
		if err := addLicences(&text, module, dir); err != nil {
			return nil, err
		}
	}
	return text.Bytes(), nil
}

func addLicences(text *bytes.Buffer, module, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("the licence of %s: %w", module, err)
	}
	found := false
	for _, entry := range entries {
		if !licenceFile.MatchString(entry.Name()) || !entry.Type().IsRegular() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return err
		}
		found = true
		fmt.Fprintf(text, "==== %s, %s\n\n%s\n\n", module, entry.Name(), bytes.TrimSpace(content))
	}
	if !found {
		return fmt.Errorf("no licence file of %s in %s: see whether it may be passed on, and teach build/image where its text is", module, dir)
	}
	return nil
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[sc]e|copying|notice|patents)`)

// output runs a program and returns what it prints, less the space around it.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	out, err := capture(ctx, dir, name, args...)
	return strings.TrimSpace(string(out)), err
}

func capture(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}
