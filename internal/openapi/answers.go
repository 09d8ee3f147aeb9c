package openapi

import (
	"encoding/json"

	"strongroom/engine"
	"strongroom/internal/schema"
)

// Envelope is what stands around the data of an answer (https://developer.hashicorp.com/vault/api-docs).
type Envelope struct {
	RequestID     string    `json:"request_id"`
	LeaseID       string    `json:"lease_id"`
	Renewable     bool      `json:"renewable"`
	LeaseDuration int64     `json:"lease_duration" help:"Seconds."`
	WrapInfo      *WrapInfo `json:"wrap_info" help:"Where the answer is, if it was asked for wrapped."`
	Warnings      []string  `json:"warnings" api:"null"`
	Auth          *Auth     `json:"auth" help:"The token of a login."`
	MountType     string    `json:"mount_type"`
}

// Auth is a token that was made.
type Auth struct {
	ClientToken      string            `json:"client_token"`
	Accessor         string            `json:"accessor"`
	Policies         []string          `json:"policies" help:"All that count."`
	TokenPolicies    []string          `json:"token_policies"`
	IdentityPolicies []string          `json:"identity_policies,omitempty"`
	Metadata         map[string]string `json:"metadata" api:"null"`
	LeaseDuration    int64             `json:"lease_duration" help:"Seconds."`
	Renewable        bool              `json:"renewable"`
	EntityID         string            `json:"entity_id"`
	TokenType        string            `json:"token_type" enum:"service,batch"`
	Orphan           bool              `json:"orphan"`
	MFARequirement   any               `json:"mfa_requirement"`
	NumUses          int               `json:"num_uses"`
}

// WrapInfo is where a wrapped answer is.
type WrapInfo struct {
	Token           string `json:"token"`
	Accessor        string `json:"accessor"`
	TTL             int64  `json:"ttl" help:"Seconds."`
	CreationTime    string `json:"creation_time"`
	CreationPath    string `json:"creation_path"`
	WrappedAccessor string `json:"wrapped_accessor,omitempty"`
}

// Refusal is the answer to what was not done.
type Refusal struct {
	Errors []string `json:"errors"`
}

// responses are what op may answer, by status.
func (d *Document) responses(r *engine.Route, op engine.Operation) schema.Object {
	out := schema.Object{"default": schema.Object{"$ref": "#/components/responses/Refused"}}
	answer, said := r.Answer(op)
	if maybe, ok := answer.(engine.Maybe); ok {
		out["204"] = schema.Object{"description": "Done, and there is nothing to say."}
		answer = maybe.Data
	}
	switch a := answer.(type) {
	case engine.Never:
	case engine.Nothing:
		out["204"] = schema.Object{"description": "Done."}
	case engine.Accepted:
		out["202"] = schema.Object{"description": "Begun.", "content": content("application/json", d.body(engine.Envelope{}))}
	case engine.Stream:
		out["200"] = schema.Object{"description": "OK", "content": content(string(a), schema.Object{"type": "string", "format": "binary"})}
	default:
		if !said && op == engine.Delete {
			out["204"] = schema.Object{"description": "Done."}
			break
		}
		ok := schema.Object{"description": "OK"}
		if said {
			ok["content"] = content("application/json", d.body(answer))
		}
		out["200"] = ok
	}
	return out
}

// alsoAnswers adds what another operation of the same method answers.
func (d *Document) alsoAnswers(responses schema.Object, r *engine.Route, op engine.Operation) {
	have, _ := responses["200"].(schema.Object)
	more, _ := d.responses(r, op)["200"].(schema.Object)
	media, ok := have["content"].(schema.Object)
	other, also := more["content"].(schema.Object)
	if !ok || !also {
		delete(have, "content") // one of them says nothing of itself
		return
	}
	was, is := schemaIn(media), schemaIn(other)
	if text(was) == text(is) {
		return
	}
	all, several := was["anyOf"].([]any)
	if !several {
		all = []any{was}
	}
	have["content"] = content("application/json", schema.Object{"anyOf": append(all, is)})
}

// body is the JSON of an answer.
func (d *Document) body(answer any) schema.Object {
	envelope := d.book.Of(Envelope{})
	with := func(more ...any) schema.Object { return schema.Object{"allOf": append([]any{envelope}, more...)} }
	data := func(v any) schema.Object {
		return schema.Object{"type": "object", "properties": schema.Object{"data": d.book.Of(v)}, "required": []string{"data"}}
	}
	switch a := answer.(type) {
	case engine.Envelope:
		return with(schema.Object{"type": "object", "properties": schema.Object{"data": schema.Object{"type": "object", "nullable": true}}, "required": []string{"data"}})
	case engine.Bare:
		return d.book.Of(a.Data)
	case engine.TopLevel:
		beside := d.book.Of(a.Data)
		if _, named := beside["$ref"]; !named { // a map: it says nothing of the envelope's own members
			beside = schema.Object{"type": "object", "additionalProperties": schema.Object{}}
		}
		return with(data(a.Data), beside)
	default:
		return with(data(a))
	}
}

func content(media string, s schema.Object) schema.Object {
	return schema.Object{media: schema.Object{"schema": s}}
}

func schemaIn(content schema.Object) schema.Object {
	return content["application/json"].(schema.Object)["schema"].(schema.Object)
}

func text(s schema.Object) string {
	b, _ := json.Marshal(s) // of maps, lists and texts alone: it always encodes
	return string(b)
}
