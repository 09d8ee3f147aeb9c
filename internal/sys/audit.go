package sys

import (
	"context"
	"errors"
	"strconv"
	"time"

	"strongroom/engine"
	"strongroom/internal/audit"
	"strongroom/internal/call"
)

// auditRoutes serve sys/audit, sys/audit-hash and sys/config/auditing
// (https://developer.hashicorp.com/vault/api-docs/system/audit, …/audit-hash, …/config-auditing).
func (d *Deps) auditRoutes() []engine.Route {
	device := []engine.Field{
		{Name: "path", Help: "Where the device is in sys/audit."},
		{Name: "type", Help: "file, socket, syslog or http."},
		{Name: "description", Help: "What it is for, in the operator's words."},
		{Name: "options", Type: engine.StringMap, Help: "Options of the device, such as file_path."},
		{Name: "local", Type: engine.Bool, Help: "Kept for compatibility; there is no replication."},
	}
	header := []engine.Field{
		{Name: "header", Help: "Name of the request header, in any case."},
		{Name: "hmac", Type: engine.Bool, Help: "Record its hash instead of its value."},
	}
	headers := "config/auditing/request-headers"
	headersOf := engine.TopLevel{Data: auditedHeaders{}}
	devices := engine.TopLevel{Data: map[string]auditDevice{}}
	return []engine.Route{
		{Path: "audit", Help: "List the enabled audit devices.", Sudo: true, AnyNode: true, Answers: engine.Answers{engine.Read: devices, engine.List: devices}, Read: d.listAudit, List: d.listAudit},
		{Path: "audit/{path...}", Help: "Enable or disable an audit device.", Fields: device, Sudo: true, Answers: engine.Answers{engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}}, Write: d.enableAudit, Delete: d.disableAudit},
		{Path: "audit-hash/{path...}", Help: "The hash that an audit device records in the place of a text.", Answers: engine.Answers{engine.Update: engine.TopLevel{Data: auditHash{}}}, Write: d.auditHash, Fields: []engine.Field{
			{Name: "path", Help: "Where the device is in sys/audit."}, {Name: "input", Required: true, Help: "The text."}}},
		{Path: headers, Help: "List the request headers that are recorded.", Sudo: true, AnyNode: true, Answers: engine.Answers{engine.Read: headersOf, engine.List: headersOf}, Read: d.listHeaders, List: d.listHeaders},
		{Path: headers + "/{header}", Help: "Have a request header recorded, or no longer.", Fields: header, Sudo: true, AnyNode: true,
			Answers: engine.Answers{engine.Read: engine.TopLevel{Data: map[string]audit.Header{}}, engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}},
			Read:    d.readHeader, Write: d.writeHeader, Delete: d.deleteHeader},
		{Path: "internal/audit/search", Help: "Search what a file audit device of the node that answers holds, the newest first.", Sudo: true, AnyNode: true,
			Fields: searchFields(), Answers: engine.Answers{engine.Read: audit.Page{}}, Read: d.searchAudit},
	}
}

func searchFields() []engine.Field {
	return []engine.Field{
		{Name: "device", Help: "Where the device is in sys/audit; the first file device by default."},
		{Name: "from", Help: "Only records since then: RFC 3339, or seconds since 1970."},
		{Name: "to", Help: "Only records until then: RFC 3339, or seconds since 1970."},
		{Name: "type", Help: "Only records of type request or response."},
		{Name: "operation", Help: "Only records of this operation, such as update."},
		{Name: "path_prefix", Help: "Only records of paths that begin so."},
		{Name: "name", Help: "Only records of who has this entity id, or a display name or metadata with this in it."},
		{Name: "request_id", Help: "Only records of the request with this id."},
		{Name: "errors_only", Type: engine.Bool, Help: "Only records of requests that failed."},
		{Name: "limit", Type: engine.Int, Default: int64(100), Help: "How many records to return at most, up to 1000."},
		{Name: "cursor", Help: "The next of the answer before: where to go on. An answer may have few records, or none, and a next."},
	}
}

func (d *Deps) searchAudit(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	p := req.Data
	q := audit.Query{Device: p.String("device"), Type: p.String("type"), Operation: p.String("operation"), PathPrefix: p.String("path_prefix"), Name: p.String("name"),
		Request: p.String("request_id"), ErrorsOnly: p.Bool("errors_only"), Limit: int(min(max(p.Int("limit"), -1), 1<<20)), Cursor: p.String("cursor")}
	for name, to := range map[string]*time.Time{"from": &q.From, "to": &q.To} {
		text := p.String(name)
		if text == "" {
			continue
		}
		if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
			*to = time.Unix(seconds, 0)
		} else if *to, err = time.Parse(time.RFC3339, text); err != nil {
			return nil, engine.Invalidf("%s must be a time such as 2026-01-02T15:04:05Z, or seconds since 1970", name)
		}
	}
	page, err := d.Audit.Search(ctx, call.From(ctx).Tx, q)
	if err != nil {
		return nil, auditError(err)
	}
	return &engine.Response{Data: page}, nil
}

// auditError is err with the status it has for a client.
func auditError(err error) error {
	if wrong, ok := errors.AsType[*audit.Invalid](err); ok {
		return engine.Invalidf("%s", wrong.Text)
	}
	return err
}

func (d *Deps) listAudit(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	devices, err := d.Audit.List(ctx, call.From(ctx).Tx)
	if err != nil {
		return nil, err
	}
	data := map[string]any{}
	for _, one := range devices {
		data[one.Path] = one
	}
	return &engine.Response{TopLevel: true, Data: data}, nil
}

func (d *Deps) enableAudit(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	p := req.Data
	if p.String("type") == "" {
		return nil, engine.Invalidf("type is missing: file, socket, syslog or http")
	}
	return nil, auditError(d.Audit.Enable(ctx, call.From(ctx).Tx, audit.Spec{Path: p.String("path"), Type: p.String("type"),
		Description: p.String("description"), Options: p.Map("options"), Local: p.Bool("local")}))
}

func (d *Deps) disableAudit(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return nil, auditError(d.Audit.Disable(ctx, call.From(ctx).Tx, req.Data.String("path")))
}

func (d *Deps) auditHash(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	hash, err := d.Audit.Hash(ctx, call.From(ctx).Tx, req.Data.String("path"), req.Data.String("input"))
	if err != nil {
		return nil, auditError(err)
	}
	return &engine.Response{TopLevel: true, Data: map[string]any{"hash": hash}}, nil
}

func (d *Deps) listHeaders(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	headers, err := d.Audit.Headers(ctx, call.From(ctx).Tx)
	if err != nil {
		return nil, err
	}
	return &engine.Response{TopLevel: true, Data: map[string]any{"headers": headers}}, nil
}

func (d *Deps) readHeader(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	headers, err := d.Audit.Headers(ctx, call.From(ctx).Tx)
	if err != nil {
		return nil, err
	}
	name := audit.HeaderName(req.Data.String("header"))
	h, ok := headers[name]
	if !ok {
		return nil, engine.Invalidf("Could not find header in config")
	}
	return &engine.Response{TopLevel: true, Data: map[string]any{name: h}}, nil
}

func (d *Deps) writeHeader(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return nil, auditError(d.Audit.PutHeader(ctx, call.From(ctx).Tx, req.Data.String("header"), &audit.Header{HMAC: req.Data.Bool("hmac")}))
}

func (d *Deps) deleteHeader(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return nil, auditError(d.Audit.PutHeader(ctx, call.From(ctx).Tx, req.Data.String("header"), nil))
}
