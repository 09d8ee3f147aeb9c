// Package kubetest runs a real Kubernetes for tests and demonstrations, built
// from source (test/kube): a control plane alone, or a cluster with nodes.
//
// A [ControlPlane] is etcd, kube-apiserver and kube-controller-manager as
// ordinary processes on loopback. It needs no root, no container and no image,
// is ready in two to three seconds once built, and several run side by side, at
// about 600 MB of memory each. There are no nodes: pods are accepted and stay
// Pending. What the API server and the controllers do is the real thing: RBAC,
// TokenRequest and TokenReview, CRDs, admission, default service accounts and
// kube-root-ca.crt in new namespaces, token Secrets, garbage collection by
// owner, namespace deletion.
//
// A [Cluster] has nodes that run pods, with storage and DNS. It needs root, and
// is ready in about ten seconds. How it is made is told in test/kube/README.md.
//
// The package never imports Kubernetes' server packages, so that the product's
// go.mod stays free of them.
package kubetest

import (
	"context"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

const (
	// startLimit bounds a start that hangs; a warm one takes about 3 s.
	startLimit = time.Minute
	// pollEvery is the pause between looks at something that is about to happen.
	pollEvery = 20 * time.Millisecond
)

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
	site     site
	pki      *pki
	admin    *http.Client // the administrator's
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
	if err := cp.startOnLoopback(ctx, dir); err != nil {
		cp.Stop()
		return nil, fmt.Errorf("kubetest: %w", err)
	}
	return cp, nil
}

func (cp *ControlPlane) startOnLoopback(ctx context.Context, dir string) error {
	if err := cp.prepare(dir); err != nil {
		return err
	}
	port, release, err := reservePort()
	if err != nil {
		return fmt.Errorf("find a free port on loopback: %w", err)
	}
	defer release()
	cp.site = site{ip: "127.0.0.1", port: port, services: "10.43.0.0/16"}
	return cp.start(ctx)
}

// prepare makes the control plane's folders and what its components hold on to.
func (cp *ControlPlane) prepare(dir string) (err error) {
	if cp.lifeline, cp.keep, err = os.Pipe(); err != nil {
		return err
	}
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

// start starts the components, at cp.site, one when that before it is ready.
func (cp *ControlPlane) start(ctx context.Context) error {
	if err := cp.run(etcdArgs()); err != nil {
		return err
	}
	if err := cp.makeCredentials(); err != nil {
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
	if err := cp.run(cp.site.apiServerArgs()); err != nil {
		return err
	}
	if err := cp.wait(ctx, "/readyz"); err != nil {
		return fmt.Errorf("waiting for the API server: %w", err)
	}
	if cp.site.nodes {
		if err := cp.run(schedulerArgs()); err != nil {
			return err
		}
	}
	// Not earlier: it looks for the API server once a second.
	if err := cp.run(cp.site.controllerManagerArgs()); err != nil {
		return err
	}
	return cp.WaitServiceAccount(ctx, "default", "default")
}

// makeCredentials writes the certificates and kubeconfigs.
func (cp *ControlPlane) makeCredentials() error {
	cp.URL = "https://" + net.JoinHostPort(cp.site.ip, strconv.Itoa(cp.site.port))
	cp.Kubeconfig = filepath.Join(cp.dir, "admin.kubeconfig")
	ca, err := newPKI(filepath.Join(cp.dir, "pki"))
	if err != nil {
		return err
	}
	cp.pki, cp.CAFile, cp.CA = ca, ca.path("ca.crt"), ca.pem
	masters := []string{"system:masters"}
	err = errors.Join(
		ca.issue("apiserver", pkix.Name{CommonName: "kube-apiserver"}, cp.site.ip, cp.site.firstService(), "localhost",
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"),
		ca.issue("admin", pkix.Name{Organization: masters, CommonName: "admin"}),
		ca.kubeconfig(cp.Kubeconfig, cp.URL, "admin"),
		// One powerful client for all controllers: giving each a service account
		// of its own, as production does, makes every start slower.
		cp.client("controller-manager", pkix.Name{Organization: masters, CommonName: "system:kube-controller-manager"}),
	)
	if cp.site.nodes {
		err = errors.Join(err,
			ca.issue("kubelet-client", pkix.Name{Organization: masters, CommonName: "kube-apiserver-kubelet-client"}),
			cp.client("scheduler", pkix.Name{CommonName: "system:kube-scheduler"}),
			cp.client("proxy", pkix.Name{CommonName: "system:kube-proxy"}),
		)
	}
	if err != nil {
		return err
	}
	tls, err := ca.clientTLS("admin")
	if err != nil {
		return err
	}
	cp.admin = &http.Client{Transport: &http.Transport{TLSClientConfig: tls, ForceAttemptHTTP2: true}, Timeout: 10 * time.Second}
	return nil
}

// client issues a client certificate, and its kubeconfig beside the others.
func (cp *ControlPlane) client(name string, subject pkix.Name) error {
	if err := cp.pki.issue(name, subject); err != nil {
		return err
	}
	return cp.pki.kubeconfig(filepath.Join(cp.dir, name+".kubeconfig"), cp.URL, name)
}

// run starts a component, given its name and arguments.
func (cp *ControlPlane) run(component []string) error {
	name, program := component[0], filepath.Join(cp.BinDir, component[0])
	line := append(slices.Clone(cp.site.enter), append([]string{program}, component[1:]...)...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir = cp.dir
	p, err := cp.startProcess(name, cmd)
	if err == nil {
		cp.running = append(cp.running, p)
	}
	return err
}

// startProcess starts a process that ends with this one, logging to Logs.
func (cp *ControlPlane) startProcess(name string, cmd *exec.Cmd) (*process, error) {
	return startProcess(name, cmd, filepath.Join(cp.Logs, name+".log"), cp.lifeline)
}

// Stop ends the control plane and waits until its processes are gone. Its files
// stay. It may be called more than once, not concurrently.
func (cp *ControlPlane) Stop() {
	for len(cp.running) > 0 {
		cp.stopLast()
	}
	if cp.admin != nil {
		cp.admin.CloseIdleConnections()
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
	return cp.run(cp.site.controllerManagerArgs())
}

// RestartAPIServer kills the API server and starts it anew, and returns once it is ready.
func (cp *ControlPlane) RestartAPIServer(ctx context.Context) error {
	at := slices.IndexFunc(cp.running, func(p *process) bool { return p.name == "kube-apiserver" })
	if at < 0 {
		return errors.New("kubetest: no API server runs")
	}
	cp.running[at].stop()
	cp.running = slices.Delete(cp.running, at, at+1)
	if err := cp.run(cp.site.apiServerArgs()); err != nil {
		return err
	}
	last := len(cp.running) - 1
	p := cp.running[last]
	cp.running = slices.Insert(cp.running[:last], at, p) // where it was: what stands on it ends before it
	return cp.wait(ctx, "/readyz")
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
	return cp.await(ctx, cp.running, ready)
}

// await is until with the processes that must go on meanwhile.
func (cp *ControlPlane) await(ctx context.Context, processes []*process, ready func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, p := range processes {
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

// getJSON decodes what the API answers to a GET of path.
func (cp *ControlPlane) getJSON(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, cp.URL+path, nil)
	if err != nil {
		return err
	}
	resp, err := cp.admin.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: status %d", path, resp.StatusCode)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// get returns the status of GET path, as the administrator.
func (cp *ControlPlane) get(ctx context.Context, path string) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, cp.URL+path, nil)
	if err != nil {
		return 0, err
	}
	resp, err := cp.admin.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}
