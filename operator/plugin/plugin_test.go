package plugin

import (
	"bytes"
	"context"
	"encoding/pem"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"strongroom/api/v1beta1"
)

var update = flag.Bool("update", false, "write the golden files anew")

func run(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = Main(context.Background(), args, IO{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &err, Getenv: func(string) string { return "" }})
	return code, out.String(), err.String()
}

func TestNamesAreTheAPIs(t *testing.T) {
	for got, want := range map[string]string{
		group: v1beta1.Group, apiVersion: v1beta1.GroupVersion().String(), syncNow: v1beta1.SyncNowAnnotation, dryRun: v1beta1.DryRunAnnotation,
	} {
		if got != want {
			t.Errorf("%q here, %q in the API", got, want)
		}
	}
}

// Every reason that the operator gives has its place on the way.
func TestEveryReasonHasAStep(t *testing.T) {
	files, err := filepath.Glob("../../api/v1beta1/*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
				return true
			}
			literal, ok := spec.Values[0].(*ast.BasicLit)
			if !ok {
				return true
			}
			seen++
			reason, _ := strconv.Unquote(literal.Value)
			if _, known := where(reason); !known {
				t.Errorf("explain does not know where %s stops", reason)
			}
			return true
		})
	}
	if seen < 15 {
		t.Errorf("only %d reasons found", seen)
	}
}

func TestMigrate(t *testing.T) {
	code, stdout, stderr := run(t, "", "migrate", "-f", "testdata/external.yaml")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	const golden = "testdata/migrated.yaml"
	if *update {
		if err := os.WriteFile(golden, []byte(stdout), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if stdout != string(want) {
		t.Errorf("differs from %s (-update writes it anew):\n%s", golden, stdout)
	}
	for _, value := range []string{"AgBy"} {
		if strings.Contains(stdout, value) {
			t.Errorf("%s is printed", value)
		}
	}
}

// A List is as good as its items, and what cannot be carried over alone is a failure.
func TestMigrateReadsLists(t *testing.T) {
	list := `{"kind":"List","apiVersion":"v1","items":[{"kind":"SealedSecret","metadata":{"name":"a"},"spec":{}}]}`
	code, stdout, _ := run(t, list, "migrate", "-f", "-", "--mount", "kv")
	if code != 0 || !strings.Contains(stdout, "path: kv/NAMESPACE/a") {
		t.Errorf("exit %d:\n%s", code, stdout)
	}
	if code, _, stderr := run(t, "", "migrate", "-f", "-"); code != 1 || !strings.Contains(stderr, "nothing to carry over") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{nil, 0, ""},
		{[]string{"--help"}, 0, ""},
		{[]string{"dance"}, 2, `"dance" is no command`},
		{[]string{"sync"}, 2, "takes 1 name(s), not 0"},
		{[]string{"sync", "a", "b"}, 2, "not 2"},
		{[]string{"sync", "a", "--kubeconfig", "testdata/none"}, 1, "read the kubeconfig"},
		{[]string{"explain", "--what", "a"}, 2, "not defined"},
	} {
		if code, _, stderr := run(t, "", test.args...); code != test.code || !strings.Contains(stderr, test.says) {
			t.Errorf("%v: exit %d, %s", test.args, code, stderr)
		}
	}
}

func TestCompareShowsNoValue(t *testing.T) {
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(`{kind: VaultSecret, spec: {sources: [{kv: {path: secret/a}, includes: ['^[a-d]'], excludes: ['^d'], rewrite: [{pattern: '^c$', replacement: C}]}]}}`), &object.Object); err != nil {
		t.Fatal(err)
	}
	source := make(map[string][]byte)
	for _, part := range parts(object) {
		if err := part.add(source, map[string]any{"a": "canary-1", "b": "canary-2", "c": "canary-3", "d": "x", "e": "y"}); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	c := &call{IO: IO{Stdout: &out}}
	err := c.compare(object, source, map[string][]byte{"a": []byte("canary-1"), "b": []byte("canary-9"), "z": []byte("canary-4")})
	if err == nil {
		t.Error("differences are no failure")
	}
	words := make(map[string]string)
	for line := range strings.Lines(out.String()) {
		fields := strings.Fields(line)
		words[fields[0]] = strings.Join(fields[3:], " ")
		if fields[0] == "a" && fields[1] != fields[2] {
			t.Errorf("the same value has two hashes: %s", line)
		}
	}
	for key, want := range map[string]string{"a": "same", "b": "differs", "C": "only in the source", "z": "only in the Secret"} {
		if words[key] != want {
			t.Errorf("%s: %q, want %q", key, words[key], want)
		}
	}
	if strings.Contains(out.String(), "canary") || len(words) != 5 {
		t.Errorf("printed:\n%s", out.String())
	}
}

// The caller's own token goes where the caller says, and never to an address that the resource's author chose.
func TestOwnTokenGoesOnlyWhereTheCallerSays(t *testing.T) {
	for _, test := range []struct{ token, env, flag, want, address string }{
		{"mine", "", "", "", "http://theirs"},
		{"mine", "https://ours", "", "mine", "https://ours"},
		{"mine", "https://ours", "https://here", "mine", "https://here"},
		{"", "https://ours", "", "", "http://theirs"},
	} {
		c := &call{IO: IO{Getenv: func(name string) string {
			return map[string]string{"VAULT_TOKEN": test.token, "VAULT_ADDR": test.env}[name]
		}}, address: test.flag}
		at := &account{address: "http://theirs", skipVerify: true, ca: []byte("theirs"), serverName: "theirs"}
		got, err := c.ownToken(at)
		if err != nil || got != test.want || at.address != test.address || at.skipVerify != (test.want == "") || (at.ca == nil) != (test.want != "") || (at.serverName == "") != (test.want != "") {
			t.Errorf("%+v: token %q to %s, which %s vouches for, unverified %v; %v", test, got, at.address, at.ca, at.skipVerify, err)
		}
	}
}

// Of what the Vault CLI takes from the environment nothing goes along, and nothing weakens what the resource asks for.
func TestTheEnvironmentHasNoPart(t *testing.T) {
	var seen []http.Header
	vault := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header)
		if r.URL.Path == "/v1/secret/elsewhere" {
			http.Redirect(w, r, "/v1/secret/app", http.StatusTemporaryRedirect)
			return
		}
		_, _ = io.WriteString(w, `{"data": {"A": "1"}}`)
	}))
	vault.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of clients that distrust it
	vault.StartTLS()
	defer vault.Close()
	for name, value := range map[string]string{
		"VAULT_TOKEN": "mine", "VAULT_NAMESPACE": "mine", "VAULT_HEADERS": `{"X-Mine": "mine"}`, "VAULT_SKIP_VERIFY": "true",
		"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_AGENT_ADDR": "http://127.0.0.1:1",
	} {
		t.Setenv(name, value)
	}
	c := &call{}
	ask := func(at *account, path string) error {
		client, err := c.dial(at)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Logical().ReadWithContext(t.Context(), path)
		return err
	}
	if err := ask(&account{address: vault.URL}, "secret/app"); err == nil || len(seen) != 0 {
		t.Errorf("a server that nobody vouches for is asked, as VAULT_SKIP_VERIFY says (%v)", err)
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: vault.Certificate().Raw})
	if err := ask(&account{address: vault.URL, ca: ca}, "secret/app"); err != nil || len(seen) != 1 {
		t.Fatalf("%d requests, %v", len(seen), err)
	}
	if sent := fmt.Sprint(seen[0]); strings.Contains(sent, "mine") || seen[0].Get("X-Vault-Request") != "true" {
		t.Errorf("the server was sent %s", sent)
	}
	if _ = ask(&account{address: vault.URL, ca: ca}, "secret/elsewhere"); len(seen) != 2 {
		t.Error("a redirect was followed")
	}
}
