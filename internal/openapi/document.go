// Package openapi owns the OpenAPI document of routes: what they take and what they answer. It knows no mount table and no
// caller: who asks for a document says what is in it.
package openapi

import (
	"cmp"
	"slices"
	"strings"

	"strongroom/engine"
	"strongroom/internal/schema"
)

// Document is an OpenAPI 3.0 document in the making. It is for one goroutine.
type Document struct {
	version string
	paths   schema.Object
	book    *schema.Book
}

// Place is where the engine of routes is mounted.
type Place struct {
	Path    string // "secret/", "auth/kubernetes/"
	Tag     string // what its operations are listed under
	Generic bool   // a parameter stands in the place of Path
}

// parameter is the name of the parameter in the place of the mount's path, and that path.
func (p Place) parameter() (name, path string) {
	path = strings.TrimPrefix(strings.TrimSuffix(p.Path, "/"), "auth/")
	return strings.NewReplacer("/", "_", "-", "_").Replace(path) + "_mount_path", path
}

// base is where routes begin in the document.
func (p Place) base() string {
	if !p.Generic {
		return "/" + p.Path
	}
	name, _ := p.parameter()
	if strings.HasPrefix(p.Path, "auth/") {
		return "/auth/{" + name + "}/"
	}
	return "/{" + name + "}/"
}

// New is a document of a server of that version, without paths yet.
func New(version string) *Document {
	return &Document{version: version, paths: schema.Object{}, book: schema.NewBook()}
}

// Object is the document. Nothing may be added afterwards.
func (d *Document) Object() schema.Object {
	refused := d.book.Of(Refusal{})
	return schema.Object{
		"openapi": "3.0.2",
		"info": schema.Object{
			"title": "Strongroom API",
			"description": "HTTP API of a Strongroom server, compatible with Vault's. All routes are prefixed with `/v1/`. A request with `X-Vault-Wrap-TTL` " +
				"is answered with `wrap_info` alone: `data` and `auth` are null then.",
			"version": cmp.Or(d.version, "0.0.0"),
			"license": schema.Object{"name": "Mozilla Public License 2.0", "url": "https://www.mozilla.org/en-US/MPL/2.0"},
		},
		"servers": []schema.Object{{"url": "/v1"}},
		"paths":   d.paths,
		"components": schema.Object{
			"schemas":   d.book.Schemas,
			"responses": schema.Object{"Refused": schema.Object{"description": "Nothing was done, or what the text says.", "content": content("application/json", refused)}},
		},
	}
}

// operations are those of a route, in the order in which they share a method.
func operations(r *engine.Route) (out []engine.Operation) {
	for _, op := range []engine.Operation{engine.Read, engine.List, engine.Scan, engine.Update, engine.Patch, engine.Delete} {
		if r.Handler(op) != nil {
			out = append(out, op)
		}
	}
	return out
}

// Add describes a route. A path that only lists has a slash at its end, as its
// clients ask with one.
func (d *Document) Add(at Place, r engine.Route) {
	path := at.base() + strings.ReplaceAll(r.Path, "...}", "}")
	inPath := func(f engine.Field) bool { return strings.Contains(path, "{"+f.Name+"}") }
	ops := operations(&r)
	others := func(op engine.Operation) bool { return !op.Lists() }
	if !slices.ContainsFunc(ops, others) && !strings.HasSuffix(path, "}") {
		path += "/"
	}
	item := schema.Object{"description": r.Help}
	for flag, set := range map[string]bool{"x-vault-unauthenticated": r.Public, "x-vault-sudo": r.Sudo, "x-vault-createSupported": r.Exists != nil} {
		if set {
			item[flag] = true
		}
	}
	if params := pathParameters(at, path, r.Fields); len(params) > 0 {
		item["parameters"] = params
	}
	body := slices.DeleteFunc(slices.Clone(r.Fields), inPath)
	for _, op := range ops {
		d.operation(item, at, path, &r, op, body)
	}
	d.paths[path] = item
}

// pathParameters are the parameters in path, those that no field describes too.
func pathParameters(at Place, path string, fields []engine.Field) []schema.Object {
	var params []schema.Object
	described := map[string]bool{}
	if at.Generic {
		name, given := at.parameter()
		described[name] = true
		params = append(params, schema.Object{"name": name, "in": "path", "required": true, "description": "Path that the backend was mounted at",
			"schema": schema.Object{"type": "string", "default": given}})
	}
	for _, f := range fields {
		if strings.Contains(path, "{"+f.Name+"}") {
			described[f.Name] = true
			params = append(params, schema.Object{"name": f.Name, "in": "path", "required": true, "description": f.Help, "schema": schemaOf(f)})
		}
	}
	for seg := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutSuffix(strings.TrimPrefix(seg, "{"), "}"); ok && !described[name] {
			params = append(params, schema.Object{"name": name, "in": "path", "required": true, "schema": schema.Object{"type": "string"}})
		}
	}
	return params
}

func (d *Document) operation(item schema.Object, at Place, path string, r *engine.Route, op engine.Operation, body []engine.Field) {
	method := map[engine.Operation]string{engine.Read: "get", engine.List: "get", engine.Scan: "get", engine.Update: "post", engine.Patch: "patch", engine.Delete: "delete"}[op]
	if have, ok := item[method].(schema.Object); ok { // reads, lists and scans
		params, _ := have["parameters"].([]schema.Object)
		for _, p := range params { // of a list that may be a scan too, neither flag must be set
			if p["in"] == "query" && p["name"] == string(engine.List) {
				p["required"] = false
			}
		}
		have["parameters"] = append(params, flag(op, false))
		d.alsoAnswers(have["responses"].(schema.Object), r, op)
		return
	}
	id := operationID(path, op)
	o := schema.Object{"operationId": id, "summary": r.Help, "tags": []string{at.Tag}, "responses": d.responses(r, op)}
	switch op {
	case engine.List, engine.Scan:
		o["parameters"] = []schema.Object{flag(op, true)}
	case engine.Read, engine.Delete:
		var params []schema.Object
		for _, f := range body {
			params = append(params, schema.Object{"name": f.Name, "in": "query", "description": f.Help, "schema": schemaOf(f)})
		}
		if len(params) > 0 {
			o["parameters"] = params
		}
	default:
		if len(body) == 0 {
			break
		}
		name := schemaName(id)
		d.book.Schemas[name] = bodySchema(body)
		media := map[engine.Operation]string{engine.Update: "application/json", engine.Patch: "application/merge-patch+json"}[op]
		o["requestBody"] = schema.Object{"required": true, "content": content(media, schema.Object{"$ref": "#/components/schemas/" + name})}
	}
	item[method] = o
}

// flag is the parameter that makes a GET a list or a scan; both may be methods too.
func flag(op engine.Operation, required bool) schema.Object {
	return schema.Object{"name": string(op), "in": "query", "required": required, "description": "Must be set to `true`", "schema": schema.Object{"type": "string", "enum": []string{"true"}}}
}

// operationID is the path's segments and then what is done: "sys-mounts-path-write".
func operationID(path string, op engine.Operation) string {
	verb := map[engine.Operation]string{engine.Read: "read", engine.List: "list", engine.Scan: "scan", engine.Update: "write", engine.Patch: "patch", engine.Delete: "delete"}[op]
	word := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '/' {
			return r
		}
		return '_'
	}
	path = strings.Trim(strings.NewReplacer("{", "", "}", "").Replace(path), "/")
	return strings.ReplaceAll(strings.Map(word, path)+"/"+verb, "/", "-")
}

// schemaName is an operation's id in camel case, with Request behind it.
func schemaName(id string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(id, func(r rune) bool { return r == '-' }) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String() + "Request"
}

func bodySchema(fields []engine.Field) schema.Object {
	properties := schema.Object{}
	var required []string
	for _, f := range fields {
		properties[f.Name] = schemaOf(f)
		if f.Required {
			required = append(required, f.Name)
		}
	}
	out := schema.Object{"type": "object", "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func schemaOf(f engine.Field) schema.Object {
	var out schema.Object
	switch f.Type {
	case engine.Int:
		out = schema.Object{"type": "integer"}
	case engine.Bool:
		out = schema.Object{"type": "boolean"}
	case engine.Duration:
		out = schema.Object{"type": "string", "format": "duration"}
	case engine.StringList:
		out = schema.Object{"type": "array", "items": schema.Object{"type": "string"}}
	case engine.StringMap:
		out = schema.Object{"type": "object", "format": "kvpairs"}
	case engine.Object:
		out = schema.Object{"type": "object"}
	case engine.Any:
		out = schema.Object{}
	default:
		out = schema.Object{"type": "string"}
	}
	if f.Help != "" {
		out["description"] = f.Help
	}
	switch v := f.Default.(type) {
	case nil:
	case string, bool, int64, []string:
		out["default"] = v
	}
	return out
}
