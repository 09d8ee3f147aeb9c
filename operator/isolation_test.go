package operator_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

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
`)
	w.status(t, &v1beta1.VaultAuthGlobal{}, "victim", "global", "Valid")
	w.kubectl(t, "", "create", "rolebinding", "edit", "-n", "mallory", "--clusterrole=edit", "--user=mallory")
	w.kubectl(t, "", "create", "role", "kinds", "-n", "mallory", "--verb=*", "--resource=vaultsecrets.secrets.hashicorp.com,vaultauths.secrets.hashicorp.com,"+
		"vaultauthglobals.secrets.hashicorp.com,vaultconnections.secrets.hashicorp.com,vaultstaticsecrets.secrets.hashicorp.com")
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
		{"absent", "vaultConnectionRef: conn, method: appRole, appRole: {roleId: victim, secretRef: credentials}", "CredentialNotFound", "key id of Secret credentials, which namespace mallory lacks"},
	} {
		auth(attempt.name, attempt.auth)
		w.status(t, &v1beta1.VaultAuth{}, "mallory", attempt.name, attempt.reason, attempt.says)
		tenant(manifest("mallory", "by-"+attempt.name, "secret/victim", "vaultAuthRef: "+attempt.name, ""))
		w.secretStatus(t, "mallory", "by-"+attempt.name, attempt.reason)
	}
	for _, attempt := range []struct{ name, spec, path, reason, says string }{
		{"auth", "vaultAuthRef: victim/auth", "secret/victim", "NamespaceNotAllowed", "VaultAuth victim/auth does not allow namespace mallory"},
		{"inline", inline("victim"), "secret/victim", "LoginFailed", "namespace mallory cannot log in"},
		{"path", inline("mallory"), "secret/victim", "PermissionDenied", `no capability "read" on secret/data/victim`},
		{"traversal", inline("mallory"), "secret/mallory/../victim", "InvalidSpec", ""},
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
	testThief(t, w, tenant)
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
