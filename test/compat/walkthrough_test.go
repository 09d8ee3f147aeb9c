package compat

import "testing"

// The commands of Parts 4 and 5 of the guide, and those around them, with exactly what they print.
func TestCommandsOfTheGuide(t *testing.T) {
	s := startDev(t, "-dev-no-kv")
	s.runSteps(t, []step{
		{run: "vault secrets enable -path=secret kv-v2", stdout: "Success! Enabled the kv-v2 secrets engine at: secret/\n"},
		{run: "vault secrets enable -path=secret kv-v2", code: 2, stderr: `Error enabling: Error making API request.

URL: POST {addr}/v1/sys/mounts/secret
Code: 400. Errors:

* path is already in use at secret/
`},
		{run: "vault secrets enable nothing-such", code: 2, stderr: `Error enabling: Error making API request.

URL: POST {addr}/v1/sys/mounts/nothing-such
Code: 400. Errors:

* {any}nothing-such{any}
`},
		{run: "vault auth enable kubernetes", stdout: "Success! Enabled kubernetes auth method at: kubernetes/\n"},
		{run: "vault secrets list", stdout: `Path          Type         Accessor              Description
----          ----         --------              -----------
cubbyhole/    cubbyhole    cubbyhole_{id}    per-token private secret storage
identity/     identity     identity_{id}     identity store
secret/       kv           kv_{id}           n/a
sys/          system       system_{id}       system endpoints used for control, policy and debugging
`},
		{run: "vault auth list", stdout: `Path           Type          Accessor                    Description                Version
----           ----          --------                    -----------                -------
kubernetes/    kubernetes    auth_kubernetes_{id}    n/a                        n/a
token/         token         auth_token_{id}         token based credentials    n/a
`},
		{run: `printf ca >ca.crt; vault write auth/kubernetes/config token_reviewer_jwt="$(printf x.y.z)" kubernetes_host="https://kubernetes.default.svc" kubernetes_ca_cert=@ca.crt`,
			code: 2, stderr: `Error writing data to auth/kubernetes/config: Error making API request.

URL: PUT {addr}/v1/auth/kubernetes/config
Code: 400. Errors:

* {any}kubernetes_ca_cert{any}
`},
		{run: `vault write auth/kubernetes/config kubernetes_host="https://kubernetes.default.svc"`, stdout: "Success! Data written to: auth/kubernetes/config\n"},
		{run: `vault policy write longhorn-r2-policy - <<EOF
path "secret/data/longhorn-r2" {
  capabilities = ["read"]
}
EOF`, stdout: "Success! Uploaded policy: longhorn-r2-policy\n"},
		{run: "vault policy read longhorn-r2-policy", stdout: "path \"secret/data/longhorn-r2\" {\n  capabilities = [\"read\"]\n}\n"},
		{run: "vault policy list", stdout: "default\nlonghorn-r2-policy\nroot\n"},
		{run: "vault policy read none", code: 2, stderr: "No policy named: none\n"},
		{run: "echo 'path \"a\" { capabilities = [\"fly\"] }' | vault policy write bad -", code: 2, stderr: `Error uploading policy: Error making API request.

URL: PUT {addr}/v1/sys/policies/acl/bad
Code: 400. Errors:

* {any}fly{any}
`},
		{run: `vault write auth/kubernetes/role/longhorn-role \
  bound_service_account_names=default \
  bound_service_account_namespaces=longhorn-system \
  policies=longhorn-r2-policy \
  ttl=24h`, stdout: "Success! Data written to: auth/kubernetes/role/longhorn-role\n", stderr: "WARNING! {any}\n\n  * Role \"longhorn-role\" has no audience{rest}"},
		{run: "vault read -field=ttl auth/kubernetes/role/longhorn-role", stdout: "86400"},
		{run: "vault read -format=json auth/kubernetes/role/longhorn-role | grep -A2 'account_names\"'", stdout: `    "bound_service_account_names": [
      "default"
    ],
`},
		{run: "vault list auth/kubernetes/role", stdout: "Keys\n----\nlonghorn-role\n"},
		{run: "vault list -format=yaml auth/kubernetes/role", stdout: "- longhorn-role\n"},
		{run: "vault list -format=json auth/kubernetes/role", stdout: "[\n  \"longhorn-role\"\n]\n"},
		{run: "vault read auth/kubernetes/role/none", code: 2, stderr: "No value found at auth/kubernetes/role/none\n"},
		{run: "vault list auth/none", code: 2, stderr: "No value found at auth/none\n"},
		{run: "vault delete auth/kubernetes/role/longhorn-role", stdout: "Success! Data deleted (if it existed) at: auth/kubernetes/role/longhorn-role\n"},
		{run: "vault list auth/kubernetes/role", code: 2, stderr: "No value found at auth/kubernetes/role\n"},
		{run: "vault policy delete longhorn-r2-policy", stdout: "Success! Deleted policy: longhorn-r2-policy\n"},
		{run: "vault auth disable kubernetes", stdout: "Success! Disabled the auth method (if it existed) at: kubernetes/\n"},
		{run: "vault secrets disable secret", stdout: "Success! Disabled the secrets engine (if it existed) at: secret/\n"},
	})
}

func TestCommandsKV(t *testing.T) {
	s := startDev(t)
	s.runSteps(t, []step{
		{run: `vault kv put secret/longhorn-r2 \
  AWS_ACCESS_KEY_ID="AKIA" \
  AWS_SECRET_ACCESS_KEY="s3cr3t" \
  AWS_ENDPOINTS="https://acct.r2.cloudflarestorage.com"`, stdout: `===== Secret Path =====
secret/data/longhorn-r2

======= Metadata =======
Key                Value
---                -----
created_time       {time}
custom_metadata    <nil>
deletion_time      n/a
destroyed          false
version            1
`},
		{run: "vault kv get secret/longhorn-r2", stdout: `===== Secret Path =====
secret/data/longhorn-r2

======= Metadata =======
Key                Value
---                -----
created_time       {time}
custom_metadata    <nil>
deletion_time      n/a
destroyed          false
version            1

============ Data ============
Key                      Value
---                      -----
AWS_ACCESS_KEY_ID        AKIA
AWS_ENDPOINTS            https://acct.r2.cloudflarestorage.com
AWS_SECRET_ACCESS_KEY    s3cr3t
`},
		{run: "vault kv get -field=AWS_ACCESS_KEY_ID secret/longhorn-r2", stdout: "AKIA"},
		{run: "vault kv get -mount=secret -format=json longhorn-r2", stdout: `{
  "request_id": "{uuid}",
  "lease_id": "",
  "lease_duration": 0,
  "renewable": false,
  "data": {
    "data": {
      "AWS_ACCESS_KEY_ID": "AKIA",
      "AWS_ENDPOINTS": "https://acct.r2.cloudflarestorage.com",
      "AWS_SECRET_ACCESS_KEY": "s3cr3t"
    },
    "metadata": {
      "created_time": "{time}",
      "custom_metadata": null,
      "deletion_time": "",
      "destroyed": false,
      "version": 1
    }
  },
  "warnings": null,
  "mount_type": "kv"
}
`},
		{run: "vault kv get secret/none", code: 2, stderr: "No value found at secret/data/none\n"},
		{run: "vault kv put -cas=0 secret/longhorn-r2 a=b", code: 2, stderr: `Error writing data to secret/data/longhorn-r2: Error making API request.

URL: PUT {addr}/v1/secret/data/longhorn-r2
Code: 400. Errors:

* check-and-set parameter did not match the current version
`},
		{run: "vault kv put -cas=1 -format=json secret/longhorn-r2 a=b | grep '\"version\"'", stdout: "    \"version\": 2\n"},
		{run: "vault kv patch secret/longhorn-r2 c=d >/dev/null && vault kv get -format=yaml -field=data secret/longhorn-r2", stdout: "a: b\nc: d\n"},
		{run: "vault kv put secret/folder/x k=v >/dev/null && vault kv list secret/", stdout: "Keys\n----\nfolder/\nlonghorn-r2\n"},
		{run: "vault kv list secret/none", code: 2, stderr: "No value found at secret/metadata/none\n"},
		{run: "vault kv delete secret/longhorn-r2", stdout: "Success! Data deleted (if it existed) at: secret/data/longhorn-r2\n"},
		{run: "vault kv undelete -versions=3 secret/longhorn-r2", stdout: "Success! Data written to: secret/undelete/longhorn-r2\n"},
		{run: "vault kv destroy -versions=1 secret/longhorn-r2", stdout: "Success! Data written to: secret/destroy/longhorn-r2\n"},
		{run: "vault kv metadata put -max-versions=5 -custom-metadata=owner=a secret/longhorn-r2", stdout: "Success! Data written to: secret/metadata/longhorn-r2\n"},
		{run: "vault kv metadata get secret/longhorn-r2", stdout: `====== Metadata Path ======
secret/metadata/longhorn-r2

========== Metadata ==========
Key                     Value
---                     -----
cas_required            false
created_time            {time}
current_version         3
custom_metadata         map[owner:a]
delete_version_after    0s
max_versions            5
oldest_version          0
updated_time            {time}

====== Version 1 ======
Key              Value
---              -----
created_time     {time}
deletion_time    n/a
destroyed        true

====== Version 2 ======
Key              Value
---              -----
created_time     {time}
deletion_time    n/a
destroyed        false

====== Version 3 ======
Key              Value
---              -----
created_time     {time}
deletion_time    n/a
destroyed        false
`},
		{run: "vault kv metadata delete secret/longhorn-r2", stdout: "Success! Data deleted (if it existed) at: secret/metadata/longhorn-r2\n"},
		{run: "vault token create -policy=default -ttl=1h -field=token | wc -c | tr -d ' '", stdout: "{n}\n"},
		{run: "vault token create -policy=default -ttl=1h -format=json | grep -c -e '\"lease_duration\": 3600' -e '\"renewable\": true'", stdout: "2\n"},
		{run: "VAULT_TOKEN=$(vault token create -policy=default -ttl=1h -field=token) vault kv get secret/folder/x", code: 2, stderr: `Error making API request.

URL: GET {addr}/v1/sys/internal/ui/mounts/secret/folder/x
Code: 403. Errors:

* preflight capability check returned 403, please ensure client's policies grant access to path "secret/folder/x/"
`},
		{run: "vault no-such-command", code: 127, stderr: "{any}Unknown command: vault no-such-command{rest}"},
		{run: "vault kv get", code: 1, stderr: "Not enough arguments (expected 1, got 0)\n"},
		{run: "VAULT_ADDR=http://127.0.0.1:1 vault status", code: 1, stderr: `Error checking seal status: Get "http://127.0.0.1:1/v1/sys/seal-status": dial tcp 127.0.0.1:1: connect: connection refused

Nothing listens there: start the server, or give its address with -address or VAULT_ADDR.
`},
	})
}
