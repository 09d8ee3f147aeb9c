package vaultauth

import (
	"reflect"
	"strings"
	"testing"

	"strongroom/api/v1beta1"
)

func TestInherit(t *testing.T) {
	global := &v1beta1.VaultAuthGlobalSpec{
		DefaultAuthMethod: "jwt", DefaultMount: "dm", DefaultVaultNamespace: "dn", AllowedNamespaces: []string{"*"},
		Headers: map[string]string{"a": "global", "g": "global"}, Params: map[string]string{"p": "global"},
		Kubernetes: &v1beta1.GlobalKubernetesAuth{
			KubernetesAuth: v1beta1.KubernetesAuth{Role: "gr", ServiceAccount: "gs", Audiences: []string{"ga"}, TokenExpirationSeconds: 700},
			GlobalAuth:     v1beta1.GlobalAuth{Mount: "km", Headers: map[string]string{"a": "method", "m": "method"}},
		},
		JWT:     &v1beta1.GlobalJWTAuth{JWTAuth: v1beta1.JWTAuth{Role: "jr", SecretRef: "js"}},
		AppRole: &v1beta1.GlobalAppRoleAuth{AppRoleAuth: v1beta1.AppRoleAuth{RoleID: "id", SecretRef: "as"}, GlobalAuth: v1beta1.GlobalAuth{Namespace: "an"}},
	}
	merged := func(headers string) *v1beta1.VaultAuthGlobalRef {
		return &v1beta1.VaultAuthGlobalRef{Name: "g", MergeStrategy: &v1beta1.MergeStrategy{Headers: headers}}
	}
	for _, test := range []struct {
		name       string
		auth, want v1beta1.VaultAuthSpec
	}{
		{
			"the default method, with the defaults", v1beta1.VaultAuthSpec{},
			v1beta1.VaultAuthSpec{Method: "jwt", Mount: "dm", Namespace: "dn", JWT: &v1beta1.JWTAuth{Role: "jr", SecretRef: "js"}},
		},
		{
			"its own settings win", v1beta1.VaultAuthSpec{Method: "kubernetes", Mount: "own", Namespace: "own", Kubernetes: &v1beta1.KubernetesAuth{Role: "own", Audiences: []string{"own"}}},
			v1beta1.VaultAuthSpec{
				Method: "kubernetes", Mount: "own", Namespace: "own",
				Kubernetes: &v1beta1.KubernetesAuth{Role: "own", ServiceAccount: "gs", Audiences: []string{"own"}, TokenExpirationSeconds: 700},
			},
		},
		{
			"a service account of its own is not overruled by a Secret", v1beta1.VaultAuthSpec{JWT: &v1beta1.JWTAuth{ServiceAccount: "app"}},
			v1beta1.VaultAuthSpec{Method: "jwt", Mount: "dm", Namespace: "dn", JWT: &v1beta1.JWTAuth{Role: "jr", ServiceAccount: "app"}},
		},
		{
			"the method's before the defaults", v1beta1.VaultAuthSpec{Method: "appRole"},
			v1beta1.VaultAuthSpec{Method: "appRole", Mount: "dm", Namespace: "an", AppRole: &v1beta1.AppRoleAuth{RoleID: "id", SecretRef: "as"}},
		},
		{
			"union", v1beta1.VaultAuthSpec{Method: "appRole", VaultAuthGlobalRef: merged("union"), Headers: map[string]string{"a": "own"}},
			v1beta1.VaultAuthSpec{
				Method: "appRole", Mount: "dm", Namespace: "an", VaultAuthGlobalRef: merged("union"), AppRole: &v1beta1.AppRoleAuth{RoleID: "id", SecretRef: "as"},
				Headers: map[string]string{"a": "own", "g": "global"}, Params: nil,
			},
		},
	} {
		got := inherit(test.auth, global)
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", test.name, got, test.want)
		}
	}
	for _, test := range []struct {
		strategy  string
		own, want map[string]string
	}{
		{"", map[string]string{"a": "own"}, map[string]string{"a": "own"}},
		{"none", nil, nil},
		{"union", map[string]string{"x": "own"}, map[string]string{"a": "method", "g": "global", "m": "method", "x": "own"}},
		{"replace", map[string]string{"x": "own"}, map[string]string{"x": "own"}},
		{"replace", nil, map[string]string{"a": "method", "m": "method"}},
	} {
		got := inherit(v1beta1.VaultAuthSpec{Method: "kubernetes", Headers: test.own, VaultAuthGlobalRef: merged(test.strategy)}, global)
		if !reflect.DeepEqual(got.Headers, test.want) {
			t.Errorf("headers %v by %q: %v, want %v", test.own, test.strategy, got.Headers, test.want)
		}
	}
}

func TestCredential(t *testing.T) {
	for _, test := range []struct {
		spec          v1beta1.VaultAuthSpec
		account, want string // mount role account secret key
	}{
		{v1beta1.VaultAuthSpec{Method: "kubernetes", Kubernetes: &v1beta1.KubernetesAuth{Role: "r"}}, "", "kubernetes r ns/default / "},
		{v1beta1.VaultAuthSpec{Method: "jwt", JWT: &v1beta1.JWTAuth{Role: "r", SecretRef: "s"}}, "", "jwt r / ns/s jwt"},
		{v1beta1.VaultAuthSpec{Method: "jwt", JWT: &v1beta1.JWTAuth{Role: "r", ServiceAccount: "a"}}, "", "jwt r ns/a / "},
		{v1beta1.VaultAuthSpec{Method: "jwt", JWT: &v1beta1.JWTAuth{Role: "r", SecretRef: "s"}}, "b", "jwt r ns/b / "},
		{v1beta1.VaultAuthSpec{Method: "appRole", AppRole: &v1beta1.AppRoleAuth{RoleID: "id", SecretRef: "s"}}, "", "approle id / ns/s id"},
		{v1beta1.VaultAuthSpec{Method: "appRole", Mount: "m", AppRole: &v1beta1.AppRoleAuth{RoleID: "id"}}, "", "m id / / "},
	} {
		login, err := credential(test.spec, "ns", test.account)
		got := strings.Join([]string{login.Mount, login.Role, login.ServiceAccount.String(), login.Secret.String(), login.SecretKey}, " ")
		if err != nil || got != test.want {
			t.Errorf("%+v: %q, %v; want %q", test.spec, got, err, test.want)
		}
	}
}
