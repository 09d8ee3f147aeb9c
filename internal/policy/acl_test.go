package policy

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"strongroom/engine"
)

var operations = []engine.Operation{engine.Create, engine.Read, engine.Update, engine.Delete, engine.List, engine.Patch}

func acl(t testing.TB, texts ...string) *ACL {
	t.Helper()
	var ps []*Policy
	for i, text := range texts {
		ps = append(ps, mustParse(t, fmt.Sprint("p", i), text))
	}
	return Compile(ps...)
}

func params(t testing.TB, text string) func() map[string]json.RawMessage {
	return func() map[string]json.RawMessage {
		var m map[string]json.RawMessage
		if text == "" {
			return nil
		}
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
}

// The examples of the documentation's page on policies.
func TestDocumentedPaths(t *testing.T) {
	a := acl(t, `
path "secret/*" { capabilities = ["create", "read", "update", "patch", "delete", "list"] }
path "secret/super-secret" { capabilities = ["deny"] }
path "one/foo" { capabilities = ["read"] }
path "one/bar/*" { capabilities = ["read"] }
path "one/zip-*" { capabilities = ["read"] }
path "two/+/teamb" { capabilities = ["read"] }
path "two/+/+/teamb" { capabilities = ["read"] }
path "three/*" { capabilities = ["read"] }
path "three/+/+/foo/*" { capabilities = ["list"] }
path "four" { capabilities = ["list"] }
path "+/five" { capabilities = ["list"] }
path "six/" { capabilities = ["list"] }`)
	for _, c := range []struct {
		op   engine.Operation
		path string
		want bool
	}{
		{engine.Patch, "secret/foo", true},
		{engine.Read, "secret/super-secret", false},
		{engine.Read, "secret/super-secret/below", true},
		{engine.Read, "one/foo", true},
		{engine.Read, "one/food", false},
		{engine.Read, "one/foo/bar", false},
		{engine.Update, "one/foo", false},
		{engine.Read, "one/bar/zip", true},
		{engine.Read, "one/bar/zip/zap", true},
		{engine.Read, "one/bars/zip", false},
		{engine.Read, "one/zip-zap", true},
		{engine.Read, "one/zip-zap/zong", true},
		{engine.Read, "one/zip/zap", false},
		{engine.Read, "two/x/teamb", true},
		{engine.Read, "two/x/y/teamb", true},
		{engine.Read, "two/teamb", false},
		{engine.Read, "two/x/teamb/z", false},
		{engine.Read, "three/a/b/foo/c", true}, // the glob with more + is of lower priority
		{engine.List, "three/a/b/foo/c", false},
		{engine.List, "four", true},
		{engine.List, "four/", true},
		{engine.Read, "four/", false},
		{engine.List, "x/five/", true},
		{engine.List, "x/five", true},
		{engine.List, "six", true},
		{engine.List, "six/", true},
		{engine.List, "one/bar", false},
		{engine.List, "secret", true},
		{engine.Read, "nothing", false},
	} {
		if got := a.Decide(c.op, c.path, nil).Allowed; got != c.want {
			t.Errorf("%s %s: %v, want %v", c.op, c.path, got, c.want)
		}
	}
}

func TestPriority(t *testing.T) {
	for _, c := range []struct{ low, high, rule string }{
		{"secret/*", "secret/foo*", "1: the first wildcard is earlier"},
		{"+/foo/bar", "secret/*", "1: the first wildcard is earlier"},
		{"secret/+/*", "secret/+/b", "2: ends in *"},
		{"secret/*", "secret/+", "2: ends in *"},
		{"secret/+/+/foo/*", "secret/*", "3: more +"},
		{"secret/+/+", "secret/+/b", "3: more +"},
		{"secret/+/fo*", "secret/+/foo*", "4: shorter"},
		{"secret/+/a/+", "secret/+/b/+", "5: smaller"},
		{"secret/foo*", "secret/foo", "a path without wildcards wins"},
		{"*", "secret/foo", "a path without wildcards wins"},
	} {
		if l, h := compile(Rule{Path: c.low}), compile(Rule{Path: c.high}); priority(l, h) >= 0 || priority(h, l) <= 0 || priority(h, h) != 0 {
			t.Errorf("rule %s: %q must be below %q", c.rule, c.low, c.high)
		}
	}
}

func TestCompileUnites(t *testing.T) {
	a := acl(t,
		`path "a" { capabilities = ["read"] }
		 path "b" { capabilities = ["read", "sudo"] }
		 path "c/*" { capabilities = ["read"] }`,
		`path "a" { capabilities = ["update"] }
		 path "b" { capabilities = ["deny"] }
		 path "c/d" { capabilities = ["list"] }`)
	for path, want := range map[string][]string{
		"a": {"read", "update"}, "b": {"deny"}, "c/x": {"read"}, "c/d": {"list"}, "z": {"deny"},
	} {
		if got := a.Capabilities(path); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	if d := a.Decide(engine.Read, "b", nil); d.Allowed || d.Sudo {
		t.Errorf("deny lost: %+v", d)
	}
	s := acl(t, `path "sys/*" { 
		capabilities = ["read", "sudo"] 
		min_wrapping_ttl = "1s" 
	}`)
	if d := s.Decide(engine.Read, "sys/x", nil); d != (Decision{Allowed: true, Sudo: true, MinWrappingTTL: time.Second}) {
		t.Errorf("sudo: %+v", d)
	}
	if d := s.Decide(engine.Update, "sys/x", nil); d != (Decision{}) {
		t.Errorf("sudo without update: %+v", d)
	}
	for name, root := range map[string]*ACL{"RootACL": RootACL(), "Compile": Compile(nil, &Policy{Name: "root"})} {
		if d := root.Decide(engine.Delete, "any", nil); !d.Allowed || !d.Sudo || !root.AllowsUnder("x/") || !slices.Equal(root.Capabilities("x"), []string{"root"}) {
			t.Errorf("%s does not grant all", name)
		}
	}
	var none *ACL
	if none.Decide(engine.Read, "a", nil).Allowed || none.AllowsUnder("") || !slices.Equal(none.Capabilities("a"), []string{"deny"}) {
		t.Error("a nil ACL grants something")
	}
	if a.Decide("help", "a", nil).Allowed {
		t.Error("an unknown operation was allowed")
	}
}

func TestCompileLeavesPoliciesAlone(t *testing.T) {
	text := func(n string) string {
		return "path \"a\" {\n capabilities = [\"read\"]\n required_parameters = [\"" + n + "\"]\n" +
			" allowed_parameters = { \"x\" = [\"" + n + "\"] }\n denied_parameters = { \"" + n + "\" = [] }\n}"
	}
	p, q := mustParse(t, "p", text("1")), mustParse(t, "q", text("2"))
	for range 2 { // and it can be compiled again
		a := Compile(p, q, p)
		if r := a.rules[0]; len(r.Required) != 2 || len(r.Allowed["x"]) != 3 || len(r.Denied) != 2 {
			t.Errorf("merged: %+v", r.Rule)
		}
	}
	if want := mustParse(t, "p", text("1")); !reflect.DeepEqual(p, want) {
		t.Errorf("Compile changed the policy: %+v", p)
	}
}

func TestParameters(t *testing.T) {
	const (
		allowed  = "path \"p\" {\n capabilities = [\"create\", \"read\", \"list\", \"delete\"]\n allowed_parameters = { \"foo\" = [], \"bar\" = [\"zip\", \"zap\", 5, true] }\n}"
		others   = "path \"p\" {\n capabilities = [\"create\"]\n allowed_parameters = { \"bar\" = [\"zip\"], \"*\" = [] }\n}"
		denied   = "path \"p\" {\n capabilities = [\"create\"]\n denied_parameters = { \"foo\" = [], \"bar\" = [\"admin\", false] }\n}"
		deniedAl = "path \"p\" {\n capabilities = [\"create\"]\n denied_parameters = { \"*\" = [] }\n}"
		required = "path \"p\" {\n capabilities = [\"create\", \"read\", \"list\", \"delete\"]\n required_parameters = [\"name\", \"id\"]\n}"
		globbed  = "path \"p\" {\n capabilities = [\"create\"]\n allowed_parameters = { \"bar\" = [\"foo-*\", \"*-x\", \"*mid*\"] }\n}"
		both     = "path \"p\" {\n capabilities = [\"create\"]\n allowed_parameters = { \"bar\" = [] }\n denied_parameters = { \"bar\" = [\"no\"] }\n}"
		lists    = "path \"p\" {\n capabilities = [\"create\"]\n allowed_parameters = { \"z\" = [\"a\", \"b\", [\"c\", \"d\"]] }\n}"
	)
	for _, c := range []struct {
		text   string
		op     engine.Operation
		params string
		want   bool
	}{
		{allowed, engine.Create, `{"foo": {"any": 1}, "bar": "zip"}`, true},
		{allowed, engine.Create, `{"FOO": 1, "Bar": 5}`, true},
		{allowed, engine.Create, `{"bar": 5.0}`, true},
		{allowed, engine.Create, `{"bar": "5"}`, false},
		{allowed, engine.Create, `{"bar": "other"}`, false},
		{allowed, engine.Create, `{"BAR": "other"}`, false},
		{allowed, engine.Create, `{"more": 1}`, false},
		{allowed, engine.Create, ``, true},
		{allowed, engine.Read, `{"more": 1}`, false},
		{allowed, engine.List, `{"more": 1}`, true},
		{allowed, engine.Delete, `{"more": 1}`, true},
		{others, engine.Create, `{"more": 1, "bar": "zip"}`, true},
		{others, engine.Create, `{"more": 1, "bar": "zap"}`, false},
		{denied, engine.Create, `{"more": 1, "bar": "user"}`, true},
		{denied, engine.Create, `{"foo": 1}`, false},
		{denied, engine.Create, `{"bar": "admin"}`, false},
		{denied, engine.Create, `{"bar": ["user", "admin"]}`, false},
		{denied, engine.Create, `{"BAR": false}`, false},
		{denied, engine.Create, `{"bar": "false"}`, true},
		{deniedAl, engine.Create, `{"x": 1}`, false},
		{deniedAl, engine.Create, `{}`, true},
		{required, engine.Create, `{"name": "", "ID": null}`, true},
		{required, engine.Create, `{"name": ""}`, false},
		{required, engine.Create, ``, false},
		{required, engine.Read, ``, false},
		{required, engine.List, ``, true},
		{required, engine.Delete, ``, true},
		{globbed, engine.Create, `{"bar": "foo-1"}`, true},
		{globbed, engine.Create, `{"bar": "1-x"}`, true},
		{globbed, engine.Create, `{"bar": "a mid b"}`, true},
		{globbed, engine.Create, `{"bar": "xfoo-1"}`, false},
		{both, engine.Create, `{"bar": "yes"}`, true},
		{both, engine.Create, `{"bar": "no"}`, false},
		{lists, engine.Create, `{"z": ["a", "b", "a"]}`, true},
		{lists, engine.Create, `{"z": ["c", "d"]}`, true},
		{lists, engine.Create, `{"z": ["d", "c"]}`, false},
		{lists, engine.Create, `{"z": ["a", "x"]}`, false},
		{lists, engine.Create, `{"z": []}`, false},
	} {
		if got := acl(t, c.text).Decide(c.op, "p", params(t, c.params)).Allowed; got != c.want {
			t.Errorf("%s\n%s %s: %v, want %v", c.text, c.op, c.params, got, c.want)
		}
	}
	if acl(t, allowed).Decide(engine.Create, "p", func() map[string]json.RawMessage {
		return map[string]json.RawMessage{"bar": json.RawMessage(`{broken`)}
	}).Allowed {
		t.Error("a value that cannot be read was allowed")
	}
}

func TestParamsAreLazy(t *testing.T) {
	a := acl(t, `path "a" { capabilities = ["read"] }`)
	a.Decide(engine.Read, "a", func() map[string]json.RawMessage { t.Error("called without a constraint"); return nil })
}

func TestAllowsUnder(t *testing.T) {
	for _, c := range []struct {
		text, prefix string
		want         bool
	}{
		{`path "secret/data/a" { capabilities = ["read"] }`, "secret/", true},
		{`path "secret/data/a" { capabilities = ["read"] }`, "secret2/", false},
		{`path "secret" { capabilities = ["list"] }`, "secret/", true},
		{`path "secret/*" { capabilities = ["deny"] }`, "secret/", false},
		{`path "secret/*" { capabilities = [] }`, "secret/", false},
		{`path "sec*" { capabilities = ["read"] }`, "secret/", true},
		{`path "*" { capabilities = ["read"] }`, "secret/", true},
		{"path \"*\" { capabilities = [\"read\"] }\npath \"secret/*\" { capabilities = [\"deny\"] }", "secret/", false},
		{"path \"secret/a\" { capabilities = [\"read\"] }\npath \"secret/*\" { capabilities = [\"deny\"] }", "secret/", true},
		{"path \"secret/a/*\" { capabilities = [\"read\"] }\npath \"secret/*\" { capabilities = [\"deny\"] }", "secret/", true},
		{"path \"+/a\" { capabilities = [\"read\"] }\npath \"secret/*\" { capabilities = [\"deny\"] }", "secret/", false},
		{`path "+/data/*" { capabilities = ["read"] }`, "secret/", true},
		{`path "+/data/*" { capabilities = ["read"] }`, "secret/data/", true},
		{`path "+/data/*" { capabilities = ["read"] }`, "secret/meta/", false},
		{`path "+" { capabilities = ["read"] }`, "secret/", true},
		{`path "+/x" { capabilities = ["read"] }`, "a/b/", false},
		{`path "a/+/c" { capabilities = ["read"] }`, "a/b/", true},
		{`path "a/+/c" { capabilities = ["read"] }`, "a/b/d/", false},
		{`path "a/b" { capabilities = ["read"] }`, "", true},
		{"", "", false},
	} {
		if got := acl(t, c.text).AllowsUnder(c.prefix); got != c.want {
			t.Errorf("%s\nunder %q: %v, want %v", c.text, c.prefix, got, c.want)
		}
	}
}

func TestDefault(t *testing.T) {
	a := Compile(mustParse(t, "default", Default))
	for _, c := range []struct {
		op   engine.Operation
		path string
		want bool
	}{
		{engine.Read, "auth/token/lookup-self", true},
		{engine.Update, "auth/token/renew-self", true},
		{engine.Update, "auth/token/revoke-self", true},
		{engine.Update, "auth/token/create", false},
		{engine.Update, "sys/capabilities-self", true},
		{engine.List, "cubbyhole", true},
		{engine.Create, "cubbyhole/a/b", true},
		{engine.Read, "sys/internal/ui/resultant-acl", true},
		{engine.Update, "sys/wrapping/unwrap", true},
		{engine.Update, "sys/leases/renew", true},
		{engine.Update, "sys/tools/hash/sha2-256", true},
		{engine.Read, "secret/data/a", false},
		{engine.Read, "sys/mounts", false},
	} {
		if got := a.Decide(c.op, c.path, nil).Allowed; got != c.want {
			t.Errorf("%s %s: %v, want %v", c.op, c.path, got, c.want)
		}
	}
}

// big is an ACL of n policies as a tenant has: exact, glob and + rules.
func big(t testing.TB, n int) *ACL {
	var ps []*Policy
	for i := range n {
		ps = append(ps, mustParse(t, fmt.Sprint(i), fmt.Sprintf(`
path "secret/data/team%[1]d/*" { capabilities = ["read", "update"] }
path "secret/metadata/team%[1]d/*" { capabilities = ["list"] }
path "secret/data/shared/%[1]d" { capabilities = ["read"] }
path "kv%[1]d/+/config/*" { capabilities = ["read"] }`, i)))
	}
	return Compile(append(ps, mustParse(t, "default", Default))...)
}

var probes = []struct {
	name string
	op   engine.Operation
	path string
	want bool
}{
	{"exact", engine.Read, "secret/data/shared/7", true},
	{"glob", engine.Read, "secret/data/team42/db/password", true},
	{"plus", engine.Read, "kv9/prod/config/db", true},
	{"list", engine.List, "secret/metadata/team42", true},
	{"miss", engine.Read, "secret/other/that/no/rule/grants/at/all", false},
}

func TestDecideDoesNotAllocate(t *testing.T) {
	a := big(t, 100)
	for _, p := range probes {
		if got := a.Decide(p.op, p.path, nil).Allowed; got != p.want {
			t.Errorf("%s: %v", p.name, got)
		}
		if n := testing.AllocsPerRun(100, func() { a.Decide(p.op, p.path, nil) }); n != 0 {
			t.Errorf("%s: %v allocations", p.name, n)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		a := big(b, n)
		for _, p := range probes {
			b.Run(fmt.Sprintf("%d-policies/%s", n, p.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					a.Decide(p.op, p.path, nil)
				}
			})
		}
	}
}
