package compat

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"strongroom/test/cluster"
)

// The stock client's calls about a Raft cluster, against three processes.
func TestRaftCalls(t *testing.T) {
	c := cluster.NewReady(t, 3)
	leader, err := c.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client, err := leader.Client(c.Keys.Root)
	if err != nil {
		t.Fatal(err)
	}
	sys := client.Sys()

	config, err := sys.RaftAutopilotConfiguration()
	if err != nil || config.CleanupDeadServers || config.LastContactThreshold != 10*time.Second || config.MaxTrailingLogs != 1000 ||
		config.DeadServerLastContactThreshold != 24*time.Hour || config.ServerStabilizationTime != 10*time.Second {
		t.Fatalf("the default configuration is %+v, %v", config, err)
	}
	config.CleanupDeadServers, config.MinQuorum, config.DeadServerLastContactThreshold = true, 3, 10*time.Minute
	if err := sys.PutRaftAutopilotConfiguration(config); err != nil {
		t.Fatal(err)
	}
	if again, err := sys.RaftAutopilotConfiguration(); err != nil || *again != *config {
		t.Errorf("read %+v, wrote %+v: %v", again, config, err)
	}
	config.MinQuorum = 0
	if err := sys.PutRaftAutopilotConfiguration(config); err == nil || !strings.Contains(err.Error(), "min_quorum") {
		t.Errorf("cleanup without a minimum: %v", err)
	}

	var state *api.AutopilotState
	eventually(t, 20*time.Second, func() error {
		if state, err = sys.RaftAutopilotState(); err != nil {
			return err
		}
		if !state.Healthy || len(state.Voters) != 3 {
			return fmt.Errorf("the state is %s", state)
		}
		return nil
	})
	if state.FailureTolerance != 1 || state.Servers[state.Leader].Status != "leader" || state.Servers[state.Leader].LastContact != "0s" {
		t.Errorf("the state is %s", state)
	}

	ha, err := sys.HAStatus()
	if err != nil || len(ha.Nodes) != 3 {
		t.Fatalf("%+v, %v", ha, err)
	}
	active := 0
	for _, n := range ha.Nodes {
		if n.ActiveNode {
			active++
		}
		if n.APIAddress == "" || n.Hostname == "" || n.Version == "" || !strings.HasPrefix(n.ClusterAddress, "https://") || n.ActiveNode != (n.LastEcho == nil) {
			t.Errorf("a node is %+v", n)
		}
	}
	if active != 1 {
		t.Errorf("%d nodes are active", active)
	}

	health, err := sys.Health()
	if err != nil || health.RemovedFromCluster == nil || *health.RemovedFromCluster || !health.Initialized || health.Sealed || health.Standby {
		t.Errorf("health is %+v, %v", health, err)
	}
	if _, err := sys.RaftJoin(&api.RaftJoinRequest{LeaderAPIAddr: leader.Addr}); err == nil || !strings.Contains(err.Error(), "belongs to a cluster already") {
		t.Errorf("a member joins: %v", err)
	}
	if _, err := client.Logical().Write("sys/storage/raft/remove-peer", map[string]any{"server_id": "nobody"}); err == nil || !strings.Contains(err.Error(), "is no peer") {
		t.Errorf("nobody is removed: %v", err)
	}
}
