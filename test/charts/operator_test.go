package charts

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

const operatorChart chart = "vault-secrets-operator"

func TestOperatorGolden(t *testing.T) { testGolden(t, operatorChart) }

func TestOperatorBehaviours(t *testing.T) {
	const (
		container = ".spec.template.spec.containers[0]"
		args      = container + ".args[*]"
	)
	testBehaviours(t, operatorChart, []behaviour{
		{
			name: "the guide's names and a pod under the restricted profile", file: "deployment.yaml",
			want: map[string]string{
				".metadata.name":                         "vault-secrets-operator",
				".metadata.namespace":                    "vault-secrets-operator",
				".spec.replicas":                         "1",
				container + ".image":                     "strongroom-operator:0.1.0-dev",
				container + ".name":                      "manager",
				args:                                     "--metrics-bind-address=:8080 --health-probe-bind-address=:8081 --leader-elect --leader-election-id=vault-secrets-operator --log-level=info --log-format=json",
				".spec.template.spec.serviceAccountName": "vault-secrets-operator-controller-manager",
				".spec.template.spec.securityContext.runAsNonRoot": "true",
				container + ".securityContext.capabilities.drop":   `["ALL"]`,
			},
		},
		{
			name: "another name", file: "deployment.yaml", set: []string{"nameOverride=keys"},
			want: map[string]string{".metadata.name": "vault-secrets-operator-keys", ".spec.selector.matchLabels['app\\.kubernetes\\.io/name']": "keys"},
		},
		{
			name: "a name of one's own", file: "deployment.yaml", set: []string{"fullnameOverride=" + strings.Repeat("x", 70)},
			want: map[string]string{".metadata.name": strings.Repeat("x", 63)},
		},
		{
			name: "a long name makes room for what follows it", file: "metrics-service.yaml", set: []string{"fullnameOverride=" + strings.Repeat("x", 70)},
			want: map[string]string{".metadata.name": strings.Repeat("x", 47) + "-metrics-service"},
		},
		{
			name: "a part of the security context is kept", file: "deployment.yaml", set: []string{"controller.podSecurityContext.runAsUser=1234"},
			want: map[string]string{
				".spec.template.spec.securityContext.runAsUser": "1234", ".spec.template.spec.securityContext.seccompProfile.type": "RuntimeDefault",
			},
		},
		{
			name: "namespaces", file: "deployment.yaml", set: []string{"watchNamespaces={a,b}"},
			want: map[string]string{args: "*--watch-namespaces=a,b"},
		},
		{
			name: "namespaces get Roles", file: "manager-rbac.yaml", set: []string{"watchNamespaces={a,b}"},
			want: map[string]string{".kind": "Role", ".metadata.namespace": "a"},
		},
		{name: "namespaces have no hook with rights over the cluster", file: "hook-upgrade-crds.yaml", set: []string{"watchNamespaces={a}"}, none: true},
		{name: "no hook", file: "hook-upgrade-crds.yaml", set: []string{"hooks.upgradeCRDs.enabled=false"}, none: true},
		{name: "no test", file: "tests/test-runner.yaml", set: []string{"tests.enabled=false"}, none: true},
		{
			name: "the test asks the Service", file: "tests/test-runner.yaml",
			want: map[string]string{".spec.containers[0].args[1]": "--operator=http://vault-secrets-operator-metrics-service.vault-secrets-operator.svc.cluster.local:8080/metrics"},
		},
		{
			name: "somebody else's service account", file: "deployment.yaml", set: []string{"controller.serviceAccount.create=false", "controller.serviceAccount.name=mine"},
			want: map[string]string{".spec.template.spec.serviceAccountName": "mine"},
		},
		{name: "and none made", file: "serviceaccount.yaml", set: []string{"controller.serviceAccount.create=false"}, none: true},
		{
			name: "an older log level", file: "deployment.yaml", set: []string{"controller.manager.logging.level=trace"},
			want: map[string]string{args: "*--log-level=debug*"},
		},
		{
			name: "viewers", file: "aggregate-roles.yaml", set: []string{"controller.rbac.clusterRoleAggregation.viewerRoles={vaultauth,VaultSecret}"},
			want: map[string]string{
				".metadata.name": "vault-secrets-operator-aggregate-role-viewer", ".rules[0].resources": `["vaultauths","vaultsecrets"]`,
				".rules[0].verbs": `["get","list","watch"]`, ".metadata.labels['rbac\\.authorization\\.k8s\\.io/aggregate-to-view']": "",
			},
		},
		{name: "nobody", file: "aggregate-roles.yaml", none: true},
		{
			name: "the default connection", file: "default-vault-connection.yaml", set: []string{"defaultVaultConnection.enabled=true", "defaultVaultConnection.address=http://v:8200"},
			want: map[string]string{".metadata.name": "default", ".spec.address": "http://v:8200", ".spec.timeout": ""},
		},
		{
			name: "the default login", file: "default-vault-auth-method.yaml", set: []string{"defaultAuthMethod.enabled=true", "defaultAuthMethod.kubernetes.role=r"},
			want: map[string]string{".metadata.name": "default", ".spec.kubernetes.role": "r", ".spec.method": "kubernetes", ".spec.vaultConnectionRef": "default"},
		},
		{
			name: "a default login by AppRole", file: "default-vault-auth-method.yaml",
			set:  []string{"defaultAuthMethod.enabled=true", "defaultAuthMethod.method=appRole", "defaultAuthMethod.appRole.roleId=r", "defaultAuthMethod.appRole.secretRef=s"},
			want: map[string]string{".spec.appRole.roleId": "r", ".spec.appRole.secretRef": "s", ".spec.method": "appRole", ".spec.kubernetes": ""},
		},
		{
			name: "a default login by JWT", file: "default-vault-auth-method.yaml",
			set:  []string{"defaultAuthMethod.enabled=true", "defaultAuthMethod.method=jwt", "defaultAuthMethod.jwt.role=r"},
			want: map[string]string{".spec.jwt.role": "r", ".spec.jwt.serviceAccount": "default", ".spec.kubernetes": ""},
		},
		{
			name: "default globals", file: "deployment.yaml", set: []string{"controller.manager.globalVaultAuthOptions.allowDefaultGlobals=true"},
			want: map[string]string{args: "*--global-vault-auth-options=allow-default-globals*"},
		},
		{
			name: "named service accounts only", file: "manager-rbac.yaml", set: []string{"watchNamespaces={a}", "controller.rbac.serviceAccountNames={app,vault-auth}"},
			want: map[string]string{".rules[?(@.resources[0]=='serviceaccounts/token')].resourceNames": `["app","vault-auth"]`},
		},
		{name: "a kind that is not ours", set: []string{"controller.rbac.clusterRoleAggregation.editorRoles={HCPAuth}"}, fails: "this operator has no kind HCPAuth"},
		{name: "a connection to nowhere", set: []string{"defaultVaultConnection.enabled=true"}, fails: "defaultVaultConnection.address: say where the server is"},
		{name: "a login without a role", set: []string{"defaultAuthMethod.enabled=true"}, fails: "defaultAuthMethod.kubernetes.role: say which role"},
		{
			name: "a login that is not spoken", set: []string{"defaultAuthMethod.enabled=true", "defaultAuthMethod.method=aws"},
			fails: "this operator logs in by kubernetes, jwt or appRole, not by aws",
		},
		{
			name: "a connection that nobody sees", set: []string{"watchNamespaces={a}", "defaultVaultConnection.enabled=true", "defaultVaultConnection.address=http://v:8200"},
			fails: "are made in namespace vault-secrets-operator, which the operator would not see",
		},
		{name: "CSI", set: []string{"csi.enabled=true"}, fails: "the CSI driver is not shipped yet"},
		{name: "metrics over TLS", set: []string{"telemetry.serviceMonitor.scheme=https"}, fails: "the operator's metrics are served over http"},
		{name: "metrics at a port that is not there", set: []string{"metricsService.ports[0].port=8443", "metricsService.ports[0].targetPort=https"}, fails: "at the target port http, not https"},
		{name: "a slip that would mean the whole cluster", set: []string{"watchNamespace=a"}, fails: "watchNamespace"},
		{name: "namespaces as text", set: []string{"watchNamespaces=a"}, fails: "got string, want array"},
	})
}

// With a list of namespaces nothing that is rendered reaches beyond them.
func TestOperatorOfNamespacesHasNoClusterRole(t *testing.T) {
	rendered, err := operatorChart.template(t, "--set", "watchNamespaces={a,b}")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects(t, rendered) {
		if strings.HasPrefix(o.GetKind(), "Cluster") {
			t.Errorf("%s renders %s %s", o.template, o.GetKind(), o.GetName())
		}
		if ns := o.GetNamespace(); ns != "a" && ns != "b" && ns != "vault-secrets-operator" {
			t.Errorf("%s renders %s %s in namespace %q", o.template, o.GetKind(), o.GetName(), ns)
		}
	}
}

// The operator gets exactly the rights that its code asks for, whether over the cluster or in namespaces; the Lease is in its own.
func TestOperatorRights(t *testing.T) {
	text, err := os.ReadFile("../../config/rbac/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var generated rbacv1.ClusterRole
	if err := yaml.Unmarshal(text, &generated); err != nil {
		t.Fatal(err)
	}
	want := rights(generated.Rules)
	for name, test := range map[string]struct {
		set, kind string
		roles     int
	}{
		"cluster":    {"watchNamespaces=null", "ClusterRole", 1},
		"namespaces": {"watchNamespaces={a,b}", "Role", 2},
	} {
		t.Run(name, func(t *testing.T) {
			rendered, err := operatorChart.template(t, "--set", test.set)
			if err != nil {
				t.Fatal(err)
			}
			var lease []string
			var served [][]string
			for _, o := range objects(t, rendered) {
				var role rbacv1.ClusterRole // a Role has the same rules
				switch {
				case o.template == "manager-rbac.yaml" && o.GetKind() == test.kind, o.template == "leader-election-rbac.yaml" && o.GetKind() == "Role":
				default:
					continue
				}
				if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &role); err != nil {
					t.Fatal(err)
				}
				if o.template == "manager-rbac.yaml" {
					served = append(served, rights(role.Rules))
				} else {
					lease = rights(role.Rules)
				}
			}
			if len(served) != test.roles {
				t.Fatalf("%d roles, want %d", len(served), test.roles)
			}
			for _, got := range served {
				all := slices.Concat(got, lease)
				slices.Sort(all)
				if all = slices.Compact(all); !slices.Equal(all, want) {
					t.Errorf("the chart grants\n%s\nand config/rbac asks for\n%s", strings.Join(all, "\n"), strings.Join(want, "\n"))
				}
				if slices.ContainsFunc(got, func(r string) bool { return strings.HasPrefix(r, "coordination.k8s.io") }) {
					t.Error("Leases are granted outside the operator's own namespace")
				}
			}
		})
	}
}

// rights are the rules taken apart: GROUP RESOURCE VERB, sorted.
func rights(rules []rbacv1.PolicyRule) []string {
	var all []string
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					all = append(all, fmt.Sprint(group, " ", resource, " ", verb))
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestOperatorHasTheGeneratedDefinitions(t *testing.T) {
	generated, err := filepath.Glob("../../config/crd/*.yaml")
	if err != nil || len(generated) == 0 {
		t.Fatal("config/crd has no definitions", err)
	}
	shipped, err := filepath.Glob(filepath.Join(operatorChart.dir(), "crds", "*"))
	if err != nil || len(shipped) != len(generated) {
		t.Fatalf("the chart has %d definitions, config/crd has %d: make generate copies them (%v)", len(shipped), len(generated), err)
	}
	for _, file := range generated {
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(operatorChart.dir(), "crds", filepath.Base(file)))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s of the chart differs from config/crd: make generate (%v)", filepath.Base(file), err)
		}
	}
}

// Charts, images and programs say one version.
func TestVersionsAgree(t *testing.T) {
	said := func(file, pattern string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join("..", "..", file))
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(pattern).FindSubmatch(text)
		if found == nil {
			t.Fatalf("%s has nothing like %s", file, pattern)
		}
		return string(found[1])
	}
	version := said("Makefile", `(?m)^VERSION \?= (\S+)$`)
	for file, pattern := range map[string]string{
		"charts/vault/Chart.yaml":                  `(?m)^appVersion: (\S+)$`,
		"charts/vault-secrets-operator/Chart.yaml": `(?m)^appVersion: (\S+)$`,
		"Dockerfile": `(?m)^ARG VERSION=(\S+)$`,
	} {
		if got := said(file, pattern); got != version {
			t.Errorf("%s says version %s, the Makefile %s", file, got, version)
		}
	}
}
