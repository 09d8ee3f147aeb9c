package kubernetes

import "strongroom/auth"

// configInfo is the configuration without its secret.
type configInfo struct {
	Host              string   `json:"kubernetes_host"`
	CACert            string   `json:"kubernetes_ca_cert"`
	PEMKeys           []string `json:"pem_keys"`
	Issuer            string   `json:"issuer"`
	DisableIssuer     bool     `json:"disable_iss_validation"`
	DisableLocal      bool     `json:"disable_local_ca_jwt"`
	AliasAnnotations  bool     `json:"use_annotations_as_alias_metadata"`
	ReviewerJWT       bool     `json:"token_reviewer_jwt_set"`
	LocalVerification bool     `json:"local_token_verification,omitempty"`
}

type roleInfo struct {
	Names       []string `json:"bound_service_account_names"`
	Namespaces  []string `json:"bound_service_account_namespaces"`
	Selector    string   `json:"bound_service_account_namespace_selector"`
	AliasSource string   `json:"alias_name_source"`
	Audience    string   `json:"audience,omitempty"`
	auth.Shows
}
