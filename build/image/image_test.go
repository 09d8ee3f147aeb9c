package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

const mebibyte = 1 << 20

// built is both archives for the architecture that runs the test, unpacked.
type built struct {
	dir              string
	server, operator opened
}

// opened is what an archive holds.
type opened struct {
	digest  string            // of the index
	names   map[string]string // the index' annotations
	config  *v1.ConfigFile
	files   map[string]*tar.Header
	content map[string][]byte
}

// sources copies what the images are made of out of the module that dir is in, so that nobody's edit changes it meanwhile. The folder is
// without git: the environment says the commit.
func sources(t *testing.T, dir string) (copied string) {
	t.Helper()
	mod, err := output(t.Context(), dir, "go", "env", "GOMOD")
	if err != nil {
		t.Fatal(err)
	}
	root, copied := filepath.Dir(mod), t.TempDir()
	if _, err := os.Stat(filepath.Join(root, "Makefile")); err == nil { // not of a copy, which has it
		if _, err := output(t.Context(), root, "make", "ui"); err != nil {
			t.Fatalf("the web UI, which is part of the server's image: %v", err)
		}
	}
	folders, err := output(t.Context(), root, "go", "list", "-deps", "-f", "{{if not .Standard}}{{with .Module}}{{if .Main}}{{$.Dir}}{{end}}{{end}}{{end}}", "./cmd/...")
	if err != nil {
		t.Fatal(err)
	}
	tops := map[string]bool{"build": true}
	for folder := range strings.FieldsSeq(folders) {
		rel, err := filepath.Rel(root, folder)
		if err != nil {
			t.Fatal(err)
		}
		top, _, _ := strings.Cut(rel, string(filepath.Separator))
		tops[top] = true
	}
	for top := range tops {
		if err := os.CopyFS(filepath.Join(copied, top), withoutModules{os.DirFS(filepath.Join(root, top))}); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"go.mod", "go.sum", "LICENSE"} {
		content, err := os.ReadFile(filepath.Join(root, file))
		if err = errors.Join(err, os.WriteFile(filepath.Join(copied, file), content, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return copied
}

// withoutModules leaves out what npm fetched, which is large and of no use once the UI is built.
type withoutModules struct{ fs.FS }

func (w withoutModules) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(w.FS, name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "node_modules" }), err
}

func build(t *testing.T, dir string, args ...string) {
	t.Helper()
	o, err := parse(append(args, "-version", "1.2.3-test", "-arch", runtime.GOARCH, "-out", dir), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if err := o.build(t.Context(), t.Output()); err != nil {
		t.Fatal(err)
	}
}

func buildAndOpen(t *testing.T) built {
	t.Helper()
	dir := t.TempDir()
	build(t, dir)
	return built{dir, open(t, filepath.Join(dir, "strongroom.tar")), open(t, filepath.Join(dir, "strongroom-operator.tar"))}
}

// open reads an archive as container runtimes do.
func open(t *testing.T, file string) opened {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("tar", "-xf", file, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	root, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := root.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("index.json names %d images: %v", len(manifest.Manifests), err)
	}
	o := opened{digest: manifest.Manifests[0].Digest.String(), names: manifest.Manifests[0].Annotations,
		files: map[string]*tar.Header{}, content: map[string][]byte{}}
	index, err := root.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err = index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 || manifest.Manifests[0].Platform.String() != "linux/"+runtime.GOARCH {
		t.Fatalf("the index is %+v, %v", manifest, err)
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if o.config, err = image.ConfigFile(); err != nil {
		t.Fatal(err)
	}
	files := mutate.Extract(image)
	defer files.Close()
	o.read(t, files)
	return o
}

// read takes in what a tar file holds.
func (o opened) read(t *testing.T, files io.Reader) {
	t.Helper()
	for archive := tar.NewReader(files); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(header.Name, "/")
		o.files[name] = header
		if o.content[name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}

func (o opened) size() (bytes int64) {
	for _, header := range o.files {
		bytes += header.Size
	}
	return bytes
}

// write puts o's files into a folder and returns it. Owners stay as they are: that takes root.
func (o opened) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for name, header := range o.files {
		parent := filepath.Dir(name)
		if header.Typeflag == tar.TypeDir {
			parent = name
		}
		err := root.MkdirAll(parent, 0o755)
		switch header.Typeflag {
		case tar.TypeReg:
			err = errors.Join(err, root.WriteFile(name, o.content[name], header.FileInfo().Mode()))
		case tar.TypeSymlink:
			err = errors.Join(err, root.Symlink(header.Linkname, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestImages(t *testing.T) {
	t.Setenv("REVISION", "0123456789ab")
	t.Setenv("BUILD_DATE", "2026-01-02T03:04:05Z")
	src := sources(t, ".")
	t.Chdir(src)
	first := buildAndOpen(t)
	t.Run("the server's", func(t *testing.T) { testServer(t, first.server) })
	t.Run("the operator's", func(t *testing.T) { testOperator(t, first.operator) })
	t.Run("bills", func(t *testing.T) { testBills(t, first.dir) })
	t.Run("the entrypoint", func(t *testing.T) { testEntrypoint(t, first.server) })
	t.Run("the process is called vault", func(t *testing.T) { testProcessName(t, first.server) })
	t.Run("built again elsewhere", func(t *testing.T) {
		t.Chdir(sources(t, src))
		again := buildAndOpen(t)
		for _, name := range []string{"strongroom.tar", "strongroom-operator.tar", "strongroom.cdx.json", "strongroom-operator.cdx.json"} {
			a, errA := os.ReadFile(filepath.Join(first.dir, name))
			b, errB := os.ReadFile(filepath.Join(again.dir, name))
			if err := errors.Join(errA, errB); err != nil || !bytes.Equal(a, b) {
				t.Errorf("%s differs from the first: %v", name, err)
			}
		}
		if first.server.digest != again.server.digest || first.operator.digest != again.operator.digest {
			t.Errorf("the digests were %s and %s and are %s and %s", first.server.digest, first.operator.digest, again.server.digest, again.operator.digest)
		}
	})
	t.Run("for the Dockerfile", func(t *testing.T) {
		dir := t.TempDir()
		build(t, dir, "-rootfs")
		for name, want := range map[string]opened{"strongroom.tar": first.server, "strongroom-operator.tar": first.operator} {
			file, err := os.Open(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { file.Close() })
			got := opened{files: map[string]*tar.Header{}, content: map[string][]byte{}}
			got.read(t, file)
			if !maps.EqualFunc(got.content, want.content, bytes.Equal) ||
				!maps.EqualFunc(got.files, want.files, func(a, b *tar.Header) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
				t.Errorf("%s has other files than the image", name)
			}
		}
	})
}

func testServer(t *testing.T, o opened) {
	config := o.config.Config
	if config.User != "100:1000" || fmt.Sprint(config.Entrypoint, config.Cmd) != "[docker-entrypoint.sh] [server -dev]" ||
		!slices.Contains(config.Env, "HOME=/home/vault") || o.config.Architecture != runtime.GOARCH || o.config.OS != "linux" {
		t.Errorf("the image is %s/%s and runs as %+v", o.config.OS, o.config.Architecture, config)
	}
	if got := o.config.Created.Format(time.RFC3339); got != "2026-01-02T03:04:05Z" {
		t.Errorf("it was created at %s", got)
	}
	if name := o.names["io.containerd.image.name"]; name != "docker.io/library/strongroom:1.2.3-test" {
		t.Errorf("containerd would call it %q", name)
	}
	if size := o.size(); size > 60*mebibyte || size < 10*mebibyte {
		t.Errorf("it has %d MiB unpacked", size/mebibyte)
	}
	for _, test := range []struct {
		name     string
		mode     int64
		uid, gid int
		link     string
	}{
		{"bin/strongroom", 0o755, 0, 0, ""},
		{"bin/vault", 0o777, 0, 0, "strongroom"},
		{"bin/busybox", 0o755, 0, 0, ""},
		{"bin/sh", 0o777, 0, 0, "busybox"},
		{"usr/local/bin/docker-entrypoint.sh", 0o755, 0, 0, ""},
		{"home/vault", 0o755, 100, 1000, ""},
		{"vault/config", 0o755, 100, 1000, ""},
		{"vault/data", 0o755, 100, 1000, ""},
		{"vault/file", 0o755, 100, 1000, ""},
		{"vault/logs", 0o755, 100, 1000, ""},
		{"tmp", 0o1777, 0, 0, ""},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, 0, 0, ""},
		{"usr/share/common-licenses/GPL-2", 0o644, 0, 0, ""},
		{"usr/share/doc/busybox-static/copyright", 0o644, 0, 0, ""},
		{"usr/share/doc/strongroom/LICENSE", 0o644, 0, 0, ""},
		{"usr/share/doc/strongroom/THIRD-PARTY", 0o644, 0, 0, ""},
	} {
		header := o.files[test.name]
		if header == nil || header.Mode != test.mode || header.Uid != test.uid || header.Gid != test.gid || header.Linkname != test.link {
			t.Errorf("/%s is %+v", test.name, header)
		}
	}
	for _, name := range []string{"sh", "cp", "sed", "grep", "pidof", "cat", "sleep", "kill", "ls", "env", "mkdir", "chmod", "chown", "head", "tail", "wget",
		"nc", "vi", "tar", "id", "hostname", "date"} {
		if o.files["bin/"+name] == nil {
			t.Errorf("there is no /bin/%s", name)
		}
	}
	for name, header := range o.files {
		if header.Mode&0o6000 != 0 {
			t.Errorf("/%s is setuid or setgid", name)
		}
		if header.Mode&0o022 != 0 && header.Mode&0o1000 == 0 && header.Typeflag != tar.TypeSymlink {
			t.Errorf("/%s may be written by others", name)
		}
	}
	if source := string(o.content["usr/share/doc/busybox-static/SOURCE"]); !strings.Contains(source, "source package busybox ") {
		t.Errorf("busybox' source: %s", source)
	}
	if n := bytes.Count(o.content["etc/ssl/certs/ca-certificates.crt"], []byte("BEGIN CERTIFICATE")); n < 100 {
		t.Errorf("%d certificate authorities", n)
	}
}

func testOperator(t *testing.T, o opened) {
	config := o.config.Config
	if config.User != "65532:65532" || fmt.Sprint(config.Entrypoint, config.Cmd) != "[/strongroom-operator] []" {
		t.Errorf("it runs as %+v", config)
	}
	if name := o.names["io.containerd.image.name"]; name != "docker.io/library/strongroom-operator:1.2.3-test" {
		t.Errorf("containerd would call it %q", name)
	}
	if size := o.size(); size > 60*mebibyte {
		t.Errorf("it has %d MiB unpacked", size/mebibyte)
	}
	var programs []string
	for name, header := range o.files {
		if header.Typeflag == tar.TypeReg && header.Mode&0o111 != 0 || header.Typeflag == tar.TypeSymlink {
			programs = append(programs, name)
		}
	}
	if fmt.Sprint(programs) != "[strongroom-operator]" {
		t.Errorf("it has the programs %s", programs)
	}
	out, err := exec.Command(filepath.Join(o.write(t), "strongroom-operator"), "--version").CombinedOutput()
	if err != nil || string(out) != "strongroom-operator 1.2.3-test\n" {
		t.Errorf("--version: %q, %v", out, err)
	}
}

func testBills(t *testing.T, dir string) {
	for name, want := range map[string][]string{
		"strongroom":          {"github.com/hashicorp/raft", "stdlib", "busybox-static", "ca-certificates"},
		"strongroom-operator": {"sigs.k8s.io/controller-runtime", "stdlib", "ca-certificates"},
	} {
		text, err := os.ReadFile(filepath.Join(dir, name+".cdx.json"))
		if err != nil {
			t.Fatal(err)
		}
		var b bill
		if err := json.Unmarshal(text, &b); err != nil {
			t.Fatal(err)
		}
		if b.Format != "CycloneDX" || b.SpecVersion != "1.6" || b.Metadata.Component.Name != name || b.Metadata.Component.Version != "1.2.3-test" {
			t.Errorf("%s: %+v", name, b.Metadata)
		}
		refs := map[string]bool{}
		for _, c := range b.Components {
			if c.Version == "" || c.PURL == "" || refs[c.Ref] {
				t.Errorf("%s has %+v", name, c)
			}
			refs[c.Ref] = true
		}
		for _, module := range want {
			if !slices.ContainsFunc(b.Components, func(c component) bool { return c.Name == module }) {
				t.Errorf("%s does not name %s", name, module)
			}
		}
	}
}

// shell runs the image's own busybox as /bin/sh, with a PATH of the given folder alone.
func shell(ctx context.Context, path string, env []string, script ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(path, "busybox"), append([]string{"sh"}, script...)...)
	cmd.Env = append(env, "PATH="+path)
	return cmd
}

func testEntrypoint(t *testing.T, o opened) {
	bin := filepath.Join(o.write(t), "bin")
	script := filepath.Join(bin, "../usr/local/bin/docker-entrypoint.sh")
	stub := []byte("#!" + filepath.Join(bin, "busybox") + " sh\necho vault \"$@\" dev=$VAULT_DEV_LISTEN_ADDRESS api=$VAULT_API_ADDR cluster=$VAULT_CLUSTER_ADDR\n")
	if err := errors.Join(os.Remove(filepath.Join(bin, "vault")), os.WriteFile(filepath.Join(bin, "vault"), stub, 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
		env  []string
		want string
		file string // name and content of what is in the configuration's folder
	}{
		{"as the chart", []string{"vault", "server", "-config=/tmp/storageconfig.hcl"}, []string{"SKIP_CHOWN=true", "SKIP_SETCAP=true"},
			"vault server -config=/tmp/storageconfig.hcl dev= api= cluster=", ""},
		{"the server", []string{"server", "-log-level=debug"}, nil, "vault server -config=DIR -log-level=debug dev=0.0.0.0:8200 api= cluster=", ""},
		{"options alone", []string{"-log-level=debug"}, nil, "vault server -config=DIR -log-level=debug dev=0.0.0.0:8200 api= cluster=", ""},
		{"development", []string{"server", "-dev"}, nil, "vault server -dev dev=0.0.0.0:8200 api= cluster=", ""},
		{"development elsewhere", []string{"server", "-dev"}, []string{"VAULT_DEV_LISTEN_ADDRESS=[::]:1"}, "vault server -dev dev=[::]:1 api= cluster=", ""},
		{"a command", []string{"status", "-format=json"}, nil, "vault status -format=json dev= api= cluster=", ""},
		{"a command named like the shell's own", []string{"read", "a b"}, nil, "vault read a b dev= api= cluster=", ""},
		{"a program", []string{"echo", "a"}, nil, "a", ""},
		{"a program by its path", []string{filepath.Join(bin, "echo"), "a"}, nil, "a", ""},
		{"configuration as JSON", []string{"server"}, []string{`VAULT_LOCAL_CONFIG={"ui": "a\n$HOME"}`},
			"vault server -config=DIR dev=0.0.0.0:8200 api= cluster=", "local.json {\"ui\": \"a\\n$HOME\"}\n"},
		{"configuration as HCL", []string{"server"}, []string{"VAULT_LOCAL_CONFIG=ui = true"},
			"vault server -config=DIR dev=0.0.0.0:8200 api= cluster=", "local.hcl ui = true\n"},
		{"addresses of interfaces", []string{"vault"}, []string{"VAULT_REDIRECT_INTERFACE=lo", "VAULT_CLUSTER_INTERFACE=lo"},
			"Using lo for VAULT_API_ADDR: http://127.0.0.1:8200\nUsing lo for VAULT_CLUSTER_ADDR: https://127.0.0.1:8201\n" +
				"vault dev= api=http://127.0.0.1:8200 cluster=https://127.0.0.1:8201", ""},
		{"an interface that is not there", []string{"vault"}, []string{"VAULT_CLUSTER_INTERFACE=none9"},
			"docker-entrypoint.sh: interface none9 has no IPv4 address", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := t.TempDir()
			cmd := shell(t.Context(), bin, append(test.env, "VAULT_CONFIG_DIR="+config), append([]string{script}, test.args...)...)
			out, _ := cmd.CombinedOutput()
			got := strings.ReplaceAll(strings.TrimSpace(string(out)), config, "DIR")
			if got != test.want && !strings.HasSuffix(got, "\n"+test.want) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			file := ""
			entries, _ := os.ReadDir(config)
			for _, entry := range entries {
				content, _ := os.ReadFile(filepath.Join(config, entry.Name()))
				file += entry.Name() + " " + string(content)
			}
			if file != test.file {
				t.Errorf("the configuration's folder has %q, want %q", file, test.file)
			}
		})
	}
}

// The chart's preStop hook finds the server by `pidof vault`; the entrypoint must have become the server, too.
func testProcessName(t *testing.T, o opened) {
	bin := filepath.Join(o.write(t), "bin")
	script := filepath.Join(bin, "../usr/local/bin/docker-entrypoint.sh")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	server := shell(t.Context(), bin, []string{"HOME=" + t.TempDir(), "VAULT_DEV_LISTEN_ADDRESS=" + free.Addr().String()}, script, "vault", "server", "-dev", "-dev-no-store-token")
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(stdout); lines.Scan() && !strings.HasPrefix(lines.Text(), "Root Token:"); { // the last it says when it has started
	}
	out, err := shell(t.Context(), bin, nil, "-c", "pidof vault").CombinedOutput()
	if pid := fmt.Sprint(server.Process.Pid); err != nil || !slices.Contains(strings.Fields(string(out)), pid) {
		t.Errorf("pidof vault: %q, %v; the server is process %s", out, err, pid)
	}
	testServesUI(t, "http://"+free.Addr().String())
	if err := server.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, stdout); err != nil {
		t.Error(err)
	}
	if err := server.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
}

// testServesUI asks for the web UI's page, for what it loads, and for the list of what is in it: the page that says how to build the UI has none of these.
func testServesUI(t *testing.T, address string) {
	get := func(path string) string {
		answer, err := http.Get(address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", path, answer.Status, err)
		}
		return string(body)
	}
	page := get("/ui/")
	script := regexp.MustCompile(`src="(/ui/assets/[^"]+\.js)"`).FindStringSubmatch(page)
	if script == nil {
		t.Fatalf("the image's server has no web UI; its page is\n%s", page)
	}
	if got := get(script[1]); len(got) < 100<<10 {
		t.Errorf("%s is %d bytes", script[1], len(got))
	}
	if list := get("/ui/licences.json"); !strings.Contains(list, `"name":"react"`) || !strings.Contains(list, `"name":"Go"`) || strings.Contains(list, `"licence":""`) {
		t.Errorf("the list of parts: %.2000s", list)
	}
}

func TestAppletsAreBusyboxs(t *testing.T) {
	debs, err := fetchPackages(t.Context(), []string{runtime.GOARCH})
	if err != nil {
		t.Fatal(err)
	}
	content, err := debs[runtime.GOARCH].busybox.file("bin/busybox", "usr/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	busybox := filepath.Join(t.TempDir(), "busybox")
	if err := os.WriteFile(busybox, content, 0o755); err != nil {
		t.Fatal(err)
	}
	listed, err := output(t.Context(), "", busybox, "--list")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range applets() {
		if !slices.Contains(strings.Fields(listed), name) {
			t.Errorf("busybox has no %s", name)
		}
	}
}

func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"":                                     "say which version: -version 0.1.0",
		"-version=1 -arch=riscv64":             `-arch "riscv64" is not amd64 or arm64`,
		"-version=1 -arch=amd64,amd64":         "-arch amd64,amd64 names one twice",
		"-version=1 x":                         `unexpected argument "x"; see -h`,
		"-version=1 -rootfs":                   "-rootfs is for one architecture: give it by -arch",
		"-version=1 -rootfs -arch arm64":       "<nil>",
		"-version=1 -arch arm64,amd64 -out=/x": "<nil>",
	} {
		if _, err := parse(strings.Fields(args), io.Discard); fmt.Sprint(err) != want {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}
