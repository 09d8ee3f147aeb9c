package compat

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
)

func TestGoClientTokenRoles(t *testing.T) {
	s := startDev(t)
	root := s.client(t, "root")
	must[*api.Secret](t)(root.Logical().Write("auth/token/roles/nomad", map[string]any{"allowed_policies": "dev,test", "disallowed_policies": "default",
		"orphan": true, "token_period": "1h", "path_suffix": "v1", "renewable": true}))
	role := must[*api.Secret](t)(root.Logical().Read("auth/token/roles/nomad")).Data
	for name, want := range map[string]string{"name": "nomad", "allowed_policies": "[dev test]", "token_period": "3600", "period": "3600", "orphan": "true", "path_suffix": "v1",
		"token_type": "default-service", "token_bound_cidrs": "[]"} {
		if fmt.Sprint(role[name]) != want {
			t.Errorf("role: %s is %v, want %s", name, role[name], want)
		}
	}
	if keys := must[*api.Secret](t)(root.Logical().List("auth/token/roles")).Data["keys"]; fmt.Sprint(keys) != "[nomad]" {
		t.Errorf("roles: %v", keys)
	}
	maker := withPolicy(t, s, `path "auth/token/create/nomad" { capabilities = ["update"] }`)
	made := must[*api.Secret](t)(maker.Auth().Token().CreateWithRole(&api.TokenCreateRequest{Policies: []string{"dev"}}, "nomad")).Auth
	if !made.Orphan || made.LeaseDuration != 3600 || !slices.Equal(made.Policies, []string{"dev"}) {
		t.Errorf("made: %+v", made)
	}
	data := must[*api.Secret](t)(root.Auth().Token().Lookup(made.ClientToken)).Data
	if data["path"] != "auth/token/create/nomad/v1" || data["role"] != "nomad" {
		t.Errorf("lookup: %v", data)
	}
	_, err := maker.Auth().Token().CreateWithRole(&api.TokenCreateRequest{Policies: []string{"prod"}}, "nomad")
	refused(t, err, 400, "must be subset of the role's allowed policies")
	_, err = root.Auth().Token().CreateWithRole(&api.TokenCreateRequest{}, "none")
	refused(t, err, 400, "unknown role none")
	if err := root.Sys().RevokePrefix("auth/token/create/nomad/v1"); err != nil {
		t.Fatal(err)
	}
	_, err = root.Auth().Token().Lookup(made.ClientToken)
	refused(t, err, 403, "bad token")
}

func TestGoClientBatchTokens(t *testing.T) {
	s := startDev(t)
	root := s.client(t, "root")
	made := must[*api.Secret](t)(root.Auth().Token().Create(&api.TokenCreateRequest{Type: "batch", Policies: []string{"a"}, TTL: "10m"})).Auth
	if !strings.HasPrefix(made.ClientToken, "hvb.") || made.Accessor != "" || made.Renewable || made.LeaseDuration != 600 {
		t.Errorf("made: %+v", made)
	}
	self := s.client(t, made.ClientToken)
	data := must[*api.Secret](t)(self.Auth().Token().LookupSelf()).Data
	if data["type"] != "batch" || data["accessor"] != "" || data["id"] != made.ClientToken {
		t.Errorf("lookup-self: %v", data)
	}
	must[*api.Secret](t)(s.client(t, "b."+strings.TrimPrefix(made.ClientToken, "hvb.")).Auth().Token().LookupSelf())
	_, err := self.Auth().Token().RenewSelf(0)
	refused(t, err, 400, "batch tokens cannot be renewed")
	refused(t, self.Auth().Token().RevokeSelf(""), 400, "batch tokens cannot be revoked")
	_, err = root.Auth().Token().Create(&api.TokenCreateRequest{Type: "batch", Policies: []string{"a"}, Period: "1h"})
	refused(t, err, 400, `batch tokens cannot have "period" set`)
}

func TestGoClientTokenLeases(t *testing.T) {
	s := startDev(t)
	root := s.client(t, "root")
	made := must[*api.Secret](t)(root.Auth().Token().Create(&api.TokenCreateRequest{Policies: []string{"a"}, TTL: "10m"})).Auth
	keys := must[*api.Secret](t)(root.Logical().List("sys/leases/lookup/auth/token/create")).Data["keys"].([]any)
	if len(keys) != 1 {
		t.Fatalf("leases: %v", keys)
	}
	id := "auth/token/create/" + keys[0].(string)
	lease := must[*api.Secret](t)(root.Sys().Lookup(id)).Data
	if lease["id"] != id || lease["renewable"] != true || lease["expire_time"] == nil {
		t.Errorf("lease: %v", lease)
	}
	_, err := root.Sys().Renew(id, 60)
	refused(t, err, 400, "tokens cannot be renewed through this endpoint")
	_, err = root.Sys().Lookup("auth/token/create/none")
	refused(t, err, 400, "invalid lease")
	if err := root.Sys().RevokeWithOptions(&api.RevokeOptions{LeaseID: id, Sync: true}); err != nil {
		t.Fatal(err)
	}
	_, err = root.Auth().Token().Lookup(made.ClientToken)
	refused(t, err, 403, "bad token")
	if counted := must[*api.Secret](t)(root.Logical().ReadWithData("sys/leases/count", map[string][]string{"type": {"irrevocable"}})).Data; fmt.Sprint(counted["lease_count"]) != "0" {
		t.Errorf("count: %v", counted)
	}
	if tidied := must[*api.Secret](t)(root.Logical().Write("auth/token/tidy", nil)); len(tidied.Warnings) != 1 {
		t.Errorf("tidy: %+v", tidied)
	}
	if err := root.Auth().Token().RevokeTree("hvs.none"); err != nil {
		t.Errorf("revoking what does not exist: %v", err)
	}
}

// What people type about tokens and leases.
func TestCommandsTokens(t *testing.T) {
	s := startDev(t)
	out, errs, code := s.shell(t, `set -e
export VAULT_TOKEN=root
vault write auth/token/roles/nomad allowed_policies=dev orphan=true
vault token create -role=nomad -ttl=30m -field=token_policies; echo
vault token create -type=batch -policy=dev -ttl=5m -field=token | cut -c1-4
TOKEN=$(vault token create -policy=dev -orphan -ttl=10m -metadata=team=x -display-name=ci -use-limit=0 -field=token)
ACCESSOR=$(vault token lookup -field=accessor $TOKEN)
vault token lookup -accessor -field=display_name $ACCESSOR; echo
vault token capabilities $TOKEN secret/data/x
vault token capabilities -accessor $ACCESSOR secret/data/x
vault token renew -accessor -increment=20m -field=token_duration $ACCESSOR; echo
LEASE=auth/token/create/$(vault list -format=json sys/leases/lookup/auth/token/create | grep -o 'h[A-Za-z0-9_-]\{43\}')
vault lease lookup -format=json $LEASE | grep -c expire_time
vault lease revoke -sync $LEASE
vault lease revoke -prefix auth/token/create/nomad
vault lease revoke -prefix -force auth/token/create
vault token revoke -accessor $ACCESSOR || echo gone
vault token revoke -mode=path auth/token/create
`)
	want := `Success! Data written to: auth/token/roles/nomad
[default dev]
hvb.
token-ci
deny
deny
1200
1
Success! Revoked lease: {any}
All revocation operations queued successfully!
Success! Force revoked any leases with prefix: auth/token/create
gone
Success! Revoked token (if it existed)
`
	if code != 0 || !matches(want, out) {
		t.Errorf("exit code %d\n%s\nwant\n%s\n%s", code, out, want, errs)
	}
}
