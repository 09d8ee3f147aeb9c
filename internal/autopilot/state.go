package autopilot

import (
	"slices"
	"time"

	pilot "github.com/hashicorp/raft-autopilot"
)

// State is the cluster as autopilot sees it, in the form of
// sys/storage/raft/autopilot/state.
type State struct {
	Healthy                    bool              `json:"healthy"`
	FailureTolerance           int               `json:"failure_tolerance"`
	OptimisticFailureTolerance int               `json:"optimistic_failure_tolerance"`
	Servers                    map[string]Server `json:"servers"`
	Leader                     string            `json:"leader"`
	Voters                     []string          `json:"voters"`
	NonVoters                  []string          `json:"non_voters,omitempty"`
}

// Server is one member in a State.
type Server struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Address     string    `json:"address"`
	NodeStatus  string    `json:"node_status"`
	NodeType    string    `json:"node_type"`
	LastContact string    `json:"last_contact"` // a Go duration
	LastTerm    uint64    `json:"last_term"`
	LastIndex   uint64    `json:"last_index"`
	Healthy     bool      `json:"healthy"`
	StableSince time.Time `json:"stable_since"`
	Status      string    `json:"status"` // leader, voter or non-voter
	Version     string    `json:"version"`
}

// State returns the latest state; false as long as there is none.
func (p *Pilot) State() (State, bool) {
	in := p.inner.GetState()
	if in == nil || in.Leader == "" {
		return State{}, false
	}
	out := State{Healthy: in.Healthy, FailureTolerance: in.FailureTolerance, OptimisticFailureTolerance: in.FailureTolerance,
		Servers: map[string]Server{}, Leader: string(in.Leader), Voters: []string{}}
	for _, id := range in.Voters {
		out.Voters = append(out.Voters, string(id))
	}
	for id, s := range in.Servers {
		out.Servers[string(id)] = Server{ID: string(id), Name: string(id), Address: string(s.Server.Address), NodeStatus: string(s.Server.NodeStatus),
			NodeType: string(s.Server.NodeType), LastContact: s.Stats.LastContact.String(), LastTerm: s.Stats.LastTerm, LastIndex: s.Stats.LastIndex,
			Healthy: s.Health.Healthy, StableSince: s.Health.StableSince, Status: string(s.State), Version: s.Server.Version}
		if s.State == pilot.RaftNonVoter {
			out.NonVoters = append(out.NonVoters, string(id))
		}
	}
	slices.Sort(out.NonVoters)
	return out, true
}
