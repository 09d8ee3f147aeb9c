// Package auth owns what all auth methods share: the token_* parameters of a
// role and the token that a login gets from them, addresses that one may log in
// from, and listings. It knows no method and never sees a token.
//
// https://developer.hashicorp.com/vault/docs/concepts/tokens
package auth

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"strongroom/engine"
)

// Token are the parameters of the token that a login gives, as a role stores
// them. Times are in seconds; 0 is none, or the mount's.
type Token struct {
	Policies        []string `json:"policies"`
	TTL             int64    `json:"ttl"`
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

// legacyName is a parameter's name before Vault 1.2, or "".
func legacyName(name string) string {
	switch name {
	case "token_policies", "token_ttl", "token_max_ttl", "token_period", "token_num_uses", "token_bound_cidrs":
		return strings.TrimPrefix(name, "token_")
	}
	return ""
}

// TokenFields are the fields of the token_* parameters, and of those old names
// ("policies", "ttl", "max_ttl", "period", "num_uses", "bound_cidrs") that the
// method still takes.
func TokenFields(old ...string) []engine.Field {
	fields := []engine.Field{
		{Name: "token_policies", Type: engine.StringList, Help: "Policies of the token."},
		{Name: "token_ttl", Type: engine.Duration, Help: "Time that the token lives at first; 0: the mount's default."},
		{Name: "token_max_ttl", Type: engine.Duration, Help: "Time that the token lives at most; 0: the mount's maximum."},
		{Name: "token_explicit_max_ttl", Type: engine.Duration, Help: "Hard limit of the token's life, periodic or not; 0: none."},
		{Name: "token_period", Type: engine.Duration, Help: "Makes the token periodic: it lives so long after each renewal, without a maximum."},
		{Name: "token_no_default_policy", Type: engine.Bool, Help: "Do not add the policy \"default\"."},
		{Name: "token_num_uses", Type: engine.Int, Help: "Times that the token can be used; 0: no limit."},
		{Name: "token_bound_cidrs", Type: engine.StringList, Help: "Networks from which one may log in and use the token; none: all."},
		{Name: "token_type", Type: engine.String, Help: "\"service\", \"batch\", or \"default\" for the mount's."},
	}
	for _, f := range slices.Clone(fields) {
		if name := legacyName(f.Name); slices.Contains(old, name) {
			fields = append(fields, engine.Field{Name: name, Type: f.Type, Help: "Old name of " + f.Name + "."})
		}
	}
	return fields
}

// given calls set with the name by which the caller gave a parameter, the new
// one before the old, and remembers which it was.
func (t *Token) given(d engine.Data, name string, set func(name string)) {
	old := legacyName(name)
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

// Update takes over what the caller gave and checks the whole.
func (t *Token) Update(d engine.Data) error {
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

func (t *Token) validate() error {
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
	return CheckCIDRs("token_bound_cidrs", t.BoundCIDRs)
}

// Warnings tells whoever writes a role what the mount will not let it have.
func (t *Token) Warnings(mount engine.Mount) []string {
	if limit := int64(mount.MaxTTL / time.Second); limit > 0 && max(t.TTL, t.MaxTTL) > limit {
		return []string{fmt.Sprintf("The role's TTLs exceed the mount's maximum of %v; tokens live no longer than that.", mount.MaxTTL)}
	}
	return nil
}

// Admits says whether one may log in from addr.
func (t *Token) Admits(addr netip.Addr) bool { return Within(t.BoundCIDRs, addr) }

// Show adds the parameters to a role's answer; times are in seconds.
func (t *Token) Show(data map[string]any) {
	data["token_policies"] = Shown(t.Policies)
	data["token_ttl"] = t.TTL
	data["token_max_ttl"] = t.MaxTTL
	data["token_explicit_max_ttl"] = t.ExplicitMaxTTL
	data["token_period"] = t.Period
	data["token_no_default_policy"] = t.NoDefaultPolicy
	data["token_num_uses"] = t.NumUses
	data["token_bound_cidrs"] = Shown(t.BoundCIDRs)
	data["token_type"] = t.Type
	for _, old := range t.Legacy {
		data[old] = data["token_"+old]
	}
}

// Shown is a list as answers show it: [] and not null.
func Shown(list []string) []string { return append([]string{}, list...) }

// Grant is the token to issue, without its owner.
func (t *Token) Grant() *engine.Grant {
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

// Renewed is the grant that a renewal goes by, or refuses it if what was granted
// had other policies: a renewal never changes them, so who should have others
// logs in again.
func (t *Token) Renewed(granted *engine.Grant) (*engine.Grant, error) {
	now := slices.Clone(t.Policies)
	if !t.NoDefaultPolicy {
		now = append(now, "default")
	}
	slices.Sort(now)
	had := slices.Sorted(slices.Values(granted.Policies))
	if !slices.Equal(slices.Compact(now), slices.Compact(had)) {
		return nil, engine.Invalidf("policies have changed, not renewing: log in again")
	}
	return t.Grant(), nil
}

// ListFields are the paging parameters of List.
func ListFields() []engine.Field {
	return []engine.Field{
		{Name: "after", Help: "List only names after this one."},
		{Name: "limit", Type: engine.Int, Help: "List so many names at most; 0: all."},
	}
}

// List answers the names below folder of the mount's storage.
func List(ctx context.Context, req *engine.Request, folder string) (*engine.Response, error) {
	names, err := req.Storage.List(ctx, folder, req.Data.String("after"), int(req.Data.Int("limit")))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: map[string]any{"keys": names}}, nil
}
