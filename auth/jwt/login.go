package jwt

import (
	"cmp"
	"context"
	"crypto"
	"time"

	"github.com/go-jose/go-jose/v4"

	"strongroom/engine"
)

const maxJWT = 64 << 10 // bytes

// parse reads a signed token of one of algs, without trusting it. "none" and
// symmetric signatures are never among algs.
func parse(text string, algs []jose.SignatureAlgorithm) (*jose.JSONWebSignature, error) {
	if len(text) > maxJWT {
		return nil, denied("the token is larger than %d bytes", maxJWT)
	}
	token, err := jose.ParseSignedCompact(text, algs)
	if err != nil {
		return nil, denied("the token is malformed, or signed with an algorithm that is not among jwt_supported_algs")
	}
	return token, nil
}

func (c *config) algorithms(otherwise []jose.SignatureAlgorithm) []jose.SignatureAlgorithm {
	if len(c.Algorithms) == 0 {
		return otherwise
	}
	out := make([]jose.SignatureAlgorithm, 0, len(c.Algorithms))
	for _, a := range c.Algorithms {
		out = append(out, jose.SignatureAlgorithm(a))
	}
	return out
}

// verify returns the claims of a token if one of the configured keys has signed it.
func (m *Method) verify(ctx context.Context, c *config, text string, algs []jose.SignatureAlgorithm) (claims, error) {
	token, err := parse(text, algs)
	if err != nil {
		return nil, err
	}
	for _, key := range c.keys {
		if payload, err := token.Verify(key); err == nil {
			return signed(payload)
		}
	}
	from := c.JWKS
	if c.DiscoveryURL != "" {
		p, err := m.remote.discover(ctx, c)
		if err != nil {
			return nil, err
		}
		from = []jwks{{p.JWKSURL, c.DiscoveryCA}}
	}
	for _, again := range []bool{false, true} { // the provider may have a key since
		for _, j := range from {
			set, err := m.remote.keySet(ctx, j, again)
			if err != nil {
				return nil, err
			}
			for _, key := range candidates(set, token.Signatures[0].Header.KeyID) {
				if payload, err := token.Verify(key); err == nil {
					return signed(payload)
				}
			}
		}
	}
	return nil, denied("error verifying token signature: no known key successfully validated the token signature")
}

// candidates are the keys of a set that may have signed a token with that key id.
func candidates(set *jose.JSONWebKeySet, id string) []crypto.PublicKey {
	var out []crypto.PublicKey
	for _, k := range set.Keys {
		if k.Use == "enc" || !k.IsPublic() || id != "" && k.KeyID != "" && k.KeyID != id {
			continue
		}
		out = append(out, k.Key)
	}
	return out
}

func signed(payload []byte) (claims, error) {
	c, err := decodeObject(payload)
	if err != nil {
		return nil, denied("the token holds no claims")
	}
	return c, nil
}

// start loads what a login of either kind goes by.
func (m *Method) start(ctx context.Context, req *engine.Request) (*config, string, *role, error) {
	c, err := m.needConfig(ctx, req)
	if err != nil {
		return nil, "", nil, err
	}
	name := cmp.Or(req.Data.String("role"), c.DefaultRole)
	if name == "" {
		return nil, "", nil, engine.Invalidf("missing role")
	}
	r, err := m.roles.Load(ctx, req, name)
	if err == nil && r == nil {
		err = engine.Invalidf("role %q could not be found", name)
	}
	return c, name, r, err
}

// login exchanges a signed token for one of the server's. It only reads, here and
// at the provider, so it may run again.
func (m *Method) login(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, name, r, err := m.start(ctx, req)
	if err != nil {
		return nil, err
	}
	if r.Type == typeOIDC {
		return nil, engine.Invalidf("role with oidc role_type is not allowed: log in by browser, with -method=oidc")
	}
	text := req.Data.String("jwt")
	if text == "" {
		return nil, engine.Invalidf("missing token")
	}
	if !r.Token.Admits(req.Remote.Addr()) {
		return nil, engine.ErrDenied
	}
	cl, err := m.verify(ctx, c, text, c.algorithms(algorithms()))
	if err != nil {
		return nil, err
	}
	if err := r.checkTimes(cl, time.Now()); err != nil {
		return nil, err
	}
	if c.Issuer != "" && cl.text("iss") != c.Issuer {
		return nil, denied("invalid issuer (iss) claim: it is not the configuration's bound_issuer")
	}
	if err := r.bind(cl); err != nil {
		return nil, err
	}
	g, err := r.grant(name, cl)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Grant: g}, nil
}

// Renew implements engine.Renewer: the role must be there, and its times count.
func (m *Method) Renew(ctx context.Context, req *engine.Request, g *engine.Grant) (*engine.Grant, error) {
	r, err := m.roles.Load(ctx, req, g.Role)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, engine.Invalidf("role %q does not exist during renewal", g.Role)
	}
	return r.Token.Grant(), nil
}
