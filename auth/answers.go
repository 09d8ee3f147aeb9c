package auth

// Shows is what Token.Show adds to a role's answer; times are in seconds. The names without token_ are there if the role was
// written by them.
type Shows struct {
	Policies        []string `json:"token_policies"`
	TTL             int64    `json:"token_ttl"`
	MaxTTL          int64    `json:"token_max_ttl"`
	ExplicitMaxTTL  int64    `json:"token_explicit_max_ttl"`
	Period          int64    `json:"token_period"`
	NoDefaultPolicy bool     `json:"token_no_default_policy"`
	NumUses         int64    `json:"token_num_uses" help:"0: no limit."`
	BoundCIDRs      []string `json:"token_bound_cidrs"`
	Type            string   `json:"token_type" enum:"default,service,batch"`

	OldPolicies   []string `json:"policies,omitempty"`
	OldTTL        int64    `json:"ttl,omitempty"`
	OldMaxTTL     int64    `json:"max_ttl,omitempty"`
	OldPeriod     int64    `json:"period,omitempty"`
	OldNumUses    int64    `json:"num_uses,omitempty"`
	OldBoundCIDRs []string `json:"bound_cidrs,omitempty"`
}
