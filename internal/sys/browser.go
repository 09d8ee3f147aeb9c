package sys

import (
	"context"
	"net/http"
	"slices"

	"strongroom/engine"
	"strongroom/internal/browser"
	"strongroom/internal/call"
)

// browserRoutes serve sys/config/cors, sys/config/ui/headers and sys/config/state
// (https://developer.hashicorp.com/vault/api-docs/system/config-cors, …/config-ui, …/config-state).
func (d *Deps) browserRoutes() []engine.Route {
	cors := []engine.Field{
		{Name: "enabled", Type: engine.Bool, Help: "Kept for compatibility: writing allowed_origins enables CORS, deleting disables it."},
		{Name: "allowed_origins", Type: engine.StringList, Help: "The origins whose pages may use the API, or *."},
		{Name: "allowed_headers", Type: engine.StringList, Help: "Request headers that these pages may send, beside the standard ones."},
		{Name: "allow_credentials", Type: engine.Bool, Help: "Let browsers send client certificates and the like with the requests of these pages."},
	}
	header := []engine.Field{
		{Name: "header", Help: "Name of the header, in any case."},
		{Name: "values", Type: engine.StringList, Help: "Its values."},
		{Name: "multivalue", Type: engine.Bool, Help: "When reading: all values, not the first only."},
	}
	return []engine.Route{
		{Path: "config/cors", Help: "Which pages of other origins may use the API.", Fields: cors, Sudo: true, RootOnly: true, AnyNode: true,
			Answers: engine.Answers{engine.Read: engine.TopLevel{Data: corsSettings{}}, engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}}, Read: d.readCORS, Write: d.writeCORS, Delete: d.deleteCORS},
		{Path: "config/ui/headers", Help: "List the headers that the web UI's pages are served with.", Sudo: true, RootOnly: true, AnyNode: true,
			Answers: engine.Answers{engine.List: engine.Keys{}}, List: d.listUIHeaders},
		{Path: "config/ui/headers/{header}", Help: "A header that the web UI's pages are served with.", Fields: header, Sudo: true, RootOnly: true, AnyNode: true,
			Answers: engine.Answers{engine.Read: engine.TopLevel{Data: uiHeader{}}, engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}},
			Read:    d.readUIHeader, Write: d.writeUIHeader, Delete: d.deleteUIHeader},
		{Path: "config/state/sanitized", Help: "The configuration of the node that answers, without anything that may be secret.", RootOnly: true, AnyNode: true,
			Answers: engine.Answers{engine.Read: engine.TopLevel{Data: sanitizedConfig{}}}, Read: d.sanitized},
	}
}

func (d *Deps) readCORS(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	s, err := d.Browser.Get(ctx, call.From(ctx).Tx)
	if err != nil {
		return nil, err
	}
	data := map[string]any{"enabled": s.CORS.Enabled}
	if s.CORS.Enabled {
		data["allowed_origins"], data["allow_credentials"] = s.CORS.Origins, s.CORS.Credentials
		data["allowed_headers"] = slices.Concat(browser.StandardHeaders(), s.CORS.Headers)
	}
	return &engine.Response{TopLevel: true, Data: data}, nil
}

func (d *Deps) writeCORS(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c := browser.CORS{Enabled: true, Origins: req.Data.Strings("allowed_origins"), Headers: req.Data.Strings("allowed_headers"), Credentials: req.Data.Bool("allow_credentials")}
	if err := c.Check(); err != nil {
		return nil, engine.Invalidf("%v", err)
	}
	return nil, browser.Change(ctx, call.From(ctx).Tx, func(s *browser.Settings) { s.CORS = c })
}

func (d *Deps) deleteCORS(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	return nil, browser.Change(ctx, call.From(ctx).Tx, func(s *browser.Settings) { s.CORS = browser.CORS{} })
}

func (d *Deps) listUIHeaders(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	s, err := d.Browser.Get(ctx, call.From(ctx).Tx)
	if err != nil {
		return nil, err
	}
	if len(s.UI) == 0 {
		return nil, engine.ErrNotFound
	}
	names := []string{}
	for name := range s.UI {
		names = append(names, name)
	}
	slices.Sort(names)
	return &engine.Response{Data: map[string]any{"keys": names}}, nil
}

func (d *Deps) readUIHeader(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	s, err := d.Browser.Get(ctx, call.From(ctx).Tx)
	if err != nil {
		return nil, err
	}
	values := s.UI[http.CanonicalHeaderKey(req.Data.String("header"))]
	if len(values) == 0 {
		return nil, engine.ErrNotFound
	}
	if req.Data.Bool("multivalue") {
		return &engine.Response{TopLevel: true, Data: map[string]any{"values": values}}, nil
	}
	return &engine.Response{TopLevel: true, Data: map[string]any{"value": values[0]}}, nil
}

func (d *Deps) writeUIHeader(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	name, values := req.Data.String("header"), req.Data.Strings("values")
	if err := browser.CheckHeader(name, values); err != nil {
		return nil, engine.Invalidf("%v", err)
	}
	full := false
	err := browser.Change(ctx, call.From(ctx).Tx, func(s *browser.Settings) {
		s.UI[http.CanonicalHeaderKey(name)] = values
		full = len(s.UI) > 64
	})
	if full {
		return nil, engine.Invalidf("there are 64 headers already: delete one")
	}
	return nil, err
}

func (d *Deps) deleteUIHeader(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return nil, browser.Change(ctx, call.From(ctx).Tx, func(s *browser.Settings) { delete(s.UI, http.CanonicalHeaderKey(req.Data.String("header"))) })
}

func (d *Deps) sanitized(context.Context, *engine.Request) (*engine.Response, error) {
	return &engine.Response{TopLevel: true, Data: d.Inspect.Config}, nil
}
