package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Check says where text, which is JSON, is not as s describes it: a member that s does not know, one of another type, or
// one that should be there. Clients have to bear new members; a check for them would not find what nobody described.
func (b *Book) Check(s Object, text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return err
	}
	return b.check(b.resolve(s), v, "")
}

// resolve follows references and lays what allOf puts together out as one schema.
func (b *Book) resolve(s Object) Object {
	if ref, ok := s["$ref"].(string); ok {
		return b.resolve(b.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")])
	}
	parts, ok := s["allOf"].([]any)
	if !ok {
		return s
	}
	out, properties, required := Object{}, Object{}, []string{}
	for _, p := range parts {
		part := b.resolve(p.(Object))
		maps.Copy(out, part)
		if more, ok := part["properties"].(Object); ok {
			maps.Copy(properties, more)
		}
		required = append(required, texts(part["required"])...)
	}
	if len(properties) > 0 {
		out["properties"], out["required"] = properties, required
	}
	if s["nullable"] == true {
		out["nullable"] = true
	}
	return out
}

func (b *Book) check(s Object, v any, at string) error {
	if choices, ok := s["anyOf"].([]any); ok {
		var err error
		for _, c := range choices {
			if err = b.check(b.resolve(c.(Object)), v, at); err == nil {
				return nil
			}
		}
		return err
	}
	kind, _ := s["type"].(string)
	if kind == "" {
		return nil
	}
	if v == nil {
		if s["nullable"] == true {
			return nil
		}
		return fmt.Errorf("%s is null, not %s", name(at), kind)
	}
	switch v := v.(type) {
	case bool:
		return expect(kind == "boolean", at, kind, v)
	case json.Number:
		_, err := v.Int64()
		return expect(kind == "number" || kind == "integer" && err == nil, at, kind, v)
	case string:
		return checkText(s, kind, v, at)
	case []any:
		if err := expect(kind == "array", at, kind, "a list"); err != nil {
			return err
		}
		items, _ := s["items"].(Object)
		items = b.resolve(items)
		for i, item := range v {
			if err := b.check(items, item, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case map[string]any:
		if err := expect(kind == "object", at, kind, "an object"); err != nil {
			return err
		}
		return b.checkMembers(s, v, at)
	}
	return nil
}

func checkText(s Object, kind, v, at string) error {
	if kind != "string" {
		return expect(false, at, kind, "a string")
	}
	if known := texts(s["enum"]); known != nil && !slices.Contains(known, v) {
		return fmt.Errorf("%s is %q, which is none of %q", name(at), v, known)
	}
	if s["format"] == "date-time" {
		if _, err := time.Parse(time.RFC3339Nano, v); err != nil {
			return fmt.Errorf("%s is %q, no time", name(at), v)
		}
	}
	return nil
}

func (b *Book) checkMembers(s Object, members map[string]any, at string) error {
	properties, _ := s["properties"].(Object)
	others, open := s["additionalProperties"].(Object)
	for _, key := range slices.Sorted(maps.Keys(members)) {
		p, known := properties[key].(Object)
		if !known && !open {
			return fmt.Errorf("%s is not described", name(at+"."+key))
		}
		if !known {
			p = others
		}
		if err := b.check(b.resolve(p), members[key], at+"."+key); err != nil {
			return err
		}
	}
	for _, key := range texts(s["required"]) {
		if _, ok := members[key]; !ok {
			return fmt.Errorf("%s is missing", name(at+"."+key))
		}
	}
	return nil
}

// texts are those of a list, in the document's form or as it was read.
func texts(list any) (out []string) {
	switch list := list.(type) {
	case []string:
		return list
	case []any:
		for _, t := range list {
			out = append(out, t.(string))
		}
	}
	return out
}

func expect(ok bool, at, kind string, got any) error {
	if ok {
		return nil
	}
	return fmt.Errorf("%s is %v, not %s", name(at), got, kind)
}

// name is where a value stands, as a reader looks for it.
func name(at string) string {
	if at == "" {
		return "the answer"
	}
	return strings.TrimPrefix(at, ".")
}
