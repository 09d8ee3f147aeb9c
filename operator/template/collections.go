package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	texttemplate "text/template"
)

// maxDeep bounds how deep lists and maps lie in one another.
const maxDeep = 64

// collections is what a template may do with maps, lists and numbers, under the names that Helm's users know.
func collections() texttemplate.FuncMap {
	copied := func(v any) (any, error) { return clone(v, maxDeep) }
	pretty := func(v any) (string, error) {
		text, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return "", errors.New("the value cannot be JSON")
		}
		return bounded(string(text))
	}
	sorted := func(v any) ([]string, error) {
		texts, err := textsOf(v)
		return slices.Sorted(slices.Values(texts)), err
	}
	return texttemplate.FuncMap{
		"get": get, "set": set, "unset": unset, "hasKey": func(m map[string]any, key string) bool { _, ok := m[key]; return ok },
		"dict": dict, "list": func(v ...any) ([]any, error) { return v, atMost(len(v)) },
		"keys":   func(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) },
		"values": values, "pick": pick, "omit": omit, "dig": dig,
		"deepCopy": copied, "mustDeepCopy": copied,
		"mustToJson":   func(v any) (string, error) { return bounded(jsonOf(v)) },
		"toRawJson":    func(v any) (string, error) { return bounded(jsonOf(v)) },
		"toPrettyJson": pretty, "mustToPrettyJson": pretty, "mustFromJson": fromJSON,
		"first": func(v any) (any, error) { return at(v, 0) }, "last": func(v any) (any, error) { return at(v, -1) },
		"has": has, "sortAlpha": sorted, "uniq": uniq,
		"splitList": func(separator string, v any) []string { return strings.Split(textOf(v), separator) },
		"ternary": func(yes, no any, v bool) any {
			if v {
				return yes
			}
			return no
		},
		"coalesce": func(v ...any) any {
			for _, each := range v {
				if truth, ok := texttemplate.IsTrue(each); ok && truth {
					return each
				}
			}
			return ""
		},
		"empty":    func(v any) bool { truth, ok := texttemplate.IsTrue(v); return !ok || !truth },
		"toString": textOf, "int": whole, "int64": whole, "atoi": whole,
		"add": func(v ...any) (int64, error) { return fold(v, func(a, b int64) int64 { return a + b }) },
		"sub": func(v ...any) (int64, error) { return fold(v, func(a, b int64) int64 { return a - b }) },
		"mul": func(v ...any) (int64, error) { return fold(v, func(a, b int64) int64 { return a * b }) },
	}
}

// get is "" where there is no such key.
func get(m any, key string) (any, error) {
	switch m := m.(type) {
	case map[string]any:
		if v, ok := m[key]; ok && v != nil {
			return v, nil
		}
	case map[string]string:
		return m[key], nil
	default:
		return nil, errors.New("get needs a map")
	}
	return "", nil
}

// set refuses what would let a map hold itself, of which no end could be written.
func set(m map[string]any, key string, v any) (map[string]any, error) {
	if m == nil {
		return nil, errors.New("set needs a map")
	}
	copied, err := clone(v, maxDeep)
	if err != nil || holds(v, m) {
		return nil, errors.New("set needs text, a number, a list or a map that does not hold itself")
	}
	if err := atMost(len(m)); err != nil {
		return nil, err
	}
	m[key] = copied
	return m, nil
}

// holds tells whether v is m itself. What is inside v was copied when it was put there, so it cannot be m.
func holds(v any, m map[string]any) bool {
	other, ok := v.(map[string]any)
	return ok && fmt.Sprintf("%p", other) == fmt.Sprintf("%p", m)
}

func unset(m map[string]any, key string) map[string]any {
	delete(m, key)
	return m
}

func atMost(n int) error {
	if n > maxTurns {
		return fmt.Errorf("more than %d elements", maxTurns)
	}
	return nil
}

func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("dict needs a value for each key")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		m[textOf(pairs[i])] = pairs[i+1]
	}
	return m, nil
}

func values(m map[string]any) []any {
	all := make([]any, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) { // in one order, so that the same source gives the same Secret
		all = append(all, m[key])
	}
	return all
}

func pick(m map[string]any, keys ...string) map[string]any {
	some := make(map[string]any, len(keys))
	for _, key := range keys {
		if v, ok := m[key]; ok {
			some[key] = v
		}
	}
	return some
}

func omit(m map[string]any, keys ...string) map[string]any {
	some := maps.Clone(m)
	for _, key := range keys {
		delete(some, key)
	}
	return some
}

// dig follows keys into maps: dig "a" "b" "default" map.
func dig(arguments ...any) (any, error) {
	if len(arguments) < 3 {
		return nil, errors.New("dig needs keys, a default and a map")
	}
	last := len(arguments) - 1
	current := arguments[last]
	for _, key := range arguments[:last-1] {
		m, ok := current.(map[string]any)
		if !ok {
			return arguments[last-1], nil
		}
		if current, ok = m[textOf(key)]; !ok {
			return arguments[last-1], nil
		}
	}
	return current, nil
}

// clone copies maps and lists, however deep, up to depth.
func clone(v any, depth int) (any, error) {
	if depth == 0 {
		return nil, fmt.Errorf("more than %d lists and maps in one another", maxDeep)
	}
	switch v := v.(type) {
	case map[string]any:
		copied := make(map[string]any, len(v))
		for key, element := range v {
			c, err := clone(element, depth-1)
			if err != nil {
				return nil, err
			}
			copied[key] = c
		}
		return copied, nil
	case []any:
		copied := make([]any, len(v))
		for i, element := range v {
			c, err := clone(element, depth-1)
			if err != nil {
				return nil, err
			}
			copied[i] = c
		}
		return copied, nil
	}
	return v, nil
}

// elements are those of a list.
func elements(v any) ([]any, error) {
	switch list := v.(type) {
	case []any:
		return list, nil
	case []string:
		all := make([]any, len(list))
		for i, text := range list {
			all[i] = text
		}
		return all, nil
	}
	return nil, errors.New("the value is not a list")
}

func textsOf(v any) ([]string, error) {
	list, err := elements(v)
	texts := make([]string, len(list))
	for i, element := range list {
		texts[i] = textOf(element)
	}
	return texts, err
}

func at(v any, i int) (any, error) {
	list, err := elements(v)
	switch {
	case err != nil:
		return nil, err
	case len(list) == 0:
		return "", nil
	case i < 0:
		return list[len(list)-1], nil
	}
	return list[i], nil
}

func has(what, v any) (bool, error) {
	texts, err := textsOf(v)
	return slices.Contains(texts, textOf(what)), err
}

func uniq(v any) ([]string, error) {
	texts, err := textsOf(v)
	seen := make(map[string]bool)
	return slices.DeleteFunc(texts, func(text string) bool {
		again := seen[text]
		seen[text] = true
		return again
	}), err
}

// whole is 0 for what is no whole number.
func whole(v any) int64 {
	switch n := v.(type) {
	case int:
		return int64(n)
	case int64:
		return n
	case float64:
		return int64(n)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(textOf(v)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func fold(v []any, with func(a, b int64) int64) (int64, error) {
	if len(v) == 0 {
		return 0, errors.New("no numbers")
	}
	sum := whole(v[0])
	for _, each := range v[1:] {
		sum = with(sum, whole(each))
	}
	return sum, nil
}
