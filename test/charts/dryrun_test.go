package charts

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/test/kubetest"
)

// TestDryRun gives every value set of every chart to a real API server. Each chart's namespace enforces Pod Security's restricted profile, and warns by it:
// what is rendered must be accepted, and without a warning, for those name pod templates that would be refused later, and fields that are deprecated or unknown.
func TestDryRun(t *testing.T) {
	cp := kubetest.New(t)
	apply := func(t *testing.T, manifests string, args ...string) {
		t.Helper()
		cmd := cp.Kubectl(t.Context(), append([]string{"apply", "-f", "-"}, args...)...)
		var problems bytes.Buffer
		cmd.Stdin, cmd.Stderr = strings.NewReader(manifests), &problems
		if err := cmd.Run(); err != nil || problems.Len() > 0 {
			t.Errorf("the API server says: %v\n%s", err, problems.String())
		}
	}
	apply(t, foreignKinds())
	charts := []chart{"vault", "vault-secrets-operator"}
	for _, c := range charts {
		crds, err := filepath.Glob(filepath.Join(c.dir(), "crds", "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range crds {
			apply(t, read(t, file))
		}
	}
	if out, err := cp.Kubectl(t.Context(), "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	apply(t, namespace("openshift", "privileged"))
	apply(t, namespace("monitoring", "privileged")) // where the full set puts the dashboard
	for _, c := range charts {
		t.Run(string(c), func(t *testing.T) {
			apply(t, namespace(string(c), "restricted"))
			for _, set := range c.sets(t) {
				t.Run(set, func(t *testing.T) {
					args := []string{"--values", c.path(set, "values.yaml")}
					if set == "openshift" { // which makes the security contexts itself
						args = append(args, "--namespace", "openshift")
					}
					rendered, err := c.template(t, args...)
					if err != nil {
						t.Fatal(err)
					}
					apply(t, rendered, "--dry-run=server", "--validate=strict")
				})
			}
		})
	}
	t.Run("install", func(t *testing.T) { testVaultInstall(t, cp) })
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// namespace is one with a level of Pod Security.
func namespace(name, level string) string {
	return `
apiVersion: v1
kind: Namespace
metadata:
  name: ` + name + `
  labels:
    pod-security.kubernetes.io/enforce: ` + level + `
    pod-security.kubernetes.io/warn: ` + level + `
`
}

// foreignKinds are definitions of the kinds that charts may render and Kubernetes does not have: only that they exist, with any fields.
func foreignKinds() string {
	var all strings.Builder
	for _, k := range []struct{ group, version, kind, plural string }{
		{"monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors"},
		{"monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules"},
		{"cert-manager.io", "v1", "Certificate", "certificates"},
		{"cert-manager.io", "v1", "Issuer", "issuers"},
		{"gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"},
		{"route.openshift.io", "v1", "Route", "routes"},
	} {
		all.WriteString(`
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: ` + k.plural + "." + k.group + `
  annotations:
    api-approved.kubernetes.io: unapproved, for a test
spec:
  group: ` + k.group + `
  scope: Namespaced
  names: {kind: ` + k.kind + `, plural: ` + k.plural + `, singular: ` + strings.ToLower(k.kind) + `}
  versions:
  - name: ` + k.version + `
    served: true
    storage: true
    schema:
      openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
`)
	}
	return all.String()
}
