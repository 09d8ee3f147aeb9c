package compat

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// withHVAC is a Python that has the stock client: make test installs Debian's.
func withHVAC(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.CommandContext(t.Context(), python, "-c", "import hvac").Run() == nil {
			return python
		}
	}
	t.Fatal("this test needs Python with hvac: make test installs it, as does apt-get install python3-hvac")
	return ""
}

// The stock Python client against a server nobody has initialized: python/client.py.
func TestPythonClient(t *testing.T) {
	python := withHVAC(t)
	s := startFile(t, "")
	cmd := exec.CommandContext(t.Context(), python, "python/client.py")
	cmd.Env = append(os.Environ(), "VAULT_ADDR="+s.addr, "PYTHONWARNINGS=ignore")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "ok") {
		t.Errorf("hvac: %v\n%s", err, out)
	}
}
