package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"strongroom/internal/cluster"
	"strongroom/internal/storage"
)

// How a member leaves its cluster for good (docs/adr/0014): before it stops, it asks the active node, over the cluster port, to remove the one whose
// certificate it shows, itself. A file says so from before it asks, and that it was done once the cluster has said so. A start that finds
// both sets what the node knew aside and joins anew; one that finds only the question goes on as a member until it knows.

const (
	leavePath  = "/cluster/v1/leave"
	leaveLimit = 3 * time.Second        // of one question: the active node asks all others how they are
	leavePause = 100 * time.Millisecond // between two

	leavingFile = "leaving-cluster" // in Config.Dir; an intention
	asideFolder = "left-cluster"    // in Config.Dir: what a node knew before it left
)

// intention is what leavingFile holds.
type intention struct {
	NodeID string    `json:"node_id"`
	Serial string    `json:"serial"` // of the certificate by which it was a member
	Time   time.Time `json:"time"`
	Left   bool      `json:"left"` // the cluster has said that it is no member
}

var (
	errLastVoter = errors.New("no other member has a vote: the last one cannot leave")
	errLeft      = errors.New("this node had asked to leave its cluster, and was removed: restart it to join anew")
)

// PrepareToLeave tells the others that this node is about to leave, so that none of them hands leadership to it.
func (n *Node) PrepareToLeave() { n.leaving.Store(true) }

// Leave ends this node's membership, after which only Close is left to do. It tries until ctx ends. With an error this node is a member still, as far
// as it knows; should it not be, it finds out after the next start. A node that belongs to no cluster has nothing to leave.
func (n *Node) Leave(ctx context.Context) error {
	m := n.member.Load()
	if m == nil || n.removed.Load() { // whom somebody has removed stays removed
		return nil
	}
	if m.port == nil {
		return errLastVoter
	}
	n.leaving.Store(true)
	voters := 0
	for _, s := range m.store.Servers() {
		if s.Voter && s.ID != n.config.NodeID {
			voters++
		}
	}
	if voters == 0 {
		return errLastVoter
	}
	in := intention{NodeID: n.config.NodeID, Serial: m.port.Identity().Serial(), Time: time.Now().UTC()}
	if err := n.saveIntention(in); err != nil {
		return err
	}
	for {
		err := n.askToLeave(ctx, m)
		if err == nil {
			break
		}
		if !pause(ctx, leavePause, nil) {
			return fmt.Errorf("node: the cluster has not confirmed that this node is out: %w", err)
		}
	}
	n.removed.Store(true)
	n.logger.Info("this node has left the cluster", "node_id", n.config.NodeID)
	in.Serial, in.Left = m.port.Identity().Serial(), true
	return n.saveIntention(in)
}

// askToLeave asks once; nil is the cluster's word that this node is out.
func (n *Node) askToLeave(ctx context.Context, m *member) error {
	if errors.Is(m.admits(m.port.Identity().Serial()), cluster.ErrRemoved) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, leaveLimit)
	defer cancel()
	l, ok := n.Leader()
	switch {
	case !ok && n.toldRemoved(ctx, m): // so nobody leads it any more
		return nil
	case !ok:
		return errors.New("no leader is known")
	case l.Self:
		err := n.stepAside(ctx)
		if errors.Is(err, errNobodyElse) { // one that is sealed can remove this node, and serves when it is unsealed; left alone it could not
			err = n.stepAsideFor(ctx, canLead)
		}
		if err != nil {
			return fmt.Errorf("the active node cannot leave before it has handed over: %w", err)
		}
		return errors.New("another node is about to lead")
	}
	err := n.callPeerFor(ctx, leaveLimit, http.MethodPost, l.ClusterAddr, leavePath, nil)
	if err == nil {
		return nil
	}
	// The answer may have been lost with the connection, which ends with the membership.
	if out, unknown := m.port.Removed(ctx, l.ClusterAddr); unknown == nil && out {
		return nil
	}
	return err
}

// serveLeave removes the member that asks, and no other.
func (n *Node) serveLeave(w http.ResponseWriter, r *http.Request) {
	id, _ := cluster.PeerID(r.Context())
	if err := n.dismiss(r.Context(), id); err != nil {
		n.logger.Warn("a node that wants to leave the cluster stays", "node_id", id, "error", err)
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

// dismiss removes id on its own wish, unless the others would have no majority without it: that would take effect, and could be neither completed nor undone.
func (n *Node) dismiss(ctx context.Context, id string) error {
	m := n.member.Load()
	if m == nil || m.term.Load() == 0 { // a sealed leader will do: nothing of this is behind the barrier
		return storage.ErrNotLeader
	}
	leaver, ok := find(m.store.Servers(), id)
	if !ok { // removed already; its certificate may have been left
		return n.dropStrays(ctx, m)
	}
	told := n.survey(ctx, m)
	voters, well := 0, 0
	for _, s := range m.store.Servers() {
		if !s.Voter || s.ID == id {
			continue
		}
		voters++
		if _, answers := told[s.ID]; answers {
			well++
		}
	}
	if leaver.Voter && 2*well <= voters {
		return fmt.Errorf("of the %d other voters only %d answer, which is no majority: without %q nothing could be written", voters, well, id)
	}
	return n.remove(ctx, m, id)
}

// mayRejoin says whether this node can join anew by itself, and nobody wants to make a cluster of what it has.
func (n *Node) mayRejoin() bool {
	_, err := os.Stat(filepath.Join(n.raftDir(), "peers.json"))
	return len(n.config.RetryJoin) > 0 && errors.Is(err, fs.ErrNotExist)
}

// resumeLeaving does what is left to do of what an earlier process began: it sets the state of a node that has left aside.
func (n *Node) resumeLeaving() error {
	if n.config.Dir == "" {
		return nil
	}
	in, err := n.loadIntention()
	if err != nil || in == nil {
		return err
	}
	identity, err := n.loadIdentity()
	switch {
	case err != nil:
		return err
	case identity != nil && identity.Serial() != in.Serial: // it has become a member again since
		return n.forgetIntention()
	case !in.Left:
		n.intent.Store(in)
		return nil
	case !n.mayRejoin():
		n.logger.Error("this node has left its cluster; to let it join again by itself, add retry_join to its configuration", "node_id", n.config.NodeID)
		return nil
	}
	if err := n.setAside(identity != nil); err != nil {
		return fmt.Errorf("node: set the state from before this node left its cluster aside: %w", err)
	}
	n.logger.Info("this node had left its cluster and joins anew; what it knew before is kept", "folder", filepath.Join(n.config.Dir, asideFolder))
	return n.forgetIntention()
}

// setAside moves the identity and then all else to asideFolder, in place of what an earlier departure has left there. Without an identity, it
// was interrupted after that.
func (n *Node) setAside(begin bool) error {
	aside := filepath.Join(n.config.Dir, asideFolder)
	if begin {
		if err := os.RemoveAll(aside); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	if begin {
		err := os.Rename(n.identityFile(), filepath.Join(aside, filepath.Base(n.identityFile())))
		if err = errors.Join(err, syncFolder(aside), syncFolder(n.config.Dir)); err != nil { // it goes first, after a power cut too
			return err
		}
	}
	for _, path := range []string{n.raftDir(), n.markerFile()} {
		if err := os.Rename(path, filepath.Join(aside, filepath.Base(path))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return errors.Join(syncFolder(aside), syncFolder(n.config.Dir))
}

// endToRejoin ends this process, by Failed, if the removal that it has heard of is the one that it had asked for.
func (n *Node) endToRejoin() bool {
	in := n.intent.Swap(nil)
	if in == nil || !n.mayRejoin() {
		return false
	}
	in.Left = true
	if err := n.saveIntention(*in); err != nil {
		n.logger.Error("cannot store that this node has left its cluster", "error", err)
		return false
	}
	n.removed.Store(true)
	select {
	case n.failed <- errLeft:
	default: // it ends already
	}
	return true
}

// stays forgets an unanswered question of an earlier process: this node is a member.
func (n *Node) stays() {
	if n.intent.Swap(nil) == nil {
		return
	}
	n.logger.Info("this node had asked to leave the cluster, and is a member still", "node_id", n.config.NodeID)
	if err := n.forgetIntention(); err != nil {
		n.logger.Warn("cannot forget that this node wanted to leave", "error", err)
	}
}

func (n *Node) loadIntention() (*intention, error) {
	text, err := os.ReadFile(filepath.Join(n.config.Dir, leavingFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	in, err := parseIntention(text)
	if err != nil || in.NodeID != n.config.NodeID {
		return nil, fmt.Errorf("node: %s is damaged or another node's: delete it, and this node asks its cluster whether it is a member", filepath.Join(n.config.Dir, leavingFile))
	}
	return in, nil
}

func parseIntention(text []byte) (*intention, error) {
	var in intention
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, err
	}
	if in.NodeID == "" || in.Serial == "" {
		return nil, errors.New("it names no node")
	}
	return &in, nil
}

// saveIntention stores in as a whole or not at all, whenever the power goes.
func (n *Node) saveIntention(in intention) error {
	if n.config.Dir == "" {
		return nil
	}
	text, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	path := filepath.Join(n.config.Dir, leavingFile)
	f, err := os.CreateTemp(n.config.Dir, leavingFile+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("node: store that this node leaves: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("node: store that this node leaves: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return syncFolder(n.config.Dir)
}

func (n *Node) forgetIntention() error {
	if err := os.Remove(filepath.Join(n.config.Dir, leavingFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("node: %w", err)
	}
	return syncFolder(n.config.Dir)
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	return nil
}
