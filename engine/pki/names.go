package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"strongroom/engine"
)

// names are whom a certificate is for.
type names struct {
	common  string
	dns     []string
	emails  []string
	ips     []net.IP
	uris    []*url.URL
	other   []otherName
	serial  string   // of the subject, not the certificate
	userIDs []string // of the subject
}

// nameFields are the parameters that ask for names.
func nameFields() []engine.Field {
	return []engine.Field{
		{Name: "common_name", Help: "Common name; also becomes a DNS or e-mail name, unless exclude_cn_from_sans."},
		{Name: "alt_names", Type: engine.StringList, Help: "DNS names and e-mail addresses."},
		{Name: "ip_sans", Type: engine.StringList, Help: "IP addresses."},
		{Name: "uri_sans", Type: engine.StringList, Help: "URIs."},
		{Name: "other_sans", Type: engine.StringList, Help: "Other names: OID;UTF8:text."},
		{Name: "serial_number", Help: "Serial number in the subject; the certificate's own is random."},
		{Name: "exclude_cn_from_sans", Type: engine.Bool, Help: "The common name is no DNS or e-mail name."},
	}
}

// parseNames are the names that d asks for. The common name is not among the others yet.
func parseNames(d engine.Data) (*names, error) {
	n := &names{common: strings.TrimSpace(d.String("common_name")), serial: d.String("serial_number"), userIDs: d.Strings("user_ids")}
	for _, s := range d.Strings("alt_names") {
		n.add(s)
	}
	for _, s := range d.Strings("ip_sans") {
		ip := net.ParseIP(s)
		if ip == nil {
			return nil, engine.Invalidf("the value %q is not a valid IP address", s)
		}
		if v4 := ip.To4(); v4 != nil {
			ip = v4
		}
		n.ips = append(n.ips, ip)
	}
	for _, s := range d.Strings("uri_sans") {
		u, err := url.Parse(s)
		if err != nil || u.Scheme == "" {
			return nil, engine.Invalidf("the provided URI Subject Alternative Name %q is not a valid URI", s)
		}
		n.uris = append(n.uris, u)
	}
	for _, s := range d.Strings("other_sans") {
		o, err := parseOther(s)
		if err != nil {
			return nil, err
		}
		n.other = append(n.other, o)
	}
	return n, nil
}

// add adds a DNS name, in ASCII, or an e-mail address.
func (n *names) add(s string) {
	if strings.Contains(s, "@") {
		if !slices.Contains(n.emails, s) {
			n.emails = append(n.emails, s)
		}
		return
	}
	if s = ascii(s); !slices.Contains(n.dns, s) {
		n.dns = append(n.dns, s)
	}
}

// addCommon makes the common name one of the others, where it can be one.
func (n *names) addCommon() {
	if host := ascii(strings.Replace(n.common, "*", "x", 1)); strings.Contains(n.common, "@") || isHost(host) && net.ParseIP(host) == nil {
		n.add(n.common)
	}
}

// ascii is a DNS name with its labels in Punycode (RFC 5891); as it is where that cannot be.
func ascii(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7e }) {
		return s
	}
	if a, err := idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false)).ToASCII(s); err == nil {
		return a
	}
	return s
}

// isHost says whether s is the name of a host: labels of letters, digits, hyphens
// inside, and underscores, which Windows and SRV records have.
func isHost(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

// put sets the subject and the alternative names of t.
func (n *names) put(t *x509.Certificate) error {
	if len([]rune(n.common)) > 64 {
		return engine.Invalidf("the common_name must be no longer than 64 characters (RFC 5280, ub-common-name): leave it out with require_cn=false, or use alt_names")
	}
	t.Subject.CommonName, t.Subject.SerialNumber = n.common, n.serial
	for _, id := range n.userIDs {
		t.Subject.ExtraNames = append(t.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: oidUserID(), Value: id})
	}
	t.DNSNames, t.EmailAddresses, t.IPAddresses, t.URIs = n.dns, n.emails, n.ips, n.uris
	if len(n.other) == 0 {
		return nil
	}
	ext, err := n.extension(len(t.Subject.ToRDNSequence()) == 0)
	if err == nil {
		t.ExtraExtensions = append(t.ExtraExtensions, ext)
	}
	return err
}

func oidUserID() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
}

// subjectFields are the parameters of a subject beside its common name.
func subjectFields() []engine.Field {
	list := func(name, help string) engine.Field {
		return engine.Field{Name: name, Type: engine.StringList, Help: help + " in the subject."}
	}
	return []engine.Field{list("ou", "Organizational units"), list("organization", "Organizations"), list("country", "Countries"), list("locality", "Localities"),
		list("province", "Provinces"), list("street_address", "Street addresses"), list("postal_code", "Postal codes")}
}

// parseSubject is the subject that d asks for, without a common name.
func parseSubject(d engine.Data) pkix.Name {
	return pkix.Name{OrganizationalUnit: d.Strings("ou"), Organization: d.Strings("organization"), Country: d.Strings("country"), Locality: d.Strings("locality"),
		Province: d.Strings("province"), StreetAddress: d.Strings("street_address"), PostalCode: d.Strings("postal_code")}
}
