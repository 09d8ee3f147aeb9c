package sys

import (
	"context"
	"time"

	"strongroom/engine"
	"strongroom/internal/autopilot"
)

// Members is what sys asks of the node about its cluster. What only the active
// node knows is storage.ErrNotLeader on any other.
type Members interface {
	// Servers are the members of the cluster, and the index of the Raft entry that made them so.
	Servers() (servers []Server, index uint64, err error)
	// RemovePeer ends the membership of the node id.
	RemovePeer(ctx context.Context, id string) error
	// AutopilotState is the cluster as autopilot sees it.
	AutopilotState(ctx context.Context) (autopilot.State, error)
	// AutopilotConfig is what autopilot may do; SetAutopilotConfig changes it.
	AutopilotConfig(ctx context.Context) (autopilot.Config, error)
	SetAutopilotConfig(ctx context.Context, c autopilot.Config) error
	// HANodes are the active node and the standbys it has heard from.
	HANodes(ctx context.Context) ([]HANode, error)
	// ClusterCA is how things stand with the CA of the cluster port;
	// RotateClusterCA begins to replace it.
	ClusterCA(ctx context.Context) (ClusterCA, error)
	RotateClusterCA(ctx context.Context) (ClusterCA, error)
}

// Server is a member of the cluster, as sys/storage/raft/configuration shows it.
type Server struct {
	NodeID          string `json:"node_id"`
	Address         string `json:"address"`
	Leader          bool   `json:"leader"`
	ProtocolVersion string `json:"protocol_version"`
	Voter           bool   `json:"voter"`
}

// HANode is a node in sys/ha-status.
type HANode struct {
	Hostname       string     `json:"hostname"`
	APIAddress     string     `json:"api_address"`
	ClusterAddress string     `json:"cluster_address"`
	ActiveNode     bool       `json:"active_node"`
	Version        string     `json:"version"`
	LastEcho       *time.Time `json:"last_echo"` // null for the active node
	EchoMillis     int64      `json:"echo_duration_ms"`
	Sealed         bool       `json:"sealed"` // not in Vault's: it keeps up, and serves nobody

	// Enterprise's in Vault; always empty here.
	ClockSkewMillis int64  `json:"clock_skew_ms"`
	CanaryAgeMillis int64  `json:"replication_primary_canary_age_ms"`
	UpgradeVersion  string `json:"upgrade_version"`
	RedundancyZone  string `json:"redundancy_zone"`
}

// ClusterCA is how things stand with the CA of the cluster port.
type ClusterCA struct {
	Issuing    string    `json:"issuing"` // SHA-256 of its certificate, in hexadecimal
	Made       time.Time `json:"made"`
	Trusted    []string  `json:"trusted"`     // all CAs that members accept
	Phase      string    `json:"phase"`       // idle, trusting (the new CA) or renewing (certificates)
	WaitingFor []string  `json:"waiting_for"` // node ids
}

func (d *Deps) raftRoutes() []engine.Route {
	return []engine.Route{
		{Path: "storage/raft/configuration", Help: "The members of the Raft cluster.", Answers: engine.Answers{engine.Read: raftConfiguration{}}, Read: d.raftConfiguration},
		{Path: "storage/raft/remove-peer", Help: "End the membership of a node.", Answers: engine.Answers{engine.Update: engine.Nothing{}}, External: true, Write: d.removePeer, Fields: []engine.Field{
			{Name: "server_id", Required: true, Help: "The node's id, as storage/raft/configuration shows it."},
			{Name: "dr_operation_token", Help: "Taken and ignored: it is for Enterprise's DR secondaries."}}},
		{Path: "storage/raft/autopilot/state", Help: "The Raft cluster as autopilot sees it.", Answers: engine.Answers{engine.Read: autopilot.State{}}, Read: d.autopilotState},
		{Path: "storage/raft/autopilot/configuration", Help: "What autopilot may do.", External: true, Fields: autopilotFields(),
			Answers: engine.Answers{engine.Read: autopilotConfig{}, engine.Update: engine.Nothing{}},
			Read:    d.autopilotConfig, Write: d.setAutopilotConfig},
		{Path: "storage/raft/cluster-ca", Help: "The CA of the port between nodes.", Answers: engine.Answers{engine.Read: ClusterCA{}}, External: true, Read: d.clusterCA},
		{Path: "storage/raft/cluster-ca/rotate", Help: "Replace the CA of the port between nodes.", Answers: engine.Answers{engine.Update: ClusterCA{}}, Sudo: true, External: true, Write: d.rotateClusterCA},
		{Path: "ha-status", Help: "The active node and the standbys it has heard from.", Answers: engine.Answers{engine.Read: engine.TopLevel{Data: haStatus{}}}, Read: d.haStatus},
	}
}

func (d *Deps) raftConfiguration(context.Context, *engine.Request) (*engine.Response, error) {
	servers, index, err := d.Node.Servers()
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]any{"config": map[string]any{"index": index, "servers": servers}}}, nil
}

func (d *Deps) removePeer(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	id := req.Data.String("server_id")
	if id == "" {
		return nil, engine.Invalidf("no server_id is given: name the node to remove, as \"operator raft list-peers\" shows it")
	}
	return nil, d.Node.RemovePeer(ctx, id)
}

func (d *Deps) autopilotState(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	st, err := d.Node.AutopilotState(ctx)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: st}, nil
}

func autopilotFields() []engine.Field {
	return []engine.Field{
		{Name: "cleanup_dead_servers", Type: engine.Bool, Help: "Remove members that are silent for dead_server_last_contact_threshold."},
		{Name: "last_contact_threshold", Type: engine.Duration, Help: "How long ago a healthy member heard its leader at most."},
		{Name: "dead_server_last_contact_threshold", Type: engine.Duration, Help: "How long a member is silent before it is dead; at least 1m."},
		{Name: "max_trailing_logs", Type: engine.Int, Help: "How many entries a healthy member may lack."},
		{Name: "min_quorum", Type: engine.Int, Help: "How many voters cleanup leaves at least; at least 3 with cleanup_dead_servers."},
		{Name: "server_stabilization_time", Type: engine.Duration, Help: "How long a new member is healthy before it gets a vote."},
		{Name: "disable_upgrade_migration", Type: engine.Bool, Help: "Kept, and without effect: upgrades are not migrated."},
		{Name: "dr_operation_token", Help: "Taken and ignored: it is for Enterprise's DR secondaries."},
	}
}

func (d *Deps) autopilotConfig(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	c, err := d.Node.AutopilotConfig(ctx)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]any{
		"cleanup_dead_servers": c.CleanupDeadServers, "last_contact_threshold": c.LastContactThreshold.String(),
		"dead_server_last_contact_threshold": c.DeadServerLastContactThreshold.String(), "max_trailing_logs": c.MaxTrailingLogs,
		"min_quorum": c.MinQuorum, "server_stabilization_time": c.ServerStabilizationTime.String(), "disable_upgrade_migration": c.DisableUpgradeMigration,
	}}, nil
}

// setAutopilotConfig changes what is given and leaves the rest.
func (d *Deps) setAutopilotConfig(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := d.Node.AutopilotConfig(ctx)
	if err != nil {
		return nil, err
	}
	for name, to := range map[string]*bool{"cleanup_dead_servers": &c.CleanupDeadServers, "disable_upgrade_migration": &c.DisableUpgradeMigration} {
		if req.Data.Has(name) {
			*to = req.Data.Bool(name)
		}
	}
	for name, to := range map[string]*time.Duration{"last_contact_threshold": &c.LastContactThreshold,
		"dead_server_last_contact_threshold": &c.DeadServerLastContactThreshold, "server_stabilization_time": &c.ServerStabilizationTime} {
		if req.Data.Has(name) {
			*to = req.Data.Duration(name)
		}
	}
	for _, name := range []string{"max_trailing_logs", "min_quorum"} {
		if req.Data.Has(name) && (req.Data.Int(name) < 0 || req.Data.Int(name) > 1<<31) {
			return nil, engine.Invalidf("%s must be from 0 to %d", name, 1<<31)
		}
	}
	if req.Data.Has("max_trailing_logs") {
		c.MaxTrailingLogs = uint64(req.Data.Int("max_trailing_logs"))
	}
	if req.Data.Has("min_quorum") {
		c.MinQuorum = uint(req.Data.Int("min_quorum"))
	}
	if err := c.Check(); err != nil {
		return nil, engine.Invalidf("%v", err)
	}
	return nil, d.Node.SetAutopilotConfig(ctx, c)
}

func (d *Deps) haStatus(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	nodes, err := d.Node.HANodes(ctx)
	if err != nil {
		return nil, err
	}
	return &engine.Response{TopLevel: true, Data: map[string]any{"nodes": nodes}}, nil
}

func (d *Deps) clusterCA(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	st, err := d.Node.ClusterCA(ctx)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: st}, nil
}

func (d *Deps) rotateClusterCA(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	st, err := d.Node.RotateClusterCA(ctx)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: st}, nil
}
