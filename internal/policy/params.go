package policy

import (
	"bytes"
	"encoding/json"
	"strings"
)

// permits says whether the rule's parameter constraints let params pass. Names
// are compared without regard to case, so that "Foo" is no way round "foo".
func (r *Rule) permits(params map[string]json.RawMessage) bool {
	for _, name := range r.Required {
		if !hasName(params, name) {
			return false
		}
	}
	_, denyAll := r.Denied["*"]
	_, allowAll := r.Allowed["*"]
	for name, raw := range params {
		name = strings.ToLower(name)
		if denyAll {
			return false
		}
		if denied, ok := r.Denied[name]; ok && (len(denied) == 0 || denies(denied, raw)) {
			return false
		}
		if len(r.Allowed) == 0 {
			continue
		}
		allowed, ok := r.Allowed[name]
		if !ok && !allowAll {
			return false
		}
		if len(allowed) > 0 && !allows(allowed, raw) {
			return false
		}
	}
	return true
}

func hasName(params map[string]json.RawMessage, name string) bool {
	if _, ok := params[name]; ok {
		return true
	}
	for have := range params {
		if strings.ToLower(have) == name {
			return true
		}
	}
	return false
}

// allows: the value, or each element of a list that has any, is among values.
func allows(values []any, raw json.RawMessage) bool {
	given, ok := decode(raw)
	if !ok {
		return false
	}
	if among(values, given) {
		return true
	}
	list, _ := given.([]any)
	for _, e := range list {
		if !among(values, e) {
			return false
		}
	}
	return len(list) > 0
}

// denies: the value, or any element of a list, is among values, or cannot be read.
func denies(values []any, raw json.RawMessage) bool {
	given, ok := decode(raw)
	if !ok || among(values, given) {
		return true
	}
	list, _ := given.([]any)
	for _, e := range list {
		if among(values, e) {
			return true
		}
	}
	return false
}

func decode(raw json.RawMessage) (any, bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	return v, d.Decode(&v) == nil
}

func among(values []any, given any) bool {
	for _, v := range values {
		if pattern, ok := v.(string); ok {
			if text, ok := given.(string); ok && globs(pattern, text) {
				return true
			}
		} else if equal(v, given) {
			return true
		}
	}
	return false
}

// globs matches a text to a value that may begin or end with "*".
func globs(pattern, text string) bool {
	inner, head := strings.CutPrefix(pattern, "*")
	if pattern == "*" {
		return true
	}
	inner, tail := strings.CutSuffix(inner, "*")
	switch {
	case head && tail:
		return strings.Contains(text, inner)
	case head:
		return strings.HasSuffix(text, inner)
	case tail:
		return strings.HasPrefix(text, inner)
	}
	return pattern == text
}

func equal(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		b, ok := b.(json.Number)
		return ok && equalNumbers(a, b)
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !equal(a[i], b[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, v := range a {
			if w, ok := b[k]; !ok || !equal(v, w) {
				return false
			}
		}
		return true
	case string:
		b, ok := b.(string)
		return ok && a == b
	case bool:
		b, ok := b.(bool)
		return ok && a == b
	}
	return a == nil && b == nil
}

// equalNumbers compares by value; whole numbers exactly, others as float64.
func equalNumbers(a, b json.Number) bool {
	if a == b {
		return true
	}
	if whole(a) && whole(b) {
		return strings.TrimPrefix(a.String(), "-") == "0" && strings.TrimPrefix(b.String(), "-") == "0"
	}
	x, errX := a.Float64()
	y, errY := b.Float64()
	return errX == nil && errY == nil && x == y
}

func whole(n json.Number) bool { return !strings.ContainsAny(n.String(), ".eE") }
