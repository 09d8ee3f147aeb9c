// Package active owns the Session: everything that exists only while a node is
// unsealed and leads. It is built whole when both become true and dropped whole
// when either ends, so no lock guards a state that may be gone.
package active

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/acl"
	"strongroom/internal/audit"
	"strongroom/internal/browser"
	"strongroom/internal/call"
	"strongroom/internal/consumer"
	"strongroom/internal/events"
	"strongroom/internal/gateway"
	"strongroom/internal/identity"
	"strongroom/internal/lease"
	"strongroom/internal/lockout"
	"strongroom/internal/metrics"
	"strongroom/internal/mount"
	"strongroom/internal/namespace"
	"strongroom/internal/quota"
	"strongroom/internal/secret"
	"strongroom/internal/snapshot"
	"strongroom/internal/storage"
	"strongroom/internal/sys"
	"strongroom/internal/token"
)

// Config is what a Session is built from.
type Config struct {
	Store   storage.Store // the open barrier
	Types   map[string]mount.Type
	Limits  mount.Limits
	Node    sys.Node
	Logger  hclog.Logger
	Audit   *audit.Log        // nil: no device can be enabled
	Metrics *metrics.Registry // nil: nothing is measured
	Inspect sys.Inspect
	Lockout lockout.Defaults
	// Version and BuildDate are this server's own.
	Version, BuildDate string
	// Standby: the node does not lead. The Session answers reads only and does
	// nothing by itself.
	Standby bool
}

// lockedNames is how many names' failed logins are remembered: 10 MB at the most.
const lockedNames = 20_000

// Session serves requests until it is closed.
type Session struct {
	*gateway.Gateway
	store storage.Store
	bus   *events.Bus // nil on a standby
	usage usage       // of an active node
	stop  context.CancelFunc
	done  sync.WaitGroup

	mounts *mount.Manager

	browsers *browser.Store
}

// Browser is what operators set for web browsers, as this node knows it.
func (s *Session) Browser(ctx context.Context) (browser.Settings, error) {
	return s.browsers.Get(ctx, storage.Begin(s.store))
}

// Open builds a Session. It loads nothing whose size grows with the data.
func Open(ctx context.Context, c Config) (*Session, error) {
	tokens, err := token.Open(ctx, c.Store, namespace.RootID)
	if err != nil {
		return nil, err
	}
	identities := identity.Open(namespace.RootID)
	acls := acl.Open(namespace.RootID, identities)
	lockouts := lockout.New(lockedNames)
	journal, err := openJournal(ctx, c)
	if err != nil {
		return nil, err
	}
	deps := &sys.Deps{Audit: journal, Node: c.Node, Version: c.Version, Metrics: c.Metrics, Inspect: c.Inspect, Quotas: quota.Open(namespace.RootID), Lockouts: lockouts, Consumers: consumer.New(consumer.DefaultLimits)}
	types := deps.Types()
	for name, t := range c.Types {
		types[name] = t
	}
	deps.Mounts = mount.NewManager(types, c.Limits, c.Logger)
	if !c.Standby {
		if err := mount.Complete(ctx, c.Store, namespace.RootID); err != nil {
			return nil, fmt.Errorf("active: complete the mount table: %w", err)
		}
	}
	if _, err := deps.Mounts.Routing(ctx, storage.Begin(c.Store), namespace.RootID); err != nil {
		return nil, err
	}
	s := &Session{Gateway: gateway.New(c.Store, deps.Mounts, call.Realm{Tokens: tokens, ACLs: acls, Identities: identities}, c.Logger).Audited(journal).Measured(c.Metrics).Limited(deps.Quotas)}
	s.browsers, s.store, s.mounts = browser.Open(), c.Store, deps.Mounts
	deps.Leases, deps.Browser = s.Lessor(), s.browsers
	s.LockOut(lockouts, c.Lockout)
	if c.Standby {
		s.Gateway, s.stop = s.Gateway.Standby(), func() {}
		return s, nil
	}
	if err := sys.NoteVersion(ctx, c.Store, c.Version, c.BuildDate); err != nil {
		return nil, err
	}
	background, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.bus = events.NewBus(events.DefaultLimits)
	s.Gateway = s.Telling(s.bus)
	s.done.Go(func() { s.bus.Run(background) })
	s.usage = usage{store: c.Store, mounts: deps.Mounts, every: c.Metrics.UsagePeriod(), logger: c.Logger, ctx: background}
	s.done.Go(func() {
		lease.Run(background, c.Logger.Named("sweep"), map[string]lease.Job{
			"end what is due": func(ctx context.Context) (int, error) {
				return lease.Sweep(ctx, c.Store, map[string]lease.Expirer{token.LeaseKind: tokens.Expire, gateway.DueKind: s.Gateway.Expire})
			},
			"end what ended tokens made":           func(ctx context.Context) (int, error) { return tokens.SweepBroken(ctx, c.Store) },
			"tidy what deleted groups left":        func(ctx context.Context) (int, error) { return identities.Sweep(ctx, c.Store) },
			"empty the cubbyholes of ended tokens": s.SweepPersonal,
			"count leases for quotas":              s.Recount,
			"count encryptions and rotate the key": c.Node.TendKey,
			"forget what operators do not renew":   deps.Consumers.Sweep,
			"tidy the tokens":                      func(ctx context.Context) (int, error) { return tokens.Tidy(ctx, c.Store) },
		})
	})
	s.done.Go(func() {
		lessor := s.Lessor()
		lease.Run(background, c.Logger.Named("lease"), map[string]lease.Job{
			"take back what was lent":      lessor.Sweep,
			"end leases by their prefix":   lessor.SweepLater,
			"delete namespaces":            lessor.SweepNamespaces,
			"delete disabled mounts' data": func(ctx context.Context) (int, error) { return mount.Sweep(ctx, c.Store, lessor.Settle) },
		})
		lessor.Wait()
	})
	s.done.Go(func() {
		workers := s.Workers()
		lease.Run(background, c.Logger.Named("work"), map[string]lease.Job{"do what engines have to do elsewhere": workers.Sweep})
		workers.Wait()
	})
	s.done.Go(func() {
		(&snapshot.Scheduler{Store: c.Store, Source: c.Node, Logger: c.Logger.Named("snapshot")}).Run(background)
	})
	return s, nil
}

// Close stops the Session's background work, waits for it, and has engines let go of what they hold. Requests that
// are being served end by themselves: their commits fail.
func (s *Session) Close() {
	s.stop()
	s.done.Wait()
	s.mounts.Close()
}

// Initialize fills an empty, open store with what every server begins with and
// returns the initial root token; raw is that token if it is not empty.
func Initialize(ctx context.Context, store storage.Store, raw string) (secret.Bytes, error) {
	if err := Fill(ctx, store); err != nil {
		return nil, err
	}
	return IssueRoot(ctx, store, raw)
}

// Fill is Initialize without a root token.
func Fill(ctx context.Context, store storage.Store) error {
	const ns = namespace.RootID
	tx := storage.Begin(store)
	table := mount.System()
	if err := table.Save(tx, ns); err != nil {
		return err
	}
	token.Initialize(tx, ns)
	acl.Initialize(tx, ns)
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("active: initialize: %w", err)
	}
	return nil
}
