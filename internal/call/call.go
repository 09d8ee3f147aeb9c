// Package call owns what the server's own handlers (sys/ and auth/token/) may
// know of the request they serve beyond what engines may: the transaction, the
// calling token, its rules and the routing. The gateway makes it; nothing here
// acts.
package call

import (
	"context"
	"net/netip"
	"time"

	"strongroom/internal/identity"
	"strongroom/internal/mount"
	"strongroom/internal/namespace"
	"strongroom/internal/policy"
	"strongroom/internal/storage"
	"strongroom/internal/token"
)

// Call is one request inside the gateway.
type Call struct {
	Tx        *storage.Tx
	Place            // that the request is in
	Namespace string // its id
	Tree      *namespace.Tree
	Places    Places
	Wrap      Wrap             // of the answer
	Mount     *mount.Mounted   // that serves the request
	Token     *token.Token     // nil on a public route
	Home      *Place           // that Token, ACL and Identity are of: Place, or one above it
	Prefix    string           // of the paths in Place, as ACL knows them
	RawToken  string           // as the client sent it; never to be logged
	ACL       *policy.ACL      // nil on a public route
	Identity  *identity.Caller // of the token; nil for none
	Remote    netip.AddrPort
	// Auth is set by a handler that made or renewed a token.
	Auth *Auth
	// LeaseID is set by a handler that renewed a lease.
	LeaseID string
}

// Auth is the "auth" object of a response. LeaseDuration 0 is a token that
// never expires.
type Auth struct {
	ClientToken   string
	Token         *token.Token
	LeaseDuration time.Duration
	Home          *Place // that Token is of; nil: that of the call

	EntityID         string   // of the token's entity, as it is now; set by the gateway
	IdentityPolicies []string // that the entity and its groups add; set by the gateway
}

type key struct{}

// With puts c into ctx.
func With(ctx context.Context, c *Call) context.Context { return context.WithValue(ctx, key{}, c) }

// From returns the call that ctx belongs to; the gateway sets it for every
// system mount.
func From(ctx context.Context) *Call { return ctx.Value(key{}).(*Call) }
