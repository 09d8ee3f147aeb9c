package operator_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
	"strongroom/operator/vaulttest"
)

// thief is a server of a tenant: it keeps what it is sent.
type thief struct {
	*httptest.Server
	mu     sync.Mutex
	logins []string // the subjects of the tokens that it was presented
	others []string // anything else that looks like a credential
}

func newThief(t *testing.T) *thief {
	s := &thief{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, name := range []string{"Authorization", "X-Vault-Token", "Cookie"} {
			if value := r.Header.Get(name); value != "" && value != "hvs.theirs" {
				s.others = append(s.others, name)
			}
		}
		if strings.HasSuffix(r.URL.Path, "/login") {
			var login struct{ JWT string }
			_ = json.Unmarshal(body, &login)
			s.logins = append(s.logins, vaulttest.Subject(login.JWT))
			_, _ = io.WriteString(w, `{"auth":{"client_token":"hvs.theirs","lease_duration":3600,"renewable":true}}`)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/v1/sys/internal/ui/mounts/") {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"errors":["permission denied"]}`)
			return
		}
		_, _ = io.WriteString(w, `{"data":{"data":{"A":"1"},"metadata":{"version":1}}}`)
	}))
	t.Cleanup(s.Close)
	return s
}

// A tenant with edit rights in its namespace cannot reach another's secrets or logins by any field that refers to
// something; each attempt is refused by name. The tenant itself applies the manifests.
func testIsolation(t *testing.T, w *world) {
	w.namespace(t, "victim", "secret/data/victim")
	w.namespace(t, "mallory", "secret/data/mallory")
	w.vault.Put("secret/victim", map[string]any{"A": canary + "victim"})
	w.plain(t, "victim", "credentials", map[string]string{"id": canary + "id", "jwt": canary + "jwt", "ca.crt": canary + "ca"})
	w.apply(t, strings.NewReplacer("NS", "victim", "METHOD", "kubernetes", "serviceAccount: app, ", "").Replace(authManifest)+
		"\n---"+strings.ReplaceAll(connectionManifest, "NS", "victim")+`
---
apiVersion: secrets.hashicorp.com/v1beta1
kind: VaultAuthGlobal
metadata: {name: global, namespace: victim}
spec: {defaultAuthMethod: kubernetes, vaultConnectionRef: conn, kubernetes: {role: victim}}
---
apiVersion: secrets.hashicorp.com/v1beta1
kind: SecretTransformation
metadata: {name: shapes, namespace: victim}
spec: {templates: {hers: {text: her-text}}}
`)
	w.status(t, &v1beta1.VaultAuthGlobal{}, "victim", "global", "Valid")
	w.kubectl(t, "", "create", "rolebinding", "edit", "-n", "mallory", "--clusterrole=edit", "--user=mallory")
	w.kubectl(t, "", "create", "role", "kinds", "-n", "mallory", "--verb=*", "--resource=*.secrets.hashicorp.com")
	w.kubectl(t, "", "create", "rolebinding", "kinds", "-n", "mallory", "--role=kinds", "--user=mallory")
	tenant := func(manifest string) { t.Helper(); w.kubectl(t, manifest, "apply", "--as=mallory", "-f", "-") }
	tenant(strings.ReplaceAll(connectionManifest, "NS", "mallory"))

	auth := func(name, spec string) {
		tenant("{apiVersion: secrets.hashicorp.com/v1beta1, kind: VaultAuth, metadata: {name: " + name + ", namespace: mallory}, spec: {" + spec + "}}")
	}
	for _, attempt := range []struct{ name, auth, reason, says string }{
		{"connection", "vaultConnectionRef: victim/conn, kubernetes: {role: victim}", "NamespaceNotAllowed", "VaultConnection victim/conn does not allow namespace mallory"},
		{"no-connection", "vaultConnectionRef: victim/none, kubernetes: {role: victim}", "NamespaceNotAllowed", "VaultConnection victim/none does not allow namespace mallory"},
		{"global", "vaultAuthGlobalRef: {name: global, namespace: victim}", "NamespaceNotAllowed", "VaultAuthGlobal victim/global does not allow namespace mallory"},
		{"default-global", "vaultAuthGlobalRef: {allowDefault: true, namespace: victim}", "InvalidSpec", "which this operator does not allow"},
		{"role", "vaultConnectionRef: conn, kubernetes: {role: victim}", "LoginFailed", "service account default of namespace mallory cannot log in with role \"victim\""},
		{"account", "vaultConnectionRef: conn, kubernetes: {role: victim, serviceAccount: victim/default}", "InvalidSpec", "one of another namespace cannot be used"},
		{"jwt", "vaultConnectionRef: conn, method: jwt, jwt: {role: victim, secretRef: victim/credentials}", "InvalidSpec", "must be the name of a Secret in the namespace"},
		{"approle", "vaultConnectionRef: conn, method: appRole, appRole: {roleId: victim, secretRef: ../victim/credentials}", "InvalidSpec", "must be the name of a Secret in the namespace"},
		{"jwt-account", "vaultConnectionRef: conn, method: jwt, jwt: {role: victim, serviceAccount: victim/default}", "InvalidSpec", "one of another namespace cannot be used"},
		{"parent", "vaultConnectionRef: conn, method: jwt, jwt: {role: victim, secretRef: ..}", "InvalidSpec", "must be the name of a Secret in the namespace"},
		{"absent", "vaultConnectionRef: conn, method: appRole, appRole: {roleId: victim, secretRef: credentials}", "CredentialNotFound", "key id of Secret credentials, which namespace mallory lacks"},
	} {
		auth(attempt.name, attempt.auth)
		w.status(t, &v1beta1.VaultAuth{}, "mallory", attempt.name, attempt.reason, attempt.says)
		tenant(manifest("mallory", "by-"+attempt.name, "secret/victim", "vaultAuthRef: "+attempt.name, ""))
		w.secretStatus(t, "mallory", "by-"+attempt.name, attempt.reason)
	}
	auth("own", "vaultConnectionRef: conn, kubernetes: {role: mallory, serviceAccount: default}")
	for _, attempt := range []struct{ name, spec, path, reason, says string }{
		{"auth", "vaultAuthRef: victim/auth", "secret/victim", "NamespaceNotAllowed", "VaultAuth victim/auth does not allow namespace mallory"},
		{"inline", inline("victim"), "secret/victim", "LoginFailed", "namespace mallory cannot log in"},
		{"path", inline("mallory"), "secret/victim", "PermissionDenied", `no capability "read" on secret/data/victim`},
		{"traversal", inline("mallory"), "secret/mallory/../victim", "InvalidSpec", ""},
		{"lent-account", "vaultAuthRef: own\n  serviceAccount: victim/default", "secret/mallory", "InvalidSpec", "one of another namespace cannot be used"},
		{"file", strings.Replace(inline("mallory"), "8200', ", "8200', caCert: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt, ", 1), "secret/mallory", "InvalidSpec", ""},
		{"other-account", inline("victim") + "\n  serviceAccount: victim/default", "secret/victim", "InvalidSpec", "one of another namespace cannot be used"},
	} {
		tenant(manifest("mallory", attempt.name, attempt.path, attempt.spec, ""))
		w.secretStatus(t, "mallory", attempt.name, attempt.reason, attempt.says)
	}
	tenant(`{apiVersion: secrets.hashicorp.com/v1beta1, kind: VaultConnection, metadata: {name: ca, namespace: mallory}, spec: {address: 'https://v:1', caCertSecretRef: victim/credentials}}`)
	w.status(t, &v1beta1.VaultConnection{}, "mallory", "ca", "InvalidSpec", "one of another namespace cannot be used")
	if out, err := w.try(strings.ReplaceAll(connectionManifest, "NS", "victim"), "apply", "--as=mallory", "-f", "-"); err == nil {
		t.Errorf("the tenant writes to the victim's namespace:\n%s", out)
	}
	testIsolationOfGlobals(t, w, tenant)
	testIsolationOfSources(t, w, tenant)
	testIsolationOfKinds(t, w, tenant)
	testIsolationOfTargets(t, w, tenant)
	testThief(t, w, tenant)
}

// What a VaultAuth inherits from a VaultAuthGlobal of the tenant's own reaches no farther than what it says itself.
func testIsolationOfGlobals(t *testing.T, w *world, tenant func(string)) {
	for _, attempt := range []struct{ name, spec, reason, says string }{
		{"connection", "vaultConnectionRef: victim/conn, kubernetes: {role: mallory}", "NamespaceNotAllowed", "VaultConnection victim/conn does not allow namespace mallory"},
		{"account", "vaultConnectionRef: conn, kubernetes: {role: victim, serviceAccount: victim/default}", "InvalidSpec", "one of another namespace cannot be used"},
		{"jwt", "vaultConnectionRef: conn, defaultAuthMethod: jwt, jwt: {role: victim, secretRef: victim/credentials}", "InvalidSpec", "must be the name of a Secret in the namespace"},
		{"approle", "vaultConnectionRef: conn, defaultAuthMethod: appRole, appRole: {roleId: victim, secretRef: victim/credentials}", "InvalidSpec", "must be the name of a Secret in the namespace"},
	} {
		name := "global-" + attempt.name
		tenant(resource("VaultAuthGlobal", "mallory", name, "{defaultAuthMethod: kubernetes, "+attempt.spec+"}"))
		if strings.Contains(attempt.spec, "defaultAuthMethod") {
			tenant(resource("VaultAuthGlobal", "mallory", name, "{"+attempt.spec+"}"))
		}
		tenant(resource("VaultAuth", "mallory", name, "{vaultAuthGlobalRef: {name: "+name+"}}"))
		w.status(t, &v1beta1.VaultAuth{}, "mallory", name, attempt.reason, attempt.says)
	}
	w.status(t, &v1beta1.VaultAuthGlobal{}, "mallory", "global-connection", "NamespaceNotAllowed", "VaultConnection victim/conn")
}

// Several sources are bound as one is.
func testIsolationOfSources(t *testing.T, w *world, tenant func(string)) {
	for _, attempt := range []struct{ name, source, reason, says string }{
		{"path", "path: secret/data/victim", "PermissionDenied", "secret/data/victim"},
		{"path-traversal", "path: secret/data/mallory/../victim", "InvalidSpec", "a . or .."},
		{"find", "find: {path: secret/victim}", "PermissionDenied", "secret/metadata/victim"},
		{"find-traversal", "find: {path: secret/mallory/../victim}", "InvalidSpec", "a . or .."},
		{"kv", "kv: {path: secret/victim}", "PermissionDenied", "secret/data/victim"},
	} {
		tenant(resource("VaultSecret", "mallory", "sources-"+attempt.name, "{vaultAuthRef: own, sources: [{"+attempt.source+"}], target: {name: sources}}"))
		w.secretStatus(t, "mallory", "sources-"+attempt.name, attempt.reason, attempt.says)
	}
}

// The kinds beside VaultSecret, by each field of theirs that refers to something.
func testIsolationOfKinds(t *testing.T, w *world, tenant func(string)) {
	w.plain(t, "mallory", "mine", map[string]string{"A": "1"})
	type status = interface {
		client.Object
		CommonStatus() *v1beta1.Status
	}
	try := func(into status, kind, name, spec, reason string, says ...string) {
		t.Helper()
		name = strings.ToLower(kind) + "-" + name
		tenant(resource(kind, "mallory", name, "{"+strings.ReplaceAll(spec, "NAME", name)+"}"))
		w.status(t, into, "mallory", name, reason, says...)
	}
	const at, destination = "mount: MOUNT, path: PATH", ", destination: {name: NAME, create: true"
	for _, each := range []struct {
		kind, fields, mount, denied string
		empty                       status
	}{
		{"VaultStaticSecret", at + ", type: kv-v2", "secret", "secret/data/victim", &v1beta1.VaultStaticSecret{}},
		{"VaultDynamicSecret", at, "db/creds", "db/creds/victim", &v1beta1.VaultDynamicSecret{}},
		{"VaultPKISecret", "mount: MOUNT, role: PATH", "pki", "pki/issue/victim", &v1beta1.VaultPKISecret{}},
		{"VaultPushSecret", at + ", secretRef: {name: mine}", "secret", "secret/metadata/victim", &v1beta1.VaultPushSecret{}},
	} {
		fill := func(mount, path string) string {
			return strings.NewReplacer("MOUNT", mount, "PATH", path).Replace(each.fields)
		}
		spec, end := fill(each.mount, "victim"), destination+"}"
		if each.kind == "VaultPushSecret" {
			end = ""
		}
		try(each.empty, each.kind, "auth", "vaultAuthRef: victim/auth, "+spec+end, "NamespaceNotAllowed", "VaultAuth victim/auth does not allow namespace mallory")
		try(each.empty, each.kind, "no-auth", "vaultAuthRef: victim/none, "+spec+end, "NamespaceNotAllowed", "VaultAuth victim/none does not allow namespace mallory")
		try(each.empty, each.kind, "denied", "vaultAuthRef: own, "+spec+end, "PermissionDenied", each.denied)
		try(each.empty, each.kind, "mount", "vaultAuthRef: own, "+fill(each.mount+"/..", "victim")+end, "InvalidSpec", "a . or ..")
		try(each.empty, each.kind, "path", "vaultAuthRef: own, "+fill(each.mount, "../victim")+end, "InvalidSpec", "a . or ..")
		if each.kind == "VaultPushSecret" {
			try(each.empty, each.kind, "account", "vaultAuthRef: own, serviceAccount: victim/default, "+spec, "InvalidSpec", "one of another namespace cannot be used")
			try(each.empty, each.kind, "secret", "vaultAuthRef: own, "+strings.Replace(spec, "mine", "credentials", 1), "SourceNotFound", "there is no Secret credentials in namespace mallory")
			continue
		}
		if each.kind == "VaultPKISecret" {
			try(each.empty, each.kind, "issuer", "vaultAuthRef: own, issuerRef: ../../secret, "+spec+end, "InvalidSpec", "spec.issuerRef")
		}
		for _, name := range []string{"shapes", "none"} {
			try(each.empty, each.kind, name, "vaultAuthRef: own, "+spec+destination+", transformation: {transformationRefs: [{namespace: victim, name: "+name+", templateRefs: [{name: hers}]}]}}",
				"NamespaceNotAllowed", "SecretTransformation victim/"+name+" does not allow namespace mallory")
		}
	}
	for _, each := range [][2]string{
		{"VaultSecret", "{vaultAuthRef: own, source: {kv: {path: secret/mallory}}, target: {name: app}, rolloutRestartTargets: [{kind: Deployment, name: ../../victim/deployments/app}]}"},
		{"VaultStaticSecret", "{vaultAuthRef: own, mount: secret, type: kv-v2, path: mallory, destination: {name: ../../victim/secrets/credentials}}"},
		{"VaultPushSecret", "{vaultAuthRef: own, mount: secret, path: mallory, secretRef: {name: ../../victim/secrets/credentials}}"},
		{"VaultSecret", "{vaultAuthRef: own, source: {kv: {path: secret/mallory}}, target: {name: victim/credentials}}"},
	} {
		if out, err := w.try(resource(each[0], "mallory", "elsewhere", each[1]), "apply", "--as=mallory", "-f", "-"); err == nil || !strings.Contains(out, "ame: Invalid value") {
			t.Errorf("%s with a name that leads elsewhere: %v %s", each, err, out)
		}
	}
}

// Nothing is written, overwritten or restarted where nobody accepts it; who accepts copies accepts no overwriting.
func testIsolationOfTargets(t *testing.T, w *world, tenant func(string)) {
	w.vault.Put("secret/mallory", map[string]any{"id": "hers"})
	w.namespace(t, "friend")
	w.kubectl(t, "", "annotate", "namespace", "friend", "secrets.hashicorp.com/accept-from=mallory")
	w.kubectl(t, "", "annotate", "namespace", "victim", "secrets.hashicorp.com/accept-from=friend")
	w.plain(t, "friend", "credentials", map[string]string{"id": canary + "friend"})
	w.kubectl(t, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"app","namespace":"victim"},"spec":{"replicas":0,
"selector":{"matchLabels":{"app":"app"}},"template":{"metadata":{"labels":{"app":"app"}},"spec":{"containers":[{"name":"c","image":"none"}]}}}}`, "apply", "-f", "-")
	tenant(resource("VaultSecret", "mallory", "spread", `{refreshAfter: 1s, vaultAuthRef: own, source: {kv: {path: secret/mallory}}, target: {name: credentials, overwrite: true, namespaceSelector: {}},
  rolloutRestartTargets: [{kind: Deployment, name: app}, {kind: Deployment, selector: {}}]}`))
	w.secretStatus(t, "mallory", "spread", "TargetConflict", "in namespace friend", "no VaultSecret made it", "label")
	w.vault.Put("secret/mallory", map[string]any{"id": "hers, changed"})
	w.holds(t, "mallory", "credentials", map[string]string{"id": "hers, changed"})
	w.secretStatus(t, "mallory", "spread", "RestartFailed", "cannot restart Deployment app")
	if friend, err := w.secret("friend", "credentials"); err != nil || string(friend.Data["id"]) != canary+"friend" {
		t.Errorf("a Secret is overwritten where copies are accepted (%v)", err)
	}
	if victim, err := w.secret("victim", "credentials"); err != nil || string(victim.Data["id"]) != canary+"id" || len(victim.Labels) != 0 {
		t.Errorf("a Secret is overwritten where nothing is accepted (%v)", err)
	}
	if at := w.kubectl(t, "", "get", "deployment", "app", "-n", "victim", "-o", "jsonpath={.spec.template.metadata.annotations}"); at != "" {
		t.Errorf("another's workload is restarted: %s", at)
	}
	tenant(resource("VaultSecret", "mallory", "spread", "{refreshAfter: 1s, vaultAuthRef: own, source: {kv: {path: secret/mallory}}, target: {name: spread, namespaceSelector: {}}}"))
	w.secretStatus(t, "mallory", "spread", "Valid")
	for _, secret := range managed(t, w) {
		if secret.Annotations[v1beta1.SourceAnnotation] == "VaultSecret/mallory/spread" && secret.Namespace != "mallory" && secret.Namespace != "friend" {
			t.Errorf("a copy is in namespace %s, which accepts none of mallory's", secret.Namespace)
		}
	}
	if _, err := w.secret("friend", "spread"); err != nil {
		t.Errorf("who accepts copies gets none: %v", err)
	}
}

// What an address of the tenant's choice gets is a token of the tenant's own service account, and nothing of the operator's.
func testThief(t *testing.T, w *world, tenant func(string)) {
	thief := newThief(t)
	tenant(strings.ReplaceAll(manifest("mallory", "theirs", "secret/any", inline("any"), ""), "http://vault.vault:8200", thief.URL))
	w.secretStatus(t, "mallory", "theirs", "Valid")
	thief.mu.Lock()
	defer thief.mu.Unlock()
	slices.Sort(thief.logins)
	if got := slices.Compact(thief.logins); len(got) != 1 || got[0] != "system:serviceaccount:mallory:default" {
		t.Errorf("a tenant's server was presented %q", got)
	}
	if len(thief.others) > 0 {
		t.Errorf("a tenant's server was sent %q", thief.others)
	}
}

// A field that refers to something in Kubernetes and that no attempt above is made with is one that was added since.
func TestIsolationTriesEveryReference(t *testing.T) {
	attempts, err := os.ReadFile("isolation_test.go")
	if err != nil {
		t.Fatal(err)
	}
	refers := regexp.MustCompile(`(?i)(refs?|serviceAccount|secret|namespaceSelector|restartTargets|destination|target)$`)
	// Of methods that are refused whole, and what is never followed.
	refused := []string{"VaultAuthSpec.aws", "VaultAuthSpec.gcp", "VaultAuthSpec.storageEncryption", "VaultAuthGlobalSpec.aws", "VaultAuthGlobalSpec.gcp"}
	found := 0
	var walk func(path string, of reflect.Type)
	walk = func(path string, of reflect.Type) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice || of.Kind() == reflect.Map {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || !strings.HasSuffix(of.PkgPath(), "api/v1beta1") {
			return
		}
		for field := range of.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			at := path
			if name != "" {
				at += "." + name
			}
			if slices.Contains(refused, at) {
				continue
			}
			if refers.MatchString(name) {
				if found++; !strings.Contains(string(attempts), name+": ") {
					t.Errorf("no tenant tries %s", at)
				}
			}
			walk(at, field.Type)
		}
	}
	for _, spec := range []any{
		v1beta1.VaultConnectionSpec{}, v1beta1.VaultAuthSpec{}, v1beta1.VaultAuthGlobalSpec{}, v1beta1.VaultSecretSpec{}, v1beta1.VaultStaticSecretSpec{},
		v1beta1.VaultDynamicSecretSpec{}, v1beta1.VaultPKISecretSpec{}, v1beta1.VaultPushSecretSpec{}, v1beta1.SecretTransformationSpec{},
	} {
		walk(reflect.TypeOf(spec).Name(), reflect.TypeOf(spec))
	}
	if found < 25 {
		t.Errorf("only %d references are found", found)
	}
}
