package engine

import (
	"slices"

	"strongroom/internal/schema"
)

// Answers say what a Route's operations answer when they succeed (Update stands for Create too). The OpenAPI document describes
// answers by them, and the web UI has its types from there; tests hold every answer against them (enginetest.CheckAnswer).
//
// A value is what Response.Data is, as the zero value of a Go type of the same JSON form (schema.Book.Of says which tags count): the
// type that the handler itself encodes, where there is one. Or it is one of the types below, or nil for what may be anything. An
// operation without a value is not described.
type Answers map[Operation]any

type (
	// Nothing is 204 No Content.
	Nothing struct{}
	// Maybe is Data, or Nothing.
	Maybe struct{ Data any }
	// TopLevel is Data whose members stand beside "data" too, as Response.TopLevel has it.
	TopLevel struct{ Data any }
	// Envelope is an answer without Data: what counts stands around it, such as a token in "auth", or how long a lease is.
	Envelope struct{}
	// Accepted is Envelope with 202: the work goes on behind the answer (Response.Accepted).
	Accepted struct{}
	// Never succeeds: it says why it does not.
	Never struct{}
	// Either is Data of one of these forms.
	Either = schema.Either
	// Bare is a JSON body of Data's form without the envelope, as Response.Raw has it.
	Bare struct{ Data any }
	// Stream is a body of this media type, which is not JSON; "*/*" is one of several.
	Stream string
)

// Shown is Data with the values of these fields, all of them: durations in seconds.
type Shown []Field

// Schema implements schema.Described.
func (s Shown) Schema() schema.Object {
	properties, names := schema.Object{}, []string{}
	for _, f := range s {
		one := schema.Object{}
		switch f.Type {
		case Int, Duration:
			one["type"] = "integer"
		case Bool:
			one["type"] = "boolean"
		case StringList:
			one["type"], one["items"] = "array", schema.Object{"type": "string"}
		case StringMap:
			one["type"], one["additionalProperties"] = "object", schema.Object{"type": "string"}
		case Object:
			one["type"], one["additionalProperties"] = "object", schema.Object{}
		case String, Name:
			one["type"] = "string"
		}
		if f.Help != "" {
			one["description"] = f.Help
		}
		properties[f.Name] = one
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return schema.Object{"type": "object", "properties": properties, "required": names}
}

// Keys is what most lists answer.
type Keys struct {
	Keys []string `json:"keys"`
}

// Named is what lists answer that tell more of each name.
type Named[T any] struct {
	Keys []string     `json:"keys"`
	Info map[string]T `json:"key_info"`
}

// Answer is what op answers, and whether the route says so.
func (rt *Route) Answer(op Operation) (any, bool) {
	if op == Create {
		op = Update
	}
	a, ok := rt.Answers[op]
	return a, ok
}
