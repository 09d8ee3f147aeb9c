package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"strongroom/engine"
)

// otherName is an alternative name of a kind that an OID names: RFC 5280, 4.2.1.6.
// crypto/x509 neither writes nor reads them, so this file does.
type otherName struct {
	id   string // OID, dotted
	text string
}

// String is o as the API has it.
func (o otherName) String() string { return o.id + ";UTF8:" + o.text }

// The tags of GeneralName.
const (
	tagOther = 0
	tagEmail = 1
	tagDNS   = 2
	tagURI   = 6
	tagIP    = 7
)

func oidSAN() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, 17} }

// parseOther reads "OID;UTF8:text".
func parseOther(s string) (otherName, error) {
	id, rest, ok := strings.Cut(s, ";")
	kind, text, ok2 := strings.Cut(rest, ":")
	kind = strings.ToUpper(strings.TrimSpace(kind))
	if _, err := parseOID(id); err != nil || !ok || !ok2 || kind != "UTF8" && kind != "UTF-8" || !utf8.ValidString(text) {
		return otherName{}, engine.Invalidf("could not parse requested other SAN %q: it must be of the form OID;UTF8:text", s)
	}
	return otherName{strings.TrimSpace(id), text}, nil
}

// parseOID reads a dotted OID.
func parseOID(s string) (asn1.ObjectIdentifier, error) {
	id, err := x509.ParseOID(strings.TrimSpace(s))
	if err != nil {
		return nil, engine.Invalidf("could not parse OID %q: it must be numbers with dots between them", s)
	}
	der, err := id.MarshalBinary()
	if err != nil {
		return nil, err
	}
	var out asn1.ObjectIdentifier
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(der) })
	whole, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	if _, err := asn1.Unmarshal(whole, &out); err != nil {
		return nil, engine.Invalidf("could not parse OID %q: one of its numbers is too large", s)
	}
	return out, nil
}

// extension is the extension of all alternative names of n. Where a subject is empty
// it is critical.
func (n *names) extension(critical bool) (pkix.Extension, error) {
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		add := func(tag uint8, value []byte) {
			b.AddASN1(cryptobyteasn1.Tag(tag).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(value) })
		}
		for _, s := range n.dns {
			add(tagDNS, []byte(s))
		}
		for _, s := range n.emails {
			add(tagEmail, []byte(s))
		}
		for _, ip := range n.ips {
			add(tagIP, ip)
		}
		for _, u := range n.uris {
			add(tagURI, []byte(u.String()))
		}
		for _, o := range n.other {
			o.marshal(b)
		}
	})
	der, err := b.Bytes()
	for _, s := range append(append([]string{}, n.dns...), n.emails...) {
		if strings.ContainsFunc(s, func(r rune) bool { return r > 0x7e }) {
			return pkix.Extension{}, engine.Invalidf("the name %q cannot be part of a certificate: it is not ASCII", s)
		}
	}
	return pkix.Extension{Id: oidSAN(), Critical: critical, Value: der}, err
}

// marshal adds o to b.
func (o otherName) marshal(b *cryptobyte.Builder) {
	b.AddASN1(cryptobyteasn1.Tag(tagOther).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
		id, err := parseOID(o.id)
		if err != nil {
			b.SetError(err)
			return
		}
		b.AddASN1ObjectIdentifier(id)
		b.AddASN1(cryptobyteasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(cryptobyteasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(o.text)) })
		})
	})
}

// othersOf are the other names in extensions, and whether there is one that is no
// UTF-8 text, which nothing can allow.
func othersOf(extensions []pkix.Extension) (out []otherName, strange bool) {
	for _, e := range extensions {
		if !e.Id.Equal(oidSAN()) {
			continue
		}
		all, ok := cryptobyte.String(e.Value), false
		if ok = all.ReadASN1(&all, cryptobyteasn1.SEQUENCE); !ok {
			return out, true
		}
		for !all.Empty() {
			var one, value, text cryptobyte.String
			var tag cryptobyteasn1.Tag
			if !all.ReadAnyASN1(&one, &tag) {
				return out, true
			}
			if tag != cryptobyteasn1.Tag(tagOther).ContextSpecific().Constructed() {
				strange = strange || !isPlain(tag)
				continue
			}
			var id asn1.ObjectIdentifier
			explicit := cryptobyteasn1.Tag(0).ContextSpecific().Constructed()
			if !one.ReadASN1ObjectIdentifier(&id) || !one.ReadASN1(&value, explicit) || !value.ReadASN1(&text, cryptobyteasn1.UTF8String) || !one.Empty() || !value.Empty() || !utf8.Valid(text) {
				return out, true
			}
			out = append(out, otherName{id.String(), string(text)})
		}
	}
	return out, strange
}

// isPlain says whether a name of that tag is one that crypto/x509 reads.
func isPlain(tag cryptobyteasn1.Tag) bool {
	for _, t := range []uint8{tagEmail, tagDNS, tagURI, tagIP} {
		if tag == cryptobyteasn1.Tag(t).ContextSpecific() {
			return true
		}
	}
	return false
}
