package pki

import (
	"context"
	"encoding/pem"
	"net/http"
	"strings"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// What files are, to who fetches them.
const (
	typeCert = "application/pkix-cert"
	typeCRL  = "application/pkix-crl"
	typePEM  = "application/pem-certificate-chain"
	typeText = "application/x-pem-file"
)

// readRoutes show, to anyone, certificates and lists of revoked ones; and to who may, which there are.
func (b *backend) readRoutes() []engine.Route {
	issuer, serial := []engine.Field{ref("issuer_ref")}, []engine.Field{{Name: "serial", Required: true, Help: "Serial number; or ca, ca_chain or crl."}}
	pages := []engine.Field{{Name: "after", Help: "Begin after this one."}, {Name: "limit", Type: engine.Int, Help: "Answer at most so many."}}
	open := func(path, help string, fields []engine.Field, answer any, read engine.Handler) engine.Route {
		return engine.Route{Path: path, Help: help, Fields: fields, Public: true, Answers: engine.Answers{engine.Read: answer}, Read: read}
	}
	unsupported := func(path, what string) engine.Route {
		no := func(context.Context, *engine.Request) (*engine.Response, error) {
			return nil, engine.Errorf(engine.Unsupported, "%s is not supported by this server", what)
		}
		return engine.Route{Path: path, Help: "Not supported.", Public: true, Fields: []engine.Field{{Name: "rest", Help: "Not supported."}}, Answers: engine.Answers{engine.Read: engine.Never{}, engine.Update: engine.Never{}}, Read: no, Write: no}
	}
	return []engine.Route{
		open("ca", "The certificate of the default issuer, DER.", nil, engine.Maybe{Data: engine.Stream(typeCert)}, b.showIssuer(false)),
		open("ca/pem", "The certificate of the default issuer, PEM.", nil, engine.Maybe{Data: engine.Stream(typePEM)}, b.showIssuer(true)),
		open("ca_chain", "The chain of the default issuer, PEM.", nil, engine.Maybe{Data: engine.Stream(typePEM)}, b.showChain),
		open("crl", "The list of certificates that the default issuer has revoked, DER.", nil, engine.Maybe{Data: engine.Stream(typeCRL)}, b.showList(false)),
		open("crl/pem", "The list of certificates that the default issuer has revoked, PEM.", nil, engine.Maybe{Data: engine.Stream(typeText)}, b.showList(true)),
		open("issuer/{issuer_ref}/json", "An issuer's certificate and chain.", issuer, issuerShown{}, b.issuerJSON),
		open("issuer/{issuer_ref}/der", "An issuer's certificate, DER.", issuer, engine.Maybe{Data: engine.Stream(typeCert)}, b.showIssuer(false)),
		open("issuer/{issuer_ref}/pem", "An issuer's certificate, PEM.", issuer, engine.Maybe{Data: engine.Stream(typePEM)}, b.showIssuer(true)),
		open("issuer/{issuer_ref}/crl", "The list of certificates that an issuer has revoked.", issuer, listShown{}, b.listJSON("crl")),
		open("issuer/{issuer_ref}/crl/der", "The list of certificates that an issuer has revoked, DER.", issuer, engine.Maybe{Data: engine.Stream(typeCRL)}, b.showList(false)),
		open("issuer/{issuer_ref}/crl/pem", "The list of certificates that an issuer has revoked, PEM.", issuer, engine.Maybe{Data: engine.Stream(typeText)}, b.showList(true)),
		open("cert/{serial}", "A certificate that was issued here, and when it was revoked.", serial, storedInfo{}, b.readCert),
		open("cert/{serial}/raw", "A certificate that was issued here, DER.", serial, engine.Maybe{Data: engine.Stream("*/*")}, b.rawCert(false)),
		open("cert/{serial}/raw/pem", "A certificate that was issued here, PEM.", serial, engine.Maybe{Data: engine.Stream("*/*")}, b.rawCert(true)),
		{Path: "certs", Help: "The serial numbers of the certificates that were issued here.", Fields: pages, Answers: engine.Answers{engine.List: engine.Keys{}}, List: serials(certPrefix)},
		{Path: "certs/revoked", Help: "The serial numbers of those that were revoked.", Fields: pages, Answers: engine.Answers{engine.List: engine.Keys{}}, List: serials(revokedPrefix)},
		unsupported("acme/{rest...}", "ACME"), unsupported("ocsp/{rest...}", "OCSP"), unsupported("ocsp", "OCSP"),
		unsupported("est/{rest...}", "EST"), unsupported("scep/{rest...}", "SCEP"), unsupported("cmp/{rest...}", "CMPv2"), unsupported("cel/{rest...}", "CEL"),
	}
}

// serials lists the serial numbers below prefix.
func serials(prefix string) engine.Handler {
	names := listOf(prefix, colons)
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		if after := req.Data.String("after"); after != "" {
			ids, err := req.Storage.List(ctx, prefix, serialDigits(after), int(req.Data.Int("limit")))
			if err != nil || len(ids) == 0 {
				return nil, err
			}
			for n := range ids {
				ids[n] = colons(ids[n])
			}
			return &engine.Response{Data: map[string]any{"keys": ids}}, nil
		}
		return names(ctx, req)
	}
}

// shown is the issuer that req names, or the default; nil if there is no default.
func (b *backend) shown(ctx context.Context, req *engine.Request) (*issuer, error) {
	if req.Data.Has("issuer_ref") {
		return b.issuer(ctx, req.Storage, req.Data.String("issuer_ref"))
	}
	c, err := b.settings(ctx, req.Storage)
	if err != nil || c.issuer("default") == nil {
		return nil, err
	}
	return b.issuer(ctx, req.Storage, "default")
}

// file is der as a file of its type, or as PEM; nothing if it is nil.
func file(der []byte, mime, block string, asPEM bool) *engine.Response {
	switch {
	case der == nil:
		return nil
	case asPEM && block == "CERTIFICATE":
		mime, der = typePEM, pem.EncodeToMemory(&pem.Block{Type: block, Bytes: der})
	case asPEM:
		mime, der = typeText, pem.EncodeToMemory(&pem.Block{Type: block, Bytes: der})
	}
	return &engine.Response{Raw: &engine.Raw{Status: http.StatusOK, ContentType: mime, Body: der}}
}

func (b *backend) showIssuer(asPEM bool) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		i, err := b.shown(ctx, req)
		if err != nil || i == nil {
			return nil, err
		}
		return file(i.Certificate, typeCert, "CERTIFICATE", asPEM), nil
	}
}

// chainOfShown is the chain of the issuer that req names, and it.
func (b *backend) chainOfShown(ctx context.Context, req *engine.Request) (*issuer, []string, error) {
	i, err := b.shown(ctx, req)
	if err != nil || i == nil {
		return nil, nil, err
	}
	chain, err := b.chain(ctx, req.Storage, i)
	return i, pems(chain), err
}

func (b *backend) showChain(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	i, chain, err := b.chainOfShown(ctx, req)
	if err != nil || i == nil {
		return nil, err
	}
	return &engine.Response{Raw: &engine.Raw{Status: http.StatusOK, ContentType: typePEM, Body: []byte(strings.Join(chain, "\n") + "\n")}}, nil
}

func (b *backend) issuerJSON(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	i, chain, err := b.chainOfShown(ctx, req)
	if err != nil || i == nil {
		return nil, err
	}
	data := map[string]any{"certificate": i.pem, "ca_chain": chain, "issuer_id": i.ID, "issuer_name": i.Name, "revocation_time": i.Revoked}
	if i.Revoked != 0 {
		data["revocation_time_rfc3339"] = rfc3339(i.Revoked)
	}
	return &engine.Response{Data: data}, nil
}

func (b *backend) showList(asPEM bool) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		i, err := b.shown(ctx, req)
		if err != nil || i == nil {
			return nil, err
		}
		der, err := b.list(ctx, req.Storage, i)
		if err != nil {
			return nil, err
		}
		return file(der, typeCRL, "X509 CRL", asPEM), nil
	}
}

// listJSON shows the list of the issuer that req names, as a field of data.
func (b *backend) listJSON(name string) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		i, err := b.shown(ctx, req)
		if err != nil {
			return nil, err
		}
		var der []byte
		if i != nil {
			if der, err = b.list(ctx, req.Storage, i); err != nil {
				return nil, err
			}
		}
		if der == nil {
			return nil, engine.ErrNotFound
		}
		return &engine.Response{Data: map[string]any{name: pemText("X509 CRL", der)}}, nil
	}
}

func (b *backend) readCert(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	switch name := req.Data.String("serial"); name {
	case "crl":
		return b.listJSON("certificate")(ctx, req)
	case "ca", "ca_chain":
		i, chain, err := b.chainOfShown(ctx, req)
		if err != nil {
			return nil, err
		}
		if i == nil {
			return nil, engine.ErrNotFound
		}
		data := map[string]any{"certificate": i.pem, "revocation_time": i.Revoked}
		if name == "ca_chain" {
			whole := strings.Join(chain, "\n")
			data = map[string]any{"certificate": whole, "ca_chain": whole, "revocation_time": i.Revoked}
		}
		return &engine.Response{Data: data}, nil
	}
	serial := serialDigits(req.Data.String("serial"))
	cert, _, err := kept(ctx, req.Storage, serial)
	if err != nil {
		return nil, err
	}
	if cert == nil {
		return nil, engine.ErrNotFound
	}
	data := map[string]any{"certificate": pemText("CERTIFICATE", cert.Raw), "revocation_time": 0, "revocation_time_rfc3339": ""}
	var r revocation
	found, err := storage.GetJSON(ctx, req.Storage, revokedPrefix+serial, &r)
	if err != nil {
		return nil, err
	}
	if found {
		data["revocation_time"], data["revocation_time_rfc3339"] = r.At, rfc3339(r.At)
		if data["issuer_id"], err = b.issuerOf(ctx, req.Storage, r.Authority); err != nil {
			return nil, err
		}
	}
	return &engine.Response{Data: data}, nil
}

// issuerOf is the ID of an issuer of an authority; "" if there is none any more.
func (b *backend) issuerOf(ctx context.Context, v storage.View, authority string) (string, error) {
	c, err := b.settings(ctx, v)
	if err != nil {
		return "", err
	}
	for n := range c.Issuers {
		i, err := b.load(ctx, v, &c.Issuers[n])
		if err != nil {
			return "", err
		}
		if i.authority() == authority {
			return i.ID, nil
		}
	}
	return "", nil
}

func (b *backend) rawCert(asPEM bool) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		switch req.Data.String("serial") {
		case "ca":
			return b.showIssuer(asPEM)(ctx, req)
		case "ca_chain":
			return b.showChain(ctx, req)
		case "crl":
			return b.showList(asPEM)(ctx, req)
		}
		cert, _, err := kept(ctx, req.Storage, serialDigits(req.Data.String("serial")))
		if err != nil {
			return nil, err
		}
		if cert == nil {
			return nil, engine.ErrNotFound
		}
		return file(cert.Raw, typeCert, "CERTIFICATE", asPEM), nil
	}
}
