package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"strongroom/engine"
	"strongroom/internal/mount"
)

// helpAsked says whether the client wants to know what the path is for (?help=1)
// instead of what it holds.
func helpAsked(req *Request) bool {
	return req.Operation == engine.Read && slices.Contains(req.Query["help"], "1")
}

// help explains a path to whoever has a token, from its route; a mount's own
// path, by listing its routes. It runs no handler.
func (g *Gateway) help(ctx context.Context, req *Request, rec *recording) (*Response, error) {
	v, err := g.locate(ctx, req)
	var m *mount.Mounted
	rest, ok := "", false
	if err == nil {
		m, rest, ok = v.Routing.Find(v.path)
		v.Mount = m
		if err = g.limit(ctx, v, nil); err == nil {
			err = g.enter(ctx, v)
		}
	} else {
		err = g.turnAway(ctx, v, err)
	}
	rec.last = v
	if err := rec.request(ctx, v, err); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, engine.Errorf(engine.NotFound, "no handler for route %q. route entry not found.", v.path)
	}
	text := ""
	if rest == "" {
		text = describeMount(m.Entry.Path, m.Entry.Description, m.Router.Routes())
	} else {
		route, _, ok := m.Router.Match(engine.Read, rest)
		if !ok {
			route, _, ok = m.Router.Match(engine.List, rest)
		}
		if !ok || route.RootOnly && !v.Here.Root() {
			return nil, engine.Errorf(engine.NotFound, "unsupported path: %s has no %q", m.Entry.Path, rest)
		}
		text = describeRoute(v.path, m.Entry.Path, route)
	}
	body, err := json.Marshal(map[string]any{"help": text, "see_also": nil, "openapi": nil})
	if err != nil {
		return nil, err
	}
	return &Response{Response: engine.Response{Raw: &engine.Raw{Status: 200, ContentType: "application/json", Body: body}}}, nil
}

func describeMount(path, description string, routes []engine.Route) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## DESCRIPTION\n\n%s\n\n## PATHS\n\nThe following paths are served below %s:\n", description, path)
	slices.SortFunc(routes, func(x, y engine.Route) int { return strings.Compare(x.Path, y.Path) })
	for _, r := range routes {
		fmt.Fprintf(&b, "\n    %s\n        %s\n", r.Path, r.Help)
	}
	return b.String()
}

func describeRoute(path, mount string, r *engine.Route) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Request:        %s\nMatching Route: %s%s\n\n%s\n", path, mount, r.Path, r.Help)
	if len(r.Fields) > 0 {
		b.WriteString("\n## PARAMETERS\n")
	}
	for _, f := range r.Fields {
		fmt.Fprintf(&b, "\n    %s (%s)\n        %s\n", f.Name, f.Type, f.Help)
	}
	b.WriteString("\n## OPERATIONS\n\n   ")
	for _, op := range []engine.Operation{engine.Read, engine.Update, engine.Delete, engine.List, engine.Scan, engine.Patch} {
		if r.Handler(op) != nil {
			b.WriteString(" " + string(op))
		}
	}
	return b.String() + "\n"
}
