package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// helmTests runs what the charts bring for `helm test`.
func helmTests(t *testing.T, d *days) {
	for _, release := range []string{"vault", "vault-secrets-operator"} {
		if out := d.helm(t, "test", release, "-n", release, "--timeout", "90s"); !strings.Contains(out, "Succeeded") {
			t.Errorf("helm test %s:\n%s", release, out)
		}
	}
}

// operatorRemoved uninstalls the operator while it makes Secrets, changes what
// they follow, and installs it again.
func operatorRemoved(t *testing.T, d *days) {
	const more = 20
	d.pipe(t, followers(2, more), "create", "-f", "-")
	d.helm(t, "uninstall", "vault-secrets-operator", "-n", "vault-secrets-operator")
	d.kubectl(t, "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=vault-secrets-operator", "-n", "vault-secrets-operator", "--timeout=60s")
	if got := d.secret(t, daysSpace, "follow-1"); len(got) == 0 {
		t.Error("with the operator a Secret has gone")
	}
	d.helm(t, "install", "vault-secrets-operator", "./charts/vault-secrets-operator", "-n", "vault-secrets-operator")
	d.follows(t, 1+more)
	d.pipe(t, followers(2, more), "delete", "-f", "-")
}

// definitionsUpgraded takes a column out of a definition, as an older one would
// lack it, and has the chart's hook bring it back.
func definitionsUpgraded(t *testing.T, d *days) {
	const crd = "vaultsecrets.secrets.hashicorp.com"
	columns := func() int {
		var definition struct {
			Spec struct {
				Versions []struct{ AdditionalPrinterColumns []any }
			}
		}
		if err := json.Unmarshal([]byte(d.kubectl(t, "get", "crd", crd, "-o", "json")), &definition); err != nil {
			t.Fatal(err)
		}
		return len(definition.Spec.Versions[0].AdditionalPrinterColumns)
	}
	want := columns()
	d.kubectl(t, "patch", "crd", crd, "--type=json", "-p", `[{"op": "remove", "path": "/spec/versions/0/additionalPrinterColumns/0"}]`)
	if columns() != want-1 {
		t.Fatalf("%d columns are left of %d", columns(), want)
	}
	d.helm(t, "upgrade", "vault-secrets-operator", "./charts/vault-secrets-operator", "-n", "vault-secrets-operator", "--set", "controller.manager.logging.level=debug")
	if got := columns(); got != want {
		t.Errorf("after the upgrade there are %d columns, want %d", got, want)
	}
	d.kubectl(t, "rollout", "status", "deployment/vault-secrets-operator", "-n", "vault-secrets-operator", "--timeout=60s")
}
