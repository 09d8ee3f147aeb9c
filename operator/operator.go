package operator

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/consumers"
	"strongroom/operator/instant"
	"strongroom/operator/shard"
	"strongroom/operator/target"
	"strongroom/operator/transform"
	"strongroom/operator/vaultauth"
	"strongroom/operator/vaultauthglobal"
	"strongroom/operator/vaultclient"
	"strongroom/operator/vaultconnection"
)

//go:generate go tool -modfile=../tools/go.mod controller-gen rbac:roleName=strongroom-operator paths=./... output:rbac:dir=../config/rbac

const (
	// defaultConcurrency reaches defaultQPS where the API server takes 30 ms for a write.
	defaultConcurrency = 16
	defaultLeaseName   = "strongroom-operator"
	defaultLease       = 8 * time.Second
	// defaultQPS lets ten thousand statuses be true again within 30 seconds of a server's return: a write each. How much of
	// that the API server takes it decides itself, by priority and fairness.
	defaultQPS       = 500
	defaultBurst     = 1000
	reconcileTimeout = time.Minute
)

// Options are what an operator is started with. The zero value watches all namespaces, without leader election,
// metrics or health checks.
type Options struct {
	MetricsAddress string   // HOST:PORT; empty: none
	HealthAddress  string   // HOST:PORT of /healthz and /readyz; empty: none
	LeaderElection bool     // among replicas, by a Lease
	LeaseNamespace string   // of that Lease; empty: the pod's own
	LeaseName      string   // empty: strongroom-operator
	Namespaces     []string // to watch; none: all
	// LeaseDuration is how long a replica that died is waited for; 0: 8s. One that ends by itself hands over at once.
	LeaseDuration time.Duration
	// Shards, if more than one, share the namespaces among Replicas that all work (ADR 25), in place of LeaderElection.
	Shards, Replicas int
	Identity         string // of this replica, for the Leases of shards; empty: the host's name and a random part
	// OperatorNamespace is the operator's own, where the resources named default serve all. Empty: no such namespace.
	OperatorNamespace string
	// ReportAs is what servers are told that this cluster is called, with the resources that use their secrets (ADR 28); empty: they are told nothing.
	ReportAs            string
	ExcludeRaw          bool // no Secret gets the key _raw, whatever its resource says
	AllowDefaultGlobals bool // VaultAuths may inherit from a VaultAuthGlobal that they do not name

	Concurrency int                  // reconciliations at a time of each kind; 0: 16
	QPS         float64              // requests a second to the API server in the long run; 0: 500
	Burst       int                  // and at once; 0: 1000
	Dial        vaultclient.DialFunc // to servers; nil: as they are named
	Logger      logr.Logger
}

// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=get;create;update

// New makes an operator for the cluster of config; its Start runs it until the context ends.
func New(ctx context.Context, cluster *rest.Config, options Options) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1beta1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("make the scheme: %w", err)
		}
	}
	cluster = rest.CopyConfig(cluster)
	cluster.QPS, cluster.Burst = float32(cmp.Or(options.QPS, defaultQPS)), cmp.Or(options.Burst, defaultBurst)
	mgr, err := ctrl.NewManager(cluster, managerOptions(scheme, options))
	if err != nil {
		return nil, fmt.Errorf("make the manager: %w", err)
	}
	for name, add := range map[string]func(string, healthz.Checker) error{"alive": mgr.AddHealthzCheck, "ready": mgr.AddReadyzCheck} {
		if err := add(name, healthz.Ping); err != nil {
			return nil, fmt.Errorf("add the health check: %w", err)
		}
	}
	if err := register(ctx, mgr, options); err != nil {
		return nil, err
	}
	return mgr, nil
}

func managerOptions(scheme *runtime.Scheme, options Options) manager.Options {
	namespaces := make(map[string]cache.Config, len(options.Namespaces))
	for _, namespace := range options.Namespaces {
		namespaces[namespace] = cache.Config{}
	}
	yes := true
	lease := cmp.Or(options.LeaseDuration, defaultLease)
	renew, retry := lease*2/3, lease/8
	managed := labels.SelectorFromSet(labels.Set{target.ManagedByLabel: target.ManagedBy})
	return manager.Options{
		Scheme:  scheme,
		Logger:  options.Logger,
		Metrics: server.Options{BindAddress: orOff(options.MetricsAddress)},
		Cache: cache.Options{
			DefaultNamespaces: namespaces,
			DefaultTransform:  slim,
			// Of all Secrets of the cluster, only the operator's own are watched, and of these only the metadata.
			ByObject: map[client.Object]cache.ByObject{&corev1.Secret{}: {Label: managed}, &corev1.ConfigMap{}: {Label: managed}},
		},
		// A reconciliation sees what the one before it wrote, so that nothing is told or done twice.
		Client: client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: &yes}},
		// Two operators in one process (as in tests) are no mistake.
		Controller:                    config.Controller{SkipNameValidation: &yes, ReconciliationTimeout: reconcileTimeout},
		HealthProbeBindAddress:        orOff(options.HealthAddress),
		LeaderElection:                options.LeaderElection && options.Shards <= 1,
		LeaseDuration:                 &lease,
		RenewDeadline:                 &renew,
		RetryPeriod:                   &retry,
		LeaderElectionID:              cmp.Or(options.LeaseName, defaultLeaseName),
		LeaderElectionNamespace:       options.LeaseNamespace,
		LeaderElectionReleaseOnCancel: true,
	}
}

// slim drops what the cache need not hold. Nothing is ever written back whole: patches say what differs.
func slim(object any) (any, error) {
	held, err := meta.Accessor(object)
	if err != nil {
		return object, nil //nolint:nilerr // a tombstone
	}
	held.SetManagedFields(nil)
	delete(held.GetAnnotations(), corev1.LastAppliedConfigAnnotation)
	return object, nil
}

func orOff(address string) string {
	if address == "" {
		return "0"
	}
	return address
}

func register(ctx context.Context, mgr manager.Manager, options Options) error {
	concurrency := options.Concurrency
	if concurrency <= 0 {
		concurrency = defaultConcurrency
	}
	dial := options.Dial
	if dial == nil {
		dial = vaultclient.Redirect(nil)
	}
	live := mgr.GetAPIReader()
	kube := current{Client: mgr.GetClient(), live: live}
	pool := vaultclient.NewPool(vaultclient.Credentials(kube, live), dial)
	hub := instant.NewHub(pool)
	reporter := condition.Reporter{Client: kube, Events: mgr.GetEventRecorder("strongroom-operator")}
	connections := vaultconnection.Resolver{Cache: kube, Live: live}
	auths := vaultauth.Resolver{
		Connections: connections, Namespaces: options.Namespaces,
		OperatorNamespace: options.OperatorNamespace, AllowDefaultGlobals: options.AllowDefaultGlobals,
	}

	connection := &vaultconnection.Reconciler{Resolver: connections, Reporter: reporter, Pool: pool, Watcher: hub.Watcher("VaultConnection")}
	auth := &vaultauth.Reconciler{Resolver: auths, Reporter: reporter, Pool: pool, Watcher: hub.Watcher("VaultAuth")}
	if err := measure(append(pool.Collectors(), hub)...); err != nil {
		return err
	}
	if err := share(mgr, hub, options); err != nil {
		return err
	}
	told := consumers.New(pool, options.ReportAs, options.Logger.WithName("consumers"))
	if told != nil {
		hub.OnForget(func(kind string, name types.NamespacedName) {
			told.Forget(consumers.Resource{Kind: kind, Namespace: name.Namespace, Name: name.Name})
		})
		if err := mgr.Add(told); err != nil {
			return fmt.Errorf("add the reports of consumers: %w", err)
		}
	}
	if err := mgr.Add(hub); err != nil {
		return fmt.Errorf("add the event streams: %w", err)
	}
	if err := mgr.Add(pool); err != nil {
		return fmt.Errorf("add the pool of logins: %w", err)
	}
	if err := connection.Register(mgr, concurrency); err != nil {
		return fmt.Errorf("register VaultConnection: %w", err)
	}
	if err := auth.Register(mgr, concurrency); err != nil {
		return fmt.Errorf("register VaultAuth: %w", err)
	}
	global := &vaultauthglobal.Reconciler{Auths: auths, Reporter: reporter, Watcher: hub.Watcher("VaultAuthGlobal")}
	if err := global.Register(mgr, concurrency); err != nil {
		return fmt.Errorf("register VaultAuthGlobal: %w", err)
	}
	shapes := transform.Library{Reader: kube, Permits: auths.Permits, ExcludeRaw: options.ExcludeRaw}
	return registerKinds(ctx, mgr, core{kube: kube, live: live, pool: pool, hub: hub, auths: auths, shapes: shapes, reporter: reporter, told: told}, options.Namespaces, concurrency)
}

// share has the replicas work on a part of the namespaces each, if there is more than one shard.
func share(mgr manager.Manager, hub *instant.Hub, options Options) error {
	if options.Shards <= 1 {
		return nil
	}
	namespace := cmp.Or(options.LeaseNamespace, options.OperatorNamespace)
	if namespace == "" {
		return errors.New("shards need a namespace for their Leases: give the namespace of leader election")
	}
	leases, err := coordination.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("make a client of Leases: %w", err)
	}
	identity := options.Identity
	if identity == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("find a name for this replica: %w", err)
		}
		identity = host + "_" + rand.Text()
	}
	set := shard.New(shard.Options{
		Leases: leases.Leases(namespace), Name: cmp.Or(options.LeaseName, defaultLeaseName), Identity: identity,
		Count: options.Shards, Replicas: max(options.Replicas, 1), Lease: cmp.Or(options.LeaseDuration, defaultLease),
		Gained: func(gained int) {
			hub.Gained(func(namespace string) bool { return shard.Of(namespace, options.Shards) == gained })
		},
		Logger: options.Logger.WithName("shards"),
	})
	hub.Share(set.Begin)
	if err := measure(set.Collector()); err != nil {
		return err
	}
	if err := mgr.Add(set); err != nil {
		return fmt.Errorf("add the shards: %w", err)
	}
	return nil
}

// measure registers metrics. Those of an earlier operator of this process (as in tests) make room.
func measure(collectors ...prometheus.Collector) error {
	for _, collector := range collectors {
		err := metrics.Registry.Register(collector)
		var earlier prometheus.AlreadyRegisteredError
		if errors.As(err, &earlier) {
			metrics.Registry.Unregister(earlier.ExistingCollector)
			err = metrics.Registry.Register(collector)
		}
		if err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}
