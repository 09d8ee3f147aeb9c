package compat

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Commands that look at a server, and what a shell and a token helper make of the program, as people type them.
func TestCommandsAroundTheServer(t *testing.T) {
	s := startDev(t)
	if err := os.WriteFile(filepath.Join(s.home, ".bashrc"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	helper := filepath.Join(s.home, "helper")
	if err := os.WriteFile(helper, []byte("#!/bin/sh\ncase $1 in get) cat \"$HOME/kept\" 2>/dev/null; exit 0;; store) cat >\"$HOME/kept\";; esac\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	const in = "export VAULT_TOKEN=root; "
	s.runSteps(t, []step{
		{run: in + "vault version-history", stdout: "Version      Installation Time       Build Date\n-------      -----------------       ----------\n{any}    {time}    {any}\n"},
		{run: in + "vault version-history -format=json | grep build_date", stdout: "        \"build_date\": null,\n"},
		{run: in + "vault plugin info -field=builtin secret transit", stdout: "true"},
		{run: in + "vault plugin list -detailed secret", stdout: "Name{any}Version{any}Container{any}Deprecation Status\n{rest}kv {any}n/a {any}false {any}supported\n{rest}"},
		{run: in + "vault auth enable -path=people userpass", stdout: "Success! Enabled userpass auth method at: people/\n"},
		{run: in + "vault auth help people/", stdout: "Usage: vault login -method=userpass username=NAME [password=PASSWORD]\n{rest}"},
		{run: in + "vault auth move people users", stdout: "Started moving auth method auth/people/ to auth/users/, with migration ID {uuid}\n" +
			"Success! Finished moving auth method auth/people/ to auth/users/, with migration ID {uuid}\n"},
		{run: in + "vault read secret/none", stderr: "WARNING! The following warnings were returned from Vault:\n\n  * Invalid path for a versioned K/V secrets engine.{rest}"},
		{run: in + "vault kv put -mount=secret a/1 k=v >/dev/null && vault kv put -mount=secret a/2 k=v >/dev/null && vault kv put -mount=secret b k=v >/dev/null"},
		{run: in + "vault kv list -after=a/ -mount=secret", stdout: "Keys\n----\nb\n"},
		{run: in + "vault kv list -limit=1 -mount=secret", stdout: "Keys\n----\na/\n"},
		{run: in + "vault scan secret/metadata", stdout: "Keys\n----\na/1\na/2\nb\n"},
		{run: in + "COMP_LINE='vault kv get secret/a/' vault", stdout: "secret/a/1\nsecret/a/2\n"},
		{run: in + "vault -autocomplete-install && grep -c 'complete -C .* vault$' .bashrc", stdout: "1\n"},
		{run: "vault agent -config=x", code: 1, stderr: "\"vault agent\" is a Vault command that this release does not have yet.\n"},
		{run: in + "vault token create -format=raw", code: 1, stdout: "", stderr: "This command does not support the -format=raw option.\n"},
		{run: in + "vault operator members | tail -n 1", stdout: "{any}    " + s.addr + "    n/a                true {any}\n"},
		// The development server has kept its token in the file; with a helper there, nothing else does.
		{run: "echo 'token_helper = \"'$HOME/helper'\"' >.vault && rm .vault-token && vault login -no-print root && cat kept && ls .vault-token", code: 2, stdout: "root", stderr: "ls: {rest}"},
		{run: "vault token lookup -field=id", stdout: "root"},
		{run: in + "vault debug -duration=1s -interval=1s -metrics-interval=1s -output=seen -target=server-status -target=pprof >/dev/null && tar tzf seen.tar.gz | sed 's/[0-9TZ:-]*//g' | sort -u",
			stdout: "seen//allocs.prof\nseen//block.prof\nseen//goroutine.prof\nseen//heap.prof\nseen//mutex.prof\n{rest}seen/index.json\nseen/server_status.json\n"},
	})
	if text, err := os.ReadFile(filepath.Join(s.home, "kept")); err != nil || strings.TrimSpace(string(text)) != "root" {
		t.Errorf("the helper keeps %q, %v", text, err)
	}
}
