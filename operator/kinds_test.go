package operator_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
)

// withAuth makes a namespace with a VaultAuth named auth for paths of the server.
func (w *world) withAuth(t *testing.T, name string, paths ...string) {
	t.Helper()
	w.namespace(t, name, paths...)
	w.apply(t, fmt.Sprintf(`
apiVersion: secrets.hashicorp.com/v1beta1
kind: VaultConnection
metadata: {name: default, namespace: %[1]s}
spec: {address: 'http://vault.vault:8200'}
---
apiVersion: secrets.hashicorp.com/v1beta1
kind: VaultAuth
metadata: {name: auth, namespace: %[1]s}
spec: {method: kubernetes, mount: kubernetes, vaultConnectionRef: default, kubernetes: {role: %[1]s, serviceAccount: default}}
`, name))
}

// resource is a manifest of a kind with a spec in one line.
func resource(kind, namespace, name, spec string) string {
	return fmt.Sprintf("apiVersion: secrets.hashicorp.com/v1beta1\nkind: %s\nmetadata: {name: %s, namespace: %s}\nspec: %s\n", kind, name, namespace, spec)
}

// eventuallyHolds waits until a Secret passes a look.
func (w *world) eventuallyHolds(t *testing.T, namespace, name string, look func(*corev1.Secret) string) *corev1.Secret {
	t.Helper()
	var found *corev1.Secret
	eventually(t, limit, func() string {
		secret, err := w.secret(namespace, name)
		if err != nil {
			return err.Error()
		}
		found = secret
		return look(secret)
	})
	return found
}

// A VaultStaticSecret as its users wrote it for another operator: the same data, _raw with it.
func testStatic(t *testing.T, w *world) {
	w.withAuth(t, "static", "secret/data/static", "old/static")
	w.vault.Put("secret/static", map[string]any{"A": canary + "1", "N": 7})
	w.vault.Put("old/static", map[string]any{"B": canary + "old"})
	w.apply(t, resource("VaultStaticSecret", "static", "two", "{vaultAuthRef: auth, mount: secret, type: kv-v2, path: static, refreshAfter: 1s, destination: {name: two, create: true, labels: {l: x}}}"))
	w.apply(t, resource("VaultStaticSecret", "static", "one", "{vaultAuthRef: auth, mount: old, type: kv-v1, path: static, refreshAfter: 1s, destination: {name: one, create: true, transformation: {excludeRaw: true}}}"))
	secret := w.eventuallyHolds(t, "static", "two", func(s *corev1.Secret) string {
		if string(s.Data["A"]) != canary+"1" || string(s.Data["N"]) != "7" || len(s.Data) != 3 {
			return fmt.Sprintf("%d keys", len(s.Data))
		}
		return ""
	})
	var raw struct {
		Data     map[string]any
		Metadata struct{ Version int }
	}
	if err := json.Unmarshal(secret.Data["_raw"], &raw); err != nil || raw.Data["A"] != canary+"1" || raw.Metadata.Version != 1 {
		t.Errorf("_raw is %s (%v)", secret.Data["_raw"], err)
	}
	if secret.Labels["l"] != "x" || secret.Type != corev1.SecretTypeOpaque {
		t.Errorf("labels %v, type %s", secret.Labels, secret.Type)
	}
	w.holds(t, "static", "one", map[string]string{"B": canary + "old"})
	vss := &v1beta1.VaultStaticSecret{}
	w.status(t, vss, "static", "two", "Valid", "Secret two holds version 1 of secret/static")
	if !metav1.IsControlledBy(secret, vss) || vss.Status.SecretMAC == "" || vss.Status.LastGeneration != vss.Generation {
		t.Errorf("owners %v, status %+v", secret.OwnerReferences, vss.Status)
	}
	// Edited, it is repaired; what others add stays.
	w.kubectl(t, "", "label", "secret", "two", "-n", "static", "theirs=1")
	w.kubectl(t, "", "patch", "secret", "two", "-n", "static", "--type=merge", "-p", `{"stringData":{"A":"edited","X":"y"}}`)
	w.eventuallyHolds(t, "static", "two", func(s *corev1.Secret) string {
		if string(s.Data["A"]) != canary+"1" || len(s.Data) != 3 || s.Labels["theirs"] != "1" {
			return fmt.Sprintf("%d keys, labels %v", len(s.Data), s.Labels)
		}
		return ""
	})
	// A deleted version leaves the last good one, and says so.
	w.vault.Delete("secret/static", false)
	w.status(t, vss, "static", "two", "NotFound", "was deleted", "Secret two keeps version 1")
	w.vault.Put("secret/static", map[string]any{"A": canary + "2"})
	w.eventuallyHolds(t, "static", "two", func(s *corev1.Secret) string {
		if string(s.Data["A"]) != canary+"2" || len(s.Data) != 2 {
			return "not yet the new version"
		}
		return ""
	})
	// Without create, a Secret of others is filled and not owned.
	w.apply(t, resource("VaultStaticSecret", "static", "fill", "{vaultAuthRef: auth, mount: old, type: kv-v1, path: static, refreshAfter: 1s, destination: {name: theirs, transformation: {excludeRaw: true}}}"))
	w.status(t, &v1beta1.VaultStaticSecret{}, "static", "fill", "TargetConflict", "there is no Secret theirs", "destination.create")
	w.plain(t, "static", "theirs", map[string]string{"mine": "x"})
	filled := w.holds(t, "static", "theirs", map[string]string{"B": canary + "old"})
	if len(filled.OwnerReferences) != 0 || len(filled.Labels) != 0 {
		t.Errorf("owners %v, labels %v", filled.OwnerReferences, filled.Labels)
	}
	// But not one that another resource fills: the two would rewrite it forever.
	w.apply(t, resource("VaultStaticSecret", "static", "rival", "{vaultAuthRef: auth, mount: old, type: kv-v1, path: static, refreshAfter: 1s, destination: {name: two}}"))
	w.status(t, &v1beta1.VaultStaticSecret{}, "static", "rival", "TargetConflict", "Secret two is controlled by VaultStaticSecret two: choose another destination.name")
	// Nor one that an older resource fills, of whatever kind, though nothing on the Secret says so.
	w.apply(t, resource("VaultDynamicSecret", "static", "twin", "{vaultAuthRef: auth, mount: db, path: creds/app, destination: {name: theirs}}"))
	w.status(t, &v1beta1.VaultDynamicSecret{}, "static", "twin", "TargetConflict", "Secret theirs is filled by VaultStaticSecret fill, which is older: choose another destination.name")
	w.kubectl(t, "", "delete", "vaultdynamicsecret", "twin", "-n", "static")
	w.kubectl(t, "", "delete", "vaultstaticsecret", "two", "fill", "rival", "-n", "static")
	w.gone(t, "static", "two")
	if _, err := w.secret("static", "theirs"); err != nil {
		t.Errorf("the Secret of others went: %v", err)
	}
}

func testTransformations(t *testing.T, w *world) {
	w.withAuth(t, "shapes", "secret/data/shapes")
	w.withAuth(t, "lending")
	w.vault.Put("secret/shapes", map[string]any{"username": canary + "u", "password": canary + "p", "note": "n"})
	shared := `{excludes: ['password|username'], templates: {url: {text: '{{- template "dbUrl" . -}}'}, other: {name: second, text: 'o'}},
  sourceTemplates: [{name: helpers, text: '{{- define "dbUrl" -}}pg://{{ get .Secrets "username" }}@{{ get .Annotations "app/host" }}{{- end -}}'}]%s}`
	w.apply(t, resource("SecretTransformation", "shapes", "shared", fmt.Sprintf(shared, "")))
	w.apply(t, resource("SecretTransformation", "lending", "closed", fmt.Sprintf(shared, "")))
	w.status(t, &v1beta1.SecretTransformation{}, "shapes", "shared", "Valid")
	spec := "{vaultAuthRef: auth, mount: secret, type: kv-v2, path: shapes, refreshAfter: 1s, destination: {name: target, create: true, transformation: {excludeRaw: true, transformationRefs: [{%s}]}}}"
	manifest := func(ref string) string {
		return strings.Replace(resource("VaultStaticSecret", "shapes", "target", fmt.Sprintf(spec, ref)), "namespace: shapes}", "namespace: shapes, annotations: {app/host: 'h:1'}}", 1)
	}
	w.apply(t, manifest("name: shared"))
	w.holds(t, "shapes", "target", map[string]string{"note": "n", "url": "pg://" + canary + "u@h:1", "other": "o"})
	w.apply(t, manifest("name: shared, ignoreExcludes: true, templateRefs: [{name: second, keyOverride: renamed}]"))
	w.holds(t, "shapes", "target", map[string]string{"note": "n", "username": canary + "u", "password": canary + "p", "renamed": "o"})
	// A change of the shared templates arrives without a change of the resource.
	w.apply(t, resource("SecretTransformation", "shapes", "shared", strings.Replace(fmt.Sprintf(shared, ""), "text: 'o'", "text: 'new'", 1)))
	w.holds(t, "shapes", "target", map[string]string{"note": "n", "username": canary + "u", "password": canary + "p", "renamed": "new"})
	w.apply(t, manifest("name: closed, namespace: lending"))
	w.status(t, &v1beta1.VaultStaticSecret{}, "shapes", "target", "NamespaceNotAllowed", "SecretTransformation lending/closed does not allow namespace shapes", "keeps version 1")
	w.apply(t, resource("SecretTransformation", "lending", "closed", fmt.Sprintf(shared, ", allowedNamespaces: [shapes]")))
	w.holds(t, "shapes", "target", map[string]string{"note": "n", "url": "pg://" + canary + "u@h:1", "other": "o"})
	w.apply(t, resource("SecretTransformation", "lending", "closed", "{templates: {url: {text: '{{ nothing }}'}}, allowedNamespaces: [shapes]}"))
	w.status(t, &v1beta1.SecretTransformation{}, "lending", "closed", "TemplateError", `function "nothing" not defined`)
	w.holds(t, "shapes", "target", map[string]string{"note": "n", "url": "pg://" + canary + "u@h:1", "other": "o"})
}

// Credentials with a lease: renewed while it can be, replaced after, revoked with the resource.
func testDynamic(t *testing.T, w *world) {
	w.withAuth(t, "dynamic", "db/creds/*", "sys/leases/*")
	w.vault.SetLeases(4*time.Second, true)
	w.plain(t, "dynamic", "taken", map[string]string{"mine": "x"})
	w.apply(t, resource("VaultDynamicSecret", "dynamic", "refused", "{vaultAuthRef: auth, mount: db, path: creds/app, revoke: true, destination: {name: taken, create: true}}"))
	w.status(t, &v1beta1.VaultDynamicSecret{}, "dynamic", "refused", "TargetConflict", "no VaultDynamicSecret made it")
	if leases := w.vault.Leases(); len(leases) != 0 {
		t.Errorf("credentials were made that cannot be stored: %v", leases)
	}
	w.apply(t, resource("VaultDynamicSecret", "dynamic", "target", "{vaultAuthRef: auth, mount: db, path: creds/app, params: {p: v}, revoke: true, destination: {name: target, create: true, transformation: {excludeRaw: true}}}"))
	first := w.eventuallyHolds(t, "dynamic", "target", func(s *corev1.Secret) string {
		if len(s.Data) != 2 || !strings.HasPrefix(string(s.Data["password"]), "s3cr3t-p") {
			return fmt.Sprintf("%d keys", len(s.Data))
		}
		return ""
	})
	vds := &v1beta1.VaultDynamicSecret{}
	w.status(t, vds, "dynamic", "target", "Valid", "Secret target holds credentials of db/creds/app")
	if w.vault.Asked("db/creds/app") != `{"p":"v"}` || vds.Status.SecretLease.ID == "" || vds.Status.MadeLease != "" {
		t.Errorf("asked %s, lease %+v", w.vault.Asked("db/creds/app"), vds.Status)
	}
	eventually(t, limit, func() string {
		if w.vault.Renewals() < 2 {
			return "the lease is not renewed"
		}
		return ""
	})
	if same, err := w.secret("dynamic", "target"); err != nil || same.ResourceVersion != first.ResourceVersion {
		t.Errorf("a renewal wrote the Secret (%v)", err)
	}
	w.vault.SetLeases(4*time.Second, false)
	w.eventuallyHolds(t, "dynamic", "target", func(s *corev1.Secret) string {
		if string(s.Data["password"]) == string(first.Data["password"]) {
			return "a lease that cannot be renewed is not replaced"
		}
		return ""
	})
	w.vault.SetLeases(time.Hour, true)
	// The values are nowhere but in the Secret: one that is edited gets others.
	w.kubectl(t, "", "patch", "secret", "target", "-n", "dynamic", "--type=merge", "-p", `{"stringData":{"password":"edited"}}`)
	w.eventuallyHolds(t, "dynamic", "target", func(s *corev1.Secret) string {
		if string(s.Data["password"]) == "edited" {
			return "an edited Secret is not repaired"
		}
		return ""
	})
	w.status(t, vds, "dynamic", "target", "Valid")
	// A deletion waits for a server that is away, and revokes.
	w.setDown(true)
	w.kubectl(t, "", "delete", "vaultdynamicsecret", "target", "-n", "dynamic", "--wait=false")
	w.status(t, vds, "dynamic", "target", "ServerUnreachable", "waits to be deleted until what it holds is revoked")
	w.setDown(false)
	eventually(t, limit, func() string {
		if leases := w.vault.Leases(); len(leases) != 0 {
			return fmt.Sprintf("leases live: %v", leases)
		}
		return ""
	})
	w.gone(t, "dynamic", "target")
	w.kubectl(t, "", "delete", "vaultdynamicsecret", "refused", "-n", "dynamic")
}

func testStaticCredentials(t *testing.T, w *world) {
	w.withAuth(t, "rotated", "db/static-creds/app")
	w.apply(t, resource("VaultDynamicSecret", "rotated", "target", "{vaultAuthRef: auth, mount: db, path: static-creds/app, allowStaticCreds: true, destination: {name: target, create: true, transformation: {excludeRaw: true, includes: [password]}}}"))
	w.holds(t, "rotated", "target", map[string]string{"password": "s3cr3t-rotation-0"})
	vds := &v1beta1.VaultDynamicSecret{}
	w.status(t, vds, "rotated", "target", "Valid")
	if meta := vds.Status.StaticCredsMetaData; meta.RotationPeriod != 3600 || meta.LastVaultRotation != 1767323045 {
		t.Errorf("%+v", meta)
	}
	w.vault.Rotate()
	w.holds(t, "rotated", "target", map[string]string{"password": "s3cr3t-rotation-1"})

	// A lease that was never renewable is as good as any, until its time comes.
	w.withAuth(t, "fixed", "db/creds/fixed")
	w.vault.SetLeases(time.Hour, false)
	w.apply(t, resource("VaultDynamicSecret", "fixed", "target", "{vaultAuthRef: auth, mount: db, path: creds/fixed, destination: {name: target, create: true}}"))
	w.status(t, vds, "fixed", "target", "Valid", "credentials of db/creds/fixed")
	w.kubectl(t, "", "delete", "vaultdynamicsecret", "target", "-n", "fixed")
	w.vault.SetLeases(time.Hour, true)
}

func testPKI(t *testing.T, w *world) {
	w.withAuth(t, "pki", "pki/*")
	w.vault.SetLeases(time.Hour, true)
	w.apply(t, resource("VaultPKISecret", "pki", "cert", "{vaultAuthRef: auth, mount: pki, role: web, commonName: app.example, altNames: [a.example, b.example], ttl: 1h, expiryOffset: 10m, revoke: true, destination: {name: cert, create: true, type: kubernetes.io/tls}}"))
	secret := w.eventuallyHolds(t, "pki", "cert", func(s *corev1.Secret) string {
		if _, err := tls.X509KeyPair(s.Data["tls.crt"], s.Data["tls.key"]); err != nil {
			return err.Error()
		}
		return ""
	})
	if strings.Count(string(secret.Data["tls.crt"]), "BEGIN CERTIFICATE") != 2 || len(secret.Data["serial_number"]) == 0 || len(secret.Data["_raw"]) == 0 {
		t.Errorf("tls.crt %s, serial %s", secret.Data["tls.crt"], secret.Data["serial_number"])
	}
	var asked map[string]any
	if err := json.Unmarshal([]byte(w.vault.Asked("pki/issue/web")), &asked); err != nil || asked["alt_names"] != "a.example,b.example" || asked["remove_roots_from_chain"] != true || len(asked) != 4 {
		t.Errorf("asked %v (%v)", asked, err)
	}
	pki := &v1beta1.VaultPKISecret{}
	w.status(t, pki, "pki", "cert", "Valid", "holds certificate 00:")
	if pki.Status.NextSyncTime == nil || time.Until(pki.Status.NextSyncTime.Time) > 50*time.Minute {
		t.Errorf("next at %v", pki.Status.NextSyncTime)
	}
	w.kubectl(t, "", "annotate", "vaultpkisecret", "cert", "-n", "pki", "look=now")
	w.kubectl(t, "", "label", "secret", "cert", "-n", "pki", "theirs=1")
	w.status(t, pki, "pki", "cert", "Valid")
	if same, err := w.secret("pki", "cert"); err != nil || string(same.Data["tls.crt"]) != string(secret.Data["tls.crt"]) {
		t.Errorf("a look made another certificate (%v)", err)
	}
	serial := pki.Status.SerialNumber
	w.vault.SetLeases(3*time.Second, true)
	w.apply(t, resource("VaultPKISecret", "pki", "cert", "{vaultAuthRef: auth, mount: pki, role: web, commonName: app.example, expiryOffset: 1s, revoke: true, destination: {name: cert, create: true, type: kubernetes.io/tls}}"))
	for range 2 { // by the new spec, and then because it ends
		eventually(t, limit, func() string {
			if w.status(t, pki, "pki", "cert", "Valid"); pki.Status.SerialNumber == serial {
				return "the certificate is not replaced"
			}
			return ""
		})
		serial = pki.Status.SerialNumber
	}
	w.vault.SetLeases(time.Hour, true)
	eventually(t, limit, func() string {
		if w.status(t, pki, "pki", "cert", "Valid"); pki.Status.Expiration < time.Now().Add(time.Minute).Unix() {
			return "no long certificate yet"
		}
		return ""
	})
	w.kubectl(t, "", "delete", "vaultpkisecret", "cert", "-n", "pki")
	w.gone(t, "pki", "cert")
	if revoked := w.vault.Revoked(); len(revoked) != 1 || revoked[0] != pki.Status.SerialNumber {
		t.Errorf("revoked %v, want %s", revoked, pki.Status.SerialNumber)
	}
}

// Several places of several engines in one Secret: all of them or none.
func testSources(t *testing.T, w *world) {
	w.namespace(t, "sources", "secret/data/sources/*", "secret/metadata/sources/*", "old/sources", "pki/cert/ca")
	w.vault.Put("secret/sources/eu/db", map[string]any{"PASS": canary + "eu"})
	w.vault.Put("secret/sources/us/db", map[string]any{"PASS": canary + "us"})
	w.vault.Put("secret/sources/app", map[string]any{"USER": canary + "u", "SKIP": "x"})
	w.vault.Put("old/sources", map[string]any{"USER": canary + "old"})
	spec := func(sources, target string) string {
		return fmt.Sprintf("apiVersion: secrets.hashicorp.com/v1beta1\nkind: VaultSecret\nmetadata: {name: all, namespace: sources}\nspec:\n  %s\n  refreshAfter: 1s\n  sources: [%s]\n  target: {name: all%s}\n", inline("sources"), sources, target)
	}
	find := "{find: {path: secret/sources, match: /db$}, rewrite: [{pattern: '^(.*)_db_(.*)$', replacement: '$2.$1'}]}"
	w.apply(t, spec("{kv: {path: secret/sources/app}, excludes: [SKIP]}, {kv: {path: old/sources}, rewrite: [{pattern: '^', replacement: old.}]}, "+find, ""))
	w.holds(t, "sources", "all", map[string]string{"USER": canary + "u", "old.USER": canary + "old", "PASS.eu": canary + "eu", "PASS.us": canary + "us"})
	w.vault.Put("secret/sources/eu/db", map[string]any{"PASS": canary + "eu2"})
	w.holds(t, "sources", "all", map[string]string{"USER": canary + "u", "old.USER": canary + "old", "PASS.eu": canary + "eu2", "PASS.us": canary + "us"})
	w.apply(t, spec("{kv: {path: secret/sources/app}}, {kv: {path: old/sources}}", ""))
	w.secretStatus(t, "sources", "all", "InvalidSpec", `secret/sources/app and old/sources both give key "USER"`, "Secret all keeps version")
	w.apply(t, spec("{kv: {path: secret/sources/app}}, {kv: {path: secret/other}}", ""))
	w.secretStatus(t, "sources", "all", "PermissionDenied", "secret/data/other", "Secret all keeps version")
	w.holds(t, "sources", "all", map[string]string{"USER": canary + "u", "old.USER": canary + "old", "PASS.eu": canary + "eu2", "PASS.us": canary + "us"})
	w.apply(t, spec("{name: ca, path: pki/cert/ca}, {name: app, kv: {path: secret/sources/app}}", ", template: {stringData: {ca.crt: '{{ pemCertificates .Sources.ca.certificate }}', u: '{{ .Sources.app.USER }}'}}"))
	w.eventuallyHolds(t, "sources", "all", func(s *corev1.Secret) string {
		if !strings.HasPrefix(string(s.Data["ca.crt"]), "-----BEGIN CERTIFICATE") || string(s.Data["u"]) != canary+"u" || len(s.Data) != 2 {
			return fmt.Sprintf("%d keys", len(s.Data))
		}
		return ""
	})
	w.kubectl(t, "", "delete", "vaultsecret", "all", "-n", "sources")
}

// One source for many namespaces: those that are chosen, and of these those that accept.
func testCopies(t *testing.T, w *world) {
	w.namespace(t, "giver", "secret/data/giver")
	w.vault.Put("secret/giver", map[string]any{"A": canary + "1"})
	for name, accepts := range map[string]string{"taker": "other, giver", "refuser": "other", "aside": "giver"} {
		w.namespace(t, name)
		w.kubectl(t, "", "annotate", "namespace", name, "secrets.hashicorp.com/accept-from="+accepts)
		if name != "aside" {
			w.kubectl(t, "", "label", "namespace", name, "team=red")
		}
	}
	w.apply(t, manifest("giver", "shared", "secret/giver", inline("giver"), "namespaceSelector: {matchLabels: {team: red}}"))
	w.holds(t, "giver", "shared", map[string]string{"A": canary + "1"})
	w.holds(t, "taker", "shared", map[string]string{"A": canary + "1"})
	w.secretStatus(t, "giver", "shared", "Valid")
	for _, name := range []string{"refuser", "aside"} {
		if _, err := w.secret(name, "shared"); !apierrors.IsNotFound(err) {
			t.Errorf("%s got a copy (%v)", name, err)
		}
	}
	w.kubectl(t, "", "patch", "secret", "shared", "-n", "taker", "--type=merge", "-p", `{"stringData":{"A":"edited"}}`)
	w.holds(t, "taker", "shared", map[string]string{"A": canary + "1"})
	w.plain(t, "refuser", "shared", map[string]string{"mine": "x"})
	w.kubectl(t, "", "annotate", "--overwrite", "namespace", "refuser", "secrets.hashicorp.com/accept-from=giver")
	w.secretStatus(t, "giver", "shared", "TargetConflict", "in namespace refuser", "no VaultSecret made it")
	w.kubectl(t, "", "label", "namespace", "refuser", "team-")
	w.kubectl(t, "", "annotate", "namespace", "taker", "secrets.hashicorp.com/accept-from-")
	w.gone(t, "taker", "shared")
	w.kubectl(t, "", "annotate", "namespace", "taker", "secrets.hashicorp.com/accept-from=giver")
	w.holds(t, "taker", "shared", map[string]string{"A": canary + "1"})
	w.kubectl(t, "", "delete", "vaultsecret", "shared", "-n", "giver")
	w.gone(t, "taker", "shared")
	w.gone(t, "giver", "shared")
	if left, err := w.secret("refuser", "shared"); err != nil || string(left.Data["mine"]) != "x" {
		t.Errorf("a Secret of others went (%v)", err)
	}
}

func testTargets(t *testing.T, w *world) {
	w.namespace(t, "targets", "secret/data/targets")
	w.vault.Put("secret/targets", map[string]any{"A": canary + "1"})
	w.vault.Put("secret/targets", map[string]any{"A": "plain"})
	w.apply(t, manifest("targets", "map", "secret/targets", inline("targets"), "kind: ConfigMap"))
	configMap := &corev1.ConfigMap{}
	look := func(want string) func() string {
		return func() string {
			if err := w.kube.Get(t.Context(), client.ObjectKey{Namespace: "targets", Name: "map"}, configMap); err != nil {
				return err.Error()
			}
			if configMap.Data["A"] != want {
				return "the ConfigMap holds " + configMap.Data["A"]
			}
			return ""
		}
	}
	eventually(t, limit, look("plain"))
	w.kubectl(t, "", "patch", "configmap", "map", "-n", "targets", "--type=merge", "-p", `{"data":{"A":"edited"}}`)
	eventually(t, limit, look("plain"))

	w.apply(t, manifest("targets", "fixed", "secret/targets", inline("targets"), "immutable: true"))
	fixed := w.holds(t, "targets", "fixed", map[string]string{"A": "plain"})
	if fixed.Immutable == nil || !*fixed.Immutable {
		t.Error("the Secret can be edited")
	}
	w.apply(t, manifest("targets", "left", "secret/targets", inline("targets"), "deletionPolicy: Retain"))
	w.holds(t, "targets", "left", map[string]string{"A": "plain"})
	w.secretStatus(t, "targets", "left", "Valid")
	w.kubectl(t, "", "patch", "secret", "left", "-n", "targets", "--type=merge", "-p", `{"stringData":{"A":"edited"}}`)
	w.holds(t, "targets", "left", map[string]string{"A": "plain"})
	w.vault.Put("secret/targets", map[string]any{"A": "next"})
	replaced := w.holds(t, "targets", "fixed", map[string]string{"A": "next"})
	if replaced.UID == fixed.UID {
		t.Error("an immutable Secret changed")
	}
	eventually(t, limit, look("next"))
	w.holds(t, "targets", "left", map[string]string{"A": "next"})
	w.kubectl(t, "", "delete", "vaultsecret", "left", "fixed", "map", "-n", "targets")
	w.gone(t, "targets", "fixed")
	if left, err := w.secret("targets", "left"); err != nil || string(left.Data["A"]) != "next" {
		t.Errorf("the Secret that was to stay went (%v)", err)
	}
	// Made anew, the resource takes up what it left.
	w.apply(t, manifest("targets", "left", "secret/targets", inline("targets"), ""))
	w.secretStatus(t, "targets", "left", "Valid")
	w.kubectl(t, "", "delete", "vaultsecret", "left", "-n", "targets")
	w.gone(t, "targets", "left")
}

// A workload is restarted when what it watches changed, and at no other time.
func testWorkloads(t *testing.T, w *world) {
	w.withAuth(t, "workloads", "secret/data/workloads")
	w.vault.Put("secret/workloads", map[string]any{"A": canary + "1", "B": "1"})
	deploy := func(name string) {
		w.kubectl(t, fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":%[1]q,"namespace":"workloads","labels":{"reads":"it"}},"spec":{"replicas":0,
"selector":{"matchLabels":{"app":%[1]q}},"template":{"metadata":{"labels":{"app":%[1]q}},"spec":{"containers":[{"name":"c","image":"none"}]}}}}`, name), "apply", "-f", "-")
	}
	deploy("one")
	deploy("two")
	at := func(name string) string {
		deployment := &appsv1.Deployment{}
		if err := w.kube.Get(t.Context(), client.ObjectKey{Namespace: "workloads", Name: name}, deployment); err != nil {
			t.Fatal(err)
		}
		return deployment.Spec.Template.Annotations["vso.secrets.hashicorp.com/restartedAt"]
	}
	w.apply(t, resource("VaultStaticSecret", "workloads", "target", `{vaultAuthRef: auth, mount: secret, type: kv-v2, path: workloads, refreshAfter: 1s, destination: {name: target, create: true},
  rolloutRestartTargets: [{kind: Deployment, name: one}, {kind: Deployment, selector: {matchLabels: {reads: it}}}], restartPolicy: {keys: [A]}}`))
	vss := &v1beta1.VaultStaticSecret{}
	w.status(t, vss, "workloads", "target", "Valid", "holds version 1")
	w.vault.Put("secret/workloads", map[string]any{"A": canary + "1", "B": "2"})
	w.status(t, vss, "workloads", "target", "Valid", "holds version 2")
	w.kubectl(t, "", "delete", "secret", "target", "-n", "workloads")
	w.eventuallyHolds(t, "workloads", "target", func(s *corev1.Secret) string { return "" })
	w.status(t, vss, "workloads", "target", "Valid", "holds version 2")
	if at("one") != "" || at("two") != "" {
		t.Error("what nobody watches, or a repair, restarted a workload")
	}
	w.vault.Put("secret/workloads", map[string]any{"A": canary + "2", "B": "2"})
	eventually(t, limit, func() string {
		if at("one") == "" || at("two") == "" {
			return "no restart yet"
		}
		return ""
	})
	first := at("one")
	w.status(t, vss, "workloads", "target", "Valid", "holds version 3")
	w.apply(t, resource("VaultStaticSecret", "workloads", "target", `{vaultAuthRef: auth, mount: secret, type: kv-v2, path: workloads, refreshAfter: 1s, destination: {name: target, create: true},
  rolloutRestartTargets: [{kind: Deployment, name: one}, {kind: StatefulSet, name: none}], restartPolicy: {keys: [A], minInterval: 1h}}`))
	w.vault.Put("secret/workloads", map[string]any{"A": canary + "3", "B": "2"})
	w.status(t, vss, "workloads", "target", "Valid", "holds version 4")
	if at("one") != first {
		t.Error("restarted again within restartPolicy.minInterval")
	}
	w.apply(t, resource("VaultStaticSecret", "workloads", "target", `{vaultAuthRef: auth, mount: secret, type: kv-v2, path: workloads, refreshAfter: 1s, destination: {name: target, create: true},
  rolloutRestartTargets: [{kind: Deployment, name: one}, {kind: StatefulSet, name: none}], restartPolicy: {keys: [A]}}`))
	w.status(t, vss, "workloads", "target", "RestartFailed", "cannot restart StatefulSet none: NotFound")
	if at("one") == first {
		t.Error("what was put off is forgotten")
	}
}

func testDryRun(t *testing.T, w *world) {
	w.namespace(t, "dry", "secret/data/dry")
	w.vault.Put("secret/dry", map[string]any{"A": canary + "1", "B": canary + "2"})
	w.apply(t, strings.Replace(manifest("dry", "target", "secret/dry", inline("dry"), ""), "namespace: dry}", "namespace: dry, annotations: {secrets.hashicorp.com/dry-run: 'true'}}", 1))
	w.secretStatus(t, "dry", "target", "DryRun", "would create Secret target with the keys A, B, from version 1 of secret/dry; nothing is written")
	if _, err := w.secret("dry", "target"); !apierrors.IsNotFound(err) {
		t.Errorf("a dry run wrote (%v)", err)
	}
	w.kubectl(t, "", "annotate", "vaultsecret", "target", "-n", "dry", "secrets.hashicorp.com/dry-run-")
	w.holds(t, "dry", "target", map[string]string{"A": canary + "1", "B": canary + "2"})
}
