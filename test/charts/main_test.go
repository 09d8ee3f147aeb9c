// Package charts tests the Helm charts of charts/ the way their users meet them, with the helm program: what values render to, what is refused and
// why, and whether a real API server, with Pod Security at its strictest, takes every object.
//
// A chart's value sets are folders of testdata, as testdata/vault/dev: values.yaml is what a user would write, and golden.yaml what comes of it.
// A new folder there is a new set, and is rendered, linted and applied (dry) without a line of Go. `go test ./test/charts -update` writes the golden files.
package charts

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/jsonpath"
	"sigs.k8s.io/yaml"

	"strongroom/test/kubetest"
)

var (
	update = flag.Bool("update", false, "write the golden files")
	helm   string // the program; TestMain sets it
)

// TestMain finds helm among the programs of the test Kubernetes, and builds it first where it is not there yet. HELM=FILE tests with another one.
func TestMain(m *testing.M) {
	flag.Parse()
	helm = os.Getenv("HELM")
	if helm == "" {
		bin, err := kubetest.BuildAddons(context.Background(), os.Stderr)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		helm = filepath.Join(bin, "helm")
	}
	os.Exit(m.Run())
}

// otherKind is what helm says when a map's place is taken by a string, or the other way round, which both charts invite to.
var otherKind = regexp.MustCompile(`(?s)coalesce\.go:\d+: warning: (?:cannot overwrite table with non table for \S+ \(map\[[^\n]*\]\)|destination for \S+ is a table\. Ignoring non-table value \(.*?\n?\))\n`)

// run runs helm apart from the user's configuration and cluster, and returns what it prints.
func run(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), helm, args...)
	cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "KUBECONFIG=" + filepath.Join(home, "none")}
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("helm %s: %w\n%s", strings.Join(args, " "), err, problems.String())
	}
	if said := otherKind.ReplaceAllString(problems.String(), ""); said != "" {
		t.Errorf("helm %s says: %s", strings.Join(args, " "), said)
	}
	return out.String(), nil
}

// kubeVersion is the Kubernetes that charts are rendered for, lest it be whichever helm was built with.
const kubeVersion = "--kube-version=1.31.0"

// chart is one of the charts, by the name of its folder; the release and the namespace are called like it, as in the guide.
type chart string

func (c chart) dir() string { return filepath.Join("..", "..", "charts", string(c)) }

// sets are the chart's value sets: the folders of testdata/CHART.
func (c chart) sets(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", string(c), "*", "values.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("chart %s has no value sets in testdata (%v)", c, err)
	}
	var sets []string
	for _, file := range files {
		sets = append(sets, filepath.Base(filepath.Dir(file)))
	}
	return sets
}

func (c chart) path(set, file string) string { return filepath.Join("testdata", string(c), set, file) }

// template renders the chart; args are further arguments of helm template, as "--set", "a=b"; of one that is given twice the last counts.
func (c chart) template(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return run(t, append([]string{"template", string(c), c.dir(), "--namespace", string(c), kubeVersion}, args...)...)
}

// object is a rendered object and the template that it came from, as "server-service.yaml".
type object struct {
	unstructured.Unstructured
	template string
}

// objects takes helm template's output apart.
func objects(t *testing.T, rendered string) []object {
	t.Helper()
	var all []object
	for doc := range strings.SplitSeq("\n"+rendered, "\n---") {
		o := object{}
		if err := yaml.Unmarshal([]byte(doc), &o.Object); err != nil {
			t.Fatalf("what was rendered is not YAML: %v\n%s", err, doc)
		}
		if len(o.Object) == 0 {
			continue
		}
		if _, source, ok := strings.Cut(doc, "# Source: "); ok {
			source, _, _ = strings.Cut(source, "\n")
			_, o.template, _ = strings.Cut(source, "/templates/")
		}
		all = append(all, o)
	}
	return all
}

// field is what a JSONPath finds in an object, printed as kubectl -o jsonpath prints it; "" when there is nothing.
func field(t *testing.T, o object, path string) string {
	t.Helper()
	p := jsonpath.New("field").AllowMissingKeys(true)
	p.EnableJSONOutput(false)
	if err := p.Parse("{" + path + "}"); err != nil {
		t.Fatalf("the test's path %s: %v", path, err)
	}
	var out bytes.Buffer
	if err := p.Execute(&out, o.Object); err != nil && !strings.Contains(err.Error(), "array index out of bounds") {
		t.Fatalf("%s of %s %s: %v", path, o.GetKind(), o.GetName(), err)
	}
	return out.String()
}

// A behaviour is a line of a table: what comes of some values.
type behaviour struct {
	name   string
	set    []string          // of --set
	args   []string          // more of helm's
	values string            // of --values, YAML
	file   string            // the template that is looked at, as "server-service.yaml"
	want   map[string]string // what JSONPaths find in its first object: exactly this; with * at an end, anything there; "" is nothing
	none   bool              // nothing is rendered of that template
	fails  string            // helm refuses, and its words contain this
}

func testBehaviours(t *testing.T, c chart, table []behaviour) {
	for _, b := range table {
		t.Run(b.file+"/"+b.name, func(t *testing.T) {
			t.Parallel()
			var args []string
			for _, s := range b.set {
				args = append(args, "--set", s)
			}
			if b.values != "" {
				file := filepath.Join(t.TempDir(), "values.yaml")
				if err := os.WriteFile(file, []byte(b.values), 0o600); err != nil {
					t.Fatal(err)
				}
				args = append(args, "--values", file)
			}
			rendered, err := c.template(t, append(args, b.args...)...)
			if b.fails != "" {
				if err == nil || !strings.Contains(err.Error(), b.fails) {
					t.Fatalf("helm should have refused, saying %q; it says: %v", b.fails, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			b.check(t, objects(t, rendered))
		})
	}
}

func (b behaviour) check(t *testing.T, all []object) {
	t.Helper()
	for _, o := range all {
		if o.template != b.file {
			continue
		}
		if b.none {
			t.Fatalf("%s renders %s %s, and should render nothing", b.file, o.GetKind(), o.GetName())
		}
		for path, want := range b.want {
			if got := field(t, o, path); !matches(got, want) {
				t.Errorf("%s is %q, want %q", path, got, want)
			}
		}
		return
	}
	if !b.none {
		t.Fatalf("%s renders nothing", b.file)
	}
}

// matches is whether got is want, in which a star at an end stands for anything.
func matches(got, want string) bool {
	middle, tail := strings.CutSuffix(want, "*")
	middle, head := strings.CutPrefix(middle, "*")
	switch {
	case head && tail:
		return strings.Contains(got, middle)
	case tail:
		return strings.HasPrefix(got, middle)
	case head:
		return strings.HasSuffix(got, middle)
	}
	return got == want
}
