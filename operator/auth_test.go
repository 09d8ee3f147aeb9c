package operator_test

import (
	"strings"
	"testing"

	"strongroom/api/v1beta1"
	"strongroom/operator/vaulttest"
)

const authManifest = `
apiVersion: secrets.hashicorp.com/v1beta1
kind: VaultAuth
metadata: {name: auth, namespace: NS}
spec: {vaultConnectionRef: conn, method: METHOD, kubernetes: {role: NS, serviceAccount: app, audiences: [vault], tokenExpirationSeconds: 900}}
`

const connectionManifest = `
apiVersion: secrets.hashicorp.com/v1beta1
kind: VaultConnection
metadata: {name: conn, namespace: NS}
spec: {address: 'http://vault.vault:8200', headers: {X-Team: a}, timeout: 5s, tlsServerName: vault.example}
`

func testAuth(t *testing.T, w *world) {
	w.namespace(t, "auth")
	w.vault.SetRole("auth", vaulttest.Role{Namespace: "auth", Account: "app", Paths: []string{"secret/data/auth"}})
	w.vault.Put("secret/auth", map[string]any{"A": canary + "1"})
	auth := func(method string) string {
		return strings.NewReplacer("NS", "auth", "METHOD", method).Replace(authManifest)
	}
	secretStatus := func(want string, says ...string) { t.Helper(); w.secretStatus(t, "auth", "target", want, says...) }
	authStatus := func(want string, says ...string) {
		t.Helper()
		w.status(t, &v1beta1.VaultAuth{}, "auth", "auth", want, says...)
	}
	w.apply(t, manifest("auth", "target", "secret/auth", "vaultAuthRef: auth", ""))
	secretStatus("AuthNotFound", "there is no VaultAuth auth in namespace auth")
	w.apply(t, auth("aws"))
	authStatus("MethodNotSupported", `VaultAuth auth/auth uses method "aws"`)
	secretStatus("MethodNotSupported")
	w.apply(t, auth("kubernetes"))
	authStatus("ConnectionNotFound", "there is no VaultConnection conn in namespace auth")
	secretStatus("ConnectionNotFound")
	w.apply(t, strings.ReplaceAll(connectionManifest, "NS", "auth"))
	authStatus("ServiceAccountNotFound", "there is no service account app in namespace auth")
	secretStatus("ServiceAccountNotFound")
	w.kubectl(t, "", "create", "serviceaccount", "app", "-n", "auth")
	authStatus("Valid")
	secretStatus("Valid")
	w.holds(t, "auth", "target", map[string]string{"A": canary + "1"})
	w.apply(t, manifest("auth", "target", "secret/auth", "vaultAuthRef: auth\n  serviceAccount: default", ""))
	secretStatus("LoginFailed", "service account default of namespace auth cannot log in", "HTTP 403: service account name not authorized")
	w.apply(t, manifest("auth", "target", "secret/auth", "vaultAuthRef: auth", ""))
	secretStatus("Valid")
	w.vault.SetSealed(true)
	w.kubectl(t, "", "annotate", "vaultconnection", "conn", "-n", "auth", "x=y")
	w.apply(t, strings.Replace(strings.ReplaceAll(connectionManifest, "NS", "auth"), "5s", "6s", 1))
	w.status(t, &v1beta1.VaultConnection{}, "auth", "conn", "ServerSealed")
	authStatus("ServerSealed", "VaultConnection conn: http://vault.vault:8200 is sealed")
	w.vault.SetSealed(false)
	w.status(t, &v1beta1.VaultConnection{}, "auth", "conn", "Valid")
	authStatus("Valid")
	secretStatus("Valid")
}

func testNamespaces(t *testing.T, w *world) {
	w.namespace(t, "lender")
	w.namespace(t, "tenant")
	w.vault.SetRole("lender", vaulttest.Role{Namespace: "tenant", Account: "default", Paths: []string{"secret/data/tenant"}})
	w.vault.Put("secret/tenant", map[string]any{"A": canary + "1"})
	text := strings.NewReplacer("NS", "lender", "METHOD", "kubernetes", "serviceAccount: app, ", "").Replace(authManifest)
	w.apply(t, text+"\n---"+strings.ReplaceAll(connectionManifest, "NS", "lender"))
	w.apply(t, manifest("tenant", "target", "secret/tenant", "vaultAuthRef: lender/auth", ""))
	refusal := w.secretStatus(t, "tenant", "target", "NamespaceNotAllowed", "VaultAuth lender/auth does not allow namespace tenant").Status.Conditions[0].Message
	w.apply(t, manifest("tenant", "probe", "secret/tenant", "vaultAuthRef: lender/none", ""))
	absent := w.secretStatus(t, "tenant", "probe", "NamespaceNotAllowed").Status.Conditions[0].Message
	if strings.Replace(refusal, "lender/auth", "lender/none", 1) != absent {
		t.Errorf("a tenant can tell %q from %q", refusal, absent)
	}
	w.apply(t, strings.Replace(text, "method:", "allowedNamespaces: [tenant], method:", 1))
	w.secretStatus(t, "tenant", "target", "Valid")
	w.holds(t, "tenant", "target", map[string]string{"A": canary + "1"})
}

func testLogins(t *testing.T, w *world) {
	w.namespace(t, "logins", "secret/data/logins")
	w.vault.Put("secret/logins", map[string]any{"A": canary + "1"})
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		w.apply(t, manifest("logins", name, "secret/logins", inline("logins"), ""))
	}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		w.secretStatus(t, "logins", name, "Valid")
	}
	// Of this role: what other parts left behind tries to log in as others meanwhile.
	if logins := w.vault.Logins("logins"); logins != 1 {
		t.Errorf("five VaultSecrets of one service account made %d logins", logins)
	}
	w.apply(t, manifest("logins", "wrong", "secret/logins", inline("nobody"), ""))
	w.secretStatus(t, "logins", "wrong", "LoginFailed", `with role "nobody" at auth/kubernetes: HTTP 400: invalid role name "nobody"`)
	w.vault.SetRole("elsewhere", vaulttest.Role{Namespace: "other", Account: "default"})
	w.apply(t, manifest("logins", "bound", "secret/logins", inline("elsewhere"), ""))
	w.secretStatus(t, "logins", "bound", "LoginFailed", "service account default of namespace logins cannot log in with role \"elsewhere\"")
	w.apply(t, manifest("logins", "mount", "secret/logins", strings.Replace(inline("logins"), "{role:", "{mountPath: k8s, role:", 1), ""))
	w.secretStatus(t, "logins", "mount", "MountNotFound", "no auth method at auth/k8s/")
}
