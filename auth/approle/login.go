package approle

import (
	"context"
	"maps"
	"slices"
	"time"

	"strongroom/auth"
	"strongroom/engine"
	"strongroom/internal/storage"
)

// errInvalid is the answer to a wrong role id and to a wrong secret id alike.
func errInvalid() error { return engine.BadLogin("invalid role or secret ID") }

// loginRole is the name of the role that a login is for; "" if there is none.
func (m *Method) loginRole(ctx context.Context, req *engine.Request) string {
	key, err := m.key(ctx, req)
	if err != nil {
		return ""
	}
	name, _, err := m.roleOf(ctx, req, key, req.Data.String("role_id"))
	if err != nil {
		return ""
	}
	return name
}

// login exchanges a role id and a secret id for a token. What it counts of the
// secret id's uses is written with the token.
func (m *Method) login(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	id, secret := req.Data.String("role_id"), req.Data.String("secret_id")
	if id == "" {
		return nil, engine.Invalidf("missing role_id")
	}
	key, err := m.key(ctx, req)
	if err != nil {
		return nil, err
	}
	name, r, err := m.roleOf(ctx, req, key, id)
	if err != nil {
		return nil, err
	}
	if r.BindSecretID && secret == "" {
		return nil, engine.Invalidf("missing secret_id")
	}
	g := r.Token.Grant()
	if r.BindSecretID {
		f, err := m.load(ctx, req, r.UID, hash(key, r.UID, secret))
		if err != nil {
			return nil, err
		}
		if f.secretID == nil || name == "" {
			return nil, errInvalid()
		}
		if !auth.Within(f.CIDRs, req.Remote.Addr()) {
			return nil, engine.Invalidf("source address unauthorized by CIDR restrictions on the secret ID")
		}
		if err := f.use(req); err != nil {
			return nil, err
		}
		g.Metadata = maps.Clone(f.Metadata)
		if len(f.TokenCIDRs) > 0 {
			g.BoundCIDRs = slices.Clone(f.TokenCIDRs)
		}
	}
	if !auth.Within(r.SecretIDCIDRs, req.Remote.Addr()) {
		return nil, engine.Invalidf("source address unauthorized by CIDR restrictions on the role")
	}
	if !auth.Within(g.BoundCIDRs, req.Remote.Addr()) {
		return nil, engine.ErrDenied
	}
	if g.Metadata == nil {
		g.Metadata = map[string]string{}
	}
	g.Metadata["role_name"] = name
	g.Alias, g.Role = r.RoleID, name
	return &engine.Response{Grant: g}, nil
}

// roleOf finds the role with an id. For an id that no role has it returns a role
// without a name, which no secret id fits: the login goes on as for any other,
// and ends in the same words after the same work.
func (m *Method) roleOf(ctx context.Context, req *engine.Request, key []byte, id string) (string, *role, error) {
	e, err := req.Storage.Get(ctx, roleIDFolder+hash(key, "", id))
	if err != nil {
		return "", nil, err
	}
	name := string(e.Value)
	r, err := m.loadRole(ctx, req, name)
	if err != nil {
		return "", nil, err
	}
	if r == nil {
		return "", &role{UID: "none", BindSecretID: true}, nil
	}
	return name, r, nil
}

// use counts one use of a secret id; the last one ends it.
func (f found) use(req *engine.Request) error {
	switch f.Uses {
	case 0:
		return nil
	case 1:
		f.end(req)
		return nil
	}
	next := *f.secretID
	next.Uses--
	next.Updated = time.Now().UnixNano()
	return storage.PutJSON(req.Storage, secretKey(f.uid, f.hash), next)
}

// Renew implements engine.Renewer: the role must be there, and its times count.
func (m *Method) Renew(ctx context.Context, req *engine.Request, g *engine.Grant) (*engine.Grant, error) {
	r, err := m.loadRole(ctx, req, g.Role)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, engine.Invalidf("role %q does not exist during renewal", g.Role)
	}
	return r.Token.Grant(), nil
}
