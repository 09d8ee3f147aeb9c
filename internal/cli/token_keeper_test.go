package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTokenHelper has a program of the user's keep the token: it gets it through a pipe, and none of it lands in the token file.
func TestTokenHelper(t *testing.T) {
	server := serve(t, map[string]answer{
		"PUT auth/userpass/login/ada": ok(methodLogin),
		"GET secret/a":                ok(`{"data":{"x":"1"}}`),
	})
	term := newTerminal(t, server)
	delete(term.env, "VAULT_TOKEN")
	home := term.env["HOME"]
	helper := filepath.Join(home, "helper")
	script := "#!/bin/sh\ncase $1 in\nget) cat " + home + "/kept 2>/dev/null; exit 0;;\nstore) cat > " + home + "/kept; echo \"$VAULT_ADDR\" > " + home + "/addr;;\n*) exit 3;;\nesac\n"
	if err := os.WriteFile(helper, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".vault"), []byte("token_helper = \""+helper+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := term.run("login", "-no-print", "-method=userpass", "username=ada", "password=x"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	kept, _ := os.ReadFile(filepath.Join(home, "kept"))
	if len(kept) == 0 || !strings.Contains(methodLogin, string(kept)) {
		t.Errorf("the helper keeps %q", kept)
	}
	if address, _ := os.ReadFile(filepath.Join(home, "addr")); strings.TrimSpace(string(address)) != server.url {
		t.Errorf("the helper was told of %q", address)
	}
	if _, err := os.Stat(term.tokenPath()); err == nil {
		t.Error("the token is in a file too")
	}
	if got := term.run("read", "secret/a"); got.code != 0 || server.last().header.Get("X-Vault-Token") != string(kept) {
		t.Errorf("%+v, sent %q", got, server.last().header.Get("X-Vault-Token"))
	}
	if got := term.run("print", "token"); got.stdout != string(kept)+"\n" {
		t.Errorf("print token: %q", got.stdout)
	}

	if err := os.WriteFile(helper, []byte("#!/bin/sh\necho 'the keychain is locked' >&2; exit 4\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := term.run("read", "secret/a"); got.code != 1 || !strings.Contains(got.stderr, "Error getting the token from the token helper") || !strings.Contains(got.stderr, "keychain is locked") {
		t.Errorf("a helper that fails: %+v", got)
	}
}

func TestTokenHelperConfiguration(t *testing.T) {
	term := newTerminal(t, nil)
	delete(term.env, "VAULT_TOKEN")
	term.env["VAULT_CONFIG_PATH"] = filepath.Join(term.env["HOME"], "other")
	for text, want := range map[string]string{
		`token_helper = "helper"`: "must be an absolute path",
		`tokenhelper = "/x"`:      "it knows token_helper only",
		`token_helper = {`:        "Error reading",
	} {
		if err := os.WriteFile(term.env["VAULT_CONFIG_PATH"], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := term.run("print", "token"); got.code != 1 || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: %+v", text, got)
		}
	}
}
