package node

import "sync"

// Condition is what a node tells whoever finds it a role: four facts that change seldom.
type Condition struct {
	Initialized bool
	Sealed      bool
	Active      bool
	ServesReads bool // an unsealed standby that answers reads itself
}

// watch holds the condition that was last told, and wakes those who wait for another.
type watch struct {
	mu      sync.Mutex
	last    Condition
	changed chan struct{}
}

// Watch returns the node's condition and a channel that is closed once there is another.
func (n *Node) Watch() (Condition, <-chan struct{}) {
	n.watch.mu.Lock()
	defer n.watch.mu.Unlock()
	return n.watch.last, n.watch.changed
}

// Others are the ids of the cluster's other nodes, as far as this one knows.
func (n *Node) Others() (ids []string) {
	if m := n.member.Load(); m != nil {
		for _, s := range m.store.Servers() {
			if s.ID != n.config.NodeID {
				ids = append(ids, s.ID)
			}
		}
	}
	return ids
}

// condition is the node's as of now.
func (n *Node) condition() Condition {
	c := Condition{Sealed: true}
	m := n.member.Load()
	if m == nil {
		c.Initialized = n.pending.Load() != nil // the cluster is; this node is about to join it
		return c
	}
	c.Initialized, c.Sealed = true, m.barrier.Sealed()
	c.Active = n.session.Load() != nil && !c.Sealed
	c.ServesReads = n.reader.Load() != nil && !c.Active && !c.Sealed
	return c
}

// tell wakes the watchers if there is something new.
func (n *Node) tell() {
	now := n.condition()
	n.watch.mu.Lock()
	defer n.watch.mu.Unlock()
	if now != n.watch.last {
		n.watch.last = now
		close(n.watch.changed)
		n.watch.changed = make(chan struct{})
	}
}
