package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"

	"strongroom/engine"
	"strongroom/internal/cluster"
)

// bootstrap serves a node that wants to join; the proof it gives stands for a token.
func (h *Handler) bootstrap(x *exchange) error {
	if !isWrite(x.r.Method) {
		return engine.ErrUnsupported
	}
	switch strings.TrimPrefix(x.path, "sys/storage/raft/bootstrap/") {
	case "challenge":
		// The node's id is for Vault's sake: nobody has proven anything yet.
		if _, err := decodeRequest[struct {
			ServerID string `json:"server_id"`
		}](x); err != nil {
			return err
		}
		out, err := h.node.Challenge(x.ctx)
		if err != nil {
			return err
		}
		writeJSON(x.w, http.StatusOK, map[string]any{"data": out})
	case "answer":
		var answer cluster.Answer
		if err := json.Unmarshal(x.body, &answer); err != nil {
			return engine.Invalidf("the answer to a join challenge is malformed")
		}
		out, err := h.node.Admit(x.ctx, answer)
		if err != nil {
			return err
		}
		writeJSON(x.w, http.StatusOK, map[string]any{"data": out})
	default:
		return engine.Errorf(engine.NotFound, "unsupported path")
	}
	return nil
}
