package charts

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The dashboard and the alerts ask for metrics that the operator has, and every metric of its own is on the dashboard.
func TestOperatorMetricsExist(t *testing.T) {
	has := make(map[string]bool)
	named := regexp.MustCompile(`"(strongroom_operator_[a-z_]+)"`)
	err := filepath.WalkDir("../../operator", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, match := range named.FindAllSubmatch(text, -1) {
			has[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(has) < 8 {
		t.Fatalf("only %d metrics found in the operator's code", len(has))
	}
	word := regexp.MustCompile(`strongroom_operator_[a-z_]+`)
	var shown string
	for _, file := range []string{"dashboards/operator.json", "templates/prometheus-rules.yaml"} {
		text, err := os.ReadFile(filepath.Join("../../charts/vault-secrets-operator", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range word.FindAllString(string(text), -1) {
			if !has[strings.TrimSuffix(name, "_bucket")] { // as a histogram is asked for
				t.Errorf("%s asks for %s, which the operator does not have", file, name)
			}
		}
		if strings.HasSuffix(file, ".json") {
			shown = string(text)
			if !json.Valid(text) {
				t.Errorf("%s is no JSON", file)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(has)) {
		if !strings.Contains(shown, name) {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}
