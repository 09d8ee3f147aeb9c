package pki

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// revokedPrefix: revoked/<serial, hex> is a revocation.
const revokedPrefix = "revoked/"

// revocation says that a certificate has been revoked.
type revocation struct {
	At        int64  `json:"at"` // Unix, seconds
	Authority string `json:"authority"`
	From      int64  `json:"from"`      // number of the first list that has it
	NotAfter  int64  `json:"not_after"` // of the certificate
}

// revokeRoutes revoke certificates.
func (b *backend) revokeRoutes() []engine.Route {
	which := []engine.Field{{Name: "serial_number", Help: "Serial number of the certificate."}, {Name: "certificate", Help: "Or the certificate, PEM."}}
	revoked := engine.Answers{engine.Update: engine.Maybe{Data: revokedInfo{}}} // nothing: it had expired
	return []engine.Route{
		{Path: "revoke", Help: "Revoke a certificate.", Fields: which, Answers: revoked, Write: b.revokeAny},
		{Path: "revoke-with-key", Help: "Revoke a certificate whose private key one has.",
			Fields: append(which[:2:2], engine.Field{Name: "private_key", Required: true, Help: "PEM of the private key."}), Answers: revoked, Write: b.revokeWithKey},
		{Path: "issuer/{issuer_ref}/revoke", Help: "Revoke an issuer; cannot be undone.", Fields: []engine.Field{ref("issuer_ref")}, Answers: engine.Answers{engine.Update: issuerInfo{}}, Write: b.revokeIssuer},
	}
}

// target is the certificate that req names, its authority, and whether it is stored.
func (b *backend) target(ctx context.Context, req *engine.Request) (*x509.Certificate, string, bool, error) {
	serial, text := req.Data.String("serial_number"), req.Data.String("certificate")
	switch {
	case serial == "" && text == "":
		return nil, "", false, engine.Invalidf("The serial number or certificate to revoke must be provided.")
	case serial != "" && text != "":
		return nil, "", false, engine.Invalidf("Must provide either the certificate or the serial to revoke; not both.")
	case serial != "":
		cert, authority, err := kept(ctx, req.Storage, serialDigits(serial))
		if err == nil && cert == nil {
			err = engine.Invalidf("certificate with serial %s not found", serial)
		}
		return cert, authority, true, err
	}
	bundle, err := parseBundle(text)
	if err != nil {
		return nil, "", false, err
	}
	if len(bundle.certs) != 1 || len(bundle.keys) > 0 {
		return nil, "", false, engine.Invalidf("certificate must be PEM of one certificate")
	}
	cert := bundle.certs[0]
	had, authority, err := kept(ctx, req.Storage, hex.EncodeToString(cert.SerialNumber.Bytes()))
	if err != nil || had != nil && had.Equal(cert) {
		return cert, authority, true, err
	}
	authority, err = b.authorityOf(ctx, req.Storage, cert)
	if err == nil && (authority == "" || had != nil) {
		err = engine.Invalidf("unable to revoke the certificate: it was not issued by an issuer of this mount")
	}
	return cert, authority, false, err
}

// authorityOf is that of the issuer whose signature cert bears; "" if it is not here.
func (b *backend) authorityOf(ctx context.Context, v storage.View, cert *x509.Certificate) (string, error) {
	c, err := b.settings(ctx, v)
	if err != nil {
		return "", err
	}
	for n := range c.Issuers {
		i, err := b.load(ctx, v, &c.Issuers[n])
		if err != nil {
			return "", err
		}
		if string(i.cert.RawSubject) == string(cert.RawIssuer) && cert.CheckSignatureFrom(i.cert) == nil {
			return i.authority(), nil
		}
	}
	return "", nil
}

func (b *backend) revokeAny(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	cert, authority, stored, err := b.target(ctx, req)
	if err != nil {
		return nil, err
	}
	return b.revokeTarget(ctx, req, cert, authority, stored)
}

func (b *backend) revokeWithKey(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	cert, authority, stored, err := b.target(ctx, req)
	if err != nil {
		return nil, err
	}
	bundle, err := parseBundle(req.Data.String("private_key"))
	if err != nil {
		return nil, err
	}
	if len(bundle.keys) != 1 || !samePublic(bundle.keys[0].Public(), cert.PublicKey) {
		return nil, engine.Invalidf("provided key does not match certificate: it must be the PEM of its private key")
	}
	return b.revokeTarget(ctx, req, cert, authority, stored)
}

func (b *backend) revokeTarget(ctx context.Context, req *engine.Request, cert *x509.Certificate, authority string, stored bool) (*engine.Response, error) {
	c, err := b.settings(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	own, err := b.has(ctx, req, c, cert)
	if err != nil {
		return nil, err
	}
	if own != nil {
		return nil, engine.Invalidf("the certificate is that of issuer %s: revoke it at issuer/%s/revoke", own.ID, own.ID)
	}
	if !cert.NotAfter.After(time.Now()) {
		return &engine.Response{Warnings: []string{fmt.Sprintf("certificate with serial %s already expired; refusing to add to CRL", serialText(cert.SerialNumber))}}, nil
	}
	if !stored {
		if err := keep(req.Storage, cert, authority); err != nil {
			return nil, err
		}
	}
	at, err := revoke(ctx, req, c, cert, authority)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]any{"revocation_time": at, "revocation_time_rfc3339": rfc3339(at), "state": "revoked"}}, nil
}

func rfc3339(at int64) string { return time.Unix(at, 0).UTC().Format(time.RFC3339Nano) }

// revoke revokes cert, unless it is already, and returns when it was. It costs three
// small records, however many are revoked.
func revoke(ctx context.Context, req *engine.Request, c *config, cert *x509.Certificate, authority string) (int64, error) {
	serial := hex.EncodeToString(cert.SerialNumber.Bytes())
	var r revocation
	found, err := storage.GetJSON(ctx, req.Storage, revokedPrefix+serial, &r)
	if err != nil || found {
		return r.At, err
	}
	var s listState
	if _, err := storage.GetJSON(ctx, req.Storage, crlPrefix+authority, &s); err != nil {
		return 0, err
	}
	r = revocation{At: time.Now().Unix(), Authority: authority, From: s.Number + 1, NotAfter: cert.NotAfter.Unix()}
	if err := storage.PutJSON(req.Storage, revokedPrefix+serial, &r); err != nil {
		return 0, err
	}
	req.Storage.Put(listedKey(authority, r.From, serial, r.At), nil)
	if c.CRL.AutoRebuild {
		return r.At, nil
	}
	return r.At, renew(ctx, req, c, authority, false)
}

// Revoke revokes the certificate whose lease has ended; revoked is its serial number
// in hex. Implements engine.Revoker.
func (b *backend) Revoke(ctx context.Context, req *engine.Request, revoked []byte) error {
	cert, authority, err := kept(ctx, req.Storage, string(revoked))
	if err != nil || cert == nil || !cert.NotAfter.After(time.Now()) {
		return err
	}
	c, err := b.settings(ctx, req.Storage)
	if err != nil {
		return err
	}
	_, err = revoke(ctx, req, c, cert, authority)
	return err
}

func (b *backend) revokeIssuer(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	i, err := b.change(ctx, req, func(_ *config, _ *issuerEntry, r *issuerRecord) error {
		if r.Revoked == 0 {
			r.Revoked = time.Now().Unix()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	parent, err := b.authorityOf(ctx, req.Storage, i.cert)
	if err != nil {
		return nil, err
	}
	if parent != "" && parent != i.authority() {
		c, err := b.settings(ctx, req.Storage)
		if err != nil {
			return nil, err
		}
		if err := keep(req.Storage, i.cert, parent); err != nil {
			return nil, err
		}
		if _, err := revoke(ctx, req, c, i.cert, parent); err != nil {
			return nil, err
		}
	}
	data, err := b.describe(ctx, req.Storage, i)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: data}, nil
}
