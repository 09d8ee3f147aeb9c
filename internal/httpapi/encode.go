package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"strongroom/engine"
	"strongroom/internal/barrier"
	"strongroom/internal/call"
	"strongroom/internal/gateway"
	"strongroom/internal/openapi"
	"strongroom/internal/storage"
)

// status is the one map from what went wrong to HTTP.
var status = map[engine.Kind]int{
	engine.Internal: http.StatusInternalServerError, engine.Invalid: http.StatusBadRequest, engine.Denied: http.StatusForbidden,
	engine.NotFound: http.StatusNotFound, engine.Unsupported: http.StatusMethodNotAllowed, engine.Unavailable: http.StatusServiceUnavailable,
	engine.Upstream: http.StatusBadGateway, engine.TooLarge: http.StatusRequestEntityTooLarge, engine.Precondition: http.StatusPreconditionFailed,
	engine.TooMany: http.StatusTooManyRequests, engine.MediaType: http.StatusUnsupportedMediaType,
}

// respondError answers err as Vault does: {"errors": [text]}. What is not meant
// for the client is logged and named by the request's id.
func (h *Handler) respondError(w http.ResponseWriter, id string, err error) {
	code, text := http.StatusInternalServerError, ""
	var e *engine.Error
	switch {
	case errors.As(err, &e) && (e.Kind != engine.Internal || e.Text != ""):
		code, text = status[e.Kind], e.Text
		if e.Err != nil {
			h.logger.Warn("request failed", "request_id", id, "error", e.Err)
		}
	case errors.Is(err, barrier.ErrSealed):
		code, text = http.StatusServiceUnavailable, h.whySealed()
	case errors.Is(err, storage.ErrBusy):
		w.Header().Set("Retry-After", "1")
		code, text = http.StatusServiceUnavailable, "more writes wait than this server holds; nothing was written: try again"
	case errors.Is(err, storage.ErrTooLarge):
		code, text = http.StatusRequestEntityTooLarge, "the request would write more than this server takes at once; nothing was written"
	case errors.Is(err, storage.ErrUnknownOutcome):
		text = "leadership or storage was lost during the write; it may or may not have been made: read before you write again"
		h.logger.Error("a write has an unknown outcome", "request_id", id, "error", err)
	case errors.Is(err, storage.ErrClosed):
		code, text = http.StatusServiceUnavailable, "this server is shutting down; nothing was written"
	case errors.Is(err, context.Canceled): // the client has gone
		code, text = http.StatusServiceUnavailable, "the request was given up by the client; nothing was written"
	default:
		h.logger.Error("request failed", "request_id", id, "error", err)
		text = "internal error: the server's log says more under request " + id
	}
	writeErrors(w, code, text)
}

func writeErrors(w http.ResponseWriter, code int, texts ...string) {
	if len(texts) == 0 || texts[0] == "" {
		texts = []string{}
	}
	writeJSON(w, code, map[string]any{"errors": texts})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // only our own types come here
		http.Error(w, `{"errors":["internal error"]}`, http.StatusInternalServerError)
		return
	}
	writeBody(w, code, append(b, '\n'))
}

func writeBody(w http.ResponseWriter, code int, b []byte) {
	hd := w.Header()
	hd.Set("Content-Type", "application/json")
	hd.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(code)
	w.Write(b) // a client that has gone is no error of ours
}

// respond writes a gateway's response in Vault's envelope.
func (h *Handler) respond(w http.ResponseWriter, id string, resp *gateway.Response) {
	switch {
	case resp.Raw != nil:
		w.Header().Set("Content-Type", resp.Raw.ContentType)
		w.Header().Set("X-Content-Type-Options", "nosniff") // a browser may be looking: a page of text is no other thing
		w.WriteHeader(resp.Raw.Status)
		w.Write(resp.Raw.Body)
		return
	case resp.Empty && resp.Auth == nil && resp.WrapInfo == nil:
		w.WriteHeader(http.StatusNoContent)
		return
	}
	b, err := envelope(id, resp)
	if err != nil {
		h.respondError(w, id, err)
		return
	}
	code := cmp.Or(resp.Status, http.StatusOK)
	switch {
	case resp.Missing:
		code = http.StatusNotFound
	case resp.Accepted:
		code = http.StatusAccepted
	}
	writeBody(w, code, b)
}

// envelope assembles the answer around the data's bytes: a secret is not
// decoded and encoded again on its way.
func envelope(id string, resp *gateway.Response) ([]byte, error) {
	data, err := raw(resp.Data)
	if err != nil {
		return nil, err
	}
	warnings, err := raw(nilIfEmpty(resp.Warnings))
	if err != nil {
		return nil, err
	}
	wrapInfo, err := raw(wrapObject(resp.WrapInfo))
	if err != nil {
		return nil, err
	}
	auth, err := raw(authObject(resp.Auth))
	if err != nil {
		return nil, err
	}
	lent := resp.LeaseID
	if resp.WrapInfo != nil {
		lent = "" // it is for who unwraps
	}
	leaseID := json.RawMessage(`""`)
	if lent != "" {
		if leaseID, err = raw(lent); err != nil {
			return nil, err
		}
	}
	var lease engine.Lease
	if resp.Lease != nil {
		lease = *resp.Lease
	}
	b := make([]byte, 0, len(data)+len(warnings)+len(auth)+256)
	b = append(b, `{"request_id":"`...)
	b = append(b, id...)
	b = append(b, `","lease_id":`...)
	b = append(b, leaseID...)
	b = append(b, `,"renewable":`...)
	b = strconv.AppendBool(b, lease.Renewable)
	b = append(b, `,"lease_duration":`...)
	b = strconv.AppendInt(b, int64(lease.TTL/time.Second), 10)
	b = append(b, `,"data":`...)
	b = append(b, data...)
	b = append(b, `,"wrap_info":`...)
	b = append(b, wrapInfo...)
	b = append(b, `,"warnings":`...)
	b = append(b, warnings...)
	b = append(b, `,"auth":`...)
	b = append(b, auth...)
	b = append(b, `,"mount_type":`...)
	b = strconv.AppendQuote(b, resp.MountType)
	if resp.TopLevel && len(data) > 2 && data[0] == '{' {
		if b, err = appendTopLevel(b, resp.Data); err != nil {
			return nil, err
		}
	}
	return append(b, '}', '\n'), nil
}

// appendTopLevel repeats the data's fields beside "data".
func appendTopLevel(b []byte, data any) ([]byte, error) {
	fields, ok := data.(map[string]any)
	if !ok {
		return b, nil
	}
	fields = maps.Clone(fields)
	for _, taken := range []string{"request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings", "auth", "mount_type"} {
		delete(fields, taken)
	}
	if len(fields) == 0 {
		return b, nil
	}
	top, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	b = append(b, ',')
	return append(b, top[1:len(top)-1]...), nil
}

func raw(v any) (json.RawMessage, error) {
	switch v := v.(type) {
	case nil:
		return json.RawMessage("null"), nil
	case json.RawMessage:
		return v, nil
	}
	return json.Marshal(v)
}

func nilIfEmpty(s []string) any {
	if len(s) == 0 {
		return nil
	}
	return s
}

// authObject is a as answers show it; nil, if there is none.
func authObject(a *call.Auth) any {
	if a == nil {
		return nil
	}
	t := a.Token
	out := openapi.Auth{ClientToken: a.ClientToken, Accessor: t.Accessor, Policies: t.Policies, TokenPolicies: t.Policies,
		Metadata: t.Meta, LeaseDuration: int64(a.LeaseDuration / time.Second), Renewable: t.Renewable && t.Expires != 0,
		EntityID: a.EntityID, TokenType: t.Kind(), Orphan: t.Parent == "", NumUses: t.Uses}
	if len(t.Meta) == 0 {
		out.Metadata = nil
	}
	if len(a.IdentityPolicies) > 0 {
		all := slices.Concat(t.Policies, a.IdentityPolicies)
		slices.Sort(all)
		out.Policies, out.IdentityPolicies = slices.Compact(all), a.IdentityPolicies
	}
	return out
}
