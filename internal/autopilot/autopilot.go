// Package autopilot owns which members of the Raft cluster are healthy, which of
// them get a vote, and which are taken for dead: hashicorp/raft-autopilot, told
// what it needs to know. It runs on the leader. It asks and removes nobody
// itself.
package autopilot

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	pilot "github.com/hashicorp/raft-autopilot"
)

// Member is what the leader knows of a member of the Raft configuration.
type Member struct {
	ID       string
	Version  string
	NonVoter bool      // joined never to have a vote
	Leader   bool      // this node
	Heard    time.Time // when it last answered
	Stats    Stats     // what it answered
}

// Stats is where a member's Raft stands.
type Stats struct {
	LastContact time.Duration // since its leader's last word, when it was heard
	LastTerm    uint64
	LastIndex   uint64
}

// Cluster is what autopilot works on.
type Cluster interface {
	// Config is the present configuration.
	Config() Config
	// Members are all members of the Raft configuration, as last heard.
	Members() []Member
	// Ask asks every member for news; ctx ends in a second or so.
	Ask(ctx context.Context)
	// Remove ends the membership of a dead member. It returns at once.
	Remove(id string)
}

// Pilot is a running autopilot. Stop ends it.
type Pilot struct {
	inner   *pilot.Autopilot
	cluster Cluster
}

// Start runs autopilot over r, which leads, until Stop. update is how often
// members are asked, reconcile how often something is done about the answers; 0
// for both is Vault's 2 s and 10 s.
func Start(r pilot.Raft, cluster Cluster, update, reconcile time.Duration, logger hclog.Logger) *Pilot {
	p := &Pilot{cluster: cluster}
	p.inner = pilot.New(present{r}, delegate{cluster}, pilot.WithLogger(logger), pilot.WithPromoter(promoter{new(pilot.StablePromoter)}),
		pilot.WithUpdateInterval(update), pilot.WithReconcileInterval(reconcile))
	p.inner.Start(context.Background())
	return p
}

// Stop ends autopilot and waits for that.
func (p *Pilot) Stop() { <-p.inner.Stop() }

// present is a Raft that gives a vote to nobody who is no member any more:
// raft-autopilot decides by a state that is seconds old, and a member which was
// removed since would come back as a voter that nobody can reach.
type present struct{ pilot.Raft }

// AddVoter implements pilot.Raft.
func (p present) AddVoter(id raft.ServerID, addr raft.ServerAddress, _ uint64, timeout time.Duration) raft.IndexFuture {
	now := p.GetConfiguration()
	if err := now.Error(); err != nil {
		return refused{err}
	}
	if !slices.ContainsFunc(now.Configuration().Servers, func(s raft.Server) bool { return s.ID == id && s.Address == addr }) {
		return refused{fmt.Errorf("%s was removed meanwhile", id)}
	}
	return p.Raft.AddVoter(id, addr, now.Index(), timeout) // in that very configuration, or not at all
}

// refused is a change that was not made.
type refused struct{ err error }

// Error implements raft.Future.
func (r refused) Error() error { return r.err }

// Index implements raft.IndexFuture.
func (refused) Index() uint64 { return 0 }

// delegate answers raft-autopilot's questions.
type delegate struct{ cluster Cluster }

// AutopilotConfig implements pilot.ApplicationIntegration.
func (d delegate) AutopilotConfig() *pilot.Config {
	c := d.cluster.Config()
	return &pilot.Config{
		CleanupDeadServers: c.CleanupDeadServers, LastContactThreshold: c.LastContactThreshold, MaxTrailingLogs: c.MaxTrailingLogs,
		MinQuorum: c.MinQuorum, ServerStabilizationTime: c.ServerStabilizationTime,
	}
}

// NotifyState implements pilot.ApplicationIntegration.
func (delegate) NotifyState(*pilot.State) {}

// FetchServerStats implements pilot.ApplicationIntegration.
func (d delegate) FetchServerStats(ctx context.Context, _ map[raft.ServerID]*pilot.Server) map[raft.ServerID]*pilot.ServerStats {
	d.cluster.Ask(ctx)
	out := map[raft.ServerID]*pilot.ServerStats{}
	for _, m := range d.cluster.Members() {
		st := &pilot.ServerStats{LastContact: m.Stats.LastContact, LastTerm: m.Stats.LastTerm, LastIndex: m.Stats.LastIndex}
		if !m.Leader { // what it said has aged since
			st.LastContact += time.Since(m.Heard)
		}
		out[raft.ServerID(m.ID)] = st
	}
	return out
}

// KnownServers implements pilot.ApplicationIntegration.
func (d delegate) KnownServers() map[raft.ServerID]*pilot.Server {
	limit := d.cluster.Config().DeadServerLastContactThreshold
	out := map[raft.ServerID]*pilot.Server{}
	for _, m := range d.cluster.Members() {
		s := &pilot.Server{ID: raft.ServerID(m.ID), Name: m.ID, NodeStatus: pilot.NodeAlive, Version: m.Version, RaftVersion: 3, IsLeader: m.Leader,
			NodeType: pilot.NodeVoter}
		if m.NonVoter {
			s.NodeType = nonVoter
		}
		if !m.Leader && time.Since(m.Heard) > limit {
			s.NodeStatus = pilot.NodeFailed
		}
		out[s.ID] = s
	}
	return out
}

// RemoveFailedServer implements pilot.ApplicationIntegration.
func (d delegate) RemoveFailedServer(s *pilot.Server) { d.cluster.Remove(string(s.ID)) }

const nonVoter pilot.NodeType = "non-voter"

// promoter gives a vote to whoever is stable and wants one.
type promoter struct{ *pilot.StablePromoter }

// GetNodeTypes implements pilot.Promoter.
func (promoter) GetNodeTypes(_ *pilot.Config, s *pilot.State) map[raft.ServerID]pilot.NodeType {
	out := map[raft.ServerID]pilot.NodeType{}
	for id, srv := range s.Servers {
		out[id] = srv.Server.NodeType
	}
	return out
}

// CalculatePromotionsAndDemotions implements pilot.Promoter.
func (p promoter) CalculatePromotionsAndDemotions(c *pilot.Config, s *pilot.State) pilot.RaftChanges {
	changes := p.StablePromoter.CalculatePromotionsAndDemotions(c, s)
	var wanted []raft.ServerID
	for _, id := range changes.Promotions {
		if s.Servers[id].Server.NodeType == pilot.NodeVoter {
			wanted = append(wanted, id)
		}
	}
	changes.Promotions = wanted
	return changes
}
