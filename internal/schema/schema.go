// Package schema owns the description of a Go type's JSON form, in the words of OpenAPI 3.0, and whether a JSON value has it.
// It reads types and their tags alone, never a value.
package schema

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Object is a schema, or another object of an OpenAPI document.
type Object = map[string]any

// Book gathers the schemas of the named struct types that others refer to: components/schemas of a document.
// It is for one goroutine.
type Book struct {
	Schemas map[string]Object
	types   map[string]reflect.Type // of Schemas, by name
}

// NewBook has no schema yet.
func NewBook() *Book { return &Book{Schemas: map[string]Object{}, types: map[string]reflect.Type{}} }

// Either stands for the values of any of these types.
type Either []any

// Forms is a type whose values have several forms in JSON.
type Forms interface{ Forms() Either }

// Described is a value that says itself what values like it are.
type Described interface{ Schema() Object }

// Of is the schema of what v, or any other value of its type, is in JSON; nil has no value that counts, so anything.
//
// It follows encoding/json: names and omissions are those of the json tag, and embedded structs are laid out among the others.
// A pointer may be null, unless it is left out then; a slice or a map may be if its tag says api:"null". A field may carry
// help:"what it is" and enum:"its,texts", which are those of a list's items, or of a map's values, if it is one.
func (b *Book) Of(v any) Object {
	if v == nil {
		return Object{}
	}
	if d, ok := v.(Described); ok {
		return d.Schema()
	}
	if either, ok := v.(Either); ok {
		var all []any
		for _, one := range either {
			all = append(all, b.Of(one))
		}
		return Object{"anyOf": all}
	}
	return b.of(reflect.TypeOf(v))
}

func (b *Book) of(t reflect.Type) Object {
	switch {
	case t.Implements(reflect.TypeFor[Forms]()):
		return b.Of(reflect.Zero(t).Interface().(Forms).Forms())
	case t == reflect.TypeFor[time.Time]():
		return Object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage](), t.Kind() == reflect.Interface, t.Kind() != reflect.Pointer && t.Implements(reflect.TypeFor[json.Marshaler]()):
		return Object{} // it may be anything
	case t == reflect.TypeFor[json.Number]():
		return Object{"type": "number"}
	case t.Kind() != reflect.Pointer && t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return Object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Bool:
		return Object{"type": "boolean"}
	case reflect.String:
		return Object{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return Object{"type": "number"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return Object{"type": "integer"}
	case reflect.Pointer:
		return nullable(b.of(t.Elem()))
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 && t.Kind() == reflect.Slice {
			return Object{"type": "string", "format": "byte"}
		}
		return Object{"type": "array", "items": b.of(t.Elem())}
	case reflect.Map:
		return Object{"type": "object", "additionalProperties": b.of(t.Elem())}
	case reflect.Struct:
		return b.named(t)
	}
	panic("schema: " + t.String() + " has no JSON form")
}

// named refers to the schema of a struct, which it adds; one without a name, or whose name is another's, stands where it is used.
func (b *Book) named(t reflect.Type) Object {
	name := nameOf(t)
	if have, taken := b.types[name]; name == "" || taken && have != t {
		return b.structure(t)
	}
	if b.types[name] == nil {
		b.types[name] = t // before its fields, which may be of the same type
		b.Schemas[name] = b.structure(t)
	}
	return Object{"$ref": "#/components/schemas/" + name}
}

// nameOf is a type's package and name in camel case: SysMountInfo of strongroom/internal/sys, AuthKubernetesRoleInfo of
// strongroom/auth/kubernetes, NamedSysMountInfo of an engine.Named of the first. "" for a type without a name.
func nameOf(t reflect.Type) string {
	if t.Name() == "" {
		return ""
	}
	name, of, generic := strings.Cut(t.Name(), "[")
	name = camel(t.PkgPath(), name)
	if generic {
		of = strings.TrimSuffix(of, "]")
		dot := strings.LastIndex(of, ".")
		name += camel(of[:max(dot, 0)], of[dot+1:])
	}
	return name
}

func camel(pkg, name string) string {
	path := pkg + "/"
	for _, outer := range []string{"strongroom/", "internal/", "engine/", "openapi/"} {
		path = strings.TrimPrefix(path, outer)
	}
	var out strings.Builder
	for word := range strings.SplitSeq(path+name, "/") {
		if word != "" {
			out.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return out.String()
}

func (b *Book) structure(t reflect.Type) Object {
	properties, required := Object{}, []string{}
	b.fields(t, properties, &required)
	out := Object{"type": "object", "properties": properties}
	if len(required) > 0 {
		slices.Sort(required)
		out["required"] = required
	}
	return out
}

func (b *Book) fields(t reflect.Type, properties Object, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct {
			b.fields(f.Type, properties, required)
			continue
		}
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		optional := strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
		kind := f.Type
		if optional && kind.Kind() == reflect.Pointer {
			kind = kind.Elem() // left out rather than null
		}
		s := b.of(kind)
		if f.Tag.Get("api") == "null" {
			s = nullable(s)
		}
		if texts := f.Tag.Get("enum"); texts != "" {
			enumerate(s, strings.Split(texts, ","))
		}
		if help := f.Tag.Get("help"); help != "" {
			s = beside(s, "description", help)
		}
		properties[name] = s
		if !optional {
			*required = append(*required, name)
		}
	}
}

// enumerate says which texts s, or what s is made of, may be.
func enumerate(s Object, texts []string) {
	for _, inner := range []string{"items", "additionalProperties"} {
		if of, ok := s[inner].(Object); ok {
			enumerate(of, texts)
			return
		}
	}
	s["enum"] = texts
}

// nullable is s or null. Beside a reference nothing else counts, so it moves inside (OpenAPI 3.0.3, Reference Object).
func nullable(s Object) Object {
	if len(s) == 0 {
		return s // anything is null too
	}
	return beside(s, "nullable", true)
}

func beside(s Object, name string, value any) Object {
	if _, refers := s["$ref"]; refers {
		s = Object{"allOf": []any{s}}
	}
	s[name] = value
	return s
}
