package policy

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"strongroom/engine"
)

const rootName = "root"

// ACL is the rules of one caller, ready to decide. It never changes, so any
// number of goroutines may use it. A nil *ACL grants nothing.
type ACL struct {
	root  bool
	base  *ACL        // what With laid these rules over; nil
	rules []*compiled // its own, of highest priority first

	// Two rules can match one path, and the one with the longer literal part
	// before its first wildcard wins. So a path is looked up whole in exact,
	// then by each of its prefixes as long as some rule's literal part, longest
	// first: the cost is a map lookup a distinct length, whatever their number.
	exact   map[string]*compiled
	globs   map[string][]*compiled // by literal part; best first
	lengths []int                  // of literal parts, longest first

	// A LIST of "a" is one of "a/" too. These two hold the rules and literal
	// parts that end in "/" by the text without it, so that the lookup need
	// not build "a/".
	exactDir map[string]*compiled
	globsDir map[string][]*compiled
}

// compiled is the union of all rules of one path.
type compiled struct {
	Rule
	literal  string   // the path up to its first wildcard
	segments []string // from there on, if it begins with "+"; else nil
	glob     bool     // ends in "*", which is cut from segments
	plus     int      // segments that are "+"
	checks   bool     // has parameter constraints
}

// Decision is what an ACL says of one request.
type Decision struct {
	Allowed bool
	Sudo    bool // allowed, and with the sudo capability
	// MinWrappingTTL and MaxWrappingTTL bound the wrapping that the caller asks
	// for; a minimum also makes wrapping mandatory. 0 is no bound.
	MinWrappingTTL, MaxWrappingTTL time.Duration
}

// RootACL grants everything.
func RootACL() *ACL { return &ACL{root: true} }

// Compile joins policies. Rules of the same path unite, and deny wins within a
// path. A policy named "root" makes it a RootACL; a nil policy says nothing.
func Compile(policies ...*Policy) *ACL { return overlay(nil, policies) }

// With is a, of which it is not a part, with policies joined to it: it decides as
// if all had been compiled together, and costs no more than these are long. a is
// of Compile, and shared.
func (a *ACL) With(policies ...*Policy) *ACL {
	if a.root || !slices.ContainsFunc(policies, func(p *Policy) bool { return p != nil && (len(p.Rules) > 0 || p.Name == rootName) }) {
		return a
	}
	return overlay(a, policies)
}

func overlay(base *ACL, policies []*Policy) *ACL {
	byPath := map[string]*compiled{}
	a := &ACL{base: base}
	for _, p := range policies {
		if p == nil {
			continue
		}
		if p.Name == rootName {
			return RootACL()
		}
		for _, r := range p.Rules {
			if r.template != nil {
				continue // of no caller: see Fill
			}
			if c, ok := byPath[r.Path]; ok {
				c.merge(r)
				continue
			}
			c := compile(r.clone())
			if below := base.at(c); below != nil {
				c.merge(below.Rule) // the union hides what it is of
			}
			byPath[r.Path] = c
			a.rules = append(a.rules, c)
		}
	}
	slices.SortFunc(a.rules, func(x, y *compiled) int { return -priority(x, y) })
	a.index()
	return a
}

func compile(r Rule) *compiled {
	c := &compiled{Rule: r}
	rest, glob := strings.CutSuffix(r.Path, "*")
	c.glob = glob
	all := strings.Split(rest, "/")
	for i, seg := range all {
		if seg == "+" {
			if c.plus == 0 {
				c.segments = all[i:]
			}
			c.plus++
		}
	}
	c.literal = rest[:len(rest)-len(strings.Join(c.segments, "/"))]
	return c
}

func (c *compiled) exact() bool { return !c.glob && c.plus == 0 }

// priority orders by the five documented rules; a path without wildcards comes
// before all with one. It is 0 only for equal paths.
func priority(x, y *compiled) int {
	if x.exact() != y.exact() {
		return order(x.exact())
	}
	if d := cmp.Compare(len(x.literal), len(y.literal)); d != 0 && !x.exact() {
		return d
	}
	if x.glob != y.glob {
		return order(!x.glob)
	}
	return cmp.Or(
		cmp.Compare(y.plus, x.plus),
		cmp.Compare(len(x.Path), len(y.Path)),
		cmp.Compare(x.Path, y.Path),
	)
}

func order(higher bool) int {
	if higher {
		return 1
	}
	return -1
}

// index fills the maps from rules, which are sorted.
func (a *ACL) index() {
	a.exact, a.exactDir = map[string]*compiled{}, map[string]*compiled{}
	a.globs, a.globsDir = map[string][]*compiled{}, map[string][]*compiled{}
	for _, c := range a.rules {
		c.tidy()
		c.checks = len(c.Allowed)+len(c.Denied)+len(c.Required) > 0
		dir, isDir := strings.CutSuffix(c.literal, "/")
		if c.exact() {
			a.exact[c.Path] = c
			if isDir {
				a.exactDir[dir] = c
			}
			continue
		}
		a.globs[c.literal] = append(a.globs[c.literal], c)
		if isDir {
			a.globsDir[dir] = append(a.globsDir[dir], c)
		}
		a.lengths = append(a.lengths, len(c.literal))
	}
	slices.Sort(a.lengths)
	a.lengths = slices.Compact(a.lengths)
	slices.Reverse(a.lengths)
}

// at is a's own rule of the path of c, or nil.
func (a *ACL) at(c *compiled) *compiled {
	if a == nil {
		return nil
	}
	if c.exact() {
		return a.exact[c.Path]
	}
	for _, own := range a.globs[c.literal] {
		if own.Path == c.Path {
			return own
		}
	}
	return nil
}

// all yields the rules that count, of highest priority first.
func (a *ACL) all(yield func(*compiled) bool) {
	var below []*compiled
	if a.base != nil {
		below = a.base.rules
	}
	for over := a.rules; len(over)+len(below) > 0; {
		switch {
		case len(over) > 0 && len(below) > 0 && priority(over[0], below[0]) == 0:
			below = below[1:] // a part of over[0]
		case len(over) == 0 || len(below) > 0 && priority(over[0], below[0]) < 0:
			if !yield(below[0]) {
				return
			}
			below = below[1:]
		default:
			if !yield(over[0]) {
				return
			}
			over = over[1:]
		}
	}
}

// find returns the rule of highest priority that matches path. For a list that
// is one that matches path with a trailing slash or without.
func (a *ACL) find(path string, list bool) *compiled {
	c := a.own(path, list)
	if a.base == nil {
		return c
	}
	if below := a.base.own(path, list); below != nil && (c == nil || priority(below, c) > 0) {
		return below
	}
	return c
}

// own is find among a's own rules.
func (a *ACL) own(path string, list bool) *compiled {
	if list {
		path = strings.TrimSuffix(path, "/")
		if c, ok := a.exactDir[path]; ok {
			return c
		}
	}
	if c, ok := a.exact[path]; ok {
		return c
	}
	for _, n := range a.lengths {
		var group []*compiled
		var rest string
		virtual := list // "/" follows rest
		switch {
		case n <= len(path):
			group, rest = a.globs[path[:n]], path[n:]
		case list && n == len(path)+1:
			group, virtual = a.globsDir[path], false
		}
		for _, c := range group {
			if c.matches(rest, virtual) {
				return c
			}
		}
	}
	return nil
}

// matches says whether what follows the literal part matches; dir means that
// rest may be read with a "/" after it.
func (c *compiled) matches(rest string, dir bool) bool {
	if c.segments == nil {
		return true
	}
	return c.walk(rest, false) || (dir && c.walk(rest, true))
}

// walk compares segment by segment; slash puts a "/" after rest.
func (c *compiled) walk(rest string, slash bool) bool {
	for i, want := range c.segments {
		last := i == len(c.segments)-1
		if last && c.glob {
			return strings.HasPrefix(rest, want)
		}
		seg, tail, more := strings.Cut(rest, "/")
		if !more && slash {
			more, slash = true, false
		}
		if want != "+" && want != seg {
			return false
		}
		if last {
			return !more
		}
		if !more {
			return false
		}
		rest = tail
	}
	return false
}

func operationBit(op engine.Operation) Capability {
	switch op {
	case engine.Create:
		return Create
	case engine.Read:
		return Read
	case engine.Update:
		return Update
	case engine.Delete:
		return Delete
	case engine.List:
		return List
	case engine.Patch:
		return Patch
	case engine.Scan:
		return Scan
	}
	return 0
}

// Decide says whether op is allowed on path, which has no leading slash. A
// List may be asked with or without a trailing slash. params gives the
// request's parameters; it is called at most once, and only if the rule
// constrains them; nil stands for none. Constraints bind reads and writes, not
// lists and deletes. Without constraints Decide does not allocate.
func (a *ACL) Decide(op engine.Operation, path string, params func() map[string]json.RawMessage) Decision {
	if a == nil {
		return Decision{}
	}
	if a.root {
		return Decision{Allowed: true, Sudo: true}
	}
	c := a.find(path, op.Lists())
	if c == nil || c.Capabilities&Deny != 0 || c.Capabilities&operationBit(op) == 0 {
		return Decision{}
	}
	if c.checks && !op.Lists() && op != engine.Delete {
		var given map[string]json.RawMessage
		if params != nil {
			given = params()
		}
		if !c.permits(given) {
			return Decision{}
		}
	}
	return Decision{
		Allowed:        true,
		Sudo:           c.Capabilities&Sudo != 0,
		MinWrappingTTL: c.MinWrappingTTL,
		MaxWrappingTTL: c.MaxWrappingTTL,
	}
}

// Capabilities returns what sys/capabilities answers for path: the names,
// sorted; ["deny"] for none; ["root"] for root. A trailing slash asks for list
// and scan as such a request would.
func (a *ACL) Capabilities(path string) []string {
	switch {
	case a == nil:
		return Capability(0).Names()
	case a.root:
		return []string{rootName}
	}
	var caps Capability
	if c := a.find(path, false); c != nil && c.Capabilities&Deny == 0 {
		caps = c.Capabilities
	}
	if strings.HasSuffix(path, "/") {
		caps &^= List | Scan
		if c := a.find(path, true); c != nil && c.Capabilities&Deny == 0 {
			caps |= c.Capabilities & (List | Scan)
		}
	}
	return caps.Names()
}

// AllowsUnder says whether anything is granted at prefix or below it, such as
// a mount's "secret/". It is meant for listing mounts, not for authorization:
// it may say yes where finer rules deny each path that exists.
func (a *ACL) AllowsUnder(prefix string) bool {
	if a == nil || a.root {
		return a != nil
	}
	for c := range a.all {
		if c.reaches(prefix) && c.Capabilities != 0 && c.Capabilities&Deny == 0 {
			return true
		}
		// A glob over all of prefix hides every rule after it.
		if c.glob && c.plus == 0 && strings.HasPrefix(prefix, c.literal) {
			return false
		}
	}
	return false
}

// reaches says whether the rule can match prefix, prefix without its trailing
// slash, or a path that begins with prefix.
func (c *compiled) reaches(prefix string) bool {
	dir := strings.TrimSuffix(prefix, "/")
	if c.exact() {
		return c.Path == dir || strings.HasPrefix(c.Path, prefix)
	}
	if len(c.literal) >= len(prefix) {
		return strings.HasPrefix(c.literal, prefix)
	}
	if !strings.HasPrefix(prefix, c.literal) {
		return false
	}
	if c.segments == nil || c.matches(dir[len(c.literal):], false) {
		return true
	}
	rest := prefix[len(c.literal):]
	for i, want := range c.segments {
		seg, tail, more := strings.Cut(rest, "/")
		if i == len(c.segments)-1 && c.glob {
			return strings.HasPrefix(seg, want) || (!more && strings.HasPrefix(want, seg))
		}
		if !more { // seg is the begin of a segment
			return want == "+" || strings.HasPrefix(want, seg)
		}
		if want != "+" && want != seg {
			return false
		}
		rest = tail
	}
	return false // the pattern ends above prefix
}
