// Package quota owns the limits of requests and of leases: their rules, which of
// them holds for a request, and how much is left. The rate of requests is
// counted by each node in its memory; leases are counted in storage
// (docs/format/quota.md). It never authorizes.
package quota

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"strongroom/internal/storage"
)

// The types of rules.
const (
	RateLimit  = "rate-limit"
	LeaseCount = "lease-count"
)

// What requests are told apart by.
const (
	ByIP             = "ip"
	ByNone           = "none"
	ByEntityThenIP   = "entity_then_ip"
	ByEntityThenNone = "entity_then_none"
)

// Rule is one quota as stored.
type Rule struct {
	ID          string `json:"id"` // new with every change: what was counted by the old rule is not the new one's
	Type        string `json:"type"`
	Name        string `json:"name"`
	Path        string `json:"path"`           // "" for all, "secret/" for a mount, "secret/data/a", "secret/data/*"
	Role        string `json:"role,omitempty"` // of logins to the auth method at Path
	Inheritable bool   `json:"inheritable"`

	Rate          float64       `json:"rate,omitempty"` // requests per Interval
	Interval      time.Duration `json:"interval,omitempty"`
	BlockInterval time.Duration `json:"block_interval,omitempty"`
	GroupBy       string        `json:"group_by,omitempty"`
	SecondaryRate float64       `json:"secondary_rate,omitempty"` // of who has no entity; 0: Rate

	MaxLeases int64 `json:"max_leases,omitempty"`
	// Counted: the leases that were there before the rule are counted too.
	Counted bool `json:"counted,omitempty"`
}

// Config is what holds for all rate limits.
type Config struct {
	ExemptPaths     []string `json:"exempt_paths"`
	AuditLogging    bool     `json:"audit_logging"`
	ResponseHeaders bool     `json:"response_headers"`
}

// DefaultConfig exempts what an operator needs when there is trouble.
func DefaultConfig() Config {
	return Config{ExemptPaths: []string{"sys/generate-recovery-token/attempt", "sys/generate-recovery-token/update", "sys/generate-root/attempt",
		"sys/generate-root/update", "sys/health", "sys/seal-status", "sys/unseal"}}
}

// Exempt says whether no rate limit holds for path.
func (c *Config) Exempt(path string) bool {
	return slices.ContainsFunc(c.ExemptPaths, func(e string) bool {
		if prefix, glob := strings.CutSuffix(e, "*"); glob || strings.HasSuffix(e, "/") {
			return strings.HasPrefix(path, prefix)
		}
		return e == path
	})
}

// Rules are all quotas of a namespace, as stored in one key: a request looks at
// its version, and at nothing else where nothing has changed.
type Rules struct {
	Config Config `json:"config"`
	All    []Rule `json:"rules"`

	byType map[string]*index
}

// index finds the rule of a request.
type index struct {
	roles  map[string]*Rule // by mount path, a NUL and the role
	exact  map[string]*Rule // by path
	globs  []*Rule          // the longest first
	mounts map[string]*Rule // by path, of mounts and of namespaces
	all    *Rule
}

// Find returns the rule of that name.
func (r *Rules) Find(kind, name string) (*Rule, bool) {
	i := slices.IndexFunc(r.All, func(have Rule) bool { return have.Type == kind && have.Name == name })
	if i < 0 {
		return nil, false
	}
	return &r.All[i], true
}

// Put adds rule, or puts it in the place of the one of its name. It refuses,
// with the name of the rule in its way, a second one for the same requests.
func (r *Rules) Put(rule Rule) (conflict string) {
	at := len(r.All)
	for i, have := range r.All {
		switch {
		case have.Type != rule.Type:
		case have.Name == rule.Name:
			if at = i; rule.Type == LeaseCount && have.Path == rule.Path && have.Role == rule.Role && have.MaxLeases <= rule.MaxLeases {
				rule.ID = have.ID // what it counts stays counted
			}
		case have.Path == rule.Path && have.Role == rule.Role:
			return have.Name
		}
	}
	if at == len(r.All) {
		r.All = append(r.All, rule)
	} else {
		r.All[at] = rule
	}
	r.recount(rule.Type)
	return ""
}

// Remove takes the rule of that name away.
func (r *Rules) Remove(kind, name string) {
	r.All = slices.DeleteFunc(r.All, func(have Rule) bool { return have.Type == kind && have.Name == name })
	r.recount(kind)
}

// recount has all leases looked at again: another rule may hold for them now.
func (r *Rules) recount(kind string) {
	for i := range r.All {
		if kind == LeaseCount && r.All[i].Type == kind {
			r.All[i].Counted = false
		}
	}
}

func (r *Rules) compile() {
	r.byType = map[string]*index{}
	for i := range r.All {
		rule := &r.All[i]
		x := r.byType[rule.Type]
		if x == nil {
			x = &index{roles: map[string]*Rule{}, exact: map[string]*Rule{}, mounts: map[string]*Rule{}}
			r.byType[rule.Type] = x
		}
		switch {
		case rule.Role != "":
			x.roles[rule.Path+"\x00"+rule.Role] = rule
		case rule.Path == "":
			x.all = rule
		case strings.HasSuffix(rule.Path, "*"):
			x.globs = append(x.globs, rule)
		case strings.HasSuffix(rule.Path, "/"):
			x.mounts[rule.Path] = rule
		default:
			x.exact[rule.Path] = rule
		}
	}
	for _, x := range r.byType {
		slices.SortFunc(x.globs, func(a, b *Rule) int {
			return cmp.Or(cmp.Compare(len(b.Path), len(a.Path)), cmp.Compare(a.Path, b.Path))
		})
	}
}

// Has says whether there are rules of that type.
func (r *Rules) Has(kind string) bool { return r != nil && r.byType[kind] != nil }

// Match returns the most specific rule of a request to path on mount in the
// namespace ns ("" is the root, others end in a slash), or nil: of its role, its
// path, the longest glob, its mount, its namespace, and at last of the nearest
// namespace above whose rule is inheritable. role is called at most once, and only if
// there are rules of roles; nil stands for what is no login.
func (r *Rules) Match(kind, ns, mount, path string, role func() string) *Rule {
	x := r.byType[kind]
	if x == nil {
		return nil
	}
	mount, path = ns+mount, ns+path
	if len(x.roles) > 0 && role != nil {
		if rule := x.roles[mount+"\x00"+role()]; rule != nil {
			return rule
		}
	}
	if rule := x.exact[path]; rule != nil {
		return rule
	}
	for _, rule := range x.globs {
		if strings.HasPrefix(path, rule.Path[:len(rule.Path)-1]) {
			return rule
		}
	}
	if rule := x.mounts[mount]; rule != nil {
		return rule
	}
	for above := ns; above != ""; above = above[:strings.LastIndexByte(above[:len(above)-1], '/')+1] {
		if rule := x.mounts[above]; rule != nil && (above == ns || rule.Inheritable) {
			return rule
		}
	}
	if x.all != nil && (ns == "" || x.all.Inheritable) {
		return x.all
	}
	return nil
}

// Store keeps the quotas of one namespace. Safe for concurrent use.
type Store struct {
	prefix string // "ns/root/quota/"
	cache  *storage.Cache[*Rules]
	none   *Rules

	limiters sync.Map // *limiter by the rule's ID
}

// Open returns the quotas of namespace ns.
func Open(ns string) *Store {
	none := &Rules{Config: DefaultConfig()}
	none.compile()
	return &Store{prefix: "ns/" + ns + "/quota/", cache: storage.NewCache[*Rules](4), none: none}
}

func (s *Store) rulesKey() string { return s.prefix + "rules" }

// Rules are the quotas as r sees them; they are not to be changed.
func (s *Store) Rules(ctx context.Context, r storage.VersionReader) (*Rules, error) {
	rules, version, err := s.cache.Get(ctx, r, s.rulesKey(), s.rulesKey(), s.decode)
	if err == nil && version == 0 {
		rules = s.none
	}
	return rules, err
}

// decode makes rules of what is stored, and forgets what was counted by rules that are no more.
func (s *Store) decode(b []byte) (*Rules, error) {
	r := new(Rules)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("quota: decode the rules: %w", err)
	}
	r.compile()
	s.limiters.Range(func(id, _ any) bool {
		if !slices.ContainsFunc(r.All, func(rule Rule) bool { return rule.ID == id }) {
			s.limiters.Delete(id)
		}
		return true
	})
	return r, nil
}

// Change reads the rules, has do change a copy, and stores it in tx.
func (s *Store) Change(ctx context.Context, tx *storage.Tx, do func(*Rules) error) error {
	r := &Rules{Config: DefaultConfig()}
	if _, err := storage.GetJSON(ctx, tx, s.rulesKey(), r); err != nil {
		return err
	}
	if err := do(r); err != nil {
		return err
	}
	return storage.PutJSON(tx, s.rulesKey(), r)
}
