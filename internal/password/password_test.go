package password

import (
	"strings"
	"testing"
	"unicode/utf8"
)

const twenty = `
length = 20
rule "charset" {
  charset = "abcdefghijklmnopqrstuvwxyz"
  min-chars = 1
}
rule "charset" {
  charset = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
  min-chars = 1
}
rule "charset" {
  charset = "0123456789"
  min-chars = 2
}
`

func TestGenerate(t *testing.T) {
	for name, text := range map[string]string{
		"HCL":  twenty,
		"JSON": `{"length":20,"rule":[{"charset":{"charset":"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ","min-chars":1}},{"charset":{"charset":"0123456789","min-chars":2}}]}`,
	} {
		p, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		seen := map[string]bool{}
		for range 200 {
			s, err := p.Generate()
			if err != nil {
				t.Fatal(err)
			}
			digits := 0
			for _, c := range s {
				if c >= '0' && c <= '9' {
					digits++
				}
			}
			if utf8.RuneCountInString(s) != 20 || digits < 2 || !strings.ContainsAny(s, "abcdefghijklmnopqrstuvwxyz") || seen[s] {
				t.Errorf("%s: %q", name, s)
			}
			seen[s] = true
		}
	}
}

// Every character of a set comes up about as often as another, at every place.
func TestGenerateIsEven(t *testing.T) {
	p, err := Parse(`length = 4
rule "charset" { charset = "abcd" }`)
	if err != nil {
		t.Fatal(err)
	}
	const draws = 8000
	var count [4][4]int
	for range draws {
		s, err := p.Generate()
		if err != nil {
			t.Fatal(err)
		}
		for at, c := range s {
			count[at][c-'a']++
		}
	}
	for at := range count {
		for c, n := range count[at] { // 2000 expected; 8 standard deviations are 310
			if n < draws/4-310 || n > draws/4+310 {
				t.Errorf("%c came up %d times at place %d", 'a'+c, n, at)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, why := range map[string]string{
		`length = 3` + "\n" + `rule "charset" { charset = "ab" }`:    "length",
		`length = 5000` + "\n" + `rule "charset" { charset = "ab" }`: "length",
		`length = 8`: "at least one rule",
		`length = 8` + "\n" + `rule "pattern" { charset = "ab" }`:                          "not known",
		`length = 8` + "\n" + `rule "charset" { charset = "" }`:                            "needs characters",
		`length = 8` + "\n" + `rule "charset" { charset = "a\n" }`:                         "printable",
		`length = 8` + "\n" + `rule "charset" { charset = "a"` + "\n" + `min-chars = 9 }`:  "need 9",
		`length = 8` + "\n" + `rule "charset" { charset = "a"` + "\n" + `min-chars = -1 }`: "negative",
		`length = "x"`: "form",
		`{`:            "",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want %q", text, err, why)
		}
	}
	p, err := Parse(`length = 100` + "\n" + `rule "charset" { charset = "a"` + "\n" + `min-chars = 100 }` + "\n" + `rule "charset" { charset = "bcdefghijk" }`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Generate(); err == nil {
		t.Error("a password that never comes up was found")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(twenty)
	f.Add(`{"length":20,"rule":[{"charset":{"charset":"ab"}}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		if p.length < minLength || p.length > maxLength || len(p.all) == 0 {
			t.Fatalf("%+v", p)
		}
	})
}
