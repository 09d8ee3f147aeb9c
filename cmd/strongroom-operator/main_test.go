package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestFlags(t *testing.T) {
	s, err := parse([]string{"--watch-namespaces=a, b", "--watch-namespaces", "c", "--leader-elect", "--leader-election-id=x", "--kube-client-qps=2.5", "--kube-client-burst=7", "--resolve", "vault.vault:8200=127.0.0.1:9"}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(s.Namespaces, ",") != "a,b,c" || !s.LeaderElection || s.MetricsAddress != ":8080" || s.LeaseName != "x" || s.QPS != 2.5 || s.Burst != 7 {
		t.Errorf("%+v", s.Options)
	}
	_, err = s.Dial(t.Context(), "tcp", "vault.vault:8200")
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:9") {
		t.Errorf("dials elsewhere: %v", err)
	}
	for _, wrong := range []string{"x", "vault:8200", "vault=127.0.0.1:1", "vault:1=127.0.0.1", ":1=127.0.0.1:1"} {
		if _, err := parse([]string{"--resolve=" + wrong}, &bytes.Buffer{}); err == nil {
			t.Errorf("--resolve=%s is taken", wrong)
		}
	}
	if _, err := parse([]string{"stray"}, &bytes.Buffer{}); err == nil {
		t.Error("a stray argument is taken")
	}
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	for _, test := range []struct{ arg, want string }{
		{"--log-level=loud", "--log-level \"loud\" is not"},
		{"--log-format=xml", "--log-format \"xml\" is not"},
		{"--kubeconfig=/nowhere", "find the cluster"},
	} {
		err := run(t.Context(), []string{test.arg}, &bytes.Buffer{}, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.arg, err, test.want)
		}
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--version"}, &out, &bytes.Buffer{}); err != nil || !strings.HasPrefix(out.String(), "strongroom-operator ") {
		t.Errorf("--version: %q, %v", out.String(), err)
	}
}

func TestDropVaultEnvironment(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "x")
	t.Setenv("KEPT", "x")
	if err := dropVaultEnvironment(); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("VAULT_TOKEN") != "" || os.Getenv("KEPT") != "x" {
		t.Error("the wrong variables are dropped")
	}
}
