package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Type is how a Field's value is understood. Clients send numbers, booleans and
// lists as text too (the CLI's key=value), so every type takes both.
type Type int

// The field types.
const (
	String     Type = iota
	Name            // text, folded to lower case
	Int             // a number, or its text
	Bool            // true, false, or what strconv.ParseBool takes
	Duration        // seconds, or text such as "90", "24h", "30d"; not negative
	StringList      // a list, or text separated by commas
	StringMap       // an object of texts, or a list of "k=v"
	Object          // a JSON object, kept as json.RawMessage
	Any             // any JSON, kept as json.RawMessage
)

// String names the type as help does.
func (t Type) String() string {
	return [...]string{"string", "lowercase string", "int", "bool", "duration (sec)", "slice", "keypair", "map", "any"}[t]
}

// Field is one parameter of a Route.
type Field struct {
	Name     string
	Type     Type
	Required bool
	Default  any // of the type's Go form; shown in help and given by Data's getters
	Help     string
}

// Data holds a request's parameters in their Go forms: string, int64, bool,
// time.Duration, []string, map[string]string or json.RawMessage.
type Data struct {
	values map[string]any
	fields []Field
}

// Decode reads body (a JSON object or nil), then query and path parameters over
// it, by fields. It returns the names no field has, sorted, and an Invalid
// error that names the first parameter it cannot take.
func Decode(fields []Field, body []byte, query map[string][]string, path map[string]string) (Data, []string, error) {
	d := Data{values: map[string]any{}, fields: fields}
	unknown, err := d.decodeBody(body)
	if err != nil {
		return d, nil, err
	}
	for _, f := range fields {
		if vs := query[f.Name]; len(vs) > 0 {
			if err := d.set(f, quote(strings.Join(vs, ","))); err != nil {
				return d, nil, err
			}
		}
	}
	for name, v := range path {
		d.values[name] = v
	}
	for _, f := range fields {
		v, ok := path[f.Name]
		if !ok || f.Type == String || f.Type == Object || f.Type == Any {
			continue // text, as it stands in the path
		}
		if err := d.set(f, quote(v)); err != nil {
			return d, nil, err
		}
	}
	for _, f := range fields {
		if _, ok := d.values[f.Name]; f.Required && !ok {
			return d, nil, Invalidf("missing required field: %s", f.Name)
		}
	}
	return d, unknown, nil
}

// decodeBody reads body, a JSON object or nothing, and returns the names that no
// field has, sorted. Of two members of one name the last counts.
func (d Data) decodeBody(body []byte) (unknown []string, err error) {
	body = bytes.Trim(body, " \t\r\n")
	if len(body) == 0 {
		return nil, nil
	}
	if body[0] != '{' || !json.Valid(body) {
		var none map[string]struct{} // and a body of null is none
		if err := json.Unmarshal(body, &none); err != nil {
			return nil, Invalidf("failed to parse JSON input: %v", jsonError(err))
		}
		return nil, nil
	}
	given := make([]json.RawMessage, len(d.fields))
	members(body, func(name string, value json.RawMessage) {
		for i := range d.fields {
			if d.fields[i].Name == name {
				given[i] = value
				return
			}
		}
		unknown = append(unknown, name)
	})
	for i, v := range given {
		if v == nil || string(v) == "null" {
			continue
		}
		if err := d.set(d.fields[i], v); err != nil {
			return nil, err
		}
	}
	slices.Sort(unknown)
	return slices.Compact(unknown), nil
}

// set converts raw to the field's type.
func (d Data) set(f Field, raw json.RawMessage) error {
	v, err := convert(f.Type, raw)
	if err != nil {
		return Invalidf("Field validation failed: error converting input for field %q: %v", f.Name, err)
	}
	d.values[f.Name] = v
	return nil
}

// quote makes a JSON string of text.
func quote(text string) json.RawMessage {
	b, _ := json.Marshal(text) // a string always encodes
	return b
}

// jsonError drops what the JSON package quotes of its input: it may be secret.
func jsonError(err error) string {
	if se, ok := err.(*json.SyntaxError); ok {
		return fmt.Sprintf("not valid JSON at byte %d", se.Offset)
	}
	return "the body must be a JSON object"
}

func field(fields []Field, name string) (Field, bool) {
	for i := range fields {
		if fields[i].Name == name {
			return fields[i], true
		}
	}
	return Field{}, false
}

// Has says whether the caller gave the parameter.
func (d Data) Has(name string) bool { _, ok := d.values[name]; return ok }

func get[T any](d Data, name string) T {
	var zero T
	if v, ok := d.values[name].(T); ok {
		return v
	}
	if f, ok := field(d.fields, name); ok {
		if v, ok := f.Default.(T); ok {
			return v
		}
	}
	return zero
}

// The getters return the given value, the field's default, or zero.

// String returns a String or Name parameter.
func (d Data) String(name string) string { return get[string](d, name) }

// Int returns an Int parameter.
func (d Data) Int(name string) int64 { return get[int64](d, name) }

// Bool returns a Bool parameter.
func (d Data) Bool(name string) bool { return get[bool](d, name) }

// Duration returns a Duration parameter.
func (d Data) Duration(name string) time.Duration { return get[time.Duration](d, name) }

// Strings returns a StringList parameter.
func (d Data) Strings(name string) []string { return get[[]string](d, name) }

// Map returns a StringMap parameter.
func (d Data) Map(name string) map[string]string { return get[map[string]string](d, name) }

// Raw returns an Object or Any parameter.
func (d Data) Raw(name string) json.RawMessage { return get[json.RawMessage](d, name) }

func convert(t Type, raw json.RawMessage) (any, error) {
	if t == Any {
		return raw, nil
	}
	if t == Object {
		if raw[0] != '{' {
			return nil, fmt.Errorf("an object is needed")
		}
		return raw, nil
	}
	if t == StringMap {
		return toMap(raw)
	}
	if t == StringList {
		return toList(raw)
	}
	text, err := scalar(raw)
	if err != nil {
		return nil, err
	}
	switch t {
	case Name:
		return strings.ToLower(text), nil
	case Int:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			if f, ferr := strconv.ParseFloat(text, 64); ferr == nil && f >= -1<<63 && f < 1<<63 && f == math.Trunc(f) {
				return int64(f), nil
			}
			return nil, fmt.Errorf("a whole number is needed")
		}
		return n, nil
	case Bool:
		b, err := strconv.ParseBool(strings.ToLower(text))
		if err != nil {
			return nil, fmt.Errorf("true or false is needed")
		}
		return b, nil
	case Duration:
		return ParseDuration(text)
	}
	return text, nil
}

// scalar is the text of a JSON string, number or boolean.
func scalar(raw json.RawMessage) (string, error) {
	switch raw[0] {
	case '"':
		return unquote(raw), nil
	case '{', '[':
		return "", fmt.Errorf("a single value is needed")
	}
	return string(raw), nil
}

func toList(raw json.RawMessage) ([]string, error) {
	out := []string{}
	if raw[0] == '[' {
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return nil, err
		}
		for _, it := range items {
			if string(it) == "null" {
				continue
			}
			s, err := scalar(it)
			if err != nil {
				return nil, err
			}
			if s = strings.TrimSpace(s); s != "" {
				out = append(out, s)
			}
		}
		return out, nil
	}
	text, err := scalar(raw)
	if err != nil {
		return nil, err
	}
	for s := range strings.SplitSeq(text, ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out, nil
}

func toMap(raw json.RawMessage) (map[string]string, error) {
	out := map[string]string{}
	if raw[0] == '{' {
		var items map[string]json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return nil, err
		}
		for k, v := range items {
			if string(v) == "null" {
				continue // not given, as at the top
			}
			s, err := scalar(v)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", k, err)
			}
			out[k] = s
		}
		return out, nil
	}
	pairs, err := toList(raw)
	if err != nil {
		return nil, err
	}
	for _, p := range pairs {
		k, v, ok := strings.Cut(p, "=")
		if !ok {
			return nil, fmt.Errorf("pairs of the form key=value are needed")
		}
		out[strings.TrimSpace(k)] = strings.TrimSpace(v)
	}
	return out, nil
}

// ParseDuration reads seconds ("90", "1.5") or a Go duration that may begin with
// days ("24h", "1h30m", "30d", "1d12h"). Empty is 0; it refuses a negative one.
// https://developer.hashicorp.com/vault/docs/concepts/duration-format
func ParseDuration(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(goDuration(text))
	if err != nil {
		return 0, fmt.Errorf("a duration such as 90, 30s, 24h or 7d is needed, of at most 292 years")
	}
	if d < 0 {
		return 0, fmt.Errorf("a duration cannot be negative")
	}
	return d, nil
}

// goDuration turns days at the beginning into hours and gives a number alone its
// seconds, as time.ParseDuration wants them; other text stays as it is.
func goDuration(text string) string {
	number, unit, each, rest := text, "s", 1.0, ""
	if days, more, ok := strings.Cut(text, "d"); ok {
		number, unit, each, rest = days, "h", 24, more
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return text
	}
	return strconv.FormatFloat(n*each, 'f', -1, 64) + unit + rest
}
