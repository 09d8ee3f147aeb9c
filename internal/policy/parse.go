package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"strongroom/engine"
)

// Parse reads a policy in HCL or JSON. Its error names the line and path at
// fault and says what to write instead. It refuses the name "root": that
// policy has no text.
func Parse(name, text string) (*Policy, error) {
	if name == rootName {
		return nil, fmt.Errorf("the policy %q is built in and cannot be written; choose another name", rootName)
	}
	tree, err := read(text)
	if err != nil {
		return nil, fmt.Errorf("policy %q: %w", name, err)
	}
	p := &Policy{Name: name}
	places := map[string]int{} // of paths among the rules
	for _, it := range tree.items {
		switch it.key {
		case "path":
			err = p.addPaths(it, places)
		case "name":
			if _, ok := it.val.scalar.(string); !ok || it.val.kind != scalarKind {
				err = errAt(it.line, "name must be text")
			}
		default:
			err = errAt(it.line, "unknown key %q; a policy consists of path \"…\" { … } blocks", it.key)
		}
		if err != nil {
			return nil, fmt.Errorf("policy %q: %w", name, err)
		}
	}
	for i := range p.Rules {
		p.Rules[i].tidy()
	}
	return p, nil
}

// addPaths takes `path "x" { … }`, which is an object of paths.
func (p *Policy) addPaths(it item, places map[string]int) error {
	objects, ok := objectsOf(it.val)
	if !ok {
		return errAt(it.line, "path needs its pattern and a block: path \"secret/data/app\" { capabilities = [\"read\"] }")
	}
	for _, paths := range objects {
		for _, entry := range paths.items {
			rule, err := decodeRule(entry)
			if err != nil {
				return err
			}
			if i, ok := places[rule.Path]; ok {
				p.Rules[i].merge(rule)
			} else {
				places[rule.Path] = len(p.Rules)
				p.Rules = append(p.Rules, rule)
			}
		}
	}
	return nil
}

// objectsOf is the object n, or the objects in the list n, as HCL lets one
// write either.
func objectsOf(n node) ([]node, bool) {
	switch n.kind {
	case objectKind:
		return []node{n}, true
	case listKind:
		for _, e := range n.list {
			if e.kind != objectKind {
				return nil, false
			}
		}
		return n.list, true
	}
	return nil, false
}

// checkTemplate is checkPath of a path that may have templates; it returns the
// pieces of one that has.
func checkTemplate(path string) (string, []piece, error) {
	pieces, err := parseTemplate(path)
	if err != nil || pieces == nil {
		if err == nil {
			path, err = checkPath(path)
		}
		return path, nil, err
	}
	if _, err := checkPath(sample(pieces)); err != nil {
		return "", nil, err
	}
	pieces[0].text = strings.TrimPrefix(pieces[0].text, "/")
	return strings.TrimPrefix(path, "/"), pieces, nil
}

// checkPath returns the path without its leading slash.
func checkPath(path string) (string, error) {
	path = strings.TrimPrefix(path, "/")
	switch {
	case path == "":
		return "", fmt.Errorf("the path is empty; write \"*\" for every path")
	case strings.Contains(path, "+*"):
		return "", fmt.Errorf("\"+*\" is not a pattern; end with \"+\" for one segment or with \"*\" for any rest")
	case strings.Contains(strings.TrimSuffix(path, "*"), "*"):
		return "", fmt.Errorf("\"*\" is only allowed as the last character; use \"+\" for one whole segment")
	}
	return path, nil
}

func decodeRule(entry item) (Rule, error) {
	r := Rule{Line: entry.line}
	fail := func(line int, format string, args ...any) (Rule, error) {
		return Rule{}, errAt(line, "path %q: %s", entry.key, fmt.Sprintf(format, args...))
	}
	var err error
	if r.Path, r.template, err = checkTemplate(entry.key); err != nil {
		return fail(entry.line, "%v", err)
	}
	objects, ok := objectsOf(entry.val)
	if !ok {
		return fail(entry.line, "a block is needed: { capabilities = [\"read\"] }")
	}
	seen := map[string]bool{}
	for _, o := range objects {
		for _, it := range o.items {
			if seen[it.key] && it.key != "allowed_parameters" && it.key != "denied_parameters" {
				return fail(it.line, "%s is given twice; give it once, with all its values", it.key)
			}
			seen[it.key] = true
			if err := r.set(it); err != nil {
				return fail(it.line, "%v", err)
			}
		}
	}
	if r.MaxWrappingTTL != 0 && r.MaxWrappingTTL < r.MinWrappingTTL {
		return fail(entry.line, "max_wrapping_ttl is less than min_wrapping_ttl")
	}
	return r, nil
}

// set takes one key of a path's block.
func (r *Rule) set(it item) (err error) {
	switch it.key {
	case "capabilities":
		err = r.setCapabilities(it.val)
	case "policy":
		name, _ := it.val.scalar.(string)
		caps, ok := legacyPolicies[name]
		if !ok {
			return fmt.Errorf("policy must be one of \"deny\", \"read\", \"write\" and \"sudo\"; better, list capabilities")
		}
		r.Capabilities |= caps
	case "allowed_parameters":
		r.Allowed, err = addParameters(r.Allowed, it)
	case "denied_parameters":
		r.Denied, err = addParameters(r.Denied, it)
	case "required_parameters":
		var names []string
		if names, err = texts(it.val); err != nil {
			return fmt.Errorf("required_parameters must be a list of names, such as [\"name\"]")
		}
		for _, name := range names {
			r.Required = append(r.Required, strings.ToLower(name))
		}
	case "subscribe_event_types":
		var types []string
		if types, err = texts(it.val); err != nil || slices.Contains(types, "") {
			return fmt.Errorf("subscribe_event_types must be a list of event types, such as [\"kv-v2/data-*\"] or [\"*\"]")
		}
		r.EventTypes = append(r.EventTypes, types...)
	case "min_wrapping_ttl":
		r.MinWrappingTTL, err = duration(it)
	case "max_wrapping_ttl":
		r.MaxWrappingTTL, err = duration(it)
	case "comment":
	case "path":
		err = fmt.Errorf("a path block stands inside another; close the first with \"}\" before it")
	default:
		err = fmt.Errorf("unknown key %q; the keys of a path are capabilities, allowed_parameters, denied_parameters, required_parameters, min_wrapping_ttl, max_wrapping_ttl, subscribe_event_types and policy", it.key)
		if it.val.kind == objectKind {
			err = fmt.Errorf("%w (a path has one pattern, in quotes, before its block)", err)
		}
	}
	return err
}

func (r *Rule) setCapabilities(n node) error {
	names, err := texts(n)
	if err != nil {
		return fmt.Errorf("capabilities must be a list of names, such as [\"read\", \"list\"]")
	}
	for _, name := range names {
		c, ok := capabilityOf(name)
		if !ok {
			var known []string
			for _, k := range capabilityNames {
				known = append(known, k.name)
			}
			return fmt.Errorf("unknown capability %q; the capabilities are %s", name, strings.Join(known, ", "))
		}
		r.Capabilities |= c
	}
	return nil
}

func texts(n node) ([]string, error) {
	if n.kind != listKind {
		return nil, fmt.Errorf("not a list")
	}
	var out []string
	for _, e := range n.list {
		s, ok := e.scalar.(string)
		if !ok {
			return nil, fmt.Errorf("not text")
		}
		out = append(out, s)
	}
	return out, nil
}

func addParameters(have map[string][]any, it item) (map[string][]any, error) {
	objects, ok := objectsOf(it.val)
	if !ok {
		return nil, fmt.Errorf("%s must be an object: { \"name\" = [\"value\"] }", it.key)
	}
	for _, o := range objects {
		for _, p := range o.items {
			if p.val.kind != listKind {
				return nil, fmt.Errorf("%s: %q needs a list of values, or [] for every value", it.key, p.key)
			}
			if p.key == "*" && len(p.val.list) > 0 {
				return nil, fmt.Errorf("%s: \"*\" stands for every other parameter and takes only []", it.key)
			}
			values := make([]any, 0, len(p.val.list))
			for _, v := range p.val.list {
				values = append(values, v.value())
			}
			have = mergeValues(have, map[string][]any{strings.ToLower(p.key): values})
		}
	}
	return have, nil
}

// value is the node in the Go forms of encoding/json.
func (n node) value() any {
	switch n.kind {
	case listKind:
		out := make([]any, 0, len(n.list))
		for _, e := range n.list {
			out = append(out, e.value())
		}
		return out
	case objectKind:
		out := map[string]any{}
		for _, it := range n.items {
			out[it.key] = it.val.value()
		}
		return out
	}
	return n.scalar
}

func duration(it item) (time.Duration, error) {
	var text string
	switch v := it.val.scalar.(type) {
	case string:
		text = v
	case json.Number:
		text = v.String()
	}
	d, err := engine.ParseDuration(text)
	if text == "" || err != nil {
		return 0, fmt.Errorf("%s must be a duration such as \"90s\" or \"1h\"", it.key)
	}
	return d.Truncate(time.Second), nil
}
