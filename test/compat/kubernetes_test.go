package compat

import (
	"testing"

	"github.com/hashicorp/vault/api"
	auth "github.com/hashicorp/vault/api/auth/kubernetes"

	"strongroom/test/bench/tokenreview"
)

// The login helper of the Go client, as programs in pods use it.
func TestGoClientKubernetesLogin(t *testing.T) {
	review := must[*tokenreview.Server](t)(tokenreview.Start())
	t.Cleanup(review.Close)
	issue := func(namespace, name string) string { return must[string](t)(review.Issue(namespace, name)) }
	s := startDev(t)
	root := s.client(t, "root")
	if err := root.Sys().EnableAuthWithOptions("kubernetes", &api.EnableAuthOptions{Type: "kubernetes"}); err != nil {
		t.Fatal(err)
	}
	write := func(path string, data map[string]any) {
		t.Helper()
		if _, err := root.Logical().Write(path, data); err != nil {
			t.Fatal(err)
		}
	}
	write("auth/kubernetes/config", map[string]any{"kubernetes_host": review.URL, "kubernetes_ca_cert": review.CA, "token_reviewer_jwt": issue("vault", "vault")})
	write("auth/kubernetes/role/app", map[string]any{"bound_service_account_names": "default", "bound_service_account_namespaces": "app",
		"policies": "app", "ttl": "10m"})
	write("sys/policies/acl/app", map[string]any{"policy": `path "secret/data/app" { capabilities = ["read"] }`})
	write("secret/data/app", map[string]any{"data": map[string]any{"k": "v"}})

	client := s.client(t, "")
	login := func(role, jwt string) (*api.Secret, error) {
		method := must[*auth.KubernetesAuth](t)(auth.NewKubernetesAuth(role, auth.WithServiceAccountToken(jwt)))
		return client.Auth().Login(t.Context(), method)
	}
	got := must[*api.Secret](t)(login("app", issue("app", "default")))
	a := got.Auth
	if a.LeaseDuration != 600 || !a.Renewable || a.Metadata["service_account_namespace"] != "app" || a.Metadata["role"] != "app" || a.ClientToken == "" {
		t.Errorf("login: %+v", a)
	}
	if read := must[*api.KVSecret](t)(client.KVv2("secret").Get(t.Context(), "app")); read.Data["k"] != "v" {
		t.Errorf("read with the login's token: %v", read.Data)
	}
	self := must[*api.Secret](t)(client.Auth().Token().LookupSelf())
	if self.Data["display_name"] != "kubernetes-app-default" || self.Data["path"] != "auth/kubernetes/login" {
		t.Errorf("lookup-self: %v", self.Data)
	}
	if renewed := must[*api.Secret](t)(client.Auth().Token().RenewSelf(0)); renewed.Auth.LeaseDuration != 600 {
		t.Errorf("renew-self: %+v", renewed.Auth)
	}

	_, err := login("app", issue("other", "default"))
	refused(t, err, 403, "namespace not authorized")
	_, err = login("app", issue("app", "other"))
	refused(t, err, 403, "service account name not authorized")
	_, err = login("none", issue("app", "default"))
	refused(t, err, 400, `invalid role name "none"`)
	stranger := must[*tokenreview.Server](t)(tokenreview.Start())
	t.Cleanup(stranger.Close)
	_, err = login("app", must[string](t)(stranger.Issue("app", "default")))
	refused(t, err, 403, "lookup failed: ")
	review.Close()
	_, err = login("app", issue("app", "default"))
	refused(t, err, 502, "lookup failed: the Kubernetes API server at "+review.URL+" cannot be asked")
}
