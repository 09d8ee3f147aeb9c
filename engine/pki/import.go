package pki

import (
	"context"
	"crypto/x509"

	"strongroom/engine"
)

// importRoutes bring in certificates and keys of CAs.
func (b *backend) importRoutes() []engine.Route {
	both := []engine.Field{{Name: "pem_bundle", Required: true, Help: "PEM of certificates and private keys, in any order."}}
	const help = "Import certificates of CAs, and their keys."
	brought := engine.Answers{engine.Update: importInfo{}}
	return []engine.Route{
		{Path: "config/ca", Help: help, Fields: both, Answers: brought, Write: b.importBundle("pem_bundle", true)},
		{Path: "issuers/import/bundle", Help: help, Fields: both, Answers: brought, Write: b.importBundle("pem_bundle", true)},
		{Path: "issuers/import/cert", Help: "Import certificates of CAs.", Fields: []engine.Field{{Name: "pem_bundle", Required: true, Help: "PEM of certificates."}}, Answers: brought, Write: b.importBundle("pem_bundle", false)},
		{Path: "intermediate/set-signed", Help: "Import the certificate that was signed for a request.",
			Fields: []engine.Field{{Name: "certificate", Required: true, Help: "PEM of the certificate, and of those above it."}}, Answers: brought, Write: b.importBundle("certificate", false)},
	}
}

// imports are what an import brought, in the form of the API.
type imports struct {
	issuers, keys, hadIssuers, hadKeys []string
	mapping                            map[string]string
	withKey                            []*issuer // those that are new
}

// importBundle imports what the parameter field holds; keys if they are allowed.
func (b *backend) importBundle(field string, keys bool) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		bundle, err := parseBundle(req.Data.String(field))
		if err != nil {
			return nil, err
		}
		if len(bundle.keys) > 0 && !keys {
			return nil, engine.Invalidf("private keys found in the PEM bundle but not allowed by the path; use /issuers/import/bundle")
		}
		for _, cert := range bundle.certs {
			if !cert.BasicConstraintsValid || !cert.IsCA {
				return nil, engine.Invalidf("the certificate %s in the bundle is not a CA's: its basic constraints do not say so", serialText(cert.SerialNumber))
			}
		}
		got := &imports{mapping: map[string]string{}}
		var warnings []string
		_, err = configure(ctx, req.Storage, func(c *config) error {
			if err := got.add(ctx, b, req, c, bundle); err != nil {
				return err
			}
			if len(got.withKey) == 1 {
				c.prefer(got.withKey[0])
			} else if len(got.withKey) > 1 {
				if c.DefaultIssuer == "" {
					c.DefaultIssuer = got.withKey[0].ID
				}
				if c.FollowLatest {
					warnings = append(warnings, "The default issuer was left as it was: more than one new issuer came with a key.")
				}
			}
			return b.listAll(ctx, req, c)
		})
		if err != nil {
			return nil, err
		}
		return &engine.Response{Data: map[string]any{"imported_issuers": list(got.issuers), "imported_keys": list(got.keys), "mapping": got.mapping,
			"existing_issuers": list(got.hadIssuers), "existing_keys": list(got.hadKeys)}, Warnings: warnings}, nil
	}
}

// list is l, never null in JSON.
func list(l []string) []string { return append([]string{}, l...) }

// add puts into c, which has yet to be saved, what of bundle is not there.
func (got *imports) add(ctx context.Context, b *backend, req *engine.Request, c *config, bundle *bundle) error {
	for _, s := range bundle.keys {
		public, err := fingerprint(s.Public())
		if err != nil {
			return err
		}
		if e := c.keyOf(public); e != nil {
			got.hadKeys = append(got.hadKeys, e.ID)
			continue
		}
		k, err := c.addKey(req.Storage, s, "")
		if err != nil {
			return err
		}
		got.keys = append(got.keys, k.ID)
	}
	for _, cert := range bundle.certs {
		had, err := b.has(ctx, req, c, cert)
		if err != nil {
			return err
		}
		if had != nil {
			got.hadIssuers = append(got.hadIssuers, had.ID)
			continue
		}
		i, err := c.addIssuer(req.Storage, cert, "")
		if err != nil {
			return err
		}
		got.issuers = append(got.issuers, i.ID)
		if i.Key != "" {
			got.withKey = append(got.withKey, i)
		}
	}
	c.adopt()
	for _, e := range c.Issuers {
		for _, id := range append(append([]string{}, got.issuers...), got.hadIssuers...) {
			if e.ID == id {
				got.mapping[id] = e.Key
			}
		}
	}
	return b.rechain(ctx, req.Storage, c)
}

// has is the entry of the issuer whose certificate is cert; nil if it is not here.
func (b *backend) has(ctx context.Context, req *engine.Request, c *config, cert *x509.Certificate) (*issuerEntry, error) {
	for n := range c.Issuers {
		i, err := b.load(ctx, req.Storage, &c.Issuers[n])
		if err != nil {
			return nil, err
		}
		if i.cert.Equal(cert) {
			return &c.Issuers[n], nil
		}
	}
	return nil, nil
}
