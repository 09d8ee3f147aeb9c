package cli

import "testing"

func TestUnwrap(t *testing.T) {
	server := serve(t, map[string]answer{"PUT sys/wrapping/unwrap": ok(`{"request_id":"r","data":{"password":"s3cret"}}`)})
	term := newTerminal(t, server)
	term.env["VAULT_WRAP_TTL"] = "60"
	const table = "Key         Value\n---         -----\npassword    s3cret\n"
	for _, c := range []struct {
		args          []string
		stdout, token string
	}{
		{[]string{"unwrap", "hvs.wrap"}, table, "hvs.wrap"},
		{[]string{"unwrap", "-field=password", "hvs.wrap"}, "s3cret", "hvs.wrap"},
		{[]string{"unwrap"}, table, term.env["VAULT_TOKEN"]},
	} {
		got := term.run(c.args...)
		if got.code != 0 || got.stdout != c.stdout {
			t.Errorf("%q: %+v, want %q", c.args, got, c.stdout)
		}
		sent := server.last()
		if token := sent.header.Get("X-Vault-Token"); token != c.token {
			t.Errorf("%q was sent with token %q, want %q", c.args, token, c.token)
		}
		if ttl := sent.header.Get("X-Vault-Wrap-Ttl"); ttl != "" {
			t.Errorf("%q asked for wrapping (%s)", c.args, ttl)
		}
	}
}

func TestUnwrapOfNothing(t *testing.T) {
	server := serve(t, map[string]answer{"PUT sys/wrapping/unwrap": {400, `{"errors":["wrapping token is not valid or does not exist"]}`}})
	if got := newTerminal(t, server).run("unwrap", "hvs.gone"); got.code != 2 || got.stdout != "" {
		t.Errorf("unwrap of a token that is gone: %+v", got)
	}
}
