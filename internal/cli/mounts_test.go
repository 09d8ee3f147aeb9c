package cli

import (
	"strings"
	"testing"
)

const (
	mountList = `{"data":{"cubbyhole/":{"type":"cubbyhole","accessor":"cubbyhole_1","description":"per-token private secret storage","local":true,"uuid":"u1",` +
		`"config":{"default_lease_ttl":0,"max_lease_ttl":0,"force_no_cache":false},"options":null,"running_plugin_version":"v1"},` +
		`"secret/":{"type":"kv","accessor":"kv_2","description":"","uuid":"u2","config":{"default_lease_ttl":0,"max_lease_ttl":7200,"force_no_cache":false},` +
		`"options":{"version":"2"},"running_plugin_version":"v1"}}}`
	authList = `{"data":{"kubernetes/":{"type":"kubernetes","accessor":"auth_kubernetes_1","description":"","uuid":"u1",` +
		`"config":{"default_lease_ttl":0,"max_lease_ttl":0,"token_type":"default-service"}},` +
		`"token/":{"type":"token","accessor":"auth_token_1","description":"token based credentials","uuid":"u2",` +
		`"config":{"default_lease_ttl":0,"max_lease_ttl":0,"token_type":"default-service"}}}}`
)

func TestSecrets(t *testing.T) {
	config := `"config":{"options":null,"default_lease_ttl":"","max_lease_ttl":"","force_no_cache":false}`
	runGolden(t, []goldenCase{{
		args:    []string{"secrets", "enable", "-path=secret", "kv-v2"},
		answers: map[string]answer{"POST sys/mounts/secret": noContent},
		stdout:  "Success! Enabled the kv-v2 secrets engine at: secret/\n",
		sent: []string{`POST sys/mounts/secret {"type":"kv","description":"",` + config +
			`,"local":false,"seal_wrap":false,"external_entropy_access":false,"options":{"version":"2"}}`},
	}, {
		args:    []string{"secrets", "enable", "-version=2", "kv"},
		answers: map[string]answer{"POST sys/mounts/kv": noContent},
		stdout:  "Success! Enabled the kv secrets engine at: kv/\n",
		sent: []string{`POST sys/mounts/kv {"type":"kv","description":"",` + config +
			`,"local":false,"seal_wrap":false,"external_entropy_access":false,"options":{"version":"2"}}`},
	}, {
		args: []string{"secrets", "enable", "-path=db/prod/", "-description=the db", "-default-lease-ttl=30m", "-max-lease-ttl=3600",
			"-local", "-seal-wrap", "-options=a=b", "database"},
		answers: map[string]answer{"POST sys/mounts/db/prod": noContent},
		stdout:  "Success! Enabled the database secrets engine at: db/prod/\n",
		sent: []string{`POST sys/mounts/db/prod {"type":"database","description":"the db",` +
			`"config":{"options":null,"default_lease_ttl":"30m0s","max_lease_ttl":"1h0m0s","force_no_cache":false},` +
			`"local":true,"seal_wrap":true,"external_entropy_access":false,"options":{"a":"b"}}`},
	}, {
		name:    "secrets enable twice",
		args:    []string{"secrets", "enable", "kv"},
		answers: map[string]answer{"POST sys/mounts/kv": {400, `{"errors":["path is already in use at kv/"]}`}},
		code:    2,
		stderr: "Error enabling: Error making API request.\n\nURL: POST {url}/v1/sys/mounts/kv\nCode: 400. Errors:\n\n" +
			"* path is already in use at kv/\n",
	}, {
		args:    []string{"secrets", "list"},
		answers: map[string]answer{"GET sys/mounts": ok(mountList)},
		stdout: `Path          Type         Accessor       Description
----          ----         --------       -----------
cubbyhole/    cubbyhole    cubbyhole_1    per-token private secret storage
secret/       kv           kv_2           n/a
`,
	}, {
		args:    []string{"secrets", "list", "-detailed"},
		answers: map[string]answer{"GET sys/mounts": ok(mountList)},
		stdout: `Path          Plugin       Accessor       Default TTL    Max TTL    Force No Cache    Replication    Seal Wrap    External Entropy Access    Options           Description                         UUID    Version    Running Version    Running SHA256    Deprecation Status
----          ------       --------       -----------    -------    --------------    -----------    ---------    -----------------------    -------           -----------                         ----    -------    ---------------    --------------    ------------------
cubbyhole/    cubbyhole    cubbyhole_1    n/a            n/a        false             local          false        false                      map[]             per-token private secret storage    u1      n/a        v1                 n/a               n/a
secret/       kv           kv_2           system         7200       false             replicated     false        false                      map[version:2]    n/a                                 u2      n/a        v1                 n/a               n/a
`,
	}, {
		args:    []string{"secrets", "disable", "secret/"},
		answers: map[string]answer{"DELETE sys/mounts/secret": noContent},
		stdout:  "Success! Disabled the secrets engine (if it existed) at: secret/\n",
	}, {
		args:    []string{"secrets", "tune", "-default-lease-ttl=72h", "-description=", "db"},
		answers: map[string]answer{"POST sys/mounts/db/tune": noContent},
		stdout:  "Success! Tuned the secrets engine at: db/\n",
		sent:    []string{`POST sys/mounts/db/tune {"default_lease_ttl":"72h0m0s","description":""}`},
	}, {
		args: []string{"secrets", "move", "db", "db-prod"},
		answers: map[string]answer{
			"POST sys/remount":          ok(`{"data":{"migration_id":"m1"}}`),
			"GET sys/remount/status/m1": ok(`{"data":{"migration_id":"m1","migration_info":{"status":"success"}}}`),
		},
		stdout: "Started moving secrets engine db/ to db-prod/, with migration ID m1\n" +
			"Success! Finished moving secrets engine db/ to db-prod/, with migration ID m1\n",
		sent: []string{`POST sys/remount {"from":"db/","to":"db-prod/"}`, "GET sys/remount/status/m1"},
	}, {
		name: "secrets move fails",
		args: []string{"secrets", "move", "db", "db-prod"},
		answers: map[string]answer{
			"POST sys/remount":          ok(`{"data":{"migration_id":"m1"}}`),
			"GET sys/remount/status/m1": ok(`{"data":{"migration_id":"m1","migration_info":{"status":"failure"}}}`),
		},
		code:   2,
		stdout: "Started moving secrets engine db/ to db-prod/, with migration ID m1\n",
		stderr: "Failure! Error encountered moving secrets engine db/ to db-prod/, with migration ID m1: the server could not move it; its log says why\n",
	}})
}

func TestAuth(t *testing.T) {
	runGolden(t, []goldenCase{{
		args:    []string{"auth", "enable", "kubernetes"},
		answers: map[string]answer{"POST sys/auth/kubernetes": noContent},
		stdout:  "Success! Enabled kubernetes auth method at: kubernetes/\n",
		sent: []string{`POST sys/auth/kubernetes {"type":"kubernetes","description":"","config":{"options":null,"default_lease_ttl":"",` +
			`"max_lease_ttl":"","force_no_cache":false},"local":false,"seal_wrap":false,"external_entropy_access":false,"options":null}`},
	}, {
		args:    []string{"auth", "enable", "-path=auth/prod", "-token-type=batch", "kubernetes"},
		answers: map[string]answer{"POST sys/auth/prod": noContent},
		stdout:  "Success! Enabled kubernetes auth method at: prod/\n",
	}, {
		args:    []string{"auth", "list"},
		answers: map[string]answer{"GET sys/auth": ok(authList)},
		stdout: `Path           Type          Accessor             Description                Version
----           ----          --------             -----------                -------
kubernetes/    kubernetes    auth_kubernetes_1    n/a                        n/a
token/         token         auth_token_1         token based credentials    n/a
`,
	}, {
		args:    []string{"auth", "list", "-detailed"},
		answers: map[string]answer{"GET sys/auth": ok(authList)},
		stdout: `Path           Plugin        Accessor             Default TTL    Max TTL    Token Type         Replication    Seal Wrap    External Entropy Access    Options    Description                UUID    Version    Running Version    Running SHA256    Deprecation Status
----           ------        --------             -----------    -------    ----------         -----------    ---------    -----------------------    -------    -----------                ----    -------    ---------------    --------------    ------------------
kubernetes/    kubernetes    auth_kubernetes_1    system         system     default-service    replicated     false        false                      map[]      n/a                        u1      n/a        n/a                n/a               n/a
token/         token         auth_token_1         system         system     default-service    replicated     false        false                      map[]      token based credentials    u2      n/a        n/a                n/a               n/a
`,
	}, {
		args:    []string{"auth", "disable", "auth/kubernetes"},
		answers: map[string]answer{"DELETE sys/auth/kubernetes": noContent},
		stdout:  "Success! Disabled the auth method (if it existed) at: kubernetes/\n",
	}, {
		args:    []string{"auth", "tune", "-token-type=default-batch", "-listing-visibility=unauth", "kubernetes/"},
		answers: map[string]answer{"POST sys/mounts/auth/kubernetes/tune": noContent},
		stdout:  "Success! Tuned the auth method at: kubernetes/\n",
		sent:    []string{`POST sys/mounts/auth/kubernetes/tune {"listing_visibility":"unauth","token_type":"default-batch"}`},
	}})
}

func TestMountListJSON(t *testing.T) {
	server := serve(t, map[string]answer{"GET sys/mounts": ok(mountList)})
	got := newTerminal(t, server).run("secrets", "list", "-format=json")
	if got.code != 0 || !strings.HasPrefix(got.stdout, "{\n  \"cubbyhole/\": {\n    \"uuid\": \"u1\",\n    \"type\": \"cubbyhole\",") {
		t.Errorf("%+v", got)
	}
}

func TestToken(t *testing.T) {
	created := ok(`{"auth":{"client_token":"hvs.c","accessor":"a","policies":["default"],"token_policies":["default"],"metadata":null,"lease_duration":0,"renewable":false}}`)
	createdTable := `Key                  Value
---                  -----
token                hvs.c
token_accessor       a
token_duration       ∞
token_renewable      false
token_policies       ["default"]
identity_policies    []
policies             ["default"]
`
	runGolden(t, []goldenCase{{
		args:    []string{"token", "create"},
		answers: map[string]answer{"POST auth/token/create": created},
		stdout:  createdTable,
		sent:    []string{`POST auth/token/create {"display_name":"","num_uses":0,"renewable":true,"type":"service","entity_alias":""}`},
	}, {
		args: []string{"token", "create", "-id=custom", "-policy=a", "-policy=b", "-ttl=1h", "-explicit-max-ttl=2h", "-period=30m", "-orphan", "-no-default-policy",
			"-use-limit=5", "-display-name=ci", "-metadata=k=v", "-renewable=false", "-role=r", "-entity-alias=e"},
		answers: map[string]answer{"POST auth/token/create/r": created},
		stdout:  createdTable,
		sent: []string{`POST auth/token/create/r {"id":"custom","policies":["a","b"],"meta":{"k":"v"},"ttl":"1h0m0s","explicit_max_ttl":"2h0m0s","period":"30m0s",` +
			`"no_parent":true,"no_default_policy":true,"display_name":"ci","num_uses":5,"renewable":false,"type":"service","entity_alias":"e"}`},
	}, {
		args:    []string{"token", "create", "-type=batch", "-field=token"},
		answers: map[string]answer{"POST auth/token/create": created},
		stdout:  "hvs.c",
		sent:    []string{`POST auth/token/create {"display_name":"","num_uses":0,"type":"batch","entity_alias":""}`},
	}, {
		args:    []string{"token", "lookup"},
		answers: map[string]answer{"GET auth/token/lookup-self": ok(lookupSelf)},
		stdout: `Key                  Value
---                  -----
accessor             acc-1
creation_time        1767322800
creation_ttl         768h
display_name         root
entity_id            n/a
expire_time          <nil>
explicit_max_ttl     0s
id                   hvs.t
identity_policies    [team]
meta                 <nil>
num_uses             0
orphan               true
path                 auth/token/root
policies             [admin default]
renewable            true
ttl                  767h59m59s
type                 service
`,
	}, {
		args:    []string{"token", "lookup", "-accessor", "-field=ttl", "acc-1"},
		answers: map[string]answer{"POST auth/token/lookup-accessor": ok(lookupSelf)},
		stdout:  "2764799",
		sent:    []string{`POST auth/token/lookup-accessor {"accessor":"acc-1"}`},
	}, {
		args:    []string{"token", "lookup", "-field=id", "hvs.other"},
		answers: map[string]answer{"POST auth/token/lookup": ok(lookupSelf)},
		stdout:  "hvs.t",
		sent:    []string{`POST auth/token/lookup {"token":"hvs.other"}`},
	}, {
		args:    []string{"token", "renew", "-increment=1h", "-field=token"},
		answers: map[string]answer{"PUT auth/token/renew-self": created},
		stdout:  "hvs.c",
		sent:    []string{`PUT auth/token/renew-self {"increment":3600}`},
	}, {
		args:    []string{"token", "revoke", "-self"},
		answers: map[string]answer{"PUT auth/token/revoke-self": noContent},
		stdout:  "Success! Revoked token (if it existed)\n",
	}, {
		args:    []string{"token", "revoke", "-mode=orphan", "hvs.x"},
		answers: map[string]answer{"PUT auth/token/revoke-orphan": noContent},
		stdout:  "Success! Revoked token (if it existed)\n",
		sent:    []string{`PUT auth/token/revoke-orphan {"token":"hvs.x"}`},
	}, {
		args:    []string{"token", "revoke", "-accessor", "acc"},
		answers: map[string]answer{"POST auth/token/revoke-accessor": noContent},
		stdout:  "Success! Revoked token (if it existed)\n",
	}, {
		args:   []string{"token", "revoke"},
		code:   1,
		stderr: "Not enough arguments (expected 1 or -self, got 0)\n",
	}, {
		args:   []string{"token", "revoke", "-mode=all", "x"},
		code:   1,
		stderr: "Invalid mode: all (valid: orphan, path)\n",
	}, {
		args:    []string{"token", "capabilities", "secret/data/app"},
		answers: map[string]answer{"POST sys/capabilities-self": ok(`{"data":{"secret/data/app":["update","read"],"capabilities":["update","read"]}}`)},
		stdout:  "read, update\n",
	}, {
		args:    []string{"token", "capabilities", "-format=json", "hvs.x", "secret/data/app"},
		answers: map[string]answer{"POST sys/capabilities": ok(`{"data":{"secret/data/app":["deny"],"capabilities":["deny"]}}`)},
		stdout:  "[\n  \"deny\"\n]\n",
	}})
}

func TestLease(t *testing.T) {
	runGolden(t, []goldenCase{{
		args:    []string{"lease", "lookup", "db/creds/app/1"},
		answers: map[string]answer{"PUT sys/leases/lookup": ok(`{"data":{"expire_time":"2026-01-02T03:04:05Z","id":"db/creds/app/1","ttl":3599}}`)},
		stdout:  "Key            Value\n---            -----\nexpire_time    2026-01-02T03:04:05Z\nid             db/creds/app/1\nttl            59m59s\n",
	}, {
		args:    []string{"lease", "renew", "-increment=60", "db/creds/app/1"},
		answers: map[string]answer{"PUT sys/leases/renew": ok(`{"lease_id":"db/creds/app/1","lease_duration":60,"renewable":true}`)},
		stdout:  "Key                Value\n---                -----\nlease_id           db/creds/app/1\nlease_duration     1m\nlease_renewable    true\n",
		sent:    []string{`PUT sys/leases/renew {"increment":60,"lease_id":"db/creds/app/1"}`},
	}, {
		args:    []string{"lease", "revoke", "db/creds/app/1"},
		answers: map[string]answer{"PUT sys/leases/revoke/db/creds/app/1": noContent},
		stdout:  "All revocation operations queued successfully!\n",
	}, {
		args:    []string{"lease", "revoke", "-sync", "-prefix", "db/"},
		answers: map[string]answer{"PUT sys/leases/revoke-prefix/db": noContent},
		stdout:  "Success! Revoked any leases with prefix: db/\n",
		sent:    []string{`PUT sys/leases/revoke-prefix/db {"sync":true}`},
	}, {
		args:    []string{"lease", "revoke", "-force", "-prefix", "db/"},
		answers: map[string]answer{"PUT sys/leases/revoke-force/db": noContent},
		stdout:  "Success! Force revoked any leases with prefix: db/\n",
		stderr:  "Warning! Force-removing leases can cause Vault to become out of sync with secret engines!\n",
	}, {
		args:   []string{"lease", "revoke", "-f", "db/"},
		code:   1,
		stderr: "Specifying -force requires also specifying -prefix\n",
	}})
}
