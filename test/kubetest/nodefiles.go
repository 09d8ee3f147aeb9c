package kubetest

import (
	"math"
	"os"
	"strconv"
	"syscall"
)

// nodeFiles are the configurations of a node's programs, by name.
func (c *Cluster) nodeFiles(n *node) map[string]string {
	var files syscall.Rlimit
	_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) // it fails for wrong arguments only
	values := map[string]string{
		"DISK": n.disk, "SNAPSHOTTER": snapshotter(n.disk), "SOCKET": containerdSocket, "CNI": cniDir, "PAUSE": pauseImage,
		"PODS": c.slot.nodePods(n.number), "ADDRESS": c.slot.nodeAddress(n.number), "DNS": c.slot.dns(), "GROUP": "/" + c.group(n),
		"PKI": c.pki.dir, "NODE": n.name, "FILES": strconv.FormatUint(min(files.Max, math.MaxInt32), 10),
	}
	fill := func(template string) string {
		return os.Expand(template, func(name string) string { return values[name] })
	}
	return map[string]string{
		"containerd.toml":      fill(containerdConfig),
		"cni/10-pods.conflist": fill(cniConfig),
		"kubelet.yaml":         fill(kubeletConfig),
		"resolv.conf":          "", // what pods of dnsPolicy Default see
	}
}

// Without CAP_SYS_RESOURCE, as in sandboxes, nobody may lower an oom_score_adj:
// restrict_oom_score_adj. The sandbox image is imported, never pulled.
const containerdConfig = `version = 2
root = "$DISK/containerd"
state = "/run/containerd"
[grpc]
  address = "$SOCKET"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "$SNAPSHOTTER"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$CNI"
    conf_dir = "$DISK/cni"
`

// Every pod hangs on a cable of its own and everything is routed, so that each
// packet meets kube-proxy's rules both ways. On a bridge, answers between two
// pods of a node would need br_netfilter, which changes the whole machine.
const cniConfig = `{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "ptp", "ipMasq": false,
  "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "$PODS"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
`

// The imported images are never collected. The short times let the control
// plane see in ten seconds that a node is gone.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: $GROUP
oomScoreAdj: 0
failSwapOn: false
maxOpenFiles: $FILES
containerRuntimeEndpoint: unix://$SOCKET
address: $ADDRESS
tlsCertFile: $PKI/$NODE-serving.crt
tlsPrivateKeyFile: $PKI/$NODE-serving.key
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
clusterDNS: [$DNS]
clusterDomain: cluster.local
resolvConf: $DISK/resolv.conf
makeIPTablesUtilChains: false
evictionHard: {nodefs.available: 1%, imagefs.available: 1%, memory.available: 50Mi}
imageGCHighThresholdPercent: 100
healthzBindAddress: 127.0.0.1
nodeStatusUpdateFrequency: 2s
nodeLeaseDurationSeconds: 8
syncFrequency: 10s
`

// overlayMagic is what statfs(2) says of overlay file systems.
const overlayMagic = 0x794c7630

// snapshotter is how containerd keeps images on the file system of dir: there
// is no overlay on an overlay, which a container's own file system is.
func snapshotter(dir string) string {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err == nil && fs.Type == overlayMagic {
		return "native"
	}
	return "overlayfs"
}
