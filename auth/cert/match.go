package cert

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ryanuber/go-glob"
)

// chains are the ways in which the role trusts a client's certificates, the
// client's own first in each; none: it does not.
func (r *role) chains(peer []*x509.Certificate, now time.Time) [][]*x509.Certificate {
	leaf := peer[0]
	// The whole certificate: equal serial numbers, names or keys are no proof that it is the one.
	if slices.ContainsFunc(r.themselves, leaf.Equal) && !now.Before(leaf.NotBefore) && !now.After(leaf.NotAfter) && isForClients(leaf) {
		return [][]*x509.Certificate{{leaf}}
	}
	between := x509.NewCertPool()
	for _, c := range peer[1:] {
		between.AddCert(c)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: r.roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil
	}
	return chains
}

// isForClients says whether a certificate's extended usage, if it has any, allows it.
func isForClients(c *x509.Certificate) bool {
	if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// allows compares a certificate with the role's constraints, all of which must hold.
func (r *role) allows(c *x509.Certificate) bool {
	uris := make([]string, 0, len(c.URIs))
	for _, u := range c.URIs {
		uris = append(uris, u.String())
	}
	cn := []string{c.Subject.CommonName}
	return anyMatches(r.Names, slices.Concat(cn, c.DNSNames, c.EmailAddresses)) &&
		anyMatches(r.CommonNames, cn) &&
		anyMatches(r.DNSNames, c.DNSNames) &&
		anyMatches(r.Emails, c.EmailAddresses) &&
		anyMatches(r.URIs, uris) &&
		anyMatches(r.Units, c.Subject.OrganizationalUnit) &&
		!slices.ContainsFunc(r.extensions, func(e extensionRule) bool { return !e.holds(c) })
}

// anyMatches says whether one of the texts matches one of the patterns; without
// patterns all do.
func anyMatches(patterns, texts []string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(texts, func(text string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return glob.Glob(p, text) })
	})
}

// extensionRule demands an extension whose value matches a pattern.
type extensionRule struct {
	oid     asn1.ObjectIdentifier
	pattern string
	hex     bool // of the value's bytes, in lower case; otherwise of its text
}

// parseExtension reads "oid:pattern" or "hex:oid:pattern".
func parseExtension(text string) (extensionRule, error) {
	rest, isHex := strings.CutPrefix(text, "hex:")
	id, pattern, ok := strings.Cut(rest, ":")
	if !ok {
		return extensionRule{}, fmt.Errorf("required_extensions: %q has not the form oid:pattern or hex:oid:pattern", text)
	}
	oid, err := parseOID(id)
	if err != nil {
		return extensionRule{}, fmt.Errorf("required_extensions: %w", err)
	}
	if isHex {
		pattern = strings.ToLower(pattern)
	}
	return extensionRule{oid, pattern, isHex}, nil
}

func parseOID(text string) (asn1.ObjectIdentifier, error) {
	var oid asn1.ObjectIdentifier
	for part := range strings.SplitSeq(strings.TrimSpace(text), ".") {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return nil, errors.New("an OID such as 2.1.1.1 is needed")
		}
		oid = append(oid, int(n))
	}
	if len(oid) < 2 {
		return nil, errors.New("an OID such as 2.1.1.1 is needed")
	}
	return oid, nil
}

func (e extensionRule) holds(c *x509.Certificate) bool {
	for _, x := range c.Extensions {
		if !x.Id.Equal(e.oid) {
			continue
		}
		if e.hex {
			if glob.Glob(e.pattern, hex.EncodeToString(x.Value)) {
				return true
			}
			continue
		}
		if text, ok := extensionText(x.Value); ok && glob.Glob(e.pattern, text) {
			return true
		}
	}
	return false
}

// extensionText is the text of an extension that is one ASN.1 string.
func extensionText(der []byte) (string, bool) {
	var text string
	rest, err := asn1.Unmarshal(der, &text)
	return text, err == nil && len(rest) == 0
}

// metadata is what a token is told of the certificate.
func (r *role) metadata(name string, c *x509.Certificate) map[string]string {
	out := map[string]string{
		"cert_name":        name,
		"common_name":      c.Subject.CommonName,
		"serial_number":    c.SerialNumber.String(),
		"subject_key_id":   colons(c.SubjectKeyId),
		"authority_key_id": colons(c.AuthorityKeyId),
	}
	for _, id := range r.MetadataExtensions {
		oid, err := parseOID(id)
		if err != nil {
			continue
		}
		for _, x := range c.Extensions {
			if text, ok := extensionText(x.Value); ok && x.Id.Equal(oid) {
				out[strings.ReplaceAll(oid.String(), ".", "-")] = text
			}
		}
	}
	return out
}

// colons is b in hexadecimal, "0a:1b".
func colons(b []byte) string {
	parts := make([]string, len(b))
	for i, x := range b {
		parts[i] = fmt.Sprintf("%02x", x)
	}
	return strings.Join(parts, ":")
}
