package server

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"strongroom/internal/kube"
	"strongroom/internal/registration"
	"strongroom/internal/tlssecret"
	"strongroom/test/kubetest"
)

// rights are those that the charts' Roles give a server's service account, and the one of the job that keeps certificates.
const rights = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: discovery, namespace: vault}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get, list, watch, update, patch]}
- {apiGroups: [apps], resources: [statefulsets], resourceNames: [vault], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: tls, namespace: vault}
rules:
- {apiGroups: [""], resources: [secrets], verbs: [get, create, update]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: vault, namespace: vault}
spec:
  replicas: 3
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: vault}}
  template:
    metadata: {labels: {app: vault}}
    spec: {containers: [{name: vault, image: none}]}
`

// What the server asks of Kubernetes works with a real API server and no more rights than the charts give.
func TestRealAPIServer(t *testing.T) {
	cp := kubetest.New(t)
	kubectl := func(stdin string, args ...string) string {
		t.Helper()
		cmd := cp.Kubectl(t.Context(), args...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.Output()
		if err != nil {
			exit, _ := err.(*exec.ExitError)
			t.Fatalf("kubectl %v: %v\n%s", args, err, exit.Stderr)
		}
		return strings.TrimSpace(string(out))
	}
	kubectl("", "create", "namespace", "vault")
	if err := cp.WaitServiceAccount(t.Context(), "vault", "default"); err != nil {
		t.Fatal(err)
	}
	kubectl(rights, "apply", "-f=-")
	as := func(name, role string) *kube.Client {
		kubectl("", "create", "serviceaccount", name, "-n=vault")
		kubectl("", "create", "rolebinding", name, "--role="+role, "--serviceaccount=vault:"+name, "-n=vault")
		token := kubectl("", "create", "token", name, "-n=vault")
		return kube.New(kube.Config{URL: cp.URL, CA: func() ([]byte, error) { return cp.CA, nil }, Token: func() (string, error) { return token, nil }})
	}
	pod := &ownPod{client: as("vault", "discovery"), namespace: "vault", name: "vault-2"}
	// The control plane has no controller of StatefulSets: this is the pod that it would make.
	uid := kubectl("", "get", "statefulset", "vault", "-n=vault", "-o=jsonpath={.metadata.uid}")
	kubectl(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"vault-2","namespace":"vault","labels":{"app":"vault"},
		"ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"vault","uid":"`+uid+`","controller":true}]},
		"spec":{"containers":[{"name":"vault","image":"none"}]}}`, "create", "-f=-")
	if err := pod.Label(t.Context(), registration.Labels(registration.State{Initialized: true, Active: true}, Version)); err != nil {
		t.Fatal(err)
	}
	if got := kubectl("", "get", "pods", "-n=vault", "-l=app=vault,vault-active=true,vault-sealed=false,vault-initialized=true,vault-perf-standby=false,vault-version="+Version, "-o=name"); got != "pod/vault-2" {
		t.Errorf("the active pod is %q", got)
	}
	for replicas, want := range map[int]bool{3: false, 1: true, 0: false} {
		kubectl("", "scale", "statefulset", "vault", "-n=vault", fmt.Sprintf("--replicas=%d", replicas))
		away, err := pod.scaledAway(t.Context())
		if err != nil || away != want {
			t.Errorf("of %d replicas: %v, %v", replicas, away, err)
		}
	}
	kubectl("", "delete", "statefulset", "vault", "-n=vault", "--cascade=orphan")
	if away, err := pod.scaledAway(t.Context()); err != nil || away {
		t.Errorf("of a StatefulSet that was deleted: %v, %v", away, err)
	}

	secrets := as("tls", "tls")
	r := tlssecret.Request{Namespace: "vault", Name: "vault-tls", Names: tlssecret.Names{DNS: []string{"vault"}}, Valid: 24 * time.Hour, RenewBefore: time.Hour}
	first, err := tlssecret.Ensure(t.Context(), secrets, r)
	if err != nil {
		t.Fatal(err)
	}
	if kind := kubectl("", "get", "secret", "vault-tls", "-n=vault", "-o=jsonpath={.type}"); kind != "kubernetes.io/tls" {
		t.Errorf("the Secret is of type %q", kind)
	}
	kubectl("", "annotate", "secret", "vault-tls", "-n=vault", "kept=yes")
	if again, err := tlssecret.Ensure(t.Context(), secrets, r); err != nil || !again.Cert.Equal(first.Cert) {
		t.Errorf("a good certificate: %+v, %v", again, err)
	}
	r.Force = true
	if other, err := tlssecret.Ensure(t.Context(), secrets, r); err != nil || other.Cert.Equal(first.Cert) {
		t.Errorf("a forced one: %+v, %v", other, err)
	}
	if kept := kubectl("", "get", "secret", "vault-tls", "-n=vault", "-o=jsonpath={.metadata.annotations.kept}"); kept != "yes" {
		t.Error("an annotation of somebody else's was lost")
	}
	old, err := secrets.Secret(t.Context(), "vault", "vault-tls")
	if err != nil {
		t.Fatal(err)
	}
	kubectl("", "annotate", "secret", "vault-tls", "-n=vault", "kept=still", "--overwrite")
	if err := secrets.PutSecret(context.Background(), old); err == nil || !strings.Contains(err.Error(), "409") {
		t.Errorf("a change over another: %v", err)
	}
}
