package vaultauth_test

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/vaultauth"
	"strongroom/operator/vaultconnection"
)

// objects is a reader of what is in it.
type objects struct {
	client.Reader
	auths       []v1beta1.VaultAuth
	connections []v1beta1.VaultConnection
	secrets     []corev1.Secret
}

func (o *objects) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	switch into := into.(type) {
	case *v1beta1.VaultAuth:
		for _, auth := range o.auths {
			if client.ObjectKeyFromObject(&auth) == key {
				auth.DeepCopyInto(into)
				return nil
			}
		}
	case *v1beta1.VaultConnection:
		for _, connection := range o.connections {
			if client.ObjectKeyFromObject(&connection) == key {
				connection.DeepCopyInto(into)
				return nil
			}
		}
	case *corev1.Secret:
		for _, secret := range o.secrets {
			if client.ObjectKeyFromObject(&secret) == key {
				secret.DeepCopyInto(into)
				return nil
			}
		}
	}
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func resolver() (vaultauth.Resolver, *objects) {
	kubernetes := &v1beta1.KubernetesAuth{Role: "r"}
	has := &objects{
		auths: []v1beta1.VaultAuth{
			{ObjectMeta: named("a", "own"), Spec: v1beta1.VaultAuthSpec{Kubernetes: kubernetes}},
			{ObjectMeta: named("a", "full"), Spec: v1beta1.VaultAuthSpec{
				VaultConnectionRef: "tls", Mount: "k8s", Namespace: "team", Params: map[string]string{"p": "1"}, Headers: map[string]string{"h": "1"},
				Kubernetes: &v1beta1.KubernetesAuth{Role: "r2", ServiceAccount: "app", Audiences: []string{"vault"}, TokenExpirationSeconds: 700},
			}},
			{ObjectMeta: named("a", "norole"), Spec: v1beta1.VaultAuthSpec{}},
			{ObjectMeta: named("a", "far"), Spec: v1beta1.VaultAuthSpec{VaultConnectionRef: "b/default", Kubernetes: kubernetes}},
			{ObjectMeta: named("b", "closed"), Spec: v1beta1.VaultAuthSpec{Kubernetes: kubernetes}},
			{ObjectMeta: named("b", "some"), Spec: v1beta1.VaultAuthSpec{AllowedNamespaces: []string{"x", "a"}, Kubernetes: kubernetes}},
			{ObjectMeta: named("b", "all"), Spec: v1beta1.VaultAuthSpec{AllowedNamespaces: []string{"*"}, Kubernetes: kubernetes}},
		},
		connections: []v1beta1.VaultConnection{
			{ObjectMeta: named("a", "default"), Spec: v1beta1.VaultConnectionSpec{Address: "http://v:1/"}},
			{ObjectMeta: named("b", "default"), Spec: v1beta1.VaultConnectionSpec{Address: "http://v:1"}},
			{ObjectMeta: named("a", "tls"), Spec: v1beta1.VaultConnectionSpec{Address: "https://v:1", CACertSecretRef: "ca", TLSServerName: "n", Timeout: "2s"}},
		},
		secrets: []corev1.Secret{{ObjectMeta: named("a", "ca"), Data: map[string][]byte{"ca.crt": []byte("PEM")}}},
	}
	return vaultauth.Resolver{Connections: vaultconnection.Resolver{Cache: has, Live: has}}, has
}

func TestLogin(t *testing.T) {
	r, _ := resolver()
	for _, test := range []struct{ ref, account, want string }{
		{"own", "", "http://v:1 kubernetes r a/default"},
		{"own", "other", "http://v:1 kubernetes r a/other"},
		{"full", "", "https://v:1 k8s r2 a/app"},
		{"b/some", "", "http://v:1 kubernetes r a/default"},
		{"b/all", "", "http://v:1 kubernetes r a/default"},
	} {
		login, err := r.Login(t.Context(), "a", test.ref, test.account)
		if got := strings.Join([]string{login.Address, login.Mount, login.Role, login.ServiceAccount.String()}, " "); err != nil || got != test.want {
			t.Errorf("%s: %s, %v; want %s", test.ref, got, err, test.want)
		}
	}
	full, err := r.Login(t.Context(), "a", "full", "")
	if err != nil || full.CACert != "PEM" || full.TLSServerName != "n" || full.Timeout != 2*time.Second || full.Namespace != "team" ||
		full.Params["p"] != "1" || full.ExtraHeaders["h"] != "1" || full.Audiences[0] != "vault" || full.TokenExpirationSeconds != 700 {
		t.Errorf("%+v, %v", full, err)
	}
}

func TestLoginRefusals(t *testing.T) {
	for _, test := range []struct {
		ref, reason, says string
		change            func(r *vaultauth.Resolver, has *objects)
	}{
		{"none", v1beta1.ReasonAuthNotFound, "no VaultAuth none in namespace a", nil},
		{"b/none", v1beta1.ReasonNamespaceNotAllowed, "VaultAuth b/none does not allow namespace a", nil},
		{"b/closed", v1beta1.ReasonNamespaceNotAllowed, "VaultAuth b/closed does not allow namespace a", nil},
		{"b/all", v1beta1.ReasonNamespaceNotAllowed, "VaultAuth b/all does not allow namespace a", func(r *vaultauth.Resolver, _ *objects) { r.Namespaces = []string{"a"} }},
		{"norole", v1beta1.ReasonInvalidSpec, "needs spec.kubernetes.role", nil},
		{"far", v1beta1.ReasonNamespaceNotAllowed, "VaultConnection b/default does not allow namespace a", nil},
		{"own", v1beta1.ReasonMethodNotSupported, `method "aws"`, func(_ *vaultauth.Resolver, has *objects) { has.auths[0].Spec.Method = "aws" }},
		{"own", v1beta1.ReasonConnectionNotFound, "no VaultConnection default in namespace a", func(_ *vaultauth.Resolver, has *objects) { has.connections = nil }},
		{"full", v1beta1.ReasonInvalidSpec, "key ca.crt of Secret ca, which does not exist", func(_ *vaultauth.Resolver, has *objects) { has.secrets = nil }},
		{"full", v1beta1.ReasonInvalidSpec, `timeout "20ms" of VaultConnection tls`, func(_ *vaultauth.Resolver, has *objects) { has.connections[2].Spec.Timeout = "20ms" }},
	} {
		r, has := resolver()
		if test.change != nil {
			test.change(&r, has)
		}
		_, err := r.Login(t.Context(), "a", test.ref, "")
		if !condition.Is(err, test.reason) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %s %s", test.ref, err, test.reason, test.says)
		}
	}
}

// Where nothing is named, the operator's own namespace serves: its VaultConnection all, its VaultAuth those it allows.
func TestDefaults(t *testing.T) {
	r, has := resolver()
	r.OperatorNamespace = "op"
	has.connections = append(has.connections, v1beta1.VaultConnection{ObjectMeta: named("op", "default"), Spec: v1beta1.VaultConnectionSpec{Address: "http://op:1"}})
	has.auths = append(has.auths, v1beta1.VaultAuth{
		ObjectMeta: named("op", "default"), Spec: v1beta1.VaultAuthSpec{AllowedNamespaces: []string{"a"}, Kubernetes: &v1beta1.KubernetesAuth{Role: "op"}},
	})
	for _, test := range []struct{ namespace, ref, want string }{
		{"a", "", "http://op:1 op a/default"},
		{"a", "own", "http://op:1 r a/default"},
		{"op", "b/closed", "http://op:1 r op/default"},
	} {
		login, err := r.Login(t.Context(), test.namespace, test.ref, "")
		if got := strings.Join([]string{login.Address, login.Role, login.ServiceAccount.String()}, " "); err != nil || got != test.want {
			t.Errorf("%s in %s: %s, %v; want %s", test.ref, test.namespace, got, err, test.want)
		}
	}
	if _, err := r.Login(t.Context(), "b", "", ""); !condition.Is(err, v1beta1.ReasonNamespaceNotAllowed) || !strings.Contains(err.Error(), "name a VaultAuth of this namespace") {
		t.Error(err)
	}
	has.connections[3].Spec.AllowedNamespaces = []string{"b"}
	if _, err := r.Login(t.Context(), "a", "own", ""); !condition.Is(err, v1beta1.ReasonNamespaceNotAllowed) {
		t.Errorf("a default VaultConnection that lists others: %v", err)
	}
}
