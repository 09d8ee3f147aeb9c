package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const role = `{"request_id":"r1","lease_id":"","lease_duration":0,"renewable":false,"data":{"bound_service_account_names":["default"],` +
	`"alias_name_source":"serviceaccount_uid","token_ttl":86400,"token_max_ttl":0,"token_period":0,"token_no_default_policy":false,"ttl":"1h"}}`

func TestRead(t *testing.T) {
	database := map[string]answer{"GET database/creds/app": ok(`{"lease_id":"database/creds/app/1","lease_duration":3600,"renewable":true,` +
		`"data":{"password":"p","username":"u"},"warnings":["the first warning","and a second that is so long that it does not fit on a line of the usual width of a terminal"]}`)}
	runGolden(t, []goldenCase{{
		args:    []string{"read", "/auth/kubernetes/role/app"},
		answers: map[string]answer{"GET auth/kubernetes/role/app": ok(role)},
		stdout: `Key                            Value
---                            -----
alias_name_source              serviceaccount_uid
bound_service_account_names    [default]
token_max_ttl                  0s
token_no_default_policy        false
token_period                   0s
token_ttl                      24h
ttl                            1h
`,
	}, {
		args:    []string{"read", "-field=token_ttl", "auth/kubernetes/role/app"},
		answers: map[string]answer{"GET auth/kubernetes/role/app": ok(role)},
		stdout:  "86400",
	}, {
		args:    []string{"read", "-format=json", "old/app"},
		answers: map[string]answer{"GET old/app": ok(`{"request_id":"r1","lease_duration":2764800,"data":{"n":12345678901234567890,"s":"a"}}`)},
		stdout: `{
  "request_id": "r1",
  "lease_id": "",
  "lease_duration": 2764800,
  "renewable": false,
  "data": {
    "n": 12345678901234567890,
    "s": "a"
  },
  "warnings": null
}
`,
	}, {
		args:    []string{"read", "old/app"},
		answers: map[string]answer{"GET old/app": ok(`{"lease_duration":2764800,"data":{"foo":"bar"}}`)},
		stdout:  "Key                 Value\n---                 -----\nrefresh_interval    768h\nfoo                 bar\n",
	}, {
		args:    []string{"read", "database/creds/app"},
		answers: database,
		stdout: `Key                Value
---                -----
lease_id           database/creds/app/1
lease_duration     1h
lease_renewable    true
password           p
username           u
`,
		stderr: `WARNING! The following warnings were returned from Vault:

  * the first warning

  * and a second that is so long that it does not fit on a line of the usual
    width of a terminal

`,
	}, {
		args:    []string{"read", "-format=raw", "x"},
		answers: map[string]answer{"GET x": ok(`{"data" : {"a":"b"}}`)},
		stdout:  `{"data" : {"a":"b"}}`,
	}, {
		args:    []string{"read", "pki/certs", "common_name=x", "alt=a", "alt=b"},
		answers: map[string]answer{"GET pki/certs?alt=a&alt=b&common_name=x": ok(`{"data":{"a":"b"}}`)},
		stdout:  "Key    Value\n---    -----\na      b\n",
	}, {
		args:   []string{"read", "none"},
		code:   2,
		stderr: "No value found at none\n",
	}})
}

func TestWrite(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, []byte("PEM\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	runGolden(t, []goldenCase{{
		name: "the walkthrough's configuration of the Kubernetes method",
		args: []string{"write", "auth/kubernetes/config", "token_reviewer_jwt=ey.J", "kubernetes_host=https://kubernetes.default.svc", "kubernetes_ca_cert=@" + ca},
		answers: map[string]answer{
			"PUT auth/kubernetes/config": noContent,
		},
		stdout: "Success! Data written to: auth/kubernetes/config\n",
		sent:   []string{`PUT auth/kubernetes/config {"kubernetes_ca_cert":"PEM\n","kubernetes_host":"https://kubernetes.default.svc","token_reviewer_jwt":"ey.J"}`},
	}, {
		args:    []string{"write", "auth/kubernetes/config", "a=b"},
		answers: map[string]answer{"PUT auth/kubernetes/config": {403, `{"errors":["permission denied"]}`}},
		code:    2,
		stderr: "Error writing data to auth/kubernetes/config: Error making API request.\n\nURL: PUT {url}/v1/auth/kubernetes/config\n" +
			"Code: 403. Errors:\n\n* permission denied\n",
	}, {
		args:    []string{"write", "-f", "transit/keys/k"},
		answers: map[string]answer{"PUT transit/keys/k": ok(`{"data":{"name":"k"}}`)},
		stdout:  "Key     Value\n---     -----\nname    k\n",
		sent:    []string{"PUT transit/keys/k {}"},
	}, {
		name:    "only a warning in the answer",
		args:    []string{"write", "x", "a=b"},
		answers: map[string]answer{"PUT x": ok(`{"warnings":["be careful"]}`)},
		stdout:  "Success! Data written to: x\n",
		stderr:  "WARNING! The following warnings were returned from Vault:\n\n  * be careful\n\n",
	}, {
		args:   []string{"write", "x"},
		code:   1,
		stderr: "Must supply data or use -force\n",
	}, {
		args:   []string{"write", "x", "novalue"},
		code:   1,
		stderr: "Failed to parse K=V data: invalid key/value pair \"novalue\": format must be key=value\n",
	}, {
		args:    []string{"write", "-field=a", "x", "b=c"},
		answers: map[string]answer{"PUT x": noContent},
		code:    1,
		stderr:  "Field \"a\" not present: the server answered with no data\n",
	}, {
		args:    []string{"patch", "pki/roles/r", "a=b"},
		answers: map[string]answer{"PATCH pki/roles/r": ok(`{"data":{"a":"b"}}`)},
		stdout:  "Key    Value\n---    -----\na      b\n",
		sent:    []string{`PATCH pki/roles/r {"a":"b"}`},
	}, {
		args:    []string{"delete", "auth/kubernetes/role/app"},
		answers: map[string]answer{"DELETE auth/kubernetes/role/app": noContent},
		stdout:  "Success! Data deleted (if it existed) at: auth/kubernetes/role/app\n",
	}, {
		args:    []string{"list", "auth/kubernetes/role/"},
		answers: map[string]answer{"GET auth/kubernetes/role?list=true": ok(`{"data":{"keys":["app","argocd"]}}`)},
		stdout:  "Keys\n----\napp\nargocd\n",
	}, {
		args:    []string{"list", "-format=yaml", "x"},
		answers: map[string]answer{"GET x?list=true": ok(`{"data":{"keys":["app","argocd"]}}`)},
		stdout:  "- app\n- argocd\n",
	}, {
		args:   []string{"list", "x"},
		code:   2,
		stderr: "No value found at x\n",
	}, {
		args:    []string{"path-help", "secret"},
		answers: map[string]answer{"GET secret?help=1": ok(`{"help":"Keeps secrets.","see_also":null,"openapi":null}`)},
		stdout:  "Keeps secrets.\n",
	}})
}

// A cell cannot break out of its row, whatever a secret holds.
func TestCellsWithOddCharacters(t *testing.T) {
	server := serve(t, map[string]answer{"GET x": ok(`{"data":{"a":"1\u001f2 | 3","umlaut":"ü","ключ":"v"}}`)})
	got := newTerminal(t, server).run("read", "x")
	want := "Key       Value\n---       -----\na         1 2 | 3\numlaut    ü\nключ      v\n"
	if got.stdout != want {
		t.Errorf("%q, want %q", got.stdout, want)
	}
}

func TestFieldOnATerminalEndsInANewline(t *testing.T) {
	server := serve(t, map[string]answer{"GET x": ok(`{"data":{"a":"b"}}`)})
	term := newTerminal(t, server)
	term.outIsTTY = true
	if got := term.run("read", "-field=a", "x"); got.stdout != "b\n" {
		t.Errorf("%q", got.stdout)
	}
}

const rules = "path \"secret/data/longhorn-r2\" {\n  capabilities = [\"read\"]\n}\n"

func TestPolicy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p.hcl")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	body := `{"policy":"path \"secret/data/longhorn-r2\" {\n  capabilities = [\"read\"]\n}\n"}`
	runGolden(t, []goldenCase{{
		name:    "policy write from a heredoc",
		args:    []string{"policy", "write", "Longhorn-r2-policy", "-"},
		stdin:   rules,
		answers: map[string]answer{"PUT sys/policies/acl/longhorn-r2-policy": noContent},
		stdout:  "Success! Uploaded policy: longhorn-r2-policy\n",
		sent:    []string{"PUT sys/policies/acl/longhorn-r2-policy " + body},
	}, {
		name:    "policy write from a file",
		args:    []string{"policy", "write", "p", file},
		answers: map[string]answer{"PUT sys/policies/acl/p": noContent},
		stdout:  "Success! Uploaded policy: p\n",
		sent:    []string{"PUT sys/policies/acl/p " + body},
	}, {
		name:   "policy write without its file",
		args:   []string{"policy", "write", "p", "/does/not/exist"},
		code:   1,
		stderr: "Error reading policy: open /does/not/exist: no such file or directory\n",
	}, {
		name:    "policy write of nonsense",
		args:    []string{"policy", "write", "p", file},
		answers: map[string]answer{"PUT sys/policies/acl/p": {400, `{"errors":["failed to parse policy: path \"x\": invalid capability \"rad\""]}`}},
		code:    2,
		stderr: "Error uploading policy: Error making API request.\n\nURL: PUT {url}/v1/sys/policies/acl/p\nCode: 400. Errors:\n\n" +
			"* failed to parse policy: path \"x\": invalid capability \"rad\"\n",
	}, {
		args:    []string{"policy", "read", "p"},
		answers: map[string]answer{"GET sys/policies/acl/p": ok(`{"data":{"name":"p","policy":"path \"a\" {}\n"}}`)},
		stdout:  "path \"a\" {}\n",
	}, {
		args:    []string{"policy", "read", "-format=json", "p"},
		answers: map[string]answer{"GET sys/policies/acl/p": ok(`{"data":{"name":"p","policy":"x\n"}}`)},
		stdout:  "{\n  \"policy\": \"x\\n\"\n}\n",
	}, {
		args:   []string{"policy", "read", "none"},
		code:   2,
		stderr: "No policy named: none\n",
	}, {
		args:    []string{"policy", "list"},
		answers: map[string]answer{"GET sys/policies/acl?list=true": ok(`{"data":{"keys":["default","p","root"]}}`)},
		stdout:  "default\np\nroot\n",
	}, {
		args:    []string{"policy", "list", "-format=json"},
		answers: map[string]answer{"GET sys/policies/acl?list=true": ok(`{"data":{"keys":["default","root"]}}`)},
		stdout:  "[\n  \"default\",\n  \"root\"\n]\n",
	}, {
		args:    []string{"policy", "delete", "p"},
		answers: map[string]answer{"DELETE sys/policies/acl/p": noContent},
		stdout:  "Success! Deleted policy: p\n",
	}})
}

func TestPolicyFmt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p.hcl")
	if err := os.WriteFile(file, []byte("path \"a\"   {\ncapabilities=[\"read\"]\n}"), 0o600); err != nil {
		t.Fatal(err)
	}
	term := newTerminal(t, nil)
	if got := term.run("policy", "fmt", file); got.code != 0 || got.stdout != "Success! Formatted policy: "+file+"\n" {
		t.Errorf("%+v", got)
	}
	content, _ := os.ReadFile(file)
	if want := "path \"a\" {\n  capabilities = [\"read\"]\n}\n"; string(content) != want {
		t.Errorf("formatted as %q, want %q", content, want)
	}
	if err := os.WriteFile(file, []byte("path {"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := term.run("policy", "fmt", file); got.code != 1 || !strings.HasPrefix(got.stderr, "Error formatting policy file ") {
		t.Errorf("nonsense: %+v", got)
	}
}
