package e2e_test

import (
	"fmt"
	"maps"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// expectation is what a block of the guide must print. The guide's own `text`
// block, where it has one, is checked besides.
type expectation struct {
	section   string   // the heading the block stands under
	first     string   // its first line that is no comment
	prints    []string // regular expressions ((?m) is set)
	before    func(t *testing.T, g *guide)
	meanwhile func(t *testing.T, g *guide) // for a command that goes on until it is interrupted
	after     func(t *testing.T, g *guide, output string)
}

const (
	secretName  = "longhorn-r2-secret-from-vault"
	secretSpace = "longhorn-system"
	shell       = "kubectl exec -it -n vault vault-0 -- /bin/sh"
	nothing     = `\A\s*\z`
	written     = `^Success! Data written to: `
	loggedIn    = `^Success! You are now authenticated\.`
)

// expectations has every shell block of the guide, in its order.
func expectations() []expectation {
	return []expectation{
		{section: "Part 1: Install the servers", first: `helm install vault ./charts/vault \`, prints: []string{`^STATUS: deployed$`, `^  kubectl exec -it -n vault vault-0 -- vault operator init$`}},
		{section: "Part 1: Install the servers", first: "kubectl get pods -n vault", prints: []string{
			`\ANAME +READY +STATUS +RESTARTS +AGE\n(vault-[012] +0/1 +Running +0 +\d+s\n){3}\z`,
		}},

		{section: "Initialize once", first: shell, prints: []string{`^BusyBox `}},
		{section: "Initialize once", first: "vault operator init", after: keepKeys, prints: []string{
			`(^Unseal Key [1-5]: [A-Za-z0-9+/=]{44}\n){5}`, `^Initial Root Token: hvs\.[A-Za-z0-9]{24,}$`,
			`^Vault initialized with 5 key shares and a key threshold of 3\.`,
		}},
		{section: "Unseal the first server", first: "vault operator unseal <UNSEAL_KEY_1>", prints: []string{
			`(?s)^Unseal Progress +1/3$.*^Unseal Progress +2/3$.*^Sealed +false$`, `^HA Mode +active$`,
		}},
		{section: "Unseal the first server", first: "vault status", prints: []string{
			`^Seal Type +shamir$`, `^Initialized +true$`, `^Sealed +false$`, `^Total Shares +5$`, `^Threshold +3$`, `^Storage Type +raft$`, `^HA Enabled +true$`,
		}},
		{section: "Unseal the others", first: "kubectl exec -it -n vault vault-1 -- vault operator unseal <UNSEAL_KEY_1>", prints: []string{
			`(?s)(Unseal Progress +1/3$.*Unseal Progress +2/3$.*Sealed +false$.*HA Mode +standby$.*){2}`,
		}},

		{section: "Part 3: Install the operator", first: `helm install vault-secrets-operator ./charts/vault-secrets-operator \`, prints: []string{`^STATUS: deployed$`}},
		{section: "Part 3: Install the operator", first: "kubectl get pods -n vault-secrets-operator", prints: []string{`^vault-secrets-operator-\S+ +1/1 +Running +0 `}},

		{section: "Log in as root", first: shell, prints: []string{loggedIn, `^token_policies +\["root"\]$`}},
		{section: "Turn on storage for secrets and the login", first: "vault secrets enable -path=secret kv-v2", prints: []string{
			`^Success! Enabled the kv-v2 secrets engine at: secret/$`, `^Success! Enabled kubernetes auth method at: kubernetes/$`, written + `auth/kubernetes/config$`,
		}},
		{section: "Say what may be read", first: "vault policy write longhorn-r2-policy - <<EOF", prints: []string{`^Success! Uploaded policy: longhorn-r2-policy$`}},
		{section: "Say what may be read", first: "vault policy write argocd-secrets-reader - <<EOF", prints: []string{`^Success! Uploaded policy: argocd-secrets-reader$`}},
		{section: "Say who gets which policy", first: `vault write auth/kubernetes/role/longhorn-role \`, prints: []string{written + `auth/kubernetes/role/longhorn-role$`}},
		{section: "Say who gets which policy", first: `vault write auth/kubernetes/role/argocd \`, prints: []string{written + `auth/kubernetes/role/argocd$`}},

		{section: "On the command line", first: shell, prints: []string{loggedIn}},
		{section: "On the command line", first: `vault kv put secret/longhorn-r2 \`, prints: []string{`^secret/data/longhorn-r2$`, `^version +1$`}},
		{section: "In the browser", first: "kubectl port-forward -n vault svc/vault 8200:8200", meanwhile: browse, prints: []string{`^Forwarding from 127\.0\.0\.1:8200 -> 8200$`}},

		{section: "Where the servers are", first: "kubectl apply -f k3s-vault/vault-connection.yaml", prints: []string{`/vault-connection created$`}},
		{section: "How to log in", first: "kubectl apply -f k3s-vault/vault-auth.yaml", prints: []string{`/vault-auth-kubernetes created$`}},
		{section: "What to fetch", first: "kubectl apply -f k3s-vault/longhorn-r2-vault-secret.yaml", prints: []string{`/longhorn-r2-secret-from-vault created$`}},
		{section: "See that it arrived", first: "kubectl get secret r2-longhorn-secret -n longhorn-system", after: arrived, prints: []string{
			`^r2-longhorn-secret +Opaque +3 `, `^NAME +STATUS +VERSION +LAST SYNC +NEXT SYNC +AGE\nlonghorn-r2-secret-from-vault +Valid +1 +\d+s( +[0-9TZ:-]+)? +\d+s$`,
		}},

		{section: "Using the web UI", first: "kubectl port-forward -n vault svc/vault 8200:8200", meanwhile: browse, prints: []string{`^Forwarding from 127\.0\.0\.1:8200 -> 8200$`}},

		{section: "Rotate what is stored", first: shell, after: mend, prints: []string{loggedIn, `^secret/data/longhorn-r2$`, `^version +2$`}},

		{section: "A server is sealed", first: shell, before: sealFirst, prints: []string{
			`(?s)\A.*Unseal Progress +1/3$.*Unseal Progress +2/3$.*^Sealed +false$`,
		}},
		{section: "A server is sealed", first: "vault login <TOKEN>", prints: []string{loggedIn}},
		{section: "A VaultSecret does not sync", first: "kubectl describe vaultsecret <name> -n <namespace>", prints: []string{
			`^    Message: +Secret r2-longhorn-secret holds version 3 of secret/longhorn-r2$`, `^  Status: +Valid$`,
			`^  Warning  TemplateError .*AWS_ENDPOINTS`, `^  Normal   Valid `,
		}},
		{section: "A VaultSecret does not sync", first: "kubectl logs -n vault-secrets-operator deployment/vault-secrets-operator", prints: []string{`longhorn-r2-secret-from-vault`}},
		{section: "A VaultSecret does not sync", first: "kubectl get vaultconnection -n <namespace>", prints: []string{`^vault-connection +Valid `}},
		{section: "A VaultSecret does not sync", first: "kubectl get vaultauth -n <namespace>", prints: []string{`^vault-auth-kubernetes +Valid `}},
		{section: "A login is refused", first: "kubectl exec -it -n vault vault-0 -- vault read auth/kubernetes/role/<role-name>", prints: []string{
			`^bound_service_account_names +\[default\]$`, `^bound_service_account_namespaces +\[longhorn-system\]$`, `^token_policies +\[longhorn-r2-policy\]$`, `^token_ttl +24h$`,
		}},
		{section: "A login is refused", first: "kubectl get serviceaccount -n <namespace>", prints: []string{`^default `}},
		{section: "A login is refused", first: "kubectl exec -it -n vault vault-0 -- vault policy read <policy-name>", prints: []string{
			`^path "secret/data/longhorn-r2" \{\n  capabilities = \["read"\]\n\}$`,
		}},
		{section: "A secret is not found", first: "kubectl exec -it -n vault vault-0 -- vault kv get secret/longhorn-r2", prints: []string{
			`^AWS_ACCESS_KEY_ID +NEW_KEY$`, `^AWS_ENDPOINTS +https://mended\.example$`, `^AWS_SECRET_ACCESS_KEY +NEW_SECRET$`,
		}},
		{section: "A secret is not found", first: "kubectl get vaultsecret <name> -n <namespace> -o yaml", prints: []string{`^      path: secret/longhorn-r2$`}},

		{section: "Verification", first: "kubectl exec -it -n vault vault-0 -- vault status", prints: []string{`^Sealed +false$`}},
		{section: "Verification", first: "kubectl exec -it -n vault vault-0 -- vault kv list secret/", prints: []string{`^Keys\n----\nlonghorn-r2$`}},
		{section: "Verification", first: "kubectl get pods -n vault-secrets-operator", prints: []string{
			`^vault-secrets-operator-\S+ +1/1 +Running +0 `, `^longhorn-system +longhorn-r2-secret-from-vault +Valid `,
		}},
		{section: "Verification", first: "kubectl get secrets -n longhorn-system | grep r2", prints: []string{`\Ar2-longhorn-secret +Opaque +3 `}},
	}
}

// arrived sees what the Secret holds.
func arrived(t *testing.T, g *guide, _ string) {
	g.holds(t, map[string]string{
		"AWS_ACCESS_KEY_ID": "YOUR_R2_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY": "YOUR_R2_SECRET_ACCESS_KEY",
		"AWS_ENDPOINTS": "https://0123456789abcdef.r2.cloudflarestorage.com",
	})
}

// mend sees that after the rotation, which leaves one key of the template's out,
// what the guide says of that is so; then it does as the guide says.
func mend(t *testing.T, g *guide, _ string) {
	const refreshed = 40 * time.Second // refreshAfter is 30 s, give or take a tenth
	g.pods.condition(t, secretSpace, secretName, "TemplateError", refreshed)
	g.holds(t, map[string]string{
		"AWS_ACCESS_KEY_ID": "NEW_KEY", "AWS_SECRET_ACCESS_KEY": "NEW_SECRET", "AWS_ENDPOINTS": "https://0123456789abcdef.r2.cloudflarestorage.com",
	})
	g.does(t, "vault kv patch secret/longhorn-r2 AWS_ENDPOINTS=https://mended.example")
	g.pods.condition(t, secretSpace, secretName, "Valid", refreshed)
	g.holds(t, mended())
}

// mended is what the guide's Secret holds from then on.
func mended() map[string]string {
	return map[string]string{"AWS_ACCESS_KEY_ID": "NEW_KEY", "AWS_SECRET_ACCESS_KEY": "NEW_SECRET", "AWS_ENDPOINTS": "https://mended.example"}
}

// sealFirst seals the first server as the guide says it happens: by a restart.
func sealFirst(t *testing.T, g *guide) {
	uid := g.pods.servers(t, "vault")["vault-0"].Metadata.UID
	g.pods.kubectl(t, "delete", "pod", "vault-0", "-n", "vault", "--wait=false")
	g.pods.replaced(t, "vault", "vault-0", uid)
	eventually(t, time.Minute, func() string {
		if out, err := g.pods.inPod(t, "vault", "vault-0", "vault", "status"); !strings.Contains(out, "Sealed                  true") {
			return fmt.Sprintf("vault-0 is not sealed: %v\n%s", err, out)
		}
		return ""
	})
}

// browse asks as a browser would, at the address that the guide names.
func browse(t *testing.T, g *guide) {
	curl := []string{"curl", "-sS", "-w", `\n%{url_effective} %{http_code}\n`, "-L", "http://127.0.0.1:8200/"}
	if g.pods.cluster != nil {
		curl = append(g.pods.cluster.Enter(), curl...)
	}
	out, err := exec.CommandContext(t.Context(), curl[0], curl[1:]...).CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "\nhttp://127.0.0.1:8200/ui/ 200\n") || !strings.Contains(string(out), "Strongroom") {
		t.Errorf("through the tunnel curl says: %v\n%s", err, out)
	}
}

// holds wants the guide's Secret to hold data.
func (g *guide) holds(t *testing.T, want map[string]string) {
	t.Helper()
	if got := g.pods.secret(t, secretSpace, "r2-longhorn-secret"); !maps.Equal(got, want) {
		t.Errorf("the Secret holds %v, want %v", got, want)
	}
}
