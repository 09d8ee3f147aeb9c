package cluster

import (
	"context"
	"io"
	"net"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

const (
	raftPool    = 3
	raftTimeout = 5 * time.Second
)

// StreamLayer is the Raft part of the port. Use Transport unless a transport of
// another kind is wanted.
func (l *Listener) StreamLayer() raft.StreamLayer { return streams{l} }

type streams struct{ l *Listener }

// Accept implements net.Listener.
func (s streams) Accept() (net.Conn, error) { return s.l.raft.Accept() }

// Close implements net.Listener; the rest of the port lives on.
func (s streams) Close() error { return s.l.raft.Close() }

// Addr implements net.Listener: the advertised address.
func (s streams) Addr() net.Addr { return address(s.l.cfg.Advertise) }

// Dial implements raft.StreamLayer. An address made by target names who must
// answer.
func (s streams) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
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
	return s.l.dial(ctx, addr, id, protocolRaft)
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
