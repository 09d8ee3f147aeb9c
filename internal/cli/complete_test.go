package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestComplete(t *testing.T) {
	server := serve(t, map[string]answer{
		"GET sys/internal/ui/mounts":        ok(`{"data":{"secret":{"secret/":{"type":"kv"},"cubbyhole/":{}},"auth":{"token/":{},"userpass/":{}}}}`),
		"GET sys/internal/ui/mounts/secret": ok(`{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`),
		"GET secret/metadata?list=true":     ok(`{"data":{"keys":["app","apps/","other"]}}`),
		"GET sys/policies/acl?list=true":    ok(`{"data":{"keys":["default","dev","root"]}}`),
	})
	for _, c := range []struct {
		line  string
		asked []string
		want  string
	}{
		{"vault kv e", nil, "enable-versioning\n"},
		{"vault kv  metadata p", nil, "patch\nput\n"},
		{"vault pk", nil, ""}, // what is absent is not offered
		{"vault kv get -fie", nil, "-field\n"},
		{"vault kv get -format ", nil, "json\npretty\ntable\nyaml\n"},
		{"vault kv get -format=j", nil, "-format=json\n"},
		{"vault kv get -format=j", []string{"vault", "j", "="}, "json\n"}, // as bash asks
		{"vault kv get s", nil, "secret/\n"},
		{"vault kv get secret/a", nil, "secret/app\nsecret/apps/\n"},
		{"vault read auth/u", nil, "auth/userpass/\n"},
		{"vault policy read d", nil, "default\ndev\n"},
		{"vault auth tune ", nil, "token/\nuserpass/\n"},
		{"vault operator init ", nil, ""},
		{"", nil, ""},
	} {
		term := newTerminal(t, server)
		term.env["COMP_LINE"] = c.line
		if got := term.run(c.asked...); got.code != 0 || got.stdout != c.want || got.stderr != "" {
			t.Errorf("%q %q: %d %q %q, want %q", c.line, c.asked, got.code, got.stdout, got.stderr, c.want)
		}
	}
	term := newTerminal(t, server)
	term.env["COMP_LINE"], term.env["COMP_POINT"] = "vault kv ge secret/app", "11"
	if got := term.run(); got.stdout != "get\n" {
		t.Errorf("in the middle of a line: %q", got.stdout)
	}
	term.env["COMP_LINE"], term.env["COMP_POINT"], term.env["VAULT_ADDR"] = "vault read s", "", "http://127.0.0.1:1"
	if got := term.run(); got != (result{}) {
		t.Errorf("with no server: %+v", got)
	}
}

func TestInstallCompletion(t *testing.T) {
	term := newTerminal(t, nil)
	home := term.env["HOME"]
	if got := term.run("-autocomplete-install"); got.code != 1 || !strings.Contains(got.stderr, "Nothing was installed") {
		t.Errorf("with no shell: %+v", got)
	}
	before := map[string]string{".bashrc": "export A=1", ".zshrc": "", ".config/fish/config.fish": ""}
	for name, text := range before {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(home, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(home, name))
		return string(text)
	}
	for range 2 { // the second changes nothing
		term.run("-autocomplete-install")
		if text := read(".bashrc"); !strings.HasPrefix(text, "export A=1\ncomplete -C ") || !strings.HasSuffix(text, " vault\n") || strings.Count(text, "complete") != 1 {
			t.Errorf(".bashrc: %q", text)
		}
		if text := read(".zshrc"); strings.Count(text, "bashcompinit && complete -o nospace -C ") != 1 {
			t.Errorf(".zshrc: %q", text)
		}
		if text := read(".config/fish/completions/vault.fish"); !strings.Contains(text, `complete -f -c vault -a "(__complete_vault)"`) {
			t.Errorf("fish: %q", text)
		}
	}
	if got := term.run("-autocomplete-uninstall"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if read(".bashrc") != "export A=1\n" || read(".zshrc") != "" || read(".config/fish/completions/vault.fish") != "" {
		t.Errorf("left behind: %q, %q", read(".bashrc"), read(".zshrc"))
	}
}

func TestQuote(t *testing.T) {
	for text, want := range map[string]string{"/usr/bin/vault": "/usr/bin/vault", "/My Files/it's": `'/My Files/it'\''s'`} {
		if got := quote(text); got != want {
			t.Errorf("%s", got)
		}
	}
}
