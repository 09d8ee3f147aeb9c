package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	crd "strongroom/config/crd"
)

// kinds are the operator's, in the plural.
func kinds() (out []string) {
	files, _ := crd.Files.ReadDir(".") // what is built in can be read
	for _, f := range files {
		_, kind, _ := strings.Cut(strings.TrimSuffix(f.Name(), ".yaml"), "_")
		out = append(out, kind)
	}
	return out
}

// startOperator does what the chart does, for a process outside pods: the CRDs,
// a service account with the operator's rights and no others, the operator.
func (d *demo) startOperator(ctx context.Context) error {
	d.begin("Install the operator")
	dir := filepath.Join(d.dir, "operator")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Symlink(filepath.Join(d.root, "config"), filepath.Join(d.dir, "config"))); err != nil {
		return err
	}
	if err := d.installCRDs(ctx); err != nil {
		return err
	}
	d.gap()
	ns, role := d.kube.namespace("vault-secrets-operator"), d.kube.namespace("strongroom-operator")
	d.will("namespace", ns)
	d.will("clusterrole", role)
	d.will("clusterrolebinding", role)
	if err := d.writeRBAC(filepath.Join(dir, "rbac.yaml"), ns, role); err != nil {
		return err
	}
	if _, err := d.run(ctx, d.here("kubectl apply -f operator/rbac.yaml")); err != nil {
		return err
	}
	if err := d.writeOperatorConfig(ctx, filepath.Join(dir, "kubeconfig"), ns); err != nil {
		return err
	}
	args := []string{
		"--kubeconfig=operator/kubeconfig", "--resolve=vault.vault:8200=" + strings.TrimPrefix(d.first().Addr, "http://"),
		"--log-format=text", "--metrics-bind-address=0", "--health-probe-bind-address=0",
	}
	if !d.kube.own() {
		args = append(args, "--watch-namespaces="+d.kube.namespace("longhorn-system"))
	}
	d.gap()
	d.command("workstation", "strongroom-operator "+strings.Join(args[:2], " \\\n  ")+" \\\n  "+strings.Join(args[2:], " "))
	cmd := exec.Command(filepath.Join(d.binDir, "strongroom-operator"), args...)
	cmd.Dir = d.dir
	var err error
	if d.operator, err = d.servers.Run("operator", cmd); err != nil {
		return err
	}
	d.note("It runs beside the servers, so --resolve tells it where vault.vault:8200, a name of the cluster, is here.\nIts log is " + d.operator.Log)
	return nil
}

// installCRDs installs the operator's kinds, unless somebody's cluster has them.
func (d *demo) installCRDs(ctx context.Context) error {
	out, err := kubectl(ctx, d.kube, "get", "crd", "-o", "name")
	if err != nil {
		return err
	}
	var there []string
	crds := kinds()
	for _, kind := range crds {
		if bytes.Contains(out, []byte("/"+kind+".secrets.hashicorp.com\n")) {
			there = append(there, kind)
		}
	}
	switch {
	case len(there) == len(crds):
		d.note("The cluster has the operator's CRDs; they stay as they are.")
		return nil
	case len(there) > 0:
		return fmt.Errorf("the cluster has CRDs of another operator for %s in the group secrets.hashicorp.com, which the demo must not change; give it another cluster, or unset KUBECONFIG",
			strings.Join(there, " and "))
	}
	for _, kind := range crds {
		d.will("crd", kind+".secrets.hashicorp.com")
	}
	if err := d.all(ctx,
		d.here("kubectl apply -f config/crd"),
		d.here("kubectl wait --for=condition=Established -f config/crd --timeout=30s"),
	); err != nil {
		return err
	}
	if k, ok := d.kube.(*ownKubernetes); ok {
		return k.cp.RestartControllers()
	}
	return nil
}

// writeRBAC writes the operator's ClusterRole, under the name role, and gives it
// to its service account.
func (d *demo) writeRBAC(path, namespace, role string) error {
	rules, err := os.ReadFile(filepath.Join(d.root, "config", "rbac", "role.yaml"))
	if err != nil {
		return err
	}
	const name = "name: strongroom-operator\n"
	if bytes.Count(rules, []byte(name)) != 1 {
		return errors.New("config/rbac/role.yaml is not the ClusterRole strongroom-operator")
	}
	rules = bytes.Replace(rules, []byte(name), []byte("name: "+role+"\n"), 1)
	return os.WriteFile(path, fmt.Appendf(rules, `---
apiVersion: v1
kind: Namespace
metadata:
  name: %[1]s
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: vault-secrets-operator
  namespace: %[1]s
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: %[2]s
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: %[2]s
subjects:
- kind: ServiceAccount
  name: vault-secrets-operator
  namespace: %[1]s
`, namespace, role), 0o600)
}

// writeOperatorConfig writes a kubeconfig for the operator's service account. (A
// kubeconfig is YAML, of which JSON is a part.)
func (d *demo) writeOperatorConfig(ctx context.Context, path, namespace string) error {
	server, ca, err := endpoint(ctx, d.kube)
	if err != nil {
		return err
	}
	token, err := kubectl(ctx, d.kube, "create", "token", "vault-secrets-operator", "-n", namespace, "--duration=24h")
	if err != nil {
		return err
	}
	type object = map[string]any
	text, err := json.Marshal(object{
		"apiVersion": "v1", "kind": "Config", "current-context": "operator",
		"clusters": []object{{"name": "cluster", "cluster": object{"server": server, "certificate-authority-data": ca}}},
		"users":    []object{{"name": "operator", "user": object{"token": strings.TrimSpace(string(token))}}},
		"contexts": []object{{"name": "operator", "context": object{"cluster": "cluster", "user": "operator"}}},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
