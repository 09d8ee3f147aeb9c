// Package cluster owns the port between nodes: a listener that speaks only
// mutual TLS 1.3 under the cluster's own CA, which carries Raft and forwarded
// requests side by side, and the protocol by which a new node proves that it
// may join. It decides nothing about who leads or what a request may do.
package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// The protocols a connection may carry, named in the TLS handshake (ALPN).
const (
	protocolRaft     = "strongroom-raft/1"
	protocolForward  = "strongroom-forward/1"
	protocolStanding = "strongroom-standing/1"
)

const (
	handshakeTimeout = 5 * time.Second
	dialTimeout      = 5 * time.Second
	// pingAfter and pingTimeout: a forwarding peer that is silent for their sum
	// is dead, and its requests fail.
	pingAfter   = time.Second
	pingTimeout = time.Second
)

// Config says where a node listens.
type Config struct {
	// Listen is the host:port to bind; port 0 picks one.
	Listen string
	// Advertise is the host:port by which peers reach this node; the host may be
	// a DNS name. "" is the bound address.
	Advertise string
	// Identity is this node's.
	Identity *Identity
	// Handler serves the requests that other nodes forward; see PeerID. nil
	// answers 404.
	Handler http.Handler
	// Admit, if set, is asked about the certificate at the other end of every
	// connection, in and out, by its serial (see Identity.Serial): it answers
	// ErrRemoved to those of removed nodes, which are genuine. It must not to one it
	// does not know: a node that lags has not heard of the newest members. Any other
	// error is that it cannot tell: no new connection then, and nobody is called removed.
	Admit func(serial string) error
	// ReadIndex answers the nodes that ask up to where a read must go; an error
	// says that this node does not lead. nil never leads.
	ReadIndex func(context.Context) (uint64, error)
	// Logger gets refused connections; nil is silence.
	Logger hclog.Logger
}

// Listener is the cluster port of this node and its way to the others.
type Listener struct {
	cfg     Config
	tcp     net.Listener
	server  *http.Server
	raft    *conns
	forward *conns
	client  *http.Transport
	doors   doors
	stop    context.CancelFunc // ends handshakes, dials and connections
	ctx     context.Context
	running sync.WaitGroup
	close   func() error // once

	identity atomic.Pointer[Identity]
	mu       sync.Mutex
	open     map[*peer]struct{} // every proven connection
	index    indexConn
}

// Listen binds the port and serves it until Close.
func Listen(cfg Config) (*Listener, error) {
	if cfg.Identity == nil {
		return nil, errors.New("cluster: listen: this node has no identity yet")
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	if cfg.Handler == nil {
		cfg.Handler = http.NotFoundHandler()
	}
	if cfg.ReadIndex == nil {
		cfg.ReadIndex = func(context.Context) (uint64, error) { return 0, ErrNotLeading }
	}
	tcp, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("cluster: listen: %w", err)
	}
	if cfg.Advertise == "" {
		cfg.Advertise = tcp.Addr().String()
	}
	l := &Listener{cfg: cfg, tcp: tcp, open: map[*peer]struct{}{}}
	l.identity.Store(cfg.Identity)
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.raft, l.forward = newConns(tcp.Addr()), newConns(tcp.Addr())
	l.close = sync.OnceValue(l.end)
	l.client = l.newClient()
	l.server = l.newServer()
	l.running.Go(l.accept)
	l.running.Go(func() { _ = l.server.Serve(l.forward) }) // ends with Close
	return l, nil
}

// Addr is the bound address.
func (l *Listener) Addr() net.Addr { return l.tcp.Addr() }

// Advertise is the host:port by which peers reach this node.
func (l *Listener) Advertise() string { return l.cfg.Advertise }

// Identity is this node's, for new connections.
func (l *Listener) Identity() *Identity { return l.identity.Load() }

// SetIdentity replaces it; connections that are open go on.
func (l *Listener) SetIdentity(id *Identity) { l.identity.Store(id) }

// Close ends every connection, in and out, and returns when nothing of the
// listener runs. Close the Store first: its Raft would go on dialling in vain.
func (l *Listener) Close() error { return l.close() }

func (l *Listener) end() error {
	l.stop()
	err := l.tcp.Close()
	l.raft.Close()
	err = errors.Join(err, l.server.Close())
	l.client.CloseIdleConnections()
	l.running.Wait()
	return err
}

func (l *Listener) accept() {
	for {
		c, err := l.tcp.Accept()
		if err != nil {
			if l.ctx.Err() != nil {
				return
			}
			l.cfg.Logger.Warn("cluster: accept", "error", err)
			select { // out of file descriptors, most likely
			case <-time.After(50 * time.Millisecond):
				continue
			case <-l.ctx.Done():
				return
			}
		}
		leave, ok := l.doors.enter(c)
		if !ok {
			c.Close()
			continue
		}
		l.running.Go(func() {
			defer leave()
			l.welcome(c)
		})
	}
}

// welcome makes the peer prove itself and hands the connection to its protocol.
func (l *Listener) welcome(c net.Conn) {
	ctx, cancel := context.WithTimeout(l.ctx, handshakeTimeout)
	defer cancel()
	p, err := l.prove(ctx, tls.Server(c, l.identity.Load().config(protocolRaft, protocolForward, protocolIndex, protocolStanding)))
	if err == nil && p.protocol == protocolStanding {
		l.tellStanding(ctx, p)
		p.Close()
		return
	}
	if err == nil {
		err = l.admit(p)
	}
	if err != nil {
		refuse(p, c)
		l.cfg.Logger.Debug("cluster: connection refused", "from", c.RemoteAddr(), "error", err)
		return
	}
	switch p.protocol {
	case protocolRaft:
		l.raft.push(p)
	case protocolIndex:
		l.running.Go(func() { l.serveIndex(p) }) // ends with the connection, at the latest with l
	default:
		l.forward.push(p)
	}
}

// peer is a connection whose other end has proven to be the node id. It hides
// the TLS below, so that net/http leaves the handshake alone.
type peer struct {
	net.Conn
	id       string
	serial   string
	protocol string
	removed  atomic.Bool // it may ask for nothing more
	forget   func()      // ends the watch for the listener's Close
}

// Close implements net.Conn.
func (p *peer) Close() error {
	p.forget()
	return p.Conn.Close()
}

// prove shakes hands. The connection ends with the listener at the latest. On
// error it is still open.
func (l *Listener) prove(ctx context.Context, c *tls.Conn) (*peer, error) {
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	s := c.ConnectionState()
	p := &peer{Conn: c, id: s.PeerCertificates[0].Subject.CommonName, serial: serial(s.PeerCertificates[0]), protocol: s.NegotiatedProtocol}
	unwatch := context.AfterFunc(l.ctx, func() { c.NetConn().Close() })
	p.forget = func() {
		unwatch()
		l.mu.Lock()
		delete(l.open, p)
		l.mu.Unlock()
	}
	l.mu.Lock()
	l.open[p] = struct{}{}
	l.mu.Unlock()
	return p, nil
}

// dial connects to addr; id, if not "", is who must answer.
func (l *Listener) dial(ctx context.Context, addr, id, protocol string) (*peer, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cluster: dial %s: %w", addr, err)
	}
	p, err := l.prove(ctx, tls.Client(c, l.identity.Load().config(protocol)))
	if err == nil && id != "" && p.id != id {
		err = fmt.Errorf("node %q answers where %q belongs", p.id, id)
	}
	if err == nil {
		err = l.admit(p)
	}
	if err != nil {
		refuse(p, c)
		return nil, fmt.Errorf("cluster: dial %s: %w", addr, err)
	}
	return p, nil
}

// refuse closes p, or c if the peer has proven nothing.
func refuse(p *peer, c net.Conn) {
	if p != nil {
		p.Close()
		return
	}
	c.Close()
}

// conns is a net.Listener fed with proven connections.
type conns struct {
	addr   net.Addr
	ready  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newConns(addr net.Addr) *conns {
	return &conns{addr: addr, ready: make(chan net.Conn), closed: make(chan struct{})}
}

// push hands c to Accept, or closes it if that is over.
func (c *conns) push(p *peer) {
	select {
	case c.ready <- p:
	case <-c.closed:
		p.Close()
	}
}

// Accept implements net.Listener.
func (c *conns) Accept() (net.Conn, error) {
	select {
	case conn := <-c.ready:
		return conn, nil
	case <-c.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (c *conns) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// Addr implements net.Listener.
func (c *conns) Addr() net.Addr { return c.addr }
