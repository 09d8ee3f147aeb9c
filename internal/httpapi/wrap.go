package httpapi

import (
	"time"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/openapi"
)

// What clients ask of response wrapping
// (https://developer.hashicorp.com/vault/docs/concepts/response-wrapping).
const (
	wrapHeader       = "X-Vault-Wrap-TTL"
	wrapFormatHeader = "X-Vault-Wrap-Format"
)

// wrapTTL is how long the client wants the answer wrapped; 0: not at all.
func (x *exchange) wrapTTL() (time.Duration, error) {
	text := x.r.Header.Get(wrapHeader)
	if text == "" {
		return 0, nil
	}
	ttl, err := engine.ParseDuration(text)
	switch {
	case err != nil:
		return 0, engine.Invalidf("%s: %v", wrapHeader, err)
	case ttl > 0 && ttl < time.Second:
		return 0, engine.Invalidf("%s: at least a second is needed", wrapHeader)
	case ttl > 0 && x.r.Header.Get(wrapFormatHeader) == "jwt":
		return 0, engine.Invalidf("wrapping tokens in the form of a JWT are not in this release: leave %s out", wrapFormatHeader)
	}
	return ttl, nil
}

// wrapObject is the "wrap_info" object of a response.
func wrapObject(w *call.WrapInfo) any {
	if w == nil {
		return nil
	}
	return openapi.WrapInfo{Token: w.Token, Accessor: w.Accessor, TTL: int64(w.TTL / time.Second),
		CreationTime: w.Created.Format(time.RFC3339Nano), CreationPath: w.Path, WrappedAccessor: w.WrappedAccessor}
}
