package cert

import "strongroom/auth"

type configInfo struct {
	DisableBinding bool `json:"disable_binding"`
	AliasMetadata  bool `json:"enable_identity_alias_metadata"`
}

type roleInfo struct {
	Certificate        string   `json:"certificate" help:"PEM."`
	DisplayName        string   `json:"display_name"`
	Names              []string `json:"allowed_names"`
	CommonNames        []string `json:"allowed_common_names"`
	DNSNames           []string `json:"allowed_dns_sans"`
	Emails             []string `json:"allowed_email_sans"`
	URIs               []string `json:"allowed_uri_sans"`
	Units              []string `json:"allowed_organizational_units"`
	RequiredExtensions []string `json:"required_extensions"`
	MetadataExtensions []string `json:"allowed_metadata_extensions"`
	auth.Shows
}

type crlInfo struct {
	Serials map[string]struct{} `json:"serials"`
}
