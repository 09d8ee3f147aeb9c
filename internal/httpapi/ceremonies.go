package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"unicode/utf8"

	"strongroom/engine"
	"strongroom/internal/node"
	"strongroom/internal/sys"
)

// The paths in this file need no token: key shares are the authority
// (https://developer.hashicorp.com/vault/api-docs/system/rekey, …/generate-root).

// shareRequest is one share for a ceremony.
type shareRequest struct {
	Key   string `json:"key"`
	Nonce string `json:"nonce"`
}

// decodeRequest reads x's body, which must be a JSON object; none is an empty one.
func decodeRequest[T any](x *exchange) (req T, err error) {
	if len(x.body) == 0 {
		return req, nil
	}
	if err := json.Unmarshal(x.body, &req); err != nil {
		return req, engine.Invalidf("failed to parse JSON input: the body must be a JSON object of the documented fields")
	}
	return req, nil
}

// share reads the share and the nonce of x.
func (x *exchange) share() (share []byte, nonce string, err error) {
	req, err := decodeRequest[shareRequest](x)
	if err != nil {
		return nil, "", err
	}
	if req.Key == "" {
		return nil, "", engine.Invalidf("'key' must be specified in request body as JSON")
	}
	share, err = decodeShare(req.Key)
	return share, req.Nonce, err
}

// answer writes v, or passes the error on.
func answer[T any](x *exchange, v T, err error) error {
	if err == nil {
		writeJSON(x.w, http.StatusOK, v)
	}
	return err
}

// done answers what has nothing to say.
func done(x *exchange, err error) error {
	if err == nil {
		x.w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// rekey serves sys/rekey/, or, for the recovery key, sys/rekey-recovery-key/.
func (h *Handler) rekey(recovery bool) func(*exchange) error {
	return func(x *exchange) error {
		switch x.path[strings.LastIndexByte(x.path, '/')+1:] {
		case "init":
			return h.rekeyInit(x, recovery)
		case "update":
			return h.rekeyUpdate(x, recovery)
		case "verify":
			return h.rekeyVerify(x, recovery)
		}
		return engine.Errorf(engine.NotFound, "unsupported path")
	}
}

func (h *Handler) rekeyInit(x *exchange, recovery bool) error {
	ctx := x.ctx
	switch {
	case x.r.Method == http.MethodGet:
		st, err := h.node.RekeyStatus(ctx, recovery)
		return answer(x, st, err)
	case x.r.Method == http.MethodDelete:
		req, err := decodeRequest[shareRequest](x)
		if err != nil {
			return err
		}
		return done(x, h.node.RekeyCancel(req.Nonce))
	case isWrite(x.r.Method):
		req, err := decodeRequest[node.RekeyRequest](x)
		if err != nil {
			return err
		}
		st, err := h.node.RekeyInit(ctx, recovery, req)
		return answer(x, st, err)
	}
	return engine.ErrUnsupported
}

func (h *Handler) rekeyUpdate(x *exchange, recovery bool) error {
	if !isWrite(x.r.Method) {
		return engine.ErrUnsupported
	}
	share, nonce, err := x.share()
	if err != nil {
		return err
	}
	st, res, err := h.node.RekeyUpdate(x.ctx, recovery, nonce, share)
	if res != nil {
		return answer(x, res, err)
	}
	return answer(x, st, err)
}

func (h *Handler) rekeyVerify(x *exchange, recovery bool) error {
	ctx := x.ctx
	switch {
	case x.r.Method == http.MethodGet:
		st, err := h.node.RekeyVerifyStatus(ctx, recovery)
		return answer(x, st, err)
	case x.r.Method == http.MethodDelete:
		st, err := h.node.RekeyVerifyCancel(ctx, recovery)
		return answer(x, st, err)
	case isWrite(x.r.Method):
		share, nonce, err := x.share()
		if err != nil {
			return err
		}
		st, err := h.node.RekeyVerify(ctx, recovery, nonce, share)
		return answer(x, st, err)
	}
	return engine.ErrUnsupported
}

// generateRoot serves sys/generate-root/.
func (h *Handler) generateRoot(x *exchange) error {
	switch path := strings.TrimPrefix(x.path, "sys/generate-root/"); {
	case path == "attempt" && x.r.Method == http.MethodGet:
		st, err := h.node.RootStatus()
		return answer(x, st, err)
	case path == "attempt" && x.r.Method == http.MethodDelete:
		return done(x, h.node.RootCancel())
	case path == "attempt" && isWrite(x.r.Method):
		req, err := decodeRequest[struct {
			OTP    string `json:"otp"`
			PGPKey string `json:"pgp_key"`
		}](x)
		if err != nil {
			return err
		}
		st, err := h.node.RootInit(req.OTP, req.PGPKey)
		return answer(x, st, err)
	case path == "update" && isWrite(x.r.Method):
		share, nonce, err := x.share()
		if err != nil {
			return err
		}
		st, err := h.node.RootUpdate(x.ctx, nonce, share)
		return answer(x, st, err)
	case path != "attempt" && path != "update":
		return engine.Errorf(engine.NotFound, "unsupported path")
	}
	return engine.ErrUnsupported
}

// decodeToken serves sys/decode-token: what generate-root gave, made a token again
// with its one-time password (https://developer.hashicorp.com/vault/api-docs/system/decode-token).
func (h *Handler) decodeToken(x *exchange) error {
	switch {
	case x.path != "sys/decode-token":
		return engine.Errorf(engine.NotFound, "unsupported path")
	case !isWrite(x.r.Method):
		return engine.ErrUnsupported
	}
	req, err := decodeRequest[struct {
		Encoded string `json:"encoded_token"`
		OTP     string `json:"otp"`
	}](x)
	if err != nil {
		return err
	}
	token, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(req.Encoded, "="))
	switch {
	case req.Encoded == "" || req.OTP == "":
		return engine.Invalidf("encoded_token and otp are needed")
	case err != nil:
		return engine.Invalidf("encoded_token is not what sys/generate-root gave: it is not base64")
	case len(token) != len(req.OTP):
		return engine.Invalidf("encoded_token and otp do not belong together: their lengths differ")
	}
	for i := range token {
		token[i] ^= req.OTP[i]
	}
	if !utf8.Valid(token) {
		return engine.Invalidf("encoded_token and otp do not belong together")
	}
	writeJSON(x.w, http.StatusOK, sys.DecodedToken{RequestID: x.id, Data: sys.PlainToken{Token: string(token)}})
	return nil
}
