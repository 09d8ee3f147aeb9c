package pki

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"slices"
	"strings"

	"strongroom/engine"
)

// caFields are the parameters of the certificate of a CA.
func caFields() []engine.Field {
	list := func(name, help string) engine.Field {
		return engine.Field{Name: name, Type: engine.StringList, Help: help}
	}
	return slices.Concat(nameFields(), subjectFields(), lifetimeFields(), signatureFields(), []engine.Field{formatField(),
		{Name: "not_before_duration", Type: engine.Duration, Help: "The certificate begins so long before now; 30 s."},
		{Name: "max_path_length", Type: engine.Int, Default: int64(-1), Help: "How many CAs may stand between this one and a certificate; -1: no limit but the issuer's."},
		list("key_usage", "DigitalSignature is added to CertSign and CRLSign; the rest is passed over."),
		list("permitted_dns_domains", "Domains that certificates below this one may be for."), list("excluded_dns_domains", "Domains that they may not be for."),
		list("permitted_ip_ranges", "Addresses, as CIDR, that certificates below this one may be for."), list("excluded_ip_ranges", "Addresses that they may not be for."),
		list("permitted_email_addresses", "E-mail addresses that certificates below this one may be for."), list("excluded_email_addresses", "E-mail addresses that they may not be for."),
		list("permitted_uri_domains", "Domains of URIs that certificates below this one may be for."), list("excluded_uri_domains", "Domains of URIs that they may not be for."),
	})
}

// authorityRoutes make certificates of CAs.
func (b *backend) authorityRoutes() []engine.Route {
	managed := []engine.Field{{Name: "managed_key_name", Help: "Not supported."}, {Name: "managed_key_id", Help: "Not supported."}}
	source := append([]engine.Field{{Name: "key_name", Help: "Name of the key that is made."}, {Name: "key_ref", Default: "default", Help: "The key to use, with the type existing."}, privateFormatField()}, append(managed, kindFields()...)...)
	kind := typeField("internal: the key never leaves; exported: the answer holds it; existing: the key is key_ref's.")
	named := engine.Field{Name: "issuer_name", Help: "Name of the issuer."}
	root := slices.Concat([]engine.Field{kind, named}, source, caFields())
	request := slices.Concat(source, nameFields(), subjectFields(), signatureFields(), []engine.Field{formatField(),
		{Name: "add_basic_constraints", Type: engine.Bool, Help: "The request says that it is a CA's, as Active Directory wants it."},
		{Name: "key_usage", Type: engine.StringList, Help: "Key usages to ask for."},
		{Name: "ttl", Type: engine.Duration, Help: "Without effect: who signs says how long it lives."}})
	sign := slices.Concat([]engine.Field{{Name: "csr", Required: true, Help: "PEM of the request to sign."}}, caFields(), []engine.Field{
		{Name: "use_csr_values", Type: engine.Bool, Help: "Subject, names and extensions are the request's."},
		{Name: "skid", Help: "Subject key identifier, hex; by default it is computed."},
		{Name: "enforce_leaf_not_after_behavior", Type: engine.Bool, Help: "Heed the issuer's leaf_not_after_behavior, instead of shortening."},
		{Name: "remove_roots_from_chain", Type: engine.Bool, Help: "The chain ends before the self-signed certificate."}})
	self := []engine.Field{{Name: "certificate", Required: true, Help: "PEM of a certificate that is signed by itself."},
		{Name: "require_matching_certificate_algorithms", Type: engine.Bool, Help: "Its key must be of the type of the issuer's."}}
	const makes, asks, signs, crosses = "Make a CA that is signed by itself.", "Make a request for the certificate of a CA.", "Sign the request of a CA.", "Sign a certificate that is signed by itself, for its holder to be trusted by both."
	issuer := ref("issuer_ref")
	return []engine.Route{
		{Path: "root/generate/{type}", Help: makes, Fields: root, Answers: engine.Answers{engine.Update: rootInfo{}}, Write: b.generateRoot("")},
		{Path: "issuers/generate/root/{type}", Help: makes, Fields: root, Answers: engine.Answers{engine.Update: rootInfo{}}, Write: b.generateRoot("")},
		{Path: "root/rotate/{type}", Help: makes + ` Unless it is named, it is called "next".`, Fields: root, Answers: engine.Answers{engine.Update: rootInfo{}}, Write: b.generateRoot("next")},
		{Path: "intermediate/generate/{type}", Help: asks, Fields: append([]engine.Field{kind}, request...), Answers: engine.Answers{engine.Update: requestInfo{}}, Write: b.generateRequest},
		{Path: "issuers/generate/intermediate/{type}", Help: asks, Fields: append([]engine.Field{kind}, request...), Answers: engine.Answers{engine.Update: requestInfo{}}, Write: b.generateRequest},
		{Path: "intermediate/cross-sign", Help: asks, Fields: append([]engine.Field{{Name: "type", Default: "existing", Help: "existing: the key is key_ref's."}}, request...), Answers: engine.Answers{engine.Update: requestInfo{}}, Write: b.generateRequest},
		{Path: "root/sign-intermediate", Help: signs, Fields: sign, Answers: engine.Answers{engine.Update: certificateInfo{}}, Write: b.signIntermediate},
		{Path: "issuer/{issuer_ref}/sign-intermediate", Help: signs, Fields: append(slices.Clip(sign), issuer), Answers: engine.Answers{engine.Update: certificateInfo{}}, Write: b.signIntermediate},
		{Path: "root/sign-self-issued", Help: crosses, Fields: self, Sudo: true, Answers: engine.Answers{engine.Update: crossInfo{}}, Write: b.signSelfIssued},
		{Path: "issuer/{issuer_ref}/sign-self-issued", Help: crosses, Fields: append(slices.Clip(self), issuer), Answers: engine.Answers{engine.Update: crossInfo{}}, Write: b.signSelfIssued},
	}
}

// caTemplate is the certificate of a CA as d asks for it, without names and life.
func caTemplate(d engine.Data) (*x509.Certificate, error) {
	t := &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: -1, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, Subject: parseSubject(d),
		PermittedDNSDomains: d.Strings("permitted_dns_domains"), ExcludedDNSDomains: d.Strings("excluded_dns_domains"),
		PermittedEmailAddresses: d.Strings("permitted_email_addresses"), ExcludedEmailAddresses: d.Strings("excluded_email_addresses"),
		PermittedURIDomains: d.Strings("permitted_uri_domains"), ExcludedURIDomains: d.Strings("excluded_uri_domains"),
	}
	if n := d.Int("max_path_length"); n >= 0 {
		t.MaxPathLen, t.MaxPathLenZero = int(n), n == 0
	} else if n < -1 {
		return nil, engine.Invalidf("max_path_length must be -1 (no limit) or more")
	}
	usage, err := parseKeyUsage(d.Strings("key_usage"))
	if err != nil {
		return nil, err
	}
	t.KeyUsage |= usage & x509.KeyUsageDigitalSignature
	for name, at := range map[string]*[]*net.IPNet{"permitted_ip_ranges": &t.PermittedIPRanges, "excluded_ip_ranges": &t.ExcludedIPRanges} {
		for _, s := range d.Strings(name) {
			_, block, err := net.ParseCIDR(s)
			if err != nil {
				return nil, engine.Invalidf("invalid %s %q: it must be in CIDR notation, such as 192.0.2.0/24", name, s)
			}
			*at = append(*at, block)
		}
	}
	t.PermittedDNSDomainsCritical = len(t.PermittedDNSDomains)+len(t.ExcludedDNSDomains)+len(t.PermittedIPRanges)+len(t.ExcludedIPRanges)+
		len(t.PermittedEmailAddresses)+len(t.ExcludedEmailAddresses)+len(t.PermittedURIDomains)+len(t.ExcludedURIDomains) > 0
	return t, nil
}

// putNames gives t the names that d asks for, which no role restricts.
func putNames(t *x509.Certificate, d engine.Data) error {
	n, err := parseNames(d)
	if err != nil {
		return err
	}
	if n.common == "" {
		return engine.Invalidf("the common_name field is required")
	}
	if !d.Bool("exclude_cn_from_sans") {
		n.addCommon()
	}
	return n.put(t)
}

// generateRoot makes a CA that signs itself; an unnamed one is called usual.
func (b *backend) generateRoot(usual string) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		form, err := parseForm(req.Data)
		if err != nil {
			return nil, err
		}
		name := req.Data.String("issuer_name")
		if name == "" {
			name = usual
		}
		var resp *engine.Response
		_, err = configure(ctx, req.Storage, func(c *config) error {
			if err := c.checkIssuerName(name, ""); err != nil {
				return err
			}
			t, warnings, err := rootTemplate(req, c)
			if err != nil {
				return err
			}
			how, err := parseSignature(req.Data)
			if err != nil {
				return err
			}
			k, err := b.newKey(ctx, req, c)
			if err != nil {
				return err
			}
			cert, err := selfSign(t, k, how)
			if err != nil {
				return err
			}
			i, err := c.addIssuer(req.Storage, cert, name)
			if err != nil {
				return err
			}
			c.prefer(i)
			if err := keep(req.Storage, cert, i.authority()); err != nil {
				return err
			}
			if err := b.rechain(ctx, req.Storage, c); err != nil {
				return err
			}
			var shown crypto.Signer
			if req.Data.String("type") == "exported" {
				shown = k.Signer
			}
			data, err := form.certificate(cert, []*issuer{i}, shown)
			if err != nil {
				return err
			}
			delete(data, "ca_chain")
			data["issuer_id"], data["issuer_name"], data["key_id"], data["key_name"] = i.ID, i.Name, k.ID, k.Name
			resp = &engine.Response{Data: data, Warnings: warnings}
			return b.listAll(ctx, req, c)
		})
		return resp, err
	}
}

// rootTemplate is the certificate of the root that req asks for.
func rootTemplate(req *engine.Request, c *config) (*x509.Certificate, []string, error) {
	t, err := caTemplate(req.Data)
	if err != nil {
		return nil, nil, err
	}
	if err := putNames(t, req.Data); err != nil {
		return nil, nil, err
	}
	l, err := parseLifetime(req)
	if err != nil {
		return nil, nil, err
	}
	l.anyUntil = true
	warnings, err := l.within(t, nil, "")
	if err != nil {
		return nil, nil, err
	}
	if !c.URLs.Templated { // the ID of a root is not known before it is signed
		t.IssuingCertificateURL, t.CRLDistributionPoints, t.OCSPServer = c.URLs.Issuing, c.URLs.CRL, c.URLs.OCSP
	}
	return t, warnings, nil
}

// selfSign has k sign the certificate of its own.
func selfSign(t *x509.Certificate, k *key, how signature) (*x509.Certificate, error) {
	var err error
	if t.SubjectKeyId, err = keyID(k.Public()); err != nil {
		return nil, err
	}
	t.AuthorityKeyId = t.SubjectKeyId
	t.SerialNumber, t.SignatureAlgorithm = newSerial(), how.algorithm(k.Public())
	der, err := x509.CreateCertificate(rand.Reader, t, t, k.Public(), k.Signer)
	if err != nil {
		return nil, engine.Invalidf("unable to create the certificate: %v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("pki: parse what was made: %w", err)
	}
	return cert, cert.CheckSignatureFrom(cert)
}

func (b *backend) generateRequest(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	form, err := parseForm(req.Data)
	if err != nil {
		return nil, err
	}
	how, err := parseSignature(req.Data)
	if err != nil {
		return nil, err
	}
	names := &x509.Certificate{Subject: parseSubject(req.Data)}
	if err := putNames(names, req.Data); err != nil {
		return nil, err
	}
	t := &x509.CertificateRequest{Subject: names.Subject, DNSNames: names.DNSNames, EmailAddresses: names.EmailAddresses, IPAddresses: names.IPAddresses, URIs: names.URIs, ExtraExtensions: names.ExtraExtensions}
	if err := putAsked(t, req.Data); err != nil {
		return nil, err
	}
	var k *key
	_, err = configure(ctx, req.Storage, func(c *config) error { k, err = b.newKey(ctx, req, c); return err })
	if err != nil {
		return nil, err
	}
	t.SignatureAlgorithm = how.algorithm(k.Public())
	der, err := x509.CreateCertificateRequest(rand.Reader, t, k.Signer)
	if err != nil {
		return nil, engine.Invalidf("unable to create the request: %v", err)
	}
	data := map[string]any{"csr": form.text("CERTIFICATE REQUEST", der), "key_id": k.ID, "key_name": k.Name}
	var shown crypto.Signer
	if req.Data.String("type") == "exported" {
		shown = k.Signer
		if err := form.putPrivate(data, shown); err != nil {
			return nil, err
		}
	}
	if form.bundle {
		data["csr"], err = form.bundled(pemText("CERTIFICATE REQUEST", der), shown)
	}
	return &engine.Response{Data: data}, err
}

// putAsked adds the extensions that d wants asked for to a request.
func putAsked(t *x509.CertificateRequest, d engine.Data) error {
	if d.Bool("add_basic_constraints") {
		der, err := asn1.Marshal(struct{ IsCA bool }{true})
		if err != nil {
			return err
		}
		t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: der})
	}
	usage, err := parseKeyUsage(d.Strings("key_usage"))
	if err != nil || usage == 0 {
		return err
	}
	var bits asn1.BitString // RFC 5280, 4.2.1.3: the first bit is DigitalSignature
	for i := range 9 {
		if usage&(1<<i) != 0 {
			for len(bits.Bytes) <= i/8 {
				bits.Bytes = append(bits.Bytes, 0)
			}
			bits.Bytes[i/8] |= 0x80 >> (i % 8)
			bits.BitLength = i + 1
		}
	}
	der, err := asn1.Marshal(bits)
	t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: der})
	return err
}

// signerOf is the issuer that req names, or the default.
func (b *backend) signerOf(ctx context.Context, req *engine.Request) (*signer, error) {
	name := "default"
	if req.Data.Has("issuer_ref") {
		name = req.Data.String("issuer_ref")
	}
	return b.signer(ctx, req.Storage, name, useIssuing)
}

func (b *backend) signIntermediate(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	d := req.Data
	form, err := parseForm(d)
	if err != nil {
		return nil, err
	}
	how, err := parseSignature(d)
	if err != nil {
		return nil, err
	}
	csr, err := parseCSR(d.String("csr"))
	if err != nil {
		return nil, err
	}
	if err := (&role{KeyType: "any"}).checkKey(csr.PublicKey); err != nil {
		return nil, err
	}
	s, err := b.signerOf(ctx, req)
	if err != nil {
		return nil, err
	}
	t, err := intermediate(d, csr)
	if err != nil {
		return nil, err
	}
	if err := s.bound(t); err != nil {
		return nil, err
	}
	l, err := parseLifetime(req)
	if err != nil {
		return nil, err
	}
	l.anyUntil = true
	behavior := s.Outlive
	if behavior == outliveErr && !d.Bool("enforce_leaf_not_after_behavior") {
		behavior = outliveTruncate
	}
	warnings, err := l.within(t, s.cert, behavior)
	if err != nil {
		return nil, err
	}
	cert, err := s.sign(t, csr.PublicKey, how)
	if err != nil {
		return nil, err
	}
	if err := keep(req.Storage, cert, s.authority()); err != nil {
		return nil, err
	}
	data, err := form.certificate(cert, s.chain, nil)
	return &engine.Response{Data: data, Warnings: warnings}, err
}

// intermediate is the certificate of a CA for a request, without its life.
func intermediate(d engine.Data, csr *x509.CertificateRequest) (*x509.Certificate, error) {
	t, err := caTemplate(d)
	if err != nil {
		return nil, err
	}
	if id := d.String("skid"); id != "" {
		if t.SubjectKeyId, err = hex.DecodeString(strings.NewReplacer(":", "", "-", "").Replace(id)); err != nil || len(t.SubjectKeyId) == 0 {
			return nil, engine.Invalidf("skid must be hex")
		}
	}
	if !d.Bool("use_csr_values") {
		return t, putNames(t, d)
	}
	t.RawSubject, t.Subject = csr.RawSubject, csr.Subject
	t.DNSNames, t.EmailAddresses, t.IPAddresses, t.URIs = csr.DNSNames, csr.EmailAddresses, csr.IPAddresses, csr.URIs
	usage := asn1.ObjectIdentifier{2, 5, 29, 15}
	for _, e := range csr.Extensions {
		if e.Id.Equal(usage) {
			var bits asn1.BitString
			if _, err := asn1.Unmarshal(e.Value, &bits); err != nil {
				return nil, engine.Invalidf("the key usage that the request asks for could not be parsed")
			}
			for i := range 9 {
				t.KeyUsage |= x509.KeyUsage(bits.At(i)) << i
			}
			continue
		}
		if !slices.ContainsFunc(oidsOfIssuer(), e.Id.Equal) && !slices.ContainsFunc(t.ExtraExtensions, func(x pkix.Extension) bool { return x.Id.Equal(e.Id) }) {
			t.ExtraExtensions = append(t.ExtraExtensions, e)
		}
	}
	return t, nil
}

// bound holds the path length of t, a CA below s, to that of s.
func (s *signer) bound(t *x509.Certificate) error {
	most := s.cert.MaxPathLen
	if most < 0 || most == 0 && !s.cert.MaxPathLenZero {
		return nil
	}
	if most == 0 {
		return engine.Invalidf("signing certificate has a max path length of zero, and cannot issue further CA certificates")
	}
	if t.MaxPathLen > most-1 {
		return engine.Invalidf("max_path_length %d is more than the signing certificate, whose own is %d, allows", t.MaxPathLen, most)
	}
	if t.MaxPathLen < 0 {
		t.MaxPathLen, t.MaxPathLenZero = most-1, most == 1
	}
	return nil
}

func (b *backend) signSelfIssued(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	block, rest := pem.Decode([]byte(req.Data.String("certificate")))
	if block == nil || block.Type != "CERTIFICATE" || len(slices.DeleteFunc(rest, func(c byte) bool { return c <= ' ' })) > 0 {
		return nil, engine.Invalidf("certificate must be PEM of one certificate")
	}
	given, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, engine.Invalidf("the certificate could not be parsed")
	}
	switch {
	case !given.BasicConstraintsValid || !given.IsCA:
		return nil, engine.Invalidf("given certificate is not a CA certificate")
	case !selfSigned(given):
		return nil, engine.Invalidf("given certificate is not self-issued, or not signed by its own key")
	}
	s, err := b.signerOf(ctx, req)
	if err != nil {
		return nil, err
	}
	if req.Data.Bool("require_matching_certificate_algorithms") && kindOf(given.PublicKey).name != s.key.Type {
		return nil, engine.Invalidf("the key of the certificate is not of the type of the issuer's, %s", s.key.Type)
	}
	t := *given
	t.ExtraExtensions, t.AuthorityKeyId = nil, nil
	if err := s.bound(&t); err != nil {
		return nil, err
	}
	cert, err := s.sign(&t, given.PublicKey, signature{})
	if err != nil {
		return nil, err
	}
	if err := keep(req.Storage, cert, s.authority()); err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]any{"certificate": pemText("CERTIFICATE", cert.Raw), "issuing_ca": s.pem}}, nil
}
