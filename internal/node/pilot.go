package node

import (
	"context"
	"encoding/json"
	"os"
	"strconv"
	"sync"
	"time"

	"strongroom/engine"
	"strongroom/internal/autopilot"
	"strongroom/internal/storage"
	"strongroom/internal/sys"
)

// autopilotPath is autopilot.Config as JSON, outside the barrier.
const autopilotPath = "core/autopilot"

// echoes is what the members last said of themselves to this active node.
type echoes struct {
	mu    sync.Mutex
	since time.Time // when this node became active: nobody is silent for longer
	last  map[string]echo
}

type echo struct {
	peerState
	heard time.Time
	took  time.Duration
}

func (e *echoes) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.since, e.last = time.Now(), map[string]echo{}
}

func (e *echoes) put(id string, st peerState, took time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.last != nil {
		e.last[id] = echo{st, time.Now(), took}
	}
}

func (e *echoes) get(id string) (echo, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	got, ok := e.last[id]
	if !ok {
		got.heard = e.since
	}
	return got, ok
}

// survey asks every member for its state, all together and for at most a second,
// and returns what was answered, this node's included.
func (n *Node) survey(ctx context.Context, m *member) map[string]peerState {
	var mu sync.Mutex
	var asked sync.WaitGroup
	out := map[string]peerState{n.config.NodeID: n.ownState(m)}
	for _, s := range m.store.Servers() {
		if s.ID == n.config.NodeID {
			continue
		}
		asked.Go(func() {
			begun := time.Now()
			st, err := n.askState(ctx, s.Address)
			if err != nil || st.NodeID != s.ID {
				return
			}
			n.membership.echoes.put(s.ID, st, time.Since(begun))
			mu.Lock()
			out[s.ID] = st
			mu.Unlock()
		})
	}
	asked.Wait()
	return out
}

func (n *Node) startPilot(m *member) {
	if n.membership.pilot.Load() != nil {
		return
	}
	n.membership.echoes.reset()
	n.membership.pilot.Store(autopilot.Start(m.store.Raft(), piloted{n, m}, 0, 0, n.logger))
}

func (n *Node) stopPilot() {
	if p := n.membership.pilot.Swap(nil); p != nil {
		p.Stop()
	}
}

// piloted is the cluster as autopilot needs it.
type piloted struct {
	n *Node
	m *member
}

// Config implements autopilot.Cluster.
func (p piloted) Config() autopilot.Config {
	c := autopilot.Default()
	e, err := p.m.store.Get(context.Background(), autopilotPath)
	if err != nil || !e.Exists() {
		return c
	}
	if err := json.Unmarshal(e.Value, &c); err != nil {
		p.n.logger.Error("the stored autopilot configuration cannot be read; the defaults hold", "error", err)
		return autopilot.Default()
	}
	return c
}

// Members implements autopilot.Cluster.
func (p piloted) Members() []autopilot.Member {
	var out []autopilot.Member
	for _, s := range p.m.store.Servers() {
		m := autopilot.Member{ID: s.ID, NonVoter: p.m.nonVoter(context.Background(), s.ID)}
		if s.ID == p.n.config.NodeID {
			own := p.n.ownState(p.m)
			m.Leader, m.Version, m.Stats = true, own.Version, own.stats()
		} else {
			e, _ := p.n.membership.echoes.get(s.ID)
			m.Heard, m.Version, m.Stats = e.heard, e.Version, e.stats()
		}
		out = append(out, m)
	}
	return out
}

// Ask implements autopilot.Cluster.
func (p piloted) Ask(ctx context.Context) { p.n.survey(ctx, p.m) }

// Remove implements autopilot.Cluster.
func (p piloted) Remove(id string) {
	p.n.logger.Warn("autopilot removes a member that has been silent for too long", "node_id", id)
	go func() { // bounded; autopilot must not wait
		ctx, cancel := context.WithTimeout(p.n.ctx, 10*time.Second)
		defer cancel()
		if err := p.n.RemovePeer(ctx, id); err != nil {
			p.n.logger.Warn("autopilot cannot remove a dead member", "node_id", id, "error", err)
		}
	}()
}

var errPilotStarts = engine.Errorf(engine.Unavailable, "autopilot has just started on this active node: try again in a second")

// AutopilotState implements sys.Node.
func (a nodeAPI) AutopilotState(context.Context) (autopilot.State, error) {
	m, err := a.n.leads()
	switch {
	case err != nil:
		return autopilot.State{}, err
	case m.port == nil:
		return autopilot.State{}, errAlone
	}
	if p := a.n.membership.pilot.Load(); p != nil {
		if st, ok := p.State(); ok {
			return st, nil
		}
	}
	return autopilot.State{}, errPilotStarts
}

// AutopilotConfig implements sys.Node.
func (a nodeAPI) AutopilotConfig(context.Context) (autopilot.Config, error) {
	m := a.n.member.Load()
	return piloted{a.n, m}.Config(), nil
}

// SetAutopilotConfig implements sys.Node.
func (a nodeAPI) SetAutopilotConfig(ctx context.Context, c autopilot.Config) error {
	m, err := a.n.leads()
	if err != nil {
		return err
	}
	tx := storage.Begin(m.store)
	if err := storage.PutJSON(tx, autopilotPath, c); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// HANodes implements sys.Node.
func (a nodeAPI) HANodes(ctx context.Context) ([]sys.HANode, error) {
	m, err := a.n.leads()
	if err != nil {
		return nil, err
	}
	own := a.n.ownState(m)
	out := []sys.HANode{{Hostname: own.Hostname, APIAddress: own.APIAddr, ClusterAddress: peerURL(a.n.config.ClusterAddr), ActiveNode: true, Version: own.Version}}
	if m.port == nil {
		return out, nil
	}
	a.n.survey(ctx, m)
	for _, s := range m.store.Servers() {
		e, ok := a.n.membership.echoes.get(s.ID)
		if s.ID == a.n.config.NodeID || !ok {
			continue // not heard of since this node became active
		}
		out = append(out, sys.HANode{Hostname: e.Hostname, APIAddress: e.APIAddr, ClusterAddress: peerURL(s.Address), Version: e.Version,
			LastEcho: &e.heard, EchoMillis: e.took.Milliseconds(), Sealed: e.Sealed})
	}
	return out, nil
}

// ownState is what this node says of itself to the others.
func (n *Node) ownState(m *member) peerState {
	st := n.State()
	host, _ := os.Hostname() // "" is as good as anything
	out := peerState{NodeID: n.config.NodeID, Sealed: st.Sealed, Active: st.Active, Leaving: n.leaving.Load(), Hostname: host, APIAddr: n.config.APIAddr, Version: n.config.Version}
	stats := m.store.Stats()
	out.LastTerm, out.LastIndex = lastTerm(m), stats.LastIndex
	switch {
	case stats.State == "Leader":
	case stats.LastContact.IsZero():
		out.LastContact = -time.Millisecond // never
	default:
		out.LastContact = time.Since(stats.LastContact)
	}
	if m.port != nil {
		id := m.port.Identity()
		out.Serial, out.Issuer, out.Trust = id.Serial(), id.Issuer(), id.Trust().Version
	}
	return out
}

// lastTerm is the term of the last entry in this node's log.
func lastTerm(m *member) uint64 {
	term, _ := strconv.ParseUint(m.store.Raft().Stats()["last_log_term"], 10, 64) // always a number
	return term
}

// peerURL is how a node's port for the others is shown; a node without one, as in development, has none.
func peerURL(addr string) string {
	if addr == "" {
		return ""
	}
	return "https://" + addr
}
