// Package httpapi owns the HTTP form of the API: it decodes a request, has it
// served by this node's Session or by the leader, and encodes the answer. It is
// the only place that knows HTTP status codes.
package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"strongroom/engine"
	"strongroom/internal/barrier"
	"strongroom/internal/cluster"
	"strongroom/internal/gateway"
	"strongroom/internal/inspect"
	"strongroom/internal/metrics"
	"strongroom/internal/namespace"
	"strongroom/internal/node"
	"strongroom/internal/storage"
)

const (
	sealedText        = "Vault is sealed"
	removedText       = "Vault is sealed: this node was removed from its cluster; to let it join again, stop it, delete its storage folder and start it"
	uninitializedText = "Vault is not initialized: run \"vault operator init\" on one node of the cluster"
)

// Config bounds what one request may cost.
type Config struct {
	MaxBody     int64         // bytes
	MaxDuration time.Duration // of serving one request
	EventWait   time.Duration // a subscriber may take over one event; 0: 10 seconds
	JSON        JSONLimits
	// RequireHeader refuses requests without X-Vault-Request: true, which a browser
	// or a server that is made to fetch an address does not send.
	RequireHeader bool
	UI            http.Handler // serves /ui/, to which / leads, in every state of the node; nil: nobody

	// What may be looked at; nil: nothing.
	Metrics *metrics.Registry
	Flights *inspect.Flights
	Logs    *inspect.Logs
	Public  Public
}

// Handler serves the API of one node. Safe for concurrent use.
type Handler struct {
	node   *node.Node
	config Config
	logger hclog.Logger
	guards http.Header                 // of every answer; its values are shared and not changed
	local  map[string]http.HandlerFunc // paths answered in every state of the node
	open   []openPath                  // paths the active node answers without a token
}

// openPath serves every path below prefix on the active node; what the caller
// proves by the body stands for a token, or, unless public, comes on top of it.
type openPath struct {
	prefix string
	serve  func(*exchange) error
	public bool
}

// guarded says whether x needs a token. Whoever has none never gives up what others began.
func (o *openPath) guarded(x *exchange) bool {
	return !o.public || x.r.Method == http.MethodDelete
}

// opened is the openPath that x asks for; nil: none.
func (h *Handler) opened(x *exchange) *openPath {
	for i := range h.open {
		if strings.HasPrefix(x.path, h.open[i].prefix) {
			return &h.open[i]
		}
	}
	return nil
}

// New makes the handler of n.
func New(n *node.Node, config Config, logger hclog.Logger) *Handler {
	config.EventWait = cmp.Or(config.EventWait, eventWait)
	h := &Handler{node: n, config: config, logger: logger, guards: guards()}
	h.local = map[string]http.HandlerFunc{
		"sys/seal-status": h.sealStatus, "sys/health": h.health, "sys/leader": h.leader,
		"sys/init": h.init, "sys/unseal": h.unseal,
		"sys/storage/raft/join": h.join,
	}
	h.open = []openPath{
		{"sys/storage/raft/bootstrap/", h.bootstrap, true},
		{"sys/generate-root/", h.generateRoot, config.Public.GenerateRoot}, {"sys/decode-token", h.decodeToken, true},
	}
	for _, step := range []string{"init", "update", "verify"} {
		h.open = append(h.open, openPath{"sys/rekey/" + step, h.rekey(false), config.Public.Rekey},
			openPath{"sys/rekey-recovery-key/" + step, h.rekey(true), config.Public.Rekey})
	}
	h.public()
	return h
}

// ServeHTTP serves a client.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.serve(w, r, false) }

// Forwarded serves what other nodes forward: it never forwards again.
func (h *Handler) Forwarded() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, true) })
}

// exchange is one HTTP request with its body read.
type exchange struct {
	w         http.ResponseWriter
	r         *http.Request
	ctx       context.Context // with the time that the request may take
	id        string
	namespace string // of the header, in its canonical form
	path      string // below /v1/
	body      []byte
	forwarded bool
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, forwarded bool) {
	maps.Copy(w.Header(), h.guards)
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	if !ok {
		h.outside(w, r)
		return
	}
	if !forwarded && h.cors(w, r) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.config.MaxDuration)
	defer cancel()
	x := &exchange{w: w, r: r, ctx: ctx, id: uuid.NewString(), path: path, forwarded: forwarded}
	if h.config.RequireHeader && !forwarded && r.Header.Get("X-Vault-Request") != "true" {
		h.respondError(w, x.id, engine.Errorf(engine.Precondition, "missing 'X-Vault-Request' header: this listener wants it to be \"true\""))
		return
	}
	if err := x.check(); err != nil {
		h.respondError(w, x.id, err)
		return
	}
	defer h.begin(x)()
	if serve := h.stream(x); serve != nil {
		x.ctx = r.Context() // a stream takes as long as it takes
		serve(x)
		return
	}
	var err error
	limit := h.config.MaxBody
	if clientToken(r) == "" {
		limit = min(limit, maxAnonymous)
	}
	if x.body, err = readBody(w, r, limit); err != nil {
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			err = engine.Errorf(engine.TooLarge, "the request body is over the limit of %d bytes (max_request_size)", tooLarge.Limit)
		} else {
			err = engine.Invalidf("the request body could not be read")
		}
		h.respondError(w, x.id, err)
		return
	}
	if err := h.config.JSON.check(x.body); err != nil {
		h.respondError(w, x.id, err)
		return
	}
	if local := h.local[path]; local != nil && !forwarded {
		if x.elsewhere() {
			h.respondError(w, x.id, errRootOnly)
			return
		}
		h.serveLocal(x, local)
		return
	}
	h.dispatch(x)
}

// errRootOnly: the path is about the whole server, and the request in a namespace below the root.
var errRootOnly = engine.Errorf(engine.NotFound, "unsupported path: it is served in the root namespace alone; leave X-Vault-Namespace (VAULT_NAMESPACE) empty")

// elsewhere says whether x asks in a namespace for what none but the root has. Whether
// the server is sealed, and which node leads, is told whoever asks: clients look first.
func (x *exchange) elsewhere() bool {
	return x.namespace != "" && x.path != "sys/seal-status" && x.path != "sys/leader"
}

// readBody reads at most limit bytes. What a client says of its body's length is
// only believed as far as ahead: who says much must send it to cost as much.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	const ahead = 64 << 10
	if r.Body == http.NoBody {
		return nil, nil
	}
	body := bytes.NewBuffer(make([]byte, 0, max(0, min(r.ContentLength, limit, ahead))+bytes.MinRead))
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	return body.Bytes(), err
}

// maxAnonymous bounds the body of a request without a token, in bytes.
const maxAnonymous = 1 << 20

// guards have a browser keep nothing, take nothing for a page, and run nothing.
func guards() http.Header {
	return http.Header{"Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}, "Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'"}}
}

// outside answers what is not the API.
func (h *Handler) outside(w http.ResponseWriter, r *http.Request) {
	if h.config.UI != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		switch {
		case r.URL.Path == "/" || r.URL.Path == "/ui":
			http.Redirect(w, r, "/ui/", http.StatusTemporaryRedirect)
			return
		case strings.HasPrefix(r.URL.Path, "/ui/"):
			h.config.UI.ServeHTTP(h.custom(w, r), r)
			return
		}
	}
	writeErrors(w, http.StatusNotFound, "not found: the API is below /v1/")
}

// whySealed is what a client is told that asks a sealed node.
func (h *Handler) whySealed() string {
	if h.node.Removed() {
		return removedText
	}
	return sealedText
}

// dispatch serves x here if this node leads or x is a read, and otherwise asks
// the leader.
func (h *Handler) dispatch(x *exchange) {
	if s := h.node.Session(); s != nil {
		err := h.node.Leads(x.ctx)
		if err == nil {
			err = h.present(x)
		}
		if err == nil {
			if err = h.perform(x, s); err == nil {
				return
			}
		}
		if !errors.Is(err, storage.ErrNotLeader) && !(x.forwarded && errors.Is(err, barrier.ErrSealed)) {
			h.respondError(x.w, x.id, err)
			return
		}
		// Leadership, or the keys, went away before anything was written.
	} else if s := h.node.Reader(); s != nil && x.servedHere() && h.opened(x) == nil && h.read(x, s) {
		return
	}
	switch {
	case h.refuse(x):
	case x.path == "sys/seal" && x.namespace == "" && isWrite(x.r.Method):
		h.sealStandby(x)
	default:
		h.forward(x)
	}
}

// refuse answers x if this node may neither serve nor forward it, and says whether it has.
func (h *Handler) refuse(x *exchange) bool {
	st := h.node.State()
	if x.forwarded { // whatever the reason: another node may serve it in a moment
		x.w.Header().Set(cluster.NotActive, "1")
	}
	switch {
	case !st.Initialized:
		writeErrors(x.w, http.StatusServiceUnavailable, uninitializedText)
	case st.Sealed:
		writeErrors(x.w, http.StatusServiceUnavailable, h.whySealed())
	case x.forwarded:
		writeErrors(x.w, http.StatusServiceUnavailable, "this node is not the active one")
	default:
		return false
	}
	return true
}

// read answers x from this standby's own state, which it makes current first;
// false if the leader must answer.
func (h *Handler) read(x *exchange, s node.Session) bool {
	err := h.node.CatchUp(x.ctx)
	if err == nil {
		if err = h.present(x); err == errStateMissing && forwardsInconsistent(x.r) {
			return false
		}
	}
	if err == nil {
		err = h.perform(x, s)
	}
	if err == nil {
		return true
	}
	if e := new(engine.Error); errors.As(err, &e) {
		h.respondError(x.w, x.id, err)
		return true
	}
	return false
}

// perform serves x with session s; it writes an answer unless it returns an error.
func (h *Handler) perform(x *exchange, s node.Session) error {
	if o := h.opened(x); o != nil {
		if x.namespace != "" {
			return errRootOnly
		}
		return recorded(x, s, o.guarded(x), o.serve)
	}
	req, err := x.request()
	if err != nil {
		return err
	}
	resp, err := s.Serve(x.ctx, req)
	setRate(x.w, req)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, storage.ErrUnknownOutcome) {
			return engine.Errorf(engine.Unavailable, "the request took longer than max_request_duration; nothing was written")
		}
		return err
	}
	h.mark(x)
	h.respond(x.w, x.id, resp)
	return nil
}

// operations by method; a GET with ?list=true lists, with ?scan=true scans.
var operations = map[string]engine.Operation{
	http.MethodGet: engine.Read, http.MethodHead: engine.Read, "LIST": engine.List, "SCAN": engine.Scan, http.MethodPost: engine.Update,
	http.MethodPut: engine.Update, http.MethodDelete: engine.Delete, http.MethodPatch: engine.Patch,
}

func isWrite(method string) bool { return operations[method] == engine.Update }

func (x *exchange) request() (*gateway.Request, error) {
	op, ok := operations[x.r.Method]
	if !ok {
		return nil, engine.Errorf(engine.Unsupported, "method %s is not used by this API", x.r.Method)
	}
	var query url.Values
	if x.r.URL.RawQuery != "" {
		query = x.r.URL.Query()
	}
	truthy := func(name string) bool { v := query.Get(name); return v == "true" || v == "1" }
	switch {
	case op != engine.Read:
	case truthy("list"):
		op = engine.List
	case truthy("scan"):
		op = engine.Scan
	}
	if op == engine.Patch && len(x.body) > 0 {
		if ct := x.r.Header.Get("Content-Type"); !strings.HasPrefix(ct, "application/merge-patch+json") {
			return nil, engine.Errorf(engine.MediaType, "PATCH takes Content-Type application/merge-patch+json")
		}
	}
	wrapTTL, err := x.wrapTTL()
	if err != nil {
		return nil, err
	}
	return &gateway.Request{ID: x.id, Operation: op, Namespace: x.namespace, Path: x.path, Token: clientToken(x.r), Body: x.body, Query: query, Header: x.r.Header, Remote: x.remote(), Peer: x.peer(), WrapTTL: wrapTTL}, nil
}

// clientToken is the token of X-Vault-Token or of Authorization: Bearer.
func clientToken(r *http.Request) string {
	if t := r.Header.Get("X-Vault-Token"); t != "" {
		return t
	}
	scheme, t, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(t)
	}
	return ""
}

// remote is the client's address; between nodes the forwarding one says it.
func (x *exchange) remote() netip.AddrPort {
	addr := x.r.RemoteAddr
	if x.forwarded {
		addr = x.r.Header.Get(remoteHeader)
	}
	ap, _ := netip.ParseAddrPort(addr)
	return ap
}

// check refuses what this server does not do before anything else happens.
func (x *exchange) check() error {
	var err error
	if x.namespace, err = namespace.CheckBase(x.r.Header.Get("X-Vault-Namespace")); err != nil {
		return err
	}
	switch {
	case x.path == "" || len(x.path) > 4096 || !utf8.ValidString(x.path) || strings.ContainsFunc(x.path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return engine.Invalidf("the path must be printable UTF-8 of 1 to 4096 bytes")
	}
	for seg := range strings.SplitSeq(strings.TrimSuffix(x.path, "/"), "/") {
		if seg == "" || seg == "." || seg == ".." {
			return engine.Invalidf("the path holds an empty, \".\" or \"..\" segment")
		}
	}
	return nil
}
