package token

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// Spec is what a token is issued from: a login's grant or a call of
// auth/token/create.
type Spec struct {
	engine.Grant
	Parent       *Token // nil: an orphan
	Parents      *Store // of Parent, if that is of another namespace; nil: this one
	Path         string // of the request: "auth/kubernetes/login"
	Mount        engine.Mount
	NotRenewable bool
	NeverExpires bool   // for root tokens only
	Raw          string // a token of the caller's choice; "" makes one
	EntityID     string // whom it stands for; a child stands for whom its parent does
	wraps        bool   // see Wrap
}

// Issue makes a token in tx and returns its record, the token, and what the
// caller should know about its times. spec.Type is "" or a result of KindFor.
func (s *Store) Issue(ctx context.Context, tx *storage.Tx, spec Spec) (t *Token, raw string, warnings []string, err error) {
	for _, c := range spec.BoundCIDRs {
		if _, err := parseCIDR(c); err != nil {
			return nil, "", nil, engine.Invalidf("bound CIDR %q is neither an address nor a CIDR block", c)
		}
	}
	now := time.Now()
	t = &Token{
		Accessor: random(24) + s.suffix, Policies: Policies(spec.Policies, spec.NoDefaultPolicy), Path: spec.Path, Mount: spec.Mount.UUID,
		DisplayName: spec.DisplayName, Role: spec.Role, Meta: spec.Metadata, Proof: spec.Proof, Created: now.Unix(), Uses: spec.NumUses, MaxUses: spec.NumUses,
		Renewable: !spec.NotRenewable, BoundCIDRs: spec.BoundCIDRs,
		ExplicitMaxTTL: whole(spec.ExplicitMaxTTL), Period: whole(spec.Period),
	}
	t.Wraps, t.EntityID = spec.wraps, spec.EntityID
	if err := assignable(t.Policies, t.Wraps); err != nil {
		return nil, "", nil, err
	}
	if spec.Parent != nil {
		over := cmp.Or(spec.Parents, s)
		if t.Parent = over.from(s.ns, spec.Parent.ID); over.ns == s.ns { // an entity is nobody outside its namespace
			t.EntityID = cmp.Or(spec.EntityID, spec.Parent.EntityID)
		}
		if err := over.adopt(ctx, tx, spec.Parent, spec.Type); err != nil {
			return nil, "", nil, err
		}
	}
	if spec.NeverExpires {
		t.Renewable = false
	} else {
		warnings = t.setTimes(spec, now)
	}
	if spec.Type == Batch {
		if err := s.hold(ctx, tx, t, &spec); err != nil {
			return nil, "", nil, err
		}
		raw, err = s.issueBatch(t)
		return t, raw, warnings, err
	}
	if raw = spec.Raw; raw == "" {
		raw = Prefix + random(24)
	}
	raw += s.suffix
	t.ID = s.hash(raw)
	if e, err := tx.Get(ctx, s.recordKey(t.ID)); err != nil {
		return nil, "", nil, err
	} else if e.Exists() {
		return nil, "", nil, engine.Invalidf("cannot create a token with a duplicate ID")
	}
	if err := s.hold(ctx, tx, t, &spec); err != nil {
		return nil, "", nil, err
	}
	return t, raw, warnings, s.put(tx, t)
}

// maxDepth is the most ancestors a token can have.
const maxDepth = 64

// adopt notes in the parent's record that it has children of that type. Ending
// the parent meanwhile is a conflict, so no child is ever left behind.
func (s *Store) adopt(ctx context.Context, tx *storage.Tx, parent *Token, kind string) error {
	if parent.Type == Batch {
		return engine.Invalidf("batch tokens cannot create more tokens")
	}
	depth := 0
	for _, err := range s.Line(ctx, tx, parent) {
		if err != nil {
			return err
		}
		if depth++; depth > maxDepth {
			return engine.Invalidf("a token has at most %d ancestors: every request looks at them all; create an orphan (no_parent) instead", maxDepth)
		}
	}
	if parent.MaxUses > 0 {
		return engine.Invalidf("restricted use token cannot generate child tokens")
	}
	if parent.HasChildren || kind == Batch { // a batch token is not stored: nothing is to be found again
		return nil
	}
	next := *parent
	next.HasChildren = true
	return storage.PutJSON(tx, s.recordKey(parent.ID), next)
}

// wholeUnix is now, rounded up: a token never lives shorter than it was granted, and less than a second longer.
func wholeUnix(now time.Time) int64 { return now.Add(time.Second - 1).Unix() }

// whole is d in seconds, rounded up; the longest duration there is does not overflow.
func whole(d time.Duration) int64 {
	n := int64(d / time.Second)
	if d%time.Second > 0 {
		n++
	}
	return n
}

// setTimes bounds the token's life by the grant's, the mount's and the explicit
// maximum (https://developer.hashicorp.com/vault/docs/concepts/tokens).
func (t *Token) setTimes(spec Spec, now time.Time) (warnings []string) {
	limit := spec.Mount.MaxTTL
	if spec.MaxTTL > 0 {
		limit = min(limit, spec.MaxTTL)
	}
	if spec.ExplicitMaxTTL > 0 {
		if spec.ExplicitMaxTTL > spec.Mount.MaxTTL && spec.Period == 0 {
			warnings = append(warnings, fmt.Sprintf("Explicit max TTL of %q is greater than system/mount allowed value; value is being capped to %q", spec.ExplicitMaxTTL, spec.Mount.MaxTTL))
		}
		limit = min(limit, spec.ExplicitMaxTTL)
	}
	ttl := spec.TTL
	switch {
	case spec.Period > 0:
		ttl = spec.Period
	case ttl == 0:
		ttl = min(spec.Mount.DefaultTTL, limit)
	}
	if ttl > limit {
		if spec.Period == 0 {
			warnings = append(warnings, fmt.Sprintf("TTL of %q exceeded the effective max_ttl of %q; TTL value is capped accordingly", ttl, limit))
		}
		ttl = limit
	}
	t.TTL, t.Max = whole(ttl), whole(limit)
	t.Expires = wholeUnix(now) + t.TTL
	return warnings
}

func (s *Store) put(tx *storage.Tx, t *Token) error {
	if err := storage.PutJSON(tx, s.recordKey(t.ID), t); err != nil {
		return err
	}
	tx.Put(s.accessorKey(t.Accessor), []byte(t.ID))
	if t.Expires != 0 {
		tx.Put(s.dueKey(t.Expires, t.ID), nil)
		tx.Put(s.leases.TokenKey(t.Path, t.ID), nil)
	}
	if t.Parent != "" {
		tx.Put(s.ownKey(t), nil)
	}
	return nil
}

// Renew gives t a new life of increment, or of its first one if that is 0, as
// far as its limits allow, and returns the new record.
func (s *Store) Renew(tx *storage.Tx, t *Token, increment time.Duration) (*Token, []string, error) {
	if !t.Renewable || t.Expires == 0 {
		return nil, nil, engine.Invalidf("lease is not renewable")
	}
	now := wholeUnix(time.Now())
	next := *t
	ttl := whole(increment)
	if ttl == 0 {
		ttl = t.TTL
	}
	var warnings []string
	if t.Period > 0 {
		ttl = t.Period
	} else if left := t.Created + t.Max - now; ttl > left {
		warnings = append(warnings, fmt.Sprintf("TTL of %q exceeded the effective max_ttl of %q; TTL value is capped accordingly", seconds(ttl), seconds(left)))
		ttl = left
	}
	if t.ExplicitMaxTTL > 0 {
		ttl = min(ttl, t.Created+t.ExplicitMaxTTL-now)
	}
	next.Expires, next.Renewed = now+ttl, now
	tx.Delete(s.dueKey(t.Expires, t.ID))
	tx.Put(s.dueKey(next.Expires, t.ID), nil)
	return &next, warnings, storage.PutJSON(tx, s.recordKey(t.ID), next)
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// Policies brings a list of policy names to the form a token carries: lower
// case, sorted, each once, "default" added unless refused; root stands alone.
func Policies(names []string, noDefault bool) []string {
	out := make([]string, 0, len(names)+1)
	for _, n := range names {
		n = strings.ToLower(strings.TrimSpace(n))
		if n == "root" {
			return []string{"root"}
		}
		if n != "" {
			out = append(out, n)
		}
	}
	if !noDefault {
		out = append(out, "default")
	}
	slices.Sort(out)
	return slices.Compact(out)
}
