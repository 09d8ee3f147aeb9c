package sys

import (
	"context"
	"strings"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/policy"
)

// capabilityRoutes serve sys/capabilities and its kin
// (https://developer.hashicorp.com/vault/api-docs/system/capabilities).
func (d *Deps) capabilityRoutes() []engine.Route {
	paths := []engine.Field{
		{Name: "paths", Type: engine.StringList, Help: "The paths to ask about."},
		{Name: "path", Type: engine.StringList, Help: "The same, by its old name."},
		{Name: "token", Help: "The token to ask about."},
		{Name: "accessor", Help: "Its accessor."},
	}
	can := engine.Answers{engine.Update: engine.TopLevel{Data: map[string][]string{}}}
	return []engine.Route{
		{Path: "capabilities-self", Help: "What the calling token may do on paths.", Fields: paths, Answers: can, Write: d.capabilitiesSelf},
		{Path: "capabilities", Help: "What a token may do on paths.", Fields: paths, Answers: can, Write: d.capabilitiesOf(d.tokenInBody)},
		{Path: "capabilities-accessor", Help: "What the token with an accessor may do on paths.", Fields: paths, Answers: can, Write: d.capabilitiesOf(d.tokenByAccessor)},
	}
}

func (d *Deps) capabilitiesSelf(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	return capabilities(c.ACL, func(path string) (string, bool) { return c.Prefix + path, true }, req)
}

func (d *Deps) capabilitiesOf(find finder) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		p, t, err := find(ctx, req)
		if err != nil {
			return nil, err
		}
		c := call.From(ctx)
		acl, _, err := p.ACLs.Effective(ctx, c.Tx, t.Policies, t.EntityID)
		if err != nil {
			return nil, err
		}
		below := p.Here.Path[len(c.Here.Path):] // outside of it the token may do nothing
		return capabilities(acl, func(path string) (string, bool) { return strings.CutPrefix(path, below) }, req)
	}
}

// maxChecked bounds the paths that one request has checked: every token may ask.
const maxChecked = 1000

// capabilities are what acl grants on the paths of req; known is how acl calls them,
// false for those that lie where it grants nothing.
func capabilities(acl *policy.ACL, known func(string) (string, bool), req *engine.Request) (*engine.Response, error) {
	paths := append(req.Data.Strings("paths"), req.Data.Strings("path")...)
	switch {
	case len(paths) == 0:
		return nil, engine.Invalidf("paths must be supplied")
	case len(paths) > maxChecked:
		return nil, engine.Invalidf("at most %d paths are checked at once, not %d: ask again for the rest", maxChecked, len(paths))
	}
	data := map[string]any{}
	for _, p := range paths {
		if path, ok := known(strings.TrimPrefix(p, "/")); ok {
			data[p] = acl.Capabilities(path)
		} else {
			data[p] = []string{"deny"}
		}
	}
	if len(paths) == 1 {
		data["capabilities"] = data[paths[0]]
	}
	return &engine.Response{TopLevel: true, Data: data}, nil
}
