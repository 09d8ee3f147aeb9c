package cli

import (
	"strings"
	"testing"
)

const (
	sealedStatus   = `{"type":"shamir","initialized":true,"sealed":true,"t":3,"n":5,"progress":2,"nonce":"nonce-1","version":"1.0.0","build_date":"2026-01-01T00:00:00Z","storage_type":"raft"}`
	freshStatus    = `{"type":"shamir","initialized":false,"sealed":true,"t":0,"n":0,"progress":0,"nonce":"","version":"1.0.0","build_date":"2026-01-01T00:00:00Z","storage_type":"raft"}`
	unsealedStatus = `{"type":"shamir","initialized":true,"sealed":false,"t":3,"n":5,"progress":0,"nonce":"","version":"1.0.0","build_date":"2026-01-01T00:00:00Z",` +
		`"cluster_name":"vault-cluster-1","cluster_id":"id-1","storage_type":"raft"}`

	sealedLeader  = `{"ha_enabled":true,"is_self":false,"active_time":"0001-01-01T00:00:00Z","leader_address":"","leader_cluster_address":""}`
	activeLeader  = `{"ha_enabled":true,"is_self":true,"active_time":"2026-01-02T03:04:05.678Z","leader_address":"http://a:8200","leader_cluster_address":"https://a:8201","raft_committed_index":52,"raft_applied_index":51}`
	standbyLeader = `{"ha_enabled":true,"is_self":false,"active_time":"0001-01-01T00:00:00Z","leader_address":"http://a:8200","leader_cluster_address":"https://a:8201","raft_committed_index":52,"raft_applied_index":51}`

	sealedTable = `Key                Value
---                -----
Seal Type          shamir
Initialized        true
Sealed             true
Total Shares       5
Threshold          3
Unseal Progress    2/3
Unseal Nonce       nonce-1
Version            1.0.0
Build Date         2026-01-01T00:00:00Z
Storage Type       raft
HA Enabled         true
`
	activeTable = `Key                     Value
---                     -----
Seal Type               shamir
Initialized             true
Sealed                  false
Total Shares            5
Threshold               3
Version                 1.0.0
Build Date              2026-01-01T00:00:00Z
Storage Type            raft
Cluster Name            vault-cluster-1
Cluster ID              id-1
HA Enabled              true
HA Cluster              https://a:8201
HA Mode                 active
Active Since            2026-01-02T03:04:05.678Z
Raft Committed Index    52
Raft Applied Index      51
`
)

func TestStatus(t *testing.T) {
	runGolden(t, []goldenCase{{
		name:    "active",
		args:    []string{"status"},
		answers: map[string]answer{"GET sys/seal-status": ok(unsealedStatus), "GET sys/leader": ok(activeLeader)},
		stdout:  activeTable,
	}, {
		name:    "standby",
		args:    []string{"status"},
		answers: map[string]answer{"GET sys/seal-status": ok(unsealedStatus), "GET sys/leader": ok(standbyLeader)},
		stdout: strings.Replace(activeTable, "HA Mode                 active\nActive Since            2026-01-02T03:04:05.678Z",
			"HA Mode                 standby\nActive Node Address     http://a:8200", 1),
	}, {
		name:    "standby without a leader",
		args:    []string{"status"},
		answers: map[string]answer{"GET sys/seal-status": ok(unsealedStatus), "GET sys/leader": ok(sealedLeader)},
		stdout: `Key                    Value
---                    -----
Seal Type              shamir
Initialized            true
Sealed                 false
Total Shares           5
Threshold              3
Version                1.0.0
Build Date             2026-01-01T00:00:00Z
Storage Type           raft
Cluster Name           vault-cluster-1
Cluster ID             id-1
HA Enabled             true
HA Cluster             n/a
HA Mode                standby
Active Node Address    <none>
`,
	}, {
		name:    "sealed",
		args:    []string{"status"},
		answers: map[string]answer{"GET sys/seal-status": ok(sealedStatus), "GET sys/leader": ok(sealedLeader)},
		code:    2,
		stdout:  sealedTable,
	}, {
		name:    "sealed, and the server tells no leader",
		args:    []string{"status"},
		answers: map[string]answer{"GET sys/seal-status": ok(sealedStatus), "GET sys/leader": {503, `{"errors":["Vault is sealed"]}`}},
		code:    2,
		stdout:  sealedTable,
	}, {
		name:    "not initialized",
		args:    []string{"status"},
		answers: map[string]answer{"GET sys/seal-status": ok(freshStatus), "GET sys/leader": ok(sealedLeader)},
		code:    2,
		stdout: strings.NewReplacer("Initialized        true", "Initialized        false", "Shares       5", "Shares       0",
			"Threshold          3", "Threshold          0", "2/3", "0/0", "nonce-1", "n/a").Replace(sealedTable),
	}, {
		name:    "JSON",
		args:    []string{"status", "-format=json"},
		answers: map[string]answer{"GET sys/seal-status": ok(sealedStatus), "GET sys/leader": ok(sealedLeader)},
		code:    2,
		stdout: `{
  "type": "shamir",
  "initialized": true,
  "sealed": true,
  "t": 3,
  "n": 5,
  "progress": 2,
  "nonce": "nonce-1",
  "version": "1.0.0",
  "build_date": "2026-01-01T00:00:00Z",
  "migration": false,
  "recovery_seal": false,
  "storage_type": "raft",
  "ha_enabled": true,
  "active_time": "0001-01-01T00:00:00Z"
}
`,
	}, {
		name:    "error",
		args:    []string{"status"},
		answers: map[string]answer{"GET sys/seal-status": {400, `{"errors":["node is busy"]}`}},
		code:    1,
		stderr:  "Error checking seal status: Error making API request.\n\nURL: GET {url}/v1/sys/seal-status\nCode: 400. Errors:\n\n* node is busy\n",
	}})
}

const initAnswer = `{"keys":["aa","bb","cc"],"keys_base64":["qg==","uw==","zA=="],"root_token":"hvs.root"}`

func TestOperatorInit(t *testing.T) {
	fresh := map[string]answer{"GET sys/seal-status": ok(freshStatus), "PUT sys/init": ok(initAnswer), "GET sys/init": ok(`{"initialized":false}`)}
	runGolden(t, []goldenCase{{
		args:    []string{"operator", "init"},
		answers: fresh,
		stdout: `Unseal Key 1: qg==
Unseal Key 2: uw==
Unseal Key 3: zA==

Initial Root Token: hvs.root

Vault initialized with 5 key shares and a key threshold of 3. Please securely
distribute the key shares printed above. When the Vault is re-sealed,
restarted, or stopped, you must supply at least 3 of these keys to unseal it
before it can start servicing requests.

Vault does not store the generated root key. Without at least 3 keys to
reconstruct the root key, Vault will remain permanently sealed!

It is possible to generate new unseal keys, provided you have a quorum of
existing unseal keys shares. See "vault operator rekey" for more information.
`,
		sent: []string{"GET sys/seal-status", `PUT sys/init {"secret_shares":5,"secret_threshold":3,"stored_shares":0,"pgp_keys":null,` +
			`"recovery_shares":0,"recovery_threshold":0,"recovery_pgp_keys":null,"root_token_pgp_key":""}`},
	}, {
		args:    []string{"operator", "init", "-n=3", "-key-threshold", "2", "-format=json"},
		answers: fresh,
		stdout: `{
  "unseal_keys_b64": [
    "qg==",
    "uw==",
    "zA=="
  ],
  "unseal_keys_hex": [
    "aa",
    "bb",
    "cc"
  ],
  "unseal_shares": 3,
  "unseal_threshold": 2,
  "recovery_keys_b64": [],
  "recovery_keys_hex": [],
  "recovery_keys_shares": 0,
  "recovery_keys_threshold": 0,
  "root_token": "hvs.root"
}
`,
		sent: []string{"GET sys/seal-status", `PUT sys/init {"secret_shares":3,"secret_threshold":2,"stored_shares":0,"pgp_keys":null,` +
			`"recovery_shares":0,"recovery_threshold":0,"recovery_pgp_keys":null,"root_token_pgp_key":""}`},
	}, {
		name: "init of a server that unseals itself",
		args: []string{"operator", "init"},
		answers: map[string]answer{
			"GET sys/seal-status": ok(`{"type":"transit","recovery_seal":true,"sealed":true}`),
			"PUT sys/init":        ok(`{"recovery_keys":["aa"],"recovery_keys_base64":["qg=="],"root_token":"hvs.root"}`),
		},
		stdout: `Recovery Key 1: qg==

Initial Root Token: hvs.root

Success! Vault is initialized

Recovery key initialized with 5 key shares and a key threshold of 3. Please
securely distribute the key shares printed above.
`,
		sent: []string{"GET sys/seal-status", `PUT sys/init {"secret_shares":0,"secret_threshold":0,"stored_shares":0,"pgp_keys":null,` +
			`"recovery_shares":5,"recovery_threshold":3,"recovery_pgp_keys":null,"root_token_pgp_key":""}`},
	}, {
		args:    []string{"operator", "init", "-status"},
		answers: fresh,
		code:    2,
		stdout:  "Vault is not initialized\n",
	}, {
		name:    "init -status of an initialized server",
		args:    []string{"operator", "init", "-status"},
		answers: map[string]answer{"GET sys/init": ok(`{"initialized":true}`)},
		stdout:  "Vault is initialized\n",
	}, {
		name:    "init -status fails",
		args:    []string{"operator", "init", "-status"},
		answers: map[string]answer{"GET sys/init": {400, `{"errors":["busy"]}`}},
		code:    1,
		stderr:  "Error checking initialization status: Error making API request.\n\nURL: GET {url}/v1/sys/init\nCode: 400. Errors:\n\n* busy\n",
	}, {
		name:    "init twice",
		args:    []string{"operator", "init"},
		answers: map[string]answer{"GET sys/seal-status": ok(unsealedStatus), "PUT sys/init": {400, `{"errors":["Vault is already initialized"]}`}},
		code:    2,
		stderr:  "Error initializing: Error making API request.\n\nURL: PUT {url}/v1/sys/init\nCode: 400. Errors:\n\n* Vault is already initialized\n",
	}, {
		args:    []string{"operator", "init", "-pgp-keys=keybase:ada"},
		answers: fresh,
		code:    1,
		stderr:  "Error reading PGP key \"keybase:ada\": Keybase is not supported; save the key in a file and name that\n",
	}})
}

func TestOperatorUnseal(t *testing.T) {
	answers := map[string]answer{"PUT sys/unseal": ok(sealedStatus), "GET sys/leader": ok(sealedLeader)}
	want := `PUT sys/unseal {"key":"share-1","reset":false,"migrate":false}`
	typed, interrupted := "share-1\n", "^C"
	for _, tc := range []struct {
		name     string
		args     []string
		stdin    string
		password *string
		code     int
		stderr   string
		sent     string
	}{
		{"argument", []string{"share-1"}, "", nil, 0, "", want},
		{"dash", []string{"-"}, "share-1\n", &typed, 0, "", want},
		{"pipe", nil, "share-1\n", nil, 0, "", want},
		{"prompt", nil, "", &typed, 0, "Unseal Key (will be hidden): \n", want},
		{"reset", []string{"-reset"}, "", nil, 0, "", `PUT sys/unseal {"key":"","reset":true,"migrate":false}`},
		{"empty pipe", nil, "", nil, 1, "Unseal Key is missing: stdin is no terminal and holds nothing. Give it as an argument, or pipe it in\n", ""},
		{"interrupted", nil, "", &interrupted, 1, "Unseal Key (will be hidden): \nError reading the unseal key: interrupted\n", ""},
		{"non-interactive", []string{"-non-interactive"}, "", &typed, 1,
			"Unseal Key is missing, and -non-interactive forbids asking for it: give it as an argument, or pipe it in\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := serve(t, answers)
			term := newTerminal(t, server)
			term.stdin, term.password = tc.stdin, tc.password
			got := term.run(append([]string{"operator", "unseal"}, tc.args...)...)
			if got.code != tc.code || got.stderr != tc.stderr {
				t.Errorf("%+v, want code %d, stderr %q", got, tc.code, tc.stderr)
			}
			if tc.code == 0 && got.stdout != sealedTable {
				t.Errorf("stdout\n%s\nwant\n%s", got.stdout, sealedTable)
			}
			lines := server.lines()
			if sent := strings.Join(lines[:min(1, len(lines))], ""); sent != tc.sent {
				t.Errorf("sent %s, want %s", sent, tc.sent)
			}
		})
	}
}

func TestOperatorUnsealWithAWrongShare(t *testing.T) {
	runGolden(t, []goldenCase{{
		args:    []string{"operator", "unseal", "wrong"},
		answers: map[string]answer{"PUT sys/unseal": {400, `{"errors":["'key' must be a valid hex or base64 string"]}`}},
		code:    2,
		stderr: "Error unsealing: Error making API request.\n\nURL: PUT {url}/v1/sys/unseal\nCode: 400. Errors:\n\n" +
			"* 'key' must be a valid hex or base64 string\n",
	}})
}

func TestOperatorCommands(t *testing.T) {
	runGolden(t, []goldenCase{{
		args:    []string{"operator", "seal"},
		answers: map[string]answer{"PUT sys/seal": noContent},
		stdout:  "Success! Vault is sealed.\n",
	}, {
		args:    []string{"operator", "step-down"},
		answers: map[string]answer{"PUT sys/step-down": noContent},
		stdout:  "Success! Stepped down: {url}\n",
	}, {
		args:    []string{"operator", "key-status"},
		answers: map[string]answer{"GET sys/key-status": ok(`{"data":{"term":2,"install_time":"2026-01-02T03:04:05Z","encryptions":42}}`)},
		stdout:  "Key Term            2\nInstall Time        02 Jan 26 03:04 UTC\nEncryption Count    42\n",
	}, {
		args: []string{"operator", "members"},
		answers: map[string]answer{"GET sys/ha-status": ok(`{"nodes":[{"hostname":"h1","api_address":"http://a:8200","cluster_address":"https://a:8201",` +
			`"active_node":true,"last_echo":null,"version":"1.0.0"},{"hostname":"h2","api_address":"http://b:8200","cluster_address":"https://b:8201",` +
			`"active_node":false,"last_echo":"2026-01-02T03:04:05.5Z","version":"1.0.0"}]}`)},
		stdout: `Host Name    API Address      Cluster Address    Active Node    Version    Upgrade Version    Redundancy Zone    Last Echo
---------    -----------      ---------------    -----------    -------    ---------------    ---------------    ---------
h1           http://a:8200    https://a:8201     true           1.0.0      n/a                n/a                n/a
h2           http://b:8200    https://b:8201     false          1.0.0      n/a                n/a                2026-01-02T03:04:05Z
`,
	}, {
		args: []string{"operator", "raft", "list-peers"},
		answers: map[string]answer{"GET sys/storage/raft/configuration": ok(`{"data":{"config":{"index":1,"servers":[` +
			`{"address":"a:8201","leader":true,"node_id":"n1","protocol_version":"3","voter":true},` +
			`{"address":"b:8201","leader":false,"node_id":"n2","protocol_version":"3","voter":false}]}}}`)},
		stdout: `Node    Address    State       Voter
----    -------    -----       -----
n1      a:8201     leader      true
n2      b:8201     follower    false
`,
	}})
}
