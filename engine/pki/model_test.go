package pki

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// dumb decides as the documentation reads, sentence by sentence, by regular
// expressions: allows must agree with it on every name.
func dumb(r *role, name string) bool {
	parts := strings.Split(name, "@")
	if len(parts) > 2 || len(parts) == 2 && parts[0] == "" {
		return false
	}
	for _, c := range name {
		if c <= 32 || c == 127 {
			return false
		}
	}
	email := len(parts) == 2
	host := parts[len(parts)-1]
	if stars := strings.Count(host, "*"); stars > 0 {
		// "We support the following four wildcard types", in the left-most label.
		if email || stars > 1 || !r.Wildcards || !regexp.MustCompile(`^[^.*]*\*[^.*]*\..+$`).MatchString(host) {
			return false
		}
	}
	if r.Hostnames {
		plain := strings.ReplaceAll(host, "*", "x")
		if !regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?$`).MatchString(plain) {
			return false
		}
	}
	if r.AnyName {
		return true
	}
	if r.Localhost && (host == "localhost" || host == "localdomain") {
		return true
	}
	like := func(pattern, s string) bool {
		return regexp.MustCompile(`(?i)^` + pattern + `$`).MatchString(s)
	}
	for _, d := range r.Domains {
		if d == "" {
			continue
		}
		q := regexp.QuoteMeta(d)
		if r.BareDomains && (like(q, name) || email && like(q, host)) {
			return true
		}
		if r.Subdomains && like(`.+\.`+q, host) {
			return true
		}
		if r.GlobDomains && strings.Contains(d, "*") && like(strings.ReplaceAll(q, `\*`, ".*"), name) {
			return true
		}
	}
	return false
}

// The rules of names are those of a model that is too simple to be wrong.
func TestLessonNamesAreThoseOfAModel(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	domain := func() string {
		return pick("example.com", "Example.COM", "a.example.com", "*.example.com", "f*.example.com", "*.*.com", "*", "localhost", "me@example.com", "*@example.com", "com", "")
	}
	label := func() string {
		return pick("a", "b-c", "*", "f*", "*o", "f*o", "**", "-x", "x-", "_srv", "foo", "example", "com", "localhost", "localdomain", "", "é", "A B", "x\x00y", strings.Repeat("l", 64))
	}
	allowed := 0
	const runs = 40_000
	for range runs {
		yes := func() bool { return rng.IntN(2) == 0 }
		r := &role{BareDomains: yes(), Subdomains: yes(), GlobDomains: yes(), Wildcards: yes(), AnyName: rng.IntN(8) == 0, Localhost: yes(), Hostnames: yes()}
		for range rng.IntN(3) {
			r.Domains = append(r.Domains, domain())
		}
		var labels []string
		for range 1 + rng.IntN(4) {
			labels = append(labels, label())
		}
		name := strings.Join(labels, ".") + pick("", "", ".example.com", ".EXAMPLE.com", ".evil.com", ".")
		if rng.IntN(4) == 0 {
			name = pick("me", "you*", "", "a@b") + "@" + name
		}
		if strings.ContainsFunc(name, func(c rune) bool { return c > 127 }) && r.Hostnames {
			continue // becomes Punycode first, which the model does not know
		}
		want := dumb(r, name)
		if got := r.allows(name); got != want {
			t.Fatalf("seed %d: %+v allows %q: %v, the model says %v", seed, r, name, got, want)
		}
		if want {
			allowed++
		}
	}
	if allowed < runs/100 {
		t.Errorf("only %d of %d names were allowed: the test tries too little", allowed, runs)
	}
}

// A name in the letters of another language is judged, and written, in Punycode.
func TestPunycode(t *testing.T) {
	m := withRoot(t)
	must(t, m, "PUT roles/web", with("allowed_domains", "example.com", "allow_subdomains", true, "key_type", "ec"))
	if leaf := cert(t, must(t, m, "PUT issue/web", with("common_name", "bücher.example.com"))); leaf.DNSNames[0] != "xn--bcher-kva.example.com" {
		t.Errorf("written as %q", leaf.DNSNames)
	}
}
