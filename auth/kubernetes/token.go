package kubernetes

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"strongroom/engine"
)

// tokenParams are the parameters of the token that a login gives.
// https://developer.hashicorp.com/vault/api-docs/auth/kubernetes#parameters-1
type tokenParams struct {
	Policies        []string `json:"policies"`
	TTL             int64    `json:"ttl"` // these four in seconds; 0: none
	MaxTTL          int64    `json:"max_ttl"`
	ExplicitMaxTTL  int64    `json:"explicit_max_ttl"`
	Period          int64    `json:"period"`
	NoDefaultPolicy bool     `json:"no_default_policy"`
	NumUses         int64    `json:"num_uses"` // 0: no limit
	BoundCIDRs      []string `json:"bound_cidrs"`
	Type            string   `json:"type"` // "default", "service" or "batch"
	// Legacy are the old names ("policies", "ttl", …) that were last used to set
	// a parameter; they are shown beside the new ones.
	Legacy []string `json:"legacy,omitempty"`
}

// legacyNames are the parameters' names before Vault 1.2.
var legacyNames = map[string]string{
	"token_policies": "policies", "token_ttl": "ttl", "token_max_ttl": "max_ttl",
	"token_period": "period", "token_num_uses": "num_uses", "token_bound_cidrs": "bound_cidrs",
}

var tokenFields = []engine.Field{
	{Name: "token_policies", Type: engine.StringList, Help: "Policies of the token."},
	{Name: "token_ttl", Type: engine.Duration, Help: "Time that the token lives at first; 0: the mount's default."},
	{Name: "token_max_ttl", Type: engine.Duration, Help: "Time that the token lives at most; 0: the mount's maximum."},
	{Name: "token_explicit_max_ttl", Type: engine.Duration, Help: "Hard limit of the token's life, periodic or not; 0: none."},
	{Name: "token_period", Type: engine.Duration, Help: "Makes the token periodic: it lives so long after each renewal, without a maximum."},
	{Name: "token_no_default_policy", Type: engine.Bool, Help: "Do not add the policy \"default\"."},
	{Name: "token_num_uses", Type: engine.Int, Help: "Times that the token can be used; 0: no limit."},
	{Name: "token_bound_cidrs", Type: engine.StringList, Help: "Networks from which one may log in and use the token; none: all."},
	{Name: "token_type", Type: engine.String, Help: "\"service\", \"batch\", or \"default\" for the mount's."},
	{Name: "policies", Type: engine.StringList, Help: "Old name of token_policies."},
	{Name: "ttl", Type: engine.Duration, Help: "Old name of token_ttl."},
	{Name: "max_ttl", Type: engine.Duration, Help: "Old name of token_max_ttl."},
	{Name: "period", Type: engine.Duration, Help: "Old name of token_period."},
	{Name: "num_uses", Type: engine.Int, Help: "Old name of token_num_uses."},
	{Name: "bound_cidrs", Type: engine.StringList, Help: "Old name of token_bound_cidrs."},
}

// given calls set with the name by which the caller gave a parameter, the new
// one before the old, and remembers which it was.
func (t *tokenParams) given(d engine.Data, name string, set func(name string)) {
	old := legacyNames[name]
	used := name
	if !d.Has(name) {
		if old == "" || !d.Has(old) {
			return
		}
		used = old
	}
	set(used)
	t.Legacy = slices.DeleteFunc(slices.Clone(t.Legacy), func(s string) bool { return s == old })
	if used == old {
		t.Legacy = append(t.Legacy, old)
	}
}

// update takes over what the caller gave and checks the whole.
func (t *tokenParams) update(d engine.Data) error {
	seconds := func(to *int64) func(string) {
		return func(name string) { *to = int64(d.Duration(name) / time.Second) }
	}
	t.given(d, "token_ttl", seconds(&t.TTL))
	t.given(d, "token_max_ttl", seconds(&t.MaxTTL))
	t.given(d, "token_explicit_max_ttl", seconds(&t.ExplicitMaxTTL))
	t.given(d, "token_period", seconds(&t.Period))
	t.given(d, "token_num_uses", func(name string) { t.NumUses = d.Int(name) })
	t.given(d, "token_no_default_policy", func(name string) { t.NoDefaultPolicy = d.Bool(name) })
	t.given(d, "token_bound_cidrs", func(name string) { t.BoundCIDRs = d.Strings(name) })
	t.given(d, "token_type", func(name string) { t.Type = d.String(name) })
	t.given(d, "token_policies", func(name string) {
		t.Policies = nil
		for _, p := range d.Strings(name) {
			if p = strings.ToLower(p); !slices.Contains(t.Policies, p) {
				t.Policies = append(t.Policies, p)
			}
		}
	})
	if t.Type == "" {
		t.Type = "default"
	}
	return t.validate()
}

func (t *tokenParams) validate() error {
	switch {
	case t.MaxTTL > 0 && t.TTL > t.MaxTTL:
		return engine.Invalidf("'token_ttl' cannot be greater than 'token_max_ttl'; raise the maximum or lower the TTL")
	case t.NumUses < 0:
		return engine.Invalidf("'token_num_uses' cannot be negative; 0 sets no limit")
	case t.Type != "default" && t.Type != "service" && t.Type != "batch":
		return engine.Invalidf("invalid 'token_type' value %q; it must be \"default\", \"service\" or \"batch\"", t.Type)
	case t.Type == "batch" && t.NumUses > 0:
		return engine.Invalidf("'token_type' cannot be 'batch' with 'token_num_uses': batch tokens are not counted")
	case t.Type == "batch" && t.Period > 0:
		return engine.Invalidf("'token_type' cannot be 'batch' with 'token_period': batch tokens are not renewed")
	case slices.Contains(t.Policies, "root"):
		return engine.Invalidf("a role cannot grant the policy \"root\"; write a policy of its own for it")
	}
	for _, c := range t.BoundCIDRs {
		if _, err := parseCIDR(c); err != nil {
			return engine.Invalidf("'token_bound_cidrs': %q is neither an address nor a network such as 10.0.0.0/8", c)
		}
	}
	return nil
}

func parseCIDR(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

// admits says whether one may log in from addr.
func (t *tokenParams) admits(addr netip.Addr) bool {
	addr = addr.Unmap()
	for _, c := range t.BoundCIDRs {
		if p, err := parseCIDR(c); err == nil && p.Contains(addr) {
			return true
		}
	}
	return len(t.BoundCIDRs) == 0
}

// show adds the parameters to a role's answer; times are in seconds.
func (t *tokenParams) show(data map[string]any) {
	list := func(l []string) []string { return append([]string{}, l...) } // [] and not null
	data["token_policies"] = list(t.Policies)
	data["token_ttl"] = t.TTL
	data["token_max_ttl"] = t.MaxTTL
	data["token_explicit_max_ttl"] = t.ExplicitMaxTTL
	data["token_period"] = t.Period
	data["token_no_default_policy"] = t.NoDefaultPolicy
	data["token_num_uses"] = t.NumUses
	data["token_bound_cidrs"] = list(t.BoundCIDRs)
	data["token_type"] = t.Type
	for name, old := range legacyNames {
		if slices.Contains(t.Legacy, old) {
			data[old] = data[name]
		}
	}
}

// grant is the token to issue, without its owner.
func (t *tokenParams) grant() *engine.Grant {
	return &engine.Grant{
		Policies:        slices.Clone(t.Policies),
		NoDefaultPolicy: t.NoDefaultPolicy,
		TTL:             time.Duration(t.TTL) * time.Second,
		MaxTTL:          time.Duration(t.MaxTTL) * time.Second,
		ExplicitMaxTTL:  time.Duration(t.ExplicitMaxTTL) * time.Second,
		Period:          time.Duration(t.Period) * time.Second,
		NumUses:         int(t.NumUses),
		BoundCIDRs:      slices.Clone(t.BoundCIDRs),
		Type:            t.Type,
	}
}
