package compat

import (
	"strings"
	"testing"
)

// What Terraform's provider, consul-template and External Secrets ask one after
// another, and what they read of the answers.
func TestSequencesOfTools(t *testing.T) {
	s := startDev(t)
	for _, c := range []struct {
		method, path, body string
		code               int
		has                string
	}{
		// Terraform: the version, a child token of its own, then create, read, change, read, delete, read of each resource.
		{"GET", "sys/seal-status", "", 200, `"version":"`},
		{"GET", "sys/health", "", 200, `"initialized":true`},
		{"GET", "auth/token/lookup-self", "", 200, `"policies":["root"]`},
		{"POST", "auth/token/create", `{"display_name":"terraform","ttl":"20m","explicit_max_ttl":"20m","renewable":false,"num_uses":0}`, 200, `"client_token":"hvs.`},
		{"POST", "sys/mounts/team", `{"type":"kv","description":"d","options":{"version":"2"},"config":{"default_lease_ttl":"0s","max_lease_ttl":"1h"},"local":false,"seal_wrap":false}`, 204, ""},
		{"GET", "sys/mounts", "", 200, `"team/":{`},
		{"GET", "sys/mounts/team", "", 200, `"max_lease_ttl":3600`},
		{"GET", "sys/mounts/team/tune", "", 200, `"max_lease_ttl":3600`},
		{"POST", "sys/mounts/team/tune", `{"description":"e","default_lease_ttl":"60s","max_lease_ttl":"2h"}`, 204, ""},
		{"GET", "sys/mounts/team/tune", "", 200, `"default_lease_ttl":60`},
		{"PUT", "sys/policies/acl/team", `{"policy":"path \"team/*\" { capabilities = [\"read\"] }"}`, 204, ""},
		{"GET", "sys/policies/acl/team", "", 200, `path \"team/*\"`},
		{"DELETE", "sys/policies/acl/team", "", 204, ""},
		{"GET", "sys/policies/acl/team", "", 404, `{"errors":[]}`},
		{"POST", "sys/auth/app", `{"type":"approle","config":{"listing_visibility":"unauth"}}`, 204, ""},
		{"GET", "sys/auth", "", 200, `"app/":{`},
		{"GET", "sys/auth/app", "", 200, `"type":"approle"`},
		{"GET", "sys/auth/app/tune", "", 200, `"listing_visibility":"unauth"`},
		{"GET", "sys/internal/ui/mounts", "", 200, `"app/":{`},
		{"POST", "auth/app/role/r", `{"token_policies":["team"],"token_ttl":60}`, 204, ""},
		{"GET", "auth/app/role/r", "", 200, `"token_ttl":60`},
		{"GET", "auth/app/role/r/role-id", "", 200, `"role_id":"`},
		{"DELETE", "auth/app/role/r", "", 204, ""},
		{"GET", "auth/app/role/r", "", 404, `{"errors":[]}`},
		{"POST", "identity/entity", `{"name":"svc","metadata":{"a":"b"}}`, 200, `"id":"`},
		{"POST", "identity/lookup/entity", `{"name":"svc"}`, 200, `"name":"svc"`},
		{"POST", "identity/lookup/entity", `{"name":"none"}`, 204, ""},
		{"POST", "team/data/x", `{"data":{"k":"v"},"options":{"cas":0}}`, 200, `"version":1`},
		// consul-template and External Secrets: which version a mount is, the secret, its metadata, the token's life.
		{"GET", "sys/internal/ui/mounts/team/x", "", 200, `"options":{"version":"2"}`},
		{"GET", "team/data/x", "", 200, `"lease_duration":0`},
		{"GET", "team/metadata/x", "", 200, `"current_version":1`},
		{"GET", "team/metadata?list=true", "", 200, `"keys":["x"]`},
		{"POST", "sys/capabilities-self", `{"paths":["team/data/x"]}`, 200, `"team/data/x":["root"]`},
		{"PUT", "auth/token/renew-self", `{"increment":0}`, 400, `"errors":[`}, // a root token
		{"DELETE", "sys/mounts/team", "", 204, ""},
		{"GET", "sys/mounts/team", "", 400, `"errors":[`},
		{"DELETE", "sys/auth/app", "", 204, ""},
	} {
		got := s.ask(t, c.method, c.path, c.body, "X-Vault-Token", "root", "X-Vault-Request", "true", "Content-Type", "application/json")
		if got.code != c.code || !strings.Contains(got.body, c.has) {
			t.Errorf("%s %s: %d %s; want %d with %s", c.method, c.path, got.code, got.body, c.code, c.has)
		}
	}
}
