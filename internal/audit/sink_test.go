package audit

import (
	"bufio"
	"errors"
	"io"
	"log/syslog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"strongroom/internal/storage"
)

// opened makes the sink of s as the configuration would, or as the API if untrusted.
func opened(t *testing.T, o Options, s Spec, trusted bool) (sink, error) {
	t.Helper()
	l, err := Open(nil, o)
	if err != nil {
		t.Fatal(err)
	}
	to, _, err := l.sink(s, trusted)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { to.close() })
	if p, ok := to.(interface{ probe() error }); ok {
		err = p.probe()
	}
	return to, err
}

func put(to sink, lines ...string) error {
	var all []byte
	var ends []int
	for _, l := range lines {
		all = append(all, l+"\n"...)
		ends = append(ends, len(all))
	}
	return to.write(all, ends, time.Now().Add(5*time.Second))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func fileText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return string(b)
}

func TestFileIsAppendedTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	must(t, os.WriteFile(path, []byte("{\"time\":\"…\"}\n"), 0o644))
	for _, mode := range []struct{ given, want string }{{"", "-rw-------"}, {"0640", "-rw-r-----"}, {"0000", "-rw-r-----"}} {
		to, err := opened(t, Options{}, Spec{Type: "file", Options: map[string]string{"file_path": path, "mode": mode.given}}, true)
		must(t, err)
		must(t, put(to, "a", "b"))
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode().String() != mode.want {
			t.Errorf("mode %q makes it %v", mode.given, info.Mode())
		}
	}
	if got := fileText(t, path); got != "{\"time\":\"…\"}\na\nb\na\nb\na\nb\n" {
		t.Errorf("the file holds %q", got)
	}
}

// A file that was moved away, deleted or truncated is followed; SIGHUP is at once.
func TestFileIsRotated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	to, err := opened(t, Options{}, Spec{Type: "file", Options: map[string]string{"file_path": path}}, true)
	must(t, err)
	f := to.(*file)
	must(t, put(to, "1"))
	must(t, os.Rename(path, path+".1"))
	must(t, put(to, "2")) // within the second: it goes to the old file, which still is the log
	f.looked = time.Now().Add(-lookEvery)
	must(t, put(to, "3"))
	must(t, os.Remove(path))
	to.reopen()
	must(t, put(to, "4"))
	must(t, os.Truncate(path, 0)) // logrotate's copytruncate
	must(t, put(to, "5"))
	if old, now := fileText(t, path+".1"), fileText(t, path); old != "1\n2\n" || now != "5\n" {
		t.Errorf("the files hold %q and %q", old, now)
	}
	must(t, os.Rename(filepath.Dir(path), filepath.Dir(path)+"-gone"))
	f.looked = time.Now().Add(-lookEvery)
	if err := put(to, "6"); err == nil { // not into a file that nobody finds
		t.Error("the folder is gone, and it records")
	}
	must(t, os.Mkdir(filepath.Dir(path), 0o700))
	must(t, put(to, "7"))
	if now := fileText(t, path); now != "7\n" {
		t.Errorf("the file holds %q", now)
	}
}

// A full disk is an error; what was torn by it does not spoil the next record.
func TestFileOnAFullDisk(t *testing.T) {
	to, err := opened(t, Options{}, Spec{Type: "file", Options: map[string]string{"file_path": "/dev/full"}}, true)
	must(t, err)
	if err := put(to, "x"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
	path := filepath.Join(t.TempDir(), "audit.log")
	to, err = opened(t, Options{}, Spec{Type: "file", Options: map[string]string{"file_path": path}}, true)
	must(t, err)
	f := to.(*file)
	f.torn = true
	must(t, put(to, "whole"))
	if got := fileText(t, path); got != "\nwhole\n" || f.torn {
		t.Errorf("the file holds %q", got)
	}
}

// Whoever may enable a device must not write where it is run, loaded or read as
// something else (CVE-2025-6000: audit files that became plugins).
func TestLessonAuditPathsNeverIntoExecutableOrPluginFolders(t *testing.T) {
	dir := t.TempDir()
	plugins, data, logs := filepath.Join(dir, "plugins"), filepath.Join(dir, "data"), filepath.Join(dir, "logs")
	for _, d := range []string{plugins, data, logs, filepath.Join(plugins, "deep")} {
		must(t, os.Mkdir(d, 0o700))
	}
	must(t, os.Symlink(plugins, filepath.Join(logs, "link")))
	must(t, os.WriteFile(filepath.Join(plugins, "a.log"), nil, 0o600))
	must(t, os.Symlink(filepath.Join(plugins, "a.log"), filepath.Join(logs, "linked.log")))
	must(t, os.WriteFile(filepath.Join(logs, "script"), []byte("#!/bin/sh\n"), 0o700))
	must(t, os.WriteFile(filepath.Join(logs, "profile"), []byte("export A=b\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(logs, "vault.log"), []byte(`{"time":"2025-01-01T00:00:00Z","type":"request"}`+"\n"), 0o600))
	must(t, os.Symlink(filepath.Join(logs, "vault.log"), filepath.Join(logs, "ours.log")))
	must(t, syscall.Mkfifo(filepath.Join(logs, "pipe"), 0o600))
	config := filepath.Join(dir, "config.hcl")
	must(t, os.WriteFile(config, nil, 0o600))
	self, err := os.Executable()
	must(t, err)
	t.Setenv("PATH", filepath.Join(dir, "tools")+":"+os.Getenv("PATH"))
	must(t, os.Mkdir(filepath.Join(dir, "tools"), 0o700))
	for _, c := range []struct{ path, mode, declared, api string }{
		{filepath.Join(logs, "new.log"), "", "", ""},
		{filepath.Join(logs, "new.log"), "0755", "executable", "executable"},
		{filepath.Join(logs, "new.log"), "4600", "octal", "octal"},
		{filepath.Join(logs, "new.log"), "u+x", "octal", "octal"},
		{filepath.Join(plugins, "x"), "", "folder of programs", "folder of programs"},
		{filepath.Join(plugins, "deep", "x"), "", "folder of programs", "folder of programs"},
		{filepath.Join(logs, "link", "x"), "", "folder of programs", "folder of programs"},
		{filepath.Join(logs, "..", "plugins", "x"), "", "folder of programs", "folder of programs"},
		{filepath.Join(logs, "linked.log"), "", "folder of programs", "symbolic link"},
		{filepath.Join(data, "x"), "", "folder of programs", "folder of programs"},
		{config, "", "folder of programs", "folder of programs"},
		{filepath.Join(dir, "tools", "x"), "", "folder of programs", "folder of programs"},
		{filepath.Dir(self) + "/x", "", "folder of programs", "folder of programs"},
		{"/etc/x", "", "folder of programs", "folder of programs"},
		{"/proc/self/fd/1", "", "file_path", "file_path"},
		{filepath.Join(logs, "script"), "", "executable file", "executable file"},
		{filepath.Join(logs, "profile"), "", "", "no audit log"},
		{filepath.Join(logs, "vault.log"), "", "", ""},
		{filepath.Join(logs, "ours.log"), "", "", "symbolic link"},
		{filepath.Join(logs, "pipe"), "", "-", "cannot be appended to"}, // trusted, it waits for a reader
		{"/dev/full", "", "", "no ordinary file"},
		{filepath.Join(dir, "missing", "x"), "", "folder of file_path", "folder of file_path"},
		{"", "", "file_path is needed", "file_path is needed"},
		{"stdout", "", "", ""},
		{"discard", "", "", ""},
	} {
		for trusted, want := range map[bool]string{true: c.declared, false: c.api} {
			if want == "-" {
				continue
			}
			_, err := opened(t, Options{Forbidden: []string{plugins, data, config}, Stdout: io.Discard}, Spec{Type: "file", Options: map[string]string{"file_path": c.path, "mode": c.mode}}, trusted)
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s, mode %q, declared %v: got %v, want %q", c.path, c.mode, trusted, err, want)
			}
		}
	}
}

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		kind, options, want string // options as name=value|…
		prefix              bool   // the configuration lets devices have one
	}{
		{"file", "file_path=stdout|log_raw=true|hmac_accessor=0|elide_list_responses=t|format=json|skip_test=true|write_timeout=5s", "", false},
		{"file", "file_path=stdout|format=jsonx", `format "jsonx" is not in this release: use "json"`, false},
		{"file", "file_path=stdout|format=xml", "format must be", false},
		{"file", "file_path=stdout|filter=operation == read", `option "filter" is not in this release`, false},
		{"file", "file_path=stdout|fallback=true", `option "fallback" is not in this release`, false},
		{"file", "file_path=stdout|exclude=[]", `option "exclude" is not in this release`, false},
		{"file", "file_path=stdout|fil_path=x", `unknown option "fil_path"`, false},
		{"file", "file_path=stdout|log_raw=maybe", "log_raw must be true or false", false},
		{"file", "file_path=stdout|write_timeout=0", "write_timeout must be", false},
		{"file", "file_path=stdout|write_timeout=2h", "write_timeout must be", false},
		{"file", "file_path=stdout|prefix=@cee: ", "allow_audit_log_prefixing", false},
		{"file", "file_path=stdout|prefix=@cee: ", "", true},
		{"file", "file_path=stdout|prefix=a\nb", "one line", true},
		{"socket", "address=127.0.0.1:9090|write_timeout=2", "", false},
		{"socket", "address=/tmp/s|socket_type=unix", "", false},
		{"socket", "", "address must be host:port", false},
		{"socket", "address=x|socket_type=unix2", "socket_type must be", false},
		{"socket", "socket_type=unixgram", "path of the Unix socket", false},
		{"syslog", "facility=local3|tag=x", "", false},
		{"syslog", "facility=-", "facility must be", false},
		{"syslog", "facility=x", "facility must be", false},
		{"http", "uri=https://logs.example.com/x", "", false},
		{"http", "uri=ftp://x", "uri must be", false},
		{"http", "uri=http://x|headers={", "headers must be", false},
		{"http", "uri=env://HOME", "uri refers to the server's env", false},
		{"http", `uri=http://x|headers={"A":["file:///etc/passwd"]}`, "headers refers to the server's file", false},
		{"carrier-pigeon", "", "unknown audit device type", false},
	} {
		options := map[string]string{}
		for pair := range strings.SplitSeq(c.options, "|") {
			if k, v, ok := strings.Cut(pair, "="); ok {
				options[k] = v
			}
		}
		_, err := opened(t, Options{Stdout: io.Discard, AllowPrefix: c.prefix}, Spec{Type: c.kind, Options: options}, false)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: got %v, want %q", c.kind, c.options, err, c.want)
		}
	}
}

// listener collects the lines that come over a stream.
func listener(t *testing.T, network, address string) (net.Listener, chan string) {
	t.Helper()
	ln, err := net.Listen(network, address)
	must(t, err)
	t.Cleanup(func() { ln.Close() })
	lines := make(chan string, 100)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for s := bufio.NewScanner(conn); s.Scan(); {
					lines <- s.Text()
					if s.Text() == "bye" {
						return
					}
				}
			}()
		}
	}()
	return ln, lines
}

func want(t *testing.T, lines chan string, text string) {
	t.Helper()
	select {
	case got := <-lines:
		if got != text {
			t.Errorf("received %q, want %q", got, text)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("%q does not come", text)
	}
}

func TestSocketStream(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		address := map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")}[network]
		ln, lines := listener(t, network, address)
		to, err := opened(t, Options{}, Spec{Type: "socket", Options: map[string]string{"socket_type": network, "address": ln.Addr().String()}}, true)
		must(t, err)
		s := to.(*socket)
		must(t, put(to, "a", "b"))
		want(t, lines, "a")
		want(t, lines, "b")
		// The other end closes: noticed before a record is lost in it.
		must(t, put(to, "bye"))
		want(t, lines, "bye")
		waitFor(t, func() bool { return s.gone.Load() })
		must(t, put(to, "c"))
		want(t, lines, "c")
		// Nobody listens any more: an error, and no new try for a moment.
		ln.Close()
		to.reopen()
		if err := put(to, "d"); err == nil {
			t.Error("recorded to nobody")
		}
		if err := put(to, "e"); err == nil || !strings.Contains(err.Error(), "a moment ago") {
			t.Errorf("tried again: %v", err)
		}
	}
}

func TestSocketDatagrams(t *testing.T) {
	for _, network := range []string{"udp", "unixgram"} {
		address := map[string]string{"udp": "127.0.0.1:0", "unixgram": filepath.Join(t.TempDir(), "s")}[network]
		conn, err := net.ListenPacket(network, address)
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		to, err := opened(t, Options{}, Spec{Type: "socket", Options: map[string]string{"socket_type": network, "address": conn.LocalAddr().String()}}, true)
		must(t, err)
		must(t, put(to, "a", "b"))
		buf := make([]byte, 100)
		for _, want := range []string{"a\n", "b\n"} {
			must(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
			n, _, err := conn.ReadFrom(buf)
			if err != nil || string(buf[:n]) != want {
				t.Errorf("%s: received %q, %v", network, buf[:n], err)
			}
		}
	}
}

// A peer that takes nothing holds a record up for the timeout only.
func TestSocketThatDoesNotRead(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	to, err := opened(t, Options{}, Spec{Type: "socket", Options: map[string]string{"address": ln.Addr().String()}}, true)
	must(t, err)
	big := strings.Repeat("x", 32<<20)
	start := time.Now()
	if err := to.write([]byte(big), []int{len(big)}, start.Add(200*time.Millisecond)); err == nil || time.Since(start) > 5*time.Second {
		t.Errorf("took %v: %v", time.Since(start), err)
	}
}

func TestSyslog(t *testing.T) {
	address := filepath.Join(t.TempDir(), "log")
	conn, err := net.ListenPacket("unixgram", address)
	must(t, err)
	defer conn.Close()
	s := newSystem(func() (*syslog.Writer, error) {
		return syslog.Dial("unixgram", address, syslog.LOG_AUTH|syslog.LOG_INFO, "vault")
	})
	must(t, put(s, `{"a":1}`, `{"b":2}`))
	buf := make([]byte, 1000)
	for _, want := range []string{`{"a":1}`, `{"b":2}`} {
		n, _, err := conn.ReadFrom(buf)
		if got := string(buf[:n]); err != nil || !strings.HasPrefix(got, "<38>") || !strings.Contains(got, " vault[") || !strings.HasSuffix(got, want+"\n") {
			t.Errorf("received %q, %v", got, err)
		}
	}
	must(t, s.close())
	broken := newSystem(func() (*syslog.Writer, error) { return nil, errors.New("no syslog here") })
	for _, want := range []string{"no syslog here", "a moment ago"} {
		if err := put(broken, "x"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without syslog: %v", err)
		}
	}
}

func TestHTTP(t *testing.T) {
	var mu sync.Mutex
	var bodies []string
	var status atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		bodies = append(bodies, r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type")+" "+strings.Join(r.Header["X-Key"], ",")+"\n"+string(body))
		w.WriteHeader(int(status.Load()))
	}))
	defer server.Close()
	t.Setenv("AUDIT_KEY", "from the environment")
	secret := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(secret, []byte("from a file\n"), 0o600))
	to, err := opened(t, Options{}, Spec{Type: "http", Options: map[string]string{"uri": server.URL + "/in", "headers": `{"X-Key":["env://AUDIT_KEY","file://` + secret + `","plain"]}`}}, true)
	must(t, err)
	status.Store(http.StatusNoContent)
	must(t, put(to, "{}", "[]"))
	mu.Lock()
	if want := "POST /in application/x-ndjson from the environment,from a file,plain\n{}\n[]\n"; bodies[0] != want {
		t.Errorf("received %q, want %q", bodies[0], want)
	}
	mu.Unlock()
	for _, code := range []int{http.StatusInternalServerError, http.StatusForbidden, http.StatusFound} {
		status.Store(int32(code))
		if err := put(to, "{}"); err == nil || !strings.Contains(err.Error(), "the HTTP server answered") {
			t.Errorf("%d: %v", code, err)
		}
	}
	server.Close()
	to, err = opened(t, Options{}, Spec{Type: "http", Options: map[string]string{"uri": strings.Replace(server.URL, "http://", "http://user:PASSWORD@", 1) + "/in?key=PASSWORD"}}, true)
	must(t, err)
	for _, want := range []string{"refused", "a moment ago"} {
		if err := put(to, "x"); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "PASSWORD") {
			t.Errorf("without a server: %v", err)
		}
	}
}

// What sys/audit shows of a device holds no secret that its options do.
func TestLessonListedDevicesShowNoSecret(t *testing.T) {
	j, store := journal(t, Options{}, Spec{Path: "h", Type: "http", Options: map[string]string{"uri": "https://u:PASSWORD@x/y", "headers": `{"A":["PASSWORD"]}`}},
		Spec{Path: "i", Type: "http", Options: map[string]string{"uri": "https://x/y"}})
	list, err := j.List(t.Context(), storage.Begin(store))
	must(t, err)
	for _, l := range list {
		b, err := l.MarshalJSON()
		must(t, err)
		if strings.Contains(string(b), "PASSWORD") || l.Path == "i/" && !strings.Contains(string(b), "https://x/y") {
			t.Errorf("shown: %s", b)
		}
	}
}

func TestLessonAuditDevicesAreDeclaredInTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	file := func(path, name string) Spec {
		return Spec{Path: path, Type: "file", Options: map[string]string{"file_path": filepath.Join(dir, name)}}
	}
	for want, specs := range map[string][]Spec{
		"two devices at a/ and a/b/": {file("a", "1"), file("a/b", "2")}, "invalid audit device path": {file("../a", "1")}, "folder of file_path cannot be used": {file("a", "no/such")},
		`audit device a/: unknown option "x"`: {{Path: "a", Type: "file", Options: map[string]string{"file_path": "discard", "x": "y"}}},
	} {
		if _, err := Open(specs, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	j, store := journal(t, Options{}, file("a", "1"))
	tx := storage.Begin(store)
	if err := j.Enable(t.Context(), tx, file("b", "2")); err == nil || !strings.Contains(err.Error(), "cannot enable audit device via API") || !strings.Contains(err.Error(), "unsafe_allow_api_audit_creation") {
		t.Errorf("enabling is not allowed: %v", err)
	}
	if err := j.Disable(t.Context(), tx, "a"); err == nil || !strings.Contains(err.Error(), "declared in the server's configuration") {
		t.Errorf("disabling what is declared: %v", err)
	}
	must(t, j.Disable(t.Context(), tx, "b"))
	if tx.Dirty() {
		t.Error("disabling nothing writes")
	}
}
