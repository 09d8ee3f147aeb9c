package ui_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/test/cluster"
)

// machine is a folder of programs that is all of a PATH, as of a machine that has these and no others.
type machine struct{ bin, cache, log string }

// newMachine has what every Debian has; node, if it is not empty, is the version of its Node.js.
func newMachine(t *testing.T, node string, programs ...string) machine {
	t.Helper()
	m := machine{bin: t.TempDir(), cache: t.TempDir()}
	m.log = filepath.Join(m.cache, "log")
	for _, name := range []string{"bash", "env", "id", "mktemp", "rm", "tail", "mkdir", "chmod", "cat"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(m.bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	m.program(t, "id", "echo ${FAKE_UID:-0}")
	m.program(t, "apt-get", "echo apt-get $* >>"+m.log+"\n"+`[ "$1" != install ] || [ -z "${FAKE_APT_FAILS:-}" ] || { echo "E: no such package"; exit 100; }
for name; do case $name in make|chromium) printf '#!/bin/sh\n' >`+m.bin+`/$name; chmod +x `+m.bin+`/$name ;; npm) cat `+m.bin+`/.npm >`+m.bin+`/npm; cat `+m.bin+`/.node18 >`+m.bin+`/node; chmod +x `+m.bin+`/npm `+m.bin+`/node ;; esac; done`)
	// npm brings the Node.js that it is asked for; node answers whether it fits, which is what it is asked.
	m.file(t, ".npm", "#!/bin/sh\necho npm $* >>"+m.log+"\nmkdir -p "+m.own()+"\ncat "+m.bin+"/.node22 >"+m.own()+"/node\nchmod +x "+m.own()+"/node\n")
	for version, code := range map[string]string{"18": "1", "22": "0"} {
		m.file(t, ".node"+version, "#!/bin/sh\n[ \"$1\" = -e ] && exit "+code+"\necho v"+version+".0.0\n")
	}
	for _, name := range programs {
		m.program(t, name, "")
	}
	if node != "" {
		for from, to := range map[string]string{".npm": "npm", ".node" + node: "node"} {
			text, err := os.ReadFile(filepath.Join(m.bin, from))
			if err != nil {
				t.Fatal(err)
			}
			m.file(t, to, string(text))
		}
	}
	return m
}

// own is where a Node.js of our own comes.
func (m machine) own() string {
	return filepath.Join(m.cache, "strongroom", "node", "node_modules", ".bin")
}

func (m machine) program(t *testing.T, name, text string) { m.file(t, name, "#!/bin/sh\n"+text+"\n") }

func (m machine) file(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(m.bin, name)
	os.Remove(path) // it may be a link to the real one
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// run runs .ci/tools there; did is what it had installed.
func (m machine) run(t *testing.T, env ...string) (stdout, stderr, did string, err error) {
	t.Helper()
	root, err := cluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(m.bin, "bash"), filepath.Join(root, ".ci", "tools"))
	cmd.Env = append(env, "PATH="+m.bin, "XDG_CACHE_HOME="+m.cache, "HOME="+m.cache)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err = cmd.Run()
	log, _ := os.ReadFile(m.log) // there is none when nothing was installed
	return out.String(), complaints.String(), string(log), err
}

// A fresh Debian has none of it, and a Node.js that is too old: both are seen to, once.
func TestToolsOfAFreshDebian(t *testing.T) {
	m := newMachine(t, "")
	out, complaints, did, err := m.run(t)
	if err != nil || strings.TrimSpace(out) != m.own() {
		t.Fatalf("%v: %q\n%s", err, out, complaints)
	}
	for _, want := range []string{"apt-get update", "apt-get install -qy --no-install-recommends make npm chromium", "npm install", "node@22"} {
		if !strings.Contains(did, want) {
			t.Errorf("it did not: %s\nbut: %s", want, did)
		}
	}
	if again, _, did2, err := m.run(t); err != nil || again != out || did2 != did {
		t.Errorf("again: %v, %q, %s", err, again, did2)
	}
}

func TestToolsThatAreThere(t *testing.T) {
	if out, complaints, did, err := newMachine(t, "22", "make", "chromium").run(t); err != nil || out != "" || did != "" {
		t.Errorf("%v: %q, did %q\n%s", err, out, did, complaints)
	}
	out, complaints, did, err := newMachine(t, "18", "make", "chromium").run(t) // Debian's
	if err != nil || out == "" || strings.Contains(did, "apt-get") || !strings.Contains(did, "node@22") {
		t.Errorf("%v: %q, did %q\n%s", err, out, did, complaints)
	}
}

// Who may not install is told what to, and so is who could not.
func TestToolsThatCannotBe(t *testing.T) {
	_, complaints, did, err := newMachine(t, "22", "make").run(t, "FAKE_UID=1000")
	if err == nil || did != "" || !strings.Contains(complaints, "apt-get install chromium") {
		t.Errorf("not root: %v, %q, did %q", err, complaints, did)
	}
	_, complaints, _, err = newMachine(t, "22", "make").run(t, "FAKE_APT_FAILS=1")
	if err == nil || !strings.Contains(complaints, "no such package") || !strings.Contains(complaints, "could not be installed: chromium") {
		t.Errorf("apt-get fails: %v, %q", err, complaints)
	}
	m := newMachine(t, "18", "make", "chromium")
	m.program(t, "npm", "true")
	if _, complaints, _, err = m.run(t); err == nil || !strings.Contains(complaints, "no Node.js of 20.19") {
		t.Errorf("npm brings none: %v, %q", err, complaints)
	}
}
