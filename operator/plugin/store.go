package plugin

import (
	"cmp"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// store makes a VaultConnection and a VaultAuth of a SecretStore.
func (m *migration) store(each object) {
	kind, namespace, name := text(each, "kind"), text(each, "metadata", "namespace"), text(each, "metadata", "name")
	var auth object
	title := kind + " " + name
	if kind == "ClusterSecretStore" {
		namespace, auth = m.operatorNamespace, object{"allowedNamespaces": []any{"*"}}
		title += ". CHECK allowedNamespaces of the VaultAuth: list the namespaces that may use it"
	} else {
		auth = object{}
	}
	vault, found, _ := unstructured.NestedMap(each, "spec", "provider", "vault")
	if !found {
		m.print(nil, title+" is left out: its provider is not vault")
		return
	}
	comments := append([]string{title}, lost("spec.provider.vault", vault, "server", "path", "version", "namespace", "caBundle", "caProvider", "auth", "headers")...)
	spec := object{"address": text(vault, "server")}
	if headers, _, _ := unstructured.NestedMap(vault, "headers"); len(headers) > 0 {
		spec["headers"] = headers
	}
	if bundle := text(vault, "caBundle"); bundle != "" {
		spec["caCertSecretRef"] = name + "-ca"
		secret := made("Secret", namespace, name+"-ca", nil)
		delete(secret, "spec")
		secret["apiVersion"], secret["data"] = "v1", object{"ca.crt": bundle}
		m.print(secret)
	}
	if provider, found, _ := unstructured.NestedMap(vault, "caProvider"); found {
		if text(provider, "type") == "Secret" && text(provider, "key") == "ca.crt" {
			spec["caCertSecretRef"] = text(provider, "name")
		} else {
			comments = append(comments, fmt.Sprintf("NOT CARRIED OVER: caProvider: put key %s of %s %s into a Secret as key ca.crt, and name it in caCertSecretRef",
				text(provider, "key"), text(provider, "type"), text(provider, "name")))
		}
	}
	m.print(made("VaultConnection", namespace, name, spec), comments...)
	auth["vaultConnectionRef"] = name
	if server := text(vault, "namespace"); server != "" {
		auth["namespace"] = server
	}
	m.print(made("VaultAuth", namespace, name, auth), m.login(auth, vault)...)
}

// login fills in how a VaultAuth logs in, and says what it cannot.
func (m *migration) login(auth, vault object) []string {
	ways, _, _ := unstructured.NestedMap(vault, "auth")
	switch {
	case ways["kubernetes"] != nil:
		way, _, _ := unstructured.NestedMap(ways, "kubernetes")
		account, _, _ := unstructured.NestedMap(way, "serviceAccountRef")
		auth["method"], auth["mount"] = "kubernetes", cmp.Or(text(way, "mountPath"), "kubernetes")
		auth["kubernetes"] = settings(object{"role": text(way, "role"), "serviceAccount": text(account, "name")}, account["audiences"])
		return append(elsewhere(account), lost("auth.kubernetes", way, "mountPath", "role", "serviceAccountRef")...)
	case ways["jwt"] != nil:
		way, _, _ := unstructured.NestedMap(ways, "jwt")
		token, _, _ := unstructured.NestedMap(way, "kubernetesServiceAccountToken")
		account, _, _ := unstructured.NestedMap(token, "serviceAccountRef")
		auth["method"], auth["mount"] = "jwt", cmp.Or(text(way, "path"), "jwt")
		audiences := token["audiences"]
		if audiences == nil {
			audiences = account["audiences"]
		}
		secret := text(way, "secretRef", "name")
		auth["jwt"] = settings(object{"role": text(way, "role"), "serviceAccount": text(account, "name"), "secretRef": secret}, audiences)
		return append(elsewhere(account), key(secret, text(way, "secretRef", "key"), "jwt")...)
	case ways["appRole"] != nil:
		way, _, _ := unstructured.NestedMap(ways, "appRole")
		auth["method"], auth["mount"] = "appRole", cmp.Or(text(way, "path"), "approle")
		secret := text(way, "secretRef", "name")
		auth["appRole"] = settings(object{"roleId": text(way, "roleId"), "secretRef": secret}, nil)
		return append(key(secret, text(way, "secretRef", "key"), "id"), lost("auth.appRole", way, "path", "roleId", "secretRef")...)
	}
	return []string{fmt.Sprintf("NOT CARRIED OVER: logins by %s; this operator logs in by kubernetes, jwt or appRole", strings.Join(sortedKeys(ways), ", "))}
}

// settings are those that are not empty.
func settings(all object, audiences any) object {
	for name, value := range all {
		if value == "" {
			delete(all, name)
		}
	}
	if audiences != nil {
		all["audiences"] = audiences
	}
	return all
}

func elsewhere(account object) []string {
	if namespace := text(account, "namespace"); namespace != "" {
		return []string{fmt.Sprintf("NOT CARRIED OVER: service account of namespace %s: each resource logs in with one of its own namespace; give the role on the server those", namespace)}
	}
	return nil
}

func key(secret, has, wants string) []string {
	if secret == "" || has == wants {
		return nil
	}
	return []string{fmt.Sprintf("CHECK Secret %s: the credential must be its key %s, not %s", secret, wants, has)}
}
