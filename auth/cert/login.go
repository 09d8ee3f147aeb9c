package cert

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"time"

	"strongroom/engine"
)

// login gives a token to whoever shows a certificate that a role takes.
func (m *Method) login(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	if len(req.Peer) == 0 {
		return nil, engine.Invalidf("client certificate must be supplied: connect with TLS and show one (-client-cert and -client-key), " +
			"to a listener without tls_disable and tls_disable_client_certs")
	}
	name, r, err := m.match(ctx, req, req.Data.String("name"))
	if err != nil {
		return nil, err
	}
	if !r.Token.Admits(req.Remote.Addr()) {
		return nil, engine.ErrDenied
	}
	leaf := req.Peer[0]
	g := r.Token.Grant()
	g.Role, g.Alias, g.DisplayName = name, leaf.Subject.CommonName, r.DisplayName
	g.Metadata = r.metadata(name, leaf)
	g.Proof = proof(leaf)
	return &engine.Response{Grant: g}, nil
}

// proof is what a token remembers of the certificate that it was given for.
func proof(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// match finds the role, the one called only or any, that takes the client's certificate.
func (m *Method) match(ctx context.Context, req *engine.Request, only string) (string, *role, error) {
	names := []string{only}
	if only == "" {
		var err error
		if names, err = req.Storage.List(ctx, roleFolder, "", 0); err != nil {
			return "", nil, err
		}
	}
	revoked, err := m.revoked(ctx, req)
	if err != nil {
		return "", nil, err
	}
	now, trusted := time.Now(), false
	for _, name := range names {
		r, err := m.roles.Load(ctx, req, name)
		if err != nil {
			return "", nil, err
		}
		if r == nil {
			continue
		}
		chains := r.chains(req.Peer, now)
		trusted = trusted || len(chains) > 0
		if !r.allows(req.Peer[0]) {
			continue
		}
		if slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool { return !slices.ContainsFunc(chain, revoked) }) {
			return name, r, nil
		}
	}
	if trusted {
		return "", nil, engine.Invalidf("no chain matching all constraints could be found for this login certificate")
	}
	return "", nil, engine.Invalidf("invalid certificate or no client certificate supplied")
}

// Renew implements engine.Renewer: unless disable_binding is set, the client
// shows the certificate it logged in with, which its role must still take.
func (m *Method) Renew(ctx context.Context, req *engine.Request, g *engine.Grant) (*engine.Grant, error) {
	c, err := m.loadConfig(ctx, req)
	if err != nil {
		return nil, err
	}
	r, err := m.roles.Load(ctx, req, g.Role)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, engine.Invalidf("the role is gone, not renewing")
	}
	if c.DisableBinding {
		return r.Token.Renewed(g)
	}
	if len(req.Peer) == 0 || proof(req.Peer[0]) != g.Proof {
		return nil, engine.Invalidf("client identity during renewal not matching client identity used during login: renew with the same certificate, or log in again")
	}
	if _, _, err := m.match(ctx, req, g.Role); err != nil {
		return nil, err
	}
	return r.Token.Renewed(g)
}
