package httpapi

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"strongroom/engine"
	"strongroom/internal/events"
	"strongroom/internal/gateway"
	"strongroom/internal/node"
)

// Subscriptions to events are WebSockets. The active node serves them; a standby
// holds its clients' WebSockets and passes on what the active node sends on a
// stream of the cluster port (events_relay.go, ADR 17).

const (
	// eventWait is how long a subscriber may take over one message, by default.
	eventWait = 10 * time.Second
	// pingEvery keeps a quiet connection open through proxies, and finds the
	// subscribers that are gone; pingWait is longer than eventWait, for a ping
	// waits for the message before it.
	pingEvery = 30 * time.Second
	pingWait  = 15 * time.Second
)

// wantsEvents says whether x asks for a stream of events, and not for what a read
// of the path answers: help, or that it takes a WebSocket.
func (x *exchange) wantsEvents() bool {
	path := "/" + x.path
	if !strings.Contains(path, "/"+gateway.SubscribePath) && !strings.Contains(path, "/"+gateway.FollowPath) || x.r.Method != http.MethodGet || x.r.URL.Query().Get("help") != "" {
		return false
	}
	if x.forwarded {
		return x.r.Header.Get(relayHeader) != ""
	}
	return strings.EqualFold(x.r.Header.Get("Upgrade"), "websocket")
}

// audience is whom events are sent to.
type audience interface {
	// send sends one message, or fails if that takes longer than EventWait.
	send(ctx context.Context, m message) error
	// end says why nothing follows.
	end(code websocket.StatusCode, reason string)
}

type message struct {
	kind websocket.MessageType
	data []byte
}

// subscribe serves a subscription from wherever this node can have it.
func (h *Handler) subscribe(x *exchange) { h.atLeader(x, h.tell, h.relay) }

// tell serves a subscription from this node, which leads, until it ends.
func (h *Handler) tell(x *exchange, s node.Session) error {
	req, err := x.request()
	if err != nil {
		return err
	}
	admission, cancel := context.WithTimeout(x.ctx, h.config.MaxDuration)
	defer cancel()
	sub, err := s.Subscribe(admission, req)
	if err != nil {
		return err
	}
	defer sub.Close()
	var to audience
	ctx, stop := context.WithCancel(x.ctx)
	defer stop()
	if x.forwarded {
		to, err = h.beginRelay(x.w)
	} else {
		to, ctx, err = h.accept(ctx, x)
	}
	if err != nil {
		return nil // it has been answered
	}
	h.tellAll(ctx, x, sub, to)
	return nil
}

// tellAll sends what sub yields to the audience.
func (h *Handler) tellAll(ctx context.Context, x *exchange, sub *gateway.Subscription, to audience) {
	asJSON, _ := strconv.ParseBool(x.r.URL.Query().Get("json"))
	leader, _ := h.node.Leader()
	cluster, _ := h.node.Position()
	for {
		e, err := sub.Next(ctx)
		if err != nil {
			code, reason := why(err)
			h.logger.Debug("a subscription to events ends", "request_id", x.id, "reason", reason, "error", err)
			to.end(code, reason)
			return
		}
		index := ""
		if cluster != "" {
			index = encodeIndex(cluster, e.Version)
		}
		m := message{kind: websocket.MessageBinary}
		if asJSON {
			m.kind = websocket.MessageText
			if m.data, err = e.JSON("vault://"+leader.NodeID, index); err != nil {
				to.end(websocket.StatusInternalError, "an event could not be encoded")
				return
			}
		} else {
			m.data = e.Protobuf(index)
		}
		if err := to.send(ctx, m); err != nil {
			if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
				sub.Slow()
			}
			return
		}
	}
}

// Reasons are at most 123 bytes: a close frame holds no more.
const (
	slowReason   = "events were missed: they were not taken as fast as they came; read what they are about, and subscribe again"
	movedReason  = "another node is or becomes active: read what the events are about, and subscribe again"
	deniedReason = "the token has ended, or its policies no longer allow the subscription"
)

// why is how a subscription that ended by err is closed.
func why(err error) (websocket.StatusCode, string) {
	if e, ok := errors.AsType[*engine.Error](err); ok && e.Kind == engine.Denied {
		return websocket.StatusPolicyViolation, deniedReason
	}
	switch {
	case errors.Is(err, events.ErrSlow):
		return websocket.StatusTryAgainLater, slowReason
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return websocket.StatusNormalClosure, ""
	}
	return websocket.StatusServiceRestart, movedReason // events.ErrClosed, or the storage goes away first
}

// socket is a client's WebSocket.
type socket struct {
	conn *websocket.Conn
	wait time.Duration
}

// accept makes x a WebSocket. The context ends with its client.
func (h *Handler) accept(ctx context.Context, x *exchange) (audience, context.Context, error) {
	conn, err := websocket.Accept(x.w, x.r, nil)
	if err != nil {
		return nil, nil, err
	}
	ctx = conn.CloseRead(ctx)
	go ping(ctx, conn) // ends with the client, or with whoever serves it
	return socket{conn, h.config.EventWait}, ctx, nil
}

func ping(ctx context.Context, conn *websocket.Conn) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		wait, cancel := context.WithTimeout(ctx, pingWait)
		err := conn.Ping(wait)
		cancel()
		if err != nil {
			_ = conn.CloseNow() // which ends ctx
			return
		}
	}
}

func (s socket) send(ctx context.Context, m message) error {
	ctx, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	return s.conn.Write(ctx, m.kind, m.data)
}

func (s socket) end(code websocket.StatusCode, reason string) { _ = s.conn.Close(code, reason) }
