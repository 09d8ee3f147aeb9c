package kubetest

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// issuer is the `iss` of service-account tokens, as kubeadm sets it.
const issuer = "https://kubernetes.default.svc.cluster.local"

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

// site is where a control plane lives.
type site struct {
	ip       string // where the API server listens
	port     int
	services string   // CIDR of the Services' addresses
	enter    []string // command line that enters its network namespace; none for the machine's own
	nodes    bool     // whether there are nodes
}

// firstService is the address of the Service of the API itself.
func (s site) firstService() string {
	return netip.MustParsePrefix(s.services).Masked().Addr().Next().String()
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

func (s site) apiServerArgs() []string {
	args := []string{"kube-apiserver", "--etcd-servers=unix://client:0",
		"--bind-address=" + s.ip, "--advertise-address=" + s.ip, "--secure-port=" + strconv.Itoa(s.port),
		"--service-cluster-ip-range=" + s.services,
		"--tls-cert-file=pki/apiserver.crt", "--tls-private-key-file=pki/apiserver.key", "--client-ca-file=pki/ca.crt",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged",
		"--service-account-issuer=" + issuer, "--service-account-key-file=pki/service-account.pub",
		"--service-account-signing-key-file=pki/service-account.key",
		"--service-account-extend-token-expiration=false", // a token lives as long as asked for, not a year
	}
	if !s.nodes {
		return append(args,
			"--permit-port-sharing",           // see reservePort
			"--endpoint-reconciler-type=none", // nobody reaches the API by its Service, and loopback is no endpoint
		)
	}
	return append(args,
		"--kubelet-client-certificate=pki/kubelet-client.crt", "--kubelet-client-key=pki/kubelet-client.key",
		"--kubelet-certificate-authority=pki/ca.crt", "--kubelet-preferred-address-types=InternalIP",
		"--enable-aggregator-routing", // webhooks are called at their pods: there is no kube-proxy here
	)
}

func schedulerArgs() []string {
	return []string{"kube-scheduler", "--kubeconfig=scheduler.kubeconfig", "--secure-port=0", "--leader-elect=false"}
}

func (s site) controllerManagerArgs() []string {
	args := []string{"kube-controller-manager", "--kubeconfig=controller-manager.kubeconfig",
		"--secure-port=0", "--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=500",
		"--service-account-private-key-file=pki/service-account.key", "--root-ca-file=pki/ca.crt",
	}
	if !s.nodes {
		return append(args, "--controllers="+controllers)
	}
	// A dead node is to be known as such in seconds; see also the kubelet's configuration.
	return append(args, "--node-monitor-period=1s", "--node-monitor-grace-period=10s")
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
