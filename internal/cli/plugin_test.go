package cli

import (
	"net/http"
	"strings"
	"testing"
)

const catalog = `{"data":{"auth":["userpass"],"database":[],"secret":["kv"],"detailed":[
	{"type":"secret","name":"kv","builtin":true,"deprecation_status":"supported"},
	{"type":"auth","name":"userpass","builtin":true,"version":"v1.0.0+builtin","deprecation_status":"supported"}]}}`

func TestCatalogue(t *testing.T) {
	answers := map[string]answer{
		"GET sys/plugins/catalog":           ok(catalog),
		"GET sys/plugins/catalog/secret/kv": ok(`{"data":{"args":[],"builtin":true,"command":"","deprecation_status":"supported","name":"kv","sha256":"","version":""}}`),
		"GET sys/version-history?list=true": ok(`{"data":{"keys":["1.0.0","1.1.0"],"key_info":{
			"1.0.0":{"build_date":null,"previous_version":null,"timestamp_installed":"2026-01-02T03:04:05Z"},
			"1.1.0":{"build_date":"2026-02-01T00:00:00Z","previous_version":"1.0.0","timestamp_installed":"2026-02-02T03:04:05Z"}}}}`),
	}
	runGolden(t, []goldenCase{
		{args: []string{"plugin", "list"}, answers: answers, stdout: `Name        Type      Version
----        ----      -------
userpass    auth      v1.0.0+builtin
kv          secret    n/a
`},
		{args: []string{"plugin", "list", "-detailed", "secret"}, answers: answers, stdout: `Name    Version    Container    Deprecation Status
----    -------    ---------    ------------------
kv      n/a        false        supported
`},
		{args: []string{"plugin", "list", "-format=json"}, answers: answers, stdout: `{
  "auth": [
    "userpass"
  ],
  "secret": [
    "kv"
  ]
}
`},
		{args: []string{"plugin", "list", "nonsense"}, answers: answers, code: 1, stderr: "Error parsing type \"nonsense\": it must be auth, secret or database\n"},
		{args: []string{"plugin", "info", "secret", "kv"}, answers: answers, stdout: `Key                   Value
---                   -----
args                  []
builtin               true
command               n/a
deprecation_status    supported
name                  kv
oci_image             n/a
runtime               n/a
sha256                n/a
version               n/a
`},
		{args: []string{"plugin", "info", "-field=builtin", "secret", "kv"}, answers: answers, stdout: "true"},
		{args: []string{"plugin", "register", "x"}, code: 1, stderr: "\"vault plugin register\" is a Vault command that this release does not have yet.\n"},
		{args: []string{"version-history"}, answers: answers, stdout: `Version    Installation Time       Build Date
-------    -----------------       ----------
1.0.0      2026-01-02T03:04:05Z    n/a
1.1.0      2026-02-02T03:04:05Z    2026-02-01T00:00:00Z
`},
	})
}

func TestAuthHelpAndMove(t *testing.T) {
	answers := map[string]answer{
		"GET sys/auth":              ok(`{"data":{"people/":{"type":"userpass"},"odd/":{"type":"odd"}}}`),
		"POST sys/remount":          ok(`{"migration_id":"m1"}`),
		"PUT sys/remount":           ok(`{"migration_id":"m1"}`),
		"GET sys/remount/status/m1": ok(`{"data":{"migration_id":"m1","migration_info":{"source_mount":"auth/a/","target_mount":"auth/b/","status":"success"}}}`),
	}
	help := "Usage: vault login -method=userpass username=NAME [password=PASSWORD]\n\n  Logs in with a name and a password, which is asked for if it is missing.\n"
	runGolden(t, []goldenCase{
		{args: []string{"auth", "help", "userpass"}, stdout: help, sent: []string{}},
		{args: []string{"auth", "help", "people/"}, answers: answers, stdout: help},
		{args: []string{"auth", "help", "odd/"}, answers: answers, code: 1, stderr: "No help is known for the auth method \"odd\": \"vault path-help auth/odd/\" lists its paths\n"},
		{args: []string{"auth", "help", "none"}, answers: answers, code: 1,
			stderr: "Error retrieving help: unknown auth method \"none\": it is neither a type nor the path of one that is enabled\n"},
		{args: []string{"auth", "move", "a", "auth/b/"}, answers: answers, stdout: `Started moving auth method auth/a/ to auth/b/, with migration ID m1
Success! Finished moving auth method auth/a/ to auth/b/, with migration ID m1
`},
	})
}

func TestAbsentCommands(t *testing.T) {
	for _, command := range []string{"agent", "proxy", "ssh", "pki health-check", "transform", "operator usage", "operator migrate", "operator diagnose"} {
		got := newTerminal(t, nil).run(strings.Fields(command)...)
		if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, "is a Vault command that this release does not have yet") {
			t.Errorf("%s: %+v", command, got)
		}
	}
}

// TestSharedFlags: flags of every command arrive at the server as what they are.
func TestSharedFlags(t *testing.T) {
	server := serve(t, map[string]answer{"GET secret/a": ok(`{"data":{"x":"1"}}`), "GET away": {http.StatusTemporaryRedirect, ""}})
	term := newTerminal(t, server)
	if got := term.run("read", "-mfa=totp:123456", "-mfa=duo", "-policy-override", "-header=X-Team=a", "-format=pretty", "secret/a"); got.code != 0 || got.stdout != "Key    Value\n---    -----\nx      1\n" {
		t.Errorf("%+v", got)
	}
	h := server.last().header
	if mfa := h.Values("X-Vault-MFA"); len(mfa) != 2 || mfa[0] != "totp:123456" || h.Get("X-Vault-Policy-Override") != "true" || h.Get("X-Team") != "a" {
		t.Errorf("sent %v", h)
	}
	term.env["VAULT_MFA"] = "totp:7"
	term.run("read", "secret/a")
	if mfa := server.last().header.Get("X-Vault-MFA"); mfa != "totp:7" {
		t.Errorf("VAULT_MFA sends %q", mfa)
	}
}

// TestPages: -after and -limit go to the server, and a list without them is an ordinary list.
func TestPages(t *testing.T) {
	keys := ok(`{"data":{"keys":["b","c"]}}`)
	answers := map[string]answer{
		"GET x?after=a&limit=2&list=true": keys, "GET x?list=true": keys, "GET x?after=a&scan=true": keys,
		"GET sys/internal/ui/mounts/secret":             ok(`{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`),
		"GET secret/metadata?after=a&limit=2&list=true": keys,
	}
	const table = "Keys\n----\nb\nc\n"
	runGolden(t, []goldenCase{
		{args: []string{"list", "-after=a", "-limit=2", "x"}, answers: answers, stdout: table},
		{args: []string{"list", "x"}, answers: answers, stdout: table},
		{args: []string{"scan", "-after=a", "x"}, answers: answers, stdout: table},
		{args: []string{"kv", "list", "-after=a", "-limit=2", "secret"}, answers: answers, stdout: table},
		{args: []string{"list", "-limit=1", "none"}, answers: answers, code: 2, stderr: "No value found at none\n"},
		{args: []string{"scan", "-output-policy", "x"}, stdout: "path \"x\" {\n  capabilities = [\"scan\"]\n}\n", sent: []string{}},
	})
}

// TestWarningsAlone: an answer without data is no empty table.
func TestWarningsAlone(t *testing.T) {
	runGolden(t, []goldenCase{{args: []string{"read", "secret/a"}, answers: map[string]answer{"GET secret/a": {404, `{"warnings":["Invalid path."]}`}},
		stderr: "WARNING! The following warnings were returned from Vault:\n\n  * Invalid path.\n\n"}})
}
