package sys

import (
	"context"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/policy"
	"strongroom/internal/token"
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
	return []engine.Route{
		{Path: "capabilities-self", Help: "What the calling token may do on paths.", Fields: paths, Write: d.capabilitiesSelf},
		{Path: "capabilities", Help: "What a token may do on paths.", Fields: paths, Write: d.capabilitiesOf(d.tokenInBody)},
		{Path: "capabilities-accessor", Help: "What the token with an accessor may do on paths.", Fields: paths, Write: d.capabilitiesOf(d.tokenByAccessor)},
	}
}

func (d *Deps) capabilitiesSelf(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return capabilities(call.From(ctx).ACL, req)
}

func (d *Deps) capabilitiesOf(find func(context.Context, *engine.Request) (*token.Token, error)) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		t, err := find(ctx, req)
		if err != nil {
			return nil, err
		}
		acl, _, err := d.ACLs.Effective(ctx, call.From(ctx).Tx, t.Policies, t.EntityID)
		if err != nil {
			return nil, err
		}
		return capabilities(acl, req)
	}
}

func capabilities(acl *policy.ACL, req *engine.Request) (*engine.Response, error) {
	paths := append(req.Data.Strings("paths"), req.Data.Strings("path")...)
	if len(paths) == 0 {
		return nil, engine.Invalidf("paths must be supplied")
	}
	data := map[string]any{}
	for _, p := range paths {
		data[p] = acl.Capabilities(p)
	}
	if len(paths) == 1 {
		data["capabilities"] = data[paths[0]]
	}
	return &engine.Response{TopLevel: true, Data: data}, nil
}
