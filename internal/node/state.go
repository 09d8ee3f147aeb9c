package node

import (
	"context"
	"encoding/json"

	"strongroom/internal/seal"
)

// State is what the node would say of itself.
type State struct {
	Initialized bool
	Sealed      bool
	Active      bool
	HA          bool
	SealType    string
	Recovery    bool // Shares, Threshold and Progress are of the recovery key
	Migration   bool // the cluster's seal is to be replaced by the one this node is configured with
	Shares      int
	Threshold   int
	Progress    int
	Nonce       string
	Version     string
	BuildDate   string
	StorageType string
	ClusterName string
	ClusterID   string

	CommittedIndex, AppliedIndex uint64
}

// clusterName is the stored name of the cluster.
type clusterName struct {
	Name string `json:"name"`
	ID   string `json:"id"`
}

// State returns the node's present state.
func (n *Node) State() State {
	st := State{Sealed: true, SealType: n.sealType(), Recovery: n.config.Seal != nil, Version: n.config.Version, BuildDate: n.config.BuildDate, StorageType: n.config.StorageType, HA: n.config.ClusterBind != ""}
	st.Progress, st.Nonce = n.ceremony.Progress()
	m := n.member.Load()
	if m == nil {
		if inv := n.pending.Load(); inv != nil { // the cluster exists; this node is about to join it
			st.Initialized = true
			st.setSeal(n, inv.Seal)
		}
		return st
	}
	st.Initialized, st.Sealed, st.Active = true, m.barrier.Sealed(), n.session.Load() != nil
	stats := m.store.Stats()
	st.CommittedIndex, st.AppliedIndex = stats.CommitIndex, stats.AppliedIndex
	if c, ok, err := n.sealConfig(m); err == nil && ok {
		st.setSeal(n, c)
	}
	var name clusterName
	if e, err := m.store.Get(context.Background(), namePath); err == nil && json.Unmarshal(e.Value, &name) == nil {
		st.ClusterName, st.ClusterID = name.Name, name.ID
	}
	return st
}

func (st *State) setSeal(n *Node, c seal.Config) {
	st.SealType, st.Recovery, st.Migration, st.Shares, st.Threshold = c.Type, c.Auto(), n.migrating(c), c.Shares, c.Threshold
}

// sealConfig reads the stored seal; false if this node does not have it yet.
func (n *Node) sealConfig(m *member) (seal.Config, bool, error) {
	var c seal.Config
	e, err := m.store.Get(context.Background(), sealPath)
	if err != nil || !e.Exists() {
		return c, false, err
	}
	return c, true, json.Unmarshal(e.Value, &c)
}

// nodeAPI is what the system engines may do to the node.
type nodeAPI struct{ n *Node }

// Seal implements sys.Node.
func (a nodeAPI) Seal(ctx context.Context) error { return a.n.Seal(ctx) }
