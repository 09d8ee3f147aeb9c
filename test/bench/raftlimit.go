package main

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

// The limit of writes: hashicorp/raft with raft-wal and Pebble as they come, plain TCP between the processes, no encryption, no HTTP, no policy, no
// conditions; the writers are goroutines of the leader. Entries have the size that the server's have.

// roleRaft is a node of that.
const roleRaft = "raft"

// rawNode is what such a child is told.
type rawNode struct {
	Dir   string   `json:"dir"`
	Self  int      `json:"self"`
	Addrs []string `json:"addrs"` // of all nodes; the first one leads
}

// rawLoad has the leader write, and rawResult is what came of it.
type (
	rawLoad struct {
		Writers int           `json:"writers"`
		Size    int           `json:"size"` // bytes of an entry
		Warmup  time.Duration `json:"warmup_ns"`
		Length  time.Duration `json:"length_ns"`
	}
	rawResult struct {
		Rate  float64 `json:"writes_per_second"`
		Error string  `json:"error,omitempty"`
	}
)

// serveRaft runs one node until in ends: it answers every load it reads.
func serveRaft(in io.Reader, out io.Writer) error {
	dec, enc := json.NewDecoder(bufio.NewReader(in)), json.NewEncoder(out)
	var n rawNode
	if err := dec.Decode(&n); err != nil {
		return err
	}
	r, closeAll, err := n.start()
	if err != nil {
		return err
	}
	defer closeAll()
	if err := enc.Encode(n.Self); err != nil {
		return err
	}
	for {
		var l rawLoad
		if err := dec.Decode(&l); err != nil {
			return nil // the parent has gone
		}
		res, err := l.run(r)
		if err != nil {
			res.Error = err.Error()
		}
		if err := enc.Encode(res); err != nil {
			return err
		}
	}
}

func (n rawNode) start() (*raft.Raft, func(), error) {
	logDir := filepath.Join(n.Dir, "log")
	if err := os.MkdirAll(logDir, 0o700); err != nil {
		return nil, nil, err
	}
	log, err := wal.Open(logDir, wal.WithSegmentSize(16<<20))
	if err != nil {
		return nil, nil, err
	}
	db, err := pebble.Open(filepath.Join(n.Dir, "state"), &pebble.Options{DisableWAL: true, MemTableSize: 8 << 20, Logger: quiet{}})
	if err != nil {
		return nil, nil, err
	}
	trans, err := raft.NewTCPTransport(n.Addrs[n.Self], nil, 3, 5*time.Second, io.Discard)
	if err != nil {
		return nil, nil, err
	}
	c := raft.DefaultConfig()
	c.LocalID, c.Logger = raft.ServerID(n.Addrs[n.Self]), hclog.NewNullLogger()
	c.MaxAppendEntries, c.BatchApplyCh = 256, true
	if n.Self == 0 {
		c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = 300*time.Millisecond, 300*time.Millisecond, 200*time.Millisecond
	}
	r, err := raft.NewRaft(c, &pairs{db: db}, log, log, raft.NewDiscardSnapshotStore(), trans)
	if err != nil {
		return nil, nil, err
	}
	if n.Self == 0 {
		var all raft.Configuration
		for _, a := range n.Addrs {
			all.Servers = append(all.Servers, raft.Server{ID: raft.ServerID(a), Address: raft.ServerAddress(a)})
		}
		if err := r.BootstrapCluster(all).Error(); err != nil {
			return nil, nil, err
		}
	}
	return r, func() { r.Shutdown().Error(); db.Close(); log.Close() }, nil
}

// run writes with that many goroutines, each after the answer to its last.
func (l rawLoad) run(r *raft.Raft) (rawResult, error) {
	for end := time.Now().Add(20 * time.Second); r.State() != raft.Leader; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return rawResult{}, errors.New("the first node does not lead")
		}
	}
	var phase atomic.Int32
	var wrote atomic.Int64
	var failed atomic.Pointer[error]
	var done sync.WaitGroup
	for range l.Writers {
		done.Go(func() {
			entry := make([]byte, l.Size)
			rand.Read(entry)
			for phase.Load() != over {
				measured := phase.Load() == measuring
				if err := r.Apply(entry, 0).Error(); err != nil {
					failed.Store(&err)
					return
				}
				if measured {
					wrote.Add(1)
				}
			}
		})
	}
	time.Sleep(l.Warmup)
	start := time.Now()
	phase.Store(measuring)
	time.Sleep(l.Length)
	n, elapsed := wrote.Load(), time.Since(start)
	phase.Store(over)
	done.Wait()
	if err := failed.Load(); err != nil {
		return rawResult{}, *err
	}
	return rawResult{Rate: float64(n) / elapsed.Seconds()}, nil
}

// pairs is the state machine: an entry becomes one pair, and the applied index goes with the batch.
type pairs struct{ db *pebble.DB }

// Apply implements raft.FSM.
func (p *pairs) Apply(l *raft.Log) any { return p.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch implements raft.BatchingFSM.
func (p *pairs) ApplyBatch(logs []*raft.Log) []any {
	b := p.db.NewBatch()
	defer b.Close()
	var last []byte
	for _, l := range logs {
		last = binary.BigEndian.AppendUint64(nil, l.Index)
		b.Set(append([]byte("d/"), last...), l.Data, nil)
	}
	b.Set([]byte("applied"), last, nil)
	out := make([]any, len(logs))
	if err := b.Commit(pebble.NoSync); err != nil {
		for i := range out {
			out[i] = err
		}
	}
	return out
}

// Snapshot implements raft.FSM.
func (*pairs) Snapshot() (raft.FSMSnapshot, error) { return nil, raft.ErrNothingNewToSnapshot }

// Restore implements raft.FSM.
func (*pairs) Restore(r io.ReadCloser) error { return r.Close() }

// quiet is a pebble.Logger.
type quiet struct{}

// Infof implements pebble.Logger.
func (quiet) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (quiet) Errorf(string, ...any) {}

// Fatalf implements pebble.Logger.
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// rawRaft measures that many nodes under dir.
func rawRaft(dir string, nodes int, l rawLoad) (float64, error) {
	var addrs []string
	for range nodes {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		defer ln.Close() // all are held until all are known
		addrs = append(addrs, ln.Addr().String())
		ln.Close()
	}
	var leader *child
	for i := nodes - 1; i >= 0; i-- { // the leader last
		var hello int
		c, err := startTalking(roleRaft, rawNode{filepath.Join(dir, fmt.Sprint(i)), i, addrs}, &hello)
		if err != nil {
			return 0, err
		}
		defer c.stop()
		leader = c
	}
	if err := json.NewEncoder(leader.in).Encode(l); err != nil {
		return 0, err
	}
	var res rawResult
	if err := json.NewDecoder(leader.out).Decode(&res); err != nil {
		return 0, err
	}
	if res.Error != "" {
		return 0, errors.New("raw Raft: " + res.Error)
	}
	return res.Rate, nil
}

// entrySize is the length in bytes of the last entry in the log of a server that has stopped.
func entrySize(dataDir string) (int, error) {
	w, err := wal.Open(filepath.Join(dataDir, "raft", "raft"))
	if err != nil {
		return 0, err
	}
	defer w.Close()
	last, err := w.LastIndex()
	if err != nil {
		return 0, err
	}
	for ; last > 0; last-- {
		var l raft.Log
		if err := w.GetLog(last, &l); err != nil {
			return 0, err
		}
		if l.Type == raft.LogCommand {
			return len(l.Data), nil
		}
	}
	return 0, errors.New("the log holds no entry")
}
