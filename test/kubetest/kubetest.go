// Package kubetest runs a real Kubernetes control plane for tests and
// demonstrations: etcd, kube-apiserver and kube-controller-manager, built from
// source (test/kube), as ordinary processes on loopback. It needs no root, no
// container and no image, is ready in two to three seconds once built, and several
// run side by side, at about 600 MB of memory each.
//
// There are no nodes: pods are accepted and stay Pending. What the API server
// and the controllers do is the real thing: RBAC, TokenRequest and TokenReview,
// CRDs, admission, default service accounts and kube-root-ca.crt in new
// namespaces, token Secrets, garbage collection by owner, namespace deletion.
//
// The package never imports Kubernetes' server packages, so that the product's
// go.mod stays free of them.
package kubetest

import (
	"context"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// startLimit bounds a start that hangs; a warm one takes about 3 s.
	startLimit = time.Minute
	// pollEvery is the pause between looks at something that is about to happen.
	pollEvery = 20 * time.Millisecond
	// issuer is the `iss` of service-account tokens, as kubeadm sets it.
	issuer = "https://kubernetes.default.svc.cluster.local"
)

// controllers are those that tests of an operator need; the others act on pods
// and nodes, of which there are none.
var controllers = strings.Join([]string{
	"serviceaccount-controller",                // `default` in every namespace
	"serviceaccount-token-controller",          // Secrets of type kubernetes.io/service-account-token
	"root-ca-certificate-publisher-controller", // kube-root-ca.crt in every namespace
	"namespace-controller",                     // empties deleted namespaces
	"garbage-collector-controller",             // deletes what an owner leaves behind
	"clusterrole-aggregation-controller",       // fills admin, edit and view
}, ",")

// ControlPlane is a running Kubernetes without nodes. [ControlPlane.Stop] ends it;
// it also ends with the process that started it, however that ends.
type ControlPlane struct {
	Kubeconfig string // path of the administrator's (system:masters) kubeconfig
	URL        string // of the API server: https://127.0.0.1:PORT
	CAFile     string // path of the certificate authority of URL, PEM
	CA         []byte // the same, PEM
	BinDir     string // where kubectl and the other programs are
	Logs       string // folder of the components' logs

	dir      string
	client   *http.Client // the administrator's
	running  []*process   // in order of their start
	lifeline *os.File     // what the components hold on to, and
	keep     *os.File     // what keeps it alive: the other end of the pipe
}

// Start starts a control plane that keeps all its files in dir, which it
// creates; dir must not hold one already. ctx bounds the start only, which takes
// minutes when Kubernetes has still to be built ([Build], reported on standard
// error) and a few seconds otherwise.
//
// It returns once the API server is ready and the controllers are at work. When
// a component ends meanwhile, the error has the end of its log.
func Start(ctx context.Context, dir string) (*ControlPlane, error) {
	binDir, err := Build(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("not ready within %v", startLimit))
	defer cancel()
	cp := &ControlPlane{BinDir: binDir}
	if err := cp.start(ctx, dir); err != nil {
		cp.Stop()
		return nil, fmt.Errorf("kubetest: %w", err)
	}
	return cp, nil
}

func (cp *ControlPlane) start(ctx context.Context, dir string) (err error) {
	if cp.lifeline, cp.keep, err = os.Pipe(); err != nil {
		return err
	}
	if err := cp.makeDirs(dir); err != nil {
		return err
	}
	if err := cp.run(etcdArgs()); err != nil {
		return err
	}
	port, release, err := reservePort()
	if err != nil {
		return fmt.Errorf("find a free port on loopback: %w", err)
	}
	defer release()
	if err := cp.makeCredentials(port); err != nil {
		return err
	}
	// An API server that finds no etcd tries again only after a second.
	listening := func(context.Context) error {
		_, err := os.Stat(filepath.Join(cp.dir, "client:0"))
		return err
	}
	if err := cp.until(ctx, listening); err != nil {
		return fmt.Errorf("waiting for etcd: %w", err)
	}
	if err := cp.run(apiServerArgs(port)); err != nil {
		return err
	}
	if err := cp.wait(ctx, "/readyz"); err != nil {
		return fmt.Errorf("waiting for the API server: %w", err)
	}
	// Not earlier: it looks for the API server once a second.
	if err := cp.run(controllerManagerArgs()); err != nil {
		return err
	}
	return cp.WaitServiceAccount(ctx, "default", "default")
}

func (cp *ControlPlane) makeDirs(dir string) (err error) {
	if cp.dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	cp.Logs = filepath.Join(cp.dir, "logs")
	if err := os.MkdirAll(cp.dir, 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(cp.Logs, 0o700); errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s holds a control plane already; name a new directory", cp.dir)
	}
	return err
}

// makeCredentials writes the certificates and kubeconfigs.
func (cp *ControlPlane) makeCredentials(port int) error {
	cp.URL = "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	cp.Kubeconfig = filepath.Join(cp.dir, "admin.kubeconfig")
	ca, err := newPKI(filepath.Join(cp.dir, "pki"))
	if err != nil {
		return err
	}
	cp.CAFile, cp.CA = ca.path("ca.crt"), ca.pem
	masters := []string{"system:masters"}
	err = errors.Join(
		ca.issue("apiserver", pkix.Name{CommonName: "kube-apiserver"}, "127.0.0.1", "10.43.0.1", "localhost",
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"),
		ca.issue("admin", pkix.Name{Organization: masters, CommonName: "admin"}),
		ca.kubeconfig(cp.Kubeconfig, cp.URL, "admin"),
		// One powerful client for all controllers: giving each a service account
		// of its own, as production does, makes every start slower.
		ca.issue("controller-manager", pkix.Name{Organization: masters, CommonName: "system:kube-controller-manager"}),
		ca.kubeconfig(filepath.Join(cp.dir, "controller-manager.kubeconfig"), cp.URL, "controller-manager"),
	)
	if err != nil {
		return err
	}
	tls, err := ca.clientTLS("admin")
	if err != nil {
		return err
	}
	cp.client = &http.Client{Transport: &http.Transport{TLSClientConfig: tls, ForceAttemptHTTP2: true}, Timeout: 10 * time.Second}
	return nil
}

// etcdArgs starts etcd on Unix sockets in its working directory: no ports to
// choose, and nobody but the owner of the directory reaches the data. The part
// after the colon is what etcd wants of a URL; the sockets are called just so.
func etcdArgs() []string {
	return []string{"etcd", "--data-dir=etcd", "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls=unix://client:0", "--advertise-client-urls=unix://client:0",
		"--listen-peer-urls=unix://peer:0", "--initial-advertise-peer-urls=unix://peer:0",
		"--initial-cluster=default=unix://peer:0",
	}
}

func apiServerArgs(port int) []string {
	return []string{"kube-apiserver", "--etcd-servers=unix://client:0",
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port=" + strconv.Itoa(port),
		"--permit-port-sharing",           // see reservePort
		"--endpoint-reconciler-type=none", // nobody reaches the API by its Service, and loopback is no endpoint
		"--service-cluster-ip-range=10.43.0.0/16",
		"--tls-cert-file=pki/apiserver.crt", "--tls-private-key-file=pki/apiserver.key", "--client-ca-file=pki/ca.crt",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged",
		"--service-account-issuer=" + issuer, "--service-account-key-file=pki/service-account.pub",
		"--service-account-signing-key-file=pki/service-account.key",
		"--service-account-extend-token-expiration=false", // a token lives as long as asked for, not a year
	}
}

func controllerManagerArgs() []string {
	return []string{"kube-controller-manager", "--kubeconfig=controller-manager.kubeconfig", "--controllers=" + controllers,
		"--secure-port=0", "--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=500",
		"--service-account-private-key-file=pki/service-account.key", "--root-ca-file=pki/ca.crt",
	}
}

// run starts a component, given its name and arguments.
func (cp *ControlPlane) run(component []string) error {
	p, err := startProcess(cp.BinDir, cp.dir, cp.lifeline, component[0], component[1:]...)
	if err == nil {
		cp.running = append(cp.running, p)
	}
	return err
}

// reservePort chooses a free port of 127.0.0.1 and keeps it from everybody else
// until release, but for the API server: a socket that is bound and does not
// listen gets no connections, and SO_REUSEPORT (--permit-port-sharing) lets a
// process of the same user listen beside it. So several control planes may
// start at once.
func reservePort() (port int, release func() error, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, nil, err
	}
	release = func() error { return unix.Close(fd) }
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err == nil {
		if err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err == nil {
			var name unix.Sockaddr
			if name, err = unix.Getsockname(fd); err == nil {
				return name.(*unix.SockaddrInet4).Port, release, nil
			}
		}
	}
	return 0, nil, errors.Join(err, release())
}

// Stop ends the control plane and waits until its processes are gone. Its files
// stay. It may be called more than once, not concurrently.
func (cp *ControlPlane) Stop() {
	for len(cp.running) > 0 {
		cp.stopLast()
	}
	if cp.client != nil {
		cp.client.CloseIdleConnections()
	}
	cp.lifeline.Close() // a nil or closed *os.File answers with an error, which is fine
	cp.keep.Close()
}

func (cp *ControlPlane) stopLast() {
	last := len(cp.running) - 1
	cp.running[last].stop()
	cp.running = cp.running[:last]
}

// RestartControllers starts the controller manager anew, in a moment. Tests
// call it after they installed CRDs: the garbage collector looks for new kinds
// only when it starts and every 30 s, and until then it overlooks that an owner
// of such a kind was deleted.
func (cp *ControlPlane) RestartControllers() error {
	cp.stopLast()
	return cp.run(controllerManagerArgs())
}

// Kubectl prepares a kubectl command as the administrator; the caller sets its
// input and output, and runs it. It is killed when ctx ends.
func (cp *ControlPlane) Kubectl(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(cp.BinDir, "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+cp.Kubeconfig, "KUBECACHEDIR="+filepath.Join(cp.dir, "kubectl-cache"))
	return cmd
}

// WaitServiceAccount waits until a service account exists: a new namespace's
// default one appears a moment after the namespace.
func (cp *ControlPlane) WaitServiceAccount(ctx context.Context, namespace, name string) error {
	if err := cp.wait(ctx, "/api/v1/namespaces/"+namespace+"/serviceaccounts/"+name); err != nil {
		return fmt.Errorf("service account %s/%s: %w", namespace, name, err)
	}
	return nil
}

// wait waits until the API answers a GET of path with 200.
func (cp *ControlPlane) wait(ctx context.Context, path string) error {
	return cp.until(ctx, func(ctx context.Context) error {
		// The API server listens before it serves, so this may block.
		status, err := cp.get(ctx, path)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("GET %s: status %d", path, status)
		}
		return err
	})
}

// until tries again and again until ready has no error, and gives up when ctx or
// a component ends.
func (cp *ControlPlane) until(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, p := range cp.running {
		go func() { // ends with this call
			select {
			case <-p.exited:
				cancel(p.failure())
			case <-ctx.Done():
			}
		}()
	}
	var last error
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return fmt.Errorf("%w\nlast try: %v; all logs are in %s", context.Cause(ctx), last, cp.Logs)
		}
	}
}

// get returns the status of GET path, as the administrator.
func (cp *ControlPlane) get(ctx context.Context, path string) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, cp.URL+path, nil)
	if err != nil {
		return 0, err
	}
	resp, err := cp.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}
