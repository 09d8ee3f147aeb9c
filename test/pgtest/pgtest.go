// Package pgtest runs a real PostgreSQL for tests: one cluster in a folder that ends
// with the test, on a port of the loopback.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Cluster is a running PostgreSQL, whose superuser is postgres with Password.
type Cluster struct {
	Host     string // 127.0.0.1
	Port     int
	Password string
	Dir      string // its data; tests may put files there before Start

	bin  string
	run  *syscall.Credential // nil: as who tests
	args []string
	proc *exec.Cmd
	done chan struct{}
}

// patience is how long a cluster may take to start or stop.
const patience = time.Minute

// installing lets one test at a time ask for packages.
var installing sync.Mutex

// New makes a cluster and starts it; args are more of postgres's own.
func New(t testing.TB, args ...string) *Cluster {
	t.Helper()
	c, err := prepare(t)
	if err != nil {
		t.Fatal(err)
	}
	c.args = args
	c.Start(t)
	return c
}

func prepare(t testing.TB) (*Cluster, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	c := &Cluster{Host: "127.0.0.1", Password: "super-Secret-1", bin: bin}
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		who, err := user.Lookup("postgres")
		if err != nil {
			return nil, fmt.Errorf("a test that runs as root starts PostgreSQL as its package's user: %w", err)
		}
		uid, uerr := strconv.ParseUint(who.Uid, 10, 32)
		gid, gerr := strconv.ParseUint(who.Gid, 10, 32)
		if err := errors.Join(uerr, gerr); err != nil {
			return nil, err
		}
		c.run = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	top, err := os.MkdirTemp("", "strongroom-postgres-")
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	c.Dir = filepath.Join(top, "data")
	secret := filepath.Join(top, "password")
	if err := os.WriteFile(secret, []byte(c.Password), 0o644); err != nil { // in a folder of that user alone
		return nil, err
	}
	if c.run != nil {
		if err := os.Chown(top, int(c.run.Uid), int(c.run.Gid)); err != nil {
			return nil, err
		}
	}
	cmd := c.command("initdb", "-D", c.Dir, "-U", "postgres", "--pwfile="+secret, "--auth=scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	c.Port, err = freePort()
	return c, err
}

// programs is the folder of PostgreSQL's own programs, which Debian keeps off the
// PATH; its package is installed if there is none.
func programs() (string, error) {
	installing.Lock()
	defer installing.Unlock()
	if bin := find(); bin != "" {
		return bin, nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Getuid() != 0 {
		return "", errors.New("initdb and postgres are needed: install PostgreSQL (Debian: apt-get install postgresql)")
	}
	cmd := exec.Command("sh", "-c", `apt-get update -q && apt-get install -qy --no-install-recommends postgresql`)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("postgresql could not be installed: %w\n%s", err, out)
	}
	if bin := find(); bin != "" {
		return bin, nil
	}
	return "", errors.New("the package postgresql has no initdb")
}

func find() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is well-formed
	if len(found) > 0 {
		return filepath.Dir(slices.Max(found))
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	return ""
}

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

func (c *Cluster) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, program), args...)
	cmd.Dir = filepath.Dir(c.Dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.run, Pdeathsig: syscall.SIGQUIT}
	return cmd
}

// Start starts the cluster, and waits until it takes connections. It ends with the test.
func (c *Cluster) Start(t testing.TB) {
	t.Helper()
	log, err := os.Create(filepath.Join(filepath.Dir(c.Dir), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	args := []string{"-D", c.Dir, "-p", strconv.Itoa(c.Port), "-c", "listen_addresses=" + c.Host, "-c", "unix_socket_directories=", "-c", "fsync=off"}
	c.proc = c.command("postgres", append(args, c.args...)...)
	c.proc.Stdout, c.proc.Stderr = log, log
	if err := c.proc.Start(); err != nil {
		t.Fatal(err)
	}
	done, proc := make(chan struct{}), c.proc
	c.done = done
	go func() {
		proc.Wait()
		close(done)
	}()
	t.Cleanup(func() { c.end(t, proc, done) })
	deadline := time.Now().Add(patience)
	for {
		err := c.Login("postgres", c.Password)
		if err == nil {
			return
		}
		select {
		case <-done:
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("postgres ended:\n%s", text)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("postgres takes no connections: %v", err)
		}
	}
}

// With has more arguments of postgres's own count from the next Start on.
func (c *Cluster) With(args ...string) *Cluster {
	c.args = append(c.args, args...)
	return c
}

// Own gives the file at path to who runs the cluster.
func (c *Cluster) Own(t testing.TB, path string) {
	t.Helper()
	if c.run == nil {
		return
	}
	if err := os.Chown(path, int(c.run.Uid), int(c.run.Gid)); err != nil {
		t.Fatal(err)
	}
}

// Stop stops the cluster at once: connections break.
func (c *Cluster) Stop(t testing.TB) {
	t.Helper()
	c.end(t, c.proc, c.done)
}

func (c *Cluster) end(t testing.TB, proc *exec.Cmd, done chan struct{}) {
	proc.Process.Signal(syscall.SIGQUIT) // it may have ended
	select {
	case <-done:
	case <-time.After(patience):
		t.Error("postgres does not end")
		proc.Process.Kill()
	}
}

// URL is a connection_url to the database called name, with more options.
func (c *Cluster) URL(name, options string) string {
	return fmt.Sprintf("postgresql://{{username}}:{{password}}@%s:%d/%s?sslmode=disable%s", c.Host, c.Port, name, options)
}

func (c *Cluster) connect(ctx context.Context, user, password string) (*pgconn.PgConn, error) {
	return pgconn.Connect(ctx, fmt.Sprintf("host=%s port=%d user='%s' password='%s' dbname=postgres sslmode=disable connect_timeout=5", c.Host, c.Port, user, password))
}

// Login says why user cannot log in with password; nil: it can.
func (c *Cluster) Login(user, password string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := c.connect(ctx, user, password)
	if err == nil {
		conn.Close(ctx)
	}
	return err
}

// Query runs statements as the superuser and returns the rows of the last, each with
// its columns joined by '|'.
func (c *Cluster) Query(t testing.TB, statements string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := c.connect(ctx, "postgres", c.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	results, err := conn.Exec(ctx, statements).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
	rows := []string{}
	for _, row := range results[len(results)-1].Rows {
		columns := make([]string, len(row))
		for i, value := range row {
			columns[i] = string(value)
		}
		rows = append(rows, strings.Join(columns, "|"))
	}
	return rows
}
