package pki

import (
	"encoding/json"
	"net"
	"slices"
	"strings"

	"github.com/ryanuber/go-glob"

	"strongroom/engine"
)

// role is what certificates may be issued, and as what. It is stored in the form of
// the API: roleFields says what each of its members is. One that the cache gives is shared.
type role struct {
	Issuer          string   `json:"issuer_ref"`
	TTL             int64    `json:"ttl"`     // seconds; 0: the mount's
	MaxTTL          int64    `json:"max_ttl"` // seconds; 0: the mount's
	NotAfter        string   `json:"not_after"`
	Before          int64    `json:"not_before_duration"` // seconds
	Domains         []string `json:"allowed_domains"`
	BareDomains     bool     `json:"allow_bare_domains"`
	Subdomains      bool     `json:"allow_subdomains"`
	GlobDomains     bool     `json:"allow_glob_domains"`
	Wildcards       bool     `json:"allow_wildcard_certificates"`
	AnyName         bool     `json:"allow_any_name"`
	Localhost       bool     `json:"allow_localhost"`
	Hostnames       bool     `json:"enforce_hostnames"`
	IPs             bool     `json:"allow_ip_sans"`
	URIs            []string `json:"allowed_uri_sans"`
	Others          []string `json:"allowed_other_sans"`
	Serials         []string `json:"allowed_serial_numbers"`
	UserIDs         []string `json:"allowed_user_ids"`
	RequireCN       bool     `json:"require_cn"`
	CNValidations   []string `json:"cn_validations"`
	Server          bool     `json:"server_flag"`
	Client          bool     `json:"client_flag"`
	CodeSigning     bool     `json:"code_signing_flag"`
	Email           bool     `json:"email_protection_flag"`
	KeyType         string   `json:"key_type"`
	KeyBits         int64    `json:"key_bits"`
	SignatureBits   int64    `json:"signature_bits"`
	PSS             bool     `json:"use_pss"`
	KeyUsage        []string `json:"key_usage"`
	ExtKeyUsage     []string `json:"ext_key_usage"`
	ExtKeyUsageOIDs []string `json:"ext_key_usage_oids"`
	CSRCommonName   bool     `json:"use_csr_common_name"`
	CSRSANs         bool     `json:"use_csr_sans"`
	SerialSource    string   `json:"serial_number_source"`
	Policies        []string `json:"policy_identifiers"`
	Constraints     bool     `json:"basic_constraints_valid_for_non_ca"`
	NoStore         bool     `json:"no_store"`
	Lease           bool     `json:"generate_lease"`
	OU              []string `json:"ou"`
	Organization    []string `json:"organization"`
	Country         []string `json:"country"`
	Locality        []string `json:"locality"`
	Province        []string `json:"province"`
	StreetAddress   []string `json:"street_address"`
	PostalCode      []string `json:"postal_code"`
}

func decodeRole(b []byte) (*role, error) {
	r := &role{}
	return r, json.Unmarshal(b, r)
}

// allows says whether the role allows a DNS name, an e-mail address, or either as a
// common name.
func (r *role) allows(name string) bool {
	host, email := name, false
	if local, domain, ok := strings.Cut(name, "@"); ok {
		if local == "" || strings.Contains(domain, "@") || strings.Contains(domain, "*") {
			return false
		}
		host, email = domain, true
	}
	if strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return false // to a program in C, "evil.com\x00.example.com" may be evil.com
	}
	plain := host
	if strings.Contains(host, "*") {
		if plain = withoutWildcard(host); plain == "" || !r.Wildcards {
			return false
		}
	}
	if r.Hostnames && !isHost(ascii(plain)) {
		return false
	}
	if r.AnyName || r.Localhost && (host == "localhost" || host == "localdomain") {
		return true
	}
	for _, d := range r.Domains {
		bare := strings.EqualFold(name, d) || email && strings.EqualFold(host, d)
		below := len(host) > len(d)+1 && strings.EqualFold(host[len(host)-len(d)-1:], "."+d)
		if d != "" && (r.BareDomains && bare || r.Subdomains && below ||
			r.GlobDomains && strings.Contains(d, "*") && glob.Glob(strings.ToLower(d), strings.ToLower(name))) {
			return true
		}
	}
	return false
}

// withoutWildcard is a name whose one wildcard stands in its first label, of at least
// two, with another letter there; "" if the name is none (RFC 6125, 6.4.3).
func withoutWildcard(name string) string {
	first, rest, ok := strings.Cut(name, ".")
	if !ok || rest == "" || strings.Count(first, "*") != 1 || strings.Contains(rest, "*") {
		return ""
	}
	return strings.Replace(first, "*", "x", 1) + "." + rest
}

// allowsCommon says whether the role allows a common name.
func (r *role) allowsCommon(name string) bool {
	if slices.Contains(r.CNValidations, "disabled") {
		return !strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f })
	}
	validation := "hostname"
	if strings.Contains(name, "@") {
		validation = "email"
	}
	return slices.Contains(r.CNValidations, validation) && r.allows(name)
}

// check refuses names that the role does not allow.
func (r *role) check(n *names) error {
	if n.common == "" && r.RequireCN {
		return engine.Invalidf("the common_name field is required, or must be provided in a CSR with \"use_csr_common_name\" set to true, unless \"require_cn\" is set to false")
	}
	if n.common != "" && !r.allowsCommon(n.common) {
		return engine.Invalidf("common name %s not allowed by this role", n.common)
	}
	for _, s := range n.dns {
		if !r.allows(s) {
			return engine.Invalidf("subject alternate name %s not allowed by this role", s)
		}
	}
	for _, s := range n.emails {
		if !r.allows(s) {
			return engine.Invalidf("email address %s not allowed by this role", s)
		}
	}
	if len(n.ips) > 0 && !r.IPs {
		return engine.Invalidf("IP Subject Alternative Names are not allowed in this role, but was provided %s", joined(n.ips))
	}
	if n.serial != "" && !matches(r.Serials, n.serial) {
		return engine.Invalidf("serial_number %s not allowed by this role", n.serial)
	}
	for _, u := range n.uris {
		if !matches(r.URIs, u.String()) {
			return engine.Invalidf("URI Subject Alternative Name %s not allowed by this role", u)
		}
	}
	for _, id := range n.userIDs {
		if !matches(r.UserIDs, id) {
			return engine.Invalidf("user_id %s is not allowed by this role", id)
		}
	}
	for _, o := range n.other {
		if !r.allowsOther(o) {
			return engine.Invalidf("other SAN %s not allowed by this role", o)
		}
	}
	return nil
}

// allowsOther says whether the role allows an other name.
func (r *role) allowsOther(o otherName) bool {
	for _, s := range r.Others {
		if s == "*" {
			return true
		}
		if pattern, err := parseOther(s); err == nil && pattern.id == o.id && glob.Glob(pattern.text, o.text) {
			return true
		}
	}
	return false
}

// matches says whether one of patterns, in which * stands for any text, is s.
func matches(patterns []string, s string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return p != "" && glob.Glob(p, s) })
}

func joined(ips []net.IP) string {
	out := make([]string, len(ips))
	for i, ip := range ips {
		out[i] = ip.String()
	}
	return strings.Join(out, ", ")
}
