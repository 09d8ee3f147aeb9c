package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// farewell is how long a removed node's connection for requests stays open, for
// the answers that are under way: the last may be the one to its own removal. No
// new request of it is served.
const farewell = 250 * time.Millisecond

// What one byte on a protocolStanding connection says.
const (
	standingMember  = 'm'
	standingRemoved = 'r'
)

// ErrRemoved: the node at the other end has been removed from the cluster.
var ErrRemoved = errors.New("cluster: the node has been removed from the cluster")

// admit asks about a proven connection.
func (l *Listener) admit(p *peer) error {
	if err := l.standing(p.serial); err != nil {
		return fmt.Errorf("%w: %q, by the certificate %s", err, p.id, p.serial)
	}
	return nil
}

// standing is what Admit says.
func (l *Listener) standing(serial string) error {
	if l.cfg.Admit == nil {
		return nil
	}
	return l.cfg.Admit(serial)
}

// Recheck asks Admit about every open connection and ends those of removed nodes.
func (l *Listener) Recheck() {
	l.mu.Lock()
	var gone []*peer
	for p := range l.open {
		if errors.Is(l.standing(p.serial), ErrRemoved) && !p.removed.Swap(true) {
			gone = append(gone, p)
		}
	}
	l.mu.Unlock()
	for _, p := range gone {
		l.cfg.Logger.Info("cluster: a removed node is shut out", "node_id", p.id, "serial", p.serial)
		if p.protocol == protocolRaft {
			p.Close()
			continue
		}
		time.AfterFunc(farewell, func() { p.Close() }) // the listener's Close is earlier, or later: both may close
	}
}

// tellStanding says whether the peer is still a member: what a removed node is
// told, and nothing else. Who cannot tell says nothing: a node that is told that
// it was removed seals itself for good.
func (l *Listener) tellStanding(ctx context.Context, p *peer) {
	word := byte(standingMember)
	switch err := l.standing(p.serial); {
	case errors.Is(err, ErrRemoved):
		word = standingRemoved
	case err != nil:
		return
	}
	setDeadline(ctx, p)
	p.Write([]byte{word}) // a peer that has gone asks again
}

// Removed asks the node at addr whether it takes this one for removed.
func (l *Listener) Removed(ctx context.Context, addr string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	p, err := l.dial(ctx, addr, "", protocolStanding)
	if err != nil {
		return false, err
	}
	defer p.Close()
	setDeadline(ctx, p)
	var word [1]byte
	if _, err := p.Read(word[:]); err != nil {
		return false, fmt.Errorf("cluster: ask %s: %w", addr, err)
	}
	return word[0] == standingRemoved, nil
}

func setDeadline(ctx context.Context, c net.Conn) {
	if d, ok := ctx.Deadline(); ok {
		c.SetDeadline(d)
	}
}
