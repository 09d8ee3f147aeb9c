package sys

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/quota"
)

// quotaRoutes serve sys/quotas
// (https://developer.hashicorp.com/vault/api-docs/system/rate-limit-quotas,
// …/lease-count-quotas, …/quotas-config).
func (d *Deps) quotaRoutes() []engine.Route {
	name := engine.Field{Name: "name", Type: engine.Name, Help: "Name of the quota."}
	path := engine.Field{Name: "path", Type: engine.String, Help: `What it limits: "" for the root namespace, another ("team-a/"), a mount ("secret/", "team-a/secret/"), a path on one, or what begins with one ("secret/data/*").`}
	role := engine.Field{Name: "role", Type: engine.String, Help: "Limit only logins by this role of the auth method at path."}
	inheritable := engine.Field{Name: "inheritable", Type: engine.Bool, Help: "Limit the namespaces below too; only where path is a namespace."}
	return []engine.Route{
		{Path: "quotas/config", Answers: engine.Answers{engine.Read: quotaConfig{}, engine.Update: engine.Nothing{}}, Help: "What holds for all rate limits.", AnyNode: true, Fields: []engine.Field{
			{Name: "rate_limit_exempt_paths", Type: engine.StringList, Help: "Paths that no rate limit holds for; a last * stands for any rest."},
			{Name: "enable_rate_limit_audit_logging", Type: engine.Bool, Help: "Record requests that a rate limit refuses."},
			{Name: "enable_rate_limit_response_headers", Type: engine.Bool, Help: "Show clients what is left, in X-Ratelimit-* headers."},
		}, Read: d.readQuotaConfig, Write: d.writeQuotaConfig},
		{Path: "quotas/rate-limit", Answers: engine.Answers{engine.List: engine.Keys{}}, Help: "List the rate limits.", AnyNode: true, List: d.listQuotas(quota.RateLimit)},
		{Path: "quotas/rate-limit/{name}", Help: "How many requests clients may make.", AnyNode: true, Fields: []engine.Field{name, path, role, inheritable,
			{Name: "rate", Type: engine.String, Help: "Requests an interval; more than 0."},
			{Name: "interval", Type: engine.Duration, Help: "A second by default."},
			{Name: "block_interval", Type: engine.Duration, Help: "Refuse whoever was over the rate for so long."},
			{Name: "group_by", Type: engine.String, Help: "Whose requests count together: ip, none, entity_then_ip or entity_then_none."},
			{Name: "secondary_rate", Type: engine.String, Help: "The rate of callers without an entity, where group_by begins with entity."},
			{Name: "type", Type: engine.String, Help: "rate-limit."},
		}, Answers: engine.Answers{engine.Read: rateLimit{}, engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}}, Read: d.readQuota(quota.RateLimit), Write: d.writeRateLimit, Delete: d.deleteQuota(quota.RateLimit)},
		{Path: "quotas/lease-count", Answers: engine.Answers{engine.List: engine.Keys{}}, Help: "List the limits of leases.", AnyNode: true, List: d.listQuotas(quota.LeaseCount)},
		{Path: "quotas/lease-count/{name}", Help: "How many leases there may be at a time.", AnyNode: true, Fields: []engine.Field{name, path, role, inheritable,
			{Name: "max_leases", Type: engine.Int, Help: "More than 0."}, {Name: "type", Type: engine.String, Help: "lease-count."},
		}, Answers: engine.Answers{engine.Read: leaseCount{}, engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}}, Read: d.readQuota(quota.LeaseCount), Write: d.writeLeaseCount, Delete: d.deleteQuota(quota.LeaseCount)},
	}
}

func (d *Deps) readQuotaConfig(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	rules, err := d.Quotas.Rules(ctx, call.From(ctx).Tx)
	if err != nil {
		return nil, err
	}
	exempt := rules.Config.ExemptPaths
	if exempt == nil {
		exempt = []string{}
	}
	return &engine.Response{Data: map[string]any{"rate_limit_exempt_paths": exempt, "absolute_rate_limit_exempt_paths": exempt,
		"enable_rate_limit_audit_logging": rules.Config.AuditLogging, "enable_rate_limit_response_headers": rules.Config.ResponseHeaders}}, nil
}

func (d *Deps) writeQuotaConfig(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return nil, d.Quotas.Change(ctx, call.From(ctx).Tx, func(r *quota.Rules) error {
		if req.Data.Has("rate_limit_exempt_paths") {
			r.Config.ExemptPaths = req.Data.Strings("rate_limit_exempt_paths")
		}
		if req.Data.Has("enable_rate_limit_audit_logging") {
			r.Config.AuditLogging = req.Data.Bool("enable_rate_limit_audit_logging")
		}
		if req.Data.Has("enable_rate_limit_response_headers") {
			r.Config.ResponseHeaders = req.Data.Bool("enable_rate_limit_response_headers")
		}
		return nil
	})
}

func (d *Deps) listQuotas(kind string) engine.Handler {
	return func(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
		rules, err := d.Quotas.Rules(ctx, call.From(ctx).Tx)
		if err != nil {
			return nil, err
		}
		var names []string
		for _, r := range rules.All {
			if r.Type == kind {
				names = append(names, r.Name)
			}
		}
		if len(names) == 0 {
			return nil, engine.ErrNotFound
		}
		slices.Sort(names)
		return &engine.Response{Data: map[string]any{"keys": names}}, nil
	}
}

func (d *Deps) readQuota(kind string) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		tx := call.From(ctx).Tx
		rules, err := d.Quotas.Rules(ctx, tx)
		if err != nil {
			return nil, err
		}
		r, ok := rules.Find(kind, req.Data.String("name"))
		if !ok {
			return nil, engine.ErrNotFound
		}
		data := map[string]any{"type": r.Type, "name": r.Name, "path": r.Path, "role": r.Role, "inheritable": r.Inheritable}
		if kind == quota.LeaseCount {
			count, err := d.Quotas.Count(ctx, tx, r)
			if err != nil {
				return nil, err
			}
			data["max_leases"], data["counter"] = r.MaxLeases, count
		} else {
			data["rate"], data["interval"], data["block_interval"] = r.Rate, int64(r.Interval/time.Second), int64(r.BlockInterval/time.Second)
			data["group_by"], data["secondary_rate"] = r.GroupBy, r.SecondaryRate
		}
		return &engine.Response{Data: data}, nil
	}
}

func (d *Deps) deleteQuota(kind string) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		return nil, d.Quotas.Change(ctx, call.From(ctx).Tx, func(r *quota.Rules) error {
			r.Remove(kind, req.Data.String("name"))
			return nil
		})
	}
}

// putQuota has set fill in a rule, and stores it.
func (d *Deps) putQuota(ctx context.Context, kind string, req *engine.Request, set func(*quota.Rule) error) error {
	return d.Quotas.Change(ctx, call.From(ctx).Tx, func(rules *quota.Rules) error {
		r := quota.Rule{Type: kind, Name: req.Data.String("name"), Inheritable: true}
		if have, ok := rules.Find(kind, r.Name); ok {
			r = *have
		}
		r.ID = uuid.NewString()
		if req.Data.Has("path") {
			r.Path = strings.TrimPrefix(req.Data.String("path"), "/")
		}
		if req.Data.Has("role") {
			r.Role = req.Data.String("role")
		}
		whole, err := checkQuotaPath(ctx, &r)
		if err != nil {
			return err
		}
		if r.Path != "" && !req.Data.Has("inheritable") {
			r.Inheritable = false
		}
		if req.Data.Has("inheritable") {
			r.Inheritable = req.Data.Bool("inheritable")
		}
		if r.Inheritable && !whole {
			return engine.Invalidf("only quotas of a namespace can be inheritable: give the path of one (\"\" is the root), or leave inheritable out")
		}
		if err := set(&r); err != nil {
			return err
		}
		if other := rules.Put(r); other != "" {
			return engine.Invalidf("quota rule with similar properties exists under the name %q: change that one", other)
		}
		return nil
	})
}

// checkQuotaPath brings a rule's path to its stored form: those of a mount and of a
// namespace end in a slash. It says whether it is that of a whole namespace.
func checkQuotaPath(ctx context.Context, r *quota.Rule) (whole bool, err error) {
	if r.Path == "" {
		if r.Role != "" {
			return false, engine.Invalidf("a role is one of an auth method: give its path, such as auth/approle/")
		}
		return true, nil
	}
	literal, glob := strings.CutSuffix(r.Path, "*")
	if strings.ContainsAny(literal, "*+") || strings.Contains(literal, "//") {
		return false, engine.Invalidf("path: only one \"*\" is allowed, as the last character")
	}
	c := call.From(ctx)
	n, below := c.Tree.Resolve("", literal)
	if child := c.Tree.Child(n, below); child != nil && !strings.Contains(strings.TrimSuffix(below, "/"), "/") {
		if r.Path = child.Path; glob || r.Role != "" {
			return false, engine.Invalidf("path: a namespace takes neither \"*\" nor a role: give the namespace (%q), or a mount in it", child.Path)
		}
		return true, nil
	}
	p, err := c.Reach(ctx, n.ID)
	if err != nil || p == nil {
		return false, cmp.Or(err, engine.Invalidf("the namespace %q is locked, or being deleted", n.Path))
	}
	m, rest, ok := p.Routing.Find(below)
	if !ok {
		return false, engine.Invalidf("invalid mount path %q: nothing is mounted there", r.Path)
	}
	if !glob && rest == "" {
		r.Path = n.Path + m.Entry.Path
	} else if !glob {
		r.Path = strings.TrimSuffix(r.Path, "/")
	}
	if r.Role != "" && (r.Path != n.Path+m.Entry.Path || !m.Entry.Auth()) {
		return false, engine.Invalidf("a role is one of an auth method: path must be the method's, such as auth/approle/")
	}
	return false, nil
}

func (d *Deps) writeRateLimit(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return nil, d.putQuota(ctx, quota.RateLimit, req, func(r *quota.Rule) error {
		var err error
		if req.Data.Has("rate") {
			if r.Rate, err = positive("rate", req.Data.String("rate")); err != nil {
				return err
			}
		}
		if r.Rate <= 0 {
			return engine.Invalidf("rate must be more than 0")
		}
		if req.Data.Has("interval") {
			r.Interval = req.Data.Duration("interval")
		}
		if r.Interval == 0 {
			r.Interval = time.Second
		}
		if req.Data.Has("block_interval") {
			r.BlockInterval = req.Data.Duration("block_interval")
		}
		if req.Data.Has("group_by") {
			r.GroupBy = req.Data.String("group_by")
		}
		if r.GroupBy == "" {
			r.GroupBy = quota.ByIP
		}
		if !slices.Contains([]string{quota.ByIP, quota.ByNone, quota.ByEntityThenIP, quota.ByEntityThenNone}, r.GroupBy) {
			return engine.Invalidf("group_by must be ip, none, entity_then_ip or entity_then_none")
		}
		if req.Data.Has("secondary_rate") {
			if r.SecondaryRate, err = positive("secondary_rate", req.Data.String("secondary_rate")); err != nil {
				return err
			}
		}
		if r.SecondaryRate > 0 && !strings.HasPrefix(r.GroupBy, "entity") {
			return engine.Invalidf("secondary_rate is for group_by entity_then_ip and entity_then_none")
		}
		return nil
	})
}

func positive(name, text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v < 0 || math.IsInf(v, 0) || math.IsNaN(v) || v > 1e9 {
		return 0, engine.Invalidf("%s must be a number more than 0, and at most a billion", name)
	}
	return v, nil
}

func (d *Deps) writeLeaseCount(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return nil, d.putQuota(ctx, quota.LeaseCount, req, func(r *quota.Rule) error {
		if req.Data.Has("max_leases") {
			r.MaxLeases = req.Data.Int("max_leases")
		}
		if r.MaxLeases <= 0 {
			return engine.Invalidf("max_leases must be more than 0")
		}
		return nil
	})
}
