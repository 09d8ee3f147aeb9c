package charts

import "testing"

// Paths of the pod and the server's container.
const (
	pod       = ".spec.template.spec"
	container = pod + ".containers[0]"
)

func env(name string) string { return container + ".env[?(@.name=='" + name + "')].value" }
func mount(name string) string {
	return container + ".volumeMounts[?(@.name=='" + name + "')].mountPath"
}

var (
	ha   = []string{"server.ha.enabled=true"}
	raft = []string{"server.ha.enabled=true", "server.ha.raft.enabled=true"}
	dev  = []string{"server.dev.enabled=true"}
)

func with(base []string, more ...string) []string {
	return append(append([]string{}, base...), more...)
}

func statefulSet(name string, set []string, want map[string]string) behaviour {
	return behaviour{name: name, set: set, file: "server-statefulset.yaml", want: want}
}

// TestVaultModes: what is rendered at all.
func TestVaultModes(t *testing.T) {
	none := func(name string, set ...string) behaviour {
		return behaviour{name: name, set: set, file: "server-statefulset.yaml", none: true}
	}
	testBehaviours(t, vault, []behaviour{
		none("global off", "global.enabled=false"),
		none("global off, ha", with(raft, "global.enabled=false")...),
		none("server off", "server.enabled=false"),
		none("server neither on nor off", "server.enabled=blabla"),
		none("a server elsewhere", "global.externalVaultAddr=https://vault.example.com"),
		none("a server elsewhere, by the older name", "injector.externalVaultAddr=https://vault.example.com"),
		none("no mode", "server.standalone.enabled=false"),
		statefulSet("server on, global off", []string{"global.enabled=false", "server.enabled=true", "server.standalone.enabled=true"}, map[string]string{
			".spec.replicas": "1",
		}),
		statefulSet("standalone", nil, map[string]string{
			".metadata.name": "vault", ".metadata.namespace": "vault", ".spec.replicas": "1", ".spec.serviceName": "vault-internal",
			".spec.podManagementPolicy": "Parallel",
		}),
		statefulSet("standalone is one", []string{"server.standalone.replicas=100"}, map[string]string{".spec.replicas": "1"}),
		statefulSet("dev", dev, map[string]string{
			".spec.replicas": "1", env("VAULT_DEV_ROOT_TOKEN_ID"): "root", env("VAULT_DEV_LISTEN_ADDRESS"): "[::]:8200",
			".spec.volumeClaimTemplates": "", container + ".args[0]": "*vault server -dev\n",
		}),
		statefulSet("dev before ha", with(raft, dev...), map[string]string{".spec.replicas": "1"}),
		statefulSet("dev needs no node of its own", dev, map[string]string{pod + ".affinity": "", mount("config"): ""}),
		statefulSet("dev token", with(dev, "server.dev.devRootToken=customtoken"), map[string]string{env("VAULT_DEV_ROOT_TOKEN_ID"): "customtoken"}),
		statefulSet("ha", raft, map[string]string{".spec.replicas": "3"}),
		statefulSet("ha of ten", with(raft, "server.ha.replicas=10"), map[string]string{".spec.replicas": "10"}),
		statefulSet("ha with a storage of the user's", ha, map[string]string{".spec.replicas": "3", ".spec.volumeClaimTemplates": ""}),
		statefulSet("another name", []string{"fullnameOverride=secrets"}, map[string]string{".metadata.name": "secrets", ".spec.serviceName": "secrets-internal"}),
		statefulSet("another namespace", []string{"global.namespace=bar"}, map[string]string{".metadata.namespace": "bar"}),
	})
}

func TestVaultStatefulSet(t *testing.T) {
	testBehaviours(t, vault, []behaviour{
		statefulSet("image", []string{"server.image.repository=foo", "server.image.tag=1.2.3", "server.image.pullPolicy=Always"}, map[string]string{
			container + ".image": "foo:1.2.3", container + ".imagePullPolicy": "Always", container + ".name": "vault",
		}),
		statefulSet("image without a tag", []string{"server.image.repository=foo", "server.image.tag="}, map[string]string{container + ".image": "foo:latest"}),
		statefulSet("image by default", nil, map[string]string{
			container + ".image": "strongroom:0.1.0-dev", container + ".imagePullPolicy": "IfNotPresent", pod + ".imagePullSecrets": "",
		}),
		statefulSet("pull secrets as maps", []string{"global.imagePullSecrets[0].name=foo", "global.imagePullSecrets[1].name=bar"}, map[string]string{
			pod + ".imagePullSecrets[*].name": "foo bar",
		}),
		statefulSet("pull secrets as strings", []string{"global.imagePullSecrets={foo,bar}"}, map[string]string{pod + ".imagePullSecrets[*].name": "foo bar"}),
		statefulSet("update strategy", nil, map[string]string{".spec.updateStrategy.type": "OnDelete"}),
		statefulSet("rolling updates", with(raft, "server.updateStrategyType=RollingUpdate"), map[string]string{".spec.updateStrategy.type": "RollingUpdate"}),
		statefulSet("rolling updates with peer unseal", with(raft, "server.peerUnseal.enabled=true"), map[string]string{".spec.updateStrategy.type": "RollingUpdate"}),
		statefulSet("peer unseal, but on delete", with(raft, "server.peerUnseal.enabled=true", "server.updateStrategyType=OnDelete"), map[string]string{
			".spec.updateStrategy.type": "OnDelete",
		}),
		statefulSet("pod management", []string{"server.podManagementPolicy=OrderedReady"}, map[string]string{".spec.podManagementPolicy": "OrderedReady"}),
		statefulSet("no resources", nil, map[string]string{container + ".resources": ""}),
		statefulSet("resources", []string{"server.resources.requests.memory=256Mi", "server.resources.limits.cpu=250m"}, map[string]string{
			container + ".resources.requests.memory": "256Mi", container + ".resources.limits.cpu": "250m",
		}),
		statefulSet("ports", nil, map[string]string{container + ".ports[*].name": "http https-internal http-rep", container + ".ports[*].containerPort": "8200 8201 8202"}),
		statefulSet("ports with TLS", []string{"global.tlsDisable=false"}, map[string]string{container + ".ports[*].name": "https https-internal https-rep"}),
		statefulSet("more ports", []string{"server.extraPorts[0].containerPort=1111", "server.extraPorts[0].name=foo"}, map[string]string{
			container + ".ports[3].containerPort": "1111",
		}),
		statefulSet("arguments", []string{"server.extraArgs=foobar"}, map[string]string{container + ".args[0]": "*vault server -config=/tmp/storageconfig.hcl foobar\n"}),
		statefulSet("command", nil, map[string]string{
			container + ".command[*]": "/bin/sh -ec", container + ".args[0]": "cp /vault/config/extraconfig-from-values.hcl /tmp/storageconfig.hcl*",
		}),

		// Environment.
		statefulSet("environment", nil, map[string]string{
			container + ".env[*].name": "HOST_IP POD_IP VAULT_K8S_POD_NAME VAULT_K8S_NAMESPACE VAULT_ADDR VAULT_API_ADDR SKIP_CHOWN SKIP_SETCAP HOSTNAME VAULT_CLUSTER_ADDR HOME",
			env("VAULT_ADDR"):          "http://127.0.0.1:8200", env("VAULT_API_ADDR"): "http://$(POD_IP):8200", env("VAULT_CLUSTER_ADDR"): "https://$(HOSTNAME).vault-internal:8201", env("HOME"): "/home/vault",
			container + ".env[?(@.name=='HOSTNAME')].valueFrom.fieldRef.fieldPath": "metadata.name", container + ".env[?(@.name=='HOST_IP')].valueFrom.fieldRef.fieldPath": "status.hostIP",
		}),
		statefulSet("environment with TLS", []string{"global.tlsDisable=false"}, map[string]string{
			env("VAULT_ADDR"): "https://127.0.0.1:8200", env("VAULT_API_ADDR"): "https://$(POD_IP):8200",
		}),
		statefulSet("no node id", raft, map[string]string{container + ".env[?(@.name=='VAULT_RAFT_NODE_ID')].name": ""}),
		statefulSet("node id", with(raft, "server.ha.raft.setNodeId=true"), map[string]string{
			container + ".env[?(@.name=='VAULT_RAFT_NODE_ID')].valueFrom.fieldRef.fieldPath": "metadata.name",
		}),
		statefulSet("api address", with(raft, "server.ha.apiAddr=https://example.com:8200"), map[string]string{env("VAULT_API_ADDR"): "https://example.com:8200"}),
		statefulSet("cluster address", with(raft, "server.ha.clusterAddr=https://$(HOSTNAME).release-name-vault-internal:8201"), map[string]string{
			env("VAULT_CLUSTER_ADDR"): "https://$(HOSTNAME).release-name-vault-internal:8201",
		}),
		{name: "cluster address with a template", values: "server: {ha: {enabled: true, raft: {enabled: true}, clusterAddr: 'https://$(HOSTNAME).{{ template \"vault.fullname\" . }}-internal:8201'}}", file: "server-statefulset.yaml",
			want: map[string]string{env("VAULT_CLUSTER_ADDR"): "https://$(HOSTNAME).vault-internal:8201"}},
		statefulSet("log", []string{"server.logLevel=debug", "server.logFormat=json"}, map[string]string{env("VAULT_LOG_LEVEL"): "debug", env("VAULT_LOG_FORMAT"): "json"}),
		statefulSet("more variables", []string{"server.extraEnvironmentVars.FOO=bar", "server.extraEnvironmentVars.N=3"}, map[string]string{env("FOO"): "bar", env("N"): "3"}),
		statefulSet("a variable instead of the chart's", []string{"server.extraEnvironmentVars.VAULT_ADDR=https://x"}, map[string]string{env("VAULT_ADDR"): "https://x"}),
		statefulSet("variables from secrets", []string{"server.extraSecretEnvironmentVars[0].envName=E", "server.extraSecretEnvironmentVars[0].secretName=s", "server.extraSecretEnvironmentVars[0].secretKey=k"}, map[string]string{
			container + ".env[?(@.name=='E')].valueFrom.secretKeyRef.name": "s", container + ".env[?(@.name=='E')].valueFrom.secretKeyRef.key": "k"}),

		// Volumes.
		statefulSet("config map as a volume", []string{"server.extraVolumes[0].type=configMap", "server.extraVolumes[0].name=foo"}, map[string]string{
			pod + ".volumes[?(@.name=='userconfig-foo')].configMap.name": "foo", mount("userconfig-foo"): "/vault/userconfig/foo", container + ".volumeMounts[?(@.name=='userconfig-foo')].readOnly": "true"}),
		statefulSet("secret as a volume, elsewhere", []string{"server.extraVolumes[0].type=secret", "server.extraVolumes[0].name=foo", "server.extraVolumes[0].path=/custom/path"}, map[string]string{
			pod + ".volumes[?(@.name=='userconfig-foo')].secret.secretName": "foo", mount("userconfig-foo"): "/custom/path/foo"}),
		statefulSet("volumes and mounts", []string{"server.volumes[0].name=plugins", "server.volumes[0].hostPath.path=/p", "server.volumeMounts[0].name=plugins", "server.volumeMounts[0].mountPath=/usr/local/libexec/vault", "server.volumeMounts[0].readOnly=true"}, map[string]string{
			pod + ".volumes[?(@.name=='plugins')].hostPath.path": "/p", mount("plugins"): "/usr/local/libexec/vault"}),
		statefulSet("what the image may write to", nil, map[string]string{
			mount("tmp"): "/tmp", mount("home"): "/home/vault", mount("logs"): "/vault/logs", mount("config"): "/vault/config",
			pod + ".volumes[?(@.name=='config')].configMap.name": "vault-config",
		}),
		statefulSet("a mount instead of the chart's", []string{"server.volumes[0].name=l", "server.volumes[0].hostPath.path=/l", "server.volumeMounts[0].name=l", "server.volumeMounts[0].mountPath=/vault/logs/"}, map[string]string{
			mount("logs"): "", mount("l"): "/vault/logs/", pod + ".volumes[?(@.name=='logs')].name": "",
		}),
		statefulSet("audit log where the image has a folder", []string{"server.auditStorage.enabled=true", "server.auditStorage.mountPath=/vault/logs"}, map[string]string{
			mount("logs"): "", mount("audit"): "/vault/logs",
		}),

		// Claims.
		statefulSet("data", nil, map[string]string{
			".spec.volumeClaimTemplates[*].metadata.name": "data", ".spec.volumeClaimTemplates[0].spec.storageClassName": "",
			".spec.volumeClaimTemplates[0].spec.resources.requests.storage": "10Gi",
			".spec.volumeClaimTemplates[0].spec.accessModes[*]":             "ReadWriteOnce", mount("data"): "/vault/data",
		}),
		statefulSet("data of ha", with(raft, "server.dataStorage.storageClass=foo", "server.dataStorage.mountPath=/opt/vault"), map[string]string{
			".spec.volumeClaimTemplates[0].spec.storageClassName": "foo", mount("data"): "/opt/vault",
		}),
		statefulSet("audit log", []string{"server.auditStorage.enabled=true", "server.auditStorage.storageClass=foo"}, map[string]string{
			".spec.volumeClaimTemplates[*].metadata.name": "data audit", ".spec.volumeClaimTemplates[1].spec.storageClassName": "foo",
			mount("audit"): "/vault/audit",
		}),
		statefulSet("audit log alone", []string{"server.auditStorage.enabled=true", "server.dataStorage.enabled=false"}, map[string]string{
			".spec.volumeClaimTemplates[*].metadata.name": "audit",
		}),
		statefulSet("audit log of ha without raft", with(ha, "server.auditStorage.enabled=true"), map[string]string{".spec.volumeClaimTemplates[*].metadata.name": "audit"}),
		statefulSet("no claims", []string{"server.dataStorage.enabled=false"}, map[string]string{
			".spec.volumeClaimTemplates": "", mount("data"): "/vault/data", pod + ".volumes[?(@.name=='data')].emptyDir": "{}",
		}),
		statefulSet("no claims in dev", with(dev, "server.dataStorage.enabled=true", "server.auditStorage.enabled=true"), map[string]string{".spec.volumeClaimTemplates": ""}),
		statefulSet("annotations of claims as strings", []string{"server.auditStorage.enabled=true", "server.auditStorage.annotations=a: b", "server.dataStorage.annotations=c: d"}, map[string]string{
			".spec.volumeClaimTemplates[1].metadata.annotations.a": "b", ".spec.volumeClaimTemplates[0].metadata.annotations.c": "d",
		}),
		statefulSet("annotations and labels of claims", []string{"server.dataStorage.annotations.c=d", "server.dataStorage.labels.e=f"}, map[string]string{
			".spec.volumeClaimTemplates[0].metadata.annotations.c": "d", ".spec.volumeClaimTemplates[0].metadata.labels.e": "f",
		}),
		statefulSet("retention of claims", []string{"server.persistentVolumeClaimRetentionPolicy.whenDeleted=Delete"}, map[string]string{
			".spec.persistentVolumeClaimRetentionPolicy.whenDeleted": "Delete",
		}),
	})
}

func TestVaultPod(t *testing.T) {
	const anti = pod + ".affinity.podAntiAffinity"
	probe := func(name string) string { return container + "." + name + "Probe" }
	testBehaviours(t, vault, []behaviour{
		statefulSet("apart from each other", raft, map[string]string{anti + ".requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey": "kubernetes.io/hostname"}),
		statefulSet("not apart from each other", with(raft, "server.affinity="), map[string]string{pod + ".affinity": ""}),
		statefulSet("affinity as a string", []string{"server.affinity=foobar"}, map[string]string{pod + ".affinity": "foobar"}),
		statefulSet("affinity as YAML", []string{"server.affinity.podAntiAffinity=foobar"}, map[string]string{anti: "foobar"}),
		statefulSet("nothing else by default", nil, map[string]string{
			pod + ".tolerations": "", pod + ".nodeSelector": "", pod + ".topologySpreadConstraints": "", pod + ".priorityClassName": "",
			pod + ".initContainers": "", pod + ".shareProcessNamespace": "", pod + ".hostAliases": "", pod + ".hostNetwork": "false",
			pod + ".containers[1]": "", ".metadata.annotations": "", ".spec.template.metadata.annotations": "",
		}),
		statefulSet("tolerations as a string", []string{"server.tolerations=foobar"}, map[string]string{pod + ".tolerations": "foobar"}),
		statefulSet("tolerations as YAML", []string{"server.tolerations[0].foo=bar"}, map[string]string{pod + ".tolerations[0].foo": "bar"}),
		statefulSet("spread as a string", []string{"server.topologySpreadConstraints=foobar"}, map[string]string{pod + ".topologySpreadConstraints": "foobar"}),
		statefulSet("spread as YAML", []string{"server.topologySpreadConstraints[0].foo=bar"}, map[string]string{pod + ".topologySpreadConstraints[0].foo": "bar"}),
		statefulSet("nodes as a string", []string{"server.nodeSelector=testing"}, map[string]string{pod + ".nodeSelector": "testing"}),
		statefulSet("nodes as YAML", []string{`server.nodeSelector.beta\.kubernetes\.io/arch=amd64`}, map[string]string{
			pod + `.nodeSelector.beta\.kubernetes\.io/arch`: "amd64",
		}),
		statefulSet("priority", []string{"server.priorityClassName=armaggeddon"}, map[string]string{pod + ".priorityClassName": "armaggeddon"}),
		statefulSet("containers", []string{"server.extraInitContainers[0].name=i", "server.extraContainers[0].name=c", "server.extraContainers[1].name=d"}, map[string]string{
			pod + ".initContainers[*].name": "i", pod + ".containers[*].name": "vault c d",
		}),
		statefulSet("processes", []string{"server.shareProcessNamespace=true"}, map[string]string{pod + ".shareProcessNamespace": "true"}),
		statefulSet("host network", []string{"server.hostNetwork=true"}, map[string]string{pod + ".hostNetwork": "true", pod + ".dnsPolicy": "ClusterFirstWithHostNet"}),
		statefulSet("host aliases", []string{"server.hostAliases[0].ip=127.0.0.1"}, map[string]string{pod + ".hostAliases[0].ip": "127.0.0.1"}),
		statefulSet("labels", []string{"server.extraLabels.foo=bar"}, map[string]string{
			".spec.template.metadata.labels.foo": "bar", ".spec.template.metadata.labels.component": "server",
		}),
		statefulSet("annotations", []string{"server.statefulSet.annotations.foo=bar", "server.annotations.baz=qux"}, map[string]string{
			".metadata.annotations.foo": "bar", ".spec.template.metadata.annotations.baz": "qux",
		}),
		statefulSet("annotations as strings", []string{"server.statefulSet.annotations=foo: bar", "server.annotations=baz: qux"}, map[string]string{
			".metadata.annotations.foo": "bar", ".spec.template.metadata.annotations.baz": "qux",
		}),
		statefulSet("checksum of the configuration", []string{"server.includeConfigAnnotation=true"}, map[string]string{
			`.spec.template.metadata.annotations.vault\.hashicorp\.com/config-checksum`: "*",
		}),

		// Security.
		statefulSet("pod's security", nil, map[string]string{
			pod + ".securityContext.runAsUser": "100", pod + ".securityContext.runAsGroup": "1000", pod + ".securityContext.fsGroup": "1000",
			pod + ".securityContext.runAsNonRoot": "true", pod + ".securityContext.seccompProfile.type": "RuntimeDefault",
		}),
		statefulSet("container's security", nil, map[string]string{
			container + ".securityContext.allowPrivilegeEscalation": "false", container + ".securityContext.readOnlyRootFilesystem": "true",
			container + ".securityContext.capabilities.drop[*]": "ALL",
		}),
		statefulSet("user and group", []string{"server.uid=2000", "server.gid=3000"}, map[string]string{
			pod + ".securityContext.runAsUser": "2000", pod + ".securityContext.runAsGroup": "3000", pod + ".securityContext.fsGroup": "3000",
		}),
		statefulSet("the user's security", []string{"server.statefulSet.securityContext.pod.runAsUser=7", "server.statefulSet.securityContext.container.privileged=false"}, map[string]string{
			pod + ".securityContext": `{"runAsUser":7}`, container + ".securityContext": `{"privileged":false}`,
		}),
		statefulSet("the user's security as strings", []string{"server.statefulSet.securityContext.pod=runAsUser: 7", "server.statefulSet.securityContext.container=privileged: false"}, map[string]string{
			pod + ".securityContext.runAsUser": "7", container + ".securityContext.privileged": "false",
		}),
		statefulSet("OpenShift's security", []string{"global.openshift=true"}, map[string]string{
			pod + ".securityContext": "", container + ".securityContext": "", pod + ".hostNetwork": "",
		}),
		statefulSet("the user's security on OpenShift", []string{"global.openshift=true", "server.statefulSet.securityContext.pod.fsGroup=7"}, map[string]string{
			pod + ".securityContext.fsGroup": "7",
		}),

		// Probes.
		statefulSet("ready", nil, map[string]string{
			probe("readiness") + ".exec.command[*]": "/bin/sh -ec vault status -tls-skip-verify", probe("readiness") + ".failureThreshold": "2",
			probe("readiness") + ".initialDelaySeconds": "5", probe("readiness") + ".periodSeconds": "5", probe("readiness") + ".successThreshold": "1",
			probe("readiness") + ".timeoutSeconds": "3", probe("liveness"): "",
		}),
		statefulSet("ready by a request", []string{"server.readinessProbe.path=/v1/sys/health", "server.readinessProbe.port=8300"}, map[string]string{
			probe("readiness") + ".exec": "", probe("readiness") + ".httpGet.path": "/v1/sys/health", probe("readiness") + ".httpGet.port": "8300",
			probe("readiness") + ".httpGet.scheme": "HTTP",
		}),
		statefulSet("ready by a request with TLS", []string{"server.readinessProbe.path=/v1/sys/health", "global.tlsDisable=false"}, map[string]string{
			probe("readiness") + ".httpGet.scheme": "HTTPS",
		}),
		statefulSet("always ready", []string{"server.readinessProbe.enabled=false"}, map[string]string{probe("readiness"): ""}),
		statefulSet("ready, times", []string{"server.readinessProbe.failureThreshold=100", "server.readinessProbe.initialDelaySeconds=0"}, map[string]string{
			probe("readiness") + ".failureThreshold": "100", probe("readiness") + ".initialDelaySeconds": "0",
		}),
		statefulSet("alive", []string{"server.livenessProbe.enabled=true"}, map[string]string{
			probe("liveness") + ".httpGet.path": "/v1/sys/health?standbyok=true", probe("liveness") + ".httpGet.port": "8200",
			probe("liveness") + ".initialDelaySeconds": "60", probe("liveness") + ".failureThreshold": "2",
		}),
		statefulSet("alive by a command", []string{"server.livenessProbe.enabled=true", "server.livenessProbe.execCommand={/bin/sh,-c,true}"}, map[string]string{
			probe("liveness") + ".exec.command[*]": "/bin/sh -c true", probe("liveness") + ".httpGet": "",
		}),

		// The end and the beginning.
		statefulSet("stop", nil, map[string]string{
			container + ".lifecycle.preStop.exec.command[2]": "sleep 5 && kill -SIGTERM $(pidof vault)", pod + ".terminationGracePeriodSeconds": "10",
			container + ".lifecycle.postStart": "",
		}),
		statefulSet("stop later", []string{"server.preStopSleepSeconds=10", "server.terminationGracePeriodSeconds=60"}, map[string]string{
			container + ".lifecycle.preStop.exec.command[2]": "sleep 10 && *", pod + ".terminationGracePeriodSeconds": "60",
		}),
		statefulSet("stop otherwise", []string{"server.preStop={/bin/sh,-c,halt}"}, map[string]string{container + ".lifecycle.preStop.exec.command[*]": "/bin/sh -c halt"}),
		statefulSet("start", []string{"server.postStart={/bin/sh,-c,sleep}"}, map[string]string{container + ".lifecycle.postStart.exec.command[*]": "/bin/sh -c sleep"}),

		// Whose account.
		statefulSet("account", nil, map[string]string{pod + ".serviceAccountName": "vault"}),
		statefulSet("no account", []string{"server.serviceAccount.create=false"}, map[string]string{pod + ".serviceAccountName": "default"}),
		statefulSet("another account", []string{"server.serviceAccount.create=false", "server.serviceAccount.name=mine"}, map[string]string{
			pod + ".serviceAccountName": "mine",
		}),
	})
}
