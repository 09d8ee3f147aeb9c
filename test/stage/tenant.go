package stage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
)

// policy is a tenant's on the server: it reads what is its own, and is told of changes.
const policy = `
path "sys/events/subscribe/kv-v2/*" { capabilities = ["read"] }
path "secret/data/%[1]s/*" {
  capabilities          = ["read", "subscribe"]
  subscribe_event_types = ["kv-v2/*"]
}
path "secret/+/%[1]s/*" {
  capabilities          = ["subscribe"]
  subscribe_event_types = ["kv-v2/*"]
}
`

// Tenant makes a namespace, a role and policy of the server for what is below secret/NAMESPACE/, and in the namespace the
// VaultConnection server and the VaultAuth auth.
func (s *Stage) Tenant(ctx context.Context, namespace string) error {
	if err := errors.Join(
		s.Write(ctx, "sys/policies/acl/"+namespace, map[string]any{"policy": fmt.Sprintf(policy, namespace)}),
		s.Write(ctx, "auth/kubernetes/role/"+namespace, map[string]any{
			"bound_service_account_names": "default", "bound_service_account_namespaces": namespace,
			"token_policies": namespace, "token_ttl": "1h",
		}),
		s.Kube.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}),
	); err != nil {
		return err
	}
	if err := s.Plane.WaitServiceAccount(ctx, namespace, "default"); err != nil {
		return err
	}
	return errors.Join(
		s.Kube.Create(ctx, &v1beta1.VaultConnection{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "server"},
			Spec:       v1beta1.VaultConnectionSpec{Address: "http://" + ServerName},
		}),
		s.Kube.Create(ctx, &v1beta1.VaultAuth{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "auth"},
			Spec:       v1beta1.VaultAuthSpec{VaultConnectionRef: "server", Method: "kubernetes", Kubernetes: &v1beta1.KubernetesAuth{Role: namespace}},
		}),
	)
}

// VaultSecret makes a VaultSecret that fills the Secret of its own name from secret/NAMESPACE/NAME.
func (s *Stage) VaultSecret(ctx context.Context, namespace, name string) error {
	return s.Kube.Create(ctx, &v1beta1.VaultSecret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1beta1.VaultSecretSpec{
			VaultAuthRef: "auth",
			Source:       &v1beta1.VaultSecretSource{KV: v1beta1.KVSource{Path: "secret/" + namespace + "/" + name}},
			Target:       v1beta1.VaultSecretTarget{Name: name},
		},
	})
}

// Statuses counts the VaultSecrets by status.
func (s *Stage) Statuses(ctx context.Context) (map[string]int, error) {
	list := &v1beta1.VaultSecretList{}
	counts := make(map[string]int)
	for {
		if err := s.Kube.List(ctx, list, client.Limit(1000), client.Continue(list.Continue)); err != nil {
			return nil, err
		}
		for i := range list.Items {
			counts[list.Items[i].Status.Status.Status]++
		}
		if list.Continue == "" {
			return counts, nil
		}
	}
}

// Metric is the sum of the operator's metric with this name over all labels that hold the text ("": all).
func (s *Stage) Metric(ctx context.Context, name, label string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.metrics, nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	sum := 0.0
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		called, labels, _ := strings.Cut(line[:at], "{")
		if called != name || !strings.Contains(labels, label) {
			continue
		}
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		sum += value
	}
	return sum, nil
}
