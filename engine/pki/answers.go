package pki

// What is answered, as the OpenAPI document has it; tests hold the answers against it.

type issuersConfig struct {
	Default string `json:"default" help:"ID of an issuer; empty: none."`
	Follows bool   `json:"default_follows_latest_issuer"`
}

type keysConfig struct {
	Default string `json:"default" help:"ID of a key; empty: none."`
}

// published is where certificates say that more is to be found.
type published struct {
	Issuing []string `json:"issuing_certificates"`
	CRL     []string `json:"crl_distribution_points"`
	Delta   []string `json:"delta_crl_distribution_points"`
	OCSP    []string `json:"ocsp_servers"`
}

type urlsConfig struct {
	published
	Templated bool `json:"enable_templating"`
}

type clusterConfig struct {
	Path    string `json:"path"`
	AIAPath string `json:"aia_path"`
}

type importInfo struct {
	Issuers    []string          `json:"imported_issuers" help:"IDs."`
	Keys       []string          `json:"imported_keys" help:"IDs."`
	Mapping    map[string]string `json:"mapping" help:"The IDs of the issuers' keys."`
	HadIssuers []string          `json:"existing_issuers"`
	HadKeys    []string          `json:"existing_keys"`
}

// privateKey is a private key, shown once to who asked for it.
type privateKey struct {
	Key  string `json:"private_key,omitempty"`
	Type string `json:"private_key_type,omitempty"`
}

type certificateInfo struct {
	Certificate string   `json:"certificate"`
	Serial      string   `json:"serial_number" help:"Bytes in hexadecimal, with colons."`
	Expiration  int64    `json:"expiration" help:"Seconds since 1970."`
	IssuingCA   string   `json:"issuing_ca,omitempty"`
	Chain       []string `json:"ca_chain,omitempty"`
	privateKey
}

type rootInfo struct {
	certificateInfo
	IssuerID   string `json:"issuer_id"`
	IssuerName string `json:"issuer_name"`
	KeyID      string `json:"key_id"`
	KeyName    string `json:"key_name"`
}

type requestInfo struct {
	CSR     string `json:"csr"`
	KeyID   string `json:"key_id"`
	KeyName string `json:"key_name"`
	privateKey
}

type crossInfo struct {
	Certificate string `json:"certificate"`
	IssuingCA   string `json:"issuing_ca"`
}

type issuerInfo struct {
	published
	Templated    bool     `json:"enable_aia_url_templating"`
	ID           string   `json:"issuer_id"`
	Name         string   `json:"issuer_name"`
	KeyID        string   `json:"key_id" help:"Empty: the key is elsewhere."`
	Certificate  string   `json:"certificate"`
	Chain        []string `json:"ca_chain"`
	ManualChain  []string `json:"manual_chain" api:"null"`
	Outlive      string   `json:"leaf_not_after_behavior"`
	Usage        string   `json:"usage"`
	Algorithm    string   `json:"revocation_signature_algorithm"`
	Revoked      bool     `json:"revoked"`
	RevokedAt    int64    `json:"revocation_time,omitempty" help:"Seconds since 1970."`
	RevokedAtRFC string   `json:"revocation_time_rfc3339,omitempty"`
}

type issuerListed struct {
	Name    string `json:"issuer_name"`
	KeyID   string `json:"key_id"`
	Default bool   `json:"is_default"`
	Serial  string `json:"serial_number"`
}

type keyInfo struct {
	ID   string `json:"key_id"`
	Name string `json:"key_name"`
	Type string `json:"key_type"`
	privateKey
}

type keyListed struct {
	Name    string `json:"key_name"`
	Default bool   `json:"is_default"`
}
