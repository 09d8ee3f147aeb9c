// Package node owns what state this server is in: uninitialized, sealed,
// standby or active. One goroutine builds and drops the Session as leadership
// and the seal come and go; ceremonies (init, unseal, join) run one at a time
// beside it. It serves no requests itself.
package node

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/engine"
	"strongroom/internal/active"
	"strongroom/internal/audit"
	"strongroom/internal/barrier"
	"strongroom/internal/cluster"
	"strongroom/internal/declare"
	"strongroom/internal/lockout"
	"strongroom/internal/metrics"
	"strongroom/internal/mount"
	"strongroom/internal/seal"
	"strongroom/internal/storage"
	"strongroom/internal/storage/raftstore"
	"strongroom/internal/sys"
)

// Stored outside the barrier, being what a sealed node must know.
const (
	sealPath   = "core/seal"   // seal.Config
	namePath   = "core/name"   // clusterName
	leaderPath = "core/leader" // leaderRecord
)

// Stored inside the barrier: the cluster's certificate authority.
const caPath = "core/cluster-ca"

// Config describes a node.
type Config struct {
	NodeID      string
	Dir         string // of its data; "" keeps everything in memory
	StorageType string // as configured: "raft", "file" or "inmem"
	ClusterBind string // address the cluster port listens on; "" for a node that stays alone
	ClusterAddr string // the same as other nodes reach it, host:port
	APIAddr     string // as clients reach it, a URL
	ClusterName string // "" makes one up
	RetryJoin   []JoinTarget
	PeerUnseal  *PeerUnseal // nil: peers neither unseal this node nor are unsealed by it
	NonVoter    bool        // join without a vote, for good
	Seal        seal.Auto   // nil: Shamir
	OldSeal     seal.Auto   // to migrate from; its stanza is disabled. nil: none
	Types       map[string]mount.Type
	Limits      mount.Limits
	Raft        raftstore.Config // timeouts only; the rest is filled in
	Version     string
	BuildDate   string
	RootToken   string // for development servers: the initial root token
	Logger      hclog.Logger
	Metrics     *metrics.Registry // nil: nothing is measured
	Inspect     sys.Inspect
	Lockout     lockout.Defaults
	Audit       *audit.Log // nil: no audit device
	// Declared is applied to a new cluster; nil: nothing. A node that unseals itself,
	// and is the one to found the cluster, then initializes it too.
	Declared *declare.Plan
	Founder  bool
}

// JoinTarget is a node that may know the cluster to join.
type JoinTarget struct {
	LeaderAPIAddr string
	TLS           *tls.Config // nil: the system's roots
	// Resolve, if set, finds the targets that this one stands for; see AutoJoin.
	Resolve func(ctx context.Context) ([]JoinTarget, error)
}

// Session is what serves requests while the node is active.
type Session = *active.Session

// Node is one server. Safe for concurrent use.
type Node struct {
	config  Config
	logger  hclog.Logger
	member  atomic.Pointer[member]
	session atomic.Pointer[active.Session]
	reader  atomic.Pointer[active.Session] // serves reads on an unsealed standby
	reads   readIndex
	forward http.Handler // serves what other nodes forward

	ceremony   seal.Ceremony
	turn       chan struct{} // holds one ceremony at a time: init, unseal, join
	membership membership
	ceremonies ceremonies // rekey, generate-root
	pending    atomic.Pointer[invitation]
	alone      alone
	removed    atomic.Bool               // from the cluster, as another member has said
	leaving    atomic.Bool               // the cluster, soon
	intent     atomic.Pointer[intention] // to leave, of an earlier process; nil: none, or it is known what became of it
	restoring  atomic.Bool               // a snapshot is being restored: no Session begins
	looked     atomic.Int64              // when no node of retry_join invited this one, Unix nanoseconds

	unsealer      unsealer
	declaring     declaring
	autoJoinError atomic.Pointer[string] // the last one that was logged

	watch   watch
	failed  chan error      // why the node can go on no more
	changed chan struct{}   // tells the loop to look again
	retryAt time.Time       // the loop's: when to try again to become active
	ctx     context.Context // ends with the node
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// member is the node's part in its cluster: from initialization or joining on.
type member struct {
	store   *raftstore.Store
	barrier *barrier.Barrier
	opened  atomic.Bool       // store can be asked
	since   time.Time         // when it was opened
	port    *cluster.Listener // nil for a node that stays alone
	term    atomic.Uint64     // of this node's leadership; 0 without
	lease   lease             // for answering from this node's own state

	replaced atomic.Uint64 // how often the state had been replaced when the Session was last dropped for it

	clusterID atomic.Pointer[knownID]
}

// New makes a node; Start makes it run.
func New(config Config) *Node {
	n := &Node{config: config, logger: config.Logger, turn: make(chan struct{}, 1), changed: make(chan struct{}, 1), failed: make(chan error, 1)}
	n.membership.poked = make(chan struct{}, 1)
	n.watch.last, n.watch.changed = n.condition(), make(chan struct{})
	n.ctx, n.stop = context.WithCancel(context.Background())
	config.Metrics.Watch(n.gauges)
	return n
}

// Start brings the node to the state its data has it in, and serves what other
// nodes forward with forwarded. Close ends it.
func (n *Node) Start(forwarded http.Handler) error {
	n.forward = forwarded
	if err := n.resumeLeaving(); err != nil {
		return err
	}
	identity, err := n.loadIdentity()
	if err != nil {
		return err
	}
	if identity != nil {
		if _, err := n.enter(identity); err != nil {
			return err
		}
	} else if len(n.config.RetryJoin) > 0 {
		n.done.Go(func() { n.seekCluster(n.ctx) })
	}
	n.startSeals()
	if n.config.PeerUnseal != nil {
		n.done.Go(func() { n.askPeers(n.ctx) })
	}
	n.done.Go(func() { n.run(n.ctx) })
	n.tendMembership()
	return nil
}

// Close stops the node; what it acknowledged is on disk.
func (n *Node) Close() error {
	n.HandOver()
	n.stop()
	n.done.Wait()
	n.endSession()
	m := n.member.Load()
	if m == nil {
		return nil
	}
	m.barrier.Seal()
	return m.close()
}

// HandOver gives leadership to another node before this one ends, if there is one to take it, so that nobody waits for an election. This one goes
// on as a standby. It takes three seconds at most, and nothing if this node does not lead.
func (n *Node) HandOver() {
	m := n.member.Load()
	if m == nil || m.port == nil || n.session.Load() == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := n.stepAside(ctx); err != nil {
		n.logger.Info("stopping without handing leadership over", "reason", err)
	}
}

func (m *member) close() error {
	err := m.store.Close()
	if m.port != nil {
		err = errors.Join(err, m.port.Close())
	}
	return err
}

// Session serves requests if this node is active; nil otherwise.
func (n *Node) Session() Session { return n.session.Load() }

// Reader serves reads from this standby's own state, each after CatchUp; nil if
// this node is sealed, or active.
func (n *Node) Reader() Session { return n.reader.Load() }

// Failed yields an error when the node can do nothing more before a restart: its
// storage can apply nothing, or it has to join anew. The process should end with it.
func (n *Node) Failed() <-chan error { return n.failed }

// poke makes the loop look again.
func (n *Node) poke() {
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// run owns the Session: it exists exactly while the node leads and is unsealed.
func (n *Node) run(ctx context.Context) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		var leadership <-chan uint64
		var failed <-chan struct{}
		m := n.member.Load()
		if m != nil {
			leadership, failed = m.store.Leadership(), m.store.Failed()
		}
		select {
		case <-ctx.Done():
			return
		case term := <-leadership:
			if m.term.Swap(term) != term {
				n.endSession() // at once: it served the term that is over
			}
		case <-failed:
			n.endSession()
			n.failed <- fmt.Errorf("the storage failed and this node stops; restart it to replay its log: %w", m.store.Err())
			return
		case <-n.changed:
		case <-tick.C:
		}
		if m != nil {
			n.settle(ctx, m)
		}
		n.tell()
	}
}

// settle makes the Session fit leadership and seal.
func (n *Node) settle(ctx context.Context, m *member) {
	n.followRestore(ctx, m)
	leads, sealed := m.term.Load() != 0, m.barrier.Sealed()
	n.settleReader(ctx, m, !leads && !sealed)
	switch has := n.session.Load() != nil; {
	case has && (!leads || sealed):
		n.endSession()
	case !has && n.restoring.Load():
	case !has && leads && !sealed:
		if time.Now().Before(n.retryAt) {
			return
		}
		if err := n.beginSession(ctx, m); err != nil && ctx.Err() == nil {
			n.logger.Error("cannot become active; trying again", "error", err)
			n.retryAt = time.Now().Add(time.Second)
		}
	case leads && sealed:
		n.handOver(ctx, m)
	}
}

// followKeyring has the barrier take the keyring that is stored now, after a
// rotation, a rekey or a restore anywhere in the cluster. The barrier seals
// itself if it cannot be opened with what this node knows.
func (n *Node) followKeyring(ctx context.Context, m *member) {
	if m.barrier.Sealed() {
		return
	}
	if err := m.barrier.Refresh(ctx); err != nil && ctx.Err() == nil {
		n.logger.Error("cannot follow the keyring", "error", err, "sealed", m.barrier.Sealed())
	}
}

// settleReader makes the standby's Session exist or not.
func (n *Node) settleReader(ctx context.Context, m *member, wanted bool) {
	switch has := n.reader.Load() != nil; {
	case has && !wanted:
		n.reader.Store(nil) // it runs nothing: what it serves at the moment ends by itself
	case !has && wanted && m.port != nil:
		s, err := active.Open(ctx, n.sessionConfig(m, true))
		if err != nil { // behind, most likely: this node has not received everything yet
			n.logger.Debug("cannot serve reads yet", "error", err)
			return
		}
		n.reader.Store(s)
	}
}

func (n *Node) sessionConfig(m *member, standby bool) active.Config {
	return active.Config{Store: m.barrier, Types: n.config.Types, Limits: n.config.Limits, Node: nodeAPI{n}, Logger: n.logger, Audit: n.config.Audit, Standby: standby,
		Version: n.config.Version, BuildDate: n.config.BuildDate, Metrics: n.config.Metrics, Inspect: n.config.Inspect, Lockout: n.config.Lockout}
}

func (n *Node) beginSession(ctx context.Context, m *member) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	rec := leaderRecord{NodeID: n.config.NodeID, APIAddr: n.config.APIAddr, ClusterAddr: n.config.ClusterAddr, Since: time.Now().UTC()}
	tx := storage.Begin(m.store)
	if err := storage.PutJSON(tx, leaderPath, rec); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("node: record leadership: %w", err)
	}
	s, err := active.Open(ctx, n.sessionConfig(m, false))
	if err != nil {
		return err
	}
	n.session.Store(s)
	n.startDeclaring(m, s)
	n.logger.Info("this node is active", "node_id", n.config.NodeID, "term", m.term.Load())
	return nil
}

func (n *Node) endSession() {
	s := n.session.Swap(nil)
	if s == nil {
		return
	}
	n.dropChallenger()
	n.endCeremonies()
	n.declaring.end()
	s.Close()
	n.logger.Info("this node is no longer active", "node_id", n.config.NodeID)
}

// handOver gives leadership to an unsealed node, if there is one: a sealed
// leader serves nobody.
func (n *Node) handOver(ctx context.Context, m *member) {
	if m.port == nil {
		return
	}
	for _, s := range m.store.Servers() {
		if s.ID == n.config.NodeID || !s.Voter {
			continue
		}
		st, err := n.askState(ctx, s.Address)
		if err != nil || !canServe(st) {
			continue
		}
		n.logger.Info("sealed and leading: handing leadership over", "to", s.ID)
		if err := m.transfer(ctx, s.ID); err == nil {
			return
		}
	}
}

// leaderRecord is what the active node says of itself to all others.
type leaderRecord struct {
	NodeID      string    `json:"node_id"`
	APIAddr     string    `json:"api_addr"`
	ClusterAddr string    `json:"cluster_addr"`
	Since       time.Time `json:"since"`
}

// LeaderInfo is where the active node is.
type LeaderInfo struct {
	leaderRecord
	Self bool
}

// Leader returns the node that leads, if one is known. APIAddr and Since are
// empty as long as this node has not heard the leader's own word.
func (n *Node) Leader() (LeaderInfo, bool) {
	m := n.member.Load()
	if m == nil {
		return LeaderInfo{}, false
	}
	id, addr, ok := m.store.Leader()
	if !ok {
		return LeaderInfo{}, false
	}
	info := LeaderInfo{leaderRecord{NodeID: id, ClusterAddr: addr}, id == n.config.NodeID}
	var rec leaderRecord
	if e, err := m.store.Get(context.Background(), leaderPath); err == nil && json.Unmarshal(e.Value, &rec) == nil && rec.NodeID == id {
		info.APIAddr, info.Since = rec.APIAddr, rec.Since
	}
	return info, true
}

// Leaderless is for how long this node has heard of no leader; 0 while it knows one.
func (n *Node) Leaderless() time.Duration {
	m := n.member.Load()
	if m == nil {
		return 0
	}
	if _, _, ok := m.store.Leader(); ok {
		return 0
	}
	heard := m.store.Stats().LastContact // when it lost the lead, of a node that led
	if heard.IsZero() {
		heard = m.since
	}
	return time.Since(heard)
}

// Position is the cluster's id and how far this node's state goes; "" if unknown.
func (n *Node) Position() (clusterID string, index uint64) {
	m := n.member.Load()
	if m == nil {
		return "", 0
	}
	replaced := m.store.Replaced()
	known := m.clusterID.Load()
	if known == nil || known.replaced != replaced {
		var name clusterName
		if e, err := m.store.Get(context.Background(), namePath); err != nil || json.Unmarshal(e.Value, &name) != nil || name.ID == "" {
			return "", 0
		}
		known = &knownID{name.ID, replaced}
		m.clusterID.Store(known)
	}
	return known.id, m.store.Applied()
}

// knownID is the cluster's id, which only a restore can change.
type knownID struct {
	id       string
	replaced uint64 // raftstore.Store.Replaced when it was read
}

// Peer is the way to another node's cluster port.
func (n *Node) Peer(addr string) http.RoundTripper {
	m := n.member.Load()
	if m == nil || m.port == nil {
		return noPeer{}
	}
	return m.port.RoundTripper(addr)
}

type noPeer struct{}

func (noPeer) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("node: this node has no cluster port")
}

var errNotMember = engine.Errorf(engine.Unavailable, "Vault is not initialized")
