package httpapi

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"strongroom/internal/barrier"
	"strongroom/internal/cluster"
	"strongroom/internal/node"
	"strongroom/internal/storage"
	"strongroom/internal/sys"
)

// Snapshots are streams in both directions: their size is that of the data, so
// no body is read into memory and no limit of one request holds. They are served
// by the active node; a standby passes the stream on.

const (
	snapshotPath      = "sys/storage/raft/snapshot"
	snapshotForcePath = "sys/storage/raft/snapshot-force"

	// stall is how long a client may neither send nor take anything.
	stall = 2 * time.Minute
)

// stream returns what serves x as a stream, before anything of its body is read;
// nil if it is not one.
func (h *Handler) stream(x *exchange) func(*exchange) {
	switch {
	case x.path == monitorPath && x.r.Method == http.MethodGet && x.r.URL.Query().Get("help") == "" && !x.forwarded:
		return h.monitor
	case x.wantsEvents():
		return h.subscribe
	case x.path == snapshotPath && x.r.Method == http.MethodGet && x.r.URL.Query().Get("help") == "":
		return func(x *exchange) { h.streamed(x, h.saveSnapshot) }
	case (x.path == snapshotPath || x.path == snapshotForcePath) && isWrite(x.r.Method):
		return func(x *exchange) { h.streamed(x, h.restoreSnapshot) }
	}
	return nil
}

// streamed serves x with serve on the active node, and elsewhere passes it on.
// serve returns storage.ErrNotLeader only if nothing was read or written.
func (h *Handler) streamed(x *exchange, serve func(*exchange, node.Session) error) {
	control := http.NewResponseController(x.w)
	x.r.Body = struct {
		io.Reader
		io.Closer
	}{patient{x.r.Body, control.SetReadDeadline}, x.r.Body}
	x.w = &slowWriter{ResponseWriter: x.w, extend: control.SetWriteDeadline}
	h.atLeader(x, serve, h.pass)
}

// atLeader serves x with serve if this node leads, and else has pass send it to
// the leader; pass is false if nothing has happened and another node may be asked.
func (h *Handler) atLeader(x *exchange, serve func(*exchange, node.Session) error, pass func(*exchange, node.LeaderInfo) bool) {
	for deadline := h.deadline(); ; {
		if s := h.node.Session(); s != nil {
			err := h.node.Leads(x.ctx)
			if err == nil {
				err = serve(x, s)
			}
			if err == nil {
				return
			}
			if !errors.Is(err, storage.ErrNotLeader) && !errors.Is(err, barrier.ErrSealed) {
				h.respondError(x.w, x.id, err)
				return
			}
		}
		if h.refuse(x) {
			return
		}
		if leader, ok := h.node.Leader(); ok && !leader.Self && pass(x, leader) {
			return
		}
		if !x.wait(deadline) {
			return
		}
	}
}

// saveSnapshot sends a snapshot. Once it has begun, a failure breaks the
// connection: half a snapshot must not look whole.
func (h *Handler) saveSnapshot(x *exchange, s node.Session) error {
	if err := h.authorize(x, s); err != nil {
		return err
	}
	w := &archiveWriter{to: x.w}
	err := h.node.Snapshot(x.ctx, w)
	if err == nil || !w.begun {
		return err
	}
	h.logger.Error("a snapshot broke off", "request_id", x.id, "error", err)
	panic(http.ErrAbortHandler)
}

// archiveWriter begins the answer when its first byte is there.
type archiveWriter struct {
	to    http.ResponseWriter
	begun bool
}

func (a *archiveWriter) Write(b []byte) (int, error) {
	if !a.begun {
		a.begun = true
		a.to.Header().Set("Content-Type", "application/gzip")
		a.to.Header().Set("Content-Disposition", "attachment; filename=\"vault.snap\"")
	}
	return a.to.Write(b)
}

// restoreSnapshot takes a snapshot.
func (h *Handler) restoreSnapshot(x *exchange, s node.Session) error {
	if err := h.authorize(x, s); err != nil {
		return err
	}
	sealed, err := h.node.Restore(x.ctx, x.r.Body, x.path == snapshotForcePath)
	switch {
	case err != nil:
		return err
	case sealed:
		writeJSON(x.w, http.StatusOK, sys.Restored{RequestID: x.id, Warnings: []string{
			"The snapshot was restored. It was made under other keys than this cluster's, so every node is sealed now: unseal them with the keys of the cluster that it was made of, and use that cluster's tokens."}})
	default:
		x.w.WriteHeader(http.StatusNoContent)
	}
	return nil
}

func (h *Handler) authorize(x *exchange, s node.Session) error {
	req, err := x.request()
	if err != nil {
		return err
	}
	return s.Authorize(x.ctx, req)
}

// pass sends x to the leader and the answer back, byte by byte as they come; it
// is false if nothing of the body has been used and another node may be asked.
func (h *Handler) pass(x *exchange, leader node.LeaderInfo) bool {
	if x.redirect(leader) {
		return true
	}
	body := &untouched{from: x.r.Body}
	out, err := x.outgoing(x.ctx, leader, nil)
	if err != nil {
		h.respondError(x.w, x.id, err)
		return true
	}
	if x.r.ContentLength != 0 {
		out.Body, out.ContentLength = body, x.r.ContentLength
	}
	resp, err := h.node.Peer(leader.ClusterAddr).RoundTrip(out)
	if err != nil {
		if body.takeBack() {
			return false
		}
		h.logger.Warn("the leader was lost while it took a snapshot", "request_id", x.id, "leader", leader.NodeID, "error", err)
		writeErrors(x.w, http.StatusBadGateway, "the leader was lost while it took the snapshot; it may or may not have been restored: look before you send it again")
		return true
	}
	defer resp.Body.Close()
	if resp.Header.Get(cluster.NotActive) != "" && body.takeBack() {
		return false
	}
	for name, v := range resp.Header {
		if name != cluster.NotActive {
			x.w.Header()[name] = v
		}
	}
	x.w.WriteHeader(resp.StatusCode)
	if _, err := io.Copy(x.w, resp.Body); err != nil {
		h.logger.Warn("a snapshot on its way from the leader broke off", "request_id", x.id, "leader", leader.NodeID, "error", err)
		panic(http.ErrAbortHandler)
	}
	return true
}

// untouched is a request's body that knows whether anybody has begun to read it:
// if not, another node may still be asked.
type untouched struct {
	from io.Reader

	mu             sync.Mutex // the transport reads in a goroutine of its own, even after it has answered
	touched, taken bool
}

func (u *untouched) Read(p []byte) (int, error) {
	u.mu.Lock()
	taken := u.taken
	u.touched = u.touched || !taken
	u.mu.Unlock()
	if taken {
		return 0, http.ErrBodyReadAfterClose
	}
	return u.from.Read(p)
}

// Close is the transport's: what it closes may still be passed on to another node.
func (u *untouched) Close() error { return nil }

// takeBack ends the reading if it has not begun; false if it has.
func (u *untouched) takeBack() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.taken = !u.touched
	return u.taken
}

// patient is a body whose sender may take any time, but not stall.
type patient struct {
	from   io.Reader
	extend func(time.Time) error
}

func (p patient) Read(b []byte) (int, error) {
	_ = p.extend(time.Now().Add(stall)) // a recorder has no deadlines
	return p.from.Read(b)
}

// slowWriter is the same for an answer.
type slowWriter struct {
	http.ResponseWriter
	extend func(time.Time) error
}

func (s *slowWriter) Write(b []byte) (int, error) {
	_ = s.extend(time.Now().Add(stall))
	return s.ResponseWriter.Write(b)
}
