package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"strongroom/test/kubetest"
)

// command runs the program with cp's kubeconfig.
func command(t *testing.T, cp *kubetest.ControlPlane, args ...string) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	err = run(t.Context(), append(args, "--kubeconfig="+cp.Kubeconfig), &out, t.Output())
	return out.String(), err
}

// The chart's hook takes a cluster with definitions of another version, written by others, to this program's.
func TestCRDs(t *testing.T) {
	cp := kubetest.New(t)
	operator := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(operator.Close)

	if _, err := command(t, cp, "check"); err == nil || !strings.Contains(err.Error(), "does not serve secrets.hashicorp.com/v1beta1") ||
		!strings.Contains(err.Error(), "strongroom-operator crds apply") {
		t.Errorf("a cluster without the definitions passes, or hears no remedy: %v", err)
	}

	definitions, err := readCRDs()
	if err != nil || len(definitions) < 3 {
		t.Fatalf("%d definitions, %v", len(definitions), err)
	}
	old := definitions[0].DeepCopy()
	versions, _, err := unstructured.NestedSlice(old.Object, "spec", "versions")
	if err != nil {
		t.Fatal(err)
	}
	version := versions[0].(map[string]any)
	version["schema"] = map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "properties": map[string]any{
		"spec": map[string]any{"type": "object", "properties": map[string]any{"long-gone": map[string]any{"type": "string"}}}}}}
	if err := unstructured.SetNestedSlice(old.Object, versions, "spec", "versions"); err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(old.Object)
	if err != nil {
		t.Fatal(err)
	}
	create := cp.Kubectl(t.Context(), "create", "-f", "-")
	create.Stdin = bytes.NewReader(text)
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := cp.Kubectl(t.Context(), "wait", "--for=condition=Established", "--timeout=60s", "crd/"+old.GetName()).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := command(t, cp, "check"); err == nil || !strings.Contains(err.Error(), definitions[1].GetName()) {
		t.Errorf("a cluster without some definitions passes: %v", err)
	}

	for _, generation := range []string{"generation 2\n", "generation 2\n"} { // the second time there is nothing to do
		out, err := command(t, cp, "crds", "apply")
		if err != nil || strings.Count(out, " is served, generation ") != len(definitions) || !strings.Contains(out, old.GetName()+" is served, "+generation) {
			t.Fatalf("crds apply: %v\n%s", err, out)
		}
	}
	stored, err := cp.Kubectl(t.Context(), "get", "crd", old.GetName(), "-o", "yaml").CombinedOutput()
	if err != nil || strings.Contains(string(stored), "long-gone") {
		t.Errorf("the older definition's fields are still there, %v:\n%s", err, stored)
	}

	out, err := command(t, cp, "check", "--operator="+operator.URL)
	if err != nil || !strings.Contains(out, "the cluster serves all") || !strings.Contains(out, "the operator answers at "+operator.URL) {
		t.Errorf("check: %v\n%s", err, out)
	}
	operator.Close()
	if _, err := command(t, cp, "check", "--operator="+operator.URL); err == nil || !strings.Contains(err.Error(), "the operator does not answer") {
		t.Errorf("an operator that is gone passes: %v", err)
	}
}

func TestCommandsSayWhatIsWrong(t *testing.T) {
	broken := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(broken.Close)
	for _, test := range []struct{ args, want string }{
		{"crds", "crds what? apply or print"},
		{"crds fly", `crds "fly" is not apply or print`},
		{"crds apply x", `unexpected argument "x"`},
		{"crds apply --kubeconfig=/nowhere", "find the cluster"},
		{"check x", `unexpected argument "x"`},
		{"check --kubeconfig=/nowhere", "find the cluster"},
	} {
		if err := run(t.Context(), strings.Fields(test.args), &bytes.Buffer{}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.args, err, test.want)
		}
	}
	if err := checkAnswers(t.Context(), broken.URL, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "the operator answers 404 Not Found") {
		t.Errorf("an operator that answers 404 passes: %v", err)
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"crds", "print"}, &out, &bytes.Buffer{}); err != nil || strings.Count(out.String(), "\nkind: CustomResourceDefinition\n") < 3 {
		t.Errorf("crds print: %v\n%s", err, out.String())
	}
}
