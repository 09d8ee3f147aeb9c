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

// collections is what a template may do with maps, lists and numbers, under the names that Helm's users know. What makes
// a list or a map of others copies them, and the budget pays for that: were they shared, thirty lists of the list before,
// twice, would be a text that no memory holds.
func collections(budget *budget) texttemplate.FuncMap {
	copied := func(v any) (any, error) { return budget.clone(v, maxDeep) }
	list := func(v ...any) ([]any, error) {
		all, err := budget.clone(v, maxDeep)
		if err != nil {
			return nil, err
		}
		return all.([]any), atMost(len(v)) //nolint:forcetypeassert // as it was
	}
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
		"get": get, "set": budget.set, "unset": unset, "hasKey": func(m map[string]any, key string) bool { _, ok := m[key]; return ok },
		"dict": budget.dict, "list": list,
		"keys":     func(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) },
		"values":   func(m map[string]any) ([]any, error) { return list(values(m)...) },
		"pick":     func(m map[string]any, keys ...string) (map[string]any, error) { return budget.copied(pick(m, keys...)) },
		"omit":     func(m map[string]any, keys ...string) (map[string]any, error) { return budget.copied(omit(m, keys...)) },
		"dig":      dig,
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
func (b *budget) set(m map[string]any, key string, v any) (map[string]any, error) {
	if m == nil {
		return nil, errors.New("set needs a map")
	}
	copied, err := b.clone(v, maxDeep)
	if errors.Is(err, errTooLarge) {
		return nil, err
	}
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

func (b *budget) dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("dict needs a value for each key")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		m[textOf(pairs[i])] = pairs[i+1]
	}
	return b.copied(m)
}

// copied is a copy of m that shares nothing with it.
func (b *budget) copied(m map[string]any) (map[string]any, error) {
	all, err := b.clone(m, maxDeep)
	if err != nil {
		return nil, err
	}
	return all.(map[string]any), nil //nolint:forcetypeassert // as it was
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

var errTooLarge = fmt.Errorf("lists and maps are made of more than %d KiB", maxMade>>10)

// pay takes what an element of a list or map costs: its text, and the place for it.
func (b *budget) pay(text string) error {
	if b.made += len(text) + 16; b.made > maxMade {
		return errTooLarge
	}
	return nil
}

// clone copies maps and lists, however deep, up to depth.
func (b *budget) clone(v any, depth int) (any, error) {
	if depth == 0 {
		return nil, fmt.Errorf("more than %d lists and maps in one another", maxDeep)
	}
	switch v := v.(type) {
	case map[string]any:
		copied := make(map[string]any, len(v))
		for key, element := range v {
			c, err := b.clone(element, depth-1)
			if err == nil {
				err = b.pay(key)
			}
			if err != nil {
				return nil, err
			}
			copied[key] = c
		}
		return copied, nil
	case []any:
		copied := make([]any, len(v))
		for i, element := range v {
			c, err := b.clone(element, depth-1)
			if err != nil {
				return nil, err
			}
			copied[i] = c
		}
		return copied, b.pay("")
	case []string:
		for _, text := range v {
			if err := b.pay(text); err != nil {
				return nil, err
			}
		}
		return slices.Clone(v), nil
	case string:
		return v, b.pay(v)
	case []byte:
		return v, b.pay(string(v))
	}
	return v, b.pay("")
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
