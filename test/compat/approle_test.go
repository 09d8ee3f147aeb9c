package compat

import (
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/auth/approle"
	"github.com/hashicorp/vault/api/auth/userpass"
)

// The login helper of the Go client for machines, with what an administrator does around it.
func TestGoClientAppRole(t *testing.T) {
	s := startDev(t)
	root := s.client(t, "root")
	if err := root.Sys().EnableAuthWithOptions("approle", &api.EnableAuthOptions{Type: "approle"}); err != nil {
		t.Fatal(err)
	}
	write := func(path string, data map[string]any) *api.Secret {
		t.Helper()
		return must[*api.Secret](t)(root.Logical().Write(path, data))
	}
	write("sys/policies/acl/app", map[string]any{"policy": `path "secret/data/app" { capabilities = ["read"] }`})
	write("secret/data/app", map[string]any{"data": map[string]any{"k": "v"}})
	write("auth/approle/role/Web", map[string]any{"token_policies": "app", "token_ttl": "10m", "token_max_ttl": "20m", "secret_id_num_uses": 2, "secret_id_ttl": "1h"})

	if list := must[*api.Secret](t)(root.Logical().List("auth/approle/role")); list.Data["keys"].([]any)[0] != "web" {
		t.Errorf("list: %v", list.Data)
	}
	role := must[*api.Secret](t)(root.Logical().Read("auth/approle/role/web"))
	if role.Data["token_ttl"].(interface{ String() string }).String() != "600" || role.Data["bind_secret_id"] != true {
		t.Errorf("role: %v", role.Data)
	}
	id := must[*api.Secret](t)(root.Logical().Read("auth/approle/role/web/role-id")).Data["role_id"].(string)
	made := write("auth/approle/role/web/secret-id", map[string]any{"metadata": `{"tag":"prod"}`})
	secret, accessor := made.Data["secret_id"].(string), made.Data["secret_id_accessor"].(string)
	if accessors := must[*api.Secret](t)(root.Logical().List("auth/approle/role/web/secret-id")); accessors.Data["keys"].([]any)[0] != accessor {
		t.Errorf("accessors: %v", accessors.Data)
	}

	client := s.client(t, "")
	login := func(secret string) (*api.Secret, error) {
		method := must[*approle.AppRoleAuth](t)(approle.NewAppRoleAuth(id, &approle.SecretID{FromString: secret}))
		return client.Auth().Login(t.Context(), method)
	}
	a := must[*api.Secret](t)(login(secret)).Auth
	if a.LeaseDuration != 600 || !a.Renewable || a.Metadata["role_name"] != "web" || a.Metadata["tag"] != "prod" || !slices.Contains(a.Policies, "app") {
		t.Errorf("login: %+v", a)
	}
	if read := must[*api.KVSecret](t)(client.KVv2("secret").Get(t.Context(), "app")); read.Data["k"] != "v" {
		t.Errorf("read with the login's token: %v", read.Data)
	}
	if self := must[*api.Secret](t)(client.Auth().Token().LookupSelf()); self.Data["display_name"] != "approle" || self.Data["path"] != "auth/approle/login" {
		t.Errorf("lookup-self: %v", self.Data)
	}
	looked := write("auth/approle/role/web/secret-id-accessor/lookup", map[string]any{"secret_id_accessor": accessor})
	if looked.Data["secret_id_num_uses"].(interface{ String() string }).String() != "1" || looked.Data["metadata"].(map[string]any)["tag"] != "prod" {
		t.Errorf("lookup: %v", looked.Data)
	}
	must[*api.Secret](t)(login(secret))
	_, err := login(secret)
	refused(t, err, 400, "invalid role or secret ID")
	_, err = root.Logical().Write("auth/approle/role/web/secret-id-accessor/lookup", map[string]any{"secret_id_accessor": accessor})
	refused(t, err, 404, "failed to find accessor entry for secret_id_accessor")

	// What a caller makes up, and a role without secret ids.
	write("auth/approle/role/web/role-id", map[string]any{"role_id": "the-web"})
	write("auth/approle/role/web/custom-secret-id", map[string]any{"secret_id": "chosen"})
	id = "the-web"
	must[*api.Secret](t)(login("chosen"))
	write("auth/approle/role/web/secret-id/destroy", map[string]any{"secret_id": "chosen"})
	_, err = login("chosen")
	refused(t, err, 400, "invalid role or secret ID")
	write("auth/approle/role/open", map[string]any{"bind_secret_id": false, "secret_id_bound_cidrs": "127.0.0.0/8"})
	open := must[*api.Secret](t)(root.Logical().Read("auth/approle/role/open/role-id")).Data["role_id"]
	if got := must[*api.Secret](t)(client.Logical().Write("auth/approle/login", map[string]any{"role_id": open})); got.Auth == nil {
		t.Error("no token from a role that networks alone bind")
	}
	if tidied := write("auth/approle/tidy/secret-id", nil); tidied == nil || len(tidied.Warnings) != 1 {
		t.Errorf("tidy: %+v", tidied)
	}
}

// The login helper for people, and the lockout of who guesses.
func TestGoClientUserpass(t *testing.T) {
	s := startDev(t)
	root := s.client(t, "root")
	if err := root.Sys().EnableAuthWithOptions("userpass", &api.EnableAuthOptions{Type: "userpass"}); err != nil {
		t.Fatal(err)
	}
	if _, err := root.Logical().Write("auth/userpass/users/Ada", map[string]any{"password": "s3cret", "policies": "app", "ttl": "10m"}); err != nil {
		t.Fatal(err)
	}
	client := s.client(t, "")
	login := func(name, password string) (*api.Secret, error) {
		method := must[*userpass.UserpassAuth](t)(userpass.NewUserpassAuth(name, &userpass.Password{FromString: password}))
		return client.Auth().Login(t.Context(), method)
	}
	a := must[*api.Secret](t)(login("ADA", "s3cret")).Auth
	if a.LeaseDuration != 600 || a.Metadata["username"] != "ada" || !slices.Contains(a.Policies, "app") {
		t.Errorf("login: %+v", a)
	}
	if self := must[*api.Secret](t)(client.Auth().Token().LookupSelf()); self.Data["display_name"] != "userpass-ada" || self.Data["path"] != "auth/userpass/login/ADA" {
		t.Errorf("lookup-self: %v", self.Data)
	}
	for range 5 {
		_, err := login("ada", "wrong")
		refused(t, err, 400, "invalid username or password")
	}
	_, err := login("ada", "s3cret")
	refused(t, err, 403, "permission denied")
	locked := must[*api.Secret](t)(root.Logical().Read("sys/locked-users"))
	mounts := locked.Data["by_namespace"].([]any)[0].(map[string]any)["mount_accessors"].([]any)[0].(map[string]any)
	if mounts["alias_identifiers"].([]any)[0] != "ada" {
		t.Errorf("locked users: %v", locked.Data)
	}
	if _, err := root.Logical().Write("sys/locked-users/"+mounts["mount_accessor"].(string)+"/unlock/ada", nil); err != nil {
		t.Fatal(err)
	}
	must[*api.Secret](t)(login("ada", "s3cret"))

	tuned, complaint, code := s.shell(t, "VAULT_TOKEN=root vault auth tune -user-lockout-threshold=10 -user-lockout-duration=10m userpass/ && VAULT_TOKEN=root vault read sys/auth/userpass/tune")
	if code != 0 || !strings.Contains(tuned, "user_lockout_threshold                 10") || !strings.Contains(tuned, "user_lockout_duration                  10m") {
		t.Errorf("vault auth tune: %q, %q, %d", tuned, complaint, code)
	}

	// And by the command line, which asks for nothing it was given.
	out, complaint, code := s.shell(t, "vault login -method=userpass -token-only username=ada password=s3cret")
	if code != 0 || !strings.HasPrefix(out, "hvs.") {
		t.Errorf("vault login: %q, %q, %d", out, complaint, code)
	}
}
