// Package policy owns what callers may do: it parses policies, compiles those
// of one caller into an ACL, and decides. It is pure: it reads no storage,
// knows no token and never logs. The rules are those of
// https://developer.hashicorp.com/vault/docs/concepts/policies.
package policy

import (
	"slices"
	"strings"
	"time"
)

// Policy is a parsed policy. It is not changed after Parse.
type Policy struct {
	Name  string
	Rules []Rule // one a path, in the order in which the paths first appear
}

// Rule is what a policy says of one path.
type Rule struct {
	// Path has no leading slash. A last "*" stands for any rest, a segment "+"
	// for any one segment; a path without either is exact.
	Path         string
	Line         int // where it first appears in the text, from 1
	Capabilities Capability
	// Allowed and Denied give the values that parameters may and may not have;
	// no values stand for every value, the name "*" for every other parameter.
	// Names are in lower case. A value is nil, bool, string, json.Number, or a
	// slice or map of these.
	Allowed, Denied map[string][]any
	// Required are the parameters, in lower case, that a request must have.
	Required []string
	// MinWrappingTTL and MaxWrappingTTL bound the TTL of a wrapped response;
	// 0 is no bound. The ACL hands them on; the gateway enforces them.
	MinWrappingTTL, MaxWrappingTTL time.Duration

	template []piece // of a Path with templates, which grants nothing before Fill
	// EventTypes are the types of events, as patterns in which "*" stands for any
	// text, that Subscribe is for; none: no event.
	EventTypes []string
}

// Capability is a set of capabilities.
type Capability uint16

// The capabilities. Recover is accepted and reported, though no operation asks
// for it yet. Subscribe is asked for by ACL.Subscribes.
const (
	Create Capability = 1 << iota
	Read
	Update
	Delete
	List
	Patch
	Sudo
	Deny // takes away all others
	Subscribe
	Recover
	Scan
)

// capabilityNames is in the order of the names, which is the order in which
// sys/capabilities answers them.
var capabilityNames = [...]struct {
	name string
	bit  Capability
}{
	{"create", Create}, {"delete", Delete}, {"deny", Deny}, {"list", List}, {"patch", Patch},
	{"read", Read}, {"recover", Recover}, {"scan", Scan}, {"subscribe", Subscribe}, {"sudo", Sudo}, {"update", Update},
}

// legacyPolicies are the values of `policy = "…"`, which capabilities replaced.
var legacyPolicies = map[string]Capability{
	"deny":  Deny,
	"read":  Read | List,
	"write": Create | Read | Update | Delete | List,
	"sudo":  Create | Read | Update | Delete | List | Sudo,
}

func capabilityOf(name string) (Capability, bool) {
	for _, c := range capabilityNames {
		if c.name == name {
			return c.bit, true
		}
	}
	return 0, false
}

// Names returns the names of the set, sorted; only "deny" for a set that is
// empty or has Deny.
func (c Capability) Names() []string {
	if c == 0 || c&Deny != 0 {
		return []string{"deny"}
	}
	var out []string
	for _, n := range capabilityNames {
		if c&n.bit != 0 {
			out = append(out, n.name)
		}
	}
	return out
}

// String is the names, separated by commas.
func (c Capability) String() string { return strings.Join(c.Names(), ",") }

// merge adds, in place, what another stanza says of the same path: capabilities
// unite, every parameter constraint stays in force, the lower wrapping TTL wins.
func (r *Rule) merge(o Rule) {
	r.Capabilities |= o.Capabilities
	r.Allowed = mergeValues(r.Allowed, o.Allowed)
	r.Denied = mergeValues(r.Denied, o.Denied)
	r.Required = append(r.Required, o.Required...)
	r.MinWrappingTTL = lower(r.MinWrappingTTL, o.MinWrappingTTL)
	r.MaxWrappingTTL = lower(r.MaxWrappingTTL, o.MaxWrappingTTL)
	r.EventTypes = append(r.EventTypes, o.EventTypes...)
}

// clone is a copy that may be merged into.
func (r Rule) clone() Rule {
	r.Allowed = mergeValues(nil, r.Allowed)
	r.Denied = mergeValues(nil, r.Denied)
	r.Required = slices.Clone(r.Required)
	r.EventTypes = slices.Clone(r.EventTypes)
	return r
}

// tidy ends a series of merges.
func (r *Rule) tidy() {
	slices.Sort(r.Required)
	r.Required = slices.Compact(r.Required)
	slices.Sort(r.EventTypes)
	r.EventTypes = slices.Compact(r.EventTypes)
}

// lower is the smaller of the two that is set.
func lower(a, b time.Duration) time.Duration {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}

// mergeValues adds the constraint more to into, or to a new map if that is nil;
// "every value" absorbs a list. It never changes more.
func mergeValues(into, more map[string][]any) map[string][]any {
	if into == nil && len(more) > 0 {
		into = make(map[string][]any, len(more))
	}
	for name, values := range more {
		have, ok := into[name]
		switch {
		case !ok:
			into[name] = slices.Clip(values) // so that appending copies it
		case len(have) == 0 || len(values) == 0:
			into[name] = nil
		default:
			into[name] = append(have, values...)
		}
	}
	return into
}
