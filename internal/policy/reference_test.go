package policy

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"strongroom/engine"
)

// reference reads the documentation plainly: match every rule, then choose by
// the five rules in their own words. It shares nothing with the ACL.
type reference map[string]Capability

func (ref reference) matches(pattern, path string) bool {
	body, star := strings.CutSuffix(pattern, "*")
	var segs []string
	for seg := range strings.SplitSeq(body, "/") {
		if seg == "+" {
			segs = append(segs, "[^/]*")
		} else {
			segs = append(segs, regexp.QuoteMeta(seg))
		}
	}
	re := "(?s)^" + strings.Join(segs, "/")
	if star {
		re += ".*"
	}
	return regexp.MustCompile(re + "$").MatchString(path)
}

func plusSegments(pattern string) int {
	n := 0
	for seg := range strings.SplitSeq(pattern, "/") {
		if seg == "+" {
			n++
		}
	}
	return n
}

// firstWildcard is the place of the first + segment or of the *; far for none.
func firstWildcard(pattern string) int {
	for i := range pattern {
		segment := pattern[i] == '+' && (i == 0 || pattern[i-1] == '/') && (i == len(pattern)-1 || pattern[i+1] == '/')
		if segment || pattern[i] == '*' {
			return i
		}
	}
	return 1 << 30
}

func lowerPriority(p1, p2 string) bool {
	if a, b := firstWildcard(p1), firstWildcard(p2); a != b {
		return a < b
	}
	if a, b := strings.HasSuffix(p1, "*"), strings.HasSuffix(p2, "*"); a != b {
		return a
	}
	if a, b := plusSegments(p1), plusSegments(p2); a != b {
		return a > b
	}
	if len(p1) != len(p2) {
		return len(p1) < len(p2)
	}
	return p1 < p2
}

func (ref reference) best(path string, list bool) (Capability, bool) {
	paths := []string{path}
	if list {
		dir := strings.TrimSuffix(path, "/")
		paths = []string{dir + "/", dir}
		for _, p := range paths {
			if c, ok := ref[p]; ok && firstWildcard(p) == 1<<30 {
				return c, true
			}
		}
	}
	best, found := "", false
	for pattern := range ref {
		hit := slices.ContainsFunc(paths, func(p string) bool { return ref.matches(pattern, p) })
		if hit && (!found || lowerPriority(best, pattern)) {
			best, found = pattern, true
		}
	}
	return ref[best], found
}

func (ref reference) allows(op engine.Operation, path string) bool {
	c, ok := ref.best(path, op == engine.List)
	bit, known := capabilityOf(string(op))
	return ok && known && c&Deny == 0 && c&bit != 0
}

// randomPath picks from few words so that rules and paths meet often.
func randomPath(r *rand.Rand, pattern bool) string {
	words := []string{"a", "b", "ab", "a+", "", "a"}
	if pattern {
		words = append(words, "+", "+")
	}
	var segs []string
	for range 1 + r.IntN(4) {
		segs = append(segs, words[r.IntN(len(words))])
	}
	path := strings.TrimLeft(strings.Join(segs, "/"), "/")
	if pattern && r.IntN(3) == 0 {
		path += "*"
	}
	return path
}

func randomRules(r *rand.Rand) ([]*Policy, reference) {
	ref := reference{}
	var policies []*Policy
	for range 1 + r.IntN(3) {
		p := &Policy{Name: "p"}
		for range r.IntN(6) {
			path, err := checkPath(randomPath(r, true))
			if err != nil {
				continue
			}
			caps := Capability(r.IntN(1 << 6))
			if r.IntN(6) == 0 {
				caps |= Deny
			}
			p.Rules = append(p.Rules, Rule{Path: path, Capabilities: caps})
			ref[path] |= caps
		}
		policies = append(policies, p)
	}
	return policies, ref
}

func sameRules(got []Rule, a *ACL) bool {
	want, _ := a.Rules()
	return slices.EqualFunc(got, want, func(x, y Rule) bool { return x.Path == y.Path && x.Capabilities == y.Capabilities })
}

func TestAgainstReference(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	allowed := 0
	for range 800 {
		policies, ref := randomRules(r)
		whole, cut := Compile(policies...), r.IntN(len(policies)+1)
		a := Compile(policies[:cut]...).With(policies[cut:]...) // as one, however they are laid
		if got, _ := a.Rules(); !sameRules(got, whole) {
			t.Fatalf("rules %v, by %v", got, ref)
		}
		for range 12 {
			path := randomPath(r, false)
			caps := a.Capabilities(path)
			if want := whole.Capabilities(path); !slices.Equal(caps, want) || a.AllowsUnder(path) != whole.AllowsUnder(path) {
				t.Fatalf("%q: %v and %v under it, want %v and %v, by %v", path, caps, a.AllowsUnder(path), want, whole.AllowsUnder(path), ref)
			}
			for _, op := range operations {
				want := ref.allows(op, path)
				got := a.Decide(op, path, nil).Allowed
				if got != want {
					t.Fatalf("%s %q: %v, want %v, by %v", op, path, got, want, ref)
				}
				if !got {
					continue
				}
				allowed++
				if (op != engine.List || strings.HasSuffix(path, "/")) && !slices.Contains(caps, string(op)) {
					t.Fatalf("%s %q is allowed and not among %v, by %v", op, path, caps, ref)
				}
				for i := range path {
					if path[i] == '/' && !a.AllowsUnder(path[:i+1]) {
						t.Fatalf("%s %q is allowed, and nothing under %q, by %v", op, path, path[:i+1], ref)
					}
				}
				if !a.AllowsUnder("") || !a.AllowsUnder(path) {
					t.Fatalf("%s %q is allowed, and nothing under it, by %v", op, path, ref)
				}
			}
		}
	}
	if allowed < 1000 {
		t.Fatalf("only %d of the questions were allowed: the test asks too little", allowed)
	}
}

func FuzzDecide(f *testing.F) {
	f.Add("secret/*\nsecret/+/a\nsecret/a", "secret/a", uint64(1))
	f.Add("+/+\n+/*\na/", "a/", uint64(7))
	f.Fuzz(func(t *testing.T, patterns, path string, seed uint64) {
		if !utf8.ValidString(patterns) || !utf8.ValidString(path) {
			return // the reference's regular expressions read UTF-8 only
		}
		r := rand.New(rand.NewPCG(seed, 0))
		p, ref := &Policy{Name: "p"}, reference{}
		for line := range strings.SplitSeq(patterns, "\n") {
			pattern, err := checkPath(line)
			if err != nil || len(p.Rules) > 20 {
				continue
			}
			caps := Capability(r.IntN(1 << 8))
			p.Rules = append(p.Rules, Rule{Path: pattern, Capabilities: caps})
			ref[pattern] |= caps
		}
		a := Compile(p)
		for _, op := range operations {
			if got, want := a.Decide(op, path, nil).Allowed, ref.allows(op, path); got != want {
				t.Fatalf("%s %q: %v, want %v, by %v", op, path, got, want, ref)
			}
		}
		a.Capabilities(path)
		a.AllowsUnder(path)
	})
}
