package cert

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"strongroom/auth"
	"strongroom/engine"
)

const (
	roleFolder = "cert/" // + name
	// maxCertificates bounds a role's PEM, in certificates.
	maxCertificates = 50
)

// role says whose certificates may log in, as it is stored.
type role struct {
	Certificate        string     `json:"certificate"` // PEM: authorities, or client certificates themselves
	DisplayName        string     `json:"display_name"`
	Names              []string   `json:"allowed_names"` // patterns, as all that is allowed; none: any
	CommonNames        []string   `json:"allowed_common_names"`
	DNSNames           []string   `json:"allowed_dns_sans"`
	Emails             []string   `json:"allowed_email_sans"`
	URIs               []string   `json:"allowed_uri_sans"`
	Units              []string   `json:"allowed_organizational_units"`
	RequiredExtensions []string   `json:"required_extensions"` // "oid:pattern" or "hex:oid:pattern"
	MetadataExtensions []string   `json:"allowed_metadata_extensions"`
	Token              auth.Token `json:"token"`

	roots      *x509.CertPool      // the authorities of Certificate
	themselves []*x509.Certificate // the others
	extensions []extensionRule     // of RequiredExtensions
}

func roleFields() []engine.Field {
	list := func(name, help string) engine.Field {
		return engine.Field{Name: name, Type: engine.StringList, Help: help}
	}
	return append([]engine.Field{
		{Name: "name", Type: engine.Name, Help: "Name of the role."},
		{Name: "certificate", Help: "PEM certificates: authorities that sign client certificates, or client certificates themselves."},
		{Name: "display_name", Help: "Name of the tokens; by default the role's."},
		list("allowed_names", "Common names, DNS names or email addresses that may log in; * stands for any text. Old: use the others."),
		list("allowed_common_names", "Common names that may log in; * stands for any text."),
		list("allowed_dns_sans", "DNS names, one of which the certificate must have."),
		list("allowed_email_sans", "Email addresses, one of which the certificate must have."),
		list("allowed_uri_sans", "URIs, one of which the certificate must have."),
		list("allowed_organizational_units", "Organizational units, one of which the certificate must have."),
		list("required_extensions", "Extensions that the certificate must have, all of them: oid:pattern, or hex:oid:pattern."),
		list("allowed_metadata_extensions", "Extensions whose text becomes metadata of the token, by OID."),
		{Name: "ocsp_enabled", Type: engine.Bool, Help: "Ask an OCSP server; not supported, use CRLs."},
		{Name: "ocsp_ca_certificates", Help: "Kept for compatibility; there is no OCSP."},
		list("ocsp_servers_override", "Kept for compatibility; there is no OCSP."),
		{Name: "ocsp_fail_open", Type: engine.Bool, Help: "Kept for compatibility; there is no OCSP."},
		{Name: "ocsp_query_all_servers", Type: engine.Bool, Help: "Kept for compatibility; there is no OCSP."},
	}, auth.TokenFields("policies", "ttl", "max_ttl", "period", "bound_cidrs")...)
}

func decodeRole(b []byte) (*role, error) {
	r := &role{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("cert: decode role: %w", err)
	}
	return r, r.compile()
}

// compile parses what the role holds as text.
func (r *role) compile() error {
	certs, err := parseCertificates(r.Certificate)
	if err != nil {
		return err
	}
	r.roots, r.themselves = x509.NewCertPool(), nil
	for _, c := range certs {
		if c.IsCA {
			r.roots.AddCert(c)
		} else {
			r.themselves = append(r.themselves, c)
		}
	}
	r.extensions = nil
	for _, text := range r.RequiredExtensions {
		e, err := parseExtension(text)
		if err != nil {
			return err
		}
		r.extensions = append(r.extensions, e)
	}
	return nil
}

// parseCertificates reads PEM certificates and nothing else.
func parseCertificates(text string) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if len(certs) == 0 || strings.TrimSpace(string(rest)) != "" {
				return nil, errors.New("failed to parse certificate: it must be PEM, and nothing else, such as certificate=@ca.pem")
			}
			return certs, nil
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("failed to parse certificate: the PEM holds a %q", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("failed to parse certificate %d: it is malformed", len(certs)+1)
		}
		if certs = append(certs, c); len(certs) > maxCertificates {
			return nil, fmt.Errorf("more than %d certificates: use several roles", maxCertificates)
		}
	}
}

func (m *Method) readRole(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	r, err := m.roles.Named(ctx, req)
	if err != nil {
		return nil, err
	}
	data := map[string]any{"certificate": r.Certificate, "display_name": r.DisplayName}
	for name, l := range r.lists() {
		data[name] = auth.Shown(*l)
	}
	r.Token.Show(data)
	return &engine.Response{Data: data}, nil
}

// lists are the role's lists by the names of their parameters.
func (r *role) lists() map[string]*[]string {
	return map[string]*[]string{
		"allowed_names": &r.Names, "allowed_common_names": &r.CommonNames, "allowed_dns_sans": &r.DNSNames, "allowed_email_sans": &r.Emails,
		"allowed_uri_sans": &r.URIs, "allowed_organizational_units": &r.Units, "required_extensions": &r.RequiredExtensions,
		"allowed_metadata_extensions": &r.MetadataExtensions,
	}
}

// writeRole makes a role, or changes what the caller gives of one.
func (m *Method) writeRole(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	name := req.Data.String("name")
	old, err := m.roles.Load(ctx, req, name)
	if err != nil {
		return nil, err
	}
	r := &role{DisplayName: name}
	if old != nil {
		*r = *old
	}
	if err := r.update(req.Data); err != nil {
		return nil, err
	}
	if err := m.roles.Put(req, name, r); err != nil {
		return nil, err
	}
	if w := r.Token.Warnings(m.mount); w != nil {
		return &engine.Response{Warnings: w}, nil
	}
	return nil, nil
}

func (r *role) update(d engine.Data) error {
	if d.Bool("ocsp_enabled") {
		return engine.Invalidf("ocsp_enabled is not supported: write the authority's CRLs to crls/, and leave it out")
	}
	if d.Has("certificate") {
		r.Certificate = strings.TrimSpace(d.String("certificate"))
	}
	if d.Has("display_name") {
		r.DisplayName = d.String("display_name")
	}
	for name, l := range r.lists() {
		if d.Has(name) {
			*l = d.Strings(name)
		}
	}
	for _, text := range r.MetadataExtensions {
		if _, err := parseOID(text); err != nil {
			return engine.Invalidf("allowed_metadata_extensions: %v", err)
		}
	}
	if err := r.compile(); err != nil {
		return engine.Invalidf("%v", err)
	}
	return r.Token.Update(d)
}
