package policy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"strongroom/engine"
)

func TestTemplateParts(t *testing.T) {
	for name, want := range map[string]string{
		"identity.entity.id":                            "entity id",
		"identity.entity.name":                          "entity name",
		"identity.entity.metadata.a.b":                  "entity metadata a.b",
		"identity.entity.aliases.kubernetes_1.name":     "entity aliases kubernetes_1 name",
		"identity.entity.aliases.k.id":                  "entity aliases k id",
		"identity.entity.aliases.k.metadata.x":          "entity aliases k metadata x",
		"identity.entity.aliases.k.custom_metadata.x.y": "entity aliases k custom_metadata x.y",
		"identity.groups.ids.1-2.name":                  "groups ids 1-2 name",
		"identity.groups.ids.1-2.metadata.x":            "groups ids 1-2 metadata x",
		"identity.groups.names.a.b.id":                  "groups names a.b id",
		"identity.groups.names.my group.metadata.x.y":   "groups names my group metadata x.y",
		"":                                  "",
		"identity.entity":                   "",
		"identity.entity.metadata":          "",
		"identity.entity.metadata.":         "",
		"identity.entity.id.x":              "",
		"identity.entity.custom_metadata.x": "",
		"identity.entity.aliases.k":         "",
		"identity.entity.aliases..name":     "",
		"identity.entity.aliases.k.policy":  "",
		"identity.groups.ids.1":             "",
		"identity.groups.ids.1.id":          "",
		"identity.groups.names.a.name":      "",
		"identity.groups.names..id":         "",
		"identity.groups.names.a.metadata.": "",
		"entity.id":                         "",
		"Identity.entity.id":                "",
	} {
		if got := strings.Join(templateParts(name), " "); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// lookup is Values by a map.
func lookup(values map[string]string) Values {
	return func(parts []string) (string, bool) {
		v, ok := values[strings.Join(parts, " ")]
		return v, ok
	}
}

func TestFill(t *testing.T) {
	p := mustParse(t, "p", `
path "secret/data/{{identity.entity.name}}/*" { capabilities = ["read"] }
path "/secret/+/{{ identity.entity.metadata.team }}-{{identity.entity.id}}" { capabilities = ["update"] }
path "{{identity.groups.names.ops.id}}/x" { capabilities = ["list"] }
path "plain" { capabilities = ["read"] }`)
	a := Compile(p).With(p.Fill(lookup(map[string]string{"entity name": "bob", "entity metadata team": "a b", "entity id": "1"})))
	for _, c := range []struct {
		op   engine.Operation
		path string
		want bool
	}{
		{engine.Read, "secret/data/bob/x", true}, {engine.Read, "secret/data/bob", false}, {engine.Read, "secret/data/alice/x", false},
		{engine.Read, "secret/data/{{identity.entity.name}}/x", false},
		{engine.Update, "secret/z/a b-1", true}, {engine.Update, "secret/z/a b-", false},
		{engine.List, "/x", false}, {engine.List, "x", false}, {engine.Read, "plain", true},
	} {
		if got := a.Decide(c.op, c.path, nil).Allowed; got != c.want {
			t.Errorf("%s %q: %v, want %v", c.op, c.path, got, c.want)
		}
	}
	if !p.Templated() || mustParse(t, "q", WrappingText).Templated() || (*Policy)(nil).Templated() {
		t.Error("Templated is wrong")
	}
	for name, acl := range map[string]*ACL{"unfilled": Compile(p), "filled with nothing": Compile(p).With(p.Fill(nil))} {
		if acl.Decide(engine.Read, "secret/data/{{identity.entity.name}}/x", nil).Allowed || acl.Decide(engine.Read, "secret/data//x", nil).Allowed || !acl.Decide(engine.Read, "plain", nil).Allowed {
			t.Errorf("%s: a template grants something, or the rest does not", name)
		}
	}
}

// What is laid over a path unites with what stands there: deny wins on either side,
// and every constraint stays in force.
func TestWithUnitesRulesOfOnePath(t *testing.T) {
	below := mustParse(t, "p", `
path "a/*" { capabilities = ["read", "update"]
  denied_parameters = { "x" = ["1"] } }
path "b" { capabilities = ["deny"] }
path "c" { capabilities = ["read"] }
path "d/*" { capabilities = ["deny"] }`)
	over := mustParse(t, "q", `
path "a/*" { capabilities = ["list"]
  denied_parameters = { "y" = [] } }
path "b" { capabilities = ["read"] }
path "c" { capabilities = ["deny"] }
path "d/own" { capabilities = ["read"] }`)
	a := Compile(below).With(over, nil)
	params := func(name, value string) func() map[string]json.RawMessage {
		return func() map[string]json.RawMessage { return map[string]json.RawMessage{name: json.RawMessage(value)} }
	}
	for _, c := range []struct {
		op     engine.Operation
		path   string
		params func() map[string]json.RawMessage
		want   bool
	}{
		{engine.Update, "a/1", nil, true}, {engine.List, "a/1", nil, true}, {engine.Update, "a/1", params("x", `"1"`), false}, {engine.Update, "a/1", params("x", `"2"`), true},
		{engine.Update, "a/1", params("y", `"2"`), false}, {engine.Read, "b", nil, false}, {engine.Read, "c", nil, false}, {engine.Read, "d/own", nil, true}, {engine.Read, "d/x", nil, false},
	} {
		if got := a.Decide(c.op, c.path, c.params).Allowed; got != c.want {
			t.Errorf("%s %q: %v, want %v", c.op, c.path, got, c.want)
		}
	}
	if Compile(below).Decide(engine.List, "a/1", nil).Allowed || !Compile(below).Decide(engine.Read, "c", nil).Allowed {
		t.Error("a shared ACL has changed")
	}
	if RootACL().With(over) == nil || !RootACL().With(over).Decide(engine.Read, "c", nil).Allowed || !Compile(below).With(&Policy{Name: "root"}).Decide(engine.Read, "b", nil).Allowed {
		t.Error("root is no longer root")
	}
}

// A value with a meaning of its own in paths would let whoever chooses it write
// the policy: it grants nothing, and where the rule denies, it denies more.
func TestLessonTemplatedValuesCannotWritePolicies(t *testing.T) {
	for _, value := range []string{"*", "a*", "+", "a/b", "/", "../x", "a\nb", "\x00", "a\u0085", "\ufffd"} {
		values := lookup(map[string]string{"entity name": value})
		grant := mustParse(t, "p", `path "secret/data/{{identity.entity.name}}" { capabilities = ["read"] }`)
		if p := grant.Fill(values); len(p.Rules) != 0 {
			t.Errorf("%q made the rule %q", value, p.Rules[0].Path)
		}
		deny := mustParse(t, "d", "path \"secret/*\" { capabilities = [\"read\"] }\npath \"secret/data/{{identity.entity.name}}\" { capabilities = [\"deny\"] }")
		a := Compile(deny).With(deny.Fill(values))
		if a.Decide(engine.Read, "secret/data/"+value, nil).Allowed || a.Decide(engine.Read, "secret/data/other", nil).Allowed {
			t.Errorf("%q got round a rule that denies", value)
		}
		if !a.Decide(engine.Read, "secret/else", nil).Allowed {
			t.Errorf("%q denied what begins otherwise", value)
		}
	}
}

var templateText = regexp.MustCompile(`\{\{\s*identity\.([a-z.]+?)\s*\}\}`)

// dumbFill reads the documentation plainly: replace each template by its value,
// or drop the rule.
func dumbFill(rules map[string]Capability, values map[string]string) reference {
	out := reference{}
	for path, caps := range rules {
		missing, refused := false, false
		filled := templateText.ReplaceAllStringFunc(path, func(m string) string {
			v := values[strings.ReplaceAll(templateText.FindStringSubmatch(m)[1], ".", " ")]
			missing = missing || v == ""
			for _, r := range v {
				refused = refused || r == '*' || r == '+' || r == '/' || unicode.IsControl(r)
			}
			return v
		})
		switch {
		case missing, refused && caps&Deny == 0:
		case refused:
			before := path[:strings.Index(path, "{{")]
			out[before[:strings.LastIndex(before, "/")+1]+"*"] |= caps
		default:
			out[filled] |= caps
		}
	}
	return out
}

func TestTemplatesAgainstReference(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	names := []string{"entity.id", "entity.name", "entity.metadata.k"}
	words := []string{"a", "b", "ab", "a", "", "*", "+", "a/b", "a\n", "a+"}
	allowed, refused := 0, 0
	for range 1500 {
		rules, p := map[string]Capability{}, &Policy{Name: "p"}
		for range 1 + r.IntN(5) {
			path := randomPath(r, true)
			for range r.IntN(3) { // put templates anywhere
				at := r.IntN(len(path) + 1)
				path = path[:at] + "{{identity." + names[r.IntN(len(names))] + "}}" + path[at:]
			}
			path, template, err := checkTemplate(path)
			if err != nil {
				continue
			}
			caps := Capability(r.IntN(1 << 6))
			if r.IntN(6) == 0 {
				caps |= Deny
			}
			if _, twice := rules[path]; twice {
				continue
			}
			rules[path] = caps
			p.Rules = append(p.Rules, Rule{Path: path, template: template, Capabilities: caps})
		}
		values := map[string]string{}
		for _, n := range names {
			values[strings.ReplaceAll(n, ".", " ")] = words[r.IntN(len(words))]
		}
		ref, a := dumbFill(rules, values), Compile(p).With(p.Fill(lookup(values)))
		for range 10 {
			path := randomPath(r, false)
			for _, op := range operations {
				want := ref.allows(op, path)
				if got := a.Decide(op, path, nil).Allowed; got != want {
					t.Fatalf("%s %q: %v, want %v, by %v with %q", op, path, got, want, rules, values)
				}
				if want {
					allowed++
				} else {
					refused++
				}
			}
		}
	}
	if allowed < 1000 || refused < 1000 {
		t.Errorf("%d allowed, %d refused: the test asks too little", allowed, refused)
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("secret/{{identity.entity.name}}/*", "bob")
	f.Add("{{ identity.entity.metadata.a.b }}", "*")
	f.Add("a}}b{{", "x")
	f.Add("+{{identity.groups.names.x.id}}", "+")
	f.Fuzz(func(t *testing.T, path, value string) {
		if !utf8.ValidString(path) || !utf8.ValidString(value) {
			return
		}
		clean, pieces, err := checkTemplate(path)
		if err != nil || pieces == nil {
			return
		}
		p := &Policy{Rules: []Rule{{Path: clean, template: pieces, Capabilities: Read}}}
		filled := p.Fill(func([]string) (string, bool) { return value, true })
		if value == "" || strings.ContainsFunc(value, special) {
			if len(filled.Rules) != 0 {
				t.Fatalf("%q with %q made the rule %q", path, value, filled.Rules[0].Path)
			}
			return
		}
		got := filled.Rules[0].Path
		if _, err := checkPath(got); err != nil && !strings.Contains(value, "{{") && !strings.Contains(value, "}}") {
			t.Fatalf("%q with %q made %q: %v", path, value, got, err)
		}
		// The value is text: as many wildcards and segments as the path itself has.
		if plain := sample(pieces); strings.Count(got, "/") != strings.Count(plain, "/") || strings.Count(got, "*") != strings.Count(plain, "*") ||
			plusOf(got) != plusOf(plain) {
			t.Fatalf("%q with %q made %q", path, value, got)
		}
	})
}

// plusOf is the places of the segments that are wildcards.
func plusOf(path string) string {
	var at []int
	for i, seg := range strings.Split(path, "/") {
		if seg == "+" {
			at = append(at, i)
		}
	}
	return fmt.Sprint(slices.Sorted(slices.Values(at)))
}
