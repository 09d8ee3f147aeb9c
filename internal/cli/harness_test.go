package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestMain(m *testing.M) {
	for _, entry := range os.Environ() { // the client library looks at the process's environment
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "VAULT_") {
			os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}

// fakeServer answers requests with canned JSON and remembers what it was asked.
type fakeServer struct {
	t       *testing.T
	url     string
	answers map[string]answer // "PUT secret/data/app"; a query is part of the key only if a key has one

	mu   sync.Mutex
	seen []seenRequest
}

type answer struct {
	status int
	body   string
}

func ok(body string) answer { return answer{200, body} }

var noContent = answer{204, ""}

type seenRequest struct {
	line   string // "PUT secret/data/app?version=2"
	body   string
	header http.Header
}

func serve(t *testing.T, answers map[string]answer) *fakeServer {
	t.Helper()
	f := &fakeServer{t: t, answers: answers}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	f.url = s.URL
	return f
}

func (f *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	line := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/v1/")
	full := line
	if r.URL.RawQuery != "" {
		full += "?" + r.URL.RawQuery
	}
	f.mu.Lock()
	f.seen = append(f.seen, seenRequest{full, strings.TrimSpace(string(body)), r.Header})
	f.mu.Unlock()
	got, found := f.answers[full]
	if !found {
		got, found = f.answers[line]
	}
	if !found {
		got = answer{404, `{"errors":[]}`}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(got.status)
	_, _ = io.WriteString(w, got.body)
}

// lines are the requests as "METHOD path body", the mount look-ups of kv left out.
func (f *fakeServer) lines() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	for _, s := range f.seen {
		if !strings.Contains(s.line, "sys/internal/ui/mounts/") {
			lines = append(lines, strings.TrimSpace(s.line+" "+s.body))
		}
	}
	return lines
}

func (f *fakeServer) last() seenRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.seen) == 0 {
		f.t.Fatal("the server saw no request")
	}
	return f.seen[len(f.seen)-1]
}

// terminal is one run of the program: what it is given, and where its home is.
type terminal struct {
	env      map[string]string
	stdin    string
	password *string // what is typed when asked; nil is no terminal
	outIsTTY bool
	errIsTTY bool
	programs map[string]Program
}

type result struct {
	code           int
	stdout, stderr string
}

func newTerminal(t *testing.T, server *fakeServer) *terminal {
	env := map[string]string{"HOME": t.TempDir(), "VAULT_TOKEN": "root-token"}
	if server != nil {
		env["VAULT_ADDR"] = server.url
	}
	return &terminal{env: env}
}

func (term *terminal) run(args ...string) result {
	var stdout, stderr bytes.Buffer
	sys := IO{
		Stdin:  strings.NewReader(term.stdin),
		Stdout: &stdout,
		Stderr: &stderr,
		LookupEnv: func(name string) (string, bool) {
			value, found := term.env[name]
			return value, found
		},
		OutIsTerminal: term.outIsTTY,
		ErrIsTerminal: term.errIsTTY,
	}
	if term.password != nil {
		sys.ReadPassword = func(context.Context) ([]byte, error) {
			if *term.password == "^C" {
				return nil, errors.New("interrupted")
			}
			return []byte(*term.password), nil
		}
	}
	build := Build{Version: "1.2.3", Revision: "abc123", Date: "2026-01-02T03:04:05Z"}
	code := Run(context.Background(), append([]string{"/usr/local/bin/vault"}, args...), sys, build, term.programs)
	return result{code, stdout.String(), stderr.String()}
}

func (term *terminal) tokenPath() string { return filepath.Join(term.env["HOME"], ".vault-token") }

// goldenCase is one command line against canned answers: what it prints, asks of the server and returns.
type goldenCase struct {
	name    string
	args    []string
	stdin   string
	answers map[string]answer
	code    int
	stdout  string
	stderr  string   // exact if not empty; must be empty if it is
	sent    []string // nil is unchecked
}

func runGolden(t *testing.T, cases []goldenCase) {
	t.Helper()
	for _, tc := range cases {
		name := tc.name
		if name == "" {
			name = strings.Join(tc.args, " ")
		}
		t.Run(name, func(t *testing.T) {
			server := serve(t, tc.answers)
			term := newTerminal(t, server)
			term.stdin = tc.stdin
			got := term.run(tc.args...)
			if got.code != tc.code {
				t.Errorf("exit code %d, want %d", got.code, tc.code)
			}
			expect := strings.NewReplacer("{url}", server.url)
			if want := expect.Replace(tc.stdout); got.stdout != want {
				t.Errorf("stdout:\n%s\nwant:\n%s", got.stdout, want)
			}
			if want := expect.Replace(tc.stderr); got.stderr != want {
				t.Errorf("stderr:\n%s\nwant:\n%s", got.stderr, want)
			}
			if tc.sent == nil {
				return
			}
			if lines := server.lines(); strings.Join(lines, "\n") != strings.Join(tc.sent, "\n") {
				t.Errorf("sent:\n%s\nwant:\n%s", strings.Join(lines, "\n"), strings.Join(tc.sent, "\n"))
			}
		})
	}
}
