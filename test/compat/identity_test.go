package compat

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

func TestGoClientWrapping(t *testing.T) {
	s := startDev(t)
	root := s.client(t, "root")
	must[*api.KVSecret](t)(root.KVv2("secret").Put(t.Context(), "app", map[string]any{"password": "s3cret"}))
	wrapping := s.client(t, "root")
	wrapping.SetWrappingLookupFunc(func(_, path string) string {
		if path == "sys/wrapping/unwrap" {
			return ""
		}
		return "2m"
	})
	wrapped := must[*api.Secret](t)(wrapping.Logical().Read("secret/data/app"))
	w := wrapped.WrapInfo
	if w == nil || wrapped.Data != nil || w.TTL != 120 || w.CreationPath != "secret/data/app" || w.Accessor == "" || time.Since(w.CreationTime) > time.Minute {
		t.Fatalf("wrap_info: %+v", w)
	}
	look := must[*api.Secret](t)(s.client(t, "").Logical().Write("sys/wrapping/lookup", map[string]any{"token": w.Token})).Data
	if look["creation_path"] != "secret/data/app" || look["creation_ttl"] != json.Number("120") || look["creation_time"] != w.CreationTime.Format(time.RFC3339Nano) {
		t.Errorf("lookup: %v", look)
	}
	// By another token, by the wrapping token itself, and by nobody twice.
	got := must[*api.Secret](t)(s.client(t, "root").Logical().Unwrap(w.Token))
	if got.Data["data"].(map[string]any)["password"] != "s3cret" {
		t.Errorf("unwrapped: %v", got.Data)
	}
	_, err := s.client(t, "root").Logical().Unwrap(w.Token)
	refused(t, err, 400, "wrapping token is not valid or does not exist")
	_, err = s.client(t, w.Token).Logical().Unwrap("")
	refused(t, err, 400, "wrapping token is not valid or does not exist")

	made := must[*api.Secret](t)(wrapping.Auth().Token().Create(&api.TokenCreateRequest{Policies: []string{"default"}, TTL: "1h"}))
	login := must[*api.Secret](t)(s.client(t, made.WrapInfo.Token).Logical().Unwrap(""))
	if login.Auth == nil || login.Auth.Accessor != made.WrapInfo.WrappedAccessor || login.Auth.LeaseDuration != 3600 {
		t.Errorf("an unwrapped token: %+v, wrapped %+v", login.Auth, made.WrapInfo)
	}
	self := s.client(t, login.Auth.ClientToken)
	must[*api.Secret](t)(self.Auth().Token().LookupSelf())

	own := must[*api.Secret](t)(wrapping.Logical().Write("sys/wrapping/wrap", map[string]any{"a": "1"}))
	again := must[*api.Secret](t)(root.Logical().Write("sys/wrapping/rewrap", map[string]any{"token": own.WrapInfo.Token}))
	if again.WrapInfo == nil || again.WrapInfo.TTL != 120 || again.WrapInfo.CreationPath != "sys/wrapping/wrap" {
		t.Fatalf("rewrapped: %+v", again.WrapInfo)
	}
	if got := must[*api.Secret](t)(self.Logical().Unwrap(again.WrapInfo.Token)); got.Data["a"] != "1" {
		t.Errorf("unwrapped: %v", got.Data)
	}

	must[*api.Secret](t)(self.Logical().Write("cubbyhole/mine", map[string]any{"k": "v"}))
	if got := must[*api.Secret](t)(self.Logical().Read("cubbyhole/mine")); got.Data["k"] != "v" || got.LeaseDuration != 0 {
		t.Errorf("cubbyhole: %+v", got)
	}
	if got := must[*api.Secret](t)(root.Logical().Read("cubbyhole/mine")); got != nil {
		t.Errorf("root reads another's cubbyhole: %+v", got)
	}
	if got := must[*api.Secret](t)(self.Logical().Write("sys/tools/hash/sha2-256", map[string]any{"input": "YWJj"})).Data["sum"]; got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("hash: %v", got)
	}
}

func TestGoClientIdentity(t *testing.T) {
	s := startDev(t)
	root := s.client(t, "root")
	write := func(c *api.Client, path string, data map[string]any) *api.Secret {
		t.Helper()
		return must[*api.Secret](t)(c.Logical().Write(path, data))
	}
	if err := root.Sys().EnableAuthWithOptions("userpass", &api.EnableAuthOptions{Type: "userpass"}); err != nil {
		t.Fatal(err)
	}
	accessor := must[map[string]*api.AuthMount](t)(root.Sys().ListAuth())["userpass/"].Accessor
	write(root, "auth/userpass/users/ada", map[string]any{"password": "pw"})
	for name, rules := range map[string]string{
		"team": `path "secret/data/team/*" { capabilities = ["read", "create", "update"] }`,
		"home": `path "secret/data/home/{{identity.entity.name}}/*" { capabilities = ["create", "update", "read"] }
path "secret/data/user/{{identity.entity.aliases.` + accessor + `.name}}" { capabilities = ["create", "update", "read"] }`,
	} {
		if err := root.Sys().PutPolicy(name, rules); err != nil {
			t.Fatal(err)
		}
	}
	made := write(root, "identity/entity", map[string]any{"name": "ada", "policies": []string{"home"}, "metadata": map[string]any{"team": "red"}})
	id := made.Data["id"].(string)
	if again := write(root, "identity/entity", map[string]any{"name": "ada", "metadata": map[string]any{"team": "blue"}}); again != nil {
		t.Errorf("changing an entity answers %+v", again)
	}
	write(root, "identity/entity-alias", map[string]any{"name": "ada", "canonical_id": id, "mount_accessor": accessor})
	group := write(root, "identity/group", map[string]any{"name": "team", "policies": "team", "member_entity_ids": id})

	login := write(s.client(t, ""), "auth/userpass/login/ada", map[string]any{"password": "pw"}).Auth
	if login.EntityID != id || fmt.Sprint(login.Policies, login.TokenPolicies, login.IdentityPolicies) != "[default home team] [default] [home team]" {
		t.Errorf("login: %+v", login)
	}
	ada := s.client(t, login.ClientToken)
	for _, path := range []string{"team/a", "home/ada/x", "user/ada"} {
		must[*api.KVSecret](t)(ada.KVv2("secret").Put(t.Context(), path, map[string]any{"k": "v"}))
	}
	for _, path := range []string{"home/bob/x", "home/{{identity.entity.name}}/x", "user/bob"} {
		_, err := ada.KVv2("secret").Put(t.Context(), path, map[string]any{"k": "v"})
		if re := new(api.ResponseError); !errors.As(err, &re) || re.StatusCode != 403 {
			t.Errorf("%s: %v, want status 403", path, err)
		}
	}
	entity := must[*api.Secret](t)(root.Logical().Read("identity/entity/id/" + id)).Data
	if fmt.Sprint(entity["direct_group_ids"]) != fmt.Sprint([]any{group.Data["id"]}) || entity["metadata"].(map[string]any)["team"] != "blue" {
		t.Errorf("entity: %v", entity)
	}
	if self := must[*api.Secret](t)(ada.Auth().Token().LookupSelf()).Data; self["entity_id"] != id || fmt.Sprint(self["identity_policies"]) != "[home team]" {
		t.Errorf("lookup-self: %v", self)
	}
	_, err := root.Logical().Write("identity/entity/name/ada", map[string]any{"policies": "Root "})
	refused(t, err, 400, "policies cannot contain root")
	write(root, "identity/entity/name/ada", map[string]any{"disabled": true})
	_, err = ada.Auth().Token().LookupSelf()
	refused(t, err, 403, "permission denied")
	if got := must[*api.Secret](t)(root.Logical().Write("identity/lookup/entity", map[string]any{"name": "nobody"})); got != nil {
		t.Errorf("lookup of nobody: %+v", got)
	}
	must[*api.Secret](t)(root.Logical().Delete("identity/entity/id/" + id))
	if got := must[*api.Secret](t)(root.Logical().List("identity/entity/id")); got != nil {
		t.Errorf("entities are left: %v", got.Data)
	}
}
