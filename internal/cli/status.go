package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/vault/api"
)

func statusCommand() *command {
	return &command{
		name: "status", synopsis: "Print seal and HA status",
		usage: "[options]", output: formatted,
		help: `
Prints whether the server is sealed, and its place in a cluster. It needs no token. The exit code tells the
state: 0 unsealed, 1 error, 2 sealed.`,
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			status, err := client.Sys().SealStatusWithContext(ctx)
			if err != nil {
				return statusError("Error checking seal status", err)
			}
			if err := c.printStatus(ctx, client, status); err != nil {
				return statusError("Error checking leader status", err)
			}
			if status.Sealed {
				return silent(2)
			}
			return nil
		}),
	}
}

// statusError is an API error with exit code 1, since 2 means sealed here.
func statusError(attempt string, err error) error {
	if described(err) {
		return err
	}
	var failed *failure
	if errors.As(err, &failed) {
		return usagef("%w", err)
	}
	return usagef("%s: %w", attempt, err)
}

// described tells that err stands for a request that was printed instead of sent.
func described(err error) bool {
	var curl *api.OutputStringError
	var policy *api.OutputPolicyError
	return errors.As(err, &curl) || errors.As(err, &policy)
}

// sealStatus is the answer of `status`: that of sys/seal-status and of sys/leader in one.
type sealStatus struct {
	api.SealStatusResponse
	HAEnabled            bool      `json:"ha_enabled"`
	IsSelf               bool      `json:"is_self,omitempty"`
	ActiveTime           time.Time `json:"active_time"`
	LeaderAddress        string    `json:"leader_address,omitempty"`
	LeaderClusterAddress string    `json:"leader_cluster_address,omitempty"`
	RaftCommittedIndex   uint64    `json:"raft_committed_index,omitempty"`
	RaftAppliedIndex     uint64    `json:"raft_applied_index,omitempty"`
	PerfStandby          bool      `json:"performance_standby,omitempty"`
	LastWAL              uint64    `json:"last_wal,omitempty"`
}

// printStatus adds what sys/leader knows and prints both. A sealed or uninitialised server may not answer
// that one; such a refusal is no error here.
func (c *call) printStatus(ctx context.Context, client *api.Client, status *api.SealStatusResponse) error {
	full := sealStatus{SealStatusResponse: *status}
	client.SetMaxRetries(0) // a sealed server answers 503, and will again
	leader, err := client.Sys().LeaderWithContext(ctx)
	var refused *api.ResponseError
	switch {
	case err == nil:
		full.HAEnabled = leader.HAEnabled
		full.IsSelf = leader.IsSelf
		full.ActiveTime = leader.ActiveTime
		full.LeaderAddress = leader.LeaderAddress
		full.LeaderClusterAddress = leader.LeaderClusterAddress
		full.RaftCommittedIndex = leader.RaftCommittedIndex
		full.RaftAppliedIndex = leader.RaftAppliedIndex
		full.PerfStandby = leader.PerfStandby
		full.LastWAL = leader.LastWAL
	case status.Sealed && errors.As(err, &refused) && refused.StatusCode == http.StatusServiceUnavailable:
		full.HAEnabled = status.StorageType == "raft"
	default:
		return err
	}
	c.warnings(status.Warnings)
	return c.print(full, full.table)
}

func (s *sealStatus) table() string {
	rows := []string{row("Seal Type", s.Type)}
	shares := "Total Shares"
	if s.RecoverySeal {
		rows = append(rows, row("Recovery Seal Type", s.RecoverySealType))
		shares = "Total Recovery Shares"
	}
	rows = append(rows, row("Initialized", s.Initialized), row("Sealed", s.Sealed), row(shares, s.N), row("Threshold", s.T))
	if s.Sealed {
		rows = append(rows, row("Unseal Progress", fmt.Sprintf("%d/%d", s.Progress, s.T)), row("Unseal Nonce", s.Nonce))
	}
	if s.Migration {
		rows = append(rows, row("Seal Migration in Progress", s.Migration))
	}
	rows = append(rows, row("Version", s.Version), row("Build Date", s.BuildDate), row("Storage Type", s.StorageType))
	if s.ClusterName != "" && s.ClusterID != "" {
		rows = append(rows, row("Cluster Name", s.ClusterName), row("Cluster ID", s.ClusterID))
	}
	if s.RemovedFromCluster != nil {
		rows = append(rows, row("Removed From Cluster", *s.RemovedFromCluster))
	}
	rows = append(rows, row("HA Enabled", s.HAEnabled))
	return keyValue(append(rows, s.haRows()...)...)
}

func (s *sealStatus) haRows() []string {
	if !s.HAEnabled || s.Sealed {
		return nil
	}
	rows := []string{row("HA Cluster", s.LeaderClusterAddress)}
	switch {
	case s.IsSelf:
		rows = append(rows, row("HA Mode", "active"))
		if !s.ActiveTime.IsZero() {
			rows = append(rows, row("Active Since", s.ActiveTime.Format(time.RFC3339Nano)))
		}
	default:
		mode := "standby"
		if s.PerfStandby {
			mode = "performance standby"
		}
		leader := s.LeaderAddress
		if leader == "" {
			leader = "<none>"
		}
		rows = append(rows, row("HA Mode", mode), row("Active Node Address", leader))
	}
	if s.RaftCommittedIndex > 0 {
		rows = append(rows, row("Raft Committed Index", s.RaftCommittedIndex))
	}
	if s.RaftAppliedIndex > 0 {
		rows = append(rows, row("Raft Applied Index", s.RaftAppliedIndex))
	}
	return rows
}
