package kubernetes

import (
	"context"
	"strings"
	"time"

	"strongroom/engine"
)

// login exchanges a service account's token for one of the server's. It only
// reads, here and at the API server, so it may run again.
func (m *Method) login(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	name, jwt := req.Data.String("role"), strings.TrimSpace(req.Data.String("jwt"))
	if name == "" {
		return nil, engine.Invalidf("missing role")
	}
	if jwt == "" {
		return nil, engine.Invalidf("missing jwt")
	}
	r, err := m.roles.Load(ctx, req, name)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, engine.Invalidf("invalid role name %q", name)
	}
	if !r.Token.Admits(req.Remote.Addr()) {
		return nil, engine.ErrDenied
	}
	conf, version, err := m.loadConfig(ctx, req)
	if err != nil {
		return nil, err
	}
	if conf == nil {
		return nil, engine.Invalidf("could not load backend configuration: write %q with kubernetes_host first", "auth/"+strings.TrimPrefix(m.mount.Path, "auth/")+"config")
	}
	c, err := parseClaims(jwt)
	if err != nil {
		return nil, &engine.Error{Kind: engine.Denied, Err: err, Text: "permission denied: the jwt is not a service account token"}
	}
	if err := c.check(conf, r, time.Now()); err != nil {
		return nil, err
	}
	// From here on only what is proven counts: by the API server's answer, or by the cluster's signature.
	var who account
	if conf.Local {
		who, err = m.verify(ctx, conf, version, c, r, time.Now())
	} else {
		who, err = m.review(ctx, conf, version, jwt, r.Audience)
	}
	if err != nil {
		return nil, err
	}
	if err := r.admits(who); err != nil {
		return nil, err
	}
	g := r.Token.Grant()
	g.Role = name
	g.Alias = r.alias(who)
	g.DisplayName = who.Namespace + "-" + who.Name
	g.Metadata = map[string]string{
		"role":                        name,
		"service_account_name":        who.Name,
		"service_account_namespace":   who.Namespace,
		"service_account_uid":         who.UID,
		"service_account_secret_name": "",
	}
	return &engine.Response{Grant: g}, nil
}
