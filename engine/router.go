package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Router finds the route of a path. It is built once a mount and only read
// afterwards.
type Router struct{ routes []compiled }

type compiled struct {
	route    Route
	segments []string // "{name}" stays as written; the rest is literal
	rest     string   // name of a final "{name...}", or ""
}

// NewRouter compiles routes, or says which of them is malformed or stands twice.
func NewRouter(routes []Route) (*Router, error) {
	r := &Router{}
	seen := map[string]bool{}
	for _, route := range routes {
		c := compiled{route: route}
		for seg := range strings.SplitSeq(route.Path, "/") {
			if c.rest != "" {
				return nil, fmt.Errorf("engine: route %q goes on after {%s...}", route.Path, c.rest)
			}
			if name, ok := strings.CutSuffix(strings.TrimPrefix(seg, "{"), "...}"); ok && seg[0] == '{' {
				c.rest = name
				continue
			}
			c.segments = append(c.segments, seg)
		}
		if seen[shape(c)] {
			return nil, fmt.Errorf("engine: two routes for %q", route.Path)
		}
		seen[shape(c)] = true
		r.routes = append(r.routes, c)
	}
	slices.SortStableFunc(r.routes, func(a, b compiled) int { return cmp.Compare(rank(a), rank(b)) })
	return r, nil
}

func isParam(seg string) bool { return len(seg) > 2 && seg[0] == '{' }

// shape is the path without its parameters' names.
func shape(c compiled) string {
	out := make([]string, 0, len(c.segments)+1)
	for _, s := range c.segments {
		if isParam(s) {
			s = "{}"
		}
		out = append(out, s)
	}
	if c.rest != "" {
		out = append(out, "{...}")
	}
	return strings.Join(out, "/")
}

// rank orders by literalness, segment by segment: a literal before a parameter
// before the rest.
func rank(c compiled) string {
	var b strings.Builder
	for _, s := range c.segments {
		if isParam(s) {
			b.WriteByte('b')
		} else {
			b.WriteByte('a')
		}
	}
	if c.rest != "" {
		b.WriteByte('c')
	}
	return b.String()
}

// Match returns the route of path and the values of its parameters.
// For List and Scan a trailing slash is dropped before matching, but kept in a final
// "{name...}", which may then be empty.
func (r *Router) Match(op Operation, path string) (*Route, map[string]string, bool) {
	for i := range r.routes {
		c := &r.routes[i]
		if params, ok := c.match(op, path); ok {
			return &c.route, params, true
		}
	}
	return nil, nil, false
}

func (c *compiled) match(op Operation, path string) (map[string]string, bool) {
	var params map[string]string
	left := path
	for i, seg := range c.segments {
		part, tail, more := strings.Cut(left, "/")
		if isParam(seg) {
			if part == "" {
				return nil, false
			}
			if params == nil {
				params = make(map[string]string, 2)
			}
			params[seg[1:len(seg)-1]] = part
		} else if part != seg {
			return nil, false
		}
		left = tail
		last := i == len(c.segments)-1
		if last && c.rest == "" {
			return params, !more || (op.Lists() && tail == "")
		}
		if !more && (!last || !op.Lists()) {
			return nil, false
		}
	}
	if left == "" && !op.Lists() {
		return nil, false
	}
	if params == nil {
		params = make(map[string]string, 1)
	}
	params[c.rest] = left
	return params, true
}

// Handler picks the route's handler of op; nil if it has none.
func (rt *Route) Handler(op Operation) Handler {
	switch op {
	case Read:
		return rt.Read
	case Create, Update:
		return rt.Write
	case Delete:
		return rt.Delete
	case List:
		return rt.List
	case Patch:
		return rt.Patch
	case Scan:
		return rt.Scan
	}
	return nil
}

// Routes returns the routes in the order they are tried.
func (r *Router) Routes() []Route {
	out := make([]Route, len(r.routes))
	for i, c := range r.routes {
		out[i] = c.route
	}
	return out
}
