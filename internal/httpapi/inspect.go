package httpapi

import (
	"cmp"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/internal/gateway"
	"strongroom/internal/inspect"
	"strongroom/internal/metrics"
	"strongroom/internal/node"
	"strongroom/internal/sys"
)

// Public is what a listener gives without a token, in every state of the node.
//
// Rekey and GenerateRoot open the collecting of key shares on the active node, but
// not its cancelling, as servers of old did.
type Public struct{ Metrics, Pprof, InFlight, Rekey, GenerateRoot bool }

// public adds the paths that config opens to whoever reaches the listener.
func (h *Handler) public() {
	if h.config.Public.Metrics {
		h.local["sys/metrics"] = h.publicly(func(r *http.Request) (*engine.Response, error) {
			return sys.Metrics(h.config.Metrics, r.URL.Query().Get("format"))
		})
	}
	if h.config.Public.InFlight {
		h.local["sys/in-flight-req"] = func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, h.config.Flights.All()) }
	}
	if h.config.Public.Pprof {
		for _, name := range append(inspect.Profiles(), "profile", "trace") {
			h.local["sys/pprof/"+name] = h.publicly(func(r *http.Request) (*engine.Response, error) {
				debug, _ := strconv.Atoi(r.URL.Query().Get("debug"))
				length, err := engine.ParseDuration(r.URL.Query().Get("seconds"))
				if err != nil {
					return nil, engine.Invalidf("seconds: %v", err)
				}
				return sys.Profile(r.Context(), name, debug, length)
			})
		}
	}
}

// publicly answers a GET with what read returns.
func (h *Handler) publicly(read func(*http.Request) (*engine.Response, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			writeErrors(w, http.StatusMethodNotAllowed, "unsupported operation")
			return
		}
		resp, err := read(r)
		if err != nil {
			h.respondError(w, "inspect", err)
			return
		}
		w.Header().Set("Content-Type", resp.Raw.ContentType)
		w.WriteHeader(resp.Raw.Status)
		w.Write(resp.Raw.Body)
	}
}

// Gauges are what a handler tells of itself.
func Gauges(f *inspect.Flights) func(metrics.Emit) {
	return func(emit metrics.Emit) { emit("core.in_flight_requests", float64(f.Len())) }
}

// begin notes that x is under way, and returns what notes its end.
func (h *Handler) begin(x *exchange) (end func()) {
	if h.config.Flights == nil {
		return func() {}
	}
	h.config.Flights.Begin(x.id, inspect.Flight{Start: time.Now(), RemoteAddress: x.r.RemoteAddr, Path: x.r.URL.Path, Method: x.r.Method})
	return func() { h.config.Flights.End(x.id) }
}

const monitorPath = "sys/monitor"

// monitor streams this node's log until the client goes. On a standby the
// caller's rules are judged by its own state.
func (h *Handler) monitor(x *exchange) {
	s := h.node.Session()
	if s == nil {
		s = h.node.Reader()
	}
	switch {
	case s == nil && h.refuse(x):
		return
	case s == nil:
		writeErrors(x.w, http.StatusServiceUnavailable, "this node does not know its tokens yet: try again")
		return
	}
	if err := h.authorizeMonitor(x, s); err != nil {
		h.respondError(x.w, x.id, err)
		return
	}
	q := x.r.URL.Query()
	level, ok := inspect.ParseLevel(cmp.Or(q.Get("log_level"), "info"))
	format := strings.ToLower(cmp.Or(q.Get("log_format"), "standard"))
	if !ok || format != "standard" && format != "json" {
		h.respondError(x.w, x.id, engine.Invalidf("log_level must be trace, debug, info, warn or error, and log_format standard or json"))
		return
	}
	if h.config.Logs == nil {
		h.respondError(x.w, x.id, engine.Invalidf("this server's log cannot be read along"))
		return
	}
	control := http.NewResponseController(x.w)
	x.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	x.w.WriteHeader(http.StatusOK)
	control.Flush()
	h.config.Logs.Read(x.ctx.Done(), flushed{x.w, control}, level, format == "json") // an error is the client's going
}

func (h *Handler) authorizeMonitor(x *exchange, s node.Session) error {
	if h.node.Session() == nil {
		if err := h.node.CatchUp(x.ctx); err != nil {
			return err
		}
	}
	return h.authorize(x, s)
}

// flushed sends every line at once, and gives each as long as a stream may stall.
type flushed struct {
	http.ResponseWriter
	control *http.ResponseController
}

// Write implements io.Writer.
func (f flushed) Write(b []byte) (int, error) {
	f.control.SetWriteDeadline(time.Now().Add(stall))
	n, err := f.ResponseWriter.Write(b)
	if err == nil {
		err = f.control.Flush()
	}
	return n, err
}

// setRate shows what a rate limit said of req
// (https://developer.hashicorp.com/vault/api-docs/system/quotas-config).
func setRate(w http.ResponseWriter, req *gateway.Request) {
	v := req.Rate
	if v == nil {
		return
	}
	hd := w.Header()
	if !v.Allowed {
		hd.Set("Retry-After", strconv.Itoa(int(math.Ceil(v.After(time.Now()).Seconds()))))
	}
	if req.ShowRate {
		hd.Set("X-Ratelimit-Limit", strconv.FormatInt(v.Limit, 10))
		hd.Set("X-Ratelimit-Remaining", strconv.FormatInt(v.Remaining, 10))
		hd.Set("X-Ratelimit-Reset", strconv.FormatInt(v.Reset.Unix(), 10))
	}
}
