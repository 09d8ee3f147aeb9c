// Package password owns password policies: what a generated password is made of
// (https://developer.hashicorp.com/vault/docs/concepts/password-policies). It
// stores nothing, but says where others do.
package password

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl"
)

const (
	minLength = 4
	// maxLength bounds the work of making one password.
	maxLength = 1024
	// maxText and maxRules bound the work of reading a policy.
	maxText  = 64 << 10
	maxRules = 64
	// budget bounds how many characters are drawn until all rules hold.
	budget = 1_000_000
)

// Policy is the length of passwords and the rules that they obey.
type Policy struct {
	length int
	rules  []rule
	all    []rune // every character of any rule, once, sorted
}

// Key is where the text of a namespace's policy is stored.
func Key(ns, name string) string { return "ns/" + ns + "/password-policy/" + name }

// rule is a set of characters, and how many of a password's are at least of it.
type rule struct {
	charset []rune
	min     int
}

// Parse reads a policy in HCL or JSON:
//
//	length = 20
//	rule "charset" {
//	  charset   = "abcdefghijklmnopqrstuvwxyz"
//	  min-chars = 1
//	}
func Parse(text string) (_ *Policy, err error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("the policy is over %d bytes long", maxText)
	}
	defer func() {
		if p := recover(); p != nil { // the HCL library's parser trusts its input in places
			err = errors.New("the policy cannot be read")
		}
	}()
	var source struct {
		Length int `hcl:"length"`
		Rules  []struct {
			Kind     string `hcl:",key"`
			Charset  string `hcl:"charset"`
			MinChars int    `hcl:"min-chars"`
		} `hcl:"rule"`
	}
	if err := hcl.Decode(&source, text); err != nil {
		return nil, fmt.Errorf("the policy is neither HCL nor JSON of a policy's form: %w", err)
	}
	p := &Policy{length: source.Length}
	switch {
	case p.length < minLength || p.length > maxLength:
		return nil, fmt.Errorf("length must be %d to %d", minLength, maxLength)
	case len(source.Rules) == 0:
		return nil, errors.New("at least one rule \"charset\" is needed")
	case len(source.Rules) > maxRules:
		return nil, fmt.Errorf("at most %d rules are read", maxRules)
	}
	needed := 0
	for _, r := range source.Rules {
		if r.Kind != "charset" {
			return nil, fmt.Errorf("rule %q is not known: use \"charset\"", r.Kind)
		}
		charset, err := characters(r.Charset)
		if err != nil {
			return nil, err
		}
		if r.MinChars < 0 {
			return nil, errors.New("min-chars must not be negative")
		}
		needed += r.MinChars
		p.rules = append(p.rules, rule{charset, r.MinChars})
		p.all = append(p.all, charset...)
	}
	if needed > p.length {
		return nil, fmt.Errorf("the rules need %d characters and length is %d", needed, p.length)
	}
	slices.Sort(p.all)
	p.all = slices.Compact(p.all)
	return p, nil
}

func characters(text string) ([]rune, error) {
	if text == "" || !utf8.ValidString(text) {
		return nil, errors.New("a charset needs characters")
	}
	out := []rune(text)
	for _, c := range out {
		if !unicode.IsPrint(c) {
			return nil, errors.New("a charset holds printable characters only")
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Generate draws a password: each character uniformly of all rules' sets, drawn
// anew until every rule holds, so that no place of it is more likely to be of a
// set than another.
func (p *Policy) Generate() (string, error) {
	for range budget / p.length {
		out := make([]rune, p.length)
		for i := range out {
			n, err := rand.Int(rand.Reader, big.NewInt(int64(len(p.all))))
			if err != nil {
				return "", err
			}
			out[i] = p.all[n.Int64()]
		}
		if p.holds(out) {
			return string(out), nil
		}
	}
	return "", errors.New("the rules are so narrow that no password was found: make length greater or min-chars less")
}

func (p *Policy) holds(password []rune) bool {
	for _, r := range p.rules {
		n := 0
		for _, c := range password {
			if _, ok := slices.BinarySearch(r.charset, c); ok {
				n++
			}
		}
		if n < r.min {
			return false
		}
	}
	return true
}
