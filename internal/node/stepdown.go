package node

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"strongroom/engine"
	"strongroom/internal/storage/raftstore"
	"strongroom/internal/sys"
)

const (
	// candidateLimit is how long a node that hands over waits for others to say
	// that they can take it, and candidateGrace for better ones than the first.
	candidateLimit = 500 * time.Millisecond
	candidateGrace = 20 * time.Millisecond
	// transferLimit bounds one attempt: no write is taken meanwhile.
	transferLimit = time.Second
)

// errNobodyElse: no other node can lead.
var errNobodyElse = engine.Errorf(engine.Unavailable, "no other node is unsealed: nothing was changed")

// StepDown implements sys.Node. Where nobody else can lead, this node goes on to,
// and it is no error: as in Vault, whose node takes the lead back then.
func (a nodeAPI) StepDown(ctx context.Context) error {
	err := a.n.stepAside(ctx)
	if errors.Is(err, errNobodyElse) {
		a.n.logger.Warn("asked to step down, this node stays active: no other is unsealed", "node_id", a.n.config.NodeID)
		return nil
	}
	return err
}

// canServe and canLead say who may be given leadership: a sealed node leads, but serves nobody.
func canServe(st peerState) bool { return canLead(st) && !st.Sealed }
func canLead(st peerState) bool  { return !st.Leaving }

// stepAside gives leadership to whoever has the newest log and is unsealed; those
// that do not answer hold nobody up. errNobodyElse if there is none.
func (n *Node) stepAside(ctx context.Context) error { return n.stepAsideFor(ctx, canServe) }

func (n *Node) stepAsideFor(ctx context.Context, fit func(peerState) bool) error {
	m := n.member.Load()
	if m.port == nil {
		return errNobodyElse
	}
	var err error
	for _, id := range n.candidates(ctx, m, fit) {
		attempt, cancel := context.WithTimeout(ctx, transferLimit)
		err = m.transfer(attempt, id)
		cancel()
		if err == nil || m.term.Load() == 0 {
			return nil
		}
		n.logger.Warn("a node did not take leadership over; trying the next", "node_id", id, "error", err)
	}
	if err != nil {
		return engine.Errorf(engine.Unavailable, "no other node took leadership over: this one keeps it")
	}
	return errNobodyElse
}

// candidates are the voters that answer and are fit, the one with the newest log first.
func (n *Node) candidates(ctx context.Context, m *member, fit func(peerState) bool) []string {
	ctx, cancel := context.WithTimeout(ctx, candidateLimit)
	defer cancel()
	others := slices.DeleteFunc(m.store.Servers(), func(s raftstore.Server) bool { return s.ID == n.config.NodeID || !s.Voter })
	answers := make(chan peerState, len(others))
	for _, s := range others {
		go func() { // ends with ctx
			st, err := n.askState(ctx, s.Address)
			if err != nil || st.NodeID != s.ID {
				st = peerState{Sealed: true, Leaving: true}
			}
			answers <- st
		}()
	}
	var good []peerState
	grace := make(<-chan time.Time)
collect:
	for range others {
		select {
		case st := <-answers:
			if !fit(st) {
				continue
			}
			if good = append(good, st); len(good) == 1 {
				grace = time.After(candidateGrace)
			}
		case <-grace:
			break collect
		case <-ctx.Done():
			break collect
		}
	}
	slices.SortStableFunc(good, func(a, b peerState) int { return cmp.Compare(b.LastIndex, a.LastIndex) })
	ids := make([]string, 0, len(good))
	for _, st := range good {
		ids = append(ids, st.NodeID)
	}
	return ids
}

// Servers implements sys.Node.
func (a nodeAPI) Servers() ([]sys.Server, uint64, error) {
	m := a.n.member.Load()
	index := m.store.Raft().GetConfiguration().Index()
	var out []sys.Server
	for _, s := range m.store.Servers() {
		out = append(out, sys.Server{NodeID: s.ID, Address: s.Address, Leader: s.Leader, ProtocolVersion: "3", Voter: s.Voter})
	}
	return out, index, nil
}

// RemovePeer implements sys.Node.
func (a nodeAPI) RemovePeer(ctx context.Context, id string) error { return a.n.RemovePeer(ctx, id) }
