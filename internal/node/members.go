package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/internal/cluster"
	"strongroom/internal/storage"
)

// Raft says who is a member; these records say by which certificates, and which
// ones are good no more. All are outside the barrier: the cluster port of a
// sealed node needs them.
const (
	recordPrefix  = "core/node/"         // + node id: memberRecord
	removedPrefix = "core/removed/"      // + serial: removal
	trustPath     = "core/cluster-trust" // PEM of the trusted CAs, the issuing one first
)

// memberRecord is what the cluster keeps about a member.
type memberRecord struct {
	Certs    []certRecord `json:"certs"` // of CAs that are still trusted, oldest first
	NonVoter bool         `json:"non_voter"`
	Joined   time.Time    `json:"joined"`
}

type certRecord struct {
	Serial string `json:"serial"`
	Issuer string `json:"issuer"` // cluster.CA.ID
}

// removal takes a certificate from the cluster port.
type removal struct {
	NodeID string    `json:"node_id"`
	Issuer string    `json:"issuer"`
	Time   time.Time `json:"time"`
}

var errRemoved = engine.Errorf(engine.Unavailable, "this node was removed from the cluster: to let it join again, stop it, delete its storage folder and start it")

// recordFounder puts what makes identity the first member into tx on the raw store.
func recordFounder(tx *storage.Tx, ca *cluster.CA, identity *cluster.Identity) error {
	tx.Put(trustPath, cluster.Only(ca).PEM())
	return storage.PutJSON(tx, recordPrefix+identity.NodeID, memberRecord{Certs: []certRecord{{identity.Serial(), ca.ID()}}, Joined: time.Now().UTC()})
}

// admits answers cluster.ErrRemoved to the certificates of removed nodes.
// Everything else of the cluster's CAs is good: this node may not have heard of the
// newest member yet. Any other error is of a store that cannot be asked.
func (m *member) admits(serial string) error {
	if !m.opened.Load() {
		return nil // the port is a moment older than the store; Recheck follows
	}
	version, err := m.store.Version(context.Background(), removedPrefix+serial)
	if err == nil && version != 0 {
		err = cluster.ErrRemoved
	}
	return err
}

// record reads what is kept about id.
func (m *member) record(ctx context.Context, r storage.Reader, id string) (rec memberRecord, known bool, err error) {
	known, err = storage.GetJSON(ctx, r, recordPrefix+id, &rec)
	return rec, known, err
}

// nonVoter says whether the member id joined to have no vote, as far as this node knows.
func (m *member) nonVoter(ctx context.Context, id string) bool {
	rec, _, err := m.record(ctx, m.store, id)
	return err == nil && rec.NonVoter
}

// revoke makes the certificates of rec good no more.
func revoke(tx *storage.Tx, id string, rec memberRecord) error {
	var errs []error
	for _, c := range rec.Certs {
		errs = append(errs, storage.PutJSON(tx, removedPrefix+c.Serial, removal{NodeID: id, Issuer: c.Issuer, Time: time.Now().UTC()}))
	}
	return errors.Join(errs...)
}

// leads returns the member if this node is the active one.
func (n *Node) leads() (*member, error) {
	m := n.member.Load()
	if m == nil || m.term.Load() == 0 || n.session.Load() == nil {
		return nil, storage.ErrNotLeader
	}
	return m, nil
}

// RemovePeer ends the membership of the node id and shuts it out of the cluster
// port; only a new join, after its data is gone, brings it back. The active node
// hands over first and has the next one remove it.
func (n *Node) RemovePeer(ctx context.Context, id string) error {
	m, err := n.leads()
	if err != nil {
		return err
	}
	servers := m.store.Servers()
	if !slices.ContainsFunc(servers, isServer(id)) {
		return engine.Invalidf("%q is no peer of this cluster: \"operator raft list-peers\" shows the ones there are", id)
	}
	if id == n.config.NodeID {
		if err := n.stepAside(ctx); err != nil {
			return fmt.Errorf("node: the active node cannot be removed before it has handed over: %w", err)
		}
		return storage.ErrNotLeader // the next active node does it
	}
	return n.remove(ctx, m, id)
}

// remove is RemovePeer of another member, by a leader that may be sealed.
func (n *Node) remove(ctx context.Context, m *member, id string) error {
	n.membership.mu.Lock()
	defer n.membership.mu.Unlock()
	if err := m.store.RemoveServer(ctx, id); err != nil {
		return err
	}
	// It is out. That its certificate follows does not depend on the client's patience; should this node die first, the next one sees to it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := n.dropRecord(ctx, m, id); err != nil {
		return err
	}
	n.logger.Info("a node was removed from the cluster", "node_id", id)
	return nil
}

// dropRecord revokes the certificates of id, which is no member, and forgets it.
func (n *Node) dropRecord(ctx context.Context, m *member, id string) error {
	tx := storage.Begin(m.store)
	rec, known, err := m.record(ctx, tx, id)
	if err != nil || !known {
		return err
	}
	if err := revoke(tx, id, rec); err != nil {
		return err
	}
	tx.Delete(recordPrefix + id)
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("node: revoke the certificates of %s: %w", id, err)
	}
	if m.port != nil {
		m.port.Recheck()
	}
	return nil
}

// dropStrays revokes the certificates of those who are no members any more:
// removed by autopilot, or by an active node that died over it.
func (n *Node) dropStrays(ctx context.Context, m *member) error {
	n.membership.mu.Lock()
	defer n.membership.mu.Unlock()
	servers := m.store.Servers()
	for key, err := range m.store.Keys(ctx, recordPrefix, "") {
		if err != nil {
			return err
		}
		id := strings.TrimPrefix(key, recordPrefix)
		if slices.ContainsFunc(servers, isServer(id)) {
			continue
		}
		if err := n.dropRecord(ctx, m, id); err != nil {
			return err
		}
	}
	return nil
}

// Removed says whether this node knows that it was removed from its cluster.
func (n *Node) Removed() bool { return n.removed.Load() }

// markerFile says, through a restart, that this node was removed.
func (n *Node) markerFile() string { return filepath.Join(n.config.Dir, "removed-from-cluster") }

func (n *Node) loadRemoved() {
	if n.config.Dir == "" {
		return
	}
	_, err := os.Stat(n.markerFile())
	n.removed.Store(err == nil)
}

// noticeRemoval finds out whether this node is a member no more: by its own
// state, or, when no leader speaks to it, by the word of a member.
func (n *Node) noticeRemoval(ctx context.Context, m *member) {
	if n.removed.Load() || n.leaving.Load() {
		return
	}
	if errors.Is(m.admits(m.port.Identity().Serial()), cluster.ErrRemoved) {
		n.leave(ctx)
		return
	}
	servers := m.store.Servers()
	_, _, led := m.store.Leader()
	if led && slices.ContainsFunc(servers, isServer(n.config.NodeID)) {
		n.stays()
		return
	}
	if n.toldRemoved(ctx, m) {
		n.leave(ctx)
	}
}

// toldRemoved says whether a member says that this node was removed.
func (n *Node) toldRemoved(ctx context.Context, m *member) bool {
	for _, s := range m.store.Servers() {
		if s.ID == n.config.NodeID {
			continue
		}
		if out, err := m.port.Removed(ctx, s.Address); err == nil && out {
			return true
		}
	}
	return false
}

// leave stops serving for good: another member has said that this one was removed.
func (n *Node) leave(ctx context.Context) {
	if n.endToRejoin() {
		return
	}
	n.logger.Error("this node was removed from the cluster and serves no more; to let it join again, stop it, delete its storage folder and start it", "node_id", n.config.NodeID)
	n.removed.Store(true)
	if n.config.Dir != "" {
		text, _ := json.Marshal(map[string]any{"node_id": n.config.NodeID, "noticed": time.Now().UTC()})
		if err := os.WriteFile(n.markerFile(), append(text, '\n'), 0o600); err != nil {
			n.logger.Warn("this node has to ask again after a restart whether it was removed", "error", err)
		}
	}
	n.Seal(ctx)
}
