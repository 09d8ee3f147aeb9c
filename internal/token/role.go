package token

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"strongroom/auth"
	"strongroom/engine"
	"strongroom/internal/storage"
)

// Role is a stored role of auth/token/: what tokens made by auth/token/create/NAME
// may be, whoever makes them. Times are in seconds; 0 is none.
// https://developer.hashicorp.com/vault/api-docs/auth/token#create-update-token-role
type Role struct {
	AllowedPolicies        []string `json:"allowed_policies,omitempty"`
	AllowedPoliciesGlob    []string `json:"allowed_policies_glob,omitempty"`
	DisallowedPolicies     []string `json:"disallowed_policies,omitempty"`
	DisallowedPoliciesGlob []string `json:"disallowed_policies_glob,omitempty"`
	AllowedEntityAliases   []string `json:"allowed_entity_aliases,omitempty"`
	Orphan                 bool     `json:"orphan,omitempty"`
	Renewable              bool     `json:"renewable"`
	PathSuffix             string   `json:"path_suffix,omitempty"`
	BoundCIDRs             []string `json:"bound_cidrs,omitempty"`
	ExplicitMaxTTL         int64    `json:"explicit_max_ttl,omitempty"`
	Period                 int64    `json:"period,omitempty"`
	NumUses                int64    `json:"num_uses,omitempty"`
	NoDefaultPolicy        bool     `json:"no_default_policy,omitempty"`
	Type                   string   `json:"type"` // "default-service", "default-batch", "service" or "batch"
}

var suffix = regexp.MustCompile(`^\w[\w.-]*$`)

// Validate says what is wrong with r.
func (r *Role) Validate() error {
	batch := r.Type == "batch" || r.Type == "default-batch"
	switch {
	case !slices.Contains(mountTypes, r.Type):
		return engine.Invalidf("invalid 'token_type' value %q; it must be one of %s", r.Type, strings.Join(mountTypes, ", "))
	case batch && r.Period > 0:
		return engine.Invalidf("'token_type' cannot be 'batch' or 'default-batch' with 'token_period': batch tokens are not renewed")
	case batch && r.NumUses > 0:
		return engine.Invalidf("'token_type' cannot be 'batch' or 'default-batch' with 'token_num_uses': batch tokens are not counted")
	case r.NumUses < 0:
		return engine.Invalidf("'token_num_uses' cannot be negative; 0 sets no limit")
	case r.PathSuffix != "" && !suffix.MatchString(r.PathSuffix):
		return engine.Invalidf("given role path suffix contains invalid characters; must match %s", suffix)
	}
	return auth.CheckCIDRs("token_bound_cidrs", r.BoundCIDRs)
}

// Path is what tokens made by role name are said to be made at.
func (r *Role) Path(name string) string {
	path := "auth/token/create/" + name
	if r.PathSuffix != "" {
		path += "/" + r.PathSuffix
	}
	return path
}

// Listed says whether the role lists what it allows; if not, a maker's own
// policies are the limit.
func (r *Role) Listed() bool { return len(r.AllowedPolicies)+len(r.AllowedPoliciesGlob) > 0 }

// AddsDefault says whether tokens get the policy "default" unasked.
func (r *Role) AddsDefault() bool { return !r.NoDefaultPolicy && !r.disallows("default") }

// Check refuses what r does not let a token have.
func (r *Role) Check(policies []string) error {
	for _, p := range policies {
		switch {
		case r.disallows(p):
			return engine.Invalidf("token policy %q is disallowed by this role", p)
		case r.Listed() && p != "default" && !matches(r.AllowedPolicies, r.AllowedPoliciesGlob, p):
			return engine.Invalidf("token policies (%q) must be subset of the role's allowed policies (%q) or glob policies (%q)", policies, r.AllowedPolicies, r.AllowedPoliciesGlob)
		}
	}
	return nil
}

func (r *Role) disallows(policy string) bool {
	return matches(r.DisallowedPolicies, r.DisallowedPoliciesGlob, policy)
}

// AllowsAlias says whether a token may be made for the entity with that alias.
func (r *Role) AllowsAlias(name string) bool {
	name = strings.ToLower(strings.TrimSpace(name))
	return matches(r.AllowedEntityAliases, r.AllowedEntityAliases, name)
}

func matches(names, globs []string, policy string) bool {
	return slices.Contains(names, policy) || slices.ContainsFunc(globs, func(g string) bool { return glob(g, policy) })
}

// glob says whether text is pattern, in which each '*' stands for any text.
func glob(pattern, text string) bool {
	head, rest, found := strings.Cut(pattern, "*")
	if !found {
		return pattern == text
	}
	if !strings.HasPrefix(text, head) {
		return false
	}
	text = text[len(head):]
	parts := strings.Split(rest, "*")
	for _, part := range parts[:len(parts)-1] { // the leftmost match leaves the most for what follows
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return strings.HasSuffix(text, parts[len(parts)-1])
}

func (s *Store) roleKey(name string) string { return s.prefix + "role/" + name }

// Role returns the role of that name, or nil. The caller must not change it.
func (s *Store) Role(ctx context.Context, tx *storage.Tx, name string) (*Role, error) {
	key := s.roleKey(name)
	r, _, err := s.roles.Get(ctx, tx, key, key, func(b []byte) (*Role, error) {
		r := new(Role)
		if err := json.Unmarshal(b, r); err != nil {
			return nil, fmt.Errorf("token: decode a role: %w", err)
		}
		return r, nil
	})
	return r, err
}

// PutRole stores r, which is valid.
func (s *Store) PutRole(tx *storage.Tx, name string, r *Role) error {
	return storage.PutJSON(tx, s.roleKey(name), r)
}

// DeleteRole deletes the role; tokens made by it live on.
func (s *Store) DeleteRole(tx *storage.Tx, name string) { tx.Delete(s.roleKey(name)) }

// Roles lists the names of all roles, greater than after, at most limit (0: all).
func (s *Store) Roles(ctx context.Context, tx *storage.Tx, after string, limit int) ([]string, error) {
	return tx.View(s.prefix+"role/").List(ctx, "", after, limit)
}
