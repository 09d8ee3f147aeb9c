package gateway

import (
	"context"
	"slices"

	"strongroom/engine"
	"strongroom/internal/audit"
	"strongroom/internal/identity"
	"strongroom/internal/token"
)

// bind returns the ID of the entity that a login is of, in the transaction that
// makes its token; "" where the method does not say who logged in.
func (g *Gateway) bind(ctx context.Context, v *visit, grant *engine.Grant) (string, error) {
	if identity.Fold(grant.Alias) == "" {
		return "", nil
	}
	e, err := v.Realm.Identities.Bind(ctx, v.Tx, identity.Login{Accessor: v.Mount.Entry.Accessor, Name: grant.Alias, Metadata: grant.Metadata, Groups: grant.Groups})
	if err != nil {
		return "", err
	}
	return e.ID, nil
}

// introduce adds to an answer's token what its entity is granted.
func (g *Gateway) introduce(ctx context.Context, v *visit, out *Response) error {
	if out.Auth == nil || out.Auth.Token.EntityID == "" {
		return nil
	}
	home := out.Auth.Home
	if home == nil {
		home = &v.Place
	}
	caller, err := home.Identities.Caller(ctx, v.Tx, out.Auth.Token.EntityID)
	if err != nil {
		return err
	}
	out.Auth.EntityID, out.Auth.IdentityPolicies = caller.Entity.ID, caller.Policies
	return nil
}

// caller is who asks, as engines may know it.
func (v *visit) caller() engine.Caller {
	c := engine.Caller{DisplayName: v.Token.DisplayName, Metadata: v.Token.Meta}
	if v.Identity != nil {
		c.EntityID = v.Identity.Entity.ID
	}
	return c
}

// ownsNothing refuses the personal mounts to tokens that are not stored.
func (v *visit) ownsNothing() error {
	if v.Mount.Personal && v.Token.Type == token.Batch {
		return engine.Invalidf("cubbyhole operations are only supported by %q type tokens", token.Service)
	}
	return nil
}

// identified adds to a record's token whom it stands for, and what that adds to
// its policies.
func identified(a *audit.Auth, entity string, policies []string) {
	a.EntityID, a.IdentityPolicies = entity, policies
	if len(policies) > 0 {
		a.Policies = slices.Concat(a.TokenPolicies, policies)
		slices.Sort(a.Policies)
		a.Policies = slices.Compact(a.Policies)
	}
}
