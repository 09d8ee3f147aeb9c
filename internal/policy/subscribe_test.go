package policy

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

func TestSubscribes(t *testing.T) {
	app := mustParse(t, "app", `
path "secret/data/app/*" {
  capabilities          = ["read", "subscribe"]
  subscribe_event_types = ["kv-v2/data-*", "kv-v2/*-delete"]
}
path "secret/data/app/closed" { capabilities = ["deny"] }
path "secret/data/app/plain"  { capabilities = ["read", "subscribe"] }
path "secret/data/app/none"   { subscribe_event_types = ["*"] }
path "+/data/team" {
  capabilities          = ["subscribe"]
  subscribe_event_types = ["*"]
}`)
	more := mustParse(t, "more", `path "secret/data/app/plain" { subscribe_event_types = ["kv-v2/data-write"] }`)
	for _, c := range []struct {
		path, kind string
		policies   []*Policy
		want       bool
	}{
		{"secret/data/app/db", "kv-v2/data-write", []*Policy{app}, true},
		{"secret/data/app/db", "kv-v2/metadata-delete", []*Policy{app}, true},
		{"secret/data/app/db", "kv-v2/metadata-write", []*Policy{app}, false},
		{"secret/data/app/db", "kv-v1/data-write", []*Policy{app}, false},
		{"secret/data/other", "kv-v2/data-write", []*Policy{app}, false},
		{"secret/data/app/closed", "kv-v2/data-write", []*Policy{app}, false},
		{"secret/data/app/plain", "kv-v2/data-write", []*Policy{app}, false}, // no types: no event
		{"secret/data/app/plain", "kv-v2/data-write", []*Policy{app, more}, true},
		{"secret/data/app/plain", "kv-v2/data-patch", []*Policy{app, more}, false},
		{"secret/data/app/none", "kv-v2/data-write", []*Policy{app}, false}, // types without the capability
		{"kv/data/team", "any", []*Policy{app}, true},
		{"", "any", []*Policy{app}, false},
	} {
		if got := Compile(c.policies...).Subscribes(c.path, c.kind); got != c.want {
			t.Errorf("%s of %q: %v, want %v", c.kind, c.path, got, c.want)
		}
	}
	if !RootACL().Subscribes("", "any") || (*ACL)(nil).Subscribes("secret/data/app/db", "kv-v2/data-write") {
		t.Error("root is told of everything, nobody of nothing")
	}
	if _, err := Parse("p", `path "a" { subscribe_event_types = "kv*" }`); err == nil || !strings.Contains(err.Error(), "subscribe_event_types must be a list") {
		t.Errorf("a text for a list: %v", err)
	}
}

// TestSubscribesAgainstReference compares with the reference evaluator: the rule
// that counts for the path is the one that counts for a read of it.
func TestSubscribesAgainstReference(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	kinds := []string{"k/a", "k/ab", "k/b", "j/a"}
	patterns := []string{"*", "k/*", "*/a", "k/a", "j*a", "k/*b"}
	told := 0
	for range 800 {
		policies, ref := randomRules(r)
		types := map[string][]string{}
		for _, p := range policies {
			for i := range p.Rules {
				rule := &p.Rules[i]
				if r.IntN(2) == 0 {
					rule.Capabilities |= Subscribe
					ref[rule.Path] |= Subscribe
				}
				for range r.IntN(3) {
					pattern := patterns[r.IntN(len(patterns))]
					rule.EventTypes = append(rule.EventTypes, pattern)
					types[rule.Path] = append(types[rule.Path], pattern)
				}
			}
		}
		a := Compile(policies...)
		for range 12 {
			path, kind := randomPath(r, false), kinds[r.IntN(len(kinds))]
			want := false
			if rule, caps := ref.rule(path); path != "" && caps&Deny == 0 && caps&Subscribe != 0 {
				for _, pattern := range types[rule] {
					want = want || regexp.MustCompile("^"+strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*")+"$").MatchString(kind)
				}
			}
			if got := a.Subscribes(path, kind); got != want {
				t.Fatalf("%s of %q: %v, want %v, by %v and %v", kind, path, got, want, ref, types)
			}
			if want {
				told++
			}
		}
	}
	if told < 300 {
		t.Fatalf("only %d of the questions were answered with yes: the test asks too little", told)
	}
}

// rule is the pattern that counts for path, and its capabilities.
func (ref reference) rule(path string) (string, Capability) {
	best, found := "", false
	for pattern := range ref {
		if ref.matches(pattern, path) && (!found || lowerPriority(best, pattern)) {
			best, found = pattern, true
		}
	}
	return best, ref[best]
}
