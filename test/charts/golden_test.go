package charts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// testGolden renders and lints every set of a chart, and compares with the golden files.
func testGolden(t *testing.T, c chart) {
	for _, set := range c.sets(t) {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			values := c.path(set, "values.yaml")
			if _, err := run(t, "lint", "--strict", "--namespace", string(c), kubeVersion, "--values", values, c.dir()); err != nil {
				t.Error(err)
			}
			got, err := c.template(t, "--values", values)
			if err != nil {
				t.Fatal(err)
			}
			golden := c.path(set, "golden.yaml")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v; go test ./test/charts -update writes it", err)
			}
			if line, gotLine, wantLine := firstDifference(got, string(want)); line > 0 {
				t.Errorf("%s line %d is\n%s\nand should be\n%s\nIf the change is meant: go test ./test/charts -update", golden, line, gotLine, wantLine)
			}
		})
	}
}

// firstDifference is the number of the first line that differs, from 1, and both lines; 0 when none does.
func firstDifference(a, b string) (int, string, string) {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range max(len(as), len(bs)) {
		var al, bl string
		if i < len(as) {
			al = as[i]
		}
		if i < len(bs) {
			bl = bs[i]
		}
		if al != bl || i >= len(as) || i >= len(bs) {
			return i + 1, al, bl
		}
	}
	return 0, "", ""
}

// testSchema fails for every value of the chart's values.yaml that its schema says nothing about.
func testSchema(t *testing.T, c chart) {
	type node struct {
		Properties map[string]node
	}
	var schema node
	var values map[string]any
	for name, into := range map[string]any{"values.schema.json": &schema, "values.yaml": &values} {
		if err := yaml.Unmarshal([]byte(read(t, filepath.Join(c.dir(), name))), into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	var walk func(path string, values map[string]any, schema node)
	walk = func(path string, values map[string]any, schema node) {
		for name, value := range values {
			described, ok := schema.Properties[name]
			if !ok {
				t.Errorf("values.schema.json of %s does not describe %s%s", c, path, name)
				continue
			}
			if inner, ok := value.(map[string]any); ok && described.Properties != nil {
				walk(path+name+".", inner, described)
			}
		}
	}
	walk("", values, schema)
}
