package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// protocolIndex carries the question for a read index, one byte, and its answer,
// eight: the index in big-endian, or 0 from a node that does not lead. It is
// asked before every read of a standby (many share one), so it has a connection
// and a form of its own: an HTTP request would cost several times as much.
const protocolIndex = "strongroom-index/1"

// indexTimeout bounds one answer.
const indexTimeout = time.Second

// ErrNotLeading: the node that was asked does not lead.
var ErrNotLeading = errors.New("cluster: the node that was asked does not lead")

// serveIndex answers p's questions until either side ends.
func (l *Listener) serveIndex(p *peer) {
	defer p.Close()
	var question [1]byte
	var answer [8]byte
	for {
		if _, err := io.ReadFull(p, question[:]); err != nil || p.removed.Load() {
			return
		}
		ctx, cancel := context.WithTimeout(l.ctx, indexTimeout)
		index, err := l.cfg.ReadIndex(ctx)
		cancel()
		if err != nil {
			index = 0
		}
		binary.BigEndian.PutUint64(answer[:], index)
		p.SetWriteDeadline(time.Now().Add(indexTimeout))
		if _, err := p.Write(answer[:]); err != nil {
			return
		}
	}
}

// indexConn is the connection to the node that was asked last.
type indexConn struct {
	mu   sync.Mutex // one question at a time
	addr string
	peer *peer // nil: none
}

// ReadIndex asks the node at addr for its read index, within a second. Errors:
// ErrNotLeading; whatever keeps it from being asked.
func (l *Listener) ReadIndex(ctx context.Context, addr string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, indexTimeout)
	defer cancel()
	c := &l.index
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.peer != nil && c.addr != addr {
		c.drop()
	}
	if c.peer == nil {
		p, err := l.dial(ctx, addr, "", protocolIndex)
		if err != nil {
			return 0, err
		}
		c.addr, c.peer = addr, p
	}
	var answer [8]byte
	setDeadline(ctx, c.peer)
	_, err := c.peer.Write([]byte{'?'})
	if err == nil {
		_, err = io.ReadFull(c.peer, answer[:])
	}
	if err != nil {
		c.drop()
		return 0, fmt.Errorf("cluster: ask %s for a read index: %w", addr, err)
	}
	index := binary.BigEndian.Uint64(answer[:])
	if index == 0 {
		return 0, ErrNotLeading
	}
	return index, nil
}

func (c *indexConn) drop() {
	c.peer.Close()
	c.peer = nil
}
