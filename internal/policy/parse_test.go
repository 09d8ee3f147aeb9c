package policy

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func mustParse(t testing.TB, name, text string) *Policy {
	t.Helper()
	p, err := Parse(name, text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const full = `
name = "dev"
# a comment
path "secret/*" {
  capabilities = ["create", "read", "update", "patch", "delete", "list", "sudo", "subscribe", "recover"]
}
path "/secret/restricted" {
  capabilities = ["create"]
  comment = "words"
  allowed_parameters = {
    "Foo" = []
    "bar" = ["zip", 5, 1.5, false, ["a", "b"]]
    "*" = []
  }
  denied_parameters { "no_store" = [false, "false"] }
  required_parameters = ["Foo", "bar"]
  min_wrapping_ttl = "1s"
  max_wrapping_ttl = 90
}
path "old" { policy = "read" }
path "old" { policy = "sudo" }
path "none" {}
`

const fullJSON = `{"name": "dev", "path": {
  "secret/*": {"capabilities": ["create", "read", "update", "patch", "delete", "list", "sudo", "subscribe", "recover"]},
  "/secret/restricted": [{
    "capabilities": ["create"],
    "allowed_parameters": {"Foo": [], "bar": ["zip", 5, 1.5, false, ["a", "b"]], "*": []},
    "denied_parameters": [{"no_store": [false, "false"]}],
    "required_parameters": ["Foo", "bar"], "min_wrapping_ttl": "1s", "max_wrapping_ttl": 90
  }],
  "old": {"policy": "read"}, "old": {"policy": "sudo"}, "none": {}
}}`

func TestParse(t *testing.T) {
	values := []any{"zip", json.Number("5"), json.Number("1.5"), false, []any{"a", "b"}}
	want := []Rule{
		{Path: "secret/*", Capabilities: Create | Read | Update | Patch | Delete | List | Sudo | Subscribe | Recover},
		{
			Path: "secret/restricted", Capabilities: Create,
			Allowed: map[string][]any{"foo": {}, "bar": values, "*": {}}, Denied: map[string][]any{"no_store": {false, "false"}},
			Required: []string{"bar", "foo"}, MinWrappingTTL: time.Second, MaxWrappingTTL: 90 * time.Second,
		},
		{Path: "old", Capabilities: Create | Read | Update | Delete | List | Sudo},
		{Path: "none"},
	}
	for format, text := range map[string]string{"HCL": full, "JSON": fullJSON} {
		p := mustParse(t, "dev", text)
		if p.Name != "dev" || len(p.Rules) != len(want) {
			t.Fatalf("%s: %+v", format, p)
		}
		for i, got := range p.Rules {
			if got.Line == 0 {
				t.Errorf("%s: no line for %q", format, got.Path)
			}
			got.Line = 0
			if !reflect.DeepEqual(got, want[i]) && !(got.Required == nil && got.Path == "old") {
				t.Errorf("%s: got %#v\nwant %#v", format, got, want[i])
			}
		}
	}
	for _, empty := range []string{"", "# nothing\n", "{}", "\n\n"} {
		if p, err := Parse("x", empty); err != nil || len(p.Rules) != 0 {
			t.Errorf("%q: %v %v", empty, p, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"path \"a\" {\n capabilities = [\"write\"]\n}", `line 2: path "a": unknown capability "write"; the capabilities are create, delete`},
		{"path \"a\" {\n capabilties = [\"read\"]\n}", `line 2: path "a": unknown key "capabilties"; the keys of a path are capabilities`},
		{"\n\nrule \"a\" {}", `line 3: unknown key "rule"; a policy consists of path`},
		{`path "a/*/b" {}`, `line 1: path "a/*/b": "*" is only allowed as the last character; use "+"`},
		{`path "a/**" {}`, `"*" is only allowed as the last character`},
		{`path "a/+*" {}`, `"+*" is not a pattern; end with "+"`},
		{`path "/" {}`, `the path is empty; write "*"`},
		{"path \"secret/{{identity.entity.mood}}/*\" {}", "unknown template {{identity.entity.mood}}; there are identity.entity.id"},
		{"path \"secret/{{identity.entity.id\" {}", "\"{{\" without \"}}\" after it"},
		{"path \"secret/identity.entity.id}}\" {}", "\"}}\" without \"{{\" before it"},
		{"path \"secret/*{{identity.entity.id}}\" {}", "only allowed as the last character"},
		{"path \"a\" {\n path \"b\" {}\n}", `line 2: path "a": a path block stands inside another`},
		{`path "a" "b" { capabilities = ["read"] }`, `unknown key "b"`},
		{`path "a" "b" { capabilities = ["read"] }`, `a path has one pattern`},
		{`path = "a"`, "line 1: path needs its pattern and a block"},
		{`path { capabilities = ["read"] }`, `path "capabilities": a block is needed`},
		{`path "a" { capabilities = "read" }`, `capabilities must be a list of names, such as ["read", "list"]`},
		{`path "a" { capabilities = [["read"]] }`, "capabilities must be a list of names"},
		{`path "a" { policy = "admin" }`, `policy must be one of "deny", "read", "write" and "sudo"`},
		{`path "a" { allowed_parameters = { "x" = "y" } }`, `allowed_parameters: "x" needs a list of values, or []`},
		{`path "a" { denied_parameters = { "*" = ["y"] } }`, `"*" stands for every other parameter and takes only []`},
		{`path "a" { allowed_parameters = ["x"] }`, "allowed_parameters must be an object"},
		{`path "a" { required_parameters = { x = [] } }`, "required_parameters must be a list of names"},
		{`path "a" { min_wrapping_ttl = "soon" }`, `min_wrapping_ttl must be a duration such as "90s"`},
		{`path "a" { min_wrapping_ttl = "2m" max_wrapping_ttl = "1m" }`, ""},
		{"path \"a\" {\n min_wrapping_ttl = \"2m\"\n max_wrapping_ttl = \"1m\"\n}", "max_wrapping_ttl is less than min_wrapping_ttl"},
		{"path \"a\" {\n capabilities = [\"read\"]\n capabilities = [\"list\"]\n}", "3:2"},
		{"path \"a\" {\n capabilities = [\"read\"\n}", "line 3"},
		{`path "a" { x = 99999999999999999999 }`, "a literal that HCL cannot read"},
		{"{\n\"path\": {\n\"a\": {\"capabilities\": [\"rd\"]}}}", `line 3: path "a": unknown capability "rd"`},
		{"{\"path\": {\"a\": {\"capabilities\": [], \"capabilities\": []}}}", "capabilities is given twice"},
		{"{\n\"path\": ", "line 2: "},
		{"{} x", "text follows"},
		{"{\"a\": [" + strings.Repeat("[", 100) + strings.Repeat("]", 101) + "}", "nested over 32 deep"},
		{"a = " + strings.Repeat("[", 200_000), "nested over 32 deep"},
		{strings.Repeat("a ", 100) + "{}", "nested over 32 deep"},
		{"#" + strings.Repeat("x", maxText), "split it into several policies"},
		{"path \"a\" {", "line"},
	} {
		p, err := Parse("p", c.text)
		if err == nil {
			t.Errorf("%.80q was accepted: %+v", c.text, p)
			continue
		}
		if !strings.HasPrefix(err.Error(), `policy "p": `) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80q: error %q, want %q in it", c.text, err, c.want)
		}
	}
	if _, err := Parse("root", ""); err == nil || !strings.Contains(err.Error(), "built in") {
		t.Errorf("root: %v", err)
	}
}

func TestMergeInOnePolicy(t *testing.T) {
	p := mustParse(t, "p", `
path "a" { 
  capabilities = ["read"] 
  allowed_parameters = { "x" = ["1"], "y" = ["1"] }
  required_parameters = ["x"]
  max_wrapping_ttl = "2m"
}
path "/a" {
  capabilities = ["update"]
  allowed_parameters = { "x" = ["2"], "y" = [] }
  required_parameters = ["x", "z"]
  max_wrapping_ttl = "1m"
}`)
	want := Rule{
		Path: "a", Line: 2, Capabilities: Read | Update, Allowed: map[string][]any{"x": {"1", "2"}, "y": nil},
		Required: []string{"x", "z"}, MaxWrappingTTL: time.Minute,
	}
	if len(p.Rules) != 1 || !reflect.DeepEqual(p.Rules[0], want) {
		t.Errorf("got %+v, want %+v", p.Rules, want)
	}
}

// Anything quadratic in the longest policies would hold this test up for minutes.
func TestParseLongPolicies(t *testing.T) {
	for what, c := range map[string]struct{ head, each, tail string }{
		"paths":      {"", "path \"%d\" {}\n", ""},
		"one path":   {"", "path \"a\" {\n allowed_parameters = { \"%[1]d\" = [], x = [\"%[1]d\"] }\n}\n", ""},
		"parameters": {"path \"a\" {\n denied_parameters = {\n", "\"%d\" = []\n", "}\n}"},
		"required":   {"path \"a\" {\n required_parameters = [", "\"%d\",", "]\n}"},
		"JSON":       {"{\"path\": {", "\"%d\": {},\n", "\"\u002a\": {}}}"},
	} {
		var b strings.Builder
		b.WriteString(c.head)
		for i := 0; b.Len() < maxText-200; i++ {
			fmt.Fprintf(&b, c.each, i)
		}
		b.WriteString(c.tail)
		p, err := Parse("p", b.String())
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		Compile(p, p)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{full, fullJSON, Default, `path "+/*" { policy = "deny" }`, "{\"path\":[{\"a\":{}}]}", "path <<X\na\nX\n{}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse("p", text)
		if err != nil {
			return
		}
		a := Compile(p)
		for _, r := range p.Rules {
			if _, err := checkPath(r.Path); err != nil {
				t.Errorf("kept the path %q: %v", r.Path, err)
			}
			if r.Line < 1 {
				t.Errorf("no line for %q", r.Path)
			}
			// A pattern matches itself, read as a path, or a rule above it does.
			if r.template == nil && a.find(r.Path, false) == nil {
				t.Errorf("%q matches nothing", r.Path)
			}
		}
	})
}
