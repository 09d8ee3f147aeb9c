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

// crlInfo is how lists of revoked certificates are made.
type crlInfo struct {
	Expiry       string `json:"expiry" help:"A duration: 72h."`
	Disable      bool   `json:"disable"`
	OCSPDisable  bool   `json:"ocsp_disable"`
	OCSPExpiry   string `json:"ocsp_expiry"`
	AutoRebuild  bool   `json:"auto_rebuild"`
	Grace        string `json:"auto_rebuild_grace_period"`
	Delta        bool   `json:"enable_delta"`
	DeltaRebuild string `json:"delta_rebuild_interval"`
	CrossCluster bool   `json:"cross_cluster_revocation"`
	Unified      bool   `json:"unified_crl"`
	UnifiedPaths bool   `json:"unified_crl_on_existing_paths"`
	MaxEntries   int64  `json:"max_crl_entries"`
}

// rotated says that new lists have begun.
type rotated struct {
	Success bool `json:"success"`
}

type revokedInfo struct {
	At    int64  `json:"revocation_time" help:"Seconds since 1970."`
	AtRFC string `json:"revocation_time_rfc3339"`
	State string `json:"state"`
}

// storedInfo is a certificate that is stored, or that of an issuer, or a list.
type storedInfo struct {
	Certificate string `json:"certificate"`
	Chain       string `json:"ca_chain,omitempty"`
	RevokedAt   *int64 `json:"revocation_time,omitempty" help:"Seconds since 1970; 0: it has not been revoked."`
	RevokedRFC  string `json:"revocation_time_rfc3339,omitempty"`
	IssuerID    string `json:"issuer_id,omitempty"`
}

// issuerShown is what anyone may know of an issuer.
type issuerShown struct {
	Certificate string   `json:"certificate"`
	Chain       []string `json:"ca_chain"`
	ID          string   `json:"issuer_id"`
	Name        string   `json:"issuer_name"`
	RevokedAt   int64    `json:"revocation_time" help:"Seconds since 1970; 0: it has not been revoked."`
	RevokedRFC  string   `json:"revocation_time_rfc3339,omitempty"`
}

type listShown struct {
	CRL string `json:"crl"`
}

// tidyInfo is a clean-up.
type tidyInfo struct {
	State        string  `json:"state" help:"Inactive, Running, Finished, Error or Cancelled."`
	Error        *string `json:"error" api:"null"`
	Message      *string `json:"message" api:"null"`
	Started      *string `json:"time_started" api:"null"`
	Finished     *string `json:"time_finished" api:"null"`
	LastAuto     *string `json:"last_auto_tidy_finished" api:"null"`
	Certs        bool    `json:"tidy_cert_store"`
	Revoked      bool    `json:"tidy_revoked_certs"`
	Issuers      bool    `json:"tidy_expired_issuers"`
	Buffer       int64   `json:"safety_buffer"`
	IssuerBuffer int64   `json:"issuer_safety_buffer"`
	Pause        string  `json:"pause_duration"`
	CertCount    int64   `json:"cert_store_deleted_count"`
	RevokedCount int64   `json:"revoked_cert_deleted_count"`
	IssuerCount  int64   `json:"issuer_deleted_count"`
	Missing      int64   `json:"missing_issuer_cert_count"`
}

// autoTidyInfo is the clean-up that happens by itself.
type autoTidyInfo struct {
	Enabled      bool   `json:"enabled"`
	Interval     int64  `json:"interval_duration"`
	Certs        bool   `json:"tidy_cert_store"`
	Revoked      bool   `json:"tidy_revoked_certs"`
	Issuers      bool   `json:"tidy_expired_issuers"`
	Buffer       int64  `json:"safety_buffer"`
	IssuerBuffer int64  `json:"issuer_safety_buffer"`
	Pause        string `json:"pause_duration"`
}
