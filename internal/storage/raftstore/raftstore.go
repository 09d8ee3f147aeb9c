// Package raftstore is the durable storage.Store: a log replicated by
// hashicorp/raft and kept by raft-wal, and a state in Pebble that every node
// computes from it. It owns the storage folder, membership and leadership. It
// never sees plaintext (the barrier above encrypts) and listens to no port (its
// caller brings the transport).
//
// Reads come from this node's own state, which on a node that does not lead, or
// that has just started, may be older than what was acknowledged elsewhere; a
// term on Leadership says that everything is there.
//
// docs/format/raft-entry.md specifies every byte it writes.
package raftstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"golang.org/x/sync/semaphore"
)

// Config says where a Store keeps its files and how it reaches its peers.
type Config struct {
	// Dir is the storage folder, made if absent; one process at a time. ""
	// keeps everything in memory, with the same code, until Close.
	Dir string
	// NodeID names this node in the cluster for as long as the folder lives.
	NodeID string
	// Transport carries Raft's messages. It is the Store's from Open on: Close, or
	// an Open that fails, closes it. nil is a node that will never have peers.
	Transport raft.Transport
	// Logger is for Raft and the state; nil is silence.
	Logger hclog.Logger
	// Heartbeat is how long a follower waits for its leader before it stands
	// for election; 0 is DefaultHeartbeat. Failover takes one to two and a half
	// times as long.
	Heartbeat time.Duration
	// TrailingLogs is how many entries stay in the log, behind what is durable
	// in the state, for followers to catch up from; 0 is 10,000.
	TrailingLogs uint64

	maxLog int64 // for tests; 0 is maxLog
}

// DefaultHeartbeat lets a cluster survive short pauses of a small machine and
// replaces a killed leader within about one to one and a half seconds.
const DefaultHeartbeat = 600 * time.Millisecond

const (
	// maxAppend is the most entries in one write to the log, one message and
	// one Pebble batch.
	maxAppend = 256
	// maxInflight bounds the bytes of entries that have been accepted and not
	// answered. An entry counts as minWeight at least, so there are never more
	// of them than Raft's queue holds and handing one over never blocks.
	maxInflight = 64 << 20
	minWeight   = maxInflight / maxAppend
	// maxWaiters and maxWaiting bound the writes, and the bytes of their entries,
	// that wait for room in flight; beyond, storage.ErrBusy.
	maxWaiters = 4096
	maxWaiting = 64 << 20

	// maxLog is what the log may take of the disk, in bytes and roughly, before it
	// is cut shorter than TrailingLogs says, to minTrailing entries at the least.
	maxLog      = 128 << 20
	minTrailing = 64

	snapshotEvery     = 5 * time.Second // how often the log is considered for truncation
	snapshotThreshold = 8192            // entries

	// flushEvery is how often a state that has changed is made durable. A node
	// that is killed and finds no quorum afterwards knows no more than that of
	// its data: a sealed one needs its seal's configuration, at least.
	flushEvery = 2 * time.Second
)

// Store is one node's storage. Make one with Open.
type Store struct {
	raft      *raft.Raft
	home      *home
	fsm       *fsm
	log       logStore
	logFile   io.Closer
	ending    context.Context // done once Close waits for nobody any more
	stop      context.CancelFunc
	transport raft.Transport
	id        raft.ServerID
	addr      raft.ServerAddress
	logger    hclog.Logger
	inflight  *semaphore.Weighted
	groups    groups
	waiters   atomic.Int64 // writes that wait for inflight
	waiting   atomic.Int64 // the bytes of their entries
	// restoring is held by the one Restore that runs.
	restoring sync.Mutex
	// shutdown stops Raft once; Raft lets only the first caller wait for the end.
	shutdown func() raft.Future

	settled  atomic.Uint64 // all batches up to this index are in the state
	trailing uint64        // TrailingLogs, as configured
	maxLog   int64         // bytes
	bounded  uint64        // the applied index when the log was last cut for its size

	terms   chan uint64
	running sync.WaitGroup // watch and flushes
	closing atomic.Bool
	closed  chan struct{}
}

// Open opens or makes the storage folder and starts Raft. A node without state
// waits for Bootstrap, or for a leader to add it. A peers.json in the folder
// replaces the membership first, as a quorum lost for good demands. Errors: the
// folder is in use, of another release, or corrupt; peers.json is malformed.
func Open(cfg Config) (*Store, error) {
	if cfg.Dir == "" {
		return open(cfg, vfs.NewMem(), func(context.Context, hclog.Logger) (logStore, io.Closer, error) {
			l := memLog{raft.NewInmemStore()}
			return l, l, nil
		})
	}
	return open(cfg, vfs.Default, func(ctx context.Context, logger hclog.Logger) (logStore, io.Closer, error) {
		return openLog(ctx, cfg.Dir, logger)
	})
}

// open is Open on the file system fs with the log that openLog opens, whose ctx
// ends when the Store closes.
func open(cfg Config, fs vfs.FS, openLog func(ctx context.Context, logger hclog.Logger) (logStore, io.Closer, error)) (_ *Store, err error) {
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	defer func() {
		if t, ok := cfg.Transport.(raft.WithClose); ok && err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	if cfg.NodeID == "" {
		return nil, errors.New("raftstore: no node id: set node_id in the storage stanza")
	}
	dir := cfg.Dir
	if dir == "" {
		dir = "/mem"
	}
	h, err := openHome(fs, dir, cfg.Logger)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	f, err := newFSM(h, cfg.Logger)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	log, logFile, err := openLog(ctx, cfg.Logger)
	if err != nil {
		stop()
		return nil, err
	}
	defer func() {
		if err != nil {
			stop()
			err = errors.Join(err, logFile.Close())
		}
	}()
	if err := h.sync(); err != nil { // the log's own folder is new, perhaps
		return nil, err
	}
	if err := mend(log, h.manifest, f.applied.Load()); err != nil {
		return nil, err
	}
	if err := recoverPeers(h, f, log, raft.ServerID(cfg.NodeID)); err != nil {
		return nil, err
	}
	if cfg.Transport == nil {
		_, cfg.Transport = raft.NewInmemTransport(raft.ServerAddress(cfg.NodeID))
	}
	s := &Store{
		home: h, fsm: f, log: log, logFile: logFile, logger: cfg.Logger,
		id: raft.ServerID(cfg.NodeID), addr: cfg.Transport.LocalAddr(),
		inflight: semaphore.NewWeighted(maxInflight), ending: ctx, stop: stop, transport: cfg.Transport,
		terms: make(chan uint64, 1), closed: make(chan struct{}),
	}
	notify := make(chan bool, 8) // a true and a false can wait here while watch waits for a barrier
	rc := raftConfig(cfg, notify)
	s.trailing, s.maxLog = rc.TrailingLogs, cmp.Or(cfg.maxLog, maxLog)
	if s.raft, err = startRaft(rc, f, log, snapshots{h}, cfg.Transport); err != nil {
		return nil, err
	}
	s.shutdown = sync.OnceValue(s.raft.Shutdown)
	s.running.Go(func() { s.watch(notify) })
	s.running.Go(s.flushes)
	return s, nil
}

func raftConfig(cfg Config, notify chan<- bool) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(cfg.NodeID)
	c.Logger = cfg.Logger
	c.NotifyCh = notify
	c.HeartbeatTimeout = cfg.Heartbeat
	if cfg.Heartbeat == 0 {
		c.HeartbeatTimeout = DefaultHeartbeat
	}
	c.ElectionTimeout = c.HeartbeatTimeout
	// Shorter than any follower waits: an old leader steps down before a new one
	// can be elected.
	c.LeaderLeaseTimeout = c.HeartbeatTimeout * 3 / 4
	c.MaxAppendEntries = maxAppend
	c.BatchApplyCh = true
	c.TrailingLogs = cfg.TrailingLogs
	if cfg.TrailingLogs == 0 {
		c.TrailingLogs = 10_000
	}
	c.SnapshotInterval = snapshotEvery
	c.SnapshotThreshold = snapshotThreshold
	// The state in Pebble is at least as new as the recorded snapshot.
	c.NoSnapshotRestoreOnStart = true
	// A removed node keeps answering reads and can be told so; it cannot elect
	// itself, because it has no vote.
	c.ShutdownOnRemove = false
	c.NoLegacyTelemetry = true
	return c
}

// startRaft turns Raft's panic about an unreadable log into an error.
func startRaft(c *raft.Config, f *fsm, log logStore, snaps snapshots, trans raft.Transport) (r *raft.Raft, err error) {
	defer func() {
		if p := recover(); p != nil {
			cause, ok := p.(error)
			if !ok {
				cause = fmt.Errorf("%v", p)
			}
			err = fmt.Errorf("raftstore: start Raft: %w", cause)
		}
	}()
	if r, err = raft.NewRaft(c, f, log, log, snaps, trans); err != nil {
		return nil, fmt.Errorf("raftstore: start Raft: %w", err)
	}
	return r, nil
}

// Close stops Raft, flushes the state and gives the folder up. Iterations under
// way must end before it returns; calls after it report storage.ErrClosed. It
// does not hand leadership over: see Transfer.
func (s *Store) Close() error {
	if s.closing.Swap(true) {
		<-s.closed
		return nil
	}
	s.home.closing.Store(true)
	// Let the writes under way learn their outcome. Without a quorum the lease
	// ends them; the limit is for a disk that hangs.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	_ = s.inflight.Acquire(ctx, maxInflight) // out of patience: their callers learn ErrUnknownOutcome
	cancel()
	s.stop()
	ended := s.shutdown()
	// A state that is being sent to a peer which takes nothing more must not hold
	// Raft's end up.
	if t, ok := s.transport.(raft.WithClose); ok {
		_ = t.Close() // again by Raft, which says what is wrong
	}
	err := ended.Error()
	close(s.closed)
	s.running.Wait()
	return errors.Join(err, s.home.close(), s.logFile.Close())
}
