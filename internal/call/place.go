package call

import (
	"context"

	"strongroom/internal/acl"
	"strongroom/internal/identity"
	"strongroom/internal/mount"
	"strongroom/internal/namespace"
	"strongroom/internal/token"
)

// Realm is what one namespace has for itself. Safe for concurrent use.
type Realm struct {
	Tokens     *token.Store
	ACLs       *acl.Store
	Identities *identity.Store
}

// Place is a namespace as one transaction sees it.
type Place struct {
	*Realm
	Here    *namespace.Namespace
	Routing *mount.Routing
	// Issuers are the mounts whose tokens are valid: its own, and those of the
	// namespaces above, for a token may have been made with one of theirs.
	Issuers token.Mounts
}

// Places finds namespaces for a Call.
type Places interface {
	// Below is the namespace of c with that id, or one below it; nil for all
	// others, which a request can neither see nor name.
	Below(ctx context.Context, c *Call, id string) (*Place, error)
}

// Reach is Places.Below.
func (c *Call) Reach(ctx context.Context, id string) (*Place, error) {
	if id == c.Namespace {
		return &c.Place, nil
	}
	return c.Places.Below(ctx, c, id)
}
