package cert

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"strongroom/auth"
	"strongroom/engine"
	"strongroom/internal/storage"
)

const crlFolder = "crl/" // + name

// crl is a list of revoked certificates as it is stored.
type crl struct {
	Serials []string `json:"serials"` // decimal, in order

	revoked map[string]bool // of Serials
}

func decodeCRL(b []byte) (*crl, error) {
	c := &crl{}
	if err := json.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("cert: decode crl: %w", err)
	}
	c.revoked = make(map[string]bool, len(c.Serials))
	for _, s := range c.Serials {
		c.revoked[s] = true
	}
	return c, nil
}

// parseCRL reads one PEM CRL. Its signature and its times are not judged: whoever
// may write it is believed.
func parseCRL(text string) (*crl, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || strings.TrimSpace(string(rest)) != "" || block.Type != "X509 CRL" {
		return nil, errors.New("failed to parse CRL: it must be one PEM block \"X509 CRL\", such as crl=@crl.pem")
	}
	list, err := x509.ParseRevocationList(block.Bytes)
	if err != nil {
		return nil, errors.New("failed to parse CRL: it is malformed")
	}
	c := &crl{Serials: []string{}}
	for _, e := range list.RevokedCertificateEntries {
		c.Serials = append(c.Serials, e.SerialNumber.String())
	}
	slices.Sort(c.Serials)
	c.Serials = slices.Compact(c.Serials)
	return c, nil
}

func (m *Method) listCRLs(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return auth.List(ctx, req, crlFolder)
}

func (m *Method) loadCRL(ctx context.Context, req *engine.Request, name string) (*crl, error) {
	c, _, err := m.crls.Get(ctx, req.Storage, crlFolder+name, name, decodeCRL)
	return c, err
}

func (m *Method) readCRL(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := m.loadCRL(ctx, req, req.Data.String("name"))
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, engine.ErrNotFound
	}
	serials := make(map[string]struct{}, len(c.Serials))
	for _, s := range c.Serials {
		serials[s] = struct{}{}
	}
	return &engine.Response{Data: map[string]any{"serials": serials}}, nil
}

func (m *Method) writeCRL(_ context.Context, req *engine.Request) (*engine.Response, error) {
	text := req.Data.String("crl")
	if text == "" && req.Data.String("url") != "" {
		return nil, engine.Invalidf("url is not supported: this server fetches no CRL; write the CRL itself as crl, as often as it changes")
	}
	if text == "" {
		return nil, engine.Invalidf("missing crl: give the PEM CRL")
	}
	c, err := parseCRL(text)
	if err != nil {
		return nil, engine.Invalidf("%v", err)
	}
	return nil, storage.PutJSON(req.Storage, crlFolder+req.Data.String("name"), c)
}

func (m *Method) deleteCRL(_ context.Context, req *engine.Request) (*engine.Response, error) {
	req.Storage.Delete(crlFolder + req.Data.String("name"))
	return nil, nil
}

// revoked returns a test of certificates against all CRLs, by serial number
// alone, as documented.
func (m *Method) revoked(ctx context.Context, req *engine.Request) (func(*x509.Certificate) bool, error) {
	names, err := req.Storage.List(ctx, crlFolder, "", 0)
	if err != nil {
		return nil, err
	}
	var all []*crl
	for _, name := range names {
		c, err := m.loadCRL(ctx, req, name)
		if err != nil {
			return nil, err
		}
		if c != nil {
			all = append(all, c)
		}
	}
	return func(cert *x509.Certificate) bool {
		serial := cert.SerialNumber.String()
		return slices.ContainsFunc(all, func(c *crl) bool { return c.revoked[serial] })
	}, nil
}
