package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/audit"
	"strongroom/internal/httpapi"
	"strongroom/internal/inspect"
	"strongroom/internal/kube"
	"strongroom/internal/mount"
	"strongroom/internal/node"
	"strongroom/internal/registration"
	"strongroom/internal/sys"
	"strongroom/ui"
)

// Main is the server command: it runs a node until ctx ends and returns the
// exit code, 1 for whatever keeps it from running.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if err := run(ctx, args, stdout, stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stderr, "Error:", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := ParseOptions(args, stderr)
	if err != nil {
		return err
	}
	config, warnings, err := opts.Config()
	if err != nil {
		return err
	}
	logger, closeLog, err := NewLogger(config.Log, stderr)
	if err != nil {
		return err
	}
	defer closeLog()
	for _, w := range warnings {
		logger.Warn(w)
	}
	if err := noCore(); err != nil {
		logger.Warn("a crash may leave keys on the disk", "error", err)
	}
	if os.Getenv("GOGC") == "" {
		defer allow(allowance)()
	}
	s, err := open(config, opts, logger)
	if err != nil {
		return err
	}
	defer s.close()
	if err := writePIDFile(config.PIDFile); err != nil {
		return err
	}
	if config.PIDFile != "" {
		defer os.Remove(config.PIDFile)
	}
	Banner(stdout, config, opts.Dev)
	if opts.Dev {
		if err := s.prepareDev(ctx, opts, stdout); err != nil {
			return err
		}
	}
	return s.wait(ctx)
}

// running is a node with its listeners.
type running struct {
	logger  hclog.Logger
	node    *node.Node
	audit   *audit.Log
	servers []*http.Server
	certs   []*Certificates
	failed  chan error
	done    sync.WaitGroup

	pod    *ownPod // nil: no service registration
	opts   Options
	config *Config
	logs   *inspect.Logs

	registration *registration.Registration // of pod
	told         bool                       // to end, rather than failed
}

// open starts a node and everything that serves it.
func open(config *Config, opts Options, logger hclog.Logger) (*running, error) {
	logs, logger := inspect.NewLogs(logger, hclog.LevelFromString(config.Log.Level))
	flights, registry := new(inspect.Flights), measure(config.Telemetry)
	registry.Watch(httpapi.Gauges(flights))
	nc, err := nodeConfig(config, opts, logger)
	if err != nil {
		return nil, err
	}
	pod, err := config.Registration.open(kube.InPod())
	if err != nil {
		return nil, err
	}
	if nc.Audit, err = openAudit(config, opts, nc.NodeID, logger); err != nil {
		return nil, err
	}
	nc.Metrics, nc.Inspect = registry, sys.Inspect{Flights: flights, Logs: logs, Config: config.sanitized()}
	s := &running{logger: logger, node: node.New(nc), audit: nc.Audit, opts: opts, config: config, logs: logs, failed: make(chan error, len(config.Listeners))}
	var pages http.Handler // a nil *ui.Handler would not be a nil http.Handler
	if config.UI {
		pages = ui.New()
	}
	api := func(l Listener) *httpapi.Handler {
		return httpapi.New(s.node, httpapi.Config{MaxBody: l.MaxRequestSize, MaxDuration: l.MaxRequestDuration, UI: pages, Metrics: registry, Flights: flights, Logs: logs,
			JSON: l.JSON, RequireHeader: l.RequireRequestHeader,
			Public: httpapi.Public{Metrics: l.UnauthenticatedMetrics, Pprof: l.UnauthenticatedPprof, InFlight: l.UnauthenticatedInFlight,
				Rekey: l.UnauthenticatedRekey, GenerateRoot: l.UnauthenticatedGenerateRoot}}, logger.Named("http"))
	}
	if err := s.node.Start(api(forwardedTo(config.Listeners)).Forwarded()); err != nil {
		s.node.Close()
		s.audit.Close()
		return nil, err
	}
	for _, l := range config.Listeners {
		if err := s.listen(l, api(l)); err != nil {
			s.close()
			return nil, err
		}
	}
	if pod != nil {
		s.pod, s.registration = pod, register(pod, s.node, logger)
	}
	return s, nil
}

func (s *running) listen(l Listener, h http.Handler) error {
	ln, certs, err := Listen(l)
	if err != nil {
		return fmt.Errorf("listener %s: %w", l.Address, err)
	}
	if certs != nil {
		s.certs = append(s.certs, certs)
	}
	srv := &http.Server{Handler: l.XForwardedFor.Handler(h), IdleTimeout: l.HTTP.Idle, ReadHeaderTimeout: l.HTTP.ReadHeader, ReadTimeout: l.HTTP.Read, WriteTimeout: l.HTTP.Write,
		MaxHeaderBytes: 64 << 10, ErrorLog: s.logger.Named("http").StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug})}
	s.servers = append(s.servers, srv)
	s.done.Go(func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	})
	return nil
}

// certificatesEvery is how often the listeners' files are looked at.
const certificatesEvery = 2 * time.Second

// wait serves until ctx ends or a listener fails. Certificates are read again when their files change, and at SIGHUP,
// which also has the audit devices open their files anew and reads the configuration again; see reconfigure.
func (s *running) wait(ctx context.Context) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	look := time.NewTicker(certificatesEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			s.logger.Info("stopping")
			s.told = true
			return nil
		case err := <-s.failed:
			return err
		case err := <-s.node.Failed():
			return err
		case <-look.C:
			for _, c := range s.certs {
				s.reloaded(c.Follow())
			}
		case <-hup:
			for _, c := range s.certs {
				s.reloaded(true, c.Reload())
			}
			s.audit.Reopen()
			s.reconfigure()
		}
	}
}

// reloaded logs what became of the certificates of a listener.
func (s *running) reloaded(changed bool, err error) {
	switch {
	case err != nil:
		s.logger.Error("the new certificate of a listener cannot be used; the old one stays", "error", err)
	case changed:
		s.logger.Info("the certificate of a listener was read again")
	}
}

// How long the end of a server may take at most, all together less than the ten seconds that a pod is given.
const (
	drainLimit    = 5 * time.Second // for requests that are under way
	farewellLimit = 3 * time.Second // for the API server to take the last labels
	askLimit      = 2 * time.Second // for the API server to say whether this pod is wanted
	leaveLimit    = 4 * time.Second // for the cluster to let this node go
)

// close hands leadership over while this server still answers, so that whoever asks meanwhile waits for the next leader and is served; then it
// lets running requests end, leaves the cluster if the pod was scaled away, and stops the node.
func (s *running) close() {
	leaving := s.leaving()
	if leaving {
		s.node.PrepareToLeave()
	}
	s.node.HandOver()
	var last sync.WaitGroup
	if s.registration != nil {
		last.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), farewellLimit)
			defer cancel()
			if err := s.registration.Stop(ctx); err != nil {
				s.logger.Warn("the labels of this server's pod could not be set for its end", "error", err)
			}
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	for _, srv := range s.servers {
		last.Go(func() {
			if srv.Shutdown(ctx) != nil {
				srv.Close()
			}
		})
	}
	last.Wait()
	s.done.Wait()
	if leaving {
		s.leave()
	}
	if err := s.node.Close(); err != nil {
		s.logger.Error("stopping the node", "error", err)
	}
	if err := s.audit.Close(); err != nil {
		s.logger.Error("closing the audit devices", "error", err)
	}
}

// leaving says whether this node shall leave its cluster, as its pod was scaled away.
func (s *running) leaving() bool {
	if s.pod == nil || !s.told {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	away, err := s.pod.scaledAway(ctx)
	if err != nil {
		s.logger.Warn("cannot find out whether this pod was scaled away, so this node stays a member of its cluster; if it was, remove it: vault operator raft remove-peer", "error", err)
	}
	return away
}

func (s *running) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveLimit)
	defer cancel()
	if err := s.node.Leave(ctx); err != nil {
		s.logger.Warn("this pod was scaled away, but its node may still be a member of the cluster: see operator raft list-peers, and remove-peer", "error", err)
	}
}

func nodeConfig(c *Config, opts Options, logger hclog.Logger) (node.Config, error) {
	nc := node.Config{
		Dir: c.Storage.Path, StorageType: c.Storage.Type, APIAddr: c.APIAddr, ClusterName: c.ClusterName, Types: builtin(),
		Limits: mount.Limits{Default: c.DefaultLeaseTTL, Max: c.MaxLeaseTTL}, Version: Version, BuildDate: BuildDate, Logger: logger,
	}
	if err := openSeals(&nc, c.Seals); err != nil {
		return nc, err
	}
	nc.Lockout = c.Lockout
	nc.Declared, nc.Founder = c.Declared, c.founder()
	nc.Raft.TrailingLogs = c.Storage.TrailingLogs
	if opts.Dev {
		nc.RootToken = opts.DevRootTokenID
	}
	var err error
	if nc.NodeID, err = ResolveNodeID(c.Storage); err != nil {
		return nc, err
	}
	if c.Storage.Type != "raft" {
		return nc, nil
	}
	u, err := url.Parse(c.ClusterAddr)
	if err != nil {
		return nc, fmt.Errorf("cluster_addr: %w", err)
	}
	nc.NonVoter = c.Storage.NonVoter
	nc.ClusterBind, nc.ClusterAddr = bindable(c.Listeners[0].ClusterAddress), u.Host
	for _, r := range c.Storage.RetryJoin {
		t, err := joinTLS(r)
		if err != nil {
			return nc, fmt.Errorf("retry_join %s: %w", r.LeaderAPIAddr, err)
		}
		if r.LeaderAPIAddr != "" {
			nc.RetryJoin = append(nc.RetryJoin, node.JoinTarget{LeaderAPIAddr: r.LeaderAPIAddr, TLS: t})
		}
		if r.AutoJoin != "" {
			found, err := node.AutoJoin(r.AutoJoin, r.AutoJoinScheme, r.AutoJoinPort, t)
			if err != nil {
				return nc, fmt.Errorf("retry_join: %w", err)
			}
			nc.RetryJoin = append(nc.RetryJoin, found)
		}
	}
	return nc, nil
}

// joinTLS is how a node trusts the API of the one it asks to be let in.
func joinTLS(r RetryJoin) (*tls.Config, error) {
	pem := func(text, file string) ([]byte, error) {
		if text != "" || file == "" {
			return []byte(text), nil
		}
		return os.ReadFile(file)
	}
	t := &tls.Config{ServerName: r.LeaderTLSServerName, MinVersion: tls.VersionTLS12}
	ca, err := pem(r.LeaderCACert, r.LeaderCACertFile)
	if err != nil {
		return nil, err
	}
	if len(ca) > 0 {
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("leader_ca_cert holds no PEM certificate")
		}
	}
	cert, err := pem(r.LeaderClientCert, r.LeaderClientCertFile)
	if err != nil {
		return nil, err
	}
	key, err := pem(r.LeaderClientKey, r.LeaderClientKeyFile)
	if err != nil {
		return nil, err
	}
	if len(cert) > 0 {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("leader_client_cert: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

func writePIDFile(path string) error {
	if path == "" {
		return nil
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o644); err != nil {
		return fmt.Errorf("pid_file: %w", err)
	}
	return nil
}

// forwardedTo is the listener as whose requests those from other nodes count: what
// any listener of this node wants guarded is guarded for them.
func forwardedTo(listeners []Listener) Listener {
	out := listeners[0]
	for _, l := range listeners {
		out.UnauthenticatedRekey = out.UnauthenticatedRekey && l.UnauthenticatedRekey
		out.UnauthenticatedGenerateRoot = out.UnauthenticatedGenerateRoot && l.UnauthenticatedGenerateRoot
	}
	return out
}
