package pki

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"slices"
	"time"

	"strongroom/engine"
)

// issueRoutes are the ways to a certificate that a role allows.
func (b *backend) issueRoutes() []engine.Route {
	role := engine.Field{Name: "role", Required: true, Help: "Name of the role."}
	issuer := ref("issuer_ref")
	common := slices.Concat([]engine.Field{role}, nameFields(), lifetimeFields(), []engine.Field{formatField(), privateFormatField(),
		{Name: "remove_roots_from_chain", Type: engine.Bool, Help: "The chain ends before the self-signed certificate."},
		{Name: "user_ids", Type: engine.StringList, Help: "User IDs in the subject."},
		{Name: "cert_metadata", Help: "Not supported."}})
	csr := engine.Field{Name: "csr", Required: true, Help: "PEM of the request to sign."}
	signing := append([]engine.Field{csr}, common...)
	verbatim := slices.Concat(signing, signatureFields(), []engine.Field{
		{Name: "key_usage", Type: engine.StringList, Default: []string{"DigitalSignature", "KeyAgreement", "KeyEncipherment"}, Help: "Key usages, if the request names none."},
		{Name: "ext_key_usage", Type: engine.StringList, Help: "Extended key usages, if the request names none."},
		{Name: "ext_key_usage_oids", Type: engine.StringList, Help: "Extended key usages by OID, if the request names none."},
		{Name: "enforce_leaf_not_after_behavior", Type: engine.Bool, Help: "Heed the issuer's leaf_not_after_behavior, instead of shortening."}})
	verbatim = slices.DeleteFunc(verbatim, func(f engine.Field) bool { return f.Name == "role" })
	const made, signed, taken = "Make a key and a certificate for it.", "Sign a request, within what the role allows.", "Sign a request as it is; never a CA's."
	with := func(fields []engine.Field, more ...engine.Field) []engine.Field {
		return append(slices.Clip(fields), more...)
	}
	issued := engine.Answers{engine.Update: certificateInfo{}}
	return []engine.Route{
		{Path: "issue/{role}", Help: made, Fields: common, Answers: issued, Write: b.issue},
		{Path: "issuer/{issuer_ref}/issue/{role}", Help: made, Fields: with(common, issuer), Answers: issued, Write: b.issue},
		{Path: "sign/{role}", Help: signed, Fields: signing, Answers: issued, Write: b.signCSR},
		{Path: "issuer/{issuer_ref}/sign/{role}", Help: signed, Fields: with(signing, issuer), Answers: issued, Write: b.signCSR},
		{Path: "sign-verbatim", Help: taken, Fields: verbatim, Answers: issued, Write: b.signVerbatim},
		{Path: "sign-verbatim/{role}", Help: taken, Fields: with(verbatim, role), Answers: issued, Write: b.signVerbatim},
		{Path: "issuer/{issuer_ref}/sign-verbatim", Help: taken, Fields: with(verbatim, issuer), Answers: issued, Write: b.signVerbatim},
		{Path: "issuer/{issuer_ref}/sign-verbatim/{role}", Help: taken, Fields: with(verbatim, issuer, role), Answers: issued, Write: b.signVerbatim},
	}
}

// order is a certificate that is asked for, before it is signed.
type order struct {
	role     *role
	signer   *signer
	template *x509.Certificate
	public   crypto.PublicKey
	private  crypto.Signer // nil: the caller has it
	how      signature
	form     form
	warnings []string
}

// order begins one by the role and the issuer that req names.
func (b *backend) order(ctx context.Context, req *engine.Request, r *role) (*order, error) {
	if req.Data.String("cert_metadata") != "" {
		return nil, engine.Invalidf("cert_metadata is not supported by this server: leave it out")
	}
	o := &order{role: r, how: signature{r.SignatureBits, r.PSS}}
	var err error
	if o.form, err = parseForm(req.Data); err != nil {
		return nil, err
	}
	from := r.Issuer
	if req.Data.Has("issuer_ref") {
		from = req.Data.String("issuer_ref")
	}
	if from == "" {
		from = "default"
	}
	o.signer, err = b.signer(ctx, req.Storage, from, useIssuing)
	return o, err
}

// lifetime is the life that the role gives what req asks for.
func (r *role) lifetime(req *engine.Request) (lifetime, error) {
	l, err := parseLifetime(req)
	if err != nil {
		return l, err
	}
	l.before = time.Duration(r.Before) * time.Second
	l.usual = orDefault(r.TTL, l.usual)
	if r.MaxTTL > 0 {
		l.most = min(l.most, time.Duration(r.MaxTTL)*time.Second)
	}
	if l.ttl == 0 && l.until == "" && r.NotAfter != "" {
		l.until, l.anyUntil = r.NotAfter, true
	}
	return l, nil
}

func (b *backend) issue(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	r, err := b.role(ctx, req.Storage, req.Data.String("role"))
	if err != nil {
		return nil, err
	}
	if r.KeyType == "any" {
		return nil, engine.Invalidf("role key type \"any\" not allowed for issuing certificates, only signing")
	}
	o, err := b.order(ctx, req, r)
	if err != nil {
		return nil, err
	}
	n, err := parseNames(req.Data)
	if err != nil {
		return nil, err
	}
	if err := o.name(req, n); err != nil {
		return nil, err
	}
	kind, err := parseKind(r.KeyType, r.KeyBits)
	if err != nil {
		return nil, err
	}
	if o.private, err = kind.generate(req); err != nil {
		return nil, err
	}
	o.public = o.private.Public()
	return o.fill(req)
}

// name gives the certificate its names, if the role allows them, and its life.
func (o *order) name(req *engine.Request, n *names) error {
	if !req.Data.Bool("exclude_cn_from_sans") {
		n.addCommon()
	}
	if err := o.role.check(n); err != nil {
		return err
	}
	var err error
	if o.template, err = o.role.template(); err != nil {
		return err
	}
	if err := n.put(o.template); err != nil {
		return err
	}
	l, err := o.role.lifetime(req)
	if err != nil {
		return err
	}
	o.warnings, err = l.within(o.template, o.signer.cert, o.signer.Outlive)
	return err
}

func (b *backend) signCSR(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	r, err := b.role(ctx, req.Storage, req.Data.String("role"))
	if err != nil {
		return nil, err
	}
	csr, err := parseCSR(req.Data.String("csr"))
	if err != nil {
		return nil, err
	}
	if err := r.checkKey(csr.PublicKey); err != nil {
		return nil, err
	}
	o, err := b.order(ctx, req, r)
	if err != nil {
		return nil, err
	}
	n, err := r.namesFor(req.Data, csr)
	if err != nil {
		return nil, err
	}
	if err := o.name(req, n); err != nil {
		return nil, err
	}
	o.public = csr.PublicKey
	return o.fill(req)
}

// namesFor are the names of a request to sign: the parameters', or the request's own
// where the role says so.
func (r *role) namesFor(d engine.Data, csr *x509.CertificateRequest) (*names, error) {
	n, err := parseNames(d)
	if err != nil {
		return nil, err
	}
	if r.CSRSANs {
		own, err := namesOf(csr)
		if err != nil {
			return nil, err
		}
		n.dns, n.emails, n.ips, n.uris, n.other = own.dns, own.emails, own.ips, own.uris, own.other
	}
	if r.CSRCommonName && csr.Subject.CommonName != "" {
		n.common = csr.Subject.CommonName
	}
	if n.serial == "" && r.SerialSource != "json" {
		n.serial = csr.Subject.SerialNumber
	}
	return n, nil
}

// checkKey refuses to sign a key that the role does not allow, or that is too weak for any.
func (r *role) checkKey(public crypto.PublicKey) error {
	k := kindOf(public)
	if p, ok := public.(*rsa.PublicKey); ok && (p.N.BitLen() < 2048 || p.N.BitLen() > 8192) {
		return engine.Invalidf("RSA keys < 2048 bits or > 8192 bits are unsafe and not supported: the key of the request has %d", k.bits)
	}
	switch {
	case r.KeyType == "any":
		return nil
	case k.name != r.KeyType:
		return engine.Invalidf("role requires keys of type %s", r.KeyType)
	}
	want, err := parseKind(r.KeyType, r.KeyBits)
	if err == nil && k.bits < want.bits {
		err = engine.Invalidf("role requires a minimum of a %d-bit key, but CSR's key is %d bits", want.bits, k.bits)
	}
	return err
}

func (b *backend) signVerbatim(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	r := &role{Issuer: "default", Before: 30}
	if name := req.Data.String("role"); name != "" {
		named, err := b.role(ctx, req.Storage, name)
		if err != nil {
			return nil, err
		}
		r = &role{Issuer: named.Issuer, TTL: named.TTL, MaxTTL: named.MaxTTL, Before: named.Before, NoStore: named.NoStore, Lease: named.Lease}
	}
	csr, err := parseCSR(req.Data.String("csr"))
	if err != nil {
		return nil, err
	}
	if err := (&role{KeyType: "any"}).checkKey(csr.PublicKey); err != nil {
		return nil, err
	}
	if isCA(csr) {
		return nil, engine.Invalidf("the request asks for the certificate of a CA: use root/sign-intermediate")
	}
	o, err := b.order(ctx, req, r)
	if err != nil {
		return nil, err
	}
	if o.how, err = parseSignature(req.Data); err != nil {
		return nil, err
	}
	if o.template, err = verbatim(csr, req.Data); err != nil {
		return nil, err
	}
	l, err := r.lifetime(req)
	if err != nil {
		return nil, err
	}
	behavior := o.signer.Outlive
	if behavior == outliveErr && !req.Data.Bool("enforce_leaf_not_after_behavior") {
		behavior = outliveTruncate
	}
	if o.warnings, err = l.within(o.template, o.signer.cert, behavior); err != nil {
		return nil, err
	}
	o.public = csr.PublicKey
	return o.fill(req)
}

// verbatim is the certificate that a request asks for itself. What says who issued
// it, and that it is no CA's, is not the request's to say.
func verbatim(csr *x509.CertificateRequest, d engine.Data) (*x509.Certificate, error) {
	t := &x509.Certificate{RawSubject: csr.RawSubject, Subject: csr.Subject, DNSNames: csr.DNSNames, EmailAddresses: csr.EmailAddresses, IPAddresses: csr.IPAddresses, URIs: csr.URIs}
	has := func(id asn1.ObjectIdentifier) bool {
		return slices.ContainsFunc(t.ExtraExtensions, func(e pkix.Extension) bool { return e.Id.Equal(id) })
	}
	for _, e := range csr.Extensions {
		if !slices.ContainsFunc(oidsOfIssuer(), e.Id.Equal) && !has(e.Id) {
			t.ExtraExtensions = append(t.ExtraExtensions, e)
		}
	}
	if ids := d.Strings("user_ids"); len(ids) > 0 {
		t.RawSubject, t.Subject.ExtraNames = nil, csr.Subject.Names
		if err := (&names{common: csr.Subject.CommonName, userIDs: ids}).put(t); err != nil {
			return nil, err
		}
		t.DNSNames, t.EmailAddresses, t.IPAddresses, t.URIs = csr.DNSNames, csr.EmailAddresses, csr.IPAddresses, csr.URIs
	}
	var err error
	if !has(asn1.ObjectIdentifier{2, 5, 29, 15}) {
		if t.KeyUsage, err = parseKeyUsage(d.Strings("key_usage")); err != nil {
			return nil, err
		}
	}
	if !has(asn1.ObjectIdentifier{2, 5, 29, 37}) {
		err = putExtKeyUsage(t, d.Strings("ext_key_usage"), d.Strings("ext_key_usage_oids"))
	}
	return t, err
}

// oidsOfIssuer are the extensions that the issuer alone writes: subject and authority
// key identifiers, basic and name constraints, distribution points, authority information access.
func oidsOfIssuer() []asn1.ObjectIdentifier {
	return []asn1.ObjectIdentifier{{2, 5, 29, 14}, {2, 5, 29, 35}, {2, 5, 29, 19}, {2, 5, 29, 30}, {2, 5, 29, 31}, {2, 5, 29, 46}, {1, 3, 6, 1, 5, 5, 7, 1, 1}}
}

// fill signs what was ordered, stores it if the role says so, and answers it.
func (o *order) fill(req *engine.Request) (*engine.Response, error) {
	cert, err := o.signer.sign(o.template, o.public, o.how)
	if err != nil {
		return nil, err
	}
	data, err := o.form.certificate(cert, o.signer.chain, o.private)
	if err != nil {
		return nil, err
	}
	resp := &engine.Response{Data: data, Warnings: o.warnings}
	if o.role.NoStore {
		return resp, nil
	}
	if err := keep(req.Storage, cert, o.signer.authority()); err != nil {
		return nil, err
	}
	if o.role.Lease {
		// In whole seconds upwards: a lease that ended before its certificate would have it revoked.
		left := (time.Until(cert.NotAfter) + time.Second - 1).Truncate(time.Second)
		resp.Lease = &engine.Lease{TTL: left, Revoke: []byte(hex.EncodeToString(cert.SerialNumber.Bytes()))}
	}
	return resp, nil
}
