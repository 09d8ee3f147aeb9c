package jwt

import "strongroom/auth"

// configInfo is the configuration without its secret.
type configInfo struct {
	DiscoveryURL     string         `json:"oidc_discovery_url"`
	DiscoveryCA      string         `json:"oidc_discovery_ca_pem"`
	ClientID         string         `json:"oidc_client_id"`
	ResponseMode     string         `json:"oidc_response_mode"`
	ResponseTypes    []string       `json:"oidc_response_types"`
	JWKSURL          string         `json:"jwks_url"`
	JWKSCA           string         `json:"jwks_ca_pem"`
	JWKSPairs        []jwks         `json:"jwks_pairs"`
	PublicKeys       []string       `json:"jwt_validation_pubkeys"`
	Issuer           string         `json:"bound_issuer"`
	Algorithms       []string       `json:"jwt_supported_algs"`
	DefaultRole      string         `json:"default_role"`
	ProviderConfig   map[string]any `json:"provider_config"`
	NamespaceInState bool           `json:"namespace_in_state"`
}

type roleInfo struct {
	Type         string            `json:"role_type" enum:"jwt,oidc"`
	Audiences    []string          `json:"bound_audiences"`
	Subject      string            `json:"bound_subject"`
	Claims       map[string]any    `json:"bound_claims"`
	ClaimsType   string            `json:"bound_claims_type" enum:"string,glob"`
	UserClaim    string            `json:"user_claim"`
	UserPointer  bool              `json:"user_claim_json_pointer"`
	GroupsClaim  string            `json:"groups_claim"`
	Mappings     map[string]string `json:"claim_mappings" api:"null"`
	Leeway       int64             `json:"clock_skew_leeway"`
	ExpiryLeeway int64             `json:"expiration_leeway"`
	NotBefore    int64             `json:"not_before_leeway"`
	Scopes       []string          `json:"oidc_scopes"`
	RedirectURIs []string          `json:"allowed_redirect_uris"`
	MaxAge       int64             `json:"max_age"`
	Verbose      bool              `json:"verbose_oidc_logging"`
	CallbackMode string            `json:"callback_mode" enum:"client,direct"`
	PollInterval int64             `json:"poll_interval,omitempty" help:"Seconds, in direct mode."`
	auth.Shows
}

// authURL is where to send the browser; empty if the role does not allow the way back.
type authURL struct {
	URL          string `json:"auth_url"`
	State        string `json:"state,omitempty" help:"In direct mode: what to poll with."`
	PollInterval int64  `json:"poll_interval,omitempty" help:"Seconds."`
}
