package cli

import (
	"slices"
	"testing"
)

func TestAudit(t *testing.T) {
	server := serve(t, map[string]answer{
		"PUT sys/audit/file":   noContent,
		"PUT sys/audit/a/b":    {400, `{"errors":["cannot enable audit device via API"]}`},
		"DELETE sys/audit/a/b": noContent,
		"GET sys/audit": ok(`{"data":{"file/":{"type":"file","description":"","options":{"file_path":"/l","mode":"0600"},"local":false,"path":"file/"},
			"net/":{"type":"socket","description":"for the SIEM","options":{},"local":true,"path":"net/"}}}`),
	})
	term := newTerminal(t, server)
	for _, tc := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"audit", "enable", "file", "file_path=/l", "mode=0640"}, 0, "Success! Enabled the file audit device at: file/\n", ""},
		{[]string{"audit", "enable", "-path=/a/b/", "-description=d", "-local", "socket"}, 2, "",
			"Error enabling audit device: Error making API request.\n\nURL: PUT " + server.url + "/v1/sys/audit/a/b\nCode: 400. Errors:\n\n* cannot enable audit device via API\n"},
		{[]string{"audit", "enable", "file", "file_path"}, 1, "", "Failed to parse options: missing = in KV pair: \"file_path\"\n"},
		{[]string{"audit", "disable", "a/b"}, 0, "Success! Disabled audit device (if it was enabled) at: a/b/\n", ""},
		{[]string{"audit", "list"}, 0, "Path     Type      Description\n----     ----      -----------\nfile/    file      n/a\nnet/     socket    for the SIEM\n", ""},
		{[]string{"audit", "list", "-detailed"}, 0, "Path     Type      Description     Replication    Options\n----     ----      -----------     -----------    -------\n" +
			"file/    file      n/a             replicated     file_path=/l mode=0600\nnet/     socket    for the SIEM    local          n/a\n", ""},
	} {
		if got := term.run(tc.args...); got.code != tc.code || got.stdout != tc.stdout || got.stderr != tc.stderr {
			t.Errorf("%q: exit %d\n%s\n%s", tc.args, got.code, got.stdout, got.stderr)
		}
	}
	want := []string{
		`PUT sys/audit/file {"type":"file","description":"","options":{"file_path":"/l","mode":"0640"},"local":false}`,
		`PUT sys/audit/a/b {"type":"socket","description":"d","options":{},"local":true}`,
		"DELETE sys/audit/a/b", "GET sys/audit", "GET sys/audit",
	}
	if got := server.lines(); !slices.Equal(got, want) {
		t.Errorf("asked %q", got)
	}
	none := newTerminal(t, serve(t, map[string]answer{"GET sys/audit": ok(`{"data":{}}`)}))
	if got := none.run("audit", "list"); got.code != 2 || got.stderr != "No audit devices are enabled.\n" {
		t.Errorf("an empty list: exit %d, %q, %q", got.code, got.stdout, got.stderr)
	}
	if got := none.run("audit", "list", "-format=json"); got.code != 0 || got.stdout != "{}\n" {
		t.Errorf("an empty list in JSON: exit %d, %q, %q", got.code, got.stdout, got.stderr)
	}
}
