// Package sys owns the server's own API below sys/ and auth/token/, as far as it
// needs an open server; what a sealed or uninitialised one answers is node's. It
// is written as two engines, so that its routes are authorized, listed and
// helped as every other.
package sys

import (
	"context"

	"strongroom/engine"
	"strongroom/engine/cubbyhole"
	"strongroom/internal/audit"
	"strongroom/internal/browser"
	"strongroom/internal/consumer"
	"strongroom/internal/lockout"
	"strongroom/internal/metrics"
	"strongroom/internal/mount"
	"strongroom/internal/quota"
	"strongroom/internal/snapshot"
)

// Deps is what the system engines work on, one Session long.
type Deps struct {
	Audit   *audit.Journal
	Mounts  *mount.Manager
	Node    Node
	Version string // of this server
	Metrics *metrics.Registry
	Inspect Inspect
	Browser *browser.Store
	Quotas  *quota.Store

	Lockouts *lockout.Guard
	Leases   Leases

	Consumers *consumer.Registry
}

// Node is what sys asks of the node it runs on.
type Node interface {
	Members
	snapshot.Source
	Keyring
	// Seal seals this node after the current request.
	Seal(ctx context.Context) error
	// StepDown gives leadership to another node.
	StepDown(ctx context.Context) error
}

// Types are the engine types "system" and "token".
func (d *Deps) Types() map[string]mount.Type {
	return map[string]mount.Type{
		"cubbyhole": {Personal: true, Factory: cubbyhole.Factory},
		"identity":  {System: true, Factory: func(engine.Env) (engine.Engine, error) { return routes(d.identity()), nil }},
		"system":    {System: true, Factory: func(engine.Env) (engine.Engine, error) { return routes(d.system()), nil }},
		"token":     {System: true, Auth: true, Factory: func(engine.Env) (engine.Engine, error) { return routes(d.token()), nil }},
	}
}

// routes is an engine that is only a list of routes.
type routes []engine.Route

// Routes implements engine.Engine.
func (r routes) Routes() []engine.Route { return r }

func (d *Deps) system() []engine.Route {
	var all []engine.Route
	all = append(all, d.mountRoutes()...)
	all = append(all, d.namespaceRoutes()...)
	all = append(all, d.policyRoutes()...)
	all = append(all, d.capabilityRoutes()...)
	all = append(all, d.uiRoutes()...)
	all = append(all, d.browserRoutes()...)
	all = append(all, d.wrappingRoutes()...)
	all = append(all, toolRoutes()...)
	all = append(all, rootOnly(d.raftRoutes())...)
	all = append(all, rootOnly(d.snapshotRoutes())...)
	all = append(all, rootOnly(ceremonyRoutes())...)
	all = append(all, rootOnly(d.rotateRoutes())...)
	all = append(all, d.lockedRoutes()...)
	all = append(all, d.leaseRoutes()...)
	all = append(all, rootOnly(d.auditRoutes())...)
	all = append(all, d.specRoutes()...)
	all = append(all, d.remountRoutes()...)
	all = append(all, d.pluginRoutes()...)
	all = append(all, d.passwordRoutes()...)
	all = append(all, rootOnly(d.hostRoutes())...)
	all = append(all, d.eventRoutes()...)
	all = append(all, d.historyRoutes()...)
	all = append(all, d.kubernetesRoutes()...)
	all = append(all, rootOnly(d.metricsRoutes())...)
	all = append(all, rootOnly(d.inspectRoutes())...)
	all = append(all, rootOnly(d.quotaRoutes())...)
	return append(all, rootOnly(d.operateRoutes())...)
}

// rootOnly are routes about the whole server, which no other namespace has
// (https://developer.hashicorp.com/vault/docs/enterprise/namespaces).
func rootOnly(routes []engine.Route) []engine.Route {
	for i := range routes {
		routes[i].RootOnly = true
	}
	return routes
}
