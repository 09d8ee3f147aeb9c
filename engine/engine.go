// Package engine owns the contract of whatever can be mounted: secrets engines
// and auth methods alike. An engine lists its routes; from them come
// authorization, path help, OpenAPI and the generic CLI. It works on its own
// slice of storage inside the request's transaction and never sees a token, a
// lease or another mount: what should be leased or granted, it returns.
package engine

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/netip"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/storage"
)

// Engine is one mounted secrets engine or auth method. It is made anew
// whenever its mount changes and at every unseal; it keeps nothing that storage
// does not have, but for caches that compare Entry.Version.
type Engine interface{ Routes() []Route }

// Factory makes the engine of a mount. It does no I/O.
type Factory func(env Env) (Engine, error)

// Env is what an engine has for its whole life.
type Env struct {
	Mount  Mount
	Logger hclog.Logger // never give it a secret
}

// Mount says where and how an engine is mounted.
type Mount struct {
	Path        string // "secret/"; an auth method's is below auth/: "auth/kubernetes/"
	Type        string // "kv", "kubernetes"
	Accessor    string // "kv_1a2b3c4d"
	UUID        string
	Options     map[string]string // as given when it was enabled or tuned: {"version": "2"}
	DefaultTTL  time.Duration     // effective: the mount's own or the server's
	MaxTTL      time.Duration     // effective
	Description string
}

// Operation is what a request asks of a path; policies grant by it.
type Operation string

// The operations, in the words of the capabilities.
const (
	Create Operation = "create"
	Read   Operation = "read"
	Update Operation = "update"
	Delete Operation = "delete"
	List   Operation = "list"
	Patch  Operation = "patch"
	Scan   Operation = "scan" // a LIST of everything below, as OpenBao has it
)

// Lists says whether op names what is in a folder: the path may then end in a slash.
func (op Operation) Lists() bool { return op == List || op == Scan }

// Reads says whether op changes nothing.
func (op Operation) Reads() bool { return op == Read || op.Lists() }

// Handler serves one operation of one route. It may run more than once for one
// request: its writes go to req.Storage and, like what it emits (req.Emit), count
// only if the commit succeeds, so it must have no other effect unless its Route
// says External.
type Handler func(ctx context.Context, req *Request) (*Response, error)

// Route is a set of paths that an engine serves.
type Route struct {
	// Path is relative to the mount: literal segments, "{name}" for exactly one
	// segment, and as the last "{name...}" for the rest, at least one byte.
	// A more literal route wins. A LIST asks with or without a trailing slash;
	// the pattern has none, and for List handlers "{name...}" may be empty.
	Path    string
	Help    string  // one line: what the path is for
	Fields  []Field // the parameters, path ones included; others are warned of
	Answers Answers // what is answered, by operation
	Public  bool    // served without a token, such as a login
	Sudo    bool    // the caller's policy must grant sudo besides
	Self    bool    // any live token may ask; the handler judges what it may see. With Public, one may ask without: what is sent is still checked
	// Login names who tries to log in, in the one form that the method knows them
	// by, so that failures (BadLogin) count against them; "" counts for nobody.
	// Only Public routes have it.
	Login func(req *Request) string
	// Role names the role of a login where that is not its parameter "role", for
	// quotas; "" if there is none.
	Role func(ctx context.Context, req *Request) string
	// External: the handler acts outside storage and is never run twice. What must be
	// durable before it acts, it commits at Request.Desk.
	External bool
	// AnyNode: on the server's own mounts, a read that looks at storage alone, so
	// that a standby may answer it. The reads of all other mounts are that,
	// unless they are External.
	AnyNode bool
	// RootOnly: served in the root namespace alone: it is about the whole server.
	RootOnly bool
	// FreeForm: the names in the body are the caller's own, so those that Fields
	// does not name are no cause for a warning.
	FreeForm bool
	// Exists tells create from update for Write, where policies differ; nil means update.
	Exists func(ctx context.Context, req *Request) (bool, error)

	Read, Write, Delete, List, Patch, Scan Handler // nil: 405 unsupported operation
}

// Request is one operation on one path of one mount.
type Request struct {
	Operation Operation
	Path      string // relative to the mount, without a leading slash
	Mount     Mount
	Namespace string       // id of the namespace
	Storage   storage.View // the mount's own slice of the transaction
	Caller    Caller
	Remote    netip.AddrPort
	Header    http.Header // for the few engines that need one; never logged
	Data      Data        // path parameters, then body and query, by the route's Fields
	// Body is the request's JSON object as it came, or nil.
	Body []byte
	Due  Due // what of the mount's data ends by itself
	Work Due // what the engine's Worker is to do, and when
	// Desk commits apart from the request; only External handlers have it.
	Desk      Desk
	Passwords Passwords
	// Peer are the certificates that the client showed in its TLS handshake, its
	// own first, whose key it has proved to hold; nobody has verified who signed
	// them. nil: it showed none.
	Peer []*x509.Certificate
	Memo *Memo // what outlives this attempt; see Once

	events []Event // see Emit
}

// Caller is who asks, as far as an engine may know.
type Caller struct {
	DisplayName string
	EntityID    string
	Metadata    map[string]string
}

// Response is what a handler answers; nil stands for 204 No Content.
type Response struct {
	// Data becomes the "data" object; a json.RawMessage is sent as it stands.
	Data     any
	Warnings []string
	// Missing sends Data with 404, as KV v2 does for a deleted version.
	Missing bool
	// Status sends Data with this HTTP status, if it is not 0, as transit does for a
	// batch of which a part failed.
	Status int
	// Accepted sends Data with 202: the work goes on behind the answer.
	Accepted bool
	// Lease asks that the answer be leased; Grant, that a token be issued.
	Lease *Lease
	Grant *Grant
	// Raw replaces the whole JSON envelope.
	Raw *Raw
	// TopLevel repeats the fields of Data beside it, as many sys/ paths do.
	TopLevel bool
}

// Raw is a body sent as it is.
type Raw struct {
	Status      int
	ContentType string
	Body        []byte
}

// Lease is the life of a returned secret. Without Revoke it only informs
// (lease_duration) and stores nothing.
type Lease struct {
	TTL       time.Duration
	MaxTTL    time.Duration
	Renewable bool
	// Revoke is handed back to the engine's Revoker when the lease ends; empty
	// for a lease that only informs. It holds no more than ending needs.
	Revoke []byte
	// Act has the effect that the lease is the life of, such as making a user of a
	// database; it may complete the Response. It runs once, after the lease is
	// durable and before the answer leaves, so that a crash leaves at most a lease
	// whose end finds nothing to end. If it fails, the lease ends and the caller
	// gets the error. A handler that lends has no other effect, and is not External.
	Act func(ctx context.Context) error
}

// Grant is a login's outcome: the token to issue. The token package bounds the
// times by the mount's and the server's.
type Grant struct {
	Policies        []string
	NoDefaultPolicy bool
	DisplayName     string            // the mount's name is put before it
	Metadata        map[string]string // shown with the token and in audit
	Alias           string            // the name of the caller in this method
	Groups          []string          // the names in this method of the groups that the caller is in
	TTL             time.Duration     // 0: the mount's default
	MaxTTL          time.Duration     // 0: the mount's maximum
	ExplicitMaxTTL  time.Duration     // 0: none
	Period          time.Duration     // 0: not periodic
	NumUses         int               // 0: no limit
	BoundCIDRs      []string
	Type            string // "", "default", "service" or "batch"
	Role            string // for auth/token and audit
	Proof           string // kept with the token for the method's Renewer; no secret
}

// Revoker is implemented by an engine whose leases have an effect outside.
type Revoker interface {
	// Revoke ends what a lease with that Lease.Revoke has lent. It is called at
	// least once, in doubt again, and also where Act never ran: what is gone is no
	// error. After an error it is tried again, and what it wrote is dropped. req has
	// Storage, Due, Mount and Namespace alone.
	Revoke(ctx context.Context, req *Request, revoke []byte) error
}

// LeaseRenewer is implemented by a Revoker that must be asked, or must act, when
// a lease is renewed; without it leases are renewed within their limits.
type LeaseRenewer interface {
	// RenewLease is asked to have lease live for lease.TTL from now, which is within
	// the limits. What it returns takes the place of TTL, MaxTTL (if not 0) and
	// Renewable; an error leaves the lease as it was. It may be called again, and the
	// lease may end earlier than it allowed. req is as Revoke's.
	RenewLease(ctx context.Context, req *Request, lease Lease) (Lease, error)
}
