package sys

import (
	"context"
	"slices"

	"strongroom/engine"
)

// What is answered without an open Session, by httpapi.

// Health is what a node says of itself
// (https://developer.hashicorp.com/vault/api-docs/system/health).
type Health struct {
	Initialized bool   `json:"initialized"`
	Sealed      bool   `json:"sealed"`
	Standby     bool   `json:"standby"`
	Time        int64  `json:"server_time_utc" help:"Seconds since 1970."`
	Version     string `json:"version"`
	ClusterName string `json:"cluster_name,omitempty"`
	ClusterID   string `json:"cluster_id,omitempty"`
	Removed     *bool  `json:"removed_from_cluster,omitempty"`
	Connected   *bool  `json:"ha_connection_healthy,omitempty" help:"Of a standby: whether it knows a leader."`

	// Enterprise's in Vault; always the same here.
	PerformanceStandby bool   `json:"performance_standby"`
	PerformanceMode    string `json:"replication_performance_mode"`
	DRMode             string `json:"replication_dr_mode"`
	Enterprise         bool   `json:"enterprise"`
	EchoMillis         int64  `json:"echo_duration_ms"`
	ClockSkewMillis    int64  `json:"clock_skew_ms"`
	CanaryAgeMillis    int64  `json:"replication_primary_canary_age_ms"`
}

// SealStatus is whether a node is sealed, and how far unsealing is
// (https://developer.hashicorp.com/vault/api-docs/system/seal-status).
type SealStatus struct {
	Type             string `json:"type" help:"Of the seal, such as shamir."`
	Initialized      bool   `json:"initialized"`
	Sealed           bool   `json:"sealed"`
	T                int    `json:"t" help:"Key shares needed."`
	N                int    `json:"n" help:"Key shares that there are."`
	Progress         int    `json:"progress" help:"Key shares entered so far."`
	Nonce            string `json:"nonce"`
	Version          string `json:"version"`
	BuildDate        string `json:"build_date"`
	Migration        bool   `json:"migration"`
	RecoverySeal     bool   `json:"recovery_seal"`
	RecoverySealType string `json:"recovery_seal_type,omitempty"`
	StorageType      string `json:"storage_type"`
	Removed          bool   `json:"removed_from_cluster"`
	ClusterName      string `json:"cluster_name,omitempty"`
	ClusterID        string `json:"cluster_id,omitempty"`
}

// Leader is which node leads, as the one that is asked knows it
// (https://developer.hashicorp.com/vault/api-docs/system/leader).
type Leader struct {
	HA             bool   `json:"ha_enabled"`
	Self           bool   `json:"is_self"`
	APIAddr        string `json:"leader_address"`
	ClusterAddr    string `json:"leader_cluster_address"`
	ActiveTime     string `json:"active_time,omitempty" help:"Since when this node leads."`
	CommittedIndex uint64 `json:"raft_committed_index"`
	AppliedIndex   uint64 `json:"raft_applied_index"`

	// Enterprise's in Vault; always the same here.
	PerformanceStandby bool   `json:"performance_standby"`
	LastRemoteWAL      uint64 `json:"performance_standby_last_remote_wal"`
}

// Initialized is whether the server is.
type Initialized struct {
	Initialized bool `json:"initialized"`
}

// Founded is what initializing a server answers, once
// (https://developer.hashicorp.com/vault/api-docs/system/init).
type Founded struct {
	Keys            []string `json:"keys" help:"The key shares, in hexadecimal."`
	KeysB64         []string `json:"keys_base64"`
	RecoveryKeys    []string `json:"recovery_keys,omitempty" help:"With an auto seal: the shares of the recovery key."`
	RecoveryKeysB64 []string `json:"recovery_keys_base64,omitempty"`
	RootToken       string   `json:"root_token"`
}

// DecodedToken is a token that was encoded for a one-time password, in an envelope of its own.
type DecodedToken struct {
	RequestID     string     `json:"request_id"`
	LeaseID       string     `json:"lease_id"`
	LeaseDuration int        `json:"lease_duration"`
	Renewable     bool       `json:"renewable"`
	Data          PlainToken `json:"data"`
	Warnings      []string   `json:"warnings" api:"null"`
}

// PlainToken is a token itself.
type PlainToken struct {
	Token string `json:"token"`
}

// bootstrap is what the nodes of a cluster tell one that joins.
type bootstrap struct {
	Data any `json:"data"`
}

// Restored is the answer to a snapshot of other keys: every node is sealed then.
type Restored struct {
	RequestID string   `json:"request_id"`
	Warnings  []string `json:"warnings"`
}

// Joined is whether a node has joined a cluster; false: it goes on trying.
type Joined struct {
	Joined bool `json:"joined"`
}

// elsewhere stands for what serves a path outside of a Session.
func elsewhere(context.Context, *engine.Request) (*engine.Response, error) {
	return nil, engine.ErrUnsupported
}

// outside are the paths below sys/ that a server answers without an open Session:
// no route of the engine "system" stands for them.
func outside() []engine.Route {
	str := func(names ...string) (out []engine.Field) {
		for _, n := range names {
			out = append(out, engine.Field{Name: n})
		}
		return out
	}
	shares := []engine.Field{
		{Name: "secret_shares", Type: engine.Int, Help: "Number of key shares."}, {Name: "secret_threshold", Type: engine.Int, Help: "Shares needed."},
		{Name: "pgp_keys", Type: engine.StringList, Help: "PGP keys that encrypt the shares."},
	}
	restored := engine.Maybe{Data: engine.Bare{Data: Restored{}}}
	share := engine.Field{Name: "key", Help: "One key share."}
	all := []engine.Route{
		{Path: "health", Help: "Whether this node serves, by its status code.", Answers: engine.Answers{engine.Read: engine.Bare{Data: Health{}}}, Read: elsewhere},
		{Path: "seal-status", Help: "Whether this node is sealed, and how far unsealing is.", Answers: engine.Answers{engine.Read: engine.Bare{Data: SealStatus{}}}, Read: elsewhere},
		{Path: "leader", Help: "Which node is the active one.", Answers: engine.Answers{engine.Read: engine.Bare{Data: Leader{}}}, Read: elsewhere},
		{Path: "init", Help: "Initialize the server.", Read: elsewhere, Write: elsewhere,
			Answers: engine.Answers{engine.Read: engine.Bare{Data: Initialized{}}, engine.Update: engine.Bare{Data: Founded{}}}, Fields: append(slices.Clone(shares),
				engine.Field{Name: "recovery_shares", Type: engine.Int, Help: "Shares of the recovery key."}, engine.Field{Name: "recovery_threshold", Type: engine.Int, Help: "Recovery shares needed."},
				engine.Field{Name: "recovery_pgp_keys", Type: engine.StringList, Help: "PGP keys that encrypt them."}, engine.Field{Name: "root_token_pgp_key", Help: "PGP key that encrypts the root token."})},
		{Path: "unseal", Help: "Enter a key share, or begin again.", Answers: engine.Answers{engine.Update: engine.Bare{Data: SealStatus{}}}, Write: elsewhere, Fields: []engine.Field{share,
			{Name: "reset", Type: engine.Bool, Help: "Forget the shares entered so far."}, {Name: "migrate", Type: engine.Bool, Help: "Migrate to another seal."}}},
		{Path: "storage/raft/join", Help: "Have this node join a cluster.", Answers: engine.Answers{engine.Update: engine.Bare{Data: Joined{}}}, Write: elsewhere,
			Fields: append(str("leader_api_addr", "leader_ca_cert", "leader_client_cert", "leader_client_key", "auto_join", "auto_join_scheme"),
				engine.Field{Name: "retry", Type: engine.Bool}, engine.Field{Name: "non_voter", Type: engine.Bool}, engine.Field{Name: "auto_join_port", Type: engine.Int})},
		{Path: "storage/raft/bootstrap/challenge", Help: "Begin to join: a challenge to answer.", Answers: engine.Answers{engine.Update: engine.Bare{Data: bootstrap{}}}, Write: elsewhere, Fields: str("server_id")},
		{Path: "storage/raft/bootstrap/answer", Help: "Answer the challenge.", Answers: engine.Answers{engine.Update: engine.Bare{Data: bootstrap{}}}, Write: elsewhere, Fields: str("answer", "server_id", "cluster_addr")},
		{Path: "decode-token", Help: "Decode a token that was made for a one-time password.", Answers: engine.Answers{engine.Update: engine.Bare{Data: DecodedToken{}}}, Write: elsewhere, Fields: str("encoded_token", "otp")},
		{Path: "storage/raft/snapshot", Help: "Take a snapshot, or restore one of this cluster.", Sudo: true, Read: elsewhere, Write: elsewhere,
			Answers: engine.Answers{engine.Read: engine.Stream("application/gzip"), engine.Update: restored}},
		{Path: "storage/raft/snapshot-force", Help: "Restore a snapshot, whatever cluster it is from.", Sudo: true, Answers: engine.Answers{engine.Update: restored}, Write: elsewhere},
	}
	for i := range all {
		all[i].Public = !all[i].Sudo
	}
	return all
}
