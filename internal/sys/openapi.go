package sys

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/mount"
)

// specRoutes serve the OpenAPI document
// (https://developer.hashicorp.com/vault/api-docs/system/internal-specs-openapi).
func (d *Deps) specRoutes() []engine.Route {
	fields := []engine.Field{
		{Name: "generic_mount_paths", Type: engine.Bool, Help: "Put a parameter in the place of each mount's path."},
		{Name: "context", Help: "Kept for compatibility."},
	}
	return []engine.Route{{Path: "internal/specs/openapi", Help: "The API of what is mounted here, as an OpenAPI document.", Fields: fields,
		AnyNode: true, Read: d.openAPI, Write: d.openAPI}}
}

// openAPI describes the mounts in which the caller's policies grant something.
func (d *Deps) openAPI(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	spec := newSpec(d.Version)
	for path, m := range c.Routing.All() {
		if c.ACL.AllowsUnder(c.Prefix + path) {
			spec.mount(m, c.Here.Root(), req.Data.Bool("generic_mount_paths"))
		}
	}
	for _, o := range outside() {
		if !c.Here.Root() {
			break
		}
		spec.add(specPath{path: "/sys/" + o.path, tag: "system", singleton: true}, o)
	}
	body, err := json.Marshal(spec.document())
	if err != nil {
		return nil, err
	}
	return &engine.Response{Raw: &engine.Raw{Status: http.StatusOK, ContentType: "application/json", Body: body}}, nil
}

// described is one path of the API: what a route says of itself.
type described struct {
	path         string // relative to its mount
	help         string
	fields       []engine.Field
	public, sudo bool
	creates      bool // create and update are told apart
	operations   []engine.Operation
}

func describeRoute(r engine.Route) described {
	out := described{path: r.Path, help: r.Help, fields: r.Fields, public: r.Public, sudo: r.Sudo, creates: r.Exists != nil}
	for _, op := range []engine.Operation{engine.Read, engine.List, engine.Scan, engine.Update, engine.Patch, engine.Delete} {
		if r.Handler(op) != nil {
			out.operations = append(out.operations, op)
		}
	}
	return out
}

// outside are the paths below sys/ that a server answers without an open Session:
// no route of the engine "system" stands for them.
func outside() []described {
	read, write := engine.Read, engine.Update
	str := func(names ...string) (out []engine.Field) {
		for _, n := range names {
			out = append(out, engine.Field{Name: n})
		}
		return out
	}
	shares := []engine.Field{
		{Name: "secret_shares", Type: engine.Int, Help: "Number of key shares."}, {Name: "secret_threshold", Type: engine.Int, Help: "Shares needed."},
		{Name: "pgp_keys", Type: engine.StringList, Help: "PGP keys that encrypt the shares."},
	}
	share := engine.Field{Name: "key", Help: "One key share."}
	all := []described{
		{path: "health", help: "Whether this node serves, by its status code.", operations: []engine.Operation{read}},
		{path: "seal-status", help: "Whether this node is sealed, and how far unsealing is.", operations: []engine.Operation{read}},
		{path: "leader", help: "Which node is the active one.", operations: []engine.Operation{read}},
		{path: "init", help: "Initialize the server.", operations: []engine.Operation{read, write}, fields: append(slices.Clone(shares),
			engine.Field{Name: "recovery_shares", Type: engine.Int, Help: "Shares of the recovery key."}, engine.Field{Name: "recovery_threshold", Type: engine.Int, Help: "Recovery shares needed."},
			engine.Field{Name: "recovery_pgp_keys", Type: engine.StringList, Help: "PGP keys that encrypt them."}, engine.Field{Name: "root_token_pgp_key", Help: "PGP key that encrypts the root token."})},
		{path: "unseal", help: "Enter a key share, or begin again.", operations: []engine.Operation{write}, fields: []engine.Field{share,
			{Name: "reset", Type: engine.Bool, Help: "Forget the shares entered so far."}, {Name: "migrate", Type: engine.Bool, Help: "Migrate to another seal."}}},
		{path: "storage/raft/join", help: "Have this node join a cluster.", operations: []engine.Operation{write},
			fields: append(str("leader_api_addr", "leader_ca_cert", "leader_client_cert", "leader_client_key", "auto_join", "auto_join_scheme"),
				engine.Field{Name: "retry", Type: engine.Bool}, engine.Field{Name: "non_voter", Type: engine.Bool}, engine.Field{Name: "auto_join_port", Type: engine.Int})},
		{path: "storage/raft/bootstrap/challenge", help: "Begin to join: a challenge to answer.", operations: []engine.Operation{write}, fields: str("server_id")},
		{path: "storage/raft/bootstrap/answer", help: "Answer the challenge.", operations: []engine.Operation{write}, fields: str("answer", "server_id", "cluster_addr")},
		{path: "decode-token", help: "Decode a token that was made for a one-time password.", operations: []engine.Operation{write}, fields: str("encoded_token", "otp")},
		{path: "storage/raft/snapshot", help: "Take a snapshot, or restore one of this cluster.", sudo: true, operations: []engine.Operation{read, write}},
		{path: "storage/raft/snapshot-force", help: "Restore a snapshot, whatever cluster it is from.", sudo: true, operations: []engine.Operation{write}},
	}
	for i := range all {
		all[i].public = !all[i].sudo
	}
	return all
}

// spec gathers an OpenAPI 3.0 document.
type spec struct {
	version string
	paths   map[string]object
	schemas map[string]object
}

type object = map[string]any

func newSpec(version string) *spec {
	return &spec{version: version, paths: map[string]object{}, schemas: map[string]object{}}
}

func (s *spec) document() object {
	return object{
		"openapi": "3.0.2",
		"info": object{
			"title":       "Strongroom API",
			"description": "HTTP API of a Strongroom server, compatible with Vault's. All routes are prefixed with `/v1/`.",
			"version":     cmp.Or(s.version, "0.0.0"),
			"license":     object{"name": "Mozilla Public License 2.0", "url": "https://www.mozilla.org/en-US/MPL/2.0"},
		},
		"paths":      s.paths,
		"components": object{"schemas": s.schemas},
	}
}

// specPath is where a route stands.
type specPath struct {
	path      string
	tag       string
	mount     string // name of the parameter for the mount's path, "" for none
	given     string // what it is here
	singleton bool   // part of the server
}

func (s *spec) mount(m *mount.Mounted, root, generic bool) {
	at := specPath{tag: "secrets", given: strings.TrimSuffix(m.Entry.Path, "/"), singleton: m.Entry.Fixed()}
	base := "/" + m.Entry.Path
	switch {
	case m.Entry.Path == "sys/":
		at.tag = "system"
	case m.Entry.Path == "identity/":
		at.tag = "identity"
	case m.Entry.Auth():
		at.tag = "auth"
	}
	if generic && !at.singleton {
		name := strings.TrimPrefix(at.given, "auth/")
		at.mount, at.given = strings.NewReplacer("/", "_", "-", "_").Replace(name)+"_mount_path", name
		base = "/{" + at.mount + "}/"
		if m.Entry.Auth() {
			base = "/auth" + base
		}
	}
	for _, r := range m.Router.Routes() {
		if r.RootOnly && !root {
			continue
		}
		at.path = base + strings.ReplaceAll(r.Path, "...}", "}")
		s.add(at, describeRoute(r))
	}
}

// add describes one path. A path that only lists has a slash at its end, as its
// clients ask with one.
func (s *spec) add(at specPath, d described) {
	inPath := func(f engine.Field) bool { return strings.Contains(at.path, "{"+f.Name+"}") }
	path := at.path
	others := func(op engine.Operation) bool { return !op.Lists() }
	if !slices.ContainsFunc(d.operations, others) && !strings.HasSuffix(path, "}") {
		path += "/"
	}
	item := object{"description": d.help}
	if d.public {
		item["x-vault-unauthenticated"] = true
	}
	if d.sudo {
		item["x-vault-sudo"] = true
	}
	if d.creates {
		item["x-vault-createSupported"] = true
	}
	var params []object
	if at.mount != "" {
		params = append(params, object{"name": at.mount, "in": "path", "required": true, "description": "Path that the backend was mounted at",
			"schema": object{"type": "string", "default": at.given}})
	}
	described := map[string]bool{}
	for _, f := range d.fields {
		if inPath(f) {
			described[f.Name] = true
			params = append(params, object{"name": f.Name, "in": "path", "required": true, "description": f.Help, "schema": schemaOf(f)})
		}
	}
	for seg := range strings.SplitSeq(at.path, "/") { // parameters that no field describes
		if name, ok := strings.CutSuffix(strings.TrimPrefix(seg, "{"), "}"); ok && !described[name] && name != at.mount {
			params = append(params, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
		}
	}
	if len(params) > 0 {
		item["parameters"] = params
	}
	body := slices.DeleteFunc(slices.Clone(d.fields), inPath)
	for _, op := range d.operations {
		s.operation(item, at, path, d, op, body)
	}
	s.paths[path] = item
}

func (s *spec) operation(item object, at specPath, path string, d described, op engine.Operation, body []engine.Field) {
	method := map[engine.Operation]string{engine.Read: "get", engine.List: "get", engine.Scan: "get", engine.Update: "post", engine.Patch: "patch", engine.Delete: "delete"}[op]
	if have, ok := item[method].(object); ok { // reads, lists and scans
		params, _ := have["parameters"].([]object)
		have["parameters"] = append(params, flag(op, false))
		return
	}
	id := operationID(path, op)
	o := object{"operationId": id, "summary": d.help, "tags": []string{at.tag}, "responses": object{responseCode(op): object{"description": "OK"}}}
	switch op {
	case engine.List, engine.Scan:
		o["parameters"] = []object{flag(op, true)}
	case engine.Read, engine.Delete:
		var params []object
		for _, f := range body {
			params = append(params, object{"name": f.Name, "in": "query", "description": f.Help, "schema": schemaOf(f)})
		}
		if len(params) > 0 {
			o["parameters"] = params
		}
	default:
		if len(body) == 0 {
			break
		}
		name := schemaName(id)
		s.schemas[name] = bodySchema(body)
		content := map[engine.Operation]string{engine.Update: "application/json", engine.Patch: "application/merge-patch+json"}[op]
		o["requestBody"] = object{"required": true, "content": object{content: object{"schema": object{"$ref": "#/components/schemas/" + name}}}}
	}
	item[method] = o
}

func responseCode(op engine.Operation) string {
	if op == engine.Delete {
		return "204"
	}
	return "200"
}

// flag is the parameter that makes a GET a list or a scan; both may be methods too.
func flag(op engine.Operation, required bool) object {
	return object{"name": string(op), "in": "query", "required": required, "description": "Must be set to `true`", "schema": object{"type": "string", "enum": []string{"true"}}}
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

func bodySchema(fields []engine.Field) object {
	properties := object{}
	var required []string
	for _, f := range fields {
		properties[f.Name] = schemaOf(f)
		if f.Required {
			required = append(required, f.Name)
		}
	}
	out := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func schemaOf(f engine.Field) object {
	var out object
	switch f.Type {
	case engine.Int:
		out = object{"type": "integer"}
	case engine.Bool:
		out = object{"type": "boolean"}
	case engine.Duration:
		out = object{"type": "string", "format": "duration"}
	case engine.StringList:
		out = object{"type": "array", "items": object{"type": "string"}}
	case engine.StringMap:
		out = object{"type": "object", "format": "kvpairs"}
	case engine.Object:
		out = object{"type": "object"}
	case engine.Any:
		out = object{}
	default:
		out = object{"type": "string"}
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
