package node

import (
	"context"
	"time"

	"strongroom/internal/metrics"
)

// gauges are what a node tells of itself when somebody asks, in every state
// (https://developer.hashicorp.com/vault/docs/internals/telemetry/metrics/core-system).
func (n *Node) gauges(emit metrics.Emit) {
	st := n.State()
	var labels []metrics.Label
	if st.ClusterName != "" {
		labels = []metrics.Label{{Name: "cluster", Value: st.ClusterName}}
	}
	flag := func(name string, on bool) {
		value := 0.0
		if on {
			value = 1
		}
		emit(name, value, labels...)
	}
	flag("core.unsealed", !st.Sealed)
	flag("core.active", st.Active)
	flag("core.performance_standby", false)
	m := n.member.Load()
	if m == nil || !m.opened.Load() {
		return
	}
	s := m.store.Stats()
	emit("raft_storage.stats.applied_index", float64(s.AppliedIndex))
	emit("raft_storage.stats.commit_index", float64(s.CommitIndex))
	emit("raft_storage.stats.fsm_pending", float64(max(s.CommitIndex, s.AppliedIndex)-s.AppliedIndex))
	emit("raft.term", float64(s.Term))
	emit("raft.last_index", float64(s.LastIndex))
	if !s.LastContact.IsZero() {
		emit("raft.leader.last_contact_ms", float64(time.Since(s.LastContact).Milliseconds()))
	}
	voters := 0
	servers := m.store.Servers()
	for _, server := range servers {
		if server.Voter {
			voters++
		}
	}
	emit("raft.voters", float64(voters))
	emit("raft.peers", float64(len(servers)))
	if s := n.session.Load(); s != nil {
		ctx, cancel := context.WithTimeout(n.ctx, time.Second)
		defer cancel()
		s.Usage(ctx, emit)
	}
}
