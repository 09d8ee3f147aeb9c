package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"strongroom/internal/cluster"
	"strongroom/internal/gateway"
	"strongroom/internal/node"
)

const (
	// remoteHeader carries the client's address between nodes.
	remoteHeader = "X-Strongroom-Remote"
	// patience is how long a standby waits for a leader before it gives up:
	// longer than a failover takes.
	patience = 10 * time.Second
	// impatience is the same when there has been none for as long: the quorum is
	// lost, most likely, and clients try again themselves.
	impatience = 2 * time.Second
	retryWait  = 50 * time.Millisecond
)

// withBody gives the request its body again, for the handlers that read it.
func (x *exchange) withBody() *http.Request {
	r := x.r.WithContext(x.ctx)
	r.Body = io.NopCloser(bytes.NewReader(x.body))
	return r
}

// forward has the leader serve x. It tries again, for as long as a failover may
// take, what surely had no effect: requests that were never sent, that a node
// which does not lead refused, and reads that count no use of their token. (One
// that lends may lend anew: what was lent without an answer ends with its time.)
func (h *Handler) forward(x *exchange) {
	for deadline := h.deadline(); ; {
		leader, ok := h.node.Leader()
		if ok && !leader.Self {
			if x.redirect(leader) {
				return
			}
			resp, sent, err := h.send(x, leader)
			if err == nil && resp.Header.Get(cluster.NotActive) == "" {
				copyResponse(x.w, resp)
				return
			}
			if err == nil {
				resp.Body.Close()
			} else if sent && !h.repeatable(x) {
				h.logger.Warn("the leader was lost while it served a forwarded request", "request_id", x.id, "leader", leader.NodeID, "error", err)
				writeErrors(x.w, http.StatusBadGateway, "the leader was lost while it served the request; it may or may not have taken effect: read before you write again")
				return
			}
		}
		switch {
		case h.node.Session() != nil && h.node.Leads(x.ctx) == nil: // by now
			h.dispatch(x)
			return
		case h.node.Removed() && h.refuse(x): // by now, and for good
			return
		}
		if !x.wait(deadline) {
			return
		}
	}
}

// deadline is until when a request that comes now may wait for a leader.
func (h *Handler) deadline() time.Time {
	if h.node.Leaderless() > patience {
		return time.Now().Add(impatience)
	}
	return time.Now().Add(patience)
}

// redirect sends a client that wants it so to the leader itself.
func (x *exchange) redirect(leader node.LeaderInfo) bool {
	if x.r.Header.Get("X-Vault-No-Request-Forwarding") == "" || leader.APIAddr == "" {
		return false
	}
	http.Redirect(x.w, x.r, leader.APIAddr+x.r.URL.RequestURI(), http.StatusTemporaryRedirect)
	return true
}

// wait waits a little for a leader; false, with an answer, once patience has ended.
func (x *exchange) wait(deadline time.Time) bool {
	select {
	case <-x.ctx.Done():
	case <-time.After(retryWait):
	}
	if time.Now().Before(deadline) && x.ctx.Err() == nil {
		return true
	}
	x.w.Header().Set("Retry-After", "1")
	writeErrors(x.w, http.StatusServiceUnavailable, "local node not active but active cluster node not found: nothing was done; try again, and see that a majority of the nodes is up and one of them unsealed")
	return false
}

// outgoing is x's request to another node, with what that one has to know.
func (x *exchange) outgoing(ctx context.Context, leader node.LeaderInfo, body io.Reader) (*http.Request, error) {
	out, err := http.NewRequestWithContext(ctx, x.r.Method, "https://"+leader.ClusterAddr+x.r.URL.RequestURI(), body)
	if err != nil {
		return nil, err
	}
	for name, v := range x.r.Header { // whatever the leader is to record
		if !stays(name) {
			out.Header[name] = v
		}
	}
	out.Header.Set(remoteHeader, x.r.RemoteAddr)
	x.setPeer(out.Header)
	return out, nil
}

// repeatable says whether x may be served twice: a read without a token, or with
// one whose uses are not counted, as far as this node knows, which may be sealed by now.
func (h *Handler) repeatable(x *exchange) bool {
	token, s := clientToken(x.r), cmp.Or(h.node.Session(), h.node.Reader())
	return isRead(x.r.Method) && (token == "" || s != nil && !s.Spends(x.ctx, token))
}

// stays says whether a client's header ends at this node: it is about the
// connection (RFC 9110, 7.6.1), or only another node's word counts. What else a
// client lists in Connection goes on all the same: nobody hides a header from the
// audit log so.
func stays(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Content-Length", "Host", "Expect", "Accept-Encoding", "X-Vault-No-Request-Forwarding":
		return true
	}
	return strings.HasPrefix(name, "X-Strongroom-")
}

func isRead(method string) bool {
	return operations[method].Reads()
}

// send puts the request to the leader once; sent says whether it may have arrived.
func (h *Handler) send(x *exchange, leader node.LeaderInfo) (resp *http.Response, sent bool, err error) {
	var wrote atomic.Bool // the transport writes in a goroutine of its own
	ctx := httptrace.WithClientTrace(x.ctx, &httptrace.ClientTrace{WroteHeaders: func() { wrote.Store(true) }})
	out, err := x.outgoing(ctx, leader, bytes.NewReader(x.body))
	if err != nil {
		return nil, false, err
	}
	resp, err = h.node.Peer(leader.ClusterAddr).RoundTrip(out)
	// A request that was given up may be written after all; one that failed
	// otherwise has lost its connection, and will not be.
	return resp, wrote.Load() || ctx.Err() != nil, err
}

func copyResponse(w http.ResponseWriter, resp *http.Response) {
	defer resp.Body.Close()
	for name, v := range resp.Header {
		w.Header()[name] = v
	}
	w.WriteHeader(resp.StatusCode)
	io.Copy(w, resp.Body)
}

// sealStandby seals this standby if the leader says that the caller may: Vault
// seals only the active node by its API; here every node can be.
func (h *Handler) sealStandby(x *exchange) {
	ask := *x
	ask.path = "sys/capabilities-self"
	ask.body = []byte(`{"paths":["sys/seal"]}`)
	ask.r = x.r.Clone(x.ctx)
	ask.r.Header.Del(wrapHeader)
	ask.r.Header.Del("X-Vault-No-Request-Forwarding") // or the client would be sent to ask, and take the answer for a seal
	ask.r.Method, ask.r.URL.Path, ask.r.URL.RawQuery, ask.r.URL.RawPath = http.MethodPost, "/v1/"+ask.path, "", ""
	answer := &recorder{header: http.Header{}}
	ask.w = answer
	h.forward(&ask)
	var got struct {
		Capabilities []string `json:"capabilities"`
	}
	if answer.code != http.StatusOK || json.Unmarshal(answer.body.Bytes(), &got) != nil {
		answer.replay(x.w)
		return
	}
	if !slices.Contains(got.Capabilities, "root") && !(slices.Contains(got.Capabilities, "update") && slices.Contains(got.Capabilities, "sudo")) {
		h.respondError(x.w, x.id, gateway.ErrForbidden)
		return
	}
	seal := func(x *exchange) error { return done(x, h.node.Seal(x.ctx)) }
	var err error
	if s := h.node.Reader(); s != nil {
		err = recorded(x, s, false, seal)
	} else {
		err = seal(x)
	}
	if err != nil {
		h.respondError(x.w, x.id, err)
	}
}

// recorder keeps an answer to be looked at.
type recorder struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(code int) {
	if r.code == 0 {
		r.code = code
	}
}
func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}

func (r *recorder) replay(w http.ResponseWriter) {
	for name, v := range r.header {
		w.Header()[name] = v
	}
	w.WriteHeader(r.code)
	w.Write(r.body.Bytes())
}
