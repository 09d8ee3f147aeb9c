// Package server owns the way from a command line to a running node: options and configuration, listeners, the log, the banner, and the
// wiring of everything else. It decides nothing about requests; those never come here.
package server

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"strongroom/internal/declare"
	"strongroom/internal/httpapi"
	"strongroom/internal/lockout"
	"strongroom/internal/metrics"
)

// Config is everything a server is told before it starts, from files, the environment and flags, complete and checked: no field waits for a default.
// Keys and defaults are Vault's (developer.hashicorp.com/vault/docs/configuration).
type Config struct {
	Listeners   []Listener // one at least; the first one's ClusterAddress is where the cluster port is bound
	Storage     Storage
	Seals       []SealStanza
	APIAddr     string // URL of this node for clients
	ClusterAddr string // URL of this node for its peers, always https
	ClusterName string // empty: made at initialisation
	UI          bool
	Log         Logging
	Telemetry   metrics.Options
	Audit       Audit
	Lockout     lockout.Defaults
	PIDFile     string // empty: none

	Declared     *declare.Plan        // nil: nothing
	Registration *ServiceRegistration // nil: none

	DisableMlock    bool
	DefaultLeaseTTL time.Duration
	MaxLeaseTTL     time.Duration
}

// Storage says where a node keeps its data. All kinds are one engine; "file" and "inmem" are clusters of one.
type Storage struct {
	Type    string // raft, file or inmem
	Path    string // a directory; empty for inmem
	NodeID  string // empty: see ResolveNodeID
	PodName string // of the pod that this server runs in; empty outside Kubernetes

	RetryJoin []RetryJoin
	NonVoter  bool // join without a vote, for good

	PerformanceMultiplier int           // scales Raft's timeouts, 1 to 10; 0: the default
	TrailingLogs          uint64        // log entries kept after a snapshot; 0: the default
	SnapshotThreshold     uint64        // log entries between snapshots; 0: the default
	SnapshotInterval      time.Duration // between looks whether a snapshot is due; 0: the default
	MaxEntrySize          int64         // bytes of one entry

	at position
}

// RetryJoin is one node that may be asked to let this one into its cluster, or several that a provider finds.
type RetryJoin struct {
	LeaderAPIAddr string // URL

	AutoJoin       string // "provider=k8s …", see node.AutoJoin
	AutoJoinScheme string // http or https; "": https
	AutoJoinPort   int    // 0: 8200

	// How to trust that node's TLS: PEM files, or the PEM text itself.
	LeaderTLSServerName                                         string
	LeaderCACertFile, LeaderClientCertFile, LeaderClientKeyFile string
	LeaderCACert, LeaderClientCert, LeaderClientKey             string
}

// Listener is one address that serves clients.
type Listener struct {
	Address        string // host:port
	ClusterAddress string // host:port of the cluster port; by default Address, one port up
	TLS            ListenerTLS
	HTTP           HTTPTimeouts
	XForwardedFor  XForwardedFor

	MaxRequestSize     int64 // bytes; math.MaxInt64 for no limit
	MaxRequestDuration time.Duration

	// What anybody may ask for without a token, in every state of the node.
	UnauthenticatedMetrics  bool // telemetry { unauthenticated_metrics_access }
	UnauthenticatedPprof    bool // profiling { unauthenticated_pprof_access }
	UnauthenticatedInFlight bool // inflight_requests_logging { unauthenticated_in_flight_requests_access }

	// What the active node lets whoever has key shares do without a token.
	UnauthenticatedRekey        bool // disable_unauthed_rekey_endpoints = false
	UnauthenticatedGenerateRoot bool // disable_unauthed_generate_root_endpoints = false

	RequireRequestHeader bool // X-Vault-Request: true, which no browser sends by itself
	JSON                 httpapi.JSONLimits

	at position
}

// ListenerTLS is how a listener speaks TLS. Versions and suites are crypto/tls's numbers.
type ListenerTLS struct {
	Disable                 bool
	CertFile, KeyFile       string
	MinVersion, MaxVersion  uint16 // MaxVersion 0: the newest
	CipherSuites            []uint16
	ClientCAFile            string
	RequireClientCert       bool // and verify it against ClientCAFile
	DisableClientCertPrompt bool // do not ask for a client certificate at all
}

// HTTPTimeouts are those of net/http.Server; nought is none.
type HTTPTimeouts struct{ Idle, ReadHeader, Read, Write time.Duration }

// XForwardedFor says which proxies are believed about where a request came from; without authorised addresses, none.
type XForwardedFor struct {
	Authorized                            []netip.Prefix
	HopSkips                              int
	RejectNotPresent, RejectNotAuthorized bool
}

// Logging says what is logged, and how.
type Logging struct {
	Level  string // trace, debug, info, warn or error
	Format string // standard or json
	File   string // also written there; empty: standard error only
}

// Ports and leases as Vault documents them.
const (
	defaultAddress     = "127.0.0.1:8200"
	defaultRequestTime = 90 * time.Second
	defaultLeaseTTL    = 768 * time.Hour
	defaultMaxEntry    = 1 << 20
)

// LoadConfig reads configuration files, and the *.hcl and *.json files of directories in the order of their names. Later files override
// earlier ones, listeners add up, and the VAULT_… variables of the environment override both. The warnings are for the
// operator; none of them and no error shows a value that may be secret. Every error names its file, line and cure.
func LoadConfig(paths ...string) (*Config, []string, error) {
	c := &Config{Telemetry: metrics.Options{Retention: defaultRetention}}
	d := &decoder{}
	if len(paths) == 0 {
		return nil, nil, errors.New("no configuration: name a file or directory with -config=PATH, or try -dev")
	}
	if err := d.load(c, paths...); err != nil {
		return nil, d.warnings, err
	}
	if err := d.finish(c); err != nil {
		return nil, d.warnings, err
	}
	return c, d.warnings, nil
}

// load decodes every file of paths into c.
func (d *decoder) load(c *Config, paths ...string) error {
	for _, path := range paths {
		files, err := configFiles(path)
		if err != nil {
			return err
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("configuration: %w", err)
			}
			if err := d.parse(c, file, source); err != nil {
				return err
			}
		}
	}
	return nil
}

// configFiles is path itself, or the configuration files in it when it is a directory.
func configFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	var files []string
	for _, entry := range entries {
		if ext := filepath.Ext(entry.Name()); !entry.IsDir() && (ext == ".hcl" || ext == ".json") {
			files = append(files, filepath.Join(path, entry.Name()))
		}
	}
	return files, nil
}

// parse decodes one file into c.
func (d *decoder) parse(c *Config, file string, source []byte) error {
	b, err := parseSource(file, source)
	if err != nil {
		return err
	}
	return d.decode(b, d.root(c))
}

// environment overrides c with the documented variables.
func environment(c *Config) error {
	var errs []error
	override := func(name string, set setter) {
		if value := os.Getenv(name); value != "" {
			errs = append(errs, set(field{name, position{file: "environment"}, value}))
		}
	}
	override("VAULT_API_ADDR", baseURL(&c.APIAddr))
	override("VAULT_CLUSTER_ADDR", baseURL(&c.ClusterAddr))
	override("VAULT_LOG_LEVEL", logLevel(&c.Log.Level))
	override("VAULT_LOG_FORMAT", oneOf(&c.Log.Format, logFormats()...))
	override("VAULT_LOG_FILE", text(&c.Log.File))
	override("VAULT_UI", boolean(&c.UI))
	override("VAULT_DISABLE_USER_LOCKOUT", boolean(&c.Lockout.Off))
	override("VAULT_DISABLE_MLOCK", boolean(&c.DisableMlock))
	c.Storage.PodName = os.Getenv("VAULT_K8S_POD_NAME")
	if c.Storage.Type == "raft" {
		override("VAULT_RAFT_NODE_ID", text(&c.Storage.NodeID))
		override("VAULT_RAFT_PATH", text(&c.Storage.Path))
	}
	if r := c.Registration; r != nil {
		override("VAULT_K8S_NAMESPACE", text(&r.Namespace))
		override("VAULT_K8S_POD_NAME", text(&r.PodName))
	}
	return errors.Join(append(errs, sealEnvironment(c, os.Getenv))...)
}

// finish overrides c from the environment, checks it and fills in what depends on several fields.
func (d *decoder) finish(c *Config) error {
	if err := environment(c); err != nil {
		return err
	}
	if len(c.Listeners) == 0 {
		return errors.New("no listener is configured: add listener \"tcp\" { address = \"127.0.0.1:8200\" … }")
	}
	var errs []error
	for i := range c.Listeners {
		errs = append(errs, c.Listeners[i].check())
	}
	errs = append(errs, c.Storage.check(), checkSeals(c.Seals))
	c.MaxLeaseTTL = orDefault(c.MaxLeaseTTL, defaultLeaseTTL)
	c.DefaultLeaseTTL = orDefault(c.DefaultLeaseTTL, min(defaultLeaseTTL, c.MaxLeaseTTL))
	if c.DefaultLeaseTTL > c.MaxLeaseTTL {
		errs = append(errs, fmt.Errorf("default_lease_ttl (%s) is longer than max_lease_ttl (%s): raise the second or lower the first", c.DefaultLeaseTTL, c.MaxLeaseTTL))
	}
	c.Log.Level = orDefault(c.Log.Level, "info")
	c.Log.Format = orDefault(c.Log.Format, "standard")
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if !c.DisableMlock {
		d.warnf("memory is not locked in this release, so keep it off the disk: turn swap off or encrypt it, and say so with disable_mlock = true")
	}
	return d.advertise(c)
}

func orDefault[T comparable](value, fallback T) T {
	var none T
	if value == none {
		return fallback
	}
	return value
}

func (l *Listener) check() error {
	l.Address = orDefault(l.Address, defaultAddress)
	l.MaxRequestDuration = orDefault(l.MaxRequestDuration, defaultRequestTime)
	if l.ClusterAddress == "" {
		var err error
		if l.ClusterAddress, err = nextPort(l.Address); err != nil {
			return fmt.Errorf("%s: listener: %w", l.at, err)
		}
	}
	t := &l.TLS
	switch {
	case t.Disable:
		return nil
	case t.CertFile == "" || t.KeyFile == "":
		return fmt.Errorf("%s: listener: tls_cert_file and tls_key_file are needed; for plain HTTP, behind something that speaks TLS, say tls_disable = true", l.at)
	case t.MaxVersion != 0 && t.MaxVersion < t.MinVersion:
		return fmt.Errorf("%s: listener: tls_max_version is below tls_min_version: no client could connect", l.at)
	case t.RequireClientCert && t.DisableClientCertPrompt:
		return fmt.Errorf("%s: listener: tls_disable_client_certs and tls_require_and_verify_client_cert contradict each other: keep one", l.at)
	case t.RequireClientCert && t.ClientCAFile == "":
		return fmt.Errorf("%s: listener: tls_require_and_verify_client_cert needs tls_client_ca_file, the CA that client certificates are checked with", l.at)
	}
	return nil
}

func (s *Storage) check() error {
	switch {
	case s.Type == "":
		return errors.New("no storage is configured: add storage \"raft\" { path = \"/var/lib/strongroom\" }")
	case s.Type != "inmem" && s.Path == "":
		return fmt.Errorf("%s: storage %q: path is needed, the directory that holds the data", s.at, s.Type)
	case s.Type != "raft" && len(s.RetryJoin) > 0:
		return fmt.Errorf("%s: storage %q: retry_join is for storage \"raft\": this kind is one node", s.at, s.Type)
	}
	return nil
}

// nextPort is addr, one port up: where Vault puts the cluster port. Port 0 stays 0, any free port.
func nextPort(addr string) (string, error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", fmt.Errorf("the port of %q must be a number from 0 to 65535", addr)
	}
	if port == math.MaxUint16 {
		return "", fmt.Errorf("no port follows that of %q: set cluster_address and cluster_addr", addr)
	}
	if port != 0 {
		port++
	}
	return net.JoinHostPort(host, strconv.FormatUint(port, 10)), nil
}

// advertise fills in what this node says of itself: api_addr from the first listener, cluster_addr from api_addr. A node that others
// must reach never guesses: a listener on every interface says nothing of where those others find it.
func (d *decoder) advertise(c *Config) error {
	l := c.Listeners[0]
	if c.APIAddr == "" {
		host, port, err := net.SplitHostPort(l.Address)
		if err != nil {
			return fmt.Errorf("%s: listener: %w", l.at, err)
		}
		if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
			if host, err = guessHost(c); err != nil {
				return err
			}
			d.warnf("api_addr is not set; this node tells clients to come to %s: set api_addr or VAULT_API_ADDR if that is wrong", host)
		}
		scheme := "https"
		if l.TLS.Disable {
			scheme = "http"
		}
		c.APIAddr = scheme + "://" + net.JoinHostPort(host, port)
	}
	if c.ClusterAddr == "" {
		u, err := url.Parse(c.APIAddr)
		if err != nil {
			return fmt.Errorf("api_addr: %w", err)
		}
		port := orDefault(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
		host, err := nextPort(net.JoinHostPort(u.Hostname(), port))
		if err != nil {
			return fmt.Errorf("cluster_addr is not set and api_addr has no port above it: %w", err)
		}
		c.ClusterAddr = "https://" + host
		return nil
	}
	u, err := url.Parse(c.ClusterAddr)
	if err != nil {
		return fmt.Errorf("cluster_addr: %w", err)
	}
	u.Scheme = "https" // as Vault: the cluster port speaks nothing else
	c.ClusterAddr = u.String()
	return nil
}

// guessHost is where a node whose listener is on every interface may be reached.
func guessHost(c *Config) (string, error) {
	if c.ClusterAddr != "" {
		u, err := url.Parse(c.ClusterAddr)
		if err != nil {
			return "", fmt.Errorf("cluster_addr: %w", err)
		}
		return u.Hostname(), nil
	}
	if c.Storage.Type == "raft" {
		return "", fmt.Errorf("%s: listener: its address is every interface, so it does not say where other nodes reach this one: "+
			"set api_addr = \"https://THIS-HOST:8200\" (and cluster_addr, if its port is not one up), or VAULT_API_ADDR", c.Listeners[0].at)
	}
	return "127.0.0.1", nil
}

// logLevels are those of Vault's documentation, with its older spellings.
func logLevel(to *string) setter {
	return parsed(to, parseLogLevel)
}

func parseLogLevel(s string) (string, error) {
	word, err := parseWord(s, "trace", "debug", "info", "warn", "error", "notice", "warning", "err")
	if err != nil {
		return "", fmt.Errorf("must be trace, debug, info, warn or error, not %q", s)
	}
	if i := slices.Index([]string{"notice", "warning", "err"}, word); i >= 0 {
		return []string{"info", "warn", "error"}[i], nil
	}
	return word, nil
}

func logFormats() []string { return []string{"standard", "json"} }
