package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"slices"
	"strings"

	"strongroom/engine"
)

// keyUsages are the key usages by their names in lower case.
func keyUsages() map[string]x509.KeyUsage {
	return map[string]x509.KeyUsage{"digitalsignature": x509.KeyUsageDigitalSignature, "contentcommitment": x509.KeyUsageContentCommitment,
		"keyencipherment": x509.KeyUsageKeyEncipherment, "dataencipherment": x509.KeyUsageDataEncipherment, "keyagreement": x509.KeyUsageKeyAgreement,
		"certsign": x509.KeyUsageCertSign, "crlsign": x509.KeyUsageCRLSign, "encipheronly": x509.KeyUsageEncipherOnly, "decipheronly": x509.KeyUsageDecipherOnly}
}

// extKeyUsages are the extended key usages by their names in lower case.
func extKeyUsages() map[string]x509.ExtKeyUsage {
	return map[string]x509.ExtKeyUsage{"any": x509.ExtKeyUsageAny, "serverauth": x509.ExtKeyUsageServerAuth, "clientauth": x509.ExtKeyUsageClientAuth,
		"codesigning": x509.ExtKeyUsageCodeSigning, "emailprotection": x509.ExtKeyUsageEmailProtection, "ipsecendsystem": x509.ExtKeyUsageIPSECEndSystem,
		"ipsectunnel": x509.ExtKeyUsageIPSECTunnel, "ipsecuser": x509.ExtKeyUsageIPSECUser, "timestamping": x509.ExtKeyUsageTimeStamping,
		"ocspsigning": x509.ExtKeyUsageOCSPSigning, "microsoftservergatedcrypto": x509.ExtKeyUsageMicrosoftServerGatedCrypto,
		"netscapeservergatedcrypto": x509.ExtKeyUsageNetscapeServerGatedCrypto, "microsoftcommercialcodesigning": x509.ExtKeyUsageMicrosoftCommercialCodeSigning,
		"microsoftkernelcodesigning": x509.ExtKeyUsageMicrosoftKernelCodeSigning}
}

// parseKeyUsage is the key usage of a list of names.
func parseKeyUsage(list []string) (usage x509.KeyUsage, err error) {
	for _, s := range list {
		u, ok := keyUsages()[strings.ToLower(s)]
		if !ok {
			return 0, engine.Invalidf("unknown key_usage %q: it must be one of the names of Go's x509.KeyUsage, such as DigitalSignature", s)
		}
		usage |= u
	}
	return usage, nil
}

// putExtKeyUsage adds extended key usages, by name and by OID, to t.
func putExtKeyUsage(t *x509.Certificate, list, oids []string) error {
	for _, s := range list {
		u, ok := extKeyUsages()[strings.ToLower(s)]
		if !ok {
			return engine.Invalidf("unknown ext_key_usage %q: it must be one of the names of Go's x509.ExtKeyUsage, such as ServerAuth", s)
		}
		t.ExtKeyUsage = append(t.ExtKeyUsage, u)
	}
	for _, s := range oids {
		id, err := parseOID(s)
		if err != nil {
			return err
		}
		t.UnknownExtKeyUsage = append(t.UnknownExtKeyUsage, id)
	}
	return nil
}

// template is a certificate as the role has all of them.
func (r *role) template() (*x509.Certificate, error) {
	t := &x509.Certificate{
		Subject: pkix.Name{OrganizationalUnit: r.OU, Organization: r.Organization, Country: r.Country, Locality: r.Locality,
			Province: r.Province, StreetAddress: r.StreetAddress, PostalCode: r.PostalCode},
		BasicConstraintsValid: r.Constraints,
	}
	var err error
	if t.KeyUsage, err = parseKeyUsage(r.KeyUsage); err != nil {
		return nil, err
	}
	var flags []string
	for _, f := range []struct {
		on   bool
		name string
	}{{r.Server, "serverauth"}, {r.Client, "clientauth"}, {r.CodeSigning, "codesigning"}, {r.Email, "emailprotection"}} {
		if f.on {
			flags = append(flags, f.name)
		}
	}
	for _, name := range r.ExtKeyUsage { // which may say again what the flags do
		if name = strings.ToLower(name); !slices.Contains(flags, name) {
			flags = append(flags, name)
		}
	}
	if err := putExtKeyUsage(t, flags, r.ExtKeyUsageOIDs); err != nil {
		return nil, err
	}
	for _, s := range r.Policies {
		id, err := x509.ParseOID(s)
		if err != nil {
			return nil, engine.Invalidf("could not parse policy_identifiers %q: it must be an OID, numbers with dots between them", s)
		}
		t.Policies = append(t.Policies, id)
	}
	return t, nil
}
