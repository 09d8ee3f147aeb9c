package charts

import "testing"

const configFile = "server-config-configmap.yaml"

// hcl is the path of the configuration.
const hcl = `.data.extraconfig-from-values\.hcl`

func TestVaultConfigMap(t *testing.T) {
	values := func(name, yaml, want string) behaviour {
		return behaviour{name: name, values: yaml, file: configFile, want: map[string]string{hcl: want}}
	}
	testBehaviours(t, vault, []behaviour{
		{name: "standalone", file: configFile, want: map[string]string{".metadata.name": "vault-config", hcl: `*storage "file"*`, ".metadata.annotations": ""}},
		{name: "raft", set: raft, file: configFile, want: map[string]string{hcl: `*storage "raft"*`}},
		{name: "no raft", set: ha, file: configFile, want: map[string]string{hcl: "disable_mlock = true"}},
		{name: "dev", set: dev, file: configFile, none: true},
		{name: "global off", set: []string{"global.enabled=false"}, file: configFile, none: true},
		{name: "a server elsewhere", set: []string{"injector.externalVaultAddr=http://x"}, file: configFile, none: true},
		{name: "checksum", set: []string{"server.includeConfigAnnotation=true"}, file: configFile, want: map[string]string{
			`.metadata.annotations.vault\.hashicorp\.com/config-checksum`: "*",
		}},
		{name: "HCL of the user's", set: []string{"server.standalone.config=baz = false"}, file: configFile, want: map[string]string{hcl: "baz = false\ndisable_mlock = true"}},
		{name: "JSON of the user's", set: []string{`server.standalone.config=\{"hello": "world"\}`}, file: configFile, want: map[string]string{
			hcl: `{"disable_mlock":true,"hello":"world"}`,
		}},
		{name: "JSON that says it itself", set: []string{`server.standalone.config=\{"disable_mlock": false\}`}, file: configFile, want: map[string]string{
			hcl: `{"disable_mlock":false}`,
		}},
		{name: "JSON of ha", set: with(ha, `server.ha.config=\{"hello": "ha-world"\}`), file: configFile, want: map[string]string{
			hcl: `{"disable_mlock":true,"hello":"ha-world"}`,
		}},
		{name: "a map", values: "server: {standalone: {config: {key1: value1}}}", file: configFile, fails: "structured server config is not supported, value must be a string"},
		values("a template", `server: {standalone: {config: "x = \"{{ .Release.Name }}\""}}`, "x = \"vault\"\n*"),
		values("it says disable_mlock itself", "server: {standalone: {config: 'disable_mlock = false'}}", "disable_mlock = false"),

		// Joining by itself.
		{name: "joins", set: with(raft, "server.ha.replicas=2"), file: configFile, want: map[string]string{
			hcl: "*storage \"raft\" {\n  retry_join {\n    leader_api_addr = \"http://vault-0.vault-internal:8200\"\n  }\n  retry_join {\n    leader_api_addr = \"http://vault-1.vault-internal:8200\"\n  }\n\n  path = \"/vault/data\"\n}*",
		}},
		{name: "joins by TLS", set: with(raft, "server.ha.replicas=1", "server.tls.enabled=true"), file: configFile, want: map[string]string{
			hcl: "*retry_join {\n    leader_api_addr = \"https://vault-0.vault-internal:8200\"\n    leader_ca_cert_file = \"/vault/tls/ca.crt\"\n  }*",
		}},
		values("joins as the user says", "server: {ha: {enabled: true, raft: {enabled: true, config: \"storage \\\"raft\\\" {\\n  retry_join { auto_join = \\\"x\\\" }\\n}\"}}}", "storage \"raft\" {\n  retry_join { auto_join = \"x\" }\n}\ndisable_mlock = true"),
		values("a comment is no answer", "server: {ha: {enabled: true, replicas: 1, raft: {enabled: true, config: \"storage \\\"raft\\\" {\\n  # retry_join\\n}\"}}}", "storage \"raft\" {\n  retry_join {\n    leader_api_addr = \"http://vault-0.vault-internal:8200\"\n  }\n*"),
		values("joins by JSON", `server: {ha: {enabled: true, replicas: 1, raft: {enabled: true, config: '{"storage":{"raft":{"path":"/d"}}}'}}}`, `{"disable_mlock":true,"storage":{"raft":{"path":"/d","retry_join":[{"leader_api_addr":"http://vault-0.vault-internal:8200"}]}}}`),
		values("joins by JSON as the user says", `server: {ha: {enabled: true, raft: {enabled: true, config: '{"storage":{"raft":{"retry_join":[]}}}'}}}`, `{"disable_mlock":true,"storage":{"raft":{"retry_join":[]}}}`),

		// What a new cluster is made of, as it is: it is no template.
		values("declares", "server: {initialize: \"initialize \\\"a\\\" {\\n  # {{identity.entity.id}}\\n}\\n\", standalone: {config: 'ui = true'}}", "ui = true\n\ninitialize \"a\" {\n  # {{identity.entity.id}}\n}\ndisable_mlock = true"),
		values("declares nothing", "server: {initialize: '', standalone: {config: 'ui = true'}}", "ui = true\ndisable_mlock = true"),
		{name: "declares beside JSON", values: `server: {initialize: 'initialize "a" {}', standalone: {config: '{}'}}`, file: configFile, fails: `put "initialize" into that`},

		// TLS and peer unseal.
		{name: "TLS", set: []string{"server.tls.enabled=true"}, file: configFile, want: map[string]string{
			hcl: "*listener \"tcp\" {\n  tls_cert_file = \"/vault/tls/tls.crt\"\n  tls_key_file = \"/vault/tls/tls.key\"\n  address = *",
		}},
		values("TLS as the user says", "server: {tls: {enabled: true}, standalone: {config: \"listener \\\"tcp\\\" {\\n  tls_cert_file = \\\"/mine\\\"\\n}\"}}", "listener \"tcp\" {\n  tls_cert_file = \"/mine\"\n}\ndisable_mlock = true"),
		values("a listener of the user's without TLS", "server: {tls: {enabled: true}, standalone: {config: \"listener \\\"tcp\\\" {\\n  tls_cert_file = \\\"/mine\\\"\\n}\\nlistener \\\"tcp\\\" {\\n  tls_disable = 1\\n}\"}}", "*listener \"tcp\" {\n  tls_disable = 1\n}\ndisable_mlock = true"),
		{name: "TLS and JSON", values: `server: {tls: {enabled: true}, standalone: {config: '{"listener":{"tcp":{}}}'}}`, file: configFile, fails: `server.tls.enabled with a configuration in JSON: name "tls_cert_file"`},
		{name: "peers unseal", set: with(raft, "server.peerUnseal.enabled=true", "server.peerUnseal.audience=us"), file: configFile, want: map[string]string{
			hcl: "*seal \"peer\" {\n  token_path = \"/var/run/secrets/peer/token\"\n  audience = \"us\"\n}\ndisable_mlock = true",
		}},
		values("peers unseal as the user says", "server: {peerUnseal: {enabled: true}, ha: {enabled: true, raft: {enabled: true, config: \"seal \\\"peer\\\" {\\n}\"}}}", "seal \"peer\" {\n}\ndisable_mlock = true"),
	})
}

func TestVaultTLS(t *testing.T) {
	const (
		job  = "server-tls-job.yaml"
		cert = "server-tls-certificate.yaml"
	)
	tls := with(raft, "server.tls.enabled=true")
	cm := with(tls, "server.tls.source=certManager")
	testBehaviours(t, vault, []behaviour{
		statefulSet("TLS", tls, map[string]string{
			env("VAULT_ADDR"): "https://127.0.0.1:8200", env("VAULT_CACERT"): "/vault/tls/ca.crt",
			env("VAULT_API_ADDR"): "https://$(VAULT_K8S_POD_NAME).vault-internal.vault.svc:8200", mount("tls"): "/vault/tls",
			pod + ".volumes[?(@.name=='tls')].secret.secretName": "vault-tls", container + ".ports[0].name": "https",
		}),
		statefulSet("TLS by a Secret", with(tls, "server.tls.source=secret", "server.tls.secretName=mine"), map[string]string{
			pod + ".volumes[?(@.name=='tls')].secret.secretName": "mine",
		}),
		statefulSet("TLS, probed by a request", with(tls, "server.readinessProbe.path=/x"), map[string]string{container + ".readinessProbe.httpGet.scheme": "HTTPS"}),
		{name: "TLS by the Service", set: tls, file: "server-service.yaml", want: map[string]string{".spec.ports[0].name": "https"}},
		{name: "generated", set: tls, file: job, want: map[string]string{".kind": "ServiceAccount"}},
		{name: "not generated", set: cm, file: job, none: true},
		{name: "off", set: raft, file: job, none: true},
		{name: "off", set: raft, file: cert, none: true},
		{name: "not by cert-manager", set: tls, file: cert, none: true},
		{name: "a CA of its own", set: cm, file: cert, want: map[string]string{".kind": "Certificate", ".metadata.name": "vault-ca", ".spec.isCA": "true"}},
		{name: "an issuer of the user's", set: with(cm, "server.tls.issuerRef.name=corp", "server.tls.issuerRef.kind=ClusterIssuer"), file: cert, want: map[string]string{
			".kind": "Certificate", ".spec.issuerRef.name": "corp", ".spec.issuerRef.kind": "ClusterIssuer", ".spec.secretName": "vault-tls",
			".spec.ipAddresses[*]": "127.0.0.1", ".spec.dnsNames[*]": "localhost vault vault.vault vault.vault.svc *",
		}},
		{name: "no Secret", set: with(tls, "server.tls.source=secret"), file: cert, fails: "server.tls.source=secret needs server.tls.secretName"},
		{name: "dev", set: with(dev, "server.tls.enabled=true"), file: cert, fails: "development mode speaks plain HTTP"},
		statefulSet("peers unseal", with(raft, "server.peerUnseal.enabled=true"), map[string]string{
			mount("peer-token"): "/var/run/secrets/peer",
			pod + ".volumes[?(@.name=='peer-token')].projected.sources[0].serviceAccountToken.audience":          "strongroom-peer-unseal",
			pod + ".volumes[?(@.name=='peer-token')].projected.sources[0].serviceAccountToken.expirationSeconds": "600",
		}),
		{name: "no peers", set: []string{"server.peerUnseal.enabled=true"}, file: "server-statefulset.yaml", fails: "server.peerUnseal.enabled needs peers"},
	})
}

// TestVaultRefusals: what is not shipped is refused with what to do instead, and what cannot be meant, by the schema.
func TestVaultRefusals(t *testing.T) {
	refused := func(set, says string) behaviour {
		return behaviour{name: set, set: []string{set}, fails: says}
	}
	testBehaviours(t, vault, []behaviour{
		refused("injector.enabled=true", "injector.enabled: the agent injector is not in this release yet. Set injector.enabled=false"),
		refused("injector.enabled=-", "the agent injector is not in this release yet"),
		refused("csi.enabled=true", "csi.enabled: the CSI provider is not in this release yet. Set csi.enabled=false"),
		refused("csi.enabled=123", "at '/csi/enabled': got number, want boolean or string"),
		refused("injector.enabled=123", "at '/injector/enabled': got number, want boolean or string"),
		refused("server.enabled=123", "at '/server/enabled': got number, want boolean or string"),
		refused("ui.enabled=123", "at '/ui/enabled': got number, want boolean or string"),
		refused("global.enabled=yes", "at '/global/enabled': got string, want boolean"),
		refused("server.ha.replicas=three", "at '/server/ha/replicas': got string, want integer"),
		refused("server.ha.replicas=-1", "at '/server/ha/replicas'"),
		refused("server.ha.enabled=maybe", "at '/server/ha/enabled': got string, want boolean"),
		refused("server.ha.raft.enabled=1", "at '/server/ha/raft/enabled': got number, want boolean"),
		refused("server.logLevel=loud", "at '/server/logLevel'"),
		refused("server.logFormat=xml", "at '/server/logFormat'"),
		refused("server.image.pullPolicy=Sometimes", "at '/server/image/pullPolicy'"),
		refused("server.updateStrategyType=Recreate", "at '/server/updateStrategyType'"),
		refused("server.annotations[0]=x", "at '/server/annotations': got array"),
		refused("server.tolerations.key=x", "at '/server/tolerations': got object"),
		refused("server.extraVolumes[0].type=disk", "at '/server/extraVolumes/0"),
		refused("server.extraSecretEnvironmentVars[0].envName=X", "missing properties 'secretName', 'secretKey'"),
		refused("server.extraEnvironmentVars.X.y=1", "at '/server/extraEnvironmentVars/X'"),
		refused("server.service.port=http", "at '/server/service/port': got string, want integer"),
		refused("server.service.port=70000", "at '/server/service/port'"),
		refused("server.dataStorage.mountPath=data", "at '/server/dataStorage/mountPath'"),
		refused("server.tls.source=acme", "at '/server/tls/source'"),
		refused("server.tls.duration=1y", "at '/server/tls/duration'"),
		refused("server.tls.enable=true", "additional properties 'enable' not allowed"),
		refused("server.peerUnseal.expirationSeconds=5", "at '/server/peerUnseal/expirationSeconds'"),
		refused("ui.serviceType=Cluster", "at '/ui/serviceType'"),
		refused("server.podManagementPolicy=Serial", "at '/server/podManagementPolicy'"),
	})
}
