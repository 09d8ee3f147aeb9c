package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"regexp"
	"strings"
	"testing"
)

func tlsFor(roots *x509.CertPool, name string) *tls.Config {
	return &tls.Config{RootCAs: roots, ServerName: name}
}

func TestBanner(t *testing.T) {
	t.Setenv("SOME_PASSWORD", "hunter2")
	write(t, map[string]string{"v.hcl": full})
	c, _, err := LoadConfig("v.hcl")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	Banner(&out, c, false)
	text := out.String()
	if strings.Contains(text, "hunter2") {
		t.Error("the banner shows the environment's values")
	}
	column := -1
	for _, key := range []string{"Api Address", "Cgo", "Cluster Address", "Environment Variables", "Go Version", "Listener 1", "Listener 2", "Log Level", "Mlock", "Recovery Mode", "Storage", "Version"} {
		line := regexp.MustCompile(`(?m)^ *` + key + `: .+$`).FindString(text)
		if line == "" {
			t.Errorf("no line %s in\n%s", key, text)
			continue
		}
		if at := strings.Index(line, ": "); column >= 0 && at != column {
			t.Errorf("%s is not aligned", key)
		} else {
			column = at
		}
	}
	for _, want := range []string{"==> Strongroom server configuration:\n", "==> Strongroom server started! Log data will stream in below:\n", "SOME_PASSWORD",
		`Listener 2: tcp (addr: "127.0.0.1:8300", cluster address: "127.0.0.1:8301", max_request_duration: "1m30s", max_request_size: "33554432", tls: "disabled")`,
		"Storage: raft (HA available)"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestDevBanner(t *testing.T) {
	var out bytes.Buffer
	DevBanner(&out, Options{DevListenAddress: "[::]:8200", DevTLS: true, DevTLSCertDir: "/tls"}, "a2V5", "hvs.root")
	for _, line := range []string{"Unseal Key: a2V5", "Root Token: hvs.root", "    $ export VAULT_ADDR='https://127.0.0.1:8200'", "    $ export VAULT_CACERT='/tls/vault-ca.pem'"} {
		if !strings.Contains(out.String(), "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, out.String())
		}
	}
}

func TestLogger(t *testing.T) {
	write(t, nil)
	var out bytes.Buffer
	logger, closeLog, err := NewLogger(Logging{Level: "warn", Format: "json", File: "log"}, &out)
	if err != nil {
		t.Fatal(err)
	}
	logger.Info("unheard")
	logger.Warn("heard", "n", 1)
	if err := closeLog(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile("log")
	if err != nil || string(file) != out.String() {
		t.Errorf("the file holds %q, %v", file, err)
	}
	if text := out.String(); strings.Contains(text, "unheard") || !strings.Contains(text, `"@message":"heard"`) || strings.Count(text, "\n") != 1 {
		t.Errorf("got %s", text)
	}
	if _, _, err := NewLogger(Logging{File: "absent/log"}, &out); err == nil || !strings.Contains(err.Error(), "log_file") {
		t.Errorf("got %v", err)
	}
}
