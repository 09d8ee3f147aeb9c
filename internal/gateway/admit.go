package gateway

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"strongroom/engine"
)

// maxPublic bounds the body of a request that needs no token, in bytes: parsed, a body can take many times its size.
const maxPublic = 1 << 20

// admit finds who asks for what and whether they may. Nothing but reads happens.
// With an error, the visit is what is known of the request; nil: nothing is.
func (g *Gateway) admit(ctx context.Context, req *Request) (*visit, error) {
	v, err := g.locate(ctx, req)
	if err != nil {
		return v, g.turnAway(ctx, v, err)
	}
	m, rest, found := v.Routing.Find(v.path)
	var route *engine.Route
	var params map[string]string
	if found {
		route, params, _ = m.Router.Match(req.Operation, rest)
	}
	if route != nil && route.RootOnly && !v.Here.Root() {
		route = nil // no such path here
	}
	v.Mount, v.route = m, route
	if err := g.limit(ctx, v, params); err != nil {
		return v, err
	}
	if route == nil || !route.Public || route.Self && (req.Token != "" || req.Caller != nil) {
		if err = g.enter(ctx, v); err != nil {
			return v, v.unusable(err)
		}
		if v.ACL, v.Identity, err = v.Home.ACLs.Effective(ctx, v.Tx, v.Token.Policies, v.Token.EntityID); err != nil {
			return v, err
		}
	}
	if route != nil && route.Public && len(req.Body) > maxPublic {
		return v, engine.Errorf(engine.TooLarge, "the request body is over the limit of %d bytes for a request without a token", maxPublic)
	}
	v.engReq = &engine.Request{Operation: req.Operation, Path: rest, Namespace: v.Namespace, Remote: req.Remote, Header: req.Header, Body: req.Body, Peer: req.Peer, Memo: &req.memo}
	if found {
		v.engReq.Mount, v.engReq.Storage = m.Mount, v.slice()
		v.engReq.Due, v.engReq.Work = (*due)(v), (*work)(v)
		v.engReq.Passwords = passwords{v.Tx, v.Namespace}
	}
	if v.Token != nil {
		v.engReq.Caller = v.caller()
	}
	if err := v.decode(params); err != nil {
		// The parameters decide no more than Exists: an outsider learns nothing.
		if derr := v.authorize(); derr != nil {
			return v, derr
		}
		return v, err
	}
	if err := v.settle(ctx); err != nil {
		return v, err
	}
	if err := v.authorize(); err != nil {
		return v, err
	}
	if !found {
		return v, engine.Errorf(engine.NotFound, "no handler for route %q. route entry not found.", v.path)
	}
	if route == nil {
		return v, engine.Errorf(engine.NotFound, "unsupported path: %s has no %q", m.Entry.Path, rest)
	}
	if err := v.ownsNothing(); err != nil {
		return v, err
	}
	if v.handler = route.Handler(v.engReq.Operation); v.handler == nil {
		return v, engine.ErrUnsupported
	}
	return v, nil
}

// decode reads the parameters by the route's fields.
func (v *visit) decode(params map[string]string) error {
	if v.route == nil {
		return nil
	}
	var err error
	v.engReq.Data, v.ignored, err = engine.Decode(v.route.Fields, v.req.Body, v.query(), params)
	return err
}

// query is what counts of the URL's query: a write takes its parameters from the body alone, as in Vault.
func (v *visit) query() map[string][]string {
	switch v.req.Operation {
	case engine.Read, engine.List, engine.Scan, engine.Delete:
		return v.req.Query
	}
	return nil
}

// settle tells Create from Update.
func (v *visit) settle(ctx context.Context) error {
	if v.route == nil || v.route.Exists == nil || v.engReq.Operation != engine.Update {
		return nil
	}
	exists, err := v.route.Exists(v.inside(ctx), v.engReq)
	if err != nil {
		return err
	}
	if !exists {
		v.engReq.Operation = engine.Create
	}
	return nil
}

// ErrForbidden: the caller's policies do not allow it, in Vault's words to the
// letter.
var ErrForbidden error = &engine.Error{Kind: engine.Denied, Text: "1 error occurred:\n\t* permission denied\n\n"}

// authorize asks the caller's rules, where the route does not leave it to its handler.
func (v *visit) authorize() error {
	if v.route != nil && (v.route.Public || v.route.Self) {
		return nil
	}
	d := v.ACL.Decide(v.engReq.Operation, v.Prefix+v.path, v.parameters)
	if path := v.Prefix + v.canonical(); d.Allowed && path != v.Prefix+v.path {
		asked := d
		d = v.ACL.Decide(v.engReq.Operation, path, v.parameters)
		d.Sudo = d.Sudo && asked.Sudo
		d.MinWrappingTTL = max(d.MinWrappingTTL, asked.MinWrappingTTL)
	}
	v.decided, v.allowed = true, d.Allowed && (v.route == nil || !v.route.Sudo || d.Sudo)
	if !v.allowed {
		return ErrForbidden
	}
	return v.mayWrap(d)
}

// canonical is the path as the handler will understand it: names in lower case, and no trailing slash where the server's own handlers drop it. The
// rules must allow that spelling too, or "role/ADMIN" would be a way round the rule that denies "role/admin".
func (v *visit) canonical() string {
	if v.route == nil {
		return v.path
	}
	rest := v.engReq.Path
	if !v.engReq.Operation.Lists() && v.system() {
		rest = strings.TrimSuffix(rest, "/")
	}
	for _, f := range v.route.Fields {
		if f.Type != engine.Name {
			continue
		}
		if i := slices.Index(strings.Split(v.route.Path, "/"), "{"+f.Name+"}"); i >= 0 {
			segments := strings.Split(rest, "/")
			segments[i] = strings.ToLower(segments[i])
			rest = strings.Join(segments, "/")
		}
	}
	if rest == v.engReq.Path {
		return v.path
	}
	return v.Mount.Entry.Path + rest
}

// parameters are what a policy's parameter rules look at: all that decode does.
func (v *visit) parameters() map[string]json.RawMessage {
	var out map[string]json.RawMessage
	if len(v.req.Body) > 0 && json.Unmarshal(v.req.Body, &out) != nil {
		return nil
	}
	for name, values := range v.query() {
		if out == nil {
			out = map[string]json.RawMessage{}
		}
		out[name], _ = json.Marshal(strings.Join(values, ",")) // text always encodes
	}
	return out
}
