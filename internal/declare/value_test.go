package declare

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestEvaluate(t *testing.T) {
	t.Setenv("TEXT", "12")
	t.Setenv("LIST", `["a","b"]`)
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("text\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &state{Kept: map[string]exchange{"a/b": {Request: map[string]any{"data": map[string]any{"x": json.Number("7")}}, Response: map[string]any{"auth": map[string]any{"policies": []any{"p", "q"}}}}}}
	env := func(name, becomes string) map[string]any {
		return map[string]any{"eval_source": "env", "eval_type": becomes, "env_var": name, "require_present": "true"}
	}
	kept := func(source, becomes string, selector ...any) map[string]any {
		return map[string]any{"eval_source": source, "eval_type": becomes, "initialize_name": "a", "request_name": "b", "field_selector": selector}
	}
	for _, c := range []struct {
		value, want any
		fails       string
	}{
		{value: env("TEXT", "string"), want: "12"},
		{value: env("TEXT", "int"), want: int64(12)},
		{value: env("TEXT", "float64"), want: 12.0},
		{value: env("LIST", "[]string"), want: []string{"a", "b"}},
		{value: env("LIST", "map"), fails: `not of eval_type "map"`},
		{value: env("TEXT", "bool"), fails: `not of eval_type "bool"`},
		{value: env("MISSING", "string"), fails: "MISSING is not set"},
		{value: map[string]any{"k": []any{map[string]any{"eval_source": "file", "eval_type": "string", "path": file}}}, want: map[string]any{"k": []any{"text\n"}}},
		{value: kept("request", "int", "data", "x"), want: int64(7)},
		{value: kept("response", "string", "auth", "policies", "1"), want: "q"},
		{value: kept("response", "string", "auth", "token"), fails: "has no field auth.token"},
	} {
		got, err := s.evaluate(t.Context(), c.value)
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%v: error %v, want %s", c.value, err, c.fails)
			} else if strings.Contains(err.Error(), "12") {
				t.Errorf("the error shows the value: %v", err)
			}
		} else if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: %v, %v, want %v", c.value, got, err, c.want)
		}
	}
}

// TestStored holds the stored form to docs/format/declare.md.
func TestStored(t *testing.T) {
	s := new(state)
	s.note("base/kv", "applied")
	s.note("base/again", "failed")
	got, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/format/declare.md")
	if err != nil || !strings.Contains(string(doc), "\n"+string(got)+"\n") {
		t.Errorf("the document does not have %s (%v)", got, err)
	}
}
