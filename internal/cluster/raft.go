package cluster

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

const (
	raftPool    = 3
	raftTimeout = 5 * time.Second
	// stallLimit is how long a peer may take nothing of what it is sent before
	// the connection is given up. Raft alone gives a state 5 s for each 256 KiB:
	// hours, during which a peer that hangs would hold the log.
	stallLimit = 30 * time.Second
)

// StreamLayer is the Raft part of the port. Use Transport unless a transport of
// another kind is wanted.
func (l *Listener) StreamLayer() raft.StreamLayer {
	return &streams{l: l, open: map[*peerConn]struct{}{}}
}

type streams struct {
	l *Listener

	mu     sync.Mutex
	open   map[*peerConn]struct{} // dialed
	closed bool
}

// Accept implements net.Listener.
func (s *streams) Accept() (net.Conn, error) { return s.l.raft.Accept() }

// Close implements net.Listener: it ends Raft's connections, whatever is under
// way on them; the rest of the port lives on.
func (s *streams) Close() error {
	s.mu.Lock()
	s.closed = true
	open := slices.Collect(maps.Keys(s.open))
	s.mu.Unlock()
	for _, c := range open {
		_ = c.Close() // the peer learns it, or is gone
	}
	return s.l.raft.Close()
}

// Addr implements net.Listener: the advertised address.
func (s *streams) Addr() net.Addr { return address(s.l.cfg.Advertise) }

// Dial implements raft.StreamLayer. An address made by target names who must
// answer.
func (s *streams) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx := context.Background()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	id, addr := "", string(to)
	if i := strings.LastIndexByte(addr, '@'); i >= 0 {
		id, addr = addr[:i], addr[i+1:]
	}
	conn, err := s.l.dial(ctx, addr, id, protocolRaft)
	if err != nil {
		return nil, err
	}
	c := &peerConn{Conn: conn, of: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	s.open[c] = struct{}{}
	return c, nil
}

// peerConn is a connection to a peer that must keep reading.
type peerConn struct {
	net.Conn
	of       *streams
	deadline atomic.Pointer[time.Time] // for writing, as Raft set it; nil or zero: none
}

// Write implements net.Conn.
func (c *peerConn) Write(b []byte) (int, error) {
	limit := time.Now().Add(stallLimit)
	if d := c.deadline.Load(); d != nil && !d.IsZero() && d.Before(limit) {
		limit = *d
	}
	if err := c.Conn.SetWriteDeadline(limit); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// SetDeadline implements net.Conn.
func (c *peerConn) SetDeadline(t time.Time) error {
	c.deadline.Store(&t)
	return c.Conn.SetDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *peerConn) SetWriteDeadline(t time.Time) error {
	c.deadline.Store(&t)
	return c.Conn.SetWriteDeadline(t)
}

// Close implements net.Conn.
func (c *peerConn) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// address is a host:port that need not be resolved.
type address string

// Network implements net.Addr.
func (address) Network() string { return "tcp" }

func (a address) String() string { return string(a) }

// Transport is Raft's way to its peers through this port. Every message reaches
// the node it is meant for or fails: were one delivered to another member that
// took over the address, its answer would count as the wrong node's.
func (l *Listener) Transport(logger hclog.Logger) raft.Transport {
	if logger == nil {
		logger = hclog.NewNullLogger()
	}
	return transport{raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: l.StreamLayer(), MaxPool: raftPool, Timeout: raftTimeout, Logger: logger,
	})}
}

// transport tells the stream layer whom each message is for.
type transport struct{ *raft.NetworkTransport }

func target(id raft.ServerID, addr raft.ServerAddress) raft.ServerAddress {
	return raft.ServerAddress(string(id) + "@" + string(addr))
}

// AppendEntriesPipeline implements raft.Transport.
func (t transport) AppendEntriesPipeline(id raft.ServerID, to raft.ServerAddress) (raft.AppendPipeline, error) {
	inner, err := t.NetworkTransport.AppendEntriesPipeline(id, target(id, to))
	if err != nil {
		return nil, err
	}
	return newPipeline(inner), nil
}

// AppendEntries implements raft.Transport.
func (t transport) AppendEntries(id raft.ServerID, to raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	return t.NetworkTransport.AppendEntries(id, target(id, to), args, resp)
}

// RequestVote implements raft.Transport.
func (t transport) RequestVote(id raft.ServerID, to raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	return t.NetworkTransport.RequestVote(id, target(id, to), args, resp)
}

// RequestPreVote implements raft.WithPreVote.
func (t transport) RequestPreVote(id raft.ServerID, to raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	return t.NetworkTransport.RequestPreVote(id, target(id, to), args, resp)
}

// InstallSnapshot implements raft.Transport.
func (t transport) InstallSnapshot(id raft.ServerID, to raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	return t.NetworkTransport.InstallSnapshot(id, target(id, to), args, resp, data)
}

// TimeoutNow implements raft.Transport.
func (t transport) TimeoutNow(id raft.ServerID, to raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	return t.NetworkTransport.TimeoutNow(id, target(id, to), args, resp)
}
