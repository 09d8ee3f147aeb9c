package pki

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"

	"strongroom/engine"
)

// issuerFields are the parameters of an issuer.
func issuerFields() []engine.Field {
	return append([]engine.Field{ref("issuer_ref"),
		{Name: "issuer_name", Help: "Name of the issuer."},
		{Name: "leaf_not_after_behavior", Default: outliveErr, Help: "A certificate that would outlive the issuer is refused (err; always_enforce_err: also where it is a CA's), shortened (truncate) or issued (permit)."},
		{Name: "manual_chain", Type: engine.StringList, Help: "Issuers whose certificates are shown as the chain, this one first; empty: it is found."},
		{Name: "usage", Type: engine.StringList, Default: strings.Split(usagesKnown, ","), Help: "read-only, issuing-certificates, crl-signing, ocsp-signing."},
		{Name: "revocation_signature_algorithm", Help: "Algorithm that signs lists of revoked certificates: SHA256WithRSA, …; empty: by the key."},
	}, urlFields("enable_aia_url_templating")...)
}

// issuerRoutes are the life of issuers.
func (b *backend) issuerRoutes() []engine.Route {
	return []engine.Route{
		{Path: "issuers", Help: "The issuers of this mount.", Public: true, Answers: engine.Answers{engine.List: engine.Named[issuerListed]{}}, List: b.listIssuers},
		{Path: "issuer/{issuer_ref}", Help: "An issuer: its certificate, chain and settings.", Fields: issuerFields(),
			Answers: engine.Answers{engine.Read: issuerInfo{}, engine.Update: issuerInfo{}, engine.Patch: issuerInfo{}, engine.Delete: engine.Nothing{}},
			Read:    b.readIssuer, Write: b.writeIssuer(true), Patch: b.writeIssuer(false), Delete: b.deleteIssuer},
		{Path: "root", Help: "Delete all issuers and keys.", Sudo: true, Answers: engine.Answers{engine.Delete: engine.Nothing{}}, Delete: b.deleteAll},
	}
}

func (b *backend) listIssuers(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := b.settings(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	if len(c.Issuers) == 0 {
		return nil, engine.ErrNotFound
	}
	ids, info := []string{}, map[string]any{}
	for n := range c.Issuers {
		i, err := b.load(ctx, req.Storage, &c.Issuers[n])
		if err != nil {
			return nil, err
		}
		ids = append(ids, i.ID)
		info[i.ID] = map[string]any{"issuer_name": i.Name, "key_id": i.Key, "is_default": i.ID == c.DefaultIssuer, "serial_number": serialText(i.cert.SerialNumber)}
	}
	slices.Sort(ids)
	return &engine.Response{Data: map[string]any{"keys": ids, "key_info": info}}, nil
}

func (b *backend) readIssuer(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	i, err := b.issuer(ctx, req.Storage, req.Data.String("issuer_ref"))
	if err != nil {
		return nil, err
	}
	data, err := b.describe(ctx, req.Storage, i)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: data}, nil
}

// writeIssuer changes an issuer; with all, what the caller leaves out gets its default.
func (b *backend) writeIssuer(all bool) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		i, err := b.change(ctx, req, func(c *config, e *issuerEntry, r *issuerRecord) error {
			if all {
				r.URLs = urls{}
			}
			return editIssuer(req.Data, all, c, e, r)
		})
		if err != nil {
			return nil, err
		}
		data, err := b.describe(ctx, req.Storage, i)
		if err != nil {
			return nil, err
		}
		return &engine.Response{Data: data}, nil
	}
}

// editIssuer sets what d gives, or with all everything, of an issuer.
func editIssuer(d engine.Data, all bool, c *config, e *issuerEntry, r *issuerRecord) error {
	if all || d.Has("issuer_name") {
		if err := c.checkIssuerName(d.String("issuer_name"), e.ID); err != nil {
			return err
		}
		e.Name = d.String("issuer_name")
	}
	if all || d.Has("leaf_not_after_behavior") {
		r.Outlive = d.String("leaf_not_after_behavior")
		if !slices.Contains([]string{outliveErr, outliveAlways, outliveTruncate, outlivePermit}, r.Outlive) {
			return engine.Invalidf("Unknown value for field `leaf_not_after_behavior`. Possible values are `err`, `always_enforce_err`, `truncate`, and `permit`.")
		}
	}
	if all || d.Has("usage") {
		if err := r.setUsage(d.Strings("usage")); err != nil {
			return err
		}
	}
	if all || d.Has("revocation_signature_algorithm") {
		r.Algorithm = d.String("revocation_signature_algorithm")
		if _, err := parseAlgorithm(r.Algorithm, r.cert.PublicKey); err != nil {
			return err
		}
	}
	if all || d.Has("manual_chain") {
		r.ManualChain = nil
		for n, name := range d.Strings("manual_chain") {
			link := c.issuer(name)
			switch {
			case link == nil:
				return noIssuer(name)
			case n == 0 && link.ID != e.ID:
				return engine.Invalidf("expected the first item in the manual_chain to be a self-reference, to %s", e.ID)
			case slices.Contains(r.ManualChain, link.ID):
				return engine.Invalidf("manual_chain names the issuer %s twice", link.ID)
			}
			r.ManualChain = append(r.ManualChain, link.ID)
		}
	}
	return r.URLs.edit(d, "enable_aia_url_templating")
}

// setUsage sets what an issuer may be used for.
func (r *issuerRecord) setUsage(list []string) error {
	usage := []string{readOnly}
	for _, u := range list {
		u = strings.ToLower(u)
		switch {
		case !slices.Contains(strings.Split(usagesKnown, ","), u):
			return engine.Invalidf("unable to parse specified usages: unknown usage %q; use %s", u, usagesKnown)
		case u == useCRL && r.cert.KeyUsage != 0 && r.cert.KeyUsage&x509.KeyUsageCRLSign == 0:
			return engine.Invalidf("this issuer's certificate has no key usage CRLSign: it cannot have the usage crl-signing")
		case !slices.Contains(usage, u):
			usage = append(usage, u)
		}
	}
	r.Usage = usage
	return nil
}

func (b *backend) deleteIssuer(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	var resp *engine.Response
	name := req.Data.String("issuer_ref")
	_, err := configure(ctx, req.Storage, func(c *config) error {
		e := c.issuer(name)
		if e == nil {
			return noIssuer(name)
		}
		id := e.ID
		req.Storage.Delete(issuerPrefix + id)
		c.Issuers = slices.DeleteFunc(c.Issuers, func(e issuerEntry) bool { return e.ID == id })
		if c.DefaultIssuer == id {
			c.DefaultIssuer = ""
			resp = &engine.Response{Warnings: []string{"Deleted issuer " + id + ", which was the default; the mount has no default issuer until config/issuers names one. Some operations will be unavailable."}}
		}
		return b.rechain(ctx, req.Storage, c)
	})
	return resp, err
}

func (b *backend) deleteAll(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	_, err := configure(ctx, req.Storage, func(c *config) error {
		for _, e := range c.Issuers {
			req.Storage.Delete(issuerPrefix + e.ID)
		}
		for _, e := range c.Keys {
			b.forgetKey(req.Storage, e.ID)
		}
		c.Issuers, c.Keys, c.DefaultIssuer, c.DefaultKey = nil, nil, "", ""
		return nil
	})
	return nil, err
}
