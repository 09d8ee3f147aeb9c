package cli

import (
	"context"
	"flag"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func testFlags() *flag.FlagSet {
	f := flag.NewFlagSet("test", flag.ContinueOnError)
	f.String("field", "", "")
	f.Bool("detailed", false, "")
	return f
}

func TestCommandLine(t *testing.T) {
	server := serve(t, map[string]answer{"GET secret/x": ok(`{"data":{"a":"1"}}`)})
	for _, tc := range []struct {
		args   []string
		code   int
		stdout string // a part
		stderr string // a part
	}{
		{[]string{}, 127, "", "Usage: vault <command> [args]"},
		{[]string{"-h"}, 0, "Usage: vault <command> [args]", ""},
		{[]string{"--help"}, 0, "    policy ", ""},
		{[]string{"bogus"}, 127, "", "Unknown command: vault bogus\n"},
		{[]string{"nonsense"}, 127, "", "Unknown command: vault nonsense\n"},
		{[]string{"kv"}, 1, "", "Usage: vault kv <subcommand> [options] [args]"},
		{[]string{"kv", "-h"}, 0, "enable-versioning", ""},
		{[]string{"kv", "bogus"}, 1, "", "Unknown command: vault kv bogus\n"},
		{[]string{"kv", "put", "-h"}, 0, "Usage: vault kv put [options] KEY [DATA]\n", ""},
		{[]string{"kv", "metadata", "patch", "-help"}, 0, "-remove-custom-metadata=<key>", ""},
		{[]string{"version"}, 0, "Strongroom v1.2.3 (abc123), built 2026-01-02T03:04:05Z\n", ""},
		{[]string{"-version"}, 0, "Strongroom v1.2.3", ""},
		{[]string{"--version"}, 0, "Strongroom v1.2.3", ""},
		{[]string{"-v"}, 0, "Strongroom v1.2.3", ""},
		{[]string{"read"}, 1, "", "Not enough arguments (expected 1+, got 0)\n"},
		{[]string{"list", "a", "b"}, 1, "", "Too many arguments (expected 1, got 2)\n"},
		{[]string{"policy", "write", "x"}, 1, "", "Not enough arguments (expected 2, got 1)\n"},
		{[]string{"status", "-bogus"}, 1, "", "flag provided but not defined: -bogus\n"},
		{[]string{"status", "-format=xml"}, 1, "", "Invalid output format: xml (valid: table, json, yaml, pretty, raw)\n"},
		{[]string{"status", "-format=raw", "-address=" + server.url}, 1, "", ""},
		{[]string{"token", "create", "-ttl=soon"}, 1, "", "invalid value \"soon\" for flag -ttl: \"soon\" is no duration"},
		{[]string{"read", "-header=x-vault-token=t", "a"}, 1, "", "Header \"x-vault-token\" is reserved"},
		{[]string{"read", "secret/x", "-field=a"}, 0, "", "Command flags must be provided before positional arguments. " +
			"The following arguments will not be parsed as flags: [-field=a]\n"},
		{[]string{"server"}, 1, "", "This build has no server in it.\n"},
		{[]string{"tls", "ensure"}, 1, "", "This build has no tls in it.\n"},
		{[]string{"pki"}, 1, "", "\"vault pki\" is a Vault command that this release does not have yet.\n"},
		{[]string{"pki", "x"}, 1, "", "does not have yet"},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			term := newTerminal(t, server)
			got := term.run(tc.args...)
			if got.code != tc.code || !strings.Contains(got.stdout, tc.stdout) || !strings.Contains(got.stderr, tc.stderr) {
				t.Errorf("got %+v, want code %d, %q in stdout, %q in stderr", got, tc.code, tc.stdout, tc.stderr)
			}
		})
	}
}

func TestPrograms(t *testing.T) {
	for _, name := range []string{"server", "tls"} {
		term := newTerminal(t, nil)
		var got []string
		term.programs = map[string]Program{name: func(_ context.Context, args []string) int {
			got = args
			return 42
		}}
		if r := term.run(name, "-dev", "-config=x"); r.code != 42 || !slices.Equal(got, []string{"-dev", "-config=x"}) {
			t.Errorf("%s: code %d, args %q", name, r.code, got)
		}
	}
}

// Every command explains itself, under its own name, with each of its flags.
func TestEveryCommandHasHelp(t *testing.T) {
	term := newTerminal(t, nil)
	var visit func(c *command, path []string)
	visit = func(c *command, path []string) {
		if c.absent || c.program {
			return
		}
		got := term.run(append(slices.Clone(path), "-h")...)
		if got.code != 0 || got.stderr != "" || !strings.HasPrefix(got.stdout, strings.TrimSpace("Usage: vault "+strings.Join(path, " "))) {
			t.Errorf("%q -h: %+v", path, got)
		}
		if c.name != "" && c.synopsis == "" {
			t.Errorf("%q has no synopsis", path)
		}
		if strings.Contains(got.stdout, "{cmd}") || strings.Contains(got.stdout, "{program}") {
			t.Errorf("%q -h: placeholders left in\n%s", path, got.stdout)
		}
		for line := range strings.Lines(got.stdout) {
			if len(strings.TrimSuffix(line, "\n")) > 118 {
				t.Errorf("%q -h: long line %q", path, line)
			}
		}
		if c.setup != nil && c.output >= plain && !strings.Contains(got.stdout, "-address=") {
			t.Errorf("%q -h does not show the HTTP flags", path)
		}
		for _, sub := range c.sub {
			visit(sub, append(slices.Clone(path), sub.name))
		}
	}
	visit(commands("vault", Build{}), nil)
}

func TestLateFlags(t *testing.T) {
	got := lateFlags(testFlags(), []string{"secret/x", "-field=a", "--detailed", "-5", "-", "-other", "k=-field", "x"})
	if want := []string{"-field=a", "--detailed"}; !slices.Equal(got, want) {
		t.Errorf("late flags %q, want %q", got, want)
	}
}

func TestColours(t *testing.T) {
	term := newTerminal(t, serve(t, nil))
	if got := term.run("read", "none"); got.stderr != "No value found at none\n" {
		t.Errorf("piped: %q", got.stderr)
	}
	term.errIsTTY = true
	if got := term.run("read", "none"); got.stderr != "\x1b[31mNo value found at none\x1b[0m\n" {
		t.Errorf("on a terminal: %q", got.stderr)
	}
	term.env["VAULT_CLI_NO_COLOR"] = "1"
	if got := term.run("read", "none"); got.stderr != "No value found at none\n" {
		t.Errorf("with VAULT_CLI_NO_COLOR: %q", got.stderr)
	}
}

func TestClientEnvironment(t *testing.T) {
	server := serve(t, map[string]answer{"GET x": ok(`{"data":{"ttl":3600}}`)})
	term := newTerminal(t, server)
	term.env["VAULT_NAMESPACE"] = "team/"
	term.env["VAULT_FORMAT"] = "json"
	term.env["VAULT_WRAP_TTL"] = "5m"
	got := term.run("read", "-header=X-Trace=1", "-field=ttl", "x")
	if got.stdout != "3600\n" {
		t.Errorf("output %q", got.stdout)
	}
	for name, want := range map[string]string{
		"X-Vault-Token": "root-token", "X-Vault-Namespace": "team", "X-Vault-Wrap-Ttl": "5m0s", "X-Trace": "1", "X-Vault-Request": "true",
	} {
		if value := server.last().header.Get(name); value != want {
			t.Errorf("header %s: %q, want %q", name, value, want)
		}
	}
	term.run("read", "-ns=other", "x")
	if value := server.last().header.Get("X-Vault-Namespace"); value != "other" {
		t.Errorf("-ns: namespace %q", value)
	}

	delete(term.env, "VAULT_ADDR")
	got = term.run("read", "-output-curl-string", "x")
	if !strings.Contains(got.stderr, "WARNING! VAULT_ADDR and -address unset. Defaulting to https://127.0.0.1:8200.\n") ||
		!strings.HasSuffix(got.stdout, " https://127.0.0.1:8200/v1/x\n") {
		t.Errorf("no address: %+v", got)
	}
	got = term.run("read", "-address=http://127.0.0.1:1", "-ca-cert=/does/not/exist", "x")
	if got.code != 1 || !strings.Contains(got.stderr, "Error setting up TLS: ") {
		t.Errorf("no certificate: %+v", got)
	}
}

func TestUnreachableServer(t *testing.T) {
	term := newTerminal(t, nil)
	term.env["VAULT_ADDR"] = "gopher://127.0.0.1" // refused by the transport, with nothing to wait for
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"read", "secret/x"}, 2, "Error reading secret/x: "},
		{[]string{"status"}, 1, "Error checking seal status: "},
	} {
		got := term.run(tc.args...)
		if got.code != tc.code || !strings.HasPrefix(got.stderr, tc.want) {
			t.Errorf("%q: %+v, want code %d, %q", tc.args, got, tc.code, tc.want)
		}
	}
}

func TestHints(t *testing.T) {
	t.Setenv("VAULT_MAX_RETRIES", "0")
	server := serve(t, nil)
	term := newTerminal(t, server)
	got := term.run("read", "-address="+strings.Replace(server.url, "http:", "https:", 1), "x")
	if got.code != 2 || !strings.HasSuffix(got.stderr, "\n\nThe server speaks plain HTTP: give its address as http://, with -address or VAULT_ADDR.\n") {
		t.Errorf("HTTPS to an HTTP server: %+v", got)
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	got = term.run("status", "-address="+gone.URL)
	if got.code != 1 || !strings.HasSuffix(got.stderr, "\n\nNothing listens there: start the server, or give its address with -address or VAULT_ADDR.\n") {
		t.Errorf("no server: %+v", got)
	}
}
