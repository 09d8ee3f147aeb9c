package approle

import "strongroom/auth"

type roleIDInfo struct {
	RoleID string `json:"role_id"`
}

type roleInfo struct {
	BindSecretID    bool     `json:"bind_secret_id"`
	SecretIDCIDRs   []string `json:"secret_id_bound_cidrs"`
	SecretIDNumUses int64    `json:"secret_id_num_uses"`
	SecretIDTTL     int64    `json:"secret_id_ttl" help:"Seconds; 0: no end."`
	LocalSecretIDs  bool     `json:"local_secret_ids"`
	auth.Shows
}

// propertyInfo is one of what a role has.
type propertyInfo struct {
	Policies        []string `json:"token_policies,omitempty"`
	TTL             int64    `json:"token_ttl,omitempty"`
	MaxTTL          int64    `json:"token_max_ttl,omitempty"`
	Period          int64    `json:"token_period,omitempty"`
	NumUses         int64    `json:"token_num_uses,omitempty"`
	BoundCIDRs      []string `json:"token_bound_cidrs,omitempty"`
	OldPolicies     []string `json:"policies,omitempty"`
	OldPeriod       int64    `json:"period,omitempty"`
	BindSecretID    bool     `json:"bind_secret_id,omitempty"`
	SecretIDCIDRs   []string `json:"secret_id_bound_cidrs,omitempty"`
	OldCIDRs        []string `json:"bound_cidr_list,omitempty"`
	SecretIDNumUses int64    `json:"secret_id_num_uses,omitempty"`
	SecretIDTTL     int64    `json:"secret_id_ttl,omitempty"`
	LocalSecretIDs  bool     `json:"local_secret_ids,omitempty"`
}

// secretMade is a new secret id, shown once.
type secretMade struct {
	SecretID string `json:"secret_id"`
	Accessor string `json:"secret_id_accessor"`
	TTL      int64  `json:"secret_id_ttl" help:"Seconds; 0: no end."`
	NumUses  int64  `json:"secret_id_num_uses" help:"0: no limit."`
}

type secretInfo struct {
	Accessor   string            `json:"secret_id_accessor"`
	TTL        int64             `json:"secret_id_ttl" help:"Seconds; 0: no end."`
	NumUses    int64             `json:"secret_id_num_uses" help:"Uses left; 0: no limit."`
	Created    string            `json:"creation_time"`
	Updated    string            `json:"last_updated_time"`
	Expires    string            `json:"expiration_time" help:"In the year 1: never."`
	Metadata   map[string]string `json:"metadata"`
	CIDRs      []string          `json:"cidr_list"`
	TokenCIDRs []string          `json:"token_bound_cidrs"`
}
