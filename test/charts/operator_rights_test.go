package charts

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"strongroom/operator/vaulttest"
	"strongroom/test/kubetest"
)

// What the chart renders is enough for the operator to work, and it is told so by arguments that it understands: the real program, with the Deployment's
// arguments and the rights of its service account, carries the guide's secret, over the cluster and with Roles only.
func TestOperatorRunsOnWhatTheChartGrants(t *testing.T) {
	program := filepath.Join(t.TempDir(), "strongroom-operator")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/strongroom-operator").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	vault := vaulttest.New()
	vault.Put("secret/longhorn-r2", map[string]any{"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_ENDPOINTS": "url"})
	vault.SetRole("longhorn-role", vaulttest.Role{Namespace: "longhorn-system", Account: "default", Paths: []string{"secret/data/longhorn-r2"}})
	front := httptest.NewServer(vault)
	t.Cleanup(front.Close)
	for name, set := range map[string]string{"over the cluster": "watchNamespaces=null", "with Roles only": "watchNamespaces={longhorn-system,myapp}"} {
		t.Run(name, func(t *testing.T) {
			cp := kubetest.New(t)
			kubectl := func(input string, args ...string) {
				t.Helper()
				cmd := cp.Kubectl(t.Context(), args...)
				cmd.Stdin = strings.NewReader(input)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
				}
			}
			for _, namespace := range []string{"vault-secrets-operator", "longhorn-system", "myapp"} {
				kubectl("", "create", "namespace", namespace)
			}
			kubectl("", "create", "-f", filepath.Join(operatorChart.dir(), "crds"))
			rendered, err := operatorChart.template(t, "--set", set, "--no-hooks")
			if err != nil {
				t.Fatal(err)
			}
			kubectl(rendered, "apply", "-f", "-")
			startOperator(t, program, impersonate(t, cp, "vault-secrets-operator", "vault-secrets-operator-controller-manager"), rendered,
				"--resolve=vault.vault:8200="+front.Listener.Addr().String())
			if err := cp.WaitServiceAccount(t.Context(), "longhorn-system", "default"); err != nil {
				t.Fatal(err)
			}
			kubectl("", "apply", "-f", "../../operator/testdata/walkthrough.yaml")
			for _, resource := range []string{"vaultsecret/longhorn-r2-secret-from-vault", "vaultauth/vault-auth-kubernetes", "vaultconnection/vault-connection"} {
				kubectl("", "wait", "--for=jsonpath={.status.status}=Valid", "--timeout=60s", "-n", "longhorn-system", resource)
			}
			kubectl("", "get", "secret", "-n", "longhorn-system", "r2-longhorn-secret")
			kubectl("", "get", "lease", "-n", "vault-secrets-operator", "vault-secrets-operator")
			kubectl("", "wait", "--for=jsonpath={.reason}=Valid", "--timeout=60s", "-n", "longhorn-system", "events.events.k8s.io", "--all")
		})
	}
}

// startOperator runs program with the arguments of the rendered Deployment, until the test ends. Whatever the API server forbids it fails the test.
func startOperator(t *testing.T, program, kubeconfig, rendered string, more ...string) {
	t.Helper()
	var args []string
	for _, o := range objects(t, rendered) {
		if o.template == "deployment.yaml" {
			for line := range strings.FieldsSeq(field(t, o, ".spec.template.spec.containers[0].args[*]")) {
				args = append(args, line)
			}
		}
	}
	// No ports, for several tests may run at once, and what a pod learns from its own files.
	args = append(args, "--metrics-bind-address=0", "--health-probe-bind-address=0", "--leader-election-namespace=vault-secrets-operator", "--kubeconfig="+kubeconfig)
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, append(args, more...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	var logs bytes.Buffer
	cmd.Stderr = &logs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := cmd.Wait(); err != nil && ctx.Err() == nil || strings.Contains(logs.String(), "forbidden") || t.Failed() {
			t.Errorf("the operator ends with %v; its log:\n%s", err, logs.String())
		}
	})
}

// impersonate writes a kubeconfig of a service account.
func impersonate(t *testing.T, cp *kubetest.ControlPlane, namespace, account string) (file string) {
	t.Helper()
	config, err := clientcmd.LoadFromFile(cp.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range config.AuthInfos {
		user.Impersonate = "system:serviceaccount:" + namespace + ":" + account
		user.ImpersonateGroups = []string{"system:serviceaccounts", "system:authenticated"}
	}
	file = filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}
