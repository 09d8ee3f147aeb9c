package httpapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"strongroom/engine"
	"strongroom/internal/node"
)

// recorded has serve answer x, what it does and answers being recorded by s: the
// answer leaves only if it was. Guarded, the caller's token must allow it. With an
// error, nothing has left.
func recorded(x *exchange, s node.Session, guarded bool, serve func(*exchange) error) error {
	req, err := x.request()
	if err != nil {
		return err
	}
	req.Guarded = guarded
	answer := &recorder{header: http.Header{}}
	var refused *engine.Error // what serve has answered itself
	err = s.Record(x.ctx, req, func() (json.RawMessage, error) {
		own := *x
		own.w = answer
		if err := serve(&own); err != nil {
			return nil, err
		}
		body := answer.body.Bytes()
		if answer.code >= http.StatusBadRequest {
			var told struct{ Errors []string }
			_ = json.Unmarshal(body, &told) // what is not so has no text
			refused = &engine.Error{Text: strings.Join(told.Errors, "; ")}
			return nil, refused
		}
		if !json.Valid(body) {
			body = nil
		}
		return body, nil
	})
	if err == nil || refused != nil && err == error(refused) {
		answer.replay(x.w)
		return nil
	}
	return err
}

// serveLocal serves what every node answers in every state. Where a Session exists,
// so do audit devices, and what changes something is recorded.
func (h *Handler) serveLocal(x *exchange, local http.HandlerFunc) {
	s := h.node.Session()
	if s == nil {
		s = h.node.Reader()
	}
	if s == nil || !isWrite(x.r.Method) || slices.Contains([]string{"sys/health", "sys/leader", "sys/seal-status"}, x.path) {
		local(x.w, x.withBody())
		return
	}
	err := recorded(x, s, false, func(x *exchange) error {
		local(x.w, x.withBody())
		return nil
	})
	if err != nil {
		h.respondError(x.w, x.id, err)
	}
}
