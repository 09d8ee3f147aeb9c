package httpapi

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"strongroom/internal/cluster"
	"strongroom/internal/node"
)

// Between nodes a subscription is a request whose answer does not end: frames of
// a kind (one byte), a length (four bytes, big-endian) and as many bytes. A frame
// of the kind closeFrame is the last one: a WebSocket close code (two bytes) and
// its reason. An answer that ends without it was broken off. The standby ends a
// subscription by giving up the request. See docs/format/events.md.

const (
	// relayHeader marks a subscription that a standby has a client for.
	relayHeader = "X-Strongroom-Events"
	closeFrame  = 8
	// maxEvent bounds a message, in bytes: paths are short.
	maxEvent = 1 << 20
)

// relayed is the stream to a standby.
type relayed struct {
	w       io.Writer
	control *http.ResponseController
	wait    time.Duration
}

// beginRelay tells the standby that its client may subscribe.
func (h *Handler) beginRelay(w http.ResponseWriter) (audience, error) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.WriteHeader(http.StatusOK)
	r := relayed{w, http.NewResponseController(w), h.config.EventWait}
	return r, r.control.Flush()
}

func (r relayed) send(_ context.Context, m message) error { return r.frame(byte(m.kind), m.data) }

func (r relayed) end(code websocket.StatusCode, reason string) {
	_ = r.frame(closeFrame, append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...))
}

func (r relayed) frame(kind byte, data []byte) error {
	_ = r.control.SetWriteDeadline(time.Now().Add(r.wait)) // a recorder has no deadlines
	if _, err := r.w.Write(append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(data))), data...)); err != nil {
		return err
	}
	return r.control.Flush()
}

// readFrame reads what frame writes.
func readFrame(r io.Reader) (kind byte, data []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxEvent {
		return 0, nil, errors.New("httpapi: a frame of events is too long")
	}
	data = make([]byte, n)
	_, err = io.ReadFull(r, data)
	return head[0], data, err
}

// relay has the leader serve x, a client's subscription, and passes its messages
// on; false if the leader does not lead, so that nothing has happened.
func (h *Handler) relay(x *exchange, leader node.LeaderInfo) bool {
	if x.redirect(leader) {
		return true
	}
	asking, stop := context.WithCancel(x.ctx)
	defer stop()
	out, err := x.outgoing(asking, leader, nil)
	if err != nil {
		h.respondError(x.w, x.id, err)
		return true
	}
	out.Header.Set(relayHeader, "1")
	resp, err := h.node.Peer(leader.ClusterAddr).RoundTrip(out)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	switch {
	case resp.Header.Get(cluster.NotActive) != "":
		return false
	case resp.StatusCode != http.StatusOK:
		copyResponse(x.w, resp)
		return true
	}
	to, ctx, err := h.accept(x.ctx, x)
	if err != nil {
		return true // it has been answered
	}
	defer context.AfterFunc(ctx, stop)() // the client is gone: so is the request to the leader
	go h.untilSealed(ctx, stop)          // ends with the client, whom to.end lets go
	to.end(passOn(ctx, bufio.NewReader(resp.Body), to))
	return true
}

// passOn sends the messages of a stream to its client until one of them ends, and
// returns how the client is to be told.
func passOn(ctx context.Context, from io.Reader, to audience) (websocket.StatusCode, string) {
	for {
		kind, data, err := readFrame(from)
		switch {
		case err != nil, kind == closeFrame && len(data) < 2:
			return websocket.StatusServiceRestart, movedReason
		case kind == closeFrame:
			return websocket.StatusCode(binary.BigEndian.Uint16(data)), string(data[2:])
		}
		if err := to.send(ctx, message{websocket.MessageType(kind), data}); err != nil {
			return websocket.StatusTryAgainLater, slowReason
		}
	}
}

// untilSealed calls stop when this node is sealed: then it serves nobody.
func (h *Handler) untilSealed(ctx context.Context, stop func()) {
	for {
		now, changed := h.node.Watch()
		if now.Sealed {
			stop()
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
