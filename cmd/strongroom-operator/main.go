// Command strongroom-operator carries secrets from a Strongroom or Vault server into Kubernetes Secrets, and keeps
// them true. See its --help.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"strongroom/operator"
	"strongroom/operator/vaultclient"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "strongroom-operator:", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	operator.Options
	kubeconfig string
	logLevel   string
	logFormat  string
	version    bool
}

func parse(args []string, stderr io.Writer) (*settings, error) {
	s := &settings{}
	instead := make(map[string]string)
	flags := flag.NewFlagSet("strongroom-operator", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, "Usage: strongroom-operator [options]        carry secrets into Kubernetes, until it is told to end\n"+
			"       strongroom-operator crds apply      bring the cluster's definitions to this version (crds --help)\n"+
			"       strongroom-operator check           whether the cluster serves them, and the operator answers\n\n")
		flags.PrintDefaults()
	}
	flags.StringVar(&s.kubeconfig, "kubeconfig", "", "`file` that says which cluster to serve (default $KUBECONFIG, or the cluster it runs in)")
	flags.StringVar(&s.MetricsAddress, "metrics-bind-address", ":8080", "`address` of Prometheus metrics; 0 turns them off")
	flags.StringVar(&s.HealthAddress, "health-probe-bind-address", ":8081", "`address` of /healthz and /readyz; 0 turns them off")
	flags.BoolVar(&s.LeaderElection, "leader-elect", false, "let one of several replicas work at a time")
	flags.StringVar(&s.LeaseNamespace, "leader-election-namespace", "", "`namespace` of the Lease (default the pod's own)")
	flags.StringVar(&s.LeaseName, "leader-election-id", "strongroom-operator", "`name` of the Lease; replicas of one operator share it")
	flags.DurationVar(&s.LeaseDuration, "leader-election-lease-duration", 0, "`time` after which a replica that does not renew its Lease counts as dead (default 8s)")
	flags.IntVar(&s.Shards, "shards", 1, "`number` of parts into which namespaces are divided; with more than one all replicas work")
	flags.IntVar(&s.Replicas, "replicas", 1, "`number` of replicas that there should be, for a fair share of the shards")
	flags.StringVar(&s.OperatorNamespace, "operator-namespace", ownNamespace(), "`namespace` whose resources named default serve all others (default the pod's own)")
	flags.Func("global-vault-auth-options", "`options` of VaultAuths, separated by commas: allow-default-globals lets them inherit from a VaultAuthGlobal that they do not name", func(value string) error {
		for option := range strings.SplitSeq(value, ",") {
			if option != "allow-default-globals" {
				return fmt.Errorf("%q is not allow-default-globals", option)
			}
			s.AllowDefaultGlobals = true
		}
		return nil
	})
	flags.Func("global-transformation-options", "`options` of all transformations, separated by commas: exclude-raw leaves the key _raw out of every Secret", func(value string) error {
		for option := range strings.SplitSeq(value, ",") {
			if option != "exclude-raw" {
				return fmt.Errorf("%q is not exclude-raw", option)
			}
			s.ExcludeRaw = true
		}
		return nil
	})
	flags.StringVar(&s.ReportAs, "report-as", "", "`name` of this cluster: tell each server, as that, which resources use its secrets and how they are, without any value (default: tell nothing)")
	flags.Float64Var(&s.QPS, "kube-client-qps", 0, "requests a second to the API server, in the `long` run (default 500)")
	flags.IntVar(&s.Burst, "kube-client-burst", 0, "`requests` to the API server at once (default 1000)")
	flags.IntVar(&s.Concurrency, "concurrency", 0, "resources of each kind to work on at a `time` (default 16)")
	flags.StringVar(&s.logLevel, "log-level", "info", "least `level` to log: debug, info, warn or error")
	flags.StringVar(&s.logFormat, "log-format", "json", "`format` of logs: json or text")
	flags.BoolVar(&s.version, "version", false, "print the version and exit")
	flags.Func("watch-namespaces", "`namespaces` to serve, separated by commas; may be repeated (default all)", func(value string) error {
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.TrimSpace(name); name != "" {
				s.Namespaces = append(s.Namespaces, name)
			}
		}
		return nil
	})
	flags.Func("resolve", "`HOST:PORT=ADDRESS:PORT`: connect to the latter where a resource names the former, as curl's --connect-to "+
		"does; TLS still checks the former. For clusters whose names do not resolve here; may be repeated", func(value string) error {
		return addResolve(instead, value)
	})
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q; see --help", flags.Arg(0))
	}
	s.Dial = vaultclient.Redirect(instead)
	return s, nil
}

// ownNamespace is the pod's own; empty outside of a pod.
func ownNamespace() string {
	name, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(name))
}

func addResolve(instead map[string]string, value string) error {
	from, to, ok := strings.Cut(value, "=")
	if !ok {
		return errors.New("write HOST:PORT=ADDRESS:PORT, such as vault.vault:8200=127.0.0.1:8200")
	}
	for _, address := range []string{from, to} {
		if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
			return fmt.Errorf("%q is not of the form HOST:PORT", address)
		}
	}
	instead[from] = to
	return nil
}

// run is the operator itself, or one of the commands that its chart's hooks run.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case "crds":
			return runCRDs(ctx, args[1:], stdout, stderr)
		case "check":
			return runCheck(ctx, args[1:], stdout, stderr)
		}
	}
	return runOperator(ctx, args, stdout, stderr)
}

func runOperator(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	settings, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if settings.version {
		_, err := fmt.Fprintln(stdout, "strongroom-operator", version())
		return err
	}
	logger, err := newLogger(stderr, settings.logLevel, settings.logFormat)
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // most of the heap is caches that live as long as the operator: memory is dearer than time here
	}
	ctrl.SetLogger(logger)
	klog.SetLogger(logger)
	settings.Logger = logger
	if err := dropVaultEnvironment(); err != nil {
		return err
	}
	cluster, err := clusterConfig(settings.kubeconfig)
	if err != nil {
		return err
	}
	mgr, err := operator.New(ctx, cluster, settings.Options)
	if err != nil {
		return err
	}
	logger.Info("starting", "version", version(), "cluster", cluster.Host, "namespaces", settings.Namespaces)
	return mgr.Start(ctx)
}

// clusterConfig is how to reach the cluster: by file, or else by $KUBECONFIG, or else the one this runs in.
func clusterConfig(file string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = file
	cluster, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w; give --kubeconfig", err)
	}
	return cluster, nil
}

// dropVaultEnvironment removes the variables that a Vault client takes a token, a proxy or certificates from. A
// resource names its server itself, so nothing of the operator's own may go there.
func dropVaultEnvironment() error {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "VAULT_") {
			continue
		}
		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}
	return nil
}

func newLogger(w io.Writer, level, format string) (logr.Logger, error) {
	options := &slog.HandlerOptions{}
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		return logr.Logger{}, fmt.Errorf("--log-level %q is not debug, info, warn or error", level)
	}
	options.Level = least
	switch format {
	case "json":
		return logr.FromSlogHandler(slog.NewJSONHandler(w, options)), nil
	case "text":
		return logr.FromSlogHandler(slog.NewTextHandler(w, options)), nil
	}
	return logr.Logger{}, fmt.Errorf("--log-format %q is not json or text", format)
}

// Version is set by the linker (build/ldflags).
var Version string

// version is what the linker says, or else what the build says of itself.
func version() string {
	if Version != "" {
		return Version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}
