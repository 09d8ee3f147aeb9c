package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	lookupSelf = `{"request_id":"r1","data":{"accessor":"acc-1","creation_time":1767322800,"creation_ttl":2764800,"display_name":"root",` +
		`"entity_id":"","expire_time":null,"explicit_max_ttl":0,"id":"hvs.t","meta":null,"num_uses":0,"orphan":true,"path":"auth/token/root",` +
		`"policies":["admin","default"],"identity_policies":["team"],"renewable":true,"ttl":2764799,"type":"service"}}`
	methodLogin = `{"auth":{"client_token":"hvs.new","accessor":"acc-2","policies":["app","default"],"token_policies":["app","default"],` +
		`"metadata":{"role":"app","username":"ada"},"lease_duration":86400,"renewable":true}}`

	stored = "Success! You are now authenticated. The token information displayed below\n" +
		"is already stored in the token helper. You do NOT need to run \"vault login\"\n" +
		"again. Future Vault requests will automatically use this token.\n\n"
	tokenTable = `Key                  Value
---                  -----
token                hvs.t
token_accessor       acc-1
token_duration       767h59m59s
token_renewable      true
token_policies       ["admin" "default"]
identity_policies    ["team"]
policies             ["admin" "default" "team"]
`
	methodTable = `Key                    Value
---                    -----
token                  hvs.new
token_accessor         acc-2
token_duration         24h
token_renewable        true
token_policies         ["app" "default"]
identity_policies      []
policies               ["app" "default"]
token_meta_role        app
token_meta_username    ada
`
)

func TestLogin(t *testing.T) {
	typed := "hvs.t"
	password := "pa ss"
	for _, tc := range []struct {
		name     string
		args     []string
		stdin    string
		password *string
		answers  map[string]answer
		code     int
		stdout   string
		stderr   string
		sent     string // the first request
		kept     string // what the token file holds then
	}{
		{name: "argument", args: []string{"hvs.t"}, stdout: stored + tokenTable, sent: "GET auth/token/lookup-self", kept: "hvs.t"},
		{name: "token=", args: []string{"token=hvs.t"}, stdout: stored + tokenTable, sent: "GET auth/token/lookup-self", kept: "hvs.t"},
		{name: "stdin", args: []string{"-"}, stdin: "hvs.t\n", stdout: stored + tokenTable, sent: "GET auth/token/lookup-self", kept: "hvs.t"},
		{name: "pipe", stdin: "hvs.t\n", stdout: stored + tokenTable, sent: "GET auth/token/lookup-self", kept: "hvs.t"},
		{name: "prompt", password: &typed, stdout: stored + tokenTable, stderr: "Token (will be hidden): \n", sent: "GET auth/token/lookup-self", kept: "hvs.t"},
		{name: "no-store", args: []string{"-no-store", "hvs.t"}, sent: "GET auth/token/lookup-self",
			stdout: "Success! You are now authenticated. The token was not stored in token helper.\n" +
				"Set the VAULT_TOKEN environment variable or pass the token below with each\nrequest to Vault.\n\n" + tokenTable},
		{name: "no-print", args: []string{"-no-print", "hvs.t"}, sent: "GET auth/token/lookup-self", kept: "hvs.t"},
		{name: "token-only", args: []string{"-token-only", "-method=kubernetes", "role=app", "jwt=j"}, stdout: "hvs.new",
			answers: map[string]answer{"PUT auth/kubernetes/login": ok(methodLogin)}, sent: `PUT auth/kubernetes/login {"jwt":"j","role":"app"}`},
		{name: "field", args: []string{"-field=token_accessor", "hvs.t"}, stdout: "acc-1", sent: "GET auth/token/lookup-self", kept: "hvs.t"},
		{name: "method and path", args: []string{"-method=kubernetes", "-path=auth/prod/", "role=app", "jwt=j"}, stdout: stored + methodTable,
			answers: map[string]answer{"PUT auth/prod/login": ok(methodLogin)}, sent: `PUT auth/prod/login {"jwt":"j","role":"app"}`, kept: "hvs.new"},
		{name: "userpass asks for the password", args: []string{"-method=userpass", "username=ada"}, password: &password, stdout: stored + methodTable,
			stderr:  "Password (will be hidden): \n",
			answers: map[string]answer{"PUT auth/userpass/login/ada": ok(methodLogin)}, sent: `PUT auth/userpass/login/ada {"password":"pa ss"}`, kept: "hvs.new"},
		{name: "userpass with a password", args: []string{"-method=userpass", "username=ada", "password=p"}, stdout: stored + methodTable,
			answers: map[string]answer{"PUT auth/userpass/login/ada": ok(methodLogin)}, sent: `PUT auth/userpass/login/ada {"password":"p"}`, kept: "hvs.new"},
		{name: "ldap takes the login name", args: []string{"-method=ldap", "password=p"}, stdout: stored + methodTable,
			answers: map[string]answer{"PUT auth/ldap/login/grace": ok(methodLogin)}, sent: `PUT auth/ldap/login/grace {"password":"p"}`, kept: "hvs.new"},
		{name: "userpass without a name", args: []string{"-method=userpass", "password=p"}, code: 1, stderr: "'username' must be specified: add username=NAME\n"},
		{name: "wrong token", args: []string{"wrong"}, answers: map[string]answer{"GET auth/token/lookup-self": {403, `{"errors":["permission denied"]}`}},
			code: 2, sent: "GET auth/token/lookup-self",
			stderr: "Error authenticating: error looking up token: Error making API request.\n\nURL: GET {url}/v1/auth/token/lookup-self\nCode: 403. Errors:\n\n* permission denied\n"},
		{name: "wrong role", args: []string{"-method=kubernetes", "role=x", "jwt=j"}, code: 2, sent: `PUT auth/kubernetes/login {"jwt":"j","role":"x"}`,
			answers: map[string]answer{"PUT auth/kubernetes/login": {403, `{"errors":["namespace not authorized"]}`}},
			stderr:  "Error authenticating: Error making API request.\n\nURL: PUT {url}/v1/auth/kubernetes/login\nCode: 403. Errors:\n\n* namespace not authorized\n"},
		{name: "nothing left of the token", args: []string{"-no-print", "-no-store", "hvs.t"}, code: 1,
			stderr: "Can't use -no-print together with -no-store or -token-only: the token would be lost\n"},
		{name: "too many", args: []string{"a", "b"}, code: 1, stderr: "Too many arguments (expected 0-1, got 2)\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answers := tc.answers
			if answers == nil {
				answers = map[string]answer{"GET auth/token/lookup-self": ok(lookupSelf)}
			}
			server := serve(t, answers)
			term := newTerminal(t, server)
			delete(term.env, "VAULT_TOKEN")
			term.env["USER"] = "grace"
			term.stdin, term.password = tc.stdin, tc.password
			got := term.run(append([]string{"login"}, tc.args...)...)
			if want := strings.ReplaceAll(tc.stderr, "{url}", server.url); got.code != tc.code || got.stderr != want {
				t.Errorf("code %d, stderr\n%s\nwant code %d\n%s", got.code, got.stderr, tc.code, want)
			}
			if got.stdout != tc.stdout {
				t.Errorf("stdout\n%s\nwant\n%s", got.stdout, tc.stdout)
			}
			lines := server.lines()
			if sent := strings.Join(lines[:min(1, len(lines))], ""); sent != tc.sent {
				t.Errorf("sent %s, want %s", sent, tc.sent)
			}
			kept, _ := os.ReadFile(term.tokenPath())
			if string(kept) != tc.kept {
				t.Errorf("the token file holds %q, want %q", kept, tc.kept)
			}
		})
	}
}

func TestLoginJSON(t *testing.T) {
	server := serve(t, map[string]answer{"GET auth/token/lookup-self": ok(lookupSelf)})
	got := newTerminal(t, server).run("login", "-format=json", "hvs.t")
	if !strings.HasPrefix(got.stdout, "{\n  \"request_id\": \"r1\",") || !strings.Contains(got.stdout, "\"client_token\": \"hvs.t\"") {
		t.Errorf("%+v", got)
	}
	if !strings.HasPrefix(got.stderr, "WARNING! The VAULT_TOKEN environment variable is set! The value of this\n") {
		t.Errorf("no warning that VAULT_TOKEN wins: %q", got.stderr)
	}
}

func TestLoginUnwrapsBeforeItKeeps(t *testing.T) {
	wrapped := `{"wrap_info":{"token":"hvs.wrap","ttl":60,"creation_time":"2026-01-02T03:04:05Z","creation_path":"p"}}`
	server := serve(t, map[string]answer{"PUT auth/jwt/login": ok(wrapped), "PUT sys/wrapping/unwrap": ok(methodLogin)})
	term := newTerminal(t, server)
	delete(term.env, "VAULT_TOKEN")
	got := term.run("login", "-method=jwt", "-wrap-ttl=60", "role=r")
	if kept, _ := os.ReadFile(term.tokenPath()); got.code != 0 || string(kept) != "hvs.new" {
		t.Errorf("%+v, kept %q", got, kept)
	}
	got = term.run("login", "-method=jwt", "-wrap-ttl=60", "-token-only", "role=r")
	if got.stdout != "hvs.wrap" {
		t.Errorf("-token-only printed %q, want the wrapping token", got.stdout)
	}
}

func TestTokenFile(t *testing.T) {
	home := t.TempDir()
	file := tokenFileIn(home)
	if token, err := file.read(); token != "" || err != nil {
		t.Fatalf("with no file: %q, %v", token, err)
	}
	path := filepath.Join(home, ".vault-token")
	if err := os.WriteFile(path, []byte("old\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if token, err := file.read(); token != "old" || err != nil {
		t.Fatalf("read %q, %v", token, err)
	}
	if err := file.write("new"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600 even though the old file was wider", info.Mode(), err)
	}
	if content, _ := os.ReadFile(path); string(content) != "new" {
		t.Errorf("content %q", content)
	}
	entries, err := os.ReadDir(home)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v: want the token file alone", entries, err)
	}
	if err := tokenFileIn(filepath.Join(home, "none")).write("x"); err == nil {
		t.Error("written into a folder that is not there")
	}
}

func TestTokenPrecedence(t *testing.T) {
	server := serve(t, map[string]answer{"GET x": ok(`{"data":{"a":"b"}}`)})
	term := newTerminal(t, server)
	if err := tokenFileIn(term.env["HOME"]).write("kept"); err != nil {
		t.Fatal(err)
	}
	if got := term.run("print", "token"); got.stdout != "root-token\n" {
		t.Errorf("VAULT_TOKEN does not win: %q", got.stdout)
	}
	delete(term.env, "VAULT_TOKEN")
	if got := term.run("print", "token"); got.stdout != "kept\n" {
		t.Errorf("the kept token is not used: %q", got.stdout)
	}
	term.run("read", "x")
	if token := server.last().header.Get("X-Vault-Token"); token != "kept" {
		t.Errorf("sent token %q", token)
	}
}

// A token that a terminal is asked for goes nowhere but to the server and the token file.
func TestLoginShowsNoTokenInErrors(t *testing.T) {
	server := serve(t, map[string]answer{"GET auth/token/lookup-self": {403, `{"errors":["permission denied"]}`}})
	got := newTerminal(t, server).run("login", "hvs.verysecret")
	if strings.Contains(got.stderr+got.stdout, "verysecret") {
		t.Errorf("the token is in %+v", got)
	}
}
