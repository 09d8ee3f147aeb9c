package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

//go:embed docker-entrypoint.sh
var entrypoint []byte

// Who runs in the images. Other charts' manifests name 100:1000, so it is what the server's must be.
const (
	vaultUID, vaultGID = 100, 1000
	serverPasswd       = "root:x:0:0:root:/:/bin/sh\nvault:x:100:1000:vault:/home/vault:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
	serverGroup        = "root:x:0:\nvault:x:1000:\nnobody:x:65534:\n"
	operatorPasswd     = "root:x:0:0:root:/:/bin/false\nnonroot:x:65532:65532:nonroot:/:/bin/false\n"
	operatorGroup      = "root:x:0:\nnonroot:x:65532:\n"
)

const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// serverConfig is how the server's image runs: without arguments, as a
// development server, as those of the well-known image do.
func serverConfig() v1.Config {
	return v1.Config{
		User:         "100:1000",
		WorkingDir:   "/",
		Env:          []string{searchPath, "HOME=/home/vault"},
		ExposedPorts: map[string]struct{}{"8200/tcp": {}, "8201/tcp": {}},
		Entrypoint:   []string{"docker-entrypoint.sh"},
		Cmd:          []string{"server", "-dev"},
	}
}

func operatorConfig() v1.Config {
	return v1.Config{
		User:         "65532:65532",
		WorkingDir:   "/",
		Env:          []string{searchPath},
		ExposedPorts: map[string]struct{}{"8080/tcp": {}, "8081/tcp": {}},
		Entrypoint:   []string{"/strongroom-operator"},
	}
}

// applets are the names that busybox has in the server's image: what its charts' scripts, its entrypoint
// and someone who looks around in a pod need. `busybox NAME` runs the others.
func applets() []string {
	return []string{
		"[", "[[", "ash", "awk", "base64", "basename", "cat", "chgrp", "chmod", "chown", "clear", "cmp", "cp", "cut", "date", "dd", "df",
		"diff", "dirname", "du", "echo", "egrep", "env", "expr", "false", "fgrep", "find", "free", "getopt", "grep", "gunzip", "gzip", "head",
		"hexdump", "hostname", "id", "ip", "kill", "killall", "less", "ln", "ls", "md5sum", "mkdir", "mkfifo", "mktemp", "more", "mv", "nc",
		"netstat", "nproc", "nslookup", "od", "paste", "pidof", "ping", "printf", "ps", "pwd", "readlink", "realpath", "rm", "rmdir", "sed",
		"seq", "sh", "sha256sum", "sleep", "sort", "stat", "stty", "sync", "tail", "tar", "tee", "telnet", "test", "time", "timeout", "top",
		"touch", "tr", "traceroute", "true", "tty", "uname", "uniq", "unzip", "uptime", "vi", "watch", "wc", "wget", "which", "whoami", "xargs",
		"xxd", "yes", "zcat",
	}
}

// packages are the Debian packages that the images take files from.
type packages struct{ busybox, certificates, base deb }

// system is what an image has below its program: accounts and certificate authorities.
func (p packages) system(passwd, group string) (tree, error) {
	t := tree{}
	t.add("etc/passwd", 0o644, []byte(passwd))
	t.add("etc/group", 0o644, []byte(group))
	certificates, err := p.certificates.certificates()
	if err != nil {
		return nil, err
	}
	t.add("etc/ssl/certs/ca-certificates.crt", 0o644, certificates)
	return t, p.copyright(t, p.certificates)
}

// copyright adds the notices of d, which Debian's rules have every package carry.
func (p packages) copyright(t tree, d deb) error {
	notice, err := d.file("usr/share/doc/" + d.name + "/copyright")
	if err != nil {
		return err
	}
	t.add("usr/share/doc/"+d.name+"/copyright", 0o644, notice)
	return nil
}

// serverSystem adds busybox, and the folders that the server and its chart write to. busybox is a program of its
// own under the GPL, version 2: its licence and where its source is go with it.
func (p packages) serverSystem() (tree, error) {
	t, err := p.system(serverPasswd, serverGroup)
	if err != nil {
		return nil, err
	}
	busybox, err := p.busybox.file("bin/busybox", "usr/bin/busybox")
	if err != nil {
		return nil, err
	}
	gpl, err := p.base.file("usr/share/common-licenses/GPL-2")
	if err != nil {
		return nil, err
	}
	t.add("bin/busybox", 0o755, busybox)
	for _, name := range applets() {
		t.symlink("bin/"+name, "busybox")
	}
	t.add("usr/share/common-licenses/GPL-2", 0o644, gpl)
	t.add("usr/share/doc/busybox-static/SOURCE", 0o644, fmt.Appendf(nil, "/bin/busybox is Debian's package busybox-static %s (%s), unchanged.\n"+
		"Its source is Debian's source package %s; linked into it: %s.\n"+
		"Debian keeps every version of them in its snapshot archive; apt-get source fetches the current one.\n",
		p.busybox.version, p.busybox.arch, p.busybox.source, p.busybox.builtUsing))
	t.mkdir("tmp", 0o1777, 0, 0)
	for _, dir := range []string{"home/vault", "vault", "vault/config", "vault/data", "vault/file", "vault/logs"} {
		t.mkdir(dir, 0o755, vaultUID, vaultGID)
	}
	return t, p.copyright(t, p.busybox)
}

// program is the layer of what is built here: binary at path, and the licences of all in it.
func (s source) program(ctx context.Context, p program, path string) (tree, error) {
	binary, err := os.ReadFile(p.path)
	if err != nil {
		return nil, err
	}
	licence, err := os.ReadFile(filepath.Join(s.root, "LICENSE"))
	if err != nil {
		return nil, err
	}
	others, err := s.licences(ctx, p)
	if err != nil {
		return nil, err
	}
	t := tree{}
	t.add(path, 0o755, binary)
	t.add("usr/share/doc/strongroom/LICENSE", 0o644, licence)
	t.add("usr/share/doc/strongroom/THIRD-PARTY", 0o644, others)
	return t, nil
}

// serverProgram has the one binary under both names. What runs it as vault is called so in the process table, which is
// where pidof looks.
func (s source) serverProgram(ctx context.Context, p program) (tree, error) {
	t, err := s.program(ctx, p, "bin/strongroom")
	if err != nil {
		return nil, err
	}
	t.symlink("bin/vault", "strongroom")
	t.add("usr/local/bin/docker-entrypoint.sh", 0o755, entrypoint)
	return t, nil
}
