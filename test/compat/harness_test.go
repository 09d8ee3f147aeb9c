// Package compat holds the server and its command line to what programs written for Vault expect of it. Everything runs as a process from the
// built binary, called vault on the PATH; the clients are those that people use: hashicorp/vault/api,
// openbao/api, node-vault, hvac, and a shell.
package compat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"strongroom/test/cluster"
)

// binDir is a folder with the program in it, as vault.
var binDir string

func TestMain(m *testing.M) {
	for _, entry := range os.Environ() { // neither the client library nor a child may see the developer's own server
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "VAULT_") {
			os.Unsetenv(name)
		}
	}
	var err error
	if binDir, err = cluster.Build(context.Background(), os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// server is a running server process.
type server struct {
	addr string // URL
	home string // its HOME
	proc *cluster.Process
}

// output is what the process has written so far.
func (s *server) output() string {
	text, err := os.ReadFile(s.proc.Log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// await waits until the process has written text.
func (s *server) await(t *testing.T, text string) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		if out := s.output(); !strings.Contains(out, text) {
			return fmt.Errorf("the server has not written %q but:\n%s", text, out)
		}
		return s.alive()
	})
}

// alive says whether the process still runs.
func (s *server) alive() error {
	select {
	case <-s.proc.Exited():
		return s.proc.Failure()
	default:
		return nil
	}
}

// eventually asks until ok says nil, and fails with its last word after limit.
func eventually(t *testing.T, limit time.Duration, ok func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s: %v", limit, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// freeAddr is a loopback address whose port, and the one above it, nobody has.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := ln.Addr().(*net.TCPAddr).Port
		above, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		ln.Close()
		if err == nil {
			above.Close()
			return fmt.Sprintf("127.0.0.1:%d", port)
		}
	}
	t.Fatal("no two free ports in a row")
	return ""
}

// start runs `vault server` with args, in a home of its own; it ends with the test.
func start(t *testing.T, addr string, args ...string) *server {
	t.Helper()
	s := &server{addr: addr, home: t.TempDir()}
	cmd := exec.Command(filepath.Join(binDir, "vault"), append([]string{"server"}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+s.home)
	supervisor := cluster.NewSupervisor()
	var err error
	if s.proc, err = supervisor.Start(cmd, filepath.Join(s.home, "server.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.proc.Stop(); err != nil {
			t.Error(err)
		}
		supervisor.Close()
		if t.Failed() {
			t.Logf("the server's output:\n%s", s.output())
		}
	})
	return s
}

// startDev runs a development server whose root token is "root".
func startDev(t *testing.T, more ...string) *server {
	t.Helper()
	addr := freeAddr(t)
	s := start(t, "http://"+addr, append([]string{"-dev", "-dev-root-token-id=root", "-dev-listen-address=" + addr}, more...)...)
	s.await(t, "Root Token: root\n")
	return s
}

// startFile runs a server of one node on disk, with further configuration; it is not initialized.
func startFile(t *testing.T, more string) *server {
	t.Helper()
	addr, dir := freeAddr(t), t.TempDir()
	config := filepath.Join(dir, "strongroom.hcl")
	text := fmt.Sprintf("disable_mlock = true\nlistener \"tcp\" {\n  address = %q\n  tls_disable = true\n}\nstorage \"file\" {\n  path = %q\n}\n%s",
		addr, filepath.Join(dir, "data"), more)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "http://"+addr, "-config="+config)
	s.awaitAPI(t)
	return s
}

// awaitAPI waits until the server answers.
func (s *server) awaitAPI(t *testing.T) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		resp, err := http.Get(s.addr + "/v1/sys/seal-status")
		if err != nil {
			return err
		}
		resp.Body.Close()
		return s.alive()
	})
}

// client is the stock Go client with token.
func (s *server) client(t *testing.T, token string) *api.Client {
	t.Helper()
	return newClient(t, s.addr, token)
}

func newClient(t *testing.T, addr, token string) *api.Client {
	t.Helper()
	config := api.DefaultConfig()
	config.Address, config.MaxRetries = addr, 0
	config.HttpClient.Transport = watched{t, config.HttpClient.Transport}
	c, err := api.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	c.SetToken(token)
	return c
}

// unsealed initializes the server and unseals it with three of its five shares.
func (s *server) unsealed(t *testing.T) (root *api.Client, shares []string) {
	t.Helper()
	c := s.client(t, "")
	made, err := c.Sys().Init(&api.InitRequest{SecretShares: 5, SecretThreshold: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, share := range made.KeysB64[1:4] {
		if _, err := c.Sys().Unseal(share); err != nil {
			t.Fatal(err)
		}
	}
	c.SetToken(made.RootToken)
	return c, made.KeysB64
}

// must fails the test on an error, and returns the value else.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// refused checks that the server refused, with that status and a first error text that contains text; "" is no text at all.
func refused(t *testing.T, err error, status int, text string) {
	t.Helper()
	var re *api.ResponseError
	switch {
	case !errors.As(err, &re):
		t.Errorf("error %v, want status %d", err, status)
	case re.StatusCode != status:
		t.Errorf("status %d, want %d: %v", re.StatusCode, status, err)
	case text == "" && len(re.Errors) != 0, text != "" && (len(re.Errors) == 0 || !strings.Contains(re.Errors[0], text)):
		t.Errorf("errors %q, want %q", re.Errors, text)
	}
}
