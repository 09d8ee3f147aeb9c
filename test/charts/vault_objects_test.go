package charts

import "testing"

func TestVaultServices(t *testing.T) {
	service := func(name, file string, set []string, want map[string]string) behaviour {
		return behaviour{name: name, set: set, file: file, want: want}
	}
	const (
		main     = "server-service.yaml"
		active   = "server-ha-active-service.yaml"
		standby  = "server-ha-standby-service.yaml"
		headless = "server-headless-service.yaml"
		ui       = "ui-service.yaml"
		instance = `.spec.selector.app\.kubernetes\.io/instance`
	)
	table := []behaviour{
		service("headless", headless, ha, map[string]string{
			".metadata.name": "vault-internal", ".spec.clusterIP": "None", ".spec.publishNotReadyAddresses": "true", ".spec.ports[*].port": "8200 8201",
			instance: "vault", ".metadata.labels.vault-internal": "true",
		}),
		service("headless stays so", headless, []string{"server.service.publishNotReadyAddresses=false", "server.service.instanceSelector.enabled=false", "server.service.clusterIP=1.2.3.4"}, map[string]string{
			".spec.publishNotReadyAddresses": "true", instance: "vault", ".spec.clusterIP": "None",
		}),
		service("headless annotations", headless, []string{"server.service.annotations=a: general", "server.service.internal.annotations=a: internal"}, map[string]string{
			".metadata.annotations.a": "internal",
		}),
		service("both annotations", headless, []string{"server.service.annotations.a=general", "server.service.internal.annotations.b=internal"}, map[string]string{
			".metadata.annotations.a": "general", ".metadata.annotations.b": "internal",
		}),
		service("internal annotations are its own", main, []string{"server.service.internal.annotations.b=internal"}, map[string]string{".metadata.annotations": ""}),
		service("selectors", active, ha, map[string]string{
			".metadata.name": "vault-active", ".spec.selector.vault-active": "true", ".spec.selector.component": "server",
			".metadata.labels.vault-active": "true",
		}),
		service("selectors", standby, ha, map[string]string{".metadata.name": "vault-standby", ".spec.selector.vault-active": "false", ".spec.selector.component": "server"}),
		service("selectors", main, ha, map[string]string{".metadata.name": "vault", ".spec.selector.vault-active": "", ".spec.selector.component": "server"}),
		service("annotations of one", active, with(ha, "server.service.annotations.a=general", "server.service.active.annotations=b: one"), map[string]string{
			".metadata.annotations.a": "general", ".metadata.annotations.b": "one",
		}),
		service("annotations of the other", standby, with(ha, "server.service.active.annotations.b=one", "server.service.standby.annotations.c=other"), map[string]string{
			".metadata.annotations.b": "", ".metadata.annotations.c": "other",
		}),
		service("node port", main, []string{"server.service.type=NodePort", "server.service.nodePort=30008"}, map[string]string{
			".spec.ports[0].nodePort": "30008", ".spec.externalTrafficPolicy": "Cluster",
		}),
		service("node port", active, with(ha, "server.service.type=NodePort", "server.service.activeNodePort=30009"), map[string]string{".spec.ports[0].nodePort": "30009"}),
		service("node port", standby, with(ha, "server.service.type=NodePort", "server.service.standbyNodePort=30010"), map[string]string{".spec.ports[0].nodePort": "30010"}),
		{name: "no active one", set: with(ha, "server.service.active.enabled=false"), file: active, none: true},
		{name: "no standby one", set: with(ha, "server.service.standby.enabled=false"), file: standby, none: true},
		{name: "standalone has no active one", file: active, none: true},
		{name: "standalone has no standby one", file: standby, none: true},
		{name: "none", set: []string{"server.service.enabled=false"}, file: main, none: true},
		{name: "old cluster", args: []string{"--kube-version=1.22.0"}, set: []string{"server.service.ipFamilyPolicy=PreferDualStack"}, file: headless, want: map[string]string{
			".spec.ipFamilyPolicy": "",
		}},

		{name: "none by default", set: ha, file: ui, none: true},
		{name: "neither on nor off", set: []string{"ui.enabled=-", "global.enabled=false", "server.enabled=true"}, file: ui, none: true},
		service("by default", ui, with(ha, "ui.enabled=true"), map[string]string{
			".metadata.name": "vault-ui", ".spec.type": "ClusterIP", ".spec.ports[0].port": "8200", ".spec.ports[0].targetPort": "8200",
			".spec.ports[0].name": "http", ".spec.ports[1]": "", ".spec.publishNotReadyAddresses": "true", ".spec.selector.vault-active": "",
			`.metadata.labels.app\.kubernetes\.io/name`: "vault-ui",
		}),
		service("by global", ui, []string{"ui.enabled=-"}, map[string]string{".metadata.name": "vault-ui"}),
		service("the active server's", ui, with(ha, "ui.enabled=true", "ui.activeVaultPodOnly=true"), map[string]string{".spec.selector.vault-active": "true"}),
		service("the only server's", ui, []string{"ui.enabled=true", "ui.activeVaultPodOnly=true"}, map[string]string{".spec.selector.vault-active": ""}),
		service("load balancer", ui, []string{"ui.enabled=true", "ui.serviceType=LoadBalancer", "ui.loadBalancerIP=1.2.3.4", "ui.loadBalancerSourceRanges={1.2.3.0/24}", "ui.externalTrafficPolicy=Local"}, map[string]string{
			".spec.type": "LoadBalancer", ".spec.loadBalancerIP": "1.2.3.4", ".spec.loadBalancerSourceRanges[*]": "1.2.3.0/24",
			".spec.externalTrafficPolicy": "Local",
		}),
		service("no load balancer", ui, []string{"ui.enabled=true", "ui.loadBalancerIP=1.2.3.4", "ui.loadBalancerSourceRanges={1.2.3.0/24}"}, map[string]string{
			".spec.loadBalancerIP": "", ".spec.loadBalancerSourceRanges": "", ".spec.externalTrafficPolicy": "",
		}),
		service("node port", ui, []string{"ui.enabled=true", "ui.serviceType=NodePort", "ui.serviceNodePort=30123", "ui.externalPort=443", "ui.targetPort=8300"}, map[string]string{
			".spec.ports[0].nodePort": "30123", ".spec.ports[0].port": "443", ".spec.ports[0].targetPort": "8300",
		}),
		service("annotations", ui, []string{"ui.enabled=true", "ui.annotations=foo: bar", "ui.serviceIPFamilyPolicy=PreferDualStack", "ui.serviceIPFamilies={IPv4,IPv6}"}, map[string]string{
			".metadata.annotations.foo": "bar", ".spec.ipFamilyPolicy": "PreferDualStack", ".spec.ipFamilies[*]": "IPv4 IPv6",
		}),
	}
	for _, file := range []string{main, active, standby} {
		table = append(table,
			service("by default", file, ha, map[string]string{
				".spec.type": "", ".spec.clusterIP": "", ".spec.ports[*].name": "http https-internal", ".spec.ports[*].port": "8200 8201",
				".spec.ports[*].targetPort": "8200 8201", ".spec.publishNotReadyAddresses": "true", instance: "vault", ".metadata.annotations": "",
				".spec.externalTrafficPolicy": "",
			}),
			service("TLS", file, with(ha, "global.tlsDisable=false"), map[string]string{".spec.ports[0].name": "https"}),
			service("all that can be set", file, with(
				ha, "server.service.type=LoadBalancer", "server.service.clusterIP=None", "server.service.port=8000", "server.service.targetPort=80",
				"server.service.publishNotReadyAddresses=false", "server.service.externalTrafficPolicy=Foo", "server.service.ipFamilyPolicy=PreferDualStack",
				"server.service.ipFamilies={IPv4,IPv6}", "server.service.instanceSelector.enabled=false", "server.service.annotations=a: b",
			), map[string]string{
				".spec.type": "LoadBalancer", ".spec.clusterIP": "None", ".spec.ports[0].port": "8000", ".spec.ports[0].targetPort": "80", ".spec.publishNotReadyAddresses": "false", ".spec.externalTrafficPolicy": "Foo", ".spec.ipFamilyPolicy": "PreferDualStack", ".spec.ipFamilies[*]": "IPv4 IPv6", instance: "", ".metadata.annotations.a": "b"}),
			service("a node port without the type", file, with(
				ha, "server.service.nodePort=30008", "server.service.activeNodePort=30009", "server.service.standbyNodePort=30010",
				"server.service.externalTrafficPolicy=Local",
			), map[string]string{
				".spec.ports[0].nodePort": "", ".spec.externalTrafficPolicy": "",
			}),
			service("no traffic policy", file, with(ha, "server.service.type=NodePort", "server.service.externalTrafficPolicy="), map[string]string{
				".spec.externalTrafficPolicy": "",
			}),
			behaviour{name: "services off", set: with(ha, "server.service.enabled=false"), file: file, none: true},
			behaviour{name: "global off", set: with(ha, "global.enabled=false"), file: file, none: true},
			behaviour{name: "a server elsewhere", set: with(ha, "global.externalVaultAddr=http://x"), file: file, none: true},
		)
	}
	testBehaviours(t, vault, table)
}

func TestVaultAccess(t *testing.T) {
	const (
		account = "server-serviceaccount.yaml"
		token   = "server-serviceaccount-secret.yaml"
		binding = "server-clusterrolebinding.yaml"
		role    = "server-discovery-role.yaml"
		rolled  = "server-discovery-rolebinding.yaml"
	)
	testBehaviours(t, vault, []behaviour{
		{name: "by default", file: account, want: map[string]string{".metadata.name": "vault", ".metadata.annotations": ""}},
		{name: "named", set: []string{"server.serviceAccount.name=mine", "server.serviceAccount.annotations=foo: bar", "server.serviceAccount.extraLabels.a=b"}, file: account, want: map[string]string{
			".metadata.name": "mine", ".metadata.annotations.foo": "bar", ".metadata.labels.a": "b",
		}},
		{name: "dev", set: with(dev, "server.serviceAccount.annotations.foo=bar"), file: account, want: map[string]string{".metadata.annotations": ""}},
		{name: "not created", set: []string{"server.serviceAccount.create=false"}, file: account, none: true},
		{name: "global off", set: []string{"global.enabled=false"}, file: account, none: true},
		{name: "a server elsewhere", set: []string{"global.externalVaultAddr=http://x"}, file: account, want: map[string]string{".metadata.name": "vault"}},
		{name: "none", file: token, none: true},
		{name: "on", set: []string{"server.serviceAccount.createSecret=true", "server.serviceAccount.name=mine"}, file: token, want: map[string]string{
			".metadata.name": "mine-token", `.metadata.annotations.kubernetes\.io/service-account\.name`: "mine",
			".type": "kubernetes.io/service-account-token",
		}},
		{name: "without an account", set: []string{"server.serviceAccount.createSecret=true", "server.serviceAccount.create=false"}, file: token, none: true},
		{name: "by default", file: binding, want: map[string]string{
			".metadata.name": "vault-server-binding", ".roleRef.name": "system:auth-delegator", ".subjects[0].name": "vault",
			".subjects[0].namespace": "vault",
		}},
		{name: "off", set: []string{"server.authDelegator.enabled=false"}, file: binding, none: true},
		{name: "global off", set: []string{"global.enabled=false"}, file: binding, none: true},
		{name: "nobody to bind", set: []string{"server.serviceAccount.create=false"}, file: binding, none: true},
		{name: "an account of the user's", set: []string{"server.serviceAccount.create=false", "server.serviceAccount.name=mine"}, file: binding, want: map[string]string{
			".subjects[0].name": "mine",
		}},
		{name: "a server elsewhere", set: []string{"injector.externalVaultAddr=http://x"}, file: binding, want: map[string]string{".roleRef.name": "system:auth-delegator"}},
		{name: "standalone", file: role, none: true},
		{name: "ha", set: raft, file: role, want: map[string]string{
			".metadata.name": "vault-discovery-role", ".rules[0].resources[*]": "pods", ".rules[0].verbs[*]": "get watch list update patch",
			".rules[1].resources[*]": "statefulsets", ".rules[1].resourceNames[*]": "vault", ".rules[1].verbs[*]": "get",
		}},
		{name: "off", set: with(raft, "server.serviceAccount.serviceDiscovery.enabled=false"), file: role, none: true},
		{name: "no account", set: with(raft, "server.serviceAccount.create=false"), file: role, none: true},
		{name: "standalone", file: rolled, none: true},
		{name: "ha", set: raft, file: rolled, want: map[string]string{".roleRef.name": "vault-discovery-role", ".subjects[0].name": "vault"}},
		{name: "no account", set: with(raft, "server.serviceAccount.create=false"), file: rolled, none: true},
		{name: "server off", set: with(raft, "server.enabled=false"), file: rolled, none: true},
	})
}

func TestVaultOutside(t *testing.T) {
	const (
		ingress   = "server-ingress.yaml"
		route     = "server-route.yaml"
		httproute = "server-httproute.yaml"
		policy    = "server-network-policy.yaml"
		budget    = "server-disruptionbudget.yaml"
		backend   = ".spec.rules[0].http.paths[0].backend.service"
	)
	on := []string{"server.ingress.enabled=true"}
	shift := []string{"global.openshift=true", "server.route.enabled=true"}
	gate := []string{"server.httproute.enabled=true"}
	budgetOf := func(replicas, want string) behaviour {
		return behaviour{name: "of " + replicas, set: with(raft, "server.ha.replicas="+replicas), file: budget, want: map[string]string{
			".spec.maxUnavailable": want, ".spec.selector.matchLabels.component": "server", ".apiVersion": "policy/v1",
		}}
	}
	testBehaviours(t, vault, []behaviour{
		{name: "off", file: ingress, none: true},
		{name: "a server elsewhere", set: with(on, "injector.externalVaultAddr=http://x"), file: ingress, none: true},
		{name: "on OpenShift", set: with(on, "global.openshift=true"), file: ingress, none: true},
		{name: "by default", set: on, file: ingress, want: map[string]string{
			".spec.rules[0].host": "chart-example.local", ".spec.rules[0].http.paths[0].path": "/", ".spec.rules[0].http.paths[0].pathType": "Prefix",
			backend + ".name": "vault", backend + ".port.number": "8200", ".spec.ingressClassName": "", ".spec.tls": "",
		}},
		{name: "ha", set: with(on, raft...), file: ingress, want: map[string]string{backend + ".name": "vault-active"}},
		{name: "ha, any server", set: with(raft, "server.ingress.enabled=true", "server.ingress.activeService=false"), file: ingress, want: map[string]string{
			backend + ".name": "vault",
		}},
		{name: "hosts, class, labels", set: with(
			on, "server.ingress.hosts[0].host=test.com", "server.ingress.hosts[0].paths={/a,/b}", "server.ingress.ingressClassName=nginx",
			"server.ingress.labels.traffic=external", "server.ingress.annotations=k: v", "server.ingress.tls[0].secretName=s",
			"server.ingress.tls[0].hosts={test.com}",
		), file: ingress,
			want: map[string]string{
				".spec.rules[*].host": "test.com", ".spec.rules[0].http.paths[*].path": "/a /b", ".spec.ingressClassName": "nginx",
				".metadata.labels.traffic": "external", ".metadata.annotations.k": "v", ".spec.tls[0].secretName": "s", ".spec.tls[0].hosts[*]": "test.com",
			}},
		{name: "more paths first", set: with(on, "server.ingress.extraPaths[0].path=/annotation-service", "server.ingress.extraPaths[0].backend.service.name=ssl-redirect"), file: ingress, want: map[string]string{
			".spec.rules[0].http.paths[*].path": "/annotation-service /", backend + ".name": "ssl-redirect",
		}},

		{name: "off", set: []string{"global.openshift=true"}, file: route, none: true},
		{name: "elsewhere than on OpenShift", set: []string{"server.route.enabled=true"}, file: route, none: true},
		{name: "standalone", set: with(shift, "server.route.host=test.com", "server.route.labels.a=b", "server.route.annotations=k: v"), file: route, want: map[string]string{
			".spec.host": "test.com", ".spec.to.name": "vault", ".spec.port.targetPort": "8200", ".spec.tls.termination": "passthrough",
			".metadata.labels.a": "b", ".metadata.annotations.k": "v",
		}},
		{name: "ha", set: with(shift, raft...), file: route, want: map[string]string{".spec.to.name": "vault-active"}},
		{name: "ha, any server", set: append(with(shift, raft...), "server.route.activeService=false"), file: route, want: map[string]string{".spec.to.name": "vault"}},

		{name: "off", file: httproute, none: true},
		{name: "by default", set: gate, file: httproute, want: map[string]string{
			".spec.rules[0].matches[0].path.value": "/", ".spec.rules[0].backendRefs[0].name": "vault", ".spec.rules[0].backendRefs[0].port": "8200",
			".spec.parentRefs": "", ".spec.hostnames": "", ".spec.rules[0].filters": "", ".spec.rules[1]": "",
		}},
		{name: "ha", set: with(gate, raft...), file: httproute, want: map[string]string{".spec.rules[0].backendRefs[0].name": "vault-active"}},
		{name: "ha, any server", set: append(with(gate, raft...), "server.httproute.activeService=false"), file: httproute, want: map[string]string{
			".spec.rules[0].backendRefs[0].name": "vault",
		}},
		{name: "all that can be set", set: with(
			gate, "server.httproute.hostnames={test.com}", "server.httproute.parentRefs[0].name=gateway", "server.httproute.matches[0].path.value=/foo",
			"server.httproute.filters[0].type=T", "server.httproute.additionalRules[0].filters[0].type=U", "server.httproute.timeouts.request=9s",
		), file: httproute,
			want: map[string]string{
				".spec.hostnames[*]": "test.com", ".spec.parentRefs[0].name": "gateway", ".spec.rules[0].filters[0].type": "U",
				".spec.rules[1].filters[0].type": "T", ".spec.rules[1].matches[0].path.value": "/foo", ".spec.rules[1].timeouts.request": "9s",
			}},

		{name: "off", file: policy, none: true},
		{name: "by default", set: with(raft, "server.networkPolicy.enabled=true"), file: policy, want: map[string]string{
			".spec.ingress[0].ports[*].port": "8200", ".spec.ingress[1].from[0].podSelector.matchLabels.component": "server",
			".spec.ingress[1].ports[*].port": "8200 8201", ".spec.egress": "",
		}},
		{name: "egress", set: []string{"server.networkPolicy.enabled=true", "server.networkPolicy.egress[0].to[0].ipBlock.cidr=10.0.0.0/24"}, file: policy, want: map[string]string{
			".spec.egress[0].to[0].ipBlock.cidr": "10.0.0.0/24", ".spec.egress[1].to[0].podSelector.matchLabels.component": "server",
			".spec.egress[2].ports[*].port": "53 53",
		}},

		{name: "standalone", file: budget, none: true},
		{name: "off", set: with(raft, "server.ha.disruptionBudget.enabled=false"), file: budget, none: true},
		{name: "given", set: with(raft, "server.ha.disruptionBudget.maxUnavailable=2"), file: budget, want: map[string]string{".spec.maxUnavailable": "2"}},
		{name: "given as nought", set: with(raft, "server.ha.disruptionBudget.maxUnavailable=0"), file: budget, want: map[string]string{".spec.maxUnavailable": "0"}},
		budgetOf("1", "0"), budgetOf("2", "0"), budgetOf("3", "1"), budgetOf("4", "1"), budgetOf("5", "2"), budgetOf("7", "3"),
	})
}

func TestVaultTelemetry(t *testing.T) {
	const (
		monitor = "prometheus-servicemonitor.yaml"
		rules   = "prometheus-prometheusrules.yaml"
		end     = ".spec.endpoints[0]"
	)
	on := []string{"serverTelemetry.serviceMonitor.enabled=true"}
	ruled := []string{"serverTelemetry.prometheusRules.enabled=true", "serverTelemetry.prometheusRules.rules[0].foo=bar"}
	testBehaviours(t, vault, []behaviour{
		{name: "off", file: monitor, none: true},
		{name: "by global", set: []string{"global.serverTelemetry.prometheusOperator=true"}, file: monitor, want: map[string]string{".kind": "ServiceMonitor"}},
		{name: "by default", set: on, file: monitor, want: map[string]string{
			".metadata.labels.release": "prometheus", end + ".interval": "30s", end + ".scrapeTimeout": "10s", end + ".port": "http",
			end + ".path": "/v1/sys/metrics", end + ".tlsConfig": "", end + ".metricRelabelings": "",
			".spec.selector.matchLabels.vault-internal": "true",
		}},
		{name: "ha", set: with(on, raft...), file: monitor, want: map[string]string{".spec.selector.matchLabels.vault-active": "true"}},
		{name: "TLS", set: with(on, "global.tlsDisable=false"), file: monitor, want: map[string]string{
			end + ".port": "https", end + ".scheme": "https", end + ".tlsConfig.insecureSkipVerify": "true",
		}},
		{name: "the chart's TLS", set: with(on, "server.tls.enabled=true"), file: monitor, want: map[string]string{
			end + ".tlsConfig.ca.secret.name": "vault-tls", end + ".tlsConfig.insecureSkipVerify": "",
		}},
		{name: "all that can be set", set: with(
			on, "serverTelemetry.serviceMonitor.selectors.baz=qux", "serverTelemetry.serviceMonitor.interval=60s",
			"serverTelemetry.serviceMonitor.scrapeTimeout=61s", "serverTelemetry.serviceMonitor.tlsConfig.foo=bar",
			"serverTelemetry.serviceMonitor.authorization.type=x", "serverTelemetry.serviceMonitor.metricRelabelings[0]=foo",
			"serverTelemetry.serviceMonitor.relabelings[0]=foo",
		), file: monitor,
			want: map[string]string{
				".metadata.labels.release": "", ".metadata.labels.baz": "qux", end + ".interval": "60s", end + ".scrapeTimeout": "61s",
				end + ".tlsConfig.foo": "bar", end + ".authorization.type": "x", end + ".metricRelabelings[*]": "foo", end + ".relabelings[*]": "foo",
			}},
		{name: "off", set: ruled[1:], file: rules, none: true},
		{name: "no rules", set: ruled[:1], file: rules, none: true},
		{name: "by default", set: ruled, file: rules, want: map[string]string{
			".metadata.labels.release": "prometheus", ".spec.groups[*].name": "vault", ".spec.groups[0].rules[0].foo": "bar",
		}},
		{name: "selectors", set: with(ruled, "serverTelemetry.prometheusRules.selectors.baz=qux"), file: rules, want: map[string]string{
			".metadata.labels.release": "", ".metadata.labels.baz": "qux",
		}},
	})
}
