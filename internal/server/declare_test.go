package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const declareListener = `listener "tcp" {
  tls_disable = true
}
storage "inmem" {}
`

// loadText reads text as a configuration file named name.
func loadText(t *testing.T, name, text string) (*Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := LoadConfig(file)
	return c, err
}

// TestDeclareDocumented reads the guide's own example.
func TestDeclareDocumented(t *testing.T) {
	guide, err := os.ReadFile("../../docs/declarative.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(guide), "```hcl\n")
	text, _, _ = strings.Cut(text, "```")
	_, text, _ = strings.Cut(text, "initialize") // the seal names a file
	c, err := loadText(t, "c.hcl", declareListener+"initialize"+text)
	if err != nil {
		t.Fatal(err)
	}
	if c.Declared.Empty() {
		t.Error("nothing was declared")
	}
}

// TestDeclareJSON reads OpenBao's example in JSON.
func TestDeclareJSON(t *testing.T) {
	c, err := loadText(t, "c.json", `{"listener":{"tcp":{"tls_disable":true}},"storage":{"inmem":{}},
"initialize":[{"audit":{"request":[{"enable-audit":{"operation":"update","path":"sys/audit/stdout","data":{"type":"file","options":{"file_path":"stdout","log_raw":true}}}}]}}]}`)
	if err != nil {
		t.Fatal(err)
	}
	if c.Declared.Empty() {
		t.Error("nothing was declared")
	}
}

func TestDeclareRefused(t *testing.T) {
	const secret = "hunter2"
	request := func(body string) string {
		return "initialize \"a\" {\n  request \"b\" {\n" + body + "\n  }\n}\n"
	}
	const plain = "operation = \"update\"\n path = \"sys/mounts/x\"\n"
	for text, want := range map[string]string{
		request(`path = "x"`):                                                                                          "c.hcl:6:3: initialize \"a\", request \"b\": operation and path are needed",
		request("operation = \"do\"\n path = \"x\""):                                                                   "operation must be",
		request("operation = \"read\"\n path = \"a/../b\""):                                                            "without empty parts",
		request(plain + `data = "hunter2"`):                                                                            "data is a map",
		request(plain + `headers = "hunter2"`):                                                                         "operation, path, token, data and allow_failure only",
		request(plain) + request(plain):                                                                                "two requests have this name",
		request(plain + "data = {\n a = \"hunter2\"\n a = 2\n}"):                                                       "a: set twice",
		request(plain + `data = { a = { eval_source = "vault", eval_type = "any" } }`):                                 "eval_source must be",
		request(plain + `data = { a = { eval_source = "env", eval_type = "any" } }`):                                   "needs env_var",
		request(plain + `data = { a = { eval_source = "env", eval_type = "uint", env_var = "A" } }`):                   "eval_type must be",
		request(plain + `data = { a = { eval_source = "env", eval_type = "any", env_var = "A", other = "hunter2" } }`): "has no parameter \"other\"",
		request(plain + `data = { a = { eval_source = "response", eval_type = "any", initialize_name = "a", request_name = "b", field_selector = "data" } }`): "no such request stands before this one",
		"initialize \"a\" {\n  rquest \"b\" {}\n}":                     "request \"NAME\"",
		"initialize \"a b\" {\n  request \"c\" {\n" + plain + "  }\n}": "a name is made of",
	} {
		_, err := loadText(t, "c.hcl", declareListener+text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot error %v, want %s", text, err, want)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows a value: %v", err)
		}
	}
}

// TestFounder: of nodes with one configuration, at most one founds a cluster.
func TestFounder(t *testing.T) {
	two := []RetryJoin{{LeaderAPIAddr: "http://vault-0.vault-internal:8200"}, {LeaderAPIAddr: "http://vault-1.vault-internal:8200"}}
	local := []RetryJoin{{LeaderAPIAddr: "http://127.0.0.1:8200"}, {LeaderAPIAddr: "http://127.0.0.1:8300"}}
	pods := []RetryJoin{{AutoJoin: "provider=k8s"}}
	for _, c := range []struct {
		join              []RetryJoin
		api, cluster, pod string
		want              bool
	}{
		{nil, "http://a:8200", "https://a:8201", "", true},
		{two, "http://10.0.0.1:8200", "https://vault-0.vault-internal:8201", "vault-0", true},
		{two, "http://10.0.0.2:8200", "https://vault-1.vault-internal:8201", "vault-1", false},
		{local, "http://127.0.0.1:8200", "https://127.0.0.1:8201", "", true},
		{local, "http://127.0.0.1:8300", "https://127.0.0.1:8301", "", false},
		{pods, "http://10.0.0.1:8200", "https://10.0.0.1:8201", "vault-0", true},
		{pods, "http://10.0.0.1:8200", "https://10.0.0.1:8201", "vault-10", false},
		{pods, "http://10.0.0.1:8200", "https://10.0.0.1:8201", "", false},
	} {
		if got := (&Config{APIAddr: c.api, ClusterAddr: c.cluster, Storage: Storage{RetryJoin: c.join, PodName: c.pod}}).founder(); got != c.want {
			t.Errorf("%+v: founder is %v", c, got)
		}
	}
}
