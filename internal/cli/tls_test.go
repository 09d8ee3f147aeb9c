package cli

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"data":{"a":"b"}}`)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("VAULT_MAX_RETRIES", "0")
	for _, tc := range []struct {
		name string
		env  map[string]string
		args []string
		ok   bool
	}{
		{"unknown authority", nil, nil, false},
		{"-ca-cert", nil, []string{"-ca-cert=" + ca}, true},
		{"VAULT_CACERT", map[string]string{"VAULT_CACERT": ca}, nil, true},
		{"-tls-skip-verify", nil, []string{"-tls-skip-verify"}, true},
		{"VAULT_SKIP_VERIFY", map[string]string{"VAULT_SKIP_VERIFY": "true"}, nil, true},
		{"the flag wins over the variable", map[string]string{"VAULT_SKIP_VERIFY": "true"}, []string{"-tls-skip-verify=false"}, false},
		{"another name", nil, []string{"-ca-cert=" + ca, "-tls-server-name=other.test"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			term := newTerminal(t, nil)
			term.env["VAULT_ADDR"] = server.URL
			for name, value := range tc.env {
				term.env[name] = value
			}
			got := term.run(append(append([]string{"read", "-field=a"}, tc.args...), "x")...)
			if tc.ok && (got.code != 0 || got.stdout != "b") {
				t.Errorf("%+v", got)
			}
			if tc.name == "unknown authority" && !strings.HasSuffix(got.stderr, "name its CA with -ca-cert or VAULT_CACERT.\n") {
				t.Errorf("no hint in %q", got.stderr)
			}
			if !tc.ok && (got.code != 2 || !strings.Contains(got.stderr, "x509: ")) {
				t.Errorf("%+v, want a refusal", got)
			}
		})
	}
}
