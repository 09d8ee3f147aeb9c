package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"strongroom/test/cluster"
)

// The two policies and roles of the guide.
const (
	longhornPolicy = `vault policy write longhorn-r2-policy - <<EOF
path "secret/data/longhorn-r2" {
  capabilities = ["read"]
}
EOF`
	argocdPolicy = `vault policy write argocd-secrets-reader - <<EOF
path "secret/data/argocd/*" {
  capabilities = ["read"]
}
EOF`
	longhornRole = `vault write auth/kubernetes/role/longhorn-role \
  bound_service_account_names=default \
  bound_service_account_namespaces=%s \
  policies=longhorn-r2-policy \
  ttl=24h`
	argocdRole = `vault write auth/kubernetes/role/argocd \
  bound_service_account_names=argocd-repo-server \
  bound_service_account_namespaces=%s \
  policies=argocd-secrets-reader \
  ttl=24h`
	put = `vault kv put secret/longhorn-r2 \
  AWS_ACCESS_KEY_ID="%s" \
  AWS_SECRET_ACCESS_KEY="%s" \
  AWS_ENDPOINTS="https://demo.r2.cloudflarestorage.com"`
)

const threshold = 3 // of the five unseal keys

func (d *demo) startKubernetes(ctx context.Context) error {
	title, doing := "Start Kubernetes: a control plane without nodes", "starting etcd, API server and controllers"
	if !d.kube.own() {
		title, doing = "Use the Kubernetes of KUBECONFIG, in namespaces that end with the demo", "connecting"
	}
	d.begin(title)
	return d.during("kubernetes", doing, func() (string, error) { return d.kube.start(ctx) })
}

// first is the server most commands talk to.
func (d *demo) first() *cluster.Node { return d.servers.Nodes[0] }

func (d *demo) initialise(ctx context.Context) error {
	d.begin("Initialise: five unseal keys, and the first root token")
	out, err := d.run(ctx, d.onServer(d.first(), "vault operator init"))
	if err != nil {
		return err
	}
	for _, m := range regexp.MustCompile(`(?m)^Unseal Key \d+: (\S+)$`).FindAllStringSubmatch(out, -1) {
		d.keys = append(d.keys, m[1])
	}
	if m := regexp.MustCompile(`(?m)^Initial Root Token: (\S+)$`).FindStringSubmatch(out); m != nil {
		d.token = m[1]
	}
	if len(d.keys) != 5 || d.token == "" {
		return fmt.Errorf("vault operator init printed %d unseal keys and a root token of %d characters; the guide promises five keys and a token", len(d.keys), len(d.token))
	}
	return nil
}

func (d *demo) unseal(ctx context.Context) error {
	d.begin("Unseal: any three of the keys, on each server")
	d.note("Of each answer, what it says of the seal and of the server's place in the cluster.")
	d.gap()
	keep := regexp.MustCompile(`^(Sealed|Unseal Progress|HA Mode) `)
	for i, n := range d.servers.Nodes {
		if i > 0 {
			d.gap()
		}
		for _, key := range d.keys[:threshold] {
			s := d.onServer(n, "vault operator unseal "+key)
			s.keep = keep
			if _, err := d.run(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *demo) configure(ctx context.Context) error {
	d.begin("Log in, enable the secrets engine and the auth method")
	n := d.first()
	return d.all(ctx,
		d.onServer(n, "vault login "+d.token),
		d.onServer(n, "vault secrets enable -path=secret kv-v2"),
		d.onServer(n, "vault auth enable kubernetes"))
}

// authenticate gives the servers what a pod of the chart has: a service account
// that may review tokens.
func (d *demo) authenticate(ctx context.Context) error {
	d.begin("Let the servers ask Kubernetes who somebody is")
	server, ca, err := endpoint(ctx, d.kube)
	if err != nil {
		return err
	}
	dir := filepath.Join(d.dir, "serviceaccount")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "ca.crt"), ca, 0o600)); err != nil {
		return err
	}
	d.note("The servers are no pods here, so the folder serviceaccount/ stands for what a pod finds at\n" +
		"/var/run/secrets/kubernetes.io/serviceaccount/, and the API server's address for https://kubernetes.default.svc.")
	d.gap()
	ns, binding := d.kube.namespace("vault"), d.kube.namespace("vault-server-binding")
	d.will("namespace", ns)
	d.will("clusterrolebinding", binding)
	return d.all(ctx,
		d.here("kubectl create namespace "+ns),
		d.here("kubectl create serviceaccount vault -n "+ns),
		d.here(fmt.Sprintf("kubectl create clusterrolebinding %s \\\n  --clusterrole=system:auth-delegator --serviceaccount=%s:vault", binding, ns)),
		d.here("kubectl create token vault -n "+ns+" --duration=24h > serviceaccount/token"),
		d.onServer(d.first(), `vault write auth/kubernetes/config \
  token_reviewer_jwt="$(cat serviceaccount/token)" \
  kubernetes_host="`+server+`" \
  kubernetes_ca_cert=@serviceaccount/ca.crt`))
}

func (d *demo) authorise(ctx context.Context) error {
	d.begin("Say who may read what")
	n := d.first()
	return d.all(ctx,
		d.onServer(n, longhornPolicy),
		d.onServer(n, argocdPolicy),
		d.onServer(n, fmt.Sprintf(longhornRole, d.kube.namespace("longhorn-system"))),
		d.onServer(n, fmt.Sprintf(argocdRole, d.kube.namespace("argocd"))))
}

func (d *demo) store(ctx context.Context) error {
	d.begin("Store a secret")
	return d.all(ctx, d.onServer(d.first(), fmt.Sprintf(put, "YOUR_R2_ACCESS_KEY_ID", "YOUR_R2_SECRET_ACCESS_KEY")))
}

// sync applies the guide's manifests as they are; in somebody's cluster, with
// another namespace.
func (d *demo) sync(ctx context.Context) error {
	d.begin("Carry it into Kubernetes")
	ns := d.kube.namespace("longhorn-system")
	if err := writeManifests(filepath.Join(d.dir, "k3s-vault"), ns); err != nil {
		return err
	}
	d.will("namespace", ns)
	err := d.all(ctx,
		d.here("kubectl create namespace "+ns),
		d.here("kubectl apply -f k3s-vault/vault-connection.yaml"),
		d.here("kubectl apply -f k3s-vault/vault-auth.yaml"),
		d.here("cat k3s-vault/longhorn-r2-vault-secret.yaml"),
		d.here("kubectl apply -f k3s-vault/longhorn-r2-vault-secret.yaml"),
		d.here("kubectl wait --for=condition=Ready vaultsecret --all -n "+ns+" --timeout=60s"),
		d.here("kubectl get vaultsecret -n "+ns),
		d.here("kubectl get secret r2-longhorn-secret -n "+ns))
	if err != nil {
		return err
	}
	data, err := readSecret(ctx, d.kube, ns, "r2-longhorn-secret")
	if err != nil {
		return err
	}
	d.gap()
	d.output("The Secret, decoded:", "")
	d.show(data)
	return nil
}

// rotate changes the secret on the server, and measures until the Secret follows.
func (d *demo) rotate(ctx context.Context) error {
	d.begin("Rotate the secret, and wait for the Secret to follow")
	const rotated = "NEW_SECRET"
	watched, err := watchSecret(ctx, d.kube, d.kube.namespace("longhorn-system"), "r2-longhorn-secret")
	if err != nil {
		return err
	}
	defer watched.stop()
	if err := d.all(ctx, d.onServer(d.first(), fmt.Sprintf(put, "NEW_KEY", rotated))); err != nil {
		return err
	}
	acknowledged := time.Now()
	d.gap()
	var data map[string]string
	var took time.Duration
	err = d.during("watching", "the server tells the operator at once; else it reads again every 30 s", func() (string, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, 90*time.Second, errors.New("the Secret did not follow within 90 s; see the operator's log"))
		defer cancel()
		var err error
		data, err = watched.until(ctx, func(data map[string]string) bool { return data["AWS_SECRET_ACCESS_KEY"] == rotated })
		took = time.Since(acknowledged)
		return "kubectl get secret --watch saw it", err
	})
	if err != nil {
		return err
	}
	d.gap()
	d.output(fmt.Sprintf("The Secret followed %s ms after the server had the new value:", thousands(took.Milliseconds())), green)
	d.show(data)
	return nil
}

func (d *demo) status(ctx context.Context) error {
	d.begin("The state of the cluster")
	if err := d.all(ctx, d.onServer(d.first(), "vault status"), d.onServer(d.first(), "vault operator raft list-peers")); err != nil {
		return err
	}
	d.printf("\n%s\n", d.paint(green, fmt.Sprintf("    All %d steps worked.", d.section)))
	return nil
}

// invite says what there is to play with.
func (d *demo) invite() {
	d.printf("\n%s\n\n", d.paint(bold, "Everything stays up until Ctrl-C."))
	for _, n := range d.servers.Nodes {
		d.fact(n.Name, "%s", n.Addr)
	}
	d.fact("root token", "%s", d.token)
	for i, key := range d.keys {
		d.fact(fmt.Sprintf("unseal key %d", i+1), "%s", key)
	}
	env := map[string]string{}
	for _, variable := range d.kube.env() {
		name, value, _ := strings.Cut(variable, "=")
		env[name] = value
	}
	d.fact("KUBECONFIG", "%s", env["KUBECONFIG"])
	d.fact("logs", "%s", d.servers.Logs)
	d.printf("\n%sIn another terminal:\n\n", margin)
	kubectlDir, _, _ := strings.Cut(env["PATH"], ":")
	d.output(fmt.Sprintf("export VAULT_ADDR=%s VAULT_TOKEN=%s\nexport KUBECONFIG=%s\nexport PATH=%s:%s:$PATH",
		d.first().Addr, d.token, env["KUBECONFIG"], d.binDir, kubectlDir), bold)
}

// show prints what a Secret holds.
func (d *demo) show(data map[string]string) {
	d.gap()
	for _, key := range sortedKeys(data) {
		d.printf("%s%s%-22s %s\n", margin, margin, key, data[key])
	}
}

// thousands writes 14203 as 14,203.
func thousands(n int64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
