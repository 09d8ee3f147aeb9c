package operator_test

import (
	"strings"
	"testing"

	"strongroom/api/v1beta1"
	"strongroom/operator"
)

// testDocumented holds the kinds against what the Vault Secrets Operator documents: each field is known, defaults and
// bounds are the same, and what this operator refuses says so in a condition.
func testDocumented(t *testing.T, w *world) {
	const namespace = "documented"
	w.namespace(t, namespace)
	w.kubectl(t, "", "create", "--dry-run=server", "--validate=strict", "-f", "testdata/documented.yaml")
	for _, test := range []struct {
		kind, spec string
		defaults   []string // as JSON; none: it is not taken
	}{
		{"VaultDynamicSecret", "{mount: m, path: p, destination: {name: d}}", []string{`"renewalPercent":67`, `"create":false`, `"overwrite":false`}},
		{"VaultDynamicSecret", "{mount: m, path: p, renewalPercent: 0, destination: {name: d}}", []string{`"renewalPercent":0`}},
		{"VaultDynamicSecret", "{mount: m, path: p, renewalPercent: -1, destination: {name: d}}", nil},
		{"VaultDynamicSecret", "{mount: m, path: p, renewalPercent: 91, destination: {name: d}}", nil},
		{"VaultDynamicSecret", "{mount: m, path: p, requestHTTPMethod: PATCH, destination: {name: d}}", nil},
		{"VaultDynamicSecret", "{mount: m, path: p, refreshAfter: soon, destination: {name: d}}", nil},
		{"VaultStaticSecret", "{mount: m, path: p, type: kv-v2, destination: {name: d}}", []string{`"hmacSecretData":true`, `"create":false`, `"overwrite":false`}},
		{"VaultStaticSecret", "{mount: m, path: p, type: kv-v3, destination: {name: d}}", nil},
		{"VaultStaticSecret", "{mount: m, path: p, type: kv-v2, version: -1, destination: {name: d}}", nil},
		{"VaultStaticSecret", "{mount: m, path: p, type: kv-v2, destination: {name: d}, rolloutRestartTargets: [{kind: Rollout, name: r}]}", nil},
		{"VaultPKISecret", "{mount: m, role: r, destination: {name: d}}", []string{`"create":false`, `"overwrite":false`}},
		{"VaultPKISecret", "{mount: m, role: r, ttl: 30d, destination: {name: d}}", []string{`"ttl":"30d"`}},
		{"VaultPKISecret", "{mount: m, role: r, expiryOffset: 30d, destination: {name: d}}", nil},
		{"VaultAuth", "{kubernetes: {role: r, tokenExpirationSeconds: 599}}", nil},
		{"VaultAuth", "{vaultAuthGlobalRef: {mergeStrategy: {headers: all}}}", nil},
		{"VaultAuth", "{method: ldap}", nil},
	} {
		out, err := w.try(resource(test.kind, namespace, "x", test.spec), "create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-")
		if (err == nil) != (test.defaults != nil) {
			t.Errorf("%s %s is taken: %v\n%s", test.kind, test.spec, err == nil, out)
		}
		compact := strings.NewReplacer(" ", "", "\n", "").Replace(out)
		for _, want := range test.defaults {
			if !strings.Contains(compact, want) {
				t.Errorf("%s %s lacks %s:\n%s", test.kind, test.spec, want, out)
			}
		}
	}
	// Files of the operator's pod are not for a resource to name.
	w.apply(t, resource("VaultConnection", namespace, "file", "{address: 'https://vault.vault:8200', caCertPath: /etc/ca.crt}"))
	w.status(t, &v1beta1.VaultConnection{}, namespace, "file", v1beta1.ReasonInvalidSpec, "caCertPath", "caCertSecretRef")
	w.apply(t, resource("VaultConnection", namespace, "server", "{address: 'http://vault.vault:8200'}"))
	w.apply(t, resource("VaultAuth", namespace, "own", "{vaultConnectionRef: server, method: appRole, appRole: {roleId: r, secretIDPath: /etc/id}}"))
	w.status(t, &v1beta1.VaultAuth{}, namespace, "own", v1beta1.ReasonInvalidSpec, "spec.appRole.secretIDPath", "secretRef")
	w.apply(t, resource("VaultAuthGlobal", namespace, "global", "{defaultAuthMethod: appRole, appRole: {roleId: r, secretIDPath: /etc/id}}"))
	w.apply(t, resource("VaultAuth", namespace, "inherited", "{vaultConnectionRef: server, vaultAuthGlobalRef: {name: global}}"))
	w.status(t, &v1beta1.VaultAuth{}, namespace, "inherited", v1beta1.ReasonInvalidSpec, "spec.appRole.secretIDPath")
	w.apply(t, resource("VaultAuth", namespace, "instead", "{vaultConnectionRef: server, vaultAuthGlobalRef: {name: global}, appRole: {secretRef: none}}"))
	w.status(t, &v1beta1.VaultAuth{}, namespace, "instead", v1beta1.ReasonCredentialNotFound)
	for _, method := range []string{"aws", "gcp"} {
		w.apply(t, resource("VaultAuth", namespace, method, "{vaultConnectionRef: server, method: "+method+"}"))
		w.status(t, &v1beta1.VaultAuth{}, namespace, method, v1beta1.ReasonMethodNotSupported)
	}
}

// testExcludeRaw has the operator leave _raw out of every Secret, whatever a resource says.
func testExcludeRaw(t *testing.T, w *world) {
	w.withAuth(t, "raw", "secret/data/raw")
	w.vault.Put("secret/raw", map[string]any{"A": canary + "1"})
	w.apply(t, resource("VaultStaticSecret", "raw", "target", "{vaultAuthRef: auth, mount: secret, type: kv-v2, path: raw, refreshAfter: 1s, destination: {name: target, create: true, transformation: {excludeRaw: false}}}"))
	w.status(t, &v1beta1.VaultStaticSecret{}, "raw", "target", v1beta1.ReasonValid)
	if secret, err := w.secret("raw", "target"); err != nil || len(secret.Data["_raw"]) == 0 {
		t.Errorf("_raw is not there by default (%v)", err)
	}
	w.stop()
	w.stop = w.replica(t, "operator", func(o *operator.Options) { o.ExcludeRaw = true }, nil)
	w.holds(t, "raw", "target", map[string]string{"A": canary + "1"})
	w.stop()
	w.start(t, "operator")
}
